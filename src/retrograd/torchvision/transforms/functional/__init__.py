"""torchvision.transforms.functional: one change of a picture or tensor, with all its numbers given."""

from __future__ import annotations

from ._common import (
    InterpolationMode,
    get_dimensions,
    get_image_num_channels,
    get_image_size,
    pil_modes_mapping,
)
from .blur import erase, gaussian_blur
from .color import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    autocontrast,
    equalize,
    invert,
    posterize,
    rgb_to_grayscale,
    solarize,
    to_grayscale,
)
from .conversion import convert_image_dtype, normalize, pil_to_tensor, to_pil_image, to_tensor
from .shape import center_crop, crop, five_crop, hflip, pad, resize, resized_crop, ten_crop, vflip
from .warp import affine, elastic_transform, perspective, rotate


def __getattr__(name: str) -> object:
    from retrograd.utils._names import missing

    raise missing(__name__, name, __all__)


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
]
