"""GoogLeNet: Inception modules, and two auxiliary classifiers while training."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import retrograd as torch

from ._api import register_model

nn = torch.nn
F = nn.functional

GoogLeNetOutputs = namedtuple("GoogLeNetOutputs", ["logits", "aux_logits2", "aux_logits1"])
_GoogLeNetOutputs = GoogLeNetOutputs


class BasicConv2d(nn.Module):
    """relu(bn(conv(x))).

    Parameters
    ----------
    in_channels : int
        Channels in.
    out_channels : int
        Channels out.
    **kwargs
        The convolution's further arguments.
    """

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Any) -> Any:
        """Convolve."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four ways side by side: 1x1, 1x1 and 3x3, 1x1 and 3x3 again, pooling and 1x1.

    The third is 5x5 in the paper; the published weights have 3x3.
    """

    def __init__(self, inside: int, one: int, few3: int, three: int, few5: int, five: int, pooled: int) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(inside, one, kernel_size=1)
        self.branch2 = nn.Sequential(
            BasicConv2d(inside, few3, kernel_size=1), BasicConv2d(few3, three, kernel_size=3, padding=1)
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(inside, few5, kernel_size=1), BasicConv2d(few5, five, kernel_size=3, padding=1)
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True), BasicConv2d(inside, pooled, kernel_size=1)
        )

    def forward(self, x: Any) -> Any:
        """Go the four ways."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """An auxiliary classifier in the middle of the network."""

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.7) -> None:
        super().__init__()
        self.conv = BasicConv2d(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, x: Any) -> Any:
        """Classify."""
        x = torch.flatten(self.conv(F.adaptive_avg_pool2d(x, (4, 4))), 1)
        return self.fc2(self.dropout(F.relu(self.fc1(x), inplace=True)))


def imagenet_moments(x: Any) -> Any:
    """Move a picture from ImageNet's means and deviations to 0.5 and 0.5, which the weights were learned with."""
    moments = ((0.229, 0.485), (0.224, 0.456), (0.225, 0.406))
    return torch.cat(
        [x[:, i].unsqueeze(1) * (std / 0.5) + (mean - 0.5) / 0.5 for i, (std, mean) in enumerate(moments)], 1
    )


# Channels in and those of `Inception`'s parts: table 1 of the paper.
_MODULES = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


class GoogLeNet(nn.Module):
    """Nine Inception modules: (N, 3, H, W) -> (N, num_classes).

    While training with ``aux_logits`` the result is a `GoogLeNetOutputs` of the three classifiers' results.

    Source: Szegedy et al. 2015, https://arxiv.org/abs/1409.4842.

    Parameters
    ----------
    num_classes : int
        The results.
    aux_logits : bool
        Whether there are auxiliary classifiers.
    transform_input : bool
        Whether pictures come with ImageNet's means and deviations and are changed to the weights' own.
    init_weights : bool, optional
        Whether weights are drawn from a truncated normal distribution, as they are by default.
    blocks : list of callable, optional
        What makes convolutions, Inception modules and auxiliary classifiers.
    dropout : float
        Its probability before the linear layer.
    dropout_aux : float
        The same in the auxiliary classifiers.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool | None = None,
        blocks: Any = None,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ) -> None:
        super().__init__()
        conv, inception, aux = blocks or (BasicConv2d, Inception, InceptionAux)
        self.aux_logits, self.transform_input = aux_logits, transform_input
        self.conv1 = conv(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = conv(64, 64, kernel_size=1)
        self.conv3 = conv(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        for name, row in _MODULES.items():
            setattr(self, f"inception{name}", inception(*row))
            if name == "3b":
                self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
            elif name == "4e":
                self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.aux1 = aux(512, num_classes, dropout=dropout_aux) if aux_logits else None
        self.aux2 = aux(528, num_classes, dropout=dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights is None or init_weights:
            for layer in self.modules():
                if isinstance(layer, (nn.Conv2d, nn.Linear)):
                    nn.init.trunc_normal_(layer.weight, mean=0.0, std=0.01, a=-2, b=2)

    def _forward(self, x: Any) -> tuple[Any, Any, Any]:
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4a(x)
        aux1 = self.aux1(x) if self.aux1 is not None and self.training else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        aux2 = self.aux2(x) if self.aux2 is not None and self.training else None
        x = self.maxpool4(self.inception4e(x))
        x = self.avgpool(self.inception5b(self.inception5a(x)))
        return self.fc(self.dropout(torch.flatten(x, 1))), aux2, aux1

    def forward(self, x: Any) -> Any:
        """Classify."""
        found = self._forward(imagenet_moments(x) if self.transform_input else x)
        return GoogLeNetOutputs(*found) if self.training and self.aux_logits else found[0]


def _for_weights(weights: Any, kwargs: dict[str, Any]) -> None:
    kwargs.setdefault("transform_input", True)
    kwargs["init_weights"] = False
    kwargs["_drop_aux"] = not kwargs.get("aux_logits", False)
    kwargs["aux_logits"] = True


@register_model(prepare=_for_weights)
def googlenet(**kwargs: Any) -> GoogLeNet:
    """Build `GoogLeNet`."""
    drop_aux = kwargs.pop("_drop_aux", False)
    model = GoogLeNet(**kwargs)
    if drop_aux:  # the file has the auxiliary classifiers, and they are not asked for
        model.register_load_state_dict_post_hook(_without_aux)
    return model


def _without_aux(model: Any, keys: Any) -> None:
    model.aux_logits, model.aux1, model.aux2 = False, None, None


__all__ = ["GoogLeNet", "GoogLeNetOutputs", "googlenet"]
