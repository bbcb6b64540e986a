"""Numbers that change: a Python number that was different at another capture becomes an input of the graph.

While a step is captured, such a number is replaced, where it is kept, by one that remembers how it was computed with. What it
becomes in the graph is an input, worked out anew in Python before each run. Where its value was asked for (compared, rounded,
formatted), where the two captures differ in anything but these numbers, it stays what it was: a guard.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from sys import getrefcount
from typing import Any

import numpy as np

from ..core import MODE, BaseTensor, Graph, Node
from ..core.types import RememberingNumber
from .codegen.rows import operand_dtype
from .guards import MISSING, Guards
from .passes.rebuild import freeze, rebuild

BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
UNARY = ("neg", "pos", "abs")
COMPARED = ("lt", "le", "gt", "ge", "eq", "ne")
ASKED = [
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
MOST_RELATIONS = 256  # that are compared before a call
MOST_FORMER = 4  # programs that a new one is compared with
METHODS = ("is_integer", "as_integer_ratio", "hex", "bit_length", "bit_count", "to_bytes")


class Ledger:
    """The numbers of one capture: where they are kept, and whether a value was asked for."""

    def __init__(self) -> None:
        self.places: list[tuple[str, Any, Any, Any]] = []  # kind, holder, key, value
        self.arguments: list[Any] = []  # of the present call: a place too
        self.asked = False
        self.open = 0  # numbers alike for many, such as remainders, that were not compared
        # what the numbers were compared with, and how it came out
        self.relations: list[tuple[Callable[..., Any], bool]] = []
        self.constants: list[
            tuple[type, Any]
        ] = []  # plain numbers among that; they may come of changing ones unseen, as 0.1 * n does

    def relate(self, compute: Callable[..., Any], outcome: Any, constant: Any = None) -> Any:
        """Note how a comparison came out: where it comes out otherwise, another course is taken."""
        self.relations.append((compute, bool(outcome)))
        if constant is not None:
            self.constants.append((type(constant), constant))
        self.asked = self.asked or len(self.relations) > MOST_RELATIONS
        return outcome

    def close(self, number: Any, references: int) -> None:
        """Hear that a flat number was compared; if nobody holds it, it is gone then."""
        number.flat = False
        self.open -= 1
        self.asked = self.asked or references > _passing()

    def holds(self) -> bool:
        """Tell whether all comparisons come out as they did."""
        if not self.relations:
            return True
        values = self.read()
        try:
            return all(bool(compute(*values)) is outcome for compute, outcome in self.relations)
        except (ArithmeticError, ValueError):
            return False

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


def plain(value: Any) -> Any:
    """Give anything as it is, but for a remembering number, which is given as one of Python's own, without asking it."""
    return _plain(value) if isinstance(value, RememberingNumber) else value


def present(value: Any) -> Any:
    """Give anything as it is, but for a remembering number, which is computed from those that are now at its places."""
    return value.compute(*value.ledger.read()) if isinstance(value, RememberingNumber) else value  # type: ignore[attr-defined]


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


class _Probe(int):
    """Tells how often a number is held that is compared where it was computed."""

    counts: list[int] = []

    def __eq__(self, other: Any) -> bool:
        self.counts.append(getrefcount(self))
        return False

    def __bool__(self) -> bool:
        self.counts.append(getrefcount(self))
        return False

    def __hash__(self) -> int:
        return 0


def _passing() -> int:
    """Give the references to a number that only the expression has in which it is compared; 0 where that cannot be told.

    Those who watch calls may hold one more.
    """
    held = _Probe(1)
    _Probe.counts.clear()
    trials: list[Callable[[], bool]] = [
        lambda: _Probe(1) == 1,
        lambda: held == 1,
        lambda: not _Probe(1),
        lambda: not held,
    ]
    for compared in trials:
        compared()
    passing, kept, passing_too, kept_too = _Probe.counts
    return passing if passing == passing_too and passing < min(kept, kept_too) else 0


