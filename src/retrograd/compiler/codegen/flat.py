"""Products whose rows do not fill whole registers: some rows together do, and lie behind one another in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from .emit import Count, Function, Value
from .lanes import Lanes
from .products import Product

MOST = 25  # registers of a block
MOST_OF_GROUP = 10  # of the rows that fill them together
MIXED = 0.5  # what a register of several rows' factors costs, where a multiplication costs 1

Put = Callable[[Count, Count, Lanes, Value, "Value | None"], None]


def pays(p: Product, lanes: int, registers: float, pieces: int, streams: int) -> bool:
    """Tell whether a product is computed so, all of whose elements lie behind one another.

    Else each row takes ``registers`` in the sum, and is read and written in ``pieces``, ``streams`` times.
    """
    rows = lanes // math.gcd(p.n, lanes)
    if p.chunks > 1 or p.n % lanes == 0 or p.n < lanes // 4 or rows > p.m or rows * p.n // lanes > MOST_OF_GROUP:
        return False
    if p.b[-1] != 1 or (p.c[-2] != p.n or p.c[-1] != 1):
        return False
    vectors = rows * p.n // lanes
    covers = [_rows_of(v, p.n, lanes) for v in range(vectors)]
    ordered = _by_order(p, lanes, rows)
    dear = float(sum(min(len(c) - 1, 1) if ordered else len(c) - 1 for c in covers))
    if p.n < lanes:
        dear += vectors / max(1, _groups(p, rows, vectors))
    flat = (vectors + MIXED * dear) * p.k / 2 + vectors * streams
    return flat < rows * (registers * p.k / 2 + pieces * streams)


def _groups(p: Product, rows: int, vectors: int) -> int:
    """Say how many groups of rows make a block."""
    total = p.m // rows
    count = -(-total // max(1, MOST // vectors))
    return -(-total // count)


def _by_order(p: Product, lanes: int, rows: int) -> bool:
    """Tell whether A's numbers of one column lie side by side, and a block has enough for a register."""
    return p.a[-2] == 1 and rows * _groups(p, rows, rows * p.n // lanes) >= lanes


def _rows_of(v: int, n: int, lanes: int) -> list[int]:
    """Give the rows of a group that its register number ``v`` holds numbers of."""
    return sorted({at // n for at in range(v * lanes, (v + 1) * lanes)})


def write_flat(f: Function, p: Product, a: Value, b: Value, lanes: int, put: Put, rest: Callable[..., None]) -> None:
    """Write a product without a batch; ``put`` is given places behind a row's end, which are in the rows that follow.

    Rows that fill no group are left to ``rest(product, first row)``.
    """
    rows = lanes // math.gcd(p.n, lanes)
    vectors = rows * p.n // lanes
    per = _groups(p, rows, vectors)
    block, whole = per * rows, p.m // (per * rows) * per * rows
    flat = _Flat(f, p, a, b, lanes, put)
    if whole == block:
        flat.tile(0, per)
    else:
        with f.loop(0, whole, block) as i:
            flat.tile(i, per)
    left = (p.m - whole) // rows
    if left:
        flat.tile(whole, left)
    first = whole + left * rows
    if first < p.m:
        rest(replace(p, m=p.m - first), first)


class _Flat:
    """Blocks of groups of rows."""

    def __init__(self, f: Function, p: Product, a: Value, b: Value, width: int, put: Put) -> None:
        self.f, self.p, self.a, self.b, self.width, self.put = f, p, a, b, width, put
        self.item = "float" if p.kind == "f32" else "double"
        self.lanes = Lanes(f, p.kind, width, contract=True)
        self.rows = width // math.gcd(p.n, width)
        self.vectors = self.rows * p.n // width

    def tile(self, i: Count, groups: int) -> None:
        """Write one block from row ``i`` on."""
        f, p, lanes = self.f, self.p, self.lanes
        places = [(g, v) for v in range(self.vectors) for g in range(groups)]
        ordered = p.a[-2] == 1 and self.rows * groups >= self.width
        a = f.element(self.item, self.a, f.mul(i, p.a[-2]))
        with f.loop_carry(0, p.k, 1, [(lanes.type, lanes.const(0))] * len(places)) as loop:
            row = f.element(self.item, self.b, f.mul(loop.i, p.b[-2]))
            column = f.element(self.item, a, f.mul(loop.i, p.a[-1]))
            repeated = self._repeated(row)
            factors = self._in_order(column, groups) if ordered else self._one_by_one(column)
            out = [lanes.fma(factors(g, v), repeated(v), old) for (g, v), old in zip(places, loop.values, strict=True)]
            loop.set(*out)
        results = dict(zip(places, loop.results, strict=True))
        for g in range(groups):
            for v in range(self.vectors):
                self.put(f.add(i, g * self.rows), v * self.width, lanes, results[g, v], None)

    def _repeated(self, row: Value) -> Callable[[int], Value]:
        """Give B's row, again and again, a register at a time."""
        f, n, width, lanes = self.f, self.p.n, self.width, self.lanes
        known: dict[int, Value] = {}

        def loaded(at: int) -> Value:
            if at not in known:
                known[at] = lanes.load(row, at, 1, lanes.tail(str(n)) if n < width else None)
            return known[at]

        def register(v: int) -> Value:
            first = v * width % n
            if n < width:
                return shuffled(f, lanes, loaded(0), loaded(0), [(first + lane) % n for lane in range(width)])
            if first + width <= n:
                return loaded(first)
            before = n - first  # numbers before the row begins anew
            order = [width - before + k for k in range(before)] + [width + k for k in range(width - before)]
            return shuffled(f, lanes, loaded(n - width), loaded(0), order)

        made: dict[int, Value] = {}

        def once(v: int) -> Value:
            if v not in made:
                made[v] = register(v)
            return made[v]

        return once

    def _in_order(self, column: Value, groups: int) -> Callable[[int, int], Value]:
        """Give A's factors of a register from rows that lie side by side."""
        f, n, width, lanes = self.f, self.p.n, self.width, self.lanes
        total = self.rows * groups
        loaded: dict[int, Value] = {}
        one = Lanes(f, self.p.kind, 1)

        def factor(g: int, v: int) -> Value:
            rows = [g * self.rows + (v * width + lane) // n for lane in range(width)]
            if rows[0] == rows[-1]:
                return lanes.splat(one.load(column, rows[0]))
            first = min(g * self.rows, total - width)
            if rows[-1] >= first + width:
                first = rows[0]
            if first not in loaded:
                loaded[first] = lanes.load(column, first, 1)
            x = loaded[first]
            return shuffled(f, lanes, x, x, [r - first for r in rows])

        return factor

    def _one_by_one(self, column: Value) -> Callable[[int, int], Value]:
        """Give A's factors of a register from each row's number, spread and put together."""
        f, p, width, lanes = self.f, self.p, self.width, self.lanes
        one = Lanes(f, p.kind, 1)
        spread: dict[int, Value] = {}

        def of(row: int) -> Value:
            if row not in spread:
                spread[row] = lanes.splat(one.load(column, row * p.a[-2]))
            return spread[row]

        def factor(g: int, v: int) -> Value:
            rows = [g * self.rows + (v * width + lane) // p.n for lane in range(width)]
            value = of(rows[0])
            for row in sorted(set(rows[1:]) - {rows[0]}):
                order = [width + lane if r >= row else lane for lane, r in enumerate(rows)]
                value = shuffled(f, lanes, value, of(row), order)
            return value

        return factor


def shuffled(f: Function, lanes: Lanes, x: Value, y: Value, order: Sequence[int]) -> Value:
    """Give the lanes of two registers in an order; the second's numbers follow the first's."""
    mask = ", ".join(f"i32 {i}" for i in order)
    return f.op(f"shufflevector {lanes.type} {x}, {lanes.type} {y}, <{len(order)} x i32> <{mask}>")


__all__ = ["pays", "write_flat"]
