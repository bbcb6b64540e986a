"""A step under the compiler's trace: the arrays are updated in place, as ever, and the rule is recorded beside it, on stand-ins."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import MODE, Storage, wrap
from ..core.writes import assign
from ..tensor import Tensor
from .plan import Hyper
from .units import Direct, Runner


def step(optimizer: Any, runner: Runner, h: Hyper) -> bool:
    """Update a group's parameters by its runner and record what the rule did; give False, having done nothing, where that cannot be.

    The rule is elementwise, so that one element of each array shows which nodes it makes; they are given the arrays' shapes.
    No value of the rule is as large as a parameter then, which is what the step without a trace promises too.
    """
    params = [p for p in runner.group["params"] if p.grad is not None]  # asked for, which the trace hears
    units = {id(p): unit for unit in runner.units for p in unit.params}
    for p in params:
        unit = units.get(id(p))
        if unit is None or isinstance(unit, Direct) or getattr(unit, "fresh", False):
            return False
        g = p._grad
        if type(g) is not Tensor or g._a.dtype != p._a.dtype or g._a.shape != p._a.shape or p._a.dtype.kind != "f":
            return False
    written: list[tuple[Any, Any]] = []  # a tensor, and the node of its new value
    for p in params:
        found = _recorded(optimizer, runner, p, h)
        if found is None:
            return False
        written += found
    runner.step()
    for t, node in written:
        assign(t, wrap(t._a, Storage(t._a), node), "copy_", keep_old=True)
    return True


def _recorded(optimizer: Any, runner: Runner, p: Any, h: Hyper) -> list[tuple[Any, Any]] | None:
    """Record one parameter's rule; give the tensors it writes with the nodes of their new values, or None."""
    trace = MODE.trace
    state, arrays, scalars = runner.present(p)
    if any(state[name]._a.shape != p._a.shape for name in arrays):
        return None
    small = (1,) * p._a.ndim

    def stand_in(t: Any) -> Any:
        a = np.ones(small, t._a.dtype)
        return wrap(a, Storage(a), trace.node_of(t))

    given = {name: stand_in(state[name]) for name in arrays} | {name: state[name] for name in scalars}
    x, g = stand_in(p), stand_in(p._grad)
    result, after = optimizer.update(x, g, given, h)
    if any(name not in state for name in after):
        return None  # a state that is made now
    written = [(p, result), *((state[name], value) for name, value in after.items() if value is not given.get(name))]
    if any(not isinstance(value, Tensor) or value._node not in trace.known for _, value in written):
        return None
    made = _between([value._node for _, value in written], [trace.node_of(t) for t in (x, g, *given.values())])
    if any(n.shape != () and (n.op is None or (n.op.family != "elementwise" and n.op.name != "cast")) for n in made):
        return None
    for n in made:
        if n.shape == small:
            n.shape = p._a.shape
    return [(t, value._node) for t, value in written]


def _between(ends: list[Any], starts: list[Any]) -> list[Any]:
    """Give the nodes that lead from some to others."""
    seen, waiting, found = set(starts), list(ends), []
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            found.append(node)
            waiting += node.inputs
    return found
