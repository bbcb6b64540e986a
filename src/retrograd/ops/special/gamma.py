"""The gamma function's family: lgamma, digamma, polygamma, multigammaln, Hurwitz's zeta.

Left of zero each follows from its reflection formula (Abramowitz and Stegun 6.1.17, 6.3.7, 6.4.7); from 8 on from
Stirling's series (6.1.40, 6.3.18); between, from rational functions on three intervals, in the form y R(y) at the
zeros, so that the relative error stays small there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import tables
from .evaluate import INF, Array, piecewise, polynomial, rational, sin_pi, through_float64

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
LOG_PI = math.log(math.pi)

# The positive root of digamma, less one, in two parts: 1.46163214496836234126...
DIGAMMA_ROOT_HIGH = 0.46163214496836236
DIGAMMA_ROOT_LOW = -1.5522348162858677e-17

# B(2j)/(2j)! for j = 1, 2, ...: the weights of the Euler-Maclaurin formula.
EULER_MACLAURIN = (
    1 / 12,
    -1 / 720,
    1 / 30240,
    -1 / 1209600,
    1 / 47900160,
    -691 / 1307674368000,
    1 / 74724249600,
    -3617 / 10670622842880000,
    43867 / 5109094217170944000,
    -174611 / 802857662698291200000,
    77683 / 14101100039391805440000,
    -236364091 / 1693824136731743669452800000,
)
# Terms summed before the Euler-Maclaurin formula takes over.
ZETA_TERMS = 10


def _lgamma_positive(x: Array) -> Array:
    """lgamma for x >= 1/2."""

    def large(v: Array) -> Array:
        series = polynomial(tables.LGAMMA_LARGE, 1.0 / (v * v)) / v
        return (v - 0.5) * (np.log(v) - 1.0) + (HALF_LOG_TWO_PI - 0.5 + series)

    return piecewise(
        x,
        (1.5, lambda v: 0.0 + (v - 1.0) * rational(tables.LGAMMA_ONE, v - 0.5)),  # 0 + makes -0 at one into 0
        (3.0, lambda v: (v - 2.0) * rational(tables.LGAMMA_TWO, v - 1.5)),
        (8.0, lambda v: rational(tables.LGAMMA_THREE, v - 3.0)),
        (INF, large),
    )


def lgamma_one_plus(y: Array) -> Array:
    """lgamma(1 + y) for y >= -1/2, without rounding 1 + y when y is small."""
    return piecewise(
        y, (0.5, lambda v: v * rational(tables.LGAMMA_ONE, v + 0.5)), (INF, lambda v: _lgamma_positive(v + 1.0))
    )


@through_float64
def lgamma(x: Array) -> Array:
    r"""Logarithm of the absolute value of the gamma function.

    .. math:: \log |\Gamma(x)|

    Within 6 ulp in float64 for x > 0; for x < 0 the error is a few ulp of the largest term of the reflection formula.
    Infinite at 0, at the negative integers and at both infinities.

    Parameters
    ----------
    x : ndarray
        Any floating dtype.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import lgamma
    >>> lgamma(np.array([1.0, 5.0, -0.5, -1.0]))
    array([0.        , 3.17805383, 1.26551212,        inf])
    """

    def reflected(v: Array) -> Array:
        sine = np.abs(sin_pi(v))
        value = LOG_PI - np.log(sine) - np.log(-v) - _lgamma_positive(-v)
        return np.where((sine > 0.0) & (v > -(2.0**52)), value, INF)

    def small(v: Array) -> Array:
        return v * rational(tables.LGAMMA_ONE, v + 0.5) - np.log(np.abs(v))

    return piecewise(x, (-0.5, reflected), (0.5, small), (INF, _lgamma_positive))


def _digamma_near_root(y: Array) -> Array:
    """digamma(1 + y) for 0 <= y <= 1."""
    return ((y - DIGAMMA_ROOT_HIGH) - DIGAMMA_ROOT_LOW) * rational(tables.DIGAMMA_ONE, y)


def _digamma_positive(x: Array) -> Array:
    """digamma for x >= 0, and at -0."""

    def large(v: Array) -> Array:
        square = 1.0 / (v * v)
        return np.log(v) - (0.5 / v + square * polynomial(tables.DIGAMMA_LARGE, square))

    return piecewise(
        x,
        (1.0, lambda v: _digamma_near_root(v) - 1.0 / v),
        (2.0, lambda v: _digamma_near_root(v - 1.0)),
        (8.0, lambda v: rational(tables.DIGAMMA_TWO, v - 2.0)),
        (INF, large),
    )


@through_float64
def digamma(x: Array) -> Array:
    r"""Logarithmic derivative of the gamma function.

    .. math:: \psi(x) = \frac{d}{dx} \log \Gamma(x)

    Within 4 ulp for x > 0. Infinite at 0 (with the sign of -x), NaN at the negative integers.

    Parameters
    ----------
    x : ndarray
        Any floating dtype.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import digamma
    >>> digamma(np.array([0.0, 1.0, 2.0]))
    array([       -inf, -0.57721566,  0.42278434])
    """

    def reflected(v: Array) -> Array:
        rest = v - np.rint(v)
        return np.where(rest == 0.0, np.nan, _digamma_positive(1.0 - v) - np.pi / np.tan(np.pi * rest))

    return piecewise(x, (0.0, reflected), (INF, _digamma_positive))


def _zeta_positive(s: Array, q: Array) -> Array:
    """Hurwitz's zeta for s > 1 and q > 0: ten terms, then the Euler-Maclaurin formula for the rest."""
    total = np.power(q, -s)
    for k in range(1, ZETA_TERMS):
        total += np.power(q + k, -s)
    w = q + ZETA_TERMS
    power = np.power(w, -s)
    tail = power * (w / (s - 1.0) + 0.5)
    factor = power * s / w
    for j, weight in enumerate(EULER_MACLAURIN):
        tail += weight * factor
        factor = factor * ((s + (2 * j + 1)) * (s + (2 * j + 2)) / (w * w))
    return np.where(np.isfinite(tail) | (total == 0.0), total + np.nan_to_num(tail, nan=0.0), total)


