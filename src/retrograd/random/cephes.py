"""Box and Muller's transform in float32, with the rounding errors of PyTorch's vector kernel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def _single(x: float) -> Float64:
    """Return the float32 number nearest to `x`, in a float64 array: NumPy meets arrays faster than Python's numbers."""
    return np.array(np.float32(x), np.float64)


_LOG = [
    _single(c)
    for c in (
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    )
]
_LN2_LOW, _LN2_HIGH = _single(-2.12194440e-4), _single(0.693359375)
_HALF, _ONE = _single(0.5), _single(1.0)
_MINUS_TWO = np.array(-2.0, np.float32)
_SQRT_HALF_BITS = np.array(0.707106781186547524, np.float32).view(np.int32)
_FOUR_OVER_PI = np.array(1.27323954473516, np.float32)
_TWO_PI = np.array(2.0 * math.pi, np.float32)
_PI_OVER_4 = [_single(c) for c in (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)]
_SIN = [_single(c) for c in (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)]
_COS = [_single(c) for c in (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)]


class Kernel:
    """
    The transform of `n` pairs of uniform numbers: float32 logarithm, sine and cosine of the Cephes library, fused.

    PyTorch's vector kernel evaluates these approximations with fused multiply and add, so their rounding errors are
    part of its stream. Here float64 arrays hold the float32 values: their products are exact, and rounding after the
    sum makes the fused operation. Every array is made once, for all the blocks of a draw.

    References
    ----------
    Moshier, Cephes Mathematical Library, single precision, 1992: logf, sinf, cosf.
    """

    def __init__(self, n: int) -> None:
        self._single: Float32 = np.empty(n, np.float32)
        self._whole = np.empty(n, np.int32)
        self._work: list[Float64] = [np.empty(n) for _ in range(5)]

    def __call__(self, u1: Float32, u2: Float32, mean: float, std: float) -> None:
        """Replace `u1` and `u2` in [0, 1) by mean + std sqrt(-2 log(1 - u1)) times cos and sin of 2 pi u2."""
        radius, *work = self._work
        self._log_of_complement(u1, radius, work)
        single = self._single
        single[...] = radius
        single *= _MINUS_TWO
        radius[...] = np.sqrt(single, out=single)
        scale, shift = _single(std), _single(mean)
        for part, out in zip(self._sincos(u2, *work), (u2, u1), strict=True):
            part *= radius
            self._round(part)
            part *= scale
            part += shift
            out[...] = part

    def _round(self, x: Float64) -> None:
        """Round `x` in place to float32's digits."""
        self._single[...] = x
        x[...] = self._single

    def _polynomial(self, x: Float64, coefficients: list[Float64], y: Float64) -> None:
        """Evaluate Horner's scheme in `x`, each step fused, into `y`."""
        np.multiply(x, coefficients[0], out=y)
        for c in coefficients[1:-1]:
            y += c
            self._round(y)
            y *= x
        y += coefficients[-1]
        self._round(y)

    def _log_of_complement(self, u: Float32, y: Float64, work: list[Float64]) -> None:
        """y = log(1 - u) = e log 2 + log m, m in [sqrt(1/2), sqrt(2)); log m = t - t^2 / 2 + t^3 P(t), t = m - 1."""
        t, square, exponent, product = work
        single, whole = self._single, self._whole
        np.subtract(np.float32(1.0), u, out=single)
        bits = single.view(np.int32)
        np.subtract(bits, _SQRT_HALF_BITS, out=whole)
        whole >>= 23
        exponent[...] = whole
        whole <<= 23
        bits -= whole
        t[...] = single
        t -= _ONE
        np.multiply(t, t, out=square)
        self._round(square)
        self._polynomial(t, _LOG, y)
        y *= t
        self._round(y)
        y *= square
        np.multiply(exponent, _LN2_LOW, out=product)
        self._round(product)
        y += product
        self._round(y)
        square *= _HALF
        y -= square
        self._round(y)
        y += t
        self._round(y)
        exponent *= _LN2_HIGH
        y += exponent
        self._round(y)

    def _sincos(self, u: Float32, r: Float64, square: Float64, sin: Float64, cos: Float64) -> tuple[Float64, Float64]:
        """Sine and cosine of 2 pi u: reduced by octants to |r| <= pi / 4, then either polynomial and a sign."""
        single, octant = self._single, self._whole
        np.multiply(u, _TWO_PI, out=single)
        r[...] = single
        single *= _FOUR_OVER_PI
        octant[...] = single
        octant += 1
        octant &= -2
        square[...] = octant
        for part in _PI_OVER_4:
            np.multiply(square, part, out=sin)
            r += sin
            self._round(r)
        np.multiply(r, r, out=square)
        self._round(square)
        self._polynomial(square, _SIN, sin)
        sin *= square
        self._round(sin)
        sin *= r
        sin += r
        self._round(sin)
        self._polynomial(square, _COS, cos)
        cos *= square
        self._round(cos)
        cos *= square
        square *= _HALF
        cos -= square
        self._round(cos)
        cos += _ONE
        self._round(cos)
        swap = (octant & 2).astype(np.bool_)
        signed_sin = np.where(swap, cos, sin)
        signed_cos = np.where(swap, sin, cos)
        signed_sin *= 1.0 - 0.5 * (octant & 4)
        signed_cos *= 1.0 - 0.5 * ((octant + 2) & 4)
        return signed_sin, signed_cos
