"""torch.utils.data._utils: what programs use of the loader's inside."""

from __future__ import annotations

from . import collate, worker

__all__ = ["collate", "worker"]
