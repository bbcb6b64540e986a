"""Airy's function of the first kind: its power series near 0, and an integral that Gauss's quadrature takes beyond.

The integral is that of Gil, Segura and Temme 2002, Computing complex Airy functions by numerical quadrature, equation 3:
Ai(z) = exp(-s) s^(-1/6) / (sqrt(pi) 48^(1/6) Gamma(5/6)) times the integral over t > 0 of (2 + t/s)^(-1/6) t^(-1/6) e^(-t),
s = 2/3 z^(3/2). Negative x are reached by the connection formula Ai(-x) = 2 Re(e^(i pi/3) Ai(x e^(i pi/3))).
"""

from __future__ import annotations

import functools
import math

import numpy as np

from .evaluate import Array, through_float64

NEAR, TERMS, POINTS = 2.2, 24, 64
AI_0 = 3 ** (-2 / 3) / math.gamma(2 / 3)
SLOPE_0 = -(3 ** (-1 / 3)) / math.gamma(1 / 3)


def _series(x: Array) -> Array:
    cube = x**3
    first, second = np.ones_like(x), np.ones_like(x)
    for k in range(TERMS, 0, -1):
        first = 1 + first * cube / ((3 * k - 1) * (3 * k))
        second = 1 + second * cube / ((3 * k) * (3 * k + 1))
    value: Array = AI_0 * first + SLOPE_0 * x * second
    return value


@functools.cache
def _quadrature() -> tuple[Array, Array]:
    """Give nodes and weights for t^(-1/6) e^(-t) on t > 0: eigenvalues of the recurrence of Laguerre's polynomials."""
    a, n = -1 / 6, np.arange(POINTS)
    off = np.sqrt(n[1:] * (n[1:] + a))
    nodes, vectors = np.linalg.eigh(np.diag(2 * n + a + 1) + np.diag(off, 1) + np.diag(off, -1))
    return nodes, vectors[0] ** 2 * math.gamma(a + 1)


def _integral(s: Array) -> Array:
    """Give Ai without its factor exp(-s)."""
    nodes, weights = _quadrature()
    total = ((2 + nodes / s[..., None]) ** (-1 / 6) * weights).sum(-1)
    value: Array = s ** (-1 / 6) * total / (math.sqrt(math.pi) * 48 ** (1 / 6) * math.gamma(5 / 6))
    return value


@through_float64
def airy_ai(x: Array) -> Array:
    """Give Airy's function Ai, which solves y'' = x y and falls as x grows."""
    result = np.full(x.shape, np.nan)
    near, right, left = np.abs(x) <= NEAR, (x > NEAR) & (x < np.inf), (x < -NEAR) & (x > -np.inf)
    result[near] = _series(x[near])
    s = 2 / 3 * x[right] ** 1.5
    result[right] = np.exp(-s) * _integral(s)
    s = 2 / 3 * (-x[left]) ** 1.5
    turned = np.exp(1j * (math.pi / 3 - s)) * _integral(1j * s)
    result[left] = 2 * turned.real
    return result
