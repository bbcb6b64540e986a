"""Transforms of brightness and colour, blur, and rectangles erased."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any

import retrograd as torch

from . import functional as F
from .geometry import below, pair, uniform

Module = torch.nn.Module


class ColorJitter(Module):
    """Change brightness, contrast, saturation and hue by random factors, in a random order.

    Parameters
    ----------
    brightness : float or tuple of float
        (least, greatest) factor, or x for max(0, 1 - x) to 1 + x.
    contrast : float or tuple of float
        The same.
    saturation : float or tuple of float
        The same.
    hue : float or tuple of float
        (least, greatest) turn in [-0.5, 0.5], or x for -x to x.
    """

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0) -> None:
        super().__init__()
        self.brightness = self._check_input(brightness, "brightness")
        self.contrast = self._check_input(contrast, "contrast")
        self.saturation = self._check_input(saturation, "saturation")
        self.hue = self._check_input(hue, "hue", 0, (-0.5, 0.5), False)

    @staticmethod
    def _check_input(
        value: Any, name: str, center: Any = 1, bound: Any = (0, float("inf")), clip_first_on_zero: bool = True
    ) -> Any:
        if isinstance(value, numbers.Number):
            if value < 0:  # type: ignore[operator]
                raise ValueError(f"If {name} is a single number, it must be non negative.")
            value = [center - float(value), center + float(value)]  # type: ignore[arg-type]
            value[0] = max(value[0], 0.0) if clip_first_on_zero else value[0]
        elif isinstance(value, (tuple, list)) and len(value) == 2:
            value = [float(value[0]), float(value[1])]
        else:
            raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
        if not bound[0] <= value[0] <= value[1] <= bound[1]:
            raise ValueError(f"{name} values should be between {bound}, but got {value}.")
        return None if value[0] == value[1] == center else tuple(value)

    @staticmethod
    def get_params(brightness: Any, contrast: Any, saturation: Any, hue: Any) -> tuple[Any, ...]:
        """Draw the order and the four factors, None for one that stays."""
        order = torch.randperm(4)
        ranges = (brightness, contrast, saturation, hue)
        return order, *(None if one is None else uniform(one[0], one[1]) for one in ranges)

    def forward(self, img: Any) -> Any:
        """Change the colours."""
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for i in order.tolist():
            if factors[i] is not None:
                img = changes[i](img, factors[i])
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


class Grayscale(Module):
    """Give the brightness alone.

    Parameters
    ----------
    num_output_channels : int
        1, or 3 equal ones.
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        """Take the colours out."""
        return F.rgb_to_grayscale(img, num_output_channels=self.num_output_channels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_output_channels={self.num_output_channels})"


class RandomGrayscale(Module):
    """Give the brightness in all channels, sometimes.

    Parameters
    ----------
    p : float
        How probably.
    """

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        """Take the colours out or not."""
        channels = F.get_dimensions(img)[0]
        return F.rgb_to_grayscale(img, num_output_channels=channels) if torch.rand(1) < self.p else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomErasing(Module):
    """Overwrite a random rectangle of a tensor, sometimes.

    Source: Zhong et al. 2017, https://arxiv.org/abs/1708.04896.

    Parameters
    ----------
    p : float
        How probably.
    scale : tuple of float
        The least and the greatest part of the area.
    ratio : tuple of float
        The least and the greatest height for a width of 1; its logarithm is drawn.
    value : number, tuple or "random"
        What is written: for all channels, for each, or normally distributed noise.
    inplace : bool
        Whether the tensor itself is changed.
    """

    def __init__(
        self, p: float = 0.5, scale: Any = (0.02, 0.33), ratio: Any = (0.3, 3.3), value: Any = 0, inplace: bool = False
    ) -> None:
        super().__init__()
        if not isinstance(value, (numbers.Number, str, tuple, list)):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if not isinstance(scale, Sequence):
            raise TypeError("Scale should be a sequence")
        if not isinstance(ratio, Sequence):
            raise TypeError("Ratio should be a sequence")
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            warnings.warn("Scale and ratio should be of kind (min, max)")
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError("Scale should be between 0 and 1")
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p, self.scale, self.ratio, self.inplace = p, scale, ratio, inplace
        self.value: Any = value

    @staticmethod
    def get_params(img: Any, scale: Any, ratio: Any, value: Any = None) -> tuple[int, int, int, int, Any]:
        """Draw top, left, height, width and what is written there."""
        channels, height, width = img.shape[-3], img.shape[-2], img.shape[-1]
        logs = torch.log(torch.tensor(ratio))
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            aspect = float(torch.exp(torch.empty(1).uniform_(float(logs[0]), float(logs[1]))).item())
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if h < height and w < width:
                if value is None:
                    v = torch.empty([channels, h, w], dtype=torch.float32).normal_()
                else:
                    v = torch.tensor(value)[:, None, None]
                return below(0, height - h + 1), below(0, width - w + 1), h, w, v
        return 0, 0, height, width, img

    def forward(self, img: Any) -> Any:
        """Erase or not."""
        if torch.rand(1) < self.p:
            if isinstance(self.value, (int, float)):
                value: Any = [float(self.value)]
            else:
                value = None if isinstance(self.value, str) else [float(one) for one in self.value]
            if value is not None and len(value) not in (1, img.shape[-3]):
                raise ValueError(
                    "If value is a sequence, it should have either a single value or "
                    f"{img.shape[-3]} (number of input channels)"
                )
            return F.erase(img, *self.get_params(img, self.scale, self.ratio, value), self.inplace)
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, value={self.value}, "
            f"inplace={self.inplace})"
        )


