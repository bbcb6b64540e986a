"""Unpooling layers: maxima put back where a max pooling found them."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .module import Module
from .utils import _pair, _single, _triple


class _MaxUnpoolNd(Module):
    """The geometry of the pooling that is undone."""

    kernel_size: Any
    stride: Any
    padding: Any

    def extra_repr(self) -> str:
        """Give the geometry."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Put the maxima of a MaxPool1d back to their places.

    Examples
    --------
    >>> import retrograd as torch
    >>> pooled, places = torch.nn.MaxPool1d(2, return_indices=True)(torch.tensor([[1.0, 3.0]]))
    >>> torch.nn.MaxUnpool1d(2)(pooled, places)
    tensor([[0., 3.]])
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size, self.padding = _single(kernel_size), _single(padding)
        self.stride = _single(kernel_size if stride is None else stride)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """Unpool."""
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpoolNd):
    """Put the maxima of a MaxPool2d back to their places.

    Examples
    --------
    >>> import retrograd as torch
    >>> pooled, places = torch.nn.MaxPool2d(2, return_indices=True)(torch.ones(1, 4, 4))
    >>> torch.nn.MaxUnpool2d(2)(pooled, places).sum()
    tensor(4.)
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size, self.padding = _pair(kernel_size), _pair(padding)
        self.stride = _pair(kernel_size if stride is None else stride)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """Unpool."""
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool3d(_MaxUnpoolNd):
    """Put the maxima of a MaxPool3d back to their places.

    Examples
    --------
    >>> import retrograd as torch
    >>> pooled, places = torch.nn.MaxPool3d(2, return_indices=True)(torch.ones(1, 2, 2, 2))
    >>> torch.nn.MaxUnpool3d(2)(pooled, places).sum()
    tensor(1.)
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size, self.padding = _triple(kernel_size), _triple(padding)
        self.stride = _triple(kernel_size if stride is None else stride)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """Unpool."""
        return F.max_unpool3d(input, indices, self.kernel_size, self.stride, self.padding, output_size)
