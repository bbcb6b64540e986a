"""Sparse tensors along their dimensions: order, parts, sums, softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import BaseTensor, apply, wrap
from ...ops import index as ix
from ..dispatch import wrap_dim
from ..functions import pointwise as p
from ..sizes import sparse_csc, sparse_csr
from .composite import Sparse, handles, named, refused
from .compressed import CompressedTensor, compressed
from .coo import CooTensor, coo, empty, flat, groups
from .products import as_coo


@handles("t")
def t(input: Any) -> Any:
    """Give the transpose of a matrix."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 sparse and 0 dense dimensions, but got {input.ndim}")
    return transpose(input, 0, 1, "TBackward0") if input.ndim == 2 else input


@handles("transpose", "swapaxes", "swapdims")
def transpose(input: Any, dim0: int, dim1: int, label: str = "TransposeBackward0") -> Any:
    """Swap two dimensions, both of them indexed or neither."""
    a, b = wrap_dim(dim0, input.ndim, "transpose"), wrap_dim(dim1, input.ndim, "transpose")
    order = list(range(input.ndim))
    order[a], order[b] = order[b], order[a]
    return permute(input, order, label=label)


@handles("permute")
def permute(input: Any, *dims: Any, label: str = "PermuteBackward0") -> Any:
    """Put the dimensions in another order; indexed ones stay indexed."""
    if len(dims) == 1 and not isinstance(dims[0], int):
        dims = tuple(dims[0])
    if len(dims) != input.ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(dims)}"
        )
    order = [wrap_dim(d, input.ndim, "permute") for d in dims]
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    size = [input._size[d] for d in order]
    if isinstance(input, CompressedTensor):
        if order == [0, 1]:
            return input
        if order != [1, 0]:
            raise refused("permute", "SparseCsr")
        layout = sparse_csc if input._l is sparse_csr else sparse_csr
        return compressed(input._c, input._p, named(input._v.view_as(input._v), label), size, layout)
    k = input.sparse_dim()
    if sorted(order[:k]) != list(range(k)):
        raise RuntimeError(
            "permute(sparse_coo): transpositions between sparse and dense dimensions are not allowed. "
            "Only transpositions within sparse and dense dimensions are supported."
        )
    values = input._v.permute(0, *(d - k + 1 for d in order[k:]))
    where = wrap(np.ascontiguousarray(input._i._a[order[:k]]))
    return coo(where, named(values, label), size, input._coalesced and order[:k] == list(range(k)))


@handles("T")
def reversed_dims(input: Any) -> Any:
    """Give the dimensions in reverse order."""
    return permute(input, tuple(reversed(range(input.ndim))))


@handles("mT")
def matrix_transpose(input: Any) -> Any:
    """Swap the last two dimensions."""
    return transpose(input, -2, -1)


@handles("unsqueeze")
def unsqueeze(input: Any, dim: int) -> Any:
    """Put in a dimension of length 1."""
    s = as_coo(input)
    d, k = wrap_dim(dim, s.ndim + 1, "unsqueeze"), s.sparse_dim()
    size = [*s._size[:d], 1, *s._size[d:]]
    if d <= k:
        values = named(s._v.view_as(s._v), "UnsqueezeBackward0")
        return coo(wrap(np.insert(s._i._a, d, 0, axis=0)), values, size, s._coalesced)
    return coo(s._i, s._v.unsqueeze(d - k + 1), size, s._coalesced)


def _kept(s: CooTensor, chosen: Any, rows: Any, size: Any, label: str) -> CooTensor:
    """Give some of the values, at other indices."""
    values = apply(ix.take_axis, s._v, wrap(chosen), axis=0)
    return coo(wrap(np.ascontiguousarray(rows)), named(values, label), size, s._coalesced)


@handles("select")
def select(input: Any, dim: int, index: int) -> Any:
    """Give one slice along a dimension."""
    s = as_coo(input)
    d = wrap_dim(dim, s.ndim, "select")
    n, k = s._size[d], s.sparse_dim()
    if not -n <= index < n:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(s._size)} at dimension {d}")
    index = int(index) % n
    size = (*s._size[:d], *s._size[d + 1 :])
    if d >= k:
        return coo(s._i, s._v.select(d - k + 1, index), size, s._coalesced)
    s = s.coalesce()
    chosen = np.flatnonzero(s._i._a[d] == index)
    r = _kept(s, chosen, np.delete(s._i._a[:, chosen], d, 0), size, "SelectBackward0")
    return named(r._v.sum(0), "SelectBackward0") if k == 1 else r


