"""Measuring a program: its steps are run one by one on copies, so that nothing of the user's is touched."""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core import Graph, quiet_off, quiet_on
from ..core.door import _quiet
from ..core.threads import threads
from ..random import default_generator
from .codegen.emit import Module
from .driver import write_record
from .program import Program
from .runtime import jit, pool
from .runtime.cache import native

ROUNDS = 20
MOST_SECONDS = 0.5  # after which no further round is begun
LOOKS = 6  # at the clock before the first record: what one costs is taken off each step
RECORD = 24  # bytes of one record: the function, its row of addresses, its chunks


class Measured:
    """The least time of each step of a program, in seconds, and of all of them one after another.

    Attributes
    ----------
    seconds : list of float
        One for each of the program's steps.
    whole : float
    rounds : int
        How often all was run.
    results : list
        What the last round gave, for a program that reads it.
    """

    def __init__(self, steps: int) -> None:
        self.seconds = [float("inf")] * steps
        self.whole = float("inf")
        self.rounds = 0
        self.results: list[Any] = []


def measure(program: Program, values: list[Any], rounds: int = ROUNDS) -> Measured:
    """Time a program's steps on copies of the arrays; the caller sees to it that nobody runs it meanwhile."""
    found = Measured(len(program.steps))
    copies = [np.array(v, order="C") for v in values]
    results: list[Any] = [
        np.empty(node.shape, node.dtype) if target is None else None
        for node, target in zip(program.graph.outputs, program.targets, strict=True)
    ]
    token = quiet_on(_quiet)
    try:
        with _as_it_was(program, copies, results):
            began = time.perf_counter()
            while found.rounds < max(rounds, 1) and (found.rounds == 0 or time.perf_counter() - began < MOST_SECONDS):
                for copy, v in zip(copies, values, strict=True):
                    np.copyto(copy, v)
                for k, took in enumerate(_one_by_one(program, copies, results)):
                    found.seconds[k] = min(found.seconds[k], took)
                for copy, v in zip(copies, values, strict=True):
                    np.copyto(copy, v)
                start = time.perf_counter()
                _all_at_once(program, copies, results)
                found.whole = min(found.whole, time.perf_counter() - start)
                found.rounds += 1
            for k, base, offset, strides in program.late:
                target = program.targets[k]
                goal = results[k] if target is None else copies[target]
                shape = program.graph.outputs[k].shape
                np.copyto(goal, program._array(base, copies, results, offset, strides, shape))
    finally:
        quiet_off(token)
    found.results = [r for r, target in zip(results, program.targets, strict=True) if target is None]
    return found


def _all_at_once(program: Program, values: list[Any], results: list[Any]) -> None:
    for segment in program.segments:
        if isinstance(segment, list):
            program.drive(*segment)
        else:
            program._run_call(segment, values, results)


def _one_by_one(program: Program, values: list[Any], results: list[Any]) -> list[float]:
    """Run all steps, and give the seconds of each."""
    took: list[float] = []
    for segment in program.singles:
        if isinstance(segment, list):
            took += _native(program, *segment)
        else:
            start = time.perf_counter()
            program._run_call(segment, values, results)
            took.append(time.perf_counter() - start)
    return took


def _native(program: Program, records: int, count: int) -> list[float]:
    """Run some records, looking at the clock between them: in generated code, or from Python where C has no such clock."""
    timed = _timed_driver()
    if timed is None:
        took = []
        for k in range(count):
            start = time.perf_counter()
            program.drive(records + RECORD * k, 1)
            took.append(time.perf_counter() - start)
        return took
    times = np.zeros((LOOKS + count + 1, 2), np.int64)  # seconds and nanoseconds
    timed(records, count, times.ctypes.data)
    nanoseconds = times[:, 0] * 1_000_000_000 + times[:, 1]
    between = np.diff(nanoseconds)
    look = int(between[: LOOKS - 1].min())
    return [max(int(n) - look, 0) * 1e-9 for n in between[LOOKS:]]


@functools.cache
def _timed_driver() -> Any:
    """Give the loop over records that notes the time before each and at the end."""
    if not hasattr(time, "clock_gettime") or not hasattr(time, "CLOCK_MONOTONIC"):
        return None
    module = Module(jit.host().enabled)
    clock = module.declare("clock_gettime", "i32", ["i32", "ptr"])
    f = module.function("timed_drive", [("ptr", "records"), ("i64", "count"), ("ptr", "times")])

    def look(k: Any) -> None:
        f.call(clock, "i32", [("i32", str(time.CLOCK_MONOTONIC)), ("ptr", f.byte(f.times, f.mul(k, 16)))])

    for k in range(LOOKS):
        look(k)
    with f.loop(0, f.count) as i:
        look(f.add(i, LOOKS))
        write_record(f, i)
    look(f.add(f.count, LOOKS))
    f.ret()
    address = ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value or 0
    pool.ensure(threads())
    loaded = native(module.text(), "timed_drive", {"clock_gettime": address})
    return loaded.function("rg_timed_drive", None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)


@contextmanager
def _as_it_was(program: Program, values: list[Any], results: list[Any]) -> Iterator[None]:
    """Point the program at other arrays, and put its table and the generators it draws from back at the end."""
    table = program.table.copy()
    states = [(generator, generator.get_state()) for generator in _generators(program.graph)]
    try:
        for arrays, places in ((values, program.input_slots), (results, program.output_slots)):
            for a, slots in zip(arrays, places, strict=True):
                for at, extra in slots:
                    program.table[at] = a.ctypes.data + extra
        yield
    finally:
        program.table[:] = table
        if program.error is not None:
            program.error.value = 0  # an index out of bounds among the copies is nobody's error
        for generator, state in states:
            generator.set_state(state)


def _generators(graph: Graph) -> list[Any]:
    found: dict[int, Any] = {}
    for node in graph.nodes:
        if node.op is not None and node.op.impure:
            generator = node.attrs.get("generator") or default_generator
            found[id(generator)] = generator
    return list(found.values())
