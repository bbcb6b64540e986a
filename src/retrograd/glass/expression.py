"""Expressions such as ``1 / (1 + exp(-z))``: read by a parser of their own, never run as code, and computed by the library's operations."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

LENGTH = 10_000  # characters of an expression
DEPTH = 60  # brackets, signs and powers within each other
ELEMENTS = 4096  # numbers of a list
NAME = 60  # letters of a name
FUNCTIONS: dict[str, tuple[str, int]] = {
    "abs": ("abs", 1),
    "acos": ("acos", 1),
    "asin": ("asin", 1),
    "atan": ("atan", 1),
    "atan2": ("atan2", 2),
    "cos": ("cos", 1),
    "cosh": ("cosh", 1),
    "erf": ("erf", 1),
    "exp": ("exp", 1),
    "expm1": ("expm1", 1),
    "ln": ("log", 1),
    "log": ("log", 1),
    "log1p": ("log1p", 1),
    "max": ("maximum", 2),
    "mean": ("mean", 1),
    "min": ("minimum", 2),
    "reciprocal": ("reciprocal", 1),
    "relu": ("relu", 1),
    "rsqrt": ("rsqrt", 1),
    "sigmoid": ("sigmoid", 1),
    "sin": ("sin", 1),
    "sinh": ("sinh", 1),
    "softplus": ("softplus", 1),
    "sqrt": ("sqrt", 1),
    "square": ("square", 1),
    "sum": ("sum", 1),
    "tan": ("tan", 1),
    "tanh": ("tanh", 1),
}
INFIX = ("add", "sub", "mul", "div", "pow", "neg")
CONSTANTS = {"pi": math.pi, "π": math.pi, "e": math.e}
TYPESET = str.maketrans("·×∙⋅−–÷", "****--/")  # signs as books and word processors set them
_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([^\W\d]\w*)|(\*\*|[-+*/@^(),\[\]]))")


class ExpressionError(ValueError):
    """An expression that is not one, or is too large; the message says where."""


@dataclass(frozen=True)
class Number:
    """A number as written."""

    value: float


@dataclass(frozen=True)
class Name:
    """A name that a value is given for."""

    text: str


@dataclass(frozen=True)
class Call:
    """An operation of the library on operands."""

    op: str
    operands: tuple[Any, ...]


Expression = Number | Name | Call


class Parser:
    """Reads one expression by recursive descent, counting how deep it is."""

    def __init__(self, text: str) -> None:
        if len(text) > LENGTH:
            raise ExpressionError(f"the expression has {len(text)} characters; at most {LENGTH} are read")
        self.text = text.translate(TYPESET)
        self.tokens = list(self._split())
        self.at = 0
        self.depth = 0

    def _split(self) -> Iterator[tuple[str, str, int]]:
        k = 0
        while k < len(self.text.rstrip()):
            found = _TOKEN.match(self.text, k)
            if found is None:
                rest = self.text[k:].lstrip()
                k = len(self.text) - len(rest)
                why = "attributes are not part of expressions" if rest[0] == "." else "it is not part of expressions"
                raise ExpressionError(f"{rest[0]!r} at character {k + 1}: {why}")
            kind = ("number", "name", "sign")[found.lastindex - 1 if found.lastindex else 2]
            if kind == "name" and not found[2].isidentifier():  # raised and lowered digits count as letters of a word
                sign = next(c for c in found[2] if not c.isidentifier() and not c.isdecimal())
                raise ExpressionError(
                    f"{sign!r} at character {found.start(2) + found[2].index(sign) + 1}: powers are written x**2 or x^2"
                )
            yield kind, found[found.lastindex or 0], found.start(found.lastindex or 0)
            k = found.end()
        yield "end", "", len(self.text)

    def take(self, *signs: str) -> str:
        """Take the next token if it is one of these signs."""
        kind, text, _ = self.tokens[self.at]
        if kind == "sign" and text in signs:
            self.at += 1
            return text
        return ""

    def expect(self, sign: str) -> None:
        """Take a sign that has to come."""
        if not self.take(sign):
            raise self.wrong(f"{sign!r} is missing")

    def wrong(self, what: str) -> ExpressionError:
        """Say what is wrong at the present token."""
        kind, text, k = self.tokens[self.at]
        return ExpressionError(f"{what} at {'the end' if kind == 'end' else f'{text[:20]!r}, character {k + 1}'}")

    def deeper(self) -> None:
        """Count one level more."""
        self.depth += 1
        if self.depth > DEPTH:
            raise self.wrong(f"brackets, signs and powers are nested more than {DEPTH} deep")

    def whole(self) -> Expression:
        """Read all of it."""
        found = self.sum()
        if self.tokens[self.at][0] != "end":
            raise self.wrong("an operator is missing")
        return found

    def sum(self) -> Expression:
        """Read terms with + and - between them."""
        found = self.product()
        while sign := self.take("+", "-"):
            found = Call("add" if sign == "+" else "sub", (found, self.product()))
        return found

    def product(self) -> Expression:
        """Read factors with *, / and @ between them."""
        found = self.signed()
        while sign := self.take("*", "/", "@"):
            found = Call({"*": "mul", "/": "div", "@": "matmul"}[sign], (found, self.signed()))
        return found

    def signed(self) -> Expression:
        """Read a factor with its signs."""
        sign = self.take("-", "+")
        if not sign:
            return self.power()
        self.deeper()
        found = self.signed()
        self.depth -= 1
        if sign == "+":
            return found
        return Number(-found.value) if isinstance(found, Number) else Call("neg", (found,))

    def power(self) -> Expression:
        """Read a base and its exponent."""
        found = self.atom()
        if not self.take("**", "^"):
            return found
        self.deeper()
        exponent = self.signed()
        self.depth -= 1
        return Call("pow", (found, exponent))

    def atom(self) -> Expression:
        """Read a number, a name, a function of operands, or an expression in brackets."""
        kind, text, _ = self.tokens[self.at]
        if kind == "number":
            self.at += 1
            return Number(self.number(text))
        if kind == "name":
            if len(text) > NAME:
                raise self.wrong(f"a name of {len(text)} letters (at most {NAME})")
            self.at += 1
            if self.take("("):
                return self.call(text)
            return Name(text)
        if not self.take("("):
            raise self.wrong("a value is missing")
        self.deeper()
        found = self.sum()
        self.depth -= 1
        self.expect(")")
        return found

    def number(self, text: str) -> float:
        """Read a number that is finite."""
        value = float(text)
        if not math.isfinite(value):
            raise ExpressionError(f"{text[:20]}{'...' if len(text) > 20 else ''} is too large for a number")
        return int(value) if value.is_integer() and abs(value) < 2**53 and text.isdigit() else value

    def call(self, function: str) -> Expression:
        """Read the operands of a function."""
        known = FUNCTIONS.get(function)
        if known is None:
            near = difflib.get_close_matches(function, FUNCTIONS, 1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise ExpressionError(
                f"{function!r} is not a function of expressions; {meant}there are {', '.join(FUNCTIONS)}"
            )
        self.deeper()
        operands = [self.sum()]
        while self.take(","):
            operands.append(self.sum())
        self.depth -= 1
        self.expect(")")
        op, count = known
        if len(operands) != count:
            raise ExpressionError(f"{function} takes {count} value{'s' if count > 1 else ''}, not {len(operands)}")
        return Call(op, tuple(operands))

    def value(self) -> Any:
        """Read a number or nested lists of numbers."""
        sign = -1 if self.take("-") else 1
        kind, text, _ = self.tokens[self.at]
        if kind == "number":
            self.at += 1
            return sign * self.number(text)
        if sign < 0 or not self.take("["):
            raise self.wrong("a number or a list of numbers is missing")
        self.deeper()
        found: list[Any] = []
        while not self.take("]"):
            if found:
                self.expect(",")
            found.append(self.value())
            if len(found) > ELEMENTS:
                raise self.wrong(f"a list of more than {ELEMENTS} numbers")
        self.depth -= 1
        return found


def parse(text: str) -> Expression:
    """Read an expression of numbers, names, ``+ - * / @ **`` (or ``^``), brackets and functions.

    Parameters
    ----------
    text : str

    Returns
    -------
    Number, Name or Call

    Raises
    ------
    ExpressionError
        If it is not an expression, is too long, or is nested too deep.

    Examples
    --------
    >>> parse("w * x + 1")
    Call(op='add', operands=(Call(op='mul', operands=(Name(text='w'), Name(text='x'))), Number(value=1)))
    """
    return Parser(text).whole()


def parse_value(text: str) -> Any:
    """Read a number, or nested lists of numbers such as ``[1, -2, 3, -1]``; gives an array of float64.

    Examples
    --------
    >>> parse_value("[1, -2]")
    array([ 1., -2.])
    """
    parser = Parser(text)
    found = parser.value()
    if parser.tokens[parser.at][0] != "end":
        raise parser.wrong("nothing may follow a value")
    try:
        return np.asarray(found, np.float64)
    except ValueError:
        raise ExpressionError(f"the lists in {text[:60]!r} have different lengths") from None


def order_of(expression: Expression) -> list[Expression]:
    """Give an expression's parts, operands before what is made of them, without recursion."""
    found: list[Expression] = []
    stack: list[tuple[Expression, bool]] = [(expression, False)]
    while stack:
        part, ready = stack.pop()
        if isinstance(part, Call) and not ready:
            stack.append((part, True))
            stack.extend((o, False) for o in reversed(part.operands))
        else:
            found.append(part)
    return found


