"""Pooling on NumPy arrays: maxima, their places, and sums over windows, in any number of spatial dimensions.

A window is described along one dimension at a time, and every kernel loops over the taps of a window, never over
pixels. Sums and maxima are separable, so they take one pass per tap and dimension, not one per tap of the whole window.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Ints = tuple[int, ...]

CHUNK_BYTES = 4 << 20  # planes taken at a time, so that the passes over them run in the cache


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


def _adaptive_span(window: Window) -> tuple[Array, Array]:
    """First and past-the-last position read by each output of an adaptive window."""
    number = np.arange(window.outputs)
    return number * window.size // window.outputs, -(-(number + 1) * window.size // window.outputs)


def _span_taps(start: Array, stop: Array) -> Taps:
    """Taps of windows that begin and end anywhere; index arrays, in which no output occurs twice."""
    taps = []
    for t in range(int((stop - start).max(initial=0))):
        outputs = np.flatnonzero(start + t < stop)
        places = start[outputs] + t
        taps.append((slice(None) if outputs.size == start.size else outputs, places))
    return tuple(taps)


@lru_cache(maxsize=512)
def _taps(window: Window) -> Taps:
    """Per tap, the outputs for which it falls inside the input, and the positions they read."""
    if not window.kernel:
        return _span_taps(*_adaptive_span(window))
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
def _reverse_taps(window: Window) -> Taps:
    """Taps of the reverse relation of an adaptive window: per position, the outputs that read it."""
    start, stop = _adaptive_span(window)
    position = np.arange(window.size)
    return _span_taps(np.searchsorted(stop, position, side="right"), np.searchsorted(start, position, side="right"))


def _at(axis: int, ndim: int, where: Any) -> tuple[Any, ...]:
    """An index that picks `where` along one axis."""
    return (slice(None),) * axis + (where,) + (slice(None),) * (ndim - axis - 1)


def _planes(shape: Ints, windows: Windows, itemsize: int) -> Iterator[slice]:
    """Cut the leading (flattened) dimension into chunks."""
    plane = max(math.prod(w.size for w in windows), math.prod(w.outputs for w in windows)) * itemsize
    step = max(1, CHUNK_BYTES // max(plane, 1))
    for first in range(0, shape[0], step):
        yield slice(first, first + step)


def _flat(x: Array, windows: Windows) -> Array:
    """Merge all dimensions before the windows' into one."""
    spatial = x.shape[x.ndim - len(windows) :]
    return x.reshape(math.prod(x.shape[: x.ndim - len(windows)]), *spatial)


def _reduce(
    x: Array, axis: int, window: Window, ufunc: np.ufunc, identity: Any, taps: Taps, out: Array | None
) -> Array:
    """Reduce one axis over its windows with a commutative ufunc."""
    count = window.outputs
    if out is None:
        out = np.empty((*x.shape[:axis], count, *x.shape[axis + 1 :]), x.dtype)
    begun = False
    order = sorted(
        taps, key=lambda tap: -_length(tap[0], count)
    )  # a tap that every output has needs no identity before it
    for outputs, places in order:
        source = x[_at(axis, x.ndim, places)]
        if not begun:
            begun = True
            if _length(outputs, count) == count:
                out[...] = source
                continue
            out[...] = identity
        if isinstance(outputs, slice):
            target = out[_at(axis, x.ndim, outputs)]
            ufunc(target, source, out=target)
        else:
            where = _at(axis, x.ndim, outputs)
            out[where] = ufunc(out[where], source)
    if not begun:
        out[...] = identity
    return out


def _length(outputs: Any, count: int) -> int:
    return len(range(*outputs.indices(count))) if isinstance(outputs, slice) else len(outputs)


def _separable(x: Array, windows: Windows, ufunc: np.ufunc, identity: Any) -> Array:
    """Reduce windows of all their dimensions, a chunk of planes and a dimension at a time."""
    lead = x.shape[: x.ndim - len(windows)]
    flat = _flat(x, windows)
    out = np.empty((flat.shape[0], *(w.outputs for w in windows)), x.dtype)
    work = [(axis, w) for axis, w in enumerate(windows, 1) if not w.trivial]
    if not work:
        out[...] = flat
    else:
        for planes in _planes(flat.shape, windows, x.itemsize):
            value = flat[planes]
            for axis, window in work:
                last = out[planes] if axis == work[-1][0] else None
                value = _reduce(value, axis, window, ufunc, identity, _taps(window), last)
    return out.reshape(*lead, *out.shape[1:])


def is_narrow(dtype: np.dtype[Any]) -> bool:
    """Whether sums of this dtype are kept in float32: the 16-bit floats."""
    return dtype.kind not in "iufcb" or (dtype.kind == "f" and dtype.itemsize < 4)


def _lowest(dtype: np.dtype[Any]) -> Any:
    return np.iinfo(dtype).min if dtype.kind in "iu" else -math.inf


