"""A block: one piece of aligned memory that a program works in instead of its tensors' while it is run many times."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

ALIGN = 64  # bytes of a line of the cache, and of the widest vector: none that begins a row lies across two
MOST = 1 << 20  # bytes that are copied to the block and back for each call; larger tensors gain nothing


def aligned(shape: Sequence[int], dtype: Any) -> Any:
    """Give an uninitialised array that begins at a line of the cache.

    Examples
    --------
    >>> from retrograd.compiler.block import aligned
    >>> aligned((3, 5), "float32").ctypes.data % 64
    0
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    memory = np.empty(size + ALIGN, np.uint8)
    start = -memory.ctypes.data % ALIGN
    return memory[start : start + size].view(dtype).reshape(tuple(shape))


class Block:
    """Stands in for arrays while generated code runs.

    NumPy's arrays begin at any 16 bytes, so that half of a loop's vectors lie across two lines of the cache.

    Parameters
    ----------
    places : sequence of (array, written)
        The arrays, contiguous, and whether the code writes to them.
    others : sequence of ndarray
        What the code reads besides.

    Attributes
    ----------
    arrays : list of ndarray
        What stands for each: the array itself where the block is not used.
    used : bool
        Not where there is much to copy, nor where arrays share memory.
    """

    def __init__(self, places: Sequence[tuple[Any, bool]], others: Sequence[Any] = ()) -> None:
        self.places = list(places)
        total = sum(-(-a.nbytes // ALIGN) * ALIGN for a, _ in self.places)
        self.used = 0 < total <= MOST and not _overlap([a for a, _ in self.places], others)
        self.arrays = [a for a, _ in self.places]
        if not self.used:
            return
        memory, at = aligned((total,), np.uint8), 0
        for k, (a, _) in enumerate(self.places):
            self.arrays[k] = memory[at : at + a.nbytes].view(a.dtype).reshape(a.shape)
            at += -(-a.nbytes // ALIGN) * ALIGN

    def fill(self) -> None:
        """Copy the arrays' values into the block."""
        if self.used:
            for (a, _), inside in zip(self.places, self.arrays, strict=True):
                np.copyto(inside, a)

    def put_back(self) -> None:
        """Copy what may have been written back to the arrays."""
        if self.used:
            for (a, written), inside in zip(self.places, self.arrays, strict=True):
                if written:
                    np.copyto(a, inside)


def _overlap(own: Sequence[Any], others: Sequence[Any]) -> bool:
    """Tell whether the memory of one of these arrays meets another's, or one of the others'."""
    spans = sorted((a.ctypes.data, a.ctypes.data + a.nbytes) for a in own if a.nbytes)
    if any(end > start for (_, end), (start, _) in itertools.pairwise(spans)):
        return True
    for other in others:
        first, last = np.lib.array_utils.byte_bounds(other)
        if any(start < last and first < end for start, end in spans):
            return True
    return False


__all__ = ["Block", "aligned"]
