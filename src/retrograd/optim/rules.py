"""The functions that update rules are written with, and the symbols that stand for operands in a recording."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..tensor import FUNCTIONS


class Symbol:
    """An operand of a rule being recorded: an array, or a number that may differ at every step.

    Infix and the functions of this file append to the recording. A number's truth (is it other than zero?) is known
    only for hyper-parameters, and a recording is made anew when it changes; all other choices are written with
    ``where``.
    """

    __slots__ = ("array", "boolean", "inputs", "name", "op", "recording", "truth")

    def __init__(
        self,
        recording: Recording,
        op: str,
        inputs: tuple[Any, ...],
        array: bool,
        name: str = "",
        truth: bool | None = None,
    ) -> None:
        self.recording = recording
        self.op = op
        self.inputs = inputs
        self.array = array
        self.name = name
        self.truth = truth
        self.boolean = op in COMPARISONS

    def __bool__(self) -> bool:
        if self.truth is None:
            raise TypeError(
                f"an update rule may branch on a flag and on whether a hyper-parameter is zero, not on the value of "
                f"{self.op}: write where(condition, x, y)"
            )
        return self.truth

    def __add__(self, other: Any) -> Symbol:
        return self.recording.apply("add", self, other)

    def __radd__(self, other: Any) -> Symbol:
        return self.recording.apply("add", other, self)

    def __sub__(self, other: Any) -> Symbol:
        return self.recording.apply("subtract", self, other)

    def __rsub__(self, other: Any) -> Symbol:
        return self.recording.apply("subtract", other, self)

    def __mul__(self, other: Any) -> Symbol:
        return self.recording.apply("multiply", self, other)

    def __rmul__(self, other: Any) -> Symbol:
        return self.recording.apply("multiply", other, self)

    def __truediv__(self, other: Any) -> Symbol:
        return self.recording.apply("divide", self, other)

    def __rtruediv__(self, other: Any) -> Symbol:
        return self.recording.apply("divide", other, self)

    def __pow__(self, other: Any) -> Symbol:
        return self.recording.apply("power", self, other)

    def __rpow__(self, other: Any) -> Symbol:
        return self.recording.apply("power", other, self)

    def __neg__(self) -> Symbol:
        return self.recording.apply("negative", self)

    def __gt__(self, other: Any) -> Symbol:
        return self.recording.apply("greater", self, other)

    def __lt__(self, other: Any) -> Symbol:
        return self.recording.apply("less", self, other)


COMPARISONS = ("greater", "less")


class Recording:
    """The operations of one rule in the order they were applied, equal ones once."""

    def __init__(self) -> None:
        self.symbols: list[Symbol] = []
        self.known: dict[Any, Symbol] = {}

    def input(self, name: str, array: bool, truth: bool | None = None) -> Symbol:
        """Give a symbol for an array or number that the rule is given."""
        return Symbol(self, "input", (), array, name, truth)

    def apply(self, op: str, *inputs: Any) -> Symbol:
        """Append an operation, or find the equal one that is already there."""
        key = (op, *((type(x), x) for x in inputs))
        found = self.known.get(key)
        if found is None:
            array = any(isinstance(x, Symbol) and x.array for x in inputs)
            found = self.known[key] = Symbol(self, op, inputs, array)
            self.symbols.append(found)
        return found


def _unary(x: Any, op: str, method: str, number: Any) -> Any:
    if isinstance(x, Symbol):
        return x.recording.apply(op, x)
    if isinstance(x, (int, float)):
        return number(x)
    return getattr(np, op)(x) if isinstance(x, (np.ndarray, np.generic)) else getattr(x, method)()


def _binary(x: Any, y: Any, op: str, number: Any) -> Any:
    for symbol in (x, y):
        if isinstance(symbol, Symbol):
            return symbol.recording.apply(op, x, y)
    if isinstance(x, (int, float)) and isinstance(y, (int, float)):
        return number(x, y)
    if isinstance(x, (np.ndarray, np.generic)) or isinstance(y, (np.ndarray, np.generic)):
        return getattr(np, op)(x, y)
    tensor, other = (y, x) if isinstance(x, (int, float)) else (x, y)
    return getattr(tensor, op)(tensor.new_tensor(other) if isinstance(other, (int, float)) else other)


def sqrt(x: Any) -> Any:
    """Take the square root of a number, an array or a Tensor."""
    return _unary(x, "sqrt", "sqrt", math.sqrt)


def absolute(x: Any) -> Any:
    """Take the absolute value of a number, an array or a Tensor."""
    return _unary(x, "absolute", "abs", abs)


def sign(x: Any) -> Any:
    """Give -1, 0 or 1 for each element; 0 for what is no number."""
    if isinstance(x, (np.ndarray, np.generic)):
        return signs(x)
    return _unary(x, "sign", "sign", lambda number: (number > 0) - (number < 0))


def signs(x: Any, out: Any = None) -> Any:
    """Give the signs of an array, 0 for NaN: NumPy's are NaN there, torch's and compiled code's are not."""
    found = np.sign(x, out)
    return np.nan_to_num(found, copy=out is None, nan=0.0)


def maximum(x: Any, y: Any) -> Any:
    """Take the larger of two, element by element."""
    return _binary(x, y, "maximum", max)


def minimum(x: Any, y: Any) -> Any:
    """Take the smaller of two, element by element."""
    return _binary(x, y, "minimum", min)


def where(condition: Any, x: Any, y: Any) -> Any:
    """Choose ``x`` where the condition holds and ``y`` elsewhere; the condition may be one number for all elements."""
    for symbol in (condition, x, y):
        if isinstance(symbol, Symbol):
            return symbol.recording.apply("where", condition, x, y)
    if isinstance(condition, (bool, np.bool_)):
        return x if condition else y
    if isinstance(condition, np.ndarray):
        return np.where(condition, x, y)
    return FUNCTIONS["where"](condition, x, y)


def zeros_like(x: Any) -> Any:
    """Give zeros in the shape and dtype of an array or Tensor."""
    return np.zeros_like(x) if isinstance(x, np.ndarray) else x.new_zeros(x.shape)


def full_like(x: Any, value: float) -> Any:
    """Give one value in the shape and dtype of an array or Tensor."""
    if isinstance(x, np.ndarray):
        return np.full_like(x, complex(value, value) if x.dtype.kind == "c" else value)
    return x.new_full(x.shape, value)
