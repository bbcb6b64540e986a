"""Which lines of a function change what is outside of it, found by looking after each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ..tensor.tree import flatten
from .guards import _same, _state
from .stores import KINDS, keeps, present


def lines_of_changes(code: Any, guards: Any, tree: Any, run: Callable[[], Any]) -> tuple[Any, set[int]]:
    """Run something, and give its result and the lines of a function that changed what the guards note, or the arguments' containers."""
    lines: set[int] = set()
    left = [*guards.entries, *[("dict", *e) for e in guards.numbers]]
    last: int | None = None
    before: Any = None

    def others() -> Any:
        return contents_of(tree), [a.tobytes() for a, _, _ in guards.arrays], [_state(g) for g, _ in guards.generators]

    def line(frame: Any, event: str, arg: Any) -> Any:
        nonlocal left, last, before
        if event not in ("line", "return"):
            return line
        changed = [e for e in left if not _same(*e[:4])]
        gone = {id(e) for e in changed}
        left = [e for e in left if id(e) not in gone] if gone else left
        now = others()
        if (
            now != before or any(e[0] not in KINDS or not keeps(present(*e[:3])) for e in changed)
        ) and last is not None:
            lines.add(last)
        before, last = now, frame.f_lineno
        return line

    if sys.gettrace() is not None:  # a debugger's
        return run(), lines
    before = others()
    sys.settrace(lambda frame, event, arg: line if frame.f_code is code else None)
    try:
        return run(), lines
    finally:
        sys.settrace(None)


def contents_of(tree: Any) -> Any:
    """Give what nested containers hold, to be compared."""
    leaves, structure = flatten(tree)
    return repr(structure), list(map(id, leaves))


__all__ = ["contents_of", "lines_of_changes"]
