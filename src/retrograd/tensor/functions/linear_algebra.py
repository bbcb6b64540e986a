"""Linear equations, inverses, determinants, triangular factors, powers and exponentials of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import MODE, apply, at, here, show_type, wrap
from ...ops import contract as c
from ...ops import elementwise as e
from ...ops import linalg as l
from ...ops import shape as s
from ...ops import triangles as t
from ...ops.linalg import LinAlgError
from .. import return_types
from ..dispatch import function, tensor_operand, type_name
from ..tensor import Tensor
from .complex_parts import imag, real
from .reductions import constant, wants_grad
from .shaping import reshaped


# -- arguments ----------------------------------------------------------------------------------------------------------
def matrices(
    x: Any, name: str, square: bool = False, argument: str = "A", kernel: str = "", whole: bool = False
) -> Any:
    """Give a Tensor of (batches of) floating-point matrices; the errors of torch.linalg for anything else (see ``numbers``)."""
    a = tensor_operand(x, name.replace(".", "_"), argument)._a
    if a.ndim < 2:
        raise RuntimeError(
            f"{name}: The input tensor {argument} must have at least 2 dimensions, got {show_type(x)}{at(here())}"
        )
    if square and a.shape[-1] != a.shape[-2]:
        raise RuntimeError(
            f"{name}: {argument} must be batches of square matrices, but they are {a.shape[-2]} by {a.shape[-1]} "
            f"matrices{at(here())}"
        )
    return numbers(x, name, kernel, whole)


def numbers(x: Any, name: str, kernel: str = "", whole: bool = False) -> Any:
    """Give a Tensor of floating-point or complex numbers of at least 32 bits.

    The error for others is RuntimeError; where torch finds out in its kernel, whose name is given, it is NotImplementedError:
    for half precisions, and for integers where they are not looked at before (``whole``).
    """
    d = x._a.dtype
    narrow = d.kind == "V" or d == np.float16
    if kernel and (narrow or (whole and d.kind not in "fc")):
        raise NotImplementedError(
            f"\"{kernel}_cpu\" not implemented for '{type_name(d)}' ({name}): convert {show_type(x)} by .float(){at(here())}"
        )
    if d.kind not in "fcV":
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {type_name(d)}: convert {show_type(x)} "
            f"by .float(){at(here())}"
        )
    if narrow:
        raise RuntimeError(
            f"{name}: Low precision dtypes not supported. Got {type_name(d)}: convert {show_type(x)} by .float(){at(here())}"
        )
    return x


def depends_on_values(name: str, *xs: Any) -> None:
    """Ask the running trace about what is done next, which depends on the values of ``xs`` in a way that a graph cannot say."""
    if MODE.trace is not None:
        for x in xs:
            MODE.trace.asked(x, f"parts of {name}")


def same_dtype(x: Any, y: Any, name: str) -> None:
    """Raise RuntimeError unless two operands have one dtype."""
    tensor_operand(y, name.replace(".", "_"), "B", 2)
    if x._a.dtype != y._a.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type {type_name(x._a.dtype)} and B of type "
            f"{type_name(y._a.dtype)} instead{at(here())}"
        )


def adjoint(x: Any) -> Any:
    """Give the conjugate transposes."""
    return l.adjoint(x)


def vector_right(a: Any, b: Any) -> bool:
    """Tell whether the right side of an equation is (a batch of) vectors."""
    x, y = a._a.shape, b._a.shape
    return len(y) == 1 or (len(x) - 1 == len(y) and x[:-1] == y)


def as_columns(b: Any) -> Any:
    """Give vectors as matrices of one column."""
    return reshaped(b, (*b._a.shape, 1))


def as_vectors(x: Any) -> Any:
    """Give matrices of one column as vectors."""
    return reshaped(x, x._a.shape[:-1])


def eye_like(x: Any, n: int) -> Any:
    """Give an identity matrix in another tensor's dtype."""
    return Tensor._wrap(np.eye(n, dtype=x._a.dtype))


