"""Random draws as an operation, so that a trace draws again from the same generator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import random as streams
from ..core import MODE, TensorType, apply
from ..ops.batching import grown, shape_of, view
from ..ops.derive import elementwise, plain

KINDS: dict[str, Any] = {
    "randperm": lambda shape, dtype, generator: _permutations(shape, dtype, generator),
    "uniform": streams.uniform,
    "normal": streams.normal,
    "log_normal": streams.log_normal,
    "randint": lambda shape, dtype, low, high, generator, out=None: streams.randint(
        low, high, shape, dtype, generator, out
    ),
    "random": streams.random_,
    "bernoulli": streams.bernoulli_scalar,
    "exponential": streams.exponential,
    "geometric": streams.geometric,
    "cauchy": streams.cauchy,
}


def _permutations(shape: tuple[int, ...], dtype: Any, generator: Any) -> Any:
    """Draw a permutation for each line."""
    *lines, n = shape
    if not lines:
        return streams.randperm(n, dtype, generator)
    made = [streams.randperm(n, dtype, generator) for _ in range(math.prod(lines))]
    return np.array(made, dtype).reshape(shape)


def _draw(*, kind: str, shape: tuple[int, ...], dtype: Any, parameters: dict[str, Any], generator: Any) -> Any:
    return np.asarray(KINDS[kind](shape=shape, dtype=dtype, generator=generator, **parameters))


def _draw_all(op: Any, xs: Any, flags: Any, size: int, attrs: dict[str, Any]) -> Any:
    return apply(op, **{**attrs, "shape": (size, *attrs["shape"])})


def _draw_each(op: Any, xs: Any, flags: Any, size: int, attrs: dict[str, Any]) -> Any:
    """Draw for every item; those that take whole lines take the lines of all items."""
    x = grown(xs[0], flags[0], size)
    if attrs["kind"] != "multinomial":
        return apply(op, x, **attrs)
    shape = shape_of(x)
    r = apply(op, view(x, (math.prod(shape[:-1]), shape[-1])), **attrs)
    return view(r, (*shape[:-1], attrs["num_samples"]))


def take(op: Any, *xs: Any, **attrs: Any) -> Any:
    """Draw through the door, after telling the running trace."""
    if MODE.trace is not None:
        MODE.trace.drawing(attrs["generator"])
    return apply(op, *xs, **attrs)


draw = plain(
    "draw",
    _draw,
    names=(),
    type=lambda *, shape, dtype, **rest: TensorType(tuple(shape), np.dtype(dtype)),
    impure=True,
    batch=_draw_all,
)
draw_like = plain(
    "draw_like",
    lambda x, *, kind, generator, **parameters: np.asarray(LIKE[kind](x, generator=generator, **parameters)),
    type=lambda x, *, kind, **rest: (
        TensorType((*x.shape[:-1], rest["num_samples"]), np.dtype(np.int64)) if kind == "multinomial" else x
    ),
    impure=True,
    batch=_draw_each,
)
# z as it was drawn with the parameter x: it has a history, in which nothing comes back to x
drawn_with = elementwise(
    "drawn_with", lambda x, z: np.broadcast_arrays(x, z)[1].copy(), partials=[0, 1], names=("x", "z")
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
