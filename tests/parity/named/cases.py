"""What a case is: a call whose arrays become tensors of either library, so that it can be run, differentiated, pushed forward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import numpy as np

RNG = np.random.default_rng(12)
X, Y, Z = (RNG.normal(size=(3, 4)) for _ in range(3))
P, Q = (RNG.uniform(0.2, 3.0, (3, 4)) for _ in range(2))
U = RNG.uniform(0.1, 0.9, (3, 4))
S, R = RNG.normal(size=(4, 4)) + 3 * np.eye(4), RNG.normal(size=(4, 4))
D = R @ R.T + 4 * np.eye(4)
V, W = RNG.normal(size=4), RNG.normal(size=4)
C3, C4 = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 4, 3))
K = X + 1j * Y
I, J = RNG.integers(-5, 6, (3, 4)), RNG.integers(1, 6, (3, 4))
B, N = X > 0, Y > 0
AT, INDEX = np.array([2, 0]), np.array([[0, 2, 1, 0], [2, 1, 0, 0]])


class Case:
    """A call in a library t, and the arrays that it is given as tensors; seeded by 0 before each run."""

    def __init__(self, call: Callable[..., Any], *arrays: Any, tolerance: float | None = None) -> None:
        self.call, self.arrays, self.tolerance = call, arrays, tolerance


class Args:
    """The arguments of a function; arrays among them, also in lists, become tensors, and a function is given t."""

    def __init__(self, *args: Any, tolerance: float | None = None, **keywords: Any) -> None:
        self.args, self.keywords, self.tolerance = args, keywords, tolerance

    def function(self, path: str) -> Case:
        """The call t.path(...)."""
        return self._case(lambda t, args, keywords: named(t, path)(*args, **keywords))

    def method(self, name: str) -> Case:
        """The call of the first argument's method."""
        return self._case(lambda t, args, keywords: getattr(args[0], name)(*args[1:], **keywords))

    def in_place(self, path: str) -> Case:
        """The call that writes into a copy of the first argument: of its method, or of the module's function."""
        *places, name = path.split(".")[1:]

        def call(t: Any, args: Any, keywords: Any) -> Any:
            first = args[0] * 1
            if places:
                return getattr(first, name)(*args[1:], **keywords)
            return getattr(t, name)(first, *args[1:], **keywords)

        return self._case(call)

    def _case(self, call: Callable[..., Any]) -> Case:
        arrays: list[Any] = []
        _replace(None, (self.args, self.keywords), lambda a: arrays.append(a))

        def run(t: Any, *tensors: Any) -> Any:
            given: Iterator[Any] = iter(tensors)
            args, keywords = _replace(t, (self.args, self.keywords), lambda _: next(given))
            return call(t, args, keywords)

        return Case(run, *arrays, tolerance=self.tolerance)


def _replace(t: Any, value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, np.ndarray):
        return change(value)
    if isinstance(value, dict):
        return {k: _replace(t, v, change) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_replace(t, v, change) for v in value)
    if isinstance(value, FunctionType) and t is not None and value.__code__.co_varnames[:1] == ("t",):
        return value(t)
    return value


def named(t: Any, path: str) -> Any:
    """Follow a dotted path."""
    for name in path.split("."):
        t = getattr(t, name)
    return t


def words(names: str) -> list[str]:
    """The names of a line."""
    return names.split()


def same(names: str, case: Any) -> dict[str, Any]:
    """Give one case to several names."""
    return dict.fromkeys(names.split(), case)
