"""Several modules called on an input each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["parallel_apply"]


def parallel_apply(modules: Sequence[Any], inputs: Sequence[Any], kwargs_tup: Any = None, devices: Any = None) -> Any:
    """Call modules on other devices at the same time: RuntimeError, as there are none.

    Parameters
    ----------
    modules : sequence of Module
        What would be called.
    inputs : sequence
        The arguments of each.
    kwargs_tup : sequence of dict, optional
        The named arguments of each.
    devices : sequence, optional
        Where each would run.
    """
    if len(modules) != len(inputs):
        raise AssertionError(f"The number of modules {len(modules)} is not equal to the number of inputs {len(inputs)}")
    if devices is not None:
        raise ValueError(f"Expected a cuda device, but got: {devices[0]}")
    raise RuntimeError("Cannot access accelerator device when none is available: call the modules one by one")
