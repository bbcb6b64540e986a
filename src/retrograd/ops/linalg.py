"""Systems of linear equations, inverses, determinants and exponentials of (batches of) matrices."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import TensorType, typeof
from . import batching
from .contract import matmul
from .derive import general
from .elementwise import conj
from .shape import cat, embed, slice_, sum_to, tril, triu
from .shape import diagonal as _diagonal
from .shape import transpose as _transpose
from .sums import is_narrow


class LinAlgError(RuntimeError):
    """A matrix lacks what a function needs of it: an inverse, positive eigenvalues, convergence."""


# -- small words of the rules: each works on arrays and on Tensors ------------------------------------------------------
def turned(x: Any) -> Any:
    """Give the transposes of matrices."""
    return _transpose(x, a=-2, b=-1)


def conjugate(x: Any) -> Any:
    """Give the conjugate of complex values; real ones themselves."""
    return conj(x) if typeof(x).dtype.kind == "c" else x


def adjoint(x: Any) -> Any:
    """Give the conjugate transposes of matrices."""
    return conjugate(turned(x))


def column(x: Any) -> Any:
    """Give vectors as columns that scale rows."""
    return slice_(x, index=(..., None))


def row(x: Any) -> Any:
    """Give vectors as rows that scale columns."""
    return slice_(x, index=(..., None, slice(None)))


def diagonal(x: Any) -> Any:
    """Give the diagonals of matrices."""
    return _diagonal(x, offset=0, a=-2, b=-1)


def as_diagonal(d: Any) -> Any:
    """Give diagonal matrices."""
    shape = typeof(d).shape
    return embed(d, part=_diagonal, attrs={"offset": 0, "a": -2, "b": -1}, shape=(*shape, shape[-1]))


def block(x: Any, start: int, stop: int, axis: int = -2) -> Any:
    """Give some rows (axis -2) or columns (axis -1) of matrices."""
    tail = (slice(None),) * (-1 - axis)
    return slice_(x, index=(..., slice(start, stop), *tail))


def wide(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function that knows float32 and wider take half precisions too."""

    @functools.wraps(fn)
    def call(*xs: Any, **attrs: Any) -> Any:
        d = xs[0].dtype
        if is_narrow(d):
            return fn(*[x.astype(np.float32) for x in xs], **attrs).astype(d)
        return fn(*xs, **attrs)

    return call


def around(n: int, spread: float = 0.5, scale: float = 3.0) -> tuple[Any, Any]:
    """Give a test domain of matrices near distinct multiples of the identity: well conditioned, eigenvalues apart."""
    middle = np.diag(scale + np.arange(n))
    return middle - spread, middle + spread


def _trace_of_product(x: Any, y: Any) -> Any:
    shape = typeof(x).shape[:-2]
    return sum_to(x * y, shape=(*shape, 1, 1))


def _number(x: Any) -> Any:
    return slice_(x, index=(..., 0, 0))


def _matrix(x: Any) -> Any:
    return slice_(x, index=(..., None, None))


# -- inverse and solutions ----------------------------------------------------------------------------------------------
def _singular(name: str, x: Any) -> LinAlgError:
    sign = np.linalg.slogdet(x)[0]
    bad = np.argwhere(np.asarray(sign) == 0)
    which = f"(Batch element {int(bad[0][0])}): " if x.ndim > 2 and len(bad) else ""
    return LinAlgError(f"linalg.{name}: {which}The solver failed because the input matrix is singular.")


@wide
def _inverse(x: Any) -> Any:
    try:
        return np.linalg.inv(x)
    except np.linalg.LinAlgError:
        raise _singular("inv", x) from None


@wide
def _solve(x: Any, y: Any) -> Any:
    try:
        return np.linalg.solve(x, y)
    except np.linalg.LinAlgError:
        raise _singular("solve", x) from None


def _solve_type(x: TensorType, y: TensorType, **attrs: Any) -> TensorType:
    return TensorType((*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), *y.shape[-2:]), y.dtype)


inv = general(
    "linalg_inv",
    _inverse,
    type=lambda x: x,
    vjp=[lambda g, out: -matmul(matmul(turned(out), g), turned(out))],
    jvp=[lambda t, out: -matmul(matmul(out, t), out)],
    domain=around(3),
    batch=batching.matrices,
    samples=({"shapes": ((3, 3),)}, {"shapes": ((2, 3, 3),)}, {"shapes": ((0, 3, 3),)}),
    shown="LinalgInvExBackward0",
)

