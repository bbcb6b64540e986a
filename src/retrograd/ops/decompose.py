"""Decompositions of (batches of) matrices; an op gives all its factors packed into one array, one block of rows each."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import TensorType, typeof
from . import batching
from .contract import matmul
from .derive import general
from .elementwise import imag_part, like, real_part, where
from .linalg import (
    LinAlgError,
    adjoint,
    around,
    as_diagonal,
    block,
    column,
    conjugate,
    diagonal,
    row,
    solve,
    solve_triangular,
    wide,
)
from .shape import cat, slice_, tril, triu


def _rows(*parts: Any) -> Any:
    return cat(*parts, axis=len(typeof(parts[0]).shape) - 2)


def _real(x: Any) -> Any:
    return real_part(x) if typeof(x).dtype.kind == "c" else x


def _first(x: Any) -> Any:
    """Give the single row of a block as real vectors."""
    return _real(slice_(x, index=(..., 0, slice(None))))


def _symmetric(x: Any) -> Any:
    return 0.5 * (x + adjoint(x))


def _ratio(x: Any, differences: Any) -> Any:
    """Give x / differences; 0 where x is 0, so that equal eigenvalues do no harm where their vectors are not used."""
    idle = (x == 0) * (differences == 0)
    return x / where(idle, 1.0, differences)


def _gaps(v: Any) -> Any:
    """Give v_j - v_i, with ones on the diagonal."""
    n = typeof(v).shape[-1]
    return row(v) - column(v) + as_diagonal(like(v == v, v)) if n else row(v) - column(v)


def _off_diagonal(x: Any) -> Any:
    return tril(x, diagonal=-1) + triu(x, diagonal=1)


def _pack(*parts: Any) -> Any:
    return np.concatenate(parts, -2)


# -- Cholesky -----------------------------------------------------------------------------------------------------------
def _hermitian(x: Any, part: str) -> Any:
    """Give the Hermitian matrix that ``part`` says: its lower or upper triangle, or the mean of both."""
    if part == "mean":
        return (x + np.conj(x.swapaxes(-1, -2))) / 2
    return x if part == "L" else np.conj(x.swapaxes(-1, -2))


@wide
def _cholesky(x: Any, *, part: str = "L") -> Any:
    a = _hermitian(x, part)
    try:
        return np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        which = ""
        if x.ndim > 2:
            for k, m in enumerate(a.reshape(-1, *a.shape[-2:])):
                if leading_minor(m):
                    which = f"(Batch element {k}): "
                    break
        raise LinAlgError(
            f"linalg.cholesky: {which}The factorization could not be completed because the input is not positive-definite."
        ) from None


def leading_minor(m: Any) -> int:
    """Give the order of the first leading minor of one matrix that is not positive, 0 if there is none."""
    low, high = 0, m.shape[-1]
    if not high or _positive(m):
        return 0
    while low < high:
        middle = (low + high) // 2
        if _positive(m[: middle + 1, : middle + 1]):
            low = middle + 1
        else:
            high = middle
    return low + 1


def _positive(m: Any) -> bool:
    try:
        return bool(np.isfinite(np.linalg.cholesky(m)).all())
    except np.linalg.LinAlgError:
        return False


def _half_lower(x: Any) -> Any:
    return 0.5 * (tril(x, diagonal=0) + tril(x, diagonal=-1))


def _cholesky_back(g: Any, out: Any) -> Any:
    upper = adjoint(out)
    p = matmul(upper, g)
    both = 0.5 * (tril(p, diagonal=0) + adjoint(tril(p, diagonal=-1)))
    left = solve_triangular(upper, both, upper=True, unit=False)
    return adjoint(solve_triangular(upper, adjoint(left), upper=True, unit=False))


def _cholesky_push(t: Any, out: Any) -> Any:
    left = solve_triangular(out, _symmetric(t), upper=False, unit=False)
    both = solve_triangular(out, adjoint(left), upper=False, unit=False)
    return matmul(out, _half_lower(both))


_MEAN: dict[str, Any] = {"attrs": {"part": "mean"}}
cholesky = general(
    "linalg_cholesky",
    _cholesky,
    type=lambda x, *, part: x,
    vjp=[_cholesky_back],
    jvp=[_cholesky_push],
    domain=around(3),
    batch=batching.matrices,
    samples=({"shapes": ((3, 3),), **_MEAN}, {"shapes": ((2, 3, 3),), **_MEAN}),
    shown="LinalgCholeskyExBackward0",
)


# -- eigenvalues of Hermitian matrices: rows of V, then one row of eigenvalues ------------------------------------------
@wide
def _eigh(x: Any, *, part: str = "L") -> Any:
    try:
        values, vectors = np.linalg.eigh(_hermitian(x, part))
    except np.linalg.LinAlgError:
        raise _no_convergence("eigh") from None
    return _pack(vectors, values[..., None, :].astype(x.dtype))


def _no_convergence(name: str) -> LinAlgError:
    return LinAlgError(
        f"linalg.{name}: The algorithm failed to converge because the input matrix is ill-conditioned or has too many "
        "repeated eigenvalues."
    )


def _one_more(x: TensorType, **attrs: Any) -> TensorType:
    return TensorType((*x.shape[:-2], x.shape[-1] + 1, x.shape[-1]), x.dtype)


def _eigh_back(g: Any, out: Any) -> Any:
    n = typeof(out).shape[-1]
    v, values = block(out, 0, n), _first(block(out, n, n + 1))
    gv, gl = block(g, 0, n), _first(block(g, n, n + 1))
    inner = _ratio(_off_diagonal(matmul(adjoint(v), gv)), _gaps(values)) + as_diagonal(gl)
    return _symmetric(matmul(matmul(v, inner), adjoint(v)))


def _eigh_push(t: Any, out: Any) -> Any:
    n = typeof(out).shape[-1]
    v, values = block(out, 0, n), _first(block(out, n, n + 1))
    p = matmul(matmul(adjoint(v), _symmetric(t)), v)
    return _rows(matmul(v, _ratio(_off_diagonal(p), _gaps(values))), row(diagonal(p)))


eigh = general(
    "linalg_eigh",
    _eigh,
    type=_one_more,
    vjp=[_eigh_back],
    jvp=[_eigh_push],
    domain=around(3),
    batch=batching.matrices,
    samples=({"shapes": ((3, 3),), **_MEAN}, {"shapes": ((2, 3, 3),), **_MEAN}),
    shown="LinalgEighBackward0",
)


# -- eigenvalues of any matrix, complex ---------------------------------------------------------------------------------
def _eig(x: Any) -> Any:
    if not np.isfinite(x).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    try:
        values, vectors = np.linalg.eig(x)
    except np.linalg.LinAlgError:
        raise _no_convergence("eig") from None
    return _pack(vectors, values[..., None, :]).astype(np.result_type(x.dtype, np.complex64))


def _eig_back(g: Any, out: Any) -> Any:
    n = typeof(out).shape[-1]
    v, values = block(out, 0, n), _line(out, n)
    gv, gl = block(g, 0, n), _line(g, n)
    vh = adjoint(v)
    along = matmul(vh, gv)
    kept = along - matmul(vh, v) * row(like(_real(diagonal(along)), v))
    inner = _ratio(_off_diagonal(kept), conjugate(_gaps(values))) + as_diagonal(gl)
    return solve(vh, matmul(inner, vh))


def _line(x: Any, n: int) -> Any:
    return slice_(x, index=(..., n, slice(None)))


def _eig_push(t: Any, out: Any) -> Any:
    n = typeof(out).shape[-1]
    v, values = block(out, 0, n), _line(out, n)
    p = solve(v, matmul(like(t, v), v))
    move = matmul(v, _ratio(_off_diagonal(p), _gaps(values)))
    along = _real(diagonal(matmul(adjoint(v), move)))
    return _rows(move - v * row(like(along, v)), row(diagonal(p)))


eig = general(
    "linalg_eig",
    _eig,
    type=lambda x: TensorType((*x.shape[:-2], x.shape[-1] + 1, x.shape[-1]), np.result_type(x.dtype, np.complex64)),
    vjp=[_eig_back],
    jvp=[_eig_push],
    domain=around(3),
    batch=batching.matrices,
    samples=({"shapes": ((3, 3),), "dtype": "complex128"},),
    shown="LinalgEigBackward0",
)


# -- singular values: rows of U, rows of V (not conjugated), one row of singular values ---------------------------------
@wide
def _svd(x: Any) -> Any:
    if not min(x.shape[-2:]):
        return np.zeros((*x.shape[:-2], x.shape[-2] + x.shape[-1] + 1, 0), x.dtype)
    try:
        u, s, vh = np.linalg.svd(x, full_matrices=False)
    except np.linalg.LinAlgError:
        raise _no_convergence("svd") from None
    return _pack(u, np.conj(vh.swapaxes(-1, -2)), s[..., None, :].astype(x.dtype))


def _svd_type(x: TensorType) -> TensorType:
    m, n = x.shape[-2:]
    return TensorType((*x.shape[:-2], m + n + 1, min(m, n)), x.dtype)


def _split(out: Any, m: int, n: int) -> tuple[Any, Any, Any]:
    return block(out, 0, m), block(out, m, m + n), _first(block(out, m + n, m + n + 1))


def _svd_back(g: Any, out: Any, *, x_type: TensorType) -> Any:
    m, n = x_type.shape[-2:]
    u, v, s = _split(out, m, n)
    gu, gv, gs = _split(g, m, n)
    uh, vh = adjoint(u), adjoint(v)
    pu, pv = matmul(uh, gu), matmul(vh, gv)
    gaps = _gaps(s * s)
    inner = _ratio(pu - adjoint(pu), gaps) * row(s) + column(s) * _ratio(pv - adjoint(pv), gaps) + as_diagonal(gs)
    if typeof(out).dtype.kind == "c":
        turn = imag_part(diagonal(pu)) - imag_part(diagonal(pv))
        # the phase of a pair of singular vectors is free: it is taken to turn both by opposite halves
        inner = _off_diagonal(inner) + as_diagonal(like(gs, u) + _ratio(0.5 * turn, s) * 1j)
    left = matmul(u, inner)
    if m > n:
        rest = gu - matmul(u, pu)
        left = left + _ratio(rest, row(s) + rest * 0.0)
    r = matmul(left, vh)
    if n > m:
        rest = gv - matmul(v, pv)
        r = r + matmul(u, adjoint(_ratio(rest, row(s) + rest * 0.0)))
    return r


def _svd_push(t: Any, out: Any, *, x_type: TensorType) -> Any:
    m, n = x_type.shape[-2:]
    u, v, s = _split(out, m, n)
    tv, tu = matmul(t, v), matmul(adjoint(t), u)
    p = matmul(adjoint(u), tv)
    gaps = _gaps(s * s)
    ps, sp = p * row(s), column(s) * p
    turn_u = _ratio(_off_diagonal(ps + adjoint(ps)), gaps)
    turn_v = _ratio(_off_diagonal(sp + adjoint(sp)), gaps)
    if typeof(out).dtype.kind == "c":
        half = as_diagonal(_ratio(0.5 * imag_part(diagonal(p)), s) * 1j)
        turn_u, turn_v = turn_u + half, turn_v - half
    du, dv = matmul(u, turn_u), matmul(v, turn_v)
    if m > n:
        du = du + _ratio(tv - matmul(u, p), row(s) + tv * 0.0)
    if n > m:
        dv = dv + _ratio(tu - matmul(v, adjoint(p)), row(s) + tu * 0.0)
    return _rows(du, dv, row(like(_real(diagonal(p)), u)))


def _wide_around(m: int, n: int) -> tuple[Any, Any]:
    middle = np.zeros((m, n))
    k = min(m, n)
    middle[:k, :k] = np.diag(2.0 + np.arange(k))
    return middle - 0.4, middle + 0.4


svd = general(
    "linalg_svd",
    _svd,
    type=_svd_type,
    vjp=[_svd_back],
    jvp=[_svd_push],
    batch=batching.matrices,
    samples=tuple({"shapes": (s,), "domain": _wide_around(*s[-2:])} for s in ((3, 3), (4, 2), (2, 2, 3))),
    shown="LinalgSvdBackward0",
)


# -- Q R of a matrix with no more columns than rows: rows of Q, rows of R -----------------------------------------------
@wide
def _qr(x: Any) -> Any:
    return _pack(*np.linalg.qr(x))


def _qr_back(g: Any, out: Any, *, x_type: TensorType) -> Any:
    m, n = x_type.shape[-2:]
    q, r = block(out, 0, m), block(out, m, m + n)
    gq, gr = block(g, 0, m), block(g, m, m + n)
    inner = triu(matmul(gr, adjoint(r)) - matmul(adjoint(q), gq), diagonal=0)
    whole = inner + adjoint(triu(inner, diagonal=1))
    if typeof(out).dtype.kind == "c":
        whole = _off_diagonal(whole) + as_diagonal(like(_real(diagonal(whole)), whole))
    left = gq + matmul(q, whole)
    return adjoint(solve_triangular(r, adjoint(left), upper=True, unit=False))


def _qr_push(t: Any, out: Any, *, x_type: TensorType) -> Any:
    m, n = x_type.shape[-2:]
    q, r = block(out, 0, m), block(out, m, m + n)
    # t inv(R), by the transposed system
    scaled = adjoint(solve_triangular(adjoint(r), adjoint(t), upper=False, unit=False))
    c = matmul(adjoint(q), scaled)
    low = tril(c, diagonal=-1)
    turn = low - adjoint(low)
    if typeof(out).dtype.kind == "c":
        turn = turn + as_diagonal(imag_part(diagonal(c)) * 1j)
    return _rows(scaled - matmul(q, c) + matmul(q, turn), triu(matmul(c - turn, r), diagonal=0))


qr = general(
    "linalg_qr",
    _qr,
    type=lambda x: TensorType((*x.shape[:-2], x.shape[-2] + x.shape[-1], x.shape[-1]), x.dtype),
    vjp=[_qr_back],
    jvp=[_qr_push],
    batch=batching.matrices,
    samples=tuple({"shapes": (s,), "domain": _wide_around(*s[-2:])} for s in ((3, 3), (4, 2), (2, 3, 2))),
    shown="LinalgQrBackward0",
)


# -- pseudo-inverse -----------------------------------------------------------------------------------------------------
@wide
def _pinv(x: Any, *, absolute: Any = 0.0, relative: Any = None) -> Any:
    m, n = x.shape[-2:]
    if not x.size:
        return np.zeros((*x.shape[:-2], n, m), x.dtype)
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    if relative is None:
        relative = max(m, n) * np.finfo(x.dtype).eps if not np.any(absolute) else 0.0
    least = np.maximum(np.asarray(absolute)[..., None], np.asarray(relative)[..., None] * s[..., :1])
    kept = s > least
    back = np.where(kept, 1 / np.where(kept, s, 1), 0)
    r = np.matmul(np.conj(vh.swapaxes(-1, -2)) * back[..., None, :], np.conj(u.swapaxes(-1, -2)))
    return r.astype(x.dtype)


def _pinv_back(g: Any, x: Any, out: Any) -> Any:
    p, ph, gh = out, adjoint(out), adjoint(g)
    first = matmul(matmul(ph, g), ph)
    pph, php = matmul(matmul(gh, p), ph), matmul(matmul(ph, p), gh)
    return pph - matmul(x, matmul(p, pph)) + php - matmul(matmul(php, p), x) - first


def _pinv_push(t: Any, x: Any, out: Any) -> Any:
    p, ph, th = out, adjoint(out), adjoint(t)
    right = matmul(matmul(p, ph), th)
    left = matmul(matmul(th, ph), p)
    return right - matmul(matmul(right, x), p) + left - matmul(p, matmul(x, left)) - matmul(matmul(p, t), p)


pinv = general(
    "linalg_pinv",
    _pinv,
    type=lambda x, **attrs: TensorType((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype),
    vjp=[_pinv_back],
    jvp=[_pinv_push],
    batch=batching.matrices,
    samples=tuple({"shapes": (s,), "domain": _wide_around(*s[-2:])} for s in ((3, 3), (4, 2), (2, 2, 3))),
    shown="LinalgPinvBackward0",
)

__all__ = ["cholesky", "eig", "eigh", "leading_minor", "pinv", "qr", "svd"]
