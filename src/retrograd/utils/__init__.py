"""torch.utils: tools around a model."""

from __future__ import annotations

from . import data

__all__ = ["data"]
