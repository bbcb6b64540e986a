"""Logistic and entropy functions: sigmoid, its logarithm and inverse, softplus, entr, xlogy, xlog1py, sinc."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .evaluate import Array, Kernel, common_dtype, silently, sin_pi, through_float64

_ONE = {np.dtype(np.float32): np.array(1.0, np.float32), np.dtype(np.float64): np.array(1.0, np.float64)}


def in_own_dtype(kernel: Kernel) -> Kernel:
    """Make a function of arrays of any dtype from one of float32, float64 or complex arrays.

    Narrower dtypes are computed in float32.
    """

    @functools.wraps(kernel)
    def function(x: Any, **attributes: Any) -> Array:
        x = np.asarray(x)
        if x.dtype.char in "fdFD":
            return kernel(x, **attributes)
        dtype = common_dtype([x])
        return kernel(x.astype(np.float32), **attributes).astype(dtype)

    return silently(function)


@in_own_dtype
def sigmoid(x: Array) -> Array:
    r"""Logistic function.

    .. math:: \sigma(x) = \frac{1}{1 + e^{-x}}

    Within 2 ulp in float64 and 4 in float32, whose exponential in NumPy is within 2.5; exactly 0
    where exp(-x) overflows.

    Parameters
    ----------
    x : ndarray
        Any floating or complex dtype.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import sigmoid
    >>> sigmoid(np.array([-1000.0, 0.0, 2.0]))
    array([0.        , 0.5       , 0.88079708])
    """
    one: Any = _ONE.get(x.dtype, 1.0)
    out = np.negative(x, out=np.empty_like(x))
    np.exp(out, out=out)
    np.add(out, one, out=out)
    np.divide(one, out, out=out)
    return out


expit = sigmoid


def _log1p_exp_of_negative(size: Array) -> Array:
    """log(1 + exp(-size)) for size >= 0, as 2 atanh(e/(2 + e)): NumPy has a vectorised atanh and a slow log1p."""
    out = np.negative(size, out=np.empty_like(size))
    np.exp(out, out=out)
    out /= out + 2.0
    np.arctanh(out, out=out)
    out += out
    return out


@in_own_dtype
def softplus(x: Array, *, beta: float = 1.0, threshold: float = 20.0) -> Array:
    r"""Smooth rectifier.

    .. math:: \frac1\beta \log(1 + e^{\beta x})

    Parameters
    ----------
    x : ndarray
        Any floating dtype.
    beta : float
        Sharpness.
    threshold : float
        Value of beta x above which the result is x itself.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import softplus
    >>> softplus(np.array([-1000.0, 0.0, 1000.0]))
    array([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])
    """
    scaled = x if beta == 1.0 else x * beta
    out = _log1p_exp_of_negative(np.abs(scaled))
    out += np.clip(scaled, 0.0, None)
    if beta != 1.0:
        out /= beta
    np.copyto(out, x, where=scaled > threshold)
    return out


@in_own_dtype
def log_sigmoid(x: Array) -> Array:
    r"""Logarithm of the logistic function.

    .. math:: \log \sigma(x) = -\log(1 + e^{-x})

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
    >>> from retrograd.ops.special import log_sigmoid
    >>> log_sigmoid(np.array([-1000.0, 0.0]))
    array([-1.00000000e+03, -6.93147181e-01])
    """
    out = _log1p_exp_of_negative(np.abs(x))
    np.subtract(np.clip(x, None, 0.0), out, out=out)
    return out


def logit(x: Any, eps: float | None = None) -> Array:
    r"""Inverse of the logistic function.

    .. math:: \log \frac{x}{1 - x}

    Infinite at 0 and 1, NaN outside.

    Parameters
    ----------
    x : ndarray
        Any floating dtype.
    eps : float, optional
        When given, x is first clamped to [eps, 1 - eps].

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import logit
    >>> logit(np.array([0.0, 0.5, 0.75]))
    array([      -inf, 0.        , 1.09861229])
    """
    if eps is not None:
        x = np.asarray(x)
        x = x.astype(np.float32) if x.dtype.kind in "biu" else x
        # the bounds are numbers of x's own precision, as in torch
        kind = x.dtype.type if x.dtype in _ONE else np.float32
        x = np.clip(x, kind(eps).astype(x.dtype), (kind(1.0) - kind(eps)).astype(x.dtype))
    return _logit(x)


@through_float64
def _logit(x: Array) -> Array:
    middle = (x > 0.25) & (x < 0.75)
    return np.where(middle, 2.0 * np.arctanh(2.0 * x - 1.0), np.log(x / (1.0 - x)))


@through_float64
def entr(x: Array) -> Array:
    r"""Entropy of one outcome of probability x.

    .. math:: -x \log x

    Zero at 0, minus infinity below.

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
    >>> from retrograd.ops.special import entr
    >>> entr(np.array([-1.0, 0.0, 0.5]))
    array([      -inf, 0.        , 0.34657359])
    """
    return np.where(x < 0.0, -np.inf, np.where(x == 0.0, 0.0, -x * np.log(x)))


@through_float64
def xlogy(x: Array, y: Array) -> Array:
    r"""Product of x and a logarithm that is 0 where x is 0.

    .. math:: x \log y

    Parameters
    ----------
    x, y : ndarray
        Any floating dtype; they are broadcast.

    Returns
    -------
    ndarray
        Of the broadcast shape and the common dtype; 0 where x is 0 and y is not NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import xlogy
    >>> xlogy(np.array([0.0, 2.0]), np.array([0.0, 1.0]))
    array([0., 0.])
    """
    return np.where((x == 0.0) & ~np.isnan(y), 0.0, x * np.log(y))


@through_float64
def xlog1py(x: Array, y: Array) -> Array:
    r"""Product of x and a logarithm of 1 + y that is 0 where x is 0.

    .. math:: x \log(1 + y)

    Parameters
    ----------
    x, y : ndarray
        Any floating dtype; they are broadcast.

    Returns
    -------
    ndarray
        Of the broadcast shape and the common dtype; 0 where x is 0 and y is not NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.ops.special import xlog1py
    >>> xlog1py(np.array([0.0, 1.0]), np.array([-1.0, 1e-20]))
    array([0.e+00, 1.e-20])
    """
    return np.where((x == 0.0) & ~np.isnan(y), 0.0, x * np.log1p(y))


@through_float64
def sinc(x: Array) -> Array:
    r"""Normalised cardinal sine.

    .. math:: \frac{\sin \pi x}{\pi x}

    One at 0, exactly 0 at the other integers.

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
    >>> from retrograd.ops.special import sinc
    >>> sinc(np.array([0.0, 0.5, 2.0]))
    array([1.        , 0.63661977, 0.        ])
    """
    return np.where(x == 0.0, 1.0, sin_pi(x) / (np.pi * x))
