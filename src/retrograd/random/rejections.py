"""Draws by rejection: Poisson, binomial, gamma, Dirichlet; how much an element takes depends on what it is dealt."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from retrograd.random import libm
from retrograd.random.generator import Generator, default_generator
from retrograd.random.normals import pairs
from retrograd.random.uniforms import Array, doubles, is_floating, narrow, require_floating

_log = libm.log.scalar


class _Supply:
    """
    Uniform numbers one at a time, drawn many at a time but never one too many.

    What elements take is known only when it is taken; but every element still to come takes `least` at least, so that
    many can be drawn at once without moving the stream past what the last element takes.
    """

    def __init__(self, generator: Generator, elements: int, least: int) -> None:
        self._generator = generator
        self._left: list[float] = []
        self._least = least
        self.elements = elements
        """The elements still to come, the one in hand not counted."""

    def __call__(self) -> float:
        if not self._left:
            self._left = doubles(self._generator, 1 + self._least * self.elements)[::-1].tolist()
        return self._left.pop()


def poisson(rate: Array, generator: Generator | None = None) -> Array:
    """
    Draw counts: P(k) = exp(-rate) rate^k / k!, one to each element of `rate`, in its dtype.

    Below 10, uniforms are multiplied until the product falls to exp(-rate); from 10 on, transformed rejection.

    Raises
    ------
    NotImplementedError
        If `rate` is not floating.
    RuntimeError
        If a rate is negative, infinite or not a number.

    References
    ----------
    Hoermann, "The transformed rejection method for generating Poisson random variables", Insurance: Mathematics and
    Economics 12, 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, poisson
    >>> poisson(np.zeros(3), Generator())
    array([0., 0., 0.])
    """
    generator = generator or default_generator
    require_floating("poisson", rate.dtype)
    if not bool(np.all((rate >= 0) & np.isfinite(rate))):
        raise RuntimeError(
            "poisson expects finite rates >= 0, but found one that is negative, infinite or not a number"
        )
    values = rate.reshape(-1).astype(np.float64).tolist()
    elements = sum(value > 0.0 for value in values)
    draw = _Supply(generator, elements, 1)
    counts = []
    for value in values:
        draw.elements -= value > 0.0
        counts.append(_poisson_large(value, draw) if value >= 10.0 else _poisson_small(value, draw))
    return narrow(np.array(counts, np.float64), rate.dtype).reshape(rate.shape)


def _poisson_small(rate: float, draw: Callable[[], float]) -> int:
    if rate == 0.0:
        return 0
    floor = math.exp(-rate)
    product, k = draw(), 0
    while product > floor:
        product *= draw()
        k += 1
    return k


def _poisson_large(rate: float, draw: Callable[[], float]) -> float:
    root, log_rate = math.sqrt(rate), math.log(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, v = draw() - 0.5, draw()
        us = 0.5 - abs(u)
        if us == 0.0:
            continue
        k = math.floor((2.0 * a / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= v_r:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        ratio = _log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b)
        if ratio <= -rate + k * log_rate - math.lgamma(k + 1):
            return k


def binomial(trials: Array, p: Array, generator: Generator | None = None) -> Array:
    """
    Draw the number of successes in `trials` trials of probability `p`, one to each element, in their dtype.

    Below 10 expected successes (or failures, the rarer), geometric waiting times are summed; from 10 on, transformed
    rejection.

    Parameters
    ----------
    trials, p : array
        Of one floating dtype and one shape.

    Raises
    ------
    ValueError
        If the dtypes are not floating, or differ.
    NotImplementedError
        If the dtype has 16 bits.

    References
    ----------
    Hoermann, "The generation of binomial random variates", J. Statist. Comput. Simul. 46, 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, binomial
    >>> binomial(np.array([5.0, 5.0]), np.array([0.0, 1.0]), Generator())
    array([0., 5.])
    """
    generator = generator or default_generator
    if not is_floating(trials.dtype) or trials.dtype != p.dtype:
        raise ValueError(f"binomial expects trials and p of one floating dtype, but got {trials.dtype} and {p.dtype}")
    if trials.dtype.itemsize == 2:
        raise NotImplementedError(f"binomial is not defined for {trials.dtype}; draw in float32 or float64")
    one = trials.dtype.type(1)
    with np.errstate(all="ignore"):  # what PyTorch computes in the tensors' own dtype; the rest is float64
        rare = np.where(p > 0.5, one - p, p)
        expected = trials * rare
        moments = expected, expected * (one - rare), rare / (one - rare), np.floor((trials + one) * rare)
    rows = list(zip(trials.ravel().tolist(), p.ravel().tolist(), rare.ravel().tolist(), strict=True))
    draw = _Supply(generator, sum(_is_open(n, q) for n, q, _ in rows), 1)
    result = []
    for (n, q, rarer), numbers in zip(
        rows, zip(*(moment.ravel().tolist() for moment in moments), strict=True), strict=True
    ):
        if not _is_open(n, q):
            result.append(math.nan if n != n or q != q else (n if n > 0 and q >= 1 else 0.0))
            continue
        draw.elements -= 1
        successes = _binomial_small(n, rarer, draw) if numbers[0] < 10.0 else _binomial_large(n, rarer, numbers, draw)
        result.append(n - successes if q > 0.5 else successes)
    return np.array(result, trials.dtype).reshape(trials.shape)


def _is_open(n: float, p: float) -> bool:
    """Say whether a number of successes has to be drawn."""
    return n > 0 and 0 < p < 1


def _binomial_small(n: float, p: float, draw: _Supply) -> float:
    log_failure = math.log1p(-p)
    trials, successes = 0.0, 0
    while True:
        waiting = _log(draw()) / log_failure
        trials += math.ceil(waiting) if waiting <= n else math.inf
        if trials > n:
            return successes
        successes += 1


_STIRLING_TAILS = (
    0.0810614667953272,
    0.0413406959554092,
    0.0276779256849983,
    0.02079067210376509,
    0.0166446911898211,
    0.0138761288230707,
    0.0118967099458917,
    0.0104112652619720,
    0.00925546218271273,
    0.00833056343336287,
)


def _stirling_tail(k: float) -> float:
    """Return what Stirling's formula for log k! leaves out."""
    if k <= 9:
        return _STIRLING_TAILS[int(k)]
    square = (k + 1.0) * (k + 1.0)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1.0)


