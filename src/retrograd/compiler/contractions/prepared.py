"""A contraction made ready: its kernels assembled, its frame filled in, its tables kept; called with addresses."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...core.threads import threads
from ..codegen.kinds import KINDS
from ..runtime import entry, pool
from . import blocking, driver, packing, tile
from .description import Contraction, Operand, merged, table
from .frame import BOUNDS, FIELDS, WORDS
from .packing import Packer
from .pairs import paired
from .tile import Tile

LINE = 64  # bytes
RELEASE = 1 << 20  # multiply-adds from which other threads of Python run meanwhile
_P = ctypes.c_void_p


class _Workspaces(threading.local):
    """A thread's working memory, grown to the largest that it needed; up to LARGEST it is kept from call to call."""

    LARGEST = 64 << 20

    def __init__(self) -> None:
        self.size, self.at = -1, 0
        self.kept: Any = None

    def take(self, size: int) -> tuple[int, Any]:
        """Give an address with that many bytes behind it, and what keeps it in memory."""
        if size <= self.size:
            return self.at, self.kept
        held: Any = np.empty(size + LINE, np.uint8)
        at = -(-entry.pointer(held) // LINE) * LINE
        if size <= self.LARGEST:
            self.size, self.at, self.kept = size, at, held
        return at, held


_workspaces = _Workspaces()


@dataclass(frozen=True)
class Read:
    """How an operand is read: by a packer, or where it lies ("strided", "direct")."""

    packer: Packer | None
    lies: str = ""

    def __str__(self) -> str:
        return f"packed {self.packer.how}" if self.packer else self.lies


class Prepared:
    """A contraction that can be run.

    Parameters
    ----------
    contraction : Contraction
    a, b : Read
        How its operands are read.
    blocks : blocking.Blocks
    chunks : int
        Into how many parts the strips of all items are cut for threads.
    """

    def __init__(self, contraction: Contraction, a: Read, b: Read, blocks: blocking.Blocks, chunks: int = 1) -> None:
        self.contraction, self.a, self.b, self.blocks, self.chunks = contraction, a, b, blocks, chunks
        self.template = np.zeros(WORDS, np.int64)
        self.tables: list[Any] = []
        self._fill()
        self._run = driver.code().function("contract", None, *[_P] * 6)
        self._start = self.template.ctypes.data
        self.empty = not (contraction.items and contraction.m and contraction.n)
        self.shared = chunks > 1

    def __call__(self, a: int, b: int, c: int, extras: Sequence[int] = ()) -> None:
        """Run it on addresses of the operands' first elements."""
        if self.empty:
            return
        if self.shared:
            pool.ensure(threads())
        work, held = _workspaces.take(self.bytes)
        given = (_P * len(extras))(*extras) if extras else None
        self._run(self._start, a, b, c, work, given)
        del held

    def caller(self) -> Callable[..., None]:
        """Give a function of ndarrays (a, b, c, and the epilogue's), whose types and sizes are not looked at: the fastest way."""
        if self.empty:
            return lambda *arrays: None
        if not entry.readable():
            at = entry.pointers()
            return lambda a, b, c, *extras: self(at(a), at(b), at(c), [at(e) for e in extras])
        call, start, size, shared = (
            driver.builtin(self.contraction.work > RELEASE),
            self._start,
            self.bytes,
            self.shared,
        )
        take, ensure = _workspaces.take, pool.ensure

        def run(*arrays: Any) -> None:
            if shared:
                ensure(threads())
            if size:
                work, held = take(size)
                call(start, work, *arrays)
                del held
            else:
                call(start, 0, *arrays)

        run.prepared = self  # type: ignore[attr-defined]  # the template is read at each call
        return run

    def arrays(self, a: Any, b: Any, c: Any, *extras: Any) -> None:
        """Run it on arrays, whose types and sizes are not looked at."""
        self.caller()(a, b, c, *extras)

    def __str__(self) -> str:
        what, cut = self.contraction, self.blocks
        shape = blocking.shape(what.kind)
        batch = f"{what.items} times " if what.batch else ""
        sizes = f"{what.m}x{what.k * (2 if what.pairs else 1)}x{what.n}"
        twice = ", two products at once" if what.pairs else ""
        lines = [
            f"{batch}{sizes}: tiles of {cut.tall} rows by {shape.vectors} vectors of {shape.lanes}{twice}",
            f"A {self.a}, B {self.b}",
            f"blocks of {cut.rows_at_once} x {cut.columns_at_once} panels and {cut.depth_at_once} products",
            f"strips {cut.row_strips} x {cut.column_strips}, for threads in {self.chunks} parts",
        ]
        return "; ".join(lines)

    # the frame

    def _put(self, **fields: int) -> None:
        for name, value in fields.items():
            self.template[FIELDS[name]] = value

    def _keep(self, array: Any) -> int:
        self.tables.append(array)
        return int(array.ctypes.data)

    def _fill(self) -> None:
        what, cut = self.contraction, self.blocks
        size, source = KINDS[what.kind].size, KINDS[what.source or what.kind].size
        shape = blocking.shape(what.kind)
        width = shape.vectors * shape.lanes
        panel = cut.depth_at_once * size
        beyond = (
            -(-shape.rows // shape.lanes) * shape.lanes * size
        )  # packers write whole vectors, whatever a panel's rows
        a_panel = -(-(panel * cut.tall + beyond) // LINE) * LINE
        b_panel = panel * width
        self.bytes = b_work = a_panel * cut.rows_at_once if self.a.packer else 0
        if self.b.packer:
            self.bytes += b_panel * cut.group
        step = self.bytes
        self.bytes *= self.chunks
        self._put(m=what.m, n=what.n, depth=what.k, width=width, last_width=(shape.vectors - 1) * shape.lanes)
        a_size, b_size = (size if how == "words" else source for how in what.pairs or ("", ""))
        self._put(a_size=a_size, b_size=b_size, c_size=source, accumulate=int(what.accumulate))
        self._put(tall=cut.tall, tall_count=cut.tall_count, row_panels=cut.row_panels, column_panels=cut.column_panels)
        self._put(rows_at_once=cut.rows_at_once, columns_at_once=cut.columns_at_once, depth_at_once=cut.depth_at_once)
        self._put(row_strips=cut.row_strips, column_strips=cut.column_strips, chunks=self.chunks)
        self._put(wakes=int(what.work > blocking.LONG))
        self._put(a_panel=a_panel, b_panel=b_panel, b_work=b_work, work_step=step)
        self._put(group=cut.group)
        self._put(batch=what.items)
        self._batch()
        self._operand("a", what.a, self.a)
        self._operand("b", what.b, self.b)
        self._result(shape)

    def _batch(self) -> None:
        what = self.contraction
        lengths = tuple(axis[0] for axis in what.batch)
        rows = np.zeros((what.items, 4), np.int64)
        for place, start in enumerate((what.a.offset, what.b.offset, what.c.offset, 0)):
            steps = tuple(axis[1 + place] if len(axis) > 1 + place else 0 for axis in what.batch)
            rows[:, place] = start + table(lengths, steps)
        self._put(batch_table=self._keep(rows))

    def _operand(self, name: str, what: Operand, read: Read) -> None:
        free, sums = merged(what.free), merged(what.sum)
        self._put(**{f"{name}_free": free[-1][1] if free else 0, f"{name}_sum": sums[-1][1] if sums else 0})
        if read.packer is None:
            return
        packer = read.packer
        self._put(**{f"pack_{name}": packing.address(packer)})
        if packer.tabled or packer.how == "table":
            for side, axes in (("free", what.free), ("sum", what.sum)):
                offsets = table(*_columns(axes))
                self._put(**{f"{name}_{side}_table": self._keep(offsets)})
        for d, bound in enumerate(what.bounds):
            for side, axes, start in (("free", what.free, bound.start), ("sum", what.sum, 0)):
                positions = table(tuple(n for n, _ in axes), getattr(bound, side)) + start
                self._put(**{f"{name}_{side}_position{d}": self._keep(positions.astype(np.int32))})
            self._put(**{f"{name}_extent{d}": bound.extent})

    def _result(self, shape: blocking.Shape) -> None:
        what, cut = self.contraction, self.blocks
        rows, columns = merged(what.c.rows), merged(what.c.columns)
        scattered = len(columns) > 1 or (bool(columns) and columns[0][1] != 1)
        self._put(c_row=rows[0][1] if rows else 0)
        if scattered:
            self._put(c_columns=self._keep(table(*_columns(what.c.columns))))
        for height, rows_of in (("tall", cut.tall), ("short", cut.tall - 1)):
            for breadth, vectors in (("wide", shape.vectors), ("narrow", max(1, shape.vectors - 1))):
                if (
                    rows_of < 1
                    or (height == "short" and cut.tall_count == cut.row_panels)
                    or not self._used(breadth, shape)
                ):
                    continue
                a, b = self.a.lies or "packed", self.b.lies or "packed"
                kernel = Tile(
                    what.kind, rows_of, vectors, a, b, what.epilogue, scattered, what.source, bool(what.pairs)
                )
                self._put(**{f"{height}_{breadth}": tile.address(kernel)})

    def _used(self, breadth: str, shape: blocking.Shape) -> bool:
        """Tell whether there are column panels of all vectors, or of fewer."""
        width, n = shape.vectors * shape.lanes, self.contraction.n
        narrow = 0 < (n % width) <= (shape.vectors - 1) * shape.lanes
        return narrow if breadth == "narrow" else n >= width or not narrow


def _columns(axes: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(n for n, _ in axes), tuple(s for _, s in axes)


def reading(what: Contraction, which: str, direct: bool) -> Read:
    """Choose how an operand is read; ``direct``: where it lies, if that can be."""
    operand: Operand = getattr(what, which)
    shape = blocking.shape(what.kind)
    vectors = shape.vectors if which == "b" else -(-shape.rows // shape.lanes)
    free, sums = merged(operand.free), merged(operand.sum)
    plain = len(free) <= 1 and len(sums) <= 1 and not operand.bounds
    unit = not free or free[-1][1] == 1
    if what.pairs:
        if what.pairs[which == "b"] == "rows":
            return Read(Packer(what.kind, "along", vectors, source=what.source, pairs=True))
        return Read(None, "strided") if direct and which == "a" else Read(Packer(what.kind, "across", vectors))
    if direct and plain and not what.source and (which == "a" or unit):
        return Read(None, "strided" if which == "a" else "direct")
    if not operand.bounds:
        if len(free) <= 1 and unit:
            return Read(Packer(what.kind, "along", vectors, len(sums) > 1, source=what.source))
        if len(sums) <= 1 and (not sums or sums[-1][1] == 1):
            return Read(Packer(what.kind, "across", vectors, len(free) > 1, source=what.source))
    return Read(Packer(what.kind, "table", vectors, bounds=min(len(operand.bounds), BOUNDS), source=what.source))


QUARTER = 1024  # bytes of a page: columns that lie whole quarters apart compete for the same places of the caches


def _meets(what: Contraction) -> bool:
    """Tell whether A's columns, read one after the other, drive each other from the caches."""
    free, sums = merged(what.a.free), merged(what.a.sum)
    stride = sums[-1][1] * KINDS[what.kind].size if sums else 1
    return bool(free) and free[-1][1] == 1 and stride % QUARTER == 0 and what.k > 256


@functools.lru_cache(4096)
def prepare(what: Contraction, a_direct: bool | None = None, b_direct: bool | None = None) -> Prepared:
    """Make a contraction ready to run; equal ones are made once.

    Parameters
    ----------
    what : Contraction
    a_direct, b_direct : bool, optional
        Read an operand where it lies, or pack it; chosen where not given.
    """
    what = paired(what) or what
    what.check()
    if any(len(o.bounds) > BOUNDS for o in (what.a, what.b)):
        raise ValueError(f"contraction: an operand may have {BOUNDS} bounds")
    cut, chunks = blocking.blocks(what.kind, what.m, what.n, what.k, what.items)
    if what.source and cut.depth_at_once < what.k:
        # what is rounded when it is stored is stored once; with several blocks of rows, all columns of a block are packed together
        across = min(cut.columns_at_once, 8)
        cut = replace(cut, depth_at_once=what.k, rows_at_once=1, columns_at_once=across, group=across)
    near = blocking.near(what.kind, what.m, what.n, what.k) and not _meets(what)
    if a_direct is None:
        a_direct = near or cut.column_panels <= 2
    if b_direct is None:
        b_direct = near or cut.row_panels == 1
    if not near and b_direct and cut.row_panels == 1 and not what.source:
        # a few rows of B at a time: they are read to their ends, once, while C is near
        across = -(-cut.column_panels // cut.column_strips)
        cut = replace(cut, depth_at_once=min(cut.depth_at_once, blocking.SWEEP), columns_at_once=across, group=across)
    return Prepared(what, reading(what, "a", a_direct), reading(what, "b", b_direct), cut, chunks)


__all__ = ["Prepared", "Read", "prepare", "reading"]
