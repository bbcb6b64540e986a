"""What follows a product's elements while they are in registers, and how the sums of chunks are put together."""

from __future__ import annotations

from typing import Any

from ...core import Node
from ..lowering.kernel import Statement
from .analysis import Analysis
from .emit import Count, Module, Value
from .lanes import Lanes
from .loops import Writer
from .rows import kind_of
from .values import Values


class Behind(Writer):
    """Writes a matrix product whose elements are gone on with while they are in registers.

    The arguments are the nest's buffers, then the addresses of A and B.
    """

    def __init__(
        self, plan: Analysis, module: Module, name: str, buffers: dict[tuple[Node, int], int], tiles: Any
    ) -> None:
        self.tiles = tiles  # (function, address of A, address of B, put, end of a block)
        super().__init__(plan, module, name, buffers)

    def _begin(self) -> None:
        """Make ready for rows: a single sweep, whose values are kept in memory or not at all."""
        self.wanted = [s for s in self.nest.statements if s.store is not None]
        self.reductions: list[Statement] = []
        self.runs: list[Statement] = []
        self.sweep, self.ways = 0, 1
        self.row: Any = None
        self.waiting: dict[Any, tuple[Any, ...]] = {}

    def _nest(self) -> None:
        f, k = self.f, len(self.buffers)
        self._begin()
        a, b = (f.load("ptr", f.element("ptr", f.arguments, k + i), 8) for i in range(2))
        self.tiles(f, a, b, self._put, self._end)

    def _add(self, s: Statement, lanes: Lanes, value: Value, pointer: Value, stride: int) -> None:
        """Add a block's rows one after another to what memory holds, in the order in which loops of their own would."""
        if s.store[1][1][0]:  # type: ignore[index]
            super()._add(s, lanes, value, pointer, stride)
            return
        key = (s, self.at, lanes.width)
        old = self.waiting[key][2] if key in self.waiting else lanes.load(pointer, self.at, stride, self.mask_)
        value = self.combined(s.node, lanes, old, value)
        self.waiting[key] = (s, lanes, value, pointer, stride, self.at, self.mask_)

    def _end(self) -> None:
        """Write back to memory what a block has added up."""
        for _, lanes, value, pointer, stride, at, mask in self.waiting.values():
            lanes.store(value, pointer, at, stride, mask)
        self.waiting.clear()
        self.row = None

    def _begin_row(self, row: Count, lanes: Lanes) -> None:
        self.plan.width = lanes.width
        self.row = (row, lanes.width)
        self.row_index = {0: row}
        self._open_row()

    def _open_row(self) -> None:
        self.row_values, self.row_pointers, self.row_loads = {}, {}, {}
        self._hoist()
        self._spread_all()

    def _put(self, row: Count, column: Count, lanes: Lanes, value: Value, mask: Value | None) -> None:
        if self.row != (row, lanes.width):
            self._begin_row(row, lanes)
        self._vector(column, value, mask)

    def _vector(self, column: Count, value: Value, mask: Value | None) -> None:
        """Go on with one vector of the row."""
        self.places = {}
        self.given = {self.nest.product.node: value}
        self._body({}, column, mask, [], 0)


def write_joined(module: Module, name: str, node: Node, count: int, width: int) -> None:
    """Write the function that puts a reduction together from its chunks', whose addresses are (parts, whole, size)."""
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    parts, whole = (f.load("ptr", f.element("ptr", f.arguments, i), 8) for i in range(2))
    size = f.load("i64", f.element("i64", f.arguments, 2), 8)
    even = f.round_down(size, width)
    kind = kind_of(node.dtype)
    assert kind is not None
    for lanes, start, stop in ((Lanes(f, kind, width), 0, even), (Lanes(f, kind, 1), even, size)):
        with f.loop(start, stop, lanes.width) as i:
            value = lanes.load(parts, i)
            for k in range(1, count):
                value = Values.combined(node, lanes, value, lanes.load(parts, f.add(i, f.mul(k, size))))
            lanes.store(value, whole, i)
    f.ret()


__all__ = ["Behind", "write_joined"]
