"""Python's operators on Tensors."""

from __future__ import annotations

from typing import Any

from ..core import BaseTensor, apply
from ..core.rows import SparseOperand
from ..ops import elementwise as e
from .dispatch import METHODS, in_place, scalar
from .functions import complex_parts, products, shaping
from .functions import pointwise as p

_NUMBERS = (float, int)


def _fast(op: Any, slow: Any, kinds: str) -> Any:
    """An operator that goes straight to the op when nothing has to be promoted."""

    def method(self: Any, other: Any) -> Any:
        d = self._a.dtype
        if isinstance(other, BaseTensor):
            try:
                if d is other._a.dtype and d.kind in kinds:
                    return apply(op, self, other)
            except SparseOperand:
                return NotImplemented  # the other operand's own operator is for the two
        elif other.__class__ in _NUMBERS and d.kind == "f":
            return apply(op, self, other)
        try:
            return slow(self, other)
        except TypeError:
            if isinstance(other, BaseTensor):
                raise
            return NotImplemented

    return method


def _fast_reversed(op: Any, slow: Any) -> Any:
    def method(self: Any, other: Any) -> Any:
        if other.__class__ in _NUMBERS and self._a.dtype.kind == "f":
            return apply(op, other, self)
        try:
            return slow(other, self)
        except TypeError:
            return NotImplemented

    return method


def _slow(fn: Any, default: Any = NotImplemented) -> Any:
    """An operator that promotes; ``default`` is its answer to operands that are no numbers."""

    def method(self: Any, other: Any) -> Any:
        try:
            return fn(self, other)
        except TypeError:
            if isinstance(other, BaseTensor):
                raise
            return default

    return method


def _slow_reversed(fn: Any) -> Any:
    def method(self: Any, other: Any) -> Any:
        try:
            return fn(other, self)
        except TypeError:
            return NotImplemented

    return method


def _power(self: Any, other: Any) -> Any:
    if isinstance(other, BaseTensor) or scalar(other) is not None:
        return p.pow(self, other)
    return NotImplemented


def _product(self: Any, other: Any) -> Any:
    return products.matmul(self, other) if isinstance(other, BaseTensor) else NotImplemented


def _inverted(self: Any) -> Any:
    if self._a.dtype.kind not in "iub":
        raise TypeError(
            f"~ (operator.invert) is only implemented on integer and Boolean-type tensors, not {self.dtype}: bitwise_not"
        )
    return p.bitwise_not(self)


ARITHMETIC = {
    "add": (e.add, p.add, "fcViu", "add"),
    "sub": (e.sub, p.sub, "fcViu", "sub"),
    "mul": (e.mul, p.mul, "fcViu", "mul"),
    "truediv": (e.div, p.div, "fcV", "div"),
    "floordiv": (e.floor_divide, p.floor_divide, "fV", "floor_divide"),
    "mod": (e.remainder, p.remainder, "fV", "remainder"),
    "pow": (e.power, p.pow, "fcV", "pow"),
}
BITWISE = {
    "and": p.bitwise_and,
    "or": p.bitwise_or,
    "xor": p.bitwise_xor,
    "lshift": p.bitwise_left_shift,
    "rshift": p.bitwise_right_shift,
}


def attach(cls: Any) -> None:
    """Give the Tensor class its operators and every registered method."""
    for name, fn in METHODS.items():
        if name not in cls.__dict__:
            setattr(cls, name, fn)
    for name, (op, slow, kinds, shown) in ARITHMETIC.items():
        setattr(cls, f"__{name}__", _fast(op, slow, kinds))
        setattr(cls, f"__r{name}__", _fast_reversed(op, slow))
        setattr(cls, f"__i{name}__", in_place(slow, shown))
    for name, fn in BITWISE.items():
        setattr(cls, f"__{name}__", _slow(fn))
        setattr(cls, f"__r{name}__", _slow_reversed(fn))
        setattr(cls, f"__i{name}__", in_place(fn, fn.__name__))
    for name, fn in {"lt": p.lt, "le": p.le, "gt": p.gt, "ge": p.ge}.items():
        setattr(cls, f"__{name}__", _slow(fn))
    cls.__eq__ = _slow(p.eq, False)
    cls.__ne__ = _slow(p.ne, True)
    cls.__pow__ = _power
    cls.__neg__ = p.neg
    cls.__pos__ = p.positive
    cls.__abs__ = p.abs
    cls.__invert__ = _inverted
    cls.__matmul__ = _product
    cls.__rmatmul__ = _slow_reversed(products.matmul)
    cls.T = property(shaping.reversed_dims, doc="The tensor with its dimensions in reverse order.")
    cls.H = property(complex_parts.matrix_adjoint, doc="The conjugate transpose of a matrix.")
    cls.mT = property(shaping.matrix_transpose, doc="The tensor with its last two dimensions swapped.")
    cls.mH = property(complex_parts.batch_adjoint, doc="The conjugate of ``mT``.")
    cls.real = property(complex_parts.real, complex_parts.set_real, doc="The real part: a view.")
    cls.imag = property(complex_parts.imag, complex_parts.set_imag, doc="The imaginary part: a view.")
