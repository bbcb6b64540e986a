"""Guards: everything outside a function that its course could depend on, noted before a run and compared before each replay."""

from __future__ import annotations

import collections
import dis
import enum
import functools
import random
import re
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import BaseTensor
from ..nn import Module
from .later import is_scheduler
from .watch import Watch, fields, whose

PLAIN = (bool, int, float, complex, str, bytes, type(None), enum.Enum, np.generic, types.EllipsisType, slice, range)
MOST_ITEMS = 4096  # entries of a container that are looked at
MOST_BYTES = 65536  # of an array that is compared by value
MISSING: Any = object()
OF_ANY_CLASS = {"__dict__", "__weakref__"}  # made anew at each look
SKIPPED = {"_forward_hooks_with_kwargs", "_non_persistent_buffers_set", "_is_full_backward_hook"}


def name_of(name: str) -> str:
    """Give the last name in what messages call a place: how the user's code calls it."""
    return re.split(r"\W+", re.sub(r"\[[^]]*\]$", "", name).removesuffix("'s attributes"))[-1]


class Unguardable(Exception):
    """Something that decides the function's course cannot be watched.

    Parameters
    ----------
    name : str
        What it is called.
    what : str
        Why.
    """

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name} {what}")
        self.name = name_of(name)


# values of globals that hardly change: whether the name in the code is theirs, or an attribute's, does not matter
LASTING = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type)


@functools.lru_cache(1024)
def _globals_of(code: types.CodeType) -> set[str]:
    """Give the names that code looks up among globals; those of attributes are beside them in ``co_names``."""
    return {i.argval for i in dis.get_instructions(code) if "GLOBAL" in i.opname or "NAME" in i.opname}


def _owner_of(kind: type) -> str:
    """Tell whose class it is."""
    return whose(getattr(sys.modules.get(kind.__module__), "__file__", None) or "<frozen")


