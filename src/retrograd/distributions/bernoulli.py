"""The Bernoulli distribution."""

from __future__ import annotations

from typing import Any

from ..core import no_grad
from ..nn import _functions as T
from . import constraints
from .distribution import ExponentialFamily
from .utils import broadcast_all, exactly_one, lazy_property, logits_to_probs, probs_to_logits


class Binary(ExponentialFamily):
    """A distribution with the probability of a success, given as ``probs`` or as log odds ``logits``."""

    arg_constraints: Any = {"probs": constraints.unit_interval, "logits": constraints.real}
    parameters = {"probs": 0, "logits": 0}

    def _set(self, probs: Any, logits: Any, *more: Any) -> tuple[Any, ...]:
        """Keep the parametrisation that is given; give further parameters in its shape."""
        exactly_one(type(self).__name__, probs=probs, logits=logits)
        *rest, given = broadcast_all(*more, probs if probs is not None else logits)
        self.__dict__["probs" if probs is not None else "logits"] = given
        return (*rest, given)

    @lazy_property
    def logits(self) -> Any:
        """The log odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        """The probability of a success."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter that was given."""
        return self.__dict__["probs" if "probs" in self.__dict__ else "logits"].size()


def cross_entropy(logits: Any, target: Any) -> Any:
    """Give -(target log p + (1 - target) log(1 - p)) for log odds: log(1 + exp(l)) - l target."""
    return T.logaddexp(logits, T.zeros_like(logits)) - logits * target


class Bernoulli(Binary):
    """Bernoulli distribution: 1 with probability p, 0 with 1 - p.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.Bernoulli(torch.tensor(0.5)).log_prob(torch.tensor(1.0))
    tensor(-0.6931)
    """

    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        (given,) = self._set(probs, logits)
        super().__init__(given.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        likelier = (self.probs >= 0.5).to(self.probs.dtype)
        return T.where(self.probs == 0.5, float("nan"), likelier)

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return T.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -cross_entropy(logits, value)

    def entropy(self) -> Any:
        return cross_entropy(self.logits, self.probs)

    def enumerate_support(self, expand: bool = True) -> Any:
        return self._enumerated(T.arange(2, dtype=self.probs.dtype), expand)
