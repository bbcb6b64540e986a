"""Convolutions that are products of matrices: of one tap and with every pixel, or of kernels as large as the image.

No two results read a number by different taps, so there is nothing to be gained from a copy of the source: the contraction kernels read it
where it lies, or pack it once. One tap at a stride, and patches, are contractions too, but would be packed number by number; they, and
weights that are few beside the pixels, are faster with copies, by measurement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .conv_geometry import Correlation
from .description import Axes, Contraction, Operand, Result
from .products import by_library

DEEP = 96  # products summed for a result, from which packing costs less than what other ways copy and turn
BROAD = 48  # channels of the result, from which each packed number is used often enough
FOLLOWED = 256  # products summed, from which it is better even with what follows each row of a tile
LONG = 128  # pixels of an image, from which they fill vectors well
HEAVY = 512  # times as many weights as pixels of all images, from which everything but the kernel is small
ALONE = 4  # times as many, of an only image, which other ways cannot share among threads


@dataclass(frozen=True)
class Plan:
    """A convolution, or one of its two Jacobian products, as a contraction.

    Attributes
    ----------
    exchanged : bool
        Whether the contraction's first operand is the op's second.
    pixels : int
        Results of a channel of an image, which the contraction's columns hold one image after the other.
    """

    correlation: Correlation
    contraction: Contraction
    exchanged: bool
    pixels: int
    behind: bool = False

    @property
    def kind(self) -> str:
        """The kind of the numbers."""
        return self.contraction.kind


def make_plan(name: str, forward: Correlation, correlation: Correlation, kind: str, images: int) -> Plan | None:
    """Describe an op on so many images as a contraction, or give None where it is none, or another way is as good.

    ``forward`` is the convolution, ``correlation`` the op's own.
    """
    if not _apart(forward):
        return None
    describe = {"conv": _forward, "conv_input_grad": _input_grad, "conv_weight_grad": _weight_grad}[name]
    made = describe(forward, kind, images)
    if made is None or by_library(made[0]):
        return None
    return Plan(correlation, *made, correlation.pixels)


def followed(plan: Plan) -> Plan | None:
    """Give the plan of a convolution that something follows tile by tile; None where another way is better then."""
    what = plan.contraction
    if what.batch or what.m != plan.correlation.out or what.k < FOLLOWED:
        return None
    straight = Result(((what.m, what.n),), ((what.n, 1),))  # of sums that are not whole yet
    return replace(plan, contraction=replace(what, c=straight, epilogue=("behind",)), behind=True)


def _apart(c: Correlation) -> bool:
    """Tell whether taps are apart and inside: each number of the source is read by one tap at most, and no zeros outside."""
    for a, length in zip(c.parts[0], c.length, strict=True):
        if a.first < 0 or a.high >= length:
            return False
        if a.count > 1 and a.taps > 1 and (a.spread != 1 or a.taps > a.stride):
            return False
    return True


def _steps(lengths: tuple[int, ...]) -> list[int]:
    """Give the steps of the three dimensions of a plane."""
    return [math.prod(lengths[d + 1 :]) for d in range(3)]


def _source(c: Correlation) -> tuple[int, Axes, Axes]:
    """Give where the source is read first, and its axes of positions and of taps."""
    steps = _steps(c.length)
    dims = list(zip(c.parts[0], steps, strict=True))
    first = sum(a.first * step for a, step in dims)
    return (
        first,
        tuple((a.count, a.stride * step) for a, step in dims),
        tuple((a.taps, a.spread * step) for a, step in dims),
    )


def _all_pixels(c: Correlation, made: int, images: int) -> bool:
    """Tell whether every result is made of the source's numbers at its own pixel, or of an image's, and pixels fill vectors well."""
    if c.pixels == 1:
        return c.taps == math.prod(c.length)
    if c.taps > 1 or c.pixels != math.prod(c.length) or made < BROAD:
        return False
    return c.pixels >= LONG or c.out * c.into >= HEAVY * images * c.pixels


def _forward(c: Correlation, kind: str, images: int) -> tuple[Contraction, bool] | None:
    if c.into * c.taps < DEEP or not _all_pixels(c, c.out, images):
        return None
    depth, plane = c.into * c.taps, math.prod(c.length)
    first, positions, taps = _source(c)
    kernel = Operand(((c.out, depth),), ((depth, 1),))
    source = Operand(
        ((images, c.groups * c.into * plane), *positions),
        ((c.into, plane), *taps),
        first,
    )
    result = Result(((c.out, c.pixels),), ((images, c.groups * c.out * c.pixels), (c.pixels, 1)))
    batch = ((c.groups, c.group_step, c.into * plane, c.out * c.pixels),) if c.groups > 1 else ()
    return Contraction(kind, kernel, source, result, batch), True


def _input_grad(c: Correlation, kind: str, images: int) -> tuple[Contraction, bool] | None:
    depth, plane = c.into * c.taps, math.prod(c.length)
    if c.out < DEEP:
        return None
    if c.pixels == 1 and c.taps == plane:  # all of an image's numbers side by side
        gradient = Operand(((images, c.groups * c.out),), ((c.out, 1),))
        kernel = Operand(((depth, 1),), ((c.out, depth),))
        result = Result(((images, c.groups * depth),), ((depth, 1),))
        batch = ((c.groups, c.out, c.group_step, depth),) if c.groups > 1 else ()
        return Contraction(kind, gradient, kernel, result, batch), False
    if not _all_pixels(c, c.into, images):
        return None
    kernel = Operand(((c.into, 1),), ((c.out, c.into),))
    gradient = Operand(((images, c.groups * c.out * plane), (plane, 1)), ((c.out, plane),))
    result = Result(((c.into, plane),), ((images, c.groups * c.into * plane), (plane, 1)))
    batch = ((c.groups, c.group_step, c.out * plane, c.into * plane),) if c.groups > 1 else ()
    return Contraction(kind, kernel, gradient, result, batch), True


def _weight_grad(c: Correlation, kind: str, images: int) -> tuple[Contraction, bool] | None:
    depth, plane = c.into * c.taps, math.prod(c.length)
    if c.pixels > 1 and c.out * depth < (ALONE if images == 1 else HEAVY) * images * c.pixels:
        return None
    first, positions, taps = _source(c)
    gradient = Operand(((c.out, c.pixels),), ((images, c.groups * c.out * c.pixels), (c.pixels, 1)))
    source = Operand(
        ((c.into, plane), *taps),
        ((images, c.groups * c.into * plane), *positions),
        first,
    )
    result = Result(((c.out, depth),), ((depth, 1),))
    batch = ((c.groups, c.out * c.pixels, c.into * plane, c.group_step),) if c.groups > 1 else ()
    return Contraction(kind, gradient, source, result, batch), False


__all__ = ["Plan", "make_plan"]
