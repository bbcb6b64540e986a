"""The process's resident memory, and its peak within a block."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import Any


def _status(name: str) -> int | None:
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith(f"{name}:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def give_back() -> None:
    """Let the C library return to the system what it holds for reuse."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class Resident:
    """A block whose peak of resident memory is measured, where the system tells.

    Attributes
    ----------
    added : int or None
        How far the peak in the block was above the level at its start, in bytes.

    Examples
    --------
    >>> import retrograd as torch
    >>> with torch.memory.Resident() as resident:
    ...     x = torch.ones(10_000_000)
    >>> resident.added is None or resident.added > 35_000_000
    True
    """

    added: int | None = None

    def __enter__(self) -> Resident:
        give_back()
        self.start = _status("VmRSS")
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # the peak starts again from here
            self.reset = True
        except OSError:
            self.reset = False
        return self

    def __exit__(self, *exc: Any) -> None:
        peak = _status("VmHWM") if self.reset else None
        self.added = None if peak is None or self.start is None else max(peak - self.start, 0)


__all__ = ["Resident", "give_back"]
