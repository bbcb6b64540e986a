"""Logarithms and sums of exponentials, inverse hyperbolic functions, powers, and roots.

In every docstring the figure is the largest error measured, in units in the last place, of float32 and of float64.
"""

from __future__ import annotations

import math

from ..emit import Value
from ..lanes import Lanes
from .base import (
    FAST_GOAL,
    PAIRS,
    at_most,
    fast_two_sum,
    mantissa,
    pair,
    polynomial,
    power,
    strict,
    through_f64,
    two_product,
    two_sum,
    where,
)
from .exponential import exp, exp_pair

ROOT_HALF = {"float": 0x3F3504F3, "double": 0x3FE6A09E667F3BCD}  # the bits of sqrt(1/2)
SMALLEST = {"float": 2.0**-126, "double": 2.0**-1022}  # normal number


def split(l: Lanes, x: Value) -> tuple[Value, Value]:
    """Give m in [sqrt(1/2), sqrt(2)) and floating k with x = m 2^k, for x > 0; subnormal numbers are scaled first."""
    ints, digits = l.ints, mantissa(l)
    lift = None
    if l.goal != FAST_GOAL:
        tiny = l.compare("lt", x, l.const(SMALLEST[l.item]))
        x = l.select(tiny, l.mul(x, l.const(2.0**digits)), x)
        lift = l.select(tiny, l.const(-digits), l.const(0))
    bits = l.bits(x)
    k = ints.shift("ashr", ints.sub(bits, ints.const(ROOT_HALF[l.item])), digits)
    m = l.from_bits(ints.sub(bits, ints.shift("shl", k, digits)))
    exponent = floated(l, k)
    return m, exponent if lift is None else l.add(exponent, lift)


def floated(l: Lanes, k: Value) -> Value:
    """Integers below 2^31 as floating numbers; through i32, which every machine converts."""
    if l.item == "double":
        k = l.f.op(f"trunc {l.ints.type} {k} to {l.of('i32').type}")
    return l.f.op(f"sitofp {l.of('i32').type} {k} to {l.type}")


def _near_one(l: Lanes, f: Value, k: Value) -> Value:
    """ln(1 + f) + k ln 2 for 1 + f within sqrt(2) of 1."""
    z = l.mul(f, f)
    high, low = pair(l, "ln2")
    if l.item == "double":  # s (f^2/2 + R(s)) + f - f^2/2, the form of fdlibm's e_log.c
        s = l.div(f, l.add(f, l.const(2)))
        zz = l.mul(s, s)
        half = l.mul(z, l.const(0.5))
        tail = l.fma(s, l.fma(polynomial(l, "ATANH", zz), zz, half), l.mul(k, low))
        return l.fma(k, high, l.sub(f, l.sub(half, tail)))
    tail = l.fma(l.mul(polynomial(l, "LOG", f), f), z, l.mul(k, low))
    tail = l.fma(z, l.const(-0.5), tail)
    return l.fma(k, high, l.add(f, tail))


def _edges(l: Lanes, x: Value, value: Value, zero: float) -> Value:
    """Put a logarithm's value at infinity, at ``zero`` (-inf), and below it (NaN)."""
    value = where(l, "eq", x, math.inf, x, value)
    outside = where(l, "eq", x, zero, l.const(-math.inf), l.const(math.nan))
    return where(l, "gt", x, zero, value, outside)


def log(l: Lanes, x: Value) -> Value:
    """The natural logarithm; 0.77 and 0.78 ulp."""
    l = strict(l)
    m, k = split(l, x)
    return _edges(l, x, _near_one(l, l.sub(m, l.const(1)), k), 0.0)


