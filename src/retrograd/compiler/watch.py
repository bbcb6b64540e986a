"""Watching a call of the user's function: which of its code ran, on which objects, and what it did that a graph cannot do again."""

from __future__ import annotations

import builtins
import ctypes
import functools
import gc
import importlib
import io
import os
import random
import sys
import sysconfig
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import BaseTensor
from ..random.generator import Generator
from .reasons import Reasons

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_paths = sysconfig.get_paths()
_beside = os.path.dirname(os.path.dirname(os.path.abspath(np.__file__)))  # where NumPy and its like are installed
OUTSIDE = tuple(
    {os.path.abspath(_paths[k]) + os.sep for k in ("stdlib", "platstdlib", "purelib", "platlib") if k in _paths}
    | {os.path.join(_beside, name) + os.sep for name in ("numpy", "llvmlite", "ml_dtypes", "scipy")}
)
PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")  # a user's own, Debian's
IMPURE_MODULES = {"time", "posix", "nt", "_random", "random", "secrets", "socket", "_socket", "select", "subprocess"}
IMPURE = {
    builtins.print,
    builtins.input,
    builtins.open,
    builtins.breakpoint,
    builtins.exec,
    builtins.eval,
}  # not next(): an iterator made during the call moves alike in every call, and one from outside is met by the guards
CLOCKS = {("datetime", name) for name in ("now", "utcnow", "today")}
FLAT = {"isnan", "isinf", "isfinite", "isclose", "copysign", "isqrt", "fmod", "remainder", "gcd", "lcm"}  # of math
FLAT |= {"tanh", "erf", "erfc", "atan", "frexp", "modf"}


def fields(value: Any) -> dict[str, Any] | None:
    """Give an object's own attributes; None where it has none, or is a proxy that answers with something else."""
    if not type(value).__dictoffset__:
        return None
    try:
        found = object.__getattribute__(value, "__dict__")
    except Exception:  # a property of the user's, which may raise what it likes
        return None
    return found if isinstance(found, dict) else None


def whose(filename: str, module: str = "") -> str:
    """Tell whose code a file is: the user's, this library's, or somebody else's; text that was compiled belongs to its module."""
    if filename == "<string>" and module.partition(".")[0] in (__name__.partition(".")[0], "typing", "collections"):
        return "library"
    if filename == "<string>" and module.startswith("namedtuple_"):
        return "other"
    if filename.startswith((PACKAGE, "<retrograd", "<update rule")):
        return "library"
    if filename.startswith((*OUTSIDE, "<frozen", "<__array_function__")) or any(p in filename for p in PACKAGES):
        return "other"
    return "user"


ENVIRONMENT = type(os.environ).__getitem__.__code__
IMPURE_CODES = {
    f.__code__: what
    for f, what in (
        (type(os.environ).__getitem__, "the environment was read"),
        *[
            (getattr(Generator, n), f"Generator.{n}() was called")
            for n in ("manual_seed", "seed", "set_state", "get_state")
        ],
    )
}


_machinery: Any = importlib._bootstrap
IMPORTING, LOADING = _machinery._find_and_load.__code__, _machinery._load_unlocked.__code__


