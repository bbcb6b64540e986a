"""Warnings that point at the user's line, however deep in the library they are given."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from .place import here, line_of


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Give a warning at the innermost line on the stack that is outside the library; filters see that file and line."""
    place = here(2)
    found = line_of(place)
    if place is None or found is None:
        warnings.warn(message, category, stacklevel=2)
        return
    frame: Any = sys._getframe(1)
    while frame.f_code is not place[0]:
        frame = frame.f_back
    space = frame.f_globals
    warnings.warn_explicit(
        message,
        category,
        *found,
        module=space.get("__name__") or found[0],
        registry=space.setdefault("__warningregistry__", {}),
    )