def _make(base: Any) -> type:
    def number(ledger: Ledger, compute: Callable[..., Any], value: Any, flat: bool = False) -> Any:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            ledger.asked = True
            return value
        made = (Float if isinstance(value, float) else Int)(value)
        made.ledger, made.compute, made.flat = ledger, compute, flat
        ledger.open += flat
        return made

    def binary(name: str, swapped: bool) -> Any:
        op = getattr(operator, name)
        plain = getattr(base, f"__{'r' if swapped else ''}{name}__", None)

        def method(self: Any, other: Any) -> Any:
            if not isinstance(other, (int, float)):
                return NotImplemented if plain is None else plain(self, other)
            mine, theirs = self.compute, getattr(other, "compute", None)
            # alike for many numbers, and `1.0 + n` does not ask n: it may be compared where it stands, and nothing else
            flat = base is int and name in ("floordiv", "mod")
            self.ledger.asked = self.ledger.asked or self.flat or getattr(other, "flat", False)
            constant = None if theirs is not None else other
            a, b = _plain(self), _plain(other)
            if theirs is None:
                compute = (lambda *v: op(constant, mine(*v))) if swapped else (lambda *v: op(mine(*v), constant))
            else:
                compute = (lambda *v: op(theirs(*v), mine(*v))) if swapped else (lambda *v: op(mine(*v), theirs(*v)))
            return number(self.ledger, compute, op(b, a) if swapped else op(a, b), flat)

        return method

    def unary(name: str) -> Any:
        op = getattr(operator, name)

        def method(self: Any) -> Any:
            mine = self.compute
            self.ledger.asked = self.ledger.asked or self.flat
            return number(self.ledger, lambda *v: op(mine(*v)), op(_plain(self)))

        return method

    def compared(name: str) -> Any:
        op, plain = getattr(operator, name), getattr(base, f"__{name}__")

        def method(self: Any, other: Any) -> Any:
            if not isinstance(other, (int, float)):
                self.ledger.asked = self.ledger.asked or not isinstance(other, BaseTensor)
                return plain(self, other)
            if self.flat:
                references = getrefcount(self)
                self.ledger.close(self, references)
            self.ledger.asked = self.ledger.asked or getattr(other, "flat", False)
            mine, theirs = self.compute, getattr(other, "compute", None)
            constant = None if theirs is not None else other
            compute = (lambda *v: op(mine(*v), constant)) if theirs is None else (lambda *v: op(mine(*v), theirs(*v)))
            return self.ledger.relate(compute, op(_plain(self), other if theirs is None else _plain(other)), constant)

        return method

    def truth(self: Any) -> bool:
        if self.flat:
            references = getrefcount(self)
            self.ledger.close(self, references)
        found: bool = self.ledger.relate(self.compute, bool(_plain(self)))
        return found

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

    def given_to_operation(self: Any) -> Any:
        value = base.__pos__(self)
        recorder = MODE.trace
        self.ledger.asked = self.ledger.asked or self.flat
        if getattr(recorder, "compiling", False):
            if base is int:  # Python keeps small ones once only: it may be this number, where it turns up
                recorder.numbers.setdefault(id(value), (value, []))[1].append(self)
            else:
                recorder.numbers[id(value)] = (value, self)  # a new object: wherever it turns up, it is this number
        else:
            self.ledger.asked = True
        return value

    body: dict[str, Any] = {"plain": given_to_operation}
    body |= {f"__{n}__": binary(n, False) for n in BINARY}
    body |= {f"__r{n}__": binary(n, True) for n in BINARY}
    body |= {f"__{n}__": unary(n) for n in UNARY}
    body |= {f"__{n}__": compared(n) for n in COMPARED}
    body["__bool__"] = truth
    body |= {f"__{n}__": asked(n) for n in ASKED if hasattr(base, f"__{n}__")}
    body |= {n: asked_method(n) for n in METHODS if hasattr(base, n)}
    body["__array_ufunc__"] = by_numpy
    return type(base.__name__.capitalize(), (RememberingNumber, base), body)


Float: Any = _make(float)
Int: Any = _make(int)


