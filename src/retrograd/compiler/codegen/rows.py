"""How each elementwise operation is written in machine vectors, and which nodes loops can compute at all."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core import Node
from ...core.large import ELEMENTARY
from ..lowering.kernel import Statement
from . import vmath
from .emit import Value
from .lanes import Lanes

KIND = {
    "float32": "f32",
    "float64": "f64",
    "float16": "f16",
    "bfloat16": "bf16",
    "bool": "bool",
    **{f"int{8 * n}": f"i{8 * n}" for n in (1, 2, 4, 8)},
    "uint8": "u8",
}
Row = Callable[[Lanes, list[Value], Node], Value]
ROWS: dict[str, Row] = {}
HEAVY: set[str] = set()  # rows that are dearer to compute twice than to keep


@functools.cache
def kind_of(dtype: Any) -> str | None:
    """Give the lanes' name of a dtype, or None where loops have none for it."""
    return KIND.get(dtype.name)


@functools.cache
def moved_as(dtype: Any) -> str:
    """Give the kind that numbers of a dtype are copied as: their own, or integers of their size where loops only move them."""
    return kind_of(dtype) or f"i{8 * dtype.itemsize}"


def row(name: str, sorts: str = "f", heavy: bool = False) -> Callable[[Row], Row]:
    """Register the lowering of an op for operands of these sorts: f floating, i integer, b bool."""

    def register(fn: Row) -> Row:
        ROWS[name] = fn
        SORTS[name] = sorts
        if heavy:
            HEAVY.add(name)
        return fn

    return register


SORTS: dict[str, str] = {}


def _simple(name: str, fn: Callable[..., Value], sorts: str = "f", heavy: bool = False) -> None:
    row(name, sorts, heavy)(lambda l, a, node: fn(l, *a))


_simple("add", lambda l, x, y: l.or_(x, y) if l.kind == "bool" else l.add(x, y), "fib")
_simple("mul", lambda l, x, y: l.and_(x, y) if l.kind == "bool" else l.mul(x, y), "fib")
_simple("sub", Lanes.sub, "fi")
_simple("div", Lanes.div)
_simple("neg", Lanes.neg, "fi")
_simple("abs", Lanes.abs, "fi")
_simple("square", lambda l, x: l.mul(x, x), "fi")
_simple("reciprocal", lambda l, x: l.div(l.const(1), x))
_simple("sqrt", Lanes.sqrt)
_simple("rsqrt", lambda l, x: l.div(l.const(1), l.sqrt(x)))
_simple("maximum", lambda l, x, y: l.maximum(x, y), "fi")
_simple("minimum", lambda l, x, y: l.minimum(x, y), "fi")
_simple("fmax", lambda l, x, y: l.fmax(x, y))
_simple("fmin", lambda l, x, y: l.fmin(x, y))
_simple("relu", lambda l, x: l.select(l.compare("lt", x, l.const(0)), l.const(0), x), "fi")  # NaN and -0.0 go through
_simple("step", lambda l, x: l.select(l.compare("le", x, l.const(0)), l.const(0), l.const(1)), "fi")  # 1 for NaN
_simple("floor", Lanes.floor)
_simple("ceil", Lanes.ceil)
_simple("trunc", Lanes.trunc)
_simple("frac", lambda l, x: l.sub(x, l.trunc(x)))
_simple("copysign", Lanes.copysign)
_simple("isnan", Lanes.isnan)
_simple("isinf", lambda l, x: l.compare("eq", l.abs(x), l.const(math.inf)))
_simple("isfinite", lambda l, x: l.compare("lt", l.abs(x), l.const(math.inf)))
_simple("bitwise_and", Lanes.and_, "ib")
_simple("bitwise_or", Lanes.or_, "ib")
_simple("bitwise_xor", Lanes.xor, "ib")
_simple("bitwise_not", Lanes.not_, "ib")
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _simple(_name, lambda l, x, y, p=_name: l.compare(p, x, y), "fib")


def _truth(l: Lanes, x: Value) -> Value:
    return x if l.kind == "bool" else l.compare("ne", x, l.const(0))


_simple("logical_and", lambda l, x, y: l.of("bool").and_(_truth(l, x), _truth(l, y)), "fib")
_simple("logical_or", lambda l, x, y: l.of("bool").or_(_truth(l, x), _truth(l, y)), "fib")
_simple("logical_xor", lambda l, x, y: l.of("bool").xor(_truth(l, x), _truth(l, y)), "fib")
_simple("logical_not", lambda l, x: l.of("bool").not_(_truth(l, x)), "fib")


_simple("positive", lambda l, x: x, "fi")
_simple("bitwise_left_shift", Lanes.shl, "i")
_simple("bitwise_right_shift", Lanes.shr, "i")
_simple("trunc_divide", Lanes.div_trunc, "fi")
_simple("floor_divide", Lanes.div_floor, "i")
_simple("remainder", Lanes.rem, "i")
_simple("fmod", Lanes.rem_trunc, "i")
_simple("signbit", lambda l, x: l.ints.compare("lt", l.bits(x), l.ints.const(0)))


@row("heaviside", "fi")
def _heaviside(l: Lanes, a: list[Value], node: Node) -> Value:
    x, y = a
    above = l.select(l.compare("gt", x, l.const(0)), l.const(1), l.const(0))
    return l.select(l.compare("eq", x, l.const(0)), y, above)


