"""Seeing operations go by: every one is told to a method, with the module it runs in."""

from __future__ import annotations

from typing import Any, Self

from ..core import MODE
from ..nn.modules import handles


class Observing:
    """Told of each operation while it is on, by :meth:`_seen`; knows the module that is running.

    Attributes
    ----------
    paths
        Modules' names, by id.
    stack
        The names of the modules that are running, the innermost last.
    """

    def __init__(self, model: Any = None) -> None:
        self.paths: dict[int, str] = {}
        self.stack: list[str] = []
        self.handles: list[Any] = []
        if model is not None:
            self._name(model)

    def _name(self, model: Any) -> None:
        for path, part in model.named_modules() if hasattr(model, "named_modules") else ():
            self.paths.setdefault(id(part), path)

    def __enter__(self) -> Self:
        MODE.observers = (*MODE.observers, self._seen)
        MODE.settle()
        self.handles = [
            handles.register_module_forward_pre_hook(self._enter),
            handles.register_module_forward_hook(self._leave, always_call=True),
        ]
        return self

    def __exit__(self, *exc: Any) -> None:
        for handle in self.handles:
            handle.remove()
        observers = list(MODE.observers)
        observers.remove(self._seen)
        MODE.observers = tuple(observers)
        MODE.settle()
        self.stack.clear()

    def _enter(self, module: Any, args: Any) -> None:
        self.stack.append(self._path(module))

    def _leave(self, module: Any, args: Any, output: Any) -> None:
        if self.stack:
            self.stack.pop()

    def _path(self, module: Any) -> str:
        """Give a module's name; that of the module it runs in, if it is no part of the model."""
        return self.paths.get(id(module), self.module)

    @property
    def module(self) -> str:
        """The name of the innermost module that is running; empty outside of all."""
        return self.stack[-1] if self.stack else ""

    def _seen(self, op: Any, xs: Any, attrs: dict[str, Any], result: Any) -> None:
        raise NotImplementedError


__all__ = ["Observing"]
