"""Tensors that a function keeps: assigned to attributes, dict and list entries or variables from outside while it ran.

What was found there before the run is read from there before each replay, and what the run left there is one more result of the
program, which is put there behind it.
"""

from __future__ import annotations

import dis
import functools
import types
from typing import Any

import numpy as np

from ..core import BaseTensor
from ..tensor.tree import flatten, unflatten
from .guards import MISSING, PLAIN, Guards
from .watch import fields

MOST_KEPT = 64  # places that a program writes
KINDS = {"dict", "item", "cell", "attribute"}


class Place:
    """One place that holds tensors, or a container of them, and is given others by each call.

    Parameters
    ----------
    kind : str
        How it is looked up: as of the guards' entries.
    holder, key
        Where.
    name : str
        What messages call it.
    before, now
        What it held before the run and after it.
    asked : bool
        Whether code that ran may have looked at what it held.
    """

    def __init__(self, kind: str, holder: Any, key: Any, name: str, before: Any, now: Any, asked: bool) -> None:
        self.kind, self.holder, self.key, self.name, self.asked = kind, holder, key, name, asked
        self.old, structure = flatten(before)
        self.shape = repr(structure)
        self.types: list[Any] = []
        self.now = now
        self.structure: Any = None
        self.first = self.count = 0  # where its leaves are among the results

    def note(self) -> None:
        """Note of what kind the tensors were; they must have their own nodes again, which a trace took from them."""
        self.types = [_spec(x) for x in self.old]

    def read(self) -> Any:
        """Give what the place holds."""
        if self.kind == "dict":
            return self.holder.get(self.key, MISSING)
        if self.kind == "item":
            return self.holder[self.key] if self.key < len(self.holder) else MISSING
        if self.kind == "attribute":
            return getattr(self.holder, self.key, MISSING)
        return self.holder.cell_contents

    def write(self, leaves: list[Any]) -> None:
        """Put the run's results there."""
        value = unflatten(leaves[self.first : self.first + self.count], self.structure)
        if self.kind == "attribute":
            setattr(self.holder, self.key, value)
        elif self.kind == "cell":
            self.holder.cell_contents = value
        else:
            self.holder[self.key] = value

    def leaves(self) -> list[Any] | None:
        """Give the leaves of what the place holds, or None if they are not such as the program was made for."""
        try:
            found, structure = flatten(self.read())
        except (ValueError, TypeError):
            return None
        if not self.asked:
            return found
        if len(found) != len(self.types) or repr(structure) != self.shape:
            return None
        return found if all(map(_is_like, found, self.types)) else None


def _spec(x: Any) -> Any:
    if not isinstance(x, BaseTensor):
        return x
    node, base = x._node, x._base
    wants = node is not None and node.requires_grad
    own = type(x), x._a.shape, x._a.dtype, wants, node is None or node.op is None, _hooks(x)
    return _Spec(own if base is None else (*own, _spec(base), repr([(op.name, attrs) for op, attrs in x._steps])))


class _Spec(tuple[Any, ...]):
    """What of a tensor a program depends on."""

    __slots__ = ()


def source_of(t: Any) -> Any:
    """Give the tensor that stands for a kept one among the inputs: the one it is a view of."""
    return t if t._base is None else t._base


def pattern(tensors: list[Any]) -> tuple[int, ...]:
    """Tell which of some tensors are one."""
    first: dict[int, int] = {}
    return tuple([first.setdefault(id(t), i) for i, t in enumerate(tensors)])


def _hooks(x: Any) -> Any:
    node = x._node
    return () if node is None or node.hooks is None else tuple(node.hooks.registered)


def _is_like(x: Any, spec: Any) -> bool:
    if type(spec) is _Spec:
        return isinstance(x, BaseTensor) and _spec(x) == spec
    return x is spec or (isinstance(spec, PLAIN) and type(x) is type(spec) and bool(x == spec))


@functools.lru_cache(1024)
def _loaded(code: types.CodeType) -> frozenset[str]:
    """Give the names that code may look up as attributes: all that it does not only assign."""
    loaded = {i.argval for i in dis.get_instructions(code) if i.argval.__class__ is str and "STORE" not in i.opname}
    return frozenset(loaded | {c for c in code.co_consts if isinstance(c, str)})


class Stores:
    """Finds, when a run has ended, the places where it left other tensors than were there.

    Parameters
    ----------
    guards : Guards
        Made before the run; what is found leaves them.
    watch : Watch
        Whose code ran.
    """

    def __init__(self, guards: Guards, watch: Any) -> None:
        self.guards, self.watch = guards, watch

    def find(self) -> list[Place]:
        """Give the places, if all that changed there can be told, and none is another's."""
        found: list[tuple[Any, Place]] = []
        for entry in self.guards.entries:
            kind, holder, key, value, name = entry
            if kind not in KINDS:
                continue
            now = present(kind, holder, key)
            if now is value or now is MISSING or not keeps(now):
                continue
            if isinstance(now, (list, dict)) and isinstance(value, type(now)) and _size(now) != _size(value) != 0:
                continue
            asked = kind not in ("dict", "attribute") or type(key) is not str or self._looked(key)
            found.append((entry, Place(kind, holder, key, name, value, now, asked)))
        gone = {id(e) for e, _ in found}
        inside = {id(c) for e, _ in found for c in _containers(e[3])}
        places = [p for _, p in found]
        if not places or len(places) > MOST_KEPT or not self._are_apart(places, gone, inside):
            return []
        self.guards.entries = [e for e in self.guards.entries if id(e) not in gone and id(e[1]) not in inside]
        return places

    def _looked(self, key: str) -> bool:
        return any(key in _loaded(code) for code in self.watch.codes)

    def _are_apart(self, places: list[Place], gone: set[int], inside: set[int]) -> bool:
        """Tell whether what the places held was held by no other place that is read."""
        seen = {id(source_of(t)) for p in places if p.asked for t in p.old if isinstance(t, BaseTensor)}
        others = (e for e in self.guards.entries if id(e) not in gone and id(e[1]) not in inside)
        return not any(id(e[3]) in seen for e in others)


