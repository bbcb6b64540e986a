"""What is quickly computed from a value that stays in memory anyway is computed by each reader, so that it does not stay there too."""

from __future__ import annotations

from ...core import Graph, Node

CHEAP = {"add", "sub", "mul", "neg", "relu"}
SMALL = 8  # times fewer elements has whatever else is read, such as a row's mean


def read_apart(graph: Graph) -> Graph:
    """Give each elementwise reader of a shifted or scaled value a node of its own, where the value itself has other readers."""
    readers: dict[Node, set[Node]] = {}
    for n in graph.nodes:
        for i in n.inputs:
            readers.setdefault(i, set()).add(n)
    chosen: set[Node] = set()
    kept = set(graph.outputs)
    for n in reversed(graph.nodes):
        value = _source(n, readers) if n not in kept and len(readers.get(n, ())) > 1 else None
        if value is not None:
            chosen.add(n)
            kept.add(value)
    if not chosen:
        return graph
    new: dict[Node, Node] = {}
    for n in graph.nodes:
        if n.op is None:
            new[n] = n
            continue
        apart = chosen.intersection(n.inputs) if n.op.family == "elementwise" else ()
        own = {i: _again(i, tuple([new[j] for j in i.inputs])) for i in apart}
        new[n] = _again(n, tuple([own.get(i) or new[i] for i in n.inputs]))
    return Graph(graph.inputs, tuple([new[o] for o in graph.outputs]), graph.constants)


def _source(n: Node, readers: dict[Node, set[Node]]) -> Node | None:
    """Give the one large value that a cheap node is computed from, if others read it as well."""
    if n.op is None or n.op.name not in CHEAP or not n.shape:
        return None
    large = {i for i in n.inputs if i.type.size * SMALL > n.type.size}
    value: Node | None = large.pop() if len(large) == 1 else None
    if value is None or value.shape != n.shape or value.dtype != n.dtype or len(readers[value]) < 2:
        return None
    return value


def _again(n: Node, inputs: tuple[Node, ...]) -> Node:
    return Node(n.op, inputs, n.attrs, n.shape, n.dtype, False, n.place, (), None, None)
