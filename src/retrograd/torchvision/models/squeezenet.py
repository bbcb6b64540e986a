"""SqueezeNet: AlexNet's accuracy with a fiftieth of its parameters."""

from __future__ import annotations

from typing import Any

import retrograd as torch

from ._api import register_model

nn = torch.nn


class Fire(nn.Module):
    """A 1x1 convolution to few channels, then 1x1 and 3x3 ones side by side.

    Parameters
    ----------
    inplanes : int
        Channels in.
    squeeze_planes : int
        The few channels.
    expand1x1_planes : int
        Channels of the 1x1 part of the result.
    expand3x3_planes : int
        Channels of the 3x3 part of the result.
    """

    def __init__(self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        """Squeeze and expand."""
        x = self.squeeze_activation(self.squeeze(x))
        parts = [self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))]
        return torch.cat(parts, 1)


# The first convolution's channels and kernel, and after how many of the eight Fire modules a pooling stands.
_VERSIONS = {"1_0": (96, 7, (3, 7)), "1_1": (64, 3, (2, 4))}
_SQUEEZE = (16, 16, 32, 32, 48, 48, 64, 64)


class SqueezeNet(nn.Module):
    """Eight Fire modules and one convolution: (N, 3, H, W) -> (N, num_classes).

    Source: Iandola et al. 2016, https://arxiv.org/abs/1602.07360.

    Parameters
    ----------
    version : str
        "1_0" or "1_1", which computes less; ValueError otherwise.
    num_classes : int
        The results.
    dropout : float
        Its probability before the last convolution.
    """

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        if version not in _VERSIONS:
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        self.num_classes = num_classes
        channels, kernel, pools = _VERSIONS[version]

        def pool() -> Any:
            return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)

        layers: list[Any] = [nn.Conv2d(3, channels, kernel_size=kernel, stride=2), nn.ReLU(inplace=True), pool()]
        for i, squeeze in enumerate(_SQUEEZE, 1):
            layers.append(Fire(channels, squeeze, 4 * squeeze, 4 * squeeze))
            channels = 8 * squeeze
            layers += [pool()] if i in pools else []
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(512, num_classes, kernel_size=1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is last:
                    nn.init.normal_(module.weight, mean=0.0, std=0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        """Classify."""
        return torch.flatten(self.classifier(self.features(x)), 1)


@register_model()
def squeezenet1_0(**kwargs: Any) -> SqueezeNet:
    """Build `SqueezeNet` of the paper."""
    return SqueezeNet("1_0", **kwargs)


@register_model()
def squeezenet1_1(**kwargs: Any) -> SqueezeNet:
    """Build `SqueezeNet` of the later version, which computes less."""
    return SqueezeNet("1_1", **kwargs)


__all__ = ["Fire", "SqueezeNet", "squeezenet1_0", "squeezenet1_1"]