# -- solving ------------------------------------------------------------------------------------------------------------
@function("inverse")
def inv(A: Any) -> Any:
    """Invert square matrices.

    Parameters
    ----------
    A : Tensor of shape (*, n, n)

    Raises
    ------
    LinAlgError
        For a singular matrix.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.inv(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return apply(l.inv, matrices(A, "linalg.inv", True))


def inv_ex(A: Any, *, check_errors: bool = False) -> Any:
    """Invert square matrices; give, for each, 0 or the number of the pivot that is zero instead of raising."""
    x = matrices(A, "linalg.inv", True)
    info = np.zeros(x._a.shape[:-2], np.int32)
    try:
        return return_types.linalg_inv_ex(inv(x), wrap(info))
    except LinAlgError:
        if check_errors:
            raise
    depends_on_values("linalg.inv_ex and linalg.solve_ex of singular matrices", x)
    info = _zero_pivots(x._a)
    good = (info == 0)[..., None, None]
    safe = constant(e.where, wrap(good), x, eye_like(x, x._a.shape[-1]))
    return return_types.linalg_inv_ex(constant(e.where, wrap(good), constant(l.inv, safe), math.nan), wrap(info))


def _zero_pivots(a: Any) -> Any:
    return first_zero(t.pivoted(a)[0])


def first_zero(triangles: Any) -> Any:
    """Give, for each matrix, the number of the first diagonal element of U that is zero, or 0."""
    zero = np.diagonal(triangles, axis1=-2, axis2=-1) == 0
    if not zero.shape[-1]:
        return np.zeros(zero.shape[:-1], np.int32)
    return np.where(zero.any(-1), zero.argmax(-1) + 1, 0).astype(np.int32)


def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """Solve A X = B, or X A = B where ``left`` is False.

    Parameters
    ----------
    A : Tensor of shape (*, n, n)
    B : Tensor of shape (*, n, k), (*, n) or (n,)
    left : bool
        On which side of the unknown the matrix is.

    Raises
    ------
    LinAlgError
        For a singular matrix.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([1.0, 1.0]))
    tensor([0.5000, 0.2500])
    """
    x = matrices(A, "linalg.solve", True, kernel="lu")
    same_dtype(x, B, "linalg.solve")
    if vector_right(x, B):
        if not left:
            raise RuntimeError(
                "linalg.solve: Vector broadcasting of the left hand side is not supported for left=False. "
                "In this case linalg.solve is equivalent to B / A.squeeze(-1)"
            )
        b = as_columns(B) if B._a.ndim == 1 or B._a.shape == x._a.shape[:-1] else B
        check_right(x, b, True, "linalg.solve")
        return as_vectors(apply(l.solve, x, b))
    check_right(x, B, left, "linalg.solve")
    if left:
        return apply(l.solve, x, B)
    return l.turned(apply(l.solve, l.turned(x), l.turned(B)))


def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Any:
    """Solve A X = B; give, for each matrix, 0 or the number of the pivot that is zero instead of raising."""
    x = matrices(A, "linalg.solve", True, kernel="lu")
    info = np.zeros(x._a.shape[:-2], np.int32)
    try:
        return return_types.linalg_solve_ex(solve(x, B, left=left), wrap(info))
    except LinAlgError:
        if check_errors:
            raise
    depends_on_values("linalg.inv_ex and linalg.solve_ex of singular matrices", x)
    info = _zero_pivots(x._a)
    good = (info == 0)[..., None, None]
    safe = constant(e.where, wrap(good), x, eye_like(x, x._a.shape[-1]))
    found = solve(safe.detach(), B.detach(), left=left)
    keep = good[..., 0] if vector_right(x, B) else good
    return return_types.linalg_solve_ex(constant(e.where, wrap(keep), found, math.nan), wrap(info))


def check_right(a: Any, b: Any, left: bool, name: str) -> None:
    """Raise RuntimeError unless the right side of an equation fits its matrix."""
    x, y = a._a.shape, b._a.shape
    if len(y) < 2:
        raise RuntimeError(
            f"{name}: The input tensor B must have at least 2 dimensions, got {show_type(b)}{at(here())}"
        )
    if x[-1] != y[-2 if left else -1]:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({x[-2]}x{x[-1]} and {y[-2]}x{y[-1]}): {show_type(a)}, {show_type(b)}{at(here())}"
        )
    try:
        np.broadcast_shapes(x[:-2], y[:-2])
    except ValueError:
        raise RuntimeError(
            f"{name}: the batches {list(x[:-2])} of A and {list(y[:-2])} of B do not broadcast{at(here())}"
        ) from None


def solve_triangular(A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """Solve A X = B (or X A = B) for a triangular A; the other triangle is not read.

    Parameters
    ----------
    A : Tensor of shape (*, n, n)
    B : Tensor of shape (*, n, k), or (*, k, n) where ``left`` is False
    upper : bool
        Which triangle is read.
    left : bool
        On which side of the unknown the matrix is.
    unitriangular : bool
        Take the diagonal as ones.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.solve_triangular(torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.ones(2, 1), upper=False)
    tensor([[0.5000],
            [0.5000]])
    """
    x = matrices(A, "linalg.solve_triangular", True, kernel="triangular_solve", whole=True)
    same_dtype(x, B, "linalg.solve_triangular")
    check_right(x, B, left, "linalg.solve_triangular")
    if left:
        return apply(l.solve_triangular, x, B, upper=bool(upper), unit=bool(unitriangular))
    r = apply(l.solve_triangular, l.turned(x), l.turned(B), upper=not upper, unit=bool(unitriangular))
    return l.turned(r)


@function("triangular_solve")
def triangular_solve(
    input: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    """Solve A X = input for a triangular A; give the solution and a copy of A."""
    x = matrices(A, "triangular_solve", True, kernel="triangular_solve", whole=True)
    check_right(x, input, True, "triangular_solve")
    m = l.turned(x) if transpose else x
    r = apply(l.solve_triangular, m, input, upper=bool(upper) != bool(transpose), unit=bool(unitriangular))
    return return_types.triangular_solve(r, apply(e.clone, x))


# -- determinants -------------------------------------------------------------------------------------------------------
@function("det")
def det(A: Any) -> Any:
    """Give the determinants of square matrices; its gradient exists for singular ones too.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.det(torch.tensor([[2.0, 1.0], [1.0, 2.0]]))
    tensor(3.)
    """
    return apply(l.det, matrices(A, "linalg.det", True, kernel="lu"))


def _sign_and_log(A: Any, name: str) -> tuple[Any, Any]:
    x = matrices(A, name, True)
    z = apply(l.log_det, x)
    if x._a.dtype.kind == "c" and wants_grad(x):
        return apply(e.exp, imag(z) * 1j), real(z)
    return apply(l.sign_det, x), real(z)


def linalg_slogdet(A: Any) -> Any:
    """Give the sign and the logarithm of the absolute value of determinants, which do not overflow.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.slogdet(torch.eye(2)).logabsdet
    tensor(0.)
    """
    return return_types.linalg_slogdet(*_sign_and_log(A, "linalg.slogdet"))


@function("slogdet")
def slogdet(input: Any) -> Any:
    """Give the sign and the logarithm of the absolute value of determinants."""
    return return_types.slogdet(*_sign_and_log(input, "linalg.slogdet"))


@function("logdet")
def logdet(input: Any) -> Any:
    """Give the logarithm of determinants: NaN where they are negative."""
    sign, size = _sign_and_log(input, "logdet")
    if size._a.dtype != input._a.dtype:
        return apply(l.log_det, input)
    return apply(e.where, apply(e.lt, sign.detach(), 0), math.nan, size)


# -- powers and exponentials --------------------------------------------------------------------------------------------
@function("matrix_power")
def matrix_power(A: Any, n: int) -> Any:
    """Multiply square matrices n times with themselves; negative n those of their inverses.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.matrix_power(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    a = tensor_operand(A, "linalg_matrix_power", "A")._a
    if n.__class__ is not int:
        raise TypeError(f"linalg_matrix_power(): argument 'n' (position 2) must be int, not {type(n).__name__}")
    if a.ndim < 2 or a.shape[-1] != a.shape[-2] or n < 0:
        matrices(A, "linalg.matrix_power", True)
    if n == 0:
        one = eye_like(A, a.shape[-1])
        return apply(e.clone, apply(s.expand, one, shape=a.shape))
    base = inv(A) if n < 0 else A
    n = abs(n)
    if n == 1:
        return apply(e.clone, base)
    result = None
    while n:
        if n & 1:
            result = base if result is None else apply(c.matmul, result, base)
        n >>= 1
        if n:
            base = apply(c.matmul, base, base)
    return result


@function("matrix_exp")
def matrix_exp(A: Any) -> Any:
    """Give the exponentials of square matrices, the sums of A^k / k!.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.matrix_exp(torch.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    x = tensor_operand(A, "linalg_matrix_exp", "A")
    if x._a.ndim >= 2 and x._a.shape[-1] == x._a.shape[-2] and x._a.dtype.kind in "fcV":
        return apply(l.matrix_exp, x)
    return apply(l.matrix_exp, matrices(x, "linalg.matrix_exp", True))
