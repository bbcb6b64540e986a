"""ShuffleNetV2: half of the channels pass through, and are shuffled with the other half."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import retrograd as torch

from ._api import register_model

nn = torch.nn


def channel_shuffle(x: Any, groups: int) -> Any:
    """Deal the channels of ``groups`` groups out in turn, as cards."""
    n, channels, height, width = x.size()
    return x.view(n, groups, channels // groups, height, width).transpose(1, 2).reshape(n, channels, height, width)


def _conv(inside: int, outside: int, kernel: int, stride: int, groups: int, relu: bool) -> list[Any]:
    conv = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outside), *([nn.ReLU(inplace=True)] if relu else [])]


class InvertedResidual(nn.Module):
    """Two ways, whose results are shuffled together; at stride 1 the first is the identity of half of the channels.

    Parameters
    ----------
    inp : int
        Channels in.
    oup : int
        Channels out.
    stride : int
        From 1 to 3; ValueError otherwise.
    """

    def __init__(self, inp: int, oup: int, stride: int) -> None:
        super().__init__()
        if not 1 <= stride <= 3:
            raise ValueError("illegal stride value")
        self.stride = stride
        half = oup // 2
        if stride == 1 and inp != half << 1:
            raise ValueError(
                f"Invalid combination of stride {stride}, inp {inp} and oup {oup} values. If stride == 1 then inp should "
                "be equal to oup // 2 << 1."
            )
        first = [] if stride == 1 else [*_conv(inp, inp, 3, stride, inp, False), *_conv(inp, half, 1, 1, 1, True)]
        self.branch1 = nn.Sequential(*first)
        self.branch2 = nn.Sequential(
            *_conv(inp if stride > 1 else half, half, 1, 1, 1, True),
            *_conv(half, half, 3, stride, half, False),
            *_conv(half, half, 1, 1, 1, True),
        )

    def forward(self, x: Any) -> Any:
        """Go both ways and shuffle."""
        if self.stride == 1:
            kept, changed = x.chunk(2, dim=1)
            return channel_shuffle(torch.cat((kept, self.branch2(changed)), dim=1), 2)
        return channel_shuffle(torch.cat((self.branch1(x), self.branch2(x)), dim=1), 2)


class ShuffleNetV2(nn.Module):
    """Three stages of shuffled residuals: (N, 3, H, W) -> (N, num_classes).

    Source: Ma et al. 2018, https://arxiv.org/abs/1807.11164.

    Parameters
    ----------
    stages_repeats : list of int
        How many blocks each of three stages has.
    stages_out_channels : list of int
        Channels of the first convolution, the stages and the last convolution.
    num_classes : int
        The results.
    inverted_residual : callable
        Makes a block.
    """

    def __init__(
        self,
        stages_repeats: list[int],
        stages_out_channels: list[int],
        num_classes: int = 1000,
        inverted_residual: Callable[..., Any] = InvertedResidual,
    ) -> None:
        super().__init__()
        if len(stages_repeats) != 3:
            raise ValueError("expected stages_repeats as list of 3 positive ints")
        if len(stages_out_channels) != 5:
            raise ValueError("expected stages_out_channels as list of 5 positive ints")
        self._stage_out_channels = stages_out_channels
        channels = stages_out_channels[0]
        self.conv1 = nn.Sequential(*_conv(3, channels, 3, 2, 1, True))
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for i, (count, wide) in enumerate(zip(stages_repeats, stages_out_channels[1:]), 2):
            blocks = [
                inverted_residual(channels, wide, 2),
                *(inverted_residual(wide, wide, 1) for _ in range(count - 1)),
            ]
            setattr(self, f"stage{i}", nn.Sequential(*blocks))
            channels = wide
        self.conv5 = nn.Sequential(*_conv(channels, stages_out_channels[-1], 1, 1, 1, True))
        self.fc = nn.Linear(stages_out_channels[-1], num_classes)

    def forward(self, x: Any) -> Any:
        """Classify."""
        x = self.maxpool(self.conv1(x))
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
        return self.fc(x.mean([2, 3]))


@register_model()
def shufflenet_v2_x0_5(**kwargs: Any) -> ShuffleNetV2:
    """Build `ShuffleNetV2` of half width."""
    return ShuffleNetV2([4, 8, 4], [24, 48, 96, 192, 1024], **kwargs)


@register_model()
def shufflenet_v2_x1_0(**kwargs: Any) -> ShuffleNetV2:
    """Build `ShuffleNetV2` of single width."""
    return ShuffleNetV2([4, 8, 4], [24, 116, 232, 464, 1024], **kwargs)


@register_model()
def shufflenet_v2_x1_5(**kwargs: Any) -> ShuffleNetV2:
    """Build `ShuffleNetV2` of one and a half times the width."""
    return ShuffleNetV2([4, 8, 4], [24, 176, 352, 704, 1024], **kwargs)


@register_model()
def shufflenet_v2_x2_0(**kwargs: Any) -> ShuffleNetV2:
    """Build `ShuffleNetV2` of double width."""
    return ShuffleNetV2([4, 8, 4], [24, 244, 488, 976, 2048], **kwargs)


__all__ = [
    "ShuffleNetV2",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
]
