"""Brightness, contrast, colour and the like, of pictures and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

import retrograd as torch

from ..._pillow import is_pil, pillow
from ._common import as_batch, check_channels, get_dimensions, is_tensor, max_value
from .conversion import convert_image_dtype, picture_of

F = torch.nn.functional


def _blend(x: Any, y: Any, ratio: float) -> Any:
    """ratio x + (1 - ratio) y, within what the type of ``x`` holds."""
    mixed = ratio * x + (1.0 - ratio) * y
    return mixed.clamp(0, max_value(x.dtype)).to(x.dtype)


def _gray(img: Any) -> Any:
    """Give the brightness, (..., 1, H, W), by the weights of ITU-R 601."""
    if img.shape[-3] == 1:
        return img
    red, green, blue = img.unbind(-3)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).to(img.dtype).unsqueeze(-3)


def _check_rgb(img: Any) -> int:
    is_tensor(img)
    if img.ndim < 3:
        raise TypeError(f"Input image tensor should have at least 3 dimensions, but found {img.ndim}")
    return check_channels(img, (1, 3))


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """Give the brightness of a picture.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., 1 or 3, H, W) if a tensor.
    num_output_channels : int
        1, or 3 equal ones; ValueError otherwise.

    Returns
    -------
    PIL.Image.Image or Tensor
        0.2989 red + 0.587 green + 0.114 blue.
    """
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if is_pil(img):
        return to_grayscale(img, num_output_channels)
    _check_rgb(img)
    gray = _gray(img)
    return gray.expand(img.shape) if num_output_channels == 3 else gray.clone()  # one channel stays one


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """Give the brightness of a picture of Pillow's.

    Parameters
    ----------
    img : PIL.Image.Image
        TypeError for anything else.
    num_output_channels : int
        1, or 3 equal ones; ValueError otherwise.

    Returns
    -------
    PIL.Image.Image
        In mode "L" or "RGB".
    """
    if not is_pil(img):
        raise TypeError("Input should be PIL Image")
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    gray = img.convert("L")
    return gray if num_output_channels == 1 else picture_of(np.stack([np.array(gray)] * 3, axis=2), "RGB")


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """Make a picture brighter or darker.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., 1 or 3, H, W) if a tensor.
    brightness_factor : float
        0 gives black, 1 the picture, 2 twice as bright; ValueError where negative.

    Returns
    -------
    PIL.Image.Image or Tensor
        The picture times the factor.

    Examples
    --------
    >>> import retrograd as torch
    >>> adjust_brightness(torch.tensor([[[0.2, 0.8]]]), 2.0)
    tensor([[[0.4000, 1.0000]]])
    """
    if is_pil(img):
        return pillow("ImageEnhance").Brightness(img).enhance(brightness_factor)
    _check_factor("brightness_factor", brightness_factor)
    _check_rgb(img)
    return _blend(img, torch.zeros_like(img), brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """Move a picture away from, or towards, its mean brightness.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., 1 or 3, H, W) if a tensor.
    contrast_factor : float
        0 gives grey, 1 the picture; ValueError where negative.

    Returns
    -------
    PIL.Image.Image or Tensor
        The picture blended with its mean.
    """
    if is_pil(img):
        return pillow("ImageEnhance").Contrast(img).enhance(contrast_factor)
    _check_factor("contrast_factor", contrast_factor)
    _check_rgb(img)
    dtype = img.dtype if img.is_floating_point() else torch.float32
    return _blend(img, _gray(img).to(dtype).mean(dim=(-3, -2, -1), keepdim=True), contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """Make a picture's colours stronger or weaker.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., 1 or 3, H, W) if a tensor.
    saturation_factor : float
        0 gives grey, 1 the picture; ValueError where negative.

    Returns
    -------
    PIL.Image.Image or Tensor
        The picture blended with its brightness.
    """
    if is_pil(img):
        return pillow("ImageEnhance").Color(img).enhance(saturation_factor)
    _check_factor("saturation_factor", saturation_factor)
    if _check_rgb(img) == 1:
        return img
    return _blend(img, _gray(img), saturation_factor)


def _check_factor(name: str, value: float) -> None:
    if value < 0:
        raise ValueError(f"{name} ({value}) is not non-negative.")


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Turn a picture's colours on their circle.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., 1 or 3, H, W) if a tensor.
    hue_factor : float
        In [-0.5, 0.5] of a full turn; ValueError otherwise.

    Returns
    -------
    PIL.Image.Image or Tensor
        The picture; one without colours is given back as it is.
    """
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if is_pil(img):
        if img.mode in ("L", "1", "I", "F"):
            return img
        hue, saturation, value = img.convert("HSV").split()
        turned = np.array(hue, np.uint8) + np.int32(hue_factor * 255).astype(np.uint8)  # round the circle of 256
        return pillow().merge("HSV", (picture_of(turned, "L"), saturation, value)).convert(img.mode)
    if _check_rgb(img) == 1:
        return img
    x = convert_image_dtype(img, torch.float32) if img.dtype == torch.uint8 else img
    hue, saturation, value = _to_hsv(x)
    return convert_image_dtype(_to_rgb((hue + hue_factor) % 1.0, saturation, value), img.dtype)


