"""Convolutions with pixels along vectors, for few result channels to a group: the source is read as it lies, kernels are broadcast.

Nothing is packed or turned: a group's planes with their zeros are copied to scratch memory a block at a time, columns that a
stride keeps apart side by side, and results go straight to their planes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..codegen.emit import Count, Function, Module, Value
from ..codegen.lanes import Lanes
from . import conv_blocks as blocks
from .conv_blocks import (
    CHUNKS,
    FIRST,
    IMAGES,
    LINE,
    RESULT,
    SCRATCH,
    SECOND,
    SLOTS,
    Window,
    argument,
    item,
    rounded,
    size,
    up,
)
from .conv_geometry import Correlation, Part

BODY = 160  # multiply-adds written out in one turn of the innermost loop
SOURCE_BYTES = 192 << 10  # of a block of the source
RESULT_BYTES = 256 << 10  # of a block's results for what follows
FAR = 4  # most vectors along a row in registers
CROSSING = 3.0  # times slower: each vector is read for one multiply-add, and most lie across two cache lines


@dataclass(frozen=True)
class Plan:
    """How a correlation is cut up, for any number of images.

    Attributes
    ----------
    channels, rows, vectors : int
        Result channels, rows, and vectors of pixels in registers.
    block : int
        Results along height that one block makes, in steps of the parts; a block has one depth.
    behind : bool
        Whether something follows, which is given the results of each block.
    """

    correlation: Correlation
    kind: str
    width: int
    channels: int
    rows: int
    vectors: int
    block: int
    behind: bool = False

    @property
    def steps(self) -> tuple[int, int, int]:
        """The parts' steps between results."""
        d, h, w = self.correlation.parts[0]
        return d.step, h.step, w.step

    @property
    def blocks(self) -> tuple[int, int]:
        """How many blocks a plane has, along depth and height."""
        result, steps = self.correlation.result, self.steps
        return up(result[0], steps[0]), up(result[1], self.block * steps[1])

    def units(self, images: int) -> int:
        """Give how many pieces of work there are."""
        return images * self.correlation.groups * math.prod(self.blocks)

    @property
    def window(self) -> Window:
        """The block of the source that a block of results reads."""
        c = self.correlation
        columns = max(p[2].count for p in c.parts)
        extent = [_reach(c, d, n) for d, n in enumerate((1, self.block, columns))]
        return Window(self.kind, c.into, c.length, (extent[0], extent[1], extent[2]), c.low[2], c.live[0][2].stride)

    @property
    def slot(self) -> int:
        """Bytes of scratch memory that one thread needs."""
        results = self.behind * self.correlation.out * self.spread * size(self.kind)
        return self.source + rounded(results + size(self.kind) * self.width * 2)

    @property
    def source(self) -> int:
        """Bytes of them for a block of the source."""
        return rounded(self.window.bytes + size(self.kind) * self.width * (FAR + 1))

    @property
    def slice(self) -> int:
        """Results of one depth of a block, for one channel."""
        c = self.correlation
        return min(self.block * self.steps[1], c.result[1]) * c.result[2]

    @property
    def spread(self) -> int:
        """Numbers from one channel's results to the next."""
        line = LINE // size(self.kind)
        return up(self.steps[0] * self.slice, line) * line if self.behind else self.correlation.pixels

    def scratch(self, slots: int) -> int:
        """Bytes of scratch memory for that many threads at a time."""
        return SLOTS + slots * self.slot + LINE


def _reach(c: Correlation, d: int, count: int) -> int:
    """Give how many positions of the source so many results read."""
    return max((count - 1) * p[d].stride + p[d].first + (p[d].taps - 1) * p[d].spread for p in c.live) - c.low[d] + 1


Family = tuple[Part, ...]


def families(c: Correlation) -> list[Family]:
    """Group parts whose results alternate along a row, so that they are stored together; else each is alone."""
    found: list[Family] = []
    for part in c.parts:
        last = found[-1] if found else ()
        if len(last) == 1 and part[2].step == 2 and part[:2] == last[0][:2]:
            found[-1] = (last[0], part)
        else:
            found.append((part,))
    return found


