"""A tensor as Python numbers, sequences and text, and as NumPy and DLPack arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import MODE, BaseTensor, MetaArray, no_data, show_type, wrap
from ..core.warned import warn

VALUES = frozenset(("item()", "bool", "tolist()", "numpy()", "__dlpack__()"))  # questions that a shape does not answer


def asked(x: Any, what: str) -> None:
    """Tell the running trace that a value is about to leave the library: what follows may depend on it."""
    if not x._composite and x._a.__class__ is MetaArray and what in VALUES:
        raise _absent(what)
    if MODE.trace is not None:
        MODE.trace.asked(x, what)


def _absent(what: str) -> Exception:
    """Make the error for a value that a meta tensor is asked for."""
    if what in ("item()", "bool"):
        return RuntimeError("Tensor.item() cannot be called on meta tensors")
    if what == "numpy()":
        return TypeError(
            "can't convert meta device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
        )
    return no_data()


class Interop(BaseTensor):
    """The methods by which Python, NumPy and other libraries read a tensor."""

    __slots__ = ()
    _is_parameter = False

    def item(self) -> Any:
        """Give the one element as a Python number; RuntimeError if there is not exactly one."""
        a = self._a
        if a.size != 1:
            raise RuntimeError(
                f"a Tensor with {a.size} elements cannot be converted to Scalar: item() of {show_type(self)} needs exactly one; use tolist() or an index"
            )
        asked(self, "item()")
        value = a.item()
        return float(value) if a.dtype.kind == "V" else value

    def tolist(self) -> Any:
        """Give the elements as nested lists of Python numbers."""
        asked(self, "tolist()")
        a = self._a
        return a.astype(np.float32).tolist() if a.dtype.kind == "V" else a.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Give the values as a NumPy array that shares memory."""
        asked(self, "numpy()")
        if self.requires_grad and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self._a.dtype.kind == "V" or (self._a.dtype.itemsize == 1 and self._a.dtype.kind == "f"):
            name = "BFloat16" if self._a.dtype.itemsize == 2 else str(self._a.dtype).capitalize()
            raise TypeError(f"Got unsupported ScalarType {name}: NumPy has no such dtype; use .float().numpy()")
        return self._a

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        asked(self, "numpy()")
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        a = self._a
        if dtype is not None and np.dtype(dtype) != a.dtype:
            if copy is False:
                raise ValueError("a copy is needed to change the dtype, and copy=False was asked for")
            return a.astype(dtype)
        return a.copy() if copy else a

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs and len(inputs) == 2 and not isinstance(inputs[0], BaseTensor):
            name = _REFLECTED.get(ufunc.__name__)
            if name is not None:
                return getattr(self, name)(inputs[0])
        out = kwargs.get("out")
        if out is not None:
            kwargs["out"] = tuple(o.numpy() if isinstance(o, BaseTensor) else o for o in out)
        r = getattr(ufunc, method)(*[x.numpy() if isinstance(x, BaseTensor) else x for x in inputs], **kwargs)
        return (
            wrap(r)
            if isinstance(r, np.ndarray) and r.dtype.kind != "O"
            else wrap(np.asarray(r))
            if isinstance(r, np.generic)
            else r
        )

    def __dlpack__(self, **kwargs: Any) -> Any:
        asked(self, "__dlpack__()")
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self._a.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self._a.__dlpack_device__()

    def __bool__(self) -> bool:
        a = self._a
        if a.size != 1:
            raise RuntimeError(
                f"Boolean value of Tensor with {'no values' if not a.size else 'more than one value'} is ambiguous"
                + (f": use .any() or .all() on {show_type(self)}" if a.size else "")
            )
        asked(self, "bool")
        return bool(a.item())

    def __int__(self) -> int:
        return int(self._one())

    def __float__(self) -> float:
        _warn_of_history(self)
        return float(self._one())

    def __complex__(self) -> complex:
        _warn_of_history(self)
        return complex(self._one())

    def __index__(self) -> int:
        if self._a.dtype.kind not in "iub" or self._a.size != 1:
            raise TypeError(
                f"only integer tensors of a single element can be converted to an index, not {show_type(self)}"
            )
        asked(self, "item()")
        return int(self._a.item())

    def _one(self) -> Any:
        if self._a.size != 1:
            raise ValueError(
                f"only one element tensors can be converted to Python scalars: this is {show_type(self)}; .tolist() gives all"
            )
        return self.item()

    def __len__(self) -> int:
        if not self._a.ndim:
            raise TypeError("len() of a 0-d tensor")
        return len(self._a)

    def __delitem__(self, index: Any) -> None:
        raise TypeError("Tensor does not support deleting items")

    def __reversed__(self) -> Any:
        return self.flip(0) if self._a.ndim else self

    def __iter__(self) -> Iterator[Any]:
        if not self._a.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self, value: Any) -> bool:
        if not isinstance(value, (BaseTensor, int, float, complex)) and not hasattr(value, "__array__"):
            raise RuntimeError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(value)}."
            )
        return bool((self == value).any())

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        from .printing import tensor_repr

        name = self.grad_fn.name() if self.grad_fn is not None else None
        cls = type(self)
        return tensor_repr(
            self._a,
            requires_grad=self.requires_grad,
            grad_fn=name,
            is_parameter=self._is_parameter,
            dtype=self.dtype,
            device=self.device,
            name="tensor" if cls.__module__.startswith("retrograd.") else cls.__name__,
            tangent=self._tangent_text() if MODE.dual is not None else None,
        )

    def _tangent_text(self) -> str | None:
        from .forward_ad import unpack_dual

        tangent = unpack_dual(self).tangent
        return None if tangent is None else f"{tangent}"

    def __format__(self, spec: str) -> str:
        from .printing import tensor_format

        if self._a.ndim == 0 and self._a.__class__ is not MetaArray:
            return tensor_format(self._a, spec)
        return object.__format__(self, spec)

    def __dir__(self) -> list[str]:
        return [n for n in object.__dir__(self) if not n.startswith("_a")]


_told: set[str] = set()


def _warn_of_history(t: Any) -> None:
    """Say, once a process as torch does, that a number has no gradient although its tensor asks for one."""
    if t.requires_grad and not _told:
        _told.add("scalar")
        warn(
            "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
            "Consider using tensor.detach() first.",
            UserWarning,
        )


_REFLECTED = {
    "add": "__radd__",
    "subtract": "__rsub__",
    "multiply": "__rmul__",
    "divide": "__rtruediv__",
    "true_divide": "__rtruediv__",
    "power": "__rpow__",
    "matmul": "__rmatmul__",
    "floor_divide": "__rfloordiv__",
    "remainder": "__rmod__",
    "greater": "__lt__",
    "less": "__gt__",
    "greater_equal": "__le__",
    "less_equal": "__ge__",
    "equal": "__eq__",
    "not_equal": "__ne__",
}
