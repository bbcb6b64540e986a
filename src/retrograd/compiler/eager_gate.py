"""The way of raw arrays into a program: one builtin in generated code checks them, notes their addresses and runs the kernels."""

from __future__ import annotations

import functools
import os
import threading
import time
import weakref
from typing import Any

import numpy as np

from .codegen.emit import Function, Module, Value
from .driver import WAKING
from .lowering.kernel import CHUNK, MOST_CHUNKS
from .program import Program
from .runtime import cache, entry
from .runtime.jit import forever

# words of a kernel's descriptor
COUNT, ROWS, RECORDS, RECORD_COUNT, DRIVE, RELEASE, BUSY = range(7)
LENGTHS, MEASURED, STEP, WORDS = range(
    7, 11
)  # of a kernel for any length: where it is noted, whose it is, what chunks are multiples of
ROW_WORDS = 6  # dtype (0: not looked at), dimensions, addresses of lengths and of strides (0: contiguous), slots, count of slots
RAN, OTHER_ARGUMENTS, IN_USE = -1, -2, -3
LONG = 50_000  # elements that a kernel goes over, from which other threads of Python may run meanwhile
PATIENCE = 2e-5  # seconds between two looks at a kernel that another thread is in
_empty = np.empty
_kernels: weakref.WeakSet[Any] = weakref.WeakSet()


class Unsuitable(Exception):
    """A graph that gains nothing, or cannot be one call of generated code."""


@functools.cache
def gate() -> Any:
    """Give the builtin ``gate(descriptor, *inputs, *outputs) -> int``, or None where arrays cannot be read by generated code."""
    if not entry.readable():
        return None
    module = Module()
    _write(module)
    loaded = cache.native(module.text(), "the gate of arrays")
    forever(loaded)
    return entry.builtin(loaded.address("array_gate"), loaded, "array_gate")


def _write(module: Module) -> None:
    f = module.function("array_gate", [("ptr", "self"), ("ptr", "args"), ("i64", "n")], "ptr")
    descriptor = entry.emit_data(f, f.load("ptr", f.args))
    other, done = f.label("other"), f.label("done")
    answer = f.alloca("i64")

    part, need = entry.checking(f, descriptor, other)
    need(f.op(f"icmp eq i64 {f.n}, {part(COUNT)}"))
    f.store("i64", str(IN_USE), answer)
    free = f.label("free")
    f.branch(f.op(f"icmp eq i64 {part(BUSY)}, 0"), free, done)
    f.block(free)
    table = part(ROWS, "ptr")
    with f.loop(1, f.n) as i:
        a = f.load("ptr", f.element("ptr", f.args, i))
        row = f.element("i64", table, f.mul(f.sub(i, 1), ROW_WORDS))
        dtype = f.load("i64", row)
        with f.if_(f.op(f"icmp ne i64 {dtype}, 0")):
            _check(f, a, row, dtype, need)
        slots = f.load("ptr", f.element("i64", row, 4))
        data = entry.emit_data(f, a)
        with f.loop(0, f.load("i64", f.element("i64", row, 5))) as k:
            where = f.load("ptr", f.element("i64", slots, f.mul(k, 2)))
            extra = f.load("i64", f.element("i64", slots, f.add(f.mul(k, 2), 1)))
            f.store("ptr", f.byte(data, extra), where)
    lengths = part(LENGTHS, "ptr")
    with f.if_(f.op(f"icmp ne ptr {lengths}, null")):
        measured = f.load("ptr", f.element("ptr", f.args, part(MEASURED)))
        cut(f, measured, lengths, part(RECORDS, "ptr"), part(STEP))
    busy = f.element("i64", descriptor, BUSY)
    f.store("i64", "1", busy)
    state = f.alloca("ptr")
    f.store("ptr", "null", state)
    release = f.op(f"icmp ne i64 {part(RELEASE)}, 0")
    with f.if_(release):
        f.store("ptr", entry.emit_release(f), state)
    f.call(part(DRIVE, "ptr"), arguments=[("ptr", part(RECORDS, "ptr")), ("i64", part(RECORD_COUNT))])
    with f.if_(release):
        entry.emit_acquire(f, f.load("ptr", state))
    f.store("i64", "0", busy)
    f.store("i64", str(RAN), answer)
    f.jump(done)
    f.block(other)
    f.store("i64", str(OTHER_ARGUMENTS), answer)
    f.jump(done)
    f.block(done)
    number = module.declare("PyLong_FromLongLong", "ptr", ["i64"])
    f.ret("ptr", f.call(number, "ptr", [("i64", f.load("i64", answer))]))


