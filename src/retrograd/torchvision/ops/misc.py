"""Blocks that vision models are made of: convolution with norm and activation, squeeze and excitation, a frozen norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import retrograd as torch

nn = torch.nn
Sequential = nn.Sequential
Module = nn.Module


class ConvNormActivation(Sequential):
    """A convolution, a norm and an activation; what is None is left out.

    Parameters
    ----------
    in_channels : int
        Channels in.
    out_channels : int
        Channels out.
    kernel_size : int or tuple of int
        The kernel's size.
    stride : int or tuple of int
        The step.
    padding : int, tuple of int or str, optional
        The border; by default what keeps the size at stride 1.
    groups : int
        The convolution's groups.
    norm_layer : callable, optional
        Makes the norm from the channels.
    activation_layer : callable, optional
        Makes the activation.
    dilation : int or tuple of int
        The kernel's spacing.
    inplace : bool, optional
        Given to the activation, unless it is None.
    bias : bool, optional
        Whether the convolution has a bias; by default where there is no norm.
    conv_layer : callable
        Makes the convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = 3,
        stride: Any = 1,
        padding: Any = None,
        groups: int = 1,
        norm_layer: Callable[..., Any] | None = nn.BatchNorm2d,
        activation_layer: Callable[..., Any] | None = nn.ReLU,
        dilation: Any = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
        conv_layer: Callable[..., Any] = nn.Conv2d,
    ) -> None:
        if padding is None:
            if isinstance(kernel_size, int) and isinstance(dilation, int):
                padding = (kernel_size - 1) // 2 * dilation
            else:
                dims = len(kernel_size) if not isinstance(kernel_size, int) else len(dilation)
                kernels = (kernel_size,) * dims if isinstance(kernel_size, int) else kernel_size
                spaces = (dilation,) * dims if isinstance(dilation, int) else dilation
                padding = tuple((k - 1) // 2 * d for k, d in zip(kernels, spaces))
        layers = [
            conv_layer(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
                dilation=dilation,
                groups=groups,
                bias=norm_layer is None if bias is None else bias,
            )
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**({} if inplace is None else {"inplace": inplace})))
        super().__init__(*layers)
        self.out_channels = out_channels


class Conv2dNormActivation(ConvNormActivation):
    """`ConvNormActivation` in two dimensions.

    Examples
    --------
    >>> import retrograd as torch
    >>> Conv2dNormActivation(3, 8, stride=2)(torch.zeros(1, 3, 6, 6)).shape
    torch.Size([1, 8, 3, 3])
    """


class Conv3dNormActivation(ConvNormActivation):
    """`ConvNormActivation` in three dimensions.

    Parameters
    ----------
    in_channels : int
        Channels in.
    out_channels : int
        Channels out.
    kernel_size : int or tuple of int
        The kernel's size.
    stride : int or tuple of int
        The step.
    padding : int, tuple of int or str, optional
        The border.
    groups : int
        The convolution's groups.
    norm_layer : callable, optional
        Makes the norm.
    activation_layer : callable, optional
        Makes the activation.
    dilation : int or tuple of int
        The kernel's spacing.
    inplace : bool, optional
        Given to the activation.
    bias : bool, optional
        Whether the convolution has a bias.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = 3,
        stride: Any = 1,
        padding: Any = None,
        groups: int = 1,
        norm_layer: Callable[..., Any] | None = nn.BatchNorm3d,
        activation_layer: Callable[..., Any] | None = nn.ReLU,
        dilation: Any = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            groups,
            norm_layer,
            activation_layer,
            dilation,
            inplace,
            bias,
            nn.Conv3d,
        )


class SqueezeExcitation(Module):
    """Scale each channel by what two 1x1 convolutions make of all the channels' means.

    Source: Hu et al. 2018, https://arxiv.org/abs/1709.01507.

    Parameters
    ----------
    input_channels : int
        The channels.
    squeeze_channels : int
        The channels between the two.
    activation : callable
        Makes the activation between the two.
    scale_activation : callable
        Makes the one after them.
    """

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        activation: Callable[..., Any] = nn.ReLU,
        scale_activation: Callable[..., Any] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, input: Any) -> Any:
        """Scale."""
        scale = self.fc2(self.activation(self.fc1(self.avgpool(input))))
        return self.scale_activation(scale) * input


class MLP(Sequential):
    """Linear layers with activations and dropout between them.

    Parameters
    ----------
    in_channels : int
        Features in.
    hidden_channels : list of int
        Features after each layer.
    norm_layer : callable, optional
        Makes a norm from the features, after each layer but the last.
    activation_layer : callable, optional
        Makes an activation, likewise.
    inplace : bool, optional
        Given to activations and dropout, unless it is None.
    bias : bool
        Whether the layers have one.
    dropout : float
        The probability of dropout after each layer.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: list[int],
        norm_layer: Callable[..., Any] | None = None,
        activation_layer: Callable[..., Any] | None = nn.ReLU,
        inplace: bool | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        place = {} if inplace is None else {"inplace": inplace}
        layers: list[Any] = []
        for i, features in enumerate(hidden_channels):
            layers.append(nn.Linear(in_channels, features, bias=bias))
            if i < len(hidden_channels) - 1:
                layers += [] if norm_layer is None else [norm_layer(features)]
                layers += [] if activation_layer is None else [activation_layer(**place)]
            layers.append(nn.Dropout(dropout, **place))
            in_channels = features
        super().__init__(*layers)


