"""Modified Bessel functions of order 0 and 1, plain and exponentially scaled.

Polynomials in x^2 near zero (with the logarithm of Abramowitz and Stegun 9.6.13 for K), and beyond, where the functions
are exp(+-x)/sqrt(x) times a slowly varying factor (9.7.1, 9.7.2), a rational function of 1/x for that factor.
"""

from __future__ import annotations

import numpy as np

from . import tables
from .evaluate import INF, Array, piecewise, polynomial, rational, through_float64

EULER = 0.5772156649015329


def _i0_small(x: Array) -> Array:
    return polynomial(tables.I0_SMALL, x * x)


def _i1_small(x: Array) -> Array:
    return x * polynomial(tables.I1_SMALL, x * x)


def _i_large(table: tables.Rational, x: Array) -> Array:
    """exp(-x) times a function of the first kind, x >= 8."""
    return rational(table, 0.125 - 1.0 / x) / np.sqrt(x)


def _grown(scaled: Array, x: Array) -> Array:
    """exp(x) * scaled in two steps: the product is finite a little beyond the exponential."""
    half = np.exp(0.5 * x)
    return half * scaled * half


@through_float64
def i0(x: Array) -> Array:
    r"""Modified Bessel function of the first kind, order 0.

    .. math:: I_0(x) = \frac1\pi \int_0^\pi e^{x \cos\theta} d\theta

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
    >>> from retrograd.ops.special import i0
    >>> i0(np.array([0.0, 1.0]))
    array([1.        , 1.26606588])
    """
    return piecewise(
        np.abs(x), (8.0, _i0_small), (INF, lambda v: np.where(v > 714.0, INF, _grown(_i_large(tables.I0_LARGE, v), v)))
    )


@through_float64
def i0e(x: Array) -> Array:
    r"""Modified Bessel function of the first kind, order 0, without its growth.

    .. math:: e^{-|x|} I_0(x)

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
    >>> from retrograd.ops.special import i0e
    >>> i0e(np.array([0.0, 1000.0]))
    array([1.        , 0.01261724])
    """
    return piecewise(
        np.abs(x), (8.0, lambda v: np.exp(-v) * _i0_small(v)), (INF, lambda v: _i_large(tables.I0_LARGE, v))
    )


@through_float64
def i1(x: Array) -> Array:
    r"""Modified Bessel function of the first kind, order 1.

    .. math:: I_1(x) = \frac1\pi \int_0^\pi e^{x \cos\theta} \cos\theta \, d\theta

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
    >>> from retrograd.ops.special import i1
    >>> i1(np.array([1.0, -2.0]))
    array([ 0.5651591 , -1.59063685])
    """
    size = piecewise(
        np.abs(x), (8.0, _i1_small), (INF, lambda v: np.where(v > 714.0, INF, _grown(_i_large(tables.I1_LARGE, v), v)))
    )
    return np.copysign(size, x)


@through_float64
def i1e(x: Array) -> Array:
    r"""Modified Bessel function of the first kind, order 1, without its growth.

    .. math:: e^{-|x|} I_1(x)

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
    >>> from retrograd.ops.special import i1e
    >>> i1e(np.array([0.0, -1000.0]))
    array([ 0.        , -0.01261093])
    """
    size = piecewise(
        np.abs(x), (8.0, lambda v: np.exp(-v) * _i1_small(v)), (INF, lambda v: _i_large(tables.I1_LARGE, v))
    )
    return np.copysign(size, x)


def _k0_small(x: Array) -> Array:
    square = x * x
    return square * polynomial(tables.K0_SMALL, square) - (np.log(0.5 * x) + EULER) * _i0_small(x)


def _k1_small(x: Array) -> Array:
    regular: Array = np.log(0.5 * x) * _i1_small(x) + x * polynomial(tables.K1_SMALL, x * x)
    return regular + 1.0 / x


def _k_large(table: tables.Rational, x: Array) -> Array:
    """exp(x) times a function of the second kind, x >= 1."""
    return rational(table, 1.0 / x) / np.sqrt(x)


def _at_positive(x: Array, small: Array) -> Array:
    """The function of the second kind near zero: infinite at 0 of either sign."""
    return np.where(x == 0.0, INF, small)


@through_float64
def modified_bessel_k0(x: Array) -> Array:
    r"""Modified Bessel function of the second kind, order 0.

    .. math:: K_0(x) = \int_0^\infty e^{-x \cosh t} dt

    Parameters
    ----------
    x : ndarray
        Any floating dtype; infinite at 0, NaN below.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import modified_bessel_k0
    >>> modified_bessel_k0(np.array([0.0, 1.0]))
    array([       inf, 0.42102444])
    """
    return piecewise(
        x,
        (0.0, lambda v: np.full_like(v, np.nan)),
        (1.0, lambda v: _at_positive(v, _k0_small(v))),
        (INF, lambda v: np.exp(-v) * _k_large(tables.K0_LARGE, v)),
    )


@through_float64
def scaled_modified_bessel_k0(x: Array) -> Array:
    r"""Modified Bessel function of the second kind, order 0, without its decay.

    .. math:: e^x K_0(x)

    Parameters
    ----------
    x : ndarray
        Any floating dtype; infinite at 0, NaN below.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import scaled_modified_bessel_k0
    >>> scaled_modified_bessel_k0(np.array([1.0, 1000.0]))
    array([1.14446308, 0.03962832])
    """
    return piecewise(
        x,
        (0.0, lambda v: np.full_like(v, np.nan)),
        (1.0, lambda v: _at_positive(v, np.exp(v) * _k0_small(v))),
        (INF, lambda v: _k_large(tables.K0_LARGE, v)),
    )


@through_float64
def modified_bessel_k1(x: Array) -> Array:
    r"""Modified Bessel function of the second kind, order 1.

    .. math:: K_1(x) = \int_0^\infty e^{-x \cosh t} \cosh t \, dt

    Parameters
    ----------
    x : ndarray
        Any floating dtype; infinite at 0, NaN below.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import modified_bessel_k1
    >>> modified_bessel_k1(np.array([0.0, 1.0]))
    array([       inf, 0.60190723])
    """
    return piecewise(
        x,
        (0.0, lambda v: np.full_like(v, np.nan)),
        (1.0, lambda v: _at_positive(v, _k1_small(v))),
        (INF, lambda v: np.exp(-v) * _k_large(tables.K1_LARGE, v)),
    )


@through_float64
def scaled_modified_bessel_k1(x: Array) -> Array:
    r"""Modified Bessel function of the second kind, order 1, without its decay.

    .. math:: e^x K_1(x)

    Parameters
    ----------
    x : ndarray
        Any floating dtype; infinite at 0, NaN below.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import scaled_modified_bessel_k1
    >>> scaled_modified_bessel_k1(np.array([1.0, 1000.0]))
    array([1.63615349, 0.03964813])
    """
    return piecewise(
        x,
        (0.0, lambda v: np.full_like(v, np.nan)),
        (1.0, lambda v: _at_positive(v, np.exp(v) * _k1_small(v))),
        (INF, lambda v: _k_large(tables.K1_LARGE, v)),
    )
