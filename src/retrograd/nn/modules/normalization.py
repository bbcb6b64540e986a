"""Normalisation within a sample: over its last dimensions, groups of channels, or neighbouring channels."""

from __future__ import annotations

import numbers
from typing import Any

from .. import _functions as T
from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module


class LayerNorm(Module):
    """Standardise over the last dimensions: y = (x - mean) / sqrt(var + eps) * weight + bias.

    Shapes: (..., *normalized_shape) -> the same; weight (starting at 1) and bias (at 0) normalized_shape.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LayerNorm(2)(torch.tensor([1.0, 3.0])).round().tolist()
    [-1.0, 1.0]
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        single = isinstance(normalized_shape, numbers.Integral)
        self.normalized_shape = (normalized_shape,) if single else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            made = Parameter(T.empty(self.normalized_shape, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Any) -> Any:
        """Normalise."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Give the shape and choices."""
        shown = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return f"{shown}, bias={self.bias is not None}"


class RMSNorm(Module):
    """Divide by the root of the mean square over the last dimensions: y = x / sqrt(mean(x^2) + eps) * weight.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.RMSNorm(2)(torch.tensor([3.0, 4.0])).tolist()[0] > 0.84
    True
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        single = isinstance(normalized_shape, numbers.Integral)
        self.normalized_shape = (normalized_shape,) if single else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        made = Parameter(T.empty(self.normalized_shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.register_parameter("weight", made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Any) -> Any:
        """Normalise."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Give the shape and choices."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Standardise groups of channels of each sample: y = (x - mean) / sqrt(var + eps) * weight + bias.

    Shapes: (N, C, ...) -> the same; ValueError unless C is divisible by ``num_groups``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.GroupNorm(2, 4)(torch.zeros(3, 4, 5)).shape
    torch.Size([3, 4, 5])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            made = Parameter(T.empty(num_channels, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Any) -> Any:
        """Normalise."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Give the sizes and choices."""
        sizes = f"{self.num_groups}, {self.num_channels}, eps={self.eps}"
        return f"{sizes}, affine={self.affine}, bias={self.bias is not None}"


class LocalResponseNorm(Module):
    """Divide by the activity of neighbouring channels: y = x / (k + alpha * mean of x^2 over ``size`` channels)^beta.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LocalResponseNorm(2)(torch.zeros(1, 2, 3)).shape
    torch.Size([1, 2, 3])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Any) -> Any:
        """Normalise."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """Give the constants."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(Module):
    """Divide by the activity of neighbouring channels of (N, C, H, W), under torch's older name.

    y = x / (k + alpha / size * sum of x^2 over the channels at most (size - 1) // 2 away)^beta. As in torch, the first
    channel stays in the sum of all channels beyond its reach.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.CrossMapLRN2d(3)(torch.zeros(1, 2, 3, 3)).shape
    torch.Size([1, 2, 3, 3])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Any) -> Any:
        """Normalise; ValueError unless the input has four dimensions."""
        if input.dim() != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.dim()}D instead.")
        channels, reach = input.shape[1], (self.size - 1) // 2
        squares = input * input
        totals = T.cat([T.zeros_like(squares[:, :1]), squares.cumsum(1)], 1)
        near = totals[:, [min(c + reach + 1, channels) for c in range(channels)]]
        near = near - totals[:, [max(c - reach, 0) for c in range(channels)]]
        if channels > reach + 1:
            first = squares[:, :1].expand(-1, channels - reach - 1, -1, -1)
            near = near + T.cat([T.zeros_like(squares[:, : reach + 1]), first], 1)
        return input / (near * (self.alpha / self.size) + self.k) ** self.beta

    def extra_repr(self) -> str:
        """Give the constants."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
