"""torch's elementwise functions: promotion, then one op, or a short composition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import MODE, BaseTensor, apply
from ...core import dtypes as _d
from ...ops import elementwise as e
from ...ops.derive import linear
from ..dispatch import as_dtype, binary, function, meet, operand, result_type, scalar, tensor_operand, to_default_float, unary

stop_gradient = linear("detach", lambda x: x[...], type=lambda x: x, transpose=lambda g: None, view=True, samples=())
stop_gradient.vjp = stop_gradient.jvp = None


# -- arithmetic ------------------------------------------------------------------------------------------------------------
@function("add", inplace=True)
def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Add, elementwise with broadcasting: ``input + alpha * other``."""
    if alpha != 1:
        other = mul(other, alpha) if isinstance(other, BaseTensor) else other * alpha
    return binary(e.add, input, other, "add") if not _both_bool(input, other) else binary(e.logical_or, input, other, "add")


def _both_bool(x: Any, y: Any) -> bool:
    return (x._a.dtype.kind == "b" if isinstance(x, BaseTensor) else isinstance(x, bool)) and (
        y._a.dtype.kind == "b" if isinstance(y, BaseTensor) else isinstance(y, bool)
    )


@function("sub", "subtract", inplace=True)
def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Subtract, elementwise with broadcasting: ``input - alpha * other``."""
    if _is_bool(input) or _is_bool(other):
        if _is_bool(input) and _is_bool(other):
            raise RuntimeError(
                "Subtraction, the `-` operator, with two bool tensors is not supported, use the `^` or `logical_xor()` operator instead."
            )
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    if alpha != 1:
        other = mul(other, alpha) if isinstance(other, BaseTensor) else other * alpha
    return binary(e.sub, input, other, "sub")


def _is_bool(x: Any) -> bool:
    return isinstance(x, BaseTensor) and x._a.dtype.kind == "b"


@function("rsub")
def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Subtract the other way round: ``other - alpha * input``."""
    return sub(other if isinstance(other, BaseTensor) else _filled(other, input), input, alpha=alpha) if alpha != 1 else binary(e.sub, other, input, "rsub")


def _filled(value: Any, like: Any) -> Any:
    d = result_type(like, operand(value, "rsub"))
    return BaseTensor and _wrap(np.array(value, d.numpy))


def _wrap(a: Any) -> Any:
    from ...core import wrap

    return wrap(a)


@function("mul", "multiply", inplace=True)
def mul(input: Any, other: Any) -> Any:
    """Multiply, elementwise with broadcasting."""
    return binary(e.mul, input, other, "mul")


@function("div", "divide", inplace=True)
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """Divide, elementwise with broadcasting; integers give floats unless ``rounding_mode`` is "floor" or "trunc"."""
    if rounding_mode is None:
        return binary(e.div, input, other, "div", floating=True)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode == "trunc":
        _no_zero(input, other, "div")
        return binary(e.trunc_divide, input, other, "div")
    raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")


@function("true_divide", inplace=True)
def true_divide(input: Any, other: Any) -> Any:
    """Divide, giving floats."""
    return binary(e.div, input, other, "true_divide", floating=True)


def _no_zero(x: Any, y: Any, name: str) -> None:
    d = result_type(operand(x, name), operand(y, name))
    if d.category < _d.FLOATING and (not np.all(y._a) if isinstance(y, BaseTensor) else not y):
        raise RuntimeError(f"ZeroDivisionError: {name} of integers by zero")


@function("floor_divide", inplace=True)
def floor_divide(input: Any, other: Any) -> Any:
    """Divide and round towards minus infinity."""
    _no_zero(input, other, "floor_divide")
    return binary(e.floor_divide, input, other, "floor_divide")


@function("remainder", inplace=True)
def remainder(input: Any, other: Any) -> Any:
    """Give the remainder with the divisor's sign."""
    _no_zero(input, other, "remainder")
    return binary(e.remainder, input, other, "remainder")


