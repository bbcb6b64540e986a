"""Reading and writing by index tensors and masks: gather, scatter, index_*, masked_*, take and put."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import BaseTensor, apply, at, here, wrap

from ...core import dtypes as _d
from ...ops import elementwise as e
from ...ops import index as ix
from ...ops.shape import expand, reshape, slice_
from ..dispatch import as_dtype, function, scalar, type_name, wrap_dim
from . import pointwise as p
from .indexing import ALL, filled, fitted, places_shape
from .reductions import check_input, constant, wants_grad

_INDEX_TYPES = (np.dtype(np.int64), np.dtype(np.int32))


# -- checks ------------------------------------------------------------------------------------------------------------------
def _check_index(index: Any, name: str, kinds: str = "int32/int64") -> None:
    if not isinstance(index, BaseTensor):
        raise TypeError(f"{name}(): argument 'index' must be Tensor, not {type(index).__name__}")
    if index._a.dtype not in _INDEX_TYPES and index._a.size:
        raise RuntimeError(f"{name}(): Expected dtype {kinds} for index")


def _check_mesh(input: Any, axis: int, index: Any, name: str) -> Any:
    """Check an index of ``gather`` or ``scatter``; give it, or None if it is empty."""
    _check_index(index, name)
    a, i = input._a, index._a
    if not i.size:
        return None
    if max(i.ndim, 1) != max(a.ndim, 1):
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as input tensor: {name} of {list(a.shape)} by {list(i.shape)}{at(here())}"
        )
    if a.ndim and any(n > m for k, (n, m) in enumerate(zip(i.shape, a.shape, strict=True)) if k != axis):
        bad = next(k for k, (n, m) in enumerate(zip(i.shape, a.shape, strict=True)) if k != axis and n > m)
        raise RuntimeError(
            f"Size does not match at dimension {bad} expected index {list(i.shape)} to be no larger than self {list(a.shape)} apart from dimension {axis}"
        )
    _check_range(i, a.shape[axis] if a.ndim else 1, axis, RuntimeError)
    return index


def _check_range(i: Any, n: int, axis: int, kind: type[Exception], negative: bool = False) -> None:
    low, high = int(i.min()), int(i.max())
    if low < (-n if negative else 0) or high >= n:
        raise kind(
            f"index {low if low < (-n if negative else 0) else high} is out of bounds for dimension {axis} with size {n}{at(here())}"
        )


def _number_like(value: Any, x: Any, name: str, argument: str = "value") -> Any:
    """Give a number, or a 0-d Tensor, in the dtype of ``x``."""
    if isinstance(value, BaseTensor):
        if value._a.ndim:
            raise RuntimeError(
                f"{name}_ only supports a 0-dimensional value tensor, but got tensor with {value._a.ndim} dimension(s)."
            )
        return as_dtype(value, x.dtype)
    return wrap(
        filled(value, x._a.dtype, f"{name}(): argument '{argument}' must be Number, not {type(value).__name__}")
    )


# -- gather and scatter --------------------------------------------------------------------------------------------------------
@function("gather")
def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """Give ``input[..., index[...], ...]``: along ``dim`` the index's place, along the others its own."""
    check_input(input, False, "gather")
    axis = wrap_dim(dim, input._a.ndim, "gather")
    if _check_mesh(input, axis, index, "gather") is None:
        return apply(ix.take_axis, apply(reshape, input, shape=(input._a.size,)), as_dtype(index, _d.int64), axis=0)
    return apply(ix.gather, input, index, axis=axis)