def _to_hsv(img: Any) -> tuple[Any, Any, Any]:
    """Give hue, saturation and value, each (..., H, W) in [0, 1]."""
    red, green, blue = img.unbind(-3)
    high, low = img.amax(-3), img.amin(-3)
    same = high == low
    spread = high - low
    ones = torch.ones_like(high)
    saturation = spread / torch.where(same, ones, high)
    divisor = torch.where(same, ones, spread)
    rc, gc, bc = (high - red) / divisor, (high - green) / divisor, (high - blue) / divisor
    from_red = (high == red) * (bc - gc)
    from_green = ((high == green) & (high != red)) * (2.0 + rc - bc)
    from_blue = ((high != green) & (high != red)) * (4.0 + gc - rc)
    return torch.fmod((from_red + from_green + from_blue) / 6.0 + 1.0, 1.0), saturation, high


def _to_rgb(hue: Any, saturation: Any, value: Any) -> Any:
    sector = torch.floor(hue * 6.0)
    part = hue * 6.0 - sector
    sector = sector.to(torch.int32) % 6
    p = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    q = (value * (1.0 - saturation * part)).clamp(0.0, 1.0)
    t = (value * (1.0 - saturation * (1.0 - part))).clamp(0.0, 1.0)
    # Each channel is constant, falling, low, low, rising and constant along the six sectors of the circle.
    channels = ((value, q, p, p, t, value), (t, value, value, q, p, p), (p, p, t, value, value, q))
    mask = sector.unsqueeze(-3) == torch.arange(6, dtype=torch.int32).view(-1, 1, 1)
    table = torch.stack([torch.stack(row, dim=-3) for row in channels], dim=-4)
    return torch.einsum("...ijk, ...xijk -> ...xjk", mask.to(table.dtype), table)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """Raise each brightness in [0, 1] to a power, times a gain.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., 1 or 3, H, W) if a tensor.
    gamma : float
        The power; ValueError where negative.
    gain : float
        The factor.

    Returns
    -------
    PIL.Image.Image or Tensor
        gain * img**gamma.
    """
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    if is_pil(img):
        table = [int((255 + 1 - 1e-3) * gain * pow(one / 255.0, gamma)) for one in range(256)] * 3
        return img.convert("RGB").point(table).convert(img.mode)
    _check_rgb(img)
    x = img if img.is_floating_point() else convert_image_dtype(img, torch.float32)
    return convert_image_dtype((gain * x**gamma).clamp(0, 1), img.dtype)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """Make a picture sharper or smoother.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., 1 or 3, H, W) if a tensor.
    sharpness_factor : float
        0 gives a smoothed picture, 1 the picture, 2 a sharper one; ValueError where negative.

    Returns
    -------
    PIL.Image.Image or Tensor
        The picture blended with its smoothed self.
    """
    if is_pil(img):
        return pillow("ImageEnhance").Sharpness(img).enhance(sharpness_factor)
    _check_factor("sharpness_factor", sharpness_factor)
    _check_rgb(img)
    if min(img.shape[-2:]) <= 2:
        return img
    return _blend(img, _smoothed(img), sharpness_factor)


