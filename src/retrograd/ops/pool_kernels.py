"""Pooling on NumPy arrays: maxima, their places, and sums over windows, in any number of spatial dimensions.

A window is described along one dimension at a time, and every kernel loops over the taps of a window, never over
pixels. Sums and maxima are separable, so they take one pass per tap and dimension, not one per tap of the whole window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .columns import Array, Ints, carve, scratch
from .windows import (
    Taps,
    Window,
    Windows,
    axis_taps,
    everywhere,
    offsets,
    reverse_taps,
    tap_length,
    window_sizes,
    window_taps,
)

CHUNK_BYTES = 4 << 20  # planes taken at a time, so that the passes over them run in the cache


def _at(axis: int, ndim: int, where: Any) -> tuple[Any, ...]:
    """An index that picks `where` along one axis."""
    return (slice(None),) * axis + (where,) + (slice(None),) * (ndim - axis - 1)


def _step(windows: Windows, itemsize: int) -> int:
    """How many planes make a chunk."""
    plane = max(math.prod(w.size for w in windows), math.prod(w.outputs for w in windows)) * itemsize
    return max(1, CHUNK_BYTES // max(plane, 1))


def _flat(x: Array, windows: Windows) -> Array:
    """Merge all dimensions before the windows' into one."""
    spatial = x.shape[x.ndim - len(windows) :]
    return x.reshape(math.prod(x.shape[: x.ndim - len(windows)]), *spatial)


def _reduce(x: Array, window: Window, axis: int, out: Array, ufunc: np.ufunc, identity: Any, taps: Taps) -> None:
    """Reduce one axis over its windows with a commutative ufunc."""
    count = window.outputs
    # taps that every output has come first: the result needs no identity before them
    order = sorted(taps, key=lambda tap: -tap_length(tap[0], count))
    full = sum(tap_length(outputs, count) == count for outputs, _ in order)
    parts = [x[_at(axis, x.ndim, places)] for _, places in order]
    if full > 1:
        ufunc(parts[0], parts[1], out=out)
    else:
        out[...] = parts[0] if full else identity
    for (outputs, _), part in zip(order[min(full, 2) :], parts[min(full, 2) :], strict=True):
        where = _at(axis, x.ndim, outputs)
        if isinstance(outputs, slice):
            ufunc(out[where], part, out=out[where])
        else:
            out[where] = ufunc(out[where], part)


def _by_axis(x: Array, windows: Windows, back: bool, once: Callable[[Array, Window, int, Array], None]) -> Array:
    """Go through the windows' dimensions, a chunk of planes at a time; `back` goes from outputs to inputs."""
    lead = x.shape[: x.ndim - len(windows)]
    spatial = x.shape[x.ndim - len(windows) :]
    flat = x.reshape(math.prod(lead), *spatial)
    sizes = [w.size if back else w.outputs for w in windows]
    out = np.empty((flat.shape[0], *sizes), x.dtype)
    work = [(axis, w) for axis, w in enumerate(windows, 1) if not w.trivial]
    if back:
        work.reverse()
    if not work:
        out[...] = flat
    step = _step(windows, x.itemsize)
    largest = min(step, flat.shape[0]) * math.prod(map(max, zip(sizes, spatial, strict=True))) * x.itemsize
    with scratch.borrow("even", largest) as even, scratch.borrow("odd", largest if len(work) > 2 else 0) as odd:
        for first in range(0, flat.shape[0] if work else 0, step):
            value = flat[first : first + step]
            for turn, (axis, window) in enumerate(work):
                shape = (*value.shape[:axis], sizes[axis - 1], *value.shape[axis + 1 :])
                last = turn == len(work) - 1
                target = out[first : first + step] if last else carve(odd if turn % 2 else even, shape, x.dtype)
                once(value, window, axis, target)
                value = target
    return out.reshape(*lead, *sizes)


