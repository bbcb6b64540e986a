"""The error function, and the remainders of floating division.

In every docstring the figure is the largest error measured, in units in the last place, of float32 and of float64.
"""

from __future__ import annotations

import math

from ..emit import Value
from ..lanes import Lanes
from .base import FAST_GOAL, at_least, at_most, polynomial, strict, through_f64, where, widened
from .exponential import exp, exp2


def _erf_near(l: Lanes, x: Value) -> Value:
    """erf(x) for |x| <= 1."""
    return l.fma(x, polynomial(l, "ERF", l.mul(x, x)), x)


def erf(l: Lanes, x: Value) -> Value:
    """The error function; in float32, 1 - 2^-p(a) of a polynomial p beyond 1; 1.05 and 0.88 ulp."""
    l = strict(l)
    a = l.abs(x)
    near = _erf_near(l, at_least(l, at_most(l, x, 1.0), -1.0))
    if l.item == "double":
        far = l.sub(l.const(1), _erfc_far(l, at_least(l, at_most(l, a, 6.0), 0.5)))
    else:
        p = polynomial(l, "ERF_FAR", at_most(l, a, 4.0))
        far = l.sub(l.const(1), exp2(l, l.neg(p)))
    return where(l, "gt", a, 1.0, l.copysign(far, x), near)


def _erfc_far(l: Lanes, a: Value) -> Value:
    """erfc(a) for a >= 1/2: e^(-a^2) W / (1 + 2a), W a polynomial of (a - 4) / (a + 4) (Shepherd and Laframboise, 1981)."""
    t = l.div(l.sub(a, l.const(4)), l.add(a, l.const(4)))
    ratio = l.div(polynomial(l, "ERFCX", t), l.fma(a, l.const(2), l.const(1)))
    square = l.mul(a, a)
    lost = l.fma(a, a, l.neg(square))
    return l.mul(exp(l, l.neg(square)), l.fma(l.neg(lost), ratio, ratio))


@through_f64
def erfc(l: Lanes, x: Value) -> Value:
    """1 - erf(x) without cancellation; 0.5 and 3.6 ulp."""
    a = l.abs(x)
    near = l.sub(l.const(1), _erf_near(l, at_least(l, at_most(l, x, 1.0), -1.0)))
    far = _erfc_far(l, at_least(l, at_most(l, a, 10.5 if l.goal == FAST_GOAL else 28.0), 0.5))
    far = where(l, "lt", x, 0.0, l.sub(l.const(2), far), far)
    return where(l, "gt", a, 0.5, far, near)


def fmod(l: Lanes, x: Value, y: Value) -> Value:
    """x - y trunc(x / y), exact, with x's sign; C's function takes quotients above 2^28 (2^52 for float64)."""
    l = strict(l)
    wide = l
    a, b = l.abs(x), l.abs(y)
    if l.item != "double":
        wide, a = widened(l, a)
        b = widened(l, b)[1]
        wide.goal = 53
    ratio = wide.div(a, b)
    limit = 2.0**52 if l.item == "double" else 2.0**28
    huge = wide.of("bool").and_(
        wide.compare("oge", ratio, wide.const(limit)),
        wide.of("bool").and_(wide.compare("olt", a, wide.const(math.inf)), wide.compare("ogt", b, wide.const(0))),
    )

    def usual() -> list[Value]:
        whole = wide.trunc(ratio)
        rest = wide.fma(wide.neg(whole), b, a)
        rest = where(wide, "lt", rest, 0.0, wide.add(rest, b), rest)  # the ratio was rounded up to an integer
        rest = wide.select(wide.compare("olt", a, b), a, rest)  # b may be infinite
        rest = l.f.op(f"fptrunc {wide.type} {rest} to {l.type}") if wide is not l else rest
        return [l.copysign(rest, x)]

    def by_library() -> list[Value]:
        return [l.f.op(f"frem {l.type} {x}, {y}")]

    value = l.f.choose(l.any(huge), [l.type], by_library, usual, unlikely=True)[0]
    return l.select(l.compare("uno", x, y), l.add(x, y), value)


def remainder(l: Lanes, x: Value, y: Value) -> Value:
    """x - y floor(x / y), which has y's sign, zero too, as NumPy's and Python's %; exact up to its last sum."""
    rest = fmod(l, x, y)
    masks, zero = l.of("bool"), l.const(0)
    wrong = masks.xor(l.compare("lt", rest, zero), l.compare("lt", y, zero))
    nothing = l.compare("eq", rest, zero)
    return l.select(nothing, l.copysign(rest, y), l.select(wrong, l.add(rest, y), rest))


def floor_divide(l: Lanes, x: Value, y: Value) -> Value:
    """floor(x / y), found from the remainder so that it is right where x / y rounds up to an integer; exactly NumPy's //."""
    l = l.exact
    masks, zero, one = l.of("bool"), l.const(0), l.const(1)
    rest = fmod(l, x, y)
    ratio = l.div(x, y)
    whole = l.div(l.sub(x, rest), y)
    wrong = masks.xor(l.compare("lt", rest, zero), l.compare("lt", y, zero))
    wrong = masks.and_(wrong, l.compare("une", rest, zero))
    whole = l.select(wrong, l.sub(whole, one), whole)
    down = l.floor(whole)
    down = l.select(l.compare("ogt", l.sub(whole, down), l.const(0.5)), l.add(down, one), down)
    down = l.select(l.compare("eq", whole, zero), l.copysign(zero, ratio), down)
    return l.select(l.compare("eq", y, zero), ratio, down)