@through_float64
def zeta(s: Array, q: Array) -> Array:
    r"""Hurwitz's zeta function; with q = 1, Riemann's.

    .. math:: \zeta(s, q) = \sum_{k=0}^\infty (k + q)^{-s}

    Infinite for s = 1 and where q is 0 or a negative integer; NaN for s < 1, and for negative q unless s is an integer.
    The sum is Euler and Maclaurin's (Abramowitz and Stegun 23.1.30); negative q are folded back by the sum over all
    integers, which depends on q's fractional part alone.

    Parameters
    ----------
    s, q : ndarray
        Any floating dtype; they are broadcast.

    Returns
    -------
    ndarray
        Of the broadcast shape and the common dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import zeta
    >>> zeta(np.array([2.0, 4.0]), np.array(1.0)) / np.pi ** np.array([2, 4])
    array([0.16666667, 0.01111111])
    """
    out = np.full_like(s, np.nan)
    regular = (s > 1.0) & (q > 0.0)
    out[regular] = _zeta_positive(s[regular], q[regular])
    folded = (s > 1.0) & (q < 0.0) & (s == np.floor(s))
    if folded.any():
        sf, qf = s[folded], q[folded]
        rest = qf - np.rint(qf)
        sign = 1.0 - 2.0 * np.mod(sf, 2.0)
        beyond = _zeta_positive(sf, 1.0 - rest) - _zeta_positive(sf, 1.0 - qf)
        out[folded] = np.power(rest, -sf) + _zeta_positive(sf, 1.0 + rest) + sign * beyond
    out[((s > 1.0) & (q <= 0.0) & (q == np.floor(q))) | (s == 1.0)] = INF
    return out


def polygamma(n: int, x: Any) -> Array:
    r"""The n-th derivative of digamma.

    .. math:: \psi^{(n)}(x) = (-1)^{n+1} n! \, \zeta(n + 1, x)

    Abramowitz and Stegun 6.4.10.

    Parameters
    ----------
    n : int
        Order, at least 0.
    x : ndarray
        Any floating dtype.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Raises
    ------
    RuntimeError
        When n is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import polygamma
    >>> polygamma(1, np.array([1.0, 2.0]))
    array([1.64493407, 0.64493407])
    """
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n: got n={n}")
    return digamma(x) if n == 0 else _polygamma(x, n=n)


@through_float64
def _polygamma(x: Array, *, n: int) -> Array:
    factorial = float(math.factorial(n)) if n <= 170 else INF
    values = zeta(np.full_like(x, n + 1.0), x)
    return values * (factorial if n % 2 else -factorial)


def multigammaln(x: Any, p: int) -> Array:
    r"""Logarithm of the multivariate gamma function of dimension p.

    .. math:: \log \Gamma_p(x) = \frac{p (p - 1)}{4} \log \pi + \sum_{j=0}^{p-1} \log \Gamma(x - j/2)

    Parameters
    ----------
    x : ndarray
        Any floating dtype, values above (p - 1)/2.
    p : int
        Dimension, at least 1.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Raises
    ------
    RuntimeError
        When p is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import multigammaln
    >>> multigammaln(np.array([2.0]), 1)
    array([0.])
    """
    if p < 1:
        raise RuntimeError(f"multigammaln needs a dimension p of at least 1: got p={p}")
    return _multigammaln(x, p=p)


@through_float64
def _multigammaln(x: Array, *, p: int) -> Array:
    total = np.full_like(x, 0.25 * p * (p - 1) * LOG_PI)
    for j in range(p):
        total += lgamma(x - 0.5 * j)
    return total
