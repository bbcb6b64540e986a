"""Copies of large arrays that lie otherwise: turned in registers, square by square, so that whole lines of memory are read and written."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import Op
from .codegen.emit import Function, Module, Value
from .codegen.lanes import Lanes
from .eager import compiling, enabled
from .runtime import cache, jit, pool

LIGHT = 1 << 15  # elements from which turning by squares is quicker than NumPy's copy
OUTER = 3  # dimensions besides the two that are turned
CHUNKS = 8
# fields of the arguments, 8 bytes each: rows are the source's dimension of unit step, columns the result's
SOURCE, GOAL, ROWS, COLUMNS, FROM_COLUMN, TO_ROW, SQUARES, PER = range(8)
SIZES, FROM, TO = 8, 8 + OUTER, 8 + 2 * OUTER
FIELDS = 8 + 3 * OUTER


def _write(module: Module, size: int) -> None:
    """Write rg_turned(ptr arguments, i64 chunks) for elements of that many bytes."""
    width = 64 // size if jit.host().vector_bits == 512 else jit.host().lanes(size)
    f = module.function("turned_part", [("ptr", "arguments"), ("i64", "chunk")])
    lanes = Lanes(f, f"i{8 * size}", width)

    def field(k: int, type: str = "i64") -> Value:
        return f.load(type, f.element("i64", f.arguments, k), 8)

    rows, columns, squares, per = (field(k) for k in (ROWS, COLUMNS, SQUARES, PER))
    from_column, to_row = field(FROM_COLUMN), field(TO_ROW)
    sizes, froms, tos = ([field(at + k) for k in range(OUTER)] for at in (SIZES, FROM, TO))
    total: Value = squares
    for n in sizes:
        total = f.op(f"mul i64 {total}, {n}")
    start = f.mul(f.chunk, per)
    with f.loop(start, f.min(f.add(start, per), total)) as t:
        first = f.op(f"mul i64 {f.op(f'urem i64 {t}, {squares}')}, {width}")
        rest = f.op(f"udiv i64 {t}, {squares}")
        source, goal = field(SOURCE, "ptr"), field(GOAL, "ptr")
        for n, step, to in zip(sizes, froms, tos, strict=True):
            k = f.op(f"urem i64 {rest}, {n}")
            rest = f.op(f"udiv i64 {rest}, {n}")
            source, goal = f.byte(source, f.mul(k, step)), f.byte(goal, f.mul(k, to))
        source = f.byte(source, f.mul(first, size))
        goal = f.byte(goal, f.mul(first, to_row))
        left = f.op(f"sub i64 {rows}, {first}")
        whole = f.op(f"select i1 {f.op(f'icmp uge i64 {left}, {width}')}, i64 {f.round_down(columns, width)}, i64 0")
        with f.loop(0, whole, width) as c:
            _square(f, lanes, f.byte(source, f.mul(c, from_column)), f.byte(goal, f.mul(c, size)), from_column, to_row)
        with f.loop(whole, columns, width) as c:
            there = f.op(f"sub i64 {columns}, {c}")
            at = f.byte(source, f.mul(c, from_column)), f.byte(goal, f.mul(c, size))
            _square(f, lanes, *at, from_column, to_row, (left, there))
    f.ret()
    g = module.function("turned", [("ptr", "arguments"), ("i64", "chunks")])
    pool.emit_parallel(g, "@rg_turned_part", g.arguments, g.chunks)
    g.ret()


def _square(
    f: Function, lanes: Lanes, source: Value, goal: Value, from_column: Value, to_row: Value, within: Any = None
) -> None:
    """Write the copy of one square: its columns loaded as vectors, turned, and stored as rows."""
    width = lanes.width

    def mask(k: int, count: Value, other: Value) -> Value:
        return lanes.tail(f.op(f"select i1 {f.op(f'icmp ugt i64 {count}, {k}')}, i64 {other}, i64 0"))

    values = []
    for k in range(width):
        known = None if within is None else mask(k, within[1], within[0])
        values.append(lanes.load(f.byte(source, f.mul(from_column, k)), 0, 1, known))
    half = width // 2
    while half:
        low = [lane if not lane & half else width + lane - half for lane in range(width)]
        high = [lane + half if not lane & half else width + lane for lane in range(width)]
        for k in range(width):
            if not k & half:
                a, b = values[k], values[k + half]
                values[k], values[k + half] = _shuffled(f, lanes, a, b, low), _shuffled(f, lanes, a, b, high)
        half //= 2
    for k in range(width):
        known = None if within is None else mask(k, within[0], within[1])
        lanes.store(values[k], f.byte(goal, f.mul(to_row, k)), 0, 1, known)


def _shuffled(f: Function, lanes: Lanes, a: Value, b: Value, order: list[int]) -> Value:
    places = ", ".join(f"i32 {k}" for k in order)
    return f.op(f"shufflevector {lanes.type} {a}, {lanes.type} {b}, <{lanes.width} x i32> <{places}>")


@functools.cache
def _turning(size: int) -> Any:
    def make() -> Any:
        module = Module(jit.host().enabled)
        _write(module, size)
        loaded = cache.native(module.text(), "turned copies")
        jit.forever(loaded)
        width = 64 // size if jit.host().vector_bits == 512 else jit.host().lanes(size)
        return loaded.function("turned", None, ctypes.c_void_p, ctypes.c_int64), width

    return compiling("turned copies", make)


def turned(x: Any) -> Any:
    """Give a contiguous copy of an array whose last dimension is not the one of unit step; None where NumPy is to make it."""
    size = x.dtype.itemsize
    if size not in (4, 8) or x.size < LIGHT or not x.flags.aligned or x.dtype.hasobject or not enabled():
        return None
    dims = [(n, s) for n, s in zip(x.shape, x.strides, strict=True) if n != 1]
    if len(dims) < 2 or dims[-1][1] == size or any(s < 0 for _, s in dims):
        return None
    row = next((k for k, (_, s) in enumerate(dims) if s == size), None)
    if row is None or dims[row][0] < 8 or dims[-1][0] < 8:
        return None
    out = np.empty(x.shape, x.dtype)
    steps = [s for n, s in zip(out.shape, out.strides, strict=True) if n != 1]
    outer = [(n, s, t) for k, ((n, s), t) in enumerate(zip(dims, steps, strict=True)) if k not in (row, len(dims) - 1)]
    joined: list[tuple[int, int, int]] = []
    for n, s, t in outer:  # neighbours that both arrays walk as one
        if joined and joined[-1][1] == s * n and joined[-1][2] == t * n:
            joined[-1] = (joined[-1][0] * n, s, t)
        else:
            joined.append((n, s, t))
    if len(joined) > OUTER:
        return None
    made = _turning(size)
    if made is None:
        return None
    run, width = made
    joined = [*reversed(joined), *[(1, 0, 0)] * (OUTER - len(joined))]
    squares = -(-dims[row][0] // width)
    total = squares * int(np.prod([n for n, _, _ in joined]))
    per = -(-total // CHUNKS)
    fields = [x.ctypes.data, out.ctypes.data, dims[row][0], dims[-1][0], dims[-1][1], steps[row], squares, per]
    fields += [n for n, _, _ in joined] + [s for _, s, _ in joined] + [t for _, _, t in joined]
    arguments = (ctypes.c_int64 * FIELDS)(*fields)
    run(ctypes.addressof(arguments), -(-total // per))
    return out


def copy(op: Op) -> Callable[..., Any]:
    """Give the executor of a copy."""
    plain = op.numpy

    def run(x: Any, *, order: str = "K") -> Any:
        found = None if order != "C" or x.flags.c_contiguous else turned(x)
        return plain(x, order=order) if found is None else found

    return run


__all__ = ["copy", "turned"]