def log1p(l: Lanes, x: Value) -> Value:
    """ln(1 + x): f with (1 + x) 2^-k = 1 + f is found from x itself, so that small x lose nothing; 1.34 and 1.33 ulp."""
    l = strict(l)
    ints, digits = l.ints, mantissa(l)
    u = l.add(x, l.const(1))
    bits = l.bits(u)
    k = ints.shift("ashr", ints.sub(bits, ints.const(ROOT_HALF[l.item])), digits)
    large = l.compare("gt", x, l.const(2.0**60))  # then 1 is nothing beside x, and 2^-k may be too small
    t = power(l, ints.sub(ints.const(0), k))
    f = l.fma(x, t, l.sub(t, l.const(1)))
    m = l.sub(l.from_bits(ints.sub(bits, ints.shift("shl", k, digits))), l.const(1))
    value = _near_one(l, l.select(large, m, f), floated(l, k))
    tiny = l.compare("lt", l.abs(x), l.const(2.0 ** -(digits + 2)))
    return _edges(l, x, l.select(tiny, x, value), -1.0)


def log1p_of_unit(l: Lanes, x: Value) -> Value:
    """ln(1 + x) for 0 <= x <= 1, or NaN: there is one reduction to choose, and no edge."""
    above = l.compare("gt", x, l.const(math.sqrt(2) - 1))
    f = l.select(above, l.fma(x, l.const(0.5), l.const(-0.5)), x)
    return _near_one(l, f, l.select(above, l.const(1), l.const(0)))


def softplus(l: Lanes, x: Value) -> Value:
    """ln(1 + e^x) = max(x, 0) + log1p(e^-|x|); 1.6 and 1.64 ulp."""
    l = strict(l)
    rest = log1p_of_unit(l, exp(l, l.neg(l.abs(x))))
    return l.add(where(l, "lt", x, 0.0, l.const(0), x), rest)


def logaddexp(l: Lanes, a: Value, b: Value) -> Value:
    """ln(e^a + e^b) = max(a, b) + log1p(e^-|a - b|); 1.6 ulp of the larger term, with which it may cancel."""
    l = strict(l)
    gap = l.select(l.compare("eq", a, b), l.const(0), l.neg(l.abs(l.sub(a, b))))
    return l.add(l.maximum(a, b), log1p_of_unit(l, exp(l, gap)))


