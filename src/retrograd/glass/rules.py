"""Derivative rules as a reader wants them: in symbols, with numbers, and as a matrix; all read off the operation's own row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autodiff.carriers import Arrays
from ..autodiff.trace import Trace
from ..core import MODE, BaseTensor, Graph, Node, TensorType, no_grad, quiet_off, quiet_on, wrap
from ..core.door import _quiet
from .symbols import Form, attributes, name, number, write

MOST_ROWS, MOST_ENTRIES = 32, 1024  # of a Jacobian that is formed and shown
WORK = 50_000_000  # multiplications above which a rule is not run again for its symbols
_traced: dict[Any, Any] = {}
MOST_TRACED = 2048


class Traced:
    """A rule's own computation as a Graph, and which of its inputs are g, out and the operands."""

    def __init__(self, graph: Graph, roles: dict[Node, Any], result: Node) -> None:
        self.graph, self.roles, self.result = graph, roles, result
        self.order = graph.nodes
        self.slope: Node | None = None
        if result.op is not None and result.op.name == "mul" and roles.get(result.inputs[0]) == "g":
            self.slope = result.inputs[1]

    def forms(self, given: dict[Any, Form]) -> dict[Node, Form]:
        """Write every node of the graph, given how g, out and the operands are written."""
        found: dict[Node, Form] = {}
        for node in self.order:
            if node in self.roles:
                found[node] = given[self.roles[node]]
            elif node.op is None:
                found[node] = _constant(self.graph.constants.get(node))
            else:
                found[node] = write(node.op.name, [found[i] for i in node.inputs], _shown_attrs(node))
        return found


def _shown_attrs(node: Node) -> dict[str, Any]:
    if node.op is not None and node.op.name in ("conv", "conv_input_grad", "conv_weight_grad", "embed"):
        return {}  # shapes and strides are those of the operation itself, which shows them
    return attributes(node)


def _constant(value: Any) -> Form:
    a = np.asarray(value) if value is not None else None
    if a is None:
        return name("c")
    if a.size and (a == a.reshape(-1)[0]).all() and a.dtype.kind in "biufV":
        return number(a.astype(np.float64).reshape(-1)[0].item() if a.dtype.kind in "fV" else int(a.reshape(-1)[0]), 6)
    return name("c")


def _key(node: Node, slot: int, xs: Sequence[Any], out: Any) -> Any:
    kinds = tuple(
        x if isinstance(x, (int, float, bool, complex)) else None if x is None else (x.shape, str(x.dtype)) for x in xs
    )
    return (node.op, slot, repr(sorted(node.attrs.items(), key=lambda p: p[0])), kinds, out is None, node.shape)


def traced(node: Node, slot: int, xs: Sequence[Any], out: Any) -> Traced | None:
    """Run a reverse rule once under a trace; None where the operation has no rule that can be read."""
    op = node.op
    if op is None or op.vjp is None or op.reverse is not None:
        return None
    rule = op.rule_for(slot)
    if rule is None:
        return None
    small = _smaller(node, xs) if _work(node, xs) > WORK else None
    if small is not None:
        node, xs, out = small
    shrink = op.family == "elementwise"
    arrays = [_stand_in(x, shrink) for x in xs]
    result = _stand_in(out, shrink)
    wide = (
        isinstance(out, np.ndarray) and out.dtype.kind == node.dtype.kind
    )  # a derivation computes in float64 what ran in float32
    g = np.ones(() if shrink else node.shape, out.dtype if wide else node.dtype)
    key = (g.dtype.str, *_key(node, slot, arrays, result))
    if key not in _traced:
        if len(_traced) >= MOST_TRACED:
            _traced.clear()
        try:
            _traced[key] = _run(rule, node, slot, g, arrays, result)
        except Exception:  # a rule that cannot run under a trace, or reads what was not kept: it is shown by name only
            _traced[key] = None
    found: Traced | None = _traced[key]
    return found


def _work(node: Node, xs: Sequence[Any]) -> int:
    """Estimate the multiplications of an operation from its cost rule, or by the sizes of its operands."""
    op: Any = node.op
    if op.family == "elementwise":
        return 0
    types = [TensorType(x.shape, x.dtype) for x in xs if isinstance(x, np.ndarray)]
    sizes = sorted((t.size for t in types), reverse=True)
    return max(node.type.size, 1) * (sizes[1] if len(sizes) > 1 else 1) if sizes else 0


