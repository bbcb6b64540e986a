"""torch.mps's questions, answered: there is no Metal device here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def is_available() -> bool:
    """Tell whether a Metal device can be used: no."""
    return False


def device_count() -> int:
    """Give the number of Metal devices: none."""
    return 0


def manual_seed(seed: int) -> None:
    """Accept a seed for a device that is not there."""


def seed() -> None:
    """Do nothing: there is no generator."""


def _needs_device(name: str) -> Callable[..., Any]:
    def fn(*args: Any, **options: Any) -> Any:
        raise RuntimeError(f"Cannot execute {name}() without MPS backend: ask torch.backends.mps.is_available() first")

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = "Raise RuntimeError: there is no Metal device."
    return fn


empty_cache = _needs_device("empty_cache")
synchronize = _needs_device("synchronize")
current_allocated_memory = _needs_device("current_allocated_memory")
driver_allocated_memory = _needs_device("driver_allocated_memory")
recommended_max_memory = _needs_device("recommended_max_memory")
set_per_process_memory_fraction = _needs_device("set_per_process_memory_fraction")
get_rng_state = _needs_device("get_rng_state")
set_rng_state = _needs_device("set_rng_state")
