"""torch.utils.data.distributed: one process's share of the indices."""

from __future__ import annotations

from ...data.distributed import DistributedSampler

__all__ = ["DistributedSampler"]
