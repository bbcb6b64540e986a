"""Storages: the bytes under tensors, bare or as elements of one dtype."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import CPU, META, BaseTensor, MetaArray, Storage, wrap
from ..core import dtypes as _d
from .dispatch import METHODS, function
from .interop import asked

_NAMES = {
    "DoubleStorage": _d.float64,
    "FloatStorage": _d.float32,
    "HalfStorage": _d.float16,
    "BFloat16Storage": _d.bfloat16,
    "LongStorage": _d.int64,
    "IntStorage": _d.int32,
    "ShortStorage": _d.int16,
    "CharStorage": _d.int8,
    "ByteStorage": _d.uint8,
    "BoolStorage": _d.bool_,
    "ComplexFloatStorage": _d.complex64,
    "ComplexDoubleStorage": _d.complex128,
}


def _flat(root: Any) -> Any:
    """Give an array's memory as bytes, in the order in which they lie."""
    a = root if root.flags.forc else np.ascontiguousarray(root)
    return a.ravel(order="K").view(np.uint8)


class UntypedStorage:
    """The bytes that a tensor and its views share.

    ``resize_`` gives the storage other memory; tensors that view it keep the old until they are set to it anew.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.zeros(2, 3)
    >>> x.untyped_storage().nbytes(), x.untyped_storage().data_ptr() == x[1:].untyped_storage().data_ptr()
    (24, True)
    """

    __slots__ = ("_storage",)
    is_cuda = is_hpu = is_sparse = False

    def __init__(self, size: Any = 0, *, device: Any = None, dtype: Any = None) -> None:
        held = np.empty(size, np.uint8) if isinstance(size, int) else np.array(list(size), np.uint8)
        self._storage = Storage(held)

    @classmethod
    def _of(cls, storage: Storage) -> Any:
        made = cls.__new__(cls)
        made._storage = storage
        return made

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, nbytes: int = 0) -> Any:
        """Give the first bytes of a file, read when they are looked at; writes reach the file if they are shared."""
        if not nbytes:
            return cls(0)
        if shared:
            open(filename, "ab").close()  # made if it is not there; the map makes it long enough
        held = np.memmap(filename, np.uint8, "r+" if shared else "c", shape=(int(nbytes),))
        return cls._of(Storage(held.view(np.ndarray)))

    def untyped(self) -> Any:
        """Give itself: bare bytes."""
        return self

    @property
    def _bytes(self) -> Any:
        return _flat(self._storage.root)

    @property
    def device(self) -> Any:
        """Where the bytes are: on the CPU, or nowhere (meta)."""
        return META if self._storage.root.__class__ is MetaArray else CPU

    @property
    def _cdata(self) -> int:
        return id(self._storage)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and other._storage is self._storage

    def __hash__(self) -> int:
        return id(self._storage)

    def data_ptr(self) -> int:
        """Give the address of the first byte; 0 if there is none."""
        root = self._storage.root
        return int(root.ctypes.data) if self.nbytes() and root.__class__ is not MetaArray else 0

    def nbytes(self) -> int:
        """Give the number of bytes."""
        return int(self._storage.root.nbytes)

    def size(self) -> int:
        """Give the number of bytes."""
        return self.nbytes()

    def __len__(self) -> int:
        return self.nbytes()

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes()

    def element_size(self) -> int:
        """Give the bytes of one element: one."""
        return 1

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        found = self._bytes[index]
        if isinstance(index, slice):
            return UntypedStorage._of(Storage(found))
        return int(found)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._bytes[index] = value
        self._storage.version += 1

    def tolist(self) -> list[int]:
        """Give the bytes as numbers."""
        found: list[int] = self._bytes.tolist()
        return found

    def fill_(self, value: int) -> Any:
        """Write one number into every byte."""
        self[:] = value
        return self

    def copy_(self, source: Any, non_blocking: bool | None = None) -> Any:
        """Write another storage's bytes into this one."""
        self[:] = source._bytes
        return self

    def clone(self) -> Any:
        """Give a copy."""
        return UntypedStorage._of(Storage(self._bytes.copy()))

    def cpu(self) -> Any:
        """Give itself: the bytes are on the CPU."""
        return self

    def is_shared(self) -> bool:
        """Tell whether the memory is shared between processes."""
        return False

    def share_memory_(self) -> Any:
        """Give itself: tensors travel to other processes by copy."""
        return self

    def is_pinned(self, device: Any = None) -> bool:
        """Tell whether the memory is page-locked: never."""
        return False

    def pin_memory(self, device: Any = None) -> Any:
        """Give itself: there is no device to copy to."""
        return self

    def resizable(self) -> bool:
        """Tell whether the size may change."""
        return True

    def resize_(self, size: int) -> Any:
        """Change the number of bytes, keeping the first."""
        old = self._bytes
        if size != old.size:
            fresh = np.zeros(size, np.uint8)
            fresh[: min(size, old.size)] = old[:size]
            self._storage.root = fresh
            self._storage.version += 1
        return self

    def __repr__(self) -> str:
        lines = "".join(f" {b}\n" for b in self.tolist()[:1000])
        return f"{lines}[torch.storage.UntypedStorage(device=cpu) of size {self.nbytes()}]"

    __str__ = __repr__


