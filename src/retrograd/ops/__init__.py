"""Floor 2: every operation, one row each; the submodules are the table."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from . import (
    after,
    assemble,
    contract,
    conv,
    decompose,
    elementwise,
    fourier,
    index,
    linalg,
    pool,
    reduce,
    shape,
    special_rows,
    triangles,
)

loaded_libraries: set[str] = set()


def load_library(path: str) -> None:
    """Refuse compiled operators, with the exception of a library that is not there: programs go on without it."""
    raise OSError(f"Could not load this library: {path}: compiled operators are not supported; use torch.library")


def __getattr__(name: str) -> Any:
    """Give ``torch.ops.<namespace>``, which `torch.library` fills."""
    if name.startswith("_") or importlib.util.find_spec(f"{__name__}.{name}") is not None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__package__.rpartition('.')[0]}.library").namespace(name)


__all__ = [
    "after",
    "assemble",
    "contract",
    "conv",
    "decompose",
    "elementwise",
    "fourier",
    "index",
    "linalg",
    "pool",
    "reduce",
    "shape",
    "special_rows",
    "triangles",
]
