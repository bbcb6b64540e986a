"""Floor 2: every operation, one row each; the submodules are the table."""

from __future__ import annotations

from . import contract, elementwise, index, reduce, shape

__all__ = ["contract", "elementwise", "index", "reduce", "shape"]
