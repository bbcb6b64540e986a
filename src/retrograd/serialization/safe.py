"""The safetensors format: a flat dictionary of tensors, through the safetensors library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.node import BaseTensor, wrap
from .rebuild import LoadedStorage
from .storages import place

# the format's names for the types of elements
ELEMENTS = {
    "F64": dtypes.float64,
    "F32": dtypes.float32,
    "F16": dtypes.float16,
    "BF16": dtypes.bfloat16,
    "I64": dtypes.int64,
    "I32": dtypes.int32,
    "I16": dtypes.int16,
    "I8": dtypes.int8,
    "U64": dtypes.uint64,
    "U32": dtypes.uint32,
    "U16": dtypes.uint16,
    "U8": dtypes.uint8,
    "BOOL": dtypes.bool_,
    "C64": dtypes.complex64,
}


def _library() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise RuntimeError(
            "Attempting to use a safetensors file but safetensors is not installed. Please install it with: "
            "pip install safetensors"
        ) from None
    return safetensors


def dump(tensors: Any) -> bytes:
    """Give the bytes of a safetensors file with these tensors.

    Tensors that share memory are each written in full: the format has no sharing.

    Raises TypeError for anything but a flat dictionary of strings and tensors, and for dtypes the format lacks.
    """
    if not isinstance(tensors, Mapping):
        raise TypeError(
            f"a .safetensors file holds a flat dictionary of tensors, not a {type(tensors).__name__}; pass "
            "model.state_dict(), or save to a path that ends in .pt"
        )
    known = set(ELEMENTS.values())
    arrays = {}
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, BaseTensor):
            raise TypeError(
                f"a .safetensors file holds a flat dictionary of tensors; the entry {name!r} is a "
                f"{type(tensor).__name__}. Save it to a path that ends in .pt, or leave it out"
            )
        array = tensor._a
        element = dtypes.from_numpy(array.dtype)
        if element not in known:
            raise TypeError(f"a .safetensors file cannot hold {element}, the dtype of the entry {name!r}")
        arrays[name] = np.require(array, requirements="C")
    return bytes(_library().numpy.save(arrays, metadata={"format": "pt"}))


def read(path: str, map_location: Any = None) -> dict[str, Any]:
    """Give the tensors in a safetensors file.

    Raises RuntimeError for a damaged file and for a ``map_location`` other than the CPU.
    """
    if isinstance(map_location, dict) or callable(map_location):
        what = "dict" if isinstance(map_location, dict) else "callable"
        raise RuntimeError(
            f"Loading safetensors file with {what} map_location is not supported. Use a device string or torch.device "
            "instead."
        )
    library = _library()
    with open(path, "rb") as file:
        data = file.read()
    try:
        entries = library.deserialize(data)
    except library.SafetensorError as error:
        raise RuntimeError(f"failed reading safetensors file {path}: {error}. The file is damaged.") from None
    found = {}
    for name, entry in entries:
        element = ELEMENTS.get(entry["dtype"])
        if element is None:
            raise RuntimeError(f"the entry {name!r} of {path} has dtype {entry['dtype']}, which is not supported")
        raw = np.frombuffer(entry["data"], element.numpy.newbyteorder("<")).astype(element.numpy)
        tensor = wrap(raw.reshape(entry["shape"]))
        place(LoadedStorage(tensor._s, element), "cpu", map_location)
        found[name] = tensor
    return found