@row("sgn")
def _sign(l: Lanes, a: list[Value], node: Node) -> Value:
    zero = l.const(0)
    negative = l.select(l.compare("lt", a[0], zero), l.const(-1), zero)
    return l.select(l.compare("gt", a[0], zero), l.const(1), negative)


@row("clamp", "fi")
def _clamp(l: Lanes, a: list[Value], node: Node) -> Value:
    x = a[0]
    low, high = node.attrs["min"], node.attrs["max"]
    if low is not None:
        x = l.maximum(x, l.const(low))
    return x if high is None else l.minimum(x, l.const(high))


@row("round")
def _round(l: Lanes, a: list[Value], node: Node) -> Value:
    return l.rint(a[0])


for _name in ELEMENTARY:
    if hasattr(vmath, _name):
        _simple(_name, getattr(vmath, _name), "f", heavy=True)


@row("softplus", heavy=True)
def _softplus(l: Lanes, a: list[Value], node: Node) -> Value:
    x = a[0]
    return l.add(l.maximum(x, l.const(0)), vmath.log1p(l, vmath.exp(l, l.neg(l.abs(x)))))


@row("logaddexp", heavy=True)
def _logaddexp(l: Lanes, a: list[Value], node: Node) -> Value:
    x, y = a
    apart = l.add(l.maximum(x, y), vmath.log1p(l, vmath.exp(l, l.neg(l.abs(l.sub(x, y))))))
    return l.select(l.compare("eq", x, y), l.add(x, l.const(math.log(2))), apart)  # infinities too


@row("pow", heavy=True)
def _pow(l: Lanes, a: list[Value], node: Node) -> Value:
    return vmath.pow(l, a[0], a[1])


def number_of(value: Any) -> bool:
    """Tell whether a constant can stand in vector code."""
    return isinstance(value, (bool, int, float))


def computes(node: Node, constants: dict[Node, Any]) -> bool:
    """Tell whether loops can compute a node: every dtype has lanes, and the op a row for it."""
    op: Any = node.op
    name = op.name
    if kind_of(node.dtype) is None:
        return False
    for i in node.inputs:
        value = constants.get(i)
        if value is not None and not isinstance(value, np.ndarray):
            if not number_of(value):
                return False
        elif kind_of(i.dtype) is None:
            return False
    if name in ("clone", "iota", "cast", "reach"):
        return True
    if name == "check_index":
        return node.dtype.kind == "i" and node.dtype.itemsize >= 4
    if name == "where":
        same = all(i.dtype == node.dtype for i in node.inputs[1:] if not _is_number(i, constants))
        return same and node.inputs[0].dtype.kind == "b"
    if name in ("sum", "amax", "amin"):
        axes = node.attrs.get("axis")
        return (
            isinstance(axes, tuple)
            and bool(axes)
            and not node.attrs.get("keepdims")
            and _may_reduce(name, node.dtype)
            and node.inputs[0].dtype == node.dtype
        )
    if name in ("index_select", "flat_read"):
        return bool(node.inputs[1].dtype.kind == "i")
    if name in ("index_add_zeros", "flat_add"):
        return node.dtype.kind in "fi" and node.dtype.itemsize >= 4 and node.inputs[1].dtype.kind == "i"
    if name not in ROWS:
        return False
    if name == "round" and node.attrs.get("decimals"):
        return False
    sort = sort_of(operand_dtype(node, constants))
    return sort in SORTS[name] and all(_is_number(i, constants) or sort_of(i.dtype) == sort for i in node.inputs)


def summed_products(statements: list[Statement]) -> set[Node]:
    """Give the products that only sums read: adding them up unrounded changes the sum's last digits as its order does, and no other number."""
    names = {s.node: s.node.op.name for s in statements}  # type: ignore[union-attr]
    products = {node for node, name in names.items() if name in ("mul", "square")}
    for s in statements:
        if names[s.node] != "sum":
            products.difference_update([o.node for o in s.operands if o.kind == "value"])
    return products


def _may_reduce(name: str, dtype: Any) -> bool:
    """Tell whether loops reduce numbers of a dtype: what is narrow would need a wider sum."""
    return (dtype.kind in "fiu" and dtype.itemsize >= 4) or (name != "sum" and dtype.kind in "biu")


def _is_number(node: Node, constants: dict[Node, Any]) -> bool:
    """Tell whether a node is a Python scalar, which takes its dtype from the other operands."""
    return node in constants and not isinstance(constants[node], np.ndarray)


def sort_of(dtype: Any) -> str:
    """Give f, i or b."""
    return "b" if dtype.kind == "b" else "i" if dtype.kind in "iu" else "f"


def in_dtype(number: Any, dtype: Any) -> Any:
    """Give a Python number as it is beside operands of a dtype: rounded where they are half precisions, as NumPy rounds it."""
    if dtype.itemsize == 2 and dtype.kind in "fV" and isinstance(number, (int, float)):
        with np.errstate(over="ignore"):
            return float(np.asarray(number, np.float64).astype(dtype))
    return number


def operand_dtype(node: Node, constants: dict[Node, Any]) -> Any:
    """Give the dtype that an elementwise node's operands have; Python scalars take it from the others."""
    for i in node.inputs:
        if i not in constants or isinstance(constants[i], np.ndarray):
            return i.dtype
    return node.dtype