def _size(value: Any) -> int:
    return len(flatten(value)[0])


def present(kind: str, holder: Any, key: Any) -> Any:
    """Give what a place holds, or MISSING."""
    try:
        if kind == "dict":
            return holder.get(key, MISSING)
        if kind == "item":
            return holder[key]
        if kind == "attribute":
            return MISSING if isinstance(holder, type) else getattr(holder, key, MISSING)
        return holder.cell_contents
    except (KeyError, IndexError, ValueError):
        return MISSING


def _containers(value: Any) -> list[Any]:
    found = []
    waiting = [value]
    while waiting:
        v = waiting.pop()
        if isinstance(v, (list, tuple, dict)):
            found.append(v)
            waiting.extend(v.values() if isinstance(v, dict) else v)
    return found


def keeps(value: Any) -> bool:
    """Tell whether a value is a tensor, or a container of tensors and plain values."""
    leaves, _ = flatten(value)
    some = False
    for x in leaves:
        if isinstance(x, BaseTensor):
            if type(x).__name__ != "Tensor":
                return False
            some = True
        elif not isinstance(x, PLAIN):
            return False
    return some


# -- results that are objects --------------------------------------------------------------------------------------------------
class Unfit(Exception):
    """A result that cannot be made again."""


CONSTANT = (*PLAIN, types.ModuleType, type, types.BuiltinFunctionType)


def taken_apart(value: Any, known: Any) -> tuple[list[Any], Any]:
    """Give the leaves and structure of a result, with objects that the run made taken apart into their attributes.

    Raises
    ------
    Unfit
        For an object made in the run that cannot be made again from its attributes.
    """
    leaves: list[Any] = []
    return leaves, _take(value, known, leaves, set())


def _take(value: Any, known: Any, leaves: list[Any], above: set[int]) -> Any:
    if isinstance(value, (BaseTensor, *CONSTANT)) or id(value) in known:
        leaves.append(value)
        return None
    if id(value) in above:
        raise Unfit(f"a {type(value).__name__} that holds itself")
    above.add(id(value))
    kind: Any = type(value)
    if isinstance(value, dict):
        spec: Any = kind, list(value), [_take(v, known, leaves, above) for v in value.values()]
    elif isinstance(value, (tuple, list)):
        spec = kind, None, [_take(v, known, leaves, above) for v in value]
    else:
        spec = _object(value, known, leaves, above)
    above.discard(id(value))
    return spec


def _object(value: Any, known: Any, leaves: list[Any], above: set[int]) -> Any:
    kind = type(value)
    own = fields(value)
    slots = {k: getattr(value, k) for c in kind.__mro__ for k in _slots(c) if hasattr(value, k)}
    inside = {**(own or {}), **slots}
    if isinstance(value, types.FunctionType):
        if value.__closure__:
            raise Unfit("a function made in it")
    elif (
        isinstance(value, np.ndarray)
        or kind.__flags__ & _HEAP == 0
        or "__new__" in {k for c in kind.__mro__[:-1] for k in c.__dict__}
    ):
        if inside or isinstance(value, np.ndarray) or _runs_on(kind) or hasattr(value, "__self__"):
            raise Unfit(f"a {kind.__name__} made in it")
    elif _runs_on(kind) or hasattr(kind, "_parameters") or "_modules" in inside:
        raise Unfit(f"a {kind.__name__} made in it")
    elif inside:
        count = len(leaves)
        parts = [_take(v, known, leaves, above) for v in inside.values()]
        if kind.__module__.partition(".")[0] == _LIBRARY and not any(isinstance(x, BaseTensor) for x in leaves[count:]):
            leaves[count:] = [value]  # such as a dtype
            return None
        return functools.partial(_made_again, kind, frozenset(slots)), list(inside), parts
    leaves.append(value)
    return None


def _runs_on(kind: type) -> bool:
    """Tell whether objects of a kind go on in what they do, such as generators and coroutines."""
    return hasattr(kind, "__next__") or hasattr(kind, "__await__") or hasattr(kind, "__anext__")


_LIBRARY = __name__.partition(".")[0]
_HEAP = 1 << 9  # of a class's flags: it was made by a class statement


def _slots(kind: type) -> Any:
    found = kind.__dict__.get("__slots__", ())
    return [k for k in ((found,) if isinstance(found, str) else found) if k not in ("__dict__", "__weakref__")]


def _made_again(kind: Any, slots: Any, values: dict[str, Any]) -> Any:
    made = object.__new__(kind)
    for k, v in values.items():
        if k in slots:
            object.__setattr__(made, k, v)
        else:
            made.__dict__[k] = v
    return made


__all__ = ["Place", "Stores", "Unfit", "keeps", "pattern", "present", "source_of", "taken_apart"]
