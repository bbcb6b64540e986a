"""Other dtypes and copies: `to` in all its forms, the named casts, `copy_` and filling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import BaseTensor, MetaArray, apply, assign, blank, check_writable, elsewhere, no_data, show_type, wrap
from ...core import dtypes as _d
from ...core.warned import warn
from ...ops.elementwise import cast, clone
from ...ops.shape import expand
from ..dispatch import METHODS, as_dtype, function, scalar, sizes
from ..interop import asked
from ..legacy import new
from ..literals import as_array, stored
from ..tensor import Tensor


@function("to", torch=False)
def to(
    input: Any,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
    other: Any = None,
) -> Any:
    """Give the tensor in another dtype (or on a device, which must be the CPU); itself if nothing changes."""
    for a in args:
        if isinstance(a, _d.dtype):
            dtype = a
        elif isinstance(a, BaseTensor):
            dtype = _d.from_numpy(a._a.dtype)
        elif isinstance(a, bool):
            copy = copy or (a and len(args) > 2)
        elif isinstance(a, type) and a in _d.PYTHON_TYPES:
            dtype = a
        elif a is not None:
            device = a
    if other is not None:
        dtype = _d.from_numpy(other._a.dtype)
    if device is not None:
        there = elsewhere(device)
        if there is not (input._a.__class__ is MetaArray):
            if not there:
                raise no_data()
            return wrap(blank(input._a.shape, input._a.dtype if dtype is None else _d.to_numpy(dtype)))
    if dtype is None or _d.to_numpy(dtype) == input._a.dtype:
        return apply(clone, input, order="K") if copy else input
    return apply(cast, input, dtype=_d.to_numpy(dtype))


@function("type_as", torch=False)
def type_as(input: Any, other: Any) -> Any:
    """Give the tensor in another tensor's dtype."""
    return as_dtype(input, _d.from_numpy(other._a.dtype))


_TYPE_NAMES = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Byte": "uint8",
    "Char": "int8",
    "Short": "int16",
    "Int": "int32",
    "Long": "int64",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}


@function("type", torch=False)
def type_(input: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
    """Give the name of the tensor's type, or the tensor in another one."""
    if dtype is None:
        name = next((k for k, v in _TYPE_NAMES.items() if _d.by_name(v).numpy == input._a.dtype), input.dtype.name)
        return f"torch.{name}Tensor"
    if isinstance(dtype, type) and dtype in _d.PYTHON_TYPES:
        raise ValueError(f"invalid type: '{dtype.__name__}' (a dtype, or a name such as 'torch.FloatTensor')")
    if str(dtype).removeprefix("<class '").startswith("torch.cuda."):
        raise RuntimeError(
            f"Cannot initialize CUDA: {dtype} is a type of tensors on a device, and this library has the CPU"
        )
    if isinstance(dtype, str):
        short = dtype.split(".")[-1].removesuffix("Tensor")
        if short not in _TYPE_NAMES:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = _d.by_name(_TYPE_NAMES[short])
    dtype = _d.get_default_dtype() if dtype is Tensor else getattr(dtype, "tensor_dtype", dtype)
    return as_dtype(input, dtype)


def _caster(name: str, d: _d.dtype) -> None:
    target = d.numpy

    def method(self: Any, memory_format: Any = None) -> Any:
        return self if self._a.dtype == target else apply(cast, self, dtype=target)

    method.__name__ = name
    method.__doc__ = f"Give the tensor in {d.name}; itself if it has that dtype."
    METHODS[name] = method


for _name, _dtype in {
    **_d.ALIASES,
    "byte": _d.uint8,
    "char": _d.int8,
    "bool": _d.bool_,
    "bfloat16": _d.bfloat16,
}.items():
    _caster(_name, _dtype)


@function("copy_", torch=False)
def copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Write another tensor's values (cast and broadcast) into this one."""
    if not isinstance(src, BaseTensor):
        s = scalar(src)
        if s is None:
            raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}")
        src = wrap(np.asarray(s))
    check_writable(self, "copy_")
    r = src if src._a.dtype == self._a.dtype else apply(cast, src, dtype=self._a.dtype)
    if r._a.shape != self._a.shape:
        try:
            np.broadcast_shapes(r._a.shape, self._a.shape)
            r = apply(expand, r, shape=self._a.shape)
        except (ValueError, RuntimeError):
            raise RuntimeError(
                f"The size of tensor a ({list(self._a.shape)}) must match the size of tensor b "
                f"({list(src._a.shape)}): copy_ of {show_type(src)} into {show_type(self)}"
            ) from None
    if (r is src and np.may_share_memory(src._a, self._a)) or (r is src and r._node is not None):
        r = apply(clone, src, order="K")
    return assign(self, r, "copy_", keep_old=True)


