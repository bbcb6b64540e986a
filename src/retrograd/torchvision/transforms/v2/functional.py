"""torchvision.transforms.v2.functional: the functions of the first version, and v2's names for some of them."""

from __future__ import annotations

from typing import Any

from ..functional import (
    InterpolationMode,
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    affine,
    autocontrast,
    center_crop,
    convert_image_dtype,
    crop,
    elastic_transform,
    equalize,
    erase,
    five_crop,
    gaussian_blur,
    get_dimensions,
    get_image_num_channels,
    get_image_size,
    hflip,
    invert,
    normalize,
    pad,
    perspective,
    pil_modes_mapping,
    pil_to_tensor,
    posterize,
    resize,
    resized_crop,
    rgb_to_grayscale,
    rotate,
    solarize,
    ten_crop,
    to_grayscale,
    to_pil_image,
    to_tensor,
    vflip,
)
from ..functional import elastic_transform as elastic
from ..functional import hflip as horizontal_flip
from ..functional import vflip as vertical_flip
from ._more import to_dtype, to_image


def get_size(inpt: Any) -> list[int]:
    """Give height and width."""
    return get_dimensions(inpt)[1:]


def get_num_channels(inpt: Any) -> int:
    """Give the number of channels."""
    return get_dimensions(inpt)[0]


__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "elastic_transform",
    "equalize",
    "erase",
    "five_crop",
    "gaussian_blur",
    "get_dimensions",
    "get_image_num_channels",
    "get_image_size",
    "hflip",
    "invert",
    "normalize",
    "pad",
    "perspective",
    "pil_modes_mapping",
    "pil_to_tensor",
    "posterize",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "solarize",
    "ten_crop",
    "to_grayscale",
    "to_pil_image",
    "to_tensor",
    "vflip",
    "elastic",
    "get_num_channels",
    "get_size",
    "horizontal_flip",
    "to_dtype",
    "to_image",
    "vertical_flip",
]