def make_plan(c: Correlation, kind: str, width: int, registers: int, behind: bool = False) -> Plan:
    """Cut a correlation up; ``registers`` are those that sums may use."""
    most = min(registers, 24) // max(len(family) for family in families(c))
    counts = [max(p[d].count for p in c.parts) for d in range(3)]
    vectors = up(counts[2], width)
    vectors = up(vectors, up(vectors, FAR))
    channels = max(1, min(c.out, most // vectors))
    channels = up(c.out, up(c.out, channels))
    rows = max(1, min(4, most // (vectors * channels), counts[1]))
    pitch = _reach(c, 2, counts[2]) + width
    block = counts[1]
    row = behind * size(kind) * c.out * c.result[2] * math.prod(a.step for a in c.parts[0][:2])

    def fits(block: int) -> bool:
        source = size(kind) * c.into * _reach(c, 0, 1) * _reach(c, 1, block) * pitch
        return source <= SOURCE_BYTES and block * row <= RESULT_BYTES

    while block > rows and not fits(block):
        block = up(block, 2)
    block = up(block, rows) * rows
    return Plan(c, kind, width, channels, rows, vectors, block, behind)


def cost(c: Correlation, kind: str, width: int, registers: int) -> float:
    """Estimate, in multiply-adds of vectors, what an image takes."""
    plan = make_plan(c, kind, width, registers)
    total = 0.0
    for part in c.live:
        vectors = up(part[2].count, width) * part[1].count * part[0].count
        held = plan.channels * plan.vectors * plan.rows
        loads = (plan.channels + plan.vectors * plan.rows) / held
        stores = c.out * (1.0 if part[2].step <= 2 else 16.0)
        alone = CROSSING if plan.channels == 1 and part[2].taps > 1 else 1.0
        total += vectors * (c.out * c.into * math.prod(a.taps for a in part) * max(alone, loads) + stores)
    return c.groups * total


def write(plan: Plan, module: Module, name: str) -> list[tuple[str, int | None]]:
    """Write the functions ``void(ptr arguments, i64 chunk)`` that run one after another, and give their names and chunks."""
    c = plan.correlation
    blocks.write_window(plan.window, module, f"{name}_window", plan.width)
    for n, family in enumerate(families(c)):
        tall = family[0][1]
        for rows in {min(plan.rows, tall.count), tall.count % plan.rows} - {0}:
            for channels in {plan.channels, c.out % plan.channels} - {0}:
                for columns, far in {strip[1:] for strip in _strips(plan, family)}:
                    of = f"{name}_tile{n}_{channels}_{rows}_{far}"
                    _write_tile(plan, family, (channels, rows, columns, far), module, of)
    f = module.function(f"{name}_clear", [("ptr noalias", "arguments"), ("i64", "chunk")])
    blocks.clear_slots(f, argument(f, SCRATCH))
    f.ret()
    _write_main(plan, module, name)
    return [(f"{name}_clear", 1), (name, None)]


def _strips(plan: Plan, family: Family) -> list[tuple[int, int, int]]:
    """Cut a row into tiles: (first column, columns of each part, columns of the result)."""
    most, count = plan.vectors * plan.width, family[0][2].count
    strips = [(x, min(most, count - x)) for x in range(0, count, most)]
    if len(family) == 1:
        return [(x, columns, columns) for x, columns in strips]
    return [(x, columns, min(2 * columns, plan.correlation.result[2] - 2 * x)) for x, columns in strips]


def _write_tile(plan: Plan, family: Family, sizes: tuple[int, int, int, int], module: Module, name: str) -> None:
    """Write ``void(ptr source, ptr kernel, ptr result)``: some channels', rows' and columns' results."""
    f = module.function(name, [("ptr noalias", "source"), ("ptr noalias", "kernel"), ("ptr noalias", "result")])
    c, width, (channels, rows, columns, far) = plan.correlation, plan.width, sizes
    lanes = Lanes(f, plan.kind, width, contract=True)
    vectors = up(columns, width)
    sums = [_sums(plan, f, lanes, part, (channels, rows, vectors)) for part in family]
    _, tall, wide = family[0]
    for q in range(channels):
        for y in range(rows):
            for v in range(vectors):
                values = [each[(q * rows + y) * vectors + v] for each in sums]
                at = q * plan.spread + y * tall.step * c.result[2] + v * width * wide.step
                if len(family) == 1:
                    mask = blocks.first(lanes, columns - v * width)
                    lanes.store(values[0], f.element(lanes.item, f.result, at), 0, wide.step, mask)
                    continue
                for k, value in enumerate(blocks.together(lanes, *values)):
                    left = far - (2 * v + k) * width
                    if left > 0:
                        lanes.store(value, f.result, at + k * width, 1, blocks.first(lanes, left))
    f.ret()


def _sums(plan: Plan, f: Function, lanes: Lanes, part: Part, sizes: tuple[int, int, int]) -> list[Value]:
    """Write the sums of one part over source channels and taps."""
    c, window, number = plan.correlation, plan.window, lanes.item
    channels, rows, vectors = sizes
    one = Lanes(f, plan.kind, 1)
    body = channels * rows * vectors
    counts = [a.taps for a in part]
    zero = [lanes.const(0)] * body
    if not all(counts):
        return zero
    written = 3  # the first dimension whose taps are written out
    while written and body * math.prod(counts[written - 1 :]) <= BODY:
        written -= 1
    if part[2].stride > 1:
        written = min(written, 2)  # taps of a row lie in different runs

    def turn(level: int, source: Value, kernel: Value, sums: list[Value], at: tuple[int, int, int]) -> list[Value]:
        """Go through the taps of the dimensions from ``level`` on; ``at``: those already chosen, as steps in the window."""
        if level == 3:
            blocks.fence(f)
            left = [
                [lanes.load(source, _place(window, part, at, y, v * lanes.width)) for v in range(vectors)]
                for y in range(rows)
            ]
            out = list(sums)
            for q in range(channels):
                factor = lanes.splat(one.load(kernel, q * c.q_step))
                for y in range(rows):
                    for v in range(vectors):
                        k = (q * rows + y) * vectors + v
                        out[k] = lanes.fma(factor, left[y][v], sums[k])
            return out
        axis = part[level]
        taps = axis.tap_step * math.prod(c.kernel[level + 1 :])
        if level >= written or axis.taps == 1:
            for t in range(axis.taps):
                chosen = [*at[:level], t * axis.spread, *at[level + 1 :]]
                place = (chosen[0], chosen[1], chosen[2])
                sums = turn(level + 1, source, f.element(number, kernel, t * taps), sums, place)
            return sums
        move = [0, 0, 0]
        move[level] = axis.spread
        with f.loop_carry(0, axis.taps, 1, [(lanes.type, s) for s in sums]) as loop:
            here = f.element(number, source, f.mul(loop.i, window.at(*move)))
            loop.set(*turn(level + 1, here, f.element(number, kernel, f.mul(loop.i, taps)), loop.values, at))
        return loop.results

    first = sum(a.tap * math.prod(c.kernel[d + 1 :]) for d, a in enumerate(part))
    with f.loop_carry(0, c.into, 1, [(lanes.type, s) for s in zero]) as loop:
        source = f.element(number, f.source, f.mul(loop.i, window.plane))
        kernel = f.element(number, f.element(number, f.kernel, first), f.mul(loop.i, c.r_step))
        loop.set(*turn(0, source, kernel, loop.values, (0, 0, 0)))
    return loop.results


def _place(window: Window, part: Part, at: tuple[int, int, int], row: int, column: int) -> int:
    """Give where the source of some pixels' tap lies, from the tile's first row on."""
    here = part[2].first - window.low + at[2]
    run = here % window.phases * window.run + here // window.phases
    return window.at(at[0], at[1] + row * part[1].stride, 0) + run + column


def _write_main(plan: Plan, module: Module, name: str) -> None:
    """Write the walk over images, groups, blocks and tiles."""
    c = plan.correlation
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    number = item(plan.kind)
    source, kernel, result, scratch = (argument(f, i) for i in (FIRST, SECOND, RESULT, SCRATCH))
    images, chunks = argument(f, IMAGES, "i64"), argument(f, CHUNKS, "i64")
    units = f.mul(images, plan.units(1))
    begin, end = blocks.shared(f, units, chunks, f.chunk)
    slot = blocks.take_slot(f, scratch)
    block = f.byte(f.byte(scratch, SLOTS), f.mul(slot, plan.slot))
    made = f.byte(block, plan.source)
    with f.loop(begin, end) as unit:
        place, down = blocks.divided(f, unit, plan.blocks[1])
        place, depth = blocks.divided(f, place, plan.blocks[0])
        image, group = blocks.divided(f, place, c.groups)
        height = f.mul(down, plan.block)
        part = c.live[0]
        planes = f.mul(f.add(f.mul(image, c.groups), group), c.into * math.prod(c.length))
        f.call(
            f"@rg_{name}_window",
            arguments=[
                ("ptr", f.element(number, source, planes)),
                ("ptr", block),
                ("i64", f.add(f.mul(depth, part[0].stride), c.low[0])),
                ("i64", f.add(f.mul(height, part[1].stride), c.low[1])),
            ],
        )
        weights = f.element(number, kernel, f.mul(group, c.group_step))
        goal = f.element(number, result, f.mul(f.add(f.mul(image, c.groups), group), c.out * c.pixels))
        bases = (block, weights, made if plan.behind else goal)
        for n, family in enumerate(families(c)):
            _write_tiles(plan, f, family, f"{name}_tile{n}", bases, depth, height)
        if plan.behind:
            row, slice = f.mul(height, plan.steps[1]), f.mul(depth, plan.steps[0])
            rows = f.min(plan.block * plan.steps[1], f.sub(c.result[1], row))
            with f.loop(0, f.min(plan.steps[0], f.sub(c.result[0], slice))) as d:
                pixel = f.mul(f.add(f.mul(f.add(slice, d), c.result[1]), row), c.result[2])
                values = f.element(number, made, f.mul(d, plan.slice))
                corner = (image, f.mul(group, c.out), pixel)
                blocks.go_on(f, values, plan.spread, corner, (c.out, f.mul(rows, c.result[2])))
    blocks.give_slot(f, scratch, slot)
    f.ret()


def _write_tiles(
    plan: Plan,
    f: Function,
    family: Family,
    name: str,
    bases: tuple[Value, Value, Value],
    depth: Count,
    height: Count,
) -> None:
    """Write the loops over a block's tiles."""
    c, number, window = plan.correlation, item(plan.kind), plan.window
    source, kernel, result = bases
    deep, tall, wide = family[0]
    rows = f.max(0, f.min(plan.block, f.sub(tall.count, height)))
    alive = deep.taps and tall.taps
    shift = window.at(deep.first - c.low[0], tall.first - c.low[1], 0) if alive else 0

    def tiles(q: Count, channels: int, h: Count, high: int) -> None:
        row = f.add(f.mul(h if plan.behind else f.add(height, h), tall.step), tall.start)
        slice = deep.start if plan.behind else f.add(f.mul(depth, deep.step), deep.start)
        rows_before = f.mul(slice, plan.slice // c.result[2] if plan.behind else c.result[1])
        corner = f.mul(f.add(rows_before, row), c.result[2])
        goal = f.element(number, result, f.add(f.mul(q, plan.spread), corner))
        here = f.element(number, source, f.add(f.mul(h, tall.stride * window.pitch), shift))
        for x, _, far in _strips(plan, family):
            f.call(
                f"@rg_{name}_{channels}_{high}_{far}",
                arguments=[
                    ("ptr", f.element(number, here, x)),
                    ("ptr", f.element(number, kernel, f.mul(q, c.q_step))),
                    ("ptr", f.element(number, goal, wide.start + x * wide.step)),
                ],
            )

    def bands(q: Count, channels: int) -> None:
        even, _ = blocks.divided(f, rows, plan.rows)
        even = f.mul(even, plan.rows)
        if tall.count >= plan.rows:
            with f.loop(0, even, plan.rows) as h:
                tiles(q, channels, h, plan.rows)
        if tall.count % plan.rows:
            with f.if_(f.op(f"icmp slt i64 {even}, {rows}")):
                tiles(q, channels, even, tall.count % plan.rows)

    def all_channels() -> None:
        whole = c.out // plan.channels * plan.channels
        with f.loop(0, whole, plan.channels) as q:
            bands(q, plan.channels)
        if whole < c.out:
            bands(whole, c.out % plan.channels)

    with f.if_(f.op(f"icmp slt i64 {depth}, {deep.count}")):
        all_channels()
