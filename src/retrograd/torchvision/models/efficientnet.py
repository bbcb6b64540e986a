"""EfficientNet and EfficientNetV2: depth, width and resolution scaled together."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import retrograd as torch

from ..ops.misc import Conv2dNormActivation, SqueezeExcitation, StochasticDepth
from ._api import register_model
from ._init import divisible, fan_out, fill

nn = torch.nn


class Stage(NamedTuple):
    """A stage's blocks: fused or not, expansion, kernel, stride of the first, channels in and out, how many."""

    fused: bool
    expand_ratio: float
    kernel: int
    stride: int
    input_channels: int
    out_channels: int
    num_layers: int


class _Block(nn.Module):
    """An inverted residual that is dropped at random while training."""

    def __init__(self, stage: Stage, depth_prob: float, norm_layer: Callable[..., Any]) -> None:
        super().__init__()
        self.use_res_connect = stage.stride == 1 and stage.input_channels == stage.out_channels
        self.block = nn.Sequential(*self._layers(stage, norm_layer))
        self.stochastic_depth = StochasticDepth(depth_prob, "row")
        self.out_channels = stage.out_channels

    def _layers(self, stage: Stage, norm_layer: Callable[..., Any]) -> list[Any]:
        raise NotImplementedError

    def forward(self, input: Any) -> Any:
        """Add what the convolutions find, where it fits."""
        found = self.block(input)
        return self.stochastic_depth(found) + input if self.use_res_connect else found


class MBConv(_Block):
    """Expand, convolve each channel, squeeze and excite, project."""

    def _layers(self, stage: Stage, norm_layer: Callable[..., Any]) -> list[Any]:
        inside, between = stage.input_channels, divisible(stage.input_channels * stage.expand_ratio, 8)
        make = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.SiLU)
        layers: list[Any] = [make(inside, between, kernel_size=1)] if between != inside else []
        layers.append(make(between, between, kernel_size=stage.kernel, stride=stage.stride, groups=between))
        layers.append(SqueezeExcitation(between, max(1, inside // 4), activation=partial(nn.SiLU, inplace=True)))
        layers.append(
            Conv2dNormActivation(
                between, stage.out_channels, kernel_size=1, norm_layer=norm_layer, activation_layer=None
            )
        )
        return layers


class FusedMBConv(_Block):
    """Expand and convolve in one, project."""

    def _layers(self, stage: Stage, norm_layer: Callable[..., Any]) -> list[Any]:
        inside, between = stage.input_channels, divisible(stage.input_channels * stage.expand_ratio, 8)
        make = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.SiLU)
        if between == inside:
            return [make(inside, stage.out_channels, kernel_size=stage.kernel, stride=stage.stride)]
        return [
            make(inside, between, kernel_size=stage.kernel, stride=stage.stride),
            Conv2dNormActivation(
                between, stage.out_channels, kernel_size=1, norm_layer=norm_layer, activation_layer=None
            ),
        ]


class EfficientNet(nn.Module):
    """Stages of inverted residuals: (N, 3, H, W) -> (N, num_classes).

    Sources: Tan and Le 2019, https://arxiv.org/abs/1905.11946; 2021, https://arxiv.org/abs/2104.00298.

    Parameters
    ----------
    inverted_residual_setting : sequence of Stage
        The stages.
    dropout : float
        Its probability before the linear layer.
    stochastic_depth_prob : float
        How probably the last block is dropped; the others less, in proportion to their depth.
    num_classes : int
        The results.
    norm_layer : callable, optional
        Makes the norms; batch norm by default.
    last_channel : int, optional
        Features before the linear layer; four times the last stage's channels by default.
    """

    def __init__(
        self,
        inverted_residual_setting: Any,
        dropout: float,
        stochastic_depth_prob: float = 0.2,
        num_classes: int = 1000,
        norm_layer: Callable[..., Any] | None = None,
        last_channel: int | None = None,
    ) -> None:
        super().__init__()
        stages = list(inverted_residual_setting)
        if not stages:
            raise ValueError("The inverted_residual_setting should not be empty")
        norm_layer = norm_layer or nn.BatchNorm2d
        make = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.SiLU)
        layers: list[Any] = [make(3, stages[0].input_channels, kernel_size=3, stride=2)]
        total, done = sum(stage.num_layers for stage in stages), 0
        for stage in stages:
            blocks = []
            for i in range(stage.num_layers):
                one = stage if i == 0 else stage._replace(input_channels=stage.out_channels, stride=1)
                kind = FusedMBConv if stage.fused else MBConv
                blocks.append(kind(one, stochastic_depth_prob * float(done) / total, norm_layer))
                done += 1
            layers.append(nn.Sequential(*blocks))
        last = stages[-1].out_channels
        features = 4 * last if last_channel is None else last_channel
        layers.append(make(last, features, kernel_size=1))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout, inplace=True), nn.Linear(features, num_classes))
        fill(self, fan_out, self._by_results)

    @staticmethod
    def _by_results(weight: Any) -> Any:
        bound = 1.0 / math.sqrt(weight.shape[0])
        return nn.init.uniform_(weight, -bound, bound)

    def forward(self, x: Any) -> Any:
        """Classify."""
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


