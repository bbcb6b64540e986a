"""What torch keeps here for its own layers and some programs take: functions with ``apply``."""

from __future__ import annotations

from typing import Any

from .normalization import CrossMapLRN2d as _CrossMapLRN2d

__all__ = ["CrossMapLRN2d", "SyncBatchNorm"]


class CrossMapLRN2d:
    """`nn.CrossMapLRN2d` as a function."""

    @staticmethod
    def apply(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> Any:
        """Divide by the activity of neighbouring channels."""
        return _CrossMapLRN2d(size, alpha, beta, k)(input)


class SyncBatchNorm:
    """Batch normalisation over several processes, of which there is one."""

    @staticmethod
    def apply(*args: Any) -> Any:
        """Raise RuntimeError: there is no group of processes."""
        raise RuntimeError(
            "SyncBatchNorm needs a process group, and this library runs in one process: nn.BatchNorm2d does the same"
        )