def max_pool(x: Array, *, windows: Windows) -> Array:
    """The maximum of each window of the last dimensions; NaN where a window holds one.

    >>> max_pool(np.array([[1.0, 3.0, 2.0, 0.0]]), windows=(Window(4, 2, 2, 2),))
    array([[3., 2.]])
    """
    return _separable(x, windows, np.maximum, _lowest(x.dtype))


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
def _window_taps(windows: Windows) -> tuple[tuple[Any, Any], ...]:
    """All taps of windows of several dimensions, the last dimension's fastest."""
    taps = [_taps(w) for w in windows]
    if any(not w.kernel for w in windows):
        taps = [_as_indices(t, w) for t, w in zip(taps, windows, strict=True)]
    return tuple(_window_index(each) for each in product(*taps))


@lru_cache(maxsize=256)
def _offsets(windows: Windows) -> tuple[Array, Array]:
    """Per output its window's origin, and per tap its distance from there, as flat positions in the plane."""
    origin, distance = np.zeros((), np.int64), np.zeros((), np.int64)
    for w in windows:
        start = np.arange(w.outputs) * w.stride - w.padding if w.kernel else _adaptive_span(w)[0]
        tap = np.arange(len(_taps(w))) * w.dilation
        origin = np.add.outer(origin * w.size, start)
        distance = np.add.outer(distance * w.size, tap)
    return origin, distance.ravel()


def max_pool_index(x: Array, out: Array, *, windows: Windows) -> Array:
    """Where each window's maximum stands, as a flat position in its plane (torch's ``return_indices``).

    The first of equal values, the last of NaNs, as torch has it. `out` is :func:`max_pool` of `x`.

    >>> x = np.array([[1.0, 3.0, 2.0, 2.0]])
    >>> max_pool_index(x, max_pool(x, windows=(Window(4, 2, 2, 2),)), windows=(Window(4, 2, 2, 2),))
    array([[1, 2]])
    """
    taps = _window_taps(windows)
    origin, distance = _offsets(windows)
    kind = np.min_scalar_type(len(taps))
    flat, best = _flat(x, windows), _flat(out, windows)
    index = np.empty(best.shape, np.int64)
    for planes in _planes(flat.shape, windows, x.itemsize):
        found = _first_equal(flat[planes], best[planes], taps, kind)
        np.add(distance.take(found), origin, out=index[planes])
    if not all(_everywhere(w) for w in windows):
        np.clip(index, 0, math.prod(w.size for w in windows) - 1, out=index)
    return index.reshape(out.shape)


@lru_cache(maxsize=512)
def _everywhere(window: Window) -> bool:
    """Whether every window has a position inside the input; a dilated one may step over a short input."""
    covered = np.zeros(window.outputs, np.bool_)
    for outputs, _ in _taps(window):
        covered[outputs] = True
    return bool(covered.all())


def _first_equal(x: Array, best: Array, taps: Any, kind: np.dtype[Any]) -> Array:
    """The number of the first tap that holds the best value: how many in a row did not, from the first on."""
    pending = np.ones(best.shape, np.bool_)
    number = np.zeros(best.shape, kind)
    for outputs, places in taps[:-1]:
        pending[outputs] &= x[places] != best[outputs]
        number += pending
    if x.dtype.kind not in "iu" and (best != best).any():
        for tap, (outputs, places) in enumerate(taps):
            number[outputs] = np.where(np.isnan(x[places]), kind.type(tap), number[outputs])
    return number


def _global(index: Array, plane: int, dims: int) -> Array:
    """Flat positions in the whole array from flat positions in planes."""
    lead = index.ndim - dims
    count = math.prod(index.shape[:lead])
    return index.reshape(count, math.prod(index.shape[lead:])) + (np.arange(count) * plane)[:, None]


def pool_gather(x: Array, index: Array, *, dims: int) -> Array:
    """Read flat positions of each plane; a plane is the last `dims` dimensions.

    >>> pool_gather(np.array([[1.0, 3.0, 2.0, 2.0]]), np.array([[1, 2]]), dims=1)
    array([[3., 2.]])
    """
    where = _global(index, math.prod(x.shape[x.ndim - dims :]), dims)
    return x.reshape(-1).take(where).reshape(index.shape)


def pool_scatter(g: Array, index: Array, *, size: Ints) -> Array:
    """Add values at flat positions of each plane: the transpose of :func:`pool_gather`; planes have shape `size`.

    >>> pool_scatter(np.array([[5.0, 7.0]]), np.array([[1, 2]]), size=(4,))
    array([[0., 5., 7., 0.]])
    """
    lead = index.shape[: index.ndim - len(size)]
    where = _global(index, math.prod(size), len(size)).reshape(-1)
    values = g.reshape(-1)
    if is_narrow(g.dtype):
        values = values.astype(np.float32)
    out = np.zeros(math.prod(lead) * math.prod(size), values.dtype)
    np.add.at(out, where, values)
    return out.astype(g.dtype, copy=False).reshape(*lead, *size)


