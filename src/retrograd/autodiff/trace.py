"""Trace: the nodes of a run, kept as a Graph that can be run again on other values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import MODE, Graph, Node, quiet_off, quiet_on, wrap
from ..core.door import _quiet


class Trace:
    """Records every operation of a run as Nodes, whether or not a gradient is wanted.

    The run is a real one: values are computed as always, so that code that looks at them works, and the recorded nodes hold types
    only. A tensor that existed before is an input of the graph; writes to it become outputs that are written back.
    """

    def __init__(self, inputs: Sequence[Any] = ()) -> None:
        self.arguments = list(inputs)
        self.known: dict[Node, Any] = {}
        self.tensors: list[tuple[Any, Node | None]] = []  # what the trace touched, with the nodes they had before
        self.inputs: list[tuple[Any, Node]] = []  # tensors from outside and the nodes that stand for them
        self.constants: dict[Node, Any] = {}
        self.created: dict[int, Any] = {}
        self.bases: list[tuple[Any, Any]] = []

    def __enter__(self) -> Trace:
        if MODE.trace is not None:
            raise RuntimeError("a trace is already running in this thread")
        MODE.trace = self
        MODE.settle()
        for tensor in self.arguments:  # an argument that is a view stands for itself, not for its base
            self.bases.append((tensor, tensor._base))
            tensor._base = None
            self.node_of(tensor)
        return self

    def __exit__(self, *exc: Any) -> None:
        for tensor, base in self.bases:
            tensor._base = base
        MODE.trace = None
        MODE.settle()

    def made(self, tensor: Any) -> None:
        """Note a tensor that came to be without an operation: its value now is a constant of the graph."""
        self.created[id(tensor)] = tensor

    def node_of(self, tensor: Any) -> Node:
        """Give the node that stands for a tensor's present value."""
        from ..core import refresh

        base = tensor._base
        if base is not None:
            before = self.node_of(base)
            if before is not tensor._seen:
                old = tensor._node
                refresh(tensor)
                self.tensors.append((tensor, old))
        node: Node | None = tensor._node
        if node is not None and node in self.known:
            return node
        a = tensor._a
        self.tensors.append((tensor, node))
        if id(tensor) in self.created:
            node = Node(None, (), {}, a.shape, a.dtype, node is not None and node.requires_grad, None, (), None, None)
            self.constants[node] = a.copy()
            if tensor._node is not None and tensor._node.requires_grad:
                node = tensor._node
                self.constants[node] = a.copy()
        else:
            if node is None or node.op is not None:
                node = Node(
                    None, (), {}, a.shape, a.dtype, node is not None and node.requires_grad, None, (), None, None
                )
            self.inputs.append((tensor, node))
        tensor._node = node
        self.known[node] = None
        return node

    def constant(self, value: Any) -> Node:
        """Give a node for a Python scalar."""
        a = np.asarray(value)
        node = Node(None, (), {}, (), a.dtype, False, None, (), None, None)
        self.constants[node] = value
        self.known[node] = None
        return node

    def add(self, node: Node, tensor: Any) -> None:
        """Note a node made by an operation or a write."""
        self.known[node] = None
        if tensor is not None:
            self.tensors.append((tensor, None))

    def finish(self, outputs: Sequence[Any]) -> tuple[Graph, list[Any], list[Any]]:
        """Give the graph, the tensors that are its inputs, and those it writes to (their new values are its last outputs)."""
        results = tuple(self.node_of(t) for t in outputs)
        written = [(t, n) for t, n in self.inputs if t._base is None and t._node is not n]
        graph = Graph(
            tuple(n for _, n in self.inputs), (*results, *(t._node for t, _ in written)), dict(self.constants)
        )
        tensors = [t for t, _ in self.inputs]
        for tensor, before in self.tensors:
            now = tensor._node
            tensor._node = (
                before
                if before is not None
                else (now if now is not None and now.requires_grad and now.op is not None else None)
            )
        return graph, tensors, [t for t, _ in written]


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
    known: dict[Node, Any] = dict(zip(graph.inputs, values, strict=True))
    order = graph.nodes
    left: dict[Node, int] = {}
    for node in order:
        for i in node.inputs:
            left[i] = left.get(i, 0) + 1
    for o in graph.outputs:
        left[o] = left.get(o, 0) + 1
    token = quiet_on(_quiet)
    try:
        for node in order:
            if node.op is None:
                if node not in known:
                    known[node] = graph.constants[node]
                continue
            r = node.op.numpy(*[known[i] for i in node.inputs], **node.attrs)
            known[node] = r if isinstance(r, np.ndarray) else np.asarray(r)
            for i in node.inputs:
                left[i] -= 1
                if not left[i]:
                    del known[i]
        return [known[o] for o in graph.outputs]
    finally:
        quiet_off(token)


__all__ = ["Trace", "interpret", "trace", "wrap"]
