"""``x[...]`` read and written: ints, slices, None, Ellipsis, masks and index tensors, by torch's rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core import MODE, BaseTensor, apply, assign, at, check_writable, here, quiet_off, quiet_on
from ...core import dtypes as _d
from ...core.door import _quiet
from ...core.warned import warn
from ...ops.elementwise import cast, where
from ...ops.index import ARRAY, full_index, indexing
from ...ops.shape import expand, reshape, slice_
from ..dispatch import METHODS, scalar, type_name
from ..interop import asked
from ..tensor import Tensor

ALL = slice(None)
_PLAIN = (int, slice, type(None))


# -- reading -----------------------------------------------------------------------------------------------------------
def getitem(self: Any, index: Any) -> Any:
    """Give the part that an index names.

    It is a view for ints, slices, None and Ellipsis, and a copy for masks and index tensors.
    """
    try:
        key = plain_key(index)
        if key is not None:
            return apply(slice_, self, index=key)
        basic, spec, arrays = parse(self, index)
        x = apply(slice_, self, index=(*basic, ...)) if basic is not None else self
        ask_masks(arrays)
        return x if spec is None else apply(indexing(len(arrays)).read, x, *arrays, spec=spec)
    except IndexError as error:
        raise explained(error, self) from None


def plain_key(index: Any) -> tuple[Any, ...] | None:
    """Give the key of an index of ints and slices alone, by far the most frequent; None for any other."""
    c = index.__class__
    if c is int:
        return (index, ...)
    if c is tuple:
        for i in index:
            k = i.__class__
            if k is not int and (k is not slice or not _simple(i)):
                return None
        return (*index, ...)
    return (index, ...) if c is slice and _simple(index) else None


def _simple(s: slice) -> bool:
    a, b = s.start, s.stop
    return s.step is None and (a is None or a.__class__ is int) and (b is None or b.__class__ is int)


def explained(error: IndexError, x: Any) -> Exception:
    """Say in torch's words what NumPy found wrong with an index."""
    text = str(error)
    ndim = x._a.ndim
    if text.startswith("too many indices"):
        if ndim == 0:
            return IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to "
                "convert a 0-dim tensor to a number"
            )
        return IndexError(f"too many indices for tensor of dimension {ndim}{at(here())}")
    found = re.match(r"index (-?\d+) is out of bounds for axis (\d+) with size (\d+)$", text)
    if found:
        return IndexError(
            "index {} is out of bounds for dimension {} with size {}".format(*found.groups()) + at(here())
        )
    found = re.match(r"shape mismatch: indexing arrays could not be broadcast together with shapes (.*)$", text)
    if found:
        shapes = re.sub(r",?\)", "]", found[1].strip().replace("(", "[")).replace(",", ", ").replace("] [", "], [")
        return IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}{at(here())}"
        )
    if text.startswith("cannot do a non-empty take from an empty"):
        return IndexError(f"index is out of bounds for dimension with size 0{at(here())}")
    return error


def parse(x: Any, index: Any) -> tuple[tuple[Any, ...] | None, tuple[Any, ...] | None, list[Any]]:
    """Split an index into its basic part, and the places and index Tensors of its advanced part.

    Returns (basic, spec, arrays): ``x[basic]`` is a view, None for basic where it would change nothing; ``spec`` is
    None without arrays.
    """
    items = _items(index)
    shape = x._a.shape
    taken = sum(_width(i) for i in items)
    if taken > len(shape):
        raise IndexError("too many indices")
    basic: list[Any] = []
    spec: list[Any] = []
    arrays: list[Any] = []
    d = 0
    for i in items:
        c = i.__class__
        if c is int:
            basic.append(i)
            d += 1
        elif c is slice:
            basic.append(_checked_slice(i))
            spec.append(ALL)
            d += 1
        elif i is None:
            basic.append(None)
            spec.append(ALL)
        elif i is ...:
            free = len(shape) - taken
            basic.extend([ALL] * free)
            spec.extend([ALL] * free)
            d += free
            taken = len(shape)
        elif c is bool:
            basic.append(None)
            spec.append(ARRAY)
            arrays.append(Tensor._wrap(np.zeros(1 if i else 0, np.int64)))
        else:
            width = _width(i)
            if i._a.dtype.kind == "b" and i._a.shape != shape[d : d + width]:
                bad = next(k for k in range(width) if i._a.shape[k] != shape[d + k])
                raise IndexError(
                    f"The shape of the mask {list(i._a.shape)} at index {bad} does not match the shape of the "
                    f"indexed tensor {list(shape)} at index {d + bad}"
                )
            basic.extend([ALL] * width)
            spec.append(ARRAY)
            arrays.append(i)
            d += width
    trivial = all(b == ALL for b in basic if b is not None) and None not in basic
    if not arrays:
        return tuple(basic), None, arrays
    while spec[-1] is not ARRAY:
        spec.pop()
    return None if trivial else tuple(basic), tuple(spec), arrays


def _width(i: Any) -> int:
    """Give how many dimensions an item of an index takes."""
    if isinstance(i, BaseTensor):
        return int(i._a.ndim) if i._a.dtype.kind == "b" else 1
    return 0 if i is None or i is ... or i.__class__ is bool else 1


