"""Gaussian blur, and rectangles erased."""

from __future__ import annotations

from typing import Any

import retrograd as torch

from ..._pillow import is_pil
from ._common import as_batch, is_tensor
from .conversion import pil_to_tensor, to_pil_image

F = torch.nn.functional


def _bell(size: int, sigma: float, dtype: Any) -> Any:
    half = (size - 1) * 0.5
    x = torch.linspace(-half, half, steps=size, dtype=dtype)
    bell = torch.exp(-0.5 * (x / sigma).pow(2))
    return bell / bell.sum()


def _pair(name: str, value: Any, kinds: tuple[type, ...]) -> list[Any]:
    if isinstance(value, kinds):
        return [value, value]
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} should be a number or a sequence. Got {type(value)}")
    if len(value) not in (1, 2):
        raise ValueError(f"If {name} is a sequence its length should be 2. Got {len(value)}")
    return [value[0], value[-1]]


def gaussian_blur(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """Average each pixel with its neighbours, weighted by a Gaussian bell; edges are mirrored.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., C, H, W) if a tensor.
    kernel_size : int or sequence of int
        The bell's width and height, odd; ValueError otherwise.
    sigma : float or sequence of float, optional
        Its standard deviations; 0.15 * size + 0.35 by default.

    Returns
    -------
    PIL.Image.Image or Tensor
        In the input's type.

    Examples
    --------
    >>> import retrograd as torch
    >>> gaussian_blur(torch.ones(1, 4, 4), 3).shape
    torch.Size([1, 4, 4])
    """
    sizes = _pair("kernel_size", kernel_size, (int,))
    if any(size % 2 == 0 or size < 0 for size in sizes):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    sigmas = [0.15 * size + 0.35 for size in sizes] if sigma is None else _pair("sigma", sigma, (int, float))
    if any(one <= 0.0 for one in sigmas):
        raise ValueError(f"sigma should have positive values. Got {sigmas}")
    x = pil_to_tensor(img) if is_pil(img) else img
    is_tensor(x)
    dtype = x.dtype if x.is_floating_point() else torch.float32
    horizontal, vertical = (_bell(size, float(one), dtype) for size, one in zip(sizes, sigmas))
    kernel = torch.mm(vertical[:, None], horizontal[None, :])
    batch, back = as_batch(x, (dtype,))
    channels = batch.shape[1]
    w, h = sizes[0] // 2, sizes[1] // 2
    padded = F.pad(batch, [w, w, h, h], mode="reflect")
    blurred = back(F.conv2d(padded, kernel.expand(channels, 1, *kernel.shape), groups=channels))
    return to_pil_image(blurred, mode=img.mode) if is_pil(img) else blurred


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """Overwrite a rectangle of a tensor.

    Parameters
    ----------
    img : Tensor
        (..., C, H, W).
    i : int
        The first row.
    j : int
        The first column.
    h : int
        How many rows.
    w : int
        How many columns.
    v : Tensor
        What is written there.
    inplace : bool
        Whether the tensor itself is changed.

    Returns
    -------
    Tensor
        The tensor with the rectangle.
    """
    if not isinstance(img, torch.Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    img = img if inplace else img.clone()
    img[..., i : i + h, j : j + w] = v
    return img


__all__ = ["erase", "gaussian_blur"]
