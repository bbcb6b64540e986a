"""The gamma distribution."""

from __future__ import annotations

from typing import Any

from ..core import apply
from ..nn import _functions as T
from ..ops.special_rows import gammainc
from . import constraints
from .distribution import ExponentialFamily
from .implicit import standard_gamma
from .utils import broadcast_all, limits, xlogy


class Gamma(ExponentialFamily):
    """Gamma distribution: p(x) = rate^a x^(a - 1) exp(-rate x) / Gamma(a), a the concentration.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.Gamma(3.0, 2.0).mean
    tensor(1.5000)
    """

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support: Any = constraints.nonnegative
    has_rsample = True
    parameters = {"concentration": 0, "rate": 0}

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.concentration.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        value = standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        kept = value.detach().clamp(min=limits(value).tiny)
        return value + (kept - value.detach())

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        a, rate = self.concentration, self.rate
        return xlogy(a, rate) + xlogy(a - 1, value) - rate * value - T.lgamma(a)

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        a, x = T.broadcast_tensors(self.concentration, self.rate * value)
        return apply(gammainc, a, x)

    def entropy(self) -> Any:
        a = self.concentration
        return a - T.log(self.rate) + T.lgamma(a) + (1.0 - a) * T.digamma(a)