def _fill(self: Any, value: Any, name: str) -> Any:
    check_writable(self, name, overlap=not self.requires_grad)
    if isinstance(value, BaseTensor):
        if value._a.ndim:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {value._a.ndim} dimensions."
            )
        return copy_(self, value)
    v = np.asarray(value)
    if v.dtype.kind == "c" and self._a.dtype.kind not in "cb" and v.imag != 0:
        raise RuntimeError(f"value cannot be converted to type {self.dtype.name} without overflow")
    v = (
        v.real.astype(self._a.dtype)
        if v.dtype.kind == "c" and self._a.dtype.kind in "fiuV"
        else v.astype(self._a.dtype)
    )
    return assign(self, wrap(np.broadcast_to(v, self._a.shape)), name, keep_old=True)


@function("fill_")
def fill_(input: Any, value: Any) -> Any:
    """Write one value everywhere."""
    return _fill(input, value, "fill_")


@function("fill")
def fill(input: Any, value: Any) -> Any:
    """Give a tensor of the same shape and dtype with one value everywhere."""
    return fill_(apply(clone, input, order="K"), value)


@function("zero_")
def zero_(input: Any) -> Any:
    """Write zeros everywhere."""
    return _fill(input, 0, "zero_")


@function("apply_", torch=False)
def apply_(self: Any, callable: Any) -> Any:
    """Replace every element by ``callable`` of it, a Python number; slow, and without a gradient."""
    return _each(self, callable, "apply_")


@function("map_", torch=False)
def map_(self: Any, tensor: Any, callable: Any) -> Any:
    """Replace every element by ``callable`` of it and of the other tensor's; slow, and without a gradient."""
    return _each(self, callable, "map_", tensor)


def _each(self: Any, call: Any, name: str, *others: Any) -> Any:
    for x in others:
        if not isinstance(x, BaseTensor):
            raise TypeError(f"{name}(): argument 'other' (position 1) must be Tensor, not {type(x).__name__}")
    if any(x.requires_grad for x in (self, *others)):
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead.")
    for x in others:
        if x._a.dtype != self._a.dtype:
            raise TypeError(f"{name}: expected a tensor of {self.dtype} beside {show_type(self)}, got {show_type(x)}")
    try:
        arrays = [np.broadcast_to(x._a, self._a.shape) for x in (self, *others)]
    except ValueError:
        raise RuntimeError(
            f"{name}: {show_type(others[0])} does not expand to the shape of {show_type(self)}"
        ) from None
    values = [call(*numbers) for numbers in zip(*(a.ravel().tolist() for a in arrays))]
    for v in values:
        if not isinstance(v, (bool, int, float, complex, np.generic)):
            raise TypeError(f"{name}: must be real number, not {type(v).__name__}")
    return assign(self, wrap(np.array(values, self._a.dtype).reshape(self._a.shape)), name, keep_old=True)


@function("set_", torch=False)
def set_(self: Any, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None) -> Any:
    """Make this tensor refer to another's memory and shape, or to a storage's with an offset, sizes and strides."""
    if source is None:
        source = wrap(np.empty((0,), self._a.dtype))
    if isinstance(source, BaseTensor):
        asked(source, "set_()")
        if size is None:
            self._a, self._s, self._base = source._a, source._s, None
            return self
        source = source.untyped_storage()
    from ..storage import view_of  # which needs this module's neighbours

    a, storage = view_of(source, self._a.dtype, int(storage_offset), size, stride)
    self._a, self._s, self._base = a, storage, None
    return self


