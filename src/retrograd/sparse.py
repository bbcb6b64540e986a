"""torch.sparse: functions of sparse tensors, and the old classes that make them.

>>> import retrograd as torch
>>> a = torch.sparse_coo_tensor([[0, 1], [1, 0]], [2.0, 3.0], (2, 2))
>>> torch.sparse.mm(a, torch.eye(2))
tensor([[0., 2.],
        [3., 0.]])
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .core import wrap
from .core.dtypes import by_name
from .tensor.legacy import LEGACY
from .tensor.sizes import Size, sparse_coo, sparse_csr, strided
from .tensor.sparse import HANDLERS, CooTensor, Sparse, sparse_coo_tensor
from .tensor.sparse.composite import named
from .tensor.sparse.products import _addmm, sparse_dense, sparse_dense_reduced, sparse_sparse
from .tensor.sparse.shapes import softmax as _softmax
from .tensor.sparse.shapes import total


def mm(mat1: Any, mat2: Any, reduce: str = "sum") -> Any:
    """Multiply a sparse matrix with a dense or a sparse one; the result is dense or sparse like the second.

    ``reduce`` says what is done with the products that meet: "sum", or "mean", "amax" or "amin" for a compressed
    ``mat1`` and a dense ``mat2``; a row without a value gives 0. Raises RuntimeError for shapes that do not fit and for
    other reductions.

    Examples
    --------
    >>> import retrograd as torch
    >>> a = torch.tensor([[2.0, 4.0], [0.0, 0.0]]).to_sparse_csr()
    >>> torch.sparse.mm(a, torch.ones(2, 1), "mean")
    tensor([[3.],
            [0.]])
    """
    if reduce not in ("sum", "mean", "amax", "amin", "max", "min"):
        raise RuntimeError(f"sparse_mm_reduce: reduce type of {reduce} has not been enabled.")
    if reduce != "sum":
        if getattr(mat1, "layout", None) is not sparse_csr or isinstance(mat2, Sparse):
            kind = NotImplementedError if getattr(mat1, "layout", strided) in (strided, sparse_coo) else RuntimeError
            raise kind(
                f"sparse_mm_reduce: expect self to be SparseCsr and the other dense, got {getattr(mat1, 'layout', mat1)}: "
                "to_sparse_csr() gives it"
            )
        reduced = sparse_dense_reduced(mat1, mat2, {"max": "amax", "min": "amin"}.get(reduce, reduce))
        return named(reduced, "SparseMmReduceImplBackward0")
    if not isinstance(mat1, Sparse):
        return named(HANDLERS["mm"](mat1, mat2), "SparseAddmmBackward0")
    if isinstance(mat2, Sparse):
        return sparse_sparse(mat1, mat2, "SparseSparseMatmulBackward0")
    return sparse_dense(mat1, mat2, "SparseAddmmBackward0")


def addmm(mat: Any, mat1: Any, mat2: Any, *, beta: Any = 1.0, alpha: Any = 1.0) -> Any:
    """Give beta * mat + alpha * (mat1 @ mat2) for a sparse ``mat1``."""
    return _addmm(mat, mat1, mat2, beta, alpha, "SparseAddmmBackward0")


def sum(input: Any, dim: Any = None, dtype: Any = None) -> Any:
    """Sum the values of a sparse tensor: all of them, or along dimensions.

    The result is sparse unless every indexed dimension is summed.
    """
    return total(input, dim, False, dtype, "SparseSumBackward0")


def softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Give the softmax along a dimension, in which elements without a value count as minus infinity."""
    return _softmax(input, dim, dtype=dtype)


