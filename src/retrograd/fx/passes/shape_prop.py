"""The shapes and dtypes of a traced program's values, found by running it."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...core import BaseTensor
from ..interpreter import Interpreter
from ..node import Node, map_aggregate


class TensorMetadata(NamedTuple):
    """What is known of a tensor besides its values."""

    shape: Any
    dtype: Any
    requires_grad: bool
    stride: tuple[int, ...]
    memory_format: Any
    is_quantized: bool
    qparams: dict[str, Any]


def _extract_tensor_metadata(result: Any, include_contiguity: bool = True) -> TensorMetadata:
    import retrograd

    formats = [retrograd.contiguous_format]
    formats += [retrograd.channels_last] if result.dim() == 4 else []
    kept = next((f for f in formats if result.is_contiguous(memory_format=f)), None) if include_contiguity else None
    stride = result.stride()
    return TensorMetadata(result.shape, result.dtype, result.requires_grad, stride, kept, False, {})


class ShapeProp(Interpreter):
    """A run that writes each value's shape, dtype and strides into its Node's ``meta["tensor_meta"]``.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.fx.passes.shape_prop import ShapeProp
    >>> traced = torch.fx.symbolic_trace(torch.nn.Linear(4, 3))
    >>> _ = ShapeProp(traced).propagate(torch.ones(2, 4))
    >>> [tuple(node.meta["tensor_meta"].shape) for node in traced.graph.nodes][-1]
    (2, 3)
    """

    def __init__(self, gm: Any, fake_mode: Any = None) -> None:
        super().__init__(gm)

    def run_node(self, n: Node) -> Any:
        """Run one Node and note what it gave."""
        result = super().run_node(n)
        found = False

        def note(a: Any) -> Any:
            nonlocal found
            if isinstance(a, BaseTensor):
                found = True
                return _extract_tensor_metadata(a)
            return a

        meta = map_aggregate(result, note)
        if found:
            n.meta["tensor_meta"] = meta
        n.meta["type"] = type(result)
        return result

    def propagate(self, *args: Any) -> Any:
        """Run the program on arguments; the Nodes know more after it."""
        return super().run(*args)


__all__ = ["ShapeProp", "TensorMetadata"]
