"""torch.mps's questions, answered: there is no Metal device here."""

from __future__ import annotations


def is_available() -> bool:
    """Tell whether a Metal device can be used: no."""
    return False


def device_count() -> int:
    """Give the number of Metal devices: none."""
    return 0


def manual_seed(seed: int) -> None:
    """Accept a seed for a device that is not there."""


def empty_cache() -> None:
    """Do nothing: there is no cache."""


def synchronize() -> None:
    """Do nothing: every operation is done when it returns."""
