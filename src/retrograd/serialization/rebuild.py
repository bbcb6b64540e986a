"""From a checkpoint's storages to tensors: each view is checked against its storage before it is made."""

from __future__ import annotations

from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np

from ..core.dtypes import dtype, uint8
from ..core.node import Storage, wrap
from ..tensor.storage import TypedStorage, UntypedStorage
from . import names


class LoadedStorage(TypedStorage):
    """A storage read from a file: the bytes of ``storage`` from ``start`` on, seen as elements of ``element`` (None: as bytes).

    A ``map_location`` function is given one of these and gives it back; one that stands by itself in a file is what is loaded.
    """

    _element: dtype | None
    _storage: Storage
    _start: int

    def __new__(cls, storage: Storage, element: dtype | None, start: int = 0) -> Any:
        made = object.__new__(cls)
        made.dtype = element or uint8
        made._element, made._storage, made._start = element, storage, start
        made._held = UntypedStorage._of(Storage(storage.root[start:]) if start else storage)
        return made

    def cuda(self, device: Any = None, non_blocking: bool = False) -> LoadedStorage:
        """Raise RuntimeError: there is no GPU here."""
        raise RuntimeError("cannot move a storage to CUDA: retrograd computes on the CPU; use map_location='cpu'")


def _array(storage: Any, element: dtype | None, offset: Any, size: Any, stride: Any) -> np.ndarray[Any, Any]:
    """Give the view of a storage that a file describes, or raise RuntimeError if it reaches outside."""
    if not isinstance(storage, LoadedStorage):
        raise UnpicklingError(f"a tensor must be made of a storage, not of a {type(storage).__name__}")
    element = element or storage._element
    if not isinstance(element, dtype) or element.name == "complex32":
        raise UnpicklingError(f"tensors of dtype {element} are not supported")
    size, stride = tuple(size), tuple(stride)
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > 64 or not all(type(n) is int and n >= 0 for n in numbers):
        raise RuntimeError(f"a tensor of size {size}, stride {stride} and offset {offset} is not possible")
    numpy_dtype = element.numpy
    if 0 in size:
        return np.empty(size, numpy_dtype)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if (last + 1) * numpy_dtype.itemsize > storage.nbytes():
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
            f"{numpy_dtype.itemsize} requiring a storage size of {(last + 1) * numpy_dtype.itemsize} are out of bounds "
            f"for storage of size {storage.nbytes()}. The file is damaged."
        )
    start = storage._start + offset * numpy_dtype.itemsize
    steps = tuple(step * numpy_dtype.itemsize for step in stride)
    try:
        return np.ndarray(size, numpy_dtype, storage._storage.root, start, steps)
    except ValueError as error:
        raise RuntimeError(f"a tensor of size {size} and stride {stride} is not possible: {error}") from None


def _tensor(storage: Any, element: dtype | None, offset: Any, size: Any, stride: Any, requires_grad: Any) -> Any:
    array = _array(storage, element, offset, size, stride)
    tensor = wrap(array, storage._storage if array.size else None)
    if requires_grad:
        tensor.requires_grad_(True)
    return tensor


def rebuild_tensor(storage: Any, offset: int, size: Any, stride: Any) -> Any:
    """Make the tensor that views ``storage`` so."""
    return _tensor(storage, None, offset, size, stride, False)


def rebuild_tensor_v2(
    storage: Any, offset: int, size: Any, stride: Any, requires_grad: bool, backward_hooks: Any, metadata: Any = None
) -> Any:
    """Make the tensor that views ``storage`` so, with ``requires_grad``; hooks are not stored in files."""
    return _tensor(storage, None, offset, size, stride, requires_grad)


def rebuild_tensor_v3(
    storage: Any,
    offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Any:
    """Make the tensor of ``dtype`` that views the bytes of ``storage`` so."""
    return _tensor(storage, dtype, offset, size, stride, requires_grad)


def rebuild_parameter(data: Any, requires_grad: bool, backward_hooks: Any) -> Any:
    """Make a Parameter that shares the memory of ``data``."""
    if not isinstance(data, names.tensor_class()):
        raise UnpicklingError(f"a Parameter must be made of a tensor, not of a {type(data).__name__}")
    return names.parameter_class()(data, requires_grad=bool(requires_grad))


def rebuild_parameter_with_state(data: Any, requires_grad: bool, backward_hooks: Any, state: Any) -> Any:
    """Make a Parameter that has attributes of its own."""
    return _with_state(rebuild_parameter(data, requires_grad, backward_hooks), state)


def rebuild_from_type_v2(function: Any, cls: Any, args: Any, state: Any) -> Any:
    """Make a tensor that has attributes of its own, or is of a subclass."""
    if not any(function is known for known in FUNCTIONS.values()):
        raise UnpicklingError(f"a tensor cannot be made by {function!r}")
    made = function(*args)
    if cls is not type(made):
        if not (isinstance(cls, type) and issubclass(cls, names.tensor_class())):
            raise UnpicklingError(f"{cls!r} is not a class of tensors")
        made = made.as_subclass(cls)
    return _with_state(made, state)


def rebuild_sparse_tensor(layout: Any, data: Any) -> Any:
    """Make a sparse tensor of its parts, which are checked against its size."""
    from ..tensor import sparse
    from ..tensor.sizes import sparse_coo

    data = tuple(data)
    if not 3 <= len(data) <= 4 or not all(isinstance(part, names.tensor_class()) for part in data[:2]):
        raise UnpicklingError(f"a {layout} tensor cannot be made of {len(data)} parts of these kinds")
    if layout is sparse_coo:
        indices, values, size = data[:3]
        return sparse.sparse_coo_tensor(indices, values, size, is_coalesced=bool(data[3]) if len(data) > 3 else None)
    starts, places, values, size = data
    return sparse.sparse_compressed_tensor(starts, places, values, size, layout=layout)


def _with_state(made: Any, state: Any) -> Any:
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    for attributes in (state, slots):
        if attributes:
            if type(attributes) is not dict or not all(type(key) is str for key in attributes):
                raise UnpicklingError("a tensor's attributes must be a dictionary with names as keys")
            made.__dict__.update(attributes)
    return made


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "_rebuild_tensor": rebuild_tensor,
    "_rebuild_tensor_v2": rebuild_tensor_v2,
    "_rebuild_tensor_v3": rebuild_tensor_v3,
    "_rebuild_sparse_tensor": rebuild_sparse_tensor,
    "_rebuild_parameter": rebuild_parameter,
    "_rebuild_parameter_with_state": rebuild_parameter_with_state,
}
