"""Products: every dense contraction becomes ``matmul`` of views, and a bias a sum of its own, which fuses with what follows."""

from __future__ import annotations

import math

from ...core import Graph, Node
from .rebuild import Builder, rebuild


def to_products(graph: Graph) -> Graph:
    """Rewrite ``linear`` and ``weight_product`` with ``matmul``, ``transpose`` and ``add``."""
    return rebuild(graph, _rule)


def _rows(builder: Builder, x: Node) -> Node:
    if len(x.shape) == 2:
        return x
    return builder.call("view", x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


def _rule(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    name = node.op.name  # type: ignore[union-attr]
    if node.dtype.kind != "f" or node.dtype.itemsize < 4:
        return None
    if name == "linear":
        flat = builder.call(
            "matmul", _rows(builder, inputs[0]), builder.call("transpose", inputs[1], a=-1, b=-2), like=node
        )
        out = flat if flat.shape == node.shape else builder.call("view", flat, shape=node.shape)
        return out if len(inputs) == 2 else builder.call("add", out, inputs[2], like=node)
    if name == "weight_product":
        x, y = _rows(builder, inputs[0]), _rows(builder, inputs[1])
        return builder.call("matmul", builder.call("transpose", x, a=-1, b=-2), y, like=node)
    if name == "matmul" and len(inputs[0].shape) > 2 and len(inputs[1].shape) == 2:
        flat = builder.call("matmul", _rows(builder, inputs[0]), inputs[1], like=node)
        return builder.call("view", flat, shape=node.shape)
    return None
