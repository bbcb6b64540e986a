"""Exponentials and what is made of them: sigmoid, hyperbolic functions.

Ranges are reduced as in Cody and Waite, "Software Manual for the Elementary Functions", 1980: x = n ln 2 + r. In every
docstring the figure is the largest error measured, in units in the last place, of float32 and of float64.
"""

from __future__ import annotations

import math

from ..emit import Value
from ..lanes import Lanes
from .base import (
    FAST_GOAL,
    at_least,
    at_most,
    fast_two_sum,
    nearest,
    pair,
    polynomial,
    power,
    scale,
    strict,
    through_f64,
    where,
)


def _limits(l: Lanes) -> tuple[float, float]:
    """Below the first e^x is 0, above the second infinite."""
    return (-746.0, 710.0) if l.item == "double" else (-104.0, 89.0)


def _reduced(l: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """Give e^r - 1 for x = n ln 2 + r, and n as :func:`nearest` does."""
    n, shifted = nearest(l, x, math.log2(math.e))
    high, low = pair(l, "ln2")
    minus = l.neg(n)
    r = l.fma(minus, high, x)
    r = l.fma(minus, low, r)
    return l.fma(l.mul(r, r), polynomial(l, "EXP", r), r), n, shifted


def exp(l: Lanes, x: Value) -> Value:
    """e^x; 0.96 and 1.04 ulp."""
    l = strict(l)
    low, high = _limits(l)
    e, n, shifted = _reduced(l, at_least(l, at_most(l, x, high), low))
    return scale(l, l.add(l.const(1), e), n, shifted)


def exp2(l: Lanes, x: Value) -> Value:
    """2^x; 0.82 and 0.88 ulp."""
    l = strict(l)
    low, high = (-1080.0, 1025.0) if l.item == "double" else (-152.0, 129.0)
    x = at_least(l, at_most(l, x, high), low)
    n, shifted = nearest(l, x, 1.0)
    f = l.sub(x, n)
    return scale(l, l.fma(f, polynomial(l, "EXP2", f), l.const(1)), n, shifted)


def _expm1_over(l: Lanes, x: Value, twos: int) -> Value:
    """(e^x - 1) / 2^twos, which does not overflow with e^x; not for tiny x, where that may not be exact."""
    e, _, shifted = _reduced(l, x)
    part = power(l, l.ints.sub(shifted, l.ints.const(twos)))
    return l.fma(part, e, l.sub(part, l.const(2.0**-twos)))


def expm1(l: Lanes, x: Value) -> Value:
    """e^x - 1 without cancellation; 1.5 and 2.2 ulp."""
    l = strict(l)
    high, low = (709.9, -38.0) if l.item == "double" else (88.9, -18.0)
    half = _expm1_over(l, at_least(l, at_most(l, x, high), low), 1)
    tiny = l.compare("lt", l.abs(x), l.const(2.0**-60 if l.item == "double" else 2.0**-30))
    return l.select(tiny, x, l.add(half, half))


def sigmoid(l: Lanes, x: Value) -> Value:
    """1 / (1 + e^-x): with e = e^-|x| and q = e / (1 + e), 1 - q on the right and e - eq on the left; 1.5 and 1.51 ulp."""
    l = strict(l)
    e = exp(l, l.neg(l.abs(x)))
    part = l.div(e, l.add(l.const(1), e))
    whole = where(l, "lt", x, 0.0, e, l.const(1))
    return l.fma(l.neg(whole), part, whole)


def tanh(l: Lanes, x: Value) -> Value:
    """The hyperbolic tangent; 1.13 and 2.6 ulp."""
    l = strict(l)
    a = l.abs(x)
    if l.item == "double":  # tanh(a) = -h / (h + 1) of h = (e^-2a - 1) / 2
        h = _expm1_over(l, at_least(l, l.mul(a, l.const(-2)), -40.0), 1)
        result = l.div(l.neg(h), l.add(h, l.const(1)))
        tiny = l.compare("lt", a, l.const(2.0**-40))
        return l.copysign(l.select(tiny, a, result), x)
    z = l.mul(x, x)
    near = l.fma(l.mul(z, a), polynomial(l, "TANH", z), a)
    limited = at_most(l, a, 10.0)
    e, _, shifted = _reduced(l, l.add(limited, limited))
    grown = l.fma(power(l, shifted), e, l.add(power(l, shifted), l.const(1)))  # e^2a + 1
    far = l.sub(l.const(1), l.div(l.const(2), grown))
    return l.copysign(where(l, "gt", a, 0.625, far, near), x)


def _limit(l: Lanes) -> float:
    """Where e^x / 2 is certainly too large for the result's type, and not yet for the arithmetic's."""
    return 200.0 if l.goal == FAST_GOAL else 710.6


@through_f64
def sinh(l: Lanes, x: Value) -> Value:
    """The hyperbolic sine: h + h / (2h + 1) of h = (e^|x| - 1) / 2; 0.5 and 2.4 ulp."""
    a = l.abs(x)
    h = l.mul(_expm1_over(l, at_most(l, a, _limit(l)), 2), l.const(2))
    small = at_most(l, h, 2.0**60)
    result = l.add(h, l.div(small, l.fma(small, l.const(2), l.const(1))))
    return l.copysign(l.select(l.compare("lt", a, l.const(2.0**-30)), a, result), x)


@through_f64
def cosh(l: Lanes, x: Value) -> Value:
    """The hyperbolic cosine: e + 1 / (4e) of e = e^|x| / 2; 0.5 and 1.5 ulp."""
    e = l.fma(_expm1_over(l, at_most(l, l.abs(x), _limit(l)), 2), l.const(2), l.const(0.5))
    return l.add(e, l.div(l.const(0.25), e))


def exp_pair(l: Lanes, high: Value, low: Value) -> Value:
    """2^(high + low) of a number twice as long, |low| tiny beside high; for powers."""
    x = at_least(l, at_most(l, high, 1025.0), -1080.0)
    n, shifted = nearest(l, x, 1.0)
    f, rest = fast_two_sum(l, l.sub(x, n), l.select(l.compare("eq", x, high), low, l.const(0)))
    value = l.fma(f, polynomial(l, "EXP2", f), l.const(1))
    value = l.fma(l.mul(value, rest), l.const(math.log(2)), value)
    return scale(l, value, n, shifted)
