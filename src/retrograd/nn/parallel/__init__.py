"""torch.nn.parallel: modules on several devices, of which there are none here beside the CPU."""

from __future__ import annotations

from typing import Any

from .data_parallel import DataParallel, data_parallel
from .distributed import DistributedDataParallel
from .parallel_apply import parallel_apply
from .replicate import replicate
from .scatter_gather import gather, scatter

__all__ = [
    "DataParallel",
    "DistributedDataParallel",
    "data_parallel",
    "gather",
    "parallel_apply",
    "replicate",
    "scatter",
]


def __getattr__(name: str) -> Any:
    from ...utils._names import missing

    raise missing(__name__, name, globals())