def _checked_slice(s: slice) -> slice:
    parts = [None if p is None else p if p.__class__ is int else _slice_bound(p) for p in (s.start, s.stop, s.step)]
    if parts[2] is not None and parts[2] <= 0:
        raise ValueError("step must be greater than zero: a slice of a tensor cannot run backwards; use torch.flip")
    return slice(*parts)


def _slice_bound(p: Any) -> int:
    try:
        return int(p.__index__())
    except (AttributeError, TypeError):
        raise TypeError("slice indices must be integers or None or have an __index__ method") from None


def _items(index: Any) -> list[Any]:
    """Give the items of an index, each an int, bool, slice, None, Ellipsis, mask or integer Tensor."""
    if index.__class__ is tuple or (isinstance(index, tuple) and not hasattr(index, "_a")):
        return [_item(i) for i in index]
    if (
        isinstance(index, list)
        and len(index) < 32
        and any(isinstance(i, (BaseTensor, np.ndarray, Sequence, slice)) or i is ... or i is None for i in index)
    ):
        if any(isinstance(i, str) for i in index):
            raise TypeError("new(): invalid data type 'str': indices are integers, slices, masks or None")
        warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated; use x[tuple(seq)] instead "
            "of x[seq].",
            UserWarning,
        )
        return [_item(i) for i in index]
    return [_item(index)]


def _item(i: Any) -> Any:
    c = i.__class__
    if c in _PLAIN or i is ... or c is bool:
        return i
    if not isinstance(i, BaseTensor):
        if isinstance(i, np.bool_):
            return bool(i)
        if isinstance(i, (int, np.integer)):
            return int(i)
        if isinstance(i, str):
            raise TypeError("new(): invalid data type 'str': indices are integers, slices, masks or None")
        if not isinstance(i, (np.ndarray, Sequence)):
            name = f"numpy.{c.__name__}" if isinstance(i, np.generic) else c.__name__
            raise IndexError(
                "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
                f"indices (got {name})"
            )
        i = _as_index(i)
    if not i._a.ndim and i._a.dtype.kind in "iu" and MODE.trace is None and i._a.dtype != np.uint8:
        return int(i._a)
    i = mask_or_place(i)
    if i._a.dtype.kind == "b":
        return i if i._a.ndim else bool(i._a)
    return i if i._a.ndim or MODE.trace is not None else int(i._a)


def mask_or_place(i: Any) -> Any:
    """Give a Tensor that indexes as a mask or as places: bytes are masks, with torch's warning; IndexError for other dtypes."""
    kind = i._a.dtype
    if kind == np.uint8:
        warn("indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.", UserWarning)
        return cast(i, dtype=np.bool_)
    if kind.kind != "b" and kind not in (np.int64, np.int32):
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return i


def _as_index(i: Any) -> Any:
    from ..creation import as_array

    if isinstance(i, np.ndarray):
        return Tensor._wrap(i)
    a = as_array(list(i))
    return Tensor._wrap(a if a.dtype.kind == "b" or a.dtype == np.uint8 else a.astype(np.int64))


# -- writing -----------------------------------------------------------------------------------------------------------
def setitem(self: Any, index: Any, value: Any) -> None:
    """Write a number or a Tensor, broadcast, to the part that an index names, with history."""
    d = self._a.dtype
    if not isinstance(value, BaseTensor):
        number = filled(value, d, f"can't assign a {type(value).__name__} to a torch.{type_name(d)}Tensor")
        value = Tensor._wrap(number)
    recorded = (
        MODE.trace is not None or MODE.dual is not None or (MODE.grad and (self.requires_grad or value.requires_grad))
    )
    try:
        key = plain_key(index)
        if key is None:
            basic, spec, arrays = parse(self, index)
            if spec is not None:
                _write_places(self, basic, spec, arrays, value, recorded)
                return
            key = (*(basic or ()), ...)
        _write_part(self, key, value, recorded)
    except IndexError as error:
        raise explained(error, self) from None


METHODS["__getitem__"], METHODS["__setitem__"] = getitem, setitem


def _write_part(self: Any, key: tuple[Any, ...], value: Any, recorded: bool) -> None:
    if recorded or 0 in self._a.strides or self._s.inference:
        view = apply(slice_, self, index=key)
        check_writable(view, "__setitem__")
        if recorded:
            assign(view, fitted(value, view._a.shape, view._a.dtype), "__setitem__", given=True)
            return
    _write_directly(self, key, value)


def _write_directly(self: Any, key: Any, value: Any) -> None:
    """Write without history."""
    a, v = self._a, value._a
    if v.dtype.kind == "c" != a.dtype.kind:
        v = v.real
    token = quiet_on(_quiet)
    try:
        a[key] = v
    except (TypeError, ValueError) as error:
        shape = a[key].shape
        spare = v.ndim - len(shape)
        if spare <= 0 or v.shape[:spare] != (1,) * spare or v.shape[spare:] != shape:
            raise _unfit(error, v.shape, shape) from None
        a[key] = v.reshape(shape)
    finally:
        quiet_off(token)
    self._s.version += 1
    if MODE.grad:
        self._s.written = ("__setitem__", here())


