"""Learned and random sequences of changes: AutoAugment, RandAugment, TrivialAugment and AugMix."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any

import retrograd as torch

from .._pillow import is_pil
from . import functional as F
from .functional import InterpolationMode
from .policies import POLICIES

Module = torch.nn.Module


class AutoAugmentPolicy(enum.Enum):
    """The data set that a policy was learned on."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


def _affine(img: Any, interpolation: Any, fill: Any, move: list[int], shear: list[float], center: Any = None) -> Any:
    return F.affine(img, 0.0, move, 1.0, shear, interpolation, fill, center)


def _degrees(slope: float) -> float:
    return math.degrees(math.atan(slope))


# Each takes the picture, the magnitude, the interpolation and the fill colour.
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "Identity": lambda img, m, how, fill: img,
    "ShearX": lambda img, m, how, fill: _affine(img, how, fill, [0, 0], [_degrees(m), 0.0], [0, 0]),
    "ShearY": lambda img, m, how, fill: _affine(img, how, fill, [0, 0], [0.0, _degrees(m)], [0, 0]),
    "TranslateX": lambda img, m, how, fill: _affine(img, how, fill, [int(m), 0], [0.0, 0.0]),
    "TranslateY": lambda img, m, how, fill: _affine(img, how, fill, [0, int(m)], [0.0, 0.0]),
    "Rotate": lambda img, m, how, fill: F.rotate(img, m, interpolation=how, fill=fill),
    "Brightness": lambda img, m, how, fill: F.adjust_brightness(img, 1.0 + m),
    "Color": lambda img, m, how, fill: F.adjust_saturation(img, 1.0 + m),
    "Contrast": lambda img, m, how, fill: F.adjust_contrast(img, 1.0 + m),
    "Sharpness": lambda img, m, how, fill: F.adjust_sharpness(img, 1.0 + m),
    "Posterize": lambda img, m, how, fill: F.posterize(img, int(m)),
    "Solarize": lambda img, m, how, fill: F.solarize(img, m),
    "AutoContrast": lambda img, m, how, fill: F.autocontrast(img),
    "Equalize": lambda img, m, how, fill: F.equalize(img),
    "Invert": lambda img, m, how, fill: F.invert(img),
}
_GEOMETRIC = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
_COLOURS = ("Brightness", "Color", "Contrast", "Sharpness")

Space = dict[str, tuple[Any, bool]]


def _space(
    bins: int,
    far: tuple[float, float, float, float, float],
    colour: float,
    bits: tuple[int, int],
    names: tuple[str, ...],
) -> Space:
    """Give each operation's magnitudes, and whether they have a sign.

    ``far`` is the most of the geometric operations, ``colour`` of the colours; ``bits`` are the most and the range of
    Posterize.
    """
    steps = torch.arange(bins)
    least_bits = bits[0] - (steps / ((bins - 1) / bits[1])).round().int()
    table: Space = {name: (torch.linspace(0.0, most, bins), True) for name, most in zip(_GEOMETRIC, far)}
    table |= {name: (torch.linspace(0.0, colour, bins), True) for name in _COLOURS}
    table |= {"Posterize": (least_bits, False), "Solarize": (torch.linspace(255.0, 0.0, bins), False)}
    table |= {name: (torch.tensor(0.0), False) for name in ("Identity", "AutoContrast", "Equalize", "Invert")}
    return {name: table[name] for name in names}


class _Augment(Module):
    """What the four share: drawing an operation, and applying it."""

    interpolation: Any
    fill: Any

    def _fill(self, img: Any) -> Any:
        if not isinstance(img, torch.Tensor) or self.fill is None:
            return self.fill
        if isinstance(self.fill, (int, float)):
            return [float(self.fill)] * F.get_dimensions(img)[0]
        return [float(one) for one in self.fill]

    def _change(self, img: Any, name: str, magnitude: float, fill: Any) -> Any:
        return _OPERATIONS[name](img, magnitude, self.interpolation, fill)

    @staticmethod
    def _coin() -> bool:
        return bool(torch.randint(2, (1,)))

    def _draw(self, space: Space, magnitude: Callable[[Any], Any]) -> tuple[str, float]:
        """Draw an operation and its sign; ``magnitude`` gives an index into its magnitudes."""
        name = list(space)[int(torch.randint(len(space), (1,)).item())]
        magnitudes, signed = space[name]
        size = float(magnitudes[magnitude(magnitudes)].item()) if magnitudes.ndim > 0 else 0.0
        return name, -size if signed and self._coin() else size


