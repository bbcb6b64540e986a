"""torchvision.models.mobilenetv2: MobileNetV2 by the name of the file that torchvision keeps it in."""

from __future__ import annotations

from .mobilenet import InvertedResidual, MobileNetV2, mobilenet_v2

__all__ = ["InvertedResidual", "MobileNetV2", "mobilenet_v2"]
