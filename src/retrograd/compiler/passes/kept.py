"""Optimised graphs on disk: what the passes make of a graph is found again by a digest of the graph and of this library's text."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import marshal
import os
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core import REGISTRY, Graph, Node, Op
from ...core.dtypes import get_default_dtype
from ..runtime import jit
from ..runtime.cache import store

FORM = "retrograd graph 1"
LEAST = 256  # nodes from which looking for the result takes less time than the passes
# what a kept graph may be made of
FOUND = {("builtins", name) for name in ("slice", "complex", "Ellipsis")}
FOUND |= {("numpy", "dtype"), ("numpy", "ndarray"), ("ml_dtypes", "bfloat16"), ("_codecs", "encode")}
FOUND |= {(f"numpy.{room}.multiarray", name) for room in ("_core", "core") for name in ("_reconstruct", "scalar")}
FOUND |= {(f"numpy.{room}.numeric", "_frombuffer") for room in ("_core", "core")}
PLAIN = (type(None), bool, int, float, complex, str, bytes)


class Unkeepable(Exception):
    """A graph that holds something which has no meaning in another process."""


def keeping(graph: Graph, passes: Sequence[Callable[[Graph], Graph]], run: Callable[[Graph], Graph]) -> Graph:
    """Give what passes make of a graph: found on disk, or made by ``run`` and put there.

    Nothing is kept of a small graph, nor of one with an attribute that is not plain data. Whatever is wrong with an entry, the passes run.
    """
    nodes = graph.nodes
    found = store() if len(nodes) >= LEAST else None
    if found is None:
        return run(graph)
    try:
        name = digest(graph, nodes, [f"{p.__module__}.{p.__qualname__}" for p in passes])
    except Unkeepable:
        return run(graph)
    image = found.get(name)
    if image is not None:
        try:
            return decoded(image, graph, nodes)
        except Exception:  # written by a library that is not quite this one
            found.drop(name)
    made = run(graph)
    with contextlib.suppress(Unkeepable):
        found.put(name, encoded(made, graph, nodes))
    return made


def digest(graph: Graph, nodes: list[Node], passes: list[str]) -> str:
    """Name a graph: its nodes, constants and passes, this library's text, Python, NumPy and the machine."""
    number = {n: k for k, n in enumerate(nodes)}
    drawn = _generators(nodes)
    attrs: dict[int, Any] = {}
    types: dict[Any, Any] = {}
    rows: list[Any] = []
    for n in nodes:
        dtype = types.get(n.dtype)
        if dtype is None:
            dtype = types[n.dtype] = _plain(n.dtype)
        if n.op is None:
            rows.append((n.shape, dtype))
            continue
        if not _own(n.op):
            raise Unkeepable
        words = attrs.get(id(n.attrs)) if n.attrs else ()
        if words is None:
            found = n.attrs.get("generator")
            plain = n.attrs if found is None else {**n.attrs, "generator": drawn.index(found)}
            words = attrs[id(n.attrs)] = _plain(plain)
        rows.append((n.op.name, [number[i] for i in n.inputs], words, n.shape, dtype))
    constants = [(number[n], _plain(v)) for n, v in graph.constants.items() if n in number]
    ends = [[number[n] for n in ends] for ends in (graph.inputs, graph.outputs)]
    here = jit.host()
    machine = (here.versions, here.triple, here.cpu, here.features, sys.version, np.__version__)
    where = (*machine, library(), str(get_default_dtype()))
    try:
        words = marshal.dumps((FORM, where, passes, rows, constants, ends), 2)
    except ValueError:  # a shape of numbers that are not Python's, as from a file
        raise Unkeepable from None
    return hashlib.sha256(words).hexdigest()


_known: dict[Any, bool] = {}


def _own(op: Any) -> bool:
    """Tell whether an op is one of this library's rows, which ``library`` tells apart by their text."""
    found = _known.get(op)
    if found is None:
        room = getattr(op.numpy, "__module__", None) or "numpy"
        found = REGISTRY.get(op.name) is op and room.partition(".")[0] in ("retrograd", "numpy", "scipy")
        _known[op] = found
    return found


def _plain(value: Any) -> Any:
    """Give a value as plain data, of which different values differ."""
    if isinstance(value, PLAIN) and type(value) in PLAIN:
        return value
    if isinstance(value, (tuple, list)):
        return (type(value).__name__, [_plain(v) for v in value])
    if isinstance(value, dict):
        return ("dict", [(_plain(k), _plain(v)) for k, v in value.items()])
    if isinstance(value, slice):
        return ("slice", [_plain(v) for v in (value.start, value.stop, value.step)])
    if isinstance(value, np.dtype):
        return ("dtype", value.name, value.str)
    if isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        kind = type(value).__name__
        return (
            kind,
            value.shape,
            value.dtype.name,
            hashlib.sha256(np.ascontiguousarray(value).tobytes()).digest(),
        )
    if value is Ellipsis:
        return ("...",)
    if isinstance(value, Op) and _own(value):
        return ("op", value.name)
    raise Unkeepable


def _generators(nodes: list[Node]) -> list[Any]:
    """Give the random generators that are drawn from, by which a kept graph numbers them."""
    found = {id(g): g for n in nodes if n.attrs and (g := n.attrs.get("generator")) is not None}
    return list(found.values())


