"""Small helpers of the layers: one number for every axis, or one number each."""

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