class GaussianBlur(Module):
    """Blur with a bell of random width.

    Parameters
    ----------
    kernel_size : int or sequence of int
        The bell's size, odd.
    sigma : float or tuple of float
        The least and the greatest standard deviation.
    """

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = pair(kernel_size, "Kernel size should be a tuple/list of two integers")
        if any(size <= 0 or size % 2 == 0 for size in self.kernel_size):
            raise ValueError("Kernel size value should be an odd and positive number.")
        if isinstance(sigma, numbers.Number):
            if sigma <= 0:  # type: ignore[operator]
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)
        elif isinstance(sigma, Sequence) and len(sigma) == 2:
            if not 0.0 < sigma[0] <= sigma[1]:
                raise ValueError("sigma values should be positive and of the form (min, max).")
        else:
            raise ValueError("sigma should be a single number or a list/tuple with length 2.")
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """Draw the standard deviation."""
        return uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        """Blur."""
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, self.kernel_size, [sigma, sigma])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"


class _Sometimes(Module):
    """Apply a function with a probability; ``_argument`` names its one argument beside the picture."""

    _function: Any
    _argument = ""

    def forward(self, img: Any) -> Any:
        """Apply or not."""
        if torch.rand(1).item() < self.p:
            return type(self)._function(img, *([getattr(self, self._argument)] if self._argument else []))
        return img

    def __repr__(self) -> str:
        first = f"{self._argument}={getattr(self, self._argument)}," if self._argument else ""
        return f"{type(self).__name__}({first}p={self.p})"


class RandomInvert(_Sometimes):
    """Turn bright into dark, sometimes.

    Parameters
    ----------
    p : float
        How probably.
    """

    _function = staticmethod(F.invert)

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p


class RandomPosterize(_Sometimes):
    """Keep the highest bits, sometimes.

    Parameters
    ----------
    bits : int
        How many, from 0 to 8.
    p : float
        How probably.
    """

    _function = staticmethod(F.posterize)
    _argument = "bits"

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__()
        self.bits, self.p = bits, p


class RandomSolarize(_Sometimes):
    """Invert what is bright, sometimes.

    Parameters
    ----------
    threshold : float
        From where on.
    p : float
        How probably.
    """

    _function = staticmethod(F.solarize)
    _argument = "threshold"

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__()
        self.threshold, self.p = threshold, p


class RandomAdjustSharpness(_Sometimes):
    """Make sharper or smoother, sometimes.

    Parameters
    ----------
    sharpness_factor : float
        0 smooths, 1 changes nothing, 2 sharpens.
    p : float
        How probably.
    """

    _function = staticmethod(F.adjust_sharpness)
    _argument = "sharpness_factor"

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__()
        self.sharpness_factor, self.p = sharpness_factor, p


class RandomAutocontrast(_Sometimes):
    """Stretch each channel from black to full, sometimes.

    Parameters
    ----------
    p : float
        How probably.
    """

    _function = staticmethod(F.autocontrast)

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p


class RandomEqualize(_Sometimes):
    """Flatten each channel's histogram, sometimes.

    Parameters
    ----------
    p : float
        How probably.
    """

    _function = staticmethod(F.equalize)

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p


__all__ = [
    "ColorJitter",
    "GaussianBlur",
    "Grayscale",
    "RandomAdjustSharpness",
    "RandomAutocontrast",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomInvert",
    "RandomPosterize",
    "RandomSolarize",
]