class AutoAugment(_Augment):
    """Apply one of 25 learned pairs of changes.

    Source: Cubuk et al. 2019, https://arxiv.org/abs/1805.09501.

    Parameters
    ----------
    policy : AutoAugmentPolicy
        The data set that they were learned on.
    interpolation : InterpolationMode
        How pixels are made.
    fill : number or sequence of number, optional
        The colour outside.
    """

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__()
        if not isinstance(policy, AutoAugmentPolicy):
            raise ValueError(f"The provided policy {policy} is not recognized.")
        self.policy, self.interpolation, self.fill = policy, interpolation, fill
        self.policies = POLICIES[policy.value]

    @staticmethod
    def _augmentation_space(num_bins: int, image_size: tuple[int, int]) -> Space:
        far = (0.3, 0.3, 150.0 / 331.0 * image_size[1], 150.0 / 331.0 * image_size[0], 30.0)
        names = (*_GEOMETRIC, *_COLOURS, "Posterize", "Solarize", "AutoContrast", "Equalize", "Invert")
        return _space(num_bins, far, 0.9, (8, 4), names)

    @staticmethod
    def get_params(transform_num: int) -> tuple[int, Any, Any]:
        """Draw which pair, and for each of its steps a probability and a sign."""
        return int(torch.randint(transform_num, (1,)).item()), torch.rand((2,)), torch.randint(2, (2,))

    def forward(self, img: Any) -> Any:
        """Augment."""
        fill = self._fill(img)
        _, height, width = F.get_dimensions(img)
        chosen, chances, signs = self.get_params(len(self.policies))
        space = self._augmentation_space(10, (height, width))
        for i, (name, probability, step) in enumerate(self.policies[chosen]):
            if chances[i] <= probability:
                magnitudes, signed = space[name]
                size = float(magnitudes[step].item()) if step is not None else 0.0
                img = self._change(img, name, -size if signed and signs[i] == 0 else size, fill)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(policy={self.policy}, fill={self.fill})"


