"""Convolutions in many groups, with groups along vectors: depthwise ones above all, whose planes may be small.

A block of the source is turned so that the numbers of all groups at a pixel lie side by side; a group's small convolution is then
done in every lane. Pixels are single vectors, so that no row is too short and no zero outside of the source is read. Results are
turned to planes when a block is done.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..codegen.emit import Count, Function, Module, Value
from ..codegen.lanes import Lanes
from . import conv_blocks as blocks
from .conv_blocks import CHUNKS, FIRST, IMAGES, LINE, RESULT, SCRATCH, SECOND, SLOTS, argument, item, rounded, size, up
from .conv_channels import inside
from .conv_geometry import Correlation, Part, met

SOURCE_BYTES = 160 << 10  # of a block of the source
SUM_BYTES = 128 << 10  # of a block's results
MOST_BYTES = 640 << 10  # of a block that cannot be smaller
BODY = 420  # multiply-adds written out for the taps of a row
TURN = 10.0  # multiply-adds that turning a vector takes as long as
ROW = 8.0  # and beginning a row of taps
CHAINS = 8  # sums that must be added to in turn, lest one waits for the other


@dataclass(frozen=True)
class Plan:
    """How a correlation is cut up, for any number of images.

    Attributes
    ----------
    channels, columns, chains : int
        Result channels of a group and columns whose sums are in registers, and how many sums each result has there.
    block : tuple of int
        Results along depth and height that one block makes, in steps of the parts.
    behind : bool
        Whether something follows, which is given the results of each block.
    """

    correlation: Correlation
    kind: str
    width: int
    channels: int
    columns: int
    chains: int
    block: tuple[int, int]
    behind: bool = False

    @property
    def strips(self) -> int:
        """Vectors of groups."""
        return up(self.correlation.groups, self.width)

    @property
    def steps(self) -> tuple[int, int]:
        """The parts' steps between results, along depth and height."""
        return self.correlation.parts[0][0].step, self.correlation.parts[0][1].step

    @property
    def blocks(self) -> tuple[int, int]:
        """How many blocks a plane has, along depth and height."""
        result, steps = self.correlation.result, self.steps
        return up(result[0], self.block[0] * steps[0]), up(result[1], self.block[1] * steps[1])

    def units(self, images: int) -> int:
        """Give how many pieces of work there are."""
        return images * self.strips * math.prod(self.blocks)

    @property
    def extent(self) -> tuple[int, int]:
        """Positions of the source along depth and height that a block may read."""
        reads = [min(self.correlation.length[d], reach(self.correlation, d, self.block[d])) for d in range(2)]
        return reads[0], reads[1]

    @property
    def plane(self) -> int:
        """Numbers of a channel of the source's block."""
        return math.prod(self.extent) * self.correlation.length[2] * self.width

    @property
    def made(self) -> tuple[int, int]:
        """Results of a block along depth and height."""
        pairs = zip(self.block, self.steps, self.correlation.result, strict=False)
        deep, tall = (min(n * step, most) for n, step, most in pairs)
        return deep, tall

    @property
    def pixels(self) -> int:
        """Results of a block, for one channel."""
        return math.prod(self.made) * self.correlation.result[2]

    @property
    def apart(self) -> int:
        """Numbers from one channel of a block's results to the next, where something follows."""
        line = LINE // size(self.kind)
        return up(self.pixels, line) * line

    @property
    def parts(self) -> tuple[int, int, int]:
        """Bytes of a slot's parts: the source's block, its results, and those for what follows."""
        c, bytes = self.correlation, size(self.kind)
        after = self.behind * self.width * c.out * self.apart * bytes
        return rounded(bytes * c.into * self.plane), rounded(bytes * c.out * self.pixels * self.width), after

    @property
    def packed(self) -> int:
        """Numbers of all packed kernels."""
        return self.strips * self.correlation.group_step * self.width

    def scratch(self, slots: int) -> int:
        """Bytes of scratch memory for that many threads at a time."""
        return SLOTS + rounded(size(self.kind) * self.packed) + slots * sum(self.parts) + LINE


def reach(c: Correlation, d: int, count: int) -> int:
    """Give how many positions of the source so many results read."""
    ends = [(min(count, p[d].count) - 1) * p[d].stride + p[d].high - (p[d].count - 1) * p[d].stride for p in c.live]
    return max(ends) - c.low[d] + 1


