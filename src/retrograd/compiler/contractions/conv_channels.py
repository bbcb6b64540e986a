"""Convolutions with channels along vectors: a few pixels' sums in registers, the source's numbers broadcast from where they lie.

A block of the source with its zeros is copied to scratch memory, where every tap of every pixel is at a fixed distance; no
patch is ever packed. Sums are kept pixel by pixel, channels side by side, and turned to planes when a block is done.
"""

from __future__ import annotations

import math

from ..codegen.emit import Count, Function, Module, Value
from ..codegen.lanes import Lanes
from . import conv_blocks as blocks
from . import conv_packing
from .conv_blocks import (
    CHUNKS,
    FIRST,
    IMAGES,
    RESULT,
    SCRATCH,
    SLOTS,
    argument,
    item,
    rounded,
    size,
    up,
)
from .conv_channels_plan import Plan, cost, leaves_columns, make_plan
from .conv_geometry import Axis, Part, part_taps

BODY = 140  # multiply-adds written out in one turn of the innermost loop


def write(plan: Plan, module: Module, name: str) -> list[tuple[str, int | None]]:
    """Write the functions ``void(ptr arguments, i64 chunk)`` that run one after another, and give their names and chunks.

    None as the number of chunks: it is among the arguments.
    """
    c = plan.correlation
    blocks.write_window(plan.window, module, f"{name}_window", plan.width)
    for n, part in enumerate(c.live):
        for rows, columns in sorted(_shapes(plan, part)):
            _write_tile(plan, part, rows, columns, module, f"{name}_tile{n}_{rows}_{columns}")
    _write_main(plan, module, name)
    conv_packing.write(plan, module, f"{name}_pack")
    return [(f"{name}_pack", conv_packing.chunks(plan)), (name, None)]


