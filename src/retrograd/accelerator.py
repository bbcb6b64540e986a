"""torch.accelerator's questions, answered: the CPU is all there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def is_available() -> bool:
    """Tell whether an accelerator can be used: no."""
    return False


def device_count() -> int:
    """Give the number of accelerators: none."""
    return 0


def current_accelerator(check_available: bool = False) -> Any:
    """Give the current accelerator: None."""
    return None


def _needs_device(name: str) -> Callable[..., Any]:
    def fn(*args: Any, **options: Any) -> Any:
        raise RuntimeError(
            f"Cannot access accelerator device when none is available. (torch.accelerator.{name}: ask "
            "torch.accelerator.is_available() first, which is False)"
        )

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = "Raise RuntimeError: there is no accelerator."
    return fn


set_device_index = set_device_idx = _needs_device("set_device_index")
current_device_index = current_device_idx = _needs_device("current_device_index")
synchronize = _needs_device("synchronize")
current_stream = _needs_device("current_stream")
set_stream = _needs_device("set_stream")
empty_cache = _needs_device("empty_cache")
memory_stats = _needs_device("memory_stats")
memory_allocated = _needs_device("memory_allocated")
max_memory_allocated = _needs_device("max_memory_allocated")
memory_reserved = _needs_device("memory_reserved")
max_memory_reserved = _needs_device("max_memory_reserved")
reset_peak_memory_stats = _needs_device("reset_peak_memory_stats")
reset_accumulated_memory_stats = _needs_device("reset_accumulated_memory_stats")
get_memory_info = _needs_device("get_memory_info")
get_device_capability = _needs_device("get_device_capability")


class device_index:
    """A block on an accelerator by its number; RuntimeError where it is entered."""

    def __init__(self, device: int | None) -> None:
        self.idx = device

    def __enter__(self) -> None:
        if self.idx is not None:
            set_device_index(self.idx)

    def __exit__(self, *error: Any) -> None:
        return None
