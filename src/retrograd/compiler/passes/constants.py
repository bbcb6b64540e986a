"""Constants: what depends on nothing is computed now, while it is small."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ...core import Graph, Node
from .rebuild import Builder, rebuild

MOST = 64  # elements of a constant that a fold may make


def fold(graph: Graph) -> Graph:
    """Compute nodes whose inputs are all constants, and give arrays of one repeated value as one number."""
    return rebuild(graph, _rule)


def _rule(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    op: Any = node.op
    if op.outputs != 1 or op.impure or not inputs or not all(i in builder.constants for i in inputs):
        return None
    values = [builder.constants[i] for i in inputs]
    if op.name == "expand":
        return None
    if int(np.prod(node.shape)) > MOST:
        uniform = _uniform(op, values, node)
        return None if uniform is None else builder.call("expand", builder.array(uniform), shape=node.shape)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return builder.array(np.ascontiguousarray(op.numpy(*values, **node.attrs)).reshape(node.shape))


def _uniform(op: Any, values: list[Any], node: Node) -> Any:
    """Give the one value of an elementwise result whose operands are each one value, or None."""
    if op.family != "elementwise":
        return None
    singles = []
    for v in values:
        if isinstance(v, np.ndarray):
            if v.size == 0 or not (v == v.flat[0]).all():
                return None
            v = v.flat[0].reshape(())
        singles.append(v)
    with np.errstate(all="ignore"):
        return np.asarray(op.numpy(*singles, **node.attrs), node.dtype)
