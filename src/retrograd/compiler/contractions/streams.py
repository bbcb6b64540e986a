"""Products of a large matrix with few vectors: the matrix is read once, straight through, by all threads.

``Y[v, r] = sum over k of M[r, k] * X[v, k]``. Where M runs along k, four of its rows are multiplied at a time and each sum is kept in
vectors; where it runs along r, eight of its columns are added at a time to a piece of Y that stays in the first cache. There the sum is cut
into parts, whoever computes them, which are added in their order: so each thread reads memory from end to end. The outer
product of two vectors is written past the caches where it is larger than they are.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.threads import threads
from ..codegen.emit import PAST as NONTEMPORAL
from ..codegen.emit import Count, Function, Module, Value
from ..codegen.kinds import KINDS
from ..codegen.lanes import Lanes
from ..runtime import cache, entry, jit, pool
from .driver import JOB

MOST = 4  # vectors
ROWS = 4  # of M at once, where it runs along the sum
TOGETHER = 8  # columns of M at once, where it runs along its rows
SEVERAL = 4  # vectors of a column at a time
PIECE = 16 << 10  # bytes of Y's vectors that are added to again and again
CHUNK = 1 << 18  # bytes of M for which one more thread is worth its call
PAST = 8 << 20  # bytes of a result that is written past the caches
PARTS = 16  # at most, of a sum that is cut
DEEP = 128  # products of a part, at least: a part's sums are written and read once more
FIELDS = ("m", "x", "y", "rows", "k", "m_step", "x_vector", "x_step", "y_vector", "y_step", "chunks", "work", "parts")
PLACES = {name: place for place, name in enumerate(FIELDS)}
_Frame = ctypes.c_int64 * len(FIELDS)


@dataclass(frozen=True)
class Stream:
    """A kernel.

    Attributes
    ----------
    kind : str
        f32 or f64.
    how : str
        "sums": M has unit stride along k, and X too; "sweeps": M has unit stride along r, and Y too; "outer": k is 1.
    vectors : int
        How many vectors X has.
    past : bool
        Of "outer": write past the caches.
    """

    kind: str
    how: str
    vectors: int = 1
    past: bool = False

    @property
    def name(self) -> str:
        """The kernel's name, different for each."""
        return f"stream_{self.kind}_{self.how}{self.vectors}{'_past' if self.past else ''}"


def write_stream(module: Module, stream: Stream) -> None:
    """Write ``void(ptr frame)``, which shares the rows of M among threads."""
    job = module.function(f"{stream.name}_part", JOB)
    writer = _Writer(job, stream)
    {"sums": writer.sums, "sweeps": writer.sweeps, "outer": writer.outer}[stream.how]()
    job.ret()
    f = module.function(stream.name, [("ptr", "frame")])
    chunks = f.load("i64", f.element("i64", f.frame, PLACES["chunks"]), 8)

    def alone() -> list[Value]:
        f.call(job.address, arguments=[("ptr", f.frame), ("i64", 0)])
        return []

    def several() -> list[Value]:
        pool.emit_parallel(f, job.address, f.frame, chunks)
        return []

    f.choose(f.op(f"icmp sle i64 {chunks}, 1"), [], alone, several)
    if stream.how == "sweeps":
        _Writer(f, stream, f.frame).joined()
    f.ret()


