"""Weight gradients of convolutions: sums over pixels in registers, for some taps of the source and vectors of result channels.

The gradient of a block is laid out pixel by pixel, channels side by side; the source is broadcast from a block with its zeros.
Sums over all images of a share stay in memory that the share owns; shares are added up in their order at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..codegen.emit import Count, Module, Value
from ..codegen.lanes import Lanes
from . import conv_blocks as blocks
from . import conv_shares as shares
from .conv_blocks import LINE, SLOTS, Along, Window, item, rounded, size, up
from .conv_geometry import Correlation

GRADIENT_BYTES = 36 << 10  # of one panel of a block's gradient: it stays in the first cache
SOURCE_BYTES = 384 << 10  # of a block of the source


@dataclass(frozen=True)
class Plan(Along):
    """How a weight gradient is cut up, for any number of images.

    Attributes
    ----------
    pieces : tuple of tuple of int
        Cuts of the rows of sums (a channel's taps, then the next channel's) that are in registers at a time: for as many
        channels as divide the rows well, and for what is left of the channels.
    together : int
        Channels of the first cut.
    images : int
        Images in a block.
    block : tuple of int
        Results along depth and height in a block.
    parts, splits : int
        Parts of the images, with sums of their own, and of the result channels.
    """

    together: int
    pieces: tuple[tuple[int, ...], tuple[int, ...]]
    images: int
    block: tuple[int, int]
    parts: int
    splits: int

    @property
    def blocks(self) -> tuple[int, int]:
        """How many blocks an image has."""
        result = self.correlation.result
        return up(result[0], self.block[0]), up(result[1], self.block[1])

    @property
    def window(self) -> Window:
        """The block of the source that a block of the gradient meets."""
        c = self.correlation
        return _window(c, self.kind, self.block)

    @property
    def pixels(self) -> int:
        """Results of a block, for one channel of one image."""
        return self.block[0] * self.block[1] * self.correlation.result[2]

    @property
    def sums(self) -> int:
        """Numbers of one part's sums."""
        c = self.correlation
        return c.groups * self.panels * c.into * c.taps * self.across

    @property
    def slot(self) -> int:
        """Bytes of scratch memory that one thread needs."""
        gradient = size(self.kind) * self.images * self.pixels * self.across * up(self.panels, self.splits)
        return self.images * rounded(self.window.bytes) + rounded(gradient)

    @property
    def chunks(self) -> int:
        """Pieces of work."""
        return self.parts * self.splits

    def scratch(self, slots: int) -> int:
        """Bytes of scratch memory for that many threads at a time."""
        return SLOTS + self.parts * rounded(size(self.kind) * self.sums) + slots * self.slot + LINE


