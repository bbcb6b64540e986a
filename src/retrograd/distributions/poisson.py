"""The Poisson distribution."""

from __future__ import annotations

from typing import Any

from ..core import no_grad
from ..nn import _functions as T
from . import constraints
from .distribution import ExponentialFamily
from .utils import broadcast_all, xlogy


class Poisson(ExponentialFamily):
    """Poisson distribution: P(k) = rate^k exp(-rate) / k!.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.Poisson(torch.tensor(2.0)).log_prob(torch.tensor(0.0))
    tensor(-2.)
    """

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    parameters = {"rate": 0}

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.rate

    @property
    def mode(self) -> Any:
        return self.rate.floor()

    @property
    def variance(self) -> Any:
        return self.rate

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return T.poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        rate, value = broadcast_all(self.rate, value)
        return xlogy(value, rate) - rate - T.lgamma(value + 1)
