"""torch.cuda's questions, answered: there is no CUDA device here."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """Tell whether a CUDA device can be used: no."""
    return False


def device_count() -> int:
    """Give the number of CUDA devices: none."""
    return 0


def is_initialized() -> bool:
    """Tell whether CUDA was initialised: no."""
    return False


def is_bf16_supported(*args: Any) -> bool:
    """Tell whether a CUDA device computes in bfloat16: no."""
    return False


def manual_seed(seed: int) -> None:
    """Accept a seed for devices that are not there."""


def manual_seed_all(seed: int) -> None:
    """Accept a seed for devices that are not there."""


def empty_cache() -> None:
    """Do nothing: there is no cache."""


def synchronize(device: Any = None) -> None:
    """Do nothing: every operation is done when it returns."""


def memory_allocated(device: Any = None) -> int:
    """Give the bytes used on CUDA devices: none."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Do nothing: there is nothing to reset."""


def _refuse(what: str) -> RuntimeError:
    return RuntimeError(
        f"torch.cuda.{what}: retrograd computes on the CPU; ask torch.cuda.is_available() first (it is False)"
    )


def current_device() -> int:
    """Raise RuntimeError: there is no CUDA device."""
    raise _refuse("current_device")


def get_device_name(device: Any = None) -> str:
    """Raise RuntimeError: there is no CUDA device."""
    raise _refuse("get_device_name")


def get_device_properties(device: Any = None) -> Any:
    """Raise RuntimeError: there is no CUDA device."""
    raise _refuse("get_device_properties")


def set_device(device: Any) -> None:
    """Raise RuntimeError: there is no CUDA device."""
    raise _refuse("set_device")
