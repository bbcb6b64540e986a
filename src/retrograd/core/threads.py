"""How many threads generated code may use: one number for the process, which the faces set and the compiler reads."""

from __future__ import annotations

import os

_wanted: list[int] = []


def set_threads(count: int) -> None:
    """Set the number."""
    _wanted[:] = [count]


def threads() -> int:
    """Give the number that was set, or that of the processors this process may use."""
    return _wanted[0] if _wanted else processors()


def processors() -> int:
    """Give the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
