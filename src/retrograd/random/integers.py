"""Uniform integers and permutations."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from retrograd.random.generator import Generator, default_generator
from retrograd.random.native import Plan, fill
from retrograd.random.uniforms import Array, Shape, blocks, count, digits, is_floating, longs, target

_LONG_RANGE = 1 << 28
"""From this range on, an integer is drawn from 64 bits."""

_INT64 = np.dtype(np.int64)
_FEW = 300
"""Up to here, Fisher and Yates' loop over a list is faster than its vector form."""

LARGE_PERMUTATION = (2**32 - 1) // 20
"""From this length on, a permutation is drawn from 64 bits an element."""


def _reduce(bits: NDArray[np.uint64], span: int) -> NDArray[np.uint64]:
    """Return `bits` modulo `span`, in place."""
    if span >= 1 << 64:
        return bits
    if span & (span - 1) == 0:
        bits &= np.uint64(span - 1)
    else:
        bits %= np.uint64(span)
    return bits


class Range(NamedTuple):
    """Integers base + (draw modulo span), the draws of 64 bits where `wide` and of 32 otherwise."""

    span: int
    base: int
    wide: bool


@functools.lru_cache(256)
def integers_plan(dtype: np.dtype[Any], drawn: Range) -> Plan:
    """Return what a kernel is asked for."""
    if drawn.wide:
        return Plan("long integers", dtype, (drawn.base, drawn.span if drawn.span < 1 << 64 else 0))
    return Plan("integers", dtype, (drawn.base, float(drawn.span)))


def _fill(shape: Shape, dtype: np.dtype[Any], drawn: Range, generator: Generator, out: Array | None) -> Array:
    """Return numbers of a range."""
    result = target(shape, dtype, out)
    if not fill(integers_plan(dtype, drawn), result, generator):
        for start, stop in blocks(result.size):
            result[start:stop] = _some(stop - start, dtype, drawn.span, drawn.base, drawn.wide, generator)
    return result.reshape(shape)


def _some(n: int, dtype: np.dtype[Any], span: int, base: int, wide: bool, generator: Generator) -> Array:
    bits = longs(generator, n) if wide else generator.words(n)
    values: Array = _reduce(bits, span).view(np.int64)
    if base:
        values += base
    if dtype.itemsize == 2 and is_floating(dtype):
        values = values.astype(np.float32)
    return values.astype(dtype, copy=False)


@functools.lru_cache(64)
def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the least and greatest integer that `dtype` holds."""
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return int(info.min), int(info.max)
    largest = {"float16": 65504, "bfloat16": int(3.3895313892515355e38)}.get(dtype.name)
    if largest is None:
        largest = int(np.finfo(dtype).max)
    return -largest, largest


def _rounded(value: int, dtype: np.dtype[Any]) -> int:
    """Return the number of `dtype` nearest to `value`, and `value` itself where the dtype has none that large."""
    if abs(value) > _limits(dtype)[1]:
        return value
    nearest = int(np.float32(value).astype(dtype)) if dtype.itemsize == 2 else int(dtype.type(value))
    return nearest if nearest < 1 << 63 else -(1 << 63)  # as the processor converts what int64 does not hold


def _representable(low: int, high: int, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Move the bounds of a floating draw inwards where their neighbours are not numbers of the dtype."""
    precision = digits(dtype)
    above = _rounded(low + 1, dtype)
    if above < low:
        low = above + (1 << (abs(low + 1).bit_length() - precision))
    below = _rounded(high - 1, dtype)
    if below >= high:
        high = below - (1 << (abs(high - 1).bit_length() - precision))
    return low, high