def _log_pair(l: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """Give ln m as a number twice as long, and k, for x = m 2^k: 2 atanh(s) of s = f / (2 + f), each to about 2^-66."""
    m, k = split(l, x)
    f = l.sub(m, l.const(1))
    d, d_low = fast_two_sum(l, l.const(2), f)
    s = l.div(f, d)
    s_low = l.div(l.sub(l.fma(l.neg(s), d, f), l.mul(s, d_low)), d)
    z, z_low = two_product(l, s, s)
    z_low = l.fma(l.add(s, s), s_low, z_low)
    # 2/3 s z, twice as long, then the rest of the series, which is small enough to be short
    third = 2 / 3
    c, c_low = two_product(l, z, l.const(third))
    c_low = l.fma(z, l.const(3.7007434154171886e-17), l.fma(z_low, l.const(third), c_low))
    c_low = l.fma(l.mul(z, z), polynomial(l, "ATANH5", z), c_low)
    c, c_low = fast_two_sum(l, c, c_low)
    c, c_low = _plus_two(l, c, c_low)
    value, low = two_product(l, s, c)
    low = l.fma(s, c_low, l.fma(s_low, c, low))
    value, low = fast_two_sum(l, value, low)
    return value, low, k


def _plus_two(l: Lanes, c: Value, c_low: Value) -> tuple[Value, Value]:
    total, rest = fast_two_sum(l, l.const(2), c)
    return fast_two_sum(l, total, l.add(rest, c_low))


def _log_to_base(l: Lanes, x: Value, factor: str, unit: tuple[float, float]) -> tuple[Value, Value]:
    """log(x) to a base as a number twice as long: k * unit + ln(m) * factor."""
    value, low, k = _log_pair(l, x)
    high_factor, low_factor = pair(l, factor)
    product, rest = two_product(l, value, high_factor)
    rest = l.add(rest, l.fma(value, low_factor, l.mul(low, high_factor)))
    whole, whole_low = two_product(l, k, l.const(unit[0]))
    total, lost = two_sum(l, whole, product)
    lost = l.add(lost, l.add(rest, l.fma(k, l.const(unit[1]), whole_low)))
    return fast_two_sum(l, total, lost)


@through_f64
def log2(l: Lanes, x: Value) -> Value:
    """The logarithm to base 2, exact at powers of 2; 0.5 ulp."""
    if l.goal == FAST_GOAL:
        m, k = split(l, x)
        value = l.fma(_near_one(l, l.sub(m, l.const(1)), l.const(0)), l.const(math.log2(math.e)), k)
    else:
        value = _log_to_base(l, x, "log2e", (1.0, 0.0))[0]
    return _edges(l, x, value, 0.0)


@through_f64
def log10(l: Lanes, x: Value) -> Value:
    """The logarithm to base 10, exact at powers of 10; 0.5 ulp."""
    if l.goal == FAST_GOAL:
        m, k = split(l, x)
        high, _ = pair(l, "log10_2")
        near = _near_one(l, l.sub(m, l.const(1)), l.const(0))
        value = l.fma(near, l.const(math.log10(math.e)), l.mul(k, high))
    else:
        value = _log_to_base(l, x, "log10e", PAIRS["log10_2"][53])[0]
    return _edges(l, x, value, 0.0)


@through_f64
def asinh(l: Lanes, x: Value) -> Value:
    """The inverse hyperbolic sine: log1p(a + a^2 / (1 + sqrt(a^2 + 1))); 0.5 and 1.8 ulp."""
    a = l.abs(x)
    large = l.compare("gt", a, l.const(2.0**60))
    s = at_most(l, a, 2.0**60)
    z = l.mul(s, s)
    small = l.add(s, l.div(z, l.add(l.const(1), l.sqrt(l.add(z, l.const(1))))))
    value = log1p(l, l.select(large, a, small))
    value = l.add(value, l.select(large, l.const(math.log(2)), l.const(0)))
    return l.copysign(value, x)


@through_f64
def acosh(l: Lanes, x: Value) -> Value:
    """The inverse hyperbolic cosine: log1p(t + sqrt(2t + t^2)) of t = x - 1; NaN below 1; 0.5 and 2 ulp."""
    t = l.sub(x, l.const(1))
    large = l.compare("gt", x, l.const(2.0**60))
    s = at_most(l, t, 2.0**60)
    small = l.add(s, l.sqrt(l.fma(s, s, l.add(s, s))))
    value = log1p(l, l.select(large, x, small))
    value = l.add(value, l.select(large, l.const(math.log(2)), l.const(0)))
    return where(l, "lt", x, 1.0, l.const(math.nan), value)


@through_f64
def atanh(l: Lanes, x: Value) -> Value:
    """The inverse hyperbolic tangent: log1p(2a / (1 - a)) / 2; NaN beyond 1; 0.5 and 1.9 ulp."""
    a = l.abs(x)
    value = l.mul(log1p(l, l.div(l.add(a, a), l.sub(l.const(1), a))), l.const(0.5))
    return l.copysign(where(l, "gt", a, 1.0, l.const(math.nan), value), x)


@through_f64
def pow(l: Lanes, x: Value, y: Value) -> Value:
    """x^y with C's special values: pow(x, 0) = pow(1, y) = 1, NaN of a negative x only where y is no integer; 0.5 and 0.94 ulp."""
    a, masks = l.abs(x), l.of("bool")
    infinite = l.compare("eq", a, l.const(math.inf))
    zero = l.compare("eq", a, l.const(0))
    edge = l.select(zero, l.const(-math.inf), a)
    if l.goal == FAST_GOAL:
        m, k = split(l, a)
        value = l.fma(_near_one(l, l.sub(m, l.const(1)), l.const(0)), l.const(math.log2(math.e)), k)
        logarithm = l.select(masks.or_(infinite, zero), edge, value)
        limited = at_most(l, l.mul(y, logarithm), 300.0)
        high, low = where(l, "lt", limited, -300.0, l.const(-300), limited), l.const(0)
    else:
        value, rest = _log_to_base(l, a, "log2e", (1.0, 0.0))
        special = masks.or_(infinite, zero)
        value, rest = l.select(special, edge, value), l.select(special, l.const(0), rest)
        high, lost = two_product(l, y, value)
        low = l.fma(y, rest, lost)
    result = _signed(l, x, y, exp_pair(l, high, low))
    result = l.select(l.compare("uno", x, y), l.add(x, y), result)
    one = masks.or_(l.compare("eq", x, l.const(1)), l.compare("eq", y, l.const(0)))
    turning = masks.and_(l.compare("eq", x, l.const(-1)), l.compare("eq", l.abs(y), l.const(math.inf)))
    return l.select(masks.or_(one, turning), l.const(1), result)


def _signed(l: Lanes, x: Value, y: Value, value: Value) -> Value:
    """Give |x|^y the sign that x^y has, or NaN."""
    masks = l.of("bool")
    half = l.mul(y, l.const(0.5))
    whole = l.compare("eq", l.trunc(y), y)
    odd = masks.and_(whole, l.compare("ne", l.trunc(half), half))
    value = l.select(odd, l.copysign(value, x), value)
    finite = masks.and_(l.compare("lt", x, l.const(0)), l.compare("gt", x, l.const(-math.inf)))
    undefined = masks.and_(finite, masks.not_(whole))
    return l.select(undefined, l.const(math.nan), value)


def rsqrt(l: Lanes, x: Value) -> Value:
    """1 / sqrt(x), in the two roundings that NumPy takes; 1.48 and 1.49 ulp."""
    l = strict(l)
    return l.div(l.const(1), l.sqrt(x))


@through_f64
def cbrt(l: Lanes, x: Value) -> Value:
    """The cube root: a first value from 2^(log2(a) / 3), then one step of Halley's iteration; 0.5 ulp."""
    quick = l.of("f64")
    quick.goal = FAST_GOAL
    a = l.abs(x)
    back = None
    if l.goal != FAST_GOAL:  # the steps below would leave the range of normal numbers
        tiny, huge = l.compare("lt", a, l.const(2.0**-900)), l.compare("gt", a, l.const(2.0**900))
        factor = l.select(tiny, l.const(2.0**162), l.select(huge, l.const(2.0**-162), l.const(1)))
        back = l.select(tiny, l.const(2.0**-54), l.select(huge, l.const(2.0**54), l.const(1)))
        a = l.mul(a, factor)
    m, k = split(quick, a)
    logarithm = l.fma(_near_one(quick, l.sub(m, l.const(1)), l.const(0)), l.const(math.log2(math.e)), k)
    limited = at_most(l, l.mul(logarithm, l.const(1 / 3)), 400.0)
    guess = exp_pair(quick, where(l, "lt", limited, -400.0, l.const(-400), limited), l.const(0))
    # Twenty-six bits of the guess, whose square is exact: the difference from a is then rounded once.
    y = l.from_bits(l.ints.and_(l.bits(guess), l.ints.const(-1 << 27)))
    square = l.mul(y, y)
    rest = l.fma(l.neg(square), y, a)
    step = l.div(rest, l.fma(l.add(square, square), y, a))
    root = l.fma(y, step, y)
    root = root if back is None else l.mul(root, back)
    edge = l.of("bool").or_(l.compare("eq", x, l.const(0)), l.compare("ueq", a, l.const(math.inf)))
    return l.select(edge, x, l.copysign(root, x))


@through_f64
def hypot(l: Lanes, x: Value, y: Value) -> Value:
    """sqrt(x^2 + y^2) without overflow on the way; infinite where either is, even beside NaN; 0.5 and 0.95 ulp."""
    a, b = l.abs(x), l.abs(y)
    if l.goal == FAST_GOAL:
        value = l.sqrt(l.fma(a, a, l.mul(b, b)))
    else:
        up, down = l.maximum(a, b), l.minimum(a, b)
        big, small = l.compare("gt", up, l.const(2.0**500)), l.compare("lt", up, l.const(2.0**-500))
        factor = l.select(big, l.const(2.0**-600), l.select(small, l.const(2.0**600), l.const(1)))
        back = l.select(big, l.const(2.0**600), l.select(small, l.const(2.0**-600), l.const(1)))
        up, down = l.mul(up, factor), l.mul(down, factor)
        value = l.mul(l.sqrt(l.fma(up, up, l.mul(down, down))), back)
    infinite = l.of("bool").or_(l.compare("eq", a, l.const(math.inf)), l.compare("eq", b, l.const(math.inf)))
    return l.select(infinite, l.const(math.inf), value)
