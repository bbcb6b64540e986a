"""Nested tuples, lists and dicts taken apart into leaves and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """Give the leaves of nested containers, and the structure that ``unflatten`` wants."""
    if isinstance(tree, dict):
        keys = list(tree)
        parts = [flatten(tree[k]) for k in keys]
        return [v for leaves, _ in parts for v in leaves], (type(tree), keys, [spec for _, spec in parts])
    if isinstance(tree, (tuple, list)):
        parts = [flatten(v) for v in tree]
        return [v for leaves, _ in parts for v in leaves], (type(tree), None, [spec for _, spec in parts])
    return [tree], None


def unflatten(leaves: list[Any], spec: Any) -> Any:
    """Put leaves back into the structure they came from."""
    rest = iter(leaves)
    return _build(rest, spec)


def _build(rest: Any, spec: Any) -> Any:
    if spec is None:
        return next(rest)
    kind, keys, parts = spec
    values = [_build(rest, p) for p in parts]
    if keys is not None:
        made = dict(zip(keys, values, strict=True))
        return made if kind is dict else kind(made)
    if hasattr(kind, "_fields"):
        return kind(*values)
    return kind(values)


def tree_map(fn: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to each leaf."""
    leaves, spec = flatten(tree)
    return unflatten([fn(v) for v in leaves], spec)
