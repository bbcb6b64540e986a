"""What a record calls models and parameters: by their paths, after a variable where there are several, counted where two are alike."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from .roots import modules, tensors


class Names:
    """The names of a record.

    Parameters
    ----------
    only : Module or None
        The one model that is recorded.

    Attributes
    ----------
    roots : dict
        By a model's id, the model, weakly, and what its modules and parameters are called after.
    classes : dict of str to str
        Of modules, by their paths.
    title : str
        The models and their classes; empty until one was called.
    """

    def __init__(self, only: Any) -> None:
        self.only = only
        self.title = ""
        self.roots: dict[int, tuple[Any, str]] = {}
        self.classes: dict[str, str] = {}
        self.wanted: dict[int, tuple[Any, str]] = {}  # what models call their parameters, by id, with weak references,
        self.named: dict[int, tuple[Any, str]] = {}  # and what the record does
        self.given: dict[str, int] = {}  # how many parameters were given a name

    def models(self) -> Iterator[Any]:
        """List the models that were called and are still there."""
        for model, _ in self.roots.values():
            alive = model()
            if alive is not None:
                yield alive

    def root(self, model: Any) -> str:
        """Give what a model's modules and parameters are called by in the record: nothing, where it is the only one."""
        known = self.roots.get(id(model))
        if known is not None and known[0]() is model:
            return known[1]
        name: str | None = ""
        if self.only is None:
            name = modules().get(id(model))
            names = {n for known, n in self.roots.values() if known() is not None}
            if name is None or name in names:
                first = name or ("" if not self.roots else type(model).__name__)
                others = (f"{first or type(model).__name__} ({k})" for k in itertools.count(2))
                name = next(n for n in itertools.chain([first], others) if n not in names)
        self.roots[id(model)] = weakref.ref(model), name or ""
        if self.only is None:
            alive = [(n, type(r()).__name__) for r, n in self.roots.values() if r() is not None]
            self.title = ", ".join(f"{n}: {kind}" if n else kind for n, kind in alive[:8])
        for path, part in model.named_modules():
            self.classes[".".join(p for p in (name, path) if p)] = type(part).__name__
        return name or ""

    def know(self, model: Any) -> None:
        """Note what a model calls its parameters."""
        root = self.root(model)
        for path, p in model.named_parameters():
            name = f"{root}.{path}" if root else path
            if held(self.wanted, p) is None:
                self.wanted[id(p)] = weakref.ref(p), name

    def of(self, p: Any) -> str:
        """Give a parameter's name in the record: the model's, counted where another tensor of the record has it."""
        name = held(self.named, p)
        if name is None:
            wanted = held(self.wanted, p) or f"parameter {len(self.named)}"
            count = self.given[wanted] = self.given.get(wanted, 0) + 1
            name = wanted if count == 1 else f"{wanted} ({count})"
            self.named[id(p)] = weakref.ref(p), name
        return name

    def is_known(self, p: Any) -> bool:
        """Whether a model, or the program by a variable, has a name for a parameter."""
        return held(self.wanted, p) is not None

    def call(self, p: Any, name: str | None) -> None:
        """Let a parameter go by a name, if there is one and it has none yet."""
        if name and not self.is_known(p):
            self.wanted[id(p)] = weakref.ref(p), name

    def find(self, parameters: Iterable[Any]) -> None:
        """Look for variables that hold parameters which have no name."""
        unknown = [p for p in parameters if not self.is_known(p)]
        if any(held(self.named, p) is None for p in unknown):
            called = tensors()
            for p in unknown:
                self.call(p, called.get(id(p)))


def held(names: dict[int, tuple[Any, str]], p: Any) -> str | None:
    """Give the name that is kept for a parameter, if this very one has one."""
    known = names.get(id(p))
    return known[1] if known is not None and known[0]() is p else None
