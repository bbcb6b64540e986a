"""Functions of numbers, spread over arrays: meaning, partial derivatives and test domain of each in one row."""

from __future__ import annotations

import cmath
import math
from typing import Any

import numpy as np

from ..core import MODE, BaseTensor, TensorType, strides, typeof
from ..core.dtypes import bfloat16, float8_e4m3fn, float8_e8m0fnu
from . import batching, special
from .choose import rectify, select
from .derive import CASES, POSITIVE, UNIT, elementwise, general, linear

TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)
LN2, LN10 = math.log(2.0), math.log(10.0)
E4M3, E8M0 = float8_e4m3fn.numpy, float8_e8m0fnu.numpy


def _scalar(x: Any) -> bool:
    return not isinstance(x, (np.ndarray, BaseTensor))


# -- changes of dtype, and complex parts ------------------------------------------------------------------------------


def _cast(x: Any, *, dtype: Any) -> Any:
    if x.dtype.kind == "c" and dtype.kind != "c":
        return x != 0 if dtype.kind == "b" else x.real.astype(dtype)
    if dtype == E4M3:  # it has no infinity: torch gives the largest number
        x = np.clip(x.astype(np.float32), -448, 448)
    elif dtype == E8M0:  # it has no sign
        x = np.abs(x.astype(np.float32))
    return x.astype(dtype)


cast = linear(
    "cast",
    _cast,
    type=lambda x, *, dtype: TensorType(x.shape, np.dtype(dtype)),
    transpose=lambda g: g,
    batch=batching.same,
    samples=({"shapes": ((3, 4),), "attrs": {"dtype": np.dtype("f8")}},),
    shown="ToCopyBackward0",
)
cast.layout = strides.as_operands
clone = linear(
    "clone",
    lambda x, *, order="K": x.copy(order=order),
    type=lambda x, **attrs: x,
    transpose=lambda g: g,
    batch=batching.same,
    samples=CASES[1],
)
conj = linear(
    "conj", np.conjugate, type=lambda x: x, transpose=lambda g: conj(g), batch=batching.same, samples=CASES[1]
)


def _half(d: Any) -> Any:
    return np.dtype(f"f{d.itemsize // 2}") if d.kind == "c" else d


def _part_type(x: TensorType) -> TensorType:
    return TensorType(x.shape, _half(x.dtype))


COMPLEX: tuple[dict[str, Any], ...] = ({"shapes": ((3, 4),), "dtype": "complex128"},)
real_part = linear(
    "real", lambda x: x.real, type=_part_type, transpose=lambda g: g, view=True, batch=batching.same, samples=CASES[1]
)
imag_part = linear(
    "imag",
    lambda x: x.imag,
    type=_part_type,
    transpose=lambda g: g * 1j,
    view=True,
    batch=batching.same,
    samples=COMPLEX,
)


def like(mask: Any, x: Any) -> Any:
    """Give a mask as zeros and ones of another value's dtype."""
    return cast(mask, dtype=typeof(x).dtype)


# -- arithmetic ----------------------------------------------------------------------------------------------------
add = elementwise("add", np.add, partials=[1, 1])
sub = elementwise("sub", np.subtract, partials=[1, -1])
mul = elementwise("mul", np.multiply, partials=[lambda y: y, lambda x: x])


def _inverse(y: Any) -> Any:
    if _scalar(y) and y == 0:  # Python's own division would raise
        return complex(math.nan, math.nan) if isinstance(y, complex) else math.copysign(math.inf, y)
    return 1 / y


div = elementwise("div", np.divide, partials=[_inverse, lambda x, y: -(x / y) / y], domain=POSITIVE)
neg = elementwise("neg", np.negative, partials=[-1])
absolute = general(
    "abs",
    np.absolute,
    type=lambda x: TensorType(x.shape, np.dtype(f"f{x.dtype.itemsize // 2}") if x.dtype.kind == "c" else x.dtype),
    vjp=[lambda g, x: g * sign(x)],
    jvp=[lambda t, x: real_part(t * conj(sign(x)))],
    batch=batching.spread,
    samples=CASES[1],
    domain=POSITIVE,
)
positive = elementwise("positive", np.positive, partials=[1])


def _square_slope(x: Any) -> Any:
    if x.__class__ is np.ndarray or MODE.trace is not None:
        return 2 * x
    return 2 * power(x, 1)  # so that its own slope, a constant, has a graph, as in torch


