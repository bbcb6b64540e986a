"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...tensor import Tensor
from .. import _functions as T


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """Join the parameters' elements, in order, into one vector.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.utils.parameters_to_vector([torch.ones(2, 2), torch.zeros(1)])
    tensor([1., 1., 1., 1., 0.])
    """
    return T.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Give the parameters the vector's elements, in order; they share its memory then.

    Raises TypeError unless ``vec`` is a Tensor.

    Examples
    --------
    >>> import retrograd as torch
    >>> p = torch.zeros(2)
    >>> torch.nn.utils.vector_to_parameters(torch.tensor([1.0, 2.0]), [p])
    >>> p
    tensor([1., 2.])
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for p in parameters:
        p.data = vec.narrow(0, start, p.numel()).view_as(p).data
        start += p.numel()
