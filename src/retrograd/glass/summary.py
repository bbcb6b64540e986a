"""A table of a model's modules: shapes, parameters, arithmetic forward and backward, what is kept for backward, and its first variances."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core import BaseTensor
from ..core.types import TensorType
from .doctor.depth import scheme
from .doctor.look import Call, Look, look
from .doctor.theory import Theory
from .live import is_entry
from .repair import wanted

PRODUCTS = ("matmul", "linear", "conv", "conv_input_grad", "conv_weight_grad", "addmm", "bmm", "einsum")


@dataclass
class Row:
    """A module in the table.

    Attributes
    ----------
    path, kind, depth
        Its path, its class, and how many modules it is inside of.
    shape
        Of its result; empty if it was not called.
    parameters, trainable
        Numbers in its own parameters (not those of its children), and of these the ones that are trained.
    forward, backward
        Arithmetic operations (a multiplication and an addition are two) of one pass, its own and its children's.
    kept
        Bytes that its operations keep for the backward pass and that nothing before them holds.
    fan_in, fan_out
        For a layer with a weight: summands of one result, results that one input goes into.
    std, wanted, initialised
        Standard deviation of the weight, the one that would keep the signal's variance (He's for ReLU), and the name of the
        well-known initialisation that the weight looks like.
    """

    path: str
    kind: str
    depth: int
    shape: tuple[int, ...] = ()
    parameters: int = 0
    trainable: int = 0
    forward: int = 0
    backward: int = 0
    kept: int = 0
    fan_in: float | None = None
    fan_out: float | None = None
    std: float | None = None
    wanted: float | None = None
    initialised: str = ""


@dataclass
class Summary:
    """A model's table, and its totals.

    Attributes
    ----------
    rows
        One for each module, in the order they are defined.
    parameters, trainable
        Numbers in all parameters, shared ones once.
    parameter_bytes, kept, forward, backward
        Totals.
    title
        The model's class.
    """

    rows: list[Row]
    parameters: int
    trainable: int
    parameter_bytes: int
    kept: int
    forward: int
    backward: int
    title: str = ""
    columns: tuple[str, ...] = field(
        default=("layer", "output", "parameters", "forward", "backward", "kept", "fan in/out", "std", "fits"),
        repr=False,
    )

    def cells(self) -> list[list[str]]:
        """Give the table's rows as text."""
        table = []
        for r in self.rows:
            name = "  " * r.depth + (r.path.rpartition(".")[2] or self.title) + f" ({r.kind})"
            ways = f"{r.fan_in:.0f}/{r.fan_out:.0f}" if r.fan_in is not None and r.fan_out is not None else ""
            std = f"{r.std:.3g}" if r.std is not None else ""
            fits = f"{r.wanted:.3g}" if r.wanted is not None else ""
            own = [_count(r.parameters), _count(r.forward), _count(r.backward), _bytes(r.kept)]
            table.append([name, "x".join(map(str, r.shape)), *own, ways, std, fits])
        return table

    def totals(self) -> list[str]:
        """Give the lines below the table."""
        return [
            f"parameters {self.parameters:,} ({_bytes(self.parameter_bytes)}), trained {self.trainable:,}",
            f"one pass forward {_count(self.forward)} operations, backward {_count(self.backward)}; kept for backward {_bytes(self.kept)}",
            "std: of the weights; fits: the one that keeps the signal's variance, for what stands before the layer",
        ]

    def __str__(self) -> str:
        rows = [list(self.columns), *self.cells()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.columns))]
        lines = [
            "  ".join(
                c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:], rule, *self.totals()])

    def to_page(self) -> dict[str, Any]:
        """Give the page's section."""
        return {"title": self.title, "columns": list(self.columns), "rows": self.cells(), "notes": self.totals()}

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(c)}</th>" for c in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td style='white-space:pre'>{html.escape(c)}</td>" for c in row) + "</tr>"
            for row in self.cells()
        )
        notes = "".join(f"<p>{html.escape(line)}</p>" for line in self.totals())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


def summary(model: Any, *batch: Any) -> Summary:
    """Give a table of a model's modules for one batch: what each computes, costs, keeps, and how it is initialised.

    A copy of the model runs once; the model itself, its statistics and the random generators are left as they are.

    Parameters
    ----------
    model : Module
        The model.
    *batch
        What it is called with; one tuple or list stands for its parts.

    Returns
    -------
    Summary
        The table: printed as text, shown as HTML in a notebook, and with all numbers in ``rows``.

    Raises
    ------
    TypeError
        If no batch is given.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import glass
    >>> net = torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.ReLU(), torch.nn.Linear(30, 5))
    >>> table = glass.summary(net, torch.randn(8, 20))
    >>> table.parameters, table.forward
    (785, 12520)
    >>> [row.shape for row in table.rows]
    [(8, 5), (8, 30), (8, 30), (8, 5)]
    """
    if not batch:
        raise TypeError("summary wants a batch to call the model with: summary(model, x)")
    if len(batch) == 1 and isinstance(batch[0], (list, tuple)):
        batch = tuple(batch[0])
    found = look(model, batch, None, backward=False)
    rows = _rows(found)
    parameters = {id(p): p for _, p in found.model.named_parameters()}.values()
    return Summary(
        rows,
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
        sum(p._a.nbytes for p in parameters),
        rows[0].kept,
        rows[0].forward,
        rows[0].backward,
        type(model).__name__,
    )


