"""Rows of a table, looked up by number, whose gradient names only the rows that were looked up."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Node, Op
from ..core.rows import SparseArray
from .index import add_axis, take_axis


def _reverse(node: Node, g: Any, needs: list[bool], as_tensors: bool) -> list[Any]:
    """Give the gradient of a leaf table as rows at places; of any other, and where the walk is recorded, as a whole."""
    table: Any = node.inputs[0]
    index = node.attrs["index"]
    if as_tensors or table.op is not None:
        from ..core import wrap

        numbers = wrap(index) if as_tensors else index
        return [add_axis(g, numbers, axis=0, shape=table.shape)]
    places, slices = index.reshape(1, -1), g.reshape(index.size, *table.shape[1:])
    if node.attrs["skip"] is not None:
        kept = places[0] != node.attrs["skip"]
        places, slices = places[:, kept], slices[kept]
    return [SparseArray(np.ascontiguousarray(places, np.int64), slices, table.shape)]


def _forward(node: Node, tangents: list[Any], values: Any, out: Any) -> Any:
    from ..core import wrap

    return take_axis(tangents[0], wrap(node.attrs["index"]), axis=0)


def _batched(op: Any, xs: Any, flags: Any, size: int, attrs: dict[str, Any]) -> Any:
    """Look up rows in the table of every item."""
    from ..core import wrap

    return take_axis(xs[0], wrap(attrs["index"]), axis=1)


def make(name: str) -> Op:
    """Make the op: it is the selection of rows, with another form of its gradient."""
    op = Op(
        name,
        lambda x, *, index, skip: x.take(index, 0),
        type=lambda x, *, index, skip: type(x)((*index.shape, *x.shape[1:]), x.dtype),
        names=("x",),
        vjp=[lambda g, *, x_type, index: add_axis(g, index, axis=0, shape=x_type.shape)],
        jvp=[lambda t, *, index: take_axis(t, index, axis=0)],
        shown="EmbeddingBackward0",
        batch=_batched,
        samples=(),
    )
    op.reverse, op.forward = _reverse, _forward
    return op


take_rows = make("take_rows")

__all__ = ["take_rows"]
