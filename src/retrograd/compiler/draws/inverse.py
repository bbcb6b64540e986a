"""Kernels of draws that invert a distribution function: exponential, geometric, Cauchy; one float64 number to an element.

The C library's logarithm is part of the stream. Where it only decides what a number is rounded to, vectors compute it: if the numbers a little
below and above what they found are rounded alike, the C library's is too; where they are not, about once in a hundred thousand, it is asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..codegen.emit import Module, Value
from ..codegen.lanes import Lanes
from ..codegen.vmath.logarithm import log
from .clib import called
from .frame import Frame

DOUBT = 2.0**-44  # relative; what vectors compute is 2**-50 from the exact value, and the C library's 2**-52


def _settled(
    frame: Frame,
    rough: Callable[[Lanes, Value], Value],
    rounded: Callable[[Lanes, Value], tuple[Lanes, Value]],
    exact: Callable[[Value, Value], None],
    put: Callable[[int, Value, Value], None],
) -> None:
    """Write the loop: ``rough`` numbers as they are ``rounded``, or, where that is in doubt, ``exact`` ones, lane by lane."""
    f = frame.f

    def body(width: int, at: Value, index: Value) -> None:
        if width == 1:
            return exact(at, index)
        l, masks = Lanes(f, "f64", width), Lanes(f, "bool", width)
        x = rough(l, frame.double(width, at))
        goal, low = rounded(l, l.mul(x, l.const(1 - DOUBT)))
        _, high = rounded(l, l.mul(x, l.const(1 + DOUBT)))
        differs = masks.not_(goal.compare("eq", low, high))  # also where one is not a number
        doubtful = masks.or_(differs, l.compare("eq", x, l.const(0)))
        doubtful = masks.or_(doubtful, l.compare("eq", l.abs(x), l.const(math.inf)))

        def each() -> tuple[Value, ...]:
            with f.loop(0, width) as k:
                exact(f.element("i32", at, f.mul(k, 2)), str(f.add(index, k)))
            return ()

        def all_at_once() -> tuple[Value, ...]:
            put(width, low, index)
            return ()

        f.choose(masks.any(doubtful), [], each, all_at_once, unlikely=True)
        return None

    frame.each(2, frame.width // 2 or 1, body)


def write_exponential(module: Module, name: str, lanes: int, kind: str) -> None:
    """log(1 - u) times a scale. Own number: the scale, -1 / rate."""
    frame = Frame(module, name, lanes, ["double"])
    f, one = frame.f, Lanes(frame.f, "f64", 1)
    scale = frame.numbers[0]

    def exact(at: Value, index: Value) -> None:
        x = called(one, "log1p", one.neg(frame.double(1, at)))
        frame.store_double(kind, 1, one.mul(x, scale), index)

    if kind == "f64":
        return frame.each(2, 1, lambda width, at, index: exact(at, index))

    def rounded(l: Lanes, x: Value) -> tuple[Lanes, Value]:
        return l.of("f32"), l.convert(x, "f64", "f32")

    def put(width: int, value: Value, index: Value) -> None:
        Lanes(f, kind, width).store(value, frame.out, index)

    # 1 - u is exact, so its logarithm is log1p(-u)
    return _settled(frame, lambda l, u: l.mul(log(l, l.sub(l.const(1), u)), l.splat(scale)), rounded, exact, put)


def write_geometric(module: Module, name: str, lanes: int, kind: str) -> None:
    """The smallest whole number at least log u over a divisor. Own number: the divisor, log(1 - p)."""
    frame = Frame(module, name, lanes, ["double"])
    f, divisor = frame.f, frame.numbers[0]

    def put(width: int, x: Value, index: Value) -> None:
        goal, l = Lanes(f, kind, width), Lanes(f, "f64", width)
        if goal.floating:
            return frame.store_double(kind, width, x, index)
        long = goal.of("i64")  # log 0 is infinite, which no integer holds: processors give the least
        beyond = l.compare("ge", x, l.const(2.0**63))
        whole = long.convert(l.select(beyond, l.const(0), x), "f64", "i64")
        whole = long.select(beyond, long.const(-(1 << 63)), whole)
        return goal.store(goal.convert(whole, "i64", kind), frame.out, index)

    def exact(at: Value, index: Value) -> None:
        one = Lanes(f, "f64", 1)
        put(1, one.ceil(one.div(called(one, "log", frame.double(1, at)), divisor)), index)

    _settled(
        frame,
        lambda l, u: l.div(log(l, u), l.splat(divisor)),
        lambda l, x: (l, l.ceil(x)),
        exact,
        put,
    )


def write_cauchy(module: Module, name: str, lanes: int, kind: str) -> None:
    """median + sigma tan(pi (u - 1/2)). Own numbers: median, sigma."""
    frame = Frame(module, name, lanes, ["double", "double"])
    l = Lanes(frame.f, "f64", 1)

    def body(width: int, at: Value, index: Value) -> None:
        angle = l.mul(l.sub(frame.double(1, at), l.const(0.5)), l.const(math.pi))
        frame.store_double(kind, 1, l.fma(called(l, "tan", angle), frame.numbers[1], frame.numbers[0]), index)

    frame.each(2, 1, body)
