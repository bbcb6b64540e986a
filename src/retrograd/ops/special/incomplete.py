"""The regularised incomplete gamma functions, lower and upper.

Four methods, each where it is quick and keeps the digits of the smaller of the two: a power series left of the bulge
(Abramowitz and Stegun 6.5.29), a continued fraction right of it (6.5.31), an alternating series for the upper one at
small x, and for large a Gauss-Legendre quadrature of the tail on x's side (as in Press et al., "Numerical Recipes",
third edition, 6.2.1), with the integrand written around its peak so that large logarithms never meet.
"""

from __future__ import annotations

import numpy as np

from . import tables
from .evaluate import INF, Array, polynomial, through_float64
from .gamma import lgamma_one_plus

# From this a on, quadrature; series and fraction need more terms as a grows.
LARGE_A = 64.0
# Below this x the upper function has a series of its own, which keeps its digits when a is small too.
SMALL_X = 1.1
TERMS = 400
EPSILON = 2.0**-53
# 1/3, 1/5, ...: the series of (atanh(r) - r)/r^3 in r^2.
ATANH_TAIL = tuple(1.0 / k for k in range(3, 61, 2))


def _log1p_minus(d: Array, ratio: Array) -> Array:
    """log(1 + d) - d for 1 + d = ratio > 0, without cancellation near 0, by log(1 + d) = 2 atanh(d/(2 + d))."""
    near = np.abs(d) < 0.5
    r = np.where(near, d, 0.0) / (2.0 + np.where(near, d, 0.0))
    square = r * r
    small = 2.0 * square * (r * polynomial(ATANH_TAIL, square) - 1.0 / (1.0 - r))
    return np.where(near, small, np.log(ratio) - d)


def _density(a: Array, x: Array) -> Array:
    """x^a exp(-x) / Gamma(a + 1)."""
    direct = np.exp(a * np.log(x) - x - lgamma_one_plus(a))
    safe = np.maximum(a, 8.0)
    correction = polynomial(tables.LGAMMA_LARGE, 1.0 / (safe * safe)) / safe
    around_peak = np.exp(safe * _log1p_minus((x - safe) / safe, x / safe) - correction) / np.sqrt(2.0 * np.pi * safe)
    return np.where(a < 8.0, direct, around_peak)


def _lower_series(a: Array, x: Array) -> Array:
    """Lower function for x < a + 1: the density times 1 + x/(a+1) + x^2/((a+1)(a+2)) + ..."""
    term = np.ones_like(x)
    total = np.ones_like(x)
    for n in range(1, TERMS):
        term = term * x / (a + n)
        total += term
        if not (term > EPSILON * total).any():
            break
    return total * _density(a, x)


def _upper_small(a: Array, x: Array) -> Array:
    """Upper function for x <= 1.1: 1 - x^a/Gamma(1 + a) (1 + a sum of (-x)^n/((a + n) n!))."""
    term = np.ones_like(x)
    total = np.zeros_like(x)
    for n in range(1, TERMS):
        term = -term * x / n
        total += term / (a + n)
        if not (np.abs(term) > EPSILON).any():
            break
    exponent = a * np.log(x) - lgamma_one_plus(a)
    value: Array = -np.expm1(exponent) - np.exp(exponent) * a * total
    return value


def _upper_fraction(a: Array, x: Array) -> Array:
    """Upper function for x >= a + 1, by Lentz's evaluation of the continued fraction."""
    b = x + 1.0 - a
    c = np.full_like(x, 1.0 / np.finfo(np.float64).tiny)
    d = 1.0 / b
    total = d.copy()
    for n in range(1, TERMS):
        numerator = -n * (n - a)
        b = b + 2.0
        d = 1.0 / (numerator * d + b)
        c = b + numerator / c
        factor = c * d
        total = total * factor
        if not (np.abs(factor - 1.0) > EPSILON).any():
            break
    return total * a * _density(a, x)


