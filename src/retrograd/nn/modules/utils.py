"""Small helpers of the layers: one number for every axis, or one number each; keys of state dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    def parse(x: Any) -> tuple[Any, ...]:
        return tuple(x) if isinstance(x, Iterable) else (x,) * n

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(t: tuple[Any, ...], n: int) -> tuple[Any, ...]:
    """Give the entries in reverse order, each ``n`` times: axis sizes as ``pad`` wants them, last axis first."""
    return tuple(x for x in reversed(t) for _ in range(n))


def _list_with_default(out_size: list[int], defaults: list[int]) -> Any:
    """Give the sizes, each that is None replaced by the last entries of the defaults; ValueError for too few of these."""
    if isinstance(out_size, (int, float)):
        return out_size
    if len(defaults) <= len(out_size):
        raise ValueError(f"Input dimension should be at least {len(out_size) + 1}")
    known = defaults[-len(out_size) :]
    return [default if size is None else size for size, default in zip(out_size, known, strict=True)]


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Strip a prefix from the keys of a state dictionary in place, such as the "module." of a parallel module.

    Parameters
    ----------
    state_dict : dict
        Such as ``state_dict()`` gives; its metadata is stripped, too.
    prefix : str
        What is taken away.

    Examples
    --------
    >>> from retrograd import nn
    >>> state = {"module.weight": 1, "bias": 2}
    >>> nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    >>> state
    {'bias': 2, 'weight': 1}
    """
    for key in [key for key in state_dict if key.startswith(prefix)]:
        state_dict[key[len(prefix) :]] = state_dict.pop(key)
    metadata: Any = getattr(state_dict, "_metadata", None)
    for key in list(metadata or ()):
        if key.startswith(prefix) or key == prefix.rstrip("."):
            metadata[key[len(prefix) :]] = metadata.pop(key)


def pairs_of(given: Any, owner: str) -> list[tuple[str, Any]]:
    """Give the pairs of a mapping or of an iterable of pairs, with torch's errors for anything else."""
    if hasattr(given, "items"):
        return list(given.items())
    if not isinstance(given, Iterable):
        wanted = f"{owner}.update should be called with an iterable of key/value pairs"
        raise TypeError(f"{wanted}, but got {type(given).__name__}")
    pairs = []
    for position, pair in enumerate(given):
        if not isinstance(pair, Iterable):
            found = type(pair).__name__
            raise TypeError(f"{owner} update sequence element #{position} should be Iterable; is {found}")
        key_and_value = tuple(pair)
        if len(key_and_value) != 2:
            found = str(len(key_and_value))
            raise ValueError(f"{owner} update sequence element #{position} has length {found}; 2 is required")
        pairs.append(key_and_value)
    return pairs
