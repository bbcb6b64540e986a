"""What singular values say of matrices: ranks, norms, condition numbers, pseudo-inverses, least squares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import BaseTensor, apply, at, here, show_type, wrap
from ...core import dtypes as _d
from ...ops import contract as c
from ...ops import decompose as q
from ...ops import elementwise as e
from ...ops import linalg as l
from ...ops import reduce as r
from ...ops import shape as s
from ...ops.computed import computed
from .. import return_types
from ..dispatch import as_dtype, function, labelled, tensor_operand, type_name, wrap_dims
from .complex_parts import real
from .decompositions import eigvalsh, svdvals
from .linear_algebra import (
    as_columns,
    as_vectors,
    depends_on_values,
    inv,
    inv_ex,
    matrices,
    numbers,
    same_dtype,
    vector_right,
)
from .norms import vector_norm as _vector_norm
from .reductions import axes_of, constant, narrowed, wants_grad, widened


# -- ranks, pseudo-inverses, least squares ------------------------------------------------------------------------------
def _tolerances(x: Any, atol: Any, rtol: Any) -> tuple[Any, Any]:
    found = []
    depends_on_values("tolerances that are Tensors", *[v for v in (atol, rtol) if isinstance(v, BaseTensor)])
    for tolerance in (atol, rtol):
        found.append(tolerance._a if isinstance(tolerance, BaseTensor) else tolerance)
    absolute = 0.0 if found[0] is None else found[0]
    relative = found[1]
    if relative is None:
        basic = max(x._a.shape[-2:]) * np.finfo(x._a.dtype).eps
        relative = np.where(np.asarray(absolute) > 0, 0.0, basic)
    return absolute, relative


def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """Count the singular values above a tolerance, which is the larger of ``atol`` and ``rtol`` times the largest.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.matrix_rank(torch.ones(3, 3))
    tensor(1)
    """
    x = matrices(A, "linalg.matrix_rank", hermitian).detach()
    if not x._a.size:
        return wrap(np.zeros(x._a.shape[:-2], np.int64))
    values = eigvalsh(x).abs() if hermitian else svdvals(x)
    if tol is not None:
        atol, rtol = tol, 0.0
    depends_on_values("linalg.matrix_rank", *[v for v in (atol, rtol) if isinstance(v, BaseTensor)])
    absolute, relative = _tolerances(x, atol, rtol)

    def count(v: Any) -> Any:
        least = np.maximum(np.asarray(absolute), np.asarray(relative) * v.max(-1))
        return np.asarray((v > least[..., None]).sum(-1), np.int64)

    return constant(computed, values, fn=count)


def pinv(A: Any, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """Give the pseudo-inverses of matrices; singular values up to a tolerance count as zero.

    Parameters
    ----------
    A : Tensor of shape (*, m, n)
    rcond : float or Tensor
        The older name of ``rtol``.
    hermitian : bool
        The matrices are Hermitian.
    atol : float or Tensor
        The least tolerance.
    rtol : float or Tensor
        The tolerance in units of the largest singular value; max(m, n) times the dtype's eps by default.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.pinv(torch.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    x = matrices(A, "linalg.pinv", hermitian)
    absolute, relative = _tolerances(x, atol, rcond if rtol is None else rtol)
    return apply(q.pinv, x, absolute=absolute, relative=relative)


@function("pinverse")
def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """Give the pseudo-inverses of matrices."""
    return pinv(input, rcond)


