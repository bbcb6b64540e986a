"""What distributions share: numbers as tensors, probabilities and their logarithms, values computed once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import BaseTensor, enable_grad
from ..core import dtypes as _d
from ..nn import _functions as T
from ..tensor import tensor

euler_constant = 0.57721566490153286060
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def is_number(x: Any) -> bool:
    """Tell whether a value is a plain number."""
    return isinstance(x, (int, float, complex, np.number)) and not isinstance(x, BaseTensor)


def broadcast_all(*values: Any) -> Any:
    """Give numbers and tensors as tensors of one shape.

    A number takes the dtype of the first tensor, or the default dtype. ValueError for anything else.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.utils.broadcast_all(torch.zeros(2), 1.0)
    (tensor([0., 0.]), tensor([1., 1.]))
    """
    if not all(isinstance(v, BaseTensor) or is_number(v) for v in values):
        kinds = [type(v).__name__ for v in values]
        raise ValueError(f"Input arguments must all be instances of Number or torch.Tensor, got {kinds}")
    dtype = next((v.dtype for v in values if isinstance(v, BaseTensor)), _d.get_default_dtype())
    return tuple(T.broadcast_tensors(*(v if isinstance(v, BaseTensor) else tensor(v, dtype=dtype) for v in values)))


def limits(x: Any) -> Any:
    """Give the limits of a tensor's floating dtype."""
    return _d.finfo(x.dtype)


def clamp_probs(probs: Any) -> Any:
    """Keep probabilities off 0 and 1 by one rounding unit."""
    eps = limits(probs).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Give log odds of binary probabilities, or log probabilities of a categorical distribution."""
    p = clamp_probs(probs)
    return T.log(p) - T.log1p(-p) if is_binary else T.log(p)


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Give probabilities of log odds, or of unnormalised log probabilities along the last dimension."""
    return T.sigmoid(logits) if is_binary else T.softmax(logits, -1)


def standard_normal(shape: Any, like: Any) -> Any:
    """Draw standard normals in another tensor's dtype."""
    return T.randn(tuple(shape), dtype=like.dtype)


def filled(like: Any, shape: Any, name: str, *args: Any) -> Any:
    """Draw with an in-place method into a new tensor of another one's dtype."""
    return getattr(T.empty(tuple(shape), dtype=like.dtype), name)(*args)


def sum_rightmost(value: Any, dim: int) -> Any:
    """Sum over the last dimensions."""
    return value if dim == 0 else value.reshape((*value.shape[: value.dim() - dim], -1)).sum(-1)


def tril_matrix_to_vec(mat: Any, diag: int = 0) -> Any:
    """Give the entries of a matrix on and below a diagonal, row by row.

    Shapes: mat (..., n, n), the result (..., entries). ValueError for a diagonal outside the matrix.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.utils.tril_matrix_to_vec(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 3., 4.])
    """
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    return mat[(..., *np.tril_indices(n, diag))]


def vec_to_tril_matrix(vec: Any, diag: int = 0) -> Any:
    """Put numbers row by row on and below a diagonal of a square matrix, zeros elsewhere.

    Shapes: vec (..., entries), the result (..., n, n). ValueError for a number of entries that fills no such triangle.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.utils.vec_to_tril_matrix(torch.tensor([1.0, 3.0, 4.0]))
    tensor([[1., 0.],
            [3., 4.]])
    """
    k = 1 + 2 * diag
    root = (-k + math.sqrt(k * k + 8 * vec.shape[-1] + 4 * abs(diag) * (diag + 1))) / 2
    n = round(root)
    if n - root > limits(vec).eps:
        raise ValueError(
            f"The size of last dimension is {vec.shape[-1]} which cannot be expressed as "
            "the lower triangular part of a square D x D matrix."
        )
    mat = vec.new_zeros((*vec.shape[:-1], n, n))
    mat[(..., *np.tril_indices(n, diag))] = vec
    return mat


def xlogy(x: Any, y: Any) -> Any:
    """Give x log y, 0 where x is 0."""
    return T.xlogy(x, y)


class lazy_property:
    """An attribute computed at first use and kept; its history is recorded even under ``no_grad``."""

    def __init__(self, fn: Any) -> None:
        self.fn = fn
        self.__doc__ = fn.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = self.fn(instance)
        instance.__dict__[self.name] = value
        return value


def exactly_one(name: str, **given: Any) -> None:
    """Raise ValueError unless one of several parametrisations is given."""
    if sum(v is not None for v in given.values()) != 1:
        names = " or ".join(f"`{n}`" for n in given)
        raise ValueError(f"Either {names} must be specified, but not both ({name} takes exactly one of them).")


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Any:
    """Draw standard normals, by the name that libraries around torch.distributions import."""
    return T.randn(tuple(shape), dtype=dtype, device=device)


_sum_rightmost = sum_rightmost  # the name that those libraries import

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "euler_constant",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]
