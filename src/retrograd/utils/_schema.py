"""Schemas of operators, such as ``(Tensor x, int n=1) -> Tensor``: read from text, or from a function's annotations."""

from __future__ import annotations

import ast
import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Argument", "Schema", "infer_schema"]

_REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Argument:
    """One argument: its type, its name, whether it is written, by name only, and what it is if it is not given."""

    type: str
    name: str
    writes: bool
    keyword: bool
    default: Any = _REQUIRED


class Schema:
    """The arguments of an operator and what comes out.

    Examples
    --------
    >>> schema = Schema("(Tensor x, *, int n=1) -> Tensor")
    >>> schema.bind("my::op", (5,), {})
    ((5,), {'n': 1})
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        inside, arrow, self.returns = (part.strip() for part in self.text.rpartition("->"))
        if not arrow or not inside.startswith("(") or not inside.endswith(")"):
            raise ValueError(f"a schema is '(Tensor x, ...) -> Tensor', not {text!r}")
        self.arguments = tuple(_arguments(inside[1:-1]))
        self.writes = any(one.writes for one in self.arguments)
        self._positional = [one for one in self.arguments if not one.keyword]
        self._keywords = [one for one in self.arguments if one.keyword]

    def __str__(self) -> str:
        return self.text

    def bind(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Give the positional arguments and those by name only, the ones that were left out too."""
        if len(args) > len(self._positional):
            raise RuntimeError(
                f"{name}() expected at most {len(self._positional)} argument(s) but received {len(args)} argument(s). "
                f"Declaration: {name}{self.text}"
            )
        kwargs = dict(kwargs)

        def value(one: Argument) -> Any:
            found = kwargs.pop(one.name, one.default)
            if found is _REQUIRED:
                raise RuntimeError(
                    f"{name}() is missing value for argument '{one.name}'. Declaration: {name}{self.text}"
                )
            return found

        inputs = (*args, *(value(one) for one in self._positional[len(args) :]))
        keywords = {one.name: value(one) for one in self._keywords}
        if kwargs:
            raise RuntimeError(f"Unknown keyword argument '{next(iter(kwargs))}' for operator '{name}'{self.text}")
        return inputs, keywords

    def written(self, inputs: Sequence[Any], keywords: dict[str, Any]) -> Iterator[Any]:
        """Give the tensors that a call writes into."""
        for one, value in zip(self._positional + self._keywords, (*inputs, *keywords.values()), strict=True):
            if one.writes and value is not None:
                yield from value if isinstance(value, (list, tuple)) else [value]


def _parts(text: str) -> Iterator[str]:
    """Split at the commas outside of brackets and quotation marks."""
    depth, quoted, part = 0, "", ""
    for letter in text:
        if quoted:
            quoted = "" if letter == quoted else quoted
        elif letter in "'\"":
            quoted = letter
        elif letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        if letter == "," and not depth and not quoted:
            yield part.strip()
            part = ""
        else:
            part += letter
    if part.strip():
        yield part.strip()


def _arguments(text: str) -> Iterator[Argument]:
    keyword = False
    for part in _parts(text):
        if part == "*":
            keyword = True
            continue
        declared, equals, default = part.partition("=")
        kind, _, name = declared.strip().rpartition(" ")
        if not kind:
            raise ValueError(f"an argument of a schema is a type and a name, not {part!r}")
        yield Argument(kind.strip(), name, "!" in kind, keyword, _value(default.strip()) if equals else _REQUIRED)


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def infer_schema(
    prototype_function: Callable[..., Any], /, *, mutates_args: str | Iterable[str] = (), op_name: str | None = None
) -> str:
    """Give the schema that a function's annotations say; ValueError where they say none.

    Examples
    --------
    >>> from retrograd import Tensor
    >>> def scaled(x: Tensor, by: float = 2.0) -> Tensor: ...
    >>> infer_schema(scaled, mutates_args=())
    '(Tensor x, float by=2.0) -> Tensor'
    """
    hints = typing.get_type_hints(prototype_function)
    parts, starred = [], False
    for index, (name, given) in enumerate(inspect.signature(prototype_function).parameters.items()):
        if given.kind in (given.VAR_POSITIONAL, given.VAR_KEYWORD):
            raise ValueError(f"infer_schema(func): *args and **kwargs have no schema; got {name}")
        if name not in hints:
            raise ValueError(f"infer_schema(func): Parameter {name} must have a type annotation.")
        kind = _kind(hints[name], name)
        if kind.startswith("Tensor") and (mutates_args == "unknown" or name in mutates_args):
            kind = f"Tensor(a{index}!){kind.removeprefix('Tensor')}"
        if given.kind == given.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        default = given.default
        shown = f'"{default}"' if isinstance(default, str) else str(default)
        parts.append(f"{kind} {name}" + ("" if default is _REQUIRED else f"={shown}"))
    if "return" not in hints:
        raise ValueError("infer_schema(func): No return type annotation was provided. Please add one.")
    returned = hints["return"]
    if returned is type(None):
        result = "()"
    elif typing.get_origin(returned) is tuple:
        result = "(" + ", ".join(_kind(one, "return") for one in typing.get_args(returned)) + ")"
    else:
        result = _kind(returned, "return")
    return f"{op_name or ''}({', '.join(parts)}) -> {result}"


def _kind(hint: Any, name: str) -> str:
    """The schema's name of a Python type."""
    from ..core import device, dtype
    from ..tensor import Tensor

    plain = {Tensor: "Tensor", int: "SymInt", float: "float", bool: "bool", str: "str", device: "Device"}
    plain[dtype] = "ScalarType"
    if isinstance(hint, type) and hint in plain:
        return plain[hint]
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        rest = [one for one in inside if one is not type(None)]
        if len(rest) == 1 and len(inside) == 2:
            return f"{_kind(rest[0], name)}?"
        if set(rest) <= {int, float, bool}:
            return "Scalar?" if len(rest) < len(inside) else "Scalar"
    if origin in (list, collections.abc.Sequence) and len(inside) == 1:
        return f"{_kind(inside[0], name)}[]"
    raise ValueError(f"infer_schema(func): Parameter {name} has unsupported type {hint}.")
