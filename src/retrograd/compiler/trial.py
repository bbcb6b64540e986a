"""A backward walk that is made to be recorded, ahead of the program's own: what Functions of the program do in it is undone."""

from __future__ import annotations

from typing import Any

from ..core import Node, reachable
from ..random import default_generator
from ..tensor.function import FUNCTION

HOLDERS = (list, dict, set)


class Trial:
    """A block for such a walk.

    A Function's ``backward`` is the program's code, which may use up what its ``ctx`` keeps and may walk on by itself, into
    ``.grad`` of parameters; it may draw, too. The walk that the program asks for later has to find all as it was.

    Parameters
    ----------
    recorder : Recorder
        The trace; it tells of leaves that are met in the block.
    results : list of Tensor
        Where the walk begins.
    """

    def __init__(self, recorder: Any, results: list[Any]) -> None:
        self.recorder = recorder
        self.nodes: list[Node] = [n for n in reachable([t._node for t in results]) if n.op is FUNCTION]
        self.kept: list[tuple[Any, dict[str, Any], list[tuple[Any, Any]]]] = []
        self.saved = [n.saved for n in self.nodes]
        self.grads: dict[int, tuple[Any, Any]] = {}

    def __enter__(self) -> Trial:
        if self.nodes:
            self.mark = default_generator.mark()
            for node in self.nodes:
                held = vars(node.attrs["ctx"])
                inner = [(v, v.copy()) for v in held.values() if v.__class__ in HOLDERS]
                self.kept.append((node.attrs["ctx"], dict(held), inner))
            for t in (*self.recorder.leaves, *[t for t, n in self.recorder.inputs if n.requires_grad]):
                self.leaf(t)
            self.recorder.trial = self
        return self

    def leaf(self, tensor: Any) -> None:
        """Put a tensor's gradient aside."""
        if id(tensor) not in self.grads:
            self.grads[id(tensor)] = tensor, tensor._grad
            tensor._grad = None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        self.recorder.trial = None
        reasons, names = self.recorder.reasons, sorted({n.attrs["cls"].__name__ for n in self.nodes})
        for node, saved, (ctx, held, inner) in zip(self.nodes, self.saved, self.kept, strict=True):
            node.saved = saved
            vars(ctx).clear()
            vars(ctx).update(held)
            for value, before in inner:
                value.clear()
                value.extend(before) if value.__class__ is list else value.update(before)
        if self.nodes:
            default_generator.back_to(self.mark)
        walked = any(t._grad is not None for t, _ in self.grads.values())
        for tensor, grad in self.grads.values():
            tensor._grad = grad
        if walked:
            reasons.append(
                f"a backward pass wrote gradients by itself, in a Function of the program ({', '.join(names)})"
            )
        if not self.nodes or error is None or not isinstance(error, Exception):
            return False
        reasons.append(
            f"a Function of the program ({', '.join(names)}) raised {kind.__name__} in its backward: {error}"
        )
        return True
