"""Resizing of signals, images and volumes: one small matrix for each dimension of space."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...core import dtypes, wrap
from ...core.warned import warn
from ...ops.index import take_axis
from ...tensor.dispatch import labelled
from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

_DIMS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
_AREA = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}
_CUBIC = -0.75  # the slope of the cubic kernel, torch's


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Resize the space of (N, C, ...) to ``size``, or by ``scale_factor``.

    ``mode``: "nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear" or "area". Output i is at input
    (i + 1/2) in / out - 1/2, or, with ``align_corners``, at i (in - 1) / (out - 1). Raises ValueError for arguments
    that contradict each other, NotImplementedError for a mode that does not fit the dimensions.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.interpolate(torch.tensor([[[0.0, 2.0]]]), scale_factor=2)
    tensor([[[0., 0., 2., 2.]]])
    """
    dims = input.dim() - 2
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: "
                "linear | bilinear | bicubic | trilinear"
            )
    elif mode not in _DIMS:
        raise NotImplementedError(f"interpolate: there is no mode {mode!r} for an input of {input.dim()} dimensions")
    elif _DIMS[mode] != dims:
        raise NotImplementedError(f"Got {dims + 2}D input, but {mode} mode needs {_DIMS[mode] + 2}D input")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input"
        )
    sizes, factors = _targets(input, dims, size, scale_factor)
    if recompute_scale_factor:
        if size is not None:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        factors = None
    if input._a.dtype == np.uint8 and mode in _DIMS:
        return _picture(input, sizes, factors, mode, bool(align_corners), antialias)
    if mode == "area":
        return _AREA[dims](input, sizes)
    for d in range(dims):
        axis, before, after = d + 2, input.shape[d + 2], sizes[d]
        step = 1 / factors[d] if factors else before / after
        if mode.startswith("nearest"):
            half = 0.5 if mode == "nearest-exact" else 0.0
            places = np.floor((np.arange(after, dtype=np.float32) + np.float32(half)) * np.float32(step))
            input = take_axis(input, wrap(np.minimum(places.astype(np.int64), before - 1)), axis=axis)
        elif antialias:
            input = _along(input, axis, _smooth_weights(before, after, step, mode, bool(align_corners)))
        else:
            input = _along(input, axis, _weights(before, after, step, mode, bool(align_corners)))
    kind = "".join(part.capitalize() for part in mode.split("-"))
    return labelled(input, f"Upsample{kind}{dims}D{'Aa' if antialias else ''}Backward0") if dims else input


def _picture(
    input: Any, sizes: list[int], factors: list[float] | None, mode: str, align_corners: bool, antialias: bool
) -> Any:
    """Resize bytes, the last dimension first, by weights of 16 bits; each sum is rounded and held between 0 and 255."""
    weights = _smooth_weights if antialias else _weights
    for d in reversed(range(len(sizes))):
        before, after = input.shape[d + 2], sizes[d]
        step = 1 / factors[d] if factors else before / after
        shares = weights(before, after, step, mode, align_corners)
        bits = max(0, min(21, math.ceil(math.log2((2**15 - 0.5) / shares.max())) - 1))
        whole = np.trunc(shares * 2.0**bits + np.copysign(0.5, shares))
        made = _along(input.to(dtypes.float64), d + 2, whole)  # whole numbers below 2^53: exact
        input = ((made + 2.0 ** (bits - 1)) / 2.0**bits).floor().clamp(0, 255).to(dtypes.uint8)
    return input


def _targets(input: Any, dims: int, size: Any, scale_factor: Any) -> tuple[list[int], list[float] | None]:
    """Give the sizes wanted, and the factors if those were given."""
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    given = size if size is not None else scale_factor
    if given is None:
        raise ValueError("either size or scale_factor should be defined")
    values = list(given) if isinstance(given, Iterable) else [given] * dims
    if len(values) != dims:
        name = "size" if size is not None else "scale_factor"
        raise ValueError(
            f"{name} must have {dims} numbers for an input of {dims + 2} dimensions, but got {len(values)}"
        )
    if size is not None:
        sizes, factors = [int(n) for n in values], None
    else:
        factors = [float(f) for f in values]
        sizes = [math.floor(n * f) for n, f in zip(input.shape[2:], factors, strict=True)]
    if min(sizes, default=1) < 1:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input {list(input.shape)} and output {sizes}"
        )
    return sizes, factors


def _along(x: Any, axis: int, weights: Any) -> Any:
    matrix = wrap(weights.T.astype(x._a.dtype))
    return (x.transpose(axis, -1) @ matrix).transpose(axis, -1)


def _places(before: int, after: int, step: float, align_corners: bool) -> Any:
    if align_corners:
        return np.arange(after) * ((before - 1) / (after - 1) if after > 1 else 0.0)
    return (np.arange(after) + 0.5) * step - 0.5


def _cubic(d: Any) -> Any:
    """Give Keys's cubic kernel at distances d."""
    d, a = np.abs(d), _CUBIC
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _weights(before: int, after: int, step: float, mode: str, align_corners: bool) -> Any:
    """Give the matrix (after, before) that resizes one dimension."""
    places = _places(before, after, step, align_corners)
    cubic = mode == "bicubic"
    if not cubic:
        places = np.maximum(places, 0.0)
    whole = np.floor(places).astype(np.int64)
    matrix = np.zeros((after, before))
    rows = np.arange(after)
    for offset in (-1, 0, 1, 2) if cubic else (0, 1):
        distance = places - (whole + offset)
        share = _cubic(distance) if cubic else np.maximum(1 - np.abs(distance), 0)
        np.add.at(matrix, (rows, np.clip(whole + offset, 0, before - 1)), share)
    return matrix


def _smooth_weights(before: int, after: int, step: float, mode: str, align_corners: bool) -> Any:
    """Give the matrix that resizes one dimension, its kernel widened by the shrinking."""
    if align_corners:
        step = (before - 1) / (after - 1) if after > 1 else 0.0
    width = max(step, 1.0)
    centres = (np.arange(after) + 0.5) * step
    distance = (np.arange(before)[None, :] + 0.5 - centres[:, None]) / width
    if mode == "bicubic":
        d, a = np.abs(distance), -0.5
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        matrix = np.where(d < 1, near, np.where(d < 2, far, 0.0))
    else:
        matrix = np.maximum(1 - np.abs(distance), 0)
    return matrix / matrix.sum(1, keepdims=True)


def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Any:
    """Do what `interpolate` does, under its older name."""
    warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Resize to the nearest element, under an older name."""
    warn("`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Resize bilinearly with aligned corners, under an older name."""
    warn("`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
