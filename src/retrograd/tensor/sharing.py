"""Tensors in memory that processes share: a file without a name of its own in the program, mapped by each of them."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
import weakref
from typing import Any

import numpy as np

_FOLDER = "/dev/shm" if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) else None


def is_shared(tensor: Any) -> bool:
    """Tell whether a tensor's memory is shared between processes."""
    return bool(tensor._s.notes) and "shared" in tensor._s.notes


def share(tensor: Any) -> Any:
    """Move a tensor's values into shared memory; it stays the same tensor, and sends its place to other processes.

    Views of it that were made before keep the memory that they have.
    """
    if is_shared(tensor):
        return tensor
    from multiprocessing.reduction import ForkingPickler

    ForkingPickler.register(type(tensor), _sent)
    values = np.ascontiguousarray(tensor._a).reshape(tensor._a.shape)
    handle, path = tempfile.mkstemp(prefix="retrograd-", dir=_FOLDER)
    try:
        os.truncate(path, max(values.nbytes, 1))
        memory = mmap.mmap(handle, max(values.nbytes, 1))
    finally:
        os.close(handle)
    root = _array(memory, values.dtype, values.shape)
    root[...] = values
    tensor._a = tensor._s.root = root
    tensor._s.notes = {**(tensor._s.notes or {}), "shared": path}
    weakref.finalize(tensor._s, _forget, path, os.getpid())
    return tensor


def _array(memory: mmap.mmap, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.ndarray(shape, dtype, memory)


def _forget(path: str, owner: int) -> None:
    if os.getpid() == owner:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _sent(tensor: Any) -> Any:
    if not is_shared(tensor):
        return tensor.__reduce_ex__(2)
    start = tensor._a.__array_interface__["data"][0] - tensor._s.root.__array_interface__["data"][0]
    place = (tensor._a.dtype, tensor._a.shape, start, tensor._a.strides)
    return _found, (type(tensor), tensor._s.notes["shared"], place, tensor.requires_grad, dict(tensor.__dict__))


def _found(cls: Any, path: str, place: Any, requires_grad: bool, attributes: dict[str, Any]) -> Any:
    from multiprocessing.reduction import ForkingPickler

    from ..core import wrap

    dtype, shape, start, strides = place
    ForkingPickler.register(cls, _sent)
    with open(path, "r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    tensor: Any = wrap(np.ndarray(shape, dtype, memory, start, strides))
    if type(tensor) is not cls:
        tensor = tensor.as_subclass(cls)
    tensor._s.notes = {**(tensor._s.notes or {}), "shared": path}
    tensor.requires_grad_(requires_grad)
    tensor.__dict__.update(attributes)
    return tensor
