"""MobileNetV2 and MobileNetV3: inverted residuals with depthwise convolutions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import retrograd as torch

from ..ops.misc import Conv2dNormActivation, SqueezeExcitation
from ._api import register_model
from ._init import divisible, fan_out, fill, small

nn = torch.nn
F = nn.functional


class InvertedResidual(nn.Module):
    """Few channels to many, a depthwise convolution there, and back to few, which are added to the input.

    Parameters
    ----------
    inp : int
        Channels in.
    oup : int
        Channels out.
    stride : int
        1 or 2; ValueError otherwise.
    expand_ratio : int
        How many times more channels there are in between.
    norm_layer : callable, optional
        Makes the norms; batch norm by default.
    """

    def __init__(
        self, inp: int, oup: int, stride: int, expand_ratio: int, norm_layer: Callable[..., Any] | None = None
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm_layer = norm_layer or nn.BatchNorm2d
        self.stride = stride
        self.use_res_connect = stride == 1 and inp == oup
        hidden = round(inp * expand_ratio)
        block = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.ReLU6)
        layers: list[Any] = [block(inp, hidden, kernel_size=1)] if expand_ratio != 1 else []
        layers.append(block(hidden, hidden, stride=stride, groups=hidden))
        layers += [nn.Conv2d(hidden, oup, 1, 1, 0, bias=False), norm_layer(oup)]
        self.conv = nn.Sequential(*layers)
        self.out_channels = oup
        self._is_cn = stride > 1

    def forward(self, x: Any) -> Any:
        """Add what the convolutions find, where it fits."""
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


# Expansion, channels, blocks, stride of the first.
_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(nn.Module):
    """Inverted residuals: (N, 3, H, W) -> (N, num_classes).

    Source: Sandler et al. 2018, https://arxiv.org/abs/1801.04381.

    Parameters
    ----------
    num_classes : int
        The results.
    width_mult : float
        What all channel counts are multiplied by.
    inverted_residual_setting : list of list of int, optional
        Rows of expansion, channels, blocks and stride.
    round_nearest : int
        What channel counts are multiples of.
    block : callable, optional
        Makes a block; `InvertedResidual` by default.
    norm_layer : callable, optional
        Makes the norms; batch norm by default.
    dropout : float
        Its probability before the linear layer.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Any = None,
        round_nearest: int = 8,
        block: Callable[..., Any] | None = None,
        norm_layer: Callable[..., Any] | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        block, norm_layer = block or InvertedResidual, norm_layer or nn.BatchNorm2d
        setting = _V2 if inverted_residual_setting is None else inverted_residual_setting
        if len(setting) == 0 or len(setting[0]) != 4:
            raise ValueError(
                f"inverted_residual_setting should be non-empty or a 4-element list, got {inverted_residual_setting}"
            )
        channels = divisible(32 * width_mult, round_nearest)
        self.last_channel = divisible(1280 * max(1.0, width_mult), round_nearest)
        make = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.ReLU6)
        layers: list[Any] = [make(3, channels, stride=2)]
        for expansion, width, count, stride in setting:
            for i in range(count):
                wide = divisible(width * width_mult, round_nearest)
                layers.append(
                    block(channels, wide, stride if i == 0 else 1, expand_ratio=expansion, norm_layer=norm_layer)
                )
                channels = wide
        layers.append(make(channels, self.last_channel, kernel_size=1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes))
        fill(self, fan_out, small)

    def forward(self, x: Any) -> Any:
        """Classify."""
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