def _binomial_large(n: float, p: float, moments: tuple[float, ...], draw: _Supply) -> float:
    expected, variance, r, m = moments  # r: the odds of a success, m: the mode
    deviation = math.sqrt(variance)
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    c = expected + 0.5
    v_r = 0.92 - 4.2 / b
    alpha = (2.83 + 5.1 / b) * deviation
    while True:
        u, v = draw() - 0.5, draw()
        us = 0.5 - abs(u)
        if us == 0.0:
            continue
        k = float(math.floor((2.0 * a / us + b) * u + c))
        if k < 0 or k > n:
            continue
        if us >= 0.07 and v <= v_r:
            return k
        bound = (
            (m + 0.5) * math.log((m + 1.0) / (r * (n - m + 1.0)))
            + (n + 1.0) * math.log((n - m + 1.0) / (n - k + 1.0))
            + (k + 0.5) * math.log(r * (n - k + 1.0) / (k + 1.0))
            + _stirling_tail(m)
            + _stirling_tail(n - m)
            - _stirling_tail(k)
            - _stirling_tail(n - k)
        )
        if _log(v * alpha / (a / (us * us) + b)) <= bound:
            return k


def standard_gamma(alpha: Array, generator: Generator | None = None) -> Array:
    """
    Draw x > 0 with density x^(alpha - 1) exp(-x) / Gamma(alpha), one to each element of `alpha`, in its dtype.

    Raises
    ------
    NotImplementedError
        If `alpha` is neither float32 nor float64.

    References
    ----------
    Marsaglia and Tsang, "A simple method for generating gamma variables", ACM Trans. Math. Softw. 26, 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, standard_gamma
    >>> bool((standard_gamma(np.ones(3), Generator()) > 0).all())
    True
    """
    generator = generator or default_generator
    if alpha.dtype not in (np.float32, np.float64):
        raise NotImplementedError(f"standard_gamma is not defined for {alpha.dtype}; draw in float32 or float64")
    tiny = float(np.finfo(alpha.dtype).tiny)
    values = [max(tiny, float(alpha.dtype.type(_gamma(a, generator)))) for a in alpha.ravel()]
    return np.array(values, alpha.dtype).reshape(alpha.shape)


_THIRD, _SQUEEZE = float(np.float32(1) / np.float32(3)), float(np.float32(0.0331))
"""PyTorch's constants are float32 whatever the dtype."""


def _gamma(alpha: Any, generator: Generator) -> float:
    # `alpha` is a NumPy scalar: PyTorch computes with it in the tensor's own dtype, and in float64 from d on.
    one = type(alpha)(1)
    scale = 1.0
    if alpha < 1:
        if alpha == 0:
            return 0.0
        scale = math.pow(1.0 - _double(generator), float(one / alpha))
        alpha = alpha + one
    d = float(alpha - type(alpha)(_THIRD))
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        y = 0.0
        while y <= 0.0:
            x = float(pairs(1, generator)[0])
            y = 1.0 + c * x
        v = y * y * y
        u = 1.0 - _double(generator)
        square = x * x
        if u < 1.0 - _SQUEEZE * square * square or math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
            return scale * d * v


def _double(generator: Generator) -> float:
    return float(doubles(generator, 1)[0])


def dirichlet(alpha: Array, generator: Generator | None = None) -> Array:
    """
    Draw points of the simplex: gamma variables of shapes `alpha`, over their sum along the last axis.

    The stream is PyTorch's; the last bit of float64 values is that of NumPy's sum.

    Raises
    ------
    NotImplementedError
        If `alpha` is neither float32 nor float64.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, dirichlet
    >>> bool(abs(dirichlet(np.ones((2, 3)), Generator()).sum(-1) - 1 < 1e-12).all())
    True
    """
    if alpha.dtype not in (np.float32, np.float64):
        raise NotImplementedError(f"dirichlet is not defined for {alpha.dtype}; draw in float32 or float64")
    gamma = standard_gamma(alpha.astype(np.float64), generator)
    point: Array = (gamma / gamma.sum(axis=-1, keepdims=True)).astype(alpha.dtype)
    one = alpha.dtype.type(1)
    return np.clip(point, np.finfo(alpha.dtype).tiny, np.nextafter(one, one - one))
