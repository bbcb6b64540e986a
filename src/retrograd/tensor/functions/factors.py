"""Triangular factors of matrices: Cholesky's for positive-definite ones, and LU for all."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import apply, at, here, wrap
from ...ops import contract as c
from ...ops import decompose as q
from ...ops import linalg as l
from ...ops import shape as s
from ...ops import triangles as t
from ...ops.computed import computed
from ...ops.linalg import LinAlgError
from .. import return_types
from ..dispatch import function
from ..tensor import Tensor
from .gathering import gather
from .linear_algebra import adjoint, check_right, depends_on_values, eye_like, first_zero, matrices, same_dtype
from .reductions import constant, wants_grad


# -- Cholesky -----------------------------------------------------------------------------------------------------------
@function("cholesky")
def top_cholesky(input: Any, upper: bool = False) -> Any:
    """Give the triangular L of input = L L^H, or L^H."""
    return cholesky(matrices(input, "cholesky", True, "input", "cholesky", True), upper)


def cholesky(A: Any, upper: bool = False) -> Any:
    """Give the triangular L of A = L L^H, for Hermitian positive-definite matrices (the lower triangle is read).

    Parameters
    ----------
    A : Tensor of shape (*, n, n)
    upper : bool
        Read the upper triangle, and give L^H.

    Raises
    ------
    LinAlgError
        Where a matrix is not positive-definite.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    x = matrices(A, "linalg.cholesky", True, kernel="cholesky")
    r = apply(q.cholesky, x, part="U" if upper else "L")
    return adjoint(r) if upper else r


def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> Any:
    """Give Cholesky's factor, and for each matrix 0 or the order of the minor that is not positive-definite."""
    x = matrices(A, "linalg.cholesky", True, kernel="cholesky")
    try:
        return return_types.linalg_cholesky_ex(cholesky(x, upper), wrap(np.zeros(x._a.shape[:-2], np.int32)))
    except LinAlgError:
        if check_errors:
            raise
    depends_on_values("linalg.cholesky_ex of matrices that are not positive-definite", x)
    a = np.conj(x._a.swapaxes(-1, -2)) if upper else x._a
    info = np.array([q.leading_minor(m) for m in a.reshape(-1, *a.shape[-2:])], np.int32).reshape(a.shape[:-2])
    good = (info == 0)[..., None, None]
    safe = wrap(np.where(good, x._a, np.eye(a.shape[-1], dtype=a.dtype)))
    return return_types.linalg_cholesky_ex(wrap(np.where(good, cholesky(safe, upper)._a, a)), wrap(info))


@function("cholesky_solve")
def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Any:
    """Solve A X = B, given the Cholesky factor L of A."""
    x = matrices(L, "cholesky_solve", True)
    b = matrices(B, "cholesky_solve", argument="B")
    check_right(x, b, True, "cholesky_solve")
    low, high = (adjoint(x), x) if upper else (x, adjoint(x))
    half = apply(l.solve_triangular, low, b, upper=False, unit=False)
    return apply(l.solve_triangular, high, half, upper=True, unit=False)


@function("cholesky_inverse")
def cholesky_inverse(L: Any, upper: bool = False) -> Any:
    """Give the inverse of A, given its Cholesky factor L."""
    x = matrices(L, "cholesky_inverse", True)
    return cholesky_solve(eye_like(x, x._a.shape[-1]), x, upper)


# -- triangular factors -------------------------------------------------------------------------------------------------
def _pivots(a: Any) -> Any:
    return t.pivoted(a)[1]


def _rows_in_order(a: Any) -> Any:
    """Give the index that puts the rows into the order of the pivots."""
    order = t.row_order(t.pivoted(a)[1], a.shape[-2])
    return np.ascontiguousarray(np.broadcast_to(order[..., None], a.shape))


def _factor(A: Any, pivot: bool, name: str) -> tuple[Any, Any]:
    x = matrices(A, name, kernel="lu", whole=True)
    if not pivot:
        raise RuntimeError(f"{name}: LU without pivoting is not implemented on the CPU{at(here())}")
    if not wants_grad(x):
        packed, found = t.pivoted(x._a)
        return wrap(packed), wrap(found)
    m, n = x._a.shape[-2:]
    k = min(m, n)
    pivots = constant(computed, x, fn=_pivots)
    index = constant(computed, x, fn=_rows_in_order)
    rows = gather(x, len(x._a.shape) - 2, index)
    square = apply(t.lu, l.block(l.block(rows, 0, k), 0, k, -1))
    axis = x._a.ndim - 2
    if m > n:  # the rest of L: rows of A times the inverse of U
        below = l.turned(l.block(rows, k, m))
        low = apply(l.solve_triangular, l.turned(square), below, upper=False, unit=False)
        return apply(s.cat, square, l.turned(low), axis=axis), pivots
    if n > m:
        right = apply(l.solve_triangular, square, l.block(rows, k, n, -1), upper=False, unit=True)
        return apply(s.cat, square, right, axis=axis + 1), pivots
    return square, pivots


