"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import apply, at, here, show_type, wrap
from ...core import dtypes as _d
from ...ops import shape as s
from ..dispatch import as_dtype, function, labelled, result_type, tensor_operand, wrap_dim
from .joining import atleast_2d
from .shaping import clone, ravel
from .strides import as_strided, copied


@function("diagonal", out=False)
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """Give a diagonal as the last dimension; a view."""
    n = input._a.ndim
    a, b = wrap_dim(dim1, n, "diagonal"), wrap_dim(dim2, n, "diagonal")
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return apply(s.diagonal, input, offset=offset, a=a, b=b)


@function("diag_embed", out=False)
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Put the last dimension on a diagonal of a matrix of zeros."""
    shape = input._a.shape
    n = len(shape) + 1
    a, b = wrap_dim(dim1, n, "diag_embed"), wrap_dim(dim2, n, "diag_embed")
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    if a > b:
        a, b, offset = b, a, -offset
    side = shape[-1] + abs(offset)
    rest = list(shape[:-1])
    rest.insert(a, side)
    rest.insert(b, side)
    return apply(s.embed, input, part=s.diagonal, attrs={"offset": offset, "a": a, "b": b}, shape=tuple(rest))


@function("diag")
def diag(input: Any, diagonal: int = 0) -> Any:
    """Make a diagonal matrix of a vector, or take a matrix's diagonal (a copy)."""
    n = input._a.ndim
    if n == 1:
        return diag_embed(input, diagonal)
    if n == 2:
        return labelled(clone(apply(s.diagonal, input, offset=diagonal, a=0, b=1)), "DiagonalBackward0_copy")
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {n}D")


@function("diagflat", out=False)
def diagflat(input: Any, offset: int = 0) -> Any:
    """Make a diagonal matrix of all elements."""
    return diag_embed(ravel(input), offset)


def _matrix(x: Any, name: str) -> None:
    if x._a.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions, got {show_type(x)}")


@function("tril", inplace=True)
def tril(input: Any, diagonal: int = 0) -> Any:
    """Keep the lower triangle, zero the rest."""
    _matrix(input, "tril")
    return apply(s.tril, input, diagonal=diagonal)


@function("triu", inplace=True)
def triu(input: Any, diagonal: int = 0) -> Any:
    """Keep the upper triangle, zero the rest."""
    _matrix(input, "triu")
    return apply(s.triu, input, diagonal=diagonal)


@function("tril_indices", method=False, out=False)
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None
) -> Any:
    """Give the (row, column) indices of the lower triangle."""
    a = np.stack(np.tril_indices(row, offset, col))
    return wrap(a if dtype is None else a.astype(_d.to_numpy(dtype)))


@function("triu_indices", method=False, out=False)
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None
) -> Any:
    """Give the (row, column) indices of the upper triangle."""
    a = np.stack(np.triu_indices(row, offset, col))
    return wrap(a if dtype is None else a.astype(_d.to_numpy(dtype)))


@function("block_diag", method=False, out=False)
def block_diag(*tensors: Any) -> Any:
    """Put matrices on the diagonal of a matrix of zeros."""
    for i, x in enumerate(tensors):
        if tensor_operand(x, "block_diag")._a.ndim > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {x._a.ndim} "
                f"dimensions{at(here())}"
            )
    if not tensors:
        return wrap(np.empty((1, 0), _d.get_default_dtype().numpy))
    parts = [atleast_2d(x) for x in tensors]
    rows, columns = sum(p._a.shape[0] for p in parts), sum(p._a.shape[1] for p in parts)
    d = result_type(*parts)
    total, r, c = None, 0, 0
    for p in parts:
        h, w = p._a.shape
        piece = apply(s.pad, as_dtype(p, d), widths=((r, rows - r - h), (c, columns - c - w)), value=0)
        total = piece if total is None else total + piece
        r, c = r + h, c + w
    return total


@function("fill_diagonal_", torch=False)
def fill_diagonal_(input: Any, fill_value: Any, wrap: bool = False) -> Any:
    """Write one value on the main diagonal; with ``wrap``, on those below it too that a tall matrix has room for."""
    shape = input._a.shape
    if len(shape) < 2:
        raise RuntimeError(f"dimensions must larger than 1: fill_diagonal_ of {show_type(input)}{at(here())}")
    if len(shape) > 2:
        if len(set(shape)) > 1:
            raise RuntimeError(
                f"all dimensions of input must be of equal length: fill_diagonal_ of {show_type(input)}{at(here())}"
            )
        as_strided(input, (shape[0],), (sum(input.stride()),)).fill_(fill_value)
        return input
    rows, columns = shape
    for start in range(0, rows, columns + 1) if wrap else (0,):
        input[start : start + columns].diagonal().fill_(fill_value)
    return input


diagonal_copy = copied(diagonal, "diagonal_copy")
