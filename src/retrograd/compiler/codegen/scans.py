"""Running sums and products along a dimension: one pass, the total so far in registers."""

from __future__ import annotations

from collections.abc import Sequence

from .emit import Count, Function, Module, Value
from .lanes import Lanes
from .products import share

SCANS = {"cumsum": "add", "cumprod_value": "mul"}


def write_scan(
    module: Module,
    name: str,
    op: str,
    kind: str,
    shape: Sequence[int],
    strides: Sequence[int],
    axis: int,
    width: int,
    chunks: int,
) -> None:
    """Write ``void(ptr arguments, i64 chunk)``; the arguments are the addresses of the input, whose strides are given, and of the result.

    Where the last dimension is another one, and contiguous, vectors of it go on together.
    """
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    x, out = (f.load("ptr", f.element("ptr", f.arguments, i), 8) for i in range(2))
    steps = [1] * len(shape)
    for d in range(len(shape) - 2, -1, -1):
        steps[d] = steps[d + 1] * shape[d + 1]
    last = len(shape) - 1
    together = axis != last and strides[last] == 1 and shape[last] > 1
    others = [d for d in range(len(shape)) if d != axis and not (together and d == last) and shape[d] != 1]

    def along(lanes: Lanes, x: Value, out: Value) -> None:
        zero = lanes.const(0 if SCANS[op] == "add" else 1)
        with f.loop_carry(0, shape[axis], 1, [(lanes.type, zero)]) as loop:
            value = lanes.load(f.element(lanes.row.memory, x, f.mul(loop.i, strides[axis])))
            total = getattr(lanes, SCANS[op])(loop.values[0], value)
            lanes.store(total, f.element(lanes.row.memory, out, f.mul(loop.i, steps[axis])))
            loop.set(total)

    def line(x: Value, out: Value) -> None:
        one = Lanes(f, kind, 1)
        if not together:
            along(one, x, out)
            return
        start: Count = 0
        for lanes in (Lanes(f, kind, width), one):
            stop = shape[last] // lanes.width * lanes.width
            if stop > int(start):
                with f.loop(start, stop, lanes.width) as j:
                    along(lanes, f.element(one.memory, x, j), f.element(one.memory, out, j))
            start = stop

    _each(f, kind, [(shape[d], strides[d], steps[d]) for d in others], x, out, chunks, line)
    f.ret()


def _each(
    f: Function, kind: str, dims: list[tuple[int, int, int]], x: Value, out: Value, chunks: int, line: object
) -> None:
    """Call ``line`` at each place of the dimensions (length, stride of the input, of the result); the first one is shared out."""
    if not dims:
        line(x, out)  # type: ignore[operator]
        return
    (length, stride, step), *rest = dims
    start: Count = 0
    stop: Count = length
    if chunks > 1:
        start, stop = share(f, length, chunks)
    memory = Lanes(f, kind, 1).memory
    with f.loop(start, stop) as i:
        moved = f.op(f"getelementptr {memory}, ptr {x}, i64 {f.mul(i, stride)}") if stride else x
        _each(f, kind, rest, moved, f.element(memory, out, f.mul(i, step)), 1, line)
