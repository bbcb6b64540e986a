"""Products of middle size behind the door of small arrays: a table from operands' shapes and strides to contractions made ready.

A call whose kind is in the table runs its contraction from the builtin; the kernels, and so the bits, are those of the way in Python.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from ..core import MODE
from ..core.threads import threads, told
from ..ops.contract import WORTH
from .codegen.emit import Value
from .contractions import driver, products
from .contractions.prepared import LINE, RELEASE, Prepared
from .eager import compiling
from .runtime import entry, pool

DIMS = 8  # of an operand, at most
SLOTS, NEAR = 256, 4  # of the table; how far from its first place a kind of call may be
# words of a kind: how many words tell it apart (0: the slot is free), whether it is run, what runs, its arguments, the pool's number of
# threads and where that is kept (0: nobody else helps), the result's dimensions, and what tells it apart
COUNT, IS_RUN, RUN, TEMPLATE, WORK, THREADS, COUNTED, NDIM, SHAPE, KEY = 0, 1, 2, 3, 4, 5, 6, 7, 8, 8 + DIMS
WORDS = KEY + 3 * (2 + 2 * DIMS)
ROOM = 1 << 20  # bytes of working memory, which all share: whoever runs holds Python's lock
TURN = 0x9E3779B97F4A7C15  # an odd number that mixes
MASK = (1 << 64) - 1
_room: list[Any] = []


def key_of(arrays: Any) -> list[int]:
    """Give the words that tell a kind of call apart."""
    words = []
    for a in arrays:
        words += [id(a.dtype), a.ndim]
        for length, step in zip(a.shape, a.strides, strict=True):
            words += [length, step & MASK]
    return words


def place_of(words: list[int]) -> int:
    """Give the first place of a kind of call in the table."""
    mixed = 0
    for word in words:
        mixed = ((mixed ^ word) * TURN) & MASK
        mixed ^= mixed >> 32
    return mixed % SLOTS


class Kinds:
    """The table of one op, ``matmul`` or ``linear``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = np.zeros((SLOTS, WORDS), np.uint64)
        self.kept: dict[int, Any] = {}
        self.lock = threading.Lock()
        self.learn = self._learn  # one object, whose address is kept
        told.append(self._forget)

    def _forget(self) -> None:
        """Forget which calls are shared between threads, whose number has changed."""
        self.rows[self.rows[:, COUNTED] != 0, COUNT] = 0

    def _learn(self, *xs: Any) -> None:
        """Find out what is done with operands like these."""
        if MODE.aside or MODE.straight is False:
            return
        arrays = [x._a for x in xs]
        key = key_of(arrays)
        found = compiling(self.name, lambda: self._ready(*arrays))
        if not self.lock.acquire(blocking=False):  # somebody writes to the table: another time
            return
        try:
            self._put(key, found, [a.dtype for a in arrays])
        finally:
            self.lock.release()

    def _put(self, key: list[int], found: tuple[Prepared, tuple[int, ...]] | None, dtypes: list[Any]) -> None:
        first = place_of(key)
        near = [(first + k) % SLOTS for k in range(NEAR)]
        at = next((k for k in near if not self.rows[k, COUNT]), first)
        row = self.rows[at]
        row[:] = 0
        self.kept[at] = found, dtypes
        if found is not None:
            ready, shape = found
            row[IS_RUN], row[RUN], row[TEMPLATE] = 1, driver.code().address("contract"), ready.template.ctypes.data
            row[WORK] = _working() if ready.bytes else 0
            if ready.shared:
                pool.ensure(threads())
                row[COUNTED], row[THREADS] = pool.counted()
            row[NDIM] = len(shape)
            row[SHAPE : SHAPE + len(shape)] = shape
        row[KEY : KEY + len(key)] = key
        row[COUNT] = len(key)  # last: from now on it is found

    def _ready(self, x: Any, y: Any, bias: Any = None) -> tuple[Prepared, tuple[int, ...]] | None:
        """Give the contraction, and the result's shape; None where the way in Python does something else."""
        if self.name == "linear":
            if y.ndim != 2:
                return None
            y = y.T
        if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-2] or x.size * y.shape[-1] < WORTH:
            return None
        run = products.planned(x, y, bias)
        found = getattr(run, "made", None)
        if found is None:
            return None
        ready, shape = found
        fits = ready.contraction.work <= RELEASE and ready.bytes <= ROOM and len(shape) <= DIMS
        return (ready, shape) if fits and not ready.empty else None


