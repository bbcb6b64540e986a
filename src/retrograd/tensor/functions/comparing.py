"""Comparisons, logic, bits, and choices between values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import BaseTensor, apply, at, here
from ...core import dtypes as _d
from ...ops import elementwise as e
from ..dispatch import (
    ANY,
    BITS,
    INTEGERS,
    METHODS,
    REAL,
    as_dtype,
    binary,
    function,
    labelled,
    meet,
    one_tensor,
    operand,
    refused,
    result_type,
    scalar,
    tensor_operand,
    unary,
)


def _of_two(
    name: str, op: Any, doc: str, *aliases: str, kinds: str = ANY, tensors: bool = False, inplace: bool = True
) -> Any:
    """Make a function of two operands: its op, the kinds of dtype it is for, whether it refuses numbers."""

    def fn(input: Any, other: Any) -> Any:
        return binary(op, tensor_operand(input, name), other, name, kinds=kinds, tensors=tensors)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, *aliases, inplace=inplace)(fn)


# -- the larger and the smaller ----------------------------------------------------------------------------------------------
def _extreme(name: str, op: Any, doc: str) -> Any:
    def fn(input: Any, other: Any) -> Any:
        try:
            return binary(op, input, other, name, kinds=REAL, tensors=True)
        except NotImplementedError:
            raise RuntimeError(f"{name} not implemented for complex tensors: they have no order{at(here())}") from None

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name)(fn)


maximum = _extreme("maximum", e.maximum, "Give the larger of each pair; NaN wins.")
minimum = _extreme("minimum", e.minimum, "Give the smaller of each pair; NaN wins.")
fmax = _extreme("fmax", e.fmax, "Give the larger of each pair; a number wins over NaN.")
fmin = _extreme("fmin", e.fmin, "Give the smaller of each pair; a number wins over NaN.")


@function("clamp", "clip", inplace=True)
def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Limit to [min, max]; either may be left out, and be a number or a Tensor."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    kind = tensor_operand(input, "clamp")._a.dtype.kind
    if kind == "c":
        raise refused("clamp", input.dtype)
    if isinstance(min, BaseTensor) or isinstance(max, BaseTensor):
        if any(not isinstance(v, BaseTensor) for v in (min, max) if v is not None):
            raise TypeError("clamp(): 'min' and 'max' must both be Tensors or both be Numbers")
        d = result_type(*(v for v in (input, min, max) if v is not None))
        if d.is_complex:
            raise refused("clamp", d)
        r = as_dtype(input, d)
        if min is not None:
            r = _bounded(r, as_dtype(min, d), True)
        return labelled(r if max is None else _bounded(r, as_dtype(max, d), False), "ClampBackward0", (input, min, max))
    low, high = scalar(min), scalar(max)
    if kind in "fV" and (isinstance(low, complex) or isinstance(high, complex)):
        raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow: clamp takes real bounds")
    d = result_type(input, *(v for v in (low, high) if v is not None))
    if d.is_complex or not d.category:
        raise refused("clamp", d)
    if d.category < _d.FLOATING:
        low, high = (v if v is None else _fitted(v, d) for v in (low, high))
    return apply(e.clamp, as_dtype(input, d), min=low, max=high)


def _fitted(v: int, d: _d.dtype) -> int:
    """Give a bound as a value of an integer dtype, small negative ones of unsigned dtypes wrapped as in C."""
    info = np.iinfo(d.numpy)
    if info.min <= v <= info.max:
        return v
    if not info.min and -info.max <= v < 0:
        return v + info.max + 1
    raise RuntimeError(f"value cannot be converted to type {d} without overflow: clamp to {v}{at(here())}")


def _bounded(x: Any, bound: Any, low: bool) -> Any:
    keep = (x >= bound) if low else (x <= bound)
    return apply(e.where, keep | isnan(x), x, bound)


@function("clamp_min", inplace=True, shown="ClampMinBackward0")
def clamp_min(input: Any, min: Any) -> Any:
    """Raise what is below ``min`` to it."""
    return clamp(input, min=min)


@function("clamp_max", inplace=True, shown="ClampMaxBackward0")
def clamp_max(input: Any, max: Any) -> Any:
    """Lower what is above ``max`` to it."""
    return clamp(input, max=max)


@function("where", method=False)
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Take from ``input`` where the condition holds, from ``other`` elsewhere; with the condition alone, give the indices where it holds."""
    c = tensor_operand(condition, "where", "condition")
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if c._a.dtype.kind != "b":
        if c._a.dtype != np.uint8:
            raise RuntimeError(
                f"where expected condition to be a boolean tensor, but got a tensor with dtype {c.dtype}: "
                f"compare it first, such as condition != 0{at(here())}"
            )
        c = as_dtype(c, _d.bool_)
    x, y = operand(input, "where", "input"), operand(other, "where")
    return apply(e.where, c, *meet(result_type(x, y).numpy, x, y))


