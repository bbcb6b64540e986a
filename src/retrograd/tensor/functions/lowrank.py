"""The few largest singular values or eigenvalues of a matrix, by random projection and by iteration."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import wrap
from ...core.mode import no_grad
from ..dispatch import FUNCTIONS, function
from .decompositions import linalg_qr as qr
from .decompositions import linalg_svd as svd
from .linear_algebra import depends_on_values


def _adjoint(x: Any) -> Any:
    return x.transpose(-2, -1).conj() if x._a.dtype.kind == "c" else x.transpose(-2, -1)


def _basis(A: Any, q: int, niter: int, M: Any) -> Any:
    """Give an orthonormal basis of nearly what A maps onto, by powers of A applied to random vectors."""
    drawn = FUNCTIONS["randn"](A.shape[-1], q, dtype=A.dtype)

    def forward(x: Any) -> Any:
        return A @ x if M is None else A @ x - M @ x

    def backward(x: Any) -> Any:
        found = _adjoint(A) @ x
        return found if M is None else found - _adjoint(M) @ x

    basis = qr(forward(drawn))[0]
    for _ in range(niter):
        basis = qr(forward(qr(backward(basis))[0]))[0]
    return basis


@function("svd_lowrank", method=False, out=False)
def svd_lowrank(A: Any, q: int | None = 6, niter: int | None = 2, M: Any = None) -> tuple[Any, Any, Any]:
    """Give U, S, V with A - M nearly U diag(S) V^H of rank ``q``, found by random projection.

    ``niter`` counts the power iterations. Shapes: A (..., m, n) -> (..., m, q), (..., q), (..., n, q).

    Source: Halko, Martinsson and Tropp 2009, https://arxiv.org/abs/0909.4061, algorithm 5.1.

    Examples
    --------
    >>> import retrograd as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.svd_lowrank(torch.diag(torch.tensor([3.0, 2.0, 1.0])), q=3)[1].round()
    tensor([3., 2., 1.])
    """
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    wide = A.shape[-2] < A.shape[-1]
    if wide:
        A, M = _adjoint(A), None if M is None else _adjoint(M)
    basis = _basis(A, q, niter, None if M is None else M.expand(A.shape))
    small = _adjoint(basis) @ (A if M is None else A - M)
    u, s, vh = svd(small, full_matrices=False)
    u, v = basis @ u, _adjoint(vh)
    return (v, s, u) if wide else (u, s, v)


@function("pca_lowrank", method=False, out=False)
def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Any, Any, Any]:
    """Give the principal components of rows of observations: U, S, V of the matrix without its columns' means.

    Raises ValueError for a ``q`` outside of [0, min(m, n)] or a negative ``niter``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.pca_lowrank(torch.ones(4, 3), q=2)[2].shape
    torch.Size([3, 2])
    """
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    if A._a.dtype.kind not in "fc":
        raise ValueError(f"expected a floating-point or complex matrix, but got {A.dtype}")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


def _orthonormal(S: Any, B: Any) -> Any:
    """Give vectors that span what the columns of S do, orthonormal in the product of B; dependent ones are left out."""
    gram = S.T @ (S if B is None else B @ S)
    scale = 1 / np.sqrt(np.maximum(np.diag(gram), np.finfo(S.dtype).tiny))
    values, vectors = np.linalg.eigh(gram * scale[:, None] * scale)
    kept = values > np.finfo(S.dtype).eps * max(S.shape) * max(values[-1], 0)
    return (S * scale) @ (vectors[:, kept] / np.sqrt(values[kept]))


def _pairs(A: Any, B: Any, X: Any, iK: Any, k: int, niter: int, tol: float, largest: bool) -> tuple[Any, Any]:
    """Iterate on the span of the vectors, their preconditioned residuals and their last steps."""
    sign = -1 if largest else 1
    step = np.zeros((X.shape[0], 0), X.dtype)
    X = _orthonormal(X, B)
    norms = np.linalg.norm(A), 1.0 if B is None else np.linalg.norm(B)
    values = np.zeros(X.shape[1], X.dtype)
    for turn in range(niter + 1):
        small = X.T @ A @ X
        values, turned = np.linalg.eigh((small + small.T) / 2)
        order = np.argsort(sign * values, kind="stable")
        values, X = values[order], X @ turned[:, order]
        residual = A @ X - (X if B is None else B @ X) * values
        size = np.linalg.norm(X, axis=0) * (norms[0] + np.abs(values) * norms[1])
        far = np.linalg.norm(residual, axis=0) > tol * size
        if turn == niter or not far[:k].any():
            break
        towards = residual[:, far] if iK is None else iK @ residual[:, far]
        span = np.concatenate([X, towards, step], 1)
        span = _orthonormal(span, B)
        small = span.T @ A @ span
        found, mixed = np.linalg.eigh((small + small.T) / 2)
        best = np.argsort(sign * found, kind="stable")[: X.shape[1]]
        fresh = span @ mixed[:, best]
        step = fresh - X @ (X.T @ (fresh if B is None else B @ fresh))
        X = fresh
    return values[:k], X[:, :k]


@function("lobpcg", method=False, out=False)
def lobpcg(
    A: Any,
    k: int | None = None,
    B: Any = None,
    X: Any = None,
    n: int | None = None,
    iK: Any = None,
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
    tracker: Any = None,
    ortho_iparams: Any = None,
    ortho_fparams: Any = None,
    ortho_bparams: Any = None,
) -> tuple[Any, Any]:
    """Give the ``k`` largest (or smallest) eigenvalues of A x = l B x and their vectors, by iteration.

    Shapes: A (..., m, m) symmetric, B like it and positive-definite (the identity by default); the result (..., k),
    (..., m, k). ``X`` are the vectors to begin with, ``n`` their number, ``iK`` a preconditioner. The values' first
    derivatives are given, the vectors are constants. ValueError for a matrix with fewer than 3 k rows.

    Source: Knyazev 2001, Toward the optimal preconditioned eigensolver: locally optimal block preconditioned conjugate
    gradient method.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.lobpcg(torch.diag(torch.arange(1.0, 10.0)), k=1)[0].round()
    tensor([9.])
    """
    m = A.shape[-1]
    if A.dim() < 2 or A.shape[-2] != m:
        raise ValueError(f"lobpcg expects square matrices, not {list(A.shape)}")
    if A._a.dtype.kind != "f" or A._a.dtype.itemsize < 4:
        raise ValueError(f"expected a matrix of float32 or float64, but got {A.dtype}")
    if X is not None and tuple(X.shape[:-1]) != tuple(A.shape[:-1]):
        raise ValueError(f"lobpcg: the vectors to begin with, {list(X.shape)}, do not fit the matrix {list(A.shape)}")
    k = (1 if X is None else X.shape[-1]) if k is None else k
    n = (k if X is None else X.shape[-1]) if n is None else n
    if m < 3 * n:
        raise ValueError(
            f"LPBPCG algorithm is not applicable when the number of A rows (={m}) is smaller than 3 x the number of "
            f"requested eigenpairs (={n})"
        )
    if method not in (None, "basic", "ortho"):
        raise ValueError(f"lobpcg: there is no method {method!r}: 'basic' or 'ortho' is expected")
    with no_grad():
        depends_on_values("lobpcg", A)
        start = FUNCTIONS["randn"](*A.shape[:-1], n, dtype=A.dtype) if X is None else X
        limit = (1.2e-7 if A._a.dtype.itemsize == 4 else 2.23e-16) ** 0.5 if tol is None else tol
        turns = 1000 if niter is None or niter < 0 else niter
        lead = A._a.shape[:-2]
        b = None if B is None else np.broadcast_to(B._a, A._a.shape).reshape(-1, m, m)
        pre = None if iK is None else np.broadcast_to(iK._a, A._a.shape).reshape(-1, m, m)
        found = [
            _pairs(
                a,
                None if b is None else b[i],
                start._a.reshape(-1, m, n)[i],
                None if pre is None else pre[i],
                k,
                turns,
                limit,
                largest is None or largest,
            )
            for i, a in enumerate(A._a.reshape(-1, m, m))
        ]
        values = wrap(np.stack([f[0] for f in found]).reshape(*lead, -1).astype(A._a.dtype))
        vectors = wrap(np.stack([f[1] for f in found]).reshape(*lead, m, -1).astype(A._a.dtype))
    if A.requires_grad or (B is not None and B.requires_grad):
        # a value's slope is that of the quotient with its vector held: x^T (dA - l dB) x
        slope = (vectors * (A @ vectors)).sum(-2)
        if B is not None:
            slope = slope - values * (vectors * (B @ vectors)).sum(-2)
        values = values + (slope - slope.detach())
    return values, vectors
