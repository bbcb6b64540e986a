"""What the vector functions share: polynomials, powers of two, and float32 functions computed in float64."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable

from ..emit import Value
from ..lanes import Lanes
from .coefficients import POLYNOMIALS

FAST_GOAL = 34  # float64 arithmetic whose result is going to be rounded to float32


def mantissa(l: Lanes) -> int:
    """Bits behind the point of the lanes' type."""
    return 52 if l.item == "double" else 23


def bias(l: Lanes) -> int:
    """What is added to an exponent where it is kept."""
    return 1023 if l.item == "double" else 127


def polynomial(l: Lanes, name: str, x: Value) -> Value:
    """Evaluate one of the derived polynomials by Horner's rule."""
    first, *rest = POLYNOMIALS[name][l.goal]
    value = l.const(first)
    for coefficient in rest:
        value = l.fma(value, x, l.const(coefficient))
    return value


def pair(l: Lanes, name: str) -> tuple[Value, Value]:
    """Give a constant as the sum of two numbers of the lanes' type."""
    high, low = PAIRS[name][53 if l.item == "double" else 24]
    return l.const(high), l.const(low)


def at_most(l: Lanes, x: Value, high: float) -> Value:
    """The smaller of x and a number; NaN stays."""
    return l.select(l.compare("gt", x, l.const(high)), l.const(high), x)


def at_least(l: Lanes, x: Value, low: float) -> Value:
    """The larger of x and a number; NaN stays."""
    return l.select(l.compare("lt", x, l.const(low)), l.const(low), x)


def where(l: Lanes, predicate: str, x: Value, number: float, then: Value, other: Value) -> Value:
    """``then`` where x compares so with a number, else ``other``."""
    return l.select(l.compare(predicate, x, l.const(number)), then, other)


def nearest(l: Lanes, x: Value, factor: float) -> tuple[Value, Value]:
    """The integer nearest to x * factor: as a floating number, and as lanes whose lowest bits are the integer's.

    Adding 1.5 * 2^(mantissa bits) leaves the integer in the lowest bits; |x * factor| must be below 2^(mantissa bits - 2).
    """
    magic = l.const(1.5 * 2.0 ** mantissa(l))
    shifted = l.fma(x, l.const(factor), magic)
    return l.sub(shifted, magic), l.bits(shifted)


def power(l: Lanes, n: Value) -> Value:
    """2^n for integer lanes (or such as ``nearest`` gives) within the exponents of normal numbers."""
    ints = l.ints
    return l.from_bits(ints.shift("shl", ints.add(n, ints.const(bias(l))), mantissa(l)))


def scale(l: Lanes, x: Value, n: Value, shifted: Value) -> Value:
    """x * 2^n rounded once, also to subnormal numbers, zero and infinity; n, shifted as ``nearest`` gives them."""
    if l.goal == FAST_GOAL:
        return l.mul(x, power(l, shifted))
    if "avx512f" in l.f.module.features and l.width * l.row.size == 64:
        letters, bits = ("pd", "i8") if l.item == "double" else ("ps", "i16")
        name = f"llvm.x86.avx512.mask.scalef.{letters}.512"
        callee = l.f.module.declare(name, l.type, [l.type, l.type, l.type, bits, "i32"])
        arguments = f"{l.type} {x}, {l.type} {n}, {l.type} zeroinitializer, {bits} -1, i32 4"
        return l.f.op(f"call {l.type} {callee}({arguments})")
    ints = l.ints
    whole = ints.sub(shifted, l.ints.const(_bits_of_magic(l)))
    half = ints.shift("ashr", whole, 1)
    return l.mul(l.mul(x, power(l, half)), power(l, ints.sub(whole, half)))


def _bits_of_magic(l: Lanes) -> int:
    return (bias(l) + mantissa(l) << mantissa(l)) | 1 << (mantissa(l) - 1)


def integer_of(l: Lanes, shifted: Value) -> Value:
    """The integer that ``nearest`` left in the lowest bits, as integer lanes."""
    return l.ints.sub(shifted, l.ints.const(_bits_of_magic(l)))


def widened(l: Lanes, x: Value) -> tuple[Lanes, Value]:
    """Give float64 lanes for a float32 result, and x in them."""
    wide = l.of("f64").exact
    wide.goal = FAST_GOAL
    return wide, l.f.op(f"fpext {l.type} {x} to {wide.type}")


def strict(l: Lanes) -> Lanes:
    """Lanes whose every operation is rounded by itself, as the error bounds suppose."""
    return l if l.goal == FAST_GOAL else l.exact


def through_f64(function: Callable[..., Value]) -> Callable[..., Value]:
    """Let a function written for float64 serve float32: computed in float64 to 34 bits, rounded once."""

    @functools.wraps(function)
    def wrapper(l: Lanes, *numbers: Value) -> Value:
        l = strict(l)
        if l.item == "double":
            return function(l, *numbers)
        pairs = [widened(l, number) for number in numbers]
        wide = pairs[0][0]
        result = function(wide, *[number for _, number in pairs])
        return l.f.op(f"fptrunc {wide.type} {result} to {l.type}")

    return wrapper


def two_product(l: Lanes, a: Value, b: Value) -> tuple[Value, Value]:
    """a * b as the rounded product and what rounding dropped."""
    product = l.mul(a, b)
    return product, l.fma(a, b, l.neg(product))


def fast_two_sum(l: Lanes, a: Value, b: Value) -> tuple[Value, Value]:
    """a + b, |a| >= |b|, as the rounded sum and what rounding dropped (Dekker, 1971)."""
    total = l.add(a, b)
    return total, l.sub(b, l.sub(total, a))


def two_sum(l: Lanes, a: Value, b: Value) -> tuple[Value, Value]:
    """a + b as the rounded sum and what rounding dropped (Knuth, 1969)."""
    total = l.add(a, b)
    part = l.sub(total, a)
    return total, l.add(l.sub(a, l.sub(total, part)), l.sub(b, part))


def _split(high: float, low: float) -> dict[int, tuple[float, float]]:
    first: float = struct.unpack("<f", struct.pack("<f", high))[0]
    return {53: (high, low), 24: (first, high - first)}


# number: the nearest float64 and what is left of it
PAIRS = {
    "ln2": _split(0.6931471805599453, 2.3190468138462996e-17),
    "log2e": _split(1.4426950408889634, 2.0355273740931033e-17),
    "log10e": _split(0.4342944819032518, 1.098319650216765e-17),
    "log10_2": _split(0.3010299956639812, -2.8037281277851704e-18),
    "pi": _split(3.141592653589793, 1.2246467991473532e-16),
    "half_pi": _split(1.5707963267948966, 6.123233995736766e-17),
    "quarter_pi": _split(0.7853981633974483, 3.061616997868383e-17),
}
