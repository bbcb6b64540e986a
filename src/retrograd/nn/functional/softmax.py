"""Softmax and its relatives: exponentials along a dimension that sum to one."""

from __future__ import annotations

from typing import Any

from ...core.warned import warn
from .. import _functions as T


def _chosen_dim(name: str, dim: int | None, dims: int) -> int:
    """Give the dimension; an absent one is chosen as torch once did, with a warning."""
    if dim is not None:
        return dim
    warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.")
    return 0 if dims in (0, 1, 3) else 1


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """Turn numbers into probabilities: y_i = exp(x_i) / sum_j exp(x_j) along ``dim``.

    The largest is taken away first, so nothing overflows. ``dtype``: cast to it before. Integers without it raise
    NotImplementedError.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.softmax(torch.tensor([1000.0, 1000.0]), dim=0)
    tensor([0.5000, 0.5000])
    """
    return T.softmax(input, _chosen_dim("softmax", dim, input.dim()), dtype=dtype)


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """Turn numbers into probabilities, the smallest the likeliest: softmax(-x).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.softmin(torch.tensor([0.0, 1000.0]), dim=0)
    tensor([1., 0.])
    """
    return T.softmax(-input, _chosen_dim("softmin", dim, input.dim()), dtype=dtype)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """Logarithm of the softmax: y_i = x_i - log sum_j exp(x_j), without overflow.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.log_softmax(torch.tensor([1000.0, 1000.0]), dim=0)
    tensor([-0.6931, -0.6931])
    """
    return T.log_softmax(input, _chosen_dim("log_softmax", dim, input.dim()), dtype=dtype)


def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """Draw from a categorical distribution, softly: softmax((x + g) / tau), g Gumbel noise.

    ``hard``: the result is one-hot, its gradient the soft one's.

    Source: Jang et al. 2016, https://arxiv.org/abs/1611.01144.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.gumbel_softmax(torch.zeros(3), hard=True).sum()
    tensor(1.)
    """
    if eps != 1e-10:
        warn("`eps` parameter is deprecated and has no effect.")
    noise = -T.log(T.empty(logits.shape, dtype=logits.dtype).exponential_())  # drawn row by row, however logits lie
    soft = T.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    winner = soft.detach().argmax(dim, keepdim=True)
    return T.zeros_like(logits, requires_grad=False).scatter_(dim, winner, 1.0) - soft.detach() + soft
