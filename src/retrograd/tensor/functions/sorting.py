"""Order: sort, topk, quantiles, modes, unique elements, bins and searches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import MODE, BaseTensor, apply, wrap
from ...ops import elementwise as e
from ...ops import index as ix
from ...ops import order as od
from ...ops import reduce as r
from ...ops.shape import expand, permute, reshape
from .. import return_types
from ..dispatch import function, labelled, scalar, type_name, wrap_dim
from . import arithmetic, comparing
from .extremes import chosen, share_evenly, take_one
from .reductions import check_input, check_nonempty, constant, literal, renamed, untraceable
from .reductions import sum as _sum
from .shaping import reshaped


def _no_complex(x: Any, name: str) -> None:
    if x._a.dtype.kind == "c":
        raise RuntimeError(f"\"{name}\" not implemented for '{type_name(x._a.dtype)}': complex numbers have no order")


# -- sorting -----------------------------------------------------------------------------------------------------------
def _ordered(input: Any, name: str, kinds: str = "bc") -> None:
    """Raise NotImplementedError for dtypes that have no order here."""
    if input._a.dtype.kind in kinds:
        raise NotImplementedError(f"\"{name}\" not implemented for '{type_name(input._a.dtype)}': convert it first")


@function("sort")
def sort(input: Any, dim: Any = -1, descending: bool = False, stable: bool = False, **named: Any) -> Any:
    """Give (values, indices) in ascending or descending order along a dimension.

    Equal elements keep their order; NaN counts as largest.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([3.0, 1.0, 2.0]).sort().indices
    tensor([1, 2, 0])
    """
    if named:
        return sort(
            **{"input": input, "dim": dim, "descending": descending, "stable": stable, **renamed("sort", named)}
        )
    check_input(input, False, "sort")
    _no_complex(input, "sort")
    axis = wrap_dim(dim, input._a.ndim, "sort")
    indices = apply(od.argsort, input, axis=axis, descending=bool(descending), stable=bool(stable))
    values = apply(ix.gather, input, indices, axis=axis) if input._a.ndim else apply(e.clone, input)
    return chosen(return_types.sort, values, indices)


@function("argsort")
def argsort(input: Any, dim: Any = -1, descending: bool = False, stable: bool = False) -> Any:
    """Give the indices that sort along a dimension."""
    check_input(input, False, "argsort")
    _no_complex(input, "sort")
    axis = wrap_dim(dim, input._a.ndim, "argsort")
    return apply(od.argsort, input, axis=axis, descending=bool(descending), stable=bool(stable))


@function("msort")
def msort(input: Any) -> Any:
    """Sort along the first dimension."""
    return sort(input, 0)[0]


@function("topk")
def topk(input: Any, k: int, dim: Any = -1, largest: bool = True, sorted: bool = True) -> Any:
    """Give (values, indices) of the ``k`` largest or smallest elements along a dimension, in order.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([3.0, 1.0, 2.0]).topk(2).values
    tensor([3., 2.])
    """
    check_input(input, False, "topk")
    _no_complex(input, "topk")
    if input._a.dtype.kind == "b":
        raise RuntimeError("topk does not support bool dtypes on CPU: convert the input to an integer dtype")
    a = input._a
    axis = wrap_dim(dim, a.ndim, "topk")
    k = int(k)
    if not 0 <= k <= (a.shape[axis] if a.ndim else 1):
        raise RuntimeError(
            f"selected index k out of range: topk of {k} among {a.shape[axis] if a.ndim else 1} along dimension {axis}"
        )
    if not a.ndim:
        return return_types.topk(apply(e.clone, input), literal(np.zeros((), np.int64)))
    indices = apply(od.topk_index, input, k=k, axis=axis, largest=bool(largest))
    return chosen(return_types.topk, apply(ix.gather, input, indices, axis=axis), indices)


@function("kthvalue")
def kthvalue(input: Any, k: int, dim: Any = -1, keepdim: bool = False) -> Any:
    """Give (value, index) of the ``k``-th smallest element (from 1) along a dimension.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([3.0, 1.0, 2.0]).kthvalue(2).values
    tensor(2.)
    """
    check_input(input, keepdim, "kthvalue")
    _ordered(input, "kthvalue_cpu")
    a = input._a
    axis = wrap_dim(dim, a.ndim, "kthvalue")
    check_nonempty(a, axis, "kthvalue")
    if not 1 <= k <= (a.shape[axis] if a.ndim else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {axis}: {k} of {list(a.shape)}")
    if not a.ndim:
        return return_types.kthvalue(apply(e.clone, input), literal(np.zeros((), np.int64)))
    return take_one(input, apply(od.kth_index, input, k=int(k) - 1, axis=axis), axis, keepdim, return_types.kthvalue)


# -- middles and modes -------------------------------------------------------------------------------------------------
def _median(name: str, result: Any, op: Any, doc: str) -> Any:
    def fn(input: Any, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:
        if named:
            return fn(**{"input": input, "dim": dim, "keepdim": keepdim, **renamed(name, named)})
        check_input(input, keepdim, name)
        _no_complex(input, name)
        a = input._a
        if a.size:
            _ordered(input, "median_cpu")
        if dim is None:
            if not a.size:
                if a.dtype.kind in "fV":
                    return arithmetic.add(_sum(input), math.nan)
                return wrap(np.array(np.iinfo(a.dtype).min, a.dtype))
            flat = reshaped(input, (a.size,))
            value = take_one(flat, apply(op, flat, axis=0), 0, False, result)[0]
            equal = apply(e.eq, flat, value)
            if MODE.trace is not None and a.dtype.kind in "fV":  # NaN is chosen, though it equals nothing
                equal = apply(e.logical_or, equal, apply(e.logical_and, apply(e.isnan, flat), apply(e.isnan, value)))
            middle = share_evenly(flat, equal, value)
            return labelled(middle, f"{name.capitalize()}Backward0", (input,))
        axis = wrap_dim(dim, a.ndim, name)
        check_nonempty(a, axis, name)
        if not a.ndim:
            return result(apply(e.clone, input), literal(np.zeros((), np.int64)))
        return take_one(input, apply(op, input, axis=axis), axis, keepdim, result)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name)(fn)


median = _median(
    "median",
    return_types.median,
    od.median_index,
    "Give the middle element (the lower of two), of all or as (values, indices) along a dimension; NaN if there "
    "is one.",
)
nanmedian = _median(
    "nanmedian", return_types.nanmedian, od.nanmedian_index, "Give the median of the elements that are not NaN."
)


@function("mode")
def mode(input: Any, dim: Any = -1, keepdim: bool = False) -> Any:
    """Give (values, indices) of the most frequent element along a dimension, the smallest of equally frequent ones.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([2, 1, 2]).mode().values
    tensor(2)
    """
    check_input(input, keepdim, "mode")
    _ordered(input, "mode_cpu", "c")
    a = input._a
    axis = wrap_dim(dim, a.ndim, "mode")
    check_nonempty(a, axis, "mode")
    if not a.ndim:
        return return_types.mode(apply(e.clone, input), literal(np.zeros((), np.int64)))
    return take_one(input, apply(od.mode_index, input, axis=axis), axis, keepdim, return_types.mode)


# -- quantiles ---------------------------------------------------------------------------------------------------------
_WAYS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(input: Any, q: Any, dim: Any, keepdim: bool, interpolation: str, name: str, skip: bool) -> Any:
    check_input(input, keepdim, name)
    if input._a.dtype not in (np.float32, np.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if not isinstance(q, BaseTensor):
        q = literal(np.array(float(q), input._a.dtype))
    if q._a.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q._a.dtype != input._a.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if interpolation not in _WAYS:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}"
        )
    if not input._a.size:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if not ((q._a >= 0) & (q._a <= 1)).all():
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    ndim = input._a.ndim
    axis = None if dim is None else wrap_dim(dim, ndim, name)
    axis = axis if ndim else None  # a number has no dimension to keep
    last = _axis_last(input, axis)
    values = _between(sort(last, -1)[0], q, interpolation, skip)
    rest = (1,) * ndim if axis is None else (*input._a.shape[:axis], 1, *input._a.shape[axis + 1 :])
    shape = rest if keepdim else () if axis is None else (*rest[:axis], *rest[axis + 1 :])
    if not q._a.ndim:
        return apply(reshape, values, shape=shape)
    order = (values._a.ndim - 1, *range(values._a.ndim - 1))
    return reshaped(apply(permute, values, axes=order), (q._a.size, *shape))


def _axis_last(x: Any, axis: int | None) -> Any:
    if axis is None:
        return reshaped(x, (x._a.size,))
    if not x._a.ndim:
        return apply(reshape, x, shape=(1,))
    axes = (*(i for i in range(x._a.ndim) if i != axis), axis)
    return apply(permute, x, axes=axes)


def _between(ordered: Any, q: Any, interpolation: str, skip: bool) -> Any:
    """Interpolate in sorted lines at the ranks q (n - 1); NaN gives NaN, or is left out if ``skip``."""
    n = ordered._a.shape[-1]
    last = (ordered._a.ndim - 1,)
    missing = constant(r.sum_integers, constant(e.isnan, ordered), axis=last, keepdims=True)
    ranks = reshaped(q, (q._a.size,))
    if skip:
        there = constant(e.cast, constant(e.sub, n, missing), dtype=ordered._a.dtype)
        ranks = apply(e.mul, ranks, constant(e.clamp, constant(e.sub, there, 1.0), min=0.0, max=None))
    else:
        ranks = apply(e.where, constant(e.gt, missing, 0), float(n - 1), apply(e.mul, ranks, float(n - 1)))
    if interpolation in _ROUND:
        return _at(ordered, constant(_ROUND[interpolation], ranks))
    floor = constant(e.floor, ranks)
    low, high = _at(ordered, floor), _at(ordered, constant(e.ceil, ranks))
    if interpolation == "midpoint":
        return arithmetic.add(low, arithmetic.mul(arithmetic.sub(high, low), 0.5))
    weight = apply(e.sub, ranks, floor)
    if MODE.trace is None and np.isfinite(low._a).all() and np.isfinite(high._a).all():
        return arithmetic.lerp(low, high, weight)
    # from the nearer end, so that infinity times zero does not arise
    step = arithmetic.sub(high, low)
    upwards = arithmetic.add(low, arithmetic.mul(step, weight))
    downwards = arithmetic.sub(high, arithmetic.mul(step, arithmetic.rsub(weight, 1)))
    return comparing.where(weight < 0.5, upwards, downwards)


_ROUND = {"lower": e.floor, "higher": e.ceil, "nearest": e.round_}


def _at(ordered: Any, ranks: Any) -> Any:
    places = constant(e.cast, ranks, dtype=np.dtype(np.int64))
    shape = (*ordered._a.shape[:-1], ranks._a.shape[-1])
    return apply(ix.gather, ordered, constant(expand, places, shape=shape), axis=ordered._a.ndim - 1)


@function("quantile")
def quantile(input: Any, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear") -> Any:
    """Give the q-quantiles of all elements or along a dimension: the element of rank q (n - 1), interpolated.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([0.0, 1.0, 2.0]).quantile(0.25)
    tensor(0.5000)
    """
    return _quantile(input, q, dim, keepdim, interpolation, "quantile", False)


@function("nanquantile")
def nanquantile(input: Any, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear") -> Any:
    """Give the q-quantiles of the elements that are not NaN."""
    return _quantile(input, q, dim, keepdim, interpolation, "nanquantile", True)


# -- distinct elements -------------------------------------------------------------------------------------------------
def _results(parts: list[Any], return_inverse: bool, return_counts: bool) -> Any:
    kept = [parts[0], *([parts[1]] if return_inverse else []), *([parts[2]] if return_counts else [])]
    found = tuple(wrap(np.asarray(x, order="C")) for x in kept)
    return found[0] if len(found) == 1 else found


@function("unique", out=False)
def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: Any = None
) -> Any:
    """Give the distinct elements, or slices along a dimension, in order.

    On request also where each element went (``return_inverse``), and how many there were (``return_counts``).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([2, 1, 2]).unique()
    tensor([1, 2])
    """
    check_input(input, False, "unique")
    _ordered(input, "unique", "c")
    untraceable("unique", input)
    a = od.comparable(input._a)
    axis = None if dim is None else wrap_dim(dim, a.ndim, "unique")
    values, inverse, counts = np.unique(
        a if a.ndim or axis is None else a.reshape(1),
        return_inverse=True,
        return_counts=True,
        axis=axis,
        equal_nan=False,
    )
    inverse = inverse.reshape(a.shape) if axis is None else inverse.reshape(-1)
    return _results([values.astype(input._a.dtype), inverse, counts], return_inverse, return_counts)


@function("unique_consecutive", out=False)
def unique_consecutive(input: Any, return_inverse: bool = False, return_counts: bool = False, dim: Any = None) -> Any:
    """Give the elements, or slices along a dimension, without those equal to the one before."""
    check_input(input, False, "unique_consecutive")
    _ordered(input, "unique", "c")
    untraceable("unique_consecutive", input)
    a = od.comparable(input._a)
    axis = 0 if dim is None else wrap_dim(dim, a.ndim, "unique_consecutive")
    lines = a.reshape(-1) if dim is None else np.atleast_1d(np.moveaxis(a, axis, 0))
    changed = (lines[1:] != lines[:-1]).any(axis=tuple(range(1, lines.ndim)))
    first = np.concatenate([[True], changed]) if len(lines) else np.zeros(0, np.bool_)
    inverse = np.cumsum(first) - 1
    starts = np.flatnonzero(first)
    counts = np.diff(np.append(starts, len(lines)))
    values = lines[first]
    values = values if dim is None else np.moveaxis(values, 0, axis)
    inverse = inverse.reshape(a.shape) if dim is None else inverse
    return _results([values.astype(input._a.dtype), inverse, counts], return_inverse, return_counts)


# -- bins and searches -------------------------------------------------------------------------------------------------
@function("bincount")
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """Count how often each non-negative integer occurs, or add up the weights of its occurrences.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([0, 2, 2]).bincount()
    tensor([1, 0, 2])
    """
    check_input(input, False, "bincount")
    untraceable("bincount", input)
    a = input._a
    if a.dtype.kind not in "iu":
        raise NotImplementedError(
            f"\"bincount_cpu\" not implemented for '{type_name(a.dtype)}': convert the input to an integer dtype"
        )
    if a.ndim != 1 or (a.size and a.min() < 0):
        found = f"{a.ndim} dimensions" if a.ndim != 1 else f"{a.min()}"
        raise RuntimeError(f"bincount only supports 1-d non-negative integral inputs: got {found}")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is None or not a.size:
        return wrap(np.bincount(a, minlength=minlength).astype(np.int64))
    if weights._a.shape != a.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    total = np.bincount(a, od.comparable(weights._a), minlength)
    return wrap(total.astype(np.float32 if weights._a.dtype == np.float32 else np.float64))


@function("histc")
def histc(input: Any, bins: int = 100, min: Any = 0, max: Any = 0) -> Any:
    """Count the elements in ``bins`` equal intervals from ``min`` to ``max``; equal bounds mean the input's own."""
    check_input(input, False, "histc")
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    if input._a.dtype.kind not in "fV":
        raise NotImplementedError(
            f"\"histogram_cpu\" not implemented for '{type_name(input._a.dtype)}': convert the input to a "
            "floating dtype"
        )
    low, high = float(min), float(max)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"max must be larger than min: histc from {low} to {high}")
    own = low == high
    return apply(od.histogram, input, bins=int(bins), low=None if own else low, high=None if own else high)


