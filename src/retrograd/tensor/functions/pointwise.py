"""torch's functions of one number: promotion, then one op, or a short composition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import BaseTensor, apply, wrap
from ...core import dtypes as _d
from ...ops import elementwise as e
from ...ops.batching import same
from ...ops.derive import linear
from ..dispatch import (
    ANY,
    FLOATS,
    INTEGERS,
    METHODS,
    as_dtype,
    binary,
    function,
    in_place,
    one_tensor,
    operand,
    refused,
    result_type,
    tensor_operand,
    to_default_float,
    unary,
)
from .arithmetic import (
    abs,
    add,
    addcdiv,
    addcmul,
    div,
    float_power,
    floor_divide,
    fmod,
    is_bool,
    ldexp,
    lerp,
    mul,
    neg,
    positive,
    pow,
    remainder,
    rsub,
    sgn,
    sign,
    square,
    sub,
    true_divide,
)
from .comparing import (
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    clamp,
    clamp_max,
    clamp_min,
    eq,
    fmax,
    fmin,
    gcd,
    ge,
    gt,
    isfinite,
    isinf,
    isnan,
    isneginf,
    isposinf,
    lcm,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    maximum,
    minimum,
    nan_to_num,
    ne,
    signbit,
    where,
)

stop_gradient = linear("detach", lambda x: x[...], type=lambda x: x, transpose=lambda g: None, view=True, samples=())
stop_gradient.batch = same
stop_gradient.vjp = stop_gradient.jvp = None


def _simple(
    name: str, op: Any, doc: str, *aliases: str, floating: bool = True, kinds: str = ANY, exact: bool = False
) -> Any:
    """Make a function of one tensor: its op, whether integers become floats, the kinds of dtype it is for."""

    def fn(input: Any) -> Any:
        return unary(op, input, name, floating, kinds)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, *aliases, inplace=True, exact=exact)(fn)


exp = _simple("exp", e.exp, "Give e to the power x.")
exp2 = _simple("exp2", e.exp2, "Give 2 to the power x.")
expm1 = _simple("expm1", e.expm1, "Give exp(x) - 1, precise near 0.")
log = _simple("log", e.log, "Give the natural logarithm.")
log2 = _simple("log2", e.log2, "Give the logarithm to base 2.")
log10 = _simple("log10", e.log10, "Give the logarithm to base 10.")
log1p = _simple("log1p", e.log1p, "Give log(1 + x), precise near 0.")
sqrt = _simple("sqrt", e.sqrt, "Give the square root.")
rsqrt = _simple("rsqrt", e.rsqrt, "Give 1 / sqrt(x).")
reciprocal = _simple("reciprocal", e.reciprocal, "Give 1 / x.")
sin = _simple("sin", e.sin, "Give the sine.")
cos = _simple("cos", e.cos, "Give the cosine.")
tan = _simple("tan", e.tan, "Give the tangent.")
asin = _simple("asin", e.asin, "Give the inverse sine.", "arcsin")
acos = _simple("acos", e.acos, "Give the inverse cosine.", "arccos")
atan = _simple("atan", e.atan, "Give the inverse tangent.", "arctan")
sinh = _simple("sinh", e.sinh, "Give the hyperbolic sine.")
cosh = _simple("cosh", e.cosh, "Give the hyperbolic cosine.")
tanh = _simple("tanh", e.tanh, "Give the hyperbolic tangent.")
asinh = _simple("asinh", e.asinh, "Give the inverse hyperbolic sine.", "arcsinh")
acosh = _simple("acosh", e.acosh, "Give the inverse hyperbolic cosine.", "arccosh")
atanh = _simple("atanh", e.atanh, "Give the inverse hyperbolic tangent.", "arctanh")
sinc = _simple("sinc", e.sinc, "Give sin(pi x) / (pi x), 1 at 0.")
erf = _simple("erf", e.erf, "Give the error function.", kinds=FLOATS)
erfc = _simple("erfc", e.erfc, "Give 1 - erf(x).", kinds=FLOATS)
erfinv = _simple("erfinv", e.erfinv, "Give the inverse of the error function.", kinds=FLOATS)
lgamma = _simple("lgamma", e.lgamma, "Give the logarithm of the gamma function's magnitude.", kinds=FLOATS)
digamma = _simple("digamma", e.digamma, "Give the derivative of lgamma.", kinds=FLOATS)
sigmoid = _simple("sigmoid", e.sigmoid, "Give 1 / (1 + exp(-x)).")
floor = _simple("floor", e.floor, "Round towards minus infinity.", floating=False, kinds=FLOATS + INTEGERS, exact=True)
ceil = _simple("ceil", e.ceil, "Round towards infinity.", floating=False, kinds=FLOATS + INTEGERS, exact=True)
trunc = _simple("trunc", e.trunc, "Round towards zero.", "fix", floating=False, kinds=FLOATS + INTEGERS, exact=True)
frac = _simple("frac", e.frac, "Give the part behind the point.", floating=False, kinds=FLOATS, exact=True)


@function("relu", inplace=True)
def relu(input: Any) -> Any:
    """Give max(x, 0)."""
    if is_bool(tensor_operand(input, "relu")):
        raise RuntimeError("Boolean inputs not supported for relu")
    return unary(e.relu, input, "relu", floating=False, kinds=FLOATS + INTEGERS)


@function("polygamma", inplace=False)
def polygamma(n: int, input: Any) -> Any:
    """Give the n-th derivative of digamma."""
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return digamma(input) if n == 0 else unary(e.polygamma, input, "polygamma", n=n)


def _polygamma_method(self: Any, n: int) -> Any:
    """Give the n-th derivative of digamma."""
    return polygamma(n, self)


METHODS["polygamma"] = _polygamma_method
METHODS["polygamma_"] = in_place(_polygamma_method, "polygamma")


@function("mvlgamma", inplace=True)
def mvlgamma(input: Any, p: int) -> Any:
    """Give the logarithm of the multivariate gamma function of dimension p."""
    total: Any = p * (p - 1) / 4 * math.log(math.pi)
    for i in range(p):
        total = lgamma(input - 0.5 * i) + total
    return total


@function("logit", inplace=True)
def logit(input: Any, eps: float | None = None) -> Any:
    """Give log(x / (1 - x)), with x first clamped to [eps, 1 - eps] if eps is given."""
    x = to_default_float(tensor_operand(input, "logit"))
    if x._a.dtype.kind == "c":
        raise refused("logit", x.dtype)
    if eps is not None:
        x = clamp(x, eps, 1 - eps)
    return log(x) - log1p(-x)


@function("round", inplace=True, exact=True)
def round(input: Any, *, decimals: int = 0) -> Any:
    """Round to the nearest, halves to even, at a number of decimals."""
    return unary(
        e.round_, input, "round", floating=False, kinds=FLOATS if decimals else FLOATS + INTEGERS, decimals=decimals
    )


@function("deg2rad", inplace=True)
def deg2rad(input: Any) -> Any:
    """Turn degrees into radians."""
    return mul(to_default_float(_real(input, "deg2rad")), math.pi / 180)


@function("rad2deg", inplace=True)
def rad2deg(input: Any) -> Any:
    """Turn radians into degrees."""
    return mul(to_default_float(_real(input, "rad2deg")), 180 / math.pi)


def _real(x: Any, name: str) -> Any:
    if tensor_operand(x, name)._a.dtype.kind == "c":
        raise RuntimeError(f"{name} is not supported for complex tensors.")
    return x


def _of_two(name: str, op: Any, doc: str, *aliases: str, floating: bool = False, inplace: bool = True) -> Any:
    """Make a function of two tensors of floating-point numbers."""

    def fn(input: Any, other: Any) -> Any:
        return binary(op, input, other, name, floating=floating, kinds=FLOATS, tensors=True)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, *aliases, inplace=inplace)(fn)


atan2 = _of_two("atan2", e.atan2, "Give the angle of the point (other, input).", "arctan2", floating=True)
hypot = _of_two("hypot", e.hypot, "Give sqrt(x^2 + y^2).")


@function("logaddexp")
def logaddexp(input: Any, other: Any) -> Any:
    """Give log(exp(x) + exp(y)) without overflow."""
    d = result_type(tensor_operand(input, "logaddexp"), tensor_operand(other, "logaddexp", "other", 2))
    if not d.is_complex:
        return (
            binary(e.logaddexp, input, other, "logaddexp", floating=True, kinds=FLOATS)
            if d.category >= _d.FLOATING
            else _refuse("logaddexp", d)
        )
    x, y = as_dtype(input, d), as_dtype(other, d)
    first = apply(e.real_part, x) >= apply(e.real_part, y)
    high, low = where(first, x, y), where(first, y, x)
    return high + log(1 + exp(low - high))


def _refuse(name: str, d: Any) -> Any:
    raise refused(name, d)


logaddexp2 = _of_two("logaddexp2", e.logaddexp2, "Give log2(2^x + 2^y) without overflow.", inplace=False)
nextafter = _of_two("nextafter", e.nextafter, "Give the next floating-point number towards other.")


@function("copysign", inplace=True)
def copysign(input: Any, other: Any) -> Any:
    """Give the magnitude of input with the sign of other."""
    return binary(e.copysign, tensor_operand(input, "copysign"), other, "copysign", floating=True, kinds=FLOATS)


@function("heaviside", inplace=True, exact=True)
def heaviside(input: Any, values: Any) -> Any:
    """Give 0 below zero, 1 above, and ``values`` at zero."""
    tensor_operand(input, "heaviside")
    tensor_operand(values, "heaviside", "values", 2)
    if input._a.dtype != values._a.dtype:
        raise RuntimeError(
            f"heaviside is not yet implemented for tensors with different dtypes: {input.dtype} and {values.dtype}"
        )
    if input._a.dtype.kind in "iub":
        return where(input == 0, values, as_dtype(input > 0, input.dtype))
    if input._a.dtype.kind == "c":
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    return binary(e.heaviside, input, values, "heaviside")


@function("xlogy", inplace=True)
def xlogy(input: Any, other: Any) -> Any:
    """Give x log(y), 0 where x is 0 (unless y is NaN)."""
    one_tensor(input, other, "xlogy")
    x, y = operand(input, "xlogy", "input"), operand(other, "xlogy")
    d = result_type(x, y)
    d = d if d.category >= _d.FLOATING else _d.get_default_dtype()
    if d.is_complex:
        raise refused("xlogy", d)
    x, y = (as_dtype(v, d) if isinstance(v, BaseTensor) else wrap(np.array(v, d.numpy)) for v in (x, y))
    void = (x == 0) & ((y <= 0) | isinf(y))  # 0 log 0 is 0 here
    return mul(x, log(where(void, 1.0, y)))


__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "addcdiv",
    "addcmul",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "binary",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "copysign",
    "cos",
    "cosh",
    "deg2rad",
    "digamma",
    "div",
    "eq",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "float_power",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "frac",
    "gcd",
    "ge",
    "gt",
    "heaviside",
    "hypot",
    "is_bool",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "lcm",
    "ldexp",
    "le",
    "lerp",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logaddexp2",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logit",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "mvlgamma",
    "nan_to_num",
    "ne",
    "neg",
    "nextafter",
    "polygamma",
    "positive",
    "pow",
    "rad2deg",
    "reciprocal",
    "relu",
    "remainder",
    "round",
    "rsqrt",
    "rsub",
    "sgn",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "stop_gradient",
    "sub",
    "tan",
    "tanh",
    "true_divide",
    "trunc",
    "where",
    "xlogy",
]
