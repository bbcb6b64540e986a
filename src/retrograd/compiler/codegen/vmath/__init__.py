"""Mathematics on lanes: every function takes Lanes of float32 or float64 (or float16, bfloat16: float32's) and operands.

Errors are in docstrings, measured over all binades; zeros, infinities, NaN and subnormal numbers are as in C.
"""

from collections.abc import Callable

from .exponential import cosh, exp, exp2, expm1, sigmoid, sinh, tanh
from .logarithm import acosh, asinh, atanh, cbrt, hypot, log, log1p, log2, log10, logaddexp, pow, rsqrt, softplus
from .special import erf, erfc, floor_divide, fmod, remainder
from .trigonometric import acos, asin, atan, atan2, cos, sin, tan

UNARY: dict[str, Callable[..., str]] = {
    f.__name__: f
    for f in (exp, exp2, expm1, log, log2, log10, log1p, tanh, sigmoid, softplus, erf, erfc, sin, cos, tan, sinh, cosh)
    + (asinh, acosh, atanh, asin, acos, atan, rsqrt, cbrt)
}
BINARY: dict[str, Callable[..., str]] = {
    f.__name__: f for f in (pow, atan2, hypot, fmod, remainder, floor_divide, logaddexp)
}

__all__ = [
    "UNARY", "BINARY", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "tanh", "sigmoid", "softplus",
    "erf", "erfc", "sin", "cos", "tan", "sinh", "cosh", "asinh", "acosh", "atanh", "asin", "acos", "atan", "rsqrt",
    "cbrt", "pow", "atan2", "hypot", "fmod", "remainder", "floor_divide", "logaddexp",
]  # fmt: skip