def cut(f: Function, measured: Value, lengths: Value, records: Value, step: Value) -> None:
    """Write: note an array's number of elements, how many of them a chunk has, and how many chunks there are."""
    shape = f.load("ptr", f.byte(measured, entry.SHAPE))
    dims = f.op(f"sext i32 {f.load('i32', f.byte(measured, entry.NDIM))} to i64")
    with f.loop_carry(0, dims, 1, [("i64", "1")]) as loop:
        loop.set(f.op(f"mul i64 {loop.values[0]}, {f.load('i64', f.element('i64', shape, loop.i))}"))
    size = loop.results[0]
    parts = f.max(f.min(f.op(f"udiv i64 {size}, {CHUNK}"), MOST_CHUNKS), 1)

    def over(a: Value, b: Value) -> Value:
        less = f.op(f"sub i64 {b}, 1")
        return f.op(f"udiv i64 {f.op(f'add i64 {a}, {less}')}, {b}")

    per = f.max(f.mul(over(over(size, str(parts)), step), step), 1)
    f.store("i64", size, lengths)
    f.store("i64", str(per), f.element("i64", lengths, 1))
    chunks = over(size, str(per))
    wakes = f.op(f"icmp ugt i64 {size}, {LONG}")
    f.store(
        "i64",
        f.op(f"add i64 {chunks}, {f.op(f'select i1 {wakes}, i64 {WAKING}, i64 0')}"),
        f.element("i64", records, 2),
    )


def _check(f: Function, a: Value, row: Value, dtype: Value, need: Any) -> None:
    """Write the comparison of one array with its row."""

    def field(offset: int, type: str) -> Value:
        return f.load(type, f.byte(a, offset))

    def word(k: int, type: str = "i64") -> Value:
        return f.load(type, f.element("i64", row, k))

    need(f.op(f"icmp eq ptr {field(entry.TYPE, 'ptr')}, {f.module.external('rg_object_ndarray')}"))
    need(f.op(f"icmp eq i64 {field(entry.DTYPE, 'i64')}, {dtype}"))
    flags = field(entry.FLAGS, "i32")
    need(f.op(f"icmp ne i32 {f.op(f'and i32 {flags}, {entry.ALIGNED}')}, 0"))
    dims = word(1)
    known = f.op(f"icmp sge i64 {dims}, 0")
    with f.if_(known):
        count = f.op(f"sext i32 {field(entry.NDIM, 'i32')} to i64")
        need(f.op(f"icmp eq i64 {count}, {dims}"))
        shape, wanted = field(entry.SHAPE, "ptr"), word(2, "ptr")
        with f.loop(0, dims) as d:
            one, two = f.load("i64", f.element("i64", shape, d)), f.load("i64", f.element("i64", wanted, d))
            need(f.op(f"icmp eq i64 {one}, {two}"))
    steps = word(3)
    packed = f.op(f"icmp eq i64 {steps}, 0")
    with f.if_(packed):
        need(f.op(f"icmp ne i32 {f.op(f'and i32 {flags}, {entry.CONTIGUOUS}')}, 0"))
    with f.if_(f.op(f"icmp ne i64 {steps}, 0")):
        strides, wanted = field(entry.STRIDES, "ptr"), word(3, "ptr")
        with f.loop(0, dims) as d:
            one, two = f.load("i64", f.element("i64", strides, d)), f.load("i64", f.element("i64", wanted, d))
            need(f.op(f"icmp eq i64 {one}, {two}"))


