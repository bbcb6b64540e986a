"""ConvNeXt: a convolutional network with a transformer's proportions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import retrograd as torch

from ..ops.misc import Conv2dNormActivation, Permute, StochasticDepth
from ._api import register_model

nn = torch.nn
F = nn.functional


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of (N, C, H, W)."""

    def forward(self, x: Any) -> Any:
        """Normalise."""
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class CNBlock(nn.Module):
    """x + scale * (a 7x7 depthwise convolution, a norm and two linear layers of x).

    Parameters
    ----------
    dim : int
        The channels.
    layer_scale : float
        The scale's first value, one for each channel.
    stochastic_depth_prob : float
        How probably the block is dropped.
    norm_layer : callable, optional
        Makes the norm; layer norm by default.
    """

    def __init__(
        self,
        dim: int,
        layer_scale: float,
        stochastic_depth_prob: float,
        norm_layer: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        norm_layer = norm_layer or partial(nn.LayerNorm, eps=1e-6)
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim, bias=True),
            Permute([0, 2, 3, 1]),
            norm_layer(dim),
            nn.Linear(in_features=dim, out_features=4 * dim, bias=True),
            nn.GELU(),
            nn.Linear(in_features=4 * dim, out_features=dim, bias=True),
            Permute([0, 3, 1, 2]),
        )
        self.layer_scale = nn.Parameter(torch.ones(dim, 1, 1) * layer_scale)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")

    def forward(self, input: Any) -> Any:
        """Add what the block finds."""
        return self.stochastic_depth(self.layer_scale * self.block(input)) + input


class ConvNeXt(nn.Module):
    """Four stages of blocks: (N, 3, H, W) -> (N, num_classes).

    Source: Liu et al. 2022, https://arxiv.org/abs/2201.03545.

    Parameters
    ----------
    block_setting : list of tuple
        For each stage: its channels, those of the next (None for the last), how many blocks.
    stochastic_depth_prob : float
        How probably the last block is dropped; the others less, in proportion to their depth.
    layer_scale : float
        The blocks' first scale.
    num_classes : int
        The results.
    block : callable, optional
        Makes a block; `CNBlock` by default.
    norm_layer : callable, optional
        Makes the norms between the stages; `LayerNorm2d` by default.
    """

    def __init__(
        self,
        block_setting: Any,
        stochastic_depth_prob: float = 0.0,
        layer_scale: float = 1e-6,
        num_classes: int = 1000,
        block: Callable[..., Any] | None = None,
        norm_layer: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        if not block_setting:
            raise ValueError("The block_setting should not be empty")
        block, norm_layer = block or CNBlock, norm_layer or partial(LayerNorm2d, eps=1e-6)
        layers: list[Any] = [
            Conv2dNormActivation(
                3,
                block_setting[0][0],
                kernel_size=4,
                stride=4,
                padding=0,
                norm_layer=norm_layer,
                activation_layer=None,
                bias=True,
            )
        ]
        total, done = sum(count for _, _, count in block_setting), 0
        for inside, outside, count in block_setting:
            chances = [stochastic_depth_prob * (done + i) / (total - 1.0) for i in range(count)]
            layers.append(nn.Sequential(*(block(inside, layer_scale, chance) for chance in chances)))
            done += count
            if outside is not None:
                layers.append(nn.Sequential(norm_layer(inside), nn.Conv2d(inside, outside, kernel_size=2, stride=2)))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        last = block_setting[-1][0] if block_setting[-1][1] is None else block_setting[-1][1]
        self.classifier = nn.Sequential(norm_layer(last), nn.Flatten(1), nn.Linear(last, num_classes))
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        """Classify."""
        return self.classifier(self.avgpool(self.features(x)))


def _family(name: str, channels: tuple[int, ...], counts: tuple[int, ...], depth_prob: float) -> Any:
    def make(**kwargs: Any) -> ConvNeXt:
        setting = list(zip(channels, (*channels[1:], None), counts))
        return ConvNeXt(setting, kwargs.pop("stochastic_depth_prob", depth_prob), **kwargs)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"Build `ConvNeXt` with {channels} channels and {counts} blocks."
    return register_model()(make)


convnext_tiny = _family("convnext_tiny", (96, 192, 384, 768), (3, 3, 9, 3), 0.1)
convnext_small = _family("convnext_small", (96, 192, 384, 768), (3, 3, 27, 3), 0.4)
convnext_base = _family("convnext_base", (128, 256, 512, 1024), (3, 3, 27, 3), 0.5)
convnext_large = _family("convnext_large", (192, 384, 768, 1536), (3, 3, 27, 3), 0.5)

__all__ = ["ConvNeXt", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny"]
