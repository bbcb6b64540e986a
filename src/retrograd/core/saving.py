"""What may be kept in another form until the backward walk: the place where saved values are handed to a keeper and fetched from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .node import Node, Storage

STILL = Storage(None)  # type: ignore[arg-type]  # the version of a value that a keeper answers for never changes


class Held:
    """A saved value that somebody else keeps; ``fetch`` gives what a node would have saved: (array, Storage, version)."""

    __slots__ = ()

    def fetch(self) -> tuple[Any, Storage, int]:
        """Bring the value back."""
        raise NotImplementedError


class SavedInputs:
    """Stands where a node's list of saved inputs would be; a value is fetched when a rule's turn comes to read it."""

    __slots__ = ("entries",)

    def __init__(self, entries: list[Any]) -> None:
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Any]:
        for entry in self.entries:
            yield entry.fetch() if isinstance(entry, Held) else entry


class SavedResult:
    """Stands where a node's saved (array, Storage, version) of its result would be."""

    __slots__ = ("entry",)

    def __init__(self, entry: Held) -> None:
        self.entry = entry

    def __getitem__(self, i: int) -> Any:
        return self.entry.fetch()[0] if i == 0 else STILL if i == 1 else 0

    def __iter__(self) -> Iterator[Any]:
        return iter(self.entry.fetch())


class Keeper:
    """Decides what becomes of each value that a node saves while this is ``MODE.saving``."""

    def keep(self, tensor: Any, node: Node, i: int) -> Any:
        """Give a ``Held`` for input ``i`` of a node, or for its result (-1); None leaves the value with the node."""
        raise NotImplementedError

    def recorded(self, node: Node, xs: Any, t: Any) -> None:
        """Take over what a fresh node saved; ``t`` is its result, not yet tied to the node, so that keeping it makes no cycle."""
        saved: Any = node.saved
        if saved:
            entries = [
                entry if entry.__class__ is not tuple else self.keep(xs[i], node, i) or entry
                for i, entry in enumerate(saved)
            ]
            if any(isinstance(entry, Held) for entry in entries):
                node.saved = SavedInputs(entries)
        if node.out is not None:
            held = self.keep(t, node, -1)
            if held is not None:
                node.out = SavedResult(held)

    def writing(self, tensor: Any, value: Any) -> None:
        """Hear that a tensor is about to take another one's value in place."""

    def compiled(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a compiled function: operation by operation, as long as what nodes save is of interest."""
        return function.fn(*args, **kwargs)


__all__ = ["STILL", "Held", "Keeper", "SavedInputs", "SavedResult"]
