"""Memory: every value's lifetime is known, so that all of them live in one arena whose size is known before the first run."""

from __future__ import annotations

import bisect

ALIGN = 64


def pack(lifetimes: list[tuple[int, int, int]]) -> tuple[list[int], int]:
    """Give each (first step, last step, bytes) an offset so that no two alive together meet; and the arena's size.

    Larger blocks are placed first, each in the lowest gap that it fits.
    """
    offsets = [0] * len(lifetimes)
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last
    size = 0
    for k in sorted(range(len(lifetimes)), key=lambda k: (-lifetimes[k][2], lifetimes[k][0])):
        first, last, count = lifetimes[k]
        count = -(-max(count, 1) // ALIGN) * ALIGN
        at = 0
        for offset, end, a, b in placed:
            if a > last or b < first:
                continue
            if at + count <= offset:
                break
            at = max(at, end)
        offsets[k] = at
        size = max(size, at + count)
        bisect.insort(placed, (at, at + count, first, last))
    return offsets, size
