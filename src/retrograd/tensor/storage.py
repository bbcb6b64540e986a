"""Storages: the bytes under tensors, bare or as elements of one dtype."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import CPU, META, BaseTensor, MetaArray, Storage, blank, elsewhere, no_data, wrap
from ..core import dtypes as _d
from ..core.warned import warn
from .copying import deep_storage
from .dispatch import METHODS, function, type_name
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


def _copied(buffer: Any, byte_order: str, dtype: Any, *, count: int = -1, offset: int = 0, **named: Any) -> Any:
    """Give a copy of a buffer's bytes, as elements of a dtype in this machine's order."""
    kind = dtype.numpy
    if byte_order not in ("native", "little", "big"):
        raise ValueError(f"invalid byte_order '{byte_order}' (expected 'big', 'little', or 'native')")
    found = np.frombuffer(memoryview(buffer).cast("B"), np.uint8)
    rest = len(found) - offset
    if offset < 0 or rest < 0:
        raise ValueError(
            f"offset must be non-negative and no greater than buffer length ({len(found)}), but got {offset}"
        )
    if count < 0 and rest % kind.itemsize:
        raise ValueError(f"buffer size ({rest}) must be a multiple of element size ({kind.itemsize})")
    found = found[offset : None if count < 0 else offset + count * kind.itemsize]
    if count >= 0 and len(found) < count * kind.itemsize:
        raise ValueError(
            f"buffer has only {rest // kind.itemsize} elements after offset {offset}, but specified a size of {count}"
        )
    other = (">" if sys.byteorder == "little" else "<") if byte_order not in ("native", sys.byteorder) else "="
    if dtype is _d.bool_:
        return (found != 0).copy()
    return found.view(kind.newbyteorder(other) if kind.kind in "iufc" else kind).astype(kind)


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

    __slots__ = ("__dict__", "__weakref__", "_storage")
    is_cuda = is_hpu = is_sparse = False

    def __init__(self, size: Any = 0, *, device: Any = None, dtype: Any = None) -> None:
        there = device is not None and elsewhere(device)
        make = blank if there else np.empty
        held = make((size,), np.dtype(np.uint8)) if isinstance(size, int) else np.array(list(size), np.uint8)
        self._storage = Storage(blank(held.shape, held.dtype) if there else held)

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

    @classmethod
    def from_buffer(cls, buffer: Any, byte_order: str = "native", **places: Any) -> Any:
        """Give a copy of the bytes of an object with a buffer."""
        return cls._of(Storage(_copied(buffer, byte_order, _d.uint8, **places)))

    def byteswap(self, dtype: Any) -> None:
        """Turn the order of the bytes of each element round, in place; a complex element has two."""
        step = dtype.itemsize // (2 if dtype.is_complex else 1)
        self._bytes.reshape(-1, step)[...] = self._bytes.reshape(-1, step)[:, ::-1].copy()
        self._storage.version += 1

    def untyped(self) -> Any:
        """Give itself: bare bytes."""
        return self

    @property
    def _bytes(self) -> Any:
        if self._storage.root.__class__ is MetaArray:
            raise NotImplementedError("Not available for 'meta' device type: a storage there has a size and no bytes")
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

    def __copy__(self) -> Any:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return UntypedStorage._of(deep_storage(self._storage, memo))

    def cpu(self) -> Any:
        """Give itself: the bytes are on the CPU."""
        if self.device is META:
            raise no_data()
        return self

    def is_shared(self) -> bool:
        """Tell whether the memory is shared between processes."""
        return False

    def share_memory_(self) -> Any:
        """Give itself: tensors travel to other processes by copy."""
        if self.device is META:
            raise RuntimeError("share_memory_: only available on CPU; a storage of the meta device has no bytes")
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


_CASTS = {
    "double": _d.float64,
    "float": _d.float32,
    "half": _d.float16,
    "bfloat16": _d.bfloat16,
    "long": _d.int64,
    "int": _d.int32,
    "short": _d.int16,
    "char": _d.int8,
    "byte": _d.uint8,
    "bool": _d.bool_,
    "complex_float": _d.complex64,
    "complex_double": _d.complex128,
}


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

    def __new__(
        cls, *args: Any, wrap_storage: Any = None, dtype: Any = None, device: Any = None, _internal: bool = False
    ) -> Any:
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
            there = device is not None and elsewhere(device)
            made._held = UntypedStorage._of(Storage(blank(held.shape, kind) if there else held))
        return made

    @property
    def _elements(self) -> Any:
        return self._held._bytes.view(self.dtype.numpy)

    @property
    def device(self) -> Any:
        """Where the bytes are: on the CPU."""
        return self._held.device

    @classmethod
    def from_buffer(cls, buffer: Any, byte_order: str = "native", dtype: Any = None, **places: Any) -> Any:
        """Give a copy of the elements of an object with a buffer."""
        kind = cls.dtype or dtype or _d.get_default_dtype()
        return TypedStorage(
            wrap_storage=UntypedStorage._of(Storage(_copied(buffer, byte_order, kind, **places))), dtype=kind
        )

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, size: int = 0) -> Any:
        """Give the first elements of a file, read when they are looked at; writes reach the file if they are shared."""
        kind = cls.dtype or _d.get_default_dtype()
        return TypedStorage(wrap_storage=UntypedStorage.from_file(filename, shared, size * kind.itemsize), dtype=kind)

    def untyped(self) -> Any:
        """Give the bare bytes."""
        return self._held

    @property
    def _untyped_storage(self) -> Any:
        return self._held

    @property
    def _cdata(self) -> int:
        number: int = self._held._cdata
        return number

    def __getattr__(self, name: str) -> Any:
        target = _CASTS.get(name)
        if target is None:
            raise AttributeError(f"'TypedStorage' object has no attribute {name!r}")
        return functools.partial(self.type, target)

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

    def __copy__(self) -> Any:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return TypedStorage(wrap_storage=self._held.__deepcopy__(memo), dtype=self.dtype)

    def cpu(self) -> Any:
        """Give itself: the bytes are on the CPU."""
        if self.device is META:
            raise no_data()
        return self

    def is_shared(self) -> bool:
        """Tell whether the memory is shared between processes."""
        return False

    def share_memory_(self) -> Any:
        """Give itself: tensors travel to other processes by copy."""
        if self.device is META:
            raise RuntimeError("share_memory_: only available on CPU; a storage of the meta device has no bytes")
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


def elements_of(storage: Any, dtype: Any) -> Any:
    """Give a storage's memory as elements of a dtype: any for bare bytes (int64 if none is asked for), its own for another.

    Raises RuntimeError for another dtype than a typed storage's.
    """
    if isinstance(storage, TypedStorage):
        if dtype is not None and _d.to_numpy(dtype) != storage.dtype.numpy:
            raise RuntimeError(
                f"Expected a Storage of type {type_name(_d.to_numpy(dtype))} or an UntypedStorage, but got "
                f"{type_name(storage.dtype.numpy)}"
            )
        return storage._elements
    held = storage._bytes
    kind = _d.to_numpy(_d.int64 if dtype is None else dtype)
    return held[: held.size - held.size % kind.itemsize].view(kind)


def untyped_storage(self: Any) -> UntypedStorage:
    """Give the bytes that this tensor and its views share."""
    asked(self, "untyped_storage()")
    found: UntypedStorage = UntypedStorage._of(self._s)
    return found


def typed_storage(self: Any) -> TypedStorage:
    """Give the bytes that this tensor and its views share as elements of its dtype."""
    warn(
        "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the only storage class. "
        "This should only matter to you if you are using storages directly.  To access UntypedStorage directly, use "
        "tensor.untyped_storage() instead of tensor.storage()",
        UserWarning,
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
    flat = elements_of(storage, _d.from_numpy(kind))
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
