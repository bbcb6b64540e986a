"""torch's functions, family by family; importing a family registers it."""

from __future__ import annotations

from . import (
    arithmetic,
    comparing,
    complex_parts,
    conversion,
    diagonals,
    einsum,
    extremes,
    gathering,
    indexing,
    joining,
    masking,
    norms,
    pointwise,
    products,
    reductions,
    repeating,
    scans,
    shaping,
    sorting,
    statistics,
)

__all__ = [
    "arithmetic",
    "comparing",
    "complex_parts",
    "conversion",
    "diagonals",
    "einsum",
    "extremes",
    "gathering",
    "indexing",
    "joining",
    "masking",
    "norms",
    "pointwise",
    "products",
    "reductions",
    "repeating",
    "scans",
    "shaping",
    "sorting",
    "statistics",
]
