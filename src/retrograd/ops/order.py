"""Order along an axis: the indices that sort, pick the k-th, the middle or the most frequent; searches and bins."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Op, TensorType
from . import batching, batching_index
from .derive import plain

INT64 = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)


def _argsort(x: Any, *, axis: int, descending: bool, stable: bool = True) -> Any:
    if not x.ndim:
        return np.zeros((), np.int64)
    x = comparable(x)
    n = x.shape[axis]
    if not stable and n > 16:  # short lines keep the order of equal elements, as in torch
        order = np.argsort(x, axis=axis)
        return np.flip(order, axis).copy() if descending else order
    if descending:
        # a stable descending order: sort the reversed line ascending, then reverse
        return n - 1 - np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    return np.argsort(x, axis=axis, kind="stable")


argsort = plain(
    "argsort",
    _argsort,
    type=lambda x, **attrs: TensorType(x.shape, INT64),
    batch=batching.axes,
    samples=({"shapes": ((3, 5),), "attrs": {"axis": 1, "descending": True}},),
)


def _line_index(name: str, pick: Any, **attrs: Any) -> Op:
    """Make an op that gives, for each line along an axis, the index of one of its elements."""
    return plain(
        name,
        pick,
        type=lambda x, *, axis, **_: TensorType((*x.shape[:axis], 1, *x.shape[axis + 1 :]), INT64),
        batch=batching.axes,
        samples=({"shapes": ((3, 5),), "attrs": {"axis": 1, **attrs}},),
    )


def _kth(x: Any, *, k: int, axis: int) -> Any:
    order = np.argpartition(comparable(x), k, axis=axis)
    return order.take([k], axis)


def _median(x: Any, *, axis: int) -> Any:
    found = (
        _kth(x, k=(x.shape[axis] - 1) // 2, axis=axis)
        if x.size
        else np.zeros((*x.shape[:axis], 1, *x.shape[axis + 1 :]), np.int64)
    )
    if x.dtype.kind not in "fV":
        return found
    missing = x != x
    return np.where(missing.any(axis=axis, keepdims=True), missing.argmax(axis=axis, keepdims=True), found)


def _nanmedian(x: Any, *, axis: int) -> Any:
    if x.dtype.kind not in "fV":
        return _median(x, axis=axis)
    there = (x == x).sum(axis=axis, keepdims=True)
    order = np.argsort(comparable(x), axis=axis, kind="stable")
    return np.take_along_axis(order, np.maximum(there - 1, 0) // 2, axis)


def _mode(x: Any, *, axis: int) -> Any:
    """Give the last index of the most frequent element, the smallest of equally frequent ones."""
    lines = np.moveaxis(comparable(x), axis, -1)
    order = np.argsort(lines, axis=-1, kind="stable")
    ordered = np.take_along_axis(lines, order, -1)
    first = np.ones(ordered.shape, np.bool_)
    a, b = ordered[..., 1:], ordered[..., :-1]
    first[..., 1:] = (a != b) & ((a == a) | (b == b))  # one NaN counts as equal to another
    start = np.maximum.accumulate(np.where(first, np.arange(ordered.shape[-1]), 0), axis=-1)
    length = np.arange(ordered.shape[-1]) - start
    best = length.argmax(-1)[..., None]
    return np.moveaxis(np.take_along_axis(order, best, -1), -1, axis)


kth_index = _line_index("kth_index", _kth, k=2)
median_index = _line_index("median_index", _median)
nanmedian_index = _line_index("nanmedian_index", _nanmedian)
mode_index = _line_index("mode_index", _mode)


def _topk(x: Any, *, k: int, axis: int, largest: bool) -> Any:
    """Give the indices of the k largest or smallest, in order; NaN counts as largest."""
    n = x.shape[axis]
    if not k or not x.size:
        return np.zeros((*x.shape[:axis], k, *x.shape[axis + 1 :]), np.int64)
    x = comparable(x)
    if k == n:
        return _argsort(x, axis=axis, descending=largest)
    if k == 1 and not (largest is False and x.dtype.kind in "fV"):
        return (np.argmax if largest else np.argmin)(x, axis=axis, keepdims=True)
    order = np.argpartition(x, n - k if largest else k - 1, axis=axis)
    lead = (slice(None),) * axis
    chosen = np.sort(order[(*lead, slice(n - k, n) if largest else slice(0, k))], axis=axis)
    rank = _argsort(np.take_along_axis(x, chosen, axis), axis=axis, descending=largest)
    return np.take_along_axis(chosen, rank, axis)


topk_index = plain(
    "topk_index",
    _topk,
    type=lambda x, *, k, axis, largest: TensorType((*x.shape[:axis], k, *x.shape[axis + 1 :]), INT64),
    batch=batching.axes,
    samples=({"shapes": ((3, 5),), "attrs": {"k": 2, "axis": 1, "largest": True}},),
)


# -- searches and bins -------------------------------------------------------------------------------------------------
def comparable(a: Any) -> Any:
    """Give an array in a dtype that NumPy's sorts and searches know, NaN last: bfloat16 as float32."""
    return a.astype(np.float32) if a.dtype.kind == "V" else a


