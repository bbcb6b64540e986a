"""For those who watch a compiled function from outside: what the program that would serve a call writes to."""

from __future__ import annotations

from typing import Any

from ..core import BaseTensor
from ..tensor.tree import flatten
from .compiled import Compiled


def written(compiled: Compiled, args: Any, kwargs: Any) -> list[Any] | None:
    """Give the tensors from outside that a call would write, or None if no program serves it, so that it runs as it is.

    Gradients that it makes anew are not among them: a parameter's ``grad`` is another tensor afterwards.
    """
    leaves, structure = flatten((args, kwargs))
    given = [x for x in leaves if isinstance(x, BaseTensor)]
    key = compiled._key(leaves, structure)
    if key is None or key in compiled.eager:
        return None
    with compiled.lock:
        for entry in compiled.entries.get(key, ()):
            if entry.takes(leaves) and entry.fits(given):
                found = []
                for k in {k for k in entry.targets if isinstance(k, int)}:
                    kind, source = entry.sources[k]
                    found.append(given[source] if kind == "given" else source._grad if kind == "grad" else source)
                return [t for t in found if t is not None]
    return None
