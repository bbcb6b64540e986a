"""Sines, tangents, and their inverses.

Arguments are reduced as x = n pi/2 + r in three steps, each a fused multiplication (Cody and Waite, 1980; Muller et al.,
"Handbook of Floating-Point Arithmetic", ch. 11). Beyond the range where that is right, which no usual program reaches,
the lanes are given to C's library one by one.
In every docstring the figure is the largest error measured, in units in the last place, of float32 and of float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..emit import Value
from ..lanes import Lanes
from .base import FAST_GOAL, integer_of, nearest, pair, polynomial, strict, through_f64, where

# pi/2 in three parts, and the largest |x| that they reduce
PARTS = {
    "float": ((1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15), 20000.0),
    "double": ((1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33), 800000.0),
}


def _circle(l: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """Give sin(r), cos(r) and the quadrant n (integer lanes) of x = n pi/2 + r."""
    parts, _ = PARTS[l.item]
    n, shifted = nearest(l, x, 2 / math.pi)
    minus = l.neg(n)
    r = x
    for part in parts[: 2 if l.goal == FAST_GOAL else 3]:
        r = l.fma(minus, l.const(part), r)
    z = l.mul(r, r)
    sine = l.fma(l.mul(z, r), polynomial(l, "SIN", z), r)
    cosine = l.fma(z, l.const(-0.5), l.const(1))
    if l.item == "double" and l.goal != FAST_GOAL:  # what 1 - z/2 dropped is as large as the last bits wanted
        lost = l.fma(z, l.const(-0.5), l.sub(l.const(1), cosine))
        cosine = l.add(cosine, l.fma(l.mul(z, z), polynomial(l, "COS", z), lost))
    else:
        cosine = l.fma(l.mul(z, z), polynomial(l, "COS", z), cosine)
    return sine, cosine, integer_of(l, shifted)


def _turned(l: Lanes, x: Value, quarter: int) -> Value:
    """sin(x + quarter pi/2)."""
    sine, cosine, n = _circle(l, x)
    ints = l.ints
    n = ints.add(n, ints.const(quarter)) if quarter else n
    odd = ints.compare("ne", ints.and_(n, ints.const(1)), ints.const(0))
    sign = ints.shift("shl", ints.and_(n, ints.const(2)), 8 * ints.row.size - 2)
    return l.from_bits(ints.xor(l.bits(l.select(odd, cosine, sine)), sign))


def _guarded(l: Lanes, x: Value, name: str, usual: Callable[[Value], Value]) -> Value:
    """The usual way, and C's function where some lane is too large for it."""
    large = l.compare("ogt", l.abs(x), l.const(PARTS[l.item][1]))

    def one_by_one() -> list[Value]:
        value = usual(l.select(large, l.const(0), x))
        f, item, double = l.f, l.item, l.item == "double"
        callee = f.module.declare(name, "double", ["double"])
        numbers, results, flags = f.alloca(item, l.width), f.alloca(item, l.width), f.alloca("i8", l.width)
        for lanes, values, place in ((l, x, numbers), (l, value, results), (l.of("bool"), large, flags)):
            lanes.store(values, place)
        with f.loop(0, l.width) as lane:
            flag = f.load("i8", f.byte(flags, lane))
            with f.if_(f.op(f"icmp ne i8 {flag}, 0")):
                number = f.load(item, f.element(item, numbers, lane))
                number = number if double else f.op(f"fpext float {number} to double")
                result = f.call(callee, "double", [("double", number)])
                result = result if double else f.op(f"fptrunc double {result} to float")
                f.store(item, result, f.element(item, results, lane))
        return [l.load(results)]

    return l.f.choose(l.any(large), [l.type], one_by_one, lambda: [usual(x)], unlikely=True)[0]


def sin(l: Lanes, x: Value) -> Value:
    """The sine; 1.51 and 1.43 ulp."""
    l = strict(l)
    value = _guarded(l, x, "sin", lambda x: _turned(l, x, 0))
    return where(l, "eq", x, 0.0, x, value)


def cos(l: Lanes, x: Value) -> Value:
    """The cosine; 1.52 and 1.44 ulp."""
    l = strict(l)
    return _guarded(l, x, "cos", lambda x: _turned(l, x, 1))


@through_f64
def tan(l: Lanes, x: Value) -> Value:
    """The tangent; 0.5 and 2.85 ulp."""

    def usual(x: Value) -> Value:
        sine, cosine, n = _circle(l, x)
        ints = l.ints
        odd = ints.compare("ne", ints.and_(n, ints.const(1)), ints.const(0))
        return l.div(l.select(odd, l.neg(cosine), sine), l.select(odd, sine, cosine))

    return where(l, "eq", x, 0.0, x, _guarded(l, x, "tan", usual))