_RIGHT: dict[str, Any] = {"domain": (around(3), (-2.0, 2.0))}
_PAIRS: tuple[dict[str, Any], ...] = (
    {"shapes": ((3, 3), (3, 2)), **_RIGHT},
    {"shapes": ((2, 3, 3), (3, 2)), **_RIGHT},
    {"shapes": ((3, 3), (2, 3, 1)), **_RIGHT},
)
solve = general(
    "linalg_solve",
    _solve,
    type=_solve_type,
    names=("x", "y"),
    vjp=[
        lambda g, x, out: -matmul(solve(turned(x), g), turned(out)),
        lambda g, x: solve(turned(x), g),
    ],
    jvp=[lambda t, x, out: -solve(x, matmul(t, out)), lambda t, x: solve(x, t)],
    batch=batching.matrices,
    samples=_PAIRS,
    broadcasts=True,
    shown="LinalgSolveExBackward0",
)


def _substitute(a: Any, b: Any, upper: bool) -> Any:
    """Solve triangular systems row by row: where a diagonal element is zero this gives infinities, as LAPACK's does."""
    n = a.shape[-1]
    x = np.array(np.broadcast_to(b, (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:])))
    with np.errstate(all="ignore"):
        for i in range(n - 1, -1, -1) if upper else range(n):
            known = slice(i + 1, n) if upper else slice(0, i)
            if known.start < known.stop:
                x[..., i, :] -= np.matmul(a[..., i : i + 1, known], x[..., known, :])[..., 0, :]
            x[..., i, :] /= a[..., i, i, None]
    return x


def _triangular(a: Any, b: Any, upper: bool) -> Any:
    n = a.shape[-1]
    if n <= 64:
        try:
            return np.linalg.solve(a, b)
        except np.linalg.LinAlgError:
            return _substitute(a, b, upper)
    h = n // 2
    first, last = slice(0, h), slice(h, n)
    if upper:
        low = _triangular(a[..., last, last], b[..., last, :], upper)
        high = _triangular(a[..., first, first], b[..., first, :] - np.matmul(a[..., first, last], low), upper)
        return np.concatenate(_same_batch(high, low), -2)
    high = _triangular(a[..., first, first], b[..., first, :], upper)
    low = _triangular(a[..., last, last], b[..., last, :] - np.matmul(a[..., last, first], high), upper)
    return np.concatenate(_same_batch(high, low), -2)


def _same_batch(*xs: Any) -> list[Any]:
    batch = np.broadcast_shapes(*(x.shape[:-2] for x in xs))
    return [np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in xs]


@wide
def _solve_triangular(x: Any, y: Any, *, upper: bool, unit: bool) -> Any:
    a = np.triu(x) if upper else np.tril(x)
    if unit:
        i = np.arange(a.shape[-1])
        a[..., i, i] = 1
    return _triangular(a, y, upper)


def _triangle(x: Any, upper: bool, unit: bool) -> Any:
    return triu(x, diagonal=int(unit)) if upper else tril(x, diagonal=-int(unit))


solve_triangular = general(
    "linalg_solve_triangular",
    _solve_triangular,
    type=_solve_type,
    names=("x", "y"),
    vjp=[
        lambda g, x, out, *, upper, unit: (
            -_triangle(matmul(solve_triangular(turned(x), g, upper=not upper, unit=unit), turned(out)), upper, unit)
        ),
        lambda g, x, *, upper, unit: solve_triangular(turned(x), g, upper=not upper, unit=unit),
    ],
    jvp=[
        lambda t, x, out, *, upper, unit: (
            -solve_triangular(x, matmul(_triangle(t, upper, unit), out), upper=upper, unit=unit)
        ),
        lambda t, x, *, upper, unit: solve_triangular(x, t, upper=upper, unit=unit),
    ],
    batch=batching.matrices,
    samples=tuple(
        {**case, "attrs": {"upper": upper, "unit": unit}}
        for case, upper, unit in zip(_PAIRS, (False, True, True), (False, False, True), strict=True)
    ),
    broadcasts=True,
)


# -- determinants -------------------------------------------------------------------------------------------------------
def _number_type(x: TensorType) -> TensorType:
    return TensorType(x.shape[:-2], x.dtype)


@wide
def _cofactors(x: Any) -> Any:
    """Give det(x) inv(x)^T, which exists for singular matrices too."""
    d = np.asarray(np.linalg.det(x))
    if d.size and np.all(np.abs(d) > 0):
        try:
            return d[..., None, None] * np.linalg.inv(x).swapaxes(-1, -2)
        except np.linalg.LinAlgError:
            pass
    u, s, vh = np.linalg.svd(x)
    n = x.shape[-1]
    others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1)
    sign = np.asarray(np.linalg.det(u) * np.linalg.det(vh))[..., None, None]
    return (sign * np.matmul(np.conj(u) * others[..., None, :], np.conj(vh))).astype(x.dtype)


def _cofactor_change(g: Any, x: Any) -> Any:
    w = turned(inv(x))
    scaled = _matrix(det(x)) * w
    return _trace_of_product(g, w) * scaled - matmul(matmul(scaled, turned(g)), w)


