"""Floor 7: what training keeps in memory: counted, bounded by a budget, computed again, reversed, or put on disk.

>>> import retrograd as torch
>>> torch.memory.bytes_of("8GB")
8000000000
"""

from __future__ import annotations

import importlib
from typing import Any

from .saving import (
    GradientEdge,
    allow_mutation_on_saved_tensors,
    disable_saved_tensors_hooks,
    get_gradient_edge,
    increment_version,
    register_multi_grad_hook,
    save_on_cpu,
    saved_tensors_hooks,
)

_HOMES = {
    "BudgetError": "budget",
    "Counter": "counter",
    "Report": "report",
    "Resident": "resident",
    "accumulate": "parts",
    "bytes_of": "budget",
    "bytes_there": "budget",
    "memory_budget": "budget",
    "memory_report": "report",
    "save_on_disk": "disk",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(sorted(_HOMES))}")
    found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


__all__ = list(_HOMES)
