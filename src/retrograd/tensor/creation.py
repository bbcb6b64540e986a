"""Making tensors: from Python data and NumPy arrays, filled, counted, and like others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import MODE, BaseTensor, check_device, wrap
from ..core import dtypes as _d
from ..core.dtypes import from_numpy as dtype_of
from ..core.dtypes import to_numpy
from .dispatch import function, scalar, sizes
from .tensor import Tensor

_PRINT_FLOATS = (float, np.floating)


def _finish(a: Any, requires_grad: bool) -> Any:
    if a.__class__ is not np.ndarray:
        a = np.asarray(a)
    t = wrap(a)
    if MODE.special and MODE.trace is not None:
        MODE.trace.made(t)
    if MODE.inference:
        t._s.inference = True
    if requires_grad:
        t.requires_grad_()
    return t


def _default() -> Any:
    return _d.get_default_dtype().numpy


def _dtype(dtype: Any, value: Any) -> Any:
    """Give the NumPy dtype asked for, or the one that a Python scalar has."""
    if dtype is not None:
        return to_numpy(dtype)
    if isinstance(value, (bool, np.bool_)):
        return np.dtype(np.bool_)
    if isinstance(value, (int, np.integer)):
        return np.dtype(np.int64)
    if isinstance(value, (complex, np.complexfloating)):
        return _d.get_default_dtype().to_complex().numpy
    return _default()


def as_array(data: Any, dtype: Any = None) -> Any:
    """Give a fresh array of Python data: numbers, nested sequences, arrays, Tensors."""
    if isinstance(data, BaseTensor):
        return data._a.astype(to_numpy(dtype) if dtype is not None else data._a.dtype, copy=True)
    if isinstance(data, np.ndarray) or isinstance(data, np.generic):
        dtype_of(data.dtype)
        return np.array(data, to_numpy(dtype) if dtype is not None else data.dtype.newbyteorder("="), copy=True)
    s = scalar(data)
    if s is not None:
        return _cast_checked(np.array(s), _dtype(dtype, s), s)
    if hasattr(data, "__array__") and not isinstance(data, (list, tuple)):
        return as_array(np.asarray(data), dtype)
    if not isinstance(data, (list, tuple)):
        if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, (str, bytes, dict)):
            data = list(data)
        elif isinstance(data, range):
            data = list(data)
        else:
            if isinstance(data, str):
                raise TypeError("new(): invalid data type 'str'")
            raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    return _from_sequence(data, dtype)


def _cast_checked(a: Any, d: Any, value: Any) -> Any:
    if a.dtype.kind == "O":
        raise RuntimeError("Overflow when unpacking long long")
    if d.kind in "iu" and a.dtype.kind in "iu" and a.size:
        info = np.iinfo(d)
        if int(a.min()) < info.min or int(a.max()) > info.max:
            raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
    if a.dtype.kind == "c" and d.kind not in "c":
        raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
    return a.astype(d)


def _has_tensor(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        if any(isinstance(v, (BaseTensor, np.ndarray)) for v in data):
            return True
        data = data[0]
    return False


def _plain(data: Any) -> Any:
    """Turn tensors inside nested sequences into arrays."""
    if isinstance(data, BaseTensor):
        return data._a if data._a.dtype.kind != "V" else data._a.astype(np.float32)
    if isinstance(data, (list, tuple)):
        return [_plain(v) for v in data]
    return data


def _shape_of(data: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(data, (list, tuple)):
        shape.append(len(data))
        if not data:
            break
        data = data[0]
    return tuple(shape)


def _from_sequence(data: Any, dtype: Any) -> Any:
    tensors = _has_tensor(data)
    if tensors:
        first = data
        while isinstance(first, (list, tuple)) and first:
            first = first[0]
        kind = first.dtype if isinstance(first, np.ndarray) else first._a.dtype if isinstance(first, BaseTensor) else None
        data = _plain(data)
    try:
        a = np.array(data)
    except ValueError:
        _ragged(data, _shape_of(data))
        raise
    except OverflowError:
        raise RuntimeError("Overflow when unpacking long long") from None
    if a.size == 0:
        return np.zeros(a.shape, to_numpy(dtype) if dtype is not None else _default())
    if a.dtype.kind == "O":
        flat = list(_leaves(data))
        if all(isinstance(v, (int, float, complex, bool, np.number, np.bool_)) for v in flat):
            raise RuntimeError("Overflow when unpacking long long")
        bad = next(v for v in flat if not isinstance(v, (int, float, complex, bool, np.number, np.bool_)))
        if bad is None or not isinstance(bad, str):
            raise RuntimeError(f"Could not infer dtype of {type(bad).__name__}")
    if a.dtype.kind in "USOM":
        kinds = {type(v).__name__ for v in _leaves(data) if not isinstance(v, (int, float, complex, bool, np.number))}
        raise ValueError(f"too many dimensions '{sorted(kinds)[0]}'" if "str" in kinds else f"could not make a tensor of {sorted(kinds)}")
    if dtype is not None:
        d = to_numpy(dtype)
        return _cast_checked(a, d, data)
    if a.dtype.kind == "f" and not (tensors and kind is not None and kind.kind in "fV"):
        return a.astype(_default())
    if tensors and kind is not None and kind.kind in "fV":
        return a.astype(kind)
    if a.dtype.kind == "c":
        return a.astype(_d.get_default_dtype().to_complex().numpy)
    if a.dtype.kind in "iu":
        return _cast_checked(a, np.dtype(np.int64), data)
    return a


def _leaves(data: Any) -> Any:
    stack = [data]
    while stack:
        v = stack.pop()
        if isinstance(v, (list, tuple)):
            stack.extend(reversed(v))
        else:
            yield v


def _ragged(data: Any, shape: tuple[int, ...], depth: int = 0) -> None:
    if not isinstance(data, (list, tuple)):
        if depth < len(shape):
            raise TypeError(f"expected a sequence of length {shape[depth]} at dim {depth}, got {type(data).__name__} {data!r}")
        return
    if depth >= len(shape) or len(data) != shape[depth]:
        want = shape[depth] if depth < len(shape) else 0
        raise ValueError(f"expected sequence of length {want} at dim {depth} (got {len(data)})")
    for v in data:
        _ragged(v, shape, depth + 1)


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Any:
    """Make a tensor by copying Python data.

    Parameters
    ----------
    data
        A number, a nested sequence of numbers, an array or a Tensor.
    dtype
        The dtype; by default that of the data, where Python floats count as the default dtype.
    requires_grad
        Whether a gradient is wanted.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    check_device(device)
    if isinstance(data, BaseTensor):
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
    return _finish(as_array(data, dtype), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """Make a tensor of data, sharing memory with arrays and Tensors where the dtype allows."""
    check_device(device)
    if isinstance(data, BaseTensor):
        return data if dtype is None or to_numpy(dtype) == data._a.dtype else data.to(dtype)
    if isinstance(data, np.ndarray):
        dtype_of(data.dtype)
        if dtype is None or to_numpy(dtype) == data.dtype:
            return from_numpy(data)
    return _finish(as_array(data, dtype), False)


asarray = as_tensor


def from_numpy(ndarray: Any) -> Any:
    """Make a tensor that shares memory with a NumPy array.

    Raises TypeError for what is not an array, or whose dtype torch does not have.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy(): expected np.ndarray (got {type(ndarray).__name__}); torch.tensor takes lists and numbers")
    if ndarray.dtype.kind == "O" or ndarray.dtype.kind in "USMm":
        dtype_of(ndarray.dtype)
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently supported. "
            "(You can probably work around this by making a copy of your array  with array.copy().)"
        )
    dtype_of(ndarray.dtype)
    if not ndarray.flags.writeable:
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means writing to this tensor will result in undefined behavior. "
            "You may want to copy the array to protect its data or make it writable before converting it to a tensor.",
            UserWarning,
            stacklevel=2,
        )
    return _finish(ndarray, False)


def from_dlpack(ext: Any, **kwargs: Any) -> Any:
    """Make a tensor that shares memory with any object that speaks DLPack."""
    if isinstance(ext, BaseTensor):
        return wrap(ext._a, ext._s)
    a = np.from_dlpack(ext)
    return _finish(a, False)


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Any:
    """Make a one-dimensional tensor that shares memory with an object that has a buffer."""
    return _finish(np.frombuffer(buffer, to_numpy(dtype), count, offset), requires_grad)


def legacy_tensor(d: Any, *args: Any, device: Any = None, **kwargs: Any) -> Any:
    """Make what ``torch.FloatTensor(...)`` and its kin make: of sizes, or of data."""
    check_device(device)
    if d == np.float32:
        d = _default()
    if not args:
        return _finish(np.empty((0,), d), False)
    if len(args) == 1 and not isinstance(args[0], (int, np.integer)):
        data = args[0]
        if isinstance(data, BaseTensor):
            if data._a.dtype != d:
                raise TypeError(f"expected {dtype_of(d)} (got {data.dtype})")
            return wrap(data._a, data._s)
        from .tensor import Size

        if isinstance(data, Size):
            return _finish(np.empty(tuple(data), d), False)
        if isinstance(data, float):
            raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
        return _finish(as_array(data, dtype_of(d)), False)
    return _finish(np.empty(sizes(args, "new"), d), False)


# -- filled ------------------------------------------------------------------------------------------------------------------
def _checked(size: tuple[int, ...]) -> tuple[int, ...]:
    for s in size:
        if s < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {s}: {list(size)}")
    return size


def _filler(name: str, doc: str, make: Any) -> Any:
    def fn(*size: Any, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False, memory_format: Any = None, **named: Any) -> Any:
        if "size" in named:
            size = (named.pop("size"),)
        if named:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(named))}'")
        if not size:
            raise TypeError(f"{name}() received an invalid combination of arguments - got (), but expected the sizes, such as {name}(2, 3)")
        if device is not None:
            check_device(device)
        shape = _checked(sizes(size, name))
        if out is not None:
            from .dispatch import write_out

            return write_out(out, wrap(make(shape, out._a.dtype)), name)
        return _finish(make(shape, _default() if dtype is None else to_numpy(dtype)), requires_grad)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, method=False, out=False)(fn)


zeros = _filler("zeros", "Make a tensor of zeros of the given sizes.", np.zeros)
ones = _filler("ones", "Make a tensor of ones of the given sizes.", np.ones)
empty = _filler("empty", "Make a tensor of the given sizes without setting its values.", np.empty)


@function("full", method=False, out=False)
def full(size: Any, fill_value: Any, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Any:
    """Make a tensor of one value repeated."""
    check_device(device)
    value = fill_value.item() if isinstance(fill_value, BaseTensor) else fill_value
    shape = _checked(sizes((size,) if isinstance(size, (tuple, list)) else (size,), "full"))
    a = np.full(shape, value, _dtype(dtype, value))
    if out is not None:
        from .dispatch import write_out

        return write_out(out, wrap(a), "full")
    return _finish(a, requires_grad)


def _like(name: str, doc: str, make: Any) -> Any:
    def fn(input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False, memory_format: Any = None, pin_memory: bool = False) -> Any:
        check_device(device)
        if not isinstance(input, BaseTensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        return _finish(make(input._a, dtype=None if dtype is None else to_numpy(dtype)), requires_grad)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, method=False, out=False)(fn)


zeros_like = _like("zeros_like", "Make zeros of another tensor's shape and dtype.", np.zeros_like)
ones_like = _like("ones_like", "Make ones of another tensor's shape and dtype.", np.ones_like)
empty_like = _like("empty_like", "Make an unset tensor of another's shape and dtype.", np.empty_like)


@function("full_like", method=False, out=False)
def full_like(input: Any, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False, memory_format: Any = None) -> Any:
    """Make a tensor of one value of another tensor's shape and dtype."""
    check_device(device)
    value = fill_value.item() if isinstance(fill_value, BaseTensor) else fill_value
    return _finish(np.full_like(input._a, value, dtype=None if dtype is None else to_numpy(dtype)), requires_grad)


@function("arange", method=False, out=False)
def arange(start: Any, end: Any = None, step: Any = 1, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Any:
    """Make the numbers from start (0) up to, not including, end, in steps."""
    check_device(device)
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, BaseTensor) else v for v in (start, end, step))
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not all(math.isfinite(v) for v in (start, end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError(f"upper bound and lower bound inconsistent with step sign: arange({start}, {end}, {step})")
    if dtype is not None:
        d = to_numpy(dtype)
    elif any(isinstance(v, float) for v in (start, end, step)):
        d = _default()
    else:
        d = np.dtype(np.int64)
    if all(isinstance(v, (int, np.integer)) for v in (start, end, step)):
        a = np.arange(start, end, step).astype(d, copy=False)
    else:
        n = math.ceil((end - start) / step)
        a = (start + np.arange(n) * step).astype(d)
    if out is not None:
        from .dispatch import write_out

        return write_out(out, wrap(a), "arange")
    return _finish(a, requires_grad)
