"""Transforms that v2 has of its own: conversions, containers, noise, and the mixing of a batch's samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import retrograd as torch

from ...tv_tensors import Image, TVTensor
from .. import functional as F
from ..autoaugment import AutoAugment as _AutoAugment
from ._transform import Transform, joint, leaves, rebuilt

Module = torch.nn.Module


def to_image(inpt: Any) -> Any:
    """Turn a picture or an ndarray (H, W, C) into a tv_tensors.Image (C, H, W) of the same type."""
    import numpy as np

    if isinstance(inpt, np.ndarray):
        array = inpt[:, :, None] if inpt.ndim == 2 else inpt
        return Image(torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1))))
    if isinstance(inpt, torch.Tensor):
        return Image(inpt)
    return Image(F.pil_to_tensor(inpt))


def to_dtype(inpt: Any, dtype: Any = torch.float32, scale: bool = False) -> Any:
    """Convert a tensor to another type; with ``scale``, full brightness to full brightness."""
    return F.convert_image_dtype(inpt, dtype) if scale else inpt.to(dtype)


class ToImage(Transform):
    """Turn pictures and ndarrays (H, W, C) into tv_tensors.Image (C, H, W) of the same type."""

    def _takes(self, sample: list[Any]) -> list[int]:
        import numpy as np

        arrays = [i for i, one in enumerate(sample) if isinstance(one, np.ndarray)]
        return sorted({*super()._takes(sample), *arrays})

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Convert."""
        return to_image(inpt)


class ToDtype(Transform):
    """Convert tensors to another type.

    Parameters
    ----------
    dtype : dtype or dict
        The type; or one for each kind of tensor, by its class, with "others" for the rest.
    scale : bool
        Whether pictures go from full brightness to full brightness.
    """

    _names = ("scale",)

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        self.dtype, self.scale = dtype, scale
        self._moves = isinstance(dtype, dict)

    def _takes(self, sample: list[Any]) -> list[int]:
        return [i for i in super()._takes(sample) if isinstance(sample[i], torch.Tensor)]

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Convert."""
        dtype = self.dtype
        if isinstance(dtype, dict):
            dtype = dtype.get(type(inpt), dtype.get("others"))
        if dtype is None:
            return inpt
        picture = isinstance(inpt, Image) or not isinstance(inpt, TVTensor)
        return to_dtype(inpt.as_subclass(torch.Tensor), dtype, self.scale and picture)


class ConvertImageDtype(Transform):
    """Convert pictures to another type, full brightness to full brightness.

    Parameters
    ----------
    dtype : dtype
        The type.
    """

    def __init__(self, dtype: Any = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Convert."""
        return F.convert_image_dtype(inpt, self.dtype)


class _Every(Transform):
    """Takes all of a sample, of whatever kind."""

    def _takes(self, sample: list[Any]) -> list[int]:
        return list(range(len(sample)))


class ToPureTensor(_Every):
    """Turn tv_tensors into plain ones."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Convert."""
        return inpt.as_subclass(torch.Tensor) if isinstance(inpt, TVTensor) else inpt

    def forward(self, *inputs: Any) -> Any:
        """Convert a sample."""
        sample = inputs if len(inputs) > 1 else inputs[0]
        return rebuilt(sample, (self.transform(one, {}) for one in leaves(sample)))


class Identity(Transform):
    """Change nothing."""

    def forward(self, *inputs: Any) -> Any:
        """Give the sample back."""
        return inputs if len(inputs) > 1 else inputs[0]


class Lambda(_Every):
    """Apply a function of one's own to all of a sample that is of these types.

    Parameters
    ----------
    lambd : callable
        The function.
    *types : type
        The types; all, by default.
    """

    def __init__(self, lambd: Callable[..., Any], *types: type) -> None:
        super().__init__()
        self.lambd, self.types = lambd, types or (object,)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Apply."""
        return self.lambd(inpt) if isinstance(inpt, self.types) else inpt

    def extra_repr(self) -> str:
        """Give the function and the types."""
        name = getattr(self.lambd, "__name__", "")
        return ", ".join([*([name] if name else []), f"types={[one.__name__ for one in self.types]}"])


class GaussianNoise(Transform):
    """Add normally distributed noise to pictures of floats.

    Parameters
    ----------
    mean : float
        The noise's mean.
    sigma : float
        Its standard deviation.
    clip : bool
        Whether the result is kept in [0, 1].
    """

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        super().__init__()
        self.mean, self.sigma, self.clip = mean, sigma, clip

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Add noise."""
        if not inpt.is_floating_point():
            raise ValueError(f"Input tensor is expected to be in float dtype, got dtype={inpt.dtype}")
        if self.sigma < 0:
            raise ValueError(f"sigma shouldn't be negative. Got {self.sigma}")
        noisy = inpt + (self.mean + torch.randn_like(inpt) * self.sigma)
        return noisy.clamp(0, 1) if self.clip else noisy


