"""Dropout in its forms: random zeros, elementwise or for whole channels, that keep the mean or also the variance."""

from __future__ import annotations

import math
from typing import Any

from ...core.warned import warn
from ...tensor.random_methods import dropout_mask
from .. import _functions as T
from ._common import in_place

_SELU_LOWEST = -1.7580993408473766  # what selu gives far below zero: -alpha * scale


def _check_probability(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _room(input: Any, channels: bool) -> Any:
    """Make memory for a number for each element, or one for each channel of each sample."""
    if not channels:
        return T.empty_like(input, requires_grad=False)
    if input.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return T.empty((*input.shape[:2], *[1] * (input.dim() - 2)), dtype=input.dtype)


def _dropped(input: Any, p: float, channels: bool) -> Any:
    if p == 1:
        return input * 0.0
    return input * dropout_mask(_room(input, channels), 1 - p)


def _alpha_dropped(input: Any, p: float, channels: bool) -> Any:
    """Put selu's lowest value where it drops, and keep mean 0 and variance 1 by a line a x + b."""
    if p == 1:
        return input * 0.0
    alpha = -_SELU_LOWEST
    a = 1 / math.sqrt((alpha * alpha * p + 1) * (1 - p))
    kept = _room(input, channels).bernoulli_(1 - p)
    shift = (kept - 1) * (alpha * a) + alpha * a * p
    return input * (kept * a) + shift


def _apply(function: Any, input: Any, p: float, training: bool, inplace: bool, channels: bool) -> Any:
    _check_probability(p)
    if p == 0 or not training or input.numel() == 0:
        return input
    return in_place(lambda x: function(x, p, channels), input) if inplace else function(input, p, channels)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Set elements to zero with probability p and divide the others by 1 - p; without ``training`` nothing changes.

    The mask is the generator's: with one seed it is torch's. Raises ValueError for p outside [0, 1].

    Source: Hinton et al. 2012, https://arxiv.org/abs/1207.0580.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.dropout(torch.ones(3), 0.5, training=False)
    tensor([1., 1., 1.])
    """
    return _apply(_dropped, input, p, training, inplace, False)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Set whole channels of (N, C, L) or (C, L) to zero with probability p.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.dropout1d(torch.ones(1, 2, 3), 1.0).sum()
    tensor(0.)
    """
    _check_probability(p)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that dropout1d exists to "
            "provide channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional "
            "batch dimension (i.e. 2D or 3D inputs)."
        )
    return _batched(input, p, training, inplace, input.dim() == 2)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Set whole channels of (N, C, H, W) to zero with probability p.

    Source: Tompson et al. 2014, https://arxiv.org/abs/1411.4280.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.dropout2d(torch.ones(1, 2, 3, 3), 1.0).sum()
    tensor(0.)
    """
    _check_probability(p)
    if input.dim() not in (3, 4):
        warn(_unexpected("dropout2d", input.dim()))
    elif input.dim() == 3:
        warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is desired "
            "- input is interpreted as shape (N, C, L), where C is the channel dim. This behavior will change in a "
            "future release to interpret the input as one without a batch dimension, i.e. shape (C, H, W). To maintain "
            "the 1D channel-wise dropout behavior, please switch to using dropout1d instead."
        )
    return _batched(input, p, training, inplace, False)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Set whole channels of (N, C, D, H, W) or (C, D, H, W) to zero with probability p.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.dropout3d(torch.ones(1, 2, 1, 1, 1), 1.0).sum()
    tensor(0.)
    """
    _check_probability(p)
    if input.dim() not in (4, 5):
        warn(_unexpected("dropout3d", input.dim()))
    return _batched(input, p, training, inplace, input.dim() == 4)


def _unexpected(name: str, dims: int) -> str:
    return (
        f"{name}: Received a {dims}-D input to {name}, which is deprecated and will result in an error in a future "
        "release. To retain the behavior and silence this warning, please use dropout instead. Note that "
        f"{name} exists to provide channel-wise dropout on inputs with {name[-2]} spatial dimensions, a channel "
        "dimension, and an optional batch dimension."
    )


def _batched(input: Any, p: float, training: bool, inplace: bool, single: bool) -> Any:
    """Drop channels, giving a single sample a batch dimension meanwhile."""
    if not single:
        return _apply(_dropped, input, p, training, inplace, True)
    if p == 0 or not training:
        return input
    dropped = _apply(_dropped, input.unsqueeze(0), p, training, False, True).squeeze(0)
    return input.copy_(dropped) if inplace else dropped


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout for selu: dropped elements become selu's lowest value; mean 0 and variance 1 are kept.

    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.alpha_dropout(torch.ones(3), 0.5, training=False)
    tensor([1., 1., 1.])
    """
    return _apply(_alpha_dropped, input, p, training, inplace, False)


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Alpha dropout of whole channels.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.feature_alpha_dropout(torch.ones(1, 2, 3), 0.5, training=False).sum()
    tensor(6.)
    """
    return _apply(_alpha_dropped, input, p, training, inplace, True)
