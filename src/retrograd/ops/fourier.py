"""Discrete Fourier transforms: three linear rows whose transposes are made of each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import BaseTensor, TensorType, tensor_class, typeof
from . import batching
from .derive import linear
from .elementwise import real_part
from .shape import pad
from .sums import is_narrow

# (forward, scale) -> NumPy's word for it; scale: 0 none, 1 by the root of the number of points, 2 by the number of points
_WORD: dict[tuple[bool, int], Any] = {
    (True, 0): "backward",
    (True, 1): "ortho",
    (True, 2): "forward",
    (False, 0): "forward",
    (False, 1): "ortho",
    (False, 2): "backward",
}


def _transform(x: Any, *, axes: tuple[int, ...], forward: bool, scale: int) -> Any:
    fn = np.fft.fftn if forward else np.fft.ifftn
    return fn(x, axes=axes, norm=_WORD[forward, scale]) if axes else x.copy()


def _from_real(x: Any, *, axes: tuple[int, ...], forward: bool, scale: int) -> Any:
    wide = x.astype(np.float32) if is_narrow(x.dtype) else x
    r = np.fft.rfftn(wide, axes=axes, norm=_WORD[True, scale])
    return r if forward else np.conj(r)


def _to_real(x: Any, *, axes: tuple[int, ...], n: int, forward: bool, scale: int) -> Any:
    lengths = [x.shape[a] for a in axes[:-1]] + [n]
    if forward:
        x = np.conj(x)
    return np.fft.irfftn(x, lengths, axes=axes, norm=_WORD[False, scale])


def _complex(d: Any) -> Any:
    return np.dtype(np.complex128 if d == np.float64 else np.complex64)


def _half_type(x: TensorType, *, axes: tuple[int, ...], **attrs: Any) -> TensorType:
    shape = list(x.shape)
    shape[axes[-1]] = shape[axes[-1]] // 2 + 1
    return TensorType(tuple(shape), _complex(x.dtype))


def _whole_type(x: TensorType, *, axes: tuple[int, ...], n: int, **attrs: Any) -> TensorType:
    shape = list(x.shape)
    shape[axes[-1]] = n
    return TensorType(tuple(shape), np.dtype(f"f{x.dtype.itemsize // 2}"))


def _widths(shape: tuple[int, ...], axis: int, more: int) -> tuple[tuple[int, int], ...]:
    return tuple((0, more if i == axis else 0) for i in range(len(shape)))


def _from_real_back(g: Any, *, x_type: TensorType, axes: tuple[int, ...], forward: bool, scale: int) -> Any:
    shape = typeof(g).shape
    axis = axes[-1]
    whole = pad(g, widths=_widths(shape, axis, x_type.shape[axis] - shape[axis]), value=0)
    return real_part(transform(whole, axes=axes, forward=not forward, scale=scale))


def _to_real_back(g: Any, *, x_type: TensorType, axes: tuple[int, ...], n: int, forward: bool, scale: int) -> Any:
    half = from_real(g, axes=axes, forward=not forward, scale=scale)
    axis = axes[-1]
    weights = np.ones(x_type.shape[axis], np.dtype(f"f{x_type.dtype.itemsize // 2}"))
    weights[1 : n - weights.size + 1] = 2  # each of these stands for its mirror image too
    weights = weights.astype(x_type.dtype).reshape((-1,) + (1,) * (len(x_type.shape) - axis - 1))
    return half * (tensor_class()._wrap(weights) if isinstance(half, BaseTensor) else weights)


_HERE: tuple[dict[str, Any], ...] = (
    {"axes": (1,), "forward": True, "scale": 0},
    {"axes": (0, 1), "forward": False, "scale": 2},
    {"axes": (0,), "forward": True, "scale": 1},
)
transform = linear(
    "fft",
    _transform,
    type=lambda x, **attrs: x,
    transpose=lambda g, *, axes, forward, scale: transform(g, axes=axes, forward=not forward, scale=scale),
    batch=batching.axes,
    samples=tuple({"shapes": ((3, 4),), "dtype": "complex128", "attrs": a} for a in _HERE),
    shown="FftC2CBackward0",
)
from_real = linear(
    "rfft",
    _from_real,
    type=_half_type,
    transpose=_from_real_back,
    batch=batching.axes,
    samples=tuple({"shapes": (s,), "dtype": "float64", "attrs": a} for s in ((3, 4), (4, 3)) for a in _HERE),
    shown="FftR2CBackward0",
)
to_real = linear(
    "irfft",
    _to_real,
    type=_whole_type,
    transpose=_to_real_back,
    batch=batching.axes,
    samples=tuple({"shapes": ((3, 3),), "dtype": "complex128", "attrs": {**a, "n": n}} for n in (4, 5) for a in _HERE),
    shown="FftC2RBackward0",
)

__all__ = ["from_real", "to_real", "transform"]
