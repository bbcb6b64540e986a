"""Saved values that wait in a file and are mapped back into memory when the walk reads them."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from typing import Any

import numpy as np

from ..core import Held, Keeper, Node, Storage
from .saving import Installed

PAGE = mmap.ALLOCATIONGRANULARITY


class _Region:
    """A run of pages in the file; given back when nothing needs it."""

    __slots__ = ("__weakref__", "file", "length", "offset")

    def __init__(self, file: _File, offset: int, length: int) -> None:
        self.file, self.offset, self.length = file, offset, length

    def __del__(self) -> None:
        self.file.free.setdefault(self.length, []).append(self.offset)


class _File:
    """A file without a name, which ends with the process; regions of equal length are used again."""

    handle = -1

    def __init__(self, folder: str | None) -> None:
        self.handle, path = tempfile.mkstemp(dir=folder, prefix="retrograd-saved-")
        os.unlink(path)
        self.end = 0
        self.free: dict[int, list[int]] = {}

    def __del__(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)

    def put(self, a: np.ndarray[Any, Any]) -> _Region:
        """Write an array's elements."""
        length = -(-a.nbytes // PAGE) * PAGE
        spare = self.free.get(length)
        if spare:
            offset = spare.pop()
        else:
            offset, self.end = self.end, self.end + length
            os.truncate(self.handle, self.end)
        region = _Region(self, offset, length)
        flat: Any = np.ascontiguousarray(a).reshape(-1).view(np.uint8)
        data = memoryview(flat)
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(self.handle, data[done:], offset + done)
        except OSError as error:
            raise OSError(
                error.errno,
                f"save_on_disk: {a.nbytes} bytes behind {offset} were not written ({error.strerror}); give a folder on a disk with more room",
            ) from None
        return region

    def get(self, region: _Region, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        """Map a region: its pages are read as they are touched, and leave memory with the array."""
        held = mmap.mmap(self.handle, region.length, access=mmap.ACCESS_COPY, offset=region.offset)
        count = int(np.prod(shape, dtype=np.int64))
        found: np.ndarray[Any, Any] = np.frombuffer(held, np.uint8, count * dtype.itemsize).view(dtype).reshape(shape)
        return found


class _OnDisk(Held):
    __slots__ = ("dtype", "region", "shape")

    def __init__(self, region: _Region, shape: tuple[int, ...], dtype: Any) -> None:
        self.region, self.shape, self.dtype = region, shape, dtype

    def fetch(self) -> tuple[Any, Storage, int]:
        a = self.region.file.get(self.region, self.shape, self.dtype)
        storage = Storage(a)
        storage.notes = {"region": self.region}  # the bytes stay the value's while it is in use
        return a, storage, 0


class _DiskKeeper(Keeper):
    def __init__(self, folder: str | None, least: int) -> None:
        self.file = _File(folder)
        self.least = least
        self.known: dict[Any, tuple[Any, Any]] = {}
        self.written = 0  # bytes so far

    def keep(self, tensor: Any, node: Node, i: int) -> Any:
        a, storage = tensor._a, tensor._s
        made_by = tensor._node
        if a.nbytes < self.least or (made_by is not None and made_by.op is None):
            return None  # a leaf stays in memory whatever is done here
        key = (id(storage), storage.version, a.__array_interface__["data"][0], a.shape, a.strides, a.dtype)
        found = self.known.get(key)
        if found is not None:
            region = found[1]()
            if found[0]() is storage and region is not None:
                return _OnDisk(region, a.shape, a.dtype)
        region = self.file.put(a)
        self.written += a.nbytes
        if len(self.known) > 4096:
            self.known = {k: v for k, v in self.known.items() if v[1]() is not None}
        self.known[key] = weakref.ref(storage), weakref.ref(region)
        return _OnDisk(region, a.shape, a.dtype)


class save_on_disk(Installed):
    """A block whose saved values wait in a file: the walk maps each back into memory when it reads it.

    Parameters
    ----------
    folder : str, optional
        Where the file is made, without a name; the system's folder for such files if left out. A folder on a RAM disk saves nothing.
    least : int
        Values of fewer bytes stay in memory, as do leaves, which are there anyway.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.ones(3, requires_grad=True)
    >>> with torch.memory.save_on_disk(least=0):
    ...     y = x.exp().sum()
    >>> y.backward()
    >>> x.grad
    tensor([2.7183, 2.7183, 2.7183])
    """

    def __init__(self, folder: str | None = None, least: int = 1 << 16) -> None:
        super().__init__(_DiskKeeper(folder, least))


__all__ = ["save_on_disk"]
