"""Reasons why a run cannot be done again, with the lines of the function at which they came up."""

from __future__ import annotations

import sys
from typing import Any


class Opaque(str):
    """The reason that a function is a single step of its own kind: it breaks a program, but not the promise of a whole graph."""


class Reasons(list[str]):
    """Reasons why a run cannot be replayed, and the lines of one function at which they came up.

    Parameters
    ----------
    code : code object
        The function's.
    """

    def __init__(self, code: Any) -> None:
        super().__init__()
        self.code = code
        self.lines: set[int] = set()

    def append(self, reason: str) -> None:
        """Note a reason, and where the function is."""
        super().append(reason)
        frame: Any = sys._getframe(1)
        while frame is not None and frame.f_code is not self.code:
            frame = frame.f_back
        if frame is not None:
            self.lines.add(frame.f_lineno)


__all__ = ["Opaque", "Reasons"]
