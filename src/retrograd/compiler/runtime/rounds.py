"""Rounds: one call of generated code that runs a program again and again, each time on the next batch of rows.

Before each round it gathers the round's rows of every source into the batch that the program reads, and moves the addresses that
differ from round to round: of results, of random draws that were made ahead, of rows that are read where they lie.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..codegen.emit import Function, Module, Value
from . import cache
from .jit import forever

# words of a plan
DRIVE, RECORDS, RECORD_COUNT, ERROR, GATHERS, GATHER_COUNT, MOVES, MOVE_COUNT, WORDS = range(9)
GATHER_WORDS = 5  # source, batch, bytes of a row, rows, address of the source's rows' numbers
MOVE_WORDS = 3  # the word that holds an address, the address in the first round, bytes that it moves by
VECTOR = 16  # bytes that short rows are copied by
LONG_ROW = 512  # bytes from which C's copy is called
LINE = 64  # bytes that the cache fetches at once


@dataclass(frozen=True)
class Gather:
    """Rows of a source, by number, that are put side by side before each round.

    Attributes
    ----------
    source, batch : int
        Addresses.
    row : int
        Bytes of a row.
    rows : int
        Of a round.
    numbers : int
        The address of the numbers of all rounds' rows, int64.
    """

    source: int
    batch: int
    row: int
    rows: int
    numbers: int


@dataclass(frozen=True)
class Move:
    """An address that differs from round to round: the word that holds it, its value at first, bytes to the next."""

    word: int
    first: int
    stride: int


class Rounds:
    """A program made ready to be run many times in one call.

    Parameters
    ----------
    drive, records, count : int
        What runs a program's steps once: the address of its driver, of its records, and their number.
    error : int
        The address of the word that is not 0 once a step has failed, or 0.
    """

    def __init__(self, drive: int, records: int, count: int, error: int = 0) -> None:
        self.kept: object = None  # what the addresses are in, where nobody else keeps it
        self._words = np.zeros(WORDS, np.uint64)
        self._words[[DRIVE, RECORDS, RECORD_COUNT, ERROR]] = drive, records, count, error

    def __call__(self, rounds: int, gathers: Sequence[Gather], moves: Sequence[Move], first: int = 0) -> int:
        """Run rounds number ``first`` to ``rounds - 1``; give the number of the next, which is ``rounds`` unless a step failed.

        Other threads of Python run meanwhile.
        """
        rows = [n for g in gathers for n in (g.source, g.batch, g.row, g.rows, g.numbers)]
        words = [n for m in moves for n in (m.word, m.first, m.stride)]
        sources, words_moved = np.array(rows or [0], np.uint64), np.array(words or [0], np.uint64)
        self._words[[GATHERS, GATHER_COUNT]] = sources.ctypes.data, len(gathers)
        self._words[[MOVES, MOVE_COUNT]] = words_moved.ctypes.data, len(moves)
        return int(_code()(self._words.ctypes.data, first, rounds))


@functools.cache
def _code() -> Any:
    """Give the loop as a function of ctypes, which lets other threads run meanwhile."""
    module = Module()
    _write(module)
    loaded = cache.native(module.text(), "the loop over batches")
    forever(loaded)
    return loaded.function("rounds", ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def _write(module: Module) -> None:
    f = module.function("rounds", [("ptr", "plan"), ("i64", "first"), ("i64", "rounds")], "i64")

    def part(k: int, type: str = "i64") -> Value:
        return f.load(type, f.element("i64", f.plan, k))

    drive, records, count, error = part(DRIVE, "ptr"), part(RECORDS, "ptr"), part(RECORD_COUNT), part(ERROR, "ptr")
    gathers, gather_count = part(GATHERS, "ptr"), part(GATHER_COUNT)
    moves, move_count = part(MOVES, "ptr"), part(MOVE_COUNT)
    checked = f.op(f"icmp ne ptr {error}, null")
    with f.loop(f.first, f.rounds) as i:
        with f.loop(0, gather_count) as k:
            _gather(f, f.element("i64", gathers, f.mul(k, GATHER_WORDS)), i)
        with f.loop(0, move_count) as k:
            row = f.element("i64", moves, f.mul(k, MOVE_WORDS))
            word, at, stride = (f.load(t, f.element("i64", row, n)) for n, t in enumerate(("ptr", "i64", "i64")))
            f.store("i64", str(f.add(at, f.mul(i, stride))), word)
        following = f.add(i, 1)
        with f.if_(f.op(f"icmp slt i64 {following}, {f.rounds}")), f.loop(0, gather_count) as k:
            _fetch(f, f.element("i64", gathers, f.mul(k, GATHER_WORDS)), str(following))
        f.call(drive, arguments=[("ptr", records), ("i64", count)])
        with f.if_(checked):
            failed, going = f.label("failed"), f.label("going")
            f.branch(f.op(f"icmp ne i64 {f.load('i64', error)}, 0"), failed, going, unlikely=True)
            f.block(failed)
            f.ret("i64", i)
            f.block(going)
    f.ret("i64", f.rounds)


def _fetch(f: Function, row: Value, i: Value) -> None:
    """Write the request of a round's rows into the cache, where they will be when it is their turn."""
    source, size, rows, numbers = (
        f.load(t, f.element("i64", row, n)) for n, t in ((0, "ptr"), (2, "i64"), (3, "i64"), (4, "ptr"))
    )
    prefetch = f.module.declare("llvm.prefetch.p0", "void", ["ptr", "i32", "i32", "i32"])
    first = f.element("i64", numbers, f.mul(i, rows))
    with f.loop(0, rows) as r:
        at = f.byte(source, f.mul(f.load("i64", f.element("i64", first, r), 8), size))
        ends = f.sub(f.min(size, LONG_ROW), 1)  # of longer rows the processor sees where they go on
        with f.loop(0, ends, LINE) as k:
            f.call(prefetch, arguments=[("ptr", f.byte(at, k)), ("i32", 0), ("i32", 3), ("i32", 1)])
        f.call(prefetch, arguments=[("ptr", f.byte(at, ends)), ("i32", 0), ("i32", 3), ("i32", 1)])