def _cofactor_push(t: Any, x: Any) -> Any:
    w = turned(inv(x))
    scaled = _matrix(det(x)) * w
    return _trace_of_product(t, w) * scaled - matmul(matmul(scaled, turned(t)), w)


_SQUARES: tuple[dict[str, Any], ...] = ({"shapes": ((3, 3),)}, {"shapes": ((2, 3, 3),)})
cofactors = general(
    "linalg_cofactors",
    _cofactors,
    type=lambda x: x,
    vjp=[_cofactor_change],
    jvp=[_cofactor_push],
    domain=around(3, scale=1.0, spread=0.3),
    batch=batching.matrices,
    samples=_SQUARES,
)
det = general(
    "linalg_det",
    wide(lambda x: np.asarray(np.linalg.det(x))),
    type=_number_type,
    vjp=[lambda g, x: _matrix(g) * cofactors(x)],
    jvp=[lambda t, x: _number(_trace_of_product(t, cofactors(x)))],
    domain=around(3, scale=1.0, spread=0.3),
    batch=batching.matrices,
    samples=_SQUARES,
    shown="LinalgDetBackward0",
)


@wide
def _log_det(x: Any) -> Any:
    sign, size = np.linalg.slogdet(x)
    return np.asarray(size + 1j * np.angle(sign) if x.dtype.kind == "c" else size).astype(x.dtype)


sign_det = general(
    "linalg_sign_det",
    wide(lambda x: np.asarray(np.linalg.slogdet(x)[0], x.dtype)),
    type=_number_type,
    vjp=[None],
    jvp=[None],
    domain=around(3),
    batch=batching.matrices,
    samples=_SQUARES,
    shown="LinalgSlogdetBackward0",
)
log_det = general(
    "linalg_log_det",
    _log_det,  # log |det|, and for complex matrices i times the angle of the determinant
    type=_number_type,
    vjp=[lambda g, x: _matrix(g) * turned(inv(x))],
    jvp=[lambda t, x: _number(_trace_of_product(t, turned(inv(x))))],
    domain=around(3),
    batch=batching.matrices,
    samples=_SQUARES,
    shown="LinalgSlogdetBackward0",
)


# -- exponential --------------------------------------------------------------------------------------------------------
_PADE = [math.comb(13, k) * math.factorial(26 - k) / math.factorial(26) for k in range(14)]
_REACH = 5.37  # the 1-norm up to which the approximant of degree 13 is exact in double precision


def _exponential(x: Any) -> Any:
    kind = np.complex128 if x.dtype.kind == "c" else np.float64
    a = x.astype(kind)
    if not a.size:
        return x.copy()
    size = np.abs(a).sum(-2).max(-1)
    finite = np.isfinite(size)
    halvings = np.ceil(np.log2(np.maximum(np.where(finite, size, 1) / _REACH, 1)))[..., None, None]
    a = np.where(finite[..., None, None], a, 0) / 2.0**halvings
    one = np.eye(a.shape[-1])
    b = _PADE
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a @ (a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one)
    even = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one
    r = np.linalg.solve(even - odd, even + odd)
    for k in range(int(halvings.max())):
        r = np.where(halvings > k, r @ r, r)
    return np.where(finite[..., None, None], r, np.nan).astype(x.dtype)


def _exponential_slope(x: Any, direction: Any) -> Any:
    """Give the derivative of exp at x along a direction: a block of the exponential of a matrix twice the size."""
    shape = typeof(x).shape
    n, axis = shape[-1], len(shape) - 2
    zero = direction * 0.0
    whole = cat(cat(x, direction, axis=axis + 1), cat(zero, x, axis=axis + 1), axis=axis)
    return block(block(matrix_exp(whole), 0, n), n, 2 * n, -1)


matrix_exp = general(
    "linalg_matrix_exp",
    _exponential,
    type=lambda x: x,
    vjp=[lambda g, x: _exponential_slope(turned(x), g)],
    jvp=[lambda t, x: _exponential_slope(x, t)],
    domain=(-0.7, 0.7),
    batch=batching.matrices,
    samples=({"shapes": ((3, 3),)}, {"shapes": ((2, 2, 2),)}, {"shapes": ((0, 2, 2),)}),
)

for _op in (inv, solve, solve_triangular, cofactors, det, log_det, matrix_exp):
    _op.conjugates = True  # functions that are complex differentiable: the walks conjugate what the rules read

__all__ = [
    "LinAlgError",
    "adjoint",
    "as_diagonal",
    "block",
    "cofactors",
    "column",
    "conjugate",
    "det",
    "diagonal",
    "inv",
    "log_det",
    "matrix_exp",
    "row",
    "sign_det",
    "solve",
    "solve_triangular",
    "turned",
    "wide",
]