def _widths(plan: Plan, part: Part) -> list[tuple[int, int]]:
    """Cut a row of a part's pixels into tiles of nearly equal width: (how many, width)."""
    count = part[2].count
    tiles = up(count, max(1, plan.pixels // plan.high))
    wide, extra = divmod(count, tiles)
    return [(n, w) for n, w in ((extra, wide + 1), (tiles - extra, wide)) if n]


def _shapes(plan: Plan, part: Part) -> set[tuple[int, int]]:
    """Tiles' rows and columns that a part needs."""
    rows = {plan.high} if part[1].count >= plan.high else set()
    if part[1].count % plan.high:
        rows.add(part[1].count % plan.high)
    return {(r, w) for r in rows for _, w in _widths(plan, part)}


def _leaves(plan: Plan, part: Part) -> list[int]:
    """Give the dimensions along which taps are left out where all that they meet is zeros outside the source."""
    length = plan.correlation.length
    found = [d for d in range(2) if part[d].taps > 1 and (part[d].low < 0 or part[d].high >= length[d])]
    return [*found, 2] if leaves_columns(plan.correlation, part, plan.wide) else found


def inside(f: Function, axis: Axis, length: int, start: Count, count: int) -> tuple[Count, Count]:
    """Give which taps meet the source for some of ``count`` results from one on, whose first tap lies at ``start``."""
    last = f.add(start, (count - 1) * axis.stride)
    below = f.max(0, f.sub(axis.spread - 1, last))
    above = f.max(0, f.sub(length - 1 + axis.spread, start))
    begin, _ = blocks.divided(f, below, axis.spread)
    end, _ = blocks.divided(f, above, axis.spread)
    begin = f.min(begin, axis.taps)
    return begin, f.max(begin, f.min(end, axis.taps))


def _write_tile(plan: Plan, part: Part, rows: int, columns: int, module: Module, name: str) -> None:
    """Write ``void(ptr source, ptr kernel, ptr sums, i64 channels, i1 fresh)``: add some channels' products to a tile's sums.

    For each dimension that leaves the source, two numbers more: the first of its taps that meet it, and the one behind the last.
    """
    leaves = _leaves(plan, part)
    bounds = [("i64", f"{end}{d}") for d in leaves for end in ("first", "last")]
    f = module.function(
        name,
        [
            ("ptr noalias", "source"),
            ("ptr noalias", "kernel"),
            ("ptr noalias", "sums"),
            ("i64", "channels"),
            ("i1", "fresh"),
            *bounds,
        ],
    )
    lanes = Lanes(f, plan.kind, plan.width, contract=True)
    one = Lanes(f, plan.kind, 1)
    number, window, across = lanes.item, plan.window, plan.across
    depth, height, width = part
    pixels = [(y, x) for y in range(rows) for x in range(columns)]
    down, beside = height.stride // window.skips[1], width.stride // window.skips[2]
    reads = [window.at(0, y * down, x * beside) for y, x in pixels]
    row = plan.correlation.result[2] * height.step
    places = [(y * row + x * width.step) * across + v * plan.width for y, x in pixels for v in range(plan.vectors)]

    def old() -> list[Value]:
        return [lanes.load(f.sums, at) for at in places]

    def new() -> list[Value]:
        return [lanes.const(0)] * len(places)

    sums = f.choose(f.params["fresh"], [lanes.type] * len(places), new, old)
    taps = part_taps(part)
    counts = (depth.taps, height.taps, width.taps)
    written = 3  # the first dimension whose taps are written out
    body = len(places)
    while written and body * counts[written - 1] <= BODY and written - 1 not in leaves:
        written -= 1
        body *= counts[written]

    def turn(level: int, source: Value, kernel: Value, sums: list[Value]) -> list[Value]:
        """Go through the taps of the dimensions from ``level`` on."""
        if level == 3:
            blocks.fence(f)
            right = [lanes.load(kernel, v * plan.width) for v in range(plan.vectors)]
            out = []
            for p, at in enumerate(reads):
                factor = lanes.splat(one.load(source, at))
                out += [lanes.fma(factor, b, sums[p * plan.vectors + v]) for v, b in enumerate(right)]
            return out
        move = [0, 0, 0]
        move[level] = part[level].spread
        away, inner = window.at(*move), math.prod(counts[level + 1 :]) * across
        if part[level].taps == 1:
            return turn(level + 1, source, kernel, sums)
        if level >= written:
            for t in range(counts[level]):
                sums = turn(level + 1, f.element(number, source, t * away), f.element(number, kernel, t * inner), sums)
            return sums
        first, last = (
            (f.params[f"{end}{level}"] for end in ("first", "last")) if level in leaves else (0, counts[level])
        )
        with f.loop_carry(first, last, 1, [(lanes.type, s) for s in sums]) as loop:
            here = f.element(number, source, f.mul(loop.i, away))
            loop.set(*turn(level + 1, here, f.element(number, kernel, f.mul(loop.i, inner)), loop.values))
        return loop.results

    with f.loop_carry(0, f.channels, 1, [(lanes.type, s) for s in sums]) as loop:
        source = f.element(number, f.source, f.mul(loop.i, window.plane))
        kernel = f.element(number, f.kernel, f.mul(loop.i, taps * across))
        loop.set(*turn(0, source, kernel, loop.values))
    for at, value in zip(places, loop.results, strict=True):
        lanes.store(value, f.sums, at)
    f.ret()


def _write_main(plan: Plan, module: Module, name: str) -> None:
    """Write the walk over images, blocks, result channels, source channels and tiles."""
    c, window = plan.correlation, plan.window
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    number = item(plan.kind)
    source, result, scratch = (argument(f, i) for i in (FIRST, RESULT, SCRATCH))
    images, chunks = argument(f, IMAGES, "i64"), argument(f, CHUNKS, "i64")
    units = f.mul(images, plan.units(1))
    begin, end = blocks.shared(f, units, chunks, f.chunk)
    slot = blocks.take_slot(f, scratch)
    packed = f.byte(scratch, SLOTS)
    block = f.byte(packed, f.add(rounded(size(plan.kind) * plan.kept), f.mul(slot, plan.slot)))
    sums = f.byte(block, rounded(window.bytes))
    with f.loop(begin, end) as unit:
        place, split = blocks.divided(f, unit, plan.splits)
        place, down = blocks.divided(f, place, plan.blocks[1])
        image, deep = blocks.divided(f, place, plan.blocks[0])
        depth, height = f.mul(deep, plan.block[0]), f.mul(down, plan.block[1])
        part = c.live[0]
        f.call(
            f"@rg_{name}_window",
            arguments=[
                ("ptr", f.element(number, source, f.mul(image, c.groups * c.into * math.prod(c.length)))),
                ("ptr", block),
                ("i64", f.add(f.mul(depth, part[0].stride), c.low[0])),
                ("i64", f.add(f.mul(height, part[1].stride), c.low[1])),
            ],
        )
        first, last = (0, plan.panels) if plan.splits == 1 else blocks.shared(f, plan.panels, plan.splits, split)
        rows = f.min(plan.block[1] * plan.steps[1], f.sub(c.result[1], f.mul(height, plan.steps[1])))
        slices = f.min(plan.block[0] * plan.steps[0], f.sub(c.result[0], f.mul(depth, plan.steps[0])))
        corner = f.add(f.mul(f.mul(depth, plan.steps[0]), c.result[1]), f.mul(height, plan.steps[1]))
        with f.loop(0, c.groups) as group, f.loop(first, last) as panel:
            kernels = f.add(f.mul(group, plan.panels), panel)
            if len(c.live) < len(c.parts):
                _clear(plan, f, sums, f.mul(slices, plan.slice))
            planes = f.element(number, block, f.mul(group, c.into * window.plane))
            with f.loop(0, c.into, plan.channels) as channel:
                count = plan.channels if c.into % plan.channels == 0 else f.min(plan.channels, f.sub(c.into, channel))
                fresh = "false" if len(c.live) < len(c.parts) else f.op(f"icmp eq i64 {channel}, 0")
                left = f.element(number, planes, f.mul(channel, window.plane))
                for n, part in enumerate(c.live):
                    at = f.mul(f.add(f.mul(kernels, c.into), channel), part_taps(part) * plan.across)
                    bases = (left, f.element(number, packed, f.add(plan.packed[n], at)), sums)
                    _write_tiles(plan, f, part, f"{name}_tile{n}", bases, (depth, height), count, fresh)
            of = f.add(f.mul(group, c.out), f.mul(panel, plan.across))
            _write_out(plan, f, (sums, result), panel, (image, of, f.mul(corner, c.result[2])), slices, rows)
    blocks.give_slot(f, scratch, slot)
    f.ret()


def _write_out(
    plan: Plan,
    f: Function,
    bases: tuple[Value, Value],
    panel: Count,
    place: tuple[Count, Count, Count],
    slices: Count,
    rows: Count,
) -> None:
    """Write the turning of a block's sums to the result's planes, or to planes that what follows is given."""
    c, number, (sums, result), (image, of, pixel) = plan.correlation, item(plan.kind), bases, place
    whole = plan.blocks[1] == 1  # slices of depth lie one behind the other
    count = f.min(plan.across, f.sub(c.out, f.mul(panel, plan.across)))
    pixels = f.mul(f.mul(slices if whole else 1, rows), c.result[2])
    if plan.behind:
        goal = f.byte(sums, plan.sums)
    else:
        goal = f.element(number, result, f.add(f.mul(f.add(f.mul(image, c.groups * c.out), of), c.pixels), pixel))
    with f.loop(0, 1 if whole else slices) as d:
        on = f.mul(d, c.result[1] * c.result[2])
        f.call(
            blocks.turn(f, plan.kind, plan.width),
            arguments=[
                ("ptr", f.element(number, sums, f.mul(d, plan.slice * plan.across))),
                ("i64", plan.across),
                ("i64", pixels),
                ("ptr", goal if plan.behind else f.element(number, goal, on)),
                ("i64", plan.apart if plan.behind else c.pixels),
                ("i64", count),
            ],
        )
        if plan.behind:
            blocks.go_on(f, goal, plan.apart, (image, of, f.add(pixel, on)), (count, pixels))


def _clear(plan: Plan, f: Function, sums: Value, pixels: Count) -> None:
    """Write the first sums where some results have no part that would."""
    lanes = Lanes(f, plan.kind, plan.width)
    with f.loop(0, f.mul(pixels, plan.across), plan.width) as p:
        lanes.store(lanes.const(0), sums, p)


def _write_tiles(
    plan: Plan,
    f: Function,
    part: Part,
    name: str,
    bases: tuple[Value, Value, Value],
    place: tuple[Count, Count],
    count: Count,
    fresh: Value,
) -> None:
    """Write the loops over a block's tiles of one part."""
    number, window, (source, kernel, sums) = item(plan.kind), plan.window, bases
    deep, tall, wide = part
    depth, height = place
    result, low = plan.correlation.result, plan.correlation.low
    slices = f.min(plan.block[0], f.sub(deep.count, depth))
    rows = f.max(0, f.min(plan.block[1], f.sub(tall.count, height)))
    shift = window.at(deep.first - low[0], tall.first - low[1], 0) + wide.first - window.low

    def tile(d: Count, h: Count, column: Count, high: int, width: int) -> None:
        steps = [axis.stride // skip for axis, skip in zip(part, window.skips, strict=True)]
        row = f.add(f.mul(d, steps[0] * window.extent[1]), f.mul(h, steps[1]))
        at = f.add(f.add(f.mul(row, window.pitch), shift), f.mul(column, steps[2]))
        slice = f.mul(f.add(f.mul(d, deep.step), deep.start), plan.slice)
        line = f.mul(f.add(f.mul(h, tall.step), tall.start), result[2])
        pixel = f.add(f.add(slice, line), f.add(f.mul(column, wide.step), wide.start))
        met: list[Count] = []
        for k in _leaves(plan, part):
            axis, at_first, many = ((deep, f.add(depth, d), 1), (tall, f.add(height, h), high), (wide, column, width))[
                k
            ]
            start = f.add(f.mul(at_first, axis.stride), axis.first)
            met += inside(f, axis, plan.correlation.length[k], start, many)
        f.call(
            f"@rg_{name}_{high}_{width}",
            arguments=[
                ("ptr", f.element(number, source, at)),
                ("ptr", kernel),
                ("ptr", f.element(number, sums, f.mul(pixel, plan.across))),
                ("i64", count),
                ("i1", fresh),
                *[("i64", n) for n in met],
            ],
        )

    def tiles(d: Count, h: Count, high: int) -> None:
        x = 0
        for many, width in _widths(plan, part):
            with f.loop(x, x + many * width, width) as column:
                tile(d, h, column, high, width)
            x += many * width

    with f.loop(0, slices) as d:
        even, _ = blocks.divided(f, rows, plan.high)
        even = f.mul(even, plan.high)
        if tall.count >= plan.high:
            with f.loop(0, even, plan.high) as h:
                tiles(d, h, plan.high)
        if tall.count % plan.high:
            with f.if_(f.op(f"icmp slt i64 {even}, {rows}")):
                tiles(d, even, tall.count % plan.high)


__all__ = ["Plan", "cost", "make_plan", "write"]
