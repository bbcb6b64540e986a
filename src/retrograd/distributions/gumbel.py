"""The Gumbel, Pareto, Weibull and inverse gamma distributions, and the logistic normal: transformed draws."""

from __future__ import annotations

import math
from typing import Any

from ..nn import _functions as T
from . import constraints
from .exponential import Exponential
from .gamma import Gamma
from .normal import Normal
from .transformed_distribution import TransformedDistribution
from .transforms import AffineTransform, ExpTransform, PowerTransform, StickBreakingTransform
from .uniform import Uniform
from .utils import broadcast_all, euler_constant, limits


class Gumbel(TransformedDistribution):
    """Gumbel distribution: F(x) = exp(-exp(-(x - loc) / scale)).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.Gumbel(0.0, 1.0).mean
    tensor(0.5772)
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    parameters = {"loc": 0, "scale": 0}

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self._base(), self._maps(), validate_args=validate_args)

    def _base(self) -> Any:
        low = T.full_like(self.loc, limits(self.loc).tiny)
        return Uniform(low, T.full_like(self.loc, 1 - limits(self.loc).eps), validate_args=False)

    def _maps(self) -> list[Any]:
        log = ExpTransform().inv
        return [log, AffineTransform(0, -T.ones_like(self.scale)), log, AffineTransform(self.loc, -self.scale)]

    def _expand_into(self, new: Any, shape: Any) -> None:
        new.loc, new.scale = self.loc.expand(shape), self.scale.expand(shape)
        new.base_dist, new.transforms = self.base_dist.expand(shape), new._maps()

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return (y - y.exp()) - self.scale.log()

    @property
    def mean(self) -> Any:
        return self.loc + self.scale * euler_constant

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def stddev(self) -> Any:
        return (math.pi / math.sqrt(6)) * self.scale

    @property
    def variance(self) -> Any:
        return self.stddev.pow(2)

    def entropy(self) -> Any:
        return self.scale.log() + (1 + euler_constant)


class Pareto(TransformedDistribution):
    """Pareto distribution: p(x) = alpha scale^alpha / x^(alpha + 1), x >= scale.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.Pareto(1.0, 3.0).mean
    tensor(1.5000)
    """

    arg_constraints = {"alpha": constraints.positive, "scale": constraints.positive}

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = broadcast_all(scale, alpha)
        base = Exponential(self.alpha, validate_args=validate_args)
        super().__init__(base, [ExpTransform(), AffineTransform(0, self.scale)], validate_args=validate_args)

    def _expand_into(self, new: Any, shape: Any) -> None:
        new.scale, new.alpha = self.scale.expand(shape), self.alpha.expand(shape)
        new.base_dist = self.base_dist.expand(shape)
        new.transforms = [ExpTransform(), AffineTransform(0, new.scale)]

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Any:
        a = self.alpha.clamp(min=1)
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Any:
        return self.scale

    @property
    def variance(self) -> Any:
        a = self.alpha.clamp(min=2)
        return self.scale.pow(2) * a / ((a - 1).pow(2) * (a - 2))

    def entropy(self) -> Any:
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())


class Weibull(TransformedDistribution):
    """Weibull distribution: F(x) = 1 - exp(-(x / scale)^concentration).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.Weibull(1.0, 1.0).mean
    tensor(1.)
    """

    arg_constraints = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        self.concentration_reciprocal = self.concentration.reciprocal()
        base = Exponential(T.ones_like(self.scale), validate_args=validate_args)
        super().__init__(base, self._maps(), validate_args=validate_args)

    def _maps(self) -> list[Any]:
        return [PowerTransform(self.concentration_reciprocal), AffineTransform(0, self.scale)]

    def _expand_into(self, new: Any, shape: Any) -> None:
        new.scale, new.concentration = self.scale.expand(shape), self.concentration.expand(shape)
        new.concentration_reciprocal = new.concentration.reciprocal()
        new.base_dist, new.transforms = self.base_dist.expand(shape), new._maps()

    @property
    def mean(self) -> Any:
        return self.scale * T.exp(T.lgamma(1 + self.concentration_reciprocal))

    @property
    def mode(self) -> Any:
        c = self.concentration
        return self.scale * ((c - 1) / c) ** c.reciprocal()

    @property
    def variance(self) -> Any:
        r = self.concentration_reciprocal
        return self.scale.pow(2) * (T.exp(T.lgamma(1 + 2 * r)) - T.exp(2 * T.lgamma(1 + r)))

    def entropy(self) -> Any:
        r = self.concentration_reciprocal
        return euler_constant * (1 - r) + T.log(self.scale * r) + 1


class InverseGamma(TransformedDistribution):
    """Inverse gamma distribution: 1 / x of a gamma variable x.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.InverseGamma(3.0, 4.0).mean
    tensor(2.)
    """

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        base = Gamma(concentration, rate, validate_args=validate_args)
        super().__init__(
            base, PowerTransform(-T.ones_like(base.rate)[(0,) * base.rate.dim()]), validate_args=validate_args
        )

    @property
    def concentration(self) -> Any:
        """The gamma variable's shape parameter."""
        return self.base_dist.concentration

    @property
    def rate(self) -> Any:
        """The gamma variable's rate."""
        return self.base_dist.rate

    @property
    def mean(self) -> Any:
        a = self.concentration
        return T.where(a > 1, self.rate / (a - 1), math.inf)

    @property
    def mode(self) -> Any:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Any:
        a = self.concentration
        return T.where(a > 2, self.rate.square() / ((a - 1).square() * (a - 2)), math.inf)

    def entropy(self) -> Any:
        a = self.concentration
        return a + self.rate.log() + a.lgamma() - (1 + a) * a.digamma()


class LogisticNormal(TransformedDistribution):
    """Points of the simplex from normal variables by breaking a stick.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.LogisticNormal(torch.zeros(2), torch.ones(2)).event_shape
    torch.Size([3])
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        if not base.batch_shape:
            base = base.expand([1])
        super().__init__(base, StickBreakingTransform(), validate_args=validate_args)

    @property
    def loc(self) -> Any:
        """The mean of the normal variables."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self) -> Any:
        """The standard deviation of the normal variables."""
        return self.base_dist.base_dist.scale
