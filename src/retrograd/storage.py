"""torch.storage: the bytes under tensors."""

from __future__ import annotations

from typing import Any

from .tensor.storage import CLASSES, TypedStorage, UntypedStorage


def _dtype_to_storage_type_map() -> dict[Any, str]:
    """Give the name of the class of each dtype's storages."""
    return {kind.dtype: name for name, kind in CLASSES.items()}


def _storage_type_to_dtype_map() -> dict[str, Any]:
    """Give the dtype of each class of storages, by the class's name."""
    return {name: kind.dtype for name, kind in CLASSES.items()}


__all__ = ["TypedStorage", "UntypedStorage"]