square = elementwise("square", np.square, partials=[_square_slope], shown="PowBackward0")
reciprocal = elementwise("reciprocal", lambda x: 1 / x, partials=[lambda out: -out * out], domain=POSITIVE)


def _sign(x: Any) -> Any:
    if x.dtype.kind == "c":
        size = np.abs(x)
        return np.where(size == 0, 0, x / np.where(size == 0, 1, size)).astype(x.dtype)
    if x.dtype.kind in "fV":
        return (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)  # 0 for NaN, as in torch
    return np.sign(x)


def _sign_back(g: Any, *, out: Any, x: Any) -> Any:
    if typeof(x).dtype.kind != "c":
        return 0 * g
    # along the circle only: (g - Re(conj(out) g) out) / |x|, 0 at 0
    size = absolute(x)
    along = g - real_part(g * conj(out)) * out
    return where(size == 0, 0.0, along / where(size == 0, 1.0, size))


sign = general(
    "sgn",
    _sign,
    type=lambda x: x,
    vjp=[_sign_back],
    jvp=[lambda t, *, out, x: _sign_back(t, out=out, x=x)],
    batch=batching.spread,
    samples=CASES[1],
    domain=POSITIVE,
)


def _power(x: Any, y: Any) -> Any:
    if y.__class__ is np.ndarray and y.dtype.kind == "i" and y.size and y.min() < 0:
        # as in C++: 1 / x^|y| rounded towards zero is 0 unless x is 1 or -1
        x = np.asarray(x, y.dtype)
        one = np.where(x == 1, 1, np.where(x == -1, 1 - 2 * (y & 1), 0)).astype(y.dtype)
        return np.where(y < 0, one, x ** np.maximum(y, 0))
    if y.__class__ is not np.ndarray and y == 3 and x.__class__ is np.ndarray and x.dtype.kind in "fV":
        return x * x * x  # as torch; NumPy's power takes fifty times as long
    if y.__class__ is float and y == -0.5:
        return 1 / np.sqrt(x)  # as torch: NaN for -inf
    return x**y


def _power_x(x: Any, y: Any) -> Any:
    if _scalar(y):
        if y == 0:
            return 0
        if y == 2 and (x.__class__ is np.ndarray or MODE.trace is not None):
            return 2 * x
        return y * x ** (y - 1)  # also for 2: its own slope, a constant, has a graph as in torch
    return where(y == 0, 0.0, y * power(x, y - 1))


def _scalar_base_slope(out: Any, x: Any, y: Any) -> Any:
    if isinstance(x, complex) or (x < 0 and typeof(y).dtype.kind == "c"):
        return out * cmath.log(x)
    if x > 0:
        return out * math.log(x)
    return where(y >= 0, 0.0, out * -math.inf) if x == 0 else out * math.nan


def _power_y(out: Any, x: Any, y: Any) -> Any:
    if _scalar(x):
        return _scalar_base_slope(out, x, y)
    size = real_part(y) if typeof(y).dtype.kind == "c" else y
    return where((x == 0) * (size >= 0), 0.0, out * log(x))


def _power_shown(node: Any) -> str:
    """Give torch's name: another for an exponent with a history, and another for a number's power."""
    x, y = node.inputs
    return "PowBackward0" if y is None else "PowBackward1" if x is not None else "PowBackward2"


power = elementwise("pow", _power, partials=[_power_x, _power_y], domain=POSITIVE, shown=_power_shown)
float_mod = elementwise("fmod", np.fmod, partials=[1, lambda x, y: -trunc(x / y)], domain=POSITIVE)


def _remainder(x: Any, y: Any) -> Any:
    """Give what is left by floor division; a rest of zero has the sign of x, as torch's has."""
    r = np.remainder(x, y)
    return np.where(r == 0, np.copysign(r, x), r) if getattr(r, "dtype", None) in _SIGNED_ZEROS else r


_SIGNED_ZEROS = (np.float32, np.float64, np.float16, bfloat16.numpy)
remainder = elementwise("remainder", _remainder, partials=[1, lambda x, y: -floor_divide(x, y)], domain=POSITIVE)
floor_divide = elementwise("floor_divide", np.floor_divide, partials=[0, 0], domain=POSITIVE)
trunc_divide = elementwise("trunc_divide", lambda x, y: _trunc_divide(x, y), partials=[0, 0], domain=POSITIVE)


