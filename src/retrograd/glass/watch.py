"""Watching a forward pass: every value, every operand and the module it was computed in, kept for an explanation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import BaseTensor, Node
from .observing import Observing

COPY = 4096  # elements up to which a value is copied, so that a later write in place does not change what is shown


class Held:
    """An array as it was: a copy of a small one, and of a large one its version."""

    __slots__ = ("array", "storage", "version")

    def __init__(self, tensor: Any) -> None:
        a = tensor._a
        small = a.size <= COPY
        self.array = a.copy() if small else a
        self.storage = None if small else tensor._s
        self.version = tensor._s.version

    def get(self) -> Any:
        """Give the array, or None if it was written since."""
        if self.storage is not None and self.storage.version != self.version:
            return None
        return self.array


class watch(Observing):
    """Keep what an explanation wants to show: the values of all operations inside, constants too, and their modules.

    An explanation of a result that was computed without it shows what the forward pass kept for the backward pass and what
    follows from that, which is enough for every gradient but may leave values of sums open.

    Parameters
    ----------
    module : Module, optional
        Paths are from here; from the outermost module that is called otherwise.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import glass
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> with glass.watch() as seen:
    ...     y = torch.exp(x + 1)
    >>> glass.explain(y, watched=seen).node("x + 1").value.number
    3.0
    """

    def __init__(self, module: Any = None) -> None:
        super().__init__(module)
        self.values: dict[Node, Held] = {}
        self.operands: dict[Node, list[Any]] = {}
        self.modules: dict[Node, str] = {}
        self.made: dict[int, Any] = {}  # results without a history: the tensor, and what made it of what

    def _path(self, module: Any) -> str:
        if id(module) not in self.paths:
            self._name(module)
        return self.paths[id(module)] or type(module).__name__

    def _seen(self, op: Any, xs: Any, attrs: dict[str, Any], result: Any) -> None:
        if isinstance(result, tuple):
            for part in result:
                if part is not None and part._node is not None:
                    self.values[part._node] = Held(part)
            first = next((p._node for p in result if p is not None and p._node is not None), None)
            node = first.inputs[0] if first is not None else None
        else:
            node = result._node
            if node is not None:
                self.values[node] = Held(result)
            else:
                self.made[id(result)] = (result, op.name, [x for x in xs if isinstance(x, BaseTensor)])
        if node is None:
            return
        self.operands[node] = [(x, Held(x)) if isinstance(x, BaseTensor) else (None, np.asarray(x)) for x in xs]
        if self.stack:
            self.modules[node] = self.module


__all__ = ["Held", "watch"]
