"""Contractions: products of matrices, with any leading batch, and the linear layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import TensorType, executors
from . import batching
from .derive import bilinear, general
from .shape import expand, sum_to, transpose
from .sums import is_narrow

WORTH = 1 << 15  # multiply-adds from which the library's own kernels are asked
_kernels = f"{__package__.partition('.')[0]}.compiler.contractions.products"
executors.register("matmul", f"{_kernels}:matmul")
executors.register("linear", f"{_kernels}:linear")


def dot(x: Any, y: Any) -> Any:
    """Multiply two matrices."""
    if x.size * y.shape[1] >= WORTH and x.shape[1] == y.shape[0]:
        run = executors.find("matmul")
        out = None if run is None else run(x, y)
        if out is not None:
            return out
    return np.dot(x, y)


def _dot(x: Any, y: Any) -> Any:
    if x.ndim == 2 == y.ndim and x.dtype.itemsize > 2:
        return dot(x, y)
    if x.ndim > 1 < y.ndim and x.size * y.shape[-1] >= WORTH and x.shape[-1] == y.shape[-2]:
        run = executors.find("matmul")
        out = None if run is None else run(x, y)
        if out is not None:
            return out
    if is_narrow(x.dtype):
        return np.matmul(x.astype(np.float32), y.astype(np.float32)).astype(x.dtype)
    if x.ndim > 2 and y.ndim == 2 and x.flags.c_contiguous:
        return np.dot(_rows(x), y).reshape(*x.shape[:-1], y.shape[-1])
    return np.matmul(x, y)


def _matmul_type(x: TensorType, y: TensorType) -> TensorType:
    return TensorType((*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1]), x.dtype)


def _flipped(m: Any) -> Any:
    return transpose(m, a=-1, b=-2)


matmul = bilinear(
    "matmul",
    _dot,
    type=_matmul_type,
    transposes=[lambda g, y: matmul(g, _flipped(y)), lambda g, x: matmul(_flipped(x), g)],
    batch=batching.matrices,
    samples=(
        {"shapes": ((3, 4), (4, 2))},
        {"shapes": ((5, 3, 4), (4, 2))},
        {"shapes": ((2, 1, 3, 4), (5, 4, 2))},
        {"shapes": ((0, 4), (4, 2))},
    ),
    shown=lambda node: "MmBackward0" if len(node.shape) == 2 else "UnsafeViewBackward0",  # of torch's bmm
    cost=lambda x, y: 2 * math.prod(x.shape) * y.shape[-1],
)
matmul.broadcasts = True


def _rows(x: Any) -> Any:
    """Give an array as a matrix of rows."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


# y = x W^T + b, one node because every network is made of it


def _linear(x: Any, w: Any, b: Any = None) -> Any:
    if x.size * w.shape[0] >= WORTH and x.shape[-1] == w.shape[1]:
        run = executors.find("linear")
        out = None if run is None else run(x, w, b)
        if out is not None:
            return out
    if x.ndim == 2 and x.dtype.itemsize > 2:
        out = np.dot(x, w.T)
    else:
        out = _dot(_rows(x), w.T).reshape(*x.shape[:-1], w.shape[0])
    if b is not None:
        out += b
    return out


weight_product = bilinear(
    "weight_product",
    lambda x, y: _dot(_rows(x).T, _rows(y)),
    type=lambda x, y: TensorType((x.shape[-1], y.shape[-1]), x.dtype),
    transposes=[lambda g, y: matmul(y, _flipped(g)), lambda g, x: matmul(x, g)],
    batch=batching.weight_product,
    samples=({"shapes": ((3, 4), (3, 2))}, {"shapes": ((5, 3, 4), (5, 3, 2))}),
    cost=lambda x, y: 2 * math.prod(x.shape) * y.shape[-1],
)


def _linear_shown(bias: bool, ndim: int) -> str:
    """Give torch's name for a layer's product, of rows or of a batch of them."""
    if ndim == 2:
        return "AddmmBackward0" if bias else "MmBackward0"
    return "ViewBackward0" if bias else "UnsafeViewBackward0"


linear_layer = general(
    "linear",
    _linear,
    type=lambda x, w, b=None: TensorType((*x.shape[:-1], w.shape[0]), x.dtype),
    names=("x", "w", "b"),
    vjp=[
        lambda g, w: matmul(g, w),
        lambda g, x: weight_product(g, x),
        lambda g, *, node: sum_to(g, shape=(node.shape[-1],)),
    ],
    jvp=[
        lambda t, w: linear_layer(t, w),
        lambda t, x: linear_layer(x, t),
        lambda t, *, out_type: expand(t, shape=out_type.shape),
    ],
    batch=batching.linear_layer,
    samples=(
        {"shapes": ((3, 4), (2, 4), (2,))},
        {"shapes": ((2, 3, 4), (5, 4), (5,))},
        {"shapes": ((3, 4), (2, 4))},
    ),
    shown=lambda node: _linear_shown(len(node.inputs) > 2, len(node.shape)),
)
linear_layer.conjugates = True
linear_layer.operands = (2, 0, 1)  # torch.addmm has the bias first


def _plain(*types: TensorType, sums: int) -> bool:
    """Tell whether NumPy's product of two matrices is taken; ``sums`` is the second one's dimension that is summed over."""
    if not all(len(t.shape) == 2 and t.dtype.itemsize > 2 for t in types):
        return False
    return math.prod(types[0].shape) * types[1].shape[1 - sums] < WORTH


# the same products as plain NumPy expressions, for composed functions of small matrices
matmul.inline = lambda types, attrs: "dot({0}, {1})" if _plain(*types, sums=0) else None
weight_product.inline = lambda types, attrs: "dot({0}.T, {1})" if _plain(*types, sums=0) else None
linear_layer.inline = lambda types, attrs: (
    None if not _plain(*types[:2], sums=1) else "dot({0}, {1}.T)" if len(types) == 2 else "add_to(dot({0}, {1}.T), {2})"
)
