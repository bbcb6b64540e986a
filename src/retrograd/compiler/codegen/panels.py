"""Panels: some columns of a matrix that lies by columns, turned in registers into rows that lie side by side."""

from __future__ import annotations

from collections.abc import Sequence

from .emit import Count, Function, Value
from .lanes import Lanes

MOST_SUM = 128  # of the sum's length: the panel stays in the first cache, and longer sums pay for adding up lanes
LEAST_ROWS = 4  # that read a panel before turning it is repaid


def turn(
    f: Function, lanes: Lanes, source: Value, apart: int, columns: int, length: int, goal: Value, row: int
) -> None:
    """Write ``goal[k * row + c] = source[c * apart + k]`` for all columns c and k below length; ``row`` is whole vectors.

    Places of a row behind the last column become 0.
    """
    width = lanes.width
    whole = length // width * width
    for first in range(0, columns, width):
        count = min(width, columns - first)
        part = f.element(lanes.item, source, first * apart) if first else source
        place = f.element(lanes.item, goal, first)

        def block(k: Count, size: int, part: Value = part, place: Value = place, count: int = count) -> None:
            mask = lanes.tail(str(size)) if size < width else None
            zero = lanes.const(0)
            vectors = [lanes.load(f.element(lanes.item, part, c * apart), k, 1, mask) for c in range(count)]
            turned = turned_about(f, lanes, [*vectors, *[zero] * (width - count)])
            base = f.element(lanes.item, place, f.mul(k, row))
            for r in range(size):
                lanes.store(turned[r], base, r * row, 1)

        if whole:
            with f.loop(0, whole, width) as k:
                block(k, width)
        if length > whole:
            block(whole, length - whole)


def turned_about(f: Function, lanes: Lanes, rows: Sequence[Value]) -> list[Value]:
    """Give the columns of a square of registers, in as many rounds as its side has binary digits."""
    vectors, apart = list(rows), 1
    while apart < lanes.width:
        for i in range(lanes.width):
            if not i & apart:
                x, y = vectors[i], vectors[i | apart]
                vectors[i], vectors[i | apart] = (mixed(f, lanes, x, y, apart, shift) for shift in (0, apart))
        apart *= 2
    return vectors


def mixed(f: Function, lanes: Lanes, x: Value, y: Value, apart: int, shift: int) -> Value:
    """Give x's lanes where the index has no bit ``apart``, y's where it has; each from its place without that bit, shifted."""
    n = lanes.width
    order = [(lane & ~apart) + shift + (n if lane & apart else 0) for lane in range(n)]
    mask = ", ".join(f"i32 {i}" for i in order)
    return f.op(f"shufflevector {lanes.type} {x}, {lanes.type} {y}, <{n} x i32> <{mask}>")
