"""torch.linalg: linear algebra on (batches of) matrices, with derivatives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .core import show_type
from .ops.linalg import LinAlgError
from .tensor import FUNCTIONS as _FUNCTIONS
from .tensor.dispatch import tensor_operand, type_name, with_out, wrap_dim
from .tensor.functions import decompositions as _d
from .tensor.functions import factors as _f
from .tensor.functions import linear_algebra as _l
from .tensor.functions import matrix_norms as _n
from .tensor.functions import products as _p
from .tensor.functions import symmetric_factors as _sf
from .tensor.functions.shaping import reshaped


def _face(fn: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Give the form with ``out=`` under the name it has here."""
    call = with_out(fn, f"linalg_{name}")

    @functools.wraps(fn)
    def named(*args: Any, **kwargs: Any) -> Any:
        if "input" in kwargs and not args:  # torch takes A= and input= alike
            args = (kwargs.pop("input"),)
        return call(*args, **kwargs)

    named.__name__ = named.__qualname__ = name
    named.__module__ = __name__
    return named


def _vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Sum the products of conjugate(x) and y along a dimension.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.vecdot(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor(11.)
    """
    for v in (tensor_operand(x, "linalg_vecdot"), tensor_operand(y, "linalg_vecdot", "y", 2)):
        if v._a.dtype.kind not in "fcV":
            raise RuntimeError(
                f"linalg.vecdot: Expected a floating point or complex tensor as input. Got {type_name(v._a.dtype)}"
            )
    if x._a.ndim == y._a.ndim == 1:
        return _p.vdot(x, y)
    return (x.conj() * y).sum(dim)


def _cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """Give the vector product along a dimension of length 3.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    if input._a.ndim != other._a.ndim:
        raise RuntimeError(
            f"linalg.cross: inputs must have the same number of dimensions, got {show_type(input)} and {show_type(other)}"
        )
    return _p.cross(input, other, wrap_dim(dim, input._a.ndim, "linalg.cross"))


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Give the diagonals of matrices as the last dimension; a view.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.diagonal(torch.eye(2))
    tensor([1., 1.])
    """
    return tensor_operand(A, "linalg_diagonal", "A").diagonal(offset, dim1, dim2)


def _vander(x: Any, *, N: int | None = None) -> Any:
    """Give the powers 0, 1, ..., N - 1 of vectors' elements along a new last dimension.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.vander(torch.tensor([2.0, 3.0]), N=3)
    tensor([[1., 2., 4.],
            [1., 3., 9.]])
    """
    a = tensor_operand(x, "linalg_vander", "x")._a
    if a.dtype.kind == "V" or a.dtype == np.float16:
        raise RuntimeError(
            f"linalg.vander supports floating point, complex, and integer tensors, but got {type_name(a.dtype)}"
        )
    if not a.ndim:
        return _vander(x.unsqueeze(-1), N=N)
    count = a.shape[-1] if N is None else N
    if count <= 1:
        raise RuntimeError("N must be greater than 1.")
    if a.dtype.kind == "b":
        x = x.long()
    powers = x.unsqueeze(-1).expand(*a.shape, count - 1).cumprod(-1)
    return _FUNCTIONS["cat"]([powers[..., :1] * 0 + 1, powers], -1)


def _tensorinv(A: Any, ind: int = 2) -> Any:
    """Give the inverse of a tensor, for ``tensordot(A, X, ind)``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.tensorinv(torch.eye(4).reshape(2, 2, 4), ind=2).shape
    torch.Size([4, 2, 2])
    """
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    shape = A._a.shape
    rows, columns = int(np.prod(shape[:ind])), int(np.prod(shape[ind:]))
    if rows != columns:
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got {columns} != {rows}"
        )
    return reshaped(_l.inv(reshaped(A, (rows, columns))), (*shape[ind:], *shape[:ind]))


def _tensorsolve(A: Any, B: Any, dims: Any = None) -> Any:
    """Give the X with tensordot(A, X, X.ndim) = B, after moving the dimensions ``dims`` of A to its end.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.tensorsolve(torch.eye(4).reshape(2, 2, 4), torch.ones(2, 2))
    tensor([1., 1., 1., 1.])
    """
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A._a.ndim - len(dims), A._a.ndim)))
    shape = A._a.shape[B._a.ndim :]
    size = int(np.prod(shape))
    if size * B._a.size != A._a.size or size != B._a.size:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), "
            f"but got {show_type(A)} and {show_type(B)}"
        )
    return reshaped(_l.solve(reshaped(A, (B._a.size, size)), reshaped(B, (B._a.size,))), shape)


def _matmul(input: Any, other: Any) -> Any:
    """Multiply matrices, as ``torch.matmul``."""
    return _p.matmul(input, other)


cholesky = _face(lambda A, *, upper=False: _f.cholesky(A, upper), "cholesky")
cholesky.__doc__ = _f.cholesky.__doc__
cholesky_ex = _face(_f.cholesky_ex, "cholesky_ex")
cond = _face(_n.cond, "cond")
cross = _face(_cross, "cross")
det = _face(_l.det, "det")
eig = _face(_d.eig, "eig")
eigh = _face(_d.eigh, "eigh")
eigvals = _face(_d.eigvals, "eigvals")
eigvalsh = _face(_d.eigvalsh, "eigvalsh")
householder_product = _face(_d.householder_product, "householder_product")
inv = _face(_l.inv, "inv")
inv_ex = _face(_l.inv_ex, "inv_ex")
lstsq = _face(_n.lstsq, "lstsq")
lu = _face(_f.lu, "lu")
ldl_factor = _face(_sf.ldl_factor, "ldl_factor")
ldl_factor_ex = _face(_sf.ldl_factor_ex, "ldl_factor_ex")
ldl_solve = _face(_sf.ldl_solve, "ldl_solve")
lu_factor = _face(_f.lu_factor, "lu_factor")
lu_factor_ex = _face(_f.lu_factor_ex, "lu_factor_ex")
lu_solve = _face(_f.lu_solve, "lu_solve")
matmul = _face(_matmul, "matmul")
matrix_exp = _face(_l.matrix_exp, "matrix_exp")
matrix_norm = _face(_n.matrix_norm, "matrix_norm")
matrix_power = _face(_l.matrix_power, "matrix_power")
matrix_rank = _face(_n.matrix_rank, "matrix_rank")
multi_dot = _face(_p.multi_dot, "multi_dot")
norm = _face(_n.norm, "norm")
pinv = _face(_n.pinv, "pinv")
qr = _face(_d.linalg_qr, "qr")
slogdet = _face(_l.linalg_slogdet, "slogdet")
solve = _face(_l.solve, "solve")
solve_ex = _face(_l.solve_ex, "solve_ex")
solve_triangular = _face(_l.solve_triangular, "solve_triangular")
svd = _face(_d.linalg_svd, "svd")
svdvals = _face(_d.svdvals, "svdvals")
tensorinv = _face(_tensorinv, "tensorinv")
tensorsolve = _face(_tensorsolve, "tensorsolve")
vander = _face(_vander, "vander")
vecdot = _face(_vecdot, "vecdot")
vector_norm = _face(_n.vector_norm, "vector_norm")

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "lstsq",
    "lu",
    "ldl_factor",
    "ldl_factor_ex",
    "ldl_solve",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]


def __getattr__(name: str) -> object:
    from .utils._names import missing

    raise missing("torch.linalg", name, __all__)
