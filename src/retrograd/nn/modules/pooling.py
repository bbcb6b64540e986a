"""Pooling layers: the largest, the mean or the p-norm of windows."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .fractional import FractionalMaxPool2d as FractionalMaxPool2d
from .fractional import FractionalMaxPool3d as FractionalMaxPool3d
from .module import Module
from .unpooling import MaxUnpool1d as MaxUnpool1d
from .unpooling import MaxUnpool2d as MaxUnpool2d
from .unpooling import MaxUnpool3d as MaxUnpool3d
from .unpooling import _MaxUnpoolNd as _MaxUnpoolNd


class _MaxPoolNd(Module):
    """The geometry of a max pooling."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride if stride is not None else kernel_size
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def _arguments(self) -> tuple[Any, ...]:
        return self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices

    def extra_repr(self) -> str:
        """Give the geometry."""
        shown = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{shown}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class MaxPool1d(_MaxPoolNd):
    """Largest element of each window of (N, C, L) or (C, L).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.MaxPool1d(2)(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[3., 2.]])
    """

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.max_pool1d(input, *self._arguments())


class MaxPool2d(_MaxPoolNd):
    """Largest element of each window of (N, C, H, W) or (C, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.MaxPool2d(2)(torch.zeros(1, 3, 4, 4)).shape
    torch.Size([1, 3, 2, 2])
    """

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.max_pool2d(input, *self._arguments())


class MaxPool3d(_MaxPoolNd):
    """Largest element of each window of (N, C, D, H, W) or (C, D, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.MaxPool3d(2)(torch.zeros(1, 3, 4, 4, 4)).shape
    torch.Size([1, 3, 2, 2, 2])
    """

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.max_pool3d(input, *self._arguments())


class _AvgPoolNd(Module):
    """What the repr of the average poolings shares."""

    def extra_repr(self) -> str:
        """Give the geometry."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """Mean of each window of (N, C, L) or (C, L).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.AvgPool1d(2)(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[2., 1.]])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size if isinstance(kernel_size, tuple) else (kernel_size,)
        given = kernel_size if stride is None else stride
        self.stride = given if isinstance(given, tuple) else (given,)
        self.padding = padding if isinstance(padding, tuple) else (padding,)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(_AvgPoolNd):
    """Mean of each window of (N, C, H, W) or (C, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.AvgPool2d(2)(torch.zeros(1, 3, 4, 4)).shape
    torch.Size([1, 3, 2, 2])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def _arguments(self) -> tuple[Any, ...]:
        geometry = self.kernel_size, self.stride, self.padding, self.ceil_mode
        return *geometry, self.count_include_pad, self.divisor_override

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.avg_pool2d(input, *self._arguments())


class AvgPool3d(AvgPool2d):
    """Mean of each window of (N, C, D, H, W) or (C, D, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.AvgPool3d(2)(torch.zeros(1, 3, 4, 4, 4)).shape
    torch.Size([1, 3, 2, 2, 2])
    """

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.avg_pool3d(input, *self._arguments())


class _AdaptivePoolNd(Module):
    """The output size of a pooling that shares its input out."""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        """Give the output's size."""
        return f"output_size={self.output_size}"


class _AdaptiveAvgPoolNd(_AdaptivePoolNd):
    """The output's size of an average pooling."""


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """Mean of each of ``output_size`` windows that share the input out.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.AdaptiveAvgPool1d(2)(torch.zeros(3, 7)).shape
    torch.Size([3, 2])
    """

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """Mean of each window of an ``output_size`` grid that shares the input out.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.AdaptiveAvgPool2d((1, None))(torch.zeros(3, 7, 5)).shape
    torch.Size([3, 1, 5])
    """

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """Mean of each window of an ``output_size`` grid that shares the input out.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.AdaptiveAvgPool3d(1)(torch.zeros(3, 7, 5, 2)).shape
    torch.Size([3, 1, 1, 1])
    """

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMaxPoolNd(_AdaptivePoolNd):
    """The choice of the adaptive max poolings to give places too."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """Largest element of each of ``output_size`` windows that share the input out.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.AdaptiveMaxPool1d(2)(torch.zeros(3, 7)).shape
    torch.Size([3, 2])
    """

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """Largest element of each window of an ``output_size`` grid that shares the input out.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.AdaptiveMaxPool2d(2)(torch.zeros(3, 7, 5)).shape
    torch.Size([3, 2, 2])
    """

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """Largest element of each window of an ``output_size`` grid that shares the input out.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.AdaptiveMaxPool3d(2)(torch.zeros(3, 7, 5, 4)).shape
    torch.Size([3, 2, 2, 2])
    """

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class _LPPoolNd(Module):
    """The power and geometry of a power-average pooling."""

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def _arguments(self) -> tuple[Any, ...]:
        return float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode

    def extra_repr(self) -> str:
        """Give the power and the geometry."""
        shown = f"norm_type={self.norm_type}, kernel_size={self.kernel_size}"
        return f"{shown}, stride={self.stride}, ceil_mode={self.ceil_mode}"


class LPPool1d(_LPPoolNd):
    """Root of the sum of powers of each window of (N, C, L): y = (sum x^p)^(1/p).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LPPool1d(2, 2)(torch.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.lp_pool1d(input, *self._arguments())


class LPPool2d(_LPPoolNd):
    """Root of the sum of powers of each window of (N, C, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LPPool2d(2, (1, 2))(torch.tensor([[[3.0, 4.0]]]))
    tensor([[[5.]]])
    """

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.lp_pool2d(input, *self._arguments())


class LPPool3d(_LPPoolNd):
    """Root of the sum of powers of each window of (N, C, D, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LPPool3d(2, (1, 1, 2))(torch.tensor([[[[3.0, 4.0]]]]))
    tensor([[[[5.]]]])
    """

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.lp_pool3d(input, *self._arguments())
