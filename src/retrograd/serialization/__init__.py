"""Objects with tensors to and from files: PyTorch's checkpoint format, both ways, and safetensors."""

from __future__ import annotations

from typing import Any

from .api import DEFAULT_PROTOCOL, get_unsafe_globals_in_checkpoint, load, save

__all__ = [
    "DEFAULT_PROTOCOL",
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "safe_globals",
    "save",
]

_LATER = ("add_safe_globals", "clear_safe_globals", "get_safe_globals", "safe_globals")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        from . import allowed

        return getattr(allowed, name)
    if name == "MAP_LOCATION":  # the type of `map_location`, for annotations
        return Any
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
