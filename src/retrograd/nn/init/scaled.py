"""Initialisers that keep the variance of what flows forward, backward or both: Glorot's, He's, orthogonal matrices."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ...core import wrap
from ...core.mode import no_grad
from .fans import _calculate_correct_fan, _calculate_fan_in_and_fan_out, calculate_gain


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Fill with draws from U(-b, b), b = gain * sqrt(6 / (fan_in + fan_out)): variance 2 gain^2 / (fan_in + fan_out).

    Forward alone would ask for 1 / fan_in, backward for 1 / fan_out; this is between the two. ValueError for fewer than
    two dimensions.

    Source: Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.init.xavier_uniform_(torch.empty(3, 3)).abs().max() <= 1
    tensor(True)
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    bound = math.sqrt(3.0) * std
    with no_grad():
        return tensor.uniform_(-bound, bound, generator=generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Fill with draws from N(0, std^2), std = gain * sqrt(2 / (fan_in + fan_out)).

    Source: Glorot and Bengio 2010.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.init.xavier_normal_(torch.empty(3, 5)).shape
    torch.Size([3, 5])
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    with no_grad():
        return tensor.normal_(0.0, std, generator=generator)


def _he_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float | None:
    """Give He's standard deviation; None, with a warning, for a tensor without elements."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return None
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Any:
    """Fill with draws from U(-b, b), b = gain * sqrt(3 / fan): variance gain^2 / fan.

    gain is `calculate_gain` of the nonlinearity: gain^2 = 2 / (1 + a^2) for a leaky relu of slope ``a``, hence He's
    2 / fan for relu. ``mode`` "fan_in" keeps the variance forward, "fan_out" backward. With a = sqrt(5), as the layers
    have it by default, the variance is 1 / (3 fan), a sixth of He's.

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.init.kaiming_uniform_(torch.empty(5, 6)).abs().max() <= 1
    tensor(True)
    """
    std = _he_std(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    bound = math.sqrt(3.0) * std
    with no_grad():
        return tensor.uniform_(-bound, bound, generator=generator)


def kaiming_normal_(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Any:
    """Fill with draws from N(0, gain^2 / fan); for relu that is He's variance 2 / fan.

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.init.kaiming_normal_(torch.empty(5, 6), mode="fan_out").shape
    torch.Size([5, 6])
    """
    std = _he_std(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    with no_grad():
        return tensor.normal_(0, std, generator=generator)


def orthogonal_(tensor: Any, gain: float = 1, generator: Any = None) -> Any:
    """Fill with gain times a random matrix whose rows (or columns, if there are fewer) are orthonormal.

    The weight is seen as (first size, all others). The entries' variance is gain^2 / max(rows, columns), and the length
    of a vector is kept where columns <= rows. ValueError for fewer than two dimensions.

    Source: Saxe et al. 2013, https://arxiv.org/abs/1312.6120.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.nn.init.orthogonal_(torch.empty(2, 5))
    >>> torch.allclose(w @ w.T, torch.eye(2), atol=1e-5)
    True
    """
    if tensor.dim() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.size(0)
    columns = tensor.numel() // rows
    with no_grad():
        drawn = tensor.new_empty((rows, columns)).normal_(0, 1, generator=generator)
        wide = rows < columns
        q, r = np.linalg.qr(drawn._a.T if wide else drawn._a)
        q = q * np.sign(np.diag(r))  # the sign that makes the matrix uniform among the orthogonal ones
        tensor.copy_(wrap(np.ascontiguousarray(q.T if wide else q)).reshape(tensor.shape))
        return tensor.mul_(gain)
