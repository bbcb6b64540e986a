"""Memory: every value's lifetime is known, so that all of them live in one arena whose size is known before the first run."""

from __future__ import annotations

import numpy as np

ALIGN = 64
FEW, TURNS = 150, 12  # blocks that are placed in other orders too, and how many of those


def pack(lifetimes: list[tuple[int, int, int]]) -> tuple[list[int], int]:
    """Give each (first step, last step, bytes) an offset so that no two alive together meet; and the arena's size.

    Larger blocks are placed first, each in the lowest gap that it fits. Where more is taken so than is ever held at once, and blocks are few,
    the one that lies highest is placed before all others, and so on, as long as there are turns left.
    """
    order = sorted(range(len(lifetimes)), key=lambda k: (-lifetimes[k][2], lifetimes[k][0]))
    offsets, total = _placed(lifetimes, order)
    if len(lifetimes) > FEW:
        return offsets, total
    least, now, highest = _most_held(lifetimes), offsets, total
    for _ in range(TURNS):
        if total <= least:
            break
        top = max(range(len(lifetimes)), key=lambda k: now[k] + lifetimes[k][2])
        order = [top, *[k for k in order if k != top]]
        now, highest = _placed(lifetimes, order)
        if highest < total:
            offsets, total = now, highest
    return offsets, total


def _most_held(lifetimes: list[tuple[int, int, int]]) -> int:
    """Give the most bytes that are alive together."""
    change = np.zeros(max([last for _, last, _ in lifetimes], default=0) + 2, np.int64)
    for first, last, size in lifetimes:
        size = -(-max(size, 1) // ALIGN) * ALIGN
        change[first] += size
        change[last + 1] -= size
    return int(np.cumsum(change).max())


def _placed(lifetimes: list[tuple[int, int, int]], order: list[int]) -> tuple[list[int], int]:
    """Place blocks in an order, each in the lowest gap that it fits."""
    offsets = [0] * len(lifetimes)
    placed = np.zeros((4, len(lifetimes)), np.int64)  # offset, end, first, last; in the order of their offsets
    total = 0
    for count, k in enumerate(order):
        first, last, size = lifetimes[k]
        size = -(-max(size, 1) // ALIGN) * ALIGN
        starts, ends, firsts, lasts = placed[:, :count]
        together = ((firsts <= last) & (lasts >= first)).nonzero()[0]
        starts, ends = starts[together], ends[together]
        free = np.maximum.accumulate(np.concatenate((_ZERO, ends)))  # where the gap before each block begins
        fits = (free[:-1] + size <= starts).nonzero()[0]
        at = int(free[fits[0] if fits.size else -1])
        offsets[k] = at
        total = max(total, at + size)
        place = int(placed[0, :count].searchsorted(at))
        placed[:, place + 1 : count + 1] = placed[:, place:count].copy()
        placed[:, place] = at, at + size, first, last
    return offsets, total


_ZERO = np.zeros(1, np.int64)