@function("searchsorted", method=False)
def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Give where in the sorted last dimension each value would go: before equal ones, or (``right``) after them.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([2, 5]))
    tensor([1, 2])
    """
    if side is not None and side not in ("left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True"
        )
    side = side or ("right" if right else "left")
    if sorter is not None:
        sorted_sequence = apply(ix.gather, sorted_sequence, sorter, axis=sorted_sequence._a.ndim - 1)
    values = input if isinstance(input, BaseTensor) else literal(np.asarray(scalar(input)))
    s, v = sorted_sequence._a, values._a
    for a in (s, v):
        if a.dtype.kind in "bc":
            raise NotImplementedError(f"\"searchsorted_out_cpu\" not implemented for '{type_name(a.dtype)}'")
    if not s.ndim:
        raise RuntimeError(
            f"torch.searchsorted(): boundaries tensor should have positive dimension, but got {list(s.shape)}"
        )
    if s.ndim != 1 and s.shape[:-1] != v.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of "
            "boundaries tensor and "
            f"input value tensor must match, but we got boundaries tensor {list(s.shape)} and input value "
            f"tensor {list(v.shape)}"
        )
    return apply(
        od.searchsorted, sorted_sequence, values, side=side, dtype=np.dtype(np.int32 if out_int32 else np.int64)
    )


@function("bucketize", method=False)
def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """Give the number of the interval, between sorted boundaries, that each value is in."""
    if boundaries._a.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries._a.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@function("isin", method=False)
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Any:
    """Tell which elements are among ``test_elements``."""
    x, y = (v if isinstance(v, BaseTensor) else literal(np.asarray(scalar(v))) for v in (elements, test_elements))
    return apply(od.isin, x, y, invert=bool(invert))
