"""torch._utils: the helpers below the surface that programs and libraries import by name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from typing import Any

from .tensor import FUNCTIONS


def _flatten_dense_tensors(tensors: Iterable[Any]) -> Any:
    """Lay tensors out one after another in a vector."""
    parts = [x.reshape(-1) for x in tensors]
    return parts[0].clone() if len(parts) == 1 else FUNCTIONS["cat"](parts)


def _unflatten_dense_tensors(flat: Any, tensors: Iterable[Any]) -> tuple[Any, ...]:
    """Cut a vector into views with the shapes of some tensors."""
    found, at = [], 0
    for x in tensors:
        found.append(flat.narrow(0, at, x.numel()).view(x.shape))
        at += x.numel()
    return tuple(found)


def _take_tensors(tensors: Iterable[Any], size_limit: int) -> Iterable[list[Any]]:
    """Give lists of tensors of one type, each list of at most a number of bytes."""
    held: dict[str, tuple[list[Any], int]] = {}
    for x in tensors:
        group, size = held.get(x.type(), ([], 0))
        size += x.numel() * x.element_size()
        if size > size_limit and group:
            yield group
            group, size = [], x.numel() * x.element_size()
        held[x.type()] = ([*group, x], size)
    yield from (group for group, _ in held.values() if group)


def _reorder_tensors_as(tensors: Iterable[Any], ordered_tensors: Iterable[Any]) -> tuple[Any, ...]:
    """Give tensors in the order of types in which others come."""
    by_type: dict[str, list[Any]] = {}
    for x in tensors:
        by_type.setdefault(x.type(), []).append(x)
    parts = {kind: iter(group) for kind, group in by_type.items()}
    return tuple(next(parts[x.type()]) for x in ordered_tensors)


def _import_dotted_name(name: str) -> Any:
    """Give what a dotted name stands for."""
    first, *rest = name.split(".")
    found = importlib.import_module(first)
    for part in rest:
        found = getattr(found, part)
    return found


def _get_available_device_type() -> str | None:
    """Give the accelerator's name: None, for values live with the processor."""
    return None


def _get_device_module(device_type: str) -> Any:
    """Give a device's module, ``torch.<device_type>``."""
    found = getattr(sys.modules["retrograd"], device_type, None)
    if found is None:
        raise RuntimeError(f"Device '{device_type}' does not have a corresponding module 'torch.{device_type}'.")
    return found


def _get_all_device_indices() -> list[int]:
    """Give the accelerators' numbers: none."""
    return []


def _element_size(dtype: Any) -> int:
    """Give the bytes of one element of a dtype."""
    if not hasattr(dtype, "itemsize"):
        raise RuntimeError(f"expected torch.dtype, but got {type(dtype)}")
    size: int = dtype.itemsize
    return size


def __getattr__(name: str) -> Any:
    if name.startswith("_rebuild"):  # what files of tensors are read by
        from .serialization import rebuild

        found = rebuild.FUNCTIONS.get(name)
        if found is not None:
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "_flatten_dense_tensors",
    "_get_all_device_indices",
    "_get_available_device_type",
    "_get_device_module",
    "_import_dotted_name",
    "_reorder_tensors_as",
    "_take_tensors",
    "_unflatten_dense_tensors",
]
