"""Activations made of straight pieces, and the exponential linear ones, as layers."""

from __future__ import annotations

import warnings
from typing import Any

from .. import _functions as T
from .. import functional as F
from .. import init as _init
from ..parameter import Parameter
from .module import Module


class _InPlace(Module):
    """What layers share whose only choice is whether they write into their input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        """Say whether it writes into its input."""
        return "inplace=True" if self.inplace else ""


class Hardtanh(Module):
    """Clip to an interval: y = min(max(x, min_val), max_val).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Hardtanh()(torch.tensor([-3.0, 3.0]))
    tensor([-1.,  1.])
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        for old, new, value in (("min_value", "min_val", min_value), ("max_value", "max_val", max_value)):
            if value is not None:
                wanted = f"keyword argument `{old}` is deprecated and rename to `{new}`"
                warnings.warn(wanted, FutureWarning, stacklevel=2)
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise AssertionError(f"max_val ({self.max_val}) must be greater than min_val ({self.min_val})")

    def forward(self, input: Any) -> Any:
        """Clip."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """Give the interval."""
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class ReLU6(Hardtanh):
    """Clip to [0, 6].

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ReLU6()(torch.tensor([-1.0, 7.0]))
    tensor([0., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        """Say whether it writes into its input."""
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """Let a little of the negative through: y = x where x > 0, else negative_slope * x.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LeakyReLU(0.5)(torch.tensor([-1.0, 2.0]))
    tensor([-0.5000,  2.0000])
    """

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """Give the slope."""
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """Let a learned part of the negative through: y = x where x > 0, else a * x; a starts at ``init``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.PReLU()(torch.tensor([-1.0, 2.0])).tolist()
    [-0.25, 2.0]
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(T.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the slopes to their start."""
        _init.constant_(self.weight, self.init)

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """Give the number of slopes."""
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """Let a random part of the negative through while training: y = x where x > 0, else a * x, a ~ U(lower, upper).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.RReLU(0.25, 0.75).eval()(torch.tensor([-2.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        """Give the interval."""
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class ELU(Module):
    """Approach -alpha below: y = x where x > 0, else alpha * (exp(x) - 1).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ELU()(torch.tensor([-100.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """Give alpha."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class CELU(ELU):
    """Elu with a continuous slope: y = x where x > 0, else alpha * (exp(x / alpha) - 1).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.CELU(2.0)(torch.tensor([-100.0, 1.0]))
    tensor([-2.,  1.])
    """

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.celu(input, self.alpha, self.inplace)


class SELU(_InPlace):
    """Scaled elu, which keeps mean 0 and variance 1.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.SELU()(torch.ones(1))
    tensor([1.0507])
    """

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.selu(input, self.inplace)


class Hardsigmoid(_InPlace):
    """Sigmoid of straight lines: y = relu6(x + 3) / 6.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Hardsigmoid()(torch.zeros(1))
    tensor([0.5000])
    """

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        """Say nothing, as torch does."""
        return ""


class Hardswish(_InPlace):
    """Silu of straight lines: y = x * relu6(x + 3) / 6.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Hardswish()(torch.ones(1))
    tensor([0.6667])
    """

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        """Say nothing, as torch does."""
        return ""


class Hardshrink(Module):
    """Set the small to zero: y = 0 where abs(x) <= lambd, else x.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Hardshrink()(torch.tensor([0.3, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """Give the threshold."""
        return f"{self.lambd}"


class Softshrink(Module):
    """Move towards zero by lambd, and no further.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Softshrink()(torch.tensor([0.3, 2.0]))
    tensor([0.0000, 1.5000])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """Give the step."""
        return str(self.lambd)


class Threshold(Module):
    """Replace what is not above a threshold: y = x where x > threshold, else value.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Threshold(1.0, -5.0)(torch.tensor([0.1, 2.0]))
    tensor([-5.,  2.])
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        """Give the threshold and the value."""
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")
