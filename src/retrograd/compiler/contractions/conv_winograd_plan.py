"""How a convolution by Winograd's transforms is cut up, and what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
from .conv_geometry import Correlation

POINTS = 16  # places in a tile
SIDE = 3  # taps of a square
MOVED_BYTES = 800 << 10  # of a block's transformed source
APART_BYTES = 600 << 10  # of that and all products, where squares go one after the other
CACHED_BYTES, NEAR_BYTES = 1 << 20, 8 << 20  # of transformed kernels that stay in the second cache, and in the third
FEW_TILES = 28  # of a block, below which images are taken together
AGAIN, FAR_AGAIN = 2, 8  # tiles that reading a block's kernels from the third cache, or from memory, takes as long as
THERE, BACK = 150, 100  # multiply-adds: of transforming a vector of tiles, and a vector of a tile's results
SINGLE = 1.4  # times slower: a number to broadcast for each multiply-add
GAIN = 1.1  # by which the estimate must be better, for what it does not know


@dataclass(frozen=True)
class Plan(Along):
    """How a correlation is cut up, for any number of images.

    Attributes
    ----------
    rows : int
        Rows of tiles in a block.
    images : int
        Images in a block.
    splits : int
        Parts that the result channels of one block are cut into, for threads.
    apart : bool
        Whether squares of taps go one after the other, all result channels' products being kept meanwhile.
    behind : bool
        Whether something follows, which is given the results of each block.
    """

    held: int
    rows: int
    images: int
    splits: int
    apart: bool = False
    behind: bool = False

    @property
    def squares(self) -> list[tuple[int, int]]:
        """Where the kernel's squares of three by three taps begin."""
        _, high, wide = self.correlation.kernel
        return [(y, x) for y in range(0, high, SIDE) for x in range(0, wide, SIDE)]

    @property
    def terms(self) -> int:
        """Products that are added up: source channels for each square."""
        return len(self.squares) * self.correlation.into

    @property
    def rounds(self) -> list[list[tuple[int, int]]]:
        """The squares that are multiplied together."""
        return [[square] for square in self.squares] if self.apart else [self.squares]

    @property
    def each(self) -> int:
        """Terms of a round."""
        return self.terms // len(self.rounds)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles of an image."""
        return up(self.correlation.result[1], 2), up(self.correlation.result[2], 2)

    @property
    def blocks(self) -> int:
        """Blocks of an image."""
        return up(self.grid[0], self.rows)

    @property
    def tiles(self) -> int:
        """Tiles of a block, of all its images."""
        return self.images * self.rows * self.grid[1]

    def units(self, images: int) -> int:
        """Give how many pieces of work there are."""
        return up(images, self.images) * self.blocks * self.splits

    @property
    def window(self) -> Window:
        """The block of the source, its even and its odd columns side by side."""
        c = self.correlation
        y, x = self.squares[-1]
        extent = (1, 2 * self.rows + 2 + y, 2 * self.grid[1] + 2 + x)
        return Window(self.kind, c.into, c.length, extent, c.low[2], 2)

    @property
    def packed(self) -> list[int]:
        """Where packed kernels begin and end, in numbers."""
        c = self.correlation
        return [0, self.panels * c.into * c.taps * self.across]

    @property
    def kept(self) -> int:
        """Numbers of packed kernels."""
        return self.packed[-1]

    @property
    def spread(self) -> int:
        """Numbers from one channel of a block's results to the next, where something follows."""
        line = LINE // size(self.kind)
        return up(2 * self.rows * self.correlation.result[2], line) * line

    @property
    def parts(self) -> tuple[int, int, int, int, int]:
        """Bytes of a slot's parts: the source's block, its transform, products, sums, results for what follows."""
        bytes, c = size(self.kind), self.correlation
        moved = rounded(bytes * (POINTS * self.each * self.tiles + self.width))
        products = rounded(bytes * POINTS * self.tiles * self.across * (self.panels if self.apart else 1))
        sums = rounded(bytes * 2 * self.rows * c.result[2] * self.across)
        return rounded(self.window.bytes), moved, products, sums, self.behind * bytes * self.spread * self.across

    @property
    def transformed(self) -> int:
        """Bytes of the kernels' transforms."""
        return rounded(size(self.kind) * self.panels * POINTS * self.terms * self.across)

    def scratch(self, slots: int) -> int:
        """Bytes of scratch memory for that many threads at a time."""
        return SLOTS + rounded(size(self.kind) * self.kept) + self.transformed + slots * sum(self.parts) + LINE


def fits(c: Correlation) -> bool:
    """Tell whether a correlation is of the kind: at least two by two neighbouring taps, one result to a position, one group."""
    if c.groups != 1 or len(c.parts) != 1:
        return False
    depth, *plane = c.parts[0]
    alike = all(a.taps >= 2 and a.stride == 1 and a.spread == 1 for a in plane)
    flat = depth.taps == 1 and depth.count == 1 and depth.first == 0
    return alike and flat and c.kernel == (1, plane[0].taps, plane[1].taps)


def make_plan(c: Correlation, kind: str, width: int, registers: int, images: int, behind: bool = False) -> Plan:
    """Cut a correlation up; ``registers`` are those that sums may use."""
    vectors = blocks.vectors_across(c.out, width, (2, 3, 4, 1) if registers >= 24 else (2, 1))
    plan = Plan(c, kind, width, vectors, max(1, registers // vectors), up(c.result[1], 2), 1, 1)
    plan = replace(plan, apart=plan.terms > c.into + plan.panels * plan.across, behind=behind)

    def moved(plan: Plan) -> int:
        kept = plan.panels * plan.across if plan.apart else 0
        return size(kind) * POINTS * (plan.each + kept) * plan.tiles

    count = 1
    most_bytes = APART_BYTES if plan.apart else MOVED_BYTES
    while plan.rows > 1 and moved(plan) > most_bytes:
        count += 1
        plan = replace(plan, rows=up(plan.grid[0], count))
    if plan.blocks == 1 and plan.tiles < FEW_TILES:
        several = min(up(FEW_TILES, plan.tiles), most_bytes // max(1, moved(plan)), up(images, 2))
        plan = replace(plan, images=max(1, several))
    made: Plan = blocks.enough_pieces(plan, images)
    return made


def cost(c: Correlation, kind: str, width: int, registers: int, images: int) -> float:
    """Estimate, in multiply-adds of vectors, what an image takes; without an end where it cannot be done so."""
    if not fits(c):
        return math.inf
    plan = make_plan(c, kind, width, registers, images)
    vectors = plan.panels * plan.vectors
    tiles = plan.blocks * plan.tiles / plan.images
    there = plan.terms * plan.grid[0] * up(plan.grid[1], width) * THERE
    back = tiles * vectors * BACK
    kernels = plan.terms * vectors * 240 / images
    far = 0 if plan.transformed <= CACHED_BYTES else AGAIN if plan.transformed <= NEAR_BYTES else FAR_AGAIN
    again = far * plan.blocks / plan.images  # kernels come anew for each block
    single = SINGLE if plan.vectors == 1 else 1.0
    return GAIN * (single * (tiles + again) * POINTS * plan.terms * vectors + there + back + kernels)
