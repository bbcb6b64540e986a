"""torch.utils.flop_counter: multiplications and additions of the products that a block of code computes, by module."""

from __future__ import annotations

import math
from typing import Any

from ..glass.observing import Observing

__all__ = ["FlopCounterMode"]

# Named as PyTorch's operations are; an elementwise operation costs next to nothing beside a product, and counts as nothing.
NAMES = {
    "matmul": "aten.mm",
    "weight_product": "aten.mm",
    "linear": "aten.addmm",
    "conv": "aten.convolution",
    "conv_input_grad": "aten.convolution",  # what a transposed convolution is
}


class FlopCounterMode(Observing):
    """Count what matrix products and convolutions cost while it is on: two for a multiplication and its addition.

    The operations of the forward pass are counted, and those of a backward pass that is itself differentiated.

    Parameters
    ----------
    mods
        Not needed: modules are known when they run.
    depth
        How deep into the modules the table goes.
    display
        Whether to print the table at the end of the block.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.utils.flop_counter import FlopCounterMode
    >>> with FlopCounterMode(display=False) as counter:
    ...     y = torch.nn.Linear(8, 4)(torch.ones(3, 8))
    >>> counter.get_total_flops()
    192
    """

    def __init__(self, mods: Any = None, depth: int = 2, display: bool = True, custom_mapping: Any = None) -> None:
        super().__init__()
        self.depth, self.display = depth, display
        self.flop_counts: dict[str, dict[str, int]] = {}

    def __enter__(self) -> Any:
        self.flop_counts = {"Global": {}}
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        if self.display:
            print(self.get_table(self.depth))  # noqa: T201 - showing is what `display` asks for

    def get_total_flops(self) -> int:
        """Give the sum over all operations."""
        return sum(self.flop_counts.get("Global", {}).values())

    def get_flop_counts(self) -> dict[str, dict[str, int]]:
        """Give the counts: module's name -> operation's name -> number."""
        return {name: dict(counts) for name, counts in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """Give the counts as a table, the modules down to a depth."""
        depth = self.depth if depth is None else depth
        rows = [("Module", "FLOP", "% Total")]
        total = self.get_total_flops()
        for name, counts in sorted(self.flop_counts.items(), key=lambda item: (item[0] != "Global", item[0])):
            level = 0 if name == "Global" else name.count(".") + 1
            if level <= depth:
                here = sum(counts.values())
                share = f"{100 * here / total:.2f}%" if total else "0.00%"
                rows.append((" " * level + name, f"{here:,}", share))
                rows += [(" " * (level + 1) + f"- {op}", f"{n:,}", "") for op, n in counts.items()]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows]
        return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])

    def _path(self, module: Any) -> str:
        if not self.stack:
            name = type(module).__name__
            for path, part in module.named_modules():
                self.paths[id(part)] = f"{name}.{path}" if path else name
        return super()._path(module)

    def _seen(self, op: Any, xs: Any, attrs: dict[str, Any], result: Any) -> None:
        name = NAMES.get(op.name)
        if name is None:
            return
        x, w = xs[0]._a.shape, xs[1]._a.shape
        if op.name.startswith("conv"):
            count = 2 * (result._a.size if op.name == "conv" else xs[0]._a.size) * math.prod(w[1:])
        else:
            count = 2 * result._a.size * (x[-1] if op.name != "weight_product" else math.prod(x[:-1]))
        for place in dict.fromkeys(("Global", *self.stack)):
            counts = self.flop_counts.setdefault(place, {})
            counts[name] = counts.get(name, 0) + count