@handles("getitem")
def getitem(input: Any, index: Any) -> Any:
    """Give slices named by whole numbers, dimension after dimension."""
    given = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, (slice, list, BaseTensor, type(None), type(Ellipsis))) for i in given):
        raise refused("as_strided" if any(isinstance(i, slice) for i in given) else "index.Tensor")
    found = input
    for i in given:
        found = select(found, 0, i) if isinstance(found, Sparse) else found[i]
    return found


@handles("unbind")
def unbind(input: Any, dim: int = 0) -> Any:
    """Give the slices along a dimension."""
    return tuple(select(input, dim, i) for i in range(input.size(dim)))


@handles("index_select")
def index_select(input: Any, dim: int, index: Any) -> Any:
    """Give the slices along ``dim`` that a vector of indices names."""
    s = as_coo(input)
    d, k, wanted = wrap_dim(dim, s.ndim, "index_select"), s.sparse_dim(), index._a
    n = s._size[d]
    if wanted.size and (wanted.min() < -n or wanted.max() >= n):
        raise IndexError(f"index_select(): index out of range for tensor of size {list(s._size)} at dimension {d}")
    size = (*s._size[:d], len(wanted), *s._size[d + 1 :])
    if d >= k:
        return coo(s._i, s._v.index_select(d - k + 1, index), size, s._coalesced)
    wanted = np.where(wanted < 0, wanted + n, wanted)
    row = s._i._a[d]
    order = np.argsort(row, kind="stable")
    low, high = np.searchsorted(row[order], wanted, "left"), np.searchsorted(row[order], wanted, "right")
    many = high - low
    new = np.repeat(np.arange(len(wanted)), many)
    within = np.arange(len(new)) - (np.cumsum(many) - many)[new]
    chosen = order[low[new] + within]
    rows = s._i._a[:, chosen].copy()
    rows[d] = new
    r = _kept(s, chosen, rows, size, "IndexSelectBackward0")
    r._coalesced = False
    return r.coalesce() if s._coalesced else r


@handles("cat", "concat", "concatenate")
def cat(tensors: Any, dim: int = 0) -> Any:
    """Join sparse tensors along a dimension."""
    from ..functions.joining import cat as join

    if not all(isinstance(x, Sparse) for x in tensors):
        raise RuntimeError("Concatenating sparse tensors, but a dense tensor was found among them")
    parts = [as_coo(x) for x in tensors]
    first = parts[0]
    d, k = wrap_dim(dim, first.ndim, "cat"), first.sparse_dim()
    for x in parts:
        if x.ndim != first.ndim or any(i != d and x._size[i] != first._size[i] for i in range(x.ndim)):
            raise RuntimeError(
                f"All tensors must have the same shape except in dimension {d}, got {list(first._size)} and {list(x._size)}"
            )
    size = list(first._size)
    size[d] = sum(x._size[d] for x in parts)
    starts = np.cumsum([0, *(x._size[d] for x in parts)])
    rows = np.concatenate([x._i._a for x in parts], 1)
    if d < k:
        rows[d] += np.repeat(starts[:-1], [x._nnz() for x in parts])
        values = join([x._v for x in parts])
    else:
        blocks = []
        for x, start in zip(parts, starts, strict=False):
            lead = [*x._v.shape]
            lead[d - k + 1] = size[d]
            whole = x._v.new_zeros(lead)
            blocks.append(whole.slice_scatter(x._v, d - k + 1, int(start), int(start) + x._size[d]))
        values = join(blocks)
    return coo(wrap(rows), named(values, "CatBackward0"), size, False)


@handles("stack")
def stack(tensors: Any, dim: int = 0) -> Any:
    """Join sparse tensors along a new dimension."""
    r = cat([unsqueeze(x, dim) for x in tensors], dim)
    named(r._v, "StackBackward0")
    return r


