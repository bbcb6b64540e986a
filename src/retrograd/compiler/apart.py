"""How a call runs that no program serves as a whole: its statements in pieces, and the modules that it calls by programs of their own."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from ..nn import Module
from ..nn.modules import handles
from .pieces import Pieces, lines_with, target, text_of

MOST_PARTS = 64
MOST_SEEN = 256


class Apart:
    """What is compiled of a function that is not compiled as a whole.

    Parameters
    ----------
    fn : callable
    make : callable
        ``make(function, tree, name)`` gives a compiled function.
    name : str
    tree : ast.FunctionDef, optional
        Its text, if that is no file's.
    """

    def __init__(self, fn: Any, make: Callable[[Any, Any, str], Any], name: str, tree: Any = None) -> None:
        self.fn, self.make, self.name = fn, make, name
        self.function, self.before = target(fn)
        self.tree = tree
        self.pieces: Any = None
        self.parts: dict[int, Any] = {}  # of modules, by identity
        self.seen: dict[int, Any] = {}  # modules that were called, weakly
        self.calls = 0

    @property
    def code(self) -> Any:
        """The code of the user's function, or None."""
        return None if self.function is None else self.function.__code__

    def named(self, name: str) -> set[int]:
        """Give the lines in which a name stands."""
        tree = self._text()
        return set() if tree is None else lines_with(tree, name)

    def _text(self) -> Any:
        if self.tree is None and self.function is not None:
            self.tree = text_of(self.function)
        return self.tree

    def split(self, lines: set[int], asked: Any = frozenset()) -> bool:
        """Take the function apart around these lines; tell whether anything of it is compiled then.

        ``asked`` are those in which a value was asked for and nothing else done.
        """
        if self.pieces is None and lines and self._text() is not None:
            made = Pieces(self.function, self.before, self.tree, lines, self.make, self.name, asked)
            self.pieces = made if made.regions else None
        return self.pieces is not None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        before, handles.SERVER.present = handles.SERVER.present, self
        handles._global_serving.append(self)
        try:
            if self.pieces is not None and not isinstance(self.fn, Module):
                return self.pieces(*args, **kwargs)
            return self.fn(*args, **kwargs)
        finally:
            handles.SERVER.present = before
            handles._global_serving.remove(self)

    def forward_of(self, module: Any) -> Any:
        """Give what runs in place of a module's ``forward``."""
        part = self.parts.get(id(module))
        if part is not None:
            return part
        if module is self.fn:
            return module.forward if self.pieces is None else self.pieces
        before = self.seen.get(id(module))
        if before is None or before[0]() is not module:
            if len(self.seen) < MOST_SEEN:
                self.seen[id(module)] = weakref.ref(module), self.calls
            return module.forward
        if before[1] == self.calls or len(self.parts) >= MOST_PARTS or not _is_worth(module):
            return module.forward
        made = self.parts[id(module)] = self.make(module.forward, None, f"{self.name}, {type(module).__name__}")
        return made


def _is_worth(module: Any) -> bool:
    if getattr(type(module.forward), "is_compiled", False) or "_compiled" in module.__dict__:
        return False
    return next(iter(module.parameters()), None) is not None


@contextlib.contextmanager
def unserved() -> Iterator[None]:
    """Let the modules that are called in this thread meanwhile run as they are."""
    before, handles.SERVER.present = handles.SERVER.present, None
    try:
        yield
    finally:
        handles.SERVER.present = before


__all__ = ["Apart", "unserved"]
