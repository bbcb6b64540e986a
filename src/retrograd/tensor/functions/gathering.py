"""Reading and writing along one dimension by index tensors: gather, scatter, index_select, index_add and their like."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import MODE, VIEW_WRITE, BaseTensor, TensorType, apply, at, here, show_type, wrap
from ...core import dtypes as _d
from ...ops import assemble
from ...ops import elementwise as e
from ...ops import index as ix
from ...ops.shape import diagonal, expand, reshape, slice_
from ..dispatch import as_dtype, function, labelled, scalar, type_name, wrap_dim
from . import arithmetic, comparing
from .indexing import ALL, filled
from .reductions import check_input, constant, literal, untraceable, wants_grad
from .shaping import reshaped

INDEX_TYPES = (np.dtype(np.int64), np.dtype(np.int32))


# -- checks ------------------------------------------------------------------------------------------------------------
def check_index(index: Any, name: str, kinds: str = "int32/int64") -> None:
    """Raise unless an index is an integer Tensor."""
    if not isinstance(index, BaseTensor):
        raise TypeError(f"{name}(): argument 'index' must be Tensor, not {type(index).__name__}")
    if index._a.dtype not in INDEX_TYPES and index._a.size:
        raise RuntimeError(f"{name}(): Expected dtype {kinds} for index, got {show_type(index)}")


def _check_mesh(input: Any, axis: int, index: Any, name: str) -> Any:
    """Check an index of ``gather`` or ``scatter``; give it, or None if it is empty."""
    check_index(index, name)
    a, i = input._a, index._a
    if not i.size:
        return None
    if max(i.ndim, 1) != max(a.ndim, 1):
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as input tensor: {name} of {list(a.shape)} "
            f"by {list(i.shape)}{at(here())}"
        )
    if a.ndim and i.ndim and any(n > m for k, (n, m) in enumerate(zip(i.shape, a.shape, strict=True)) if k != axis):
        bad = next(k for k, (n, m) in enumerate(zip(i.shape, a.shape, strict=True)) if k != axis and n > m)
        raise RuntimeError(
            f"Size does not match at dimension {bad} expected index {list(i.shape)} to be no larger than self "
            f"{list(a.shape)} apart from dimension {axis}: {name}{at(here())}"
        )
    if getattr(MODE.trace, "compiling", False):
        return apply(assemble.check_index, index, size=a.shape[axis] if a.ndim else 1, low=0)
    if MODE.trace is None:
        _check_range(i, a.shape[axis] if a.ndim else 1, axis, RuntimeError)
    return index


def _check_range(i: Any, n: int, axis: int, kind: type[Exception], negative: bool = False) -> None:
    low, high = int(i.min()), int(i.max())
    if low < (-n if negative else 0) or high >= n:
        raise kind(
            f"index {low if low < (-n if negative else 0) else high} is out of bounds for dimension {axis} with "
            f"size {n}{at(here())}"
        )


def number_like(value: Any, x: Any, name: str, argument: str = "value", on_axis: bool = False) -> Any:
    """Give a number, or a 0-d Tensor, in the dtype of ``x``; ``on_axis`` allows a complex one that lies on the real axis."""
    if isinstance(value, BaseTensor):
        if value._a.ndim:
            raise RuntimeError(
                f"{name}_ only supports a 0-dimensional value tensor, but got tensor with {value._a.ndim} dimension(s)."
            )
        if value._a.dtype.kind == "c" and x._a.dtype.kind != "c" and not (on_axis and value._a.imag == 0):
            raise RuntimeError(
                f"value cannot be converted to type {x.dtype} without overflow: {name} of a complex number"
            )
        return as_dtype(value, x.dtype)
    return literal(
        filled(value, x._a.dtype, f"{name}(): argument '{argument}' must be Number, not {type(value).__name__}")
    )


# -- gather and scatter ------------------------------------------------------------------------------------------------
@function("gather")
def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """Give ``input[..., index[...], ...]``: along ``dim`` the index's place, along the others its own.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([[1, 2], [3, 4]]).gather(1, torch.tensor([[1], [0]]))
    tensor([[2],
            [3]])
    """
    check_input(input, False, "gather")
    axis = wrap_dim(dim, input._a.ndim, "gather")
    places = _check_mesh(input, axis, index, "gather")
    if places is None:
        return apply(ix.take_axis, reshaped(input, (input._a.size,)), as_dtype(index, _d.int64), axis=0)
    return apply(ix.gather, input, places, axis=axis)


def _source(input: Any, axis: int, index: Any, src: Any) -> Any:
    """Give the part of ``src`` that the index names, checked."""
    s, i = src._a, index._a
    if s.dtype != input._a.dtype:
        raise RuntimeError(
            f"scatter(): Expected self.dtype to be equal to src.dtype, got {type_name(input._a.dtype)} and "
            f"{type_name(s.dtype)}: {show_type(input)} and {show_type(src)}"
        )
    if s.shape == i.shape:
        return src
    if max(s.ndim, 1) != max(i.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    if s.ndim != i.ndim:
        return apply(reshape, src, shape=i.shape)
    if any(n > m for n, m in zip(i.shape, s.shape, strict=True)):
        raise RuntimeError(
            f"Expected index {list(i.shape)} to be no larger than self {list(input._a.shape)} apart from "
            f"dimension {axis} "
            f"and to be no larger size than src {list(s.shape)}"
        )
    return apply(slice_, src, index=(*(slice(0, n) for n in i.shape), ...))


@function("scatter", inplace=True)
def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Any:
    """Write ``src``, a Tensor or a number, to the places that ``index`` names along ``dim``.

    ``reduce``, "add" or "multiply", combines it with what is there.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.zeros(2, 2).scatter(1, torch.tensor([[1], [0]]), 5.0)
    tensor([[0., 5.],
            [5., 0.]])
    """
    check_input(input, False, "scatter")
    axis = wrap_dim(dim, input._a.ndim, "scatter")
    src = value if src is None else src
    if reduce is not None and reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    places = _check_mesh(input, axis, index, "scatter")
    if places is None:
        return apply(e.clone, input)
    index = places
    number = not isinstance(src, BaseTensor)
    if number:
        src = apply(expand, number_like(src, input, "scatter"), shape=index._a.shape)
    else:
        src = _source(input, axis, index, src)
    if reduce is None:
        written = apply(ix.scatter, input, src, index, axis=axis)
        return labelled(written, "ScatterBackward1") if number else written
    return scatter_reduce(input, axis, index, src, "sum" if reduce == "add" else "prod")


@function("scatter_add", inplace=True)
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """Add ``src`` to the places that ``index`` names along ``dim``; equal places add up.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.zeros(3).scatter_add(0, torch.tensor([0, 0, 2]), torch.ones(3))
    tensor([2., 0., 1.])
    """
    check_input(input, False, "scatter_add")
    axis = wrap_dim(dim, input._a.ndim, "scatter_add")
    places = _check_mesh(input, axis, index, "scatter_add")
    if places is None:
        return apply(e.clone, input)
    index = places
    return _plus(input, _added(input, axis, index, _source(input, axis, index, src)))


def _plus(x: Any, y: Any) -> Any:
    return apply(e.logical_or if x._a.dtype.kind == "b" else e.add, x, y)


def _added(like: Any, axis: int, index: Any, src: Any) -> Any:
    return apply(ix.scatter_zeros, src, index, axis=axis, shape=like._a.shape)


@function("scatter_reduce", inplace=True)
def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """Combine ``src`` into the places that ``index`` names along ``dim``.

    ``reduce`` is "sum", "prod", "mean", "amax" or "amin"; ``include_self`` counts what is there.
    """
    check_input(input, False, "scatter_reduce")
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    axis = wrap_dim(dim, input._a.ndim, "scatter_reduce")
    places = _check_mesh(input, axis, index, "scatter_reduce")
    if places is None:
        return apply(e.clone, input)
    index = places
    src = _source(input, axis, index, src)
    ones = constant(e.cast, literal(np.broadcast_to(np.ones((), np.int64), src._a.shape)), dtype=np.int64)
    count = constant(ix.scatter_zeros, ones, index, axis=axis, shape=input._a.shape)
    if not include_self and reduce in ("sum", "mean", "prod"):
        input = comparing.where(count > 0, literal(np.array(1 if reduce == "prod" else 0, input._a.dtype)), input)
    if reduce in ("sum", "mean"):
        total = _plus(input, _added(input, axis, index, src))
        if reduce == "sum":
            return total
        n = comparing.clamp(count + 1 if include_self else count, min=1)
        return (
            arithmetic.floor_divide(total, as_dtype(n, total.dtype))
            if total._a.dtype.kind in "iu"
            else arithmetic.div(total, as_dtype(n, total.dtype))
        )
    derived = input.requires_grad or src.requires_grad or MODE.dual is not None
    if not wants_grad(input, src) or (reduce == "prod" and not derived):
        return apply(ix.scatter_combined, input, src, index, axis=axis, reduce=reduce, include_self=include_self)
    if reduce == "prod":
        return _scatter_product(input, axis, index, src)
    return _scatter_extreme(input, axis, index, src, reduce, include_self, count)


def _scatter_product(input: Any, axis: int, index: Any, src: Any) -> Any:
    """Multiply the sources into their places in rounds, each with at most one source for a place."""
    untraceable("scatter_reduce with reduce='prod' and a gradient", index)
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
        factor = _added(input, axis, index, comparing.where(now, src, 0.0))
        there = constant(ix.scatter_zeros, as_dtype(now, src.dtype), index, axis=axis, shape=input._a.shape)
        input = arithmetic.mul(input, comparing.where(there > 0, factor, 1.0))
    return input


def _scatter_extreme(input: Any, axis: int, index: Any, src: Any, reduce: str, include_self: bool, count: Any) -> Any:
    """Give the extremes so that those of input and sources that equal theirs share the gradient evenly."""
    found = constant(ix.scatter_combined, input, src, index, axis=axis, reduce=reduce, include_self=include_self)
    own = (input == found) if include_self else (input == found) & (count == 0)
    sources = src == apply(ix.gather, found, index, axis=axis)
    zero = literal(np.zeros((), input._a.dtype))
    total = _plus(comparing.where(own, input, zero), _added(input, axis, index, comparing.where(sources, src, zero)))
    winners = constant(
        ix.scatter_zeros, as_dtype(sources, input.dtype), index, axis=axis, shape=input._a.shape
    ) + as_dtype(own, input.dtype)
    share = arithmetic.div(total, comparing.clamp(winners, min=1))
    return arithmetic.add(found, arithmetic.sub(share, constant(e.clone, share)))


# -- one dimension -----------------------------------------------------------------------------------------------------
def _vector(index: Any, name: str) -> Any:
    check_index(index, name, "int32 or int64")
    if index._a.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector")
    return index if index._a.ndim else apply(reshape, index, shape=(1,))


@function("index_select")
def index_select(input: Any, dim: int, index: Any) -> Any:
    """Give the slices along ``dim`` that a vector of indices names.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([1, 2, 3]).index_select(0, torch.tensor([2, 0]))
    tensor([3, 1])
    """
    check_input(input, False, "index_select")
    axis = wrap_dim(dim, input._a.ndim, "index_select")
    index = _vector(index, "index_select")
    if index._a.size:
        low, high, n = int(index._a.min()), int(index._a.max()), input._a.shape[axis] if input._a.ndim else 1
        if low < 0 or high >= n:
            bad = low if low < 0 else high
            kind, text = (
                (RuntimeError, "INDICES element is out of DATA bounds")
                if axis
                else (IndexError, "index out of range in self")
            )
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
            f"{name}_(): self ({type_name(a.dtype)}) and source ({type_name(s.dtype)}) must have the same scalar "
            f"type: {show_type(input)} and {show_type(source)}"
        )
    _check_slices(a, s, axis, index._a.size, name)
    if index._a.size:
        _check_range(
            index._a, a.shape[axis] if a.ndim else 1, axis, IndexError if name == "index_copy" else RuntimeError
        )
    if not a.ndim:
        input = apply(reshape, input, shape=(1,))
    if not s.ndim:
        source = apply(reshape, source, shape=(1,))
    return input, axis, index, source


def _check_slices(a: Any, s: Any, axis: int, count: int, name: str) -> None:
    """Check that a source has a slice for each index, of the shape of the slices it goes to; index_copy takes a number too."""
    copy = name == "index_copy"
    kind = IndexError if copy else RuntimeError
    if copy and not s.ndim and count != 1:
        raise IndexError(f"{name}_(): When source is scalar, index should have one element (got {count})")
    if copy and s.ndim != a.ndim and s.ndim and a.ndim:
        raise IndexError(
            f"{name}_(): When source and destination are not scalars, their dimensionality must match. Source dimensionality "
            f"({s.ndim}), destination dimensionality ({a.ndim})"
        )
    to, given = [t.shape[:axis] + t.shape[axis + 1 :] if copy or (a.ndim and s.ndim) else t.shape for t in (a, s)]
    unfit = RuntimeError(
        "source tensor shape must match self tensor shape, excluding the specified dimension. Got "
        f"self.shape = {list(a.shape)} source.shape = {list(s.shape)} ({name}_)"
    )
    if copy and to != given:
        raise unfit
    if not copy and s.ndim == 0 and count != 1:
        raise IndexError(f"Dimension specified as {axis} but tensor has no dimensions: {name}_ of {count} slices")
    if count != (s.shape[axis] if s.ndim else 1):
        raise kind(
            f"{name}_(): Number of indices ({count}) should be equal to source.size(dim): ({s.shape[axis] if s.ndim else 1}), "
            f"for dim: {axis}"
        )
    if to != given:
        raise unfit


def _same_shape(r: Any, input: Any) -> Any:
    return r if r._a.ndim == input._a.ndim else apply(reshape, r, shape=input._a.shape)


@function("index_add", inplace=True, shown="IndexAddBackward0")
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """Add slices of ``source``, times ``alpha``, to the slices of ``input`` that the indices name.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.zeros(3).index_add(0, torch.tensor([1, 1]), torch.ones(2))
    tensor([0., 2., 0.])
    """
    x, axis, index, source = _slices(input, dim, index, source, "index_add")
    if alpha != 1:
        source = arithmetic.mul(source, alpha)
    r = _same_shape(_plus(x, apply(ix.add_axis, source, index, axis=axis, shape=x._a.shape)), input)
    return r if r._a.flags.c_contiguous else r.contiguous()


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
    value = number_like(value, input, "index_fill")
    x = input if input._a.ndim else apply(reshape, input, shape=(1,))
    if index._a.size:
        _check_range(index._a, x._a.shape[axis], axis, IndexError, negative=True)
    shape = (*x._a.shape[:axis], index._a.size, *x._a.shape[axis + 1 :])
    if wants_grad(value):  # an index that comes twice is written once: a mask gives the number its gradient
        mark = literal(np.broadcast_to(np.True_, shape))
        none = constant(e.cast, literal(np.broadcast_to(np.False_, x._a.shape)), dtype=np.dtype(np.bool_))
        mask = constant(ix.put, none, mark, index, spec=(*(ALL,) * axis, ix.ARRAY), accumulate=False)
        return _same_shape(apply(e.where, mask, value, x), input)
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
    column = apply(reshape, index, shape=(index._a.size,) + (1,) * (x._a.ndim - 1 - axis)) if x._a.ndim > 1 else index
    places = apply(e.clone, apply(expand, column, shape=source._a.shape))
    return _same_shape(scatter_reduce(x, axis, places, source, reduce, include_self=include_self), input)


# -- views written into a copy -----------------------------------------------------------------------------------------
def _written(input: Any, src: Any, op: Any, name: str, **attrs: Any) -> Any:
    part = op.type(TensorType(input._a.shape, input._a.dtype), **attrs).shape
    if src._a.shape != part:
        raise RuntimeError(
            f"expected src with the size of what it replaces: {name} of {list(src._a.shape)} into {list(part)}"
        )
    return apply(VIEW_WRITE, input, as_dtype(src, input.dtype), steps=((op, attrs),))


@function("select_scatter")
def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """Give a copy of ``input`` with ``src`` in place of ``input.select(dim, index)``."""
    axis = wrap_dim(dim, input._a.ndim, "select_scatter")
    n = input._a.shape[axis]
    if not -n <= index < n:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input._a.shape)} at dimension {axis}"
        )
    return _written(input, src, slice_, "select_scatter", index=(*(ALL,) * axis, int(index), ...))


@function("slice_scatter")
def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """Give a copy of ``input`` with ``src`` in place of the slice ``start:end:step`` of a dimension."""
    axis = wrap_dim(dim, input._a.ndim, "slice_scatter")
    return _written(input, src, slice_, "slice_scatter", index=(*(ALL,) * axis, slice(start, end, step), ...))


@function("diagonal_scatter")
def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """Give a copy of ``input`` with ``src`` on a diagonal."""
    a, b = (wrap_dim(d, input._a.ndim, "diagonal_scatter") for d in (dim1, dim2))
    return _written(input, src, diagonal, "diagonal_scatter", offset=offset, a=a, b=b)
