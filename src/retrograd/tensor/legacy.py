"""The old tensor types, `FloatTensor` and its kin: constructors with a dtype, and classes for isinstance."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import BaseTensor, MetaArray, blank, elsewhere, wrap
from ..core import dtypes as _d
from .dispatch import sizes
from .literals import as_array, default_dtype


def legacy_tensor(d: Any, *args: Any, device: Any = None, **named: Any) -> Any:
    """Make what ``torch.FloatTensor(...)`` and its kin make: of sizes, of data, or of what has such data already.

    A ``torch.Size`` is sizes, any other sequence is data; a tensor or a storage is shared, not copied. ``d`` is None for
    ``torch.Tensor``: the default dtype, or the dtype of the tensor that is given.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.FloatTensor(torch.Size([2, 3])).shape, torch.FloatTensor([2, 3])
    (torch.Size([2, 3]), tensor([2., 3.]))
    """
    kind = default_dtype() if d is None else d
    made = _made(kind, d is None, _positional(args, named))
    return made.to(device) if device is not None and elsewhere(device) else made


def _positional(args: Any, named: Any) -> Any:
    """Give the arguments with the one keyword put in its place; TypeError for any other combination."""
    keyword = next(iter(named), None)
    if named and (args or len(named) > 1 or keyword not in ("size", "data", "other")):
        shown = ", ".join([type(a).__name__ for a in args] + [f"{k}={type(v).__name__}" for k, v in named.items()])
        raise TypeError(f"new() received an invalid combination of arguments - got ({shown}), but expected {_EXPECTED}")
    if keyword == "size":
        return sizes((named["size"],), "new")
    return (named[keyword],) if named else args


_EXPECTED = "one of: nothing, sizes, one sequence of data, a tensor, a storage; and a device"


def _is_size(value: Any) -> bool:
    """Tell whether a value is one size; an integer tensor of one element is, beside others."""
    if isinstance(value, BaseTensor):
        return value._a.size == 1 and value._a.dtype.kind in "iu"
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _made(kind: Any, any_dtype: bool, args: Any) -> Any:
    from .storage import TypedStorage, UntypedStorage, view_of
    from .tensor import Size

    if len(args) != 1:
        if not all(map(_is_size, args)):
            shown = ", ".join(type(a).__name__ for a in args)
            raise TypeError(
                f"new() received an invalid combination of arguments - got ({shown}), but expected {_EXPECTED}"
            )
        return _unset(sizes(args, "new") if args else (0,), kind)
    (data,) = args
    if isinstance(data, BaseTensor):
        if not any_dtype and data._a.dtype != kind:
            raise TypeError(f"expected {_d.from_numpy(kind)} (got {data.dtype})")
        return wrap(data._a, data._s)
    if isinstance(data, Size):
        return _unset(tuple(data), kind)
    if isinstance(data, (TypedStorage, UntypedStorage)):
        return wrap(*view_of(data, kind, 0, None, None))
    if _is_size(data) and not isinstance(data, np.ndarray):
        return _unset(sizes(args, "new"), kind)
    if not (isinstance(data, str) or (hasattr(data, "__getitem__") and hasattr(data, "__len__"))) or isinstance(
        data, dict
    ):
        raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
    return wrap(as_array(data, _d.from_numpy(kind)))


def _unset(size: tuple[int, ...], kind: Any) -> Any:
    for s in size:
        if s < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {s}: {list(size)}")
    from .creation import unset

    return wrap(unset(size, kind))


def new(self: Any, *args: Any, device: Any = None, **named: Any) -> Any:
    """Make an unset tensor of the same dtype, or one of data."""
    made = legacy_tensor(self._a.dtype, *args, **named)
    if elsewhere(device) or (device is None and self._a.__class__ is MetaArray):
        return wrap(blank(made._a.shape, made._a.dtype))
    return made


class _LegacyMeta(type):
    tensor_dtype: Any

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, BaseTensor) and instance._a.dtype == cls.tensor_dtype.numpy

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return legacy_tensor(cls.tensor_dtype.numpy, *args, **kwargs)

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


def _make(name: str, d: _d.dtype) -> Any:
    return _LegacyMeta(
        name, (), {"tensor_dtype": d, "dtype": d, "__module__": "torch", "__doc__": f"Tensors of dtype {d.name}."}
    )


LEGACY: dict[str, Any] = {
    f"{n}Tensor": _make(f"{n}Tensor", d)
    for n, d in {
        "Float": _d.float32,
        "Double": _d.float64,
        "Half": _d.float16,
        "BFloat16": _d.bfloat16,
        "Byte": _d.uint8,
        "Char": _d.int8,
        "Short": _d.int16,
        "Int": _d.int32,
        "Long": _d.int64,
        "Bool": _d.bool_,
    }.items()
}
