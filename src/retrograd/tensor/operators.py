"""Python's operators on Tensors."""

from __future__ import annotations

from typing import Any

from ..core import BaseTensor, apply, check_writable
from ..ops import elementwise as e
from .dispatch import METHODS, finish_in_place
from .functions import pointwise as p
from .functions import products

_NUMBERS = (float, int)


def _fast(op: Any, slow: Any, floating: bool = False) -> Any:
    """An operator that goes straight to the op when nothing has to be promoted."""
    kinds = "fcV" if floating else "fcViu"

    def method(self: Any, other: Any) -> Any:
        d = self._a.dtype
        if isinstance(other, BaseTensor):
            if d is other._a.dtype and d.kind in kinds:
                return apply(op, self, other)
        elif other.__class__ in _NUMBERS and d.kind == "f":
            return apply(op, self, other)
        try:
            return slow(self, other)
        except TypeError:
            if isinstance(other, (BaseTensor, str, list, tuple, dict, type(None))):
                if isinstance(other, (str, list, tuple, dict, type(None))):
                    return NotImplemented
                raise
            return NotImplemented

    return method


def _fast_reversed(op: Any, slow: Any, floating: bool = False) -> Any:
    def method(self: Any, other: Any) -> Any:
        if other.__class__ in _NUMBERS and self._a.dtype.kind == "f":
            return apply(op, other, self)
        try:
            return slow(other, self)
        except TypeError:
            return NotImplemented

    return method


def _in_place(name: str, fn: Any) -> Any:
    def method(self: Any, other: Any) -> Any:
        check_writable(self, name)
        return finish_in_place(self, fn(self, other), name)

    return method


def _compare(op: Any, slow: Any, default: Any = NotImplemented) -> Any:
    def method(self: Any, other: Any) -> Any:
        try:
            return slow(self, other)
        except TypeError:
            return default

    return method


def _rsub(x: Any, y: Any) -> Any:
    if p._is_bool(y):
        return p.sub(x, y)
    return p.binary(e.sub, x, y, "rsub")


def attach(cls: Any) -> None:
    """Give the Tensor class its operators and every registered method."""
    for name, fn in METHODS.items():
        if name not in cls.__dict__:
            setattr(cls, name, fn)
    pairs = {
        "add": (e.add, p.add, False),
        "sub": (e.sub, p.sub, False),
        "mul": (e.mul, p.mul, False),
        "truediv": (e.div, p.div, True),
        "pow": (e.power, p.pow, True),
        "floordiv": (e.floor_divide, p.floor_divide, True),
        "mod": (e.remainder, p.remainder, True),
    }
    for name, (op, slow, floating) in pairs.items():
        setattr(cls, f"__{name}__", _fast(op, slow, floating))
        setattr(cls, f"__r{name}__", _fast_reversed(op, _rsub if name == "sub" else slow, floating))
        setattr(cls, f"__i{name}__", _in_place(f"{METHODS_NAME.get(name, name)}_", slow))
    cls.__pow__ = lambda self, other: p.pow(self, other) if isinstance(other, BaseTensor) or p.scalar(other) is not None else NotImplemented
    cls.__neg__ = lambda self: p.neg(self)
    cls.__pos__ = lambda self: p.positive(self)
    cls.__abs__ = lambda self: p.abs(self)
    cls.__invert__ = lambda self: p.logical_not(self) if self._a.dtype.kind == "b" else p.bitwise_not(self)
    for name, fn in {"and": p.bitwise_and, "or": p.bitwise_or, "xor": p.bitwise_xor, "lshift": p.bitwise_left_shift, "rshift": p.bitwise_right_shift}.items():
        setattr(cls, f"__{name}__", _compare(None, fn))
        setattr(cls, f"__r{name}__", (lambda f: lambda self, other: f(other, self))(fn))
        setattr(cls, f"__i{name}__", _in_place(f"__i{name}__", fn))
    cls.__matmul__ = lambda self, other: products.matmul(self, other) if isinstance(other, BaseTensor) else NotImplemented
    cls.__rmatmul__ = lambda self, other: products.matmul(other, self) if isinstance(other, BaseTensor) else NotImplemented
    cls.__eq__ = _compare(e.eq, p.eq, False)
    cls.__ne__ = _compare(e.ne, p.ne, True)
    for name, fn in {"lt": p.lt, "le": p.le, "gt": p.gt, "ge": p.ge}.items():
        setattr(cls, f"__{name}__", _compare(None, fn))


METHODS_NAME = {"truediv": "div", "floordiv": "floor_divide", "mod": "remainder"}
