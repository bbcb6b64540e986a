"""What is kept of an array: eight numbers, in one pass over a large one's memory."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ...compiler.moments import moments

NAMES = ("mean", "var", "min", "max", "norm", "zeros", "nan", "inf")
RECTIFIERS = ("relu", "clamp")
MANY = 0.5  # of the units
SAMPLE = 4096  # elements of a weight from which the size of its update is estimated


def statistics(a: Any) -> list[float]:
    """Give mean, variance, least, largest, norm, share of zeros, and how many NaN and infinities; over finite elements.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.glass.recording.statistics import statistics
    >>> statistics(np.array([0.0, 3.0, -3.0, np.nan]))[:5]
    [0.0, 6.0, -3.0, 3.0, 4.242640687119285]
    """
    flat = np.asarray(a).ravel(order="K")
    if flat.size == 0:
        return [0.0] * 8
    if flat.dtype.kind not in "fc":
        flat = flat.astype(np.float32 if flat.dtype.kind == "b" else np.float64)
    if flat.dtype.kind == "c":
        flat = np.abs(flat)
    if flat.dtype.itemsize < 4:
        flat = flat.astype(np.float32)
    size = flat.size
    if (found := moments(flat)) is not None:
        total, squares, low, high, empty = found
        mean, square = total / size, squares / size
        return [mean, _variance(flat, mean, square), low, high, math.sqrt(squares), empty / size, 0.0, 0.0]
    low, high = float(flat.min()), float(flat.max())
    nan = inf = 0
    if not (math.isfinite(low) and math.isfinite(high)):
        nan, inf = int(np.isnan(flat).sum()), int(np.isinf(flat).sum())
        flat = flat[np.isfinite(flat)]
        if flat.size == 0:
            return [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, float(nan), float(inf)]
        low, high = float(flat.min()), float(flat.max())
    scale = max(abs(low), abs(high))
    if scale > 1e15 or 0 < scale < 1e-15:  # squares would leave float32
        flat = flat.astype(np.float64)
    mean = float(flat.mean(dtype=np.float64 if flat.size < 4096 else None))
    square = float(np.dot(flat, flat)) / flat.size
    zeros = 1.0 - np.count_nonzero(flat) / size
    variance = _variance(flat, mean, square)
    return [mean, variance, low, high, math.sqrt(square * flat.size), zeros, float(nan), float(inf)]


def _variance(flat: Any, mean: float, square: float) -> float:
    variance = square - mean * mean
    if variance < 1e-4 * square:  # what was subtracted took the digits along
        variance = float(np.var(flat, dtype=np.float64))
    return max(variance, 0.0)


def dead_share(a: Any, axis: int) -> tuple[float, float]:
    """Give the share of units (positions along an axis) that are zero for every sample, and, where those are many, of those that never are."""
    others = tuple(i for i in range(a.ndim) if i != axis)
    if not a.size:
        return 0.0, 0.0
    waiting = np.arange(
        a.shape[axis]
    )  # units that were zero for all samples so far: most show themselves in the first few
    first, count = 0, 1
    while waiting.size and first < len(a) and axis:
        part = a[first : first + count]
        if waiting.size < a.shape[axis]:
            part = part.take(waiting, axis)
        waiting = waiting[~part.any(axis=others)]
        first, count = first + count, 2 * count
    dead = waiting.size / a.shape[axis] if axis else float((~a.any(axis=others)).mean())
    return dead, float(a.all(axis=others).mean()) if dead >= MANY else 0.0


@functools.lru_cache(maxsize=256)
def places(size: int, seed: int) -> Any:
    """Choose elements of a weight, always the same ones; None for all."""
    if size <= SAMPLE:
        return None
    return np.sort(np.random.default_rng(seed).choice(size, SAMPLE, replace=False))