class Watch:
    """Sees every call made while it is open.

    What an import does, looking for files and running a module's text, is done once and no part of what was called.

    Parameters
    ----------
    code : code object, optional
        The function's: the lines of it in which impure things were done are noted too.

    Attributes
    ----------
    codes : dict
        The user's code objects that ran, each with the globals it ran in.
    objects : list
        What they were given.
    impure : list of str
        What was done that running a graph would not do again, each with its place.
    imported : bool
        Whether a module was loaded that was not there before: the next call does not do that again.
    """

    def __init__(self, code: Any = None) -> None:
        self.codes: dict[types.CodeType, dict[str, Any]] = {}
        self.functions: dict[types.CodeType, dict[int, Any]] = {}  # weakly: which closures of each code ran
        self.unknown: set[types.CodeType] = set()  # whose closures could not be told
        self.objects: dict[int, Any] = {}
        self.impure = Reasons(code)
        self.flattened = False  # a function was called that is alike for many numbers and does not ask for their values
        self.imported = False
        self._whose: dict[str, str] = {}

    def __enter__(self) -> Watch:
        self._random = random.getstate()
        numpy_random = sys.modules.get("numpy.random")
        self._numpy = None if numpy_random is None else _legacy(numpy_random)
        self._collects = gc.isenabled()
        gc.disable()  # what a collection calls, wherever it comes, is no part of the function
        self._before = sys.getprofile()
        sys.setprofile(self._events())
        return self

    def __exit__(self, *exc: Any) -> None:
        before = self._before
        sys.setprofile(before if callable(before) else None)
        if before is not None and not callable(before):
            before.enable()  # a profiler of Python's, which is not set as a function
        if self._collects:
            gc.enable()
        if random.getstate() != self._random:
            self.impure.append("the random module drew a number")
        numpy_random = sys.modules.get("numpy.random")
        if numpy_random is not None and self._numpy is not None and _legacy(numpy_random) != self._numpy:
            self.impure.append("numpy.random drew a number")

    def _events(self) -> Callable[[Any, str, Any], None]:
        """Give the profile function, which passes over what it has looked at once."""
        silent: dict[int, Any] = {}  # code and builtins by identity, kept alive: an id stays its own
        kinds: dict[type, bool] = {}  # whose methods do what a graph cannot do again
        importing: Any = None  # the frame of the import that is running

        def event(frame: Any, event: str, arg: Any) -> None:
            nonlocal importing
            if importing is not None:
                if event == "call" and frame.f_code is LOADING and not self._asks_itself(importing):
                    self.imported = True
                elif event == "return" and frame is importing:
                    importing = None
            elif event == "call":
                code = frame.f_code
                if code is IMPORTING:
                    importing = frame
                elif id(code) not in silent and not self._called(frame, code):
                    silent[id(code)] = code
            elif event == "c_call":
                if id(arg) in silent:
                    return
                owner = getattr(arg, "__self__", None)
                kind = type(owner)
                if kind is types.ModuleType or owner is None:
                    if not self._called_native(frame, arg) and kind is types.ModuleType:
                        silent[id(arg)] = arg
                    return
                impure = kinds.get(kind)
                if impure is None:
                    impure = kinds[kind] = _acts(kind)
                if impure or (kind is type and (owner.__module__, arg.__name__) in CLOCKS):
                    self._note(frame, arg)

        return event

    def _called(self, frame: Any, code: Any) -> bool:
        """Note a call of Python code; tell whether the next call of this code has to be looked at too."""
        impure = code in IMPURE_CODES
        if impure and not (code is ENVIRONMENT and self._asks_itself(frame)):
            self.impure.append(IMPURE_CODES[code])
        owner = self._owner(code.co_filename, frame.f_globals)
        if owner == "user":
            if code not in self.codes:
                self.codes[code] = frame.f_globals
                self.functions[code] = {}
            function = function_of(frame)
            if function is None:
                self.unknown.add(code)
            else:
                self.functions[code][id(function)] = weakref.ref(function)
            count = code.co_argcount + code.co_kwonlyargcount
            count += bool(code.co_flags & 4) + bool(code.co_flags & 8)
            values = frame.f_locals
            for name in code.co_varnames[:count]:
                value = values.get(name)
                if value is None or not type(value).__dictoffset__:
                    continue
                if not isinstance(value, BaseTensor) or fields(
                    value
                ):  # activations die as they do without being watched
                    self.objects[id(value)] = value
        return impure or owner == "user" or code.co_filename == "<string>"

    def _called_native(self, frame: Any, function: Any) -> bool:
        """Note a call of a builtin function; tell whether the next call of it has to be looked at too."""
        module = getattr(function, "__module__", None)
        if module in ("math", "cmath") and getattr(function, "__name__", "") in FLAT:
            self.flattened = True
        elif _is_impure(function):
            self._note(frame, function)
            return True
        return False

    def _note(self, frame: Any, function: Any) -> None:
        """Note what a graph cannot do again, unless the library does it for itself."""
        if self._asks_itself(frame):
            return
        at = frame
        while at is not None and self._owner(at.f_code.co_filename, at.f_globals) != "user":
            at = at.f_back
        if at is not None:
            place = f" ({at.f_code.co_filename}:{at.f_lineno})"
            self.impure.append(f"{getattr(function, '__name__', function)}() was called{place}")

    def functions_of(self, code: types.CodeType) -> list[Any]:
        """Give the functions of this code that ran and are still there, or all that there are: their closures were read."""
        if code in self.unknown or code not in self.functions:
            return [f for f in gc.get_referrers(code) if isinstance(f, types.FunctionType) and f.__code__ is code]
        return [f for ref in self.functions[code].values() if (f := ref()) is not None]

    def update(self, other: Watch) -> None:
        """Take up what another call did."""
        for code, scope in other.codes.items():
            self.codes[code] = scope
            self.functions.setdefault(code, {}).update(other.functions[code])
        self.unknown |= other.unknown
        self.objects.update(other.objects)

    def _owner(self, filename: str, scope: dict[str, Any]) -> str:
        if filename == "<string>":
            return whose(filename, str(scope.get("__name__", "")))
        found = self._whose.get(filename)
        if found is None:
            found = self._whose[filename] = whose(filename)
        return found

    def _asks_itself(self, frame: Any) -> bool:
        """Tell whether the library does it for itself: reads a setting, imports a part of its own."""
        at = frame
        while at is not None and self._owner(at.f_code.co_filename, at.f_globals) == "other":
            at = at.f_back
        return at is not None and self._owner(at.f_code.co_filename, at.f_globals) == "library"


