"""PyTorch's format before version 1.6: pickle programs in a row, then the storages' bytes."""

from __future__ import annotations

import io
import pickle
import struct
import sys
from pickle import UnpicklingError
from typing import Any

import numpy as np

from ..core.node import Storage
from .archive import REASON
from .rebuild import LoadedStorage
from .storages import check_identifier, place, swap

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


class StreamStorages:
    """The storages of one old file: made when first met, filled when the programs have been read."""

    def __init__(self, map_location: Any, limit: int) -> None:
        self.map_location = map_location
        self.left = limit
        self.found: dict[str, tuple[Storage, Any]] = {}

    def find(self, identifier: Any) -> Any:
        """Give the storage of an identifier ``("storage", type, key, location, size, view or None)``."""
        if isinstance(identifier, tuple) and identifier[:1] in (("module",), (b"module",)) and len(identifier) > 1:
            return identifier[1]  # a class, kept with its source text, which is not compared
        kind, key, location, count = check_identifier(identifier)
        width = kind.dtype.itemsize if kind.dtype else 1
        start, view = 0, identifier[5] if len(identifier) > 5 else None
        if key not in self.found:
            self.left -= count * width
            if self.left < 0:
                raise RuntimeError(
                    f"the file says that storage {key} has {count} elements, more than it holds. {REASON}"
                )
            self.found[key] = Storage(np.zeros(count * width, np.uint8)), kind.dtype
        if view is not None:
            view_key, start, _ = view
            if type(start) is not int or not 0 <= start <= count:
                raise UnpicklingError(f"the file's view {view_key} of storage {key} starts outside of it")
        return place(LoadedStorage(self.found[key][0], kind.dtype, start * width), location, self.map_location)

    def fill(self, data: memoryview, position: int, keys: Any, big: bool) -> None:
        """Read the storages' bytes, each after its number of elements, in the order of ``keys``."""
        for key in keys:
            key = key.decode() if isinstance(key, bytes) else key
            if key not in self.found:
                raise UnpicklingError(f"the file holds a storage {key!r} that nothing refers to. {REASON}")
            storage, element = self.found[key]
            size = storage.root.nbytes
            end = position + 8 + size
            if end > len(data):
                raise RuntimeError(f"the file ends before storage {key} does. {REASON}")
            (count,) = struct.unpack(">q" if big else "<q", data[position : position + 8])
            if count * (element.itemsize if element else 1) != size:
                raise RuntimeError(f"storage {key} has {count} elements, not as many as it was said to have. {REASON}")
            raw: np.ndarray[Any, Any] = np.frombuffer(data[position + 8 : end], np.uint8)
            storage.root[...] = swap(raw, element) if big != (sys.byteorder == "big") else raw
            position = end


def read(file: Any, map_location: Any, weights_only: bool, module: Any, options: dict[str, Any]) -> Any:
    """Give the object in an old file; RuntimeError or UnpicklingError if it is no such file."""
    from .api import unpickle

    data = memoryview(file.read())
    if not len(data):
        raise EOFError("the file is empty: there is nothing to load")
    storages = StreamStorages(map_location, len(data))
    stream = io.BytesIO(data)

    def next_program(safe: bool) -> Any:
        position = stream.tell()
        found, used = unpickle(stream, data[position:], storages.find, safe, module, options)
        stream.seek(position + used if safe else used)
        return found

    try:
        magic, protocol = next_program(True), next_program(True)
    except UnpicklingError:
        magic = protocol = None
    if magic != MAGIC:
        raise UnpicklingError(
            "the file is not one that save wrote: it is neither a zip archive nor PyTorch's older format "
            f"(it starts with {bytes(data[:8])!r}). {REASON}"
        )
    if protocol != PROTOCOL:
        raise RuntimeError(f"Invalid protocol version: {protocol}")
    system = next_program(True)
    result = next_program(weights_only)
    keys = next_program(True)
    big = isinstance(system, dict) and system.get("little_endian") is False
    if not isinstance(keys, list):
        raise UnpicklingError(f"the file's list of storages is missing. {REASON}")
    storages.fill(data, stream.tell(), keys, big)
    return result


def write(obj: Any, file: Any, module: Any, protocol: int) -> None:
    """Write an object in the old format, for PyTorch before 1.6."""
    from .pickler import pickler_class

    program = io.BytesIO()
    pickler = pickler_class(module)(program, protocol, legacy=True)
    pickler.dump(obj)
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": PROTOCOL, "little_endian": sys.byteorder == "little", "type_sizes": sizes}
    for part in (MAGIC, PROTOCOL, system):
        pickle.dump(part, file, protocol=protocol)
    file.write(program.getbuffer())
    stored = sorted(pickler.storages.values(), key=lambda storage: storage.key)
    pickle.dump([storage.key for storage in stored], file, protocol=protocol)
    for storage in stored:
        file.write(struct.pack("=q", storage.data.nbytes // storage.element.itemsize))
        file.write(storage.data)
