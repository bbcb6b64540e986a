"""Normalisations: y = (x - mean) / sqrt(var + eps), over batches, layers, groups or instances, then an affine map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...core import dtypes
from ...core.mode import MODE, no_grad
from ...core.strides import has_channels_last
from ...tensor import FUNCTIONS
from ...tensor.composed import composed
from ...tensor.functions.reductions import narrowed, widened
from .. import _functions as T
from ._common import pair_of_dtypes, require_floats


def _standardised(x: Any, dims: Any, eps: float) -> tuple[Any, Any, Any]:
    """Give x with mean 0 and variance 1 over ``dims``, the mean and the (biased) variance."""
    mean = x.mean(dims, keepdim=True)
    centred = x - mean
    var = T.square(centred).mean(dims, keepdim=True)
    return centred * T.rsqrt(var + eps), mean, var


def _wide(*xs: Any) -> list[Any]:
    """Cast half precisions to float32, in which statistics and the slopes of their roots stay in range."""
    return [x if x is None else widened(x) for x in xs]


def _affine(x: Any, weight: Any, bias: Any, shape: Sequence[int] | None = None) -> Any:
    """Give weight * x + bias, either being None or given ``shape`` first."""
    if weight is not None:
        x = x * (weight if shape is None else weight.reshape(shape))
    if bias is not None:
        x = x + (bias if shape is None else bias.reshape(shape))
    return x


def _blend(running: Any, seen: Any, momentum: float, factor: float = 1.0) -> None:
    """Move a running statistic towards what was seen: r <- (1 - momentum) r + momentum factor s."""
    if not MODE.special and running._node is None and running._base is None:
        a = running._a  # the same arithmetic without a tensor for each step of it
        found = seen._a.reshape(a.shape)
        if factor != 1:
            found = found * factor
        a *= 1 - momentum
        a += found.astype(a.dtype, copy=False) * momentum
        running._s.version += 1
        return
    with no_grad():
        if factor != 1:
            seen = seen.detach() * factor
        running.mul_(1 - momentum).add_(seen.detach().reshape(running.shape).to(running.dtype), alpha=momentum)


def _check_channels(channels: int, **vectors: Any) -> None:
    for name, vector in vectors.items():
        if vector is not None and vector.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {vector.numel()}")


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Standardise each channel over batch and space: y = (x - m) / sqrt(v + eps) * weight + bias.

    Shapes: input (N, C, ...); the others (C). In ``training`` m and v (biased) are the batch's, and the running
    statistics move by ``momentum`` towards m and the unbiased v; otherwise m and v are the running ones.

    Raises ValueError for one value per channel in training, RuntimeError for vectors of another length or dtype.

    Source: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.batch_norm(torch.tensor([[1.0], [3.0]]), None, None, training=True)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    shape = tuple(input.shape)
    if len(shape) < 2:
        raise IndexError(
            f"Dimension out of range: batch_norm needs an input of (N, C, ...), but got shape {list(shape)}"
        )
    channels = shape[1]
    count = input.numel() // channels if channels else 0
    if training and count == 1:
        raise ValueError(
            f"batch_norm: Expected more than 1 value per channel when training, got input size {input.size()}; "
            "give more samples, or call eval()"
        )
    if training and eps <= 0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {float(eps)}")
    if not training and (running_mean is None or running_var is None):
        missing = "running_mean" if running_mean is None else "running_var"
        raise RuntimeError(f"{missing} must be defined in evaluation mode")
    _check_channels(channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    require_floats("batch_norm", input)
    input = input if has_channels_last(input._a) else rows(input)
    pair_of_dtypes("batch_norm", input, running_mean, running_var, weight, bias)
    wide = input if weight is None or weight.dtype == input.dtype else input.to(weight.dtype)
    over = (0, *range(2, len(shape)))
    along = (1, channels) + (1,) * (len(shape) - 2)
    if not training:
        result = _frozen_norm(wide, running_mean, running_var, weight, bias, along, eps)
        return result if result.dtype is input.dtype else result.to(input.dtype)
    if MODE.mixing is not None:
        MODE.mixing("batch_norm", input)
    result, mean, var = _batch_norm(wide, weight, bias, over, along, eps)
    if running_mean is not None and count:
        _blend(running_mean, mean, momentum)
    if running_var is not None and count:
        _blend(running_var, var, momentum, count / (count - 1))
    return result if wide is input else result.to(input.dtype)


@composed("NativeBatchNormBackward0")
def _batch_norm(
    x: Any, weight: Any, bias: Any, over: tuple[int, ...], along: tuple[int, ...], eps: float
) -> tuple[Any, Any, Any]:
    """Give the result, and the mean and the (biased) variance of each channel."""
    given, (x, weight, bias) = x, _wide(x, weight, bias)
    mean = x.mean(over, keepdim=True)
    centred = x - mean
    var = T.square(centred).mean(over, keepdim=True)
    scale = T.rsqrt(var + eps)
    if weight is not None:
        scale = scale * weight.reshape(along)
    result = centred * scale
    return narrowed(result if bias is None else result + bias.reshape(along), given), mean, var


@composed("NativeBatchNormBackward0")
def _frozen_norm(x: Any, mean: Any, var: Any, weight: Any, bias: Any, along: tuple[int, ...], eps: float) -> Any:
    given, (x, mean, var, weight, bias) = x, _wide(x, mean, var, weight, bias)
    scale = T.rsqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    return narrowed(_affine(x - mean.reshape(along), scale, bias, along), given)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Standardise each channel of each sample over space: y = (x - m) / sqrt(v + eps) * weight + bias.

    Shapes: input (N, C, ...); the others (C). Running statistics, if given, move towards the batch's means of the
    samples' statistics. Raises ValueError for a single element in space.

    Source: Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.instance_norm(torch.tensor([[[1.0, 3.0]]]))
    tensor([[[-1.0000,  1.0000]]])
    """
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    shape = tuple(input.shape)
    count = math.prod(shape[2:])
    if count == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.size()}")
    _check_channels(shape[1], running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    require_floats("instance_norm", input)
    input = rows(input)
    pair_of_dtypes("instance_norm", input, running_mean, running_var, weight, bias)
    over = tuple(range(2, len(shape)))
    wide, weight, bias = _wide(input, weight, bias)
    result, mean, var = _standardised(wide, over, eps)
    if running_mean is not None:
        _blend(running_mean, mean.detach().mean(0), momentum)
    if running_var is not None:
        _blend(running_var, var.detach().mean(0), momentum, count / (count - 1))
    return narrowed(_affine(result, weight, bias, (1, shape[1]) + (1,) * len(over)), input)


def rows(x: Any) -> Any:
    """Give a Tensor laid out row by row, as torch's normalisations work on."""
    return x if x._a.flags.c_contiguous else x.contiguous()


def _check_normalized_shape(input: Any, normalized_shape: Any, star: str, **vectors: Any) -> tuple[int, ...]:
    """Give the dimensions to normalise over; raise torch's errors where the shapes do not fit."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, "
            f"but got normalized_shape = {list(shape)}"
        )
    for name, vector in vectors.items():
        if vector is not None and tuple(vector.shape) != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(vector.shape)} and normalized_shape = {list(shape)}"
            )
    if tuple(input.shape[-len(shape) :]) != shape:
        wanted = ", ".join(map(str, shape))
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [{star}{wanted}], "
            f"but got input of size{list(input.shape)}"
        )
    return tuple(range(-len(shape), 0))


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Standardise over the last dimensions: y = (x - m) / sqrt(v + eps) * weight + bias, v the biased variance.

    Shapes: input (..., *normalized_shape); weight and bias normalized_shape. RuntimeError when they do not fit.

    Source: Ba et al. 2016, https://arxiv.org/abs/1607.06450.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.layer_norm(torch.tensor([1.0, 3.0]), [2])
    tensor([-1.0000,  1.0000])
    """
    over = _check_normalized_shape(input, normalized_shape, "*, ", weight=weight, bias=bias)
    pair_of_dtypes("layer_norm", input, weight, bias)
    require_floats("layer_norm", input)
    input = rows(input)
    wide = input if weight is None or weight.dtype == input.dtype else input.to(weight.dtype)
    result = _layer_norm(wide, weight, bias, tuple(over), eps)
    return result if wide is input else result.to(input.dtype)


@composed("NativeLayerNormBackward0")
def _layer_norm(x: Any, weight: Any, bias: Any, over: tuple[int, ...], eps: float) -> Any:
    given, (x, weight, bias) = x, _wide(x, weight, bias)
    return narrowed(_affine(_standardised(x, over, eps)[0], weight, bias), given)


@composed("MulBackward0")
def _rms_norm(x: Any, weight: Any, over: tuple[int, ...], step: float) -> Any:
    given, (x, weight) = x, _wide(x, weight)
    return narrowed(_affine(x * T.rsqrt(T.square(x).mean(over, keepdim=True) + step), weight, None), given)


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """Divide by the root of the mean square over the last dimensions: y = x / sqrt(mean(x^2) + eps) * weight.

    ``eps`` is the dtype's smallest step by default.

    Source: Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.rms_norm(torch.tensor([3.0, 4.0]), [2])
    tensor([0.8485, 1.1314])
    """
    over = _check_normalized_shape(input, normalized_shape, "*", weight=weight)
    require_floats("rms_norm", input)
    input = rows(input)
    step = dtypes.finfo(input.dtype).eps if eps is None else eps
    return _rms_norm(input, weight, tuple(over), step)


@composed("NativeGroupNormBackward0")
def _group_norm(x: Any, groups: int, weight: Any, bias: Any, eps: float) -> Any:
    shape = x.shape
    given, (x, weight, bias) = x, _wide(x, weight, bias)
    width = shape[1] // groups * math.prod(shape[2:])
    result = _standardised(x.reshape(shape[0], groups, width), -1, eps)[0].reshape(shape)
    return narrowed(_affine(result, weight, bias, (1, shape[1]) + (1,) * (len(shape) - 2)), given)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Standardise groups of channels of each sample: y = (x - m) / sqrt(v + eps) * weight + bias.

    Shapes: input (N, C, ...), C divisible by ``num_groups``; weight and bias (C). RuntimeError otherwise.

    Source: Wu and He 2018, https://arxiv.org/abs/1803.08494.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.group_norm(torch.tensor([[1.0, 3.0]]), 1)
    tensor([[-1.0000,  1.0000]])
    """
    shape = tuple(input.shape)
    if len(shape) < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {len(shape)}")
    if shape[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(shape)} and num_groups={num_groups}"
        )
    if shape[0] * shape[1] // num_groups * math.prod(shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {list(shape)}")
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and (vector.dim() != 1 or vector.numel() != shape[1]):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(vector.shape)} and input of shape {list(shape)}"
            )
    require_floats("group_norm", input)
    pair_of_dtypes("group_norm", input, weight, bias)
    wide = input if weight is None or weight.dtype == input.dtype else input.to(weight.dtype)
    result = _group_norm(wide, num_groups, weight, bias, eps)
    return result if wide is input else result.to(input.dtype)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """Divide by the activity of neighbouring channels: y = x / (k + alpha * mean of x^2 over ``size`` channels)^beta.

    Shapes: input (N, C, ...) with at least one dimension of space; ValueError otherwise.

    Source: Krizhevsky et al. 2012.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.local_response_norm(torch.ones(1, 2, 1), 2, alpha=2.0, beta=1.0).flatten()
    tensor([0.5000, 0.3333])
    """
    if input.dim() < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.dim()} dimensions)")
    if input.numel() == 0:
        return input
    channels = input.shape[1]
    squares = T.square(input)
    before, after = size // 2, (size - 1) // 2
    edge = [*input.shape]
    edge[1] = 1
    totals = T.cat([T.zeros(edge, dtype=input.dtype), squares.cumsum(1)], 1)
    ends = [min(c + after + 1, channels) for c in range(channels)]
    starts = [max(c - before, 0) for c in range(channels)]
    near = totals[:, ends] - totals[:, starts]
    return input / (near * (alpha / size) + k) ** beta


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """Divide by the p-norm along a dimension: y = x / max(norm(x), eps).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.normalize(torch.tensor([3.0, 4.0]), dim=0)
    tensor([0.6000, 0.8000])
    """
    length = T.clamp(T.norm(input, p, dim, keepdim=True), min=eps)
    return input / length if out is None else FUNCTIONS["div"](input, length, out=out)
