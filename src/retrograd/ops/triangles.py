"""The triangular factors of a matrix whose rows are already in the order of its pivots, and how that order is found."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import batching
from .contract import matmul
from .derive import general
from .linalg import adjoint, around, solve_triangular, wide
from .shape import tril, triu


def pivoted(a: Any, pivot: bool = True) -> tuple[Any, Any]:
    """Give the triangles of P^T A in one array, and the pivots (from 1) as LAPACK's getrf gives them."""
    lu = np.array(a)
    m, n = lu.shape[-2:]
    k = min(m, n)
    pivots = np.broadcast_to(np.arange(1, k + 1, dtype=np.int32), (*lu.shape[:-2], k)).copy()
    count = math.prod(lu.shape[:-2])
    flat, order = lu.reshape(count, m, n), pivots.reshape(count, k)
    each = np.arange(len(flat))
    with np.errstate(all="ignore"):
        for j in range(k):
            if pivot:
                best = j + _size(flat[:, j:, j]).argmax(-1)
                order[:, j] = best + 1
                rows = flat[each, best]
                flat[each, best] = flat[:, j]
                flat[:, j] = rows
            head = flat[:, j, j][:, None]
            flat[:, j + 1 :, j] /= np.where(head == 0, 1, head) if pivot else head
            flat[:, j + 1 :, j + 1 :] -= flat[:, j + 1 :, j, None] * flat[:, j, None, j + 1 :]
    return lu, pivots


def _size(x: Any) -> Any:
    """Give the size by which LAPACK chooses pivots."""
    return np.abs(x.real) + np.abs(x.imag) if x.dtype.kind == "c" else np.abs(x)


def row_order(pivots: Any, m: int) -> Any:
    """Give the order of the rows of A in P^T A, from LAPACK's pivots."""
    flat = pivots.reshape(math.prod(pivots.shape[:-1]), pivots.shape[-1])
    order = np.tile(np.arange(m), (len(flat), 1))
    each = np.arange(len(flat))
    for j in range(flat.shape[-1]):
        other = flat[:, j].astype(np.int64) - 1
        order[each, j], order[each, other] = order[each, other], order[each, j]
    return order.reshape(*pivots.shape[:-1], m)


def _back(g: Any, out: Any) -> Any:
    # dL = L tril(L^-1 dA U^-1), dU = triu(L^-1 dA U^-1) U, read backwards; the unit diagonal of L is not stored
    lower, upper = adjoint(out), adjoint(triu(out, diagonal=0))
    gl, gu = tril(g, diagonal=-1), triu(g, diagonal=0)
    unit = gl + matmul(triu(lower, diagonal=1), gl)  # L^H gL
    inner = tril(unit, diagonal=-1) + triu(matmul(gu, upper), diagonal=0)
    left = solve_triangular(lower, inner, upper=True, unit=True)
    return adjoint(solve_triangular(triu(out, diagonal=0), adjoint(left), upper=True, unit=False))


def _push(t: Any, out: Any) -> Any:
    upper = triu(out, diagonal=0)
    left = solve_triangular(out, t, upper=False, unit=True)
    inner = adjoint(solve_triangular(adjoint(upper), adjoint(left), upper=False, unit=False))
    low = tril(inner, diagonal=-1)
    return low + matmul(tril(out, diagonal=-1), low) + matmul(triu(inner, diagonal=0), upper)


lu = general(
    "linalg_lu",
    wide(lambda x: pivoted(x, False)[0]),
    type=lambda x: x,
    vjp=[_back],
    jvp=[_push],
    domain=around(3),
    batch=batching.matrices,
    samples=({"shapes": ((3, 3),)}, {"shapes": ((2, 3, 3),)}),
    shown="LinalgLuFactorExBackward0",
)

__all__ = ["lu", "pivoted", "row_order"]