def _smoothed(img: Any) -> Any:
    """Average each pixel with its neighbours, itself counting five times; the border stays."""
    dtype = img.dtype if img.is_floating_point() else torch.float32
    kernel = torch.ones(3, 3, dtype=dtype)
    kernel[1, 1] = 5.0
    kernel = (kernel / kernel.sum()).expand(img.shape[-3], 1, 3, 3)
    x, back = as_batch(img, (dtype,))
    inner = back(F.conv2d(x, kernel, groups=x.shape[-3]))
    result = img.clone()
    result[..., 1:-1, 1:-1] = inner
    return result


def invert(img: Any) -> Any:
    """Turn bright into dark: full brightness minus the picture."""
    if is_pil(img):
        return pillow("ImageOps").invert(img)
    _check_rgb(img)
    return max_value(img.dtype) - img


def posterize(img: Any, bits: int) -> Any:
    """Keep the highest bits of each channel.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., 1 or 3, H, W) uint8 if a tensor; TypeError for other types.
    bits : int
        How many, from 0 to 8; ValueError otherwise.

    Returns
    -------
    PIL.Image.Image or Tensor
        The picture with the other bits zero.

    Examples
    --------
    >>> import retrograd as torch
    >>> posterize(torch.tensor([[[255, 100]]], dtype=torch.uint8), 2)
    tensor([[[192,  64]]], dtype=torch.uint8)
    """
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    if is_pil(img):
        return pillow("ImageOps").posterize(img, bits)
    _check_rgb(img)
    if img.dtype != torch.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    return img & (256 - 2 ** (8 - bits))


def solarize(img: Any, threshold: float) -> Any:
    """Invert what is as bright as a threshold or brighter.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., 1 or 3, H, W) if a tensor.
    threshold : float
        At most full brightness; TypeError otherwise.

    Returns
    -------
    PIL.Image.Image or Tensor
        The picture.
    """
    if is_pil(img):
        return pillow("ImageOps").solarize(img, threshold)
    _check_rgb(img)
    if threshold > max_value(img.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    return torch.where(img >= threshold, max_value(img.dtype) - img, img)


def autocontrast(img: Any) -> Any:
    """Stretch each channel so that its darkest is black and its brightest full.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., 1 or 3, H, W) if a tensor.

    Returns
    -------
    PIL.Image.Image or Tensor
        The picture; a channel of one value stays as it is.
    """
    if is_pil(img):
        return pillow("ImageOps").autocontrast(img)
    _check_rgb(img)
    bound = max_value(img.dtype)
    dtype = img.dtype if img.is_floating_point() else torch.float32
    low, high = img.amin((-2, -1), keepdim=True).to(dtype), img.amax((-2, -1), keepdim=True).to(dtype)
    flat = high == low
    scale = torch.where(flat, torch.ones_like(low), bound / torch.where(flat, torch.ones_like(low), high - low))
    low = torch.where(flat, torch.zeros_like(low), low)
    return ((img - low) * scale).clamp(0, bound).to(img.dtype)


def equalize(img: Any) -> Any:
    """Change each channel's brightness so that its histogram becomes as flat as can be.

    Parameters
    ----------
    img : PIL.Image.Image or Tensor
        (..., 1 or 3, H, W) uint8 if a tensor; TypeError for other types.

    Returns
    -------
    PIL.Image.Image or Tensor
        The picture.
    """
    if is_pil(img):
        return pillow("ImageOps").equalize(img)
    _check_rgb(img)
    if img.dtype != torch.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    x = img.numpy().reshape(-1, img.shape[-2] * img.shape[-1]).astype(np.int64)
    planes = np.arange(len(x))[:, None]
    counts = np.bincount((x + 256 * planes).ravel(), minlength=256 * len(x)).reshape(-1, 256)
    last = counts[planes[:, 0], x.max(axis=1)]  # of the brightest value that occurs
    step = (x.shape[1] - last)[:, None] // 255
    table = (np.cumsum(counts, axis=1) + step // 2) // np.maximum(step, 1)
    table = np.concatenate([np.zeros_like(step), table[:, :-1]], axis=1).clip(0, 255)
    table = np.where(step == 0, np.arange(256), table)
    return torch.from_numpy(table[planes, x].astype(np.uint8).reshape(tuple(img.shape)))


__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "autocontrast",
    "equalize",
    "get_dimensions",
    "invert",
    "posterize",
    "rgb_to_grayscale",
    "solarize",
    "to_grayscale",
]