def lu_factor(A: Any, *, pivot: bool = True) -> Any:
    """Give the triangles L and U of A = P L U in one array, and the pivots (from 1).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.lu_factor(torch.tensor([[0.0, 1.0], [2.0, 3.0]])).pivots
    tensor([2, 2], dtype=torch.int32)
    """
    packed, pivots = _factor(A, pivot, "linalg.lu_factor")
    zeros = np.argwhere(np.diagonal(packed._a, axis1=-2, axis2=-1) == 0)
    if len(zeros):
        which = f"(Batch element {int(zeros[0][0])}): " if packed._a.ndim > 2 else ""
        k = int(zeros[0][-1]) + 1
        raise RuntimeError(
            f"torch.linalg.lu_factor: {which}U[{k},{k}] is zero and using it on lu_solve would result in a division by zero. "
            f"lu(A) and lu_factor_ex(A) give the factors all the same.{at(here())}"
        )
    return return_types.linalg_lu_factor(packed, pivots)


def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """Give what lu_factor gives, and for each matrix 0 or the number of the pivot that is zero."""
    packed, pivots = _factor(A, pivot, "linalg.lu_factor")
    info = first_zero(packed._a)
    if check_errors and info.any():
        raise LinAlgError(
            "linalg.lu_factor: U is singular: a diagonal element is zero, so that it cannot solve a system."
        )
    return return_types.linalg_lu_factor_ex(packed, pivots, wrap(info))


def lu(A: Any, *, pivot: bool = True) -> Any:
    """Give P, L and U of A = P L U: a permutation, and two triangles.

    Examples
    --------
    >>> import retrograd as torch
    >>> P, L, U = torch.linalg.lu(torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
    >>> U
    tensor([[2., 3.],
            [0., 1.]])
    """
    packed, pivots = _factor(A, pivot, "linalg.lu")
    return return_types.linalg_lu(*lu_unpack(packed, pivots))


@function("lu_unpack", method=False)
def lu_unpack(LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    """Give P, L and U from what ``lu_factor`` gives."""
    a = LU_data._a
    m, n = a.shape[-2:]
    k = min(m, n)
    empty = wrap(np.zeros(0, a.dtype))

    def permutation(pivots: Any) -> Any:
        return (t.row_order(pivots, m)[..., None, :] == np.arange(m)[:, None]).astype(a.dtype)

    p = constant(computed, LU_pivots, fn=permutation) if unpack_pivots else empty
    if not unpack_data:
        return return_types.lu_unpack(p, empty, empty)
    low = apply(s.tril, l.block(LU_data, 0, k, -1), diagonal=-1)
    one = Tensor._wrap(np.eye(m, k, dtype=a.dtype))
    return return_types.lu_unpack(p, low + one, apply(s.triu, l.block(LU_data, 0, k), diagonal=0))


def lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    """Solve A X = B (or X A = B), given what ``lu_factor(A)`` gives; ``adjoint`` solves with A^H.

    Examples
    --------
    >>> import retrograd as torch
    >>> LU, pivots = torch.linalg.lu_factor(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    >>> torch.linalg.lu_solve(LU, pivots, torch.ones(2, 1))
    tensor([[0.5000],
            [0.2500]])
    """
    x = matrices(LU, "linalg.lu_solve", True, "LU")
    same_dtype(x, B, "linalg.lu_solve")
    check_right(x, B, left, "linalg.lu_solve")
    if not left:
        return l.adjoint(lu_solve(LU, pivots, l.adjoint(B), adjoint=not adjoint))
    p = lu_unpack(x.detach(), pivots, unpack_data=False).P
    if adjoint:
        half = apply(l.solve_triangular, l.adjoint(x), B, upper=False, unit=False)
        return apply(c.matmul, p, apply(l.solve_triangular, l.adjoint(x), half, upper=True, unit=True))
    half = apply(l.solve_triangular, x, apply(c.matmul, l.turned(p), B), upper=False, unit=True)
    return apply(l.solve_triangular, x, half, upper=True, unit=False)


@function("lu_solve")
def top_lu_solve(b: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """Solve A X = b, given what ``lu_factor(A)`` gives."""
    return lu_solve(LU_data, LU_pivots, b)


@function("lu", out=False)
def top_lu(A: Any, pivot: bool = True, get_infos: bool = False) -> Any:
    """Give the packed triangles and the pivots of A, and the infos if they are asked for."""
    found = lu_factor_ex(A, pivot=pivot)
    return tuple(found) if get_infos else tuple(found)[:2]
