"""Smooth activations as layers, and relu and softmax."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .attention import MultiheadAttention
from .module import Module
from .piecewise import (
    CELU,
    ELU,
    SELU,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    PReLU,
    ReLU6,
    RReLU,
    Softshrink,
    Threshold,
)

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "MultiheadAttention",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class ReLU(Module):
    """Keep what is positive: y = max(x, 0).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ReLU()(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Keep what is positive."""
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        """Say whether it writes into its input."""
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """Squash to (0, 1): y = 1 / (1 + exp(-x)).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Sigmoid()(torch.zeros(1))
    tensor([0.5000])
    """

    def forward(self, input: Any) -> Any:
        """Squash."""
        return F.sigmoid(input)


class Tanh(Module):
    """Squash to (-1, 1): y = tanh(x).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Tanh()(torch.zeros(1))
    tensor([0.])
    """

    def forward(self, input: Any) -> Any:
        """Squash."""
        return F.tanh(input)


class GELU(Module):
    """Weigh by the normal distribution: y = x * Phi(x), or its approximation by "tanh".

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.GELU()(torch.ones(1))
    tensor([0.8413])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        """Weigh."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        """Name the approximation."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """Weigh by the sigmoid: y = x * sigmoid(x).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.SiLU()(torch.ones(1))
    tensor([0.7311])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Weigh."""
        return F.silu(input, self.inplace)

    def extra_repr(self) -> str:
        """Say whether it writes into its input."""
        return "inplace=True" if self.inplace else ""


class Mish(Module):
    """Smooth and self-gated: y = x * tanh(softplus(x)).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Mish()(torch.ones(1))
    tensor([0.8651])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Gate."""
        return F.mish(input, self.inplace)

    def extra_repr(self) -> str:
        """Say whether it writes into its input."""
        return "inplace=True" if self.inplace else ""


class Softplus(Module):
    """Smooth relu: y = log(1 + exp(beta * x)) / beta.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Softplus()(torch.zeros(1))
    tensor([0.6931])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """Give the constants."""
        return f"beta={self.beta}, threshold={self.threshold}"


class LogSigmoid(Module):
    """Logarithm of the sigmoid: y = -log(1 + exp(-x)).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LogSigmoid()(torch.zeros(1))
    tensor([-0.6931])
    """

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.logsigmoid(input)


class Softsign(Module):
    """Squash to (-1, 1) slowly: y = x / (1 + abs(x)).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Softsign()(torch.ones(1))
    tensor([0.5000])
    """

    def forward(self, input: Any) -> Any:
        """Squash."""
        return F.softsign(input)


class Tanhshrink(Module):
    """What tanh takes away: y = x - tanh(x).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Tanhshrink()(torch.ones(1))
    tensor([0.2384])
    """

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.tanhshrink(input)


class GLU(Module):
    """Gate one half by the other: y = a * sigmoid(b), x = [a, b] along ``dim``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.GLU()(torch.tensor([2.0, 0.0]))
    tensor([1.])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Gate."""
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        """Give the dimension."""
        return f"dim={self.dim}"


class Softmax(Module):
    """Turn numbers into probabilities: y_i = exp(x_i) / sum_j exp(x_j) along ``dim``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Softmax(dim=0)(torch.zeros(2))
    tensor([0.5000, 0.5000])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.softmax(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        """Give the dimension."""
        return f"dim={self.dim}"


class Softmin(Module):
    """Turn numbers into probabilities, the smallest the likeliest: softmax(-x).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Softmin(dim=0)(torch.zeros(2))
    tensor([0.5000, 0.5000])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.softmin(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        """Give the dimension."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """Logarithm of the softmax: y_i = x_i - log sum_j exp(x_j) along ``dim``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LogSoftmax(dim=0)(torch.zeros(2))
    tensor([-0.6931, -0.6931])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.log_softmax(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        """Give the dimension."""
        return f"dim={self.dim}"


class Softmax2d(Module):
    """Softmax over the channels of (N, C, H, W) or (C, H, W); ValueError for other inputs.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Softmax2d()(torch.zeros(2, 1, 1)).flatten()
    tensor([0.5000, 0.5000])
    """

    def forward(self, input: Any) -> Any:
        """Apply it."""
        if input.dim() not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead")
        return F.softmax(input, -3, _stacklevel=5)
