"""Arrays from Python data: numbers, nested sequences, arrays and tensors, with torch's rules of shape and dtype."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import BaseTensor
from ..core import dtypes as _d
from ..core.dtypes import from_numpy as dtype_of
from ..core.dtypes import to_numpy
from .dispatch import scalar

_PLAIN = (float, int, bool, complex)


def default_dtype() -> Any:
    """Give NumPy's name of the default floating dtype."""
    return _d.get_default_dtype().numpy


def literal_dtype(dtype: Any, value: Any) -> Any:
    """Give the NumPy dtype asked for, or the one that a number has: Python's floats have the default, NumPy's their own."""
    if dtype is not None:
        return to_numpy(dtype)
    if isinstance(value, np.generic):
        return dtype_of(value.dtype).numpy
    if isinstance(value, bool):
        return np.dtype(np.bool_)
    if isinstance(value, int):
        return np.dtype(np.int64)
    if isinstance(value, complex):
        return _d.get_default_dtype().to_complex().numpy
    return default_dtype()


def as_array(data: Any, dtype: Any = None) -> Any:
    """Give a fresh array of Python data: numbers, nested sequences, arrays, Tensors."""
    if isinstance(data, BaseTensor):
        return data._a.astype(to_numpy(dtype) if dtype is not None else data._a.dtype, copy=True)
    if isinstance(data, np.ndarray):
        dtype_of(data.dtype)
        return np.array(data, to_numpy(dtype) if dtype is not None else data.dtype.newbyteorder("="), copy=True)
    number = scalar(data)
    if number is not None:
        d = literal_dtype(dtype, data)
        _whole(data, d)
        return stored(np.array(number), d)
    if not isinstance(data, (list, tuple)):
        if hasattr(data, "untyped"):
            from .storage import elements_of  # which needs this module's neighbours

            return elements_of(data, dtype).copy()
        if hasattr(data, "__array__"):
            return as_array(np.asarray(data), dtype)
        if not hasattr(data, "__len__") or not hasattr(data, "__getitem__") or isinstance(data, (str, bytes, dict)):
            raise _unknown(data, dtype)
        data = list(data)
    return _from_sequence(data, dtype)


def _unknown(value: Any, dtype: Any) -> Exception:
    """Make the error for what is no number."""
    name = type(value).__name__
    if isinstance(value, str):
        return TypeError("new(): invalid data type 'str'")
    if dtype is not None:
        return TypeError(
            f"must be real number, not {name}: a tensor's data are numbers, sequences of numbers, arrays and tensors"
        )
    return RuntimeError(
        f"Could not infer dtype of {name}: a tensor's data are numbers, sequences of numbers, arrays and tensors"
    )


def _whole(value: Any, d: Any) -> None:
    """Raise TypeError where a number of NumPy's that is no Python float should become an integer."""
    refused = isinstance(value, np.floating) and not isinstance(value, float) and d.kind in "iub"
    if refused or (isinstance(value, np.bool_) and d.kind in "iu"):
        raise TypeError(f"'{type(value).__module__}.{type(value).__name__}' object cannot be interpreted as an integer")


def stored(a: Any, d: Any) -> Any:
    """Cast the numbers of Python data; an error where one does not fit the dtype."""
    if a.dtype == d:
        return a
    kind = a.dtype.kind
    if kind == "O" and d.kind in "fV":
        return a.astype(np.float64).astype(d)
    if kind == "O" or (kind == "u" and a.dtype.itemsize == 8 and d == np.int64):
        raise ValueError("Overflow when unpacking long long: the integer does not fit 64 bits")
    if kind == "c" and d.kind != "c":
        if d.kind == "b":
            return a != 0
        raise TypeError(f"must be real number, not complex: the dtype is {d.name}")
    if d.kind in "iu" and kind in "iuf" and a.size:
        info = np.iinfo(d)
        low, high = a.min(), a.max()
        negative = -info.max if not info.min else info.min  # small negative numbers wrap in unsigned dtypes, as in C
        if not (negative <= low and (high <= info.max if kind != "f" else high < float(info.max) + 1)):
            raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
    with np.errstate(all="ignore"):
        return a.astype(d)


