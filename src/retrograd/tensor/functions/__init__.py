"""torch's functions, family by family; importing a family registers it."""

from __future__ import annotations

from . import conversion, gathering, indexing, norms, pointwise, products, reductions, scans, shaping, sorting

__all__ = ["conversion", "gathering", "indexing", "norms", "pointwise", "products", "reductions", "scans", "shaping", "sorting"]