def names_in(expression: Expression) -> list[str]:
    """Give the names of an expression in the order they are met."""
    return list(dict.fromkeys(p.text for p in order_of(expression) if isinstance(p, Name)))


def compute(expression: Expression, values: dict[str, Any]) -> Any:
    """Compute an expression from Tensors by name, every operation through the library's door.

    Parameters
    ----------
    expression : Number, Name or Call
    values : dict of str to Tensor

    Returns
    -------
    Tensor
    """
    from ..core import BaseTensor, wrap
    from ..tensor.dispatch import FUNCTIONS as TENSOR

    stack: list[Any] = []
    for part in order_of(expression):
        if isinstance(part, Number):
            stack.append(part.value)
        elif isinstance(part, Name):
            stack.append(values[part.text] if part.text in values else CONSTANTS[part.text])
        else:
            operands = [stack.pop() for _ in part.operands][::-1]
            infix = part.op in INFIX and any(isinstance(o, BaseTensor) for o in operands)
            if not infix:  # the library's arithmetic, which does not raise; its functions take Tensors
                dtype = next((o._a.dtype for o in operands if isinstance(o, BaseTensor)), np.dtype(np.float64))
                operands = [o if isinstance(o, BaseTensor) else wrap(np.asarray(o, dtype)) for o in operands]
            stack.append(TENSOR[part.op](*operands))
    result = stack.pop()
    return result if isinstance(result, BaseTensor) else wrap(np.asarray(result, np.float64))


__all__ = [
    "Call",
    "Expression",
    "ExpressionError",
    "Name",
    "Number",
    "compute",
    "names_in",
    "order_of",
    "parse",
    "parse_value",
]
