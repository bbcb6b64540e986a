"""What weight gradients with result channels along vectors share: parts of the images, the turned gradient, and the sums added up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..codegen.emit import Count, Function, Module, Value
from ..codegen.lanes import Lanes
from . import conv_blocks as blocks
from .conv_blocks import FIRST, IMAGES, RESULT, SCRATCH, SECOND, SLOTS, argument, item, rounded, size

if TYPE_CHECKING:
    from .conv_weights import Plan

OWN_BYTES = 1 << 20  # of all sums, up to which each share of the images has its own
MOST_BYTES = 16 << 20  # of the sums of all shares, where they are larger
SHARES = 8  # of the work
TURN = 10.0  # multiply-adds that turning a vector of the gradient takes as long as
MOVED = (
    (512 << 10, 3.0),
    (8 << 20, 8.0),
)  # that reading and writing a vector of sums does, in the second cache and in the third
FAR = 24.0  # and in memory


def splits(bytes: int, panels: int) -> int:
    """Give into how many parts result channels are cut, where all sums are so many bytes."""
    if bytes <= OWN_BYTES:
        return 1
    return min(panels, SHARES // 2 if 2 * bytes <= MOST_BYTES else SHARES)


def moved(bytes: int) -> float:
    """Estimate, in multiply-adds, what reading and writing a vector of sums takes, where all of them are so many bytes."""
    return next((cost for most, cost in MOVED if bytes <= most), FAR)


def write_clear(module: Module, name: str) -> None:
    """Write what is done before everything else."""
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    blocks.clear_slots(f, argument(f, SCRATCH))
    f.ret()


@dataclass(frozen=True)
class Share:
    """Where a chunk of the work finds what it needs.

    Attributes
    ----------
    gradient, source, scratch : str
        The operands, and the scratch memory.
    begin, end : int or str
        Its blocks of images.
    first, last : int or str
        Its panels of result channels.
    slot, own : str
        The slot that it has taken, and that one's memory.
    sums : str
        The sums that it adds to.
    """

    gradient: Value
    source: Value
    scratch: Value
    begin: Count
    end: Count
    first: Count
    last: Count
    slot: Value
    own: Value
    sums: Value


def begin(plan: Plan, f: Function) -> Share:
    """Write what a chunk begins with: it takes a slot and clears its sums."""
    c, bytes, number = plan.correlation, size(plan.kind), item(plan.kind)
    lanes = Lanes(f, plan.kind, plan.width)
    gradient, source, scratch = (argument(f, i) for i in (FIRST, SECOND, SCRATCH))
    share, split = blocks.divided(f, f.chunk, plan.splits)
    several, _ = blocks.divided(f, f.add(argument(f, IMAGES, "i64"), plan.images - 1), plan.images)
    start, end = blocks.shared(f, f.mul(several, math.prod(plan.blocks)), plan.parts, share)
    first, last = (0, plan.panels) if plan.splits == 1 else blocks.shared(f, plan.panels, plan.splits, split)
    slot = blocks.take_slot(f, scratch)
    base = f.byte(scratch, SLOTS)
    sums = f.byte(base, f.mul(share, rounded(bytes * plan.sums)))
    own = f.byte(base, f.add(plan.parts * rounded(bytes * plan.sums), f.mul(slot, plan.slot)))
    panel = c.into * c.taps * plan.across
    with f.loop(0, c.groups) as group:
        from_, to = (f.mul(f.add(f.mul(group, plan.panels), p), panel) for p in (first, last))
        with f.loop(from_, to, plan.width) as i:
            lanes.store(lanes.const(0), f.element(number, sums, i))
    return Share(gradient, source, scratch, start, end, first, last, slot, own, sums)


def place(plan: Plan, f: Function, unit: Value) -> tuple[Count, Count, tuple[Count, Count], tuple[Count, Count]]:
    """Give a block's first image, how many it has, where it begins, and how many slices and rows it has."""
    result = plan.correlation.result
    several, down = blocks.divided(f, unit, plan.blocks[1])
    several, deep = blocks.divided(f, several, plan.blocks[0])
    image = f.mul(several, plan.images)
    here = 1 if plan.images == 1 else f.min(plan.images, f.sub(argument(f, IMAGES, "i64"), image))
    depth, height = f.mul(deep, plan.block[0]), f.mul(down, plan.block[1])
    slices = 1 if plan.block[0] == 1 else f.min(plan.block[0], f.sub(result[0], depth))
    return image, here, (depth, height), (slices, f.min(plan.block[1], f.sub(result[1], height)))