def _trunc_divide(x: Any, y: Any) -> Any:
    kind = getattr(x, "dtype", getattr(y, "dtype", None))
    if kind is not None and kind.kind in "iu":
        quotient = np.floor_divide(x, y)
        return quotient + ((np.remainder(x, y) != 0) & ((np.asarray(x) < 0) != (np.asarray(y) < 0)))
    return np.trunc(np.divide(x, y))


# -- exponentials and logarithms -----------------------------------------------------------------------------------
exp = elementwise("exp", np.exp, partials=[lambda out: out])
exp2 = elementwise("exp2", np.exp2, partials=[lambda out: out * LN2])
expm1 = elementwise("expm1", np.expm1, partials=[lambda out: out + 1])
log = elementwise("log", np.log, partials=[lambda x: 1 / x], domain=POSITIVE)
log2 = elementwise("log2", np.log2, partials=[lambda x: 1 / (x * LN2)], domain=POSITIVE)
log10 = elementwise("log10", np.log10, partials=[lambda x: 1 / (x * LN10)], domain=POSITIVE)
log1p = elementwise("log1p", np.log1p, partials=[lambda x: 1 / (x + 1)], domain=POSITIVE, shown="Log1PBackward0")
sqrt = elementwise("sqrt", np.sqrt, partials=[lambda out: 0.5 / out], domain=POSITIVE)
rsqrt = elementwise("rsqrt", lambda x: 1 / np.sqrt(x), partials=[lambda out: -0.5 * (out * out * out)], domain=POSITIVE)


def _logaddexp_share(x: Any, y: Any) -> Any:
    # exp(x - logaddexp(x, y)), which is 1/2 where both are the same infinity
    return sigmoid(where(x == y, 0.0, x - y))


logaddexp = elementwise("logaddexp", np.logaddexp, partials=[_logaddexp_share, lambda x, y: _logaddexp_share(y, x)])
logaddexp2 = elementwise(
    "logaddexp2",
    np.logaddexp2,
    partials=[
        lambda x, y: sigmoid(where(x == y, 0.0, (x - y) * LN2)),
        lambda x, y: sigmoid(where(x == y, 0.0, (y - x) * LN2)),
    ],
)
hypot = elementwise("hypot", np.hypot, partials=[lambda out, x: x / out, lambda out, y: y / out], domain=POSITIVE)

# -- trigonometric and hyperbolic ----------------------------------------------------------------------------------
sin = elementwise("sin", np.sin, partials=[lambda x: cos(x)])
cos = elementwise("cos", np.cos, partials=[lambda x: -sin(x)])
tan = elementwise("tan", np.tan, partials=[lambda out: 1 + out * out], domain=(-1.2, 1.2))
asin = elementwise("asin", np.arcsin, partials=[lambda x: rsqrt(1 - x * x)], domain=UNIT)
acos = elementwise("acos", np.arccos, partials=[lambda x: -rsqrt(1 - x * x)], domain=UNIT)
atan = elementwise("atan", np.arctan, partials=[lambda x: 1 / (x * x + 1)])
atan2 = elementwise(
    "atan2",
    np.arctan2,
    partials=[lambda x, y: y / _square_sum(x, y), lambda x, y: -x / _square_sum(x, y)],
    domain=POSITIVE,
)


def _square_sum(x: Any, y: Any) -> Any:
    s = x * x + y * y
    return where(s == 0, 1.0, s)  # the slope at the origin is taken as 0


sinh = elementwise("sinh", np.sinh, partials=[lambda x: cosh(x)])
cosh = elementwise("cosh", np.cosh, partials=[lambda x: sinh(x)])
tanh = elementwise("tanh", np.tanh, partials=[lambda out: 1 - out * out])
asinh = elementwise("asinh", np.arcsinh, partials=[lambda x: rsqrt(x * x + 1)])
acosh = elementwise("acosh", np.arccosh, partials=[lambda x: _acosh_slope(x)], domain=(1.2, 4.0))
atanh = elementwise("atanh", np.arctanh, partials=[lambda x: 1 / (1 - x * x)], domain=UNIT)


def _acosh_slope(x: Any) -> Any:
    # complex: root by root, since the root of a product may be minus the product of the roots
    return rsqrt(x + -1) * rsqrt(x + 1) if typeof(x).dtype.kind == "c" else rsqrt(x * x - 1)