_B = (
    *((1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 2), (6, 3, 2, 40, 80, 3)),
    *((6, 5, 1, 80, 112, 3), (6, 5, 2, 112, 192, 4), (6, 3, 1, 192, 320, 1)),
)
# Width, depth and dropout of the compound scaling.
_SCALES = {
    "b0": (1.0, 1.0, 0.2),
    "b1": (1.0, 1.1, 0.2),
    "b2": (1.1, 1.2, 0.3),
    "b3": (1.2, 1.4, 0.3),
    "b4": (1.4, 1.8, 0.4),
    "b5": (1.6, 2.2, 0.4),
    "b6": (1.8, 2.6, 0.5),
    "b7": (2.0, 3.1, 0.5),
}
# The first three stages are fused.
_V2 = {
    "v2_s": (
        *((1, 3, 1, 24, 24, 2), (4, 3, 2, 24, 48, 4), (4, 3, 2, 48, 64, 4)),
        *((4, 3, 2, 64, 128, 6), (6, 3, 1, 128, 160, 9), (6, 3, 2, 160, 256, 15)),
    ),
    "v2_m": (
        *((1, 3, 1, 24, 24, 3), (4, 3, 2, 24, 48, 5), (4, 3, 2, 48, 80, 5)),
        *((4, 3, 2, 80, 160, 7), (6, 3, 1, 160, 176, 14), (6, 3, 2, 176, 304, 18), (6, 3, 1, 304, 512, 5)),
    ),
    "v2_l": (
        *((1, 3, 1, 32, 32, 4), (4, 3, 2, 32, 64, 7), (4, 3, 2, 64, 96, 7)),
        *((4, 3, 2, 96, 192, 10), (6, 3, 1, 192, 224, 19), (6, 3, 2, 224, 384, 25), (6, 3, 1, 384, 640, 7)),
    ),
}
_V2_DROPOUT = {"v2_s": 0.2, "v2_m": 0.3, "v2_l": 0.4}


def _family(version: str) -> Any:
    def make(**kwargs: Any) -> EfficientNet:
        if version in _V2:
            stages = [Stage(i < 3, *row) for i, row in enumerate(_V2[version])]
            fixed: dict[str, Any] = {"last_channel": 1280, "norm_layer": partial(nn.BatchNorm2d, eps=1e-3)}
            return EfficientNet(stages, kwargs.pop("dropout", _V2_DROPOUT[version]), **{**fixed, **kwargs})
        width, depth, dropout = _SCALES[version]
        stages = [
            Stage(
                False, *row[:3], divisible(row[3] * width, 8), divisible(row[4] * width, 8), math.ceil(row[5] * depth)
            )
            for row in _B
        ]
        fixed = {"norm_layer": partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)} if version >= "b5" else {}
        return EfficientNet(stages, kwargs.pop("dropout", dropout), **{**fixed, **kwargs})

    make.__name__ = make.__qualname__ = f"efficientnet_{version}"
    make.__doc__ = f"Build `EfficientNet`, version {version}."
    return register_model()(make)


efficientnet_b0, efficientnet_b1, efficientnet_b2, efficientnet_b3 = map(_family, ("b0", "b1", "b2", "b3"))
efficientnet_b4, efficientnet_b5, efficientnet_b6, efficientnet_b7 = map(_family, ("b4", "b5", "b6", "b7"))
efficientnet_v2_s, efficientnet_v2_m, efficientnet_v2_l = map(_family, ("v2_s", "v2_m", "v2_l"))

__all__ = [
    "EfficientNet",
    "FusedMBConv",
    "MBConv",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_v2_l",
    "efficientnet_v2_m",
    "efficientnet_v2_s",
]
