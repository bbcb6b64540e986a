"""Weight gradients of convolutions tap by tap: sums for one tap of some source channels in registers, of results that it meets.

Where taps lie far apart most of them meet zeros for many results. Here no zero is copied or multiplied: for each tap only those
rows and columns are gone through for which it lies in the source. The gradient is laid out as in :mod:`.conv_weights`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..codegen.emit import Count, Function, Module, Value
from ..codegen.lanes import Lanes
from . import conv_blocks as blocks
from . import conv_shares as shares
from . import conv_weights
from .conv_blocks import LINE, item, rounded, size, up
from .conv_geometry import Axis, Correlation

PANEL_BYTES = 96 << 10  # of one panel of a block's gradient
GRADIENT_BYTES = 512 << 10  # of all panels
SOURCE_BYTES = 192 << 10  # of the source's rows that one row of taps meets
ROW = 10.0  # multiply-adds that going to the next row takes as long as
GAIN = 1.07  # by which the estimate must be better, for what it does not know


@dataclass(frozen=True)
class Plan(conv_weights.Plan):
    """How a weight gradient is cut up, for any number of images.

    Attributes
    ----------
    chunk : int
        Source channels of which rows are copied at a time.
    """

    chunk: int = 1

    @property
    def held(self) -> int:
        """Most source channels in registers."""
        return self.pieces[0][0]

    @property
    def run(self) -> int:
        """Rows of the source between the first and the last that a tap meets, both included."""
        return (self.block[1] - 1) * self.correlation.parts[0][1].stride + 1

    @property
    def plane(self) -> int:
        """Numbers from one channel's copy to the next: an odd number of cache lines, so that channels spread over the cache."""
        line = LINE // size(self.kind)
        return (up(self.run * self.correlation.length[2], line) | 1) * line

    @property
    def copied(self) -> int:
        """Bytes of the source's copy, with room for a vector that reads over the end."""
        return rounded(size(self.kind) * self.images * self.chunk * self.plane + 4 * LINE)

    @property
    def slot(self) -> int:
        """Bytes of scratch memory that one thread needs."""
        gradient = size(self.kind) * self.images * self.pixels * self.across * up(self.panels, self.splits)
        return self.copied + rounded(gradient)


