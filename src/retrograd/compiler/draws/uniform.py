"""Kernels of uniform draws: real numbers of an interval, coins, integers of a range, permutations."""

from __future__ import annotations

from ..codegen.emit import Module, Value
from ..codegen.lanes import Lanes
from .frame import PIECE, Frame

FAR = 1 << 14  # elements of a permutation from which those that change places are fetched ahead


def write_uniform(module: Module, name: str, lanes: int, kind: str) -> None:
    """low + (high - low) u, rounded once; what rounds to high becomes low. Own numbers: low, high - low, both ends as the kind holds them."""
    frame = Frame(module, name, lanes, ["double"] * 4)
    f = frame.f
    wide = kind == "f64"
    one = Lanes(f, "f64" if wide else "f32", 1)
    low, span, first, last = (one.convert(x, "f64", one.kind) for x in frame.numbers)

    def body(width: int, at: Value, index: Value) -> None:
        l = Lanes(f, kind, width)
        u = frame.double(width, at) if wide else frame.single(width, at)
        x = l.fma(u, l.splat(span), l.splat(low))
        if not wide:
            x = l.convert(x, "f32", kind)
        x = l.select(l.compare("ge", x, l.splat(last)), l.splat(first), x)
        l.store(x, frame.out, index)

    frame.each(2 if wide else 1, lanes, body)


def write_coins(module: Module, name: str, lanes: int, kind: str) -> None:
    """One where 53 bits are below a threshold, else zero. Own numbers: the threshold, the bits of what one is."""
    frame = Frame(module, name, lanes, ["i64", "i64"])
    f = frame.f
    item = Lanes(f, kind, 1)
    one = frame.numbers[1] if kind == "i64" else f.op(f"trunc i64 {frame.numbers[1]} to {item.type}")

    def body(width: int, at: Value, index: Value) -> None:
        bits, l = Lanes(f, "i64", width), Lanes(f, kind, width)
        heads = bits.compare("lt", frame.fraction(width, at), bits.splat(frame.numbers[0]))
        l.store(l.select(heads, l.splat(one), l.const(0)), frame.out, index)

    frame.each(2, lanes, body)


def write_chances(module: Module, name: str, lanes: int, kind: str) -> None:
    """One with the probability that stands at the same place of an array. Own number: its address."""
    frame = Frame(module, name, lanes, ["ptr"])

    def body(width: int, at: Value, index: Value) -> None:
        l = Lanes(frame.f, kind, width)
        u = frame.double(width, at) if kind == "f64" else frame.single(width, at)
        heads = l.compare("lt", u, l.load(frame.numbers[0], index))
        l.store(l.select(heads, l.const(1), l.const(0)), frame.out, index)

    frame.each(2 if kind == "f64" else 1, lanes, body)


def _store_integer(frame: Frame, kind: str, width: int, value: Value, index: Value) -> None:
    l = Lanes(frame.f, kind, width)
    middle = "f32" if l.floating and l.row.size == 2 else kind
    l.store(l.convert(value, "i64", middle), frame.out, index)


def remainder(frame: Frame, width: int, words: Value, span: Value) -> Value:
    """Write: words modulo spans below 2**32, both float64 lanes.

    A quotient of such numbers is no nearer to a whole number above it than 2**-32 of itself, so float64's rounding never gets there.
    """
    l = Lanes(frame.f, "f64", width)
    return l.sub(words, l.mul(l.trunc(l.div(words, span)), span))


def write_integers(module: Module, name: str, lanes: int, kind: str) -> None:
    """base + (word modulo span). Own numbers: base, and span below 2**32 as a float."""
    frame = Frame(module, name, lanes, ["i64", "double"])
    f = frame.f

    def body(width: int, at: Value, index: Value) -> None:
        words, floats, l = Lanes(f, "u32", width), Lanes(f, "f64", width), Lanes(f, "i64", width)
        word = floats.convert(f.load(words.type, at, 4), "u32", "f64")
        rest = remainder(frame, width, word, floats.splat(frame.numbers[1]))
        rest = l.convert(Lanes(f, "u32", width).convert(rest, "f64", "u32"), "u32", "i64")
        _store_integer(frame, kind, width, l.add(rest, l.splat(frame.numbers[0])), index)

    frame.each(1, lanes, body)


def write_long_integers(module: Module, name: str, lanes: int, kind: str) -> None:
    """base + (two words modulo span). Own numbers: base, span (0: 2**64)."""
    frame = Frame(module, name, lanes, ["i64", "i64"])
    f = frame.f
    base, span = frame.numbers

    def body(width: int, at: Value, index: Value) -> None:
        bits = frame.long(1, at)
        whole = f.op(f"icmp eq i64 {span}, 0")
        (rest,) = f.choose(whole, ["i64"], lambda: [bits], lambda: [f.op(f"urem i64 {bits}, {span}")])
        _store_integer(frame, kind, 1, f.op(f"add i64 {rest}, {base}"), index)

    frame.each(2, 1, body)


def write_permutation(module: Module, name: str, lanes: int, kind: str) -> None:
    """0, ..., n - 1 after the exchanges of i with i + (word modulo (n - i)), i = 0, ..., n - 2, as int64."""
    assert kind == "i64"
    frame = Frame(module, name, lanes, [])
    f, count, out = frame.f, frame.count, frame.out
    partners = f.alloca("i64", PIECE)
    width = max(lanes // 2, 1)
    with f.loop(0, count) as i:
        f.store("i64", i, f.element("i64", out, i), 8)
    words, floats, l = Lanes(f, "u32", width), Lanes(f, "f64", width), Lanes(f, "i64", width)
    prefetch = module.declare("llvm.prefetch.p0", "void", ["ptr", "i32", "i32", "i32"])
    far = f.op(f"icmp sgt i64 {count}, {FAR}")
    with f.loop(0, f.sub(count, 1), PIECE) as start:
        steps = f.min(PIECE, f.sub(f.sub(count, 1), start))
        frame.words(frame.buffer, steps)
        with f.loop(0, steps, width) as k:  # behind the last step words are old ones, and spans at least 1
            first = f.add(start, k)
            place = l.iota(str(first))
            left = l.sub(l.splat(count), place)
            span = l.select(l.compare("gt", left, l.const(1)), left, l.const(1))
            word = floats.convert(f.load(words.type, f.element("i32", frame.buffer, k), 4), "u32", "f64")
            rest = remainder(frame, width, word, floats.convert(span, "i64", "f64"))
            partner = l.add(place, l.convert(rest, "f64", "i64"))
            f.store(l.type, partner, f.element("i64", partners, k), 8)
        with f.if_(far), f.loop(0, steps) as k:
            at = f.element("i64", out, f.load("i64", f.element("i64", partners, k), 8))
            f.call(prefetch, arguments=[("ptr", at), ("i32", 1), ("i32", 3), ("i32", 1)])
        with f.loop(0, steps) as k:
            one = f.element("i64", out, f.add(start, k))
            two = f.element("i64", out, f.load("i64", f.element("i64", partners, k), 8))
            a, b = f.load("i64", one, 8), f.load("i64", two, 8)
            f.store("i64", b, one, 8)
            f.store("i64", a, two, 8)
    f.ret()