def _leaves(data: Any) -> Iterator[Any]:
    pending = [data]
    while pending:
        v = pending.pop()
        if isinstance(v, (list, tuple)):
            pending.extend(reversed(v))
        else:
            yield v


def _first_leaf(data: Any) -> Any:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return data


def _has_tensor(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        if any(isinstance(v, BaseTensor) for v in data):
            return True
        data = data[0]
    return False


def _from_tensors(data: Any, dtype: Any) -> tuple[Any, _d.dtype]:
    """Turn the one-element tensors in nested sequences into numbers; give their common dtype too."""
    found: _d.dtype | None = None
    for v in _leaves(data):
        d = dtype_of(v._a.dtype if isinstance(v, BaseTensor) else literal_dtype(None, v))
        if (
            isinstance(v, BaseTensor)
            and dtype is not None
            and d.category >= _d.FLOATING
            and to_numpy(dtype).kind in "iub"
        ):
            raise TypeError("only integer tensors of a single element can be converted to an index")
        if isinstance(v, BaseTensor) and v._a.size != 1:
            raise ValueError(
                "only one element tensors can be converted to Python scalars: join tensors by torch.stack or torch.cat"
            )
        found = d if found is None else _d.promote_types(found, d)

    def plain(v: Any) -> Any:
        return [plain(w) for w in v] if isinstance(v, (list, tuple)) else v.item() if isinstance(v, BaseTensor) else v

    assert found is not None
    return plain(data), found


def _from_sequence(data: Any, dtype: Any) -> Any:
    wanted = None if dtype is None else to_numpy(dtype)
    if _has_tensor(data):
        data, found = _from_tensors(data, dtype)
        wanted = found.numpy if wanted is None else wanted
    try:
        a = np.array(data)
    except ValueError:
        raise _ragged(data) from None
    except OverflowError:
        raise ValueError("Overflow when unpacking long long: the integer does not fit 64 bits") from None
    if a.size == 0:
        return np.zeros(a.shape, default_dtype() if wanted is None else wanted)
    kind = a.dtype.kind
    if kind not in "fiubc":
        return _refuse(data, a, wanted)
    first = _first_leaf(data)
    if wanted is not None:
        _whole(first, wanted)
        return stored(a, wanted)
    if isinstance(first, (np.generic, np.ndarray)):
        return a
    if kind == "f":
        return a.astype(default_dtype())
    if kind == "c":
        return a.astype(_d.get_default_dtype().to_complex().numpy)
    return stored(a, np.dtype(np.int64)) if kind in "iu" else a


def _refuse(data: Any, a: Any, wanted: Any) -> Any:
    """Raise the error for sequences that hold more than numbers, or numbers beyond 64 bits."""
    for v in _leaves(data):
        if isinstance(v, str):
            raise ValueError(f"too many dimensions 'str': {v!r} is no number")
        if isinstance(v, np.ndarray):
            dtype_of(v.dtype)
        elif scalar(v) is None:
            raise _unknown(v, wanted)
    if wanted is not None and wanted.kind in "fcV":
        return a.astype(np.complex128 if wanted.kind == "c" else np.float64).astype(wanted)
    raise ValueError("Overflow when unpacking long long: an integer does not fit 64 bits")


def _ragged(data: Any) -> Exception:
    """Make the error for nested sequences whose lengths differ."""
    shape = []
    inner = data
    while isinstance(inner, (list, tuple)):
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]

    def walk(v: Any, depth: int) -> Exception | None:
        if not isinstance(v, (list, tuple)):
            if depth < len(shape):
                return TypeError(
                    f"expected a sequence of length {shape[depth]} at dim {depth}, got {type(v).__name__} {v!r}"
                )
            return None
        if depth >= len(shape):
            return TypeError(f"'{type(v).__name__}' object cannot be interpreted as a number: {v!r} at dim {depth}")
        if len(v) != shape[depth]:
            return ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {len(v)})")
        return next((e for e in (walk(w, depth + 1) for w in v) if e is not None), None)

    return walk(data, 0) or ValueError("expected sequences of equal lengths")
