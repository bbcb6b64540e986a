"""Uniform draws, real and integer, and the coins made of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from retrograd.random import libm
from retrograd.random.generator import Generator, default_generator
from retrograd.random.native import Plan, fill

Array = NDArray[Any]
Shape = int | tuple[int, ...]

BLOCK = 1 << 14
"""Elements drawn at a time: the words and what is made of them stay in the processor's cache."""

_LOW24 = np.uint64((1 << 24) - 1)
_LOW53 = np.uint64((1 << 53) - 1)
_HALF_WORD = np.uint64(32)
_SCALE24 = np.float32(2.0**-24)
_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)
_PATTERNS = {size: np.dtype(f"i{size}") for size in (1, 2, 4, 8)}


def count(shape: Shape) -> int:
    """Return the number of elements of `shape`."""
    return shape if isinstance(shape, int) else math.prod(shape)


def blocks(n: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds (start, stop) of the blocks of `n` elements."""
    for start in range(0, n, BLOCK):
        yield start, min(start + BLOCK, n)


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Say whether `dtype` is real floating point, bfloat16 included."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def digits(dtype: np.dtype[Any]) -> int:
    """Return the number of binary digits of a floating dtype's significand."""
    return {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}[dtype.name]


def require_floating(op: str, dtype: np.dtype[Any]) -> None:
    """Raise NotImplementedError, as PyTorch does, where `dtype` is not floating point."""
    if not is_floating(dtype):
        raise NotImplementedError(f"{op} is not defined for {dtype}; draw in a floating dtype")


def narrow(x: Array, dtype: np.dtype[Any]) -> Array:
    """Round float64 values to `dtype` as C++ does: to 16 bits by way of float32."""
    if dtype == _FLOAT64:
        return x
    with np.errstate(over="ignore"):
        single = x.astype(np.float32)
        return single if dtype == _FLOAT32 else single.astype(dtype)


def longs(generator: Generator, n: int) -> NDArray[np.uint64]:
    """Return `n` integers of 64 bits, each of two words, the first the higher."""
    words = generator.words(2 * n)
    result: NDArray[np.uint64] = words[::2] << _HALF_WORD
    result |= words[1::2]
    return result


def doubles(generator: Generator, n: int) -> NDArray[np.float64]:
    """Return `n` numbers in [0, 1), the low 53 bits of two words over 2**53."""
    bits = longs(generator, n)
    bits &= _LOW53
    result = bits.astype(np.float64)
    result *= 2.0**-53
    return result


def singles(generator: Generator, n: int, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Return `n` numbers in [0, 1), the low 24 bits of a word over 2**24."""
    if n <= BLOCK and out is None:
        words = generator.words(n)
        words &= _LOW24
        result = words.astype(np.float32)
    else:
        result = np.empty(n, np.float32) if out is None else out
        for start, stop in blocks(n):
            words = generator.words(stop - start)
            words &= _LOW24
            result[start:stop] = words
    result *= _SCALE24
    return result


def target(shape: Shape, dtype: np.dtype[Any], out: Array | None) -> Array:
    """Return the memory that a draw fills, in one dimension: that of `out`, which is contiguous, or new."""
    if out is None:
        return np.empty(count(shape), dtype)
    if not out.flags.writeable:
        raise ValueError("a draw's destination is read-only; draw into a copy")
    return out.reshape(-1)


@functools.lru_cache(256)
def uniform_plan(dtype: np.dtype[Any], low: float, high: float) -> Plan:
    """Return what a kernel is asked for, once the bounds are checked."""
    require_floating("uniform", dtype)
    largest = 65504.0 if dtype == np.float16 else (math.inf if dtype == _FLOAT64 else 3.4028234663852886e38)
    for name, bound in (("low", low), ("high", high), ("high - low", high - low)):
        if not abs(bound) <= largest or math.isinf(bound):
            raise RuntimeError(f"uniform: {name} = {bound} is out of bounds for {dtype}")
    if not low <= high:
        raise RuntimeError(f"uniform expects low <= high, but found low={low} > high={high}")
    if dtype == _FLOAT64:
        return Plan("uniform", dtype, (float(low), float(high - low), float(low), float(high)))
    small, large = np.float32(low), np.float32(high)
    ends = float(small.astype(dtype)), float(large.astype(dtype))
    return Plan("uniform", dtype, (float(small), float(large - small), *ends))


def uniform(
    shape: Shape,
    dtype: DTypeLike,
    low: float = 0.0,
    high: float = 1.0,
    generator: Generator | None = None,
    out: Array | None = None,
) -> Array:
    """
    Draw x ~ U[low, high): low + (high - low) u, rounded once; a value that rounds to `high` becomes `low`.

    u is 24 bits of one word, or 53 bits of two words for float64. 16-bit dtypes round the float32 value; complex
    dtypes draw real and imaginary part in turn.

    Parameters
    ----------
    shape : int or tuple of int
    dtype : numpy dtype
        Floating or complex.
    low, high : float
    generator : Generator, optional
        The default generator where none is given.
    out : array, optional
        Contiguous, of that shape and dtype; it is drawn into, and is the result.

    Raises
    ------
    NotImplementedError
        If the dtype is neither floating nor complex.
    RuntimeError
        If low > high, or the dtype does not hold low, high and high - low.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, uniform
    >>> uniform((2, 2), np.float64, generator=Generator().manual_seed(1)).shape
    (2, 2)
    """
    generator = generator or default_generator
    dtype = np.dtype(dtype)
    if dtype.kind == "c":
        real = np.dtype(f"f{dtype.itemsize // 2}")
        parts = target(shape, dtype, out)
        uniform(2 * parts.size, real, low, high, generator, parts.view(real))
        return parts.reshape(shape)
    plan = uniform_plan(dtype, low, high)
    result = target(shape, dtype, out)
    if fill(plan, result, generator):
        return result.reshape(shape)
    if dtype == _FLOAT32 and low == 0.0 and high == 1.0:
        singles(generator, result.size, result)
        return result.reshape(shape)
    for start, stop in blocks(result.size):
        result[start:stop] = _uniform_block(stop - start, dtype, low, high, generator)
    return result.reshape(shape)


def _uniform_block(n: int, dtype: np.dtype[Any], low: float, high: float, generator: Generator) -> Array:
    if dtype == _FLOAT64:
        x = doubles(generator, n)
        if low != 0.0 or high != 1.0:
            x = libm.fma(x, high - low, low)
            x[x >= high] = low
        return x
    small, large = np.float32(low), np.float32(high)
    # In float64 the product of two float32 numbers is exact, so this is float32's fused multiply and add.
    wide = singles(generator, n).astype(np.float64) * float(large - small) + float(small)
    result: Array = wide.astype(np.float32).astype(dtype)
    result[result >= large.astype(dtype)] = small.astype(dtype)
    return result


@functools.lru_cache(256)
def coins_plan(dtype: np.dtype[Any], p: float, scale: float = 1.0) -> Plan:
    """Return what a kernel is asked for: which of two patterns of bits an element gets, so that dtypes matter by size alone."""
    one = np.array(scale, dtype)
    return Plan("coins", _PATTERNS[dtype.itemsize], (math.ceil(p * 2.0**53), int(one.view(f"u{dtype.itemsize}"))))


def bernoulli_scalar(
    p: float,
    shape: Shape,
    dtype: DTypeLike = np.bool_,
    generator: Generator | None = None,
    out: Array | None = None,
    scale: float = 1.0,
) -> Array:
    """
    Draw ones, or `scale`, with probability `p` and zeros otherwise, two words to an element.

    An element is one where the low 53 bits of its two words, over 2**53, are below `p`: what ``x.bernoulli_(p)`` and
    dropout draw on every processor but Intel's.

    Raises
    ------
    RuntimeError
        If `p` is outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, bernoulli_scalar
    >>> bernoulli_scalar(1.0, (3,), np.float32, Generator())
    array([1., 1., 1.], dtype=float32)
    """
    generator = generator or default_generator
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"bernoulli expects p in [0, 1], but found p={p}")
    dtype = np.dtype(dtype)
    result = target(shape, dtype, out)
    if dtype.itemsize in _PATTERNS and fill(coins_plan(dtype, p, scale), result, generator):
        return result.reshape(shape)
    threshold = np.uint64(math.ceil(p * 2.0**53))
    for start, stop in blocks(count(shape)):
        bits = longs(generator, stop - start)
        bits &= _LOW53
        result[start:stop] = bits < threshold
        if scale != 1.0:
            result[start:stop] *= np.array(scale, dtype)
    return result.reshape(shape)


def dropout_mask(p_keep: float, shape: Shape, dtype: DTypeLike = np.bool_, generator: Generator | None = None) -> Array:
    """Draw the mask of dropout: one where an element is kept, with probability `p_keep`; see `bernoulli_scalar`."""
    return bernoulli_scalar(p_keep, shape, dtype, generator)


def bernoulli(p: Array, generator: Generator | None = None, dtype: DTypeLike | None = None) -> Array:
    """
    Draw ones with the probabilities in `p`, one draw to an element.

    float64 probabilities are compared with 53 bits of two words, the others with 24 bits of one. The result has `p`'s
    shape, and its dtype unless `dtype` says otherwise.

    Raises
    ------
    NotImplementedError
        If `p` is not floating.
    RuntimeError
        If a probability is outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, bernoulli
    >>> bernoulli(np.array([0.0, 1.0]), Generator())
    array([0., 1.])
    """
    generator = generator or default_generator
    require_floating("bernoulli", p.dtype)
    if p.size and not _are_chances(p):
        raise RuntimeError("bernoulli expects every probability in [0, 1], but found one outside or not a number")
    flat: Array = p.reshape(-1)
    if dtype is None or np.dtype(dtype) == p.dtype:
        coins = np.empty(p.size, p.dtype)
        if fill(Plan("chances", p.dtype, (np.ascontiguousarray(flat),)), coins, generator):
            return coins.reshape(p.shape)
    if p.dtype != _FLOAT64:
        flat = flat.astype(np.float32, copy=False)
    drawn: Array = doubles(generator, p.size) if p.dtype == _FLOAT64 else singles(generator, p.size)
    result: Array = np.less(drawn, flat).astype(dtype if dtype is not None else p.dtype)
    return result.reshape(p.shape)


def _are_chances(p: Array) -> bool:
    """Tell whether all numbers are in [0, 1]: most are where their bits, as whole numbers, are not above those of 1."""
    whole = np.dtype(f"u{p.dtype.itemsize}")
    if p.view(whole).max() <= np.ones((), p.dtype).view(whole):
        return True
    return bool(p.min() >= 0 and p.max() <= 1)


def place(flat: Array, target: Array) -> None:
    """
    Write a stream of draws into `target` in the order of its memory, as an in-place draw does.

    Draws follow memory, not indices: a transposed target receives the stream along its columns.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import place
    >>> target = np.zeros((2, 2)).T
    >>> place(np.arange(4.0), target)
    >>> target
    array([[0., 2.],
           [1., 3.]])
    """
    order = sorted(range(target.ndim), key=lambda axis: -abs(target.strides[axis]) if target.shape[axis] > 1 else 0)
    view = target.transpose(order)
    view[...] = flat.reshape(view.shape)
