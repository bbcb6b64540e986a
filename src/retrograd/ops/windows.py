"""Windows of a pooling: which positions each output reads, one dimension at a time, and where that lies in memory."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from .columns import Array


class Window(NamedTuple):
    """The windows of one dimension: output o reads positions ``o * stride - padding + t * dilation`` for t < kernel.

    With ``kernel == 0`` they are adaptive: output o reads from ``floor(o * size / outputs)`` up to, not including,
    ``ceil((o + 1) * size / outputs)``.
    """

    size: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def trivial(self) -> bool:
        """Whether each output reads just the position of its own number."""
        return self.kernel == 1 and self.stride == 1 and self.padding == 0 and self.size == self.outputs


Windows = tuple[Window, ...]
Taps = tuple[tuple[Any, Any], ...]  # per tap: which outputs have it inside the input, and where they read it


def adaptive_span(window: Window) -> tuple[Array, Array]:
    """First and past-the-last position read by each output of an adaptive window."""
    number = np.arange(window.outputs)
    return number * window.size // window.outputs, -(-(number + 1) * window.size // window.outputs)


def span_taps(start: Array, stop: Array) -> Taps:
    """Taps of windows that begin and end anywhere; index arrays, in which no output occurs twice."""
    taps = []
    for t in range(int((stop - start).max(initial=0))):
        outputs = np.flatnonzero(start + t < stop)
        places = start[outputs] + t
        taps.append((slice(None) if outputs.size == start.size else outputs, places))
    return tuple(taps)


@lru_cache(maxsize=512)
def axis_taps(window: Window) -> Taps:
    """Per tap, the outputs for which it falls inside the input, and the positions they read."""
    if not window.kernel:
        return span_taps(*adaptive_span(window))
    taps = []
    for t in range(window.kernel):
        shift = t * window.dilation - window.padding
        first = max(0, -(shift // window.stride))
        last = min(window.outputs, (window.size - 1 - shift) // window.stride + 1)
        if last <= first:
            taps.append((slice(0, 0), slice(0, 0)))
            continue
        begin = first * window.stride + shift
        taps.append((slice(first, last), slice(begin, begin + (last - first - 1) * window.stride + 1, window.stride)))
    return tuple(taps)


@lru_cache(maxsize=512)
def reverse_taps(window: Window) -> Taps:
    """Taps of the reverse relation of an adaptive window: per position, the outputs that read it."""
    start, stop = adaptive_span(window)
    position = np.arange(window.size)
    return span_taps(np.searchsorted(stop, position, side="right"), np.searchsorted(start, position, side="right"))


def tap_length(outputs: Any, count: int) -> int:
    """How many of `count` numbers a slice or an index array picks."""
    return len(range(*outputs.indices(count))) if isinstance(outputs, slice) else len(outputs)


def _window_index(taps: tuple[tuple[Any, Any], ...]) -> tuple[Any, Any]:
    """Join one tap of every dimension into an index of the output and one of the input."""
    if all(isinstance(o, slice) and isinstance(p, slice) for o, p in taps):
        return (slice(None), *(o for o, _ in taps)), (slice(None), *(p for _, p in taps))
    counts = [len(p) for _, p in taps]
    outputs = [np.arange(n) if isinstance(o, slice) else o for (o, _), n in zip(taps, counts, strict=True)]
    return (slice(None), *np.ix_(*outputs)), (slice(None), *np.ix_(*(p for _, p in taps)))


def _as_indices(taps: Taps, window: Window) -> Taps:
    """The same taps as index arrays."""
    return tuple((np.arange(window.outputs)[o], np.arange(window.size)[p]) for o, p in taps)


@lru_cache(maxsize=256)
def window_taps(windows: Windows) -> tuple[tuple[Any, Any], ...]:
    """All taps of windows of several dimensions, the last dimension's fastest."""
    taps = [axis_taps(w) for w in windows]
    if any(not w.kernel for w in windows):
        taps = [_as_indices(t, w) for t, w in zip(taps, windows, strict=True)]
    return tuple(_window_index(each) for each in product(*taps))


@lru_cache(maxsize=256)
def offsets(windows: Windows) -> tuple[Array, Array]:
    """Per output its window's origin, and per tap its distance from there, as flat positions in the plane."""
    origin, distance = np.zeros((), np.int64), np.zeros((), np.int64)
    for w in windows:
        start = np.arange(w.outputs) * w.stride - w.padding if w.kernel else adaptive_span(w)[0]
        tap = np.arange(len(axis_taps(w))) * w.dilation
        origin = np.add.outer(origin * w.size, start)
        distance = np.add.outer(distance * w.size, tap)
    return origin, distance.ravel()


@lru_cache(maxsize=512)
def everywhere(window: Window) -> bool:
    """Whether every window has a position inside the input; a dilated one may step over a short input."""
    covered = np.zeros(window.outputs, np.bool_)
    for outputs, _ in axis_taps(window):
        covered[outputs] = True
    return bool(covered.all())


@lru_cache(maxsize=256)
def window_sizes(windows: Windows, include_padding: bool) -> Array:
    """How many positions each window of an average has; those of the padding count where they are included.

    Parts of a window beyond the padding, which ``ceil_mode`` makes, never count.
    """
    sizes = np.ones((), np.int64)
    for w in windows:
        if not w.kernel:
            start, stop = adaptive_span(w)
        else:
            start = np.arange(w.outputs) * w.stride - w.padding
            stop = np.minimum(start + w.kernel, w.size + w.padding)
            if not include_padding:
                start, stop = np.maximum(start, 0), np.minimum(stop, w.size)
        sizes = np.multiply.outer(sizes, stop - start)
    sizes.flags.writeable = False
    return sizes.reshape(-1)[0] if sizes.size and sizes.min() == sizes.max() else sizes