def make_plan(c: Correlation, kind: str, width: int, registers: int, images: int) -> Plan:
    """Cut a weight gradient up; ``registers`` are those that sums may use."""
    vectors = blocks.vectors_across(c.out, width, (2, 3, 4, 1) if registers >= 24 else (2, 1))
    held = up(c.into, up(c.into, max(1, registers // vectors)))
    pieces = (held,) * (c.into // held) + (c.into % held,) * (c.into % held > 0)
    bytes, across = size(kind), vectors * width
    panels, row = up(c.out, across), across * c.result[2] * bytes
    height = max(1, min(c.result[1], PANEL_BYTES // row, GRADIENT_BYTES // (row * min(panels, shares.SHARES // 2))))
    height = up(c.result[1], up(c.result[1], height))
    several = 1
    if height == c.result[1]:
        several = max(1, min(PANEL_BYTES // (height * row), up(images, shares.SHARES)))
    sums = c.groups * panels * c.into * c.taps * across * bytes
    splits = shares.splits(sums, panels)
    parts = max(1, min(shares.SHARES // splits, up(images, several) * c.result[0] * up(c.result[1], height)))
    plan = Plan(c, kind, width, vectors, 1, (pieces, ()), several, (1, height), parts, splits)
    chunk = max(1, SOURCE_BYTES // (several * plan.plane * bytes) // held) * held
    return replace(plan, chunk=min(chunk, c.into))


def meeting(axis: Axis, length: int) -> int:
    """Count, for all taps together, the results for which they lie in the source."""
    total = 0
    for t in range(axis.taps):
        start = axis.first + t * axis.spread
        total += max(0, min(axis.count, (length - 1 - start) // axis.stride + 1) - max(0, -(start // axis.stride)))
    return total


def cost(c: Correlation, kind: str, width: int, registers: int) -> float:
    """Estimate, in multiply-adds of vectors, what an image takes; without an end where taps do not overlap."""
    if c.taps == 1:
        return math.inf
    plan = make_plan(c, kind, width, registers, shares.SHARES)
    (part,) = c.parts
    deep, tall, wide = (meeting(a, n) for a, n in zip(part, c.length, strict=True))
    held = c.into / len(plan.pieces[0])
    each = c.into * max(1.0, (1 / held + 1 / plan.vectors), 8 / (held * plan.vectors))
    rows = deep * tall * part[2].taps * len(plan.pieces[0]) * ROW / plan.vectors
    sums = c.groups * plan.panels * plan.vectors * c.into * c.taps
    again = shares.moved(sums * width * size(kind) // plan.splits) * math.prod(plan.blocks) / plan.images
    turned = c.pixels * shares.TURN
    copied = c.into * deep * tall * c.length[2] / width / plan.panels
    each_panel = deep * tall * wide * each + rows + turned + copied
    return GAIN * (c.groups * plan.panels * plan.vectors * each_panel + sums * again)


def write(plan: Plan, module: Module, name: str) -> list[tuple[str, int | None]]:
    """Write the functions ``void(ptr arguments, i64 chunk)`` that run one after another, and give their names and chunks."""
    for held in set(plan.pieces[0]):
        _write_tile(plan, held, module, f"{name}_tile_{held}")
    _write_copy(plan, module, f"{name}_copy")
    shares.write_clear(module, f"{name}_clear")
    _write_main(plan, module, name)
    shares.write_sum(plan, module, f"{name}_sum")
    return [(f"{name}_clear", 1), (name, plan.chunks), (f"{name}_sum", shares.sum_chunks(plan))]


def _write_copy(plan: Plan, module: Module, name: str) -> None:
    """Write ``void(ptr source, ptr goal, i64 channels, i64 count)``: copy so many numbers of each channel."""
    params = [("ptr noalias", "source"), ("ptr noalias", "goal"), ("i64", "channels"), ("i64", "count")]
    f = module.function(name, params)
    lanes = Lanes(f, plan.kind, plan.width)
    whole = f.round_down(f.count, plan.width)
    rest = lanes.tail(str(f.sub(f.count, whole)))
    with f.loop(0, f.channels) as c:
        source = f.element(lanes.item, f.source, f.mul(c, math.prod(plan.correlation.length)))
        goal = f.element(lanes.item, f.goal, f.mul(c, plan.plane))
        with f.loop(0, whole, plan.width) as i:
            lanes.store(lanes.load(source, i), goal, i)
        with f.loop(whole, f.count, plan.width) as i:
            lanes.store(lanes.load(source, i, 1, rest), goal, i, 1, rest)
    f.ret()


def _write_tile(plan: Plan, held: int, module: Module, name: str) -> None:
    """Write ``void(ptr source, ptr gradient, ptr sums, i64 images, i64 rows, i64 columns)``: add one tap's products for some channels."""
    numbers = [("i64", n) for n in ("images", "rows", "columns")]
    f = module.function(name, [*[("ptr noalias", n) for n in ("source", "gradient", "sums")], *numbers])
    c, across = plan.correlation, plan.across
    lanes, one = Lanes(f, plan.kind, plan.width, contract=True), Lanes(f, plan.kind, 1)
    (part,) = c.parts
    goals = [row * c.taps * across + v * plan.width for row in range(held) for v in range(plan.vectors)]
    levels: list[tuple[Count, int, int]] = [
        (f.images if plan.images > 1 else 1, plan.chunk * plan.plane, plan.pixels * across),
        (f.rows, part[1].stride * c.length[2], c.result[2] * across),
        (f.columns, part[2].stride, across),
    ]

    def turn(level: int, source: Value, gradient: Value, sums: list[Value]) -> list[Value]:
        if level == len(levels):
            right = [lanes.load(gradient, v * plan.width) for v in range(plan.vectors)]
            out = []
            for n in range(held):
                factor = lanes.splat(one.load(source, n * plan.plane))
                out += [lanes.fma(factor, b, sums[n * plan.vectors + v]) for v, b in enumerate(right)]
            return out
        count, move, along = levels[level]
        if count == 1:
            return turn(level + 1, source, gradient, sums)
        with f.loop_carry(0, count, 1, [(lanes.type, s) for s in sums]) as loop:
            here = f.element(lanes.item, source, f.mul(loop.i, move))
            loop.set(*turn(level + 1, here, f.element(lanes.item, gradient, f.mul(loop.i, along)), loop.values))
        return loop.results

    for at, value in zip(goals, turn(0, f.source, f.gradient, [lanes.load(f.sums, at) for at in goals]), strict=True):
        lanes.store(value, f.sums, at)
    f.ret()


def _met(f: Function, axis: Axis, length: int, start: Count, count: Count) -> tuple[Count, Count]:
    """Give the results, the first and the one behind the last, whose tap lies in the source; that of number 0 lies at ``start``."""
    below = f.max(0, f.sub(axis.stride - 1, start))
    above = f.max(0, f.sub(length - 1 + axis.stride, start))
    return blocks.divided(f, below, axis.stride)[0], f.min(count, blocks.divided(f, above, axis.stride)[0])


def _write_main(plan: Plan, module: Module, name: str) -> None:
    """Write the walk over a share's images, blocks, source channels, taps and result channels."""
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    number, (c, length) = item(plan.kind), (plan.correlation, plan.correlation.length)
    deep, tall, _ = c.parts[0]
    at = shares.begin(plan, f)
    planes, turned = at.own, f.byte(at.own, plan.copied)
    with f.loop(at.begin, at.end) as unit:
        image, here, (depth, height), (slices, rows) = shares.place(plan, f, unit)
        with f.loop(0, c.groups) as group:
            which = (image, group, at.first, at.last)
            shares.write_turn(plan, f, (at.gradient, turned), which, (here, slices, rows), (depth, height))
            with (
                f.loop(0, c.into, plan.chunk) as channel,
                f.loop(0, deep.taps) as kd,
                f.loop(0, tall.taps) as kh,
            ):
                slice = f.add(f.mul(depth, deep.stride), f.add(f.mul(kd, deep.spread), deep.first))
                start = f.add(f.mul(height, tall.stride), f.add(f.mul(kh, tall.spread), tall.first))
                low, high = _met(f, tall, length[1], start, rows)
                inside = f.op(f"icmp ult i64 {slice}, {length[0]}")
                with f.if_(f.op(f"and i1 {inside}, {f.op(f'icmp slt i64 {low}, {high}')}")):
                    channels = f.min(plan.chunk, f.sub(c.into, channel))
                    row = f.add(start, f.mul(low, tall.stride))
                    count = f.add(f.mul(f.sub(f.sub(high, low), 1), tall.stride), 1)
                    with f.loop(0, here) as k:
                        of = f.mul(f.add(image, k), c.groups)
                        of = f.add(f.mul(f.add(of, group), c.into), channel)
                        of = f.add(f.mul(f.add(f.mul(of, length[0]), slice), length[1]), row)
                        arguments = [
                            ("ptr", f.element(number, at.source, f.mul(of, length[2]))),
                            ("ptr", f.element(number, planes, f.mul(k, plan.chunk * plan.plane))),
                            ("i64", channels),
                            ("i64", f.mul(count, length[2])),
                        ]
                        f.call(f"@rg_{name}_copy", arguments=arguments)
                    tap = f.mul(f.add(f.mul(kd, tall.taps), kh), c.kernel[2])
                    bounds = (channel, channels, tap, low, f.sub(high, low), here)
                    _write_tiles(plan, f, name, at, (planes, turned), group, bounds)
    blocks.give_slot(f, at.scratch, at.slot)
    f.ret()


def _write_tiles(
    plan: Plan,
    f: Function,
    name: str,
    at: shares.Share,
    bases: tuple[Value, Value],
    group: Count,
    bounds: tuple[Count, Count, Count, Count, Count, Count],
) -> None:
    """Write the loops over result channels, taps of a row and pieces of the source's channels."""
    c, number, (planes, turned) = plan.correlation, item(plan.kind), bases
    channel, channels, tap, low, rows, here = bounds
    wide, held, pieces = c.parts[0][2], plan.held, plan.pieces[0]
    with f.loop(at.first, at.last) as panel, f.loop(0, wide.taps) as kw:
        column = f.add(f.mul(kw, wide.spread), wide.first)
        left, right = _met(f, wide, c.length[2], column, c.result[2])
        of = f.mul(f.sub(panel, at.first), plan.images * plan.pixels)
        gradient = f.element(number, turned, f.mul(f.add(of, f.add(f.mul(low, c.result[2]), left)), plan.across))
        source = f.element(number, planes, f.add(column, f.mul(left, wide.stride)))
        kernels = f.mul(f.add(f.mul(group, plan.panels), panel), c.into * c.taps)
        goal = f.element(number, at.sums, f.mul(f.add(kernels, f.add(tap, kw)), plan.across))

        def tile(piece: Count, count: int) -> None:
            to = f.mul(f.add(channel, piece), c.taps * plan.across)
            f.call(
                f"@rg_{name}_tile_{count}",
                arguments=[
                    ("ptr", f.element(number, source, f.mul(piece, plan.plane))),
                    ("ptr", gradient),
                    ("ptr", f.element(number, goal, to)),
                    ("i64", here),
                    ("i64", rows),
                    ("i64", f.sub(right, left)),
                ],
            )

        with f.if_(f.op(f"icmp slt i64 {left}, {right}")):
            whole = f.mul(blocks.divided(f, channels, held)[0], held)
            with f.loop(0, whole, held) as piece:
                tile(piece, held)
            if pieces[-1] < held:
                with f.if_(f.op(f"icmp slt i64 {whole}, {channels}")):
                    tile(whole, pieces[-1])


__all__ = ["Plan", "cost", "make_plan", "write"]
