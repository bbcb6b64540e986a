"""Torch's names for what a checkpoint refers to, and the objects of this library that they stand for."""

from __future__ import annotations

import functools
import importlib
import pickle
from typing import Any

from ..core import dtypes
from ..core.dtypes import dtype


class StorageType:
    """The class name that a checkpoint gives a storage: it says the dtype of the elements (None: bytes)."""

    __slots__ = ("dtype", "name")

    def __init__(self, name: str, element: dtype | None) -> None:
        self.name = name
        self.dtype = element

    def __repr__(self) -> str:
        return f"StorageType({self.name})"


_STORED_AS = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
STORAGES: dict[str, StorageType] = {name: StorageType(name, dtypes.by_name(d)) for name, d in _STORED_AS.items()}
UNTYPED = STORAGES["UntypedStorage"] = StorageType("UntypedStorage", None)
STORAGE_OF: dict[dtype | None, StorageType] = {kind.dtype: kind for kind in STORAGES.values()}


@functools.lru_cache(maxsize=1)
def constants() -> dict[str, Any]:
    """Give torch's constants by name: dtypes, layouts and memory formats."""
    library = importlib.import_module("retrograd")
    found: dict[str, Any] = {d.name: d for d in (*dtypes.ALL, *dtypes.FLOAT8, dtypes.complex32)}
    layouts = "strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc"
    others = *layouts, "contiguous_format", "preserve_format", "channels_last", "channels_last_3d"
    return found | {name: getattr(library, name) for name in others if hasattr(library, name)}


def get_layout(name: str) -> Any:
    """Give the layout of this name, such as ``torch.strided``; UnpicklingError if there is none."""
    found = constants().get(str(name).removeprefix("torch."))
    if found is None or isinstance(found, dtype):
        raise pickle.UnpicklingError(f"the layout {name} is not supported")
    return found


@functools.cache
def tensor_class() -> Any:
    """Give the class Tensor."""
    from ..tensor import Tensor

    return Tensor


@functools.cache
def parameter_class() -> Any:
    """Give the class Parameter."""
    from ..tensor import Parameter

    return Parameter


@functools.cache
def size_class() -> Any:
    """Give the class of shapes."""
    from ..tensor import Size

    return Size


def resolve(module: str, name: str, missing: Any = ...) -> Any:
    """Find what this library has under torch's name ``torch.some.module.Name``.

    The module's own path is tried first, then its parents', so that a private module's public class is found. Without
    ``missing``, AttributeError names what is not there.
    """
    parts = module.split(".")[1:]
    while True:
        try:
            found: Any = importlib.import_module(".".join(["retrograd", *parts]))
            for part in name.split("."):
                found = getattr(found, part)
            return found
        except (ImportError, AttributeError):
            if not parts:
                break
            parts.pop()
    if missing is ...:
        raise AttributeError(
            f"the file uses {module}.{name}, which retrograd does not have. Save the state_dict() with PyTorch instead "
            "of the object, and load it into a model built here."
        )
    return missing
