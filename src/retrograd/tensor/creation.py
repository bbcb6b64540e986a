"""Making tensors: from Python data and NumPy arrays, filled, counted, and like others."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import MODE, BaseTensor, MetaArray, blank, elsewhere, wrap
from ..core.dtypes import from_numpy as dtype_of
from ..core.dtypes import to_numpy
from ..core.rows import SparseOperand
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
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
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
    data = getattr(data, "_bytes", data)  # a storage's memory is shared, as an array's is
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
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This "
            "means writing to this tensor will result in undefined behavior. "
            "You may want to copy the array to protect its data or make it writable before converting it to a tensor.",
            UserWarning,
            stacklevel=2,
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
    """Make a one-dimensional tensor that shares memory with an object that has a buffer."""
    return _finish(np.frombuffer(buffer, to_numpy(dtype), count, offset), requires_grad)


def legacy_tensor(d: Any, *args: Any, device: Any = None, **kwargs: Any) -> Any:
    """Make what ``torch.FloatTensor(...)`` and its kin make: of sizes, or of data."""
    if device is not None and elsewhere(device):
        return legacy_tensor(d, *args, **kwargs).to(device)
    if d == np.float32:
        d = default_dtype()
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
        return _finish(make(shape, default_dtype() if dtype is None else to_numpy(dtype)), requires_grad)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, method=False, out=False)(fn)


zeros = _filler("zeros", "Make a tensor of zeros of the given sizes.", np.zeros)
ones = _filler("ones", "Make a tensor of ones of the given sizes.", np.ones)
empty = _filler("empty", "Make a tensor of the given sizes without setting its values.", np.empty)


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
        return write_out(out, wrap(a), "full")
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
empty_like = _like("empty_like", "Make an unset tensor of another's shape and dtype.", np.empty_like)


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
    root = blank((count,), d) if there else np.empty(count, d)
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


__all__ = ["as_array", "as_tensor", "from_dlpack", "from_numpy", "frombuffer", "legacy_tensor", "tensor"]
