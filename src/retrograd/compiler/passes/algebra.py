"""Algebra that changes no number: identities, chains of views, and sums in the form that loops are made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import Graph, Node
from .rebuild import Builder, rebuild


def simplify(graph: Graph) -> Graph:
    """Rewrite nodes into fewer or simpler ones of the same value."""
    return rebuild(graph, _rule)


def _rule(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    op: Any = node.op
    found = RULES.get(op.name)
    return None if found is None else found(builder, node, inputs)


def _number(builder: Builder, node: Node) -> Any:
    """Give the number that a node is everywhere, or None."""
    value = builder.constants.get(node)
    if value is None:
        if node.op is not None and node.op.name == "expand":
            return _number(builder, node.inputs[0])
        return None
    if isinstance(value, np.ndarray):
        return value.reshape(()).item() if value.size == 1 and value.dtype.kind in "fiub" else None
    return value


def _same(builder: Builder, node: Node, value: Node) -> Node | None:
    """Give ``value`` in the place of ``node`` if it has its type, widened where it is only its broadcast."""
    if builder.is_scalar(value) or value.dtype != node.dtype:
        return None
    return value if value.shape == node.shape else builder.call("expand", value, shape=node.shape)


def _mul(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    x, y = inputs
    if _number(builder, y) == 1:
        return _same(builder, node, x)
    if _number(builder, x) == 1:
        return _same(builder, node, y)
    return None


def _div(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    x, y = inputs
    divisor = _number(builder, y)
    if divisor == 1:
        return _same(builder, node, x)
    if (
        node.dtype.kind == "f"
        and isinstance(divisor, (int, float))
        and divisor
        and math.frexp(divisor)[0] in (0.5, -0.5)
    ):
        return builder.make(_op("mul"), (x, builder.scalar(1.0 / divisor)), {}, node.shape, node.dtype, node)
    return None


def _pow(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    x, y = inputs
    exponent = _number(builder, y)
    if exponent == 1:
        return _same(builder, node, x)
    if exponent == 2 and not builder.is_scalar(x) and x.dtype == node.dtype and x.shape == node.shape:
        return builder.make(_op("mul"), (x, x), {}, node.shape, node.dtype, node)
    if exponent == 3 and not builder.is_scalar(x) and x.dtype == node.dtype and x.shape == node.shape:
        twice = builder.make(_op("mul"), (x, x), {}, node.shape, node.dtype, node)
        return builder.make(_op("mul"), (twice, x), {}, node.shape, node.dtype, node)
    return None


def _mean(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    x = inputs[0]
    if node.dtype.kind != "f" or node.dtype.itemsize < 4:
        return None
    count = math.prod(x.shape[a] for a in node.attrs["axis"])
    total = builder.make(_op("sum"), inputs, dict(node.attrs), node.shape, node.dtype, node)
    return builder.make(_op("div"), (total, builder.scalar(float(count))), {}, node.shape, node.dtype, node)


def _sum_to(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    x = inputs[0]
    lead = len(x.shape) - len(node.shape)
    axes = (*range(lead), *[lead + i for i, n in enumerate(node.shape) if n == 1 and x.shape[lead + i] != 1])
    total = builder.call("sum", x, axis=axes, keepdims=False, like=node)
    return total if total.shape == node.shape else builder.call("view", total, shape=node.shape)


def _reduction(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    # one axis of length one, or none: nothing to reduce
    x = inputs[0]
    axes = node.attrs["axis"]
    if not isinstance(axes, tuple) or x.dtype != node.dtype:
        return None
    if all(x.shape[a] == 1 for a in axes):
        return x if x.shape == node.shape else builder.call("view", x, shape=node.shape)
    if node.attrs.get("keepdims"):
        attrs = {**node.attrs, "keepdims": False}
        reduced = builder.call(node.op.name, x, like=node, **attrs)  # type: ignore[union-attr]
        return builder.call("view", reduced, shape=node.shape)
    return None


def _view(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    x = inputs[0]
    if x.shape == node.shape:
        return x
    if x.op is not None and x.op.name == "view":
        return _view(builder, node, x.inputs) or builder.call("view", x.inputs[0], shape=node.shape)
    return None


def _expand(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    x = inputs[0]
    if x.shape == node.shape:
        return x
    if x.op is not None and x.op.name == "expand":
        return builder.call("expand", x.inputs[0], shape=node.shape)
    if x.op is not None and x.op.name == "view" and all(n == 1 for n in x.shape):
        inner = x.inputs[0]  # one element: its number of dimensions is of no account
        return builder.call("expand", inner, shape=node.shape) if inner.shape == () else None
    return None


def _where(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    if inputs[1] is inputs[2]:
        return _same(builder, node, inputs[1])
    chosen = _number(builder, inputs[0])
    return None if chosen is None else _same(builder, node, inputs[1] if chosen else inputs[2])


def _double(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    x = inputs[0]
    return x.inputs[0] if x.op is node.op and x.dtype == node.dtype and node.dtype.kind in "bf" else None


def _permute(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    return inputs[0] if all(i == a for i, a in enumerate(node.attrs["axes"])) else None


def _transpose(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    x: Any = inputs[0]
    n = len(node.shape)
    pair = {node.attrs["a"] % n, node.attrs["b"] % n}
    if len(pair) == 1:
        return inputs[0]
    if x.op is node.op and {x.attrs["a"] % n, x.attrs["b"] % n} == pair:
        inner: Node = x.inputs[0]
        return inner
    return None


def _slice(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    if "several" in node.attrs:  # only for messages of eager views
        return builder.make(_op("slice"), inputs, {"index": node.attrs["index"]}, node.shape, node.dtype, node)
    return inputs[0] if inputs[0].shape == node.shape else None


def _op(name: str) -> Any:
    from ...core import REGISTRY

    return REGISTRY[name]


RULES = {
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "mean": _mean,
    "sum_to": _sum_to,
    "sum": _reduction,
    "amax": _reduction,
    "amin": _reduction,
    "view": _view,
    "expand": _expand,
    "where": _where,
    "neg": _double,
    "bitwise_not": _double,
    "permute": _permute,
    "transpose": _transpose,
    "slice": _slice,
}