@function("resize_", torch=False)
def resize_(self: Any, *shape: Any, memory_format: Any = None) -> Any:
    """Change the shape in place, keeping the first elements."""
    want = sizes(shape, "resize_")
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    if want == self._a.shape:
        return self
    n, offset = math.prod(want), self.storage_offset()
    if n * self._a.itemsize >= 2**63:
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(want)}")
    root = self._s.root
    flat = root.ravel(order="K").view(self._a.dtype) if root.flags.forc else self._a.reshape(-1)
    flat = flat[offset if root.flags.forc else 0 :]
    if n > flat.size:
        from ..creation import unset  # which needs this module's neighbours

        held = unset(offset + n, self._a.dtype)
        held[offset : offset + flat.size] = flat
        self._s.root, flat = held, held[offset:]
    self._a = flat[:n].reshape(want)
    self._s.version += 1
    self._base = None
    return self


@function("resize_as_", out=False)
def resize_as_(self: Any, other: Any, *, memory_format: Any = None) -> Any:
    """Change the shape in place to another tensor's."""
    return resize_(self, *other._a.shape)


@function("module_load", torch=False)
def module_load(self: Any, other: Any, assign: bool = False) -> Any:
    """Give what a module exchanges this parameter or buffer for when it loads ``other`` by exchange; subclasses may redefine it."""
    return other.detach() if assign else self.copy_(other).detach()


def _new(name: str, doc: str, make: Any) -> None:
    def method(
        self: Any,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        pin_memory: bool = False,
        **named: Any,
    ) -> Any:
        a = make(self, args, named, self._a.dtype if dtype is None else _d.to_numpy(dtype))
        if elsewhere(device) or (device is None and self._a.__class__ is MetaArray):
            a = blank(a.shape, a.dtype)
        t = wrap(np.asanyarray(a))
        return t.requires_grad_() if requires_grad else t

    method.__name__ = name
    method.__doc__ = doc
    METHODS[name] = method


def _new_tensor(self: Any, args: Any, named: Any, d: Any) -> Any:
    data = args[0] if args else named["data"]
    if isinstance(data, BaseTensor):
        asked(data, "detach().clone() by .new_tensor()")
        warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than tensor.new_tensor(sourceTensor)."
        )
    return as_array(args[0] if args else named["data"], _d.from_numpy(d))


def _full(size: tuple[int, ...], value: Any, d: Any) -> Any:
    number = value.item() if isinstance(value, BaseTensor) else value
    return np.broadcast_to(stored(np.array(number), d), size).copy()


def _size_of(args: Any, named: Any, name: str) -> tuple[int, ...]:
    return sizes((named["size"],) if "size" in named else args, name)


_new(
    "new_zeros",
    "Make zeros of the same dtype.",
    lambda self, args, named, d: np.zeros(_size_of(args, named, "new_zeros"), d),
)
_new(
    "new_ones",
    "Make ones of the same dtype.",
    lambda self, args, named, d: np.ones(_size_of(args, named, "new_ones"), d),
)
_new(
    "new_empty",
    "Make an unset tensor of the same dtype.",
    lambda self, args, named, d: np.empty(_size_of(args, named, "new_empty"), d),
)
_new(
    "new_full",
    "Make a tensor of one value of the same dtype.",
    lambda self, args, named, d: _full(
        sizes((args[0] if args else named["size"],), "new_full"), args[1] if len(args) > 1 else named["fill_value"], d
    ),
)
_new("new_tensor", "Copy data into a tensor of the same dtype.", _new_tensor)


def _new_empty_strided(self: Any, size: Any, stride: Any, *, dtype: Any = None, **named: Any) -> Any:
    """Make an unset tensor of given sizes and strides, of the same dtype."""
    from ..creation import empty_strided

    return empty_strided(size, stride, dtype=self.dtype if dtype is None else dtype, **named)


METHODS["new"] = new
METHODS["new_empty_strided"] = _new_empty_strided