def lstsq(A: Any, B: Any, rcond: Any = None, *, driver: str | None = None) -> Any:
    """Give the X that makes A X - B smallest, with the squared residuals, the ranks and the singular values.

    Parameters
    ----------
    A : Tensor of shape (*, m, n)
    B : Tensor of shape (*, m, k) or (*, m)
    rcond : float
        Singular values up to this share of the largest count as zero.
    driver : str
        "gelsy", "gels", "gelsd" or "gelss": which of LAPACK's names says what is returned beside the solution.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.lstsq(torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0], [3.0]])).solution.round()
    tensor([[2.]])
    """
    x = matrices(A, "linalg.lstsq")
    same_dtype(x, B, "linalg.lstsq")
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            f"torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), got {driver}"
        )
    if not B._a.ndim:
        raise RuntimeError("torch.linalg.lstsq: other must have at least 1 dimension.")
    vector = vector_right(x, B)
    b = as_columns(B) if vector else B
    m, n = x._a.shape[-2:]
    if b._a.ndim < 2 or b._a.shape[-2] != m:
        raise RuntimeError(
            f"torch.linalg.lstsq: input.size(-2) should match other.size({-1 if vector else -2}): {show_type(A)}, {show_type(B)}{at(here())}"
        )
    if rcond is None:
        rcond = max(m, n) * float(np.finfo(x._a.dtype).eps)
    elif driver == "gelsd" and not 0 < rcond < 1:  # as LAPACK's: no part of the largest singular value
        rcond = float(np.finfo(x._a.dtype).eps)
    solution = apply(c.matmul, apply(q.pinv, x, absolute=0.0, relative=rcond), b)
    spectrum = svdvals(x.detach())
    values = spectrum._a

    def count(v: Any) -> Any:
        return (v > rcond * v[..., :1]).sum(-1) if v.shape[-1] else np.zeros(v.shape[:-1], np.int64)

    ranks = count(values)
    full = driver == "gels" or bool(np.all(ranks == n))
    empty = wrap(np.zeros(0, _d.from_numpy(x._a.dtype).to_real().numpy))
    residuals: Any = empty
    if m > n and full and driver not in (None, "gelsy"):
        rest = apply(c.matmul, x, solution) - b
        size = rest._a
        square = (size * np.conj(size)).real.sum(-2) if not wants_grad(rest) else None
        residuals = (
            wrap(square)
            if square is not None
            else apply(r.sum_, real(rest * l.conjugate(rest)), axis=(rest._a.ndim - 2,), keepdims=False)
        )
    rank = wrap(np.zeros(0, np.int64)) if driver == "gels" else constant(computed, spectrum, fn=count)
    singular = spectrum if driver in ("gelsd", "gelss") else empty
    return return_types.linalg_lstsq(as_vectors(solution) if vector else solution, residuals, rank, singular)


# -- norms --------------------------------------------------------------------------------------------------------------
def _cast_first(x: Any, dtype: Any, name: str) -> Any:
    if dtype is None:
        return x
    if (x._a.dtype.kind == "c") != dtype.is_complex:
        raise RuntimeError(
            f"{name}: the dtype {dtype} of the result does not suit {show_type(x)}: both are complex, or both real{at(here())}"
        )
    return as_dtype(x, dtype)


def vector_norm(x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Give the norm (sum |x|^p)^(1/p) of all elements, or of those along some dimensions.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.vector_norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    d = tensor_operand(x, "linalg_vector_norm", "x")._a.dtype
    if d.kind not in "fcV":
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {type_name(d)}"
        )
    given = _cast_first(x, dtype, "linalg.vector_norm")
    wide = widened(given)
    if not wide._a.ndim and isinstance(dim, (tuple, list)):
        dim = dim[0] if dim else None
    found = _vector_norm(wide, float(ord), axes_of(dim, wide._a.ndim, "linalg.vector_norm"), keepdim)
    return labelled(narrowed(found, given), "LinalgVectorNormBackward0", (given,))


