"""Rotations, affine maps, perspectives and elastic deformations of pictures and tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import retrograd as torch

from ..._pillow import is_pil, pillow
from ._common import (
    InterpolationMode,
    fill_for_pil,
    get_dimensions,
    is_tensor,
    mode_of,
    moving,
    pil_modes_mapping,
)
from .conversion import pil_to_tensor, to_pil_image

F = torch.nn.functional
_TENSOR_MODES = ("nearest", "bilinear")


def _inverse_matrix(
    center: list[float], angle: float, translate: list[float], scale: float, shear: list[float], inverted: bool = True
) -> list[float]:
    """Give the two rows of the map from output pixels to input pixels.

    The forward map moves ``center`` to the origin, shears along x and then y, scales, rotates by ``angle`` degrees, moves
    back, and translates. Rotation and shear together are

        a = cos(r - sy) / cos(sy),  b = -cos(r - sy) tan(sx) / cos(sy) - sin(r)
        c = sin(r - sy) / cos(sy),  d = -sin(r - sy) tan(sx) / cos(sy) + cos(r)

    whose determinant is 1.
    """
    turn, sx, sy = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    (cx, cy), (tx, ty) = center, translate
    a = math.cos(turn - sy) / math.cos(sy)
    b = -math.cos(turn - sy) * math.tan(sx) / math.cos(sy) - math.sin(turn)
    c = math.sin(turn - sy) / math.cos(sy)
    d = -math.sin(turn - sy) * math.tan(sx) / math.cos(sy) + math.cos(turn)
    if inverted:
        m = [one / scale for one in (d, -b, 0.0, -c, a, 0.0)]
        m[2] += m[0] * (-cx - tx) + m[1] * (-cy - ty) + cx
        m[5] += m[3] * (-cx - tx) + m[4] * (-cy - ty) + cy
        return m
    m = [one * scale for one in (a, b, 0.0, c, d, 0.0)]
    m[2] += m[0] * -cx + m[1] * -cy + cx + tx
    m[5] += m[3] * -cx + m[4] * -cy + cy + ty
    return m


def _sample(img: Any, grid: Any, mode: str, fill: Any) -> Any:
    """Read a tensor at the places of ``grid``, in [-1, 1]; outside it is ``fill``."""
    shape = img.shape
    x = img.reshape(-1, *shape[-3:]) if img.ndim > 3 else img.reshape((1,) * (4 - img.ndim) + tuple(shape))
    x = x if x.dtype in (torch.float32, torch.float64) else x.to(torch.float32)
    n, channels = x.shape[:2]
    grid = grid.to(x.dtype).expand(n, *grid.shape[1:])
    if fill is not None:
        x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)  # what is read of the ones says how far inside a place is
    y = F.grid_sample(x, grid, mode=mode, padding_mode="zeros", align_corners=False)
    if fill is not None:
        y, inside = y[:, :-1], y[:, -1:]
        colour = torch.tensor(fill if isinstance(fill, (tuple, list)) else [float(fill)], dtype=y.dtype).view(
            1, -1, 1, 1
        )
        if mode == "nearest":
            y = torch.where(inside < 0.5, colour.expand_as(y), y)
        else:
            y = y * inside + (1.0 - inside) * colour
    y = y.reshape(*shape[:-2], *y.shape[-2:])
    if y.dtype == img.dtype:
        return y
    return y.to(img.dtype) if img.is_floating_point() else torch.round(y).to(img.dtype)


def _check_tensor(img: Any, mode: InterpolationMode, fill: Any) -> None:
    is_tensor(img)
    if mode.value not in _TENSOR_MODES:
        raise ValueError(f"Resampling mode '{mode.value}' is unsupported with Tensor input")
    channels = get_dimensions(img)[0]
    if isinstance(fill, (tuple, list)) and len(fill) > 1 and len(fill) != channels:
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of "
            f"channels of the image ({len(fill)} != {channels})"
        )


def _affine_grid(matrix: list[float], w: int, h: int, ow: int, oh: int) -> Any:
    """Give the places, in [-1, 1], that the pixels of an (oh, ow) picture are read at; the matrix is about the middle."""
    theta = torch.tensor(matrix, dtype=torch.float32).reshape(2, 3)
    x = torch.linspace(-ow * 0.5 + 0.5, ow * 0.5 - 0.5, ow)
    y = torch.linspace(-oh * 0.5 + 0.5, oh * 0.5 - 0.5, oh)
    base = torch.stack([x.expand(oh, ow), y[:, None].expand(oh, ow), torch.ones(oh, ow)], dim=-1)
    scaled = theta.t() / torch.tensor([0.5 * w, 0.5 * h])
    return base.view(1, oh * ow, 3).matmul(scaled).view(1, oh, ow, 2)


def _output_size(matrix: list[float], w: int, h: int) -> tuple[int, int]:
    """Give (width, height) of what holds the four turned corners."""
    corners = torch.tensor(
        [[-0.5 * w, -0.5 * h, 1.0], [-0.5 * w, 0.5 * h, 1.0], [0.5 * w, 0.5 * h, 1.0], [0.5 * w, -0.5 * h, 1.0]]
    )
    places = corners.matmul(torch.tensor(matrix).reshape(2, 3).t()) + torch.tensor([w * 0.5, h * 0.5])
    low, high = places.amin(0), places.amax(0)
    # A corner within 1e-4 of a pixel's edge is on it.
    size = torch.ceil((high / 1e-4).trunc() * 1e-4) - torch.floor((low / 1e-4).trunc() * 1e-4)
    return int(size[0]), int(size[1])


@moving
def rotate(
    img: Any,
    angle: float,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """Turn a picture counter-clockwise.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., C, H, W) if a tensor.
    angle : float
        In degrees.
    interpolation : InterpolationMode or int
        Nearest or bilinear, and bicubic for pictures.
    expand : bool
        Whether the result is large enough for all of the turned picture.
    center : sequence of number, optional
        (x, y) from the top left corner; the middle by default.
    fill : number or sequence of number, optional
        The colour outside; black by default.

    Returns
    -------
    PIL.Image.Image or Tensor
        The turned picture.

    Examples
    --------
    >>> import retrograd as torch
    >>> rotate(torch.arange(4.0).reshape(1, 2, 2), 90)
    tensor([[[1., 3.],
             [0., 2.]]])
    """
    mode = mode_of(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")
    if is_pil(img):
        return img.rotate(angle, pil_modes_mapping[mode], expand, center, fillcolor=fill_for_pil(fill, img))
    _check_tensor(img, mode, fill)
    _, h, w = get_dimensions(img)
    middle = [0.0, 0.0] if center is None else [1.0 * (c - s * 0.5) for c, s in zip(center, (w, h))]
    matrix = _inverse_matrix(middle, -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    ow, oh = _output_size(matrix, w, h) if expand else (w, h)
    return _sample(img, _affine_grid(matrix, w, h, ow, oh), mode.value, fill)


@moving
def affine(
    img: Any,
    angle: float,
    translate: Any,
    scale: float,
    shear: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Any = None,
) -> Any:
    """Shear, scale, turn clockwise and move a picture, keeping its size.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., C, H, W) if a tensor.
    angle : float
        In degrees.
    translate : sequence of number
        Right and down, in pixels.
    scale : float
        Positive; ValueError otherwise.
    shear : float or sequence of float
        Along x, or along x and y, in degrees.
    interpolation : InterpolationMode or int
        Nearest or bilinear, and bicubic for pictures.
    fill : number or sequence of number, optional
        The colour outside; black by default.
    center : sequence of number, optional
        (x, y) from the top left corner; the middle by default.

    Returns
    -------
    PIL.Image.Image or Tensor
        The moved picture.
    """
    mode = mode_of(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(translate, (list, tuple)):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    if not isinstance(shear, (int, float, list, tuple)):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    shear = [shear, 0.0] if isinstance(shear, (int, float)) else [*shear, *[shear[0]] * (2 - len(shear))]
    if len(shear) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")
    _, h, w = get_dimensions(img)
    if is_pil(img):
        # About w/2, not the middle pixel (w-1)/2: a quarter turn then looks right.
        middle = [w * 0.5, h * 0.5] if center is None else list(center)
        matrix = _inverse_matrix(middle, angle, list(translate), scale, shear)
        return img.transform(
            img.size, pillow().Transform.AFFINE, matrix, pil_modes_mapping[mode], fillcolor=fill_for_pil(fill, img)
        )
    _check_tensor(img, mode, fill)
    middle = [0.0, 0.0] if center is None else [1.0 * (c - s * 0.5) for c, s in zip(center, (w, h))]
    matrix = _inverse_matrix(middle, angle, [1.0 * one for one in translate], scale, shear)
    return _sample(img, _affine_grid(matrix, w, h, w, h), mode.value, fill)


def _perspective_coefficients(startpoints: Any, endpoints: Any) -> list[float]:
    """Solve for (a ... h): an output place (x, y) is read at ((a x + b y + c), (d x + e y + f)) / (g x + h y + 1)."""
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(
            f"Please provide exactly four corners, got {len(startpoints)} startpoints and {len(endpoints)} endpoints."
        )
    start, end = np.asarray(startpoints, np.float64), np.asarray(endpoints, np.float64)
    a = np.zeros((8, 8))
    a[0::2, 0:2] = a[1::2, 3:5] = end
    a[0::2, 2] = a[1::2, 5] = 1
    a[0::2, 6:8] = -start[:, :1] * end
    a[1::2, 6:8] = -start[:, 1:] * end
    found = np.linalg.lstsq(a, start.reshape(8), rcond=None)[0]
    return [float(one) for one in found.astype(np.float32)]


@moving
def perspective(
    img: Any,
    startpoints: Any,
    endpoints: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """See a picture from another side: four points go to four others.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., C, H, W) if a tensor.
    startpoints : sequence of sequence of int
        Four (x, y): top left, top right, bottom right, bottom left.
    endpoints : sequence of sequence of int
        Where they go.
    interpolation : InterpolationMode or int
        Nearest or bilinear, and bicubic for pictures.
    fill : number or sequence of number, optional
        The colour outside; black by default.

    Returns
    -------
    PIL.Image.Image or Tensor
        The picture from there.
    """
    coefficients = _perspective_coefficients(startpoints, endpoints)
    mode = mode_of(interpolation)
    if is_pil(img):
        return img.transform(
            img.size,
            pillow().Transform.PERSPECTIVE,
            coefficients,
            pil_modes_mapping[mode],
            fillcolor=fill_for_pil(fill, img),
        )
    _check_tensor(img, mode, fill)
    _, h, w = get_dimensions(img)
    dtype = img.dtype if img.is_floating_point() else torch.float32
    a, b, c, d, e, f, g, i = coefficients
    x = torch.linspace(0.5, w - 0.5, w, dtype=dtype).expand(h, w)
    y = torch.linspace(0.5, h - 0.5, h, dtype=dtype)[:, None].expand(h, w)
    base = torch.stack([x, y, torch.ones_like(x)], dim=-1).view(1, h * w, 3)
    upper = torch.tensor([[a, b, c], [d, e, f]], dtype=dtype).t() / torch.tensor([0.5 * w, 0.5 * h], dtype=dtype)
    lower = torch.tensor([[g, i, 1.0], [g, i, 1.0]], dtype=dtype).t()
    grid = base.matmul(upper) / base.matmul(lower) - 1.0
    return _sample(img, grid.view(1, h, w, 2), mode.value, fill)


@moving
def elastic_transform(
    img: Any, displacement: Any, interpolation: Any = InterpolationMode.BILINEAR, fill: Any = None
) -> Any:
    """Read each pixel at its place plus a displacement.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., C, H, W) if a tensor.
    displacement : Tensor
        (1, H, W, 2), in halves of the picture's sides: x and y.
    interpolation : InterpolationMode or int
        Nearest or bilinear.
    fill : number or sequence of number, optional
        The colour outside; black by default.

    Returns
    -------
    PIL.Image.Image or Tensor
        The deformed picture.
    """
    mode = mode_of(interpolation)
    if not isinstance(displacement, torch.Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    x = pil_to_tensor(img) if is_pil(img) else img
    _check_tensor(x, mode, fill)
    _, h, w = get_dimensions(x)
    if tuple(displacement.shape) != (1, h, w, 2):
        raise ValueError(f"Argument displacement shape should be {(1, h, w, 2)}, but given {displacement.shape}")
    down, right = (torch.linspace((1 - s) / s, (s - 1) / s, s) for s in (h, w))
    identity = torch.stack([right.expand(h, w), down[:, None].expand(h, w)], dim=-1)[None]
    y = _sample(x, identity + displacement.to(identity.dtype), mode.value, fill)
    return to_pil_image(y, mode=img.mode) if is_pil(img) else y


__all__ = ["affine", "elastic_transform", "perspective", "rotate"]