@function("fmod", inplace=True)
def fmod(input: Any, other: Any) -> Any:
    """Give the remainder with the dividend's sign."""
    _no_zero(input, other, "fmod")
    return binary(e.float_mod, input, other, "fmod")


@function("pow", inplace=True)
def pow(input: Any, exponent: Any) -> Any:
    """Raise to a power, elementwise with broadcasting."""
    if isinstance(exponent, BaseTensor) and not exponent._a.ndim and isinstance(input, BaseTensor) and not exponent.requires_grad and MODE.trace is None:
        d = result_type(input, exponent)
        if d.numpy == input._a.dtype:
            exponent = exponent.item()
    if scalar(exponent) == 2 and isinstance(input, BaseTensor) and input._a.dtype.kind in "fcV":
        return apply(e.square, input)
    return binary(e.power, input, exponent, "pow")


@function("float_power", inplace=True)
def float_power(input: Any, exponent: Any) -> Any:
    """Raise to a power in double precision."""
    cplx = any((x._a.dtype.kind == "c") if isinstance(x, BaseTensor) else isinstance(x, complex) for x in (input, exponent))
    d = _d.complex128 if cplx else _d.float64
    xs = [as_dtype(x, d) if isinstance(x, BaseTensor) else x for x in (input, exponent)]
    return binary(e.power, *xs, "float_power")


@function("square", inplace=True)
def square(input: Any) -> Any:
    """Multiply by itself."""
    return unary(e.square, input, "square", floating=False)


@function("neg", "negative", inplace=True)
def neg(input: Any) -> Any:
    """Change the sign."""
    if _is_bool(input):
        raise RuntimeError("Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead.")
    return unary(e.neg, input, "neg", floating=False)


@function("positive")
def positive(input: Any) -> Any:
    """Give the tensor itself; RuntimeError for bools."""
    if _is_bool(input):
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@function("abs", "absolute", inplace=True)
def abs(input: Any) -> Any:
    """Give the magnitude."""
    if tensor_operand(input, "abs")._a.dtype.kind == "b":
        return input
    return unary(e.absolute, input, "abs", floating=False)


@function("sign", inplace=True)
def sign(input: Any) -> Any:
    """Give -1, 0 or 1."""
    return input.clone() if _is_bool(input) else unary(e.sign, input, "sign", floating=False)


@function("sgn", inplace=True)
def sgn(input: Any) -> Any:
    """Give x / |x|, 0 at 0: the sign of complex numbers too."""
    return sign(input)


def _simple(name: str, op: Any, doc: str, *aliases: str, floating: bool = True, inplace: bool = True) -> Any:
    def fn(input: Any) -> Any:
        return unary(op, input, name, floating=floating)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, *aliases, inplace=inplace)(fn)


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
erf = _simple("erf", e.erf, "Give the error function.")
erfc = _simple("erfc", e.erfc, "Give 1 - erf(x).")
erfinv = _simple("erfinv", e.erfinv, "Give the inverse of the error function.")
lgamma = _simple("lgamma", e.lgamma, "Give the logarithm of the gamma function's magnitude.")
digamma = _simple("digamma", e.digamma, "Give the derivative of lgamma.")
sigmoid = _simple("sigmoid", e.sigmoid, "Give 1 / (1 + exp(-x)).")
floor = _simple("floor", e.floor, "Round towards minus infinity.", floating=False)
ceil = _simple("ceil", e.ceil, "Round towards infinity.", floating=False)
trunc = _simple("trunc", e.trunc, "Round towards zero.", "fix", floating=False)
frac = _simple("frac", e.frac, "Give the part behind the point.", floating=False)
bitwise_not = _simple("bitwise_not", e.bitwise_not, "Invert each bit.", floating=False)


@function("relu", inplace=True)
def relu(input: Any) -> Any:
    """Give max(x, 0)."""
    if _is_bool(input):
        raise RuntimeError("Boolean inputs not supported for relu")
    return apply(e.relu, tensor_operand(input, "relu"))


@function("polygamma", inplace=False)
def polygamma(n: int, input: Any) -> Any:
    """Give the n-th derivative of digamma."""
    return digamma(input) if n == 0 else unary(e.polygamma, input, "polygamma", n=n)


