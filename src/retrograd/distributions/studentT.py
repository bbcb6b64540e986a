"""Student's t-distribution."""

from __future__ import annotations

import math
from typing import Any

from ..nn import _functions as T
from . import constraints
from .chi2 import Chi2
from .distribution import Distribution
from .utils import broadcast_all, standard_normal


class StudentT(Distribution):
    """Student's t-distribution with df degrees of freedom, moved by loc and stretched by scale.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.StudentT(4.0).variance
    tensor(2.)
    """

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    parameters = {"df": 0, "loc": 0, "scale": 0, "_chi2": 0}

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return T.where(self.df <= 1, math.nan, self.loc)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        df = self.df
        finite = self.scale.pow(2) * df / (df - 2)
        return T.where(df > 2, finite, T.where(df > 1, T.full_like(df, math.inf), T.full_like(df, math.nan)))

    def rsample(self, sample_shape: Any = ()) -> Any:
        x = standard_normal(self._extended_shape(sample_shape), self.df)
        z = self._chi2.rsample(sample_shape)
        return self.loc + self.scale * x * T.rsqrt(z / self.df)

    def _log_norm(self) -> Any:
        df = self.df
        return (
            self.scale.log()
            + 0.5 * df.log()
            + 0.5 * math.log(math.pi)
            + T.lgamma(0.5 * df)
            - T.lgamma(0.5 * (df + 1.0))
        )

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        y = (value - self.loc) / self.scale
        return -0.5 * (self.df + 1.0) * T.log1p(y**2.0 / self.df) - self._log_norm()

    def entropy(self) -> Any:
        half = 0.5 * (self.df + 1)
        beta = T.lgamma(0.5 * self.df) + math.lgamma(0.5) - T.lgamma(half)
        return self.scale.log() + half * (T.digamma(half) - T.digamma(0.5 * self.df)) + 0.5 * self.df.log() + beta
