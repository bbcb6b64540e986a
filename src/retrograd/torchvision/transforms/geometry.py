"""Transforms that crop, flip and resize; their random numbers are torchvision's, from torch's generator."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any

import retrograd as torch

from . import functional as F
from .functional import InterpolationMode
from .functional._common import mode_of

Module = torch.nn.Module


def pair(size: Any, error_msg: str) -> Any:
    """Give (height, width) from a number or a sequence of one or two; ValueError with this text otherwise."""
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if isinstance(size, Sequence) and len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(error_msg)
    return size


def check_sequence(x: Any, name: str, sizes: tuple[int, ...]) -> None:
    """Ask for a sequence of one of these lengths."""
    shown = str(sizes[0]) if len(sizes) < 2 else " or ".join(str(s) for s in sizes)
    if not isinstance(x, Sequence):
        raise TypeError(f"{name} should be a sequence of length {shown}.")
    if len(x) not in sizes:
        raise ValueError(f"{name} should be a sequence of length {shown}.")


def uniform(low: Any, high: Any) -> float:
    """Draw one number between two."""
    return float(torch.empty(1).uniform_(float(low), float(high)).item())


def below(low: int, high: int) -> int:
    """Draw one whole number, ``high`` excluded."""
    return int(torch.randint(low, high, size=(1,)).item())


class Resize(Module):
    """Resize to (height, width), or the shorter side to one number.

    Parameters
    ----------
    size : int or sequence of int
        What `functional.resize` takes.
    interpolation : InterpolationMode or int
        How pixels are made.
    max_size : int, optional
        The most that the longer side may be.
    antialias : bool
        Whether a tensor that shrinks is smoothed first.

    Examples
    --------
    >>> import retrograd as torch
    >>> Resize(4)(torch.zeros(3, 8, 16)).shape
    torch.Size([3, 4, 8])
    """

    def __init__(
        self,
        size: Any,
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: Any = True,
    ) -> None:
        super().__init__()
        if not isinstance(size, (int, Sequence)):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        self.size, self.max_size = size, max_size
        self.interpolation, self.antialias = mode_of(interpolation), antialias

    def forward(self, img: Any) -> Any:
        """Resize."""
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


class CenterCrop(Module):
    """Cut the middle out.

    Parameters
    ----------
    size : int or sequence of int
        (height, width), or one number for both.
    """

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = pair(size, "Please provide only two dimensions (h, w) for size.")

    def forward(self, img: Any) -> Any:
        """Crop."""
        return F.center_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class Pad(Module):
    """Add a border.

    Parameters
    ----------
    padding : int or sequence of int
        For all sides; left/right and top/bottom; or left, top, right and bottom.
    fill : number or tuple
        The border's colour.
    padding_mode : str
        "constant", "edge", "reflect" or "symmetric".
    """

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        if not isinstance(padding, (numbers.Number, tuple, list)):
            raise TypeError("Got inappropriate padding arg")
        if not isinstance(fill, (numbers.Number, str, tuple, list)):
            raise TypeError("Got inappropriate fill arg")
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
        if isinstance(padding, Sequence) and len(padding) not in (1, 2, 4):
            raise ValueError(
                f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element tuple"
            )
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def forward(self, img: Any) -> Any:
        """Pad."""
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


class RandomCrop(Module):
    """Cut a rectangle out at a random place.

    Parameters
    ----------
    size : int or sequence of int
        (height, width), or one number for both.
    padding : int or sequence of int, optional
        A border added first.
    pad_if_needed : bool
        Whether a picture that is too small gets a border.
    fill : number or tuple
        The border's colour.
    padding_mode : str
        What `Pad` takes.
    """

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = tuple(pair(size, "Please provide only two dimensions (h, w) for size."))
        self.padding, self.pad_if_needed = padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    @staticmethod
    def get_params(img: Any, output_size: Any) -> tuple[int, int, int, int]:
        """Draw top and left; give top, left, height and width."""
        _, h, w = F.get_dimensions(img)
        height, width = output_size
        if h < height or w < width:
            raise ValueError(f"Required crop size {(height, width)} is larger than input image size {(h, w)}")
        if w == width and h == height:
            return 0, 0, h, w
        return below(0, h - height + 1), below(0, w - width + 1), height, width

    def forward(self, img: Any) -> Any:
        """Crop."""
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            for axis, side in ((1, 2), (0, 1)):  # width first
                lacking = self.size[axis] - F.get_dimensions(img)[side]
                if lacking > 0:
                    img = F.pad(img, [lacking, 0] if axis else [0, lacking], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


class _Flip(Module):
    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomHorizontalFlip(_Flip):
    """Mirror left and right, with probability ``p``.

    Examples
    --------
    >>> import retrograd as torch
    >>> RandomHorizontalFlip(p=1.0)(torch.tensor([[[1, 2]]]))
    tensor([[[2, 1]]])
    """

    def forward(self, img: Any) -> Any:
        """Flip or not."""
        return F.hflip(img) if torch.rand(1) < self.p else img


class RandomVerticalFlip(_Flip):
    """Mirror top and bottom, with probability ``p``."""

    def forward(self, img: Any) -> Any:
        """Flip or not."""
        return F.vflip(img) if torch.rand(1) < self.p else img


class RandomResizedCrop(Module):
    """Cut out a rectangle of random area, shape and place, and resize it.

    Source: Szegedy et al. 2015, https://arxiv.org/abs/1409.4842.

    Parameters
    ----------
    size : int or sequence of int
        (height, width) of the result, or one number for both.
    scale : tuple of float
        The least and the greatest part of the picture's area.
    ratio : tuple of float
        The least and the greatest width for a height of 1; its logarithm is drawn.
    interpolation : InterpolationMode or int
        How pixels are made.
    antialias : bool, optional
        Whether a tensor that shrinks is smoothed first.
    """

    def __init__(
        self,
        size: Any,
        scale: Any = (0.08, 1.0),
        ratio: Any = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = pair(size, "Please provide only two dimensions (h, w) for size.")
        if not isinstance(scale, Sequence):
            raise TypeError("Scale should be a sequence")
        if not isinstance(ratio, Sequence):
            raise TypeError("Ratio should be a sequence")
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            warnings.warn("Scale and ratio should be of kind (min, max)")
        self.interpolation, self.antialias = mode_of(interpolation), antialias
        self.scale, self.ratio = scale, ratio

    @staticmethod
    def get_params(img: Any, scale: Any, ratio: Any) -> tuple[int, int, int, int]:
        """Draw a rectangle: top, left, height and width."""
        _, height, width = F.get_dimensions(img)
        logs = torch.log(torch.tensor(ratio))
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            aspect = float(torch.exp(torch.empty(1).uniform_(float(logs[0]), float(logs[1]))).item())
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                return below(0, height - h + 1), below(0, width - w + 1), h, w
        # None of ten fits: the middle, in the nearest shape that is allowed.
        shape = float(width) / float(height)
        if shape < min(ratio):
            w, h = width, round(width / min(ratio))
        elif shape > max(ratio):
            w, h = round(height * max(ratio)), height
        else:
            w, h = width, height
        return (height - h) // 2, (width - w) // 2, h, w

    def forward(self, img: Any) -> Any:
        """Crop and resize."""
        place = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *place, self.size, self.interpolation, antialias=self.antialias)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, scale={tuple(round(s, 4) for s in self.scale)}, "
            f"ratio={tuple(round(r, 4) for r in self.ratio)}, interpolation={self.interpolation.value}, "
            f"antialias={self.antialias})"
        )


class FiveCrop(Module):
    """Cut out the four corners and the middle.

    Parameters
    ----------
    size : int or sequence of int
        (height, width), or one number for both.
    """

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = pair(size, "Please provide only two dimensions (h, w) for size.")

    def forward(self, img: Any) -> Any:
        """Crop."""
        return F.five_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class TenCrop(Module):
    """Cut out the four corners and the middle, of the picture and of its mirror image.

    Parameters
    ----------
    size : int or sequence of int
        (height, width), or one number for both.
    vertical_flip : bool
        Whether it is mirrored top and bottom.
    """

    def __init__(self, size: Any, vertical_flip: bool = False) -> None:
        super().__init__()
        self.size = pair(size, "Please provide only two dimensions (h, w) for size.")
        self.vertical_flip = vertical_flip

    def forward(self, img: Any) -> Any:
        """Crop."""
        return F.ten_crop(img, self.size, self.vertical_flip)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, vertical_flip={self.vertical_flip})"


__all__ = [
    "CenterCrop",
    "FiveCrop",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
]