sinc = elementwise("sinc", lambda x: np.sinc(x).astype(x.dtype), partials=[lambda x: _sinc_slope(x)])


def _sinc_slope(x: Any) -> Any:
    safe = where(x == 0, 1.0, x) * math.pi
    return where(x == 0, 0.0, math.pi * (safe * cos(safe) - sin(safe)) / (safe * safe))


# -- the error function's family, written once in special.py ----------------------------------------------------------
erf = elementwise("erf", special.erf, partials=[lambda x: TWO_OVER_SQRT_PI * exp(-(x * x))])
erfc = elementwise("erfc", special.erfc, partials=[lambda x: -TWO_OVER_SQRT_PI * exp(-(x * x))])
erfinv = elementwise(
    "erfinv", special.erfinv, partials=[lambda out: (1 / TWO_OVER_SQRT_PI) * exp(out * out)], domain=UNIT
)
lgamma = elementwise("lgamma", special.lgamma, partials=[lambda x: digamma(x)], domain=POSITIVE)
digamma = elementwise("digamma", special.digamma, partials=[lambda x: polygamma(x, n=1)], domain=POSITIVE)
polygamma = elementwise(
    "polygamma",
    lambda x, *, n: special.polygamma(n, x),
    partials=[lambda x, n: polygamma(x, n=n + 1)],
    domain=POSITIVE,
    attrs={"n": 1},
)

# -- activations that are primitives ---------------------------------------------------------------------------------
sigmoid = elementwise("sigmoid", special.expit, partials=[lambda out: out * (1 - out)])


# 1 above zero and for NaN, else 0, in the operand's dtype, so that the slope of a slope is there, and zero
step = elementwise("step", lambda x: np.logical_not(x <= 0).astype(x.dtype), partials=[0], domain=POSITIVE)
relu = elementwise("relu", rectify, partials=[lambda out: step(out)], domain=POSITIVE)
softplus = elementwise("softplus", lambda x: np.logaddexp(x, 0), partials=[lambda x: sigmoid(x)])

# -- choice ----------------------------------------------------------------------------------------------------------


def _ties(x: Any, y: Any) -> Any:
    # 1 where x wins, 1/2 where they are equal: torch shares the gradient of a tie, and gives it to both beside a NaN
    return where(x == y, 0.5, 1 - like(x < y, x))


maximum = elementwise("maximum", np.maximum, partials=[lambda x, y: _ties(x, y), lambda x, y: _ties(y, x)])
minimum = elementwise("minimum", np.minimum, partials=[lambda x, y: _ties(y, x), lambda x, y: _ties(x, y)])
fmax = elementwise(
    "fmax", np.fmax, partials=[lambda x, y: like((x >= y) + isnan(y), x), lambda x, y: 1 - like((x >= y) + isnan(y), x)]
)
fmin = elementwise(
    "fmin", np.fmin, partials=[lambda x, y: like((x <= y) + isnan(y), x), lambda x, y: 1 - like((x <= y) + isnan(y), x)]
)


def _clamp(x: Any, *, min: Any, max: Any) -> Any:
    if x.dtype.kind == "V":
        min, max = (None if v is None else x.dtype.type(v) for v in (min, max))
    if min is None:
        return np.minimum(x, max)
    if max is None:
        return np.maximum(x, min)
    return np.minimum(np.maximum(x, min), max)


def _within(x: Any, *, min: Any, max: Any) -> Any:
    if min is None:
        return x <= max
    if max is None:
        return x >= min
    return (x >= min) * (x <= max)


clamp = elementwise("clamp", _clamp, partials=[_within], attrs={"min": -1.0, "max": 1.0}, shown="ClampBackward1")


def _choose(cond: Any, x: Any, y: Any) -> Any:
    found = select(cond, x, y)
    if _scalar(x) != _scalar(y):  # beside a number NumPy takes a bfloat16 array for a float64 one
        d = y.dtype if _scalar(x) else x.dtype
        return found if found.dtype == d or d.kind != "V" else found.astype(d)
    return found


