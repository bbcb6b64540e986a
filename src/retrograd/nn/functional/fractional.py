"""Fractional max pooling: windows whose steps are drawn, so that a size shrinks by any ratio."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...core import wrap
from ...tensor.functions.linear_algebra import depends_on_values
from .. import _functions as T
from .pooling import _sizes


def _output_size(name: str, dims: int, input: Any, output_size: Any, output_ratio: Any) -> tuple[int, ...]:
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if output_size is not None:
        return _sizes(output_size, dims, name, "output_size")
    ratios = tuple(output_ratio) if isinstance(output_ratio, Iterable) else (output_ratio,) * dims
    if len(ratios) > dims:
        raise ValueError(f"{name} requires output_ratio to either be a single Int or tuple of Ints.")
    return tuple(int(n * r) for n, r in zip(input.shape[-dims:], ratios, strict=True))


def _begins(sample: Any, size: int, outputs: int, kernel: int) -> Any:
    """Give where the windows begin: steps of (size - kernel) / (outputs - 1), rounded from a drawn place on."""
    found = np.full((*sample.shape, outputs), size - kernel, np.int64)
    if outputs > 1:
        step = sample.dtype.type(size - kernel) / sample.dtype.type(outputs - 1)
        numbers = np.arange(outputs - 1, dtype=sample.dtype)
        drawn = sample[..., None]
        found[..., :-1] = ((numbers + drawn) * step).astype(np.int64) - (drawn * step).astype(np.int64)
    return found


def _pool(
    name: str, dims: int, input: Any, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Any
) -> tuple[Any, Any]:
    outputs = _output_size(name, dims, input, output_size, output_ratio)
    kernel = _sizes(kernel_size, dims, name, "kernel_size")
    if input.dim() not in (dims + 1, dims + 2) or 0 in input.shape[-dims - 1 :]:
        raise RuntimeError(
            f"{name}: Expected {dims + 1}D or {dims + 2}D tensor with non-zero sizes beside the batch's, but got "
            f"{list(input.shape)}"
        )
    batched = input.dim() == dims + 2
    if samples is None:
        lead = input.shape[0] if batched else 1
        samples = T.rand(lead, input.shape[-dims - 1], dims, dtype=input.dtype)
    elif samples.dtype != input.dtype:
        raise RuntimeError(
            f"Expect _random_samples to have the same dtype as input, but got {samples.dtype} and {input.dtype}"
        )
    for size, outs, k, what in zip(
        input.shape[-dims:], outputs, kernel, ("time", "height", "width")[-dims:], strict=True
    ):
        if k < 1 or outs < 0 or outs + k - 1 > size:
            raise RuntimeError(f"{name}: pool {what} {k} too large relative to input {what} {size}, for {outs} outputs")
    planes = input if batched else input.unsqueeze(0)
    if samples.shape[0] < len(planes):
        raise RuntimeError(
            f"{name}: Expect _random_samples for every image of the batch, but got {samples.shape[0]} for {len(planes)}"
        )
    samples = samples[: len(planes)]
    depends_on_values("fractional_max_pool", planes, samples)
    places = _places(planes.shape[2:], outputs, kernel, samples._a)
    flat = planes.flatten(2)
    seen = np.take_along_axis(flat._a, places.reshape(*flat.shape[:2], math.prod(places.shape[2:])), 2).reshape(
        places.shape
    )
    best = seen.argmax(-1)
    if seen.dtype.kind == "V":  # bfloat16 compares NaN below
        best = seen.astype(np.float32).argmax(-1)
    chosen = np.take_along_axis(places, best[..., None], -1)[..., 0]
    result = T.gather(flat, 2, wrap(chosen.reshape(*flat.shape[:2], math.prod(chosen.shape[2:])))).reshape(chosen.shape)
    where = wrap(chosen)
    return (result, where) if batched else (result.squeeze(0), where.squeeze(0))


def _places(sizes: Any, outputs: Any, kernel: Any, samples: Any) -> Any:
    """Give the flat places of every window's elements: (N, C, *outputs, product of kernel)."""
    dims = len(sizes)
    flat: Any = np.zeros((1,) * (2 + 2 * dims), np.int64)
    for d, (size, outs, k) in enumerate(zip(sizes, outputs, kernel, strict=True)):
        drawn = samples[..., d if dims == 3 else dims - 1 - d]
        along = _begins(drawn, size, outs, k)[..., None] + np.arange(k)
        shape = [*drawn.shape, *[1] * (2 * dims)]
        shape[2 + d], shape[2 + dims + d] = outs, k
        flat = flat * size + along.reshape(shape)
    return flat.reshape(*flat.shape[: 2 + dims], math.prod(kernel))


def fractional_max_pool2d_with_indices(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> tuple[Any, Any]:
    """Do what `fractional_max_pool2d` does, and give the places of the maxima too.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.arange(9.0).reshape(1, 3, 3)
    >>> torch.nn.functional.fractional_max_pool2d_with_indices(x, 2, output_size=1)[1]
    tensor([[[8]]])
    """
    return _pool("fractional_max_pool2d", 2, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool2d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """Largest element of each of ``output_size`` windows of (N, C, H, W) or (C, H, W), their steps drawn.

    ``output_ratio``, below 1, gives the size as a part of the input's. With one seed the windows are torch's.
    ValueError without either; RuntimeError for windows that do not fit.

    Source: Graham 2014, https://arxiv.org/abs/1412.6071.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.fractional_max_pool2d(torch.arange(9.0).reshape(1, 3, 3), 2, output_size=1)
    tensor([[[8.]]])
    """
    both = _pool("fractional_max_pool2d", 2, input, kernel_size, output_size, output_ratio, _random_samples)
    return both if return_indices else both[0]


def fractional_max_pool3d_with_indices(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> tuple[Any, Any]:
    """Do what `fractional_max_pool3d` does, and give the places of the maxima too.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.arange(27.0).reshape(1, 3, 3, 3)
    >>> torch.nn.functional.fractional_max_pool3d_with_indices(x, 2, output_size=1)[1]
    tensor([[[[26]]]])
    """
    return _pool("fractional_max_pool3d", 3, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool3d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """Largest element of each of ``output_size`` windows of (N, C, D, H, W) or (C, D, H, W), their steps drawn.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.fractional_max_pool3d(torch.arange(27.0).reshape(1, 3, 3, 3), 2, output_size=1)
    tensor([[[[26.]]]])
    """
    both = _pool("fractional_max_pool3d", 3, input, kernel_size, output_size, output_ratio, _random_samples)
    return both if return_indices else both[0]
