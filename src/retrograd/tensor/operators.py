"""Python's operators on Tensors."""

from __future__ import annotations

from typing import Any

from ..core import BaseTensor, apply, with_history
from ..core.node import Label
from ..core.rows import SparseOperand
from ..ops import elementwise as e
from ..ops.contract import matmul
from ..ops.sums import is_narrow
from .dispatch import METHODS, in_place, scalar
from .functions import complex_parts, products, shaping
from .functions import pointwise as p
from .protocol import met

_NUMBERS = (float, int)
# how the number before an operator comes to a tensor of a half precision: as the second operand, which is not rounded
TURNED: dict[Any, Any] = {e.mul: p.mul, e.div: lambda x, number: p.mul(p.reciprocal(x), number)}
# what torch makes of a number before an operator: another function, or the same with the tensor first
LABELS = {
    e.sub: Label("RsubBackward1"),
    e.add: Label("AddBackward0"),
    e.mul: Label("MulBackward0"),
    e.div: Label("MulBackward0"),
}
LABELS[e.sub].operands, LABELS[e.add].operands = (1,), (1, 0)
LABELS[e.mul].operands, LABELS[e.div].operands = (1, 0), (1, 0)  # torch multiplies the reciprocal


def _fast(op: Any, slow: Any, kinds: str) -> Any:
    """An operator that goes straight to the op when nothing has to be promoted."""

    def method(self: Any, other: Any) -> Any:
        quick = op.quick_door
        if quick is not None:
            t = quick(self, other)
            if t is not None:
                return t if t._node is None else with_history(op, (self, other), t)
        d = self._a.dtype
        if isinstance(other, BaseTensor):
            try:
                if d is other._a.dtype and d.kind in kinds:
                    return apply(op, self, other)
            except SparseOperand:
                return NotImplemented  # the other operand's own operator is for the two
        elif other.__class__ in _NUMBERS and d.kind == "f" and d.itemsize > 2:
            return apply(op, self, other)
        try:
            return slow(self, other)
        except TypeError:
            if isinstance(other, BaseTensor):
                raise
            return slow(self, other) if met((other,)) else NotImplemented

    return method


def _fast_reversed(op: Any, slow: Any) -> Any:
    def method(self: Any, other: Any) -> Any:
        number = other.__class__ in _NUMBERS
        if number and op is e.div and other != 1 and self._a.dtype.kind in "fiu":
            return p.mul(p.reciprocal(self), other)  # as torch computes it; of one, the quotient has the same bits
        if number and self._a.dtype.kind == "f" and self._a.dtype.itemsize > 2:
            r = apply(op, other, self)
            label = LABELS.get(op)
            if label is not None and r._node is not None:
                r._node.label = label
            return r
        if number and op in TURNED and is_narrow(self._a.dtype):
            return TURNED[op](self, other)
        try:
            return slow(other, self)
        except TypeError:
            return slow(other, self) if met((other,)) else NotImplemented

    return method


def _slow(fn: Any, default: Any = NotImplemented) -> Any:
    """An operator that promotes; ``default`` is its answer to operands that are no numbers."""

    def method(self: Any, other: Any) -> Any:
        try:
            return fn(self, other)
        except TypeError:
            if isinstance(other, BaseTensor):
                raise
            return fn(self, other) if met((other,)) else default

    return method


def _slow_reversed(fn: Any) -> Any:
    def method(self: Any, other: Any) -> Any:
        try:
            return fn(other, self)
        except TypeError:
            return fn(other, self) if met((other,)) else NotImplemented

    return method


def _power(self: Any, other: Any) -> Any:
    if isinstance(other, BaseTensor) or scalar(other) is not None:
        return p.pow(self, other)
    return p.pow(self, other) if met((other,)) else NotImplemented


def _product(self: Any, other: Any) -> Any:
    quick = matmul.quick_door
    if quick is not None:
        t = quick(self, other)
        if t is not None:
            return t if t._node is None else with_history(matmul, (self, other), t)
    return products.matmul(self, other) if isinstance(other, BaseTensor) or met((other,)) else NotImplemented


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
