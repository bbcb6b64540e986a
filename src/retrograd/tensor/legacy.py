"""The old tensor types, `FloatTensor` and its kin: constructors with a dtype, and classes for isinstance."""

from __future__ import annotations

from typing import Any

from ..core import BaseTensor
from ..core import dtypes as _d


class _LegacyMeta(type):
    tensor_dtype: Any

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, BaseTensor) and instance._a.dtype == cls.tensor_dtype.numpy

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        from .creation import legacy_tensor

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
