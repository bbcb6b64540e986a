"""The negative binomial distribution."""

from __future__ import annotations

from typing import Any

from ..core import no_grad
from ..nn import _functions as T
from . import constraints
from .bernoulli import Binary
from .gamma import Gamma


def _log_sigmoid(x: Any) -> Any:
    return -T.logaddexp(-x, T.zeros_like(x))


class NegativeBinomial(Binary):
    """Negative binomial distribution: successes before total_count failures, probs being a success's.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.NegativeBinomial(3.0, torch.tensor(0.5)).mean
    tensor(3.)
    """

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    parameters = {"total_count": 0, **Binary.parameters}
    support = constraints.nonnegative_integer

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.total_count, given = self._set(probs, logits, total_count)
        self.total_count = self.total_count.to(given.dtype)
        super().__init__(given.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.total_count * T.exp(self.logits)

    @property
    def mode(self) -> Any:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Any:
        return self.mean / T.sigmoid(-self.logits)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            rate = Gamma(self.total_count, T.exp(-self.logits), validate_args=False).sample(sample_shape)
            return T.poisson(rate)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        n = self.total_count
        chance = n * _log_sigmoid(-self.logits) + value * _log_sigmoid(self.logits)
        ways = T.lgamma(n + value) - T.lgamma(1.0 + value) - T.lgamma(n)
        return chance + T.where(n + value == 0.0, 0.0, ways)
