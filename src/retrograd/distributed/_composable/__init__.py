"""torch.distributed._composable: what changes a model in place so that processes share it; see `fsdp`."""

from __future__ import annotations

from .fsdp import fully_shard

__all__ = ["fully_shard"]
