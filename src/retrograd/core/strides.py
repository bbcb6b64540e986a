"""Where a result's elements lie in memory: in torch's order, which ``view``, ``stride`` and draws in the order of memory show."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

Steps = tuple[int, ...]
ROWS = 1 << 10  # layouts remembered


@lru_cache(ROWS)
def _elementwise(shape: Steps, operands: tuple[tuple[Steps, Steps], ...]) -> Steps:
    """Give the dimensions of an elementwise result, the longest steps first.

    For each two dimensions the first operand that has steps of different lengths along them decides (of the same length: the
    one that is longer there), and where none does they stay as they are.
    """
    rank = len(shape)
    steps = []
    for own, given in operands:
        lead = rank - len(own)
        steps.append([0] * lead + [0 if own[d] != shape[d + lead] else given[d] for d in range(len(own))])

    def compared(a: int, b: int) -> int:
        for s in steps:
            if s[a] and s[b]:
                if s[a] != s[b]:
                    return 1 if s[a] > s[b] else -1
                if shape[a] > shape[b]:
                    return 1
        return 0

    order = list(range(rank))[::-1]  # the shortest steps first
    for i in range(1, rank):
        at = i
        for k in range(i - 1, -1, -1):
            found = compared(order[k], order[at])
            if found > 0:
                order[k], order[at] = order[at], order[k]
                at = k
            elif found < 0:
                break
    return tuple(order[::-1])


def _lies(shape: Steps, steps: Steps, order: Steps) -> bool:
    """Tell whether an array lies densely in an order of its dimensions; those of size 1 lie anyhow."""
    wide = [d for d in order if shape[d] != 1]
    return all(steps[a] == steps[b] * shape[b] for a, b in pairwise(wide))


def memory_order(a: Any) -> Steps:
    """Give an array's dimensions, the longest steps first."""
    return tuple(sorted(range(a.ndim), key=lambda d: -a.strides[d]))


def laid(a: Any, order: Steps) -> Any:
    """Give an array that lies in memory in an order of its dimensions."""
    if not a.size or _lies(a.shape, a.strides, order):
        return a
    made = np.empty([a.shape[d] for d in order], a.dtype).transpose([order.index(d) for d in range(a.ndim)])
    made[...] = a
    return made


def as_operands(a: Any, *arrays: Any) -> Any:
    """Give an elementwise result the order in memory that its operands ask for; NumPy's own follows none where they differ."""
    given = tuple([(x.shape, x.strides) for x in arrays if x.__class__ is np.ndarray])
    return laid(a, _elementwise(a.shape, given))


def has_channels_last(a: Any) -> bool:
    """Tell whether images lie in memory with their channels last: (N, C, H, W) by N, H, W, C; or the same in three dimensions."""
    rank = a.ndim
    if rank not in (4, 5) or a.flags.c_contiguous or not a.size:
        return False
    shape, steps = a.shape, a.strides
    if not steps[1]:
        return False
    least = 0
    for d in (1, *range(rank - 1, 1, -1), 0):
        if steps[d] < least or (d == 0 and least == steps[1]):
            return False
        least = steps[d] * max(shape[d], 1)
    return True


def channels_last(a: Any) -> Any:
    """Give images that lie in memory with their channels last."""
    return laid(a, (0, *range(2, a.ndim), 1))


def as_images(a: Any, *arrays: Any) -> Any:
    """Give a result whose channels lie last where those of the images (or of the filters) do."""
    return channels_last(a) if any(x.__class__ is np.ndarray and has_channels_last(x) for x in arrays) else a


def as_all_images(a: Any, *arrays: Any) -> Any:
    """Give a result whose channels lie last where those of all images do."""
    return channels_last(a) if all(has_channels_last(x) for x in arrays) else a
