"""How pictures are made ready for a model whose weights were published."""

from __future__ import annotations

from typing import Any

import retrograd as torch

from . import functional as F
from .functional import InterpolationMode


class ImageClassification(torch.nn.Module):
    """Resize, crop the middle, turn into floats and normalise.

    Parameters
    ----------
    crop_size : int
        The side of the result.
    resize_size : int
        The shorter side before cropping.
    mean : tuple of float
        Each channel's mean.
    std : tuple of float
        Each channel's standard deviation.
    interpolation : InterpolationMode
        How pixels are made.
    antialias : bool
        Whether a tensor that shrinks is smoothed first.
    """

    def __init__(
        self,
        *,
        crop_size: int,
        resize_size: int = 256,
        mean: tuple[float, ...] = (0.485, 0.456, 0.406),
        std: tuple[float, ...] = (0.229, 0.224, 0.225),
        interpolation: Any = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.crop_size, self.resize_size = [crop_size], [resize_size]
        self.mean, self.std = list(mean), list(std)
        self.interpolation, self.antialias = interpolation, antialias

    def forward(self, img: Any) -> Any:
        """Prepare."""
        img = F.resize(img, self.resize_size, interpolation=self.interpolation, antialias=self.antialias)
        img = F.center_crop(img, self.crop_size)
        img = img if isinstance(img, torch.Tensor) else F.pil_to_tensor(img)
        return F.normalize(F.convert_image_dtype(img, torch.float), mean=self.mean, std=self.std)

    def __repr__(self) -> str:
        rows = ("crop_size", "resize_size", "mean", "std", "interpolation")
        return "\n".join([f"{type(self).__name__}(", *(f"    {one}={getattr(self, one)}" for one in rows), ")"])


__all__ = ["ImageClassification"]
