"""Find the storages that a checkpoint refers to, once each, and put them where ``map_location`` says."""

from __future__ import annotations

import os
import sys
from pickle import UnpicklingError
from typing import Any

import numpy as np

from ..core.device import device
from ..core.dtypes import dtype
from ..core.node import Storage
from .archive import ArchiveReader
from .names import StorageType
from .rebuild import LoadedStorage


class ArchiveStorages:
    """The storages of one archive: ``find`` gives the same one for the same key, so that tensors share it."""

    def __init__(self, archive: ArchiveReader, map_location: Any, mapped: Any = None) -> None:
        self.archive = archive
        self.map_location = map_location
        self.found: dict[str, Storage] = {}
        self.whole: np.ndarray[Any, Any] | None = None
        if mapped is not None:
            self.whole = np.asarray(np.memmap(os.fspath(mapped), np.uint8, "c"))
        self.swapped = False
        if archive.has("byteorder"):
            order = archive.read("byteorder").tobytes()
            if order not in (b"little", b"big"):
                raise ValueError(f"Unknown endianness type: {order!r}")
            self.swapped = order.decode() != sys.byteorder
        elif sys.byteorder == "big":
            self.swapped = True

    def find(self, identifier: Any) -> LoadedStorage:
        """Give the storage of an identifier ``("storage", type, key, location, number of elements)``."""
        kind, key, location, count = check_identifier(identifier)
        storage = self.found.get(key)
        if storage is None:
            storage = self.found[key] = Storage(self.bytes_of(f"data/{key}", kind.dtype))
        if count * (kind.dtype.itemsize if kind.dtype else 1) > storage.root.nbytes:
            raise RuntimeError(
                f"record 'data/{key}' holds {storage.root.nbytes} bytes, fewer than the {count} elements of {kind} "
                "that the file says. The file is damaged."
            )
        return place(LoadedStorage(storage, kind.dtype), location, self.map_location)

    def bytes_of(self, name: str, element: dtype | None) -> np.ndarray[Any, Any]:
        """Read a record, or map it, in this machine's order of bytes."""
        if self.whole is None:
            data = self.archive.read(name)
        else:
            start = self.archive.offset(name)
            data = self.whole[start : start + self.archive.size(name)]
        return swap(data, element) if self.swapped else data


def swap(data: np.ndarray[Any, Any], element: dtype | None) -> np.ndarray[Any, Any]:
    """Turn the bytes of every number around."""
    width = 1 if element is None else element.itemsize // (2 if element.is_complex else 1)
    return data[: data.size // width * width].view(f"u{width}").byteswap().view(np.uint8)


def check_identifier(identifier: Any) -> tuple[StorageType, str, str, int]:
    """Give a storage's type, key, location and size; UnpicklingError if the identifier is not one of a storage."""
    if isinstance(identifier, tuple) and len(identifier) >= 5:
        word, kind, key, location, count = identifier[:5]
        word, key, location = (
            x.decode("ascii", "replace") if isinstance(x, bytes) else x for x in (word, key, location)
        )
        described = word == "storage" and isinstance(kind, StorageType) and type(key) is str and type(location) is str
        if described and type(count) is int and count >= 0:
            return kind, key, location, count
    raise UnpicklingError(f"the file refers to a storage by {str(identifier)[:200]}, which is not possible")


def place(storage: LoadedStorage, location: str, map_location: Any) -> LoadedStorage:
    """Put a storage where ``map_location`` says; RuntimeError if that is not the CPU."""
    if callable(map_location) and not isinstance(map_location, device):
        moved = map_location(storage, location)
        if moved is not None:
            if not isinstance(moved, LoadedStorage):
                raise TypeError(f"map_location must return a storage or None, not a {type(moved).__name__}")
            return moved
    elif isinstance(map_location, dict):
        location = str(map_location.get(location, location))
    elif isinstance(map_location, bytes):
        location = map_location.decode()
    elif map_location is not None:
        location = str(map_location)
    if location.partition(":")[0] != "cpu":
        what = "CUDA" if location.startswith("cuda") else location
        raise RuntimeError(
            f"Attempting to deserialize object on a {what} device but torch.cuda.is_available() is False. retrograd "
            "computes on the CPU: please use torch.load with map_location=torch.device('cpu') to map your storages to "
            "the CPU."
        )
    return storage