def _is_impure(function: Any) -> bool:
    try:
        return getattr(function, "__module__", None) in IMPURE_MODULES or function in IMPURE
    except TypeError:  # an unhashable callable
        return False


def _acts(kind: type) -> bool:
    """Tell whether the methods of a kind of objects draw, read or write."""
    return issubclass(kind, (random.Random, io.IOBase)) or kind.__module__ in IMPURE_MODULES


@functools.cache
def _places() -> tuple[int, int] | None:
    """Find where CPython keeps a running frame's function and code: numbers of words, proved on two functions; or None."""
    if sys.implementation.name != "cpython" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None

    def one() -> Any:
        return words(sys._getframe())

    def two() -> Any:
        return words(sys._getframe())

    def words(frame: Any) -> list[int]:
        at = _inner(frame)
        return list((ctypes.c_uint64 * 8).from_address(at)) if at else []

    found = []
    for function in (one, two):
        seen = function()
        if seen.count(id(function)) != 1 or seen.count(id(function.__code__)) != 1:
            return None
        found.append((seen.index(id(function)), seen.index(id(function.__code__))))
    return found[0] if found[0] == found[1] else None


def _inner(frame: Any) -> int:
    """Give the address of what a frame object stands for, which follows its header and the frame before it."""
    return ctypes.c_uint64.from_address(id(frame) + 24).value


def function_of(frame: Any) -> Any:
    """Give the function object that a running frame executes, or None where that cannot be told."""
    places = _places()
    if places is None:
        return None
    at = _inner(frame)
    if ctypes.c_uint64.from_address(at + 8 * places[1]).value != id(frame.f_code):
        return None
    found = ctypes.cast(ctypes.c_uint64.from_address(at + 8 * places[0]).value, ctypes.py_object).value
    return found if type(found) is types.FunctionType and found.__code__ is frame.f_code else None


def _legacy(numpy_random: Any) -> Any:
    kind, keys, *rest = numpy_random.get_state()
    return kind, keys.tobytes(), rest