def _rows(found: Look) -> list[Row]:
    rows = {}
    for path, module in found.model.named_modules():
        own = list(module.parameters(recurse=False))
        row = Row(path, type(module).__name__, path.count(".") + 1 if path else 0)
        row.parameters, row.trainable = sum(p.numel() for p in own), sum(p.numel() for p in own if p.requires_grad)
        rows[path] = row
    held = {id(p._s) for p in found.parameters.values()}
    held |= {id(x._s) for x in found.inputs if isinstance(x, BaseTensor)}
    passing: set[str] = set()  # modules through which a gradient goes
    for call in found.calls:
        forward, backward = flops(call)
        kept = _kept(call, held)
        for path in _ways(call.module):
            if path in rows:
                row = rows[path]
                row.forward += forward
                row.backward += backward
                row.kept += kept
        if call.module in rows:
            for path in _ways(call.module):
                if path in rows and (call.out.requires_grad or path not in passing):
                    rows[path].shape = tuple(call.out._a.shape)
                    if call.out.requires_grad:  # running statistics and the like that come after it are no result
                        passing.add(path)
    _initial(found, rows)
    return list(rows.values())


def _ways(path: str) -> list[str]:
    """Give a path and those above it."""
    parts = path.split(".") if path else []
    return [".".join(parts[:i]) for i in range(len(parts) + 1)]


def _initial(found: Look, rows: dict[str, Row]) -> None:
    Theory(found).run()
    fitting = wanted(found, [layer.path for layer in found.layers])
    for layer in found.layers:
        row = rows.get(layer.path)
        if row is None:
            continue
        shape = layer.weight._a.shape
        row.fan_in, row.fan_out = (float(shape[i] * math.prod(shape[2:])) for i in (1, 0))
        row.std = float(np.std(np.asarray(layer.weight._a, dtype=np.float64)))
        row.wanted, row.initialised = fitting.get(layer.path), scheme(layer)


def flops(call: Call) -> tuple[int, int]:
    """Give the arithmetic operations of one operation, forward and for its gradients; moving numbers costs none.

    A product has two for each pair of factors, forward, and as many again for each factor that a gradient goes to.
    """
    op, size = call.op, int(call.out._a.size)
    wanted = [i for i, x in enumerate(call.inputs) if isinstance(x, BaseTensor) and x.requires_grad]
    if op.name in PRODUCTS or op.family == "bilinear":
        cost = _product(call)
        return cost, cost * len([i for i in wanted if i < 2])
    if op.family == "elementwise":
        return size, size * len(wanted)
    if op.name in ("sum", "mean", "amax", "amin", "prod", "var", "max_pool", "avg_pool", "cumsum"):
        first = call.inputs[0]
        cost = int(first._a.size) if isinstance(first, BaseTensor) else size
        return cost, cost * len(wanted[:1])
    return 0, 0


def _product(call: Call) -> int:
    arrays = [x._a for x in call.inputs if isinstance(x, BaseTensor)]
    if call.op.name == "linear":
        bias = call.out._a.size if len(arrays) > 2 else 0
        return int(2 * call.out._a.size * arrays[1].shape[1] + bias)
    if call.op.cost is not None:
        return int(call.op.cost(*[TensorType(a.shape, a.dtype) for a in arrays], **call.attrs))
    if call.op.name == "matmul":
        return int(2 * call.out._a.size * arrays[0].shape[-1])
    return int(call.out._a.size)


def _kept(call: Call, held: set[int]) -> int:
    """Count the bytes that an operation saves and that neither a leaf nor an operation before it holds."""
    node = getattr(call.out, "_node", None)
    saved = getattr(node, "saved", None)
    entries = [*(saved if isinstance(saved, (list, tuple)) else ()), getattr(node, "out", None)]
    total = 0
    for entry in entries:
        if not is_entry(entry):
            continue
        array, storage, _ = entry
        if id(storage) not in held:
            held.add(id(storage))
            total += int(getattr(storage.root, "nbytes", array.nbytes))
    return total


def _count(value: float) -> str:
    if value < 10_000:
        return f"{value:,.0f}"
    unit = min(int(math.log10(value)) // 3, 5)
    return f"{value / 1000**unit:.3g} {['', 'k', 'M', 'G', 'T', 'P'][unit]}"


def _bytes(value: float) -> str:
    unit = 0
    while value >= 1024 and unit < 4:
        value /= 1024
        unit += 1
    return f"{value:.3g} {['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}" if value else "0"


__all__ = ["Row", "Summary", "flops", "summary"]
