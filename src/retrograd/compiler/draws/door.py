"""Eager mode's way to the kernels of draws: one builtin in generated code."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np

from ..codegen.emit import Module, Value
from ..eager import compiling
from ..runtime import cache, entry
from ..runtime.jit import forever
from . import frame
from .native import Code, code, words_of

LONG = 1 << 15  # elements from which other threads of Python may run meanwhile
MOST_NUMBERS = 8
MASK = "PyLong_AsUnsignedLongLongMask"


@functools.cache
def _caller() -> Any:
    """Give the builtin ``draw(code, state, out, count, *numbers)``; arrays among them stand for their addresses."""
    if not entry.readable():
        return _slow_caller
    module = Module()
    _write_caller(module)
    as_number = ctypes.cast(getattr(ctypes.pythonapi, MASK), ctypes.c_void_p).value or 0
    objects = {"rg_float_type": id(float), "rg_array_type": id(np.ndarray), MASK: as_number}
    loaded = cache.native(module.text(), "the caller of draws", objects)
    forever(loaded)
    return entry.builtin(loaded.address("draw_caller"), loaded, "draw")


def _write_caller(module: Module) -> None:
    f = module.function("draw_caller", [("ptr", "self"), ("ptr", "args"), ("i64", "n")], "ptr")
    block = f.alloca("i64", frame.OWN + MOST_NUMBERS)
    as_double = module.declare("PyFloat_AsDouble", "double", ["ptr"])
    as_long = module.declare(MASK, "i64", ["ptr"])

    def integer(value: Value) -> Value:
        return f.call(as_long, "i64", [("ptr", value)])

    code_at = f.op(f"inttoptr i64 {integer(f.load('ptr', f.args))} to ptr")
    with f.loop(1, f.n) as i:
        value = f.load("ptr", f.element("ptr", f.args, i))
        kind = f.load("ptr", f.byte(value, entry.TYPE))

        def number(value: Value = value) -> list[Value]:
            return [f.op(f"bitcast double {f.call(as_double, 'double', [('ptr', value)])} to i64")]

        def other(value: Value = value, kind: Value = kind) -> list[Value]:
            is_array = f.op(f"icmp eq ptr {kind}, {module.external('rg_array_type')}")

            def data() -> list[Value]:
                return [f.op(f"ptrtoint ptr {entry.emit_data(f, value)} to i64")]

            return f.choose(is_array, ["i64"], data, lambda: [integer(value)])

        is_float = f.op(f"icmp eq ptr {kind}, {module.external('rg_float_type')}")
        (word,) = f.choose(is_float, ["i64"], number, other)
        f.store("i64", word, f.element("i64", block, f.sub(i, 1)), 8)
    long = f.op(f"icmp sge i64 {f.load('i64', f.element('i64', block, frame.COUNT))}, {LONG}")
    held = f.alloca("ptr")
    with f.if_(long):
        f.store("ptr", entry.emit_release(f), held)
    f.call(code_at, arguments=[("ptr", block), ("i64", 0)])
    with f.if_(long):
        entry.emit_acquire(f, f.load("ptr", held))
    entry.emit_return(f, "None")


def _slow_caller(address: int, *values: Any) -> None:
    block = np.array(words_of(*values), np.uint64)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(address)(block.ctypes.data, 0)


class Door:
    """What eager mode draws by.

    Attributes
    ----------
    call : callable
        ``call(address, state, out, count, *numbers)``.
    """

    def __init__(self) -> None:
        self.call = _caller()

    def address(self, draw: str, dtype: str) -> int:
        """Give a kernel's address, or 0."""
        found: Code | None = compiling(f"draws: {draw}", lambda: code(draw, dtype))
        return 0 if found is None else found.address


def door() -> Door | None:
    """Give what eager mode draws by, or None where it cannot be had."""
    made: Door | None = compiling("draws", Door)
    return made


__all__ = ["Door", "door"]
