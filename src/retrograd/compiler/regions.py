"""Regions: parts of a captured run whose values a backward walk is to compute again, as ``checkpoint`` asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import REGISTRY, BaseTensor, Graph, Node
from ..tensor.tree import flatten


class Region:
    """The nodes of one call, and the first gradient that came back to it.

    Attributes
    ----------
    inner : dict of Node to None
        Those that are no result.
    gate : Node or None
        The gradient, which what is computed again has to wait for.
    """

    def __init__(self, nodes: list[Node], results: list[Any]) -> None:
        ends = {t._node for t in results}
        self.inner = {n: None for n in nodes if n not in ends and n.op is not None and not n.op.impure}
        self.gate: Node | None = None
        made = set(nodes)
        tables = [t._node.hook_table() for t in results if t._node in made and t._node.requires_grad]
        self.handles = [table.add("tensor", self._arrived) for table in tables]

    def _arrived(self, g: Any) -> None:
        if self.gate is None:
            self.gate = g._node

    def close(self) -> None:
        """Listen no longer."""
        for handle in self.handles:
            handle.remove()


def run(trace: Any, fn: Callable[[], Any]) -> Any:
    """Call a function under a recorder, and note its nodes as a region; within another one it is part of that."""
    if trace.regions is None:
        return fn()
    before, outer = len(trace.known), trace.regions
    trace.regions = None
    try:
        result = fn()
    finally:
        trace.regions = outer
    nodes = list(trace.known)[before:]
    found = {id(t): t for t in flatten(result)[0] if isinstance(t, BaseTensor) and t._node is not None}
    outer.append(Region(nodes, list(found.values())))
    return result


def computed_again(
    graph: Graph, regions: list[Region], walked: set[Node], silent: set[Node], instead: dict[Node, Node]
) -> Graph:
    """Give a graph in which backward walks read values of their own of every region, made when its gradient has come.

    ``instead`` has nodes that have their values of others that they read.
    """
    inside = {n: region for region in regions if region.gate is not None for n in region.inner}
    if not inside and not instead:
        return graph
    copies = _Copies(inside, graph, instead)
    new: dict[Node, Node] = {}
    for n in graph.nodes:
        if n in instead:
            new[n] = new[instead[n]]
        elif n in walked and n.op is not None:
            inputs = tuple([copies.of(i, new) if i in inside else new[i] for i in n.inputs])
            new[n] = _like(n, inputs)
        else:
            new[n] = _like(n, tuple([new[i] for i in n.inputs]))
    silent.update(new[n] for n in graph.nodes if n in silent)
    made = Graph(graph.inputs, tuple([new[o] for o in graph.outputs]), {})
    made.constants = {n: graph.constants[n] for n in made.nodes if n in graph.constants}
    return made


def _like(n: Node, inputs: tuple[Node, ...]) -> Node:
    if all(a is b for a, b in zip(inputs, n.inputs, strict=True)):
        return n
    made = Node(n.op, inputs, n.attrs, n.shape, n.dtype, False, n.place, (), None, None)
    made.types = n.types
    return made


class _Copies:
    """The second nodes of regions, made when they are first asked for."""

    def __init__(self, inside: dict[Node, Region], graph: Graph, instead: dict[Node, Node]) -> None:
        self.inside, self.constants, self.instead = inside, graph.constants, instead
        self.made: dict[Node, Node] = {}

    def of(self, node: Node, new: dict[Node, Node]) -> Node:
        """Give a node's copy."""
        region, todo = self.inside[node], [node]
        while todo:
            n = todo[-1]
            waiting = [i for i in n.inputs if self.inside.get(i) is region and i not in self.made]
            if n in self.made or waiting:
                todo.extend(waiting)
                if not waiting:
                    todo.pop()
                continue
            todo.pop()
            stand = self.instead.get(n)
            if stand is not None:
                self.made[n] = self.made[stand] if self.inside.get(stand) is region else new[stand]
                continue
            inputs = tuple([self.made[i] if self.inside.get(i) is region else new[i] for i in n.inputs])
            gate = new[region.gate]  # type: ignore[index]
            if not any(self.inside.get(i) is region for i in n.inputs):
                inputs = self._behind(inputs, gate)
            inputs = tuple([_after(i, gate) if i.op is not None and i.op.impure else i for i in inputs])
            self.made[n] = _like(n, inputs)
        return self.made[node]

    def _behind(self, inputs: tuple[Node, ...], gate: Node) -> tuple[Node, ...]:
        for k, i in enumerate(inputs):
            if i not in self.constants:
                return (*inputs[:k], _after(i, gate), *inputs[k + 1 :])
        return inputs


def _after(i: Node, gate: Node) -> Node:
    """Give a value behind a gate."""
    return Node(REGISTRY["after"], (i, gate), {}, i.shape, i.dtype, False, i.place, (), None, None)