# -- sums and softmax --------------------------------------------------------------------------------------------------------
@handles("sum")
def sum_(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Sum all values, or along dimensions: sparse unless every indexed dimension is summed."""
    return total(input, dim, keepdim, dtype, "SumBackward1")


def total(input: Any, dim: Any, keepdim: bool, dtype: Any, label: str) -> Any:
    """Sum along dimensions; the history's label is given."""
    s = as_coo(input)
    values = s._v if dtype is None else s._v.to(dtype)
    if values._a.dtype.kind in "iub":
        from ...core.dtypes import int64

        values = values.to(int64)
    if dim is None:
        return values.sum()
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    dims = tuple(wrap_dim(d, s.ndim, "sum") for d in dims)
    if not dims:
        return values.sum()
    k = s.sparse_dim()
    inner = tuple(d - k + 1 for d in dims if d >= k)
    if inner:
        values = values.sum(inner)
    left = [d for d in range(k) if d not in dims]
    size = [n for d, n in enumerate(s._size) if d not in dims]
    if not left:
        r = values.sum(0)
    else:
        r = coo(wrap(s._i._a[left]), values, size, False).coalesce()
        named(r._v, label)
    if keepdim:
        for d in sorted(dims):
            r = r.unsqueeze(d)
    return r


@handles("norm")
def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Give the norm of all values; RuntimeError where dimensions are named."""
    if dim is not None:
        raise RuntimeError("Only full reductions are supported for norm of a sparse tensor")
    return as_coo(input).coalesce()._v.norm(p)


def softmax(input: Any, dim: int, *, dtype: Any = None, log: bool = False) -> Any:
    """Give the softmax along a dimension, in which the elements without a value count as minus infinity."""
    s = as_coo(input).coalesce()
    if dtype is not None:
        s = s.to(dtype)
    d, k = wrap_dim(dim, s.ndim, "softmax"), s.sparse_dim()
    label = "SparseLogSoftmaxBackward0" if log else "SparseSoftmaxBackward0"
    if d >= k:
        v = s._v.log_softmax(d - k + 1) if log else s._v.softmax(d - k + 1)
        return s._with(named(v, label))
    if not s._nnz():
        return s
    others = np.delete(s._i._a, d, 0)
    _, group, firsts, order = groups(flat(others, [n for i, n in enumerate(s._size[:k]) if i != d]))
    v = s._v._a if order is None else s._v._a[order]
    highest = np.maximum.reduceat(v, firsts, axis=0)
    belongs = np.empty_like(group)
    belongs[slice(None) if order is None else order] = group
    index = wrap(belongs)
    shifted = p.sub(s._v, wrap(highest[belongs]))
    e = shifted.exp()
    sums = apply(ix.add_axis, e, index, axis=0, shape=(len(firsts), *s._v._a.shape[1:]))
    if log:
        r = p.sub(shifted, apply(ix.take_axis, sums.log(), index, axis=0))
    else:
        r = p.div(e, apply(ix.take_axis, sums, index, axis=0))
    return s._with(named(r, label))


@handles("new_zeros", "new_empty")
def new_zeros(input: Any, *size: Any, dtype: Any = None, **options: Any) -> Any:
    """Give a sparse tensor of a size without values, of this one's dtype."""
    from ...core.dtypes import to_numpy

    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    return empty(shape, len(shape), input._v._a.dtype if dtype is None else to_numpy(dtype))


@handles("new")
def new(input: Any, *args: Any, **options: Any) -> Any:
    """Make a sparse tensor of this one's dtype: of a size, or of indices and values."""
    from .coo import sparse_coo_tensor

    if len(args) > 1 and isinstance(args[0], BaseTensor):
        return sparse_coo_tensor(*args, dtype=input.dtype)
    return new_zeros(input, *args)


def _no_strides(name: str) -> None:
    def fn(*args: Any, **options: Any) -> Any:
        raise RuntimeError(f"{name} is not implemented for sparse tensors: use .to_dense() first")

    handles(name)(fn)


for _name in ("reshape", "flatten", "contiguous"):
    _no_strides(_name)


@handles("to_sparse_csr")
def to_sparse_csr(input: Any, dense_dim: Any = None) -> Any:
    """Give a matrix as a sparse one, compressed by rows."""
    from .compressed import to_compressed

    return to_compressed(input, sparse_csr)


@handles("to_sparse_csc")
def to_sparse_csc(input: Any, dense_dim: Any = None) -> Any:
    """Give a matrix as a sparse one, compressed by columns."""
    from .compressed import to_compressed

    return to_compressed(input, sparse_csc)


__all__ = ["permute", "select", "softmax", "sum_", "t", "total"]
