"""SparseAdam, at torch's address."""

from __future__ import annotations

from .sparse import SparseAdam

__all__ = ["SparseAdam"]
