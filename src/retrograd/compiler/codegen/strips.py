"""Strips: the last columns of a product that fill only a small part of a register, which several rows then share."""

from __future__ import annotations

from collections.abc import Callable

from .emit import Count, Function, Value
from .lanes import Lanes
from .products import Product

STRIPS = 20  # registers of a block: beside them B's rows and a register of A's numbers
PIECE = 16  # bytes that a machine's shuffles do not cross for nothing: as many of each row are in a register

Put = Callable[[Count, Count, Lanes, Value, "Value | None"], None]


def piece(kind: str) -> int:
    """Give how many numbers of a row a register has."""
    return PIECE // (4 if kind == "f32" else 8)


def shared_strip(p: Product, width: int) -> bool:
    """Tell whether the columns behind the last whole register are computed so."""
    rest, own = p.n % width, piece(p.kind)
    return p.n > width >= 2 * own and 0 < rest <= own and p.m >= width // own


class Strip:
    """Writes blocks of such columns.

    A register holds ``piece`` columns of as many rows as it has pieces. B's numbers are the same for all of them; A's are
    read along the sum, a piece of each row at once, and spread inside each piece, or, where A's rows lie side by side, one of each row.
    The order of every sum is that of whole registers.
    """

    def __init__(self, f: Function, p: Product, a: Value, width: int, put: Put, end: Callable[[], None]) -> None:
        self.f, self.p, self.a, self.put, self.end = f, p, a, put, end
        self.item = "float" if p.kind == "f32" else "double"
        self.own = piece(p.kind)
        self.sharing = width // self.own
        self.wide = Lanes(f, p.kind, width, contract=True)
        self.narrow = Lanes(f, p.kind, self.own, contract=True)
        self.by_row = Lanes(f, p.kind, self.sharing)
        self.one = Lanes(f, p.kind, 1)

    def tile(self, i: Count, rows: int, j: Count, count: int, b: Value, apart: int, padded: bool) -> None:
        """Write one block: ``rows`` rows from ``i`` on, ``count`` columns from ``j`` on, whose numbers of B begin at ``b``."""
        f, p = self.f, self.p
        self.rows, self.count, self.b, self.apart = rows, count, b, apart
        self.read = None if padded or count == self.own else self.narrow.tail(str(count))
        groups = -(-rows // self.sharing)
        self.first = f.element(self.item, self.a, f.mul(i, p.a[-2]))
        steps = self.own if p.a[-2] != 1 and p.a[-1] == 1 else 1
        sums = [self.wide.const(0)] * groups
        whole = p.k // steps * steps
        if whole:
            with f.loop_carry(0, whole, steps, [(self.wide.type, s) for s in sums]) as loop:
                loop.set(*self._steps(loop.i, steps, loop.values))
            sums = loop.results
        for k in range(whole, p.k):
            sums = self._steps(k, 1, sums)
        # whole stores: one that leaves lanes out keeps the loads behind it waiting
        sizes = [1 << bit for bit in reversed(range(count.bit_length())) if count >> bit & 1]
        for r in range(rows):
            at = 0
            for size in sizes:
                order = [r % self.sharing * self.own + at + lane for lane in range(size)]
                lanes = self.narrow.of(p.kind, size)
                if size == 1:
                    value = self.wide.lane(sums[r // self.sharing], order[0])
                else:
                    value = self._picked(self.wide, sums[r // self.sharing], order)
                self.put(f.add(i, r), f.add(j, at), lanes, value, None)
                at += size
        self.end()

    def _steps(self, k: Count, steps: int, old: list[Value]) -> list[Value]:
        """Multiply and add for ``steps`` places of the sum from ``k`` on."""
        f, p = self.f, self.p
        same = list(range(self.own)) * self.sharing
        right = []
        for step in range(steps):
            row = f.element(self.item, self.b, f.mul(f.add(k, step), self.apart))
            right.append(self._picked(self.narrow, self.narrow.load(row, 0, 1, self.read), same))
        column = f.element(self.item, self.first, f.mul(k, p.a[-1]))
        out = []
        for g, value in enumerate(old):
            for factor, b in zip(self._factors(column, g * self.sharing, steps), right, strict=True):
                value = self.wide.fma(factor, b, value)
            out.append(value)
        return out

    def _factors(self, column: Value, row: int, steps: int) -> list[Value]:
        """Give A's numbers of the rows that share a register from ``row`` on, each spread over its row's piece, for each step."""
        p, own = self.p, self.own
        left = min(self.sharing, self.rows - row)
        if p.a[-2] == 1 and self.sharing > 1:
            mask = self.by_row.tail(str(left)) if left < self.sharing else None
            numbers = self.by_row.load(column, row, 1, mask)
            return [self._picked(self.by_row, numbers, [r for r in range(self.sharing) for _ in range(own)])]
        # rows that are not there repeat the last
        places = [min(row + r, self.rows - 1) * p.a[-2] for r in range(self.sharing)]
        if steps == 1:
            return [self._together([self.narrow.splat(self.one.load(column, at)) for at in places])]
        pieces = self._together([self.narrow.load(column, at, 1) for at in places])
        starts = range(0, self.wide.width, own)
        return [
            self._picked(self.wide, pieces, [at + step for at in starts for _ in range(own)]) for step in range(steps)
        ]

    def _together(self, parts: list[Value]) -> Value:
        """Put registers behind one another into one."""
        lanes = self.narrow
        while len(parts) > 1:
            order = list(range(2 * lanes.width))
            parts = [self._picked(lanes, x, order, y) for x, y in zip(parts[::2], parts[1::2], strict=True)]
            lanes = Lanes(self.f, self.p.kind, 2 * lanes.width)
        return parts[0]

    def _picked(self, lanes: Lanes, value: Value, order: list[int], other: Value = "poison") -> Value:
        """Give lanes of a register, or of two, in an order."""
        mask = ", ".join(f"i32 {k}" for k in order)
        return self.f.op(f"shufflevector {lanes.type} {value}, {lanes.type} {other}, <{len(order)} x i32> <{mask}>")


__all__ = ["STRIPS", "Strip", "piece", "shared_strip"]
