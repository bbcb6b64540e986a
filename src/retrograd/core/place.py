"""Where in the user's code an operation was called, kept as (code object, instruction offset): never a frame."""

from __future__ import annotations

import linecache
import os
import sys
from types import CodeType
from typing import Any

LIBRARY = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

Place = tuple[CodeType, int]
_getframe = sys._getframe
_inside: dict[int, bool] = {}
_kept: list[CodeType] = []  # the code objects behind the ids, so that an id stays its own


def _is_inside(code: CodeType) -> bool:
    inside = code.co_filename.startswith(LIBRARY) or code.co_filename.startswith("<retrograd")
    _inside[id(code)] = inside
    _kept.append(code)
    return inside


def here(depth: int = 1) -> Place | None:
    """Give the innermost place on the stack that is outside the library; the first ``depth`` frames are known to be inside."""
    frame: Any = _getframe(depth)
    known = _inside
    while frame is not None:
        code = frame.f_code
        inside = known.get(id(code))
        if inside is None:
            inside = _is_inside(code)
        if not inside:
            return code, frame.f_lasti
        frame = frame.f_back
    return None


def line_of(place: Place | None) -> tuple[str, int] | None:
    """Give (file, line) of a place."""
    if place is None:
        return None
    code, offset = place
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= offset < end and number is not None:
            line = number
    return code.co_filename, line


def describe(place: Place | None) -> str:
    """Write a place as ``file:line, in function: source``."""
    found = line_of(place)
    if found is None or place is None:
        return "an unknown place"
    name, line = found
    source = linecache.getline(name, line).strip()
    where = f"{os.path.relpath(name) if os.path.isabs(name) and not os.path.relpath(name).startswith('..') else name}:{line}, in {place[0].co_name}"
    return f"{where}: {source}" if source else where