def log_softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Give the logarithm of `softmax`."""
    return _softmax(input, dim, dtype=dtype, log=True)


def sampled_addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1.0, alpha: Any = 1.0, out: Any = None) -> Any:
    """Give alpha * (mat1 @ mat2) + beta * input at the places of a sparse matrix by rows, and only there.

    Raises NotImplementedError for another layout, RuntimeError for shapes that do not fit.
    """
    if getattr(input, "layout", None) is not sparse_csr:
        raise NotImplementedError(
            f"sampled_addmm: Expected self to be a sparse_csr tensor, got {getattr(input, 'layout', None)}"
        )
    if tuple(input.shape) != (mat1.shape[0], mat2.shape[1]) or mat1.shape[1] != mat2.shape[0]:
        raise RuntimeError(
            f"sampled_addmm: shapes {tuple(mat1.shape)} and {tuple(mat2.shape)} do not give {tuple(input.shape)}"
        )
    rows, columns = input.to_coo()._i
    products = (mat1.index_select(0, rows) * mat2.t().index_select(0, columns)).sum(-1)
    return input._with(named(input._v * beta + products * alpha, "SparseSampledAddmmBackward0"))


def spdiags(diagonals: Any, offsets: Any, shape: Any, layout: Any = None) -> Any:
    """Make a sparse matrix of its diagonals: row i of ``diagonals`` lies along the diagonal ``offsets[i]``.

    Elements keep their columns: the first ones of a diagonal above the main one, and the last ones of one below, fall outside.
    Raises RuntimeError for offsets that are not whole, different numbers, and ValueError for a shape that is no matrix.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.sparse.spdiags(torch.tensor([1.0, 2.0]), torch.tensor([0]), (2, 2)).to_dense()
    tensor([[1., 0.],
            [0., 2.]])
    """
    if len(shape) != 2:
        raise RuntimeError(f"Output shape must be 2d: {tuple(shape)}")
    lines = diagonals if diagonals.dim() == 2 else diagonals.unsqueeze(0)
    steps = offsets._a.reshape(-1)
    if steps.dtype != np.int64:
        raise RuntimeError(f"Offset Tensor must have dtype Long but got {offsets.dtype}")
    if len(steps) != lines.shape[0]:
        raise RuntimeError(
            f"Number of diagonals ({lines.shape[0]}) does not match the number of offsets ({len(steps)})"
        )
    if len(np.unique(steps)) != len(steps):
        raise RuntimeError("Offset tensor contains duplicate values")
    columns = np.arange(lines.shape[1])
    rows = columns - steps[:, None]
    inside = (rows >= 0) & (rows < shape[0]) & (columns < shape[1])
    line, column = np.nonzero(inside)
    values = lines.reshape(-1).index_select(0, wrap(line * lines.shape[1] + column))
    made = sparse_coo_tensor(wrap(np.stack([rows[line, column], column])), values, shape)
    return made if layout is None else made.to_sparse(layout=layout)


class check_sparse_tensor_invariants:
    """Indices are always checked here; the switch is accepted.

    Examples
    --------
    >>> import retrograd as torch
    >>> with torch.sparse.check_sparse_tensor_invariants():
    ...     torch.sparse.check_sparse_tensor_invariants.is_enabled()
    True
    """

    _enabled = False

    def __init__(self, enable: bool = True) -> None:
        self.wanted, self.before = enable, False

    @staticmethod
    def is_enabled() -> bool:
        """Tell whether the checks were asked for."""
        return check_sparse_tensor_invariants._enabled

    @staticmethod
    def enable() -> None:
        """Ask for the checks."""
        check_sparse_tensor_invariants._enabled = True

    @staticmethod
    def disable() -> None:
        """Withdraw the request; indices are checked all the same."""
        check_sparse_tensor_invariants._enabled = False

    def __enter__(self) -> None:
        self.before = self.is_enabled()
        check_sparse_tensor_invariants._enabled = self.wanted

    def __exit__(self, *error: Any) -> None:
        check_sparse_tensor_invariants._enabled = self.before

    def __call__(self, fn: Any) -> Any:
        import functools

        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self.wanted):
                return fn(*args, **kwargs)

        return wrapped


class _Old(type):
    element: Any

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, CooTensor) and instance.dtype is cls.element

    def __call__(cls, *args: Any, device: Any = None) -> Any:
        given = (
            "shape" if not args or isinstance(args[0], (int, Size)) else "indices, values" + ", shape" * (len(args) > 2)
        )
        warnings.warn(
            f"torch.sparse.SparseTensor({given}, *, device=) is deprecated.  Please use torch.sparse_coo_tensor({given}, dtype=, "
            "device=).",
            UserWarning,
            stacklevel=2,
        )
        if not args or isinstance(args[0], (int, Size)):
            size = args[0] if args and isinstance(args[0], Size) else args
            return sparse_coo_tensor(size or (0,), dtype=cls.element)
        return sparse_coo_tensor(*args, dtype=cls.element)

    def __repr__(cls) -> str:
        return f"<class 'torch.sparse.{cls.__name__}'>"


def _old(name: str, element: Any) -> Any:
    doc = f"Sparse tensors of dtype {element.name}: a constructor, and a class for isinstance."
    return _Old(name, (), {"element": element, "dtype": element, "__module__": __name__, "__doc__": doc})


for _name, _kind in LEGACY.items():
    globals()[_name] = _old(_name, _kind.dtype)
FloatTensor: Any = globals()["FloatTensor"]
DoubleTensor: Any = globals()["DoubleTensor"]
LongTensor: Any = _old("LongTensor", by_name("int64"))

__all__ = ["addmm", "check_sparse_tensor_invariants", "log_softmax", "mm", "sampled_addmm", "softmax", "spdiags", "sum"]