def write_turn(
    plan: Plan,
    f: Function,
    bases: tuple[Value, Value],
    which: tuple[Count, Count, Count, Count],
    counts: tuple[Count, Count, Count],
    corner: tuple[Count, Count],
) -> None:
    """Write the loops that lay out a block's gradient pixel by pixel."""
    c, number = plan.correlation, item(plan.kind)
    (gradient, turned), (image, group, first, last), (here, slices, rows), (depth, height) = (
        bases,
        which,
        counts,
        corner,
    )
    whole = plan.blocks[1] == 1  # slices of depth lie one behind the other
    start = f.mul(f.add(f.mul(depth, c.result[1]), height), c.result[2])
    with f.loop(first, last) as panel, f.loop(0, here) as k, f.loop(0, 1 if whole else slices) as d:
        channel = f.add(f.mul(group, c.out), f.mul(panel, plan.across))
        planes = f.mul(f.add(f.mul(f.add(image, k), c.groups * c.out), channel), c.pixels)
        at = f.add(f.add(planes, start), f.mul(d, c.result[1] * c.result[2]))
        place = f.add(f.mul(f.sub(panel, first), plan.images), k)
        goal = f.add(f.mul(place, plan.pixels), f.mul(d, plan.block[1] * c.result[2]))
        f.call(
            blocks.turn(f, plan.kind, plan.width),
            arguments=[
                ("ptr", f.element(number, gradient, at)),
                ("i64", c.pixels),
                ("i64", f.min(plan.across, f.sub(c.out, f.mul(panel, plan.across)))),
                ("ptr", f.element(number, turned, f.mul(goal, plan.across))),
                ("i64", plan.across),
                ("i64", f.mul(f.mul(slices if whole else 1, rows), c.result[2])),
            ],
        )


def write_sum(plan: Plan, module: Module, name: str) -> None:
    """Write what adds up the parts' sums and lays them out as the kernel."""
    c, number = plan.correlation, item(plan.kind)
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    result, scratch = argument(f, RESULT), argument(f, SCRATCH)
    total, chunks, rows = c.groups * plan.panels, sum_chunks(plan), c.into * c.taps
    begin, end = blocks.shared(f, total, chunks, f.chunk)
    base = f.byte(scratch, SLOTS)
    with f.loop(begin, end) as i:
        group, panel = blocks.divided(f, i, plan.panels)
        channel = f.add(f.mul(group, c.out), f.mul(panel, plan.across))
        sums = f.element(number, base, f.mul(i, rows * plan.across))
        if plan.parts > 1:
            lanes = Lanes(f, plan.kind, plan.width)
            with f.loop(0, rows * plan.across, plan.width) as k:
                value = lanes.load(sums, k)
                for n in range(1, plan.parts):
                    value = lanes.add(value, lanes.load(f.byte(sums, n * rounded(size(plan.kind) * plan.sums)), k))
                lanes.store(value, sums, k)
        f.call(
            blocks.turn(f, plan.kind, plan.width),
            arguments=[
                ("ptr", sums),
                ("i64", plan.across),
                ("i64", rows),
                ("ptr", f.element(number, result, f.mul(channel, rows))),
                ("i64", rows),
                ("i64", f.min(plan.across, f.sub(c.out, f.mul(panel, plan.across)))),
            ],
        )
    f.ret()


def sum_chunks(plan: Plan) -> int:
    """Give into how many chunks adding up is cut."""
    return max(1, min(8, plan.correlation.groups * plan.panels))
