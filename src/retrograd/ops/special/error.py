"""The error function and its family: erf, erfc, erfcx, their inverse, and the normal distribution's three functions.

The float64 formulas follow W. J. Cody, "Rational Chebyshev approximations for the error function" (1969), in structure:
a polynomial near zero, exp(-x^2) times a rational function beyond. The inverse has the three regions of M. J. Wichura,
"Algorithm AS 241: the percentage points of the normal distribution" (1988). The coefficients are this library's own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import tables
from .evaluate import INF, Array, exp_of_square, piecewise, polynomial, rational, silently, through_float64

SQRT_HALF = math.sqrt(0.5)
SQRT_TWO = math.sqrt(2.0)

# Elements of one pass of the float32 error function: larger blocks leave the cache, smaller ones pay for more calls.
ERF_BLOCK = 32768
_ERF_CONSTANTS = tuple(np.array(coefficient, np.float32) for coefficient in tables.ERF_FLOAT32)


def erf(x: Any) -> Array:
    r"""Probability that a normal variable of variance 1/2 lies within x of zero, with the sign of x.

    .. math:: \operatorname{erf}(x) = \frac{2}{\sqrt\pi} \int_0^x e^{-t^2} dt

    Within 2 ulp in float32 and in float64.

    Parameters
    ----------
    x : ndarray
        Any floating dtype; float16 and bfloat16 are computed in float32.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import erf
    >>> erf(np.array([0.0, 1.0, np.inf]))
    array([0.        , 0.84270079, 1.        ])
    """
    x = np.asarray(x)
    if x.dtype == np.float64:
        return _erf_float64(x)
    if x.dtype == np.float32:
        return _erf_float32(x)
    return _erf_float32(x.astype(np.float32)).astype(x.dtype if x.dtype.kind not in "biu" else np.float32)


@silently
def _erf_float32(x: Array) -> Array:
    """erf(x) = tanh(x + x p(x^2)): one polynomial for every x, and no branch.

    atanh(erf(x)) is smooth and odd, and where it is large tanh forgives its error, so a polynomial of degree 9 in x^2
    is enough; its leading coefficient is positive, so that it takes every larger x to tanh(inf) = 1.
    """
    flat = np.ascontiguousarray(x).reshape(-1)
    out = np.empty_like(flat)
    squares = np.empty(min(ERF_BLOCK, flat.size), np.float32)
    *middle, leading = _ERF_CONSTANTS[1:]
    for start in range(0, flat.size, ERF_BLOCK):
        part, u = flat[start : start + ERF_BLOCK], out[start : start + ERF_BLOCK]
        square = squares[: part.size]
        np.multiply(part, part, out=square)
        np.multiply(square, leading, out=u)
        for coefficient in reversed(middle):
            np.add(u, coefficient, out=u)
            np.multiply(u, square, out=u)
        np.add(u, _ERF_CONSTANTS[0], out=u)
        np.multiply(u, part, out=u)
        np.add(u, part, out=u)
        np.tanh(u, out=u)
    return out.reshape(x.shape)


def _erf_core(x: Array) -> Array:
    """erf for |x| <= 1."""
    excess = polynomial(tables.ERF_SMALL, x * x)
    return np.add(x, np.multiply(x, excess, out=excess), out=excess)


def _erfcx_tail(x: Array) -> Array:
    """exp(x^2) erfc(x) for x >= 4."""
    return rational(tables.ERFCX_LARGE, 1.0 / (x * x)) / x


def _erfcx_positive(x: Array) -> Array:
    """exp(x^2) erfc(x) for x >= 0."""
    return piecewise(
        x,
        (0.5, lambda v: np.exp(v * v) * (1.0 - _erf_core(v))),
        (4.0, lambda v: rational(tables.ERFCX_MIDDLE, v - 1.0)),
        (INF, _erfcx_tail),
    )


def _erfc_tail(x: Array) -> Array:
    """erfc for x >= 1/2; it is zero from 27.3 on."""
    x = np.minimum(x, 28.0)
    return exp_of_square(x, -1.0) * _erfcx_positive(x)


@through_float64
def _erf_float64(x: Array) -> Array:
    def large(v: Array) -> Array:
        # erfc is below 2^-53 from 5.9 on, and needs few digits before: no care for the square, nor beyond 4
        v = np.minimum(v, 6.0)
        value: Array = 1.0 - np.exp(v * -v) * rational(tables.ERFCX_MIDDLE, v - 1.0)
        return value

    return np.copysign(piecewise(np.abs(x), (1.0, _erf_core), (INF, large)), x)


@through_float64
def erfc(x: Array) -> Array:
    r"""One minus erf, without the cancellation for large x.

    .. math:: \operatorname{erfc}(x) = 1 - \operatorname{erf}(x)

    Within 4 ulp down to the smallest normal numbers.

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
    >>> from retrograd.ops.special import erfc
    >>> erfc(np.array([0.0, 1.0, 10.0]))
    array([1.00000000e+00, 1.57299207e-01, 2.08848758e-45])
    """
    upper = piecewise(np.abs(x), (0.5, lambda v: 1.0 - _erf_core(v)), (INF, _erfc_tail))
    return np.where(x < 0.0, 2.0 - upper, upper)


@through_float64
def erfcx(x: Array) -> Array:
    r"""Complementary error function without its factor exp(-x^2).

    .. math:: \operatorname{erfcx}(x) = e^{x^2} \operatorname{erfc}(x)

    Within 4 ulp.

    Parameters
    ----------
    x : ndarray
        Any floating dtype.

    Returns
    -------
    ndarray
        Of x's shape and dtype; infinite below -26.64.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import erfcx
    >>> erfcx(np.array([-1.0, 0.0, 100.0]))
    array([5.00898008, 1.        , 0.00564161])
    """

    def negative(v: Array) -> Array:
        v = np.maximum(v, -28.0)
        return 2.0 * exp_of_square(v, 1.0) - _erfcx_positive(-v)

    return piecewise(x, (0.0, negative), (INF, _erfcx_positive))


def _erfc_inverse_small(p: Array) -> Array:
    """The z with erfc(z) = p, for 0 <= p <= 1/4."""

    def large(r: Array) -> Array:
        return np.where(r == INF, INF, rational(tables.ERFCINV_LARGE, r - 3.5))

    r = np.sqrt(-np.log(p))
    return piecewise(r, (3.5, lambda v: rational(tables.ERFCINV_MIDDLE, v - 1.125)), (INF, large))


def _erf_inverse_core(x: Array) -> Array:
    """erfinv for |x| <= 3/4."""
    return x * rational(tables.ERFINV_CENTRAL, 0.5625 - x * x)


@through_float64
def erfinv(x: Array) -> Array:
    """Inverse of erf.

    Within 4 ulp; infinite at -1 and 1, NaN beyond.

    Parameters
    ----------
    x : ndarray
        Any floating dtype, values in [-1, 1].

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import erf, erfinv
    >>> erf(erfinv(np.array([-0.5, 0.1, 1.0])))
    array([-0.5,  0.1,  1. ])
    """
    size = piecewise(np.abs(x), (0.75, _erf_inverse_core), (INF, lambda v: _erfc_inverse_small(1.0 - v)))
    return np.copysign(size, x)


def _ndtr_tail(a: Array) -> Array:
    """Probability that a standard normal variable exceeds a >= 1; it is zero from 38.6 on."""
    a = np.minimum(a, 39.0)
    return exp_of_square(a, -0.5) * (0.5 * _erfcx_positive(a * SQRT_HALF))


def _ndtr(x: Array) -> Array:
    """Distribution function of the standard normal, in float64."""
    upper = piecewise(np.abs(x), (1.0, lambda v: 0.5 - 0.5 * _erf_core(v * SQRT_HALF)), (INF, _ndtr_tail))
    return np.where(x < 0.0, upper, 1.0 - upper)


@through_float64
def ndtr(x: Array) -> Array:
    r"""Probability that a standard normal variable is below x.

    .. math:: \Phi(x) = \tfrac12 \operatorname{erfc}(-x/\sqrt 2)

    Within 6 ulp in float64, also far in the lower tail, where torch's formula gives 0.

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
    >>> from retrograd.ops.special import ndtr
    >>> ndtr(np.array([-10.0, 0.0, 1.0]))
    array([7.61985302e-24, 5.00000000e-01, 8.41344746e-01])
    """
    return _ndtr(x)


@through_float64
def log_ndtr(x: Array) -> Array:
    r"""Logarithm of the probability that a standard normal variable is below x.

    .. math:: \log \Phi(x)

    Accurate in both tails: near -x^2/2 for negative, near -\Phi(-x) for positive x.

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
    >>> from retrograd.ops.special import log_ndtr
    >>> log_ndtr(np.array([-100.0, 0.0]))
    array([-5.00552421e+03, -6.93147181e-01])
    """
    return piecewise(
        x,
        (-1.0, lambda v: np.log(0.5 * _erfcx_positive(v * -SQRT_HALF)) - 0.5 * (v * v)),
        (INF, lambda v: np.log1p(-_ndtr(-v))),
    )


@through_float64
def ndtri(p: Array) -> Array:
    r"""Inverse of ndtr: the x below which a standard normal variable lies with probability p.

    .. math:: \Phi^{-1}(p) = -\sqrt 2 \operatorname{erfc}^{-1}(2p)

    Within 6 ulp in float64; infinite at 0 and 1, NaN beyond.

    Parameters
    ----------
    p : ndarray
        Any floating dtype, values in [0, 1].

    Returns
    -------
    ndarray
        Of p's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import ndtri
    >>> ndtri(np.array([0.0, 0.5, 0.975]))
    array([      -inf, 0.        , 1.95996398])
    """
    size = piecewise(
        np.minimum(p, 1.0 - p),
        (0.125, lambda q: SQRT_TWO * _erfc_inverse_small(2.0 * q)),
        (INF, lambda q: SQRT_TWO * _erf_inverse_core(1.0 - 2.0 * q)),
    )
    return np.where(p < 0.5, -size, size)
