"""Where large matrix products come from: a copy of the OpenBLAS that NumPy brings, loaded beside it for this machine's vectors.

NumPy's own is set up when NumPy is first imported, perhaps before this library: it takes kernels for processors that it knows by
name, and misses AVX-512 on others (DESIGN: 121 against 231 GFLOP/s a core). The copy takes its kernels by
instruction set (RETROGRAD_BLAS_CORETYPE names others), computes on the calling thread only, and is called by address from
generated code; threads are this library's own.
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any

import numpy as np

from .jit import host

NAMES = {"f32": "scipy_cblas_sgemm64_", "f64": "scipy_cblas_dgemm64_"}
SETTINGS = ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OPENBLAS_L2_SIZE")  # the copy has its own


def _path() -> str | None:
    folder = os.path.join(os.path.dirname(os.path.dirname(np.__file__)), "numpy.libs")
    found = [n for n in sorted(os.listdir(folder)) if "openblas64" in n] if os.path.isdir(folder) else []
    return os.path.join(folder, found[0]) if found else None


@functools.cache
def library() -> Any:
    """Give the library, or None where NumPy has another than OpenBLAS."""
    path = _path()
    if path is None:
        return None
    try:
        lib = _copied(path)
    except (OSError, AttributeError):
        lib = None
    if lib is None:
        lib = ctypes.CDLL(path)
    return lib if all(hasattr(lib, n) for n in NAMES.values()) else None


def _copied(path: str) -> Any:
    """Load a second copy, from memory, so that neither its kernels nor its threads are those of NumPy's."""
    with open(path, "rb") as file:
        image = file.read()
    handle = os.memfd_create("retrograd-openblas")
    before = {name: os.environ.pop(name, None) for name in SETTINGS}
    try:
        with os.fdopen(handle, "wb", closefd=False) as copy:
            copy.write(image)
        wanted = os.environ.get("RETROGRAD_BLAS_CORETYPE") or ("SKYLAKEX" if "avx512f" in host().enabled else "")
        if wanted:
            os.environ["OPENBLAS_CORETYPE"] = wanted
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        return ctypes.CDLL(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def core_name() -> str:
    """Give the name of the processor whose kernels are used."""
    lib = library()
    if lib is None:
        return ""
    ask = lib.scipy_openblas_get_corename64_
    ask.restype = ctypes.c_char_p
    return str(ask().decode())


@functools.cache
def gemm(kind: str) -> int:
    """Give the address of ``cblas_sgemm`` or ``cblas_dgemm`` with 64-bit integers, or 0."""
    lib = library()
    return 0 if lib is None else int(ctypes.cast(getattr(lib, NAMES[kind]), ctypes.c_void_p).value or 0)


@functools.cache
def numpys(kind: str) -> int:
    """Give the address of the very function by which NumPy multiplies matrices, or 0 where it has another library."""
    path = _path()
    if path is None or not hasattr(os, "RTLD_NOLOAD"):
        return 0
    try:
        lib = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        return int(ctypes.cast(getattr(lib, NAMES[kind]), ctypes.c_void_p).value or 0)
    except (OSError, AttributeError):
        return 0
