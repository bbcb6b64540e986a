"""Random draws as an operation, so that a trace draws again from the same generator."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import random as streams
from ..core import TensorType
from ..ops.derive import plain

KINDS: dict[str, Any] = {
    "uniform": streams.uniform,
    "normal": streams.normal,
    "log_normal": streams.log_normal,
    "randint": lambda shape, dtype, low, high, generator: streams.randint(low, high, shape, dtype, generator),
    "random": streams.random_,
    "bernoulli": lambda shape, dtype, p, generator: streams.bernoulli_scalar(p, shape, dtype, generator),
    "exponential": streams.exponential,
    "geometric": streams.geometric,
    "cauchy": streams.cauchy,
}


def _draw(*, kind: str, shape: tuple[int, ...], dtype: Any, parameters: dict[str, Any], generator: Any) -> Any:
    return np.asarray(KINDS[kind](shape=shape, dtype=dtype, generator=generator, **parameters))


draw = plain(
    "draw",
    _draw,
    names=(),
    type=lambda *, shape, dtype, **rest: TensorType(tuple(shape), np.dtype(dtype)),
    impure=True,
)
draw_like = plain(
    "draw_like",
    lambda x, *, kind, generator, **parameters: np.asarray(LIKE[kind](x, generator=generator, **parameters)),
    type=lambda x, **rest: x,
    impure=True,
)
LIKE: dict[str, Any] = {
    "bernoulli": lambda p, generator: streams.bernoulli(p, generator),
    "poisson": lambda rate, generator: streams.poisson(rate, generator),
    "standard_gamma": lambda a, generator: streams.standard_gamma(a, generator),
    "multinomial": lambda w, generator, num_samples, replacement: streams.multinomial(
        w, num_samples, replacement, generator
    ),
    "dirichlet": lambda a, generator: streams.dirichlet(a, generator),
}
