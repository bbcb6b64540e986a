"""Normal draws by the Box-Muller transform: a few, many, and many at the speed of vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from retrograd.random import cephes, libm
from retrograd.random.generator import Generator, default_generator
from retrograd.random.native import Plan, fill
from retrograd.random.uniforms import (
    BLOCK,
    Array,
    Shape,
    blocks,
    count,
    doubles,
    is_floating,
    narrow,
    require_floating,
    singles,
    target,
    uniform,
)

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

GROUP = 16
"""Normals are made in groups of 16, from 8 radii and 8 angles; fewer than 16 are made in pairs."""


def normal(
    shape: Shape,
    dtype: DTypeLike,
    mean: float = 0.0,
    std: float = 1.0,
    generator: Generator | None = None,
    contiguous: bool = True,
    out: Array | None = None,
) -> Array:
    """
    Draw x ~ N(mean, std**2), by the Box-Muller transform.

    sqrt(-2 log(1 - u1)) (cos, sin)(2 pi u2) from uniform u1, u2 in [0, 1). Sixteen elements and more are drawn in
    groups of 16, whose last overlaps the one before where 16 does not divide the number of elements; float64 in its own
    precision, every other dtype in float32's. Fewer than 16, and elements that do not lie contiguously in memory, are
    drawn in pairs in float64, and the generator keeps the second of the last pair. Complex dtypes draw real and
    imaginary part in turn, each with std / sqrt(2).

    Parameters
    ----------
    shape : int or tuple of int
    dtype : numpy dtype
        Floating or complex.
    mean, std : float
    generator : Generator, optional
        The default generator where none is given.
    contiguous : bool, optional
        Whether the elements lie contiguously in the memory of the tensor that they are drawn for.
    out : array, optional
        Contiguous, of that shape and dtype; it is drawn into, and is the result.

    Raises
    ------
    NotImplementedError
        If the dtype is neither floating nor complex.
    RuntimeError
        If std < 0.

    References
    ----------
    Box and Muller, "A note on the generation of random normal deviates", Ann. Math. Stat. 29, 1958.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, normal
    >>> normal(2, np.float64, generator=Generator().manual_seed(0))
    array([ 1.54099611, -0.29342891])
    """
    generator = generator or default_generator
    dtype = np.dtype(dtype)
    n = count(shape)
    if not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0, but found std={std}")
    if dtype.kind == "c":
        real = np.dtype(f"f{dtype.itemsize // 2}")
        both = target(shape, dtype, out)
        normal(2 * n, real, mean, std / math.sqrt(2.0), generator, contiguous, both.view(real))
        return both.reshape(shape)
    if not is_floating(dtype):
        raise NotImplementedError(f"normal is not defined for {dtype}; draw in a floating or complex dtype")
    result = target(shape, dtype, out)
    if fill(normal_plan(n, dtype, mean, std, generator, contiguous), result, generator):
        return result.reshape(shape)
    if n < GROUP or not contiguous:
        result[...] = narrow(libm.fma(pairs(n, generator), std, mean), dtype)
    elif dtype == np.float64:
        _grouped64(result, mean, std, generator)
    else:
        _grouped32(result, mean, std, generator)
    return result.reshape(shape)


def normal_plan(
    n: int, dtype: np.dtype[Any], mean: float, std: float, generator: Generator, contiguous: bool = True
) -> Plan:
    """Return what a kernel is asked for."""
    if n < GROUP or not contiguous:
        return Plan("pairs", dtype, (float(mean), float(std), generator.kept))
    return Plan("normal", dtype, (float(mean), float(std)))


def pairs(n: int, generator: Generator) -> Float64:
    """Return `n` standard normals drawn in pairs, the generator's kept one first; the last pair's second is kept."""
    with generator.lock:
        kept = generator.sample
        missing = n if kept is None else n - 1
        if missing < 0:
            return np.empty(0)
        drawn = 2 * ((missing + 1) // 2)
        result = np.empty(n - missing + drawn)
        if kept is not None and n:
            result[0] = kept
            generator.sample = None
        u = doubles(generator, drawn)
        if drawn <= GROUP:
            result[n - missing :] = _few_pairs(u.tolist())
        else:
            radius = np.sqrt(-2.0 * libm.log1p(-u[1::2]))
            angle = 2.0 * math.pi * u[::2]
            result[n - missing :: 2] = radius * libm.cos(angle)
            result[n - missing + 1 :: 2] = radius * libm.sin(angle)
        if drawn > missing:
            generator.sample = float(result[-1])
    return result[:n]


def _few_pairs(u: list[float]) -> list[float]:
    result = []
    for u1, u2 in zip(u[::2], u[1::2], strict=True):
        radius = math.sqrt(-2.0 * math.log1p(-u2))
        angle = 2.0 * math.pi * u1
        result += [radius * math.cos(angle), radius * math.sin(angle)]
    return result


def _grouped64(result: Float64, mean: float, std: float, generator: Generator) -> None:
    n = result.size
    whole = n - n % GROUP
    for start, stop in blocks(whole):
        result[start:stop] = _groups64(doubles(generator, stop - start), mean, std)
    if whole < n:
        generator.words(2 * (n - whole))
        result[n - GROUP :] = _groups64(doubles(generator, GROUP), mean, std)


def _groups64(u: Float64, mean: float, std: float) -> Float64:
    halves = np.ascontiguousarray(u.reshape(-1, 2, GROUP // 2).transpose(1, 0, 2))
    radius = np.sqrt(-2.0 * libm.log(1.0 - halves[0]))
    angle = 2.0 * math.pi * halves[1]
    halves[0] = libm.fma(radius * libm.cos(angle), std, mean)
    halves[1] = libm.fma(radius * libm.sin(angle), std, mean)
    return halves.transpose(1, 0, 2).reshape(-1)


def _grouped32(result: Array, mean: float, std: float, generator: Generator) -> None:
    n = result.size
    whole = n - n % GROUP
    kernel = cephes.Kernel(min(whole, BLOCK) // 2)
    for start, stop in blocks(whole):
        if stop - start < BLOCK:
            kernel = cephes.Kernel((stop - start) // 2)
        result[start:stop] = _groups32(singles(generator, stop - start), mean, std, kernel)
    if whole < n:
        if result.dtype == np.float32:
            generator.words(n - whole)  # float32 draws for every element before it makes a group; 16 bits do not
        result[n - GROUP :] = _groups32(singles(generator, GROUP), mean, std, cephes.Kernel(GROUP // 2))


def _groups32(u: Float32, mean: float, std: float, kernel: cephes.Kernel) -> Float32:
    halves = np.ascontiguousarray(u.reshape(-1, 2, GROUP // 2).transpose(1, 0, 2))
    kernel(halves[0].reshape(-1), halves[1].reshape(-1), mean, std)
    return halves.transpose(1, 0, 2).reshape(-1)


def log_normal(
    shape: Shape,
    dtype: DTypeLike,
    mean: float = 1.0,
    std: float = 2.0,
    generator: Generator | None = None,
    out: Array | None = None,
) -> Array:
    """
    Draw exp(x), x ~ N(mean, std**2) drawn in pairs of float64 for any number of elements.

    Raises
    ------
    NotImplementedError
        If the dtype is not floating.
    RuntimeError
        If std <= 0.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, log_normal
    >>> bool((log_normal(5, np.float32, generator=Generator()) > 0).all())
    True
    """
    generator = generator or default_generator
    dtype = np.dtype(dtype)
    if not std > 0.0:
        raise RuntimeError(f"log_normal expects std > 0, but found std={std}")
    require_floating("log_normal", dtype)
    result = target(shape, dtype, out)
    if not fill(Plan("log normal", dtype, (float(mean), float(std), generator.kept)), result, generator):
        result[...] = narrow(libm.exp(libm.fma(pairs(count(shape), generator), std, mean)), dtype)
    return result.reshape(shape)


def truncated_normal(
    shape: Shape,
    dtype: DTypeLike,
    mean: float = 0.0,
    std: float = 1.0,
    low: float = -2.0,
    high: float = 2.0,
    generator: Generator | None = None,
    contiguous: bool = True,
) -> Array:
    """
    Draw x ~ N(mean, std**2) given low <= x <= high: what ``nn.init.trunc_normal_`` draws.

    Where the interval holds more than 0.3 of the distribution, normals are drawn for every element until all have had
    one inside. Elsewhere proposals are uniform on the interval, and one is kept where log u is at most its log density
    over the greatest on the interval.

    Raises
    ------
    NotImplementedError
        If the dtype is not floating.
    RuntimeError
        If std < 0, or low > high.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, truncated_normal
    >>> bool(
    ...     (abs(truncated_normal(100, np.float32, low=-0.5, high=0.5, generator=Generator())) <= 0.5).all()
    ... )
    True
    """
    generator = generator or default_generator
    dtype = np.dtype(dtype)
    require_floating("truncated_normal", dtype)
    inside = 0.5 * (math.erf((high - mean) / std / math.sqrt(2.0)) - math.erf((low - mean) / std / math.sqrt(2.0)))
    if inside > 0.3:
        least, greatest = np.array(low, dtype), np.array(high, dtype)
        result = normal(shape, dtype, mean, std, generator, contiguous)
        while (outside := (result < least) | (result > greatest)).any():
            result = np.where(outside, normal(shape, dtype, mean, std, generator, contiguous), result)
        return result
    peak = -0.5 * ((max(low, min(mean, high)) - mean) / std) ** 2
    result = np.empty(shape, dtype)
    pending = np.ones(shape, np.bool_)
    while pending.any():
        proposal = uniform(shape, dtype, low, high, generator)
        result = np.where(pending, proposal, result)
        with np.errstate(divide="ignore"):
            log_u = np.log(uniform(shape, dtype, 0.0, 1.0, generator))
        centre, scale, half, top = (np.array(x, dtype) for x in (mean, std, -0.5, peak))
        pending &= log_u > ((proposal - centre) / scale) ** 2 * half - top
    return result