class RGB(Transform):
    """Turn grey pictures into ones with three channels."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Convert."""
        if not isinstance(inpt, torch.Tensor):
            return inpt.convert("RGB")
        return inpt.expand(*inpt.shape[:-3], 3, *inpt.shape[-2:]).clone() if inpt.shape[-3] == 1 else inpt


# -- containers ----------------------------------------------------------------------------------------------------


def _call(transform: Callable[..., Any], sample: tuple[Any, ...]) -> tuple[Any, ...]:
    found = transform(*sample)
    return found if len(sample) > 1 else (found,)


class _Container(Transform):
    def __init__(self, transforms: Any) -> None:
        super().__init__()
        if not isinstance(transforms, (Sequence, torch.nn.ModuleList)):
            raise TypeError("Argument transforms should be a sequence of callables")
        self.transforms = transforms


class _InTurn(_Container):
    def extra_repr(self) -> str:
        """Give the transforms, one to a line."""
        return "\n".join(f"    {one}" for one in self.transforms)


class Compose(_InTurn):
    """Apply transforms one after the other.

    Parameters
    ----------
    transforms : sequence of callable
        Each takes what the one before gives.
    """

    def __init__(self, transforms: Any) -> None:
        super().__init__(transforms)
        if not transforms:
            raise ValueError("Pass at least one transform")

    def forward(self, *inputs: Any) -> Any:
        """Apply."""
        sample = inputs
        for transform in self.transforms:
            sample = _call(transform, sample)
        return sample if len(inputs) > 1 else sample[0]


class RandomApply(_InTurn):
    """Apply all of some transforms, or none.

    Parameters
    ----------
    transforms : sequence of callable
        Applied one after the other.
    p : float
        How probably; ValueError outside [0, 1].
    """

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__(transforms)
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        self.p = p

    def forward(self, *inputs: Any) -> Any:
        """Apply or not."""
        sample = inputs
        if torch.rand(1) < self.p:
            for transform in self.transforms:
                sample = _call(transform, sample)
        return sample if len(inputs) > 1 else sample[0]


class RandomChoice(_Container):
    """Apply one of some transforms, which torch's generator draws.

    Parameters
    ----------
    transforms : sequence of callable
        One of them is applied.
    p : list of float, optional
        Their weights.
    """

    def __init__(self, transforms: Any, p: Any = None) -> None:
        super().__init__(transforms)
        p = [1] * len(transforms) if p is None else p
        if len(p) != len(transforms):
            raise ValueError(f"Length of p doesn't match the number of transforms: {len(p)} != {len(transforms)}")
        self.p = [one / sum(p) for one in p]

    def forward(self, *inputs: Any) -> Any:
        """Apply one."""
        return self.transforms[int(torch.multinomial(torch.tensor(self.p), 1))](*inputs)


class RandomOrder(_Container):
    """Apply transforms in a random order, which torch's generator draws."""

    def forward(self, *inputs: Any) -> Any:
        """Apply."""
        sample = inputs
        for i in torch.randperm(len(self.transforms)).tolist():
            sample = _call(self.transforms[i], sample)
        return sample if len(inputs) > 1 else sample[0]


# -- a batch's samples mixed ---------------------------------------------------------------------------------------


