"""torch.xpu's questions, answered: there is no XPU device here."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any


def is_available() -> bool:
    """Tell whether a XPU device can be used: no."""
    return False


def is_initialized() -> bool:
    """Tell whether there is a XPU that was initialised: no."""
    return False


def is_bf16_supported(*args: Any) -> bool:
    """Tell whether a XPU computes in bfloat16: no."""
    return False


def device_count() -> int:
    """Give the number of XPU devices: none."""
    return 0


def manual_seed(seed: int) -> None:
    """Accept a seed for a device that is not there."""


def manual_seed_all(seed: int) -> None:
    """Accept a seed for devices that are not there."""


def seed() -> None:
    """Do nothing: there is no generator."""


def get_rng_state_all() -> list[Any]:
    """Give the states of all devices' generators: there are none."""
    return []


def empty_cache() -> None:
    """Do nothing: there is no cache."""


def memory_allocated(device: Any = None) -> int:
    """Give the bytes used on XPUs: none."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def memory_stats(device: Any = None) -> OrderedDict[str, Any]:
    """Give what is known of the memory: nothing."""
    return OrderedDict()


def _needs_device(name: str) -> Callable[..., Any]:
    def fn(*args: Any, **options: Any) -> Any:
        raise AssertionError(
            f"Torch not compiled with XPU enabled (torch.xpu.{name}): ask torch.xpu.is_available() first"
        )

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = "Raise AssertionError: there is no XPU."
    return fn


synchronize = _needs_device("synchronize")
current_device = _needs_device("current_device")
get_device_name = _needs_device("get_device_name")
get_device_properties = _needs_device("get_device_properties")
set_device = _needs_device("set_device")
current_stream = _needs_device("current_stream")
init = _needs_device("init")
