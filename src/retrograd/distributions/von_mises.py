"""The von Mises distribution: angles around a direction."""

from __future__ import annotations

import math
from typing import Any

from ..core import no_grad
from ..core.dtypes import float64
from ..nn import _functions as T
from . import constraints
from .distribution import Distribution
from .utils import broadcast_all, lazy_property

# Polynomials for the modified Bessel functions: Abramowitz and Stegun 1964, 9.8.1 to 9.8.4. For each order, the one in
# (x / 3.75)^2 below 3.75 and the one in 3.75 / x above, the constant first.
BESSEL = {
    0: (
        (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813),
        (
            *(0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537, -0.01647633),
            0.00392377,
        ),
    ),
    1: (
        (0.5, 0.87890594, 0.51498869, 0.15084934, 0.02658733, 0.00301532, 0.00032411),
        (
            *(0.39894228, -0.03988024, -0.00362018, 0.00163801, -0.01031555, 0.02282967, -0.02895312, 0.01787654),
            -0.00420059,
        ),
    ),
}


def _polynomial(x: Any, coefficients: tuple[float, ...]) -> Any:
    total: Any = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = c + x * total
    return total


def log_bessel(x: Any, order: int) -> Any:
    """Give the logarithm of the modified Bessel function of order 0 or 1, for positive x."""
    near, far = BESSEL[order]
    ratio = x / 3.75
    small = _polynomial(ratio * ratio, near)
    small = (x.abs() * small if order else small).log()
    large = x - 0.5 * x.log() + _polynomial(3.75 / x, far).log()
    return T.where(x < 3.75, small, large)


class VonMises(Distribution):
    """Von Mises distribution of angles: p(x) = exp(concentration cos(x - loc)) / (2 pi I0(concentration)).

    Draws are by rejection (Best and Fisher 1979), computed in float64, and carry no gradient.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.VonMises(0.0, 1.0).log_prob(torch.tensor(0.0))
    tensor(-1.0738)
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False
    parameters = {"loc": 0, "concentration": 0}

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, (), validate_args=validate_args)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        peak = self.concentration * T.cos(value - self.loc)
        return peak - math.log(2 * math.pi) - log_bessel(self.concentration, 0)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            loc, k = self.loc.to(float64), self.concentration.to(float64)
            tau = 1 + (1 + 4 * k**2).sqrt()
            rho = (tau - (2 * tau).sqrt()) / (2 * k)
            r = T.where(k < 1e-5, 1 / k + k, (1 + rho**2) / (2 * rho))
            shape = self._extended_shape(sample_shape)
            x = T.zeros(shape, dtype=float64)
            done = x > 0
            while not bool(done.all()):
                u, v, w = T.rand((3, *shape), dtype=float64).unbind()
                z = T.cos(math.pi * u)
                f = (1 + r * z) / (r + z)
                c = k * (r - f)
                accepted = ((c * (2 - c) - v) > 0) | ((c / v).log() + 1 - c >= 0)
                x = T.where(accepted, (w - 0.5).sign() * f.acos(), x)
                done = done | accepted
            return ((x + math.pi + loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        """The circular variance: 1 - I1 / I0."""
        return 1 - (log_bessel(self.concentration, 1) - log_bessel(self.concentration, 0)).exp()