def _unfit(error: Exception, given: tuple[int, ...], wanted: tuple[int, ...]) -> Exception:
    if "read-only" in str(error):
        return RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            f"Please clone() the tensor before performing the operation. (__setitem__){at(here())}"
        )
    return RuntimeError(
        f"shape mismatch: value tensor of shape {list(given)} cannot be broadcast to indexing result of shape "
        f"{list(wanted)}{at(here())}"
    )


def fitted(value: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Cast and broadcast a value, without its leading dimensions of length 1 that are too many."""
    if value._a.dtype != dtype:
        value = cast(value, dtype=dtype)
    given = value._a.shape
    if given == shape:
        return value
    extra = len(given) - len(shape)
    if extra > 0 and all(n == 1 for n in given[:extra]):
        value = apply(reshape, value, shape=given[extra:])
    try:
        np.broadcast_shapes(value._a.shape, shape)
        return apply(expand, value, shape=shape)
    except (ValueError, RuntimeError) as error:
        raise _unfit(error, given, shape) from None


def _write_places(self: Any, basic: Any, spec: tuple[Any, ...], arrays: list[Any], value: Any, recorded: bool) -> None:
    d = self._a.dtype
    if value._a.dtype != d:
        if value._a.size != 1 or any(i._a.dtype.kind != "b" for i in arrays):
            raise RuntimeError(
                f"Index put requires the source and destination dtypes match, got {type_name(d)} for the "
                "destination and "
                f"{type_name(value._a.dtype)} for the source.{at(here())}"
            )
        value = cast(value, dtype=d)
    view = self if basic is None else apply(slice_, self, index=(*basic, ...))
    check_writable(view, "__setitem__")
    if MODE.trace is not None and len(arrays) == 1 and arrays[0]._a.dtype.kind == "b" and value._a.size == 1:
        assign(view, chosen(view, spec, arrays[0], value), "__setitem__")
        return
    ask_masks(arrays)
    if not recorded:
        _write_directly(view, full_index(spec, [i._a for i in arrays]), value)
        return
    shape = places_shape(view._a.shape, spec, arrays)
    assign(
        view,
        apply(indexing(len(arrays)).put, view, fitted(value, shape, d), *arrays, spec=spec, accumulate=False),
        "__setitem__",
    )


def ask_masks(arrays: list[Any]) -> None:
    """Tell the running trace of masks: how much they choose depends on their values."""
    if MODE.trace is not None:
        for i in arrays:
            if i._a.dtype.kind == "b":
                asked(i, "mask")


def chosen(x: Any, spec: tuple[Any, ...], mask: Any, value: Any) -> Any:
    """Write one number where a mask holds, in a way whose shapes do not depend on the mask."""
    before = spec.index(ARRAY)
    after = x._a.ndim - before - mask._a.ndim
    wide = apply(reshape, mask, shape=(*(1,) * before, *mask._a.shape, *(1,) * after))
    return apply(where, wide, apply(reshape, value, shape=()), x)


def places_shape(shape: tuple[int, ...], spec: tuple[Any, ...], arrays: list[Any]) -> tuple[int, ...]:
    """Give the shape of what an index reads."""
    blank = np.broadcast_to(np.zeros((), np.bool_), shape)
    found: tuple[int, ...] = blank[full_index(spec, [i._a for i in arrays])].shape
    return found


# -- numbers as array elements -----------------------------------------------------------------------------------------
_C_NAMES = {
    "float32": "float",
    "float64": "double",
    "float16": "at::Half",
    "bfloat16": "at::BFloat16",
    "int64": "int64_t",
    "int32": "int",
    "int16": "int16_t",
    "int8": "int8_t",
    "uint8": "uint8_t",
}


def filled(value: Any, dtype: Any, complaint: str) -> Any:
    """Give a number as a 0-d array of a dtype.

    Raises TypeError (the complaint) for what is no number, and RuntimeError for one that the dtype does not hold.
    """
    if value.__class__ is float and dtype.kind == "f" and -60000 < value < 60000:
        return np.array(value, dtype)
    s = scalar(value)
    if s is None:
        raise TypeError(complaint)
    name = _d.from_numpy(dtype).name
    kind = dtype.kind
    bad = isinstance(s, complex) and kind != "c" and s.imag != 0
    if isinstance(s, complex) and kind != "c":
        s = s.real
    if kind in "iu" and not bad:
        info = np.iinfo(dtype)
        low = -int(info.max) if kind == "u" else int(info.min)
        bad = not (s == s and low <= s <= int(info.max))
        if not bad:
            return np.array(int(s) % (1 << 8 * dtype.itemsize) if kind == "u" else int(s), dtype)
    elif kind in "fV" and not bad and not isinstance(s, bool):
        bad = abs(s) != float("inf") and s == s and abs(s) > _d.finfo(_d.from_numpy(dtype)).max
    if bad:
        raise RuntimeError(f"value cannot be converted to type {_C_NAMES.get(name, name)} without overflow")
    return np.array(s).astype(dtype)
