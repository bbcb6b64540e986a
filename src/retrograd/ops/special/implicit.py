"""How a gamma or beta variable moves with its shape parameter, its cumulative probability held fixed.

A draw x with F(x; a) = u has dx/da = -(dF/da) / p(x). Written as an integral over one tail with t^(a - 1) taken into the
measure, the density and the normalising constant cancel, and what is left is a mean of log t - E[log t] over that tail,
by double exponential quadrature (Takahasi and Mori, Publ. RIMS 9, 1974).
"""

from __future__ import annotations

import numpy as np

from .evaluate import Array, through_float64
from .gamma import digamma

_T = np.linspace(-7.0, 4.0, 177)
_STEP = _T[1] - _T[0]
_SINH = 0.5 * np.pi * np.sinh(_T)
# -log of the nodes on (0, 1), s = 1 / (1 + exp(-2 sinh)), and the logarithms of the weights ds
_MINUS_LOG = np.logaddexp(0.0, -2.0 * _SINH)
_LOG_WEIGHT = np.log(_STEP * np.pi * np.cosh(_T)) - _MINUS_LOG - np.logaddexp(0.0, 2.0 * _SINH)
# nodes on (0, inf), u = exp(sinh), and the weights du
_HALF_LINE = np.exp(_SINH)
_LOG_HALF_WEIGHT = np.log(_STEP * 0.5 * np.pi * np.cosh(_T)) + _SINH
# From this shape on the cube root of a gamma variable is normal to more digits than the quadrature gives.
LARGE = 1e4


@through_float64
def gamma_slope(alpha: Array, x: Array) -> Array:
    """Derivative of a gamma variable of rate 1 by its shape: -(dP(alpha, x)/dalpha) / p(x; alpha).

    Examples
    --------
    >>> import numpy as np
    >>> gamma_slope(np.array([1.0]), np.array([np.log(2.0)])).round(6)
    array([0.968045])
    """
    a, y = alpha[:, None], x[:, None]
    mean = digamma(a)
    with np.errstate(all="ignore"):
        # below the bulge, t = x s^(1/a): -(x/a) times the integral of exp(x - t) (log t - mean) ds
        lower = np.exp(y * -np.expm1(-_MINUS_LOG / a) + _LOG_WEIGHT) * (np.log(y) - _MINUS_LOG / a - mean)
        below = -(x / alpha) * _total(lower)
        # above it, t = x + u: the integral of (t/x)^(a - 1) exp(-u) (log t - mean) du
        upper = np.exp((a - 1) * np.log1p(_HALF_LINE / y) - _HALF_LINE + _LOG_HALF_WEIGHT) * (
            np.log(y + _HALF_LINE) - mean
        )
        above = _total(upper)
    # x = a (1 - 1/(9 a) + z/(3 sqrt a))^3 at fixed z (Wilson and Hilferty 1931)
    root = np.cbrt(x / alpha)
    around = root**3 + root**2 * (1.0 / (3.0 * alpha) - 1.5 * (root - 1.0 + 1.0 / (9.0 * alpha)))
    found: Array = np.where(alpha > LARGE, around, np.where(x < alpha + 1.0 / 3.0, below, above))
    return found


@through_float64
def dirichlet_slope(x: Array, alpha: Array, total: Array) -> Array:
    """Derivative of a Dirichlet component by its concentration, over 1 - x: it is a beta variable of alpha, total - alpha.

    Examples
    --------
    >>> import numpy as np
    >>> dirichlet_slope(np.array([0.25]), np.array([1.0]), np.array([2.0])).round(6)
    array([0.462098])
    """
    beta = total - alpha
    a, b, y = alpha[:, None], beta[:, None], x[:, None]
    with np.errstate(all="ignore"):
        mean = digamma(a) - digamma(a + b)
        rest = np.log1p(-y)
        # below the mean, t = x s^(1/a); above it, 1 - t = (1 - x) s^(1/b)
        share = np.log1p(-y * np.exp(-_MINUS_LOG / a)) - rest
        lower = np.exp((b - 1) * share + _LOG_WEIGHT) * (np.log(y) - _MINUS_LOG / a - mean)
        below = -(x / alpha) / (1 - x) * _total(lower)
        place = np.log1p(-(1 - y) * np.exp(-_MINUS_LOG / b))
        upper = np.exp((a - 1) * (place - np.log(y)) + _LOG_WEIGHT) * (place - mean)
        above = _total(upper) / beta
    found: Array = np.where(x * total < alpha, below, above)
    return found


def _total(values: Array) -> Array:
    out: Array = np.where(np.isfinite(values), values, 0.0).sum(-1)
    return out
