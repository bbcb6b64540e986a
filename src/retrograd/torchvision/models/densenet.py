"""Densely connected networks: every layer reads all the layers before it."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

import retrograd as torch

from ._api import register_model
from ._init import fill

nn = torch.nn
F = nn.functional


class _DenseLayer(nn.Module):
    """conv3x3(relu(norm(conv1x1(relu(norm(all that came before)))))), which gives ``growth_rate`` channels."""

    def __init__(self, channels: int, growth_rate: int, bn_size: int, drop_rate: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(channels, bn_size * growth_rate, kernel_size=1, stride=1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, kernel_size=3, stride=1, padding=1, bias=False)
        self.drop_rate = float(drop_rate)

    def forward(self, input: Any) -> Any:
        """Read a list of tensors, or one."""
        parts = [input] if isinstance(input, torch.Tensor) else input
        between = self.conv1(self.relu1(self.norm1(torch.cat(parts, 1))))
        found = self.conv2(self.relu2(self.norm2(between)))
        return F.dropout(found, p=self.drop_rate, training=self.training) if self.drop_rate > 0 else found


class _DenseBlock(nn.ModuleDict):
    """Layers that each read the block's input and the results of those before."""

    def __init__(self, count: int, channels: int, bn_size: int, growth_rate: int, drop_rate: float) -> None:
        super().__init__()
        for i in range(count):
            layer = _DenseLayer(channels + i * growth_rate, growth_rate, bn_size, drop_rate)
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, init_features: Any) -> Any:
        """Give the input and all results, side by side."""
        features = [init_features]
        for layer in self.values():
            features.append(layer(features))
        return torch.cat(features, 1)


class _Transition(nn.Sequential):
    """Half the channels, half the height and width."""

    def __init__(self, channels: int, half: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(channels, half, kernel_size=1, stride=1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """Four dense blocks with transitions between them: (N, 3, H, W) -> (N, num_classes).

    Source: Huang et al. 2017, https://arxiv.org/abs/1608.06993.

    Parameters
    ----------
    growth_rate : int
        Channels that each layer adds.
    block_config : tuple of int
        How many layers each block has.
    num_init_features : int
        Channels of the first convolution.
    bn_size : int
        A layer's 1x1 convolution gives so many times the growth rate.
    drop_rate : float
        The probability of dropout after each layer.
    num_classes : int
        The results.
    memory_efficient : bool
        Kept for torchvision's signature.
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Any = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        channels = num_init_features
        self.features = nn.Sequential(
            OrderedDict(
                [
                    ("conv0", nn.Conv2d(3, channels, kernel_size=7, stride=2, padding=3, bias=False)),
                    ("norm0", nn.BatchNorm2d(channels)),
                    ("relu0", nn.ReLU(inplace=True)),
                    ("pool0", nn.MaxPool2d(kernel_size=3, stride=2, padding=1)),
                ]
            )
        )
        for i, count in enumerate(block_config, 1):
            block = _DenseBlock(count, channels, bn_size, growth_rate, drop_rate)
            self.features.add_module(f"denseblock{i}", block)
            channels += count * growth_rate
            if i != len(block_config):
                self.features.add_module(f"transition{i}", _Transition(channels, channels // 2))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        fill(self, nn.init.kaiming_normal_, lambda weight: weight)

    @staticmethod
    def _renamed(state: Any) -> Any:
        """Give the published files' names (norm.1, conv.2) as they are now (norm1, conv2)."""
        old = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)")
        return {old.sub(r"\1\2", name): value for name, value in state.items()}

    def forward(self, x: Any) -> Any:
        """Classify."""
        x = F.adaptive_avg_pool2d(F.relu(self.features(x), inplace=True), (1, 1))
        return self.classifier(torch.flatten(x, 1))


@register_model()
def densenet121(**kwargs: Any) -> DenseNet:
    """Build `DenseNet` with 121 layers."""
    return DenseNet(32, (6, 12, 24, 16), 64, **kwargs)


@register_model()
def densenet161(**kwargs: Any) -> DenseNet:
    """Build `DenseNet` with 161 layers."""
    return DenseNet(48, (6, 12, 36, 24), 96, **kwargs)


@register_model()
def densenet169(**kwargs: Any) -> DenseNet:
    """Build `DenseNet` with 169 layers."""
    return DenseNet(32, (6, 12, 32, 32), 64, **kwargs)


@register_model()
def densenet201(**kwargs: Any) -> DenseNet:
    """Build `DenseNet` with 201 layers."""
    return DenseNet(32, (6, 12, 48, 32), 64, **kwargs)


__all__ = ["DenseNet", "densenet121", "densenet161", "densenet169", "densenet201"]
