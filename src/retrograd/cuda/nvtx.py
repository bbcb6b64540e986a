"""torch.cuda.nvtx: markers for NVIDIA's profiler, which need CUDA."""

from __future__ import annotations

from typing import Any


def _refuse(*args: Any, **options: Any) -> Any:
    """Raise RuntimeError: there is no CUDA."""
    raise RuntimeError("NVTX functions not installed. Are you sure you have a CUDA build?")


range_push = range_pop = range_start = range_end = mark = range = _refuse

__all__ = ["mark", "range", "range_end", "range_pop", "range_push", "range_start"]
