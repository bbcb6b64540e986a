"""A saved value in the form that a user's hook gave it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from .door import modified
from .errors import at
from .mode import no_grad
from .node import BaseTensor, Node, Storage, wrap
from .place import here
from .saving import Held


def own_copy(tensor: Any) -> Any:
    """Give a tensor for a hook to look at: a leaf itself; of others the value with its present history, as they may be rebound."""
    node = tensor._node
    return tensor if node is not None and node.op is None else wrap(tensor._a, tensor._s, node)


class Packed(Held):
    """What a user's pack hook made of a value."""

    __slots__ = ("node", "payload", "storage", "unpack", "version")

    def __init__(self, unpack: Any, payload: Any, node: Node, storage: Storage) -> None:
        self.unpack, self.payload, self.node = unpack, payload, weakref.ref(node) if node is not None else None
        self.storage, self.version = weakref.ref(storage), storage.version

    def fetch(self) -> tuple[Any, Storage, int]:
        t = self.unpack(self.payload)
        if not isinstance(t, BaseTensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type " + type(t).__name__
            )
        if t._s is self.storage() and t._s.version != self.version:
            node: Any = self.node() if self.node is not None else None
            node = node or t._node
            raise modified(node, (t._a, t._s, self.version), "kept by a hook as it was, and")
        return t._a, t._s, t._s.version


def _as_result(tensor: Any, node: Node) -> Any:
    """Give a node's result to look at: one with a history, but not the node itself, which would hold itself by what the hook keeps."""
    if tensor._node is not None or node is None or tensor._a.dtype.kind not in "fcV":
        return own_copy(tensor)
    a = tensor._a
    return wrap(a, tensor._s, Node(node.op, (), {}, a.shape, a.dtype, True, node.place, (), None, None))


def packed(
    pack: Callable[[Any], Any], unpack: Callable[[Any], Any], tensor: Any, node: Node, result: bool = False
) -> Packed:
    """Run a pack hook on a value that a node saves."""
    storage = tensor._s
    version = storage.version
    with no_grad():
        payload = pack(_as_result(tensor, node) if result else own_copy(tensor))
    if storage.version != version:
        raise RuntimeError(
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can not be modified by "
            f"in-place operations as this can lead to unexpected side-effects: write to a clone() instead.{at(here())}"
        )
    return Packed(unpack, payload, node, storage)


__all__ = ["Packed", "own_copy", "packed"]
