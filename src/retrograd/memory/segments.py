"""Sequences of modules in checkpointed parts of equal bytes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from ..core import MODE
from .checkpoint import CountedRun

_MEASURED: weakref.WeakKeyDictionary[Any, dict[Any, list[int]]] = weakref.WeakKeyDictionary()


def balanced(sizes: Sequence[int], parts: int) -> list[int]:
    """Give the ends of contiguous parts whose largest sum is as small as it can be.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of each item.
    parts : int
        At most so many parts, none of them empty.

    Examples
    --------
    >>> balanced([1, 1, 1, 9, 1, 1], 3)
    [3, 4, 6]
    """
    low, high = max(sizes, default=0), sum(sizes)
    while low < high:
        middle = (low + high) // 2
        if len(_filled(sizes, middle)) <= parts:
            high = middle
        else:
            low = middle + 1
    return _filled(sizes, high)  # more parts than these would add bytes between them and make none of them smaller


def _filled(sizes: Sequence[int], most: int) -> list[int]:
    ends, held = [], 0
    for i, size in enumerate(sizes):
        if held + size > most and i:
            ends.append(i)
            held = 0
        held += size
    return [*ends, len(sizes)]


def sequential(layers: list[Any], segments: int, input: Any, owner: Any, checkpoint: Callable[..., Any]) -> Any:
    """Run layers in checkpointed parts, the last one plainly; a second call of the same kind divides them by their measured bytes."""
    shape = getattr(input, "shape", None)
    key = (len(layers), None if shape is None else tuple(shape))
    anchor = owner if hasattr(owner, "children") else layers[0] if layers else None
    try:
        measured = _MEASURED.setdefault(anchor, {}) if anchor is not None else {}
    except TypeError:  # something that cannot be weakly referenced
        measured = {}
    sizes = measured.get(key)
    counted: list[int] | None = None
    if sizes is None and MODE.grad and MODE.saving is None:
        counted = [0] * len(layers)
    if sizes is None:
        size = max(len(layers) // segments, 1)
        ends = [min(size * (k + 1), len(layers)) for k in range(segments - 1)] + [len(layers)]
    else:
        ends = balanced(sizes, segments)
    start = 0
    for end in ends[:-1]:
        input = checkpoint(_part(layers, start, end, counted), input)
        start = end
    if counted is not None and start:
        known = counted[:start]
        measured[key] = [*known, *[sum(known) // len(known)] * (len(layers) - start)]
    return _part(layers, start, len(layers), None)(input)


def _part(layers: list[Any], start: int, end: int, counted: list[int] | None) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        for k in range(start, end):
            before = CountedRun.now()
            x = layers[k](x)
            if counted is not None:
                counted[k] = max(counted[k], CountedRun.now() - before)
        return x

    return run


__all__ = ["balanced", "sequential"]