def window_sum(x: Array, *, windows: Windows) -> Array:
    """The sum of each window of the last dimensions.

    >>> window_sum(np.array([[1.0, 3.0, 2.0, 0.0]]), windows=(Window(4, 3, 2),))
    array([[4., 5., 2.]])
    """
    if is_narrow(x.dtype):
        return _separable(x.astype(np.float32), windows, np.add, 0).astype(x.dtype)
    return _separable(x, windows, np.add, 0)


def window_spread(g: Array, *, windows: Windows) -> Array:
    """Add each value to all positions of its window: the transpose of :func:`window_sum`.

    >>> window_spread(np.array([[4.0, 5.0, 2.0]]), windows=(Window(4, 3, 2),))
    array([[4., 9., 7., 2.]])
    """
    if is_narrow(g.dtype):
        return window_spread(g.astype(np.float32), windows=windows).astype(g.dtype)
    lead = g.shape[: g.ndim - len(windows)]
    flat = _flat(g, windows)
    out = np.empty((flat.shape[0], *(w.size for w in windows)), g.dtype)
    work = [(axis, w) for axis, w in enumerate(windows, 1) if not w.trivial]
    if not work:
        out[...] = flat
    else:
        for planes in _planes(flat.shape, windows, g.itemsize):
            value = flat[planes]
            for axis, window in reversed(work):
                value = _spread(value, axis, window, out[planes] if axis == work[0][0] else None)
    return out.reshape(*lead, *out.shape[1:])


def _spread(g: Array, axis: int, window: Window, out: Array | None) -> Array:
    """Undo :func:`_reduce` of a sum: along one axis, add each value to the positions of its window."""
    if not window.kernel:
        reverse = Window(window.outputs, window.size, 0)
        return _reduce(g, axis, reverse, np.add, 0, _reverse_taps(window), out)
    if out is None:
        out = np.empty((*g.shape[:axis], window.size, *g.shape[axis + 1 :]), g.dtype)
    taps = _taps(window)
    apart = window.stride >= (window.kernel - 1) * window.dilation + 1
    if not (apart and sum(_length(p, window.size) for _, p in taps) == window.size):
        out[...] = 0
    for outputs, places in taps:
        source, target = g[_at(axis, g.ndim, outputs)], out[_at(axis, g.ndim, places)]
        if apart:
            target[...] = source
        else:
            np.add(target, source, out=target)
    return out


@lru_cache(maxsize=256)
def window_sizes(windows: Windows, include_padding: bool) -> Array:
    """How many positions each window of an average has; those of the padding count where they are included.

    Parts of a window beyond the padding, which ``ceil_mode`` makes, never count.
    """
    sizes = np.ones((), np.int64)
    for w in windows:
        if not w.kernel:
            start, stop = _adaptive_span(w)
        else:
            start = np.arange(w.outputs) * w.stride - w.padding
            stop = np.minimum(start + w.kernel, w.size + w.padding)
            if not include_padding:
                start, stop = np.maximum(start, 0), np.minimum(stop, w.size)
        sizes = np.multiply.outer(sizes, stop - start)
    sizes.flags.writeable = False
    return sizes.reshape(-1)[0] if sizes.size and sizes.min() == sizes.max() else sizes


def _divide(x: Array, divisor: Any) -> Array:
    """Divide, whole numbers towards zero as torch does."""
    quotient: Array = np.divide(x, np.asarray(divisor, None if x.dtype.kind in "iu" else x.real.dtype))
    return quotient if x.dtype.kind not in "iu" else np.trunc(quotient).astype(x.dtype)


def avg_pool(x: Array, *, windows: Windows, include_padding: bool, divisor: int | None) -> Array:
    """The mean of each window of the last dimensions: its sum over `divisor`, or over its size.

    >>> avg_pool(
    ...     np.array([[1.0, 3.0, 2.0, 0.0]]),
    ...     windows=(Window(4, 2, 2, 2),),
    ...     include_padding=True,
    ...     divisor=None,
    ... )
    array([[2., 1.]])
    """
    if is_narrow(x.dtype):
        wide = x.astype(np.float32)
        return avg_pool(wide, windows=windows, include_padding=include_padding, divisor=divisor).astype(x.dtype)
    total = window_sum(x, windows=windows)
    return _divide(total, divisor if divisor is not None else window_sizes(windows, include_padding))


def avg_pool_grad(g: Array, *, windows: Windows, include_padding: bool, divisor: int | None) -> Array:
    """Share each value among the positions of its window: the transpose of :func:`avg_pool`.

    >>> avg_pool_grad(
    ...     np.array([[2.0, 4.0]]), windows=(Window(4, 2, 2, 2),), include_padding=True, divisor=None
    ... )
    array([[1., 1., 2., 2.]])
    """
    if is_narrow(g.dtype):
        wide = g.astype(np.float32)
        return avg_pool_grad(wide, windows=windows, include_padding=include_padding, divisor=divisor).astype(g.dtype)
    share = _divide(g, divisor if divisor is not None else window_sizes(windows, include_padding))
    return window_spread(share, windows=windows)