def _where_method(self: Any, condition: Any, other: Any) -> Any:
    """Keep the elements where the condition holds, take those of ``other`` elsewhere."""
    return where(condition, self, other)


METHODS["where"] = _where_method


@function("nan_to_num", inplace=True, exact=True, shown="NanToNumBackward0")
def nan_to_num(input: Any, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Any:
    """Replace NaN and infinities by numbers."""
    kind = tensor_operand(input, "nan_to_num")._a.dtype.kind
    if kind == "c":
        from .complex_parts import complex_of

        return complex_of(nan_to_num(input.real, nan, posinf, neginf), nan_to_num(input.imag, nan, posinf, neginf))
    if kind not in "fV":
        return input.clone()
    info = _d.finfo(input.dtype)
    x = where(isnan(input), float(nan or 0.0), input)
    x = where(input == math.inf, info.max if posinf is None else float(posinf), x)
    return where(input == -math.inf, info.min if neginf is None else float(neginf), x)


# -- comparisons and logic -----------------------------------------------------------------------------------------------
eq = _of_two("eq", e.eq, "Tell where the operands are equal.")
ne = _of_two("ne", e.ne, "Tell where the operands differ.", "not_equal")
lt = _of_two("lt", e.lt, "Tell where input is less.", "less", kinds=REAL)
le = _of_two("le", e.le, "Tell where input is less or equal.", "less_equal", kinds=REAL)
gt = _of_two("gt", e.gt, "Tell where input is greater.", "greater", kinds=REAL)
ge = _of_two("ge", e.ge, "Tell where input is greater or equal.", "greater_equal", kinds=REAL)
logical_and = _of_two("logical_and", e.logical_and, "Tell where both are nonzero.", tensors=True)
logical_or = _of_two("logical_or", e.logical_or, "Tell where either is nonzero.", tensors=True)
logical_xor = _of_two("logical_xor", e.logical_xor, "Tell where exactly one is nonzero.", tensors=True)


def _bits(name: str, op: Any, logic: Any, doc: str) -> Any:
    def fn(input: Any, other: Any) -> Any:
        one_tensor(input, other, name)
        x, y = operand(input, name, "input"), operand(other, name)
        d = result_type(x, y)
        if d is _d.bool_ and logic is not None:
            return binary(logic, x, y, name)
        return binary(op, x, y, name, kinds=INTEGERS)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, inplace=True)(fn)


bitwise_and = _bits("bitwise_and", e.bitwise_and, e.logical_and, "Give the bits that both have.")
bitwise_or = _bits("bitwise_or", e.bitwise_or, e.logical_or, "Give the bits that either has.")
bitwise_xor = _bits("bitwise_xor", e.bitwise_xor, e.logical_xor, "Give the bits that exactly one has.")
bitwise_left_shift = _bits("bitwise_left_shift", e.left_shift, None, "Shift bits to the left.")
bitwise_right_shift = _bits("bitwise_right_shift", e.right_shift, None, "Shift bits to the right.")
gcd = _of_two("gcd", e.gcd, "Give the greatest common divisor.", kinds=INTEGERS, tensors=True)
lcm = _of_two("lcm", e.lcm, "Give the least common multiple.", kinds=INTEGERS, tensors=True)


@function("bitwise_not", inplace=True, exact=True)
def bitwise_not(input: Any) -> Any:
    """Invert each bit; of bools, the value."""
    return unary(e.bitwise_not, input, "bitwise_not", floating=False, kinds=BITS)


@function("logical_not", inplace=True)
def logical_not(input: Any) -> Any:
    """Tell where input is zero."""
    return unary(e.logical_not, input, "logical_not", floating=False)


@function("isnan", out=False)
def isnan(input: Any) -> Any:
    """Tell where the value is not a number."""
    return unary(e.isnan, input, "isnan", floating=False)


@function("isinf", out=False)
def isinf(input: Any) -> Any:
    """Tell where the value is infinite."""
    return unary(e.isinf, input, "isinf", floating=False)


@function("isfinite", out=False)
def isfinite(input: Any) -> Any:
    """Tell where the value is neither infinite nor NaN."""
    return unary(e.isfinite, input, "isfinite", floating=False)


@function("signbit", exact=True)
def signbit(input: Any) -> Any:
    """Tell where the sign bit is set."""
    return unary(e.signbit, input, "signbit", floating=False, kinds=REAL)


@function("isposinf", exact=True)
def isposinf(input: Any) -> Any:
    """Tell where the value is plus infinity."""
    return _infinite(input, math.inf, "isposinf")


@function("isneginf", exact=True)
def isneginf(input: Any) -> Any:
    """Tell where the value is minus infinity."""
    return _infinite(input, -math.inf, "isneginf")


def _infinite(x: Any, value: float, name: str) -> Any:
    if tensor_operand(x, name)._a.dtype.kind == "c":
        raise RuntimeError(f"{name} does not support complex inputs.")
    return x == value
