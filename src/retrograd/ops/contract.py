"""Contractions: products of matrices, with any leading batch, and the linear layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import TensorType
from .derive import bilinear, general
from .reduce import is_narrow
from .shape import sum_to, transpose


def _dot(x: Any, y: Any) -> Any:
    if is_narrow(x.dtype):
        return np.matmul(x.astype(np.float32), y.astype(np.float32)).astype(x.dtype)
    if x.ndim == 2 == y.ndim:
        return np.dot(x, y)
    if x.ndim > 2 and y.ndim == 2 and x.flags.c_contiguous:
        return np.dot(x.reshape(-1, x.shape[-1]), y).reshape(*x.shape[:-1], y.shape[-1])
    return np.matmul(x, y)


def _matmul_type(x: TensorType, y: TensorType) -> TensorType:
    return TensorType((*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1]), x.dtype)


def _flipped(m: Any) -> Any:
    return transpose(m, a=-1, b=-2)


matmul = bilinear(
    "matmul",
    _dot,
    type=_matmul_type,
    transposes=[lambda g, y: _product(g, _flipped(y)), lambda g, x: _left(x, g)],
    samples=({"shapes": ((3, 4), (4, 2))}, {"shapes": ((5, 3, 4), (4, 2))}, {"shapes": ((2, 1, 3, 4), (5, 4, 2))}, {"shapes": ((0, 4), (4, 2))}),
    shown="MmBackward0",
    cost=lambda x, y: 2 * math.prod(x.shape) * y.shape[-1],
)
matmul.broadcasts = True


def _product(g: Any, y: Any) -> Any:
    return matmul(g, y)


def _left(x: Any, g: Any) -> Any:
    return matmul(_flipped(x), g)


# y = x W^T + b, one node because every network is made of it


def _linear(x: Any, w: Any, b: Any = None) -> Any:
    if is_narrow(x.dtype):
        out = _dot(x, w.T)
    elif x.ndim == 2:
        out = np.dot(x, w.T)
    else:
        out = np.dot(np.ascontiguousarray(x).reshape(-1, x.shape[-1]), w.T).reshape(*x.shape[:-1], w.shape[0])
    if b is not None:
        if out.__class__ is not np.ndarray or not out.ndim:
            return out + b
        out += b
    return out


def _rows(x: Any) -> Any:
    from .shape import reshape

    shape = x.shape
    if len(shape) == 2:
        return x
    return reshape(_compact(x), shape=(math.prod(shape[:-1]), shape[-1]))


def _compact(x: Any) -> Any:
    from .elementwise import clone

    if isinstance(x, np.ndarray):
        return np.ascontiguousarray(x)
    return x if x._a.flags.c_contiguous else clone(x, order="C")


linear_layer = general(
    "linear",
    _linear,
    type=lambda x, w, b=None: TensorType((*x.shape[:-1], w.shape[0]), x.dtype),
    names=("x", "w", "b"),
    vjp=[
        lambda g, w: matmul(g, w),
        lambda g, x: matmul(_flipped(_rows(g)), _rows(x)),
        lambda g, *, node: sum_to(g, shape=(node.shape[-1],)),
    ],
    jvp=[
        lambda t, w: linear_layer(t, w),
        lambda t, x: linear_layer(x, t),
        lambda t, *, out_type: _spread_bias(t, out_type),
    ],
    samples=({"shapes": ((3, 4), (2, 4), (2,))}, {"shapes": ((2, 3, 4), (5, 4), (5,))}, {"shapes": ((4,), (5, 4), (5,))}, {"shapes": ((3, 4), (2, 4))}),
    shown="AddmmBackward0",
)


def _spread_bias(t: Any, out_type: TensorType) -> Any:
    from .shape import expand

    return expand(t, shape=out_type.shape)


linear_layer.conjugates = True
