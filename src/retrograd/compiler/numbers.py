"""Numbers that change: a Python number that was different at another capture becomes an input of the graph.

While a step is captured, such a number is replaced, where it is kept, by one that remembers how it was computed with. What it
becomes in the graph is an input, worked out anew in Python before each run. Where its value was asked for (compared, rounded,
formatted), where the two captures differ in anything but these numbers, it stays what it was: a guard.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import MODE, Graph, Node
from ..core.types import RememberingNumber
from .codegen.rows import operand_dtype
from .guards import MISSING, Guards
from .passes.rebuild import freeze, rebuild

BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
UNARY = ("neg", "pos", "abs")
ASKED = [
    "lt",
    "le",
    "gt",
    "ge",
    "eq",
    "ne",
    "bool",
    "int",
    "float",
    "index",
    "round",
    "floor",
    "ceil",
    "trunc",
    "hash",
    "str",
    "repr",
    "format",
    "divmod",
    "rdivmod",
    "rshift",
    "rrshift",
    "lshift",
    "rlshift",
    "and",
    "rand",
    "or",
    "ror",
    "xor",
    "rxor",
    "invert",
    "complex",
]
METHODS = ("is_integer", "as_integer_ratio", "hex", "bit_length", "bit_count", "to_bytes")


class Ledger:
    """The numbers of one capture: where they are kept, and whether a value was asked for."""

    def __init__(self) -> None:
        self.places: list[tuple[str, Any, Any, Any]] = []  # kind, holder, key, value
        self.arguments: list[Any] = []  # of the present call: a place too
        self.asked = False

    def read(self) -> list[Any]:
        """Give the numbers as they are now."""
        return [_get(kind, holder, key) for kind, holder, key, _ in self.places]


def _get(kind: str, holder: Any, key: Any) -> Any:
    return holder.cell_contents if kind == "cell" else holder[key]


def _set(kind: str, holder: Any, key: Any, value: Any) -> None:
    if kind == "cell":
        holder.cell_contents = value
    else:
        holder[key] = value


def _plain(value: Any) -> Any:
    """Give a number as one of Python's own, without asking it."""
    return float.__pos__(value) if isinstance(value, float) else int.__pos__(value)


class Either(int):
    """A whole number that may be one that changes, or only as large: two captures tell which."""

    candidates: list[Any]

    def chosen(self, before: list[Any], old: int) -> Any:
        """Give the number that was ``old`` when the others were as ``before``; None if there is none, or two that are not the same."""
        fitting = [c for c in self.candidates if _computed(c, before) == (type(old), old)]
        probes = [[type(b)(b + k * (i + 2)) for i, b in enumerate(before)] for k in (3, 7, 1000)]
        alike = all(_computed(c, p) == _computed(fitting[0], p) for c in fitting[1:] for p in probes)
        return fitting[0] if fitting and alike else None


def _computed(number: Any, values: list[Any]) -> tuple[type, Any]:
    try:
        found = number.compute(*values)
    except (ArithmeticError, ValueError):
        return type(None), None
    return type(found), found


