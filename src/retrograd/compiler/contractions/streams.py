"""Products of a large matrix with few vectors: the matrix is read once, straight through, by all threads.

``Y[v, r] = sum over k of M[r, k] * X[v, k]``. Where M runs along k, four of its rows are multiplied at a time and each sum is kept in
vectors; where it runs along r, eight of its columns are added at a time to a piece of Y that stays in the first cache. The outer
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
from ..runtime import cache, jit, pool
from .driver import JOB

MOST = 4  # vectors
ROWS = 4  # of M at once, where it runs along the sum
TOGETHER = 8  # columns of M at once, where it runs along its rows
PIECE = 16 << 10  # bytes of Y's vectors that are added to again and again
CHUNK = 1 << 18  # bytes of M for which one more thread is worth its call
PAST = 8 << 20  # bytes of a result that is written past the caches
FIELDS = ("m", "x", "y", "rows", "k", "m_step", "x_vector", "x_step", "y_vector", "y_step", "chunks")
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
    f.ret()


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
    words[PLACES["chunks"]] = chunks
    kernel = code(stream)
    block = words.tobytes()
    m, x, y = (PLACES[name] for name in "mxy")

    def run(m_at: int, x_at: int, y_at: int) -> None:
        if chunks > 1:
            pool.ensure(threads())
        frame = _Frame.from_buffer_copy(block)
        frame[m], frame[x], frame[y] = m_at, x_at, y_at
        kernel(frame)

    return run


class _Writer:
    def __init__(self, f: Function, stream: Stream) -> None:
        self.f, self.stream = f, stream
        self.width = jit.host().lanes(KINDS[stream.kind].size)
        self.lanes = Lanes(f, stream.kind, self.width, contract=True)
        self.one = Lanes(f, stream.kind, 1)
        self.item = KINDS[stream.kind].type
        self.given: dict[str, Value] = {}
        for name, place in PLACES.items():
            type = "ptr" if name in ("m", "x", "y") else "i64"
            self.given[name] = f.load(type, f.element("i64", f.argument, place), 8)

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
        start, stop = self.share(4 * self.width)
        piece = PIECE // (KINDS[self.stream.kind].size * self.stream.vectors)
        whole = f.round_down(given["k"], TOGETHER)
        with f.loop(start, stop, piece) as r:
            end = f.min(f.add(r, piece), stop)
            # the first columns write, the others add; of a sum of nothing all is 0
            first = f.min(given["k"], TOGETHER)

            def columns(k: Count, count: int, fresh: bool, r: Value = r, end: Count = end) -> list[Value]:
                self._columns(r, end, k, count, fresh)
                return []

            full = f.op(f"icmp eq i64 {first}, {TOGETHER}")
            f.choose(full, [], lambda: columns(0, TOGETHER, True), lambda: columns(0, 0, True))
            after = f.op(f"select i1 {full}, i64 {TOGETHER}, i64 0")
            with f.loop(after, whole, TOGETHER) as k:
                columns(k, TOGETHER, False)
            with f.loop(whole, given["k"]) as k:
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

        def step(at: Value, mask: Value | None) -> None:
            read = [lanes.load(p, at, 1, mask) for p in columns]
            for v in range(vectors):
                value = lanes.const(0)
                for i in range(count):
                    value = lanes.fma(read[i], factors[v][i], value)
                if not fresh:  # added together first: a long sum of equal numbers goes on for longer
                    value = lanes.add(lanes.load(ys[v], at, 1, mask), value)
                lanes.store(value, ys[v], at, 1, mask)

        whole = f.add(r, f.round_down(str(f.sub(end, r)), self.width))
        with f.loop(r, whole, self.width) as at:
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