class _Mix(Transform):
    """Mix each sample of a batch with the one before it, pictures and labels alike."""

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None, labels_getter: Any = "default") -> None:
        super().__init__()
        self.alpha, self.num_classes, self._getter = float(alpha), num_classes, labels_getter
        self._dist = torch.distributions.Beta(torch.tensor([alpha]), torch.tensor([alpha]))

    def _labels(self, sample: Any) -> Any:
        if callable(self._getter):
            return self._getter(sample)
        if isinstance(sample, dict):
            key = self._getter if self._getter != "default" else next(k for k in sample if "label" in k.lower())
            return sample[key]
        return sample[1]

    def forward(self, *inputs: Any) -> Any:
        """Mix."""
        sample = inputs if len(inputs) > 1 else inputs[0]
        labels = self._labels(sample)
        flat = leaves(sample)
        pictures = next(one for one in flat if isinstance(one, torch.Tensor) and one is not labels)
        if pictures.ndim != 4:
            raise ValueError(f"Expected a batch of pictures, (N, C, H, W), got {tuple(pictures.shape)}")
        if labels.ndim == 1:
            if self.num_classes is None:
                raise ValueError("num_classes must be passed if the labels are index-based (1D)")
            one_hot = torch.nn.functional.one_hot(labels, num_classes=self.num_classes).float()
        else:
            one_hot = labels.float()
        mixed, share = self._mixed(pictures, float(self._dist.sample(()).reshape(-1)[0]))
        target = one_hot.roll(1, 0).mul_(1.0 - share).add_(one_hot.mul(share))
        new = (mixed if one is pictures else target if one is labels else one for one in flat)
        return rebuilt(sample, new)

    def _mixed(self, pictures: Any, share: float) -> tuple[Any, float]:
        raise NotImplementedError


class MixUp(_Mix):
    """Blend each picture of a batch with the one before it, and their labels in the same proportion.

    Source: Zhang et al. 2018, https://arxiv.org/abs/1710.09412.

    The proportion is drawn from Beta(alpha, alpha); ``num_classes`` is for labels that are numbers; ``labels_getter`` finds the
    labels in a sample: its second part, or the key with "label" in it, by default.
    """

    def _mixed(self, pictures: Any, share: float) -> tuple[Any, float]:
        return pictures.roll(1, 0).mul_(1.0 - share).add_(pictures.mul(share)), share


class CutMix(_Mix):
    """Replace a rectangle of each picture of a batch by that of the one before, and mix their labels by its area.

    Source: Yun et al. 2019, https://arxiv.org/abs/1905.04899.

    The area is drawn from Beta(alpha, alpha); ``num_classes`` is for labels that are numbers; ``labels_getter`` finds the
    labels in a sample: its second part, or the key with "label" in it, by default.
    """

    def _mixed(self, pictures: Any, share: float) -> tuple[Any, float]:
        height, width = pictures.shape[-2:]
        x, y = int(torch.randint(width, (1,))), int(torch.randint(height, (1,)))
        half = 0.5 * math.sqrt(1.0 - share)
        wide, high = int(half * width), int(half * height)
        columns, rows = slice(max(x - wide, 0), min(x + wide, width)), slice(max(y - high, 0), min(y + high, height))
        mixed = pictures.clone()
        mixed[..., rows, columns] = pictures.roll(1, 0)[..., rows, columns]
        area = (columns.stop - columns.start) * (rows.stop - rows.start)
        return mixed, float(1.0 - area / (width * height))


class _AutoAugmentV2(_AutoAugment):
    """AutoAugment with v2's order of random numbers: one for the pair, then each step's own."""

    def forward(self, img: Any) -> Any:
        """Augment."""
        fill = self._fill(img)
        _, height, width = F.get_dimensions(img)
        space = self._augmentation_space(10, (height, width))
        for name, probability, step in self.policies[int(torch.randint(len(self.policies), ()))]:
            if torch.rand(()) <= probability:
                magnitudes, signed = space[name]
                size = float(magnitudes[step]) if step is not None else 0.0
                img = self._change(img, name, -size if signed and self._coin() else size, fill)
        return img


_AutoAugmentV2.__name__ = "AutoAugment"
AutoAugment = joint(_AutoAugmentV2, "interpolation policy", policy=str)

__all__ = [
    "RGB",
    "AutoAugment",
    "Compose",
    "ConvertImageDtype",
    "CutMix",
    "GaussianNoise",
    "Identity",
    "Lambda",
    "MixUp",
    "RandomApply",
    "RandomChoice",
    "RandomOrder",
    "ToDtype",
    "ToImage",
    "ToPureTensor",
    "to_dtype",
    "to_image",
]
