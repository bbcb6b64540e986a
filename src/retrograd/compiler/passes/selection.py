"""Selection: picking one element of each row, and its transpose, become comparisons with the row's own index, which fuse."""

from __future__ import annotations

import math

from ...core import Graph, Node
from .rebuild import Builder, rebuild

MOST = 4096  # entries of a row that may be swept to pick one


def select_by_comparison(graph: Graph) -> Graph:
    """Rewrite ``gather`` of one place in each row, and ``scatter_add_zeros`` of one, with ``iota``, ``eq`` and ``where``."""
    return rebuild(graph, _rule)


def _hits(builder: Builder, index: Node, shape: tuple[int, ...], axis: int, like: Node) -> Node:
    counter = builder.call("iota", shape=shape, axis=axis)
    known = index.op is not None and index.op.name == "check_index" and index.attrs["size"] == shape[axis]
    checked = index if known else builder.call("check_index", index, size=shape[axis], like=like)
    return builder.call("eq", counter, builder.call("expand", checked, shape=shape), like=like)


def one_in_each_row(x: Node, index: Node, axis: int, most: float = MOST) -> bool:
    """Tell whether an index picks one element of each row along an axis, of rows that are short enough to be swept."""
    wanted = list(x.shape)
    wanted[axis] = 1
    sorts = x.dtype.kind in "fi" and index.dtype.kind == "i"
    return sorts and index.shape == tuple(wanted) and 0 < x.shape[axis] <= most


def _rule(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    name = node.op.name  # type: ignore[union-attr]
    if name in ("index_select", "index_add_zeros"):
        x, index = inputs
        size = (x if name == "index_select" else node).shape[node.attrs["axis"]]
        if index.op is not None and index.op.name == "check_index":
            return None
        checked = builder.call("check_index", index, size=size, like=node)
        return builder.make(node.op, (x, checked), node.attrs, node.shape, node.dtype, node)  # type: ignore[arg-type]
    if name in ("tril", "triu") and inputs[0].dtype.kind in "fib" and 0 not in node.shape:
        shape = node.shape
        row, column = (builder.call("iota", shape=shape, axis=len(shape) - k) for k in (2, 1))
        limit = builder.scalar(int(node.attrs["diagonal"]))
        kept = builder.call("le" if name == "tril" else "ge", builder.call("sub", column, row), limit, like=node)
        return builder.call("where", kept, inputs[0], builder.scalar(node.dtype.type(0).item()), like=node)
    if name == "gather":
        x, index = inputs
        axis = node.attrs["axis"] % max(len(x.shape), 1)
        if x.shape and one_in_each_row(x, index, axis):
            zero = builder.scalar(0.0 if x.dtype.kind == "f" else 0)
            chosen = builder.call("where", _hits(builder, index, x.shape, axis, node), x, zero, like=node)
            total = builder.call("sum", chosen, axis=(axis,), keepdims=False, like=node)
            return builder.call("view", total, shape=node.shape, like=node)
    if name == "scatter_add_zeros":
        g, index = inputs
        axis = node.attrs["axis"] % max(len(node.shape), 1)
        known = node.shape and one_in_each_row(node, index, axis, math.inf)  # all of it is written anyway
        if known and g.dtype.kind == "f" and g.shape == index.shape:
            zero = builder.scalar(0.0)
            spread = builder.call("expand", g, shape=node.shape)
            return builder.call("where", _hits(builder, index, node.shape, axis, node), spread, zero, like=node)
    return None