class Promotion:
    """Puts remembering numbers where former captures found other values, for as long as it is open.

    Attributes
    ----------
    former
        The capture that the present one is like.
    alike : list
        All whose graphs are.
    """

    alike: list[Any]
    fixed: set[int]  # places that are guards all the same

    def __init__(self, formers: list[Any], arguments: list[Any]) -> None:
        self.former: Any = None
        self.formers = formers[:MOST_FORMER]
        self.ledger = Ledger()
        self.ledger.arguments = list(arguments)
        known: list[dict[Any, Any]] = []  # of each former capture: what its numbers were, by place
        found: dict[Any, Any] = {}
        for former in self.formers:
            values: dict[Any, Any] = {}
            known.append(values)
            for kind, holder, key, value, is_input in _numbers_of(former, self.ledger.arguments):
                try:
                    now = _get(kind, holder, key)
                except (KeyError, IndexError, ValueError):
                    continue
                place = kind, id(holder), key
                values[place] = value
                if is_input or (type(now) is type(value) and now != value):  # what was an input stays one
                    found[place] = kind, holder, key, now
        self.ledger.places = list(found.values())
        self.before = [[values.get(p, MISSING) for p in found] for values in known]

    def __bool__(self) -> bool:
        return bool(self.ledger.places)

    def __enter__(self) -> Promotion:
        for k, (kind, holder, key, value) in enumerate(self.ledger.places):
            made = (Float if type(value) is float else Int)(value)
            made.ledger, made.compute, made.flat = self.ledger, _pick(k), False
            _set(kind, holder, key, made)
        return self

    def __exit__(self, *exc: Any) -> None:
        places = [(kind, holder, key) for kind, holder, key, _ in self.ledger.places]
        for kind, holder, key in [
            *places,
            *[e[:3] for f in self.formers for e in f.guards.entries if e[0] in ("dict", "item", "cell")],
        ]:
            try:
                now = _get(kind, holder, key)
            except (KeyError, IndexError, ValueError):
                continue
            if isinstance(now, (Float, Int)):  # that which was put there, or what the run left in its place
                _set(kind, holder, key, _plain(now))

    def succeeds(self, graph: Graph) -> bool:
        """Tell whether the numbers can be inputs: a former graph differs from this one in them alone.

        Where they were compared with plain numbers, those must have been the same in the former run; what was the same in both stays a guard.
        """
        self.former, self.alike, self.fixed = None, [], set()
        if self.ledger.asked or self.ledger.open:
            return False
        constants, now = self.ledger.constants, [value for *_, value in self.ledger.places]
        for former, before in zip(self.formers, self.before, strict=True):
            if any(value is MISSING for value in before) or not _alike(former.raw, graph, before):
                continue
            self.alike.append(former)
            if self.former is None and (not constants or former.compared == constants):
                self.former = former
                if constants:
                    self.fixed = {k for k, (a, b) in enumerate(zip(before, now, strict=True)) if a == b}
        return self.former is not None

    def released(self) -> list[Any]:
        """Give the places whose numbers may change from now on."""
        return [place for k, place in enumerate(self.ledger.places) if k not in self.fixed]

    def release(self, guards: Guards) -> None:
        """Let the guards ask for the numbers' types only."""
        places = {(kind, id(holder), key) for kind, holder, key, _ in self.released()}
        guards.entries = [
            ("number", e[1], (e[0], e[2]), type(e[3]), e[4]) if (e[0], id(e[1]), e[2]) in places else e
            for e in guards.entries
        ]


def _numbers_of(former: Any, arguments: list[Any]) -> list[tuple[Any, ...]]:
    """Give a capture's numbers: kind, holder, key, value then, and whether it is an input; arguments are those of the present call."""
    found = [("item", arguments, i, value, False) for i, value in former.scalars.items()]
    if former.ledger is not None:
        for kind, holder, key, value in former.ledger.places:
            found.append((kind, arguments if holder is former.ledger.arguments else holder, key, value, True))
    for kind, holder, key, value, _ in former.guards.entries:
        if kind in ("dict", "item", "cell") and type(value) in (int, float) and type(holder) is not tuple:
            found.append((kind, holder, key, value, False))
    return found


def _pick(k: int) -> Callable[..., Any]:
    return lambda *values: values[k]


def _alike(a: Graph, b: Graph, before: list[Any]) -> bool:
    one, two = a.nodes, b.nodes
    if len(one) != len(two):
        return False
    place: dict[Node, Node] = {}
    settled: dict[Node, Any] = {}
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
            new = settled[y] = _settled(new, old, before)
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
    if tuple(place.get(o) for o in a.outputs) != b.outputs:
        return False
    b.constants.update(settled)
    return True


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
