"""Faster ways to run an op on arrays, told by a higher floor: a dotted name for each, imported at the first call that is worth it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

Run = Callable[..., Any]  # an op's arrays and attributes to its result, or None: NumPy is to do it

_named: dict[str, str] = {}
_found: dict[str, Run | None] = {}
_lock = threading.RLock()
_problems: dict[str, str] = {}


def register(name: str, place: str) -> None:
    """Name the function ("package.module:function") that runs an op.

    Examples
    --------
    >>> from retrograd.core import executors
    >>> executors.register("an op", "math:hypot")
    >>> executors.find("an op")(3.0, 4.0)
    5.0
    """
    with _lock:
        _named[name] = place
        _found.pop(name, None)


def find(name: str) -> Run | None:
    """Give an op's function, importing it now if need be; None without one, where it cannot be had, and under RETROGRAD_NATIVE=off."""
    try:
        return _found[name]
    except KeyError:
        pass
    with _lock:
        if name not in _found:
            _found[name] = _imported(name)
        return _found[name]


def _imported(name: str) -> Run | None:
    place = _named.get(name)
    if place is None or os.environ.get("RETROGRAD_NATIVE", "").lower() in ("off", "0", "false", "no"):
        return None
    module, _, function = place.partition(":")
    try:
        found: Run = getattr(import_module(module), function)
    except Exception as error:  # no llvmlite, or one that cannot make code here: NumPy's way is always there
        _problems[name] = f"{type(error).__name__}: {error}"
        return None
    return found


def problems() -> dict[str, str]:
    """Say why functions could not be had, by op."""
    return dict(_problems)
