"""Unpooling: maxima put back where a max pooling found them."""

from __future__ import annotations

import math
from typing import Any

from ...core import dtypes
from ...core.mode import mode
from .. import _functions as T
from .pooling import _sizes


def _unpool(dims: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any) -> Any:
    name = f"max_unpool{dims}d"
    kernel = _sizes(kernel_size, dims, name, "kernel_size")
    step = kernel if stride is None else _sizes(stride, dims, name, "stride")
    around = _sizes(padding, dims, name, "padding")
    if indices.dtype is not dtypes.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices.dtype}")
    if input.dim() not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"Input to {name} should be a {dims + 1}d or {dims + 2}d Tensor, but got {input.dim()} dimensions"
        )
    if input.shape != indices.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) "
            f"but got indices tensor with shape: {list(indices.shape)}"
        )
    sizes = _output_sizes(input.shape[-dims:], kernel, step, around, output_size)
    lead = tuple(input.shape[:-dims])
    places = indices.reshape(*lead, -1)
    if mode().trace is None and places.numel() and not 0 <= int(places.min()) <= int(places.max()) < math.prod(sizes):
        raise RuntimeError(f"Found an invalid max index: {int(places.max())} (output volumes are of size {sizes})")
    blank = T.zeros(*lead, math.prod(sizes), dtype=input.dtype)
    return T.scatter(blank, -1, places, input.reshape(*lead, -1)).reshape(*lead, *sizes)


def _output_sizes(given: Any, kernel: Any, step: Any, around: Any, output_size: Any) -> tuple[int, ...]:
    """Give the size that was pooled: the one asked for, if a pooling of it has the given size."""
    plain = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(given, step, around, kernel, strict=True))
    if output_size is None:
        return plain
    wanted = tuple(output_size)[-len(plain) :]
    if len(wanted) != len(plain):
        raise ValueError(
            f"output_size should be a sequence containing {len(plain)} elements, but it has a length of '{len(wanted)}'"
        )
    for d, (w, n, s) in enumerate(zip(wanted, plain, step, strict=True)):
        if not n - s < w < n + s:
            raise ValueError(f"invalid output_size {list(wanted)} (dim {d} must be between {n - s} and {n + s})")
    return wanted


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Put the maxima of `max_pool1d` back to their places; the rest is zero.

    Shapes: (N, C, L) or (C, L) -> the same with (L - 1) stride - 2 padding + kernel_size, or ``output_size``.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.tensor([[1.0, 3.0, 2.0, 0.0]])
    >>> torch.nn.functional.max_unpool1d(*torch.nn.functional.max_pool1d_with_indices(x, 2), 2)
    tensor([[0., 3., 2., 0.]])
    """
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Put the maxima of `max_pool2d` back to their places; the rest is zero.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.arange(4.0).reshape(1, 2, 2)
    >>> torch.nn.functional.max_unpool2d(*torch.nn.functional.max_pool2d_with_indices(x, 2), 2)
    tensor([[[0., 0.],
             [0., 3.]]])
    """
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Put the maxima of `max_pool3d` back to their places; the rest is zero.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.arange(8.0).reshape(1, 2, 2, 2)
    >>> torch.nn.functional.max_unpool3d(*torch.nn.functional.max_pool3d_with_indices(x, 2), 2).sum()
    tensor(7.)
    """
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)
