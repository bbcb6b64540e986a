"""Residual networks: ResNet, ResNeXt and wide ResNet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import retrograd as torch

from ._api import register_model
from ._init import fan_out_relu, fill

nn = torch.nn


def conv3x3(in_planes: int, out_planes: int, stride: int = 1, groups: int = 1, dilation: int = 1) -> Any:
    """Make a 3x3 convolution that keeps the size at stride 1."""
    return nn.Conv2d(
        in_planes, out_planes, 3, stride=stride, padding=dilation, groups=groups, bias=False, dilation=dilation
    )


def conv1x1(in_planes: int, out_planes: int, stride: int = 1) -> Any:
    """Make a 1x1 convolution."""
    return nn.Conv2d(in_planes, out_planes, kernel_size=1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """relu(x + bn(conv3x3(relu(bn(conv3x3(x)))))).

    Parameters
    ----------
    inplanes : int
        Channels in.
    planes : int
        Channels out.
    stride : int
        The first convolution's.
    downsample : Module, optional
        What makes x fit the result.
    groups : int
        1; ValueError otherwise.
    base_width : int
        64; ValueError otherwise.
    dilation : int
        1; NotImplementedError otherwise.
    norm_layer : callable, optional
        Makes the norms; batch norm by default.
    """

    expansion: ClassVar[int] = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: Any = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        if groups != 1 or base_width != 64:
            raise ValueError("BasicBlock only supports groups=1 and base_width=64")
        if dilation > 1:
            raise NotImplementedError("Dilation > 1 not supported in BasicBlock")
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Any) -> Any:
        """Add what the two convolutions find."""
        found = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        found += x if self.downsample is None else self.downsample(x)
        return self.relu(found)


class Bottleneck(nn.Module):
    """Three convolutions with few channels in the middle one, which has the stride.

    Parameters
    ----------
    inplanes : int
        Channels in.
    planes : int
        A quarter of the channels out.
    stride : int
        The middle convolution's.
    downsample : Module, optional
        What makes x fit the result.
    groups : int
        The middle convolution's.
    base_width : int
        The middle's channels for 64 planes and one group.
    dilation : int
        The middle convolution's.
    norm_layer : callable, optional
        Makes the norms; batch norm by default.
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: Any = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm_layer(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm_layer(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm_layer(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Any) -> Any:
        """Add what the three convolutions find."""
        found = self.relu(self.bn1(self.conv1(x)))
        found = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(found)))))
        found += x if self.downsample is None else self.downsample(x)
        return self.relu(found)


class ResNet(nn.Module):
    """Four stages of residual blocks: (N, 3, H, W) -> (N, num_classes).

    Sources: He et al. 2016, https://arxiv.org/abs/1512.03385; Xie et al. 2017, https://arxiv.org/abs/1611.05431;
    Zagoruyko and Komodakis 2016, https://arxiv.org/abs/1605.07146.

    Parameters
    ----------
    block : type
        `BasicBlock` or `Bottleneck`.
    layers : list of int
        How many blocks each stage has.
    num_classes : int
        The results.
    zero_init_residual : bool
        Whether each block starts as the identity: its last norm's weight is zero.
    groups : int
        The blocks' groups.
    width_per_group : int
        The blocks' base width.
    replace_stride_with_dilation : list of bool, optional
        For each of the last three stages, whether it keeps the size and dilates.
    norm_layer : callable, optional
        Makes the norms; batch norm by default.

    Examples
    --------
    >>> import retrograd as torch
    >>> ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        block: Any,
        layers: Any,
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Any = None,
        norm_layer: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        self._norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes, self.dilation = 64, 1
        self.groups, self.base_width = groups, width_per_group
        dilate = replace_stride_with_dilation or [False, False, False]
        if len(dilate) != 3:
            raise ValueError(
                f"replace_stride_with_dilation should be None or a 3-element tuple, got {replace_stride_with_dilation}"
            )
        self.conv1 = nn.Conv2d(3, self.inplanes, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], stride=2, dilate=dilate[0])
        self.layer3 = self._make_layer(block, 256, layers[2], stride=2, dilate=dilate[1])
        self.layer4 = self._make_layer(block, 512, layers[3], stride=2, dilate=dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        fill(self, fan_out_relu)
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, (BasicBlock, Bottleneck)):
                    last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                    if last.weight is not None:
                        nn.init.constant_(last.weight, 0)

    def _make_layer(self, block: Any, planes: int, blocks: int, stride: int = 1, dilate: bool = False) -> Any:
        before = self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        shortcut = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            shortcut = nn.Sequential(
                conv1x1(self.inplanes, planes * block.expansion, stride), self._norm_layer(planes * block.expansion)
            )
        common = (self.groups, self.base_width)
        layers = [block(self.inplanes, planes, stride, shortcut, *common, before, self._norm_layer)]
        self.inplanes = planes * block.expansion
        for _ in range(1, blocks):
            layers.append(block(self.inplanes, planes, 1, None, *common, self.dilation, self._norm_layer))
        return nn.Sequential(*layers)

    def _forward_impl(self, x: Any) -> Any:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))

    def forward(self, x: Any) -> Any:
        """Classify."""
        return self._forward_impl(x)


def _family(name: str, block: Any, layers: list[int], **fixed: Any) -> Any:
    def make(**kwargs: Any) -> ResNet:
        return ResNet(block, layers, **fixed, **kwargs)

    make.__name__ = make.__qualname__ = name
    made = f" with {', '.join(f'{key}={value}' for key, value in fixed.items())}" if fixed else ""
    make.__doc__ = f"Build `ResNet` of {layers} blocks ({block.__name__}){made}."
    return register_model()(make)


resnet18 = _family("resnet18", BasicBlock, [2, 2, 2, 2])
resnet34 = _family("resnet34", BasicBlock, [3, 4, 6, 3])
resnet50 = _family("resnet50", Bottleneck, [3, 4, 6, 3])
resnet101 = _family("resnet101", Bottleneck, [3, 4, 23, 3])
resnet152 = _family("resnet152", Bottleneck, [3, 8, 36, 3])
resnext50_32x4d = _family("resnext50_32x4d", Bottleneck, [3, 4, 6, 3], groups=32, width_per_group=4)
resnext101_32x8d = _family("resnext101_32x8d", Bottleneck, [3, 4, 23, 3], groups=32, width_per_group=8)
resnext101_64x4d = _family("resnext101_64x4d", Bottleneck, [3, 4, 23, 3], groups=64, width_per_group=4)
wide_resnet50_2 = _family("wide_resnet50_2", Bottleneck, [3, 4, 6, 3], width_per_group=128)
wide_resnet101_2 = _family("wide_resnet101_2", Bottleneck, [3, 4, 23, 3], width_per_group=128)

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "ResNet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
]
