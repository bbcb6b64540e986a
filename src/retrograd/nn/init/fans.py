"""What the initialisers' variances are made of: fan in, fan out and gains; and the fills that need neither."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ...core import dtypes, wrap
from ...core.mode import no_grad
from .. import _functions as T

_LINEAR = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Give the factor on the standard deviation that a nonlinearity asks for.

    1 for linear maps and sigmoid, 5/3 for tanh, sqrt(2) for relu, sqrt(2 / (1 + a^2)) for leaky_relu with slope a
    (``param``, 0.01 by default), 3/4 for selu. ValueError for another name.

    Examples
    --------
    >>> from retrograd import nn
    >>> nn.init.calculate_gain("tanh")
    1.6666666666666667
    """
    if nonlinearity in _LINEAR:
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is None:
            param = 0.01
        elif isinstance(param, bool) or not isinstance(param, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + param**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


def _calculate_fan_in_and_fan_out(tensor: Any) -> tuple[int, int]:
    """Give the numbers of inputs of an output and of outputs of an input, for a weight (out, in, *kernel)."""
    if tensor.dim() < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    shape = tensor.shape
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


def _calculate_correct_fan(tensor: Any, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Any:
    """Fill with draws from U(a, b), whose variance is (b - a)^2 / 12.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.init.uniform_(torch.empty(3), 1.0, 2.0).min() >= 1
    tensor(True)
    """
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Any:
    """Fill with draws from N(mean, std^2).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.init.normal_(torch.empty(3)).shape
    torch.Size([3])
    """
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Any:
    """Fill with draws from N(mean, std^2) conditioned on [a, b], by rejection.

    Where the normal puts more than 0.3 of its weight between the bounds, draws outside are made again; elsewhere
    uniform draws x are kept with probability phi(x) / max phi. The variance is std^2 (1 + (u phi(u) - v phi(v)) / Z -
    ((phi(u) - phi(v)) / Z)^2), u and v the standardised bounds, phi the normal density, Z the weight between them.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.init.trunc_normal_(torch.empty(100), std=5.0).abs().max() <= 2
    tensor(True)
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    low, high = (0.5 * (1 + math.erf((bound - mean) / std / math.sqrt(2))) for bound in (a, b))
    with no_grad():
        if tensor.is_meta:
            return tensor
        if high - low > 0.3:
            return _redrawn(tensor, mean, std, a, b, generator)
        return _thinned(tensor, mean, std, a, b, generator)


def _redrawn(tensor: Any, mean: float, std: float, a: float, b: float, generator: Any) -> Any:
    """Draw normals, and all of them again for those outside the bounds until none is."""
    low, high = (float(tensor.new_tensor(bound)) for bound in (a, b))
    tensor.normal_(mean, std, generator=generator)
    outside = (tensor < low) | (tensor > high)
    while outside.any():
        again = T.empty_like(tensor, requires_grad=False).normal_(mean, std, generator=generator)
        tensor.copy_(T.where(outside, again, tensor))
        outside = (tensor < low) | (tensor > high)
    return tensor


def _thinned(tensor: Any, mean: float, std: float, a: float, b: float, generator: Any) -> Any:
    """Draw uniforms, and keep each with the probability that its density has of the highest one."""
    peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
    drawn, chance = (T.empty_like(tensor, requires_grad=False) for _ in range(2))
    pending = T.ones_like(tensor, dtype=dtypes.bool_, requires_grad=False)
    while pending.any():
        drawn.uniform_(a, b, generator=generator)
        tensor.copy_(T.where(pending, drawn, tensor))
        height = drawn.sub_(mean).div_(std).pow_(2).mul_(-0.5).sub_(peak)
        pending = pending & (chance.uniform_(generator=generator).log_() > height)
    return tensor


def constant_(tensor: Any, val: float) -> Any:
    """Fill with one value.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.init.constant_(torch.empty(2), 0.3)
    tensor([0.3000, 0.3000])
    """
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Any) -> Any:
    """Fill with ones.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.init.ones_(torch.empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def zeros_(tensor: Any) -> Any:
    """Fill with zeros.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.init.zeros_(torch.empty(2))
    tensor([0., 0.])
    """
    with no_grad():
        return tensor.zero_()


def eye_(tensor: Any) -> Any:
    """Fill a matrix with the identity, so that a linear layer passes its input on; ValueError unless 2-D.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.init.eye_(torch.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with no_grad():
        return tensor.copy_(wrap(np.eye(*tensor.shape)))


def dirac_(tensor: Any, groups: int = 1) -> Any:
    """Fill a convolution's weight so that it passes its input on, channel by channel, in each group.

    Raises ValueError unless the weight has 3, 4 or 5 dimensions and the first is divisible by ``groups``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.init.dirac_(torch.empty(1, 1, 3))
    tensor([[[0., 1., 0.]]])
    """
    if tensor.dim() not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    sizes = tensor.shape
    if sizes[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    per_group = sizes[0] // groups
    centre = tuple(size // 2 for size in sizes[2:])
    with no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(min(per_group, sizes[1])):
                tensor[(group * per_group + channel, channel, *centre)] = 1
    return tensor


def sparse_(tensor: Any, sparsity: float, std: float = 0.01, generator: Any = None) -> Any:
    """Fill a matrix with draws from N(0, std^2), of which a part ``sparsity`` of each column is set to zero.

    The variance is (1 - sparsity) std^2. ValueError unless 2-D. Source: Martens 2010, Deep learning via Hessian-free
    optimization.

    Examples
    --------
    >>> import retrograd as torch
    >>> (torch.nn.init.sparse_(torch.empty(10, 2), 0.3) == 0).sum(0)
    tensor([3, 3])
    """
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with no_grad():
        tensor.normal_(0, std, generator=generator)
        for column in range(columns):
            tensor[T.randperm(rows)[:zeros], column] = 0
    return tensor
