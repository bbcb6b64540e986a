"""How many threads generated code and NumPy's library for matrices may use: one number for the process, which the faces set."""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
from collections.abc import Callable

_wanted: list[int] = []
told: list[Callable[[], None]] = []  # what is called when the number is set
# what libraries for matrices call the function that sets their number of threads
SETTERS = (
    *("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads64_"),
    *("openblas_set_num_threads", "MKL_Set_Num_Threads", "bli_thread_set_num_threads"),
)
NAMES = ("openblas", "libmkl_rt", "blis")


def set_threads(count: int) -> None:
    """Set the number, for generated code and for the libraries for matrices that are loaded now."""
    _wanted[:] = [count]
    for tell in told:
        tell()
    for path in _libraries():
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(path, mode=getattr(os, "RTLD_NOLOAD", 0) | getattr(os, "RTLD_NOW", 0))
            setter = next((getattr(library, name) for name in SETTERS if hasattr(library, name)), None)
            if setter is not None:
                setter(ctypes.c_int(count))


def _libraries() -> list[str]:
    """Give the files of the libraries for matrices in this process."""
    found = []
    try:
        with open("/proc/self/maps") as lines:
            found = [line.split(maxsplit=5)[-1].strip() for line in lines]
    except OSError:  # another system: what came with NumPy, which is loaded
        import numpy as np

        for folder in (os.path.join(os.path.dirname(np.__file__), ".dylibs"), os.path.dirname(np.__file__) + ".libs"):
            found += glob.glob(os.path.join(folder, "*"))
    named = [p for p in dict.fromkeys(found) if any(name in os.path.basename(p) for name in NAMES)]
    return [p for p in named if os.path.isfile(p)]  # a copy of one's own, from memory, is none


def threads() -> int:
    """Give the number that was set, or that of the processors this process may use."""
    return _wanted[0] if _wanted else processors()


def processors() -> int:
    """Give the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