where = general(
    "where",
    _choose,
    type=lambda cond, x, y: TensorType(
        np.broadcast_shapes(*(k.shape for k in (cond, x, y) if k is not None)),
        (x or y).dtype if (x or y) else np.dtype(np.float64),
    ),
    names=("cond", "x", "y"),
    vjp=[None, lambda g, cond: where(cond, g, 0.0), lambda g, cond: where(cond, 0.0, g)],
    jvp=[None, lambda t, cond: where(cond, t, 0.0), lambda t, cond: where(cond, 0.0, t)],
    batch=batching.spread,
    samples=tuple({**c, "dtypes": ("bool", None, None)} for c in CASES[3]),
    broadcasts=True,
)
where.layout = strides.as_operands


# -- rounding (slope zero everywhere it has one) ---------------------------------------------------------------------
def _integers_pass(fn: Any) -> Any:
    return lambda x: x.copy() if x.dtype.kind in "iub" else fn(x)


floor = elementwise("floor", _integers_pass(np.floor), partials=[0])
ceil = elementwise("ceil", _integers_pass(np.ceil), partials=[0])
trunc = elementwise("trunc", _integers_pass(np.trunc), partials=[0])


def _round(x: Any, *, decimals: int = 0) -> Any:
    return np.round(x, decimals) if decimals else np.rint(x) if x.dtype.kind not in "iub" else x.copy()


round_ = elementwise("round", _round, partials=[0])
frac = elementwise("frac", lambda x: x - np.trunc(x), partials=[1])

# -- comparisons, logic, bits ------------------------------------------------------------------------------------------
_PAIR = ("x", "y")
eq = elementwise("eq", np.equal, partials=None, names=_PAIR, result="bool")
ne = elementwise("ne", np.not_equal, partials=None, names=_PAIR, result="bool")
lt = elementwise("lt", np.less, partials=None, names=_PAIR, result="bool")
le = elementwise("le", np.less_equal, partials=None, names=_PAIR, result="bool")
gt = elementwise("gt", np.greater, partials=None, names=_PAIR, result="bool")
ge = elementwise("ge", np.greater_equal, partials=None, names=_PAIR, result="bool")
isnan = elementwise("isnan", np.isnan, partials=None, result="bool")
isinf = elementwise("isinf", np.isinf, partials=None, result="bool")
isfinite = elementwise("isfinite", np.isfinite, partials=None, result="bool")
signbit = elementwise(
    "signbit", lambda x: np.signbit(x) if x.dtype.kind not in "iub" else x < 0, partials=None, result="bool"
)
logical_and = elementwise("logical_and", np.logical_and, partials=None, names=_PAIR, result="bool")
logical_or = elementwise("logical_or", np.logical_or, partials=None, names=_PAIR, result="bool")
logical_xor = elementwise("logical_xor", np.logical_xor, partials=None, names=_PAIR, result="bool")
logical_not = elementwise("logical_not", np.logical_not, partials=None, result="bool")
INTEGERS: tuple[dict[str, Any], ...] = ({"shapes": ((3, 4), (3, 4)), "dtype": "int64"},)
bitwise_and = elementwise("bitwise_and", np.bitwise_and, partials=None, names=_PAIR, samples=INTEGERS)
bitwise_or = elementwise("bitwise_or", np.bitwise_or, partials=None, names=_PAIR, samples=INTEGERS)
bitwise_xor = elementwise("bitwise_xor", np.bitwise_xor, partials=None, names=_PAIR, samples=INTEGERS)
bitwise_not = elementwise(
    "bitwise_not", np.bitwise_not, partials=None, samples=({"shapes": ((3, 4),), "dtype": "int64"},)
)
left_shift = elementwise("bitwise_left_shift", np.left_shift, partials=None, names=_PAIR, samples=INTEGERS)
right_shift = elementwise("bitwise_right_shift", np.right_shift, partials=None, names=_PAIR, samples=INTEGERS)
gcd = elementwise("gcd", np.gcd, partials=None, names=_PAIR, samples=INTEGERS)
lcm = elementwise("lcm", np.lcm, partials=None, names=_PAIR, samples=INTEGERS)
copysign = elementwise(
    "copysign", np.copysign, partials=[lambda out, x: where(x == 0, 0.0, out / x), 0], domain=POSITIVE
)
nextafter = elementwise(
    "nextafter", np.nextafter, partials=[lambda x, y: sign(x - y) * sign(x - y), 0], domain=POSITIVE
)
heaviside = elementwise(
    "heaviside", lambda x, y: np.where(x == 0, y, x > 0).astype(x.dtype), partials=None, names=_PAIR
)
