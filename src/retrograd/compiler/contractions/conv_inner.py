"""Weight gradients of convolutions with pixels along vectors, for few result channels to a group: lanes are added up at the end.

The source is read from a block with its zeros, the result's gradient where it lies; nothing is turned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..codegen.emit import Count, Function, Module, Value
from ..codegen.lanes import Lanes
from . import conv_blocks as blocks
from .conv_blocks import FIRST, IMAGES, LINE, RESULT, SCRATCH, SECOND, SLOTS, Window, argument, item, rounded, size, up
from .conv_geometry import Correlation
from .conv_shares import SHARES, moved
from .conv_weights import channels_together, cut

SOURCE_BYTES = 192 << 10  # of a block of the source
MOST = 24  # sums in registers


@dataclass(frozen=True)
class Plan:
    """How a weight gradient is cut up, for any number of images.

    Attributes
    ----------
    channels : int
        Result channels in registers.
    together : int
        Source channels of a cut.
    pieces : tuple of tuple of int
        Cuts of that many channels' taps, and of what is left of the channels.
    block : int
        Rows of results in a block, which has one depth.
    parts, splits : int
        Parts of the images' blocks, with sums of their own, and of the groups.
    """

    correlation: Correlation
    kind: str
    width: int
    channels: int
    together: int
    pieces: tuple[tuple[int, ...], tuple[int, ...]]
    block: int
    parts: int
    splits: int

    @property
    def window(self) -> Window:
        """The block of the source that a block of the gradient meets."""
        return _window(self.correlation, self.kind, self.block)

    @property
    def blocks(self) -> int:
        """Blocks of one depth."""
        return up(self.correlation.result[1], self.block)

    @property
    def rows(self) -> int:
        """Numbers of a result channel's kernel."""
        return self.correlation.into * self.correlation.taps

    @property
    def slot(self) -> int:
        """Bytes of scratch memory that one thread needs."""
        sums = size(self.kind) * self.correlation.out * self.rows * self.width
        return rounded(self.window.bytes) + rounded(sums)

    @property
    def chunks(self) -> int:
        """Pieces of work."""
        return self.parts * self.splits

    @property
    def total(self) -> int:
        """Numbers of the result."""
        return self.correlation.groups * self.correlation.out * self.rows

    def scratch(self, slots: int) -> int:
        """Bytes of scratch memory for that many threads at a time."""
        return SLOTS + rounded(size(self.kind) * self.total) * (self.parts > 1) * self.parts + slots * self.slot + LINE


def _window(c: Correlation, kind: str, block: int) -> Window:
    (part,) = c.parts
    d, h, w = (
        (n - 1) * a.stride + (a.taps - 1) * a.spread + 1 for n, a in zip((1, block, part[2].count), part, strict=True)
    )
    return Window(kind, c.into, c.length, (d, h, w), part[2].first, part[2].stride)


def make_plan(c: Correlation, kind: str, width: int, registers: int, images: int) -> Plan:
    """Cut a weight gradient up; ``registers`` are those that sums may use."""
    most = min(registers, MOST)
    channels = min(c.out, 4)
    rows = most // channels
    together = channels_together(c, rows)
    pieces = (cut(together * c.taps, rows), cut(c.into % together * c.taps, rows))
    block = c.result[1]
    while block > 1 and _window(c, kind, block).bytes > SOURCE_BYTES:
        block = up(block, 2)
    splits = min(c.groups, SHARES)
    units = images * c.result[0] * up(c.result[1], block)
    parts = max(1, min(up(SHARES, splits), units))
    return Plan(c, kind, width, channels, together, pieces, block, parts, splits)


def cost(c: Correlation, kind: str, width: int, registers: int) -> float:
    """Estimate, in multiply-adds of vectors, what an image takes."""
    plan = make_plan(c, kind, width, registers, SHARES)
    held = plan.pieces[0][0]
    loads = (plan.channels + held) / (plan.channels * held)
    vectors = c.result[0] * c.result[1] * up(c.result[2], width)
    sums = c.out * plan.rows
    again = moved(sums * width * size(kind)) * (c.result[0] * plan.blocks)
    return c.groups * sums * (vectors * max(1.0, loads) + again)


