"""Products with sparse matrices: gathers, elementwise products, and sums at places."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import BaseTensor, apply, wrap
from ...ops import index as ix
from ...ops.elementwise import mul as mul_op
from ..sizes import sparse_coo
from .composite import Sparse, handles, named, refused
from .compressed import CompressedTensor, to_compressed
from .coo import CooTensor, coo, flat


def as_coo(t: Any) -> CooTensor:
    """Give a sparse tensor by coordinates."""
    return t.to_coo() if isinstance(t, CompressedTensor) else t


def _misfit(x: Any, y: Any) -> RuntimeError:
    shown = ["x".join(map(str, t.shape)) for t in (x, y)]
    return RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({shown[0]} and {shown[1]})")


def _same_dtype(x: Any, y: Any) -> None:
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {x.dtype} != {y.dtype}: cast one of them"
        )


def _summed(values: Any, rows: Any, columns: Any, dense: Any, n: int) -> Any:
    """Give the sum at ``rows`` of each value times a row of ``dense``: the product of a sparse and a dense matrix."""
    taken = apply(ix.take_axis, dense, wrap(columns), axis=0)
    scaled = apply(mul_op, values.reshape(-1, 1), taken)
    return apply(ix.add_axis, scaled, wrap(rows), axis=0, shape=(n, dense._a.shape[1]))


def sparse_dense(x: Any, y: Any, label: str = "MmBackward0") -> Any:
    """Multiply a sparse and a dense matrix."""
    t = as_coo(x)
    if t.ndim != 2 or y.dim() != 2 or t._size[1] != y.shape[0]:
        raise _misfit(x, y)
    _same_dtype(x, y)
    if t.dense_dim():
        raise RuntimeError(f"matmul of a sparse tensor with {t.dense_dim()} dense dimensions: it must have none")
    where = t._i._a
    return named(_summed(t._v, where[0], where[1], y, t._size[0]), label)


def sparse_dense_reduced(x: Any, y: Any, reduce: str) -> Any:
    """Give for each row the mean, largest or smallest of the products that meet, 0 where there are none.

    A gradient goes to the first of equal products.
    """
    t = as_coo(x)
    if t.ndim != 2 or y.dim() != 2 or t._size[1] != y.shape[0]:
        raise _misfit(x, y)
    _same_dtype(x, y)
    n = t._size[0]
    rows, columns = t._i._a
    if reduce == "mean":
        counts = np.maximum(np.bincount(rows, minlength=n), 1).reshape(-1, 1)
        return _summed(t._v, rows, columns, y, n) / wrap(counts)
    scaled = apply(mul_op, t._v.reshape(-1, 1), apply(ix.take_axis, y, wrap(columns), axis=0))
    shape = (n, y._a.shape[1])
    if not len(rows):
        return apply(ix.add_axis, scaled, wrap(rows), axis=0, shape=shape)
    filled, starts = np.unique(rows, return_index=True)  # the rows of a compressed tensor come in order
    best = (np.fmax if reduce == "amax" else np.fmin).reduceat(scaled._a, starts, axis=0)
    chosen = scaled._a == np.repeat(best, np.diff(starts, append=len(rows)), axis=0)
    chosen |= np.isnan(scaled._a)
    place = np.where(chosen, np.arange(len(rows))[:, None], len(rows))
    first = np.minimum.reduceat(place, starts, axis=0)
    return apply(ix.add_axis, apply(ix.gather, scaled, wrap(first), axis=0), wrap(filled), axis=0, shape=shape)


def sparse_sparse(x: Any, y: Any, label: str = "MmBackward0") -> Any:
    """Multiply two sparse matrices: every pair of a value in the first and one in the row that its column names."""
    a, b = as_coo(x).coalesce(), as_coo(y).coalesce()
    if a.ndim != 2 or b.ndim != 2 or a._size[1] != b._size[0]:
        raise _misfit(x, y)
    _same_dtype(x, y)
    (rows, inner), (starts_in, columns) = a._i._a, b._i._a
    counts = np.bincount(starts_in, minlength=b._size[0]) if b._size[0] else np.zeros(0, np.int64)
    starts = np.cumsum(counts) - counts
    many = counts[inner]
    left = np.repeat(np.arange(len(inner)), many)
    first = np.cumsum(many) - many
    right = np.arange(len(left)) - first[left] + starts[inner[left]]
    values = apply(
        mul_op,
        apply(ix.take_axis, a._v, wrap(left), axis=0),
        apply(ix.take_axis, b._v, wrap(right), axis=0),
    )
    where = np.stack([rows[left], columns[right]]).astype(np.int64, copy=False)
    r = coo(wrap(where), values, (a._size[0], b._size[1])).coalesce()
    named(r._v, label)
    layout = x.layout
    return r if layout is sparse_coo else to_compressed(r, layout)


@handles("mm", "spmm", "dsmm")
def mm(input: Any, mat2: Any) -> Any:
    """Multiply two matrices, at least one of them sparse."""
    for x in (input, mat2):
        if not isinstance(x, BaseTensor):
            raise TypeError(f"mm(): arguments must be Tensors, not {type(x).__name__}")
    if isinstance(input, Sparse):
        return sparse_sparse(input, mat2) if isinstance(mat2, Sparse) else sparse_dense(input, mat2)
    return named(sparse_dense(transposed(mat2), input.t()).t(), "MmBackward0")


def transposed(x: Any) -> Any:
    """Give the transpose of a sparse matrix."""
    t = as_coo(x)
    return coo(wrap(t._i._a[::-1]), t._v, (t._size[1], t._size[0], *t._size[2:]))


@handles("matmul")
def matmul(input: Any, other: Any) -> Any:
    """Multiply, where at least one operand is sparse: matrices, a matrix and a vector, or batches."""
    if not isinstance(input, BaseTensor) or not isinstance(other, BaseTensor):
        raise TypeError("matmul(): arguments must be Tensors")
    n, m = input.dim(), other.dim()
    if n == 2 and m == 2:
        return mm(input, other)
    if isinstance(input, Sparse) and n == 2 and m == 1:
        return mv(input, other)
    if isinstance(other, Sparse) and m == 2 and n == 1:
        return mv(transposed(other), input)
    if n == 3 and m == 3:
        return bmm(input, other)
    raise refused("matmul")


@handles("mv")
def mv(input: Any, vec: Any) -> Any:
    """Multiply a sparse matrix with a vector."""
    if input.dim() != 2 or vec.dim() != 1 or input.shape[1] != vec.shape[0]:
        raise RuntimeError(
            f"mv: expected a matrix and a vector that fit, got {list(input.shape)} and {list(vec.shape)}"
        )
    if not isinstance(input, Sparse) or isinstance(vec, Sparse):
        raise refused("mv")
    return named(sparse_dense(input, vec.reshape(-1, 1)).reshape(-1), "MvBackward0")


@handles("bmm")
def bmm(input: Any, mat2: Any) -> Any:
    """Multiply matrices pairwise along the first dimension, the first of them sparse."""
    if not isinstance(input, CooTensor) or isinstance(mat2, Sparse):
        raise refused("bmm")
    (k, n, m), b = input._size, mat2.shape
    if b[0] != k or b[1] != m:
        raise RuntimeError(f"bmm: batches of {[n, m]} and {list(b[1:])} ({k} and {b[0]} of them) do not fit")
    where = input._i._a
    flat_sum = _summed(input._v, where[0] * n + where[1], where[0] * m + where[2], mat2.reshape(k * m, b[2]), k * n)
    return named(flat_sum.reshape(k, n, b[2]), "BmmBackward0")


@handles("sspaddmm")
def sspaddmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Give beta * input + alpha * (mat1 @ mat2) for sparse input and first matrix; the result is sparse."""
    product = mm(mat1, mat2).to_sparse()
    return (input if beta == 1 else input * beta) + (product if alpha == 1 else product * alpha)


