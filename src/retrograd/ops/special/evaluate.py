"""Tools the special functions share: dtypes and blocks, polynomials, piecewise definitions, exact-argument sines."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.door import _quiet, quiet_off, quiet_on
from .tables import Rational

Array = np.ndarray[Any, Any]
Kernel = Callable[..., Array]

# Elements handled at a time. A float64 temporary of this length stays in the second-level cache, and below the size
# from which the C library maps fresh pages for every array (128 KiB).
BLOCK = 8192
INF = float("inf")
# A formula wanted by fewer than one element in this many is given those elements alone.
GATHER_BELOW = 8


def silently(function: Kernel) -> Kernel:
    """The function with NumPy's floating-point warnings off, as they are inside the door: results carry infinities."""

    @functools.wraps(function)
    def silent(*operands: Any, **attributes: Any) -> Array:
        token = quiet_on(_quiet)
        try:
            return function(*operands, **attributes)
        finally:
            quiet_off(token)

    return silent


def through_float64(kernel: Kernel) -> Kernel:
    """Make a function of arrays of any floating dtype from one of flat float64 arrays.

    Operands are broadcast, taken block by block in float64, and the result is rounded once to their common dtype;
    integers and bools count as float32, and Python numbers take the arrays' dtype.
    """

    @functools.wraps(kernel)
    def function(*operands: Any, **attributes: Any) -> Array:
        arrays = [np.asarray(operand) for operand in operands]
        strong = [array for array, operand in zip(arrays, operands) if type(operand) not in (int, float)]
        dtype = common_dtype(strong or arrays)
        shape = arrays[0].shape
        if len(arrays) > 1:
            arrays = list(np.broadcast_arrays(*arrays))
            shape = arrays[0].shape
        flat = [array.reshape(-1) for array in arrays]
        out = np.empty(flat[0].size, dtype)
        for start in range(0, out.size, BLOCK):
            part = slice(start, start + BLOCK)
            out[part] = kernel(*(array[part].astype(np.float64, copy=False) for array in flat), **attributes)
        return out.reshape(shape)

    return silently(function)


def common_dtype(arrays: Sequence[Array]) -> np.dtype[Any]:
    """The floating dtype of the operands: the widest of theirs, float32 for integers and bools."""
    floating = [array.dtype for array in arrays if array.dtype.kind not in "biu"]
    if not floating:
        return np.dtype(np.float32)
    if any(dtype.kind == "c" for dtype in floating):
        raise TypeError(
            f"special functions are real: got {[str(array.dtype) for array in arrays]}; take .real or .abs()"
        )
    return functools.reduce(np.promote_types, floating)


def polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Value of a polynomial, lowest power first, by Horner's rule in one buffer."""
    out = x * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        out += coefficient
        out *= x
    out += coefficients[0]
    return out


def rational(coefficients: Rational, x: Array) -> Array:
    """Value of a quotient of polynomials."""
    out = polynomial(coefficients.numerator, x)
    out /= polynomial(coefficients.denominator, x)
    return out


def piecewise(x: Array, *pieces: tuple[float, Callable[[Array], Array]]) -> Array:
    """Value of a function with one formula per interval, given as (upper end, formula) from left to right.

    An interval holds its lower end and not its upper, except that the last one takes everything above. A formula sees
    arguments of its own interval only, its ends included. NaN belongs to no interval and stays.

    Gathering and scattering elements costs some forty arithmetic operations each, so a formula runs on all elements,
    clamped to its interval, and its values are chosen bit by bit, unless it is wanted by few.
    """
    out = x + np.nan
    bits = out.view(np.int64)
    low = -INF
    for high, formula in pieces:
        ends = low, high
        inside = x >= low if high == INF else x < high if low == -INF else (x >= low) & (x < high)
        low = high
        count = np.count_nonzero(inside)
        if count == x.size:
            return formula(x)
        if count * GATHER_BELOW < x.size:
            if count:
                out[inside] = formula(x[inside])
            continue
        mask = inside.astype(np.int64)
        np.negative(mask, out=mask)
        values = formula(np.clip(x, *ends)).view(np.int64)
        # (out & ~mask) | (values & mask)
        values ^= bits
        values &= mask
        bits ^= values
    return out


def exp_of_square(x: Array, scale: float) -> Array:
    """exp(scale * x^2) for a power of two `scale`, without the error that rounding x^2 would bring.

    The square of x's upper 26 bits is exact, and (x - high)(x + high) is the small rest.
    """
    high = (x.view(np.int64) & np.int64(~0x7FFFFFF)).view(np.float64)
    return np.exp(high * high * scale) * np.exp((x - high) * (x + high) * scale)


def sin_pi(x: Array) -> Array:
    """sin(pi x), exactly 0 at integers."""
    nearest = np.rint(x)
    sign = 1.0 - 2.0 * np.mod(nearest, 2.0)
    return np.sin(np.pi * (x - nearest)) * sign