class Guards:
    """The state that a call read, by place: (holder, key, value) with how to look it up.

    Parameters
    ----------
    watch : Watch
        What ran.
    roots : sequence
        Objects to start from besides: the function itself and its bound object.
    """

    def __init__(self, watch: Watch, roots: Any) -> None:
        self.entries: list[tuple[str, Any, Any, Any, str]] = []  # kind, holder, key, value, name for messages
        self.seen: dict[int, Any] = {}
        self.seen_places: set[Any] = set()
        self.modules: list[Any] = []
        self.optimizers: list[Any] = []
        self.schedulers: list[Any] = []
        self.generators: list[tuple[Any, Any]] = []
        self.names: set[str] = set()
        self.waiting: list[tuple[Any, str]] = []
        self.walking = False
        self.numbers: list[
            tuple[Any, Any, Any, str]
        ] = []  # hyper-parameters, which are inputs, but must not change in a run
        self.arrays: list[tuple[Any, bytes, str]] = []
        for code in watch.codes:
            self.names.update(code.co_names)
            self.names.update(c for c in code.co_consts if isinstance(c, str) and c.isidentifier())  # getattr's names
        for code, scope in watch.codes.items():
            for name in code.co_names:
                if name in scope and (isinstance(scope[name], LASTING) or name in _globals_of(code)):
                    self._entry("dict", scope, name, scope[name], f"the global {name}")
            for function in watch.functions_of(code):
                self._function(function)
        for name in [n for n in self.names if n in sys.modules]:  # imported where they are used
            self.visit(sys.modules[name], name)
        for root in roots:
            self.visit(root, getattr(root, "__qualname__", type(root).__name__))
        for value in watch.objects.values():
            self.visit(value, type(value).__name__)

    def _function(self, function: Any) -> None:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:
                continue
            self._entry("cell", cell, None, value, f"the variable {name}")
        for key in ("__defaults__", "__kwdefaults__"):
            value = getattr(function, key)
            if value:
                self._entry("attribute", function, key, value, "a default")

    def _entry(self, kind: str, holder: Any, key: Any, value: Any, name: str) -> None:
        place = (kind, id(holder), key)
        if place in self.seen_places:
            return
        self.seen_places.add(place)
        self.entries.append((kind, holder, key, value, name))
        self.visit(value, name)

    def visit(self, value: Any, name: str) -> None:
        """Look into a value, once, and into what that holds; nothing recurses."""
        self.waiting.append((value, name))
        if self.walking:
            return
        self.walking = True
        while self.waiting:
            value, name = self.waiting.pop()
            if not isinstance(value, (*PLAIN, BaseTensor)) and value is not MISSING and id(value) not in self.seen:
                self.seen[id(value)] = value
                self._look(value, name)
        self.walking = False

    def _look(self, value: Any, name: str) -> None:
        if isinstance(value, types.ModuleType):
            self._module_object(value, name)
        elif isinstance(value, types.FunctionType):
            return
        elif isinstance(value, types.MethodType):
            self.visit(value.__self__, name)
        elif getattr(type(value), "is_compiled", False):
            self.visit(value.fn, name)  # what else it holds is the compiler's own, and changes as it compiles
        elif isinstance(value, type):
            if _owner_of(value) == "user":
                self._class(value, name)
        elif isinstance(value, functools.partial):
            for part in (value.func, value.args, value.keywords):
                self.visit(part, name)
        elif isinstance(value, collections.deque):
            self.entries.append(("order", value, None, tuple(value), name))
            for item in value if len(value) <= MOST_ITEMS else ():
                self.visit(item, name)
        elif hasattr(type(value), "__next__") and _owner_of(type(value)) != "user":
            raise Unguardable(name, "is an iterator, which would not move")
        elif isinstance(value, (list, tuple)):
            self._sequence(value, name)
        elif isinstance(value, dict):
            self._dictionary(value, name)
        elif isinstance(value, (set, frozenset)):
            self.entries.append(("set", value, None, frozenset(value) if len(value) <= MOST_ITEMS else None, name))
        elif isinstance(value, Module):
            self._network(value, name)
        elif hasattr(type(value), "refresh_inputs") and "param_groups" in (fields(value) or {}):
            self._optimizer(value, name)
        elif is_scheduler(value):
            self.schedulers.append(value)
            self._own(value, name)
            if type(value).__module__.partition(".")[0] != __name__.partition(".")[0]:
                self._attributes(value, value.__dict__, name)
        elif isinstance(value, np.ndarray):
            self._array(value, name)
        elif isinstance(value, (random.Random, np.random.Generator, np.random.RandomState)):
            self.generators.append((value, _state(value)))
        elif type(value).__module__.partition(".")[0] == __name__.partition(".")[0]:
            self._own(value, name)
        else:
            for kind in type(value).__mro__:
                self.visit(kind, kind.__qualname__)
            own = fields(value)
            if own is not None:
                self._attributes(value, own, name)
            self._slots(value, name)

    def _class(self, value: Any, name: str) -> None:
        """Note what a class of the user's gives under the names that were used, and look into its bases."""
        for base in value.__mro__[1:]:
            self.visit(base, base.__qualname__)
        for key in self.names - OF_ANY_CLASS:
            if key in value.__dict__ and not isinstance(value.__dict__[key], (classmethod, types.FunctionType)):
                self._entry("attribute", value, key, getattr(value, key), f"{name}.{key}")
            elif key in value.__dict__:
                self._entry("member", value, key, value.__dict__[key], f"{name}.{key}")

    def _module_object(self, module: Any, name: str) -> None:
        if whose(getattr(module, "__file__", None) or "<frozen") == "user":
            self._attributes(module, module.__dict__, name)

    def _attributes(self, owner: Any, table: Any, name: str) -> None:
        for key in self.names:
            self._entry("dict", table, key, table.get(key, MISSING), f"{name}.{key}")

    def _slots(self, owner: Any, name: str) -> None:
        for kind in type(owner).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            for key in (slots,) if isinstance(slots, str) else slots:
                if key in self.names and hasattr(owner, key):
                    self._entry("attribute", owner, key, getattr(owner, key), f"{name}.{key}")

    def _own(self, value: Any, name: str) -> None:
        """Note the plain settings of an object of this library, such as a scheduler."""
        own = fields(value) or {}
        for key, item in own.items():
            plain = isinstance(item, (list, tuple)) and all(
                isinstance(x, PLAIN) for x in item
            )  # such as the last rates
            if isinstance(item, PLAIN) or (plain and len(item) <= MOST_ITEMS):
                self._entry("dict", own, key, item, f"{name}.{key}")

    def _sequence(self, items: Any, name: str) -> None:
        if isinstance(items, list):
            self.entries.append(("length", items, None, len(items), name))
        if len(items) > MOST_ITEMS:
            return
        for i, value in enumerate(items):
            if isinstance(items, tuple):
                self.visit(value, f"{name}[{i}]")
            else:
                self._entry("item", items, i, value, f"{name}[{i}]")

    def _dictionary(self, items: dict[Any, Any], name: str) -> None:
        self.entries.append(("length", items, None, len(items), name))
        if len(items) > MOST_ITEMS:
            return
        for key, value in items.items():
            self._entry("dict", items, key, value, f"{name}[{key!r}]")

    def _network(self, network: Any, name: str) -> None:
        self.modules.append(network)
        if network.__dict__.get("sparse") is True:
            raise Unguardable(name, "has sparse gradients")
        table = network.__dict__
        self.entries.append(("length", table, None, len(table), f"{name}'s attributes"))
        for key, value in table.items():
            if key in SKIPPED:
                continue
            if isinstance(value, (*PLAIN, BaseTensor, list, tuple, dict, set, Module)) or key in self.names:
                self._entry("dict", table, key, value, f"{name}.{key}")

    def _optimizer(self, optimizer: Any, name: str) -> None:
        self.optimizers.append(optimizer)
        if len(optimizer.state) <= MOST_ITEMS:
            self.entries.append(("length", optimizer.state, None, len(optimizer.state), f"{name}.state"))
            for key, value in optimizer.state.items():
                self._entry("dict", optimizer.state, key, value, f"{name}.state")
        self.entries.append(
            ("length", optimizer.param_groups, None, len(optimizer.param_groups), f"{name}.param_groups")
        )
        for group in optimizer.param_groups:
            self.entries.append(("length", group, None, len(group), f"{name}.param_groups"))
            for key, value in group.items():
                if key != "params":
                    self.numbers.append((group, key, value, f"{name}.param_groups[...][{key!r}]"))
                if key == "params":
                    self._entry("dict", group, key, value, f"{name}'s parameters")
                elif isinstance(value, (float, int)) and not isinstance(value, bool):
                    self.entries.append(("zero", group, key, value == 0, f"{name}.{key}"))  # other numbers are inputs
                elif isinstance(value, tuple) and all(isinstance(v, (int, float)) for v in value):
                    self.entries.append(("zeros", group, key, tuple(v == 0 for v in value), f"{name}.{key}"))
                else:
                    self._entry("dict", group, key, value, f"{name}.{key}")

    def _array(self, array: Any, name: str) -> None:
        if array.nbytes > MOST_BYTES or array.dtype.hasobject:
            raise Unguardable(name, "is a NumPy array, whose contents may change unseen: make it a tensor")
        self.arrays.append((array, array.tobytes(), name))

    # -- comparing -------------------------------------------------------------------------------------------------------------
    def changed(self) -> str | None:
        """Name the first thing that is not as it was, or give None."""
        for kind, holder, key, value, name in self.entries:
            if not _same(kind, holder, key, value):
                return name
        for group, key, value, name in self.numbers:
            if group.get(key, MISSING) != value:
                return name
        for array, contents, name in self.arrays:
            if array.tobytes() != contents:
                return name
        for generator, state in self.generators:
            if _state(generator) != state:
                return f"the state of a {type(generator).__name__}"
        return None

    def watched(self) -> tuple[list[tuple[str, Any, Any]], list[Any]]:
        """Sort the entries by how memory shows a change: (sort, holder, entries) of dicts, lists and cells; and what is left."""
        dicts: dict[int, tuple[str, Any, Any]] = {}
        lists: dict[int, tuple[str, Any, Any]] = {}
        others: list[tuple[str, Any, Any]] = []
        rest: list[Any] = []
        for e in self.entries:
            kind, holder = e[0], e[1]
            if (kind in ("dict", "zero", "zeros", "number") and isinstance(holder, dict)) or (
                kind == "length" and isinstance(holder, dict)
            ):
                dicts.setdefault(id(holder), ("dict", holder, []))[2].append(e)
            elif kind in ("length", "item", "number") and type(holder) is list:
                lists.setdefault(id(holder), ("list", holder, []))[2].append(e)
            elif kind == "cell" or kind == "number":
                others.append(("cell", holder, [e]))
            else:
                rest.append(e)
        return [*dicts.values(), *lists.values(), *others], rest

    def holds(self, entries: Any) -> bool:
        """Tell whether some of the entries are as they were."""
        return all(_same(kind, holder, key, value) for kind, holder, key, value, _ in entries)

    def check(self, entries: Any = None) -> Callable[[], bool]:
        """Give a function that tells whether everything (or these entries) is as it was, written out for speed."""
        scope: dict[str, Any] = {"MISSING": MISSING}
        tests: list[str] = []
        holders: dict[int, str] = {}

        def name(thing: Any, prefix: str) -> str:
            found = holders.get(id(thing))
            if found is None:
                found = holders[id(thing)] = f"{prefix}{len(scope)}"
                scope[found] = thing
            return found

        for kind, holder, key, value, _ in self.entries if entries is None else entries:
            h = name(holder, "h")
            if kind == "dict":
                k = repr(key) if isinstance(key, (str, int)) else name(key, "k")
                place = f"{h}.get({k}, MISSING)" if value is MISSING or not isinstance(key, str) else f"{h}[{k}]"
            elif kind == "item":
                place = f"{h}[{key}]"
            elif kind == "attribute" and value is MISSING:
                tests.append(f"not hasattr({h}, {key!r})")
                continue
            elif kind == "attribute":
                place = f"{h}.{key}"
            elif kind == "member":
                place = f"{h}.__dict__[{key!r}]"
            elif kind in ("order", "set"):
                tests.append(f"{name(_SAME[kind], 'f')}({h}, {name(value, 'v')})")
                continue
            elif kind == "cell":
                place = f"{h}.cell_contents"
            else:
                tests.append(_special(kind, h, key, value))
                continue
            tests.append(_test(place, value, name))
        for array, contents, _ in self.arrays if entries is None else ():
            tests.append(f"{name(array, 'h')}.tobytes() == {name(contents, 'v')}")
        lines = ["def check():", "    try:", "        pass"]
        for at in range(0, len(tests), 100):
            lines.append(f"        if not ({' and '.join(tests[at : at + 100])}): return False")
        lines += [
            "    except (KeyError, IndexError, AttributeError, ValueError):",
            "        return False",
            "    return True",
        ]
        parameters = ", ".join(f"{n}={n}" for n in scope)
        lines[0] = f"def check({parameters}):"
        exec(compile("\n".join(lines), "<retrograd guards>", "exec"), scope)
        made: Callable[[], bool] = scope["check"]
        return made


