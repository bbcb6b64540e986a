"""Products of small matrices as loop nests of their own: blocks of the result in registers, operands read where they lie."""

from __future__ import annotations

import math
from collections.abc import Callable

from .emit import Count, Function, Module, Value
from .flat import pays, write_flat
from .lanes import Lanes
from .panels import LEAST_ROWS, MOST_SUM, mixed, turn
from .products import Product, share
from .strips import STRIPS, Strip, piece, shared_strip

REGISTERS = 28  # accumulators that fit beside the operands, of 32
MOST = 3 << 19  # bytes of all three matrices: they stay in the second cache, where packing them gains nothing
LONG = 1 << 23  # multiply-adds from which operands that both run along the sum are better packed
PAGE = 4096  # rows that lie whole pages apart compete for the same places of the first cache


def is_small(p: Product, lanes: int) -> bool:
    """Tell whether a product is computed by a nest of its own."""
    size = 4 if p.kind == "f32" else 8
    fits = size * (p.m * p.k + p.k * p.n + p.m * p.n) <= MOST or p.m <= 8
    if p.b[-1] == 1 or p.n == 1:
        return fits and (p.k <= 96 or size * p.b[-2] % PAGE != 0)
    if p.a[-1] == 1 and p.b[-2] == 1:  # both run along the sum
        return fits and p.k >= lanes // 2 and p.work < LONG
    return False


Put = Callable[[Count, Count, Lanes, Value, "Value | None"], None]  # (row, first column, lanes, value, mask)
End = Callable[[], None]


def write_small(p: Product, module: Module, name: str, lanes: int) -> None:
    """Write ``void(ptr arguments, i64 chunk)``; the arguments are the addresses of A, B and C."""
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    bases = [f.load("ptr", f.element("ptr", f.arguments, i), 8) for i in range(3)]
    _batch(f, p, 0, bases, lanes)
    f.ret()


def write_tiles(
    f: Function, p: Product, a: Value, b: Value, lanes: int, put: Put, end: End = lambda: None, flat: int = 0
) -> None:
    """Write a product without a batch whose elements go to ``put``, register by register; ``end`` is called after each block.

    ``flat``: if not 0, a place behind a row's end may stand for one in the rows that follow; how often memory is read or
    written at each.
    """
    _tiles(f, p, [a, b, ""], lanes, put, end, flat)


def _tiles(f: Function, p: Product, bases: list[Value], lanes: int, put: Put | None, end: End, flat: int) -> None:
    order = _order(p, lanes)
    if not flat or order is not _Outer or not pays(p, lanes, *_registers(p.n, lanes), flat):
        order(f, p, bases, lanes, put, end)
        return
    a, b, c = bases
    item = "float" if p.kind == "f32" else "double"

    def store(row: Count, column: Count, kind: Lanes, value: Value, mask: Value | None) -> None:
        kind.store(value, f.element(item, c, f.mul(row, p.n)), column, 1, mask)

    place = put or store

    def rest(left: Product, first: int) -> None:
        moved = [f.element(item, a, first * p.a[-2]), b, c]
        _Outer(f, left, moved, lanes, lambda row, *others: place(f.add(row, first), *others), end)

    write_flat(f, p, a, b, lanes, place, rest)


def _registers(n: int, lanes: int) -> tuple[float, int]:
    """Say how many registers hold a row while it is summed, and in how many pieces it lies in memory."""
    ends = edges(n % lanes, lanes)
    if n > lanes and 0 < n % lanes <= lanes // 4:
        return n // lanes + 0.25, n // lanes + 1
    shared = n > lanes // 2 and len(ends) == 1 and 2 * ends[0][1] == lanes and not ends[0][2]
    return n // lanes + (0.5 if shared else len(ends)), n // lanes + len(ends)


def _order(p: Product, lanes: int) -> type[_Outer] | type[_Inner]:
    """Choose the nest: B's rows are read where they lie, or turned first if enough rows of A go over them."""
    if p.b[-1] == 1 or p.n == 1 or not (p.a[-1] == 1 and p.b[-2] == 1):
        return _Outer
    turns = p.k <= MOST_SUM and p.m >= LEAST_ROWS * p.chunks and p.n >= lanes // 2
    return _Turned if turns else _Inner


def turns_panels(p: Product, lanes: int) -> bool:
    """Tell whether a product's nest turns its right operand."""
    return is_small(p, lanes) and _order(p, lanes) is _Turned


