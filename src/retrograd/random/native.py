"""Draws by generated code: the same streams on the same state, from when they are worth making the code for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrograd.core import executors
from retrograd.random.generator import Generator

WORTH = 1 << 20
"""Elements of a kind that NumPy draws before code is made for it."""

_CALL = 1 << 9
"""Elements that a call counts for besides its own."""

_spent: dict[Any, int] = {}
_addresses: dict[Any, int] = {}  # of kernels, 0 where there can be none
_call: list[Any] = []

executors.register("draws", "retrograd.compiler.draws.door:door")


class Plan(NamedTuple):
    """
    A draw as a kernel is asked for it.

    Attributes
    ----------
    draw : str
        The kernel's name.
    dtype : numpy dtype
        That it is made for.
    numbers : tuple
        Its own: floats, integers, and arrays that stand for their addresses.
    """

    draw: str
    dtype: np.dtype[Any]
    numbers: tuple[Any, ...] = ()


def fill(plan: Plan, out: NDArray[Any], generator: Generator) -> bool:
    """Draw into a contiguous array; tell whether it was done, and NumPy need not do it."""
    key = plan[:2]
    address = _addresses.get(key)
    if address is None:
        address = _asked(plan, out.size)
    if not address:
        return False
    with generator.lock:
        _call[0](address, generator.address, out, out.size, *plan.numbers)
    return True


def _asked(plan: Plan, size: int) -> int:
    """Give a kernel's address once its kind has been drawn often enough, or 0."""
    key = plan[:2]
    spent = _spent[key] = _spent.get(key, 0) + size + _CALL
    if spent < WORTH:
        return 0
    door = executors.find("draws")
    made = None if door is None else _door(door)
    address: int = 0 if made is None else made.address(plan.draw, plan.dtype.name)
    _addresses[key] = address
    return address


def _door(door: Any) -> Any:
    found = door()
    if found is not None:
        _call[:] = [found.call]
    return found


__all__ = ["Plan", "fill"]
