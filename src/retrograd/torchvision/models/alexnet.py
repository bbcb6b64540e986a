"""AlexNet, in the form of "One weird trick for parallelizing convolutional neural networks"."""

from __future__ import annotations

from typing import Any

import retrograd as torch

from ._api import register_model

nn = torch.nn


class AlexNet(nn.Module):
    """Five convolutions and three linear layers: (N, 3, 224, 224) -> (N, num_classes).

    Source: Krizhevsky 2014, https://arxiv.org/abs/1404.5997.

    Parameters
    ----------
    num_classes : int
        The results.
    dropout : float
        Its probability before the first two linear layers.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        convolutions = (
            (3, 64, 11, 4, 2),
            (64, 192, 5, 1, 2),
            (192, 384, 3, 1, 1),
            (384, 256, 3, 1, 1),
            (256, 256, 3, 1, 1),
        )
        layers: list[Any] = []
        for i, (inside, outside, kernel, stride, padding) in enumerate(convolutions):
            layers += [nn.Conv2d(inside, outside, kernel, stride, padding), nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(kernel_size=3, stride=2)] if i in (0, 1, 4) else []
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Any) -> Any:
        """Classify."""
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


@register_model()
def alexnet(**kwargs: Any) -> AlexNet:
    """Build `AlexNet`."""
    return AlexNet(**kwargs)


__all__ = ["AlexNet", "alexnet"]
