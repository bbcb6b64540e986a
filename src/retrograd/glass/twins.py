"""Copying a model that is looked at: what a deep copy refuses or would lose."""

from __future__ import annotations

import copy
from typing import Any

from ..core import BaseTensor

_OWN = f"{__name__.partition('.')[0]}.nn.utils."


def tensors_of(thing: Any) -> list[Any]:
    """List the tensors in nested data."""
    if isinstance(thing, BaseTensor):
        return [thing]
    if isinstance(thing, dict):
        thing = list(thing.values())
    return [t for part in thing for t in tensors_of(part)] if isinstance(thing, (list, tuple)) else []


def array_of(g: Any) -> Any:
    """Give a gradient's array, a sparse one's too."""
    return g.to_dense()._a if getattr(g, "_composite", False) else g._a


def without_histories(model: Any, memo: dict[int, Any]) -> dict[int, Any]:
    """Put copies into a memo for ``deepcopy`` of what a model holds with a history: a state from the last call, or a weight that a hook computes.

    A deep copy of such a tensor is an error, as its history would have to be copied, too.
    """
    for module in model.modules() if hasattr(model, "modules") else ():
        for value in vars(module).values():
            for t in tensors_of(value):
                if not t.is_leaf and id(t) not in memo:
                    memo[id(t)] = t.detach().clone()
                    memo.setdefault(id(memo), []).append(t)  # deepcopy's way of keeping what a memo names alive
    return memo


def twin(model: Any) -> Any:
    """Copy a model whole."""
    return copy.deepcopy(model, without_histories(model, {}))


def is_the_models(hook: Any) -> bool:
    """Tell whether a hook computes a weight, as weight normalisation and pruning do, and so belongs to what a model computes."""
    return any(c.__module__.startswith(_OWN) for c in type(hook).__mro__)


__all__ = ["array_of", "is_the_models", "tensors_of", "twin", "without_histories"]
