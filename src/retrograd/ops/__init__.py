"""Floor 2: every operation, one row each; the submodules are the table."""

from __future__ import annotations

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
