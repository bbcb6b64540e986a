"""torch's functions of tensors by attribute, without the wrapper that handles ``out=``."""

from __future__ import annotations

from typing import Any

from ..tensor import FUNCTIONS


def __getattr__(name: str) -> Any:
    try:
        function = FUNCTIONS[name]
    except KeyError:
        raise AttributeError(f"retrograd has no function {name!r}") from None
    function = getattr(function, "__wrapped__", function)
    globals()[name] = function  # found without this detour from now on
    return function
