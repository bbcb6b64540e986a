"""Watching a call of the user's function: which of its code ran, on which objects, and what it did that a graph cannot do again."""

from __future__ import annotations

import builtins
import gc
import io
import os
import random
import sys
import sysconfig
import types
from typing import Any

from ..random.generator import Generator

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_paths = sysconfig.get_paths()
OUTSIDE = tuple(
    {os.path.abspath(_paths[k]) + os.sep for k in ("stdlib", "platstdlib", "purelib", "platlib") if k in _paths}
)
IMPURE_MODULES = {"time", "posix", "nt", "_random", "random", "secrets", "socket", "_socket", "select", "subprocess"}
IMPURE = {
    builtins.print,
    builtins.input,
    builtins.open,
    builtins.breakpoint,
    builtins.exec,
    builtins.eval,
    builtins.next,
}
FLAT = {"isnan", "isinf", "isfinite", "isclose", "copysign", "isqrt", "fmod", "remainder", "gcd", "lcm"}  # of math
FLAT |= {"tanh", "erf", "erfc", "atan", "frexp", "modf"}


def whose(filename: str, module: str = "") -> str:
    """Tell whose code a file is: the user's, this library's, or somebody else's; text that was compiled belongs to its module."""
    if filename == "<string>" and module.partition(".")[0] in (__name__.partition(".")[0], "typing", "collections"):
        return "library"
    if filename == "<string>" and module.startswith("namedtuple_"):
        return "other"
    if filename.startswith((PACKAGE, "<retrograd", "<update rule")):
        return "library"
    if filename.startswith(OUTSIDE) or filename.startswith(("<frozen", "<__array_function__")):
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


class Watch:
    """Sees every call made while it is open.

    Attributes
    ----------
    codes : dict
        The user's code objects that ran, each with the globals it ran in.
    objects : list
        What they were given.
    impure : list of str
        What was done that running a graph would not do again, each with its place.
    """

    def __init__(self) -> None:
        self.codes: dict[types.CodeType, dict[str, Any]] = {}
        self.objects: dict[int, Any] = {}
        self.impure: list[str] = []
        self.flattened = False  # a function was called that is alike for many numbers and does not ask for their values
        self._whose: dict[str, str] = {}

    def __enter__(self) -> Watch:
        self._random = random.getstate()
        numpy_random = sys.modules.get("numpy.random")
        self._numpy = None if numpy_random is None else _legacy(numpy_random)
        self._collects = gc.isenabled()
        gc.disable()  # what a collection calls, wherever it comes, is no part of the function
        self._before = sys.getprofile()
        sys.setprofile(self._event)
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

    def _event(self, frame: Any, event: str, arg: Any) -> None:
        if event == "call":
            code = frame.f_code
            if code in IMPURE_CODES and not (code is ENVIRONMENT and self._asks_itself(frame)):
                self.impure.append(IMPURE_CODES[code])
            owner = self._owner(code.co_filename, frame.f_globals)
            if owner == "user":
                if code not in self.codes:
                    self.codes[code] = frame.f_globals
                count = code.co_argcount + code.co_kwonlyargcount
                count += bool(code.co_flags & 4) + bool(code.co_flags & 8)
                values = frame.f_locals
                for name in code.co_varnames[:count]:
                    value = values.get(name)
                    if value is not None and hasattr(value, "__dict__"):
                        self.objects[id(value)] = value
        elif event == "c_call":
            if getattr(arg, "__module__", None) in ("math", "cmath") and getattr(arg, "__name__", "") in FLAT:
                self.flattened = True
            if arg is builtins.next and self._owner(frame.f_code.co_filename, frame.f_globals) != "user":
                return  # how the standard library runs generators
            if self._is_impure(arg) and not self._asks_itself(frame):
                at = frame
                while at is not None and self._owner(at.f_code.co_filename, at.f_globals) != "user":
                    at = at.f_back
                place = f" ({at.f_code.co_filename}:{at.f_lineno})" if at is not None else ""
                if at is not None:
                    self.impure.append(f"{getattr(arg, '__name__', arg)}() was called{place}")

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

    @staticmethod
    def _is_impure(function: Any) -> bool:
        owner = getattr(function, "__self__", None)
        if isinstance(owner, (random.Random, io.IOBase)):
            return True
        try:
            return getattr(function, "__module__", None) in IMPURE_MODULES or function in IMPURE
        except TypeError:  # an unhashable callable
            return False


def _legacy(numpy_random: Any) -> Any:
    kind, keys, *rest = numpy_random.get_state()
    return kind, keys.tobytes(), rest
