"""The continuous Bernoulli distribution: a density on [0, 1] of the Bernoulli's form."""

from __future__ import annotations

import math
from typing import Any

from ..nn import _functions as T
from ..nn.functional import binary_cross_entropy_with_logits
from . import constraints
from .distribution import ExponentialFamily
from .utils import broadcast_all, clamp_probs, is_number, lazy_property, logits_to_probs, probs_to_logits


class ContinuousBernoulli(ExponentialFamily):
    """Continuous Bernoulli distribution: p(x) = C(p) p^x (1 - p)^(1 - x) on [0, 1] (Loaiza-Ganem and Cunningham 2019).

    Between the two ``lims`` around 1/2, where the closed forms cancel, Taylor polynomials in p - 1/2 are used.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.ContinuousBernoulli(torch.tensor(0.5)).mean
    tensor(0.5000)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    parameters = {"probs": 0, "logits": 0}

    def __init__(
        self, probs: Any = None, logits: Any = None, lims: Any = (0.499, 0.501), validate_args: bool | None = None
    ) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        given = probs if logits is None else logits
        number = is_number(given)
        (value,) = broadcast_all(given)
        if logits is None:
            if validate_args and not bool(self.arg_constraints["probs"].check(value).all()):
                raise ValueError("The parameter probs has invalid values")
            self.probs = clamp_probs(value)
        else:
            self.logits = value
        self._lims = lims
        super().__init__(() if number else value.shape, (), validate_args=validate_args)

    def _expand_into(self, new: Any, shape: Any) -> None:
        new._lims = self._lims
        super()._expand_into(new, shape)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter that was given."""
        return (self.probs if "probs" in self.__dict__ else self.logits).shape

    @lazy_property
    def logits(self) -> Any:
        """log(p / (1 - p))."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        """The parameter p, off 0 and 1 by a rounding unit."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _outside(self) -> Any:
        """Tell where p is far enough from 1/2 for the closed forms."""
        low, high = self._lims
        return T.max(T.le(self.probs, low), T.gt(self.probs, high))

    def _safe(self) -> Any:
        """Give p, and a harmless one where it is too near to 1/2."""
        return T.where(self._outside(), self.probs, self._lims[0] * T.ones_like(self.probs))

    def _log_norm(self) -> Any:
        """Give the logarithm of C(p)."""
        p = self._safe()
        below, above = T.where(p <= 0.5, p, T.zeros_like(p)), T.where(p >= 0.5, p, T.ones_like(p))
        slope = T.where(p <= 0.5, T.log1p(-2.0 * below), T.log(2.0 * above - 1.0))
        closed = T.log(T.abs(T.log1p(-p) - T.log(p))) - slope
        x2 = T.pow(self.probs - 0.5, 2)
        return T.where(self._outside(), closed, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x2) * x2)

    @property
    def mean(self) -> Any:
        p, x = self._safe(), self.probs - 0.5
        closed = p / (2.0 * p - 1.0) + 1.0 / (T.log1p(-p) - T.log(p))
        return T.where(self._outside(), closed, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * T.pow(x, 2)) * x)

    @property
    def stddev(self) -> Any:
        return T.sqrt(self.variance)

    @property
    def variance(self) -> Any:
        p, x2 = self._safe(), T.pow(self.probs - 0.5, 2)
        closed = p * (p - 1.0) / T.pow(1.0 - 2.0 * p, 2) + 1.0 / T.pow(T.log1p(-p) - T.log(p), 2)
        return T.where(self._outside(), closed, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x2) * x2)

    def sample(self, sample_shape: Any = ()) -> Any:
        from ..core import no_grad

        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(T.rand(self._extended_shape(sample_shape), dtype=self.probs.dtype))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none") + self._log_norm()

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        p = self._safe()
        closed = (T.pow(p, value) * T.pow(1.0 - p, 1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        inside = T.where(self._outside(), closed, value)
        return T.where(T.le(value, 0.0), T.zeros_like(value), T.where(T.ge(value, 1.0), T.ones_like(value), inside))

    def icdf(self, value: Any) -> Any:
        p = self._safe()
        closed = (T.log1p(-p + value * (2.0 * p - 1.0)) - T.log1p(-p)) / (T.log(p) - T.log1p(-p))
        return T.where(self._outside(), closed, value)

    def entropy(self) -> Any:
        no, yes = T.log1p(-self.probs), T.log(self.probs)
        return self.mean * (no - yes) - self._log_norm() - no