class _TypedMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        own = cls.__dict__.get("dtype")
        if isinstance(own, _d.dtype):
            return type.__instancecheck__(TypedStorage, instance) and instance.dtype is own
        return type.__instancecheck__(cls, instance)


class TypedStorage(metaclass=_TypedMeta):
    """A storage seen as elements of one dtype.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.FloatStorage([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """

    dtype: Any = None
    _held: Any
    is_cuda = is_hpu = is_sparse = False

    def __new__(cls, *args: Any, wrap_storage: Any = None, dtype: Any = None, device: Any = None) -> Any:
        made = object.__new__(TypedStorage)
        made.dtype = cls.dtype or dtype or _d.get_default_dtype()
        if len(args) > 1:
            raise RuntimeError(f"{cls.__name__}() takes one size or sequence, but {len(args)} arguments were given")
        if wrap_storage is not None:
            made._held = wrap_storage
        else:
            given = args[0] if args else 0
            kind = made.dtype.numpy
            held = np.empty(given, kind) if isinstance(given, int) else np.array(list(given)).astype(kind)
            made._held = UntypedStorage._of(Storage(held))
        return made

    @property
    def _elements(self) -> Any:
        return self._held._bytes.view(self.dtype.numpy)

    @property
    def device(self) -> Any:
        """Where the bytes are: on the CPU."""
        return self._held.device

    def untyped(self) -> Any:
        """Give the bare bytes."""
        return self._held

    def data_ptr(self) -> int:
        """Give the address of the first element."""
        address: int = self._held.data_ptr()
        return address

    def nbytes(self) -> int:
        """Give the number of bytes."""
        number: int = self._held.nbytes()
        return number

    def size(self) -> int:
        """Give the number of elements."""
        number: int = self._held.nbytes() // self.dtype.itemsize
        return number

    __len__ = size

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes()

    def element_size(self) -> int:
        """Give the bytes of one element."""
        number: int = self.dtype.itemsize
        return number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypedStorage) and other._held == self._held and other.dtype is self.dtype

    def __hash__(self) -> int:
        return hash(self._held)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        return self._elements[index].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._elements[index] = value
        self._held._storage.version += 1

    def tolist(self) -> list[Any]:
        """Give the elements as numbers."""
        found: list[Any] = self._elements.tolist()
        return found

    def fill_(self, value: Any) -> Any:
        """Write one number into every element."""
        self[:] = value
        return self

    def copy_(self, source: Any, non_blocking: bool | None = None) -> Any:
        """Write another storage's elements into this one."""
        self[:] = source._elements
        return self

    def clone(self) -> Any:
        """Give a copy."""
        return TypedStorage(wrap_storage=self._held.clone(), dtype=self.dtype)

    def cpu(self) -> Any:
        """Give itself: the bytes are on the CPU."""
        return self

    def is_shared(self) -> bool:
        """Tell whether the memory is shared between processes."""
        return False

    def share_memory_(self) -> Any:
        """Give itself: tensors travel to other processes by copy."""
        return self

    def is_pinned(self, device: Any = None) -> bool:
        """Tell whether the memory is page-locked: never."""
        return False

    def pin_memory(self, device: Any = None) -> Any:
        """Give itself: there is no device to copy to."""
        return self

    def resizable(self) -> bool:
        """Tell whether the size may change."""
        return True

    def resize_(self, size: int) -> Any:
        """Change the number of elements, keeping the first."""
        self._held.resize_(size * self.dtype.itemsize)
        return self

    def pickle_storage_type(self) -> str:
        """Give the name of the class for this dtype."""
        return next((name for name, d in _NAMES.items() if d is self.dtype), "TypedStorage")

    def type(self, dtype: Any = None) -> Any:
        """Give the name of the class for this dtype, or the elements in another dtype."""
        if dtype is None:
            return f"torch.{self.pickle_storage_type()}"
        target = getattr(dtype, "dtype", None) or dtype
        held = UntypedStorage._of(Storage(self._elements.astype(_d.to_numpy(target))))
        return TypedStorage(wrap_storage=held, dtype=target)

    def __repr__(self) -> str:
        lines = "".join(f" {x}\n" for x in self.tolist()[:1000])
        return f"{lines}[torch.storage.TypedStorage(dtype={self.dtype}, device=cpu) of size {len(self)}]"

    __str__ = __repr__


