"""float64 functions with the C library's last bit, on arrays: PyTorch's scalar kernels call the C library."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_SPLIT = 134217729.0  # 2**27 + 1, Dekker's constant


class CFunction:
    """
    One function of the C library over arrays.

    NumPy's own loops differ from the C library in the last bit where a processor has AVX-512 (log1p in 7 of 100
    arguments, log in 3 of 1,000). So the first call compares each candidate with `math`'s function on fixed arguments
    and keeps the first that agrees everywhere; where none does, `math`'s function itself is mapped over the values.
    """

    def __init__(
        self, scalar: Callable[[float], float], low: float, high: float, *candidates: Callable[[Array], Array]
    ) -> None:
        self.scalar = scalar
        self._range = (low, high)
        self._candidates = candidates
        self._chosen: Callable[[Array], Array] | None = None

    def _mapped(self, x: Array) -> Array:
        return np.fromiter(map(self.scalar, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)

    def _choose(self) -> Callable[[Array], Array]:
        low, high = self._range
        # Arguments that are multiples of 2**-53, as draws are.
        points = low + (high - low) * (1.0 - np.random.RandomState(0).random_sample(8192))
        expected = self._mapped(points)
        for candidate in self._candidates:
            if np.array_equal(candidate(points), expected):
                return candidate
        return self._mapped

    def __call__(self, x: Array) -> Array:
        """Return the function of each element of `x`."""
        if self._chosen is None:
            self._chosen = self._choose()
        return self._chosen(x)


def _complex_log(x: Array) -> Array:
    # NumPy's complex log1p(z) is the C library's log(hypot(1 + z, 0)); x - 1 is exact for multiples of 2**-53.
    return np.log1p((x - 1.0).astype(np.complex128)).real


def _complex_exp(x: Array) -> Array:
    return np.exp(x.astype(np.complex128)).real


def _complex_sin(x: Array) -> Array:
    circle: NDArray[np.complex128] = np.exp(1j * x)
    return circle.imag


def _complex_cos(x: Array) -> Array:
    circle: NDArray[np.complex128] = np.exp(1j * x)
    return circle.real


def _ufunc(function: Any) -> Callable[[Array], Array]:
    typed: Callable[[Array], Array] = function
    return typed


def _log(x: float) -> float:
    return math.log(x) if x else -math.inf


log = CFunction(_log, 0.0, 1.0, _ufunc(np.log), _complex_log)
"""The natural logarithm of multiples of 2**-53 in [0, 1]."""
log1p = CFunction(math.log1p, 0.0, -1.0 + 2.0**-53, _ufunc(np.log1p))
exp = CFunction(math.exp, -40.0, 40.0, _ufunc(np.exp), _complex_exp)
sin = CFunction(math.sin, 0.0, 2.0 * math.pi, _ufunc(np.sin), _complex_sin)
cos = CFunction(math.cos, 0.0, 2.0 * math.pi, _ufunc(np.cos), _complex_cos)
tan = CFunction(math.tan, -math.pi / 2, math.pi / 2, _ufunc(np.tan))


def fma(a: Array, b: float, c: float) -> Array:
    """
    Return a * b + c rounded once, as the machine's fused instruction does.

    The product's error is found by Dekker's splitting, the sum's by Knuth's (Dekker, Numer. Math. 18, 1971).
    """
    if c == 0.0 or b == 1.0:
        return a * b + c
    a_high = _SPLIT * a
    a_high = a_high - (a_high - a)
    a_low = a - a_high
    b_high = _SPLIT * b
    b_high = b_high - (b_high - b)
    b_low = b - b_high
    product = a * b
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    total = product + c
    back = total - product
    error += (product - (total - back)) + (c - back)
    result: Array = total + error
    return result
