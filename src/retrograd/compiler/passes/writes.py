"""Writes and copies: in a graph every value is new, so a write of a whole value is the value, and a copy is what it copies."""

from __future__ import annotations

from ...core import Graph, Node
from ...tensor.function import made_by
from .rebuild import Builder, rebuild

SAME = {"clone", "alias", "detach", "positive", "once_differentiable"}


def remove_copies(graph: Graph) -> Graph:
    """Drop clones, detaches, whole writes, and the frames of custom functions around what they made."""
    return rebuild(graph, _rule)


def _rule(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    name = node.op.name  # type: ignore[union-attr]
    if name in SAME:
        return inputs[0]
    made: Node | None = None
    if name == "function" and len(node.attrs.get("made", ())) == 1:
        (made,) = made_by(node, inputs)
    elif name == "pick" and "made" in inputs[0].attrs:
        made = made_by(inputs[0], inputs[0].inputs)[node.attrs["index"]]
    if made is not None:
        return made
    if name in ("straight", "view_write") and not node.attrs.get("steps"):
        return _of_type(builder, inputs[1], node)
    if name == "cast" and inputs[0].dtype == node.dtype and not builder.is_scalar(inputs[0]):
        return inputs[0]
    if name in ("view", "expand", "sum_to") and inputs[0].shape == node.shape:
        return inputs[0]
    return None


def _of_type(builder: Builder, value: Node, like: Node) -> Node | None:
    if builder.is_scalar(value):
        return None
    if value.dtype != like.dtype:
        value = builder.call("cast", value, dtype=like.dtype)
    if value.shape != like.shape:
        value = builder.call("expand", value, shape=like.shape)
    return value
