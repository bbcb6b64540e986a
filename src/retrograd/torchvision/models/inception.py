"""Inception v3: modules whose large convolutions are split into small and one-dimensional ones."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import retrograd as torch

from ._api import register_model
from .googlenet import BasicConv2d, imagenet_moments

nn = torch.nn
F = nn.functional

InceptionOutputs = namedtuple("InceptionOutputs", ["logits", "aux_logits"])
_InceptionOutputs = InceptionOutputs


class _Ways(nn.Module):
    """Ways side by side, of convolutions whose names, in and out channels, kernels and strides stand in ``_rows``."""

    _rows: tuple[tuple[Any, ...], ...] = ()

    def _build(self, **sizes: int) -> None:
        """Make the convolutions: a name in a row stands for one of ``sizes``; without a stride the size is kept."""
        for name, inside, outside, kernel, *stride in self._rows:
            high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
            padding = 0 if stride else (high // 2, wide // 2)
            channels = (sizes.get(inside, inside), sizes.get(outside, outside))
            conv = BasicConv2d(*channels, kernel_size=kernel, padding=padding, stride=stride[0] if stride else 1)
            setattr(self, name, conv)

    def _way(self, x: Any, *names: str) -> Any:
        for name in names:
            x = getattr(self, name)(x)
        return x


class InceptionA(_Ways):
    """Figure 5 of the paper: 1x1, 5x5, two 3x3, pooling."""

    _rows = (
        ("branch1x1", "x", 64, 1),
        ("branch5x5_1", "x", 48, 1),
        ("branch5x5_2", 48, 64, 5),
        ("branch3x3dbl_1", "x", 64, 1),
        ("branch3x3dbl_2", 64, 96, 3),
        ("branch3x3dbl_3", 96, 96, 3),
        ("branch_pool", "x", "pool", 1),
    )

    def __init__(self, in_channels: int, pool_features: int) -> None:
        super().__init__()
        self._build(x=in_channels, pool=pool_features)

    def forward(self, x: Any) -> Any:
        """Go the four ways."""
        five = self._way(x, "branch5x5_1", "branch5x5_2")
        three = self._way(x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
        pooled = self.branch_pool(F.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        return torch.cat([self.branch1x1(x), five, three, pooled], 1)


class InceptionB(_Ways):
    """Half the size: 3x3, two 3x3, pooling."""

    _rows = (
        ("branch3x3", "x", 384, 3, 2),
        ("branch3x3dbl_1", "x", 64, 1),
        ("branch3x3dbl_2", 64, 96, 3),
        ("branch3x3dbl_3", 96, 96, 3, 2),
    )

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self._build(x=in_channels)

    def forward(self, x: Any) -> Any:
        """Go the three ways."""
        three = self._way(x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
        return torch.cat([self.branch3x3(x), three, F.max_pool2d(x, kernel_size=3, stride=2)], 1)


class InceptionC(_Ways):
    """Figure 6 of the paper: 1x1, 7x7 and two 7x7 in one dimension at a time, pooling."""

    _rows = (
        ("branch1x1", "x", 192, 1),
        ("branch7x7_1", "x", "c", 1),
        ("branch7x7_2", "c", "c", (1, 7)),
        ("branch7x7_3", "c", 192, (7, 1)),
        ("branch7x7dbl_1", "x", "c", 1),
        ("branch7x7dbl_2", "c", "c", (7, 1)),
        ("branch7x7dbl_3", "c", "c", (1, 7)),
        ("branch7x7dbl_4", "c", "c", (7, 1)),
        ("branch7x7dbl_5", "c", 192, (1, 7)),
        ("branch_pool", "x", 192, 1),
    )

    def __init__(self, in_channels: int, channels_7x7: int) -> None:
        super().__init__()
        self._build(x=in_channels, c=channels_7x7)

    def forward(self, x: Any) -> Any:
        """Go the four ways."""
        once = self._way(x, *(f"branch7x7_{i}" for i in (1, 2, 3)))
        twice = self._way(x, *(f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5)))
        pooled = self.branch_pool(F.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        return torch.cat([self.branch1x1(x), once, twice, pooled], 1)


class InceptionD(_Ways):
    """Half the size: 3x3, 7x7 and 3x3, pooling."""

    _rows = (
        ("branch3x3_1", "x", 192, 1),
        ("branch3x3_2", 192, 320, 3, 2),
        ("branch7x7x3_1", "x", 192, 1),
        ("branch7x7x3_2", 192, 192, (1, 7)),
        ("branch7x7x3_3", 192, 192, (7, 1)),
        ("branch7x7x3_4", 192, 192, 3, 2),
    )

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self._build(x=in_channels)

    def forward(self, x: Any) -> Any:
        """Go the three ways."""
        three = self._way(x, "branch3x3_1", "branch3x3_2")
        seven = self._way(x, *(f"branch7x7x3_{i}" for i in (1, 2, 3, 4)))
        return torch.cat([three, seven, F.max_pool2d(x, kernel_size=3, stride=2)], 1)


class InceptionE(_Ways):
    """Figure 7 of the paper: two of the ways part at their ends into 1x3 and 3x1."""

    _rows = (
        ("branch1x1", "x", 320, 1),
        ("branch3x3_1", "x", 384, 1),
        ("branch3x3_2a", 384, 384, (1, 3)),
        ("branch3x3_2b", 384, 384, (3, 1)),
        ("branch3x3dbl_1", "x", 448, 1),
        ("branch3x3dbl_2", 448, 384, 3),
        ("branch3x3dbl_3a", 384, 384, (1, 3)),
        ("branch3x3dbl_3b", 384, 384, (3, 1)),
        ("branch_pool", "x", 192, 1),
    )

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self._build(x=in_channels)

    def forward(self, x: Any) -> Any:
        """Go the six ways."""
        once = self.branch3x3_1(x)
        twice = self._way(x, "branch3x3dbl_1", "branch3x3dbl_2")
        ends = [
            self.branch3x3_2a(once),
            self.branch3x3_2b(once),
            self.branch3x3dbl_3a(twice),
            self.branch3x3dbl_3b(twice),
        ]
        pooled = self.branch_pool(F.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        return torch.cat([self.branch1x1(x), *ends, pooled], 1)


class InceptionAux(nn.Module):
    """The auxiliary classifier."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv0 = BasicConv2d(in_channels, 128, kernel_size=1)
        self.conv1 = BasicConv2d(128, 768, kernel_size=5)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x: Any) -> Any:
        """Classify."""
        x = self.conv1(self.conv0(F.avg_pool2d(x, kernel_size=5, stride=3)))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class Inception3(nn.Module):
    """Eleven Inception modules: (N, 3, H, W) -> (N, num_classes), for pictures of 299 x 299, at least 75 x 75.

    While training with ``aux_logits`` the result is an `InceptionOutputs` of both classifiers' results.

    Source: Szegedy et al. 2016, https://arxiv.org/abs/1512.00567.

    Parameters
    ----------
    num_classes : int
        The results.
    aux_logits : bool
        Whether there is an auxiliary classifier.
    transform_input : bool
        Whether pictures come with ImageNet's means and deviations and are changed to the weights' own.
    init_weights : bool, optional
        Whether weights are drawn from a truncated normal distribution, as they are by default.
    dropout : float
        Its probability before the linear layer.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.aux_logits, self.transform_input = aux_logits, transform_input
        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, kernel_size=3, padding=1)
        self.maxpool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, kernel_size=3)
        self.maxpool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Mixed_5b = InceptionA(192, pool_features=32)
        self.Mixed_5c = InceptionA(256, pool_features=64)
        self.Mixed_5d = InceptionA(288, pool_features=64)
        self.Mixed_6a = InceptionB(288)
        for letter, channels in zip("bcde", (128, 160, 160, 192)):
            setattr(self, f"Mixed_6{letter}", InceptionC(768, channels_7x7=channels))
        self.AuxLogits = InceptionAux(768, num_classes) if aux_logits else None
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(2048, num_classes)
        if init_weights is None or init_weights:
            aux = getattr(self.AuxLogits, "fc", None)
            for layer in self.modules():
                if isinstance(layer, (nn.Conv2d, nn.Linear)):
                    nn.init.trunc_normal_(layer.weight, mean=0.0, std=0.001 if layer is aux else 0.1, a=-2, b=2)

    def forward(self, x: Any) -> Any:
        """Classify."""
        x = imagenet_moments(x) if self.transform_input else x
        x = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e"):
            x = getattr(self, f"Mixed_{name}")(x)
        aux = self.AuxLogits(x) if self.AuxLogits is not None and self.training else None
        x = self.avgpool(self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))))
        logits = self.fc(torch.flatten(self.dropout(x), 1))
        return InceptionOutputs(logits, aux) if self.training and self.aux_logits else logits


def _for_weights(weights: Any, kwargs: dict[str, Any]) -> None:
    kwargs.setdefault("transform_input", True)
    kwargs["init_weights"] = False
    kwargs["_drop_aux"] = not kwargs.get("aux_logits", True)
    kwargs["aux_logits"] = True


@register_model(prepare=_for_weights)
def inception_v3(**kwargs: Any) -> Inception3:
    """Build `Inception3`."""
    drop_aux = kwargs.pop("_drop_aux", False)
    model = Inception3(**kwargs)
    if drop_aux:  # the file has the auxiliary classifier, and it is not asked for
        model.register_load_state_dict_post_hook(_without_aux)
    return model


def _without_aux(model: Any, keys: Any) -> None:
    model.aux_logits, model.AuxLogits = False, None


__all__ = ["Inception3", "InceptionOutputs", "inception_v3"]