def _source(input: Any, axis: int, index: Any, src: Any) -> Any:
    """Give the part of ``src`` that the index names, checked."""
    s, i = src._a, index._a
    if s.dtype != input._a.dtype:
        raise RuntimeError(
            f"scatter(): Expected self.dtype to be equal to src.dtype, got {type_name(input._a.dtype)} and {type_name(s.dtype)}"
        )
    if s.shape == i.shape:
        return src
    if max(s.ndim, 1) != max(i.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    if s.ndim != i.ndim:
        return apply(reshape, src, shape=i.shape)
    if any(n > m for n, m in zip(i.shape, s.shape, strict=True)):
        raise RuntimeError(
            f"Expected index {list(i.shape)} to be no larger than self {list(input._a.shape)} apart from dimension {axis} "
            f"and to be no larger size than src {list(s.shape)}"
        )
    return apply(slice_, src, index=(*(slice(0, n) for n in i.shape), ...))


@function("scatter", inplace=True)
def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Any:
    """Write ``src`` (a Tensor or a number) to the places that ``index`` names along ``dim``; ``reduce`` "add" or "multiply" combines."""
    check_input(input, False, "scatter")
    axis = wrap_dim(dim, input._a.ndim, "scatter")
    src = value if src is None else src
    if reduce is not None and reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    if _check_mesh(input, axis, index, "scatter") is None:
        return apply(e.clone, input)
    if isinstance(src, BaseTensor):
        src = _source(input, axis, index, src)
    else:
        src = apply(expand, _number_like(src, input, "scatter"), shape=index._a.shape)
    if reduce is None:
        return apply(ix.scatter, input, src, index, axis=axis)
    return scatter_reduce(input, axis, index, src, "sum" if reduce == "add" else "prod")


@function("scatter_add", inplace=True)
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """Add ``src`` to the places that ``index`` names along ``dim``; equal places add up."""
    check_input(input, False, "scatter_add")
    axis = wrap_dim(dim, input._a.ndim, "scatter_add")
    if _check_mesh(input, axis, index, "scatter_add") is None:
        return apply(e.clone, input)
    return _plus(input, _added(input, axis, index, _source(input, axis, index, src)))


def _plus(x: Any, y: Any) -> Any:
    return apply(e.logical_or if x._a.dtype.kind == "b" else e.add, x, y)


def _added(like: Any, axis: int, index: Any, src: Any) -> Any:
    return apply(ix.scatter_zeros, src, index, axis=axis, shape=like._a.shape)


@function("scatter_reduce", inplace=True)
def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """Combine ``src`` into the places that ``index`` names: "sum", "prod", "mean", "amax" or "amin", with or without what is there."""
    check_input(input, False, "scatter_reduce")
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    axis = wrap_dim(dim, input._a.ndim, "scatter_reduce")
    if _check_mesh(input, axis, index, "scatter_reduce") is None:
        return apply(e.clone, input)
    src = _source(input, axis, index, src)
    ones = constant(e.cast, wrap(np.broadcast_to(np.ones((), np.int64), src._a.shape)), dtype=np.int64)
    count = constant(ix.scatter_zeros, ones, index, axis=axis, shape=input._a.shape)
    if not include_self and reduce in ("sum", "mean", "prod"):
        input = p.where(count > 0, wrap(np.array(1 if reduce == "prod" else 0, input._a.dtype)), input)
    if reduce in ("sum", "mean"):
        total = _plus(input, _added(input, axis, index, src))
        if reduce == "sum":
            return total
        n = p.clamp(count + 1 if include_self else count, min=1)
        return (
            p.floor_divide(total, as_dtype(n, total.dtype))
            if total._a.dtype.kind in "iu"
            else p.div(total, as_dtype(n, total.dtype))
        )
    if not wants_grad(input, src):
        return apply(ix.scatter_combined, input, src, index, axis=axis, reduce=reduce, include_self=include_self)
    if reduce == "prod":
        return _scatter_product(input, axis, index, src)
    return _scatter_extreme(input, axis, index, src, reduce, include_self, count)


def _scatter_product(input: Any, axis: int, index: Any, src: Any) -> Any:
    """Multiply the sources into their places in rounds, each with at most one source for a place."""
    i = index._a
    flat = (ix.flat_mesh(i, axis, input._a.shape) if i.ndim else i).reshape(-1)
    order = np.argsort(flat, kind="stable")
    run = flat[order]
    starts = np.flatnonzero(np.concatenate([[True], run[1:] != run[:-1]]))
    rank = np.empty(flat.size, np.int64)
    rank[order] = np.arange(flat.size) - np.repeat(starts, np.diff(np.append(starts, flat.size)))
    rank = rank.reshape(i.shape)
    for k in range(int(rank.max()) + 1):
        now = wrap(rank == k)
        factor = _added(input, axis, index, p.where(now, src, 0.0))
        there = constant(ix.scatter_zeros, as_dtype(now, src.dtype), index, axis=axis, shape=input._a.shape)
        input = p.mul(input, p.where(there > 0, factor, 1.0))
    return input


def _scatter_extreme(input: Any, axis: int, index: Any, src: Any, reduce: str, include_self: bool, count: Any) -> Any:
    """Give the extremes so that those of input and sources that equal theirs share the gradient evenly."""
    found = constant(ix.scatter_combined, input, src, index, axis=axis, reduce=reduce, include_self=include_self)
    own = (input == found) if include_self else (input == found) & (count == 0)
    sources = src == apply(ix.gather, found, index, axis=axis)
    zero = wrap(np.zeros((), input._a.dtype))
    total = _plus(p.where(own, input, zero), _added(input, axis, index, p.where(sources, src, zero)))
    winners = constant(
        ix.scatter_zeros, as_dtype(sources, input.dtype), index, axis=axis, shape=input._a.shape
    ) + as_dtype(own, input.dtype)
    share = p.div(total, p.clamp(winners, min=1))
    return p.add(found, p.sub(share, constant(e.clone, share)))


# -- one dimension ---------------------------------------------------------------------------------------------------------------
def _vector(index: Any, name: str) -> Any:
    _check_index(index, name, "int32 or int64")
    if index._a.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector")
    return index if index._a.ndim else apply(reshape, index, shape=(1,))


@function("index_select")
def index_select(input: Any, dim: int, index: Any) -> Any:
    """Give the slices along ``dim`` that a vector of indices names."""
    check_input(input, False, "index_select")
    axis = wrap_dim(dim, input._a.ndim, "index_select")
    index = _vector(index, "index_select")
    if index._a.size:
        low, high, n = int(index._a.min()), int(index._a.max()), input._a.shape[axis] if input._a.ndim else 1
        if low < 0 or high >= n:
            bad = low if low < 0 else high
            kind, text = (RuntimeError, "INDICES element is out of DATA bounds") if axis else (IndexError, "index out of range in self")
            raise kind(f"{text}: index_select of {bad} along dimension {axis}, which has size {n}{at(here())}")
    if not input._a.ndim:
        return apply(e.clone, input)
    return apply(ix.take_axis, input, index, axis=axis)


def _slices(input: Any, dim: int, index: Any, source: Any, name: str) -> tuple[Any, int, Any, Any]:
    check_input(input, False, name)
    axis = wrap_dim(dim, input._a.ndim, name)
    index = _vector(index, f"{name}_")
    a, s = input._a, source._a
    if a.dtype != s.dtype:
        raise RuntimeError(
            f"{name}_(): self ({type_name(a.dtype)}) and source ({type_name(s.dtype)}) must have the same scalar type"
        )
    count = s.shape[axis] if s.ndim else 1
    if index._a.size != count:
        kind = IndexError if name == "index_copy" else RuntimeError
        raise kind(
            f"{name}_(): Number of indices ({index._a.size}) should be equal to source.size(dim): ({count}), for dim: {axis}"
        )
    if a.ndim and (
        s.ndim != a.ndim or any(n != m for k, (n, m) in enumerate(zip(s.shape, a.shape, strict=True)) if k != axis)
    ):
        raise RuntimeError(
            f"source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = {list(a.shape)} source.shape = {list(s.shape)}"
        )
    if index._a.size:
        _check_range(
            index._a, a.shape[axis] if a.ndim else 1, axis, IndexError if name == "index_copy" else RuntimeError
        )
    if not a.ndim:
        input = apply(reshape, input, shape=(1,))
        source = apply(reshape, source, shape=(1,))
    return input, axis, index, source


def _same_shape(r: Any, input: Any) -> Any:
    return r if r._a.ndim == input._a.ndim else apply(reshape, r, shape=input._a.shape)


@function("index_add", inplace=True)
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """Add slices of ``source``, times ``alpha``, to the slices of ``input`` that the indices name."""
    x, axis, index, source = _slices(input, dim, index, source, "index_add")
    if alpha != 1:
        source = p.mul(source, alpha)
    return _same_shape(_plus(x, apply(ix.add_axis, source, index, axis=axis, shape=x._a.shape)), input)


@function("index_copy", inplace=True)
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """Write slices of ``source`` over the slices of ``input`` that the indices name."""
    x, axis, index, source = _slices(input, dim, index, source, "index_copy")
    return _same_shape(apply(ix.put, x, source, index, spec=(*(ALL,) * axis, ix.ARRAY), accumulate=False), input)


@function("index_fill", inplace=True)
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """Write a number over the slices that the indices name."""
    check_input(input, False, "index_fill")
    axis = wrap_dim(dim, input._a.ndim, "index_fill")
    index = _vector(index, "index_fill")
    if isinstance(scalar(value), complex) and input._a.dtype.kind != "c":
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not supported")
    value = _number_like(value, input, "index_fill")
    x = input if input._a.ndim else apply(reshape, input, shape=(1,))
    if index._a.size:
        _check_range(index._a, x._a.shape[axis], axis, IndexError, negative=True)
    shape = (*x._a.shape[:axis], index._a.size, *x._a.shape[axis + 1 :])
    return _same_shape(
        apply(ix.put, x, apply(expand, value, shape=shape), index, spec=(*(ALL,) * axis, ix.ARRAY), accumulate=False),
        input,
    )


@function("index_reduce", inplace=True)
def index_reduce(input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Any:
    """Combine slices of ``source`` into the slices that the indices name: "prod", "mean", "amax" or "amin"."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    x, axis, index, source = _slices(input, dim, index, source, "index_reduce")
    column = apply(reshape, index, shape=(-1,) + (1,) * (x._a.ndim - 1 - axis)) if x._a.ndim > 1 else index
    places = apply(e.clone, apply(expand, column, shape=source._a.shape))
    return _same_shape(scatter_reduce(x, axis, places, source, reduce, include_self=include_self), input)


# -- places in full ---------------------------------------------------------------------------------------------------------------
@function("index_put", inplace=True)
def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """Write (or add) ``values`` to ``input[indices]``, a tuple of index tensors and masks."""
    check_input(input, False, "index_put")
    arrays = []
    for k, i in enumerate(indices):
        if not isinstance(i, BaseTensor):
            raise TypeError(f"expected Tensor as element {k} in argument 0, but got {type(i).__name__}")
        if i._a.dtype.kind not in "b" and i._a.dtype not in _INDEX_TYPES:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        arrays.append(i)
    if values._a.dtype != input._a.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {type_name(input._a.dtype)} for the destination and {type_name(values._a.dtype)} for the source."
        )
    from .indexing import explained

    spec = (ix.ARRAY,) * len(arrays)
    try:
        shape = places_shape(input._a.shape, spec, arrays)
        return apply(
            ix.indexing(len(arrays)).put,
            input,
            fitted(values, shape, input._a.dtype),
            *arrays,
            spec=spec,
            accumulate=bool(accumulate),
        )
    except IndexError as error:
        raise explained(error, input) from None


@function("_unsafe_index_put", method=False)
def _unsafe_index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """Write as ``index_put`` does."""
    return index_put(input, indices, values, accumulate)


@function("take")
def take(input: Any, index: Any) -> Any:
    """Give the elements of the flattened input that the indices name, in the shape of the index."""
    check_input(input, False, "take")
    _check_index(index, "take", "int64")
    _check_flat(index, input._a.size)
    return apply(ix.take_axis, apply(reshape, input, shape=(input._a.size,)), index, axis=0)


def _check_flat(index: Any, n: int) -> None:
    i = index._a
    if i.size and (int(i.min()) < -n or int(i.max()) >= n):
        bad = int(i.max()) if int(i.max()) >= n else int(i.min())
        raise IndexError(f"out of range: tried to access index {bad} on a tensor of {n} elements.{at(here())}")


@function("put", inplace=True)
def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """Write (or add) ``source`` to the places of the flattened input that the indices name."""
    check_input(input, False, "put")
    _check_index(index, "put_", "int64")
    if index._a.size != source._a.size:
        raise IndexError(
            f"put_(): Expected source and index to have the same number of elements, but got source.numel() = {source._a.size}, index.numel() = {index._a.size}"
        )
    if input._a.dtype != source._a.dtype:
        raise RuntimeError(
            f"put_(): self ({type_name(input._a.dtype)}) and source ({type_name(source._a.dtype)}) must have the same scalar type"
        )
    _check_flat(index, input._a.size)
    x = apply(reshape, input, shape=(input._a.size,))
    n = index._a.size
    flat = apply(
        ix.put,
        x,
        apply(reshape, source, shape=(n,)),
        apply(reshape, index, shape=(n,)),
        spec=(ix.ARRAY,),
        accumulate=bool(accumulate),
    )
    return apply(reshape, flat, shape=input._a.shape)


@function("take_along_dim")
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """Give ``gather`` of input and indices broadcast against each other along the other dimensions; flattened without ``dim``."""
    check_input(input, False, "take_along_dim")
    if dim is None:
        return gather(
            apply(reshape, input, shape=(input._a.size,)), 0, apply(reshape, indices, shape=(indices._a.size,))
        )
    a, i = input._a, indices._a
    if a.ndim != i.ndim:
        raise RuntimeError(
            f"torch.take_along_dim(): input and indices should have the same number of dimensions, but got {a.ndim} dimensions for input, and {i.ndim} dimensions for indices"
        )
    axis = wrap_dim(dim, a.ndim, "take_along_dim")
    shape = np.broadcast_shapes((*a.shape[:axis], 1, *a.shape[axis + 1 :]), (*i.shape[:axis], 1, *i.shape[axis + 1 :]))
    x = apply(expand, input, shape=(*shape[:axis], a.shape[axis], *shape[axis + 1 :]))
    return gather(x, axis, apply(expand, indices, shape=(*shape[:axis], i.shape[axis], *shape[axis + 1 :])))


# -- masks -----------------------------------------------------------------------------------------------------------------------
@function("masked_fill", inplace=True)
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """Write a number where the mask holds."""
    check_input(input, False, "masked_fill")
    if mask._a.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}: compare it first, such as mask != 0"
        )
    if value.__class__ is float and input._a.dtype.kind == "f" and (math.isinf(value) or abs(value) < 60000):
        return apply(e.where, mask, value, input)
    return apply(e.where, mask, _number_like(value, input, "masked_fill"), input)


@function("masked_select")
def masked_select(input: Any, mask: Any) -> Any:
    """Give the elements where the mask holds, in one dimension."""
    check_input(input, False, "masked_select")
    if mask._a.dtype.kind != "b":
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = np.broadcast_shapes(input._a.shape, mask._a.shape)
    x = input if input._a.shape == shape else apply(expand, input, shape=shape)
    m = mask if mask._a.shape == shape else apply(expand, mask, shape=shape)
    if not shape:
        x, m = apply(reshape, x, shape=(1,)), apply(reshape, m, shape=(1,))
    return apply(ix.index, x, m, spec=(ix.ARRAY,))


@function("masked_scatter", inplace=True)
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """Write the elements of ``source``, in order, where the mask holds."""
    check_input(input, False, "masked_scatter")
    if mask._a.dtype.kind != "b":
        raise RuntimeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if input._a.dtype != source._a.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got {type_name(input._a.dtype)} and {type_name(source._a.dtype)}"
        )
    shape = np.broadcast_shapes(input._a.shape, mask._a.shape)
    m = np.broadcast_to(mask._a, shape)
    if np.count_nonzero(m) > source._a.size:
        raise RuntimeError("Number of elements of source < number of ones in mask")
    if not source._a.size:
        return apply(e.clone, input)
    order = np.clip(np.cumsum(m.reshape(-1)).reshape(shape) - 1, 0, source._a.size - 1)
    values = apply(ix.take_axis, apply(reshape, source, shape=(source._a.size,)), wrap(order), axis=0)
    return apply(e.where, mask, values, input)


# -- where things are ------------------------------------------------------------------------------------------------------------
@function("nonzero")
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """Give the indices of the elements that are not zero: one row each, or (``as_tuple``) one Tensor per dimension."""
    check_input(input, False, "nonzero")
    a = input._a
    found = np.nonzero(np.atleast_1d(a) if a.dtype.kind != "V" else np.atleast_1d(a) != 0)
    if as_tuple:
        return tuple(wrap(i) for i in found)
    return wrap(np.stack(found, 1) if a.ndim else np.zeros((len(found[0]), 0), np.int64))


@function("argwhere")
def argwhere(input: Any) -> Any:
    """Give the indices of the elements that are not zero, one row each."""
    return nonzero(input)