def _large(a: Array, x: Array) -> tuple[Array, Array]:
    """Lower and upper function for a >= 64: the tail on x's side of the peak, and one minus it.

    The integrand t^(a-1) exp(-t)/Gamma(a), written around its peak m = a - 1, is followed until it has fallen by some
    exp(-40): for 18 standard deviations from the peak, for less where it is steep.
    """
    peak = a - 1.0
    spread = np.sqrt(peak)
    right = x > peak
    slope = np.where(right, 1.0 - peak / x, peak / x - 1.0)
    width = 1.0 / (slope / 70.0 + 1.0 / (18.0 * spread))
    width = np.where(right, width, -np.minimum(width, x))
    total = np.zeros_like(x)
    offset = x - peak
    for node, weight in zip(tables.GAUSS_NODES, tables.GAUSS_WEIGHTS):
        for fraction in (0.5 - 0.5 * node, 0.5 + 0.5 * node):
            step = fraction * width
            total += 0.5 * weight * np.exp(peak * _log1p_minus((offset + step) / peak, (x + step) / peak))
    correction = polynomial(tables.LGAMMA_LARGE, 1.0 / (peak * peak)) / peak
    tail = np.abs(width) * total * np.exp(-correction) / np.sqrt(2.0 * np.pi * peak)
    tail = np.where(slope >= 0.0, tail, np.nan)
    return np.where(right, 1.0 - tail, tail), np.where(right, tail, 1.0 - tail)


def _both(a: Array, x: Array) -> tuple[Array, Array]:
    """Lower and upper function."""
    lower, upper = np.full_like(x, np.nan), np.full_like(x, np.nan)
    inside = (a > 0.0) & (x > 0.0) & (a < INF) & (x < INF)
    large = inside & (a >= LARGE_A)
    lower[large], upper[large] = _large(a[large], x[large])
    left = inside & (a < LARGE_A) & (x < a + 1.0)
    lower[left] = _lower_series(a[left], x[left])
    upper[left] = 1.0 - lower[left]
    small = left & (x <= SMALL_X)
    upper[small] = np.where(lower[small] < 0.5, upper[small], _upper_small(a[small], x[small]))
    right = inside & (a < LARGE_A) & (x >= a + 1.0)
    upper[right] = np.where(x[right] <= SMALL_X, _upper_small(a[right], x[right]), _upper_fraction(a[right], x[right]))
    lower[right] = 1.0 - upper[right]
    none = ((x == 0.0) & (a > 0.0)) | ((a == INF) & (x >= 0.0) & (x < INF))
    every = ((a == 0.0) & (x > 0.0)) | ((x == INF) & (a >= 0.0) & (a < INF))
    lower[none], upper[none] = 0.0, 1.0
    lower[every], upper[every] = 1.0, 0.0
    return lower, upper


@through_float64
def gammainc(a: Array, x: Array) -> Array:
    r"""Regularised lower incomplete gamma function.

    .. math:: P(a, x) = \frac1{\Gamma(a)} \int_0^x t^{a-1} e^{-t} dt

    Parameters
    ----------
    a, x : ndarray
        Any floating dtype, not negative; they are broadcast.

    Returns
    -------
    ndarray
        Of the broadcast shape and the common dtype; NaN where an argument is negative or both are 0 or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import gammainc
    >>> gammainc(np.array([1.0, 100.0]), np.array([1.0, 100.0]))
    array([0.63212056, 0.5132988 ])
    """
    return _both(a, x)[0]


@through_float64
def gammaincc(a: Array, x: Array) -> Array:
    r"""Regularised upper incomplete gamma function, one minus gammainc without its cancellation.

    .. math:: Q(a, x) = \frac1{\Gamma(a)} \int_x^\infty t^{a-1} e^{-t} dt

    Parameters
    ----------
    a, x : ndarray
        Any floating dtype, not negative; they are broadcast.

    Returns
    -------
    ndarray
        Of the broadcast shape and the common dtype; NaN where an argument is negative or both are 0 or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import gammaincc
    >>> gammaincc(np.array([1.0, 100.0]), np.array([1.0, 200.0]))
    array([3.67879441e-01, 1.84389365e-15])
    """
    return _both(a, x)[1]