class MobileNetV3Block(nn.Module):
    """`InvertedResidual` with squeeze and excitation, and hard swish.

    Parameters
    ----------
    row : tuple
        Channels in, kernel, channels in between, channels out, squeeze and excitation, hard swish, stride, dilation.
    norm_layer : callable
        Makes the norms.
    """

    def __init__(self, row: Any, norm_layer: Callable[..., Any]) -> None:
        super().__init__()
        inside, kernel, between, outside, squeeze, swish, stride, dilation = row
        self.use_res_connect = stride == 1 and inside == outside
        make = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.Hardswish if swish else nn.ReLU)
        layers: list[Any] = [make(inside, between, kernel_size=1)] if between != inside else []
        step = 1 if dilation > 1 else stride
        layers.append(make(between, between, kernel_size=kernel, stride=step, dilation=dilation, groups=between))
        if squeeze:
            layers.append(SqueezeExcitation(between, divisible(between // 4, 8), scale_activation=nn.Hardsigmoid))
        layers.append(
            Conv2dNormActivation(between, outside, kernel_size=1, norm_layer=norm_layer, activation_layer=None)
        )
        self.block = nn.Sequential(*layers)
        self.out_channels = outside
        self._is_cn = stride > 1

    def forward(self, input: Any) -> Any:
        """Add what the convolutions find, where it fits."""
        return self.block(input) + input if self.use_res_connect else self.block(input)


MobileNetV3Block.__name__ = "InvertedResidual"  # how it prints


class MobileNetV3(nn.Module):
    """Inverted residuals found by search: (N, 3, H, W) -> (N, num_classes).

    Source: Howard et al. 2019, https://arxiv.org/abs/1905.02244.

    Parameters
    ----------
    inverted_residual_setting : list of tuple
        A block's row each, as `MobileNetV3Block` takes it.
    last_channel : int
        Features before the last linear layer.
    num_classes : int
        The results.
    block : callable, optional
        Makes a block; `MobileNetV3Block` by default.
    norm_layer : callable, optional
        Makes the norms; batch norm with eps 0.001 and momentum 0.01 by default.
    dropout : float
        Its probability before the last linear layer.
    """

    def __init__(
        self,
        inverted_residual_setting: Any,
        last_channel: int,
        num_classes: int = 1000,
        block: Callable[..., Any] | None = None,
        norm_layer: Callable[..., Any] | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        rows = list(inverted_residual_setting)
        if not rows:
            raise ValueError("The inverted_residual_setting should not be empty")
        block = block or MobileNetV3Block
        norm_layer = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        make = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.Hardswish)
        layers = [make(3, rows[0][0], kernel_size=3, stride=2), *(block(row, norm_layer) for row in rows)]
        last = rows[-1][3]
        layers.append(make(last, 6 * last, kernel_size=1))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * last, last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        fill(self, fan_out, small)

    def forward(self, x: Any) -> Any:
        """Classify."""
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


# Channels in, kernel, channels in between, channels out, squeeze and excitation, hard swish, stride: tables 1 and 2.
_LARGE = (
    (16, 3, 16, 16, False, False, 1),
    (16, 3, 64, 24, False, False, 2),
    (24, 3, 72, 24, False, False, 1),
    (24, 5, 72, 40, True, False, 2),
    (40, 5, 120, 40, True, False, 1),
    (40, 5, 120, 40, True, False, 1),
    (40, 3, 240, 80, False, True, 2),
    (80, 3, 200, 80, False, True, 1),
    (80, 3, 184, 80, False, True, 1),
    (80, 3, 184, 80, False, True, 1),
    (80, 3, 480, 112, True, True, 1),
    (112, 3, 672, 112, True, True, 1),
    (112, 5, 672, 160, True, True, 2),
    (160, 5, 960, 160, True, True, 1),
    (160, 5, 960, 160, True, True, 1),
)
_SMALL = (
    (16, 3, 16, 16, True, False, 2),
    (16, 3, 72, 24, False, False, 2),
    (24, 3, 88, 24, False, False, 1),
    (24, 5, 96, 40, True, True, 2),
    (40, 5, 240, 40, True, True, 1),
    (40, 5, 240, 40, True, True, 1),
    (40, 5, 120, 48, True, True, 1),
    (48, 5, 144, 48, True, True, 1),
    (48, 5, 288, 96, True, True, 2),
    (96, 5, 576, 96, True, True, 1),
    (96, 5, 576, 96, True, True, 1),
)


def _scaled(rows: Any, last: int, width_mult: float, reduced_tail: bool, dilated: bool) -> tuple[list[Any], int]:
    """Scale the channels; halve those of the last three blocks; dilate these where the last stage keeps its size."""
    tail, halve = len(rows) - 3, 2 if reduced_tail else 1
    found = []
    for i, (inside, kernel, between, outside, squeeze, swish, stride) in enumerate(rows):
        inside //= halve if i > tail else 1
        between //= halve if i > tail else 1
        outside //= halve if i >= tail else 1
        widths = [divisible(one * width_mult, 8) for one in (inside, between, outside)]
        spread = 2 if dilated and i >= tail else 1
        found.append((widths[0], kernel, widths[1], widths[2], squeeze, swish, stride, spread))
    return found, divisible(last // halve * width_mult, 8)


def _v3(
    rows: Any,
    last: int,
    width_mult: float = 1.0,
    reduced_tail: bool = False,
    dilated: bool = False,
    **kwargs: Any,
) -> MobileNetV3:
    return MobileNetV3(*_scaled(rows, last, width_mult, reduced_tail, dilated), **kwargs)


@register_model()
def mobilenet_v2(**kwargs: Any) -> MobileNetV2:
    """Build `MobileNetV2`."""
    return MobileNetV2(**kwargs)


@register_model()
def mobilenet_v3_large(**kwargs: Any) -> MobileNetV3:
    """Build the large `MobileNetV3`."""
    return _v3(_LARGE, 1280, **kwargs)


@register_model()
def mobilenet_v3_small(**kwargs: Any) -> MobileNetV3:
    """Build the small `MobileNetV3`."""
    return _v3(_SMALL, 1024, **kwargs)


__all__ = [
    "InvertedResidual",
    "MobileNetV2",
    "MobileNetV3",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
]
