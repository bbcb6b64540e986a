"""The forward-mode view: tangents pushed through the same nodes, by the same rows, from the inputs to the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..autodiff.forward import tangent_of
from ..core import MODE, PICK, BaseTensor, Node, no_grad, wrap
from .live import is_entry, saved_of
from .numbers import numbers_of

if TYPE_CHECKING:
    from .explanation import Explanation


def push(graph: Explanation, direction: dict[str, Any] | str | None) -> Explanation:
    """Give a copy of an explanation with tangents; see ``Explanation.forward``."""
    live = graph.live
    if live is None:
        raise RuntimeError(
            "forward: this explanation was read from a file, so that the operations behind it are gone; explain the result anew"
        )
    if any(n.kind == "fold" for n in graph.nodes):
        raise RuntimeError("forward: take the forward-mode view before folding: explanation.forward(...).fold(...)")
    tangents = _given(graph, direction)
    made = graph.copy()
    made.mode = "forward"
    made.direction = {graph.nodes[k].label: numbers_of(t).full for k, t in tangents.items()}
    observers, MODE.observers = MODE.observers, ()
    MODE.settle()
    try:
        with no_grad():
            _walk(made, live, tangents)
    finally:
        MODE.observers = observers
        MODE.settle()
    return made


def _given(graph: Explanation, direction: dict[str, Any] | str | None) -> dict[int, Any]:
    """Give the tangent of each leaf that has one, as an array of the leaf's shape and dtype."""
    leaves = {v: k for k, v in graph.ids.items() if isinstance(k, Node) and k.op is None}
    if direction is None:
        direction = {graph.nodes[k].label: 1.0 for k in leaves}
    elif isinstance(direction, str):
        direction = {direction: 1.0}
    found: dict[int, Any] = {}
    for key, given in direction.items():
        k = graph.node(key).id
        if k not in leaves:
            raise ValueError(
                f"forward: {key!r} is not an input; tangents start at {', '.join(graph.nodes[i].label for i in leaves)}"
            )
        node = leaves[k]
        value = np.asarray(given._a if isinstance(given, BaseTensor) else given, node.dtype)
        try:
            found[k] = np.broadcast_to(value, node.shape).copy()
        except ValueError:
            raise RuntimeError(
                f"forward: the tangent of {key!r} has shape {list(value.shape)}, the input has {list(node.shape)}"
            ) from None
    return found


def _walk(made: Explanation, live: Any, tangents: dict[int, Any]) -> None:
    known: dict[Node, Any] = {}
    for node in live.order:
        k = made.ids[node]
        shown = made.nodes[k]
        if node.op is None:
            if k in tangents:
                known[node] = wrap(tangents[k])
        else:
            known_here = _step(made, live, node, known)
            if known_here is not None:
                known[node] = known_here
        t = known.get(node)
        if isinstance(t, BaseTensor):
            shown.tangent = numbers_of(t._a)


def _step(made: Explanation, live: Any, node: Node, known: dict[Node, Any]) -> Any:
    """Push the tangents of a node's inputs through it, each alone, so that every edge shows what it adds."""
    shown = made.nodes[made.ids[node]]
    operands = live.operands[node]
    if node.op is PICK:
        many = known.get(operands[0])
        return None if many is None else many[node.attrs["index"]]
    xs, out = _values(live, node)
    total: Any = None
    for i, operand in enumerate(operands):
        t = known.get(operand) if isinstance(operand, Node) else None
        if t is None:
            continue
        ts: list[Any] = [None] * len(operands)
        ts[i] = t
        part = _tangent(node, ts, xs, out)
        if part is None:
            continue
        if isinstance(part, BaseTensor):
            made.edges[shown.edges[i]].tangent = numbers_of(part._a)
            total = part if total is None else wrap(np.asarray(total._a + part._a))
        else:  # an operation with several results: their tangents together
            total = part if total is None else tuple(wrap(np.asarray(a._a + b._a)) for a, b in zip(total, part))
    return total


def _values(live: Any, node: Node) -> tuple[list[Any], Any]:
    xs: list[Any] = []
    saved = saved_of(node)
    for i, operand in enumerate(live.operands[node]):
        x = live.values.get(operand) if isinstance(operand, Node) else operand.value
        if x is None and i < len(saved) and saved[i] is not None:
            x = saved[i][0] if is_entry(saved[i]) else saved[i]
        xs.append(wrap(x) if isinstance(x, np.ndarray) else x)
    out = live.values.get(node)
    return xs, wrap(out) if isinstance(out, np.ndarray) else None


def _tangent(node: Node, ts: list[Any], xs: list[Any], out: Any) -> Any:
    op: Any = node.op
    if op.forward is None and op.jvp is None:
        raise NotImplementedError(
            f"forward: {node.name()} has a reverse rule only (it is a function with a derivative of its own); give it a jvp"
        )
    try:
        return tangent_of(node, ts, xs, out)
    except (AttributeError, TypeError) as error:
        raise RuntimeError(
            f"forward: the tangent of {node.name()} needs values that were not kept; give explain the function and its inputs"
        ) from error


__all__ = ["push"]