def _searchsorted(s: Any, v: Any, *, side: Any, dtype: Any) -> Any:
    s, v = comparable(s), comparable(v)
    if s.ndim == 1:
        return np.asarray(np.searchsorted(s, v, side), dtype)
    rows = [np.searchsorted(x, y, side) for x, y in zip(s.reshape(-1, s.shape[-1]), v.reshape(-1, v.shape[-1]))]
    return np.array(rows, dtype).reshape(v.shape)


searchsorted = plain(
    "searchsorted",
    _searchsorted,
    names=("x", "y"),
    type=lambda x, y, *, side, dtype: TensorType(y.shape, np.dtype(dtype)),
    batch=batching.searchsorted,
    samples=({"shapes": ((5,), (2, 3)), "attrs": {"side": "left", "dtype": INT64}},),
)
isin = plain(
    "isin",
    lambda x, y, *, invert: np.asarray(np.isin(comparable(x), comparable(y), invert=invert)),
    names=("x", "y"),
    type=lambda x, y, *, invert: TensorType(x.shape, BOOL),
    batch=batching.isin,
    samples=({"shapes": ((2, 3), (4,)), "attrs": {"invert": False}},),
)


def _histogram(x: Any, *, bins: int, low: float | None, high: float | None, lines: int = 1) -> Any:
    a = comparable(x).reshape(lines, -1)
    if low is None or high is None:
        ends = (a.min(1), a.max(1)) if a.size else (np.zeros(lines, a.dtype), np.zeros(lines, a.dtype))
        if not (np.isfinite(ends[0]).all() and np.isfinite(ends[1]).all()):
            raise RuntimeError(f"range of [{ends[0].min()}, {ends[1].max()}] is not finite")
    else:
        ends = (np.full(lines, low, a.dtype), np.full(lines, high, a.dtype))
    narrow = ends[0] == ends[1]
    first, last = (
        np.where(narrow, e + step, e).astype(a.dtype)[:, None] for e, step in zip(ends, (-1, 1), strict=True)
    )
    inside = (a >= first) & (a <= last)
    # torch rounds in the values' own dtype
    place = np.minimum(
        (np.where(inside, a - first, 0) * a.dtype.type(bins) / (last - first)).astype(np.int64), bins - 1
    )
    flat = (place + np.arange(lines)[:, None] * bins)[inside]
    found = np.bincount(flat, minlength=lines * bins).astype(x.dtype)
    return found if lines == 1 else found.reshape(lines, bins)


histogram = plain(
    "histc",
    _histogram,
    type=lambda x, *, bins, low, high, lines=1: TensorType((bins,) if lines == 1 else (lines, bins), x.dtype),
    batch=batching.lined,
    samples=({"shapes": ((3, 5),), "attrs": {"bins": 4, "low": -1.0, "high": 1.0}},),
)


def _masked_places(x: Any, y: Any) -> Any:
    """Give for each place the number of places before it where the mask holds, as far as there are sources ``y``."""
    return np.clip(np.cumsum(x.reshape(-1)).reshape(x.shape) - 1, 0, y.size - 1)


masked_places = plain(
    "masked_places",
    _masked_places,
    names=("x", "y"),
    type=lambda x, y: TensorType(x.shape, INT64),
    batch=batching_index.masked_places,
    samples=({"shapes": ((2, 3), (6,)), "dtypes": ("bool", None)},),
)