CLASSES: dict[str, Any] = {
    name: _TypedMeta(
        name,
        (TypedStorage,),
        {"dtype": d, "__module__": "torch", "__doc__": f"Storages of elements of dtype {d.name}."},
    )
    for name, d in _NAMES.items()
}
globals().update(CLASSES)


def untyped_storage(self: Any) -> UntypedStorage:
    """Give the bytes that this tensor and its views share."""
    asked(self, "untyped_storage()")
    found: UntypedStorage = UntypedStorage._of(self._s)
    return found


def typed_storage(self: Any) -> TypedStorage:
    """Give the bytes that this tensor and its views share as elements of its dtype."""
    warnings.warn(
        "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the only storage class. "
        "This should only matter to you if you are using storages directly.  To access UntypedStorage directly, use "
        "tensor.untyped_storage() instead of tensor.storage()",
        UserWarning,
        stacklevel=2,
    )
    found: TypedStorage = TypedStorage(wrap_storage=untyped_storage(self), dtype=self.dtype)
    return found


def storage_type(self: Any) -> Any:
    """Give the class of this dtype's storages."""
    return next(c for c in CLASSES.values() if c.dtype is self.dtype)


METHODS["untyped_storage"] = untyped_storage
METHODS["storage"] = typed_storage
METHODS["storage_type"] = storage_type


def view_of(storage: Any, kind: Any, offset: int, size: Any, stride: Any) -> tuple[Any, Storage]:
    """Give the array that views a storage, and the Storage (library use)."""
    held = storage._held if isinstance(storage, TypedStorage) else storage
    flat = held._bytes.view(kind)
    shape = (len(flat) - offset,) if size is None else tuple(size)
    if stride is None:
        steps = [int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))]
    else:
        steps = list(stride)
    reach = offset + sum((n - 1) * s for n, s in zip(shape, steps, strict=True)) + 1 if 0 not in shape else 0
    if reach > len(flat):
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {steps}, storage offset {offset}, and itemsize {kind.itemsize} "
            f"requiring a storage size of {reach * kind.itemsize} are out of bounds for storage of size {held.nbytes()}"
        )
    a = np.lib.stride_tricks.as_strided(flat[offset:], shape, [s * kind.itemsize for s in steps])
    return a, held._storage


@function("from_file", method=False, out=False)
def from_file(
    filename: str,
    shared: bool | None = None,
    size: int | None = 0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Make a tensor of ``size`` elements of a file's bytes; ``shared``: writes go to the file, which is made as needed.

    Raises RuntimeError for a file that is missing or, unless shared, too small.
    """
    kind = _d.to_numpy(_d.get_default_dtype() if dtype is None else dtype)
    count = int(size or 0)
    try:
        if shared:
            with open(filename, "ab") as file:
                if file.tell() < count * kind.itemsize:
                    file.truncate(count * kind.itemsize)
        held = np.memmap(filename, np.uint8, "r+" if shared else "c", shape=(count * kind.itemsize,))
    except (OSError, ValueError) as error:
        raise RuntimeError(f"unable to map {count} elements of the file <{filename}>: {error}") from error
    result: Any = wrap(np.asarray(held).view(kind))
    return result.requires_grad_() if requires_grad else result


def is_storage(obj: Any) -> bool:
    """Tell whether an object is a storage."""
    return isinstance(obj, (Storage, UntypedStorage, TypedStorage)) and not isinstance(obj, BaseTensor)
