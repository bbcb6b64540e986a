"""Products of two matrices by NumPy's BLAS, on one thread where two would wait for each other longer than they work.

OpenBLAS splits every product above 2^18 multiply-adds over its threads. Below about 2^19 the hand-over costs what it gains, and where
another process has a core, it costs several times as much; so such products are run on one thread, and the number is put back.
"""

from __future__ import annotations

import ctypes
import glob
import os
from typing import Any

import numpy as np

SPLIT, WORTH = 1 << 18, 1 << 19  # multiply-adds: OpenBLAS splits above the first; it pays above the second


def _threads_of_openblas() -> tuple[Any, int]:
    """Give the function that sets the number of threads of NumPy's own OpenBLAS, and their number; (None, 1) without one."""
    folder = os.path.join(os.path.dirname(os.path.dirname(np.__file__)), "numpy.libs")
    for path in glob.glob(os.path.join(folder, "*openblas*")):
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("64_", ""):
                setter = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
                getter = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
                if setter is not None and getter is not None:
                    setter.argtypes, setter.restype = [ctypes.c_int], None
                    return setter, int(getter())
    return None, 1


_set_threads, _threads = _threads_of_openblas()
_alone = _set_threads is None or _threads == 1


def dot(x: Any, y: Any) -> Any:
    """Multiply two matrices of one dtype."""
    if _alone:
        return np.dot(x, y)
    work = x.size * y.shape[1]
    if work <= SPLIT or work >= WORTH:
        return np.dot(x, y)
    _set_threads(1)
    try:
        return np.dot(x, y)
    finally:
        _set_threads(_threads)
