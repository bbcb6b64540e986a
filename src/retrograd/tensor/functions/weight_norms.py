"""A weight as a length and a direction: the norm over all dimensions but one, and the weight that has given norms."""

from __future__ import annotations

from typing import Any

from ..dispatch import FUNCTIONS, function, wrap_dim

__all__ = ["norm_except_dim", "weight_norm"]


@function("norm_except_dim", method=False, out=False)
def norm_except_dim(v: Any, pow: int = 2, dim: int = 0) -> Any:
    """Take the norm over all dimensions but ``dim``, which are kept with length 1; over all of them when it is -1.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.norm_except_dim(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5.],
            [1.]])
    """
    if dim == -1:
        return v.norm(pow)
    kept = wrap_dim(dim, v.dim())
    rest = [d for d in range(v.dim()) if d != kept]
    return FUNCTIONS["norm"](v, pow, rest, keepdim=True) if rest else v.abs()


@function("_weight_norm", method=False, out=False)
def weight_norm(v: Any, g: Any, dim: int = 0) -> Any:
    """Give ``v`` the norms ``g``: w = g v / |v|, the norm over all dimensions but ``dim``."""
    return v * (g / norm_except_dim(v, 2, dim))