def _smaller(node: Node, xs: Sequence[Any]) -> tuple[Node, list[Any], Any] | None:
    """Give the same operation on one of its row's samples: what a rule does is written the same for small arrays."""
    op: Any = node.op
    for sample in op.samples:
        shapes = sample["shapes"]
        if len(shapes) != len(xs) or "dtypes" in sample or any(0 in s for s in shapes):
            continue
        if any(not isinstance(x, np.ndarray) or x.ndim != len(s) for x, s in zip(xs, shapes)):
            continue
        attrs = sample.get("attrs", {})
        arrays = [np.ones(s, np.float64) for s in shapes]
        out = np.asarray(op.numpy(*arrays, **attrs))
        types = [TensorType(a.shape, a.dtype) for a in arrays]
        inputs = tuple(node.inputs)
        return Node(op, inputs, attrs, out.shape, out.dtype, True, None, (), types, None), list(arrays), out
    return None


def _stand_in(x: Any, shrink: bool) -> Any:
    if not isinstance(x, np.ndarray) or not shrink:
        return x
    return np.ones((), x.dtype)


def _run(rule: Any, node: Node, slot: int, g: Any, xs: Sequence[Any], out: Any) -> Traced:
    tensors: dict[Any, Any] = {"g": wrap(g)}
    operands: list[Any] = []
    for i, x in enumerate(xs):
        if isinstance(x, np.ndarray):
            tensors[i] = wrap(x)
            operands.append(tensors[i])
        else:
            operands.append(x)
    result = None
    if out is not None:
        tensors["out"] = result = wrap(out)
    before = MODE.trace
    MODE.trace = None
    try:
        with no_grad(), Trace(list(tensors.values())) as trace:
            r = rule.call(tensors["g"], node, operands, result, slot)
            if not isinstance(r, BaseTensor):
                r = wrap(np.asarray(r))
            roles = {trace.node_of(t): role for role, t in tensors.items()}
            root = trace.node_of(r)
            graph, _, _ = trace.finish([r])
    finally:
        MODE.trace = before
        MODE.settle()
    for n in graph.nodes:
        n.saved, n.out = (), None
    return Traced(graph, roles, root)


# -- numbers ------------------------------------------------------------------------------------------------------------------------
def apply_rule(node: Node, slot: int, g: Any, xs: Sequence[Any], out: Any, want: TensorType) -> Any:
    """Give upstream x local for one input, as the backward pass computes it."""
    op: Any = node.op
    token = quiet_on(_quiet)
    try:
        if op.reverse is not None:
            needs = [i == slot for i in range(len(node.inputs))]
            r = op.reverse(node, g, needs, False)[slot]
        else:
            if node.dtype.kind == "c" and op.conjugates:
                xs, out = [Arrays.conjugate(x) for x in xs], Arrays.conjugate(out)
            rule = op.rule_for(slot)
            r = rule.call(g, node, xs, out, slot) if rule is not None else None
        if r is None:
            return np.zeros(want.shape, want.dtype)
        fitted = Arrays.fit(r, Node(None, (), {}, want.shape, want.dtype, False, None, (), None, None), node)
        return fitted if isinstance(fitted, np.ndarray) else np.asarray(fitted.to_dense()._a)
    finally:
        quiet_off(token)


def slope_of(node: Node, slot: int, xs: Sequence[Any], out: Any) -> Any:
    """Give the elementwise local derivative, in the result's shape; None for operations whose Jacobian is not diagonal."""
    op: Any = node.op
    if op.family != "elementwise" or op.reverse is not None:
        return None
    return apply_rule(node, slot, np.ones(node.shape, node.dtype), xs, out, node.type)


def matrix_of(node: Node, slot: int, xs: Sequence[Any], out: Any, want: TensorType, slope: Any) -> Any:
    """Form the Jacobian where it is small, one row for each element of the result; None where it is large."""
    rows, columns = node.type.size, want.size
    if rows > MOST_ROWS or rows * columns > MOST_ENTRIES or node.dtype.kind not in "f" or want.dtype.kind not in "f":
        return None
    if slope is not None and want.shape == node.shape:
        return np.diag(np.asarray(slope, np.float64).reshape(-1))
    matrix = np.zeros((rows, columns), np.float64)
    for k in range(rows):
        g = np.zeros(rows, node.dtype)
        g[k] = 1
        matrix[k] = apply_rule(node, slot, g.reshape(node.shape), xs, out, want).reshape(-1)
    return matrix


__all__ = ["MOST_ENTRIES", "MOST_ROWS", "WORK", "Traced", "apply_rule", "matrix_of", "slope_of", "traced"]
