"""torch.utils: tools around a model."""

from __future__ import annotations

import importlib
from typing import Any

from ..tensor.swapping import swap_tensors
from . import data

__all__ = ["data", "swap_tensors"]

_LATER = (
    "_pytree",
    "benchmark",
    "checkpoint",
    "deterministic",
    "dlpack",
    "flop_counter",
    "hooks",
    "model_zoo",
    "tensorboard",
)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
