"""Making tensors: from Python data and NumPy arrays, filled, counted, and like others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import MODE, BaseTensor, MetaArray, blank, elsewhere, wrap
from ..core.dtypes import from_numpy as dtype_of
from ..core.dtypes import to_numpy
from ..core.rows import SparseOperand
from ..core.warned import warn
from .dispatch import function, sizes, with_sparse, write_out
from .literals import as_array, default_dtype, literal_dtype, stored


def _finish(a: Any, requires_grad: bool, device: Any = None) -> Any:
    if a.__class__ is not np.ndarray and a.__class__ is not MetaArray:
        a = np.asarray(a)
    if device is not None and elsewhere(device):
        a = blank(a.shape, a.dtype)
    t = wrap(a)
    if MODE.inference:
        t._s.inference = True
    if requires_grad:
        t.requires_grad_()
    return t


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Any:
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
    if device is not None:
        elsewhere(device)
    if isinstance(data, BaseTensor):
        warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor)."
        )
    if MODE.trace is not None and isinstance(data, BaseTensor):
        t = data.detach().clone() if dtype is None else data.detach().to(dtype, copy=True)
        return t.requires_grad_() if requires_grad else t
    return _finish(as_array(data, dtype), requires_grad, device)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """Make a tensor of data, sharing memory with arrays and Tensors where the dtype allows."""
    if device is not None:
        elsewhere(device)
        if isinstance(data, BaseTensor):
            return data.to(device, data.dtype if dtype is None else dtype)
        if elsewhere(device):
            return _finish(as_array(data, dtype), False, device)
    if isinstance(data, BaseTensor):
        return data if dtype is None or to_numpy(dtype) == data._a.dtype else data.to(dtype)
    if hasattr(data, "untyped"):  # a storage's memory is shared, as an array's is
        from .storage import elements_of  # which needs this module's neighbours

        return _finish(elements_of(data, dtype), False)
    if isinstance(data, np.ndarray):
        dtype_of(data.dtype)
        if dtype is None or to_numpy(dtype) == data.dtype:
            return from_numpy(data)
    return _finish(as_array(data, dtype), False)


def from_numpy(ndarray: Any) -> Any:
    """Make a tensor that shares memory with a NumPy array.

    Raises TypeError for what is not an array, or whose dtype torch does not have.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(
            f"from_numpy(): expected np.ndarray (got {type(ndarray).__name__}); torch.tensor takes lists and numbers"
        )
    if ndarray.dtype.kind == "O" or ndarray.dtype.kind in "USMm":
        dtype_of(ndarray.dtype)
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are "
            "not currently supported. "
            "(You can probably work around this by making a copy of your array  with array.copy().)"
        )
    dtype_of(ndarray.dtype)
    if not ndarray.flags.writeable:
        warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This "
            "means writing to this tensor will result in undefined behavior. "
            "You may want to copy the array to protect its data or make it writable before converting it to a tensor."
        )
    return _finish(ndarray, False)


def from_dlpack(ext: Any, **kwargs: Any) -> Any:
    """Make a tensor that shares memory with any object that speaks DLPack."""
    if isinstance(ext, BaseTensor):
        return ext.detach()
    a = np.from_dlpack(ext if hasattr(ext, "__dlpack__") else _Capsule(ext))
    return _finish(a, False)


