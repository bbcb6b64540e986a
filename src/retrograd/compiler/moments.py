"""One pass over an array: sum, sum of squares, extremes and zeros, for those who watch large values go by."""

from __future__ import annotations

import ctypes
import functools
import math
from typing import Any

import numpy as np

from .codegen.emit import Module
from .codegen.lanes import Lanes
from .eager import compiling
from .runtime import cache, jit
from .runtime.jit import forever

BLOCK = 4096  # elements that are summed in their own precision; blocks are summed in float64
VECTORS = 4  # that are added side by side
KINDS = {"f": ("f32", "i32", 4), "d": ("f64", "i64", 8)}  # by dtype.char
LEAST, LARGEST = 1e-15, 1e15  # squares of what lies between are float32's
FEWEST = 16  # elements: below, NumPy is as quick


def moments(a: Any) -> tuple[float, float, float, float, int] | None:
    """Give an array's sum, sum of squares, least and largest element and number of zeros, read once.

    Parameters
    ----------
    a : ndarray
        Of one dimension, contiguous, float32 or float64.

    Returns
    -------
    tuple or None
        None where the array is of another kind, is small, holds something that is not finite or whose square is not, or where nothing
        can be compiled: NumPy's own functions tell then.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.compiler.moments import moments
    >>> moments(np.tile(np.array([1.0, 0.0, -2.0, 3.0]), 1000))
    (2000.0, 14000.0, -2.0, 3.0, 1000)
    """
    if a.size < FEWEST or a.dtype.char not in KINDS or a.ndim != 1 or not a.flags.c_contiguous:
        return None
    run = compiling("moments", functools.partial(_kernel, a.dtype.char))
    if run is None:
        return None
    found = np.empty(5)
    run(a.ctypes.data, a.size, found.ctypes.data)
    total, squares, low, high, zeros = found.tolist()
    scale = max(-low, high)
    if not (math.isfinite(squares) and scale <= LARGEST and (scale >= LEAST or scale == 0)):
        return None
    return total, squares, low, high, int(zeros)


@functools.cache
def _kernel(dtype: str) -> Any:
    """Compile the pass for a dtype, once a machine."""
    module = Module(jit.host().enabled)
    name = f"moments_{dtype}"
    _write(module, name, *KINDS[dtype])
    loaded = cache.native(module.text(), f"moments: {dtype}")
    forever(loaded)
    return loaded.function(name, None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)


def _write(module: Module, name: str, kind: str, count: str, size: int) -> None:
    f = module.function(name, [("ptr noalias", "x"), ("i64", "n"), ("ptr noalias", "out")])
    double = Lanes(f, "f64", 1)
    first = [("f32", f.load("float", f.x, 4))] if kind == "f32" else [("f64", f.load("double", f.x, 8))]
    start = first[0][1]

    def piece(l: Lanes, rows: int, begin: Any, stop: Any, carried: list[Any]) -> list[Any]:
        """Sum what lies between begin and stop, vectors of ``l`` at a time; into the totals."""
        c = Lanes(f, count, l.width)
        zero, none, edge = l.const(0.0), c.const(0), l.splat(start)
        carry = [*[(l.type, zero)] * (2 * rows), (l.type, edge), (l.type, edge), (c.type, none)]
        with f.loop_carry(begin, stop, rows * l.width, carry) as turn:
            values = list(turn.values)
            for k in range(rows):
                x = l.load(f.x, f.add(turn.i, k * l.width))
                values[2 * k] = l.add(values[2 * k], x)
                values[2 * k + 1] = l.fma(x, x, values[2 * k + 1])
                values[-3] = l.select(l.compare("lt", x, values[-3]), x, values[-3])
                values[-2] = l.select(l.compare("gt", x, values[-2]), x, values[-2])
                values[-1] = c.add(values[-1], c.select(l.compare("eq", x, zero), c.const(1), none))
            turn.set(*values)
        done = turn.results
        sums, squares = done[: 2 * rows : 2], done[1 : 2 * rows : 2]
        while len(sums) > 1:
            sums = [l.add(a, b) for a, b in zip(sums[::2], sums[1::2], strict=True)]
            squares = [l.add(a, b) for a, b in zip(squares[::2], squares[1::2], strict=True)]
        parts = [l.sum(sums[0]), l.sum(squares[0]), l.min(done[-3]), l.max(done[-2])]
        total, square, low, high = [Lanes(f, kind, 1).convert(v, kind, "f64") for v in parts]
        zeros = c.sum(done[-1])
        zeros = zeros if count == "i64" else f.op(f"sext i32 {zeros} to i64")
        return [
            double.add(carried[0], total),
            double.add(carried[1], square),
            double.select(double.compare("lt", low, carried[2]), low, carried[2]),
            double.select(double.compare("gt", high, carried[3]), high, carried[3]),
            str(f.add(carried[4], zeros)),
        ]

    l = Lanes(f, kind, jit.host().lanes(size))
    edge = Lanes(f, kind, 1).convert(start, kind, "f64")
    types = ["double"] * 4 + ["i64"]
    nothing = [double.const(0.0), double.const(0.0), edge, edge, "0"]
    step = l.width * VECTORS
    main = f.round_down(f.n, step)
    with f.loop_carry(0, main, BLOCK, list(zip(types, nothing, strict=True))) as block:
        stop = f.min(f.add(block.i, BLOCK), main)
        block.set(*piece(l, VECTORS, block.i, stop, list(block.values)))
    last = piece(Lanes(f, kind, 1), 1, main, f.n, list(block.results))
    for k, value in enumerate(last[:4]):
        f.store("double", value, f.element("double", f.out, k), 8)
    f.store("double", f.op(f"sitofp i64 {last[4]} to double"), f.element("double", f.out, 4), 8)
    f.ret()


__all__ = ["moments"]
