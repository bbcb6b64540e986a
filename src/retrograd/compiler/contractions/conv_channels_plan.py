"""How a convolution with channels along vectors is cut up, and what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import conv_blocks as blocks
from .conv_blocks import (
    LINE,
    SLOTS,
    Along,
    Window,
    rounded,
    size,
    up,
)
from .conv_geometry import Correlation, Part, met, part_taps, taps_inside

KERNEL_BYTES = 32 << 10  # of packed kernel that stay in the first cache while a block's pixels pass
SUM_BYTES = 96 << 10  # of sums of a block
TURN = 10.0  # multiply-adds that turning a vector of sums takes as long as
BLOCK_BYTES = 384 << 10  # of a block of the source; twice as many where kernels come from the third cache for each
FAR_BYTES = 1 << 20  # of all kernels, from which they do


@dataclass(frozen=True)
class Plan(Along):
    """How a correlation is cut up, for any number of images.

    Attributes
    ----------
    pixels : int
        Most pixels in registers.
    high : int
        Rows of pixels among them.
    block : tuple of int
        Results along depth and height that one block makes, in steps of the parts.
    channels : int
        Source channels whose kernels are multiplied at a time.
    splits : int
        Parts that the result channels of one block are cut into, for threads.
    behind : bool
        Whether something follows, which is given the results of each block.
    """

    pixels: int
    high: int
    block: tuple[int, int]
    channels: int
    splits: int
    behind: bool = False

    @property
    def steps(self) -> tuple[int, int, int]:
        """The parts' steps between results."""
        d, h, w = self.correlation.parts[0]
        return d.step, h.step, w.step

    @property
    def blocks(self) -> tuple[int, int]:
        """How many blocks an image has, along depth and height."""
        result, steps = self.correlation.result, self.steps
        return up(result[0], self.block[0] * steps[0]), up(result[1], self.block[1] * steps[1])

    def units(self, images: int) -> int:
        """Give how many pieces of work there are."""
        return images * math.prod(self.blocks) * self.splits

    @property
    def window(self) -> Window:
        """The block of the source that a block of results reads."""
        c = self.correlation
        extent, bands = [], []
        low, end = columns_read(c, self.wide)
        for d in range(2):
            count, low_d = self.block[d], c.low[d]
            reach = max(
                (min(count, p[d].count) - 1) * p[d].stride + p[d].first + max(0, (p[d].taps - 1) * p[d].spread)
                for p in c.live
            )
            extent.append((reach - low_d) // c.skips[d] + 1)
            bands.append(bands_read(c, d, count, extent[d]))
        size = (extent[0], extent[1], (end - low) // c.skips[2] + 1)
        return Window(self.kind, c.groups * c.into, c.length, size, low, skips=c.skips, bands=(bands[0], bands[1]))

    @property
    def wide(self) -> int:
        """Most columns of a tile."""
        return max(1, self.pixels // self.high)

    @property
    def slice(self) -> int:
        """Results of one depth of a block, for one channel."""
        result, steps = self.correlation.result, self.steps
        return min(self.block[1] * steps[1], result[1]) * result[2]

    @property
    def block_pixels(self) -> int:
        """Results of a block, for one channel."""
        return min(self.block[0] * self.steps[0], self.correlation.result[0]) * self.slice

    @property
    def slot(self) -> int:
        """Bytes of scratch memory that one thread needs."""
        return rounded(self.window.bytes) + self.sums + self.behind * self.across * self.apart * size(self.kind)

    @property
    def apart(self) -> int:
        """Numbers from one channel of a block's results to the next, where something follows."""
        return up(self.block_pixels, LINE // size(self.kind)) * (LINE // size(self.kind))

    @property
    def sums(self) -> int:
        """Bytes of the sums of one image's block."""
        return rounded(size(self.kind) * self.block_pixels * self.across)

    @property
    def packed(self) -> list[int]:
        """Where each living part's packed kernels begin, in numbers; and their end."""
        c, at = self.correlation, [0]
        for part in c.live:
            at.append(at[-1] + c.groups * self.panels * c.into * part_taps(part) * self.across)
        return at

    @property
    def kept(self) -> int:
        """Numbers of all packed kernels."""
        return self.packed[-1]

    def scratch(self, slots: int) -> int:
        """Bytes of scratch memory for that many threads at a time."""
        return SLOTS + rounded(size(self.kind) * self.kept) + slots * self.slot + LINE


def make_plan(c: Correlation, kind: str, width: int, registers: int, images: int, behind: bool = False) -> Plan:
    """Cut a correlation up; ``registers`` are those that sums may use."""
    vectors = blocks.vectors_across(c.out, width, (2, 3, 4, 1) if registers >= 24 else (2,))
    pixels = max(1, registers // vectors)
    counts = [max(p[d].count for p in c.parts) for d in range(3)]
    most_high = max(1, min(pixels // max(counts[2], 1), counts[1]))
    high = min(range(most_high, 0, -1), key=lambda high: _taps_met(c, high) * _loads(vectors, pixels, high, counts[2]))
    across = vectors * width
    depth, rows = counts[0], up(counts[1], high) * high
    low, end = columns_read(c, max(1, pixels // high))
    pitch = (end - low) // c.skips[2] + 1
    steps = [c.parts[0][d].step for d in range(3)]

    largest = BLOCK_BYTES * (1 + (size(kind) * c.group_step * c.groups > FAR_BYTES))

    def fits(d: int, h: int) -> bool:
        rows = [
            min(
                (
                    (n - 1) * max(p[k].stride for p in c.live)
                    + max(p[k].first + max(0, (p[k].taps - 1) * p[k].spread) for p in c.live)
                    - c.low[k]
                )
                // c.skips[k]
                + 1,
                n * sum(p[k].taps for p in c.live),  # dilated taps leave others out
            )
            for k, n in ((0, d), (1, h))
        ]
        bytes = size(kind) * c.groups * c.into * rows[0] * rows[1] * pitch
        sums = size(kind) * across * d * steps[0] * h * steps[1] * c.result[2]
        return bytes <= largest and sums <= SUM_BYTES

    while depth > 1 and not fits(depth, rows):
        depth = up(depth, 2)
    while rows > high and not fits(depth, rows):
        rows = max(high, rows // 2 // high * high)
    count = up(counts[1], rows)
    rows = up(up(counts[1], count), high) * high  # the same number of blocks, of equal sizes
    taps = max(part_taps(p) for p in c.live)
    at_once = max(1, min(c.into, KERNEL_BYTES // (size(kind) * across * taps)))
    at_once = up(c.into, up(c.into, at_once))
    plan = Plan(c, kind, width, vectors, pixels, high, (depth, rows), at_once, 1, behind)
    made: Plan = blocks.enough_pieces(plan, images)
    return made


def cost(c: Correlation, kind: str, width: int, registers: int) -> float:
    """Estimate, in multiply-adds of vectors, what an image takes."""
    plan = make_plan(c, kind, width, registers, 32)
    total = 0.0
    for part in c.live:
        pixels = math.prod(a.count for a in part)
        taps = math.prod(met(c, part, d, n) for d, n in enumerate((1, plan.high, _even(plan.wide, part[2].count))))
        total += pixels * plan.panels * plan.vectors * (c.into * taps + TURN)
    return c.groups * total


def _even(most: int, count: int) -> int:
    """Give the width of tiles of a row that are nearly equal."""
    return up(count, up(count, most)) if count else most


def leaves_columns(c: Correlation, part: Part, wide: int) -> bool:
    """Tell whether some taps meet only zeros for all columns of some tiles, so that they are left out."""
    axis = part[2]
    if len(c.parts) > 1 or axis.spread * (axis.taps - 1) < 1:
        return False
    wide = _even(wide, axis.count)
    starts = [n * axis.stride + axis.first for n in range(0, axis.count, wide)]
    return any(taps_inside(axis, c.length[2], n, n + (wide - 1) * axis.stride) != (0, axis.taps) for n in starts)


def columns_read(c: Correlation, wide: int) -> tuple[int, int]:
    """Give the first and the last position of the source's rows that a block holds, zeros outside included."""
    low, end = c.low[2], max(p[2].high for p in c.live)
    if leaves_columns(c, c.live[0], wide):  # what is read for no result of a tile is not there
        beside = (_even(wide, c.live[0][2].count) - 1) * c.live[0][2].stride
        low, end = max(low, -beside), min(end, c.length[2] - 1 + beside)
    return low, max(low, end)


def bands_read(c: Correlation, d: int, count: int, extent: int) -> tuple[int, int, int]:
    """Give which positions along depth or height so many results read: (runs, from one to the next, length)."""
    axis = c.live[0][d]
    length = (min(count, axis.count) - 1) * axis.stride + 1
    if len(c.parts) > 1 or axis.taps == 1 or length >= axis.spread:
        return 1, 0, extent
    return axis.taps, axis.spread, length


def _taps_met(c: Correlation, high: int) -> float:
    return sum(math.prod(a.count for a in p) * met(c, p, 1, high) for p in c.live)


def _loads(vectors: int, pixels: int, high: int, columns: int) -> float:
    """Give how many loads a multiply-add waits for, at least one: of a row of channels, and of a number for each pixel."""
    here = high * min(columns, max(1, pixels // high))
    return max(1.0, (vectors + here) / (vectors * here), 8 / (vectors * here))
