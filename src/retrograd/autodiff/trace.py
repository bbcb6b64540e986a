"""Trace: the nodes of a run, kept as a Graph that can be run again on other values."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import MODE, Graph, Node, quiet_off, quiet_on, refresh, wrap
from ..core.door import _quiet
from ..ops.shape import reshape


class Trace:
    """Records every operation of a run as Nodes, whether or not a gradient is wanted.

    The run is a real one: values are computed as always, so that code that looks at them works, and the recorded nodes hold types
    only. A tensor that existed before is an input of the graph; writes to it become outputs that are written back. Traces nest:
    the inner one alone records, and what is then run from its graph is recorded by the outer one.

    What a trace makes of questions about values is its own policy: ``asked`` is called before a value leaves the library,
    ``drawing`` before a random draw, ``writing`` before a write, ``walking`` before a backward walk, ``custom`` for a function with a derivative of its own.
    """

    def __init__(self, inputs: Sequence[Any] = ()) -> None:
        self.arguments = list(inputs)
        self.parent: Any = None
        self.known: dict[Node, Any] = {}
        # what the trace touched, with the nodes they had before; by identity, and weakly, so that values die as they do without a trace
        self.before: dict[int, tuple[weakref.ref[Any], Node | None]] = {}
        self.inputs: list[tuple[Any, Node]] = []  # tensors from outside and the nodes that stand for them
        self.constants: dict[Node, Any] = {}
        self.silent: set[Node] = set()  # made where grad mode was off
        self.created: dict[int, weakref.ref[Any]] = {}
        self.bases: list[tuple[Any, Any]] = []
        self.seen: dict[int, Node | None] = {}  # of views from outside: the base's node that theirs was derived from

    def __enter__(self) -> Trace:
        self.parent, MODE.trace = MODE.trace, self
        MODE.settle()
        for tensor in self.arguments:  # an argument that is a view stands for itself, not for its base
            self.bases.append((tensor, tensor._base))
            tensor._base = None
            self.node_of(tensor)
        return self

    def __exit__(self, kind: Any = None, *exc: Any) -> None:
        if kind is not None:
            self.restore()
        for tensor, base in self.bases:
            tensor._base = base
        MODE.trace = self.parent
        MODE.settle()

    # -- policies -------------------------------------------------------------------------------------------------------------
    def asked(self, tensor: Any, what: str) -> None:
        """Hear that a value is about to leave the library as Python's, or to decide on a shape; it may raise."""
        if what.startswith("shape of "):
            raise NotImplementedError(
                f"{what[9:]}: the result's shape depends on the values, so that it cannot be part of a graph"
            )
        if what.startswith("parts of "):
            raise NotImplementedError(
                f"{what[9:]}: part of the result is found outside of any operation, so that no graph can hold it"
            )

    def drawing(self, generator: Any) -> None:
        """Hear that a generator is about to be drawn from."""

    def checkpointed(self, fn: Callable[[], Any]) -> Any:
        """Call a function whose values need not be held for a backward walk."""
        return fn()

    def writing(self, tensor: Any, value: Any) -> None:
        """Hear that a tensor is about to be written in place."""

    def walking(self) -> None:
        """Hear that a backward walk is about to begin."""

    def remembered(self, value: Any) -> Any:
        """Give a Python number that an operation was given, as a reverse rule is to compute with it."""
        return value

    def gradient(self, tensor: Any) -> None:
        """Hear that a tensor's ``.grad`` is asked for, or is about to be set."""

    def beyond(self, node: Node, g: Any, leaf: Callable[..., Any]) -> None:
        """Hear that a backward walk to all leaves came to a tensor whose history began before the trace."""
        raise NotImplementedError(
            "backward() into a history from outside of the function: use torch.autograd.grad inside"
        )

    def custom(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Take over the call of a function with a derivative of its own; None leaves it to be recorded as it runs."""

    # -- nodes ------------------------------------------------------------------------------------------------------------------
    def made(self, tensor: Any) -> None:
        """Note a tensor that came to be without an operation: its value now is a constant of the graph."""
        self.created[id(tensor)] = weakref.ref(tensor)

    def deriving(self, view: Any) -> None:
        """Note a view's node before it is derived anew from its base's."""
        if view._seen not in self.known:
            self.seen[id(view)] = view._seen
        self._touch(view, view._node)

    def _touch(self, tensor: Any, before: Node | None) -> None:
        found = self.before.get(id(tensor))
        if found is None or found[0]() is not tensor:
            self.before[id(tensor)] = weakref.ref(tensor), before

    def node_of(self, tensor: Any) -> Node:
        """Give the node that stands for a tensor's present value."""
        base = tensor._base
        if base is not None:
            before = self.node_of(base)
            if before is not tensor._seen:
                refresh(tensor)
        node: Node | None = tensor._node
        if node is not None and node in self.known:
            if node.op is None and id(tensor) not in self.before:  # known by another tensor that has this leaf's node
                self._touch(tensor, node)
            return node
        a = tensor._a
        self._touch(tensor, node)
        wanted = node is not None and node.requires_grad
        made = self.created.get(id(tensor))
        if made is not None and made() is tensor:
            node = node if wanted and node is not None else Node(None, (), {}, a.shape, a.dtype, False, *_PLACELESS)
            self.constants[node] = a.copy()
        else:
            if node is None or node.op is not None:
                node = Node(None, (), {"stands": True}, a.shape, a.dtype, wanted, *_PLACELESS)
            self.inputs.append((tensor, node))
        tensor._node = node
        self.known[node] = None
        return node

    def constant(self, value: Any) -> Node:
        """Give a node for a Python scalar."""
        a = np.asarray(value)
        node = Node(None, (), {}, (), a.dtype, False, *_PLACELESS)
        self.constants[node] = value
        self.known[node] = None
        return node

    def variable(self, tensor: Any) -> Node:
        """Give a tensor a node of its own whose gradient is wanted, which stays connected to what the tensor was."""
        before = self.node_of(tensor)
        node = Node(reshape, (before,), {"shape": before.shape}, before.shape, before.dtype, True, *_PLACELESS)
        node.types = [before.type]
        self.add(node, tensor)
        return node

    def add(self, node: Node, tensor: Any) -> None:
        """Note a node made by an operation or a write."""
        self.known[node] = None
        if not MODE.grad:
            self.silent.add(node)
        if tensor is not None:
            self._touch(tensor, None)

    def finish(self, outputs: Sequence[Any]) -> tuple[Graph, list[Any], list[Any]]:
        """Give the graph, the tensors that are its inputs, and those it writes to (their new values are its last outputs)."""
        results = tuple(self.node_of(t) for t in outputs)
        written = [(t, n) for t, n in self.inputs if t._base is None and t._node is not n]
        graph = Graph(
            tuple(n for _, n in self.inputs), (*results, *(t._node for t, _ in written)), dict(self.constants)
        )
        tensors = [t for t, _ in self.inputs]
        self.restore()
        return graph, tensors, [t for t, _ in written]

    def restore(self) -> None:
        """Give every tensor the node that it had before the trace; results keep histories of their own."""
        touched = [(t, before) for found, before in self.before.values() if (t := found()) is not None]
        views = [(t, t._seen is t._base._node) for t, _ in touched if t._base is not None]
        for t, before in touched:
            now = t._node
            kept = now if now is not None and now.requires_grad and now.op is not None else None
            t._node = kept if before is None else before
        for t, is_current in views:
            if id(t) in self.seen:
                t._seen = self.seen[id(t)]
            elif is_current:
                t._seen = t._base._node
        self.before.clear()


_PLACELESS: tuple[Any, ...] = (None, (), None, None)


def trace(fn: Callable[..., Any], *args: Any) -> tuple[Any, Graph, list[Any], list[Any]]:
    """Run ``fn(*args)`` once, recording it; give its result, the graph, the graph's input tensors and the written ones."""
    record = Trace(args)
    with record:
        result = fn(*args)
        outputs = result if isinstance(result, (tuple, list)) else (result,)
        graph, tensors, written = record.finish(outputs)
    return result, graph, tensors, written


def interpret(graph: Graph, values: Sequence[Any]) -> list[Any]:
    """Run a graph on arrays, one operation after another, freeing each value after its last use."""
    token = quiet_on(_quiet)
    try:
        return replay(graph, values, _meaning)
    finally:
        quiet_off(token)


def _meaning(node: Node, values: list[Any]) -> Any:
    r = node.op.numpy(*values, **node.attrs)  # type: ignore[union-attr]
    return r if isinstance(r, (np.ndarray, tuple)) else np.asarray(r)


def replay(graph: Graph, values: Sequence[Any], step: Callable[[Node, list[Any]], Any]) -> list[Any]:
    """Run a graph on values of any kind: ``step(node, inputs)`` gives a node's; each is freed after its last use."""
    known: dict[Node, Any] = dict(zip(graph.inputs, values, strict=True))
    order = graph.nodes
    left: dict[Node, int] = {}
    for node in order:
        for i in node.inputs:
            left[i] = left.get(i, 0) + 1
    for o in graph.outputs:
        left[o] = left.get(o, 0) + 1
    for node in order:
        if node.op is None:
            if node not in known:
                known[node] = graph.constants[node]
            continue
        known[node] = step(node, [known[i] for i in node.inputs])
        for i in node.inputs:
            left[i] -= 1
            if not left[i]:
                del known[i]
    return [known[o] for o in graph.outputs]


__all__ = ["Trace", "interpret", "replay", "trace", "wrap"]
