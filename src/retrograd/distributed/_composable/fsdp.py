"""torch.distributed._composable.fsdp: an older place of `retrograd.distributed.fsdp.fully_shard`."""

from __future__ import annotations

from ..fsdp.fully_shard import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard

__all__ = ["CPUOffloadPolicy", "FSDPModule", "MixedPrecisionPolicy", "OffloadPolicy", "fully_shard"]
