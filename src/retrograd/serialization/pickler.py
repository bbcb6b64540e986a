"""The pickler behind ``save``: tensors become torch's calls on storages, which are kept beside the pickle data."""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from types import FunctionType
from typing import IO, Any

import numpy as np

from ..core.device import device
from ..core.dtypes import dtype, from_numpy, uint8
from ..core.node import BaseTensor
from ..tensor.sizes import Layout
from ..tensor.storage import TypedStorage, UntypedStorage
from . import names, rebuild
from .names import STORAGE_OF, UNTYPED, StorageType


class SavedStorage:
    """The bytes behind some tensors, and the dtype they are seen as."""

    __slots__ = ("data", "element", "key", "root")

    def __init__(self, key: str, root: np.ndarray[Any, Any], element: dtype) -> None:
        self.key = key
        self.root = root  # kept alive, for its identity is what is looked up
        self.element = element
        self.data = bytes_of(root)


class StoragePickler(pickle._Pickler):
    """Pickle under torch's names, with storages set aside in ``storages`` (in the order they are first met).

    This is the pickler written in Python, since the one in C refuses names that it cannot import.
    """

    # Python's table, written out: other pickle modules, once imported, put their own ways into Python's.
    dispatch = {
        kind: getattr(pickle._Pickler, f"save_{way or kind.__name__}")
        for kind, way in (
            *((kind, "") for kind in (bool, float, bytes, bytearray, str, tuple, list, dict, set, frozenset, type)),
            *((type(None), "none"), (int, "long"), (FunctionType, "global"), (pickle.PickleBuffer, "picklebuffer")),
        )
    }

    def __init__(self, file: IO[bytes], protocol: int, legacy: bool = False) -> None:
        super().__init__(file, protocol)
        self.storages: dict[Any, SavedStorage] = {}
        self.legacy = legacy
        self.names = global_names()

    def persistent_id(self, obj: Any) -> Any:
        """Give the identifier under which a storage is found in the file."""
        if isinstance(obj, TypedStorage):
            obj = self.stored(obj._held._storage.root, obj.dtype)
        elif isinstance(obj, UntypedStorage):
            obj = self.stored(obj._storage.root, uint8)
        if type(obj) is not SavedStorage:
            return None
        kind = STORAGE_OF.get(obj.element, UNTYPED)  # dtypes younger than the storage classes are saved as bytes
        count = obj.data.nbytes // (kind.dtype.itemsize if kind.dtype else 1)
        identifier = ("storage", kind, obj.key, "cpu", count)
        if not self.legacy:
            return identifier
        if kind is UNTYPED:
            raise RuntimeError(f"the old format cannot hold {obj.element}; save without _use_new_zipfile_serialization")
        return (*identifier, None)

    def reducer_override(self, obj: Any) -> Any:
        """Say how an object of this library is rebuilt under torch's names."""
        if isinstance(obj, BaseTensor):
            reduces_itself = type(obj).__reduce_ex__ is not names.tensor_class().__reduce_ex__ and not obj._composite
            return NotImplemented if reduces_itself else self.reduce_tensor(obj)
        if isinstance(obj, (dtype, StorageType)):
            return obj.name
        if isinstance(obj, Layout):
            return names.get_layout, (repr(obj),)
        if isinstance(obj, device):
            return device, ((obj.type,) if obj.index is None else (obj.type, obj.index))
        if type(obj) is names.size_class():
            return names.size_class(), (tuple(obj),)
        if isinstance(obj, (type, FunctionType)) and obj in self.names:
            return self.names[obj][1]
        return NotImplemented

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write the name of a class, function or constant: torch's, where torch has it."""
        if isinstance(obj, (dtype, StorageType)):
            found: Any = ("torch.storage" if obj is UNTYPED else "torch", obj.name)
        else:
            found = self.names.get(obj)
        if found is None:
            super().save_global(obj, name)  # type: ignore[misc]
            return
        if self.proto >= 4:  # type: ignore[attr-defined]
            self.save(found[0])  # type: ignore[attr-defined]
            self.save(found[1])  # type: ignore[attr-defined]
            self.write(pickle.STACK_GLOBAL)  # type: ignore[attr-defined]
        else:
            self.write(pickle.GLOBAL + f"{found[0]}\n{found[1]}\n".encode())  # type: ignore[attr-defined]
        self.memoize(obj)  # type: ignore[attr-defined]

    def reduce_tensor(self, tensor: Any) -> Any:
        """Say how a tensor is rebuilt: torch's function, and its storage, offset, size and stride."""
        if tensor._composite:
            data: tuple[Any, ...] = (*(part.detach() for _, part in tensor.parts()), tensor.shape)
            if tensor.is_sparse:
                data = (*data, tensor.is_coalesced())
            return rebuild.rebuild_sparse_tensor, (tensor.layout, data)
        state = dict(tensor.__dict__)
        if isinstance(tensor, names.parameter_class()) and type(tensor) is names.parameter_class():
            args: tuple[Any, ...] = (tensor.detach(), tensor.requires_grad, OrderedDict())
            if state:
                return rebuild.rebuild_parameter_with_state, (*args, state)
            return rebuild.rebuild_parameter, args
        storage, offset, stride = self.place(tensor)
        view: tuple[Any, ...] = (storage, offset, tuple(tensor._a.shape), stride, tensor.requires_grad, OrderedDict())
        function: Any = rebuild.rebuild_tensor_v2
        if storage.element not in STORAGE_OF:
            function, view = rebuild.rebuild_tensor_v3, (*view, storage.element)
        if type(tensor) is names.tensor_class() and not state:
            return function, view
        return rebuild.rebuild_from_type_v2, (function, type(tensor), view, state)

    def place(self, tensor: Any) -> tuple[SavedStorage, int, tuple[int, ...]]:
        """Find a tensor's storage, made on first use, and where in it the tensor lies, in elements."""
        array, root = tensor._a, tensor._s.root
        low, high = np.lib.array_utils.byte_bounds(root)
        first, last = np.lib.array_utils.byte_bounds(array)
        offset, rest = divmod(first - low, array.itemsize)
        regular = array.dtype.isnative and all(step >= 0 and step % array.itemsize == 0 for step in array.strides)
        if array.size and regular and not rest and low <= first and last <= high:
            stride = tuple(tensor.stride())
        else:  # torch has no such layout: the storage is a copy
            array = root = np.array(array, array.dtype.newbyteorder("="), order="C")
            offset, stride = 0, dense_strides(array.shape)
        # Tensors made by .data have a Storage of their own on the same root, so the root is what is shared.
        return self.stored(root, from_numpy(array.dtype)), offset, stride

    def stored(self, root: Any, element: dtype) -> SavedStorage:
        """Give what is written for the memory of an array, made on first use; RuntimeError if it was written as another dtype."""
        storage = self.storages.get(id(root))
        if storage is None:
            storage = self.storages[id(root)] = SavedStorage(str(len(self.storages)), root, element)
        elif storage.element is not element:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different types "
                f"({storage.element} and {element}). Save a clone() of one of them."
            )
        return storage


