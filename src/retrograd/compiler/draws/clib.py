"""The C library's functions in generated code: PyTorch's scalar kernels call them, so their last bit is part of the stream."""

from __future__ import annotations

import ctypes
import functools
import math
from typing import Any

import numpy as np

from ..codegen.emit import Value
from ..codegen.lanes import Lanes
from ..runtime import jit

NAMES = ("log", "log1p", "exp", "sin", "cos", "tan", "sincos")


def called(l: Lanes, name: str, x: Value) -> Value:
    """Write: a function of one float64 number, by the C library that Python's ``math`` calls."""
    return l.f.call(l.f.module.declare(f"rg_c_{name}", "double", ["double"]), "double", [("double", x)])


def circle(l: Lanes, angle: Value) -> tuple[Value, Value]:
    """Write: cosine and sine of an angle in [0, 2 pi), in one call where the C library has one that gives the same bits."""
    if not _has_both():
        return called(l, "cos", angle), called(l, "sin", angle)
    sin, cos = l.f.alloca("double"), l.f.alloca("double")
    both = l.f.module.declare("rg_c_sincos", "void", ["double", "ptr", "ptr"])
    l.f.call(both, arguments=[("double", angle), ("ptr", sin), ("ptr", cos)])
    return l.f.load("double", cos), l.f.load("double", sin)


@functools.cache
def _has_both() -> bool:
    """Tell whether sincos is there and agrees with sin and cos, on the quadrants' ends and between."""
    address = symbols().get("rg_c_sincos")
    if address is None:
        return False
    both: Any = ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p)(address)
    found = np.zeros(2)
    sin, cos = found.ctypes.data, found.ctypes.data + 8
    quarters = [k * math.pi / 8 + d for k in range(17) for d in (-1e-9, 0.0, 1e-9)]
    for angle in (*quarters, *(2 * math.pi * np.random.RandomState(1).random_sample(2000)).tolist()):
        both(angle, sin, cos)
        if found[0] != math.sin(angle) or found[1] != math.cos(angle):
            return False
    return True


@functools.cache
def symbols() -> dict[str, int]:
    """Give the functions' addresses by the names that generated code calls them by."""
    found: dict[str, int] = {}
    for library in jit._c_libraries():
        for name in NAMES:
            function = getattr(library, name, None)
            if function is not None:
                found.setdefault(f"rg_c_{name}", int(ctypes.cast(function, ctypes.c_void_p).value or 0))
    return found