def _test(place: str, value: Any, name: Callable[[Any, str], str]) -> str:
    if value is None or value is True or value is False or value is MISSING:
        return f"{place} is {'MISSING' if value is MISSING else value}"
    v = name(value, "v")
    if isinstance(value, (int, float, complex, str, bytes)) and not isinstance(value, enum.Enum):
        if type(value) is str or (type(value) is int and -5 <= value <= 256):
            return f"({place} is {v} or {place} == {v})"
        return f"({place} is {v} or ({place}.__class__ is {v}.__class__ and {place} == {v}))"
    return f"{place} is {v}"


def _special(kind: str, h: str, key: Any, value: Any) -> str:
    if kind == "length":
        return f"len({h}) == {value}"
    if kind == "number":
        place = f"{h}.cell_contents" if key[0] == "cell" else f"{h}[{key[1]!r}]"
        return f"{place}.__class__ is {value.__name__}"
    if kind == "zero":
        return f"({h}[{key!r}] == 0) is {value}"
    return " and ".join(f"({h}[{key!r}][{i}] == 0) is {v}" for i, v in enumerate(value))


def _same_order(holder: Any, items: tuple[Any, ...]) -> bool:
    return len(holder) == len(items) and all(
        a is b or (isinstance(b, PLAIN) and type(a) is type(b) and bool(a == b))
        for a, b in zip(holder, items, strict=True)
    )


