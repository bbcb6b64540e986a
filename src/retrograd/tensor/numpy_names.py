"""NumPy's names of arguments (axis, keepdims, x, ...), which torch's functions take beside their own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["taking_both", "translated"]

TORCHS = {
    "axis": "dim",
    "keepdims": "keepdim",
    "axis0": "dim0",
    "axis1": "dim1",
    "x": "input",
    "a": "input",
    "x1": "input",
    "x2": "other",
}


def translated(fn: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any] | None:
    """Give the keywords of a call that Python refused under torch's names; None where none of them was NumPy's.

    Examples
    --------
    >>> def softmax(input, dim):
    ...     return dim
    >>> translated(softmax, {"axis": 1})
    {'dim': 1}
    >>> translated(softmax, {"along": 1}) is None
    True
    """
    known = _parameters(fn)
    out = {}
    for key, value in given.items():
        torchs = TORCHS.get(key)
        rename = key not in known and torchs in known and torchs not in given
        out[torchs if rename and torchs is not None else key] = value
    return out if out.keys() != given.keys() else None


def taking_both(fn: Callable[..., Any], module: str, name: str) -> Callable[..., Any]:
    """Give the function that also takes ``axis`` and ``keepdims``, where it has a dimension; others as they are.

    Pickle finds it in the module by its (dotted) name. What a call costs otherwise is a call: the names are looked at only when Python has refused them.
    """
    if not _parameters(fn) & {"dim", "keepdim", "dim0"}:
        return fn

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except TypeError:
            again = translated(fn, kwargs) if kwargs else None
            if again is None:
                raise
        return fn(*args, **again)

    call.__module__, call.__qualname__ = module, name
    return call


@functools.cache
def _parameters(fn: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(fn).parameters)
