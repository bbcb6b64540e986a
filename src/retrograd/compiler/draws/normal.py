"""Kernels of normal draws: groups of 16 in the rounding of PyTorch's vector kernel, groups of 16 in float64, and pairs."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..codegen.emit import Count, Module, Value
from ..codegen.lanes import Lanes
from . import clib
from .clib import called
from .frame import PIECE, Frame

GROUP = 16
HALF = GROUP // 2
# float32 approximations of the Cephes library (Moshier, 1992: logf, sinf, cosf), whose fused evaluation is part of the stream
LOG = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
    *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
LN2_LOW, LN2_HIGH = -2.12194440e-4, 0.693359375
SQRT_HALF_BITS = 0x3F3504F3
FOUR_OVER_PI = 1.27323954473516
PI_OVER_4 = (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)
SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)


def _polynomial(l: Lanes, x: Value, coefficients: tuple[float, ...]) -> Value:
    y = l.const(coefficients[0])
    for c in coefficients[1:]:
        y = l.fma(x, y, l.const(c))
    return y


def log_of_complement(l: Lanes, u: Value) -> Value:
    """Write: log(1 - u) = e log 2 + log m, m in [sqrt(1/2), sqrt(2)); log m = t - t^2 / 2 + t^3 P(t), t = m - 1."""
    ints = l.ints
    bits = l.bits(l.sub(l.const(1), u))
    exponent = ints.shift("ashr", ints.sub(bits, ints.const(SQRT_HALF_BITS)), 23)
    t = l.sub(l.from_bits(ints.sub(bits, ints.shift("shl", exponent, 23))), l.const(1))
    e = l.convert(exponent, "i32", "f32")
    square = l.mul(t, t)
    y = l.mul(_polynomial(l, t, LOG), t)
    y = l.fma(y, square, l.mul(e, l.const(LN2_LOW)))
    y = l.add(l.sub(y, l.mul(square, l.const(0.5))), t)
    return l.fma(e, l.const(LN2_HIGH), y)


def circle(l: Lanes, u: Value) -> tuple[Value, Value]:
    """Write: cosine and sine of 2 pi u: reduced by octants to |r| <= pi / 4, then either polynomial and a sign."""
    ints = l.ints
    r = l.mul(u, l.const(2 * math.pi))
    octant = l.convert(l.mul(r, l.const(FOUR_OVER_PI)), "f32", "i32")
    octant = ints.and_(ints.add(octant, ints.const(1)), ints.const(-2))
    turns = l.convert(octant, "i32", "f32")
    for part in PI_OVER_4:
        r = l.fma(turns, l.const(part), r)
    square = l.mul(r, r)
    sin = l.fma(l.mul(_polynomial(l, square, SIN), square), r, r)
    cos = l.mul(_polynomial(l, square, COS), square)
    cos = l.add(l.fma(cos, square, l.mul(square, l.const(-0.5))), l.const(1))
    swap = ints.compare("ne", ints.and_(octant, ints.const(2)), ints.const(0))

    def signed(value: Value, eighths: Value) -> Value:
        sign = ints.shift("shl", ints.and_(eighths, ints.const(4)), 29)
        return l.from_bits(ints.xor(l.bits(value), sign))

    at_cos = signed(l.select(swap, sin, cos), ints.add(octant, ints.const(2)))
    return at_cos, signed(l.select(swap, cos, sin), octant)


def write_normal(module: Module, name: str, lanes: int, kind: str) -> None:
    """mean + std z in groups of 16, the last over the one before where 16 does not divide n >= 16. Own numbers: mean, std."""
    if kind == "f64":
        _write_normal64(module, name, lanes)
    else:
        _write_normal32(module, name, lanes, kind)


def _write_normal32(module: Module, name: str, lanes: int, kind: str) -> None:
    frame = Frame(module, name, lanes, ["double", "double"])
    f = frame.f
    mean, std = (Lanes(f, "f32", 1).convert(x, "f64", "f32") for x in frame.numbers)
    floats = Lanes(f, "f32", HALF)

    def halves(at: Value, groups: int) -> list[Value]:
        parts = [frame.single(HALF, f.element("i32", at, HALF * k)) for k in range(2 * groups)]
        return parts if groups == 1 else [_joined(floats, parts[0], parts[2]), _joined(floats, parts[1], parts[3])]

    def some(at: Value, index: Value, groups: int) -> None:
        """Write one group, or two in vectors of twice the width."""
        l = Lanes(f, "f32", HALF * groups)
        u1, u2 = halves(at, groups)
        radius = l.sqrt(l.mul(log_of_complement(l, u1), l.const(-2)))
        made = [l.fma(l.mul(part, radius), l.splat(std), l.splat(mean)) for part in circle(l, u2)]
        goal = Lanes(f, kind, HALF)
        for k, value in enumerate(made):
            for g in range(groups):
                part = value if groups == 1 else _part(floats, value, g)
                goal.store(part, frame.out, f.add(index, GROUP * g + HALF * k))

    most = 2 if lanes >= GROUP else 1

    def many(start: Count, count: Count) -> None:
        frame.words(frame.buffer, count)
        whole = f.round_down(count, most * GROUP)
        for groups, first, stop in ((most, 0, whole), *(((1, whole, count),) if most > 1 else ())):
            if isinstance(stop, int) and stop == first:
                continue
            with f.loop(first, stop, groups * GROUP) as i:
                some(f.element("i32", frame.buffer, i), str(f.add(start, i)), groups)

    _in_groups(frame, many, 1 if kind == "f32" else 0)


def _in_groups(frame: Frame, many: Callable[[Count, Count], None], skipped: int) -> None:
    """Write: pieces of whole groups, then the last group anew if elements are left; ``skipped`` words each are drawn for those before."""
    f = frame.f
    whole = f.round_down(frame.count, GROUP)
    words = max(skipped, 1)
    with f.loop(0, whole, PIECE // words) as start:
        many(start, f.min(PIECE // words, f.sub(whole, start)))
    with f.if_(f.op(f"icmp slt i64 {whole}, {frame.count}")):
        if skipped:
            frame.words(frame.buffer, f.mul(f.sub(frame.count, whole), skipped))
        many(f.sub(frame.count, GROUP), GROUP)
    f.ret()


def _joined(l: Lanes, a: Value, b: Value) -> Value:
    places = ", ".join(f"i32 {k}" for k in range(2 * l.width))
    return l.f.op(f"shufflevector {l.type} {a}, {l.type} {b}, <{2 * l.width} x i32> <{places}>")


def _part(l: Lanes, value: Value, which: int) -> Value:
    """Give half of a vector of twice the width."""
    wide = l.of(l.kind, 2 * l.width)
    places = ", ".join(f"i32 {which * l.width + k}" for k in range(l.width))
    return l.f.op(f"shufflevector {wide.type} {value}, {wide.type} poison, <{l.width} x i32> <{places}>")


def _write_normal64(module: Module, name: str, lanes: int) -> None:
    frame = Frame(module, name, lanes, ["double", "double"])
    f, l = frame.f, Lanes(frame.f, "f64", 1)
    mean, std = frame.numbers

    def many(start: Count, count: Count) -> None:
        frame.words(frame.buffer, f.mul(count, 2))
        with f.loop(0, count, GROUP) as first, f.loop(0, HALF) as k:
            at = f.add(first, k)
            u1 = frame.double(1, f.element("i32", frame.buffer, f.mul(at, 2)))
            u2 = frame.double(1, f.element("i32", frame.buffer, f.add(f.mul(at, 2), 2 * HALF)))
            radius = l.sqrt(l.mul(called(l, "log", l.sub(l.const(1), u1)), l.const(-2)))
            angle = l.mul(u2, l.const(2 * math.pi))
            for number, part in enumerate(clib.circle(l, angle)):
                value = l.fma(l.mul(radius, part), std, mean)
                l.store(value, frame.out, f.add(f.add(start, at), HALF * number))

    _in_groups(frame, many, 2)


def write_pairs(module: Module, name: str, lanes: int, kind: str, exponential: bool = False) -> None:
    """mean + std z in pairs, the one kept from before first; the last pair's second is kept.

    Own numbers: mean, std, the address of what is kept (the number, and whether there is one, both float64).
    """
    frame = Frame(module, name, lanes, ["double", "double", "ptr"])
    f, l = frame.f, Lanes(frame.f, "f64", 1)
    mean, std, kept = frame.numbers
    valid = f.element("double", kept, 1)

    def put(z: Value, index: Value) -> None:
        value = l.fma(z, std, mean)
        frame.store_double(kind, 1, called(l, "exp", value) if exponential else value, index)

    there = l.compare("ne", f.load("double", valid), l.const(0))
    wanted = f.op(f"icmp sgt i64 {frame.count}, 0")

    def first() -> list[Value]:
        put(f.load("double", kept), "0")
        f.store("double", l.const(0), valid)
        return ["1"]

    (begin,) = f.choose(f.op(f"and i1 {there}, {wanted}"), ["i64"], first, lambda: ["0"])
    with f.loop(begin, frame.count, 2) as i:
        frame.words(frame.buffer, 4)
        u1, u2 = (frame.double(1, f.element("i32", frame.buffer, 2 * k)) for k in range(2))
        radius = l.sqrt(l.mul(called(l, "log1p", l.neg(u2)), l.const(-2)))
        angle = l.mul(u1, l.const(2 * math.pi))
        cos, sin = clib.circle(l, angle)
        put(l.mul(radius, cos), i)
        second = l.mul(radius, sin)
        following = str(f.add(i, 1))

        def keep(second: Value = second) -> tuple[Value, ...]:
            f.store("double", second, kept)
            f.store("double", l.const(1), valid)
            return ()

        def hand_over(second: Value = second, following: Value = following) -> tuple[Value, ...]:
            put(second, following)
            return ()

        f.choose(f.op(f"icmp slt i64 {following}, {frame.count}"), [], hand_over, keep)
    f.ret()


def write_log_normal(module: Module, name: str, lanes: int, kind: str) -> None:
    """exp(mean + std z), z in pairs; own numbers as of pairs."""
    write_pairs(module, name, lanes, kind, True)