@function("mvlgamma")
def mvlgamma(input: Any, p: int) -> Any:
    """Give the logarithm of the multivariate gamma function of dimension p."""
    total: Any = p * (p - 1) / 4 * math.log(math.pi)
    for i in range(p):
        total = lgamma(input - 0.5 * i) + total
    return total


@function("logit", inplace=True)
def logit(input: Any, eps: float | None = None) -> Any:
    """Give log(x / (1 - x)), with x first clamped to [eps, 1 - eps] if eps is given."""
    x = to_default_float(input)
    if eps is not None:
        x = clamp(x, eps, 1 - eps)
    return log(x / (1 - x))


@function("round", inplace=True)
def round(input: Any, *, decimals: int = 0) -> Any:
    """Round to the nearest, halves to even."""
    return unary(e.round_, input, "round", floating=False, decimals=decimals)


@function("atan2", "arctan2", inplace=True)
def atan2(input: Any, other: Any) -> Any:
    """Give the angle of the point (other, input)."""
    return binary(e.atan2, input, other, "atan2", floating=True)


@function("hypot", inplace=True)
def hypot(input: Any, other: Any) -> Any:
    """Give sqrt(x^2 + y^2)."""
    return binary(e.hypot, input, other, "hypot")


@function("logaddexp")
def logaddexp(input: Any, other: Any) -> Any:
    """Give log(exp(x) + exp(y)) without overflow."""
    return binary(e.logaddexp, input, other, "logaddexp", floating=True)


@function("logaddexp2")
def logaddexp2(input: Any, other: Any) -> Any:
    """Give log2(2^x + 2^y) without overflow."""
    return binary(e.logaddexp2, input, other, "logaddexp2", floating=True)


@function("copysign", inplace=True)
def copysign(input: Any, other: Any) -> Any:
    """Give the magnitude of input with the sign of other."""
    return binary(e.copysign, input, other, "copysign", floating=True)


@function("nextafter", inplace=True)
def nextafter(input: Any, other: Any) -> Any:
    """Give the next floating-point number towards other."""
    return binary(e.nextafter, input, other, "nextafter")


@function("heaviside", inplace=True)
def heaviside(input: Any, values: Any) -> Any:
    """Give 0 below zero, 1 above, and ``values`` at zero."""
    if input.dtype != values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    if input._a.dtype.kind in "iub":
        return where(input == 0, values, as_dtype(input > 0, input.dtype))
    return binary(e.heaviside, input, values, "heaviside")


@function("xlogy", inplace=True)
def xlogy(input: Any, other: Any) -> Any:
    """Give x log(y), 0 where x is 0 (unless y is NaN)."""
    x, y = operand(input, "xlogy"), operand(other, "xlogy")
    d = result_type(x, y)
    d = d if d.category >= _d.FLOATING else _d.get_default_dtype()
    x, y = (v if isinstance(v, BaseTensor) else _wrap(np.array(v, d.numpy)) for v in meet(d.numpy, x, y))
    zero = (x == 0) & ~isnan(y)
    return where(zero, 0.0, x * log(where(zero, 1.0, y)))


@function("ldexp", inplace=True)
def ldexp(input: Any, other: Any) -> Any:
    """Give input * 2^other."""
    return mul(input, pow(2.0, other))


@function("lerp", inplace=True)
def lerp(input: Any, end: Any, weight: Any) -> Any:
    """Give input + weight * (end - input)."""
    if input._a.dtype != end._a.dtype:
        raise RuntimeError(f"expected dtype {input.dtype} for `end` but got dtype {end.dtype}: lerp needs one dtype")
    return add(input, mul(sub(end, input), weight))


@function("addcmul", inplace=True)
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """Give input + value * tensor1 * tensor2."""
    product = mul(tensor1, tensor2)
    return add(input, product if value == 1 else mul(product, value))


