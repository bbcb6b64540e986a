"""The chain rule walked forward: the tangents of results from those of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import PICK, Node, reachable, wrap
from ..ops.elementwise import add, cast, real_part
from ..ops.shape import expand
from .carriers import Tensors


def pushforward(roots: Sequence[Node], inputs: Sequence[Node], tangents: Sequence[Any]) -> list[Any]:
    """Walk forward from the inputs, multiplying tangents with local derivatives; everything is recorded on Tensors.

    Gives the tangent of each root, or None where it does not depend on the inputs.
    """
    known: dict[Node, Any] = dict(zip(inputs, tangents, strict=True))
    sources = set(inputs)
    order = reachable(roots)
    left: dict[Node, int] = {}
    for node in order:
        for i in node.inputs:
            if i is not None:
                left[i] = left.get(i, 0) + 1
    keep = set(roots)
    for node in order:
        if node in sources or node.op is None or not node.requires_grad:
            continue
        ts = [known.get(i) if i is not None else None for i in node.inputs]
        if any(t is not None for t in ts):
            known[node] = _push(node, ts)
        for i in node.inputs:
            if i is not None:
                left[i] -= 1
                if not left[i] and i not in keep:
                    known.pop(i, None)
    return [known.get(r) for r in roots]


def _push(node: Node, ts: list[Any]) -> Any:
    op = node.op
    assert op is not None
    if op is PICK:
        many = ts[0]
        return None if many is None else many[node.attrs["index"]]
    xs, out = ((), None) if op.forward is not None else Tensors.values(node)
    return tangent_of(node, ts, xs, out)


def tangent_of(node: Node, ts: list[Any], xs: Any, out: Any) -> Any:
    """Give the tangent of an operation's result from those of its inputs (None for constants), its inputs and its result."""
    op: Any = node.op
    if op.forward is not None:
        if op.family == "linear":  # linear in all its inputs together
            ts = [t if t is not None else _zero_tangent(node, i) for i, t in enumerate(ts)]
        return op.forward(node, ts, (), None)
    total = None
    for i, t in enumerate(ts):
        if t is None:
            continue
        rule = op.tangent_for(i)
        if rule is None:
            continue
        r = rule.call(t, node, xs, out, i)
        if r is None:
            continue
        if r._a.dtype != node.dtype:
            r = cast(real_part(r) if r._a.dtype.kind == "c" and node.dtype.kind != "c" else r, dtype=node.dtype)
        if r._a.shape != node.shape:
            r = expand(r, shape=node.shape)
        total = r if total is None else add(total, r)
    return total


def _zero_tangent(node: Node, i: int) -> Any:
    kind = node.types[i] if node.types else node.inputs[i].type
    return wrap(np.zeros(kind.shape, kind.dtype))