class _Capsule:
    """A bare DLPack capsule in the clothes of an object that gives one, on the CPU."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **ignored: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Any:
    """Make a one-dimensional tensor that shares memory with an object that has a buffer.

    Raises ValueError for an object without one, and where ``count`` and ``offset`` do not fit it.
    """
    try:
        held = np.frombuffer(memoryview(buffer), np.uint8) if memoryview(buffer).nbytes else np.empty(0, np.uint8)
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    kind = to_numpy(dtype)
    size, step = held.size, kind.itemsize
    if not size or not count:
        raise ValueError(f"both buffer length ({size}) and count ({count}) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({size} bytes) minus 1"
        )
    if count < 0 and (size - offset) % step:
        raise ValueError(
            f"buffer length ({size - offset} bytes) after offset ({offset} bytes) must be a multiple of element size ({step})"
        )
    if count > 0 and offset + count * step > size:
        raise ValueError(
            f"requested buffer length ({count} * {step} bytes) after offset ({offset} bytes) must not be greater than actual buffer "
            f"length ({size} bytes)"
        )
    if not held.flags.writeable:
        warn(
            "The given buffer is not writable, and PyTorch does not support non-writable tensors: writing to this tensor raises. "
            "You may want to copy the buffer to protect its data or make it writable before converting it to a tensor."
        )
    return _finish(held[offset : None if count < 0 else offset + count * step].view(kind), requires_grad)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Any:
    """Make a tensor of a tensor, an array, a buffer, or numbers, sharing memory where it can (always, or never, if ``copy`` says so).

    A buffer without a dtype holds numbers of the default one. ValueError where memory that is to be shared cannot be.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.zeros(2)
    >>> torch.asarray(x, copy=True)[0] = 1
    >>> x
    tensor([0., 0.])
    """
    if not (isinstance(obj, (BaseTensor, np.ndarray, np.generic)) or hasattr(obj, "__dlpack__")):
        try:
            memoryview(obj)
            obj = np.frombuffer(obj, default_dtype() if dtype is None else to_numpy(dtype))
        except (TypeError, ValueError):
            pass
    if not isinstance(obj, (BaseTensor, np.ndarray)) and hasattr(obj, "__dlpack__"):
        obj = from_dlpack(obj)
    shared = isinstance(obj, (BaseTensor, np.ndarray))
    if copy is False and not shared and not hasattr(obj, "untyped"):
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    if copy is False and dtype is not None and shared and to_numpy(dtype) != (getattr(obj, "_a", obj)).dtype:
        raise ValueError(f"can't alias tensor with dtype '{obj.dtype}' into dtype '{dtype}'.")
    t = as_tensor(obj, dtype, device)
    if copy and shared and (t is obj or np.may_share_memory(t._a, getattr(obj, "_a", obj))):
        t = t.clone()
    return t.requires_grad_() if requires_grad else t


def _checked(size: tuple[int, ...]) -> tuple[int, ...]:
    for s in size:
        if s < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {s}: {list(size)}")
    return size


def _unset(make: Any) -> Any:
    """Give a function that makes an array without values; with numbers in it that stand out while ``CONSPICUOUS`` holds anything."""

    def given(*args: Any, **kwargs: Any) -> Any:
        a = make(*args, **kwargs)
        if CONSPICUOUS and a.__class__ is not MetaArray:
            a[...] = 1 if a.dtype.kind == "b" else np.iinfo(a.dtype).max if a.dtype.kind in "iu" else np.nan
        return a

    return given


CONSPICUOUS: set[str] = set()  # why memory that nobody has written is filled, where that is asked for
unset = _unset(np.empty)


def _filler(name: str, doc: str, give: Any) -> Any:
    def fn(
        *size: Any,
        out: Any = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = None,
        **named: Any,
    ) -> Any:
        if "size" in named:
            size = (named.pop("size"),)
        if named:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(named))}'")
        if not size:
            raise TypeError(
                f"{name}() received an invalid combination of arguments - got (), but expected the sizes, such "
                f"as {name}(2, 3)"
            )
        make = blank if device is not None and elsewhere(device) else give
        shape = _checked(sizes(size, name))
        if out is not None:
            return write_out(out, wrap(make(shape, out._a.dtype)), name)
        if math.prod(shape) * (default_dtype() if dtype is None else to_numpy(dtype)).itemsize >= 2**63:
            raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)}")
        return _finish(make(shape, default_dtype() if dtype is None else to_numpy(dtype)), requires_grad)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, method=False, out=False)(fn)


zeros = _filler("zeros", "Make a tensor of zeros of the given sizes.", np.zeros)
ones = _filler("ones", "Make a tensor of ones of the given sizes.", np.ones)
empty = _filler("empty", "Make a tensor of the given sizes without setting its values.", unset)


def into(out: Any, a: Any, name: str) -> Any:
    """Write numbers that are made into ``out``, in its dtype; one line of as many numbers as it has fills it as it lies."""
    if not isinstance(out, BaseTensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if a.ndim == 1 and a.size == out._a.size:
        a = a.reshape(out._a.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        return write_out(out, wrap(a.astype(out._a.dtype)), name)


def _one(value: Any, dtype: Any) -> Any:
    """Give one number as a zero-dimensional array of a dtype; RuntimeError where it does not fit."""
    if isinstance(value, BaseTensor):
        value = value.item()
    return stored(np.array(value), literal_dtype(dtype, value))


@function("full", method=False, out=False)
def full(
    size: Any,
    fill_value: Any,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Make a tensor of one value repeated."""
    there = device is not None and elsewhere(device)
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}")
    number = _one(fill_value, dtype)
    a = np.broadcast_to(number, _checked(sizes((size,), "full")))
    a = blank(a.shape, a.dtype) if there else a.copy()
    if out is not None:
        return into(out, a, "full")
    return _finish(a, requires_grad)


