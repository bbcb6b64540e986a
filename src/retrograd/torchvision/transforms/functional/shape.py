"""Resizing, padding, cropping and flipping of pictures and tensors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import retrograd as torch

from ..._pillow import is_pil, pillow
from ._common import (
    InterpolationMode,
    as_batch,
    fill_for_pil,
    get_dimensions,
    is_tensor,
    mode_of,
    moving,
    pil_modes_mapping,
    size_pair,
)
from .conversion import picture_of

F = torch.nn.functional


def _target_size(height: int, width: int, wanted: Any, max_size: int | None) -> list[int]:
    """Give (height, width): of one number, the shorter side's, with the longer one in proportion."""
    size: list[int] = [wanted] if isinstance(wanted, int) else list(wanted)
    if max_size is not None and len(size) != 1:
        raise ValueError(
            "max_size should only be passed if size specifies the length of the smaller edge, "
            "i.e. size should be an int or a sequence of length 1 in torchscript mode."
        )
    if len(size) == 2:
        return size
    short, long = sorted((height, width))
    new_short, new_long = size[0], int(size[0] * long / short)
    if max_size is not None:
        if max_size <= size[0]:
            raise ValueError(
                f"max_size = {max_size} must be strictly greater than the requested "
                f"size for the smaller edge size = {size[0]}"
            )
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return [new_long, new_short] if width <= height else [new_short, new_long]


