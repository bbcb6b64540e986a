"""Two tensors exchanged, so that whoever holds one of them holds what the other was."""

from __future__ import annotations

import weakref
from typing import Any

from ..core import BaseTensor
from ..core.node import Hooks

_SLOTS = ("_a", "_s", "_node", "_base", "_steps", "_seen", "_grad")


def _held(t: Any, slot: str) -> Any:
    return getattr(BaseTensor, slot).__get__(t)


def _take(t: Any, slots: dict[str, Any]) -> None:
    for slot in _SLOTS:
        place = getattr(BaseTensor, slot)
        if slot in slots:
            place.__set__(t, slots[slot])
        elif _has(t, slot):
            place.__delete__(t)
    node = slots.get("_node")
    if node is not None and node.op is None and node.hooks is not None and node.hooks.owner is not None:
        node.hooks.owner = weakref.ref(t)
        Hooks.changes += 1  # programs that know the leaf look again


def _has(t: Any, slot: str) -> bool:
    try:
        _held(t, slot)
    except AttributeError:
        return False
    return True


def swap_tensors(t1: Any, t2: Any) -> None:
    """Exchange two tensors: values, histories, gradients, classes and attributes; the objects stay where they are.

    Views of either go on to follow the object that they were taken from.

    Raises
    ------
    AttributeError
        One of them is no tensor.

    Examples
    --------
    >>> import retrograd as torch
    >>> a, b = torch.zeros(2), torch.ones(3)
    >>> torch.utils.swap_tensors(a, b)
    >>> a
    tensor([1., 1., 1.])
    """
    for t in (t1, t2):
        if not isinstance(t, BaseTensor):
            raise AttributeError(f"swap_tensors: a tensor is exchanged for a tensor, and this is {type(t).__name__}")
    if t1 is t2:
        return
    slots = [{slot: _held(t, slot) for slot in _SLOTS if _has(t, slot)} for t in (t1, t2)]
    t1.__class__, t2.__class__ = type(t2), type(t1)
    attributes = dict(t1.__dict__)
    t1.__dict__.clear()
    t1.__dict__.update(t2.__dict__)
    t2.__dict__.clear()
    t2.__dict__.update(attributes)
    _take(t1, slots[1])
    _take(t2, slots[0])


__all__ = ["swap_tensors"]