class Kernel:
    """A program without calls of NumPy, called with arrays; it gives the list of its results, in memory of their own.

    Parameters
    ----------
    program : Program
        Its inputs are C-contiguous arrays of its graph's types, or as ``views`` says.
    views : list of (shape, strides) or None, optional
        For inputs that lie otherwise in memory: their shape and their strides in bytes.
    measured : int, optional
        The input whose length is the kernel's: one for arrays of any shape, all of the same but for those of no dimensions.

    Notes
    -----
    Two threads may call a kernel: the second waits. Python's lock is released while a long one runs.
    """

    def __init__(self, program: Program, views: Any = None, measured: int | None = None) -> None:
        if program.late or any(not isinstance(s, list) for s in program.segments) or len(program.segments) > 1:
            raise Unsuitable("it has steps that NumPy computes")
        self.program, self.error = program, program.error
        graph = program.graph
        self.given = len(graph.inputs)
        self.outputs = [k for k, t in enumerate(program.targets) if t is None]
        self.makes = [(graph.outputs[k].shape, graph.outputs[k].dtype) for k in self.outputs]
        self.views = views if views is not None else [None] * self.given
        self.kept: list[Any] = []
        self.words = np.zeros(WORDS, np.uint64)
        table = program.table.ctypes.data
        rows: list[int] = []
        for n, view, slots in zip(graph.inputs, self.views, program.input_slots, strict=True):
            shape, strides = (n.shape, None) if view is None else view
            numbers = [word for at, extra in slots for word in (table + 8 * at, extra)]
            self.kept.append(n.dtype)
            known = measured is None or not shape
            rows += [id(n.dtype), len(shape) if known else -1, self._array(shape) if known else 0]
            rows += [0 if strides is None else self._array(strides), self._array(numbers), len(slots)]
        for k in self.outputs:
            slots = program.output_slots[k]
            numbers = [word for at, extra in slots for word in (table + 8 * at, extra)]
            rows += [0, 0, 0, 0, self._array(numbers), len(slots)]
        self.words[COUNT], self.words[ROWS] = 1 + self.given + len(self.makes), self._array(rows)
        if program.segments:
            self.words[RECORDS], self.words[RECORD_COUNT] = program.segments[0]
        self.words[DRIVE] = program.loaded.address("rg_drive")
        self.words[RELEASE] = int(program.work > LONG)
        self.gate = gate()
        self.measured = measured
        if measured is not None:
            self._measure(measured)
        self.lock = threading.Lock()
        if self.gate is None:
            self.gate = self._slow_gate
        _kernels.add(self)

    def _measure(self, measured: int) -> None:
        program = self.program
        plans = list(program.writer.plans.values())
        if len(program.steps) != 1 or len(plans) != 1 or not plans[0].flat or plans[0].chunks < 2:
            raise Unsuitable("it is more than one plain loop")
        at = next(k for k, a in enumerate(program.steps[0].arguments) if isinstance(a, int))
        self.words[LENGTHS], self.words[MEASURED] = program.table.ctypes.data + 8 * at, 1 + measured
        self.words[STEP] = 4 * plans[0].width
        if self.gate is None:
            raise Unsuitable("arrays cannot be read by generated code here")

    def _array(self, numbers: Any) -> int:
        """Keep numbers in memory and give their address."""
        made = np.array([int(n) & (2**64 - 1) for n in numbers] or [0], np.uint64)
        self.kept.append(made)
        return int(made.ctypes.data)

    def __call__(self, *arrays: Any) -> list[Any]:
        """Run on arrays."""
        outs = [_empty(shape, dtype) for shape, dtype in self.makes]
        if self.gate(self.words, *arrays, *outs) != RAN:
            self._again(arrays, outs)
        error = self.error
        if error is not None and error.value:
            self.program.complain()
        return outs

    def into(self, arrays: Any, outs: Any) -> None:
        """Run on arrays, into memory that is there already."""
        if self.gate(self.words, *arrays, *outs) != RAN:
            self._again(arrays, outs)
        if self.error is not None and self.error.value:
            self.program.complain()

    def _again(self, arrays: Any, outs: Any) -> None:
        """Wait for another thread to leave, and give arrays the form that the kernel reads."""
        given = list(arrays)
        while (found := self.gate(self.words, *given, *outs)) != RAN:
            if found == IN_USE:
                time.sleep(PATIENCE)
                continue
            given = [self._formed(k, a) for k, a in enumerate(arrays)]
            if self.gate(self.words, *given, *outs) == OTHER_ARGUMENTS:
                raise TypeError(
                    f"a kernel for {[str(n.type) for n in self.program.graph.inputs]} was given "
                    f"{[(a.dtype.name, a.shape) for a in arrays]}"
                )
            return

    def _formed(self, k: int, a: Any) -> Any:
        flags, view, dtype = a.flags, self.views[k], self.program.graph.inputs[k].dtype
        if a.dtype is not dtype and a.dtype == dtype:  # an equal one that is another object, as from another process
            a = a.view(dtype)
        if flags.aligned and (flags.c_contiguous if view is None else a.strides == view[1]):
            return a
        if view is None:
            return a.copy(order="C")
        raise TypeError(f"a kernel for strides {view[1]} was given {a.strides}")

    def _slow_gate(self, words: Any, *arrays: Any) -> int:
        """Do in Python what the builtin does."""
        program = self.program
        inputs = arrays[: self.given]
        for n, view, a in zip(program.graph.inputs, self.views, inputs, strict=True):
            shape, strides = (n.shape, None) if view is None else view
            right = a.flags.c_contiguous if strides is None else a.strides == strides
            if a.shape != shape or a.dtype != n.dtype or not right or not a.flags.aligned:
                return OTHER_ARGUMENTS
        with self.lock:
            slots = [*program.input_slots, *program.output_slots]
            for places, a in zip(slots, arrays, strict=True):
                for at, extra in places:
                    program.table[at] = a.ctypes.data + extra
            if program.segments:
                program.drive(*program.segments[0])
        return RAN


def _forget() -> None:
    """In a forked child: the threads that were in kernels are gone."""
    for kernel in list(_kernels):
        kernel.words[BUSY] = 0
        kernel.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


__all__ = ["Kernel", "Unsuitable", "cut", "gate"]
