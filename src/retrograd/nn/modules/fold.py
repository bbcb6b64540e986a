"""Layers that turn sliding blocks into columns and back."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .module import Module


class Unfold(Module):
    """Give every sliding block as a column: (N, C, H, W) -> (N, C KH KW, blocks).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Unfold(2)(torch.zeros(1, 3, 4, 4)).shape
    torch.Size([1, 12, 9])
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Any) -> Any:
        """Unfold."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """Give the geometry."""
        shown = f"kernel_size={self.kernel_size}, dilation={self.dilation}"
        return f"{shown}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Add columns up as sliding blocks: (N, C KH KW, blocks) -> (N, C, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Fold((4, 4), 2)(torch.zeros(1, 12, 9)).shape
    torch.Size([1, 3, 4, 4])
    """

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Any) -> Any:
        """Fold."""
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """Give the sizes and the geometry."""
        shown = f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}"
        return f"{shown}, padding={self.padding}, stride={self.stride}"
