"""torch.accelerator's questions, answered: the CPU is all there is."""

from __future__ import annotations

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


def synchronize(device: Any = None) -> None:
    """Do nothing: every operation is done when it returns."""


def _refuse(what: str) -> RuntimeError:
    return RuntimeError(
        f"torch.accelerator.{what}: retrograd computes on the CPU; ask torch.accelerator.is_available() first "
        "(it is False)"
    )


def set_device_index(device: Any) -> None:
    """Raise RuntimeError: there is no accelerator."""
    raise _refuse("set_device_index")


def current_device_index() -> int:
    """Raise RuntimeError: there is no accelerator."""
    raise _refuse("current_device_index")


set_device_idx = set_device_index
current_device_idx = current_device_index