def _working() -> int:
    if not _room:
        _room.append(np.empty(ROOM + LINE, np.uint8))
    return -(-int(_room[0].ctypes.data) // LINE) * LINE


def find(door: Any, rows: Value, learn: Value) -> Value:
    """Write: find the kind of call of a door's operands; one that is new is learnt, and left alone as one that is not run."""
    f = door.f
    key, count, mixed = f.alloca("i64", WORDS - KEY), f.alloca("i64"), f.alloca("i64")
    f.store("i64", "0", count)
    f.store("i64", "0", mixed)

    def note(word: Value) -> None:
        at = f.load("i64", count)
        f.store("i64", word, f.element("i64", key, at))
        f.store("i64", f.op(f"add i64 {at}, 1"), count)
        before = f.load("i64", mixed)
        turned = f.op(f"mul i64 {f.op(f'xor i64 {before}, {word}')}, {TURN - (1 << 64)}")
        f.store("i64", f.op(f"xor i64 {turned}, {f.op(f'lshr i64 {turned}, 32')}"), mixed)

    with f.loop(0, f.n) as i:
        a = f.load("ptr", f.element("i64", door.arrays, i))
        ndim = f.op(f"sext i32 {door.field(a, entry.NDIM, 'i32')} to i64")
        door.need(f.op(f"icmp ule i64 {ndim}, {DIMS}"))
        note(f.load("i64", f.element("i64", door.kinds, i)))
        note(ndim)
        shape, strides = door.field(a, entry.SHAPE), door.field(a, entry.STRIDES)
        with f.loop(0, ndim) as d:
            note(f.load("i64", f.element("i64", shape, d)))
            note(f.load("i64", f.element("i64", strides, d)))
    number, first = f.load("i64", count), f.op(f"and i64 {f.load('i64', mixed)}, {SLOTS - 1}")
    place, same = f.alloca("ptr"), f.alloca("i1")
    found, missing = f.label("found"), f.label("missing")
    with f.loop(0, NEAR) as k:
        at = f.op(f"and i64 {f.add(first, k)}, {SLOTS - 1}")
        row = f.element("i64", rows, f.mul(at, WORDS))
        f.store("ptr", row, place)
        f.store("i1", f.op(f"icmp eq i64 {door.field(row, 8 * COUNT, 'i64')}, {number}"), same)
        with f.if_(f.load("i1", same)), f.loop(0, number) as w:
            one, two = (f.load("i64", f.element("i64", words, w)) for words in (f.byte(row, 8 * KEY), key))
            alike = f.op(f"icmp eq i64 {one}, {two}")
            f.store("i1", f.op(f"and i1 {f.load('i1', same)}, {alike}"), same)
        other = f.label("other")
        f.branch(f.load("i1", same), found, other)
        f.block(other)
    f.jump(missing)
    f.block(missing)
    door.ask(learn)
    f.block(found)
    kind: Value = f.load("ptr", place)
    door.need(f.op(f"icmp ne i64 {door.field(kind, 8 * IS_RUN, 'i64')}, 0"))
    counted = door.field(kind, 8 * COUNTED)
    with f.if_(f.op(f"icmp ne ptr {counted}, null")):  # as many threads as then
        now = f.op(f"sext i32 {f.load('i32', counted)} to i64")
        door.need(f.op(f"icmp eq i64 {now}, {door.field(kind, 8 * THREADS, 'i64')}"))
    return kind


def shape(door: Any, row: Value, dims: Value, count: Value) -> None:
    """Write: the result's dimensions."""
    f = door.f
    ndim = door.field(row, 8 * NDIM, "i64")
    with f.loop(0, ndim) as d:
        length = f.load("i64", f.element("i64", f.byte(row, 8 * SHAPE), d))
        f.store("i64", length, f.element("i64", dims, d))
    f.store("i32", f.op(f"trunc i64 {ndim} to i32"), count)


def run(door: Any, row: Value, out: Value) -> None:
    """Write: the contraction, into an array."""
    f = door.f
    x, y = (f.load("ptr", f.element("i64", door.data, i)) for i in range(2))
    given = [door.field(row, 8 * TEMPLATE), x, y, entry.emit_data(f, out), door.field(row, 8 * WORK)]
    extras = f.element("i64", door.data, 2)
    f.call(door.field(row, 8 * RUN), arguments=[("ptr", p) for p in (*given, extras)])


__all__ = ["Kinds", "find", "key_of", "place_of", "run", "shape"]
