"""For those who watch a compiled function from outside: which program would serve a call, and what it writes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core import BaseTensor
from ..tensor.tree import flatten
from .compiled import Compiled


@dataclass
class Served:
    """What would become of a call.

    Attributes
    ----------
    program
        What stands for the program: the same object each time.
    written
        The tensors from outside that it writes. Gradients that it makes anew are not among them: a parameter's ``grad`` is another tensor
        afterwards.
    optimizers
        How many optimizers its guards watch.
    has_endings
        Whether Python runs after it, such as a schedule's step.
    """

    program: Any
    written: list[Any]
    optimizers: int
    has_endings: bool


def served(compiled: Compiled, args: Any, kwargs: Any) -> Served | None:
    """Tell what would become of a call; None if no program serves it, so that it runs as it is."""
    leaves, structure = flatten((args, kwargs))
    given = [x for x in leaves if isinstance(x, BaseTensor)]
    key = compiled._key(leaves, structure)
    if key is None or key in compiled.eager:
        return None
    with compiled.lock:
        for entry in compiled.serving(key):
            if entry.takes(leaves) and entry.fits(given):
                found = []
                for k in {k for k in entry.targets if isinstance(k, int)}:
                    kind, source = entry.sources[k]
                    found.append(entry.holder(kind, source, given, ()))
                tensors = [t for t in found if t is not None]
                return Served(entry, tensors, len(entry.guards.optimizers), bool(entry.endings))
    return None


__all__ = ["Served", "served"]