def write(plan: Plan, module: Module, name: str) -> list[tuple[str, int | None]]:
    """Write the functions ``void(ptr arguments, i64 chunk)`` that run one after another, and give their names and chunks."""
    c = plan.correlation
    blocks.write_window(plan.window, module, f"{name}_window", plan.width)
    for n, pieces in enumerate(plan.pieces):
        start = 0
        for k, rows in enumerate(pieces):
            places = [divmod(row, c.taps) for row in range(start, start + rows)]
            for channels in {plan.channels, c.out % plan.channels} - {0}:
                _write_tile(plan, places, channels, module, f"{name}_tile{n}_{k}_{channels}")
            start += rows
    f = module.function(f"{name}_clear", [("ptr noalias", "arguments"), ("i64", "chunk")])
    blocks.clear_slots(f, argument(f, SCRATCH))
    f.ret()
    _write_main(plan, module, name)
    phases: list[tuple[str, int | None]] = [(f"{name}_clear", 1), (name, plan.chunks)]
    if plan.parts > 1:
        _write_sum(plan, module, f"{name}_sum")
        phases.append((f"{name}_sum", 1))
    return phases


def _write_tile(plan: Plan, places: list[tuple[int, int]], channels: int, module: Module, name: str) -> None:
    """Write ``void(ptr source, ptr gradient, ptr sums, i64 rows)``: add a block's products to some sums, lane by lane."""
    f = module.function(
        name, [("ptr noalias", "source"), ("ptr noalias", "gradient"), ("ptr noalias", "sums"), ("i64", "rows")]
    )
    c, window, width = plan.correlation, plan.window, plan.width
    lanes = Lanes(f, plan.kind, width, contract=True)
    number = lanes.item
    (part,) = c.parts
    reads = []
    for channel, tap in places:
        t = (tap // (c.kernel[1] * c.kernel[2]), tap // c.kernel[2] % c.kernel[1], tap % c.kernel[2])
        reads.append(channel * window.plane + window.at(*[n * a.spread for n, a in zip(t, part, strict=True)]))
    goals = [(q * plan.rows + k) * width for q in range(channels) for k in range(len(places))]
    sums = [lanes.load(f.sums, at) for at in goals]

    def add(source: Value, gradient: Value, column: Count, mask: Value | None, sums: list[Value]) -> list[Value]:
        blocks.fence(f)
        left = [lanes.load(f.element(number, gradient, q * c.pixels), column, 1, mask) for q in range(channels)]
        out = []
        right = [lanes.load(f.element(number, source, at), column, 1, mask) for at in reads]
        for q in range(channels):
            out += [lanes.fma(left[q], x, sums[q * len(reads) + k]) for k, x in enumerate(right)]
        return out

    whole = c.result[2] // width * width
    carried = [(lanes.type, s) for s in sums]
    with f.loop_carry(0, f.rows, 1, carried) as rows:
        source = f.element(number, f.source, f.mul(rows.i, part[1].stride * window.pitch))
        gradient = f.element(number, f.gradient, f.mul(rows.i, c.result[2]))
        values = rows.values
        if whole:
            with f.loop_carry(0, whole, width, [(lanes.type, s) for s in values]) as columns:
                columns.set(*add(source, gradient, columns.i, None, columns.values))
            values = columns.results
        if whole < c.result[2]:
            values = add(source, gradient, whole, blocks.first(lanes, c.result[2] - whole), values)
        rows.set(*values)
    for at, value in zip(goals, rows.results, strict=True):
        lanes.store(value, f.sums, at)
    f.ret()


def _write_main(plan: Plan, module: Module, name: str) -> None:
    """Write the walk over a share's groups, images, blocks and channels."""
    c, window, width = plan.correlation, plan.window, plan.width
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    lanes = Lanes(f, plan.kind, width)
    number, bytes = item(plan.kind), size(plan.kind)
    gradient, source, result, scratch = (argument(f, i) for i in (FIRST, SECOND, RESULT, SCRATCH))
    units = f.mul(argument(f, IMAGES, "i64"), c.result[0] * plan.blocks)
    share, split = blocks.divided(f, f.chunk, plan.splits)
    begin, end = blocks.shared(f, units, plan.parts, share)
    first, last = (0, c.groups) if plan.splits == 1 else blocks.shared(f, c.groups, plan.splits, split)
    slot = blocks.take_slot(f, scratch)
    base = f.byte(scratch, SLOTS)
    apart = rounded(bytes * plan.total) if plan.parts > 1 else 0
    goal = f.byte(base, f.mul(share, apart)) if plan.parts > 1 else result
    planes = f.byte(base, f.add(plan.parts * apart, f.mul(slot, plan.slot)))
    sums = f.byte(planes, rounded(window.bytes))
    (part,) = c.parts
    each = c.out * plan.rows
    with f.loop(first, last) as group:
        with f.loop(0, each * width, width) as i:
            lanes.store(lanes.const(0), sums, i)
        with f.loop(begin, end) as unit:
            place, down = blocks.divided(f, unit, plan.blocks)
            image, depth = blocks.divided(f, place, c.result[0])
            height = f.mul(down, plan.block)
            rows = f.min(plan.block, f.sub(c.result[1], height))
            of = f.add(f.mul(image, c.groups), group)
            f.call(
                f"@rg_{name}_window",
                arguments=[
                    ("ptr", f.element(number, source, f.mul(of, c.into * math.prod(c.length)))),
                    ("ptr", planes),
                    ("i64", f.add(f.mul(depth, part[0].stride), part[0].first)),
                    ("i64", f.add(f.mul(height, part[1].stride), part[1].first)),
                ],
            )
            corner = f.mul(f.add(f.mul(depth, c.result[1]), height), c.result[2])
            left = f.element(number, gradient, f.add(f.mul(of, c.out * c.pixels), corner))
            _write_tiles(plan, f, name, (planes, left, sums), rows)
        start = f.element(number, goal, f.mul(group, each))
        one = Lanes(f, plan.kind, 1)
        with f.loop(0, each) as i:
            one.store(lanes.sum(lanes.load(sums, f.mul(i, width))), start, i)
    blocks.give_slot(f, scratch, slot)
    f.ret()


def _write_tiles(plan: Plan, f: Function, name: str, bases: tuple[Value, Value, Value], rows: Count) -> None:
    """Write the loops over a block's channels."""
    c, number, (planes, gradient, sums) = plan.correlation, item(plan.kind), bases

    def tiles(q: Count, channels: int, r: Count, pieces: tuple[int, ...], n: int) -> None:
        done = 0
        for k, count in enumerate(pieces):
            row = f.add(f.mul(q, plan.rows), f.add(f.mul(r, c.taps), done))
            f.call(
                f"@rg_{name}_tile{n}_{k}_{channels}",
                arguments=[
                    ("ptr", f.element(number, planes, f.mul(r, plan.window.plane))),
                    ("ptr", f.element(number, gradient, f.mul(q, c.pixels))),
                    ("ptr", f.element(number, sums, f.mul(row, plan.width))),
                    ("i64", rows),
                ],
            )
            done += count

    def channels_of(q: Count, channels: int) -> None:
        whole = c.into // plan.together * plan.together
        with f.loop(0, whole, plan.together) as r:
            tiles(q, channels, r, plan.pieces[0], 0)
        if whole < c.into:
            tiles(q, channels, whole, plan.pieces[1], 1)

    whole = c.out // plan.channels * plan.channels
    with f.loop(0, whole, plan.channels) as q:
        channels_of(q, plan.channels)
    if whole < c.out:
        channels_of(whole, c.out % plan.channels)


def _write_sum(plan: Plan, module: Module, name: str) -> None:
    """Write what adds up the parts, in their order."""
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    number, apart = item(plan.kind), rounded(size(plan.kind) * plan.total)
    result, base = argument(f, RESULT), f.byte(argument(f, SCRATCH), SLOTS)
    whole = plan.total // plan.width * plan.width
    for width, start, stop in ((plan.width, 0, whole), (1, whole, plan.total)):
        if start == stop:
            continue
        lanes = Lanes(f, plan.kind, width)
        with f.loop(start, stop, width) as i:
            total = lanes.load(base, i)
            for n in range(1, plan.parts):
                total = lanes.add(total, lanes.load(f.byte(base, n * apart), i))
            lanes.store(total, f.element(number, result, i), 0)
    f.ret()
