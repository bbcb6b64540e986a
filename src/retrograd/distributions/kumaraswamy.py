"""The Kumaraswamy distribution: like a beta distribution, with a closed cumulative probability."""

from __future__ import annotations

from typing import Any

from ..nn import _functions as T
from . import constraints
from .transformed_distribution import TransformedDistribution
from .transforms import AffineTransform, PowerTransform
from .uniform import Uniform
from .utils import broadcast_all, euler_constant


def _moment(a: Any, b: Any, n: int) -> Any:
    """Give E[x^n] = b B(1 + n / a, b)."""
    shifted = 1 + n / a
    return (b.log() + T.lgamma(shifted) + T.lgamma(b) - T.lgamma(shifted + b)).exp()


class Kumaraswamy(TransformedDistribution):
    """Kumaraswamy distribution: F(x) = 1 - (1 - x^a)^b on (0, 1), a = concentration1 and b = concentration0.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.Kumaraswamy(1.0, 1.0).mean
    tensor(0.5000)
    """

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    parameters = {"concentration1": 0, "concentration0": 0}

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        super().__init__(self._base(), self._maps(), validate_args=validate_args)

    def _base(self) -> Any:
        zero = T.zeros_like(self.concentration0)
        return Uniform(zero, zero + 1, validate_args=False)

    def _maps(self) -> list[Any]:
        inner, outer = (
            PowerTransform(self.concentration0.reciprocal()),
            PowerTransform(self.concentration1.reciprocal()),
        )
        return [inner, AffineTransform(1.0, -1.0), outer]

    def _expand_into(self, new: Any, shape: Any) -> None:
        new.concentration1, new.concentration0 = self.concentration1.expand(shape), self.concentration0.expand(shape)
        new.base_dist, new.transforms = self.base_dist.expand(shape), new._maps()

    @property
    def mean(self) -> Any:
        return _moment(self.concentration1, self.concentration0, 1)

    @property
    def mode(self) -> Any:
        a, b = self.concentration1, self.concentration0
        found = ((a - 1) / (a * b - 1)).log() / a  # where the slope of the density is zero
        return T.where((a < 1) | (b < 1), float("nan"), found.exp())

    @property
    def variance(self) -> Any:
        return _moment(self.concentration1, self.concentration0, 2) - self.mean.pow(2)

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        harmonic = T.digamma(b + 1) + euler_constant
        return (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - a.log() - b.log()
