"""Plans: what a kernel is asked for of each kind of draw, for programs that draw in generated code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from retrograd.random.generator import Generator, default_generator
from retrograd.random.integers import LARGE_PERMUTATION, integers_plan, range_between, whole_range
from retrograd.random.native import Plan
from retrograd.random.normals import normal_plan
from retrograd.random.uniforms import coins_plan, is_floating, uniform_plan

Of = Callable[..., Plan | None]


def _permutation(n: int, dtype: np.dtype[Any], generator: Generator, shape: tuple[int, ...]) -> Plan | None:
    single = len(shape) == 1 and dtype == np.int64
    return Plan("permutation", dtype) if single and n < LARGE_PERMUTATION else None


def _normal(
    n: int,
    dtype: np.dtype[Any],
    generator: Generator,
    shape: Any,
    mean: float = 0.0,
    std: float = 1.0,
    contiguous: bool = True,
) -> Plan | None:
    return normal_plan(n, dtype, mean, std, generator, contiguous) if is_floating(dtype) else None


def _pairs(
    n: int, dtype: np.dtype[Any], generator: Generator, shape: Any, mean: float = 1.0, std: float = 2.0
) -> Plan | None:
    return Plan("log normal", dtype, (float(mean), float(std), generator.kept))


def _uniform(
    n: int, dtype: np.dtype[Any], generator: Generator, shape: Any, low: float = 0.0, high: float = 1.0
) -> Plan | None:
    return uniform_plan(dtype, low, high) if is_floating(dtype) else None


PLANS: Mapping[str, Of] = {
    "uniform": _uniform,
    "normal": _normal,
    "log_normal": _pairs,
    "randperm": _permutation,
    "randint": lambda n, dtype, generator, shape, low, high: integers_plan(dtype, range_between(low, high, dtype)),
    "random": lambda n, dtype, generator, shape, low=None: integers_plan(dtype, whole_range(n, dtype, low)),
    "bernoulli": lambda n, dtype, generator, shape, p, scale=1.0: coins_plan(dtype, p, scale),
    "exponential": lambda n, dtype, generator, shape, rate=1.0: Plan("exponential", dtype, (-1.0 / rate,)),
    "geometric": lambda n, dtype, generator, shape, p=0.5: Plan("geometric", dtype, (math.log1p(-p),)),
    "cauchy": lambda n, dtype, generator, shape, median=0.0, sigma=1.0: Plan(
        "cauchy", dtype, (float(median), float(sigma))
    ),
}


def plan(
    kind: str,
    shape: tuple[int, ...],
    dtype: Any,
    parameters: Mapping[str, Any],
    generator: Generator | None = None,
) -> Plan | None:
    """
    Return what a kernel is asked for, or None where a draw has none.

    The parameters are those of the function that draws, and were accepted by it before.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random.plans import plan
    >>> plan("exponential", (3,), np.float32, {"rate": 2.0}).numbers
    (-0.5,)
    """
    make, dtype = PLANS.get(kind), np.dtype(dtype)
    n = math.prod(shape)
    if make is None or n == 0 or (dtype.kind not in "biu" and not is_floating(dtype)):
        return None
    return make(n, dtype, generator or default_generator, shape, **parameters)


__all__ = ["PLANS", "plan"]
