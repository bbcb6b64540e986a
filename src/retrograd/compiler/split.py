"""A gradient that is asked for outside: its graph is cut into a forward and a backward part where fewest bytes cross."""

from __future__ import annotations

from typing import Any

from ..core import Graph, Node, reachable
from .codegen.rows import HEAVY, computes
from .flow import INFINITE, Network
from .lowering.maps import VIEWS

UNIT = 32  # of the costs of a byte
DEEPEST = 16  # operations in a row that are computed again
EXACT = {"eq", "ne"}  # of two numbers, only the very bits that the forward part had will do
MOVES = {*VIEWS, "assemble", "cast", "iota", "where"}


class Halves:
    """The two parts of a joint graph.

    What crosses between them is a minimum cut over bytes: cheap nodes (elementwise, broadcasts, views) are computed again in the
    backward part where that makes it less. What is dear (products, reductions, look-ups, draws) is not. Inputs that eager mode's
    own backward pass would read are read again where they lie; any other is copied, so that it may change meanwhile.

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
    free : sequence of Node
        Inputs and results that are kept in any case, and may be read again where they lie.

    Attributes
    ----------
    forward, backward : Graph
        The forward's outputs are followed by ``saved``; the backward's inputs are the upstream gradients, ``saved``, ``kept``.
    saved : list of Node
        Values of the forward part that are handed over.
    kept : list of Node
        Inputs of the function that the backward part reads again.
    again : list of Node
        What both parts compute.
    origin : dict of Node to Node
        The graph's node for each of the backward's that has an op.
    """

    def __init__(self, graph: Graph, count: int, upstream: Any, written: set[Node], free: Any = ()) -> None:
        ups = set(upstream)
        self.graph, self.written, self.gradients = graph, written, graph.outputs[count:]
        self.late = _after(graph, ups)
        self.early = set(reachable(graph.outputs[:count]))
        read, self.free = self._read(self.gradients)
        self.free.update(free)
        crossing = self._cheapest(read)
        self.kept = [n for n in crossing if n in self.free]
        saved = dict.fromkeys(n for n in crossing if n not in self.free)
        for n in graph.nodes:
            if n.op is not None and n.op.impure:
                saved[n] = None  # a derivative of a derivative runs the forward part again, with the same draws
        self.saved = list(saved)
        given = tuple(i for i in graph.inputs if i not in ups)
        self.forward = Graph(given, (*graph.outputs[:count], *self.saved), {})
        self.origin: dict[Node, Node] = {}
        self.backward = cut((*upstream, *self.saved, *self.kept), self.gradients, self.origin)
        self.forward.sums = graph.sums
        self.backward.sums = {n: graph.sums[old] for n, old in self.origin.items() if old in graph.sums}
        for part in (self.forward, self.backward):
            part.constants = {n: graph.constants[n] for n in part.nodes if n in graph.constants}

    def _read(self, gradients: tuple[Node, ...]) -> tuple[list[Node], set[Node]]:
        """Give what late nodes read that is not late, and the inputs that they read through views and nodes of their own."""
        read: dict[Node, None] = {}
        free: set[Node] = set()
        seen: set[Node] = set()
        todo = [(n, True) for n in gradients]
        while todo:
            n, from_late = todo.pop()
            late = n in self.late
            if from_late and not late and n not in self.graph.constants:
                read[n] = None
            if n in seen:
                continue
            seen.add(n)
            if n.op is None:
                if not late and n not in self.graph.constants and n not in self.written:
                    free.add(n)
            elif late or n not in self.early or n.op.name in VIEWS:
                todo.extend((i, late) for i in n.inputs)
        return list(read), free

    def _cheapest(self, read: list[Node]) -> list[Node]:
        """Give the nodes of a minimum cut between what the forward part has to compute and what late nodes read."""
        network, place = self._network(read)
        network.flow(0, 1)
        behind = network.behind(1)
        self.again = [n for n, k in place.items() if 2 * k + 2 in behind and n in self.early and n.op is not None]
        return [n for n, k in place.items() if 2 * k + 3 in behind and 2 * k + 2 not in behind]

    def _network(self, read: list[Node]) -> tuple[Network, dict[Node, int]]:
        """Make the network: node k's value comes in at 2k + 2 and is handed on at 2k + 3; 0 is the source, 1 the sink."""
        constants = self.graph.constants
        place: dict[Node, int] = {}
        again: set[Node] = set()
        exact = self._exact()
        order: list[Node] = []
        todo = list(read)
        while todo:
            n = todo.pop()
            if n in place or n in constants:
                continue
            place[n] = len(place)
            order.append(n)
            if self._cheap(n, exact):
                again.add(n)
                todo.extend(n.inputs)
        depth: dict[Node, int] = {}
        for n in sorted(order, key=lambda n: n.seq):
            depth[n] = 1 + max((depth.get(i, 0) for i in n.inputs), default=0) if n in again else 0
            if depth[n] > DEEPEST and n in self.early and n.op is not None and n.op.name not in VIEWS:
                again.discard(n)
                depth[n] = 0
        network = Network(2 * len(order) + 2)
        for n in order:
            k = place[n]
            network.edge(2 * k + 2, 2 * k + 3, self._cost(n))
            if n not in again:
                network.edge(0, 2 * k + 2, INFINITE)
                continue
            if n in self.early and (price := self._price(n)):
                network.edge(0, 2 * k + 2, price)
            for i in dict.fromkeys(n.inputs):
                if i not in constants:
                    network.edge(2 * place[i] + 3, 2 * k + 2, INFINITE)
        for n in read:
            network.edge(2 * place[n] + 3, 1, INFINITE)
        return network, place

    def _cheap(self, n: Node, exact: set[Node]) -> bool:
        """Tell whether the backward part may compute a node: because only it needs it, or because that is quickly done again."""
        op = n.op
        if op is None or op.impure:
            return False
        if op.name in VIEWS or n not in self.early:
            return True
        if n in exact or op.outputs != 1:
            return False
        return (op.family == "elementwise" or op.name in MOVES) and computes(n, self.graph.constants)

    def _exact(self) -> set[Node]:
        """Give the numbers whose very bits are compared: computed again beside other things they may be rounded differently."""
        found: set[Node] = set()
        for n in self.graph.nodes:
            if n.op is not None and n.op.name in EXACT:
                todo = [i for i in n.inputs if i.dtype.kind in "fcV"]
                while todo:
                    i = todo.pop()
                    found.add(i)
                    if i.op is not None and i.op.name in VIEWS:
                        todo.extend(i.inputs)
        return found

    def _price(self, n: Node) -> int:
        """Say what it costs to compute a node again, in units of its cost to hand over."""
        name = n.op.name  # type: ignore[union-attr]
        if name in VIEWS:
            return 0
        return UNIT * (n.type.nbytes + 1) // (4 if name in HEAVY else 32)

    def _cost(self, n: Node) -> int:
        """Say what it costs to hand a node over: its bytes, and a little more for what is a copy."""
        if n in self.free or (n.op is not None and n.op.impure):
            return 0  # handed over in any case
        if n.op is not None and n.op.outputs != 1:
            return INFINITE
        size = UNIT * (n.type.nbytes + 1)
        return size + size // 8 if n.op is not None and n.op.name in VIEWS else size  # a view is a copy more


def _after(graph: Graph, ups: set[Node]) -> set[Node]:
    """Give the nodes that depend on some."""
    late = set(ups)
    for n in graph.nodes:
        if n.op is not None and any(i in late for i in n.inputs):
            late.add(n)
    return late


def cut(inputs: tuple[Node, ...], outputs: tuple[Node, ...], origin: dict[Node, Node] | None = None) -> Graph:
    """Give the graph that computes ``outputs`` from ``inputs``, which may be inner nodes of another graph.

    In ``origin`` each new node's old one is put down.
    """
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
            if origin is not None:
                origin[new[n]] = n
    return Graph(tuple(leaves[n] for n in inputs), tuple(new[o] for o in outputs), {})
