"""Convolution layers in one, two and three dimensions, their transposes, and both with channels learned from the input."""

from __future__ import annotations

import math
from typing import Any

from .. import _functions as T
from .. import functional as F
from .. import init
from ..init.fans import _calculate_fan_in_and_fan_out
from ..parameter import Parameter, UninitializedParameter
from .lazy import LazyModuleMixin
from .module import Module
from .utils import _ntuple, _reverse_repeat_tuple

_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """Weight, bias and geometry of a convolution; both start uniform in +-1 / sqrt(fan_in)."""

    _dims = 0
    _transposed = False
    bias: Any

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        each = _ntuple(self._dims)
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name} must be divisible by groups")
        if padding_mode not in _MODES:
            raise ValueError(f"padding_mode must be one of {set(_MODES)}, but got padding_mode='{padding_mode}'")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride, self.dilation = each(kernel_size), each(stride), each(dilation)
        self.padding = padding if isinstance(padding, str) else each(padding)
        self.output_padding, self.padding_mode, self.transposed = each(output_padding), padding_mode, self._transposed
        self._reversed_padding_repeated_twice = self._both_sides()
        first, second = (in_channels, out_channels) if self._transposed else (out_channels, in_channels)
        shape = (first, second // groups, *self.kernel_size)
        self.weight = Parameter(T.empty(shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(T.empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _both_sides(self) -> Any:
        """Give the padding as `pad` wants it: (before, after) for the last dimension first."""
        if not isinstance(self.padding, str):
            return _reverse_repeat_tuple(self.padding, 2)
        if self.padding not in ("same", "valid"):
            raise ValueError(f"Invalid padding string {self.padding!r}, should be one of {{'valid', 'same'}}")
        sides = [0] * (2 * self._dims)
        if self.padding == "same":
            if any(s != 1 for s in self.stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
            for i, (k, d) in enumerate(zip(reversed(self.kernel_size), reversed(self.dilation), strict=True)):
                total = d * (k - 1)
                sides[2 * i], sides[2 * i + 1] = total // 2, total - total // 2
        return sides

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # the bound is then 1 / sqrt(fan_in)
        if self.bias is not None:
            fan_in, _ = _calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        function = (F.conv1d, F.conv2d, F.conv3d)[self._dims - 1]
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = 0
        return function(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Any) -> Any:
        """Convolve."""
        return self._conv_forward(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Give the sizes and what differs from the default."""
        shown = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        none, one = (0,) * self._dims, (1,) * self._dims
        if self.padding != none:
            shown += f", padding={self.padding}"
        if self.dilation != one:
            shown += f", dilation={self.dilation}"
        if self.output_padding != none:
            shown += f", output_padding={self.output_padding}"
        if self.groups != 1:
            shown += f", groups={self.groups}"
        if self.bias is None:
            shown += ", bias=False"
        return shown + (f", padding_mode={self.padding_mode}" if self.padding_mode != "zeros" else "")


class _Conv(_ConvNd):
    """The constructor of Conv1d, Conv2d and Conv3d."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._set_up(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )


class Conv1d(_Conv):
    """Cross-correlation along one dimension: (N, C, L) -> (N, O, L'), L' = (L + 2p - d (K - 1) - 1) // s + 1.

    Weight (O, C / groups, K) and bias (O) start uniform in +-1 / sqrt(K C / groups).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Conv1d(3, 4, 5)(torch.zeros(2, 3, 10)).shape
    torch.Size([2, 4, 6])
    """

    _dims = 1


class Conv2d(_Conv):
    """Cross-correlation over two dimensions: (N, C, H, W) -> (N, O, H', W').

    Weight (O, C / groups, KH, KW) and bias (O) start uniform in +-1 / sqrt(KH KW C / groups).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Conv2d(3, 8, 3, padding=1)(torch.zeros(2, 3, 5, 5)).shape
    torch.Size([2, 8, 5, 5])
    """

    _dims = 2


class Conv3d(_Conv):
    """Cross-correlation over three dimensions: (N, C, D, H, W) -> (N, O, D', H', W').

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Conv3d(1, 2, 3, padding="same")(torch.zeros(1, 1, 4, 4, 4)).shape
    torch.Size([1, 2, 4, 4, 4])
    """

    _dims = 3


class _ConvTransposeNd(_ConvNd):
    """The constructor and forward of the transposed convolutions."""

    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        self._set_up(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _output_padding(self, input: Any, output_size: Any) -> tuple[int, ...]:
        """Give the padding that makes the output the size that was asked for; ValueError if none does."""
        if output_size is None:
            return self.output_padding
        dims = self._dims
        lead = input.dim() - dims
        if len(output_size) == input.dim():
            output_size = output_size[lead:]
        if len(output_size) != dims:
            raise ValueError(
                f"ConvTranspose{dims}D: for {input.dim()}D input, output_size must have {dims} or {input.dim()} "
                f"elements (got {len(output_size)})"
            )
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.shape[lead:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        ]
        most = [n + s - 1 for n, s in zip(least, self.stride, strict=True)]
        if any(not low <= n <= high for n, low, high in zip(output_size, least, most, strict=True)):
            raise ValueError(
                f"requested an output size of {output_size}, but valid sizes range from {least} to {most} "
                f"(for an input of {input.size()[2:]})"
            )
        return tuple(n - low for n, low in zip(output_size, least, strict=True))

    def forward(self, input: Any, output_size: Any = None) -> Any:
        """Apply the transpose of a convolution."""
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self._dims - 1]
        extra = self._output_padding(input, output_size)
        return function(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)


class ConvTranspose1d(_ConvTransposeNd):
    """Transposed convolution: (N, C, L) -> (N, O, (L - 1) s - 2p + d (K - 1) + output_padding + 1).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ConvTranspose1d(3, 4, 2, stride=2)(torch.zeros(1, 3, 5)).shape
    torch.Size([1, 4, 10])
    """

    _dims = 1


class ConvTranspose2d(_ConvTransposeNd):
    """Transposed convolution over two dimensions: (N, C, H, W) -> (N, O, H', W').

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ConvTranspose2d(3, 4, 2, stride=2)(torch.zeros(1, 3, 5, 5)).shape
    torch.Size([1, 4, 10, 10])
    """

    _dims = 2


class ConvTranspose3d(_ConvTransposeNd):
    """Transposed convolution over three dimensions: (N, C, D, H, W) -> (N, O, D', H', W').

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ConvTranspose3d(1, 2, 2)(torch.zeros(1, 1, 2, 2, 2)).shape
    torch.Size([1, 2, 3, 3, 3])
    """

    _dims = 3


class _LazyConvNd(LazyModuleMixin, _ConvNd):
    """A convolution that takes ``in_channels`` from its first input."""

    def _leave_open(self, out_channels: int, bias: bool, device: Any, dtype: Any) -> None:
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_channels = out_channels
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, once they have their shapes."""
        if not self.has_uninitialized_params() and self.in_channels != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Any, *args: Any, **kwargs: Any) -> None:
        """Take ``in_channels`` from the input, and draw weight and bias."""
        if not self.has_uninitialized_params():
            return
        single, batch = self._dims + 1, self._dims + 2
        if input.dim() not in (single, batch):
            raise RuntimeError(
                f"Expected {single}D (unbatched) or {batch}D (batched) input to {type(self).__name__}, but got input "
                f"of size: {input.shape}"
            )
        self.in_channels = input.shape[input.dim() - single]
        if self.in_channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        channels = (self.in_channels, self.out_channels) if self.transposed else (self.out_channels, self.in_channels)
        self.weight.materialize((channels[0], channels[1] // self.groups, *self.kernel_size))
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class _LazyConv(_LazyConvNd):
    """The constructor of LazyConv1d, LazyConv2d and LazyConv3d."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        place = {"device": device, "dtype": dtype}
        super().__init__(0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode, **place)
        self._leave_open(out_channels, bias, device, dtype)


class _LazyConvTranspose(_LazyConvNd):
    """The constructor of LazyConvTranspose1d, LazyConvTranspose2d and LazyConvTranspose3d."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        sizes = (kernel_size, stride, padding, output_padding)
        super().__init__(0, 0, *sizes, groups, False, dilation, padding_mode, device=device, dtype=dtype)
        self._leave_open(out_channels, bias, device, dtype)


class LazyConv1d(_LazyConv, Conv1d):
    """`Conv1d` that takes ``in_channels`` from its first input, and is a Conv1d from then on.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LazyConv1d(4, 3)(torch.zeros(2, 3, 8)).shape
    torch.Size([2, 4, 6])
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """`Conv2d` that takes ``in_channels`` from its first input, and is a Conv2d from then on.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LazyConv2d(4, 3)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 4, 6, 6])
    """

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """`Conv3d` that takes ``in_channels`` from its first input, and is a Conv3d from then on.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LazyConv3d(4, 3)(torch.zeros(2, 3, 8, 8, 8)).shape
    torch.Size([2, 4, 6, 6, 6])
    """

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """`ConvTranspose1d` that takes ``in_channels`` from its first input, and is a ConvTranspose1d from then on.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LazyConvTranspose1d(4, 3)(torch.zeros(2, 3, 8)).shape
    torch.Size([2, 4, 10])
    """

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """`ConvTranspose2d` that takes ``in_channels`` from its first input, and is a ConvTranspose2d from then on.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LazyConvTranspose2d(4, 3)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 4, 10, 10])
    """

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """`ConvTranspose3d` that takes ``in_channels`` from its first input, and is a ConvTranspose3d from then on.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LazyConvTranspose3d(4, 3)(torch.zeros(2, 3, 8, 8, 8)).shape
    torch.Size([2, 4, 10, 10, 10])
    """

    cls_to_become = ConvTranspose3d
