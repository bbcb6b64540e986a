"""Copies of a module on other devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["replicate"]


def replicate(network: Any, devices: Sequence[Any], detach: bool = False) -> list[Any]:
    """Copy a module to other devices: none for none, and AssertionError for any, as there are none.

    Parameters
    ----------
    network : Module
        What would be copied.
    devices : sequence
        Where to.
    detach : bool
        Whether the copies' parameters would be without history.
    """
    if len(devices):
        raise AssertionError("Broadcast function not implemented for CPU tensors: there is no device beside the CPU")
    return []