def _like(name: str, doc: str, make: Any) -> Any:
    def fn(
        input: Any,
        *,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        memory_format: Any = None,
        pin_memory: bool = False,
    ) -> Any:
        there = device is not None and elsewhere(device)
        if not isinstance(input, BaseTensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        try:
            a = input._a
        except SparseOperand:
            return with_sparse(name, (input,), {"dtype": dtype})
        if there:
            return _finish(blank(a.shape, a.dtype if dtype is None else to_numpy(dtype)), requires_grad)
        if device is not None and a.__class__ is MetaArray:
            a = a.view(np.ndarray)
        order = "C" if 0 in a.strides else "K"  # an expanded tensor's elements lie row by row
        return _finish(make(a, dtype=None if dtype is None else to_numpy(dtype), order=order), requires_grad)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, method=False, out=False)(fn)


zeros_like = _like("zeros_like", "Make zeros of another tensor's shape and dtype.", np.zeros_like)
ones_like = _like("ones_like", "Make ones of another tensor's shape and dtype.", np.ones_like)
empty_like = _like("empty_like", "Make an unset tensor of another's shape and dtype.", _unset(np.empty_like))


@function("full_like", method=False, out=False)
def full_like(
    input: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Any:
    """Make a tensor of one value of another tensor's shape and dtype."""
    there = device is not None and elsewhere(device)
    if not isinstance(input, BaseTensor):
        raise TypeError(f"full_like(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    like = blank(input._a.shape, input._a.dtype) if there else input._a
    if device is not None and not there and like.__class__ is MetaArray:
        like = like.view(np.ndarray)
    a = np.empty_like(like, dtype=None if dtype is None else to_numpy(dtype))
    a[...] = _one(fill_value, dtype_of(a.dtype))
    return _finish(a, requires_grad)


@function("empty_strided", method=False, out=False)
def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Make a tensor of given sizes and strides (in elements) without setting its values."""
    there = device is not None and elsewhere(device)
    size, stride = _checked(tuple(size)), tuple(stride)
    if len(size) != len(stride):
        raise RuntimeError(
            f"dimensionality of sizes ({len(size)}) must match dimensionality of strides ({len(stride)})"
        )
    d = default_dtype() if dtype is None else to_numpy(dtype)
    count = 1 + sum(k * (n - 1) for n, k in zip(size, stride, strict=True)) if all(size) else 0
    root = blank((count,), d) if there else unset(count, d)
    t = _finish(root, requires_grad=False)
    t._a = np.lib.stride_tricks.as_strided(root, size, tuple(k * d.itemsize for k in stride), subok=True)
    return t.requires_grad_() if requires_grad else t


@function("empty_permuted", method=False, out=False)
def empty_permuted(
    size: Any,
    physical_layout: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Make a tensor whose dimensions lie in memory in a given order, outermost first, without setting its values."""
    steps, step = [0] * len(size), 1
    if sorted(physical_layout) != list(range(len(size))):
        raise RuntimeError(
            f"Number of dimensions in size ({len(size)}) and the order {list(physical_layout)} do not fit: "
            "empty_permuted"
        )
    for d in reversed(physical_layout):
        steps[d], step = step, step * max(size[d], 1)
    return empty_strided(size, steps, dtype=dtype, device=device, requires_grad=requires_grad)


__all__ = ["as_array", "as_tensor", "asarray", "from_dlpack", "from_numpy", "frombuffer", "tensor"]
