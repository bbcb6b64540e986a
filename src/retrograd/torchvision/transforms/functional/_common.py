"""What the functions on pictures share: interpolation modes, sizes, types, and what is asked of an argument."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from typing import Any

import retrograd as torch

from ..._pillow import is_pil


class InterpolationMode(enum.Enum):
    """How a picture is read between its pixels; the last three are Pillow's alone."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# Pillow's numbers for them, which are also those of torchvision's int arguments.
pil_modes_mapping = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
    InterpolationMode.LANCZOS: 1,
}
_BY_NUMBER = {number: mode for mode, number in pil_modes_mapping.items() if mode is not InterpolationMode.NEAREST_EXACT}


def mode_of(interpolation: Any) -> InterpolationMode:
    """Give the mode that an argument means: itself, its name, Pillow's number; TypeError for anything else."""
    if isinstance(interpolation, int) and not isinstance(interpolation, bool):
        if interpolation not in _BY_NUMBER:
            raise KeyError(interpolation)
        return _BY_NUMBER[interpolation]
    if isinstance(interpolation, str):
        return InterpolationMode(interpolation)
    if not isinstance(interpolation, InterpolationMode):
        raise TypeError(
            "Argument interpolation should be a InterpolationMode or a corresponding Pillow integer constant"
        )
    return interpolation


def moving(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function that moves pixels leave tensors of other meaning (masks, boxes) to their own class."""

    @functools.wraps(function)
    def move(img: Any, *args: Any, **kwargs: Any) -> Any:
        own = getattr(type(img), "_geometry", None)
        return function(img, *args, **kwargs) if own is None else own(img, function, args, kwargs)

    return move


def is_tensor(img: Any) -> bool:
    """Say whether this is a tensor with at least height and width."""
    if not isinstance(img, torch.Tensor):
        remedy = " Pictures come from Pillow: pip install pillow." if type(img).__module__ == "numpy" else ""
        raise TypeError(f"img should be PIL Image or Tensor Image. Got {type(img)}.{remedy}")
    if img.ndim < 2:
        raise TypeError(f"Tensor is not a torch image: it has {img.ndim} dimension(s), and height and width are two.")
    return True


def get_dimensions(img: Any) -> list[int]:
    """Give channels, height and width of a picture or tensor.

    Examples
    --------
    >>> import retrograd as torch
    >>> get_dimensions(torch.zeros(3, 4, 5))
    [3, 4, 5]
    """
    if is_pil(img):
        return [len(img.getbands()), img.height, img.width]
    is_tensor(img)
    if hasattr(img, "canvas_size"):  # boxes have their picture's size
        return [1, *img.canvas_size]
    return [1 if img.ndim == 2 else img.shape[-3], img.shape[-2], img.shape[-1]]


def get_image_size(img: Any) -> list[int]:
    """Give width and height of a picture or tensor."""
    _, height, width = get_dimensions(img)
    return [width, height]


def get_image_num_channels(img: Any) -> int:
    """Give the number of channels of a picture or tensor."""
    return get_dimensions(img)[0]


def max_value(dtype: Any) -> int:
    """Give the value that stands for full brightness in this type: 1 for floats."""
    if dtype.is_floating_point or dtype == torch.bool:
        return 1
    return int(torch.iinfo(dtype).max)


def check_channels(img: Any, permitted: tuple[int, ...]) -> int:
    """Give the number of channels; TypeError where it is not one of these."""
    channels = get_dimensions(img)[0]
    if channels not in permitted:
        raise TypeError(f"Input image tensor permitted channel values are {list(permitted)}, but found {channels}")
    return channels


def as_batch(img: Any, dtypes: tuple[Any, ...]) -> tuple[Any, Any]:
    """Give a tensor as (N, C, H, W) in one of these types, the first if it is in none, and the way back."""
    shape, dtype = img.shape, img.dtype
    x = img.reshape(-1, *shape[-3:]) if img.ndim > 3 else img.reshape((1,) * (4 - img.ndim) + tuple(shape))
    x = x if dtype in dtypes else x.to(dtypes[0])

    def back(y: Any) -> Any:
        y = y.reshape(*shape[:-2], *y.shape[-2:])
        if y.dtype == dtype:
            return y
        return y.to(dtype) if dtype.is_floating_point else torch.round(y).to(dtype)

    return x, back


def size_pair(size: Any, name: str = "size") -> list[int]:
    """Give (height, width) from a number, a list of one, or a list of two."""
    if isinstance(size, (int, float)):
        return [int(size), int(size)]
    if len(size) not in (1, 2):
        raise ValueError(f"{name} should have one or two values: {size}")
    return [size[0], size[-1]]


def fill_for_pil(fill: Any, img: Any) -> Any:
    """Give a fill colour as Pillow wants it for this picture's mode."""
    bands = len(img.getbands())
    fill = 0 if fill is None else fill
    if isinstance(fill, (int, float)):
        fill = (fill,) * bands if bands > 1 else fill
    elif len(fill) == 1 and bands > 1:
        fill = tuple(fill) * bands
    elif len(fill) != bands:
        raise ValueError(
            f"The number of elements in 'fill' does not match the number of channels of the image ({len(fill)} != {bands})"
        )
    if img.mode == "F":
        return fill[0] if isinstance(fill, (list, tuple)) else fill
    if isinstance(fill, (list, tuple)):
        whole = tuple(int(one) for one in fill)
        return whole if bands > 1 else whole[0]
    return int(fill)
