"""Transforms that turn, shear, tilt and deform at random."""

from __future__ import annotations

import numbers
from typing import Any

import retrograd as torch

from . import functional as F
from .functional import InterpolationMode
from .functional._common import mode_of
from .geometry import below, check_sequence, uniform

Module = torch.nn.Module


def angles(x: Any, name: str, sizes: tuple[int, ...] = (2,)) -> list[float]:
    """Give the range of an angle: from -x to x of one number, ValueError where it is negative."""
    if isinstance(x, numbers.Number):
        if x < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be positive.")
        x = [-x, x]  # type: ignore[operator]
    else:
        check_sequence(x, name, sizes)
    return [float(one) for one in x]


def colour(fill: Any, img: Any) -> Any:
    """Give a fill colour with a number for each channel, where a tensor wants it."""
    if not isinstance(img, torch.Tensor):
        return fill
    if isinstance(fill, (int, float)):
        return [float(fill)] * F.get_dimensions(img)[0]
    return [float(one) for one in fill]


def check_fill(fill: Any) -> Any:
    """Give the fill colour; TypeError where it is none."""
    if fill is None:
        return 0
    if not isinstance(fill, (tuple, list, numbers.Number)):
        raise TypeError("Fill should be either a sequence or a number.")
    return fill


class RandomRotation(Module):
    """Turn by a random angle.

    Parameters
    ----------
    degrees : number or sequence of number
        (least, greatest), or one number for minus and plus.
    interpolation : InterpolationMode or int
        How pixels are made.
    expand : bool
        Whether the result is large enough for all of the turned picture.
    center : sequence of number, optional
        (x, y); the middle by default.
    fill : number or sequence of number
        The colour outside.
    """

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Any = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.interpolation = mode_of(interpolation)
        self.degrees = angles(degrees, "degrees")
        if center is not None:
            check_sequence(center, "center", (2,))
        self.center, self.expand, self.fill = center, expand, check_fill(fill)

    @staticmethod
    def get_params(degrees: Any) -> float:
        """Draw the angle."""
        return uniform(degrees[0], degrees[1])

    def forward(self, img: Any) -> Any:
        """Rotate."""
        fill = colour(self.fill, img)
        return F.rotate(img, self.get_params(self.degrees), self.interpolation, self.expand, self.center, fill)

    def __repr__(self) -> str:
        shown = f"degrees={self.degrees}, interpolation={self.interpolation.value}, expand={self.expand}"
        shown += "" if self.center is None else f", center={self.center}"
        return f"{type(self).__name__}({shown}, fill={self.fill})"


