"""Losses between numbers: squared, absolute and their mixtures, negative log likelihoods of Poisson and Gauss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import here, shapes_error
from ...core.mode import mode
from ...core.warned import warn
from ...tensor.composed import composed
from ...tensor.dispatch import labelled
from .. import _functions as T
from ._common import reduced, reduction_of


def _warn_of_sizes(name: str, input: Any, target: Any) -> None:
    if target._a.shape != input._a.shape:
        warn(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). "
            "This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size."
        )
        try:
            np.broadcast_shapes(input._a.shape, target._a.shape)
        except ValueError:
            raise shapes_error(name, (input, target), here()) from None


def _refuse_integers(name: str, input: Any, target: Any) -> None:
    if input._a.dtype.kind in "iub" and target._a.dtype.kind in "iub":
        raise NotImplementedError(
            f'"{name}" not implemented for {input.dtype} and {target.dtype}: a loss needs floating-point numbers; '
            "convert one with .float()"
        )


def _weighted(losses: Any, weight: Any, input: Any, reduction: str) -> Any:
    """Reduce weighted losses; their mean is over the sum of the weights."""
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    if reduction == "mean":
        return (losses * weight).sum() / weight.sum()
    return reduced(losses * weight, reduction)


@composed("MseLossBackward0")
def _mean_square(input: Any, target: Any) -> Any:
    return T.square(input - target).mean()


def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """Least squares: the mean of (x - y)^2.

    Shapes: input and target alike (a UserWarning says when they broadcast); the result is 0-d unless
    ``reduction="none"``. Raises NotImplementedError for two tensors of integers, ValueError for an unknown reduction.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.0]))
    tensor(2.5000)
    """
    _warn_of_sizes("mse_loss", input, target)
    reduction = reduction_of(reduction, size_average, reduce)
    _refuse_integers("mse_loss", input, target)
    if weight is None and reduction == "mean":
        return _mean_square(input, target)
    losses = T.square(input - target)
    return reduced(losses, reduction) if weight is None else _weighted(losses, weight, input, reduction)


def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """Absolute error: the mean of abs(x - y).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.l1_loss(torch.tensor([1.0, -2.0]), torch.zeros(2))
    tensor(1.5000)
    """
    _warn_of_sizes("l1_loss", input, target)
    reduction = reduction_of(reduction, size_average, reduce)
    losses = T.abs(input - target)
    return reduced(losses, reduction) if weight is None else _weighted(losses, weight, input, reduction)


@composed("SmoothL1LossBackward0")
def _near_far(error: Any, width: float) -> Any:
    """Give error^2 / 2 where abs(error) < width, else width * (abs(error) - width / 2)."""
    size = T.abs(error)
    far = size.detach() >= width
    # the square of what is far is not taken: infinite, it would make the slope NaN
    return T.where(far, (size - 0.5 * width) * width, T.square(T.where(far, 0.0, error)) * 0.5)


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """Squared near zero and absolute beyond: d^2 / (2 beta) where abs(d) < beta, else abs(d) - beta / 2; d = x - y.

    Raises RuntimeError for a negative ``beta``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.smooth_l1_loss(torch.tensor([0.5, 3.0]), torch.zeros(2), reduction="none")
    tensor([0.1250, 2.5000])
    """
    _warn_of_sizes("smooth_l1_loss", input, target)
    reduction = reduction_of(reduction, size_average, reduce)
    if beta == 0:
        return reduced(T.abs(input - target), reduction)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta: {beta}")
    _refuse_integers("smooth_l1_loss", input, target)
    losses = _near_far(input - target, beta)
    return labelled(reduced(losses if beta == 1 else losses / beta, reduction), "SmoothL1LossBackward0")


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """Squared near zero and absolute beyond: d^2 / 2 where abs(d) < delta, else delta (abs(d) - delta / 2); d = x - y.

    Raises RuntimeError for ``delta`` <= 0.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.huber_loss(
    ...     torch.tensor([0.5, 3.0]), torch.zeros(2), reduction="none", delta=2.0
    ... )
    tensor([0.1250, 4.0000])
    """
    _warn_of_sizes("huber_loss", input, target)
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta: {delta}")
    _refuse_integers("huber_loss", input, target)
    losses = _near_far(input - target, delta)
    if weight is None:
        return labelled(reduced(losses, reduction), "HuberLossBackward0")
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    return reduced(losses * weight, reduction)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Negative log likelihood of a Poisson rate: exp(x) - y x, or x - y log(x + eps) without ``log_input``.

    ``full`` adds Stirling's y log y - y + log(2 pi y) / 2 where y > 1.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.poisson_nll_loss(torch.zeros(2), torch.ones(2))
    tensor(1.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    losses = T.exp(input) - target * input if log_input else input - target * T.log(input + eps)
    if full:
        large = target > 1
        safe = T.where(large, target, T.ones_like(target))
        losses = losses + T.where(
            large, safe * T.log(safe) - safe + 0.5 * T.log(2 * math.pi * safe), T.zeros_like(target)
        )
    return reduced(losses, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """Negative log likelihood of a Gaussian's mean x and variance v: (log v + (x - y)^2 / v) / 2, v at least ``eps``.

    ``full`` adds log(2 pi) / 2. Raises ValueError for a negative variance or one whose shape does not fit.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.gaussian_nll_loss(torch.ones(2), torch.zeros(2), torch.ones(2))
    tensor(0.5000)
    """
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * T.ones_like(input)
    elif mode().trace is None and bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not _one_size_differs(input.shape, var.shape):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    # the floor moves the value and leaves the slope, as torch has it
    var = var + (var.detach().clamp(min=eps) - var.detach())
    losses = 0.5 * (T.log(var) + T.square(input - target) / var)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduced(losses, reduction)


def _one_size_differs(a: Any, b: Any) -> bool:
    return len(a) == len(b) and sum(n for m, n in zip(a, b, strict=True) if m != n) == 1
