"""Pictures to tensors and back, tensors between types, and normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

import retrograd as torch

from ..._pillow import is_pil, pillow
from ._common import max_value

_DTYPES = {"I": np.int32, "I;16": np.int16, "F": np.float32}
_MODES = {np.dtype(np.uint8): "L", np.dtype(np.int16): "I;16", np.dtype(np.int32): "I", np.dtype(np.float32): "F"}
_PERMITTED: dict[int, list[str]] = {2: ["LA"], 3: ["RGB", "YCbCr", "HSV", "LAB"], 4: ["RGBA", "CMYK", "RGBX"]}


def to_tensor(pic: Any) -> Any:
    """Turn a picture, or an ndarray (H, W) or (H, W, C), into a tensor (C, H, W); uint8 becomes a float in [0, 1].

    Parameters
    ----------
    pic : PIL.Image.Image or ndarray
        The picture.

    Returns
    -------
    Tensor
        In the default type where the input is uint8, otherwise in the input's.

    Raises
    ------
    TypeError
        For anything else.

    Examples
    --------
    >>> import numpy as np
    >>> to_tensor(np.array([[0, 51], [102, 255]], np.uint8))
    tensor([[[0.0000, 0.2000],
             [0.4000, 1.0000]]])
    """
    if is_pil(pic):
        array = np.array(pic, _DTYPES.get(pic.mode, np.uint8))
        array = array * np.uint8(255) if pic.mode == "1" else array
        array = array.reshape(pic.height, pic.width, len(pic.getbands()))
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic.reshape(*pic.shape, 1) if pic.ndim == 2 else pic
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    img = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
    return img.to(torch.get_default_dtype()).div(255) if array.dtype == np.uint8 else img


def pil_to_tensor(pic: Any) -> Any:
    """Turn a picture into a tensor (C, H, W) of its own type.

    Parameters
    ----------
    pic : PIL.Image.Image
        The picture; TypeError for anything else.

    Returns
    -------
    Tensor
        uint8 for most modes.
    """
    if not is_pil(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    array = np.array(pic).reshape(pic.height, pic.width, len(pic.getbands()))
    return torch.from_numpy(array).permute(2, 0, 1)


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """Turn a tensor (C, H, W) or an ndarray (H, W, C) into a picture.

    Parameters
    ----------
    pic : Tensor or ndarray
        With one to four channels; floats stand for [0, 1] and become bytes, unless ``mode`` is "F".
    mode : str, optional
        Pillow's mode; by default "L", "LA", "RGB" or "RGBA" after the channels, "I;16", "I" and "F" after the type.

    Returns
    -------
    PIL.Image.Image
        The picture.

    Raises
    ------
    TypeError
        Where ``pic`` is neither, or its type has no mode.
    ValueError
        For other shapes, or a mode that does not fit.
    """
    if not isinstance(pic, (torch.Tensor, np.ndarray)):
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if pic.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
    if isinstance(pic, torch.Tensor):
        pic = pic.unsqueeze(0) if pic.ndim == 2 else pic
        if pic.is_floating_point() and mode != "F":
            pic = pic.mul(255).byte()
        array = pic.detach().cpu().numpy().transpose(1, 2, 0)
    else:
        array = pic[:, :, None] if pic.ndim == 2 else pic
        if np.issubdtype(array.dtype, np.floating) and mode != "F":
            array = (array * 255).astype(np.uint8)
    channels = array.shape[2]
    if channels > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    if channels == 1:
        array = array[:, :, 0]
        expected = _MODES.get(array.dtype)
        if mode is not None and mode != expected:
            raise ValueError(f"Incorrect mode ({mode}) supplied for input type {array.dtype}. Should be {expected}")
        mode = expected
    else:
        permitted = _PERMITTED[channels]
        if mode is not None and mode not in permitted:
            raise ValueError(f"Only modes {permitted} are supported for {channels}D inputs")
        if mode is None and array.dtype == np.uint8:
            mode = {2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    if mode is None:
        raise TypeError(f"Input type {array.dtype} is not supported")
    return picture_of(array, mode)


def picture_of(array: np.ndarray[Any, Any], mode: str) -> Any:
    """Give the picture of these very pixels in this mode."""
    height, width = array.shape[:2]
    return pillow().frombytes(mode, (width, height), np.ascontiguousarray(array).tobytes())


def convert_image_dtype(image: Any, dtype: Any = torch.float32) -> Any:
    """Convert a tensor to another type, full brightness to full brightness: 255 in uint8, 1 in floats.

    Parameters
    ----------
    image : Tensor
        The picture.
    dtype : dtype
        What it is to be.

    Returns
    -------
    Tensor
        The picture in that type.

    Raises
    ------
    RuntimeError
        From float32 to 32 or 64 bit integers, and from float64 to 64 bit ones, which floats do not hold.

    Examples
    --------
    >>> import retrograd as torch
    >>> convert_image_dtype(torch.tensor([0.0, 0.5, 1.0]), torch.uint8)
    tensor([  0, 127, 255], dtype=torch.uint8)
    """
    if not isinstance(image, torch.Tensor):
        raise TypeError("Input img should be Tensor Image")
    if image.dtype == dtype:
        return image
    top, bright = max_value(dtype), max_value(image.dtype)
    if image.is_floating_point():
        if dtype.is_floating_point:
            return image.to(dtype)
        wide = (torch.int32, torch.int64) if image.dtype == torch.float32 else (torch.int64,)
        if dtype in wide:
            raise RuntimeError(f"The cast from {image.dtype} to {dtype} cannot be performed safely.")
        return image.mul(top + 1.0 - 1e-3).to(dtype)  # each integer has an equal share of [0, 1]
    if dtype.is_floating_point:
        return image.to(dtype) / bright
    if bright > top:
        return torch.div(image, (bright + 1) // (top + 1), rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((top + 1) // (bright + 1))


def normalize(tensor: Any, mean: Any, std: Any, inplace: bool = False) -> Any:
    """Subtract each channel's mean and divide by its standard deviation.

    Parameters
    ----------
    tensor : Tensor
        (..., C, H, W), floating.
    mean : sequence of float
        One for each channel, or one for all.
    std : sequence of float
        The same; ValueError where one is zero.
    inplace : bool
        Whether the tensor itself is changed.

    Returns
    -------
    Tensor
        (x - mean) / std.

    Examples
    --------
    >>> import retrograd as torch
    >>> normalize(torch.ones(1, 1, 2), [0.5], [0.25])
    tensor([[[2., 2.]]])
    """
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = " + str(tensor.size())
        )
    tensor = tensor if inplace else tensor.clone()
    means, stds = (torch.asarray(one, dtype=tensor.dtype, device=tensor.device) for one in (mean, std))
    if (stds == 0).any():
        raise ValueError(f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by zero.")
    means = means.view(-1, 1, 1) if means.ndim == 1 else means
    stds = stds.view(-1, 1, 1) if stds.ndim == 1 else stds
    return tensor.sub_(means).div_(stds)


__all__ = ["convert_image_dtype", "normalize", "pil_to_tensor", "to_pil_image", "to_tensor"]
