"""Sizes of tiles and blocks, from the machine's registers and caches and the contraction's lengths."""

from __future__ import annotations

import contextlib
import functools
import glob
from dataclasses import dataclass

from ..codegen.kinds import KINDS
from ..runtime import jit, pool

# Bytes where the system does not tell.
FIRST, SECOND = 32 << 10, 512 << 10
PACKED = 4 << 20  # bytes of one packed block of B
CHUNK = 1 << 18  # multiply-adds of a chunk that are worth handing out to a thread that is awake
LONG = 1 << 20  # multiply-adds for which sleeping threads are woken
LARGE = 1 << 31  # multiply-adds that are cut into more strips than there are threads, so that the faster ones do more
MOST = 64  # chunks
SWEEP = 16  # rows of B at a time, where it is read once and not packed
PACKING = 12.0  # what packing a number costs, in multiply-adds


@functools.cache
def caches() -> tuple[int, int]:
    """Give the bytes of the first and second data cache of a core."""
    found = {1: FIRST, 2: SECOND}
    for folder in glob.glob("/sys/devices/system/cpu/cpu0/cache/index*"):
        with contextlib.suppress(OSError, ValueError):
            level, kind, size = (_words(folder, name) for name in ("level", "type", "size"))
            if kind != "Instruction" and int(level) in found and size.endswith("K"):
                found[int(level)] = int(size[:-1]) << 10
    return found[1], found[2]


def _words(folder: str, name: str) -> str:
    with open(f"{folder}/{name}") as file:
        return file.read().strip()


@dataclass(frozen=True)
class Shape:
    """The micro-kernel's block: rows, and vectors of so many lanes."""

    rows: int
    vectors: int
    lanes: int


@functools.cache
def shape(kind: str) -> Shape:
    """Choose the micro-kernel's block: as many sums as leave registers for a row of B and a number of A.

    32 registers of 512 bits take 14 x 2, 16 of 256 bits 6 x 2, 32 of 128 bits (NEON) 12 x 2.
    """
    here = jit.host()
    lanes = here.lanes(KINDS[kind].size)
    if here.vector_bits == 512:
        return Shape(14, 2, lanes)
    if here.triple.startswith(("aarch64", "arm64")):
        return Shape(12, 2, lanes)
    return Shape(6, 2, lanes)


@dataclass(frozen=True)
class Blocks:
    """How a contraction is cut.

    Attributes
    ----------
    tall, tall_count : int
        Rows of the first panels, and how many those are; the others have one row less.
    row_panels, column_panels : int
    rows_at_once, columns_at_once, depth_at_once : int
        A block: row panels, column panels, products.
    row_strips, column_strips : int
        What threads are given.
    group : int
        Column panels that are packed at a time: fewer than a block's where a strip is one block of rows, so that they are read from the
        second cache.
    """

    tall: int
    tall_count: int
    row_panels: int
    column_panels: int
    rows_at_once: int
    columns_at_once: int
    depth_at_once: int
    row_strips: int
    column_strips: int
    group: int


def even(total: int, most: int) -> int:
    """Give the size of equal parts of at most ``most``, the last perhaps smaller."""
    parts = max(1, -(-total // max(1, most)))
    return max(1, -(-total // parts))


def blocks(kind: str, m: int, n: int, k: int, items: int = 1) -> tuple[Blocks, int]:
    """Cut a product for the caches, and a batch of them for threads; gives the number of the threads' chunks too."""
    tile, size = shape(kind), KINDS[kind].size
    first, second = caches()
    width = tile.vectors * tile.lanes
    m, n, k = max(m, 1), max(n, 1), max(k, 1)
    row_panels = -(-m // tile.rows)
    base, rest = divmod(m, row_panels)
    tall, tall_count = (base + 1, rest) if rest else (base, row_panels)
    column_panels = -(-n // width)
    # Deep blocks: C is read and written once for each. A panel of B may take two thirds of the first cache, or a tenth of the
    # second, from which it is read fast enough; a block of A takes half of the second.
    # Where all of A and B stays in the second cache, the sum is not cut at all.
    most = max(64, max(first * 2 // 3, second // 10) // (width * size))
    depth = k if (m + n) * k * size <= second * 3 // 4 else even(k, most)
    down, across = strips(m * n * k, m, n, row_panels, column_panels, items)
    high, broad = -(-row_panels // down), -(-column_panels // across)
    rows = even(high, max(1, second // 2 // (tall * size * depth)))
    columns = group = even(broad, max(1, PACKED // (width * size * depth)))
    if high <= rows:
        # B passes by once; what is added to C again and again takes half of the second cache as well
        group = max(1, second // 4 // (width * size * depth))
        columns = even(broad, max(group, second // 2 // (high * tall * width * size)))
        group = min(group, columns)
    cut = Blocks(tall, tall_count, row_panels, column_panels, rows, columns, depth, down, across, group)
    return cut, max(1, min(items * down * across, MOST, items * m * n * k // CHUNK))


def near(kind: str, m: int, n: int, k: int) -> bool:
    """Tell whether operands are best read where they lie: they are small enough to come from the second cache, or nearly."""
    return 2 * (m + n) * k * KINDS[kind].size <= 7 * caches()[1]


def strips(work: int, m: int, n: int, row_panels: int, column_panels: int, items: int) -> tuple[int, int]:
    """Choose how many strips of rows and of columns there are: one for each thread, and more where the work is long.

    A row of strips packs all of B for itself, a column of strips all of A; the cheapest way that keeps threads alike is taken.
    """
    cores = cores_here()
    wanted = min(cores if work < LARGE else 2 * cores, work // CHUNK)
    if items > 1 and (items >= 4 * cores or items % cores == 0):
        wanted = 1  # items enough for everybody
    if wanted <= 1:
        return 1, 1
    ways = [(down, -(-wanted // down)) for down in range(1, wanted + 1)]
    ways = [(down, across) for down, across in ways if down <= row_panels and across <= column_panels] or [(1, 1)]

    def cost(way: tuple[int, int]) -> float:
        down, across = way
        tiles = -(-row_panels // down) * -(-column_panels // across) * down * across
        return tiles * m * n / (row_panels * column_panels) + PACKING * (down * n + across * m)

    return min(ways, key=cost)


@functools.cache
def cores_here() -> int:
    """Count the processors that this process may use."""
    return pool.available()
