"""Pooling: the largest, the mean or the p-norm of windows, sliding or sharing the input out."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ...core import show_type
from ...core.errors import name_the_call
from ...ops import pool as ops
from ...tensor.dispatch import shown_as

_windows = lru_cache(maxsize=512)(ops.strided_windows)
_shares = lru_cache(maxsize=512)(ops.adaptive_windows)
_COUNTS = {1: "an int, or a tuple of one int", 2: "two ints", 3: "three ints"}


def _sizes(value: Any, dims: int, name: str, what: str) -> tuple[int, ...]:
    sizes = tuple(value) if isinstance(value, Iterable) else (value,) * dims
    if len(sizes) == 1:
        sizes *= dims
    if len(sizes) != dims:
        raise RuntimeError(f"{name}: {what} must either be a single int, or a tuple of {_COUNTS[dims]}")
    return tuple(int(n) for n in sizes)


def _check_planes(name: str, input: Any, dims: int) -> None:
    if input.dim() not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"{name}: Expected {dims + 1}D or {dims + 2}D (batch mode) tensor, but got input{list(input.shape)}"
        )
    if 0 in input.shape[-dims - 1 :]:
        raise RuntimeError(
            f"{name}: Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with optional 0 dim batch size for "
            f"input, but got: {list(input.shape)}"
        )


@lru_cache(maxsize=512)
def _known(dims: int, shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any) -> Any:
    """Describe the windows of a pooling that nothing is wrong with."""
    if len(shape) not in (dims + 1, dims + 2) or 0 in shape[-dims - 1 :]:
        raise RuntimeError("to be told by name")
    kernel = _sizes(kernel, dims, "", "")
    stride = kernel if stride in (None, ()) else _sizes(stride, dims, "", "")
    sizes = (_sizes(padding, dims, "", ""), _sizes(dilation, dims, "", ""))
    return ops.strided_windows(shape[-dims:], kernel, stride, *sizes, bool(ceil_mode))


def _sliding(
    name: str, dims: int, input: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Any:
    """Check the arguments of a pooling and describe its windows."""
    try:
        return _known(dims, input._a.shape, kernel, stride, padding, dilation, ceil_mode)
    except (TypeError, RuntimeError):  # lists, which are no keys, and what is wrong
        pass
    kernel = _sizes(kernel, dims, name, "kernel_size")
    missing = stride is None or (isinstance(stride, Iterable) and not tuple(stride))
    stride = kernel if missing else _sizes(stride, dims, name, "stride")
    padding, dilation = _sizes(padding, dims, name, "padding"), _sizes(dilation, dims, name, "dilation")
    _check_planes(name, input, dims)
    try:
        return _windows(tuple(input._a.shape[-dims:]), kernel, stride, padding, dilation, bool(ceil_mode))
    except RuntimeError as error:
        name_the_call(error, name, (input,))
        raise


def _max_pool(dims: int, input: Any, windows: Any, return_indices: bool) -> Any:
    result = ops.max_pool(input, windows=windows)
    if not return_indices:
        return result
    return result, ops.max_pool_index(input.detach(), result.detach(), windows=windows)


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window: y[i] = max_k x[s i + d k - p].

    Shapes: (N, C, L) or (C, L) -> the same with floor((L + 2p - d (K - 1) - 1) / s) + 1 (``ceil_mode``: rounded up).
    ``return_indices``: also where each maximum is. RuntimeError for windows that do not fit.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.max_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    windows = _sliding("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool(1, input, windows, return_indices)


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window of (N, C, H, W) or (C, H, W); indices count within H * W.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.max_pool2d(torch.arange(4.0).reshape(1, 2, 2), 2)
    tensor([[[3.]]])
    """
    windows = _sliding("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool(2, input, windows, return_indices)


def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window of (N, C, D, H, W) or (C, D, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.max_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2), 2)
    tensor([[[[7.]]]])
    """
    windows = _sliding("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool(3, input, windows, return_indices)


def max_pool1d_with_indices(*args: Any, **kwargs: Any) -> Any:
    """Do what `max_pool1d` does, and give the places of the maxima too."""
    return max_pool1d(*args, **{**kwargs, "return_indices": True})


def max_pool2d_with_indices(*args: Any, **kwargs: Any) -> Any:
    """Do what `max_pool2d` does, and give the places of the maxima too."""
    return max_pool2d(*args, **{**kwargs, "return_indices": True})


def max_pool3d_with_indices(*args: Any, **kwargs: Any) -> Any:
    """Do what `max_pool3d` does, and give the places of the maxima too."""
    return max_pool3d(*args, **{**kwargs, "return_indices": True})


def _avg_pool(
    dims: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Any:
    windows = _sliding(f"avg_pool{dims}d", dims, input, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    return ops.avg_pool(input, windows=windows, include_padding=bool(count_include_pad), divisor=divisor_override)


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Mean of each window: y[i] = sum_k x[s i + k - p] / K; without ``count_include_pad`` K counts no padding.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.avg_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Mean of each window of (N, C, H, W) or (C, H, W); ``divisor_override`` replaces the count.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.avg_pool2d(torch.arange(4.0).reshape(1, 2, 2), 2)
    tensor([[[1.5000]]])
    """
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Mean of each window of (N, C, D, H, W) or (C, D, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.avg_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2), 2)
    tensor([[[[3.5000]]]])
    """
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _sharing(name: str, dims: int, input: Any, output_size: Any) -> Any:
    sizes = tuple(output_size) if isinstance(output_size, Iterable) else (output_size,) * dims
    if dims > 1 and isinstance(output_size, (tuple, list)) and getattr(input, "ndim", dims + 1) <= len(sizes):
        raise ValueError(f"Input dimension should be at least {len(sizes) + 1}: {name} of {show_type(input)}")
    _check_planes(name, input, dims)
    if len(sizes) != dims:
        raise RuntimeError(f"{name}: output_size must be {_COUNTS[dims]}, but got {sizes}")
    return _shares(tuple(input._a.shape[-dims:]), sizes)


def _sharing_average(name: str, dims: int, input: Any, output_size: Any) -> Any:
    windows = _sharing(name, dims, input, output_size)
    if all(w.outputs == 1 for w in windows):
        return input.mean(tuple(range(-dims, 0)), keepdim=True)
    return ops.avg_pool(input, windows=windows)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Mean of each of ``output_size`` windows that share the input out.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.adaptive_avg_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return _sharing_average("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Mean of each window of an ``output_size`` grid that shares (N, C, H, W) out; None keeps a dimension.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.adaptive_avg_pool2d(torch.arange(4.0).reshape(1, 2, 2), (1, None))
    tensor([[[1., 2.]]])
    """
    return _sharing_average("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Mean of each window of an ``output_size`` grid that shares (N, C, D, H, W) out.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.adaptive_avg_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2), 1)
    tensor([[[[3.5000]]]])
    """
    return _sharing_average("adaptive_avg_pool3d", 3, input, output_size)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Largest element of each of ``output_size`` windows that share the input out.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.adaptive_max_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    return _max_pool(1, input, _sharing("adaptive_max_pool1d", 1, input, output_size), return_indices)


@shown_as("AdaptiveMaxPool2DBackward0")
def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Largest element of each window of an ``output_size`` grid that shares (N, C, H, W) out.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.adaptive_max_pool2d(torch.arange(4.0).reshape(1, 2, 2), 1)
    tensor([[[3.]]])
    """
    return _max_pool(2, input, _sharing("adaptive_max_pool2d", 2, input, output_size), return_indices)


@shown_as("AdaptiveMaxPool3DBackward0")
def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Largest element of each window of an ``output_size`` grid that shares (N, C, D, H, W) out.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.adaptive_max_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2), 1)
    tensor([[[[7.]]]])
    """
    return _max_pool(3, input, _sharing("adaptive_max_pool3d", 3, input, output_size), return_indices)


def _with_places(dims: int) -> Any:
    pool = (adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d)[dims - 1]

    def call(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        return pool(input, output_size, True)

    call.__name__ = call.__qualname__ = f"adaptive_max_pool{dims}d_with_indices"
    call.__doc__ = f"Do what `adaptive_max_pool{dims}d` does, and give the places of the maxima too."
    return call


adaptive_max_pool1d_with_indices = _with_places(1)
adaptive_max_pool2d_with_indices = _with_places(2)
adaptive_max_pool3d_with_indices = _with_places(3)


def _lp_pool(dims: int, input: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Any:
    sizes = _sizes(kernel_size, dims, f"lp_pool{dims}d", "kernel_size")
    count = 1
    for size in sizes:
        count *= size
    total = _avg_pool(dims, input**norm_type, sizes, stride, 0, ceil_mode, True) * count
    return total ** (1.0 / norm_type)


def lp_pool1d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """Root of the sum of powers of each window: y = (sum x^p)^(1/p).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.lp_pool1d(torch.tensor([[3.0, 4.0]]), 2, 2)
    tensor([[5.]])
    """
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """Root of the sum of powers of each window of (N, C, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.lp_pool2d(torch.tensor([[[3.0, 4.0]]]), 2, (1, 2))
    tensor([[[5.]]])
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """Root of the sum of powers of each window of (N, C, D, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.lp_pool3d(torch.tensor([[[[3.0, 4.0]]]]), 2, (1, 1, 2))
    tensor([[[[5.]]]])
    """
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
