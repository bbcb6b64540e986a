"""Activation functions made of straight pieces: leaky, random, hard and shrinking ones."""

from __future__ import annotations

from typing import Any

from ...core import dtypes
from ...tensor import Tensor
from ...tensor.composed import composed
from ...tensor.dispatch import labelled, shown_as
from ...tensor.functions.reductions import narrowed, widened
from .. import _functions as T
from ._common import in_place, require_floats


@composed("HardtanhBackward0")
def _clipped(x: Any, low: float, high: float) -> Any:
    return T.where((x > low) & (x < high), x, T.clamp(x.detach(), low, high))


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Clip to an interval: y = min(max(x, min_val), max_val); its slope is 0 at both ends.

    Raises ValueError when ``min_val`` is above ``max_val``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.hardtanh(torch.tensor([-3.0, 0.5, 3.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """
    if inplace:
        return in_place(lambda x: hardtanh(x, min_val, max_val), input)
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input._a.dtype.kind == "b":
        raise RuntimeError("Bool inputs not supported for hardtanh: convert the input with .float()")
    if input._a.dtype.kind == "u" and (min_val < 0 or max_val < 0):
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    if input._a.dtype.kind in "iu":
        return T.clamp(input, int(min_val), int(max_val))
    return _clipped(input, min_val, max_val)


def hardtanh_(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """Clip to an interval, in place."""
    return hardtanh(input, min_val, max_val, inplace=True)


def relu6(input: Any, inplace: bool = False) -> Any:
    """Clip to [0, 6]: y = min(max(x, 0), 6).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.relu6(torch.tensor([-1.0, 2.0, 7.0]))
    tensor([0., 2., 6.])
    """
    return hardtanh(input, 0.0, 6.0, inplace)


@composed("LeakyReluBackward0")
def _leaky(x: Any, slope: float) -> Any:
    return T.where(x > 0, x, x * slope)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """Let a little of the negative through: y = x where x > 0, else negative_slope * x.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.leaky_relu(torch.tensor([-1.0, 2.0]), 0.5)
    tensor([-0.5000,  2.0000])
    """
    require_floats("leaky_relu", input)
    if inplace:
        return in_place(lambda x: leaky_relu(x, negative_slope), input)
    return _leaky(input, negative_slope)


def leaky_relu_(input: Any, negative_slope: float = 0.01) -> Any:
    """Let a little of the negative through, in place."""
    return leaky_relu(input, negative_slope, inplace=True)


def prelu(input: Any, weight: Any) -> Any:
    """Let a learned part of the negative through: y = x where x > 0, else weight * x.

    ``weight`` holds one number, or one for each channel (the second dimension). RuntimeError for another size.

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.prelu(torch.tensor([-1.0, 2.0]), torch.tensor([0.25]))
    tensor([-0.2500,  2.0000])
    """
    if weight.dim() > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.dim()}")
    if weight.numel() != 1:
        channels = input.size(1) if input.dim() >= 2 else 1
        if input.dim() == 0:
            raise RuntimeError("prelu: Not allow zero-dim input tensor.")
        if channels != weight.numel():
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.numel()} "
                f"and channel size = {channels}."
            )
        weight = weight.reshape(-1, *[1] * (input.dim() - 2))
    elif weight.dim() == 1 and input.dim() == 0:
        weight = weight.reshape(())
    return labelled(T.where(input > 0, input, weight * input), "PreluKernelBackward0")


@shown_as("RreluWithNoiseBackward0")
def rrelu(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Any:
    """Let a random part of the negative through: y = x where x > 0, else a * x, a ~ U(lower, upper).

    Without ``training`` a is the middle of the interval.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.rrelu(torch.tensor([-2.0, 2.0]), 0.25, 0.75)
    tensor([-1.,  2.])
    """
    require_floats("rrelu", input)
    if lower > upper:
        raise RuntimeError(f"Lower bound should be less than or equal to the upper bound, got [{lower}, {upper}]")
    if inplace:
        return in_place(lambda x: rrelu(x, lower, upper, training), input)
    if not training:
        return leaky_relu(input, (lower + upper) / 2)
    negative = input.detach() <= 0
    drawn = T.empty(int(negative.sum()), dtype=dtypes.float64).uniform_(lower, upper)
    slopes = T.ones_like(input, requires_grad=False)
    slopes[negative] = drawn.to(input.dtype)
    return input * slopes


def rrelu_(input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Any:
    """Let a random part of the negative through, in place."""
    return rrelu(input, lower, upper, training, inplace=True)


@composed("HardsigmoidBackward0")
def _hardsigmoid(x: Any) -> Any:
    return relu6(x + 3) / 6


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """Sigmoid of straight lines: y = relu6(x + 3) / 6.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.hardsigmoid(torch.tensor([-4.0, 0.0, 4.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    require_floats("hardsigmoid", input)
    return in_place(hardsigmoid, input) if inplace else _hardsigmoid(input)


@composed("HardswishBackward0")
def _hardswish(x: Any) -> Any:
    return x * relu6(x + 3) / 6


def hardswish(input: Any, inplace: bool = False) -> Any:
    """Silu of straight lines: y = x * relu6(x + 3) / 6.

    Source: Howard et al. 2019, https://arxiv.org/abs/1905.02244.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.hardswish(torch.tensor([-4.0, 1.0, 4.0]))
    tensor([-0.0000,  0.6667,  4.0000])
    """
    require_floats("hardswish", input)
    return in_place(hardswish, input) if inplace else _hardswish(input)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """Set the small to zero: y = 0 where abs(x) <= lambd, else x.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.hardshrink(torch.tensor([-0.3, 0.7]))
    tensor([0.0000, 0.7000])
    """
    require_floats("hardshrink", input)
    return input.masked_fill((input >= -lambd) & (input <= lambd), 0)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """Move towards zero: y = x - lambd where x > lambd, x + lambd where x < -lambd, else 0.

    Raises RuntimeError for a negative ``lambd``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.softshrink(torch.tensor([-1.5, 0.2]))
    tensor([-1.,  0.])
    """
    require_floats("softshrink", input)
    if not lambd >= 0:
        raise RuntimeError(
            f"lambda must be in range [0, {dtypes.finfo(input.dtype).max:g}] for input dtype {input.dtype}, "
            f"but found {lambd:g}"
        )
    wide = widened(input)
    return narrowed(wide - T.clamp(wide, -lambd, lambd), input)


@shown_as("ThresholdBackward0")
def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """Replace what is not above a threshold: y = x where x > threshold, else value.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.threshold(torch.tensor([0.1, 2.0]), 1.0, -5.0)
    tensor([-5.,  2.])
    """
    if inplace:
        return in_place(lambda x: x.masked_fill(x <= threshold, value), input)
    return input.masked_fill(input <= threshold, value)


def threshold_(input: Any, threshold: float, value: float) -> Any:
    """Replace what is not above a threshold, in place."""
    return in_place(lambda x: x.masked_fill(x <= threshold, value), input)


Tensor.prelu = prelu  # type: ignore[attr-defined]
Tensor.hardshrink = hardshrink  # type: ignore[attr-defined]