def _window(c: Correlation, kind: str, block: tuple[int, int]) -> Window:
    (part,) = c.parts
    counts = (*block, part[2].count)
    dims = zip(counts, part, c.skips, strict=True)
    d, h, w = (((n - 1) * a.stride + (a.taps - 1) * a.spread) // skip + 1 for n, a, skip in dims)
    return Window(kind, c.groups * c.into, c.length, (d, h, w), part[2].first, skips=c.skips)


def make_plan(c: Correlation, kind: str, width: int, registers: int, images: int) -> Plan:
    """Cut a weight gradient up; ``registers`` are those that sums may use."""
    vectors = blocks.vectors_across(c.out, width, (3, 2, 4, 1) if registers >= 24 else (2, 1))
    rows = max(1, registers // vectors)
    together = channels_together(c, rows)
    pieces = (cut(together * c.taps, rows), cut(c.into % together * c.taps, rows))
    across = vectors * width
    result, bytes = c.result, size(kind)
    depth, height = result[0], result[1]

    def fits(d: int, h: int) -> bool:
        return d * h * result[2] * across * bytes <= GRADIENT_BYTES and _window(c, kind, (d, h)).bytes <= SOURCE_BYTES

    while depth > 1 and not fits(depth, height):
        depth -= 1
    while height > 1 and not fits(depth, height):
        height -= 1
    height = up(result[1], up(result[1], height))
    depth = up(result[0], up(result[0], depth))
    several = 1
    if (depth, height) == result[:2]:
        room = min(
            GRADIENT_BYTES // (c.pixels * across * bytes), SOURCE_BYTES // _window(c, kind, (depth, height)).bytes
        )
        several = max(1, min(room, up(images, shares.SHARES)))
    panels = up(c.out, across)
    sums = c.groups * panels * c.into * c.taps * across * bytes
    splits = shares.splits(sums, panels)
    units = up(images, several) * up(result[0], depth) * up(result[1], height)
    parts = max(1, min(shares.SHARES // splits, units))
    return Plan(c, kind, width, vectors, together, pieces, several, (depth, height), parts, splits)


def channels_together(c: Correlation, rows: int) -> int:
    """Give how many source channels' taps are cut up together: few where one has many taps."""
    if c.taps * 4 >= rows * 3:
        return 1
    return min(c.into, rows // c.taps)


def cut(rows: int, most: int) -> tuple[int, ...]:
    """Cut rows into pieces of nearly equal length."""
    if not rows:
        return ()
    pieces = up(rows, most)
    each, extra = divmod(rows, pieces)
    return (each + 1,) * extra + (each,) * (pieces - extra)


def cost(c: Correlation, kind: str, width: int, registers: int) -> float:
    """Estimate, in multiply-adds of vectors, what an image takes."""
    plan = make_plan(c, kind, width, registers, shares.SHARES)
    each = c.into * c.taps * max(1.0, (1 + 1 / plan.pieces[0][0]) / plan.vectors) + shares.TURN
    sums = c.groups * plan.panels * plan.vectors * c.into * c.taps
    again = shares.moved(sums * width * size(kind) // plan.splits) * math.prod(plan.blocks) / plan.images
    return c.groups * c.pixels * plan.panels * plan.vectors * each + sums * again


def write(plan: Plan, module: Module, name: str) -> list[tuple[str, int | None]]:
    """Write the functions ``void(ptr arguments, i64 chunk)`` that run one after another, and give their names and chunks."""
    c = plan.correlation
    blocks.write_window(plan.window, module, f"{name}_window", plan.width)
    for n, pieces in enumerate(plan.pieces):
        start = 0
        for k, rows in enumerate(pieces):
            places = [divmod(row, c.taps) for row in range(start, start + rows)]
            _write_tile(plan, places, module, f"{name}_tile{n}_{k}")
            start += rows
    shares.write_clear(module, f"{name}_clear")
    _write_main(plan, module, name)
    shares.write_sum(plan, module, f"{name}_sum")
    return [(f"{name}_clear", 1), (name, plan.chunks), (f"{name}_sum", shares.sum_chunks(plan))]


def _write_tile(plan: Plan, places: list[tuple[int, int]], module: Module, name: str) -> None:
    """Write ``void(ptr source, ptr gradient, ptr sums, i64 images, i64 depth, i64 height)``: add a block's products to some sums."""
    f = module.function(
        name,
        [
            ("ptr noalias", "source"),
            ("ptr noalias", "gradient"),
            ("ptr noalias", "sums"),
            ("i64", "images"),
            ("i64", "depth"),
            ("i64", "height"),
        ],
    )
    c, window, across = plan.correlation, plan.window, plan.across
    lanes, one = Lanes(f, plan.kind, plan.width, contract=True), Lanes(f, plan.kind, 1)
    number = lanes.item
    (part,) = c.parts
    reads = []
    for channel, tap in places:
        t = (tap // (c.kernel[1] * c.kernel[2]), tap // c.kernel[2] % c.kernel[1], tap % c.kernel[2])
        reads.append(channel * window.plane + window.at(*[n * a.spread for n, a in zip(t, part, strict=True)]))
    goals = [row * across + v * plan.width for row in range(len(places)) for v in range(plan.vectors)]
    sums = [lanes.load(f.sums, at) for at in goals]
    down = [a.stride // skip for a, skip in zip(part, window.skips, strict=True)]
    steps = [window.at(down[0], 0, 0), window.at(0, down[1], 0), down[2]]
    row = c.result[2] * across
    levels: list[tuple[Count, int, int]] = [
        (f.images, rounded(window.bytes) // size(plan.kind), plan.pixels * across),
        (f.depth, steps[0], plan.block[1] * row),
        (f.height, steps[1], row),
        (c.result[2], steps[2], across),
    ]
    if plan.images == 1:
        levels[0] = (1, 0, 0)
    if plan.block[0] == 1:
        levels[1] = (1, 0, 0)

    def turn(level: int, source: Value, gradient: Value, sums: list[Value]) -> list[Value]:
        if level == len(levels):
            right = [lanes.load(gradient, v * plan.width) for v in range(plan.vectors)]
            out = []
            for n, at in enumerate(reads):
                factor = lanes.splat(one.load(source, at))
                out += [lanes.fma(factor, b, sums[n * plan.vectors + v]) for v, b in enumerate(right)]
            return out
        count, move, along = levels[level]
        if count == 1:
            return turn(level + 1, source, gradient, sums)
        with f.loop_carry(0, count, 1, [(lanes.type, s) for s in sums]) as loop:
            here = f.element(number, source, f.mul(loop.i, move))
            loop.set(*turn(level + 1, here, f.element(number, gradient, f.mul(loop.i, along)), loop.values))
        return loop.results

    for at, value in zip(goals, turn(0, f.source, f.gradient, sums), strict=True):
        lanes.store(value, f.sums, at)
    f.ret()


def _write_main(plan: Plan, module: Module, name: str) -> None:
    """Write the walk over a share's images, blocks, result channels and source channels."""
    c, window = plan.correlation, plan.window
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    number = item(plan.kind)
    at = shares.begin(plan, f)
    planes, turned = at.own, f.byte(at.own, plan.images * rounded(window.bytes))
    panel_sums = c.into * c.taps * plan.across
    (part,) = c.parts
    with f.loop(at.begin, at.end) as unit:
        image, here, (depth, height), (slices, rows) = shares.place(plan, f, unit)
        with f.loop(0, here) as k:
            of = f.mul(f.add(image, k), c.groups * c.into * math.prod(c.length))
            f.call(
                f"@rg_{name}_window",
                arguments=[
                    ("ptr", f.element(number, at.source, of)),
                    ("ptr", f.byte(planes, f.mul(k, rounded(window.bytes)))),
                    ("i64", f.add(f.mul(depth, part[0].stride), part[0].first)),
                    ("i64", f.add(f.mul(height, part[1].stride), part[1].first)),
                ],
            )
        with f.loop(0, c.groups) as group:
            which = (image, group, at.first, at.last)
            shares.write_turn(plan, f, (at.gradient, turned), which, (here, slices, rows), (depth, height))
            with f.loop(at.first, at.last) as panel:
                kernels = f.mul(f.add(f.mul(group, plan.panels), panel), panel_sums)
                right = f.element(
                    number, turned, f.mul(f.sub(panel, at.first), plan.images * plan.pixels * plan.across)
                )

                def tiles(channel: Count, pieces: tuple[int, ...], n: int) -> None:
                    left = f.element(number, planes, f.mul(f.add(f.mul(group, c.into), channel), window.plane))
                    goal = f.element(number, at.sums, f.add(kernels, f.mul(channel, c.taps * plan.across)))
                    done = 0
                    for k, count in enumerate(pieces):
                        f.call(
                            f"@rg_{name}_tile{n}_{k}",
                            arguments=[
                                ("ptr", left),
                                ("ptr", right),
                                ("ptr", f.element(number, goal, done * plan.across)),
                                ("i64", here),
                                ("i64", slices),
                                ("i64", rows),
                            ],
                        )
                        done += count

                whole = c.into // plan.together * plan.together
                with f.loop(0, whole, plan.together) as channel:
                    tiles(channel, plan.pieces[0], 0)
                if whole < c.into:
                    tiles(whole, plan.pieces[1], 1)
    blocks.give_slot(f, at.scratch, at.slot)
    f.ret()