def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Give a norm of matrices.

    Parameters
    ----------
    A : Tensor of shape (*, m, n)
    ord : str or number
        "fro" (root of the sum of squares), "nuc" (sum of the singular values), 2 and -2 (the largest and the smallest of
        them), 1 and -1 (the largest and smallest sum of a column), inf and -inf (of a row).
    dim : pair of int
        The dimensions of the matrices.
    keepdim : bool
        Keep these dimensions with length 1.
    dtype : dtype
        Convert first.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.matrix_norm(torch.ones(2, 2), "nuc")
    tensor(2.)
    """
    x = tensor_operand(A, "linalg_matrix_norm", "A")
    if x._a.dtype.kind not in "fcV" or ord in ("nuc", 2, -2):
        numbers(x, "linalg.matrix_norm")
    if x._a.ndim < 2:
        raise RuntimeError(
            f"linalg.matrix_norm: The input tensor A must have at least 2 dimensions, got {show_type(x)}{at(here())}"
        )
    x = _cast_first(x, dtype, "linalg.matrix_norm")
    pair = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    if len(pair) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {dim}")
    given, x = x, widened(x)
    a, b = wrap_dims(pair, x._a.ndim, "linalg.matrix_norm")
    if ord not in ("fro", "nuc", 2, -2, 1, -1, math.inf, -math.inf):
        if isinstance(ord, str):
            raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported: one of 'fro', 'nuc', ±1, ±2, ±inf")
    if ord == "fro":
        return narrowed(_vector_norm(x, 2.0, (a, b), keepdim), given)
    if ord in ("nuc", 2, -2):
        others = [i for i in range(x._a.ndim) if i not in (a, b)]
        values = svdvals(apply(s.permute, x, axes=(*others, a, b)))
        found = _chosen(values, ord, (values._a.ndim - 1,))
        if not keepdim:
            return found
        return apply(s.reshape, found, shape=tuple(1 if i in (a, b) else n for i, n in enumerate(x._a.shape)))
    first, second = (a, b) if abs(ord) == 1 else (b, a)
    sums = apply(r.sum_, apply(e.absolute, x), axis=(first,), keepdims=True)
    found = narrowed(_chosen(sums, ord, (second,)), given)
    if keepdim:
        return found
    return apply(s.reshape, found, shape=tuple(n for i, n in enumerate(x._a.shape) if i not in (a, b)))


def _chosen(values: Any, ord: Any, axes: tuple[int, ...]) -> Any:
    keep = ord not in ("nuc", 2, -2)
    if ord == "nuc":
        return apply(r.sum_, values, axis=axes, keepdims=keep)
    if not values._a.shape[axes[0]]:
        if ord < 0:
            raise IndexError(f"linalg.matrix_norm: the {ord} norm of an empty matrix is the least of no numbers")
        return wrap(np.zeros(np.sum(values._a, axes, keepdims=keep).shape, values._a.dtype))
    return apply(r.amax if ord > 0 else r.amin, values, axis=axes, keepdims=keep)


def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Give a norm of vectors or matrices: of all elements by default, of a matrix where ``ord`` or ``dim`` says so.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    x = tensor_operand(A, "linalg_norm", "A")
    d = (dim,) if dim.__class__ is int else dim
    if d is not None and len(d) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(d)}")
    if ord is None:
        if x._a.ndim and x._a.dtype.kind not in "fcV":
            raise RuntimeError(
                f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {type_name(x._a.dtype)}"
            )
        return vector_norm(x, 2, d, keepdim, dtype=dtype)
    if d is None and x._a.ndim not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {x._a.ndim}D."
        )
    if (len(d) if d is not None else x._a.ndim) == 2:
        return matrix_norm(x, ord, (0, 1) if d is None else d, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: the order '{ord}' is for matrices; got vectors of {show_type(x)}{at(here())}")
    return vector_norm(x, ord, d, keepdim, dtype=dtype)


def cond(A: Any, p: Any = None) -> Any:
    """Give the condition numbers of matrices: the ratio of the largest singular value to the smallest, or |A| |A^-1|.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.cond(torch.diag(torch.tensor([2.0, 4.0])))
    tensor(2.)
    """
    x = matrices(A, "linalg.cond", kernel="linalg_svd" if p in (None, 2, -2, "nuc") else "")
    if not x._a.size and (p in (None, 2, -2) or x._a.shape[-1] == x._a.shape[-2]):
        return wrap(np.zeros(x._a.shape[:-2], _d.from_numpy(x._a.dtype).to_real().numpy))
    if p in (None, 2, -2):
        values = svdvals(x)
        largest, least = values[..., 0], values[..., -1]
        return least / largest if p == -2 else largest / least
    matrices(x, "linalg.cond", True)
    if isinstance(p, str) and p not in ("fro", "nuc"):
        raise RuntimeError(f"linalg.cond: got an invalid norm type: {p}")
    try:
        other = inv(x)
    except l.LinAlgError:
        found = inv_ex(x)
        regular = found.info == 0
        other = apply(e.where, regular[..., None, None], found.inverse.detach(), 0.0)
        return apply(e.where, regular, matrix_norm(x, p) * matrix_norm(other, p), math.inf)
    return matrix_norm(x, p) * matrix_norm(other, p)
