"""Dropout layers: random zeros while training, nothing in evaluation."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .module import Module


class _DropoutNd(Module):
    """What the dropout layers share: the probability and where the result goes."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        """Give the probability."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """Set elements to zero with probability p while training, and divide the others by 1 - p.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Dropout(0.5).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    def forward(self, input: Any) -> Any:
        """Drop elements."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """Drop whole channels of (N, C, L) while training.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Dropout1d(1.0)(torch.ones(1, 2, 3)).sum()
    tensor(0.)
    """

    def forward(self, input: Any) -> Any:
        """Drop channels."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """Drop whole channels of (N, C, H, W) while training.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Dropout2d(1.0)(torch.ones(1, 2, 3, 3)).sum()
    tensor(0.)
    """

    def forward(self, input: Any) -> Any:
        """Drop channels."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """Drop whole channels of (N, C, D, H, W) while training.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Dropout3d(1.0)(torch.ones(1, 2, 1, 1, 1)).sum()
    tensor(0.)
    """

    def forward(self, input: Any) -> Any:
        """Drop channels."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Dropout that keeps mean 0 and variance 1 under selu.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.AlphaDropout(0.5).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    def forward(self, input: Any) -> Any:
        """Drop elements."""
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_DropoutNd):
    """Alpha dropout of whole channels.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.FeatureAlphaDropout(0.5).eval()(torch.ones(1, 2)).sum()
    tensor(2.)
    """

    def forward(self, input: Any) -> Any:
        """Drop channels."""
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
