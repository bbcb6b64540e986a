"""Decompositions of matrices into factors, and what follows from them: ranks, norms, pseudo-inverses, least squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import apply, wrap
from ...ops import contract as c
from ...ops import decompose as q
from ...ops import elementwise as e
from ...ops import linalg as l
from ...ops import shape as s
from ...ops.computed import computed
from .. import return_types
from ..dispatch import function
from ..tensor import Tensor
from .complex_parts import real
from .linear_algebra import adjoint, depends_on_values, matrices
from .reductions import constant, wants_grad


def _part(packed: Any, start: int, stop: int) -> Any:
    """Give one factor of a packed decomposition, in memory of its own."""
    return apply(e.clone, l.block(packed, start, stop), order="C")


def _values(packed: Any, i: int) -> Any:
    """Give the row of real values of a packed decomposition."""
    return apply(e.clone, real(s.slice_(packed, index=(..., i, slice(None)))), order="C")


# -- eigenvalues --------------------------------------------------------------------------------------------------------
def _triangle(UPLO: Any) -> str:
    if UPLO.__class__ is not str:
        raise TypeError(f"linalg_eigh(): argument 'UPLO' must be str, not {type(UPLO).__name__}")
    if UPLO not in ("L", "U", "l", "u"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper()


def eigh(A: Any, UPLO: str = "L") -> Any:
    """Give the eigenvalues, in ascending order, and the eigenvectors of Hermitian matrices.

    Parameters
    ----------
    A : Tensor of shape (*, n, n)
    UPLO : str
        Which triangle is read.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.eigh(torch.diag(torch.tensor([2.0, 1.0]))).eigenvalues
    tensor([1., 2.])
    """
    part = _triangle(UPLO)
    x = matrices(A, "linalg.eigh", True, kernel="linalg_eigh", whole=True)
    packed = apply(q.eigh, x, part=part)
    n = x._a.shape[-1]
    return return_types.linalg_eigh(_values(packed, n), _part(packed, 0, n))


def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """Give the eigenvalues of Hermitian matrices in ascending order.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.eigvalsh(torch.diag(torch.tensor([2.0, 1.0])))
    tensor([1., 2.])
    """
    x = matrices(A, "linalg.eigh", True, kernel="linalg_eigh", whole=True)
    part = _triangle(UPLO)
    if wants_grad(x):
        return eigh(x, part).eigenvalues
    return wrap(np.linalg.eigvalsh(x._a, "L" if part == "L" else "U"))


def eig(A: Any) -> Any:
    """Give the eigenvalues and eigenvectors of square matrices, complex and in no order.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.eig(torch.diag(torch.tensor([2.0, 1.0]))).eigenvalues
    tensor([2.+0.j, 1.+0.j])
    """
    x = matrices(A, "linalg.eig", True, kernel="linalg_eig")
    packed = apply(q.eig, x)
    n = x._a.shape[-1]
    values = apply(e.clone, s.slice_(packed, index=(..., n, slice(None))), order="C")
    return return_types.linalg_eig(values, _part(packed, 0, n))


def eigvals(A: Any) -> Any:
    """Give the eigenvalues of square matrices, complex and in no order.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.eigvals(torch.diag(torch.tensor([2.0, 1.0])))
    tensor([2.+0.j, 1.+0.j])
    """
    return eig(A).eigenvalues


# -- singular values ----------------------------------------------------------------------------------------------------
def _whole(a: Any) -> tuple[Any, Any]:
    """Give U and V^H with all their columns and rows."""
    if min(a.shape[-2:]):
        u, _, vh = np.linalg.svd(a)
        return u, vh
    shapes = [(*a.shape[:-2], k, k) for k in a.shape[-2:]]
    u, vh = (np.array(np.broadcast_to(np.eye(k[-1], dtype=a.dtype), k)) for k in shapes)
    return u, vh


def _rest_of_u(a: Any) -> Any:
    return np.ascontiguousarray(_whole(a)[0][..., a.shape[-1] :])


def _rest_of_v(a: Any) -> Any:
    return np.ascontiguousarray(np.conj(_whole(a)[1][..., a.shape[-2] :, :].swapaxes(-1, -2)))


def _svd(x: Any, full: bool) -> tuple[Any, Any, Any]:
    """Give U, S and V; the columns that only full matrices have carry no gradient."""
    m, n = x._a.shape[-2:]
    packed = apply(q.svd, x)
    u, v, values = _part(packed, 0, m), _part(packed, m, m + n), _values(packed, m + n)
    if full and m != n:
        axis = x._a.ndim - 1
        if m > n:
            u = apply(s.cat, u, constant(computed, x, fn=_rest_of_u), axis=axis)
        else:
            v = apply(s.cat, v, constant(computed, x, fn=_rest_of_v), axis=axis)
    return u, values, v


def linalg_svd(A: Any, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """Give U, S and V^H with A = U diag(S) V^H: orthonormal columns and rows, and singular values in descending order.

    Parameters
    ----------
    A : Tensor of shape (*, m, n)
    full_matrices : bool
        Give square U and V^H; what they have more than min(m, n) columns or rows carries no gradient.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.svd(torch.diag(torch.tensor([2.0, 3.0]))).S
    tensor([3., 2.])
    """
    x = matrices(A, "linalg.svd", kernel="linalg_svd")
    if driver is not None:
        raise RuntimeError(
            f"torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs, got {driver!r}"
        )
    u, values, v = _svd(x, full_matrices)
    return return_types.linalg_svd(u, values, adjoint(v))


def svdvals(A: Any, *, driver: str | None = None) -> Any:
    """Give the singular values of matrices in descending order.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.svdvals(torch.diag(torch.tensor([2.0, 3.0])))
    tensor([3., 2.])
    """
    x = matrices(A, "linalg.svd", kernel="linalg_svd")
    if wants_grad(x) or not min(x._a.shape[-2:]):
        return _svd(x, False)[1]
    try:
        return wrap(np.linalg.svd(x._a, compute_uv=False))
    except np.linalg.LinAlgError:
        return _svd(x, False)[1]


@function("svd")
def svd(input: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """Give U, S and V (not V^H) with input = U diag(S) V^H."""
    x = matrices(input, "svd", argument="input", kernel="linalg_svd")
    if compute_uv:
        return return_types.svd(*_svd(x, not some))
    m, n = x._a.shape[-2:]
    zeros = (wrap(np.zeros((*x._a.shape[:-2], k, k), x._a.dtype)) for k in (m, n))
    return return_types.svd(next(zeros), svdvals(x), next(zeros))


# -- Q R ----------------------------------------------------------------------------------------------------------------
def _check_mode(mode: Any) -> None:
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )


def _qr(x: Any, mode: str) -> tuple[Any, Any]:
    m, n = x._a.shape[-2:]
    if mode == "r" or (mode == "complete" and m > n):
        # the results carry no gradient: in these modes Q R is not differentiable
        if mode == "r":
            return wrap(np.zeros(0, x._a.dtype)), wrap(np.asarray(np.linalg.qr(x._a, "r")))
        whole, right = np.linalg.qr(x._a, "complete")
        return wrap(whole), wrap(right)
    k = min(m, n)
    packed = apply(q.qr, x if m >= n else l.block(x, 0, m, -1))
    factor, right = _part(packed, 0, m), _part(packed, m, m + k)
    if n > m:
        rest = apply(c.matmul, adjoint(factor), l.block(x, m, n, -1))
        right = apply(s.cat, right, rest, axis=x._a.ndim - 1)
    return factor, right


def linalg_qr(A: Any, mode: str = "reduced") -> Any:
    """Give Q and R with A = Q R: orthonormal columns and an upper triangle.

    Parameters
    ----------
    A : Tensor of shape (*, m, n)
    mode : str
        "reduced", "complete" (square Q) or "r" (R alone).

    Examples
    --------
    >>> import retrograd as torch
    >>> Q, R = torch.linalg.qr(torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> (Q @ R).round(decimals=4)
    tensor([[3., 1.],
            [4., 2.]])
    """
    _check_mode(mode)
    return return_types.linalg_qr(*_qr(matrices(A, "linalg.qr", kernel="geqrf"), mode))


@function("qr")
def qr(input: Any, some: bool = True) -> Any:
    """Give Q and R with input = Q R; square Q unless ``some``."""
    return return_types.qr(
        *_qr(matrices(input, "qr", argument="input", kernel="geqrf"), "reduced" if some else "complete")
    )


@function("geqrf")
def geqrf(input: Any) -> Any:
    """Give R above the Householder vectors whose reflections make Q, and their factors."""
    x = matrices(input, "geqrf", argument="input", kernel="geqrf")
    depends_on_values("geqrf", x)
    h, tau = np.linalg.qr(x._a, "raw")
    return return_types.geqrf(wrap(np.ascontiguousarray(h.swapaxes(-1, -2))), wrap(tau))


@function("orgqr")
def householder_product(A: Any, tau: Any) -> Any:
    """Give the first columns of the product of Householder reflections I - tau_i v_i v_i^H.

    Parameters
    ----------
    A : Tensor of shape (*, m, n)
        Its columns below the diagonal are the vectors v_i.
    tau : Tensor of shape (*, k)

    Examples
    --------
    >>> import retrograd as torch
    >>> A = torch.tensor([[3.0, 1.0], [4.0, 2.0]])
    >>> Q = torch.linalg.householder_product(*torch.geqrf(A))
    >>> torch.allclose(Q.abs(), torch.linalg.qr(A).Q.abs())
    True
    """
    x = matrices(A, "linalg.householder_product", kernel="orgqr")
    m, n = x._a.shape[-2:]
    if not x._a.size:
        return wrap(x._a.copy())
    if m < n:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if tau._a.ndim + 1 != x._a.ndim or n < tau._a.shape[-1]:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    start = Tensor._wrap(np.array(np.broadcast_to(np.eye(m, n, dtype=x._a.dtype), x._a.shape)))
    return _reflected(x, tau, start, range(tau._a.shape[-1] - 1, -1, -1), False)


def _reflected(x: Any, tau: Any, start: Any, order: Any, conjugated: bool) -> Any:
    """Apply reflections to the columns of a matrix, one after another."""
    m, k = x._a.shape[-2], tau._a.shape[-1]
    vectors = apply(s.tril, l.block(x, 0, k, -1), diagonal=-1) + Tensor._wrap(np.eye(m, k, dtype=x._a.dtype))
    if conjugated:
        tau = l.conjugate(tau)
    for i in order:
        v = l.block(vectors, i, i + 1, -1)
        factor = s.slice_(tau, index=(..., slice(i, i + 1), None))
        start = start - factor * v * apply(c.matmul, adjoint(v), start)
    return start


@function("ormqr")
def ormqr(input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    """Multiply a matrix with the square Q that Householder vectors give (from either side), or with Q^H."""
    x = matrices(input, "ormqr", argument="input", kernel="ormqr")
    if not left:
        return adjoint(ormqr(x, tau, adjoint(other), True, not transpose))
    k = tau._a.shape[-1]
    return _reflected(x, tau, other, range(k) if transpose else range(k - 1, -1, -1), transpose)
