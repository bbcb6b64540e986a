"""VGG: stacks of 3x3 convolutions, eleven to nineteen layers deep."""

from __future__ import annotations

from typing import Any

import retrograd as torch

from ._api import register_model
from ._init import fan_out_relu, fill, small

nn = torch.nn

# How many convolutions each of the five stages has, by the letters of the paper's table.
_STAGES = {"A": (1, 1, 2, 2, 2), "B": (2, 2, 2, 2, 2), "D": (2, 2, 3, 3, 3), "E": (2, 2, 4, 4, 4)}
_CHANNELS = (64, 128, 256, 512, 512)
cfgs: dict[str, list[Any]] = {
    letter: [part for n, width in zip(counts, _CHANNELS) for part in (*[width] * n, "M")]
    for letter, counts in _STAGES.items()
}


class VGG(nn.Module):
    """Five stages of convolutions and three linear layers: (N, 3, 224, 224) -> (N, num_classes).

    Source: Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556.

    Parameters
    ----------
    features : Module
        The convolutions.
    num_classes : int
        The results.
    init_weights : bool
        Whether weights are drawn by He's rule.
    dropout : float
        Its probability after the first two linear layers.
    """

    def __init__(self, features: Any, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            fill(self, fan_out_relu, small)

    def forward(self, x: Any) -> Any:
        """Classify."""
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def make_layers(cfg: list[Any], batch_norm: bool = False) -> Any:
    """Build convolutions of these widths, with a pool at each "M"."""
    layers: list[Any] = []
    channels = 3
    for width in cfg:
        if width == "M":
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
        layers += [nn.BatchNorm2d(width)] if batch_norm else []
        layers.append(nn.ReLU(inplace=True))
        channels = width
    return nn.Sequential(*layers)


def _without_draws(weights: Any, kwargs: dict[str, Any]) -> None:
    kwargs["init_weights"] = False


def _family(letter: str, depth: int, batch_norm: bool) -> Any:
    def make(**kwargs: Any) -> VGG:
        return VGG(make_layers(cfgs[letter], batch_norm), **kwargs)

    make.__name__ = make.__qualname__ = f"vgg{depth}{'_bn' if batch_norm else ''}"
    make.__doc__ = f"Build `VGG` with {depth} layers{' and batch norm' if batch_norm else ''}."
    return register_model(prepare=_without_draws)(make)


vgg11, vgg13, vgg16, vgg19 = (_family(letter, depth, False) for letter, depth in zip("ABDE", (11, 13, 16, 19)))
vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn = (
    _family(letter, depth, True) for letter, depth in zip("ABDE", (11, 13, 16, 19))
)

__all__ = ["VGG", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]