def _asin_series(l: Lanes, t: Value, z: Value) -> Value:
    """asin(t) - t for z = t^2."""
    return l.mul(l.mul(t, z), polynomial(l, "ASIN", z))


@through_f64
def asin(l: Lanes, x: Value) -> Value:
    """The arc sine; beyond 1/2 from asin(a) = pi/2 - 2 asin(sqrt((1 - a) / 2)). NaN beyond 1; 0.5 and 2.2 ulp."""
    a = l.abs(x)
    near = l.compare("lt", a, l.const(0.5))
    z = l.select(near, l.mul(a, a), l.fma(a, l.const(-0.5), l.const(0.5)))
    t = l.select(near, a, l.sqrt(z))
    rest = _asin_series(l, t, z)
    high, low = pair(l, "half_pi")
    value = l.add(t, rest)
    far = l.sub(high, l.fma(value, l.const(2), l.neg(low)))
    return l.copysign(l.select(near, value, far), x)


@through_f64
def acos(l: Lanes, x: Value) -> Value:
    """The arc cosine; NaN beyond 1; 0.5 and 1.2 ulp."""
    a = l.abs(x)
    near = l.compare("lt", a, l.const(0.5))
    z = l.select(near, l.mul(a, a), l.fma(a, l.const(-0.5), l.const(0.5)))
    t = l.select(near, x, l.sqrt(z))
    rest = _asin_series(l, t, z)
    high, low = pair(l, "half_pi")
    middle = l.sub(high, l.sub(t, l.sub(low, rest)))
    value = l.add(t, rest)
    right = l.add(value, value)
    pi, pi_low = pair(l, "pi")
    left = l.sub(pi, l.sub(right, pi_low))
    return l.select(near, middle, where(l, "lt", x, 0.0, left, right))


def _arc(l: Lanes, up: Value, down: Value) -> Value:
    """atan(up / down) for 0 <= up <= down, down > 0."""
    beyond = l.compare("gt", up, l.mul(down, l.const(math.sqrt(2) - 1)))
    above = l.select(beyond, l.sub(up, down), up)
    below = l.select(beyond, l.add(up, down), down)
    t = l.div(above, below)
    z = l.mul(t, t)
    high, low = pair(l, "quarter_pi")
    series = l.mul(l.mul(t, z), polynomial(l, "ATAN", z))
    turned = l.add(high, l.add(t, l.add(series, low)))
    return l.select(beyond, turned, l.add(t, series))


@through_f64
def atan(l: Lanes, x: Value) -> Value:
    """The arc tangent; 0.5 and 1.7 ulp."""
    a = l.abs(x)
    large = l.compare("gt", a, l.const(1))
    # Beyond 2^60 the arc is pi/2 in every bit.
    down = l.select(large, l.select(l.compare("gt", a, l.const(2.0**60)), l.const(2.0**60), a), l.const(1))
    value = _arc(l, l.select(large, l.const(1), a), down)
    high, low = pair(l, "half_pi")
    value = l.select(large, l.add(l.sub(high, value), low), value)
    return l.copysign(l.select(l.isnan(x), x, value), x)


@through_f64
def atan2(l: Lanes, y: Value, x: Value) -> Value:
    """The angle of (x, y), with C's values at zeros and infinities; 0.5 and 1.7 ulp."""
    a, b = l.abs(y), l.abs(x)
    steep = l.compare("gt", a, b)
    up, down = l.select(steep, b, a), l.select(steep, a, b)
    both = l.compare("eq", up, l.const(math.inf))
    up, down = l.select(both, l.const(1), up), l.select(both, l.const(1), down)
    infinite = l.compare("eq", down, l.const(math.inf))
    up, down = l.select(infinite, l.const(0), up), l.select(infinite, l.const(1), down)
    down = where(l, "eq", down, 0.0, l.const(1), down)
    if l.goal != FAST_GOAL:
        factor = where(l, "gt", down, 2.0**1000, l.const(2.0**-30), l.const(1))
        up, down = l.mul(up, factor), l.mul(down, factor)
    value = _arc(l, up, down)
    high, low = pair(l, "half_pi")
    value = l.select(steep, l.add(l.sub(high, value), low), value)
    pi, pi_low = pair(l, "pi")
    behind = l.ints.compare("lt", l.bits(x), l.ints.const(0))  # -0 too
    value = l.select(behind, l.add(l.sub(pi, value), pi_low), value)
    value = l.copysign(value, y)
    return l.select(l.compare("uno", x, y), l.add(x, y), value)