@functools.cache
def library() -> str:
    """Give a digest of this library's files as they lie there: their names, sizes and times."""
    version = getattr(sys.modules["retrograd"], "__version__", "")
    root = Path(__file__).parents[2]
    facts = []
    for at, _, names in os.walk(root):
        for name in names:
            if name.endswith(".py"):
                found = os.stat(os.path.join(at, name))
                facts.append((os.path.relpath(os.path.join(at, name), root), found.st_size, found.st_mtime_ns))
    return hashlib.sha256(repr((version, sorted(facts))).encode()).hexdigest()


def encoded(made: Graph, graph: Graph, nodes: list[Node]) -> bytes:
    """Give an optimised graph as bytes; inputs, arrays and places in the user's code stay with the graph it was made of."""
    number = {n: k for k, n in enumerate(nodes)}
    places: dict[int, int] = {}
    for k, n in enumerate(nodes):
        if n.place is not None:
            places.setdefault(id(n.place), k)
    arrays = {id(v): number[n] for n, v in graph.constants.items() if n in number}
    order = made.nodes
    by_age = sorted(order, key=lambda n: n.seq)
    new = {n: k for k, n in enumerate(by_age)}
    shared: dict[int, int] = {}
    attrs: list[Any] = []
    rows: list[Any] = []
    for n in by_age:
        place = -1 if n.place is None else places.get(id(n.place), -1)
        if n.op is None:
            if n in made.inputs and n not in number:
                raise Unkeepable
            rows.append((number.get(n, -1), n.shape, n.dtype, place))
            continue
        if not _own(n.op):
            raise Unkeepable
        at = shared.get(id(n.attrs))
        if at is None:
            at = shared[id(n.attrs)] = len(attrs)
            attrs.append(n.attrs)
        rows.append((n.op.name, tuple([new[i] for i in n.inputs]), at, n.shape, n.dtype, place))
    constants = []
    for n, v in made.constants.items():
        if n in new:
            given = arrays.get(id(v), -1) if isinstance(v, np.ndarray) else -1
            constants.append((new[n], given, None if given >= 0 else v))
    ends = [[new[n] for n in ends] for ends in (made.inputs, made.outputs)]
    turn = None if made.order is None else [new[n] for n in order]
    file = io.BytesIO()
    try:
        _Pickler(file, _generators(nodes)).dump((attrs, rows, constants, ends, turn))
    except (
        Exception
    ):  # an attribute that cannot be pickled raises what it likes: the graph is made anew in the next process
        raise Unkeepable from None
    return file.getvalue()


class _Pickler(pickle.Pickler):
    """Writes ops by their names, and random generators by their numbers."""

    def __init__(self, file: Any, generators: Sequence[Any] = ()) -> None:
        super().__init__(file, 4)
        self.generators = {id(g): k for k, g in enumerate(generators)}

    def persistent_id(self, value: Any) -> str | int | None:
        """Give an op's name, or a generator's number."""
        if isinstance(value, Op):
            if not _own(value):
                raise Unkeepable
            return value.name
        return self.generators.get(id(value))


class _Unpickler(pickle.Unpickler):
    """Reads plain data, NumPy's arrays and dtypes, slices, ops and generators, and calls nothing else."""

    def __init__(self, file: Any, generators: Sequence[Any] = ()) -> None:
        super().__init__(file)
        self.generators = generators

    def persistent_load(self, name: str | int) -> Any:
        """Give the op of a name, or the generator of a number."""
        return REGISTRY[name] if isinstance(name, str) else self.generators[name]

    def find_class(self, module: str, name: str) -> Any:
        """Give what a name stands for, if it is one of those."""
        if (module, name) in FOUND:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} in a kept graph")


def decoded(image: bytes, graph: Graph, nodes: list[Node]) -> Graph:
    """Give the optimised graph of these bytes, on the inputs and arrays of the graph that it was made of."""
    attrs, rows, constants, ends, turn = _Unpickler(io.BytesIO(image), _generators(nodes)).load()
    made: list[Node] = []
    given = set(graph.inputs)
    for row in rows:
        if len(row) == 4:
            at, shape, dtype, place = row
            if at >= 0 and nodes[at] in given:
                made.append(nodes[at])
                continue
            name, inputs, words = None, (), {}
        else:
            name, inputs, at, shape, dtype, place = row
            inputs, words = tuple([made[i] for i in inputs]), attrs[at]
        dtype = np.dtype(dtype.type)  # this process's own object, which generated code compares
        op = None if name is None else REGISTRY[name]
        where = None if place < 0 else nodes[place].place
        made.append(Node(op, inputs, words, shape, dtype, False, where, (), None, None))
    found = Graph(tuple([made[k] for k in ends[0]]), tuple([made[k] for k in ends[1]]))
    if found.inputs != graph.inputs:
        raise Unkeepable
    found.constants = {made[k]: v if at < 0 else graph.constants[nodes[at]] for k, at, v in constants}
    if turn is not None:
        found.order = [made[k] for k in turn]
    found.checked = {n for n in made if n.op is not None}
    return found