@function("addcdiv", inplace=True)
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """Give input + value * tensor1 / tensor2."""
    if tensor1._a.dtype.kind in "iub" and tensor2._a.dtype.kind in "iub":
        raise RuntimeError("Integer division with addcdiv is no longer supported, and in a future release addcdiv will perform a true division of tensor1 and tensor2.")
    quotient = div(tensor1, tensor2)
    return add(input, quotient if value == 1 else mul(quotient, value))


# -- choice ------------------------------------------------------------------------------------------------------------------
@function("maximum")
def maximum(input: Any, other: Any) -> Any:
    """Give the larger of each pair; NaN wins."""
    return binary(e.maximum, input, other, "maximum")


@function("minimum")
def minimum(input: Any, other: Any) -> Any:
    """Give the smaller of each pair; NaN wins."""
    return binary(e.minimum, input, other, "minimum")


@function("fmax")
def fmax(input: Any, other: Any) -> Any:
    """Give the larger of each pair; a number wins over NaN."""
    return binary(e.fmax, input, other, "fmax")


@function("fmin")
def fmin(input: Any, other: Any) -> Any:
    """Give the smaller of each pair; a number wins over NaN."""
    return binary(e.fmin, input, other, "fmin")


@function("clamp", "clip", inplace=True)
def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Limit to [min, max]; either may be left out, and be a number or a Tensor."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(min, BaseTensor) or isinstance(max, BaseTensor):
        r = input
        if min is not None:
            r = _bounded(r, min, True)
        if max is not None:
            r = _bounded(r, max, False)
        return r
    min, max = scalar(min), scalar(max)
    d = result_type(input, *(v for v in (min, max) if v is not None))
    x = as_dtype(input, d)
    if d.category < _d.FLOATING:
        info = np.iinfo(d.numpy) if d is not _d.bool_ else None
        min, max = (v if v is None or info is None else int(np.clip(v, info.min, info.max)) for v in (min, max))
    return apply(e.clamp, x, min=min, max=max)


def _bounded(x: Any, bound: Any, low: bool) -> Any:
    d = result_type(x, operand(bound, "clamp"))
    x, b = meet(d.numpy, x, bound)
    keep = (x >= b) if low else (x <= b)
    return where(keep | isnan(x), x, b)


@function("clamp_min", inplace=True)
def clamp_min(input: Any, min: Any) -> Any:
    """Raise what is below ``min`` to it."""
    return clamp(input, min=min)


@function("clamp_max", inplace=True)
def clamp_max(input: Any, max: Any) -> Any:
    """Lower what is above ``max`` to it."""
    return clamp(input, max=max)


