"""torchvision.transforms.v2: transforms of whole samples, in which pictures, masks and boxes change together."""

from __future__ import annotations

from typing import Any

from .. import autoaugment, colors, containers, geometry, warps
from ..autoaugment import AutoAugmentPolicy
from ..functional import InterpolationMode
from ..functional.shape import _sides as four_sides
from . import functional
from ._more import (
    RGB,
    AutoAugment,
    Compose,
    ConvertImageDtype,
    CutMix,
    GaussianNoise,
    Identity,
    Lambda,
    MixUp,
    RandomApply,
    RandomChoice,
    RandomOrder,
    ToDtype,
    ToImage,
    ToPureTensor,
)
from ._transform import Transform, joint


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, int) else list(value)


def _sides(value: Any) -> Any:
    return None if value is None else four_sides(value)


Resize: Any = joint(geometry.Resize, "size interpolation max_size antialias", True, size=_listed)
CenterCrop: Any = joint(geometry.CenterCrop, "size", True)
Pad: Any = joint(
    geometry.Pad, "padding fill padding_mode", True, padding=lambda v: v if isinstance(v, int) else list(v)
)
RandomCrop: Any = joint(geometry.RandomCrop, "size padding pad_if_needed fill padding_mode", True, padding=_sides)
RandomHorizontalFlip: Any = joint(geometry.RandomHorizontalFlip, "p", True)
RandomVerticalFlip: Any = joint(geometry.RandomVerticalFlip, "p", True)
RandomResizedCrop: Any = joint(geometry.RandomResizedCrop, "size scale ratio interpolation antialias", True)
FiveCrop: Any = joint(geometry.FiveCrop, "size")
TenCrop: Any = joint(geometry.TenCrop, "size vertical_flip")
RandomRotation: Any = joint(warps.RandomRotation, "degrees interpolation expand center fill", True)
RandomAffine: Any = joint(warps.RandomAffine, "degrees translate scale shear interpolation fill center", True)
RandomPerspective: Any = joint(warps.RandomPerspective, "p distortion_scale interpolation fill", True)
ElasticTransform: Any = joint(warps.ElasticTransform, "alpha sigma interpolation fill", True)
ColorJitter: Any = joint(colors.ColorJitter, "brightness contrast saturation hue")
Grayscale: Any = joint(colors.Grayscale, "num_output_channels")
RandomGrayscale: Any = joint(colors.RandomGrayscale, "p")
RandomErasing: Any = joint(
    colors.RandomErasing,
    "p scale ratio value inplace",
    value=lambda v: [float(v)] if isinstance(v, (int, float)) else v,
)
GaussianBlur: Any = joint(colors.GaussianBlur, "kernel_size sigma", sigma=list)
RandomInvert: Any = joint(colors.RandomInvert, "p")
RandomPosterize: Any = joint(colors.RandomPosterize, "p bits")
RandomSolarize: Any = joint(colors.RandomSolarize, "p threshold")
RandomAdjustSharpness: Any = joint(colors.RandomAdjustSharpness, "p sharpness_factor")
RandomAutocontrast: Any = joint(colors.RandomAutocontrast, "p")
RandomEqualize: Any = joint(colors.RandomEqualize, "p")
Normalize: Any = joint(containers.Normalize, "mean std inplace")
LinearTransformation: Any = joint(containers.LinearTransformation, "")
RandAugment: Any = joint(autoaugment.RandAugment, "interpolation num_ops magnitude num_magnitude_bins")
TrivialAugmentWide: Any = joint(autoaugment.TrivialAugmentWide, "interpolation num_magnitude_bins")
AugMix: Any = joint(autoaugment.AugMix, "interpolation severity mixture_width chain_depth alpha all_ops")
ToTensor = containers.ToTensor
PILToTensor: Any = joint(containers.PILToTensor, "")


class ToPILImage(Transform):
    """Turn tensors (C, H, W) and ndarrays into pictures.

    Parameters
    ----------
    mode : str, optional
        Pillow's mode.
    """

    def __init__(self, mode: str | None = None) -> None:
        super().__init__()
        self.mode = mode

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Convert."""
        return functional.to_pil_image(inpt, self.mode)


def query_size(flat_inputs: list[Any]) -> tuple[int, int]:
    """Give height and width of the first picture, mask or boxes among these."""
    from ..._pillow import is_pil
    from ...tv_tensors import TVTensor

    found = next(one for one in flat_inputs if is_pil(one) or isinstance(one, TVTensor))
    height, width = functional.get_size(found)
    return height, width


def __getattr__(name: str) -> Any:
    from retrograd.utils._names import missing

    raise missing(__name__, name, [one for one in globals() if not one.startswith("_")])
