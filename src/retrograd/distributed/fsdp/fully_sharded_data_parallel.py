"""torch.distributed.fsdp.fully_sharded_data_parallel: the class that programs ask whether a model is one."""

from __future__ import annotations

from typing import Any

from ...nn import Module


class FullyShardedDataParallel(Module):
    """A model that is spread over processes: there is one process, so making one is an error."""

    def __init__(self, module: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        raise RuntimeError(
            "FullyShardedDataParallel: there is one process, so no model is spread over several; use the module itself"
        )


__all__ = ["FullyShardedDataParallel"]