@function("where", method=False)
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Take from ``input`` where the condition holds, from ``other`` elsewhere; with the condition alone, give the indices where it holds."""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    c = tensor_operand(condition, "where", "condition")
    if c._a.dtype.kind != "b":
        if c._a.dtype != np.uint8:
            raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {c.dtype}: compare it first, such as condition != 0")
        c = as_dtype(c, _d.bool_)
    x, y = operand(input, "where", "input"), operand(other, "where")
    return apply(e.where, c, *meet(result_type(x, y).numpy, x, y))


@function("nan_to_num", inplace=True)
def nan_to_num(input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """Replace NaN and infinities by numbers."""
    if input._a.dtype.kind not in "fV":
        return input.clone()
    info = _d.finfo(input.dtype)
    x = where(isnan(input), float(nan or 0.0), input)
    x = where(input == math.inf, info.max if posinf is None else float(posinf), x)
    return where(input == -math.inf, info.min if neginf is None else float(neginf), x)


# -- comparisons and logic -----------------------------------------------------------------------------------------------
def _compare(name: str, op: Any, doc: str, *aliases: str) -> Any:
    def fn(input: Any, other: Any) -> Any:
        return binary(op, input, other, name)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, *aliases, inplace=True)(fn)


eq = _compare("eq", e.eq, "Tell where the operands are equal.")
ne = _compare("ne", e.ne, "Tell where the operands differ.", "not_equal")
lt = _compare("lt", e.lt, "Tell where input is less.", "less")
le = _compare("le", e.le, "Tell where input is less or equal.", "less_equal")
gt = _compare("gt", e.gt, "Tell where input is greater.", "greater")
ge = _compare("ge", e.ge, "Tell where input is greater or equal.", "greater_equal")
logical_and = _compare("logical_and", e.logical_and, "Tell where both are nonzero.")
logical_or = _compare("logical_or", e.logical_or, "Tell where either is nonzero.")
logical_xor = _compare("logical_xor", e.logical_xor, "Tell where exactly one is nonzero.")


def _bits(name: str, op: Any, logic: Any, doc: str) -> Any:
    def fn(input: Any, other: Any) -> Any:
        x, y = operand(input, name, "input"), operand(other, name)
        d = result_type(x, y)
        if d.category >= _d.FLOATING:
            raise RuntimeError(f'"{name}_cpu" not implemented for \'{d.name}\': bits are those of integers and bools; cast first, such as by .long()')
        return binary(logic if d is _d.bool_ and logic is not None else op, x, y, name)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, inplace=True)(fn)


bitwise_and = _bits("bitwise_and", e.bitwise_and, e.logical_and, "Give the bits that both have.")
bitwise_or = _bits("bitwise_or", e.bitwise_or, e.logical_or, "Give the bits that either has.")
bitwise_xor = _bits("bitwise_xor", e.bitwise_xor, e.logical_xor, "Give the bits that exactly one has.")
bitwise_left_shift = _bits("bitwise_left_shift", e.left_shift, None, "Shift bits to the left.")
bitwise_right_shift = _bits("bitwise_right_shift", e.right_shift, None, "Shift bits to the right.")
gcd = _bits("gcd", e.gcd, None, "Give the greatest common divisor.")
lcm = _bits("lcm", e.lcm, None, "Give the least common multiple.")


@function("logical_not", inplace=True)
def logical_not(input: Any) -> Any:
    """Tell where input is zero."""
    return unary(e.logical_not, input, "logical_not", floating=False)


def isnan(input: Any) -> Any:
    """Tell where the value is not a number."""
    return unary(e.isnan, input, "isnan", floating=False)


def isinf(input: Any) -> Any:
    """Tell where the value is infinite."""
    return unary(e.isinf, input, "isinf", floating=False)


def isfinite(input: Any) -> Any:
    """Tell where the value is neither infinite nor NaN."""
    return unary(e.isfinite, input, "isfinite", floating=False)


def signbit(input: Any) -> Any:
    """Tell where the sign bit is set."""
    return unary(e.signbit, input, "signbit", floating=False)


for _fn in (isnan, isinf, isfinite, signbit):
    function(_fn.__name__)(_fn)


@function("isposinf")
def isposinf(input: Any) -> Any:
    """Tell where the value is plus infinity."""
    return input == math.inf


@function("isneginf")
def isneginf(input: Any) -> Any:
    """Tell where the value is minus infinity."""
    return input == -math.inf


@function("isreal")
def isreal(input: Any) -> Any:
    """Tell where the imaginary part is zero."""
    return isfinite(input) | ~isfinite(input) if input._a.dtype.kind != "c" else imag(input) == 0


# -- complex parts -----------------------------------------------------------------------------------------------------------
@function("conj", "conj_physical", "resolve_conj", "resolve_neg")
def conj(input: Any) -> Any:
    """Give the complex conjugate; real tensors themselves."""
    return apply(e.conj, input) if input._a.dtype.kind == "c" else input


@function("real")
def real(input: Any) -> Any:
    """Give the real part."""
    return apply(e.real_part, input) if input._a.dtype.kind == "c" else input


@function("imag")
def imag(input: Any) -> Any:
    """Give the imaginary part; RuntimeError for real tensors."""
    if input._a.dtype.kind != "c":
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return apply(e.imag_part, input)


@function("angle")
def angle(input: Any) -> Any:
    """Give the angle of a complex number; 0 or pi for real ones."""
    if input._a.dtype.kind == "c":
        return atan2(imag(input), real(input))
    x = to_default_float(input)
    return where(isnan(x), x, where(x < 0, math.pi, 0.0 * x.detach()))
