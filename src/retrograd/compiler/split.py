"""A captured function whose gradient is asked for outside: its graph is cut into a forward and a backward part."""

from __future__ import annotations

from typing import Any

from ..core import Graph, Node, reachable
from .lowering.maps import VIEWS


class Halves:
    """The two parts of a joint graph.

    Parameters
    ----------
    graph : Graph
        Optimised. Its outputs are the forward's, then the gradients.
    count : int
        How many outputs are the forward's.
    upstream : sequence of Node
        The inputs that stand for the gradients of the results.
    written : set of Node
        Inputs whose memory the forward part writes: the backward part cannot read them later.

    Attributes
    ----------
    forward, backward : Graph
        The forward's outputs are followed by ``saved``; the backward's inputs are the upstream gradients, ``saved``, ``kept``.
    saved : list of Node
        Values of the forward part that are handed over.
    kept : list of Node
        Inputs of the function that the backward part reads again.
    """

    def __init__(self, graph: Graph, count: int, upstream: Any, written: set[Node]) -> None:
        late = set(upstream)
        order = graph.nodes
        for n in order:
            if n.op is not None and any(i in late for i in n.inputs):
                late.add(n)
        constants = graph.constants
        early = set(reachable(graph.outputs[:count]))
        saved: dict[Node, None] = {}
        kept: dict[Node, None] = {}
        again: set[Node] = set()  # recomputed in the backward part
        todo = list(graph.outputs[count:])
        seen: set[Node] = set()
        while todo:
            n = todo.pop()
            if n in seen:
                continue
            seen.add(n)
            if n in late:
                todo.extend(i for i in n.inputs)
            elif n in constants:
                continue
            elif n.op is None:
                (saved if n in written else kept)[n] = None
            elif n.op.impure or (n in early and n.op.name not in VIEWS):
                saved[n] = None
            else:
                again.add(n)
                todo.extend(n.inputs)
        for n in order:
            if n.op is not None and n.op.impure:
                saved[n] = None  # a derivative of a derivative runs the forward part again, with the same draws
        self.saved, self.kept = list(saved), list(kept)
        given = tuple(i for i in graph.inputs if i not in set(upstream))
        self.forward = Graph(given, (*graph.outputs[:count], *self.saved), {})
        self.backward = cut((*upstream, *self.saved, *self.kept), graph.outputs[count:])
        for part in (self.forward, self.backward):
            part.constants = {n: constants[n] for n in part.nodes if n in constants}


def cut(inputs: tuple[Node, ...], outputs: tuple[Node, ...]) -> Graph:
    """Give the graph that computes ``outputs`` from ``inputs``, which may be inner nodes of another graph."""
    leaves: dict[Node, Node] = {}
    for n in inputs:
        leaves[n] = n if n.op is None else Node(None, (), {}, n.shape, n.dtype, False, n.place, (), None, None)
    new = dict(leaves)
    seen: set[Node] = set()
    todo = list(outputs)
    inner: list[Node] = []
    while todo:
        n = todo.pop()
        if n in seen or n in leaves:
            continue
        seen.add(n)
        inner.append(n)
        todo.extend(n.inputs)
    for n in sorted(inner, key=lambda n: n.seq):
        if n.op is None:
            new[n] = n
        else:
            new[n] = Node(
                n.op, tuple(new[i] for i in n.inputs), n.attrs, n.shape, n.dtype, False, n.place, (), None, None
            )
    return Graph(tuple(leaves[n] for n in inputs), tuple(new[o] for o in outputs), {})