def _separable(x: Array, windows: Windows, ufunc: np.ufunc, identity: Any) -> Array:
    """Reduce windows with a commutative ufunc."""

    def once(value: Array, window: Window, axis: int, out: Array) -> None:
        _reduce(value, window, axis, out, ufunc, identity, axis_taps(window))

    return _by_axis(x, windows, False, once)


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


def max_pool_index(x: Array, out: Array, *, windows: Windows) -> Array:
    """Where each window's maximum stands, as a flat position in its plane (torch's ``return_indices``).

    The first of equal values, the last of NaNs, as torch has it. `out` is :func:`max_pool` of `x`.

    >>> x = np.array([[1.0, 3.0, 2.0, 2.0]])
    >>> max_pool_index(x, max_pool(x, windows=(Window(4, 2, 2, 2),)), windows=(Window(4, 2, 2, 2),))
    array([[1, 2]])
    """
    taps = window_taps(windows)
    origin, distance = offsets(windows)
    kind = np.min_scalar_type(len(taps))
    flat, best = _flat(x, windows), _flat(out, windows)
    index = np.empty(best.shape, np.int64)
    step = _step(windows, x.itemsize)
    for first in range(0, flat.shape[0], step):
        part = index[first : first + step]
        found = _first_equal(flat[first : first + step], best[first : first + step], taps, kind)
        distance.take(found, out=part, mode="clip")  # other modes write by way of a copy
        part += origin
    if not all(everywhere(w) for w in windows):
        np.clip(index, 0, math.prod(w.size for w in windows) - 1, out=index)
    return index.reshape(out.shape)


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


@contextmanager
def _global(index: Array, plane: int, dims: int) -> Iterator[Array]:
    """Lend flat positions in the whole array, made from flat positions in planes."""
    lead = index.ndim - dims
    count, pixels = math.prod(index.shape[:lead]), math.prod(index.shape[lead:])
    with scratch.borrow("index", index.size * 8) as buffer:
        where = carve(buffer, (count, pixels), np.dtype(np.int64))
        np.add(index.reshape(count, pixels), (np.arange(count) * plane)[:, None], out=where)
        yield where.reshape(-1)


def pool_gather(x: Array, index: Array, *, dims: int) -> Array:
    """Read flat positions of each plane; a plane is the last `dims` dimensions.

    >>> pool_gather(np.array([[1.0, 3.0, 2.0, 2.0]]), np.array([[1, 2]]), dims=1)
    array([[3., 2.]])
    """
    with _global(index, math.prod(x.shape[x.ndim - dims :]), dims) as where:
        return x.reshape(-1).take(where).reshape(index.shape)


def pool_scatter(g: Array, index: Array, *, size: Ints) -> Array:
    """Add values at flat positions of each plane: the transpose of :func:`pool_gather`; planes have shape `size`.

    >>> pool_scatter(np.array([[5.0, 7.0]]), np.array([[1, 2]]), size=(4,))
    array([[0., 5., 7., 0.]])
    """
    lead = index.shape[: index.ndim - len(size)]
    values = g.reshape(-1)
    if is_narrow(g.dtype):
        values = values.astype(np.float32)
    out = np.zeros(math.prod(lead) * math.prod(size), values.dtype)
    with _global(index, math.prod(size), len(size)) as where:
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
    return _by_axis(g, windows, True, _spread)


def _spread(g: Array, window: Window, axis: int, out: Array) -> None:
    """Along one axis, add each value to the positions of its window."""
    if not window.kernel:
        reverse = Window(window.outputs, window.size, 0)
        _reduce(g, reverse, axis, out, np.add, 0, reverse_taps(window))
        return
    taps = axis_taps(window)
    apart = window.stride >= (window.kernel - 1) * window.dilation + 1
    if not (apart and sum(tap_length(p, window.size) for _, p in taps) == window.size):
        out[...] = 0
    for outputs, places in taps:
        source, target = g[_at(axis, g.ndim, outputs)], out[_at(axis, g.ndim, places)]
        if apart:
            target[...] = source
        else:
            np.add(target, source, out=target)


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