class RandAugment(_Augment):
    """Apply random changes of one magnitude.

    Source: Cubuk et al. 2020, https://arxiv.org/abs/1909.13719.

    Parameters
    ----------
    num_ops : int
        How many changes.
    magnitude : int
        How strong, below ``num_magnitude_bins``.
    num_magnitude_bins : int
        How many magnitudes there are.
    interpolation : InterpolationMode
        How pixels are made.
    fill : number or sequence of number, optional
        The colour outside.
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__()
        self.num_ops, self.magnitude, self.num_magnitude_bins = num_ops, magnitude, num_magnitude_bins
        self.interpolation, self.fill = interpolation, fill

    @staticmethod
    def _augmentation_space(num_bins: int, image_size: tuple[int, int]) -> Space:
        far = (0.3, 0.3, 150.0 / 331.0 * image_size[1], 150.0 / 331.0 * image_size[0], 30.0)
        names = ("Identity", *_GEOMETRIC, *_COLOURS, "Posterize", "Solarize", "AutoContrast", "Equalize")
        return _space(num_bins, far, 0.9, (8, 4), names)

    def forward(self, img: Any) -> Any:
        """Augment."""
        fill = self._fill(img)
        _, height, width = F.get_dimensions(img)
        for _ in range(self.num_ops):
            space = self._augmentation_space(self.num_magnitude_bins, (height, width))
            img = self._change(img, *self._draw(space, lambda magnitudes: self.magnitude), fill)
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_ops={self.num_ops}, magnitude={self.magnitude}, "
            f"num_magnitude_bins={self.num_magnitude_bins}, interpolation={self.interpolation}, fill={self.fill})"
        )


class TrivialAugmentWide(_Augment):
    """Apply one random change of random magnitude, over a wide range.

    Source: Müller and Hutter 2021, https://arxiv.org/abs/2103.10158.

    Parameters
    ----------
    num_magnitude_bins : int
        How many magnitudes there are.
    interpolation : InterpolationMode
        How pixels are made.
    fill : number or sequence of number, optional
        The colour outside.
    """

    def __init__(
        self, num_magnitude_bins: int = 31, interpolation: Any = InterpolationMode.NEAREST, fill: Any = None
    ) -> None:
        super().__init__()
        self.num_magnitude_bins, self.interpolation, self.fill = num_magnitude_bins, interpolation, fill

    @staticmethod
    def _augmentation_space(num_bins: int) -> Space:
        names = ("Identity", *_GEOMETRIC, *_COLOURS, "Posterize", "Solarize", "AutoContrast", "Equalize")
        return _space(num_bins, (0.99, 0.99, 32.0, 32.0, 135.0), 0.99, (8, 6), names)

    def forward(self, img: Any) -> Any:
        """Augment."""
        fill = self._fill(img)
        drawn = self._draw(
            self._augmentation_space(self.num_magnitude_bins),
            lambda magnitudes: int(torch.randint(len(magnitudes), (1,), dtype=torch.long)),
        )
        return self._change(img, *drawn, fill)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_magnitude_bins={self.num_magnitude_bins}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


class AugMix(_Augment):
    """Mix a picture with several chains of random changes of itself.

    Source: Hendrycks et al. 2020, https://arxiv.org/abs/1912.02781.

    Parameters
    ----------
    severity : int
        The strongest magnitude, from 1 to 10.
    mixture_width : int
        How many chains.
    chain_depth : int
        How long; at random from 1 to 3 where negative.
    alpha : float
        The concentration of the weights' Dirichlet distributions.
    all_ops : bool
        Whether brightness, colour, contrast and sharpness take part.
    interpolation : InterpolationMode
        How pixels are made.
    fill : number or sequence of number, optional
        The colour outside.
    """

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = None,
    ) -> None:
        super().__init__()
        if not 1 <= severity <= 10:
            raise ValueError(f"The severity must be between [1, 10]. Got {severity} instead.")
        self.severity, self.mixture_width, self.chain_depth = severity, mixture_width, chain_depth
        self.alpha, self.all_ops, self.interpolation, self.fill = alpha, all_ops, interpolation, fill

    def _augmentation_space(self, num_bins: int, image_size: tuple[int, int]) -> Space:
        far = (0.3, 0.3, image_size[1] / 3.0, image_size[0] / 3.0, 30.0)
        names = (*_GEOMETRIC, "Posterize", "Solarize", "AutoContrast", "Equalize")
        return _space(num_bins, far, 0.9, (4, 4), names + (_COLOURS if self.all_ops else ()))

    def _weights(self, count: int, rows: int) -> Any:
        return torch.distributions.Dirichlet(torch.full((rows, count), float(self.alpha))).sample()

    def forward(self, orig_img: Any) -> Any:
        """Augment."""
        _, height, width = F.get_dimensions(orig_img)
        img = orig_img if isinstance(orig_img, torch.Tensor) else F.pil_to_tensor(orig_img)
        fill = self._fill(img)
        space = self._augmentation_space(10, (height, width))
        batch = img.reshape([1] * max(4 - img.ndim, 0) + list(img.shape))
        ones = [batch.shape[0]] + [1] * (batch.ndim - 1)
        share = self._weights(2, ones[0])
        weights = self._weights(self.mixture_width, ones[0]) * share[:, 1].reshape(ones[0], -1)
        mix = share[:, 0].reshape(ones) * batch
        for i in range(self.mixture_width):
            changed = batch
            depth = self.chain_depth if self.chain_depth > 0 else int(torch.randint(1, 4, (1,)).item())
            for _ in range(depth):
                drawn = self._draw(space, lambda m: int(torch.randint(self.severity, (1,), dtype=torch.long)))
                changed = self._change(changed, *drawn, fill)
            mix.add_(weights[:, i].reshape(ones) * changed)
        mix = mix.reshape(img.shape).to(img.dtype)
        return F.to_pil_image(mix) if is_pil(orig_img) else mix

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(severity={self.severity}, mixture_width={self.mixture_width}, "
            f"chain_depth={self.chain_depth}, alpha={self.alpha}, all_ops={self.all_ops}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


__all__ = ["AugMix", "AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide"]