def _same_members(holder: Any, members: Any) -> bool:
    return members is not None and bool(holder == members)


_SAME: dict[str, Callable[[Any, Any], bool]] = {"order": _same_order, "set": _same_members}


def _same(kind: str, holder: Any, key: Any, value: Any) -> bool:
    if kind == "length":
        return bool(len(holder) == value)
    if kind in _SAME:
        return bool(_SAME[kind](holder, value))
    if kind == "number":
        sort, key = key
        return type(holder.cell_contents if sort == "cell" else holder[key]) is value
    if kind == "zero":
        return bool((holder[key] == 0) is value)
    if kind == "zeros":
        return bool(tuple(v == 0 for v in holder[key]) == value)
    try:
        if kind == "dict":
            now = holder.get(key, MISSING)
        elif kind == "item":
            now = holder[key]
        elif kind == "attribute":
            now = getattr(holder, key, MISSING)
        elif kind == "member":
            now = holder.__dict__[key]
        else:
            now = holder.cell_contents
    except (KeyError, IndexError, ValueError):
        return False
    if now is value:
        return True
    same = isinstance(value, (int, float, complex, str, bytes)) and type(now) is type(value)
    return same and bool(now == value)


def _state(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.Generator):
        return repr(generator.bit_generator.state)
    return repr(generator.get_state())