def _batch(f: Function, p: Product, level: int, bases: list[Value], lanes: int) -> None:
    if level == len(p.batch):
        _tiles(f, p, bases, lanes, None, lambda: None, 1)
        return
    if p.batch[level] == 1:
        _batch(f, p, level + 1, bases, lanes)
        return
    item = "float" if p.kind == "f32" else "double"
    start: Count = 0
    stop: Count = p.batch[level]
    if p.chunks > 1 and math.prod(p.batch[:level]) == 1:
        start, stop = share(f, p.batch[level], p.chunks)
    with f.loop(start, stop) as i:
        steps = (p.a[level], p.b[level], p.c[level])
        moved = [f.element(item, base, f.mul(i, s)) for base, s in zip(bases, steps, strict=True)]
        _batch(f, p, level + 1, moved, lanes)


def pieces(total: int, most: int) -> list[tuple[int, int]]:
    """Cut a length into equal blocks of at most ``most``, and a rest: (block, how many)."""
    count = -(-total // most)
    block = -(-total // count)
    whole = total // block
    return [(block, whole)] + ([(total - block * whole, 1)] if total % block else [])


def each_block(f: Function, p: Product, most: int, tile: Callable[[Count, int], None]) -> None:
    """Call ``tile(first row, rows)`` for blocks of the result's rows, or of this chunk's share of them."""
    if p.chunks == 1 or math.prod(p.batch) != 1:
        _blocks(f, 0, p.m, most, tile)
        return
    # equal shares, and a smaller one for the last chunk that has rows
    per = -(-p.m // p.chunks)
    full, rest = divmod(p.m, per)
    start = f.mul(f.chunk, per)
    if full == p.chunks:
        _blocks(f, start, per, most, tile)
        return
    with f.if_(f.op(f"icmp slt i64 {f.chunk}, {full}")):
        _blocks(f, start, per, most, tile)
    if rest:
        with f.if_(f.op(f"icmp eq i64 {f.chunk}, {full}")):
            _blocks(f, full * per, rest, most, tile)


def _blocks(f: Function, start: Count, rows: int, most: int, tile: Callable[[Count, int], None]) -> None:
    """Call ``tile(first row, rows)`` for blocks of so many rows."""
    parts = pieces(rows, most)
    block, count = parts[0]
    if count == 1:
        tile(start, block)
    else:
        with f.loop(start, f.add(start, block * count), block) as i:
            tile(i, block)
    if len(parts) > 1:
        tile(f.add(start, block * count), parts[1][0])


Part = tuple[
    int, int, int
]  # columns of a tile: the first, as many as a register has lanes, and how many there are, or 0 for all


def edges(rest: int, width: int) -> list[Part]:
    """Cut what is left of a row into one or two smaller registers, or else one that is not full.

    A store that leaves lanes out keeps the loads behind it waiting, where they touch what it left out.
    """
    if not rest:
        return []
    sizes = [1 << bit for bit in reversed(range(rest.bit_length())) if rest >> bit & 1]
    if len(sizes) > 2:
        whole = 1 << (rest - 1).bit_length()
        return [(0, min(whole, width), rest)]
    return [(sum(sizes[:i]), size, 0) for i, size in enumerate(sizes)]


def halves(f: Function, lanes: Lanes, x: Value, y: Value) -> Value:
    """Put two registers together into one of twice the lanes."""
    mask = ", ".join(f"i32 {k}" for k in range(2 * lanes.width))
    return f.op(f"shufflevector {lanes.type} {x}, {lanes.type} {y}, <{2 * lanes.width} x i32> <{mask}>")


def half(f: Function, lanes: Lanes, value: Value, k: int) -> Value:
    """Give the lower half of a register's lanes, or the upper one."""
    count = lanes.width // 2
    mask = ", ".join(f"i32 {k * count + lane}" for lane in range(count))
    return f.op(f"shufflevector {lanes.type} {value}, {lanes.type} poison, <{count} x i32> <{mask}>")


class _Tiles:
    """What both orders share: a register of the result goes to memory, unless somebody goes on with it."""

    f: Function
    p: Product
    c: Value
    item: str
    put: Put
    end: End

    def _store(self, row: Count, column: Count, lanes: Lanes, value: Value, mask: Value | None) -> None:
        f = self.f
        at = f.element(self.item, f.element(self.item, self.c, f.mul(row, self.p.c[-2])), column)
        lanes.store(value, at, 0, 1, mask)


class _Outer(_Tiles):
    """B's rows are contiguous: each is multiplied by single elements of A and added to rows of the result."""

    def __init__(self, f: Function, p: Product, bases: list[Value], lanes: int, put: Put | None, end: End) -> None:
        self.f, self.p, (self.a, self.b, self.c) = f, p, bases
        self.put, self.end = put or self._store, end
        width = lanes
        while width > 1 and width // 2 >= p.n:
            width //= 2
        self.width = width
        self.item = "float" if p.kind == "f32" else "double"
        narrow = p.n % width if shared_strip(p, width) else 0
        n = p.n - narrow
        vectors = -(-n // width)
        across = min(vectors, 4 if p.m < 8 else 2 if vectors % 2 == 0 or vectors > 4 else 3)
        edge = edges(n % width, width)
        rest = vectors % across
        if edge and not rest:
            rest = across
        whole = (vectors - rest) // across
        full = [(v * width, width, 0) for v in range(across)]
        last = [(v * width, width, 0) for v in range(rest - bool(edge))]
        last += [((rest - 1) * width + at, size, count) for at, size, count in edge]
        self.rows = max(1, min(p.m, REGISTERS // max(across, len(last))))
        if p.m > 1 and self._is_paired(last):
            held = max(2 * across, 2 * len(last) - 1)  # registers of two rows
            self.rows = max(2, min(p.m, 2 * (REGISTERS - 2) // held))
        if whole == 1:
            self._columns(0, full)
        elif whole:
            with f.loop(0, whole * across * width, across * width) as j:
                self._columns(j, full)
        if last:
            self._columns(whole * across * width, last)
        if narrow:
            self._narrow(n, narrow)

    def _narrow(self, j: Count, count: int) -> None:
        """Compute the last columns, as many as a quarter of a register or so: rows share registers."""
        sharing = self.width // piece(self.p.kind)
        strip = Strip(self.f, self.p, self.a, self.width, self.put, self.end)
        panel, apart, padded = self._panel(j)
        most = sharing * min(STRIPS, -(-self.p.m // sharing))
        each_block(self.f, self.p, most, lambda i, rows: strip.tile(i, rows, j, count, panel, apart, padded))

    def _columns(self, j: Count, parts: list[Part]) -> None:
        each_block(self.f, self.p, self.rows, lambda i, rows: self._tile(i, rows, j, parts))

    def _panel(self, j: Count) -> tuple[Value, int, bool]:
        """Give the address of B's columns from j on, how far its rows lie apart, and whether registers may be read to their ends."""
        return self.f.element(self.item, self.b, j), self.p.b[-2], False

    def _is_paired(self, parts: list[Part]) -> bool:
        """Tell whether a row ends with half a register, so that the ends of two rows share a whole one."""
        _, size, count = parts[-1] if parts else (0, 0, 0)
        return 2 * size == self.width and not count and size > 1

    def _tile(self, i: Count, rows: int, j: Count, parts: list[Part]) -> None:
        f, p = self.f, self.p
        pairs = rows // 2 if self._is_paired(parts) else 0
        kinds = [Lanes(f, p.kind, size, contract=True) for _, size, _ in parts]
        wide = Lanes(f, p.kind, self.width, contract=True)
        masks = [lanes.tail(str(count)) if count else None for lanes, (_, _, count) in zip(kinds, parts, strict=True)]
        one = Lanes(f, p.kind, 1)
        a = f.element(self.item, self.a, f.mul(i, p.a[-2]))
        b, apart, _ = self._panel(j)
        places = [(r, v) for r in range(rows) for v in range(len(parts)) if r >= 2 * pairs or v < len(parts) - 1]
        places = places if pairs else [(r, v) for r in range(rows) for v in range(len(parts))]
        zero = [(kinds[v].type, kinds[v].const(0)) for _, v in places] + [(wide.type, wide.const(0))] * pairs
        with f.loop_carry(0, p.k, 1, zero) as loop:
            row = f.element(self.item, b, f.mul(loop.i, apart))
            loaded = [lanes.load(row, at, 1, mask) for lanes, mask, (at, _, _) in zip(kinds, masks, parts, strict=True)]
            column = f.element(self.item, a, f.mul(loop.i, p.a[-1]))
            factors = [one.load(column, r * p.a[-2]) for r in range(rows)]
            out = [
                kinds[v].fma(kinds[v].splat(factors[r]), loaded[v], old)
                for (r, v), old in zip(places, loop.values, strict=False)
            ]
            if pairs:
                twice = halves(f, kinds[-1], loaded[-1], loaded[-1])
                for pair, old in enumerate(loop.values[len(places) :]):
                    low, high = (wide.splat(factors[2 * pair + k]) for k in range(2))
                    both = mixed(f, wide, low, high, self.width // 2, 0)
                    out.append(wide.fma(both, twice, old))
            loop.set(*out)
        results = dict(zip(places, loop.results, strict=False))
        for pair, value in enumerate(loop.results[len(places) :]):
            for k in range(2):
                results[2 * pair + k, len(parts) - 1] = half(f, wide, value, k)
        columns = [f.add(j, at) for at, _, _ in parts]
        for r in range(rows):
            for v, at in enumerate(columns):
                self.put(f.add(i, r), at, kinds[v], results[r, v], masks[v])
        self.end()


class _Turned(_Outer):
    """B's columns are contiguous: some at a time are turned into rows on the stack, for all rows of A to go over."""

    def _columns(self, j: Count, parts: list[Part]) -> None:
        self._turn(j, max(at + (count or size) for at, size, count in parts))
        super()._columns(j, parts)

    def _turn(self, j: Count, columns: int) -> None:
        f, p = self.f, self.p
        self.apart = -(-columns // self.width) * self.width
        self.panel = f.alloca(self.item, p.k * self.apart)
        source = f.element(self.item, self.b, f.mul(j, p.b[-1]))
        turn(f, Lanes(f, p.kind, self.width), source, p.b[-1], columns, p.k, self.panel, self.apart)

    def _narrow(self, j: Count, count: int) -> None:
        self._turn(j, count)
        super()._narrow(j, count)

    def _panel(self, j: Count) -> tuple[Value, int, bool]:
        """Give the turned columns."""
        return self.panel, self.apart, True


class _Inner(_Tiles):
    """Rows of A and columns of B are contiguous: each element is a sum over lanes."""

    def __init__(self, f: Function, p: Product, bases: list[Value], lanes: int, put: Put | None, end: End) -> None:
        self.f, self.p, (self.a, self.b, self.c) = f, p, bases
        self.put, self.end = put or self._store, end
        width = lanes
        while width > 1 and width // 2 >= p.k:
            width //= 2
        self.width = width
        self.item = "float" if p.kind == "f32" else "double"
        each_block(f, p, min(p.m, 4), self._columns)

    def _columns(self, i: Count, rows: int) -> None:
        start = 0
        most = max(1, min(16 // rows, self.p.n))
        for block, count in self._even(self.p.n, most):
            with self.f.loop(start, start + block * count, block) as j:
                self._tile(i, rows, j, block)
            start += block * count

    @staticmethod
    def _even(total: int, most: int) -> list[tuple[int, int]]:
        whole = total // most
        return ([(most, whole)] if whole else []) + ([(total - whole * most, 1)] if total % most else [])

    def _tile(self, i: Count, rows: int, j: Count, columns: int) -> None:
        f, p, width = self.f, self.p, self.width
        lanes = Lanes(f, p.kind, width, contract=True)
        a = f.element(self.item, self.a, f.mul(i, p.a[-2]))
        b = f.element(self.item, self.b, f.mul(j, p.b[-1]))
        sums = [lanes.const(0)] * (rows * columns)
        whole = p.k // width * width

        def step(k: Count, mask: Value | None, old: list[Value]) -> list[Value]:
            left = [lanes.load(a, f.add(k, r * p.a[-2]), 1, mask) for r in range(rows)]
            out = list(old)
            for n in range(columns):
                right = lanes.load(b, f.add(k, n * p.b[-1]), 1, mask)
                for r in range(rows):
                    out[r * columns + n] = lanes.fma(left[r], right, old[r * columns + n])
            return out

        if whole:
            with f.loop_carry(0, whole, width, [(lanes.type, s) for s in sums]) as loop:
                loop.set(*step(loop.i, None, loop.values))
            sums = loop.results
        if p.k > whole:
            sums = step(whole, lanes.tail(str(p.k - whole)), sums)
        for r in range(rows):
            self._store_sums(lanes, sums[r * columns : (r + 1) * columns], f.add(i, r), j)
        self.end()

    def _store_sums(self, lanes: Lanes, sums: list[Value], row: Count, j: Count) -> None:
        """Add up each vector's lanes, all together in a tree, and store the sums side by side."""
        f, count = self.f, len(sums)
        size = 1 << max(0, math.ceil(math.log2(count)))
        if lanes.width == 1 or size == 1 or size > lanes.width:
            one = Lanes(f, self.p.kind, 1)
            for n, s in enumerate(sums):
                self.put(row, f.add(j, n), one, lanes.sum(s), None)
            return
        vectors = [*sums, *[lanes.const(0)] * (size - count)]
        width, apart = lanes.width, 1
        while len(vectors) > 1:
            vectors = [
                lanes.add(mixed(self.f, lanes, x, y, apart, 0), mixed(self.f, lanes, x, y, apart, apart))
                for x, y in zip(vectors[::2], vectors[1::2], strict=True)
            ]
            apart *= 2
        # one vector now: lane l holds a part of the sum number l % size
        (value,) = vectors
        while width > size:
            now, narrow = Lanes(f, self.p.kind, width), Lanes(f, self.p.kind, width // 2, contract=True)
            value = narrow.add(half(f, now, value, 0), half(f, now, value, 1))
            width //= 2
        final = Lanes(f, self.p.kind, width)
        self.put(row, j, final, value, final.tail(str(count)) if count < width else None)