def cut(stream: Stream, size: int, k: int) -> int:
    """Give into how many parts the sum of a matrix of so many bytes is cut: by sizes alone, so that bits do not depend on threads."""
    if stream.how != "sweeps" or size < 2 * CHUNK:
        return 1
    return max(1, min(PARTS, size // CHUNK, k // DEEP))


@functools.cache
def code(stream: Stream) -> Any:
    """Give a kernel as a function of a frame's address."""
    module = Module(jit.host().enabled)
    write_stream(module, stream)
    return cache.native(module.text(), stream.name).function(stream.name, None, ctypes.POINTER(ctypes.c_int64))


def prepare(stream: Stream, itemsize: int, numbers: dict[str, int]) -> Callable[[int, int, int], None]:
    """Make a kernel ready for lengths and strides (in elements, by ``FIELDS``); gives a function of the addresses of M, X and Y."""
    words = np.zeros(len(FIELDS), np.int64)
    for name, value in numbers.items():
        words[PLACES[name]] = value
    size = numbers["rows"] * itemsize * (numbers["m_step"] if stream.how == "outer" else numbers["k"])
    chunks = max(1, min(pool.available(), size // CHUNK))
    parts = cut(stream, size, numbers.get("k", 1))
    words[PLACES["chunks"]] = chunks if parts == 1 else parts
    words[PLACES["parts"]] = parts
    partial = parts * stream.vectors * numbers["rows"] * itemsize if parts > 1 else 0
    kernel = code(stream)
    block = words.tobytes()
    m, x, y, w = (PLACES[name] for name in ("m", "x", "y", "work"))
    at = entry.pointers()

    def run(m_at: int, x_at: int, y_at: int) -> None:
        if chunks > 1:
            pool.ensure(threads())
        frame = _Frame.from_buffer_copy(block)
        frame[m], frame[x], frame[y] = m_at, x_at, y_at
        if partial:
            held = np.empty(partial, np.uint8)
            frame[w] = at(held)
        kernel(frame)

    return run


class _Writer:
    def __init__(self, f: Function, stream: Stream, frame: Value = "") -> None:
        self.f, self.stream = f, stream
        self.width = jit.host().lanes(KINDS[stream.kind].size)
        self.lanes = Lanes(f, stream.kind, self.width, contract=True)
        self.one = Lanes(f, stream.kind, 1)
        self.item = KINDS[stream.kind].type
        self.given: dict[str, Value] = {}
        for name, place in PLACES.items():
            type = "ptr" if name in ("m", "x", "y", "work") else "i64"
            self.given[name] = f.load(type, f.element("i64", frame or f.argument, place), 8)

    def share(self, unit: int) -> tuple[Count, Count]:
        """Give this chunk's rows, in whole units."""
        f, rows, chunks = self.f, self.given["rows"], self.given["chunks"]
        units = f.op(f"sdiv i64 {f.add(rows, unit - 1)}, {unit}")
        start, stop = (f.op(f"sdiv i64 {f.mul(c, units)}, {chunks}") for c in (f.chunk, f.add(f.chunk, 1)))
        return f.mul(start, unit), f.min(f.mul(stop, unit), rows)

    def sums(self) -> None:
        """Rows of M by vectors of X, each sum in two registers."""
        f = self.f
        start, stop = self.share(ROWS)
        whole = f.add(start, f.round_down(str(f.sub(stop, start)), ROWS))
        with f.loop(start, whole, ROWS) as r:
            self._rows(r, ROWS)
        with f.loop(whole, stop) as r:
            self._rows(r, 1)

    def _rows(self, r: Value, rows: int) -> None:
        f, lanes, w, given = self.f, self.lanes, self.width, self.given
        vectors, apart = self.stream.vectors, 2
        m = [f.element(self.item, given["m"], f.mul(given["m_step"], f.add(r, i))) for i in range(rows)]
        x = [f.element(self.item, given["x"], f.mul(given["x_vector"], v)) for v in range(vectors)]
        zero = [lanes.const(0)] * (rows * vectors * apart)

        def step(k: Count, mask: Value | None, held: list[Value], at: int) -> list[Value]:
            left = [lanes.load(p, k, 1, mask) for p in x]
            out = list(held)
            for i, p in enumerate(m):
                value = lanes.load(p, k, 1, mask)
                for v in range(vectors):
                    place = (i * vectors + v) * apart + at
                    out[place] = lanes.fma(value, left[v], out[place])
            return out

        twice = f.round_down(given["k"], apart * w)
        with f.loop_carry(0, twice, apart * w, [(lanes.type, z) for z in zero]) as loop:
            held = loop.values
            for at in range(apart):
                held = step(f.add(loop.i, at * w), None, held, at)
            loop.set(*held)
        held = loop.results
        with f.loop_carry(twice, given["k"], w, [(lanes.type, h) for h in held]) as loop:
            mask = lanes.tail(str(f.sub(given["k"], loop.i)))
            loop.set(*step(loop.i, mask, loop.values, 0))
        held = loop.results
        for i in range(rows):
            for v in range(vectors):
                pair = held[(i * vectors + v) * apart : (i * vectors + v + 1) * apart]
                value = lanes.sum(lanes.add(pair[0], pair[1]))
                place = f.add(f.mul(given["y_vector"], v), f.mul(given["y_step"], f.add(r, i)))
                self.one.store(value, f.element(self.item, given["y"], place))

    def sweeps(self) -> None:
        """Columns of M, several at a time, times numbers of X, added to pieces of Y."""
        f, given = self.f, self.given
        whole = f.op(f"icmp eq i64 {given['parts']}, 1")

        def by_rows() -> list[Value]:
            self._swept(*self.share(4 * self.width), 0, given["k"])
            return []

        def by_parts() -> list[Value]:
            groups = f.op(f"sdiv i64 {f.add(given['k'], TOGETHER - 1)}, {TOGETHER}")
            begin, end = (
                f.mul(f.op(f"sdiv i64 {f.mul(c, groups)}, {given['parts']}"), TOGETHER)
                for c in (f.chunk, f.add(f.chunk, 1))
            )
            result = given["y"], given["y_vector"]
            of_part = f.mul(f.mul(f.chunk, self.stream.vectors), given["rows"])
            given["y"], given["y_vector"] = f.element(self.item, given["work"], of_part), given["rows"]
            self._swept(0, given["rows"], begin, f.min(end, given["k"]))
            given["y"], given["y_vector"] = result
            return []

        f.choose(whole, [], by_rows, by_parts)

    def joined(self) -> None:
        """Add up the parts of the sums, in their order."""
        f, given, lanes = self.f, self.given, self.lanes
        rows, work = given["rows"], given["work"]
        with f.if_(f.op(f"icmp sgt i64 {given['parts']}, 1")):
            for v in range(self.stream.vectors):
                y = f.element(self.item, given["y"], f.mul(given["y_vector"], v))
                with f.loop(0, rows, self.width) as at:
                    mask = lanes.tail(str(f.sub(rows, at)))
                    first = f.element(self.item, work, f.mul(rows, v))
                    start = lanes.load(first, at, 1, mask)
                    with f.loop_carry(1, given["parts"], 1, [(lanes.type, start)]) as loop:
                        place = f.mul(f.mul(loop.i, self.stream.vectors), rows)
                        part = lanes.load(f.element(self.item, first, place), at, 1, mask)
                        loop.set(lanes.add(loop.values[0], part))
                    lanes.store(loop.results[0], y, at, 1, mask)

    def _swept(self, start: Count, stop: Count, begin: Count, behind: Count) -> None:
        """Sweep rows from start to stop over the products from ``begin`` to before ``behind``."""
        f = self.f
        piece = PIECE // (KINDS[self.stream.kind].size * self.stream.vectors)
        count = f.sub(behind, begin)
        whole = f.add(begin, f.round_down(str(count), TOGETHER))
        with f.loop(start, stop, piece) as r:
            end = f.min(f.add(r, piece), stop)

            # the first columns write, the others add; of a sum of nothing all is 0
            def columns(k: Count, count: int, fresh: bool, r: Value = r, end: Count = end) -> list[Value]:
                self._columns(r, end, k, count, fresh)
                return []

            full = f.op(f"icmp sge i64 {count}, {TOGETHER}")
            f.choose(full, [], lambda: columns(begin, TOGETHER, True), lambda: columns(begin, 0, True))
            after = f.add(begin, f.op(f"select i1 {full}, i64 {TOGETHER}, i64 0"))
            with f.loop(after, whole, TOGETHER) as k:
                columns(k, TOGETHER, False)
            with f.loop(whole, behind) as k:
                columns(k, 1, False)

    def _columns(self, r: Count, end: Count, k: Count, count: int, fresh: bool) -> None:
        f, lanes, given, vectors = self.f, self.lanes, self.given, self.stream.vectors
        columns = [f.element(self.item, given["m"], f.mul(given["m_step"], f.add(k, i))) for i in range(count)]
        factors = []
        for v in range(vectors):
            x = f.element(self.item, given["x"], f.mul(given["x_vector"], v))
            factors.append(
                [
                    lanes.splat(self.one.load(f.element(self.item, x, f.mul(given["x_step"], f.add(k, i)))))
                    for i in range(count)
                ]
            )
        ys = [f.element(self.item, given["y"], f.mul(given["y_vector"], v)) for v in range(vectors)]

        def step(at: Count, mask: Value | None, vectors_at_once: int = 1) -> None:
            places = [f.add(at, i * self.width) for i in range(vectors_at_once)]
            read = [[lanes.load(p, place, 1, mask) for place in places] for p in columns]
            for v in range(vectors):
                for i, place in enumerate(places):
                    value = lanes.const(0)
                    for column, factor in zip(read, factors[v], strict=True):
                        value = lanes.fma(column[i], factor, value)
                    if not fresh:  # added together first: a long sum of equal numbers goes on for longer
                        value = lanes.add(lanes.load(ys[v], place, 1, mask), value)
                    lanes.store(value, ys[v], place, 1, mask)

        # some lines of each column at a time, for memory is fetched best in runs
        several = SEVERAL if vectors == 1 else 2
        runs = f.add(r, f.round_down(str(f.sub(end, r)), several * self.width))
        whole = f.add(r, f.round_down(str(f.sub(end, r)), self.width))
        with f.loop(r, runs, several * self.width) as at:
            step(at, None, several)
        with f.loop(runs, whole, self.width) as at:
            step(at, None)
        with f.if_(f.op(f"icmp slt i64 {whole}, {end}")):
            step(str(whole), lanes.tail(str(f.sub(end, whole))))

    def outer(self) -> None:
        """Rows of the result, M's numbers times the vector X, whose length is m_step."""
        f, lanes, given, w = self.f, self.lanes, self.given, self.width
        start, stop = self.share(1)
        n = given["m_step"]
        with f.loop(start, stop) as r:
            factor = lanes.splat(self.one.load(f.element(self.item, given["m"], f.mul(given["x_step"], r))))
            row = f.element(self.item, given["y"], f.mul(given["y_step"], r))
            address = f.op(f"ptrtoint ptr {row} to i64")
            size = KINDS[self.stream.kind].size
            # up to the first whole line by itself, so that the others are written in one piece
            before = f.op(f"and i64 {f.op(f'sub i64 0, {address}')}, {w * size - 1}")
            before = str(f.min(f.op(f"lshr i64 {before}, {size.bit_length() - 1}"), n))
            mask = lanes.tail(before)
            lanes.store(lanes.mul(factor, lanes.load(given["x"], 0, 1, mask)), row, 0, 1, mask)
            whole = f.add(before, f.round_down(str(f.sub(n, before)), w))
            with f.loop(before, whole, w) as j:
                value = lanes.mul(factor, lanes.load(given["x"], j))
                if self.stream.past:
                    f.do(
                        f"store {lanes.type} {value}, ptr {f.element(self.item, row, j)}, align {w * size}, {NONTEMPORAL}"
                    )
                else:
                    lanes.store(value, row, j)
            rest = lanes.tail(str(f.sub(n, whole)))
            with f.if_(f.op(f"icmp slt i64 {whole}, {n}")):
                lanes.store(lanes.mul(factor, lanes.load(given["x"], whole, 1, rest)), row, whole, 1, rest)
        if self.stream.past:
            f.do("fence seq_cst")