def randint(
    low: int,
    high: int,
    shape: Shape,
    dtype: DTypeLike = np.int64,
    generator: Generator | None = None,
    out: Array | None = None,
) -> Array:
    """
    Draw integers from low, low + 1, ..., high - 1 with equal probability.

    low + (word modulo (high - low)); two words to an integer where high - low >= 2**28.

    Parameters
    ----------
    low, high : int
    shape : int or tuple of int
    dtype : numpy dtype, optional
        Integer, bool or floating. Where a floating dtype does not hold the bounds' neighbours, the range shrinks to
        numbers that it holds.
    generator : Generator, optional
        The default generator where none is given.
    out : array, optional
        Contiguous, of that shape and dtype; it is drawn into, and is the result.

    Raises
    ------
    RuntimeError
        If low >= high, or a bound does not fit the dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, randint
    >>> randint(0, 10, (3,), generator=Generator().manual_seed(0))
    array([4, 9, 3])
    """
    generator = generator or default_generator
    dtype = np.dtype(dtype)
    return _fill(shape, dtype, range_between(low, high, dtype), generator, out)


@functools.lru_cache(256)
def range_between(low: int, high: int, dtype: np.dtype[Any]) -> Range:
    """Return the integers from low up to, not including, high, as a dtype holds them."""
    _require_number("randint", dtype)
    if low >= high:
        raise RuntimeError(f"randint: random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    if is_floating(dtype):
        low, high = _representable(low, high, dtype)
        if low >= high:
            raise RuntimeError(f"random_ expects 'from' < 'to' after rounding to {dtype}, but got {low} >= {high}")
    least, greatest = _limits(dtype)
    for name, value in (("from", low), ("to - 1", high - 1)):
        if not least <= value <= greatest:
            raise RuntimeError(f"{name} = {value} is out of bounds for {dtype}, which holds {least} to {greatest}")
    return Range(high - low, low, high - low >= _LONG_RANGE)


def random_(
    shape: Shape,
    dtype: DTypeLike = np.int64,
    generator: Generator | None = None,
    low: int | None = None,
    out: Array | None = None,
) -> Array:
    """
    Draw integers over the range of a dtype, as ``x.random_()`` does, or ``x.random_(low, None)`` where `low` is given.

    Integers range from 0 (or `low`) to the greatest of the dtype, floating numbers to 2**digits, the last integer they
    all hold; ``low=-2**63`` gives 64 bits as they are.

    Raises
    ------
    NotImplementedError
        If the dtype has no such draw.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, random_
    >>> random_((), np.uint8, Generator().manual_seed(0)).dtype
    dtype('uint8')
    """
    generator = generator or default_generator
    dtype = np.dtype(dtype)
    return _fill(shape, dtype, whole_range(count(shape), dtype, low), generator, out)


@functools.lru_cache(256)
def whole_range(n: int, dtype: np.dtype[Any], low: int | None = None) -> Range:
    """Return the integers that `random_` draws `n` of."""
    floating = is_floating(dtype)
    if low is None:
        if n and dtype.kind not in "bi" and not floating and dtype != np.uint8:
            raise NotImplementedError(f"random_ without bounds is not defined for {dtype}; give from and to")
        greatest = 1 << digits(dtype) if floating else _limits(dtype)[1]
        return Range(greatest + 1, 0, dtype.name in ("int64", "float64"))
    if low == -(1 << 63):
        if n and dtype.name not in ("int64", "float64", "float32", "bfloat16"):
            narrow = dtype.kind == "i" or dtype == np.uint8
            raise (RuntimeError if narrow else NotImplementedError)(
                f"random_ over 64 bits is not defined for {dtype}; draw int64 or float64"
            )
        return Range(1 << 64, 0, True)
    _require_number("random_", dtype)
    if floating:
        low = _representable(low, 1, dtype)[0]
    greatest = 1 << digits(dtype) if floating else _limits(dtype)[1]
    least = _limits(dtype)[0]
    if greatest >= 1 << 63:
        raise RuntimeError(f"to - 1 = {greatest} is out of bounds for {dtype} draws; give to <= 2**63 - 1")
    if not least <= low <= greatest:
        raise RuntimeError(f"from = {low} is out of bounds for {dtype}, which holds {least} to {greatest}")
    span = greatest - low + 1
    return Range(span, low, span >= _LONG_RANGE)


def _require_number(op: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "biu" and not is_floating(dtype):
        raise RuntimeError(f"{op} handles integer, floating and bool dtypes, but got {dtype}")


def randperm(n: int, dtype: DTypeLike = np.int64, generator: Generator | None = None) -> Array:
    """
    Draw a permutation of 0, ..., n - 1, by the exchanges of Fisher and Yates.

    Step i = 0, ..., n - 2 exchanges the elements at i and i + (word modulo (n - i)).

    Raises
    ------
    RuntimeError
        If n < 0, or the dtype does not hold n - 1.
    NotImplementedError
        If the dtype is bool or complex.

    Examples
    --------
    >>> from retrograd.random import Generator, randperm
    >>> randperm(5, generator=Generator().manual_seed(0))
    array([4, 0, 1, 3, 2])
    """
    generator = generator or default_generator
    dtype = np.dtype(dtype)
    if n < 0:
        raise RuntimeError(f"randperm expects n >= 0, but got {n}")
    floating = is_floating(dtype)
    if dtype.kind != "i" and dtype != np.uint8 and not floating:
        raise NotImplementedError(f"randperm is not defined for {dtype}; use a signed integer, uint8 or floating dtype")
    holds = 1 << digits(dtype) if floating else _limits(dtype)[1]
    if n > holds + 1 and dtype.name != "bfloat16":
        raise RuntimeError(f"randperm: n = {n} is too large for {dtype}, which holds 0 to {holds}")
    if n >= LARGE_PERMUTATION:
        order = _inside_out(_reduce_by(longs(generator, n), np.arange(1, n + 1, dtype=np.uint64)))
    elif n > 1 and fill(Plan("permutation", _INT64), order := np.empty(n, np.int64), generator):
        pass
    elif n <= _FEW:
        return np.array(_exchange(generator.words(max(n - 1, 0)).tolist(), n), dtype)
    else:
        jumps = _reduce_by(generator.words(n - 1), np.arange(n, 1, -1, dtype=np.uint64))
        order = _exchanged(np.append(jumps, 0) + np.arange(n))
    return order.astype(dtype, copy=False)


def _reduce_by(bits: NDArray[np.uint64], spans: NDArray[np.uint64]) -> NDArray[np.int64]:
    bits %= spans
    return bits.view(np.int64)


def _exchange(words: list[int], n: int) -> list[int]:
    order = list(range(n))
    for i, word in enumerate(words):
        j = i + word % (n - i)
        order[i], order[j] = order[j], order[i]
    return order


def _exchanged(partner: NDArray[np.int64]) -> NDArray[np.int64]:
    """
    Exchange the elements at i and partner[i] >= i of 0, ..., n - 1 for i = 0, 1, ..., all at once.

    Step k leaves at partner[k] what was at k before it, and nothing touches k afterwards. So what is at k before step k
    came from the last step before k whose partner is k, and from its own position before that: a chain of steps down to
    one without such a predecessor, which holds its own number. The result at i is what the last step before i with the
    same partner left there, or the partner's own number.
    """
    n = partner.size
    steps = np.arange(n)
    moves = partner != steps
    source = steps.copy()
    source[partner[moves]] = steps[moves]  # of equal partners the last is written last
    while True:
        further = source[source]
        if np.array_equal(further, source):
            break
        source = further
    keys = np.sort((partner << 32) | steps)
    step, target = keys & 0xFFFFFFFF, keys >> 32
    again = np.flatnonzero(target[1:] == target[:-1])
    result = partner.copy()
    result[step[again + 1]] = source[step[again]]
    return result


def _inside_out(partner: NDArray[np.int64]) -> NDArray[np.int64]:
    """
    Append i and exchange it with the element at partner[i] <= i, for i = 0, 1, ..., and return the result.

    Seen from the end, these are the exchanges of `_exchanged` in the opposite order: the inverse permutation.
    """
    n = partner.size
    mirrored = _exchanged(n - 1 - partner[::-1])
    inverse = n - 1 - mirrored[::-1]
    result = np.empty(n, np.int64)
    result[inverse] = np.arange(n)
    return result