class RandomAffine(Module):
    """Shear, scale, turn and move at random, keeping the size.

    Parameters
    ----------
    degrees : number or sequence of number
        The angle's (least, greatest), or one number for minus and plus.
    translate : tuple of float, optional
        The most that it moves, as parts of width and height.
    scale : tuple of float, optional
        The least and the greatest factor.
    shear : number or sequence of number, optional
        The shear's angles: along x from minus to plus, from least to greatest, or those of x and then of y.
    interpolation : InterpolationMode or int
        How pixels are made.
    fill : number or sequence of number
        The colour outside.
    center : sequence of number, optional
        (x, y); the middle by default.
    """

    def __init__(
        self,
        degrees: Any,
        translate: Any = None,
        scale: Any = None,
        shear: Any = None,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = 0,
        center: Any = None,
    ) -> None:
        super().__init__()
        self.interpolation = mode_of(interpolation)
        self.degrees = angles(degrees, "degrees")
        if translate is not None:
            check_sequence(translate, "translate", (2,))
            if not all(0.0 <= one <= 1.0 for one in translate):
                raise ValueError("translation values should be between 0 and 1")
        if scale is not None:
            check_sequence(scale, "scale", (2,))
            if not all(one > 0 for one in scale):
                raise ValueError("scale values should be positive")
        if center is not None:
            check_sequence(center, "center", (2,))
        self.translate, self.scale, self.center = translate, scale, center
        self.shear = shear if shear is None else angles(shear, "shear", (2, 4))
        self.fill = check_fill(fill)

    @staticmethod
    def get_params(
        degrees: Any, translate: Any, scale_ranges: Any, shears: Any, img_size: Any
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """Draw angle, translation, scale and shears."""
        angle = uniform(degrees[0], degrees[1])
        moved = (0, 0)
        if translate is not None:
            far_x, far_y = float(translate[0] * img_size[0]), float(translate[1] * img_size[1])
            moved = (round(uniform(-far_x, far_x)), round(uniform(-far_y, far_y)))
        scale = 1.0 if scale_ranges is None else uniform(scale_ranges[0], scale_ranges[1])
        along_x = along_y = 0.0
        if shears is not None:
            along_x = uniform(shears[0], shears[1])
            along_y = uniform(shears[2], shears[3]) if len(shears) == 4 else 0.0
        return angle, moved, scale, (along_x, along_y)

    def forward(self, img: Any) -> Any:
        """Move."""
        _, height, width = F.get_dimensions(img)
        drawn = self.get_params(self.degrees, self.translate, self.scale, self.shear, [width, height])
        fill = colour(self.fill, img)
        return F.affine(img, *drawn, interpolation=self.interpolation, fill=fill, center=self.center)

    def __repr__(self) -> str:
        shown = f"degrees={self.degrees}"
        for name in ("translate", "scale", "shear"):
            shown += "" if getattr(self, name) is None else f", {name}={getattr(self, name)}"
        if self.interpolation is not InterpolationMode.NEAREST:
            shown += f", interpolation={self.interpolation.value}"
        shown += f", fill={self.fill}" if self.fill != 0 else ""
        shown += "" if self.center is None else f", center={self.center}"
        return f"{type(self).__name__}({shown})"


class RandomPerspective(Module):
    """See the picture from another side, sometimes.

    Parameters
    ----------
    distortion_scale : float
        How far corners may go, as a part of half a side.
    p : float
        How probably.
    interpolation : InterpolationMode or int
        How pixels are made.
    fill : number or sequence of number
        The colour outside.
    """

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.p, self.distortion_scale = p, distortion_scale
        self.interpolation, self.fill = mode_of(interpolation), check_fill(fill)

    @staticmethod
    def get_params(width: int, height: int, distortion_scale: float) -> tuple[list[list[int]], list[list[int]]]:
        """Draw where the corners go; give where they are, and that."""
        far_x, far_y = int(distortion_scale * (width // 2)), int(distortion_scale * (height // 2))
        left, right = (0, far_x + 1), (width - far_x - 1, width)
        top, bottom = (0, far_y + 1), (height - far_y - 1, height)
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        ends = [[below(*x), below(*y)] for x, y in corners]
        return [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], ends

    def forward(self, img: Any) -> Any:
        """Tilt or not."""
        if torch.rand(1) < self.p:
            _, height, width = F.get_dimensions(img)
            fill = colour(self.fill, img)
            start, end = self.get_params(width, height, self.distortion_scale)
            return F.perspective(img, start, end, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class ElasticTransform(Module):
    """Read each pixel a little aside, by smooth random displacements.

    Parameters
    ----------
    alpha : float or sequence of float
        How far, along x and y.
    sigma : float or sequence of float
        How smooth, along x and y.
    interpolation : InterpolationMode or int
        How pixels are made.
    fill : number or sequence of number
        The colour outside.
    """

    def __init__(
        self, alpha: Any = 50.0, sigma: Any = 5.0, interpolation: Any = InterpolationMode.BILINEAR, fill: Any = 0
    ) -> None:
        super().__init__()
        self.alpha, self.sigma = self._pair(alpha, "alpha"), self._pair(sigma, "sigma")
        self.interpolation = mode_of(interpolation)
        self.fill = [float(fill)] if isinstance(fill, (int, float)) else [float(one) for one in fill]

    @staticmethod
    def _pair(value: Any, name: str) -> list[float]:
        if isinstance(value, (int, float)):
            return [float(value), float(value)]
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"{name} should be float or a sequence of floats. Got {type(value)}")
        if len(value) not in (1, 2):
            raise ValueError(f"If {name} is a sequence its length should be 1 or 2. Got {len(value)}")
        for one in value:
            if not isinstance(one, float):
                raise TypeError(f"{name} should be a sequence of floats. Got {type(one)}")
        return [value[0], value[-1]]

    @staticmethod
    def get_params(alpha: list[float], sigma: list[float], size: list[int]) -> Any:
        """Draw the displacements, (1, H, W, 2)."""
        parts = []
        for axis in (0, 1):
            drawn = torch.rand([1, 1, *size]) * 2 - 1
            if sigma[axis] > 0.0:
                width = int(8 * sigma[axis] + 1)
                drawn = F.gaussian_blur(drawn, [width + 1 - width % 2] * 2, sigma)
            parts.append(drawn * alpha[axis] / size[1 - axis])  # x by the width, y by the height
        return torch.concat(parts, 1).permute([0, 2, 3, 1])

    def forward(self, tensor: Any) -> Any:
        """Deform."""
        _, height, width = F.get_dimensions(tensor)
        displacement = self.get_params(self.alpha, self.sigma, [height, width])
        return F.elastic_transform(tensor, displacement, self.interpolation, self.fill)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(alpha={self.alpha}, sigma={self.sigma}, interpolation={self.interpolation}, "
            f"fill={self.fill})"
        )


__all__ = ["ElasticTransform", "RandomAffine", "RandomPerspective", "RandomRotation"]