def make_plan(c: Correlation, kind: str, width: int, registers: int, behind: bool = False) -> Plan:
    """Cut a correlation up; ``registers`` are those that sums may use."""
    counts = [max(p[d].count for p in c.parts) for d in range(3)]
    most = registers if c.out == 1 else registers - 6
    columns = min(counts[2], most)
    columns = up(counts[2], up(counts[2], columns))
    channels = max(1, min(c.out, most // columns, 4))
    chains = max(1, min(most // (columns * channels), up(CHAINS, columns * channels)))
    depth, rows = counts[0], counts[1]

    def fits(d: int, h: int) -> bool:
        plan = Plan(c, kind, width, channels, columns, chains, (d, h), behind)
        return plan.parts[0] <= SOURCE_BYTES and plan.parts[1] <= SUM_BYTES

    while depth > 1 and not fits(depth, rows):
        depth = up(depth, 2)
    while rows > 1 and not fits(depth, rows):
        rows = up(rows, 2)
    return Plan(c, kind, width, channels, columns, chains, (depth, rows), behind)


def cost(c: Correlation, kind: str, width: int, registers: int) -> float:
    """Estimate, in multiply-adds of vectors, what an image takes; without an end where it cannot be done so."""
    if c.groups < 2:
        return math.inf
    plan = make_plan(c, kind, width, registers)
    held = plan.columns * plan.channels * plan.chains
    wide = max(p[2].taps for p in c.live)
    if sum(plan.parts[:2]) > MOST_BYTES or wide * plan.columns * plan.channels > BODY:
        return math.inf
    total = 0.0
    for part in c.live:
        deep, tall, along = (met(c, part, d, 1) for d in range(3))
        rows = part[0].count * part[1].count * deep * tall * c.into
        loads = max(1.0, 8 / held, (plan.columns + plan.channels) / (plan.columns * plan.channels))
        total += rows * c.out * (part[2].count * along * loads + ROW * up(part[2].count, plan.columns) / plan.channels)
    read = plan.blocks[0] * plan.blocks[1] * math.prod(plan.extent) * c.length[2]
    return plan.strips * (total + TURN * (c.into * read + c.out * c.pixels))


def write(plan: Plan, module: Module, name: str) -> list[tuple[str, int | None]]:
    """Write the functions ``void(ptr arguments, i64 chunk)`` that run one after another, and give their names and chunks."""
    c = plan.correlation
    for n, part in enumerate(c.live):
        for columns in sorted(set(_tiles(plan, part))):
            for channels in {plan.channels, c.out % plan.channels} - {0}:
                of = f"{name}_tile{n}_{_tiles(plan, part).index(columns)}_{channels}"
                _write_tile(plan, part, columns, channels, module, of)
    write_pack(plan, module, f"{name}_pack", SECOND, plan.strips)
    _write_main(plan, module, name)
    return [(f"{name}_pack", 1), (name, None)]


Held = tuple[tuple[bool, ...], ...]  # for each column of a tile, which taps lie in the source


def _tiles(plan: Plan, part: Part) -> list[Held]:
    """Cut a row into tiles."""
    axis, length = part[2], plan.correlation.length[2]
    held = []
    for m in range(axis.count):
        at = m * axis.stride + axis.first
        held.append(tuple(0 <= at + t * axis.spread < length for t in range(axis.taps)))
    return [tuple(held[m : m + plan.columns]) for m in range(0, axis.count, plan.columns)]


def write_pack(plan: Plan, module: Module, name: str, operand: int, strips: int) -> None:
    """Write ``void(ptr arguments, i64 chunk)`` that lays the kernels of groups out side by side."""
    c, number = plan.correlation, item(plan.kind)
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    kernel, scratch = argument(f, operand), argument(f, SCRATCH)
    blocks.clear_slots(f, scratch)
    goal = f.byte(scratch, SLOTS)
    with f.loop(0, strips) as strip:
        group = f.mul(strip, plan.width)
        arguments: list[tuple[str, Count]] = [
            ("ptr", f.element(number, kernel, f.mul(group, c.group_step))),
            ("i64", c.group_step),
            ("i64", f.min(plan.width, f.sub(c.groups, group))),
            ("ptr", f.element(number, goal, f.mul(strip, c.group_step * plan.width))),
            ("i64", plan.width),
            ("i64", c.group_step),
        ]
        f.call(blocks.turn(f, plan.kind, plan.width), arguments=arguments)
    f.ret()


def _write_tile(plan: Plan, part: Part, columns: Held, channels: int, module: Module, name: str) -> None:
    """Write ``void(ptr source, ptr kernel, ptr sums, i64 first0, i64 last0, i64 first1, i64 last1)``: a few columns' results of a row.

    The numbers are the taps along depth and height that lie in the source.
    """
    bounds = [("i64", f"{end}{d}") for d in range(2) for end in ("first", "last")]
    f = module.function(name, [*[("ptr noalias", n) for n in ("source", "kernel", "sums")], *bounds])
    c, width = plan.correlation, plan.width
    lanes = Lanes(f, plan.kind, width, contract=True)
    number, wide = lanes.item, part[2]
    zero = [lanes.const(0)] * (len(columns) * channels * plan.chains)
    row = c.length[2] * width

    def turn(source: Value, kernel: Value, sums: list[Value]) -> list[Value]:
        out, done = list(sums), 0
        for t in range(wide.taps):
            if not any(held[t] for held in columns):
                continue
            blocks.fence(f)
            tap = (wide.tap + t * wide.tap_step) * width
            factors = [lanes.load(kernel, tap + q * c.q_step * width) for q in range(channels)]
            for m, held in enumerate(columns):
                if not held[t]:
                    continue
                x = lanes.load(source, (m * wide.stride + t * wide.spread) * width)
                for q, factor in enumerate(factors):
                    at = (done % plan.chains * channels + q) * len(columns) + m
                    out[at] = lanes.fma(factor, x, out[at])
            done += 1
        return out

    def along(level: int, source: Value, kernel: Value, sums: list[Value]) -> list[Value]:
        if level == 3:
            return turn(source, kernel, sums)
        if level == 0 and c.into == 1:
            return along(1, source, kernel, sums)
        start: Count
        stop: Count
        if level == 0:
            start, stop, move, step, tap = 0, c.into, plan.plane, c.r_step, 0
        else:
            axis = part[level - 1]
            start, stop = f.params[f"first{level - 1}"], f.params[f"last{level - 1}"]
            inner = math.prod(c.kernel[level:])
            move = axis.spread * row * (plan.extent[1] if level == 1 else 1)
            step, tap = axis.tap_step * inner, axis.tap * inner
        with f.loop_carry(start, stop, 1, [(lanes.type, s) for s in sums]) as loop:
            there = f.element(number, source, f.mul(loop.i, move))
            taps = f.element(number, kernel, f.mul(f.add(f.mul(loop.i, step), tap), width))
            loop.set(*along(level + 1, there, taps, loop.values))
        return loop.results

    sums = along(0, f.source, f.kernel, zero)
    for q in range(channels):
        for m in range(len(columns)):
            value = sums[q * len(columns) + m]
            for k in range(1, plan.chains):
                value = lanes.add(value, sums[(k * channels + q) * len(columns) + m])
            lanes.store(value, f.sums, q * plan.pixels * width + m * wide.step * width)
    f.ret()


def source_block(
    plan: Plan, f: Function, source: Value, block: Value, place: tuple[Count, Count, Count], corner: tuple[Count, Count]
) -> tuple[Count, Count]:
    """Write the turning of a block of the source, and give where it begins; ``corner``: the first position that is read."""
    c, number, (image, strip, count) = plan.correlation, item(plan.kind), place
    slices, rows = plan.extent
    starts: list[Count] = []
    for at, n, length in zip(corner, plan.extent, c.length, strict=False):
        starts.append(0 if n == length else f.max(0, f.min(at, length - n)))
    group = f.mul(strip, plan.width)
    whole = rows == c.length[1]
    with f.loop(0, c.into) as r, f.loop(0, 1 if whole else slices) as d:
        channel = f.add(f.mul(f.add(f.mul(image, c.groups), group), c.into), r)
        of = f.add(f.mul(channel, c.length[0]), f.add(starts[0], d))
        of = f.mul(f.add(f.mul(of, c.length[1]), starts[1]), c.length[2])
        goal = f.add(f.mul(r, plan.plane), f.mul(d, rows * c.length[2] * plan.width))
        arguments: list[tuple[str, Count]] = [
            ("ptr", f.element(number, source, of)),
            ("i64", c.into * math.prod(c.length)),
            ("i64", count),
            ("ptr", f.element(number, block, goal)),
            ("i64", plan.width),
            ("i64", rows * c.length[2] * (slices if whole else 1)),
        ]
        f.call(blocks.turn(f, plan.kind, plan.width), arguments=arguments)
    return starts[0], starts[1]


def _write_main(plan: Plan, module: Module, name: str) -> None:
    """Write the walk over images, groups, blocks and rows."""
    c, width = plan.correlation, plan.width
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    number, lanes = item(plan.kind), Lanes(f, plan.kind, width)
    source, result, scratch = (argument(f, i) for i in (FIRST, RESULT, SCRATCH))
    images, chunks = argument(f, IMAGES, "i64"), argument(f, CHUNKS, "i64")
    begin, end = blocks.shared(f, f.mul(images, plan.units(1)), chunks, f.chunk)
    slot = blocks.take_slot(f, scratch)
    packed = f.byte(scratch, SLOTS)
    block = f.byte(packed, f.add(rounded(size(plan.kind) * plan.packed), f.mul(slot, sum(plan.parts))))
    sums = f.byte(block, plan.parts[0])
    after = f.byte(sums, plan.parts[1])
    with f.loop(begin, end) as unit:
        place, down = blocks.divided(f, unit, plan.blocks[1])
        place, deep = blocks.divided(f, place, plan.blocks[0])
        image, strip = blocks.divided(f, place, plan.strips)
        group = f.mul(strip, width)
        count = f.min(width, f.sub(c.groups, group))
        depth, height = f.mul(deep, plan.block[0]), f.mul(down, plan.block[1])
        first = c.live[0]
        corner = [f.add(f.mul(n, first[d].stride), c.low[d]) for d, n in enumerate((depth, height))]
        starts = source_block(plan, f, source, block, (image, strip, count), (corner[0], corner[1]))
        kernels = f.element(number, packed, f.mul(strip, c.group_step * width))
        if len(c.live) < len(c.parts):
            with f.loop(0, c.out * plan.pixels * width, width) as i:
                lanes.store(lanes.const(0), sums, i)
        for n, part in enumerate(c.live):
            _write_rows(plan, f, part, f"{name}_tile{n}", (block, kernels, sums), (depth, height), starts)
        top = [f.mul(n, step) for n, step in zip((depth, height), plan.steps, strict=True)]
        slices, rows = (f.min(m, f.sub(r, t)) for m, r, t in zip(plan.made, c.result, top, strict=False))
        whole = plan.blocks[1] == 1
        with f.loop(0, 1 if whole else slices) as d:
            pixel = f.mul(f.add(f.mul(f.add(top[0], d), c.result[1]), top[1]), c.result[2])
            pixels = f.mul(f.mul(slices if whole else 1, rows), c.result[2])
            for q in range(c.out):
                channel = f.add(f.mul(f.add(f.mul(image, c.groups), group), c.out), q)
                at = f.add(q * plan.pixels, f.mul(d, plan.made[1] * c.result[2]))
                goal = f.element(number, result, f.add(f.mul(channel, c.pixels), pixel))
                arguments: list[tuple[str, Count]] = [
                    ("ptr", f.element(number, sums, f.mul(at, width))),
                    ("i64", width),
                    ("i64", pixels),
                    ("ptr", f.element(number, after, q * plan.apart) if plan.behind else goal),
                    ("i64", c.out * (plan.apart if plan.behind else c.pixels)),
                    ("i64", count),
                ]
                f.call(blocks.turn(f, plan.kind, width), arguments=arguments)
            if plan.behind:
                corner_of = (image, f.mul(group, c.out), pixel)
                blocks.go_on(f, after, plan.apart, corner_of, (f.mul(count, c.out), pixels))
    blocks.give_slot(f, scratch, slot)
    f.ret()


def _write_rows(
    plan: Plan,
    f: Function,
    part: Part,
    name: str,
    bases: tuple[Value, Value, Value],
    place: tuple[Count, Count],
    starts: tuple[Count, Count],
) -> None:
    """Write the loops over a block's rows and tiles of one part."""
    c, number, width, (block, kernels, sums) = plan.correlation, item(plan.kind), plan.width, bases
    deep, tall, wide = part
    tiles = _tiles(plan, part)
    slices, rows = (f.max(0, f.min(n, f.sub(a.count, p))) for n, a, p in zip(plan.block, part, place, strict=False))
    with f.loop(0, slices) as d, f.loop(0, rows) as h:
        met_by: list[Count] = []
        at: list[Count] = []
        for k, (axis, here) in enumerate(((deep, f.add(place[0], d)), (tall, f.add(place[1], h)))):
            start = f.add(f.mul(here, axis.stride), axis.first)
            met_by += inside(f, axis, c.length[k], start, 1)
            at.append(f.sub(start, starts[k]))
        row = f.mul(f.add(f.mul(at[0], plan.extent[1]), at[1]), c.length[2])
        line = f.add(f.mul(d, deep.step), deep.start)
        line = f.add(f.mul(line, plan.made[1]), f.add(f.mul(h, tall.step), tall.start))
        line = f.mul(line, c.result[2])

        def channels_of(q: Count, channels: int) -> None:
            for n, columns in enumerate(tiles):
                x = n * plan.columns
                pixel = f.add(f.add(line, wide.start + x * wide.step), f.mul(q, plan.pixels))
                f.call(
                    f"@rg_{name}_{tiles.index(columns)}_{channels}",
                    arguments=[
                        ("ptr", f.element(number, block, f.mul(f.add(row, x * wide.stride + wide.first), width))),
                        ("ptr", f.element(number, kernels, f.mul(q, c.q_step * width))),
                        ("ptr", f.element(number, sums, f.mul(pixel, width))),
                        *[("i64", n) for n in met_by],
                    ],
                )

        whole = c.out // plan.channels * plan.channels
        with f.loop(0, whole, plan.channels) as q:
            channels_of(q, plan.channels)
        if whole < c.out:
            channels_of(whole, c.out % plan.channels)


__all__ = ["Plan", "cost", "make_plan", "write"]