def _make(base: Any) -> type:
    def number(ledger: Ledger, compute: Callable[..., Any], value: Any) -> Any:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            ledger.asked = True
            return value
        made = (Float if isinstance(value, float) else Int)(value)
        made.ledger, made.compute = ledger, compute
        return made

    def binary(name: str, swapped: bool) -> Any:
        op = getattr(operator, name)
        plain = getattr(base, f"__{'r' if swapped else ''}{name}__", None)

        def method(self: Any, other: Any) -> Any:
            if not isinstance(other, (int, float)):
                return NotImplemented if plain is None else plain(self, other)
            mine, theirs = self.compute, getattr(other, "compute", None)
            if base is int and name in ("floordiv", "mod"):  # alike for many numbers, and `1.0 + n` does not ask n
                self.ledger.asked = True
            constant = None if theirs is not None else other
            a, b = _plain(self), _plain(other)
            if theirs is None:
                compute = (lambda *v: op(constant, mine(*v))) if swapped else (lambda *v: op(mine(*v), constant))
            else:
                compute = (lambda *v: op(theirs(*v), mine(*v))) if swapped else (lambda *v: op(mine(*v), theirs(*v)))
            return number(self.ledger, compute, op(b, a) if swapped else op(a, b))

        return method

    def unary(name: str) -> Any:
        op = getattr(operator, name)

        def method(self: Any) -> Any:
            mine = self.compute
            return number(self.ledger, lambda *v: op(mine(*v)), op(_plain(self)))

        return method

    def asked(name: str) -> Any:
        plain = getattr(base, f"__{name}__")

        def method(self: Any, *rest: Any) -> Any:
            self.ledger.asked = True
            return plain(self, *rest)

        return method

    def asked_method(name: str) -> Any:
        plain = getattr(base, name)

        def method(self: Any, *rest: Any) -> Any:
            self.ledger.asked = True
            return plain(self, *rest)

        return method

    def by_numpy(self: Any, ufunc: Any, how: str, *xs: Any, **options: Any) -> Any:
        self.ledger.asked = True
        return getattr(ufunc, how)(*[_plain(x) if isinstance(x, RememberingNumber) else x for x in xs], **options)

    def plain(self: Any) -> Any:
        value = base.__pos__(self)
        recorder = MODE.trace
        if getattr(recorder, "compiling", False):
            if base is int:  # Python keeps small ones once only: it may be this number, where it turns up
                recorder.numbers.setdefault(id(value), (value, []))[1].append(self)
            else:
                recorder.numbers[id(value)] = (value, self)  # a new object: wherever it turns up, it is this number
        else:
            self.ledger.asked = True
        return value

    body: dict[str, Any] = {"plain": plain}
    body |= {f"__{n}__": binary(n, False) for n in BINARY}
    body |= {f"__r{n}__": binary(n, True) for n in BINARY}
    body |= {f"__{n}__": unary(n) for n in UNARY}
    body |= {f"__{n}__": asked(n) for n in ASKED if hasattr(base, f"__{n}__")}
    body |= {n: asked_method(n) for n in METHODS if hasattr(base, n)}
    body["__array_ufunc__"] = by_numpy
    return type(base.__name__.capitalize(), (RememberingNumber, base), body)


Float: Any = _make(float)
Int: Any = _make(int)


class Promotion:
    """Puts remembering numbers where a former capture found other values, for as long as it is open."""

    def __init__(self, former: Any, arguments: list[Any]) -> None:
        self.former = former
        self.before: list[Any] = []  # what the numbers were at the former capture
        self.ledger = Ledger()
        self.ledger.arguments = list(arguments)
        for i, value in former.scalars.items():
            if arguments[i] != value:
                self.ledger.places.append(("item", self.ledger.arguments, i, arguments[i]))
                self.before.append(value)
        if former.ledger is not None:  # what was an input stays one
            for kind, holder, key, value in former.ledger.places:
                self.before.append(value)
                where = self.ledger.arguments if holder is former.ledger.arguments else holder
                self.ledger.places.append((kind, where, key, _get(kind, where, key)))
        for kind, holder, key, value, _ in former.guards.entries:
            if kind not in ("dict", "item", "cell") or type(value) not in (int, float) or type(holder) is tuple:
                continue
            try:
                now = _get(kind, holder, key)
            except (KeyError, IndexError, ValueError):
                continue
            if type(now) is type(value) and now != value:
                self.ledger.places.append((kind, holder, key, now))
                self.before.append(value)

    def __bool__(self) -> bool:
        return bool(self.ledger.places)

    def __enter__(self) -> Promotion:
        for k, (kind, holder, key, value) in enumerate(self.ledger.places):
            made = (Float if type(value) is float else Int)(value)
            made.ledger, made.compute = self.ledger, _pick(k)
            _set(kind, holder, key, made)
        return self

    def __exit__(self, *exc: Any) -> None:
        for kind, holder, key, value in self.ledger.places:
            if isinstance(_get(kind, holder, key), (Float, Int)):
                _set(kind, holder, key, value)

    def succeeds(self, graph: Graph) -> bool:
        """Tell whether the numbers can be inputs: the former graph differs from this one in them alone."""
        return not self.ledger.asked and _alike(self.former.raw, graph, self.before)

    def release(self, guards: Guards) -> None:
        """Let the guards ask for the numbers' types only."""
        places = {(kind, id(holder), key) for kind, holder, key, _ in self.ledger.places}
        guards.entries = [
            ("number", e[1], (e[0], e[2]), type(e[3]), e[4]) if (e[0], id(e[1]), e[2]) in places else e
            for e in guards.entries
        ]