def _gather(f: Function, row: Value, i: Value) -> None:
    """Write the copies of one round's rows of one source."""
    source, batch, size, rows, numbers = (
        f.load(t, f.element("i64", row, n)) for n, t in enumerate(("ptr", "ptr", "i64", "i64", "ptr"))
    )
    first = f.element("i64", numbers, f.mul(i, rows))

    def each(copy: Any) -> Any:
        def run() -> tuple[Value, ...]:
            with f.loop(0, rows) as r:
                number = f.load("i64", f.element("i64", first, r), 8)
                copy(f.byte(source, f.mul(number, size)), f.byte(batch, f.mul(r, size)))
            return ()

        return run

    def words(type: str) -> Any:
        return lambda a, b: f.store(type, f.load(type, a, 1), b, 1)

    def vectors(a: Value, b: Value) -> None:
        """Copy by vectors, the last of which may reach back into the one before."""
        vector = f"<{VECTOR} x i8>"
        last = f.sub(size, VECTOR)
        with f.loop(0, last, VECTOR) as k:
            f.store(vector, f.load(vector, f.byte(a, k), 1), f.byte(b, k), 1)
        f.store(vector, f.load(vector, f.byte(a, last), 1), f.byte(b, last), 1)

    def bytes_(a: Value, b: Value) -> None:
        with f.loop(0, size) as k:
            f.store("i8", f.load("i8", f.byte(a, k)), f.byte(b, k))

    def called(a: Value, b: Value) -> None:
        copy = f.module.declare("memcpy", "ptr", ["ptr", "ptr", "i64"])
        f.call(copy, "ptr", [("ptr", b), ("ptr", a), ("i64", size)])

    def less_than(n: int) -> Value:
        return f.op(f"icmp slt i64 {size}, {n}")

    def is_(n: int) -> Value:
        return f.op(f"icmp eq i64 {size}, {n}")

    def short() -> tuple[Value, ...]:
        f.choose(is_(8), (), each(words("i64")), lambda: f.choose(is_(4), (), each(words("i32")), each(bytes_)))
        return ()

    f.choose(less_than(VECTOR), (), short, lambda: f.choose(less_than(LONG_ROW), (), each(vectors), each(called)))


__all__ = ["Gather", "Move", "Rounds"]
