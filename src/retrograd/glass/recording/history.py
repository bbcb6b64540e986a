"""A look at a step that no module's call showed: the history of its loss is walked beside the real backward pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import Node, TensorType, reachable
from ..live import Live
from ..names import Names
from .roots import frames
from .statistics import statistics
from .tape import Seen, line_at

MOST = 5000  # operations; a longer history is left alone


def looked_into(loss: Any, upstream: Any) -> tuple[list[Seen], list[tuple[str, Any]]]:
    """Give the operations that a loss came of, with what their values and gradients are like, and the leaves by what the program calls them.

    Only what the backward pass needs was kept, so some values are not known. Nothing of the history is changed.
    """
    root = loss._node
    if root is None or not root.requires_grad or len(reachable([root])) > MOST:
        return [], []
    names = Names(frame=frames()[-1])
    live = Live(root, loss, names, None)
    seed = np.ones(loss._a.shape, loss._a.dtype) if upstream is None else np.asarray(upstream._a, loss._a.dtype)
    gradients, _, _ = live.pull(seed)
    seen: list[Seen] = []
    index: dict[Node, int] = {}
    counts: dict[str, int] = {}
    for node in live.order:
        if node.op is None:
            continue
        name = node.op.name
        count = counts[name] = counts.get(name, 0) + 1
        value, g = live.values.get(node), gradients.get(node)
        cost = _cost(node)
        made = Seen(
            f"{name}#{count}",
            name,
            "",
            line_at(node.place),
            tuple(map(int, node.shape)),
            str(node.dtype),
            [index[i] for i in node.inputs if i in index],
            0.0,
            cost,
            statistics(value) if value is not None else [],
        )
        if g is not None and not isinstance(g, list):
            made.gradient = statistics(g)
        made.out = (value, None if isinstance(g, list) else g)
        index[node] = len(seen)
        seen.append(made)
    leaves = [(names.of(node, owner), owner) for node, owner in live.owners.items() if owner is not None]
    return seen, leaves


def _cost(node: Node) -> tuple[int, int]:
    """Give the arithmetic of an operation, forward and backward."""
    op: Any = node.op
    size = int(np.prod(node.shape, dtype=np.int64))
    ways = sum(i is not None for i in node.inputs)
    if op.cost is not None and node.types is not None and all(isinstance(t, TensorType) for t in node.types):
        cost = int(op.cost(*node.types, **node.attrs))
        return cost, cost * min(ways, 2)
    return (size, size * ways) if op.family == "elementwise" else (0, 0)


__all__ = ["looked_into"]