@handles("addmm")
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Give beta * input + alpha * (mat1 @ mat2), where the first matrix may be sparse."""
    return _addmm(input, mat1, mat2, beta, alpha, "AddmmBackward0")


def _addmm(input: Any, mat1: Any, mat2: Any, beta: Any, alpha: Any, label: str) -> Any:
    product = mm(mat1, mat2)
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product
    r = (input if beta == 1 else input * beta) + product
    return r if isinstance(r, Sparse) or r is product else named(r, label)


@handles("linear")
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """Give ``x W^T + b`` for a sparse matrix ``x``."""
    if isinstance(weight, Sparse):
        r = named(sparse_dense(weight, input.reshape(-1, input.shape[-1]).t()).t(), "MmBackward0")
        r = r.reshape(*input.shape[:-1], weight.shape[0])
    else:
        r = sparse_dense(input, weight.t())
    return r if bias is None else r + bias


@handles("smm")
def smm(input: Any, mat2: Any) -> Any:
    """Multiply a sparse and a dense matrix; the result is sparse in its rows."""
    return mm(input, mat2).to_sparse()


@handles("hspmm")
def hspmm(input: Any, mat2: Any) -> Any:
    """Multiply a sparse and a dense matrix; the result has one sparse dimension."""
    return mm(input, mat2).to_sparse(1)


def keys(t: CooTensor) -> Any:
    """Give the places of a tensor's values among the elements of its sparse dimensions."""
    return flat(t._i._a, t._size)


__all__ = ["addmm", "as_coo", "bmm", "keys", "matmul", "mm", "mv", "sparse_dense", "sparse_sparse", "transposed"]
