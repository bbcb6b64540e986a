"""The generalized Pareto distribution: what lies beyond a threshold."""

from __future__ import annotations

import math
from typing import Any

from ..nn import _functions as T
from . import constraints
from .distribution import Distribution
from .utils import broadcast_all, is_number


class GeneralizedPareto(Distribution):
    """Generalized Pareto distribution: F(x) = 1 - (1 + k z)^(-1/k), z = (x - loc) / scale, k = concentration.

    For k = 0 it is the exponential distribution, F(x) = 1 - exp(-z).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.GeneralizedPareto(0.0, 1.0, 0.0).cdf(torch.tensor(1.0))
    tensor(0.6321)
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True
    parameters = {"loc": 0, "scale": 0, "concentration": 0}

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        numbers = all(is_number(x) for x in (loc, scale, concentration))
        super().__init__(() if numbers else self.loc.shape, (), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        low = self.loc
        bounded = self.concentration < 0
        high = T.where(bounded, low - self.scale / self.concentration, T.full_like(low, math.inf))
        return constraints.interval(low, high)

    def _exponential(self) -> Any:
        """Tell where k is zero, as near as float64's rounding goes."""
        return T.isclose(self.concentration, self.concentration.new_zeros(()))

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(T.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        z, near = (value - self.loc) / self.scale, self._exponential()
        k = T.where(near, T.ones_like(self.concentration), self.concentration)
        return -self.scale.log() + T.where(near, -z, -(1 / k + T.ones_like(z)) * T.log1p(k * z))

    def log_survival_function(self, value: Any) -> Any:
        """Give the logarithm of the probability of larger values."""
        if self._validate_args:
            self._validate_sample(value)
        z, near = (value - self.loc) / self.scale, self._exponential()
        k = T.where(near, T.ones_like(self.concentration), self.concentration)
        return T.where(near, -z, -T.log1p(k * z) / k)

    def log_cdf(self, value: Any) -> Any:
        """Give the logarithm of the probability of values up to this one."""
        return T.log1p(-T.exp(self.log_survival_function(value)))

    def cdf(self, value: Any) -> Any:
        return T.exp(self.log_cdf(value))

    def icdf(self, value: Any) -> Any:
        near = self._exponential()
        k = T.where(near, T.ones_like(self.concentration), self.concentration)
        log_rest = T.log1p(-value)
        moved = T.where(near, -log_rest, T.expm1(-k * log_rest) / k)
        return self.loc + self.scale * moved

    @property
    def mean(self) -> Any:
        k = self.concentration
        finite = k < 1
        safe = T.where(finite, k, 0.5)
        return T.where(finite, self.loc + self.scale / (1 - safe), math.nan)

    @property
    def variance(self) -> Any:
        k = self.concentration
        finite = k < 0.5
        safe = T.where(finite, k, 0.25)
        return T.where(finite, self.scale**2 / ((1 - safe) ** 2 * (1 - 2 * safe)), math.nan)

    def entropy(self) -> Any:
        return T.log(self.scale) + self.concentration + 1

    @property
    def mode(self) -> Any:
        return self.loc
