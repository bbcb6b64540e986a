"""torchvision.models.mobilenetv3: MobileNetV3 by the name of the file that torchvision keeps it in."""

from __future__ import annotations

from .mobilenet import MobileNetV3, mobilenet_v3_large, mobilenet_v3_small

__all__ = ["MobileNetV3", "mobilenet_v3_large", "mobilenet_v3_small"]