def pickler_class(module: Any) -> type[StoragePickler]:
    """Give the pickler that writes what another pickle module can: cloudpickle's functions without a name, for one.

    Tensors, and all that has a name in torch, are written as by StoragePickler; the module's own ways follow.
    """
    if module in (None, pickle):
        return StoragePickler
    base: Any = getattr(module, "Pickler", None)
    if not isinstance(base, type):
        raise ValueError(
            f"pickle_module {getattr(module, '__name__', module)} has no class Pickler by which tensors could be written"
        )

    class Joined(StoragePickler, base):  # type: ignore[misc]
        dispatch = base.dispatch if issubclass(base, pickle._Pickler) else StoragePickler.dispatch
        memo: Any = None  # attributes of this object, not of the module's pickler
        bin: Any = None
        fast: Any = None

        def __init__(self, file: IO[bytes], protocol: int, legacy: bool = False) -> None:
            if not issubclass(base, pickle._Pickler):  # the one in Python is begun by StoragePickler
                base.__init__(self, file, protocol)
            super().__init__(file, protocol, legacy)

        def reducer_override(self, obj: Any) -> Any:
            """Ask torch's rules, then the module's."""
            found = super().reducer_override(obj)
            if found is NotImplemented and hasattr(base, "reducer_override"):
                found = base.reducer_override(self, obj)
            return found

    return Joined


def dense_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the strides, in elements, of a tensor without gaps."""
    sizes = [max(size, 1) for size in shape]
    return tuple(math.prod(sizes[axis + 1 :]) for axis in range(len(sizes)))


def bytes_of(root: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give all bytes from an array's first to its last, gaps included, without a copy."""
    if root.flags.c_contiguous:
        return root.reshape(-1).view(np.uint8)
    upright = root[tuple(slice(None, None, -1 if step < 0 else 1) for step in root.strides)]
    low, high = np.lib.array_utils.byte_bounds(root)
    count = (high - low) // root.itemsize
    return np.lib.stride_tricks.as_strided(upright, (count,), (root.itemsize,), writeable=False).view(np.uint8)


def global_names() -> dict[Any, tuple[str, str]]:
    """Give torch's module and name for the classes and functions that it knows by another name than we do."""
    from ..nn.parameter import UninitializedBuffer, UninitializedParameter

    found: dict[Any, tuple[str, str]] = {
        function: ("torch._utils", name) for name, function in rebuild.FUNCTIONS.items()
    }
    return found | {
        rebuild.rebuild_from_type_v2: ("torch._tensor", "_rebuild_from_type_v2"),
        device: ("torch", "device"),
        names.get_layout: ("torch.serialization", "_get_layout"),
        names.size_class(): ("torch", "Size"),
        names.tensor_class(): ("torch", "Tensor"),
        names.parameter_class(): ("torch.nn.parameter", "Parameter"),
        UninitializedBuffer: ("torch.nn.parameter", "UninitializedBuffer"),
        UninitializedParameter: ("torch.nn.parameter", "UninitializedParameter"),
    }