def _pick(k: int) -> Callable[..., Any]:
    return lambda *values: values[k]


def _alike(a: Graph, b: Graph, before: list[Any]) -> bool:
    one, two = a.nodes, b.nodes
    if len(one) != len(two):
        return False
    place: dict[Node, Node] = {}
    for x, y in zip(one, two, strict=True):
        if (
            x.op is not y.op
            or x.shape != y.shape
            or x.dtype != y.dtype
            or tuple(place[i] for i in x.inputs) != y.inputs
        ):
            return False
        try:
            if x.op is not None and freeze(x.attrs) != freeze(y.attrs):
                return False
        except TypeError:
            return False
        old, new = a.constants.get(x, MISSING), b.constants.get(y, MISSING)
        if isinstance(new, Either):
            new = b.constants[y] = _settled(new, old, before)
        if isinstance(new, (Float, Int)):
            if isinstance(old, np.ndarray) or old is MISSING:
                return False
        elif isinstance(old, (Float, Int)) or (
            old is not new
            and not (
                type(old) is type(new)
                and np.array_equal(np.asarray(old), np.asarray(new), equal_nan=np.asarray(old).dtype.kind in "fc")
            )
        ):
            return False
        place[x] = y
    return tuple(place.get(o) for o in a.outputs) == b.outputs


def _settled(new: Either, old: Any, before: list[Any]) -> Any:
    """Give the changing number that a whole number is, or the plain one."""
    plain = int.__pos__(new)
    if isinstance(old, np.ndarray) or not isinstance(old, (int, float)):
        return plain
    was = _plain(old)
    if was == plain:
        return plain
    chosen = new.chosen(before, was)
    return plain if chosen is None else chosen


def numbers_in(graph: Graph) -> list[Node]:
    """Give the constants of a graph that remember how they were computed."""
    return [n for n in graph.nodes if isinstance(graph.constants.get(n), (Float, Int))]


def as_inputs(graph: Graph) -> tuple[Graph, list[tuple[Node, Any]]]:
    """Turn remembering constants into inputs; give the new inputs with the functions that compute them."""
    found: dict[Node, Node] = {}
    computes: list[tuple[Node, Any]] = []
    for n in numbers_in(graph):
        value = graph.constants[n]
        kind = np.dtype(np.float64 if isinstance(value, float) else np.int64)
        node = Node(None, (), {}, (), kind, False, None, (), None, None)
        found[n] = node
        computes.append((node, value.compute))

    def rule(builder: Any, node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if not any(i in found for i in node.inputs):
            return None
        dtype = node.dtype if node.op.name == "where" else operand_dtype(node, graph.constants)  # type: ignore[union-attr]
        new = [
            builder.call("cast", found[old], dtype=dtype) if old in found else i
            for old, i in zip(node.inputs, inputs, strict=True)
        ]
        return builder.make(node.op, tuple(new), node.attrs, node.shape, node.dtype, node)  # type: ignore[no-any-return]

    made = rebuild(graph, rule)
    return Graph((*graph.inputs, *[n for n, _ in computes]), made.outputs, made.constants), computes


def settle(graph: Graph) -> None:
    """Give remembering constants back as plain numbers."""
    for n, value in list(graph.constants.items()):
        if isinstance(value, (Float, Int, Either)):
            graph.constants[n] = _plain(value)
