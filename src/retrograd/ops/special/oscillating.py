"""Bessel functions of order 0 and 1, of both kinds, and the spherical one of order 0.

Up to 5, polynomials in x^2, with the first zero of J as a factor and the logarithm of Abramowitz and Stegun 9.1.13 for
Y; beyond, Hankel's form 9.2.5, 9.2.6 with rational functions for its P and Q. Near the zeros beyond 5 the error is a
few units in the last place of the amplitude sqrt(2/(pi x)), not of the value; so it is near all zeros of Y.
"""

from __future__ import annotations

import numpy as np

from . import tables
from .evaluate import INF, Array, piecewise, polynomial, rational, through_float64

# The first zeros of J0 and J1, in two parts.
J0_ROOT = (2.404825557695773, -1.176691651530894e-16)
J1_ROOT = (3.8317059702075125, -1.5269184090088067e-16)
TWO_OVER_PI = 2.0 / np.pi


def _j0_small(x: Array) -> Array:
    value: Array = ((x - J0_ROOT[0]) - J0_ROOT[1]) * (x + J0_ROOT[0]) * polynomial(tables.J0_SMALL, x * x)
    return np.where(x == 0.0, 1.0, value)


def _j1_small(x: Array) -> Array:
    value: Array = ((x - J1_ROOT[0]) - J1_ROOT[1]) * (x + J1_ROOT[0]) * (x * polynomial(tables.J1_SMALL, x * x))
    return value


def _hankel(p: tables.Rational, q: tables.Rational, x: Array) -> tuple[Array, Array, Array, Array]:
    """P and Q over sqrt(pi x), and sqrt(2) times the cosine and the sine of x - pi/4, for x >= 5."""
    square = 1.0 / (x * x)
    scale = 1.0 / np.sqrt(np.pi * x)
    sine, cosine = np.sin(x), np.cos(x)
    return rational(p, square) * scale, rational(q, square) * (scale / x), cosine + sine, sine - cosine


def _j0_large(x: Array) -> Array:
    p, q, cosine, sine = _hankel(tables.J0_P, tables.J0_Q, x)
    value: Array = p * cosine - q * sine
    return value


def _j1_large(x: Array) -> Array:
    p, q, cosine, sine = _hankel(tables.J1_P, tables.J1_Q, x)
    value: Array = p * sine + q * cosine
    return value


def _y0_large(x: Array) -> Array:
    p, q, cosine, sine = _hankel(tables.J0_P, tables.J0_Q, x)
    value: Array = p * sine + q * cosine
    return value


def _y1_large(x: Array) -> Array:
    p, q, cosine, sine = _hankel(tables.J1_P, tables.J1_Q, x)
    value: Array = q * sine - p * cosine
    return value


@through_float64
def bessel_j0(x: Array) -> Array:
    r"""Bessel function of the first kind, order 0.

    .. math:: J_0(x) = \frac1\pi \int_0^\pi \cos(x \sin\theta) d\theta

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
    >>> from retrograd.ops.special import bessel_j0
    >>> bessel_j0(np.array([0.0, 1.0, 10.0]))
    array([ 1.        ,  0.76519769, -0.24593576])
    """
    return piecewise(np.abs(x), (5.0, _j0_small), (INF, _j0_large))


@through_float64
def bessel_j1(x: Array) -> Array:
    r"""Bessel function of the first kind, order 1.

    .. math:: J_1(x) = \frac1\pi \int_0^\pi \cos(\theta - x \sin\theta) d\theta

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
    >>> from retrograd.ops.special import bessel_j1
    >>> bessel_j1(np.array([0.0, 1.0, 10.0]))
    array([0.        , 0.44005059, 0.04347275])
    """
    return piecewise(np.abs(x), (5.0, _j1_small), (INF, _j1_large)) * np.copysign(1.0, x)


@through_float64
def bessel_y0(x: Array) -> Array:
    r"""Bessel function of the second kind, order 0.

    .. math:: Y_0(x) = \frac4{\pi^2} \int_0^{\pi/2} \cos(x \cos\theta) (\gamma + \log(2 x \sin^2\theta)) d\theta

    Parameters
    ----------
    x : ndarray
        Any floating dtype; minus infinity at 0, NaN below.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import bessel_y0
    >>> bessel_y0(np.array([0.0, 1.0, 10.0]))
    array([      -inf, 0.08825696, 0.05567117])
    """

    def small(v: Array) -> Array:
        return TWO_OVER_PI * np.log(v) * _j0_small(v) + polynomial(tables.Y0_SMALL, v * v)

    out = piecewise(np.abs(x), (5.0, small), (INF, _y0_large))
    return np.where(x < 0.0, np.nan, out)


@through_float64
def bessel_y1(x: Array) -> Array:
    r"""Bessel function of the second kind, order 1.

    .. math:: Y_1(x) = -\frac{d}{dx} Y_0(x)

    Parameters
    ----------
    x : ndarray
        Any floating dtype; minus infinity at 0, NaN below.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import bessel_y1
    >>> bessel_y1(np.array([0.0, 1.0, 10.0]))
    array([       -inf, -0.78121282,  0.24901542])
    """

    def small(v: Array) -> Array:
        regular: Array = TWO_OVER_PI * np.log(v) * _j1_small(v) + v * polynomial(tables.Y1_SMALL, v * v)
        return np.where(v == 0.0, -INF, regular - TWO_OVER_PI / v)

    out = piecewise(np.abs(x), (5.0, small), (INF, _y1_large))
    return np.where(x < 0.0, np.nan, out)


@through_float64
def spherical_bessel_j0(x: Array) -> Array:
    r"""Spherical Bessel function of the first kind, order 0.

    .. math:: j_0(x) = \frac{\sin x}{x}

    Parameters
    ----------
    x : ndarray
        Any floating dtype; 1 at 0, and 0 at infinity.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import spherical_bessel_j0
    >>> spherical_bessel_j0(np.array([0.0, 1.0, np.inf]))
    array([1.        , 0.84147098, 0.        ])
    """
    return np.where(x == 0.0, 1.0, np.where(np.isinf(x), 0.0, np.sin(x) / x))