@moving
def resize(
    img: Any,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """Resize a picture or tensor.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., H, W) if a tensor.
    size : int or sequence of int
        (height, width); or one number for the shorter side.
    interpolation : InterpolationMode or int
        How pixels are made; tensors know nearest, nearest-exact, bilinear and bicubic.
    max_size : int, optional
        The most that the longer side may be, where ``size`` is one number.
    antialias : bool, optional
        Whether a tensor that shrinks is smoothed first, as pictures always are.

    Returns
    -------
    PIL.Image.Image or Tensor
        In the input's type.
    """
    mode = mode_of(interpolation)
    if isinstance(size, (list, tuple)) and len(size) not in (1, 2):
        raise ValueError(f"Size must be an int or a 1 or 2 element tuple/list, not a {len(size)} element tuple/list")
    _, height, width = get_dimensions(img)
    new = _target_size(height, width, size, max_size)
    if new == [height, width]:
        return img
    if is_pil(img):
        if antialias is False:
            warnings.warn("Pillow always smooths a picture that shrinks: antialias=False does nothing for it")
        return img.resize(tuple(new[::-1]), pil_modes_mapping[mode])
    if mode.value not in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        raise ValueError("This interpolation mode is unsupported with Tensor input")
    smooth = mode.value in ("bilinear", "bicubic")
    x, back = as_batch(img, (torch.float32, torch.float64))
    y = F.interpolate(
        x, size=new, mode=mode.value, align_corners=False if smooth else None, antialias=bool(antialias) and smooth
    )
    if mode.value == "bicubic" and img.dtype == torch.uint8:
        y = y.clamp(min=0, max=255)
    return back(y)


def _sides(padding: Any) -> list[int]:
    """Give left, top, right, bottom."""
    if isinstance(padding, int):
        return [padding] * 4
    if len(padding) not in (1, 2, 4):
        raise ValueError(f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element tuple")
    return {1: list(padding) * 4, 2: list(padding) * 2, 4: list(padding)}[len(padding)]


@moving
def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Add a border.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., H, W) if a tensor.
    padding : int or sequence of int
        For all sides; left/right and top/bottom; or left, top, right and bottom. Negative numbers crop.
    fill : number or sequence of number
        The border's colour.
    padding_mode : str
        "constant", "edge", "reflect" (without the edge) or "symmetric" (with it).

    Returns
    -------
    PIL.Image.Image or Tensor
        The larger picture.

    Examples
    --------
    >>> import retrograd as torch
    >>> pad(torch.tensor([[1, 2, 3]]), (2, 0), padding_mode="symmetric")
    tensor([[2, 1, 1, 2, 3, 3, 2]])
    """
    if not isinstance(padding, (int, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if not isinstance(fill, (int, float, str, tuple, list)):
        raise TypeError("Got inappropriate fill arg")
    if not isinstance(padding_mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    left, top, right, bottom = _sides(padding)
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    if is_pil(img):
        return _pad_picture(img, (left, top, right, bottom), fill, padding_mode)
    is_tensor(img)
    if padding_mode == "constant":
        if isinstance(fill, (tuple, list)):
            if len(fill) != 1:
                raise ValueError("a tensor's border has one fill value for all channels")
            fill = fill[0]
        return F.pad(img, [left, right, top, bottom], mode="constant", value=float(fill))
    if padding_mode == "symmetric":
        return _pad_symmetric(img, left, top, right, bottom)
    x, back = as_batch(img, (torch.float32, torch.float64))
    return back(F.pad(x, [left, right, top, bottom], mode={"edge": "replicate"}.get(padding_mode, padding_mode)))


def _pad_picture(img: Any, sides: tuple[int, ...], fill: Any, padding_mode: str) -> Any:
    left, top, right, bottom = sides
    if padding_mode == "constant":
        fill = fill if isinstance(fill, str) else fill_for_pil(fill, img)
        wide = pillow("ImageOps").expand(img, border=sides, fill=fill)
        if img.mode == "P":
            wide.putpalette(img.getpalette())
        return wide
    array = np.asarray(img)
    height, width = array.shape[:2]
    array = array[max(-top, 0) : height + min(bottom, 0), max(-left, 0) : width + min(right, 0)]
    borders = [(max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))] + [(0, 0)] * (array.ndim - 2)
    wide = picture_of(np.pad(array, borders, mode=padding_mode), img.mode)  # type: ignore[call-overload]
    if img.mode == "P":
        wide.putpalette(img.getpalette())
    return wide


def _pad_symmetric(img: Any, left: int, top: int, right: int, bottom: int) -> Any:
    """Mirror at the edges, the edge itself included: the index walks up and down, 0 1 2 2 1 0 0 1 ..."""
    rows, columns = (
        (size - 1 - abs(np.arange(-before, size + after) % (2 * size) - size + 0.5) + 0.5).astype(np.int64)
        if min(before, after) >= 0
        else _cropped_mirror(size, before, after)
        for size, before, after in ((img.shape[-2], top, bottom), (img.shape[-1], left, right))
    )
    return img[..., torch.from_numpy(rows)[:, None], torch.from_numpy(columns)]


def _cropped_mirror(size: int, before: int, after: int) -> np.ndarray[Any, Any]:
    first, last = max(-before, 0), size + min(after, 0)
    return np.pad(np.arange(first, last), (max(before, 0), max(after, 0)), mode="symmetric")


@moving
def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """Cut a rectangle out; where it reaches beyond the picture there are zeros.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., H, W) if a tensor.
    top : int
        The first row.
    left : int
        The first column.
    height : int
        How many rows.
    width : int
        How many columns.

    Returns
    -------
    PIL.Image.Image or Tensor
        The rectangle.
    """
    if is_pil(img):
        return img.crop((left, top, left + width, top + height))
    _, h, w = get_dimensions(img)
    right, bottom = left + width, top + height
    inside = img[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left >= 0 and top >= 0 and right <= w and bottom <= h:
        return inside
    borders = [
        max(-left + min(0, right), 0),
        max(-top + min(0, bottom), 0),
        max(right - max(w, left), 0),
        max(bottom - max(h, top), 0),
    ]
    return pad(inside, borders, fill=0)


def center_crop(img: Any, output_size: Any) -> Any:
    """Cut the middle out, with a border of zeros where the picture is smaller.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., H, W) if a tensor.
    output_size : int or sequence of int
        (height, width), or one number for both.

    Returns
    -------
    PIL.Image.Image or Tensor
        The middle.

    Examples
    --------
    >>> import retrograd as torch
    >>> center_crop(torch.arange(16).reshape(4, 4), 2)
    tensor([[ 5,  6],
            [ 9, 10]])
    """
    height, width = size_pair(output_size)
    _, h, w = get_dimensions(img)
    if width > w or height > h:
        more = [max(width - w, 0), max(height - h, 0)]
        img = pad(img, [more[0] // 2, more[1] // 2, (more[0] + 1) // 2, (more[1] + 1) // 2], fill=0)
        _, h, w = get_dimensions(img)
        if (height, width) == (h, w):
            return img
    return crop(img, round((h - height) / 2.0), round((w - width) / 2.0), height, width)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """Cut a rectangle out and resize it.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., H, W) if a tensor.
    top : int
        The first row.
    left : int
        The first column.
    height : int
        How many rows.
    width : int
        How many columns.
    size : int or sequence of int
        What `resize` takes.
    interpolation : InterpolationMode
        What `resize` takes.
    antialias : bool, optional
        What `resize` takes.

    Returns
    -------
    PIL.Image.Image or Tensor
        The resized rectangle.
    """
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


@moving
def hflip(img: Any) -> Any:
    """Mirror left and right."""
    if is_pil(img):
        return img.transpose(pillow().Transpose.FLIP_LEFT_RIGHT)
    is_tensor(img)
    return img.flip(-1)


@moving
def vflip(img: Any) -> Any:
    """Mirror top and bottom."""
    if is_pil(img):
        return img.transpose(pillow().Transpose.FLIP_TOP_BOTTOM)
    is_tensor(img)
    return img.flip(-2)


def five_crop(img: Any, size: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Cut out the corners (top left, top right, bottom left, bottom right) and the middle.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., H, W) if a tensor.
    size : int or sequence of int
        (height, width), or one number for both; ValueError where the picture is smaller.

    Returns
    -------
    tuple of PIL.Image.Image or Tensor
        The five.
    """
    if not isinstance(size, (int, float)) and len(size) not in (1, 2):
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    height, width = size_pair(size)
    _, h, w = get_dimensions(img)
    if width > w or height > h:
        raise ValueError(f"Requested crop size {size} is bigger than input size {(h, w)}")
    corners = [crop(img, top, left, height, width) for top in (0, h - height) for left in (0, w - width)]
    return corners[0], corners[1], corners[2], corners[3], center_crop(img, [height, width])


def ten_crop(img: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """Cut out the five of `five_crop`, and the five of the mirrored picture.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., H, W) if a tensor.
    size : int or sequence of int
        (height, width), or one number for both.
    vertical_flip : bool
        Whether it is mirrored top and bottom, not left and right.

    Returns
    -------
    tuple of PIL.Image.Image or Tensor
        The ten.
    """
    if not isinstance(size, (int, float)) and len(size) not in (1, 2):
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    return five_crop(img, size) + five_crop(vflip(img) if vertical_flip else hflip(img), size)


__all__ = [
    "center_crop",
    "crop",
    "five_crop",
    "hflip",
    "pad",
    "resize",
    "resized_crop",
    "ten_crop",
    "vflip",
]
