"""Draws that invert a distribution function: exponential, geometric, Cauchy; one uniform float64 to an element."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from retrograd.random import libm
from retrograd.random.generator import Generator, default_generator
from retrograd.random.native import Plan, fill
from retrograd.random.uniforms import Array, Shape, blocks, count, doubles, is_floating, narrow, target


def exponential(
    shape: Shape,
    dtype: DTypeLike = np.float32,
    rate: float = 1.0,
    generator: Generator | None = None,
    out: Array | None = None,
) -> Array:
    """
    Draw x >= 0 with density rate exp(-rate x): x = -log(1 - u) / rate.

    Raises
    ------
    RuntimeError
        If the dtype is not floating, or rate <= 0.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, exponential
    >>> exponential(3, np.float64, 2.0, Generator()).shape
    (3,)
    """
    generator = generator or default_generator
    dtype = np.dtype(dtype)
    if not is_floating(dtype):
        raise RuntimeError(f"exponential is continuous, but was asked for {dtype}; draw in a floating dtype")
    if not rate > 0.0:
        raise RuntimeError(f"exponential expects rate > 0, but found rate={rate}")
    result = target(shape, dtype, out)
    if fill(Plan("exponential", dtype, (-1.0 / rate,)), result, generator):
        return result.reshape(shape)
    for start, stop in blocks(count(shape)):
        x = libm.log1p(-doubles(generator, stop - start))
        x *= -1.0 / rate
        result[start:stop] = narrow(x, dtype)
    return result.reshape(shape)


def geometric(
    shape: Shape,
    dtype: DTypeLike = np.float32,
    p: float = 0.5,
    generator: Generator | None = None,
    out: Array | None = None,
) -> Array:
    """
    Draw the number of trials up to the first success: P(k) = (1 - p)^(k - 1) p; k = ceil(log u / log(1 - p)).

    Raises
    ------
    RuntimeError
        If `p` is outside (0, 1).
    NotImplementedError
        If the dtype is bool or complex.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, geometric
    >>> bool((geometric(3, np.int64, 0.5, Generator()) >= 1).all())
    True
    """
    generator = generator or default_generator
    dtype = np.dtype(dtype)
    if dtype.kind not in "iu" and not is_floating(dtype):
        raise NotImplementedError(f"geometric is not defined for {dtype}; draw in an integer or floating dtype")
    if not 0.0 < p < 1.0:
        raise RuntimeError(f"geometric expects p in (0, 1), but got p={p}")
    result = target(shape, dtype, out)
    if fill(Plan("geometric", dtype, (math.log1p(-p),)), result, generator):
        return result.reshape(shape)
    for start, stop in blocks(count(shape)):
        x = np.ceil(libm.log(doubles(generator, stop - start)) / math.log1p(-p))
        result[start:stop] = narrow(x, dtype) if is_floating(dtype) else x.astype(np.int64)
    return result.reshape(shape)


def cauchy(
    shape: Shape,
    dtype: DTypeLike = np.float32,
    median: float = 0.0,
    sigma: float = 1.0,
    generator: Generator | None = None,
    out: Array | None = None,
) -> Array:
    """
    Draw x with density sigma / (pi (sigma^2 + (x - median)^2)): x = median + sigma tan(pi (u - 1/2)).

    Raises
    ------
    RuntimeError
        If the dtype is not floating, or sigma <= 0.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, cauchy
    >>> cauchy(3, np.float32, generator=Generator()).dtype
    dtype('float32')
    """
    generator = generator or default_generator
    dtype = np.dtype(dtype)
    if not is_floating(dtype):
        raise RuntimeError(f"cauchy is continuous, but was asked for {dtype}; draw in a floating dtype")
    if not sigma > 0.0:
        raise RuntimeError(f"cauchy expects sigma > 0, but found sigma={sigma}")
    result = target(shape, dtype, out)
    if fill(Plan("cauchy", dtype, (float(median), float(sigma))), result, generator):
        return result.reshape(shape)
    for start, stop in blocks(count(shape)):
        angle = doubles(generator, stop - start)
        angle -= 0.5
        angle *= math.pi
        result[start:stop] = narrow(libm.fma(libm.tan(angle), sigma, median), dtype)
    return result.reshape(shape)
