"""The binomial distribution."""

from __future__ import annotations

from typing import Any

from ..core import no_grad
from ..nn import _functions as T
from . import constraints
from .bernoulli import Binary, cross_entropy


class Binomial(Binary):
    """Binomial distribution: successes in total_count trials, P(k) = C(n, k) p^k (1 - p)^(n - k).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.Binomial(10, torch.tensor(0.5)).variance
    tensor(2.5000)
    """

    arg_constraints = {"total_count": constraints.nonnegative_integer, **Binary.arg_constraints}
    parameters = {"total_count": 0, **Binary.parameters}
    has_enumerate_support = True

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.total_count, given = self._set(probs, logits, total_count)
        self.total_count = self.total_count.to(given.dtype)
        super().__init__(given.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Any:
        return self.total_count * self.probs

    @property
    def mode(self) -> Any:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return T.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        n = self.total_count
        ways = T.lgamma(n + 1) - T.lgamma(value + 1) - T.lgamma(n - value + 1)
        return ways + value * self.logits - n * cross_entropy(self.logits, T.zeros_like(self.logits))

    def entropy(self) -> Any:
        n = int(self.total_count.max())
        if not int(self.total_count.min()) == n:
            raise NotImplementedError("Inhomogeneous total count not supported by `entropy`.")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(T.exp(log_prob) * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Any:
        n = int(self.total_count.max())
        if not int(self.total_count.min()) == n:
            raise NotImplementedError("Inhomogeneous total count not supported by `enumerate_support`.")
        return self._enumerated(T.arange(1 + n, dtype=self.total_count.dtype), expand)