class Permute(Module):
    """Reorder dimensions.

    Parameters
    ----------
    dims : list of int
        The new order.
    """

    def __init__(self, dims: list[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Any) -> Any:
        """Permute."""
        return torch.permute(x, self.dims)


class FrozenBatchNorm2d(Module):
    """A batch norm whose statistics and affine parameters are constants.

    Parameters
    ----------
    num_features : int
        The channels.
    eps : float
        Added to the variance.
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        for name in ("weight", "bias", "running_mean", "running_var"):
            make = torch.ones if name in ("weight", "running_var") else torch.zeros
            self.register_buffer(name, make(num_features))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        state_dict.pop(prefix + "num_batches_tracked", None)  # of a batch norm that it takes the place of
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, x: Any) -> Any:
        """Normalise."""
        shape = (1, -1, 1, 1)
        scale = self.weight.reshape(shape) * (self.running_var.reshape(shape) + self.eps).rsqrt()
        return x * scale + (self.bias.reshape(shape) - self.running_mean.reshape(shape) * scale)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.weight.shape[0]}, eps={self.eps})"


def stochastic_depth(input: Any, p: float, mode: str, training: bool = True) -> Any:
    """Drop a whole branch, and scale what stays by 1 / (1 - p).

    Source: Huang et al. 2016, https://arxiv.org/abs/1603.09382.

    Parameters
    ----------
    input : Tensor
        The branch's result, (N, ...).
    p : float
        How probably it is dropped; ValueError outside [0, 1].
    mode : str
        "row" for each sample by itself, "batch" for all of them together; ValueError otherwise.
    training : bool
        Nothing is dropped where it is False.

    Returns
    -------
    Tensor
        The branch's result, or zeros in its place.
    """
    if p < 0.0 or p > 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in ("batch", "row"):
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0.0:
        return input
    size = [input.shape[0] if mode == "row" else 1] + [1] * (input.ndim - 1)
    noise = torch.empty(size, dtype=input.dtype, device=input.device).bernoulli_(1.0 - p)
    return input * (noise.div_(1.0 - p) if p < 1.0 else noise)


class StochasticDepth(Module):
    """`stochastic_depth` as a module.

    Parameters
    ----------
    p : float
        How probably a branch is dropped.
    mode : str
        "row" or "batch".
    """

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, input: Any) -> Any:
        """Drop."""
        return stochastic_depth(input, self.p, self.mode, self.training)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p}, mode={self.mode})"


__all__ = [
    "MLP",
    "Conv2dNormActivation",
    "Conv3dNormActivation",
    "ConvNormActivation",
    "FrozenBatchNorm2d",
    "Permute",
    "SqueezeExcitation",
    "StochasticDepth",
    "stochastic_depth",
]
