"""Lifetimes: what a lowered graph holds at each of its steps, which values those are made from, and what making them costs.

A value here is a node that has memory of its own in the arena. Between a value and those it is made from stand nodes that have none:
they are computed in the same loops, or wherever they are read.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import Graph, Node
from .codegen.rows import HEAVY
from .draws.again import AGAIN
from .layout import Layout
from .lowering.kernel import Loops
from .lowering.memory import ALIGN
from .orders import orders_in
from .steps import StepWriter

FLOPS, BYTES, CALL = (
    1.0e11,
    2.0e10,
    2.0e-7,
)  # a second's multiply-adds and bytes, and a step's own time: only ratios matter


class Lifetimes:
    """The values of a graph as it is lowered.

    Parameters
    ----------
    graph : Graph
        Optimised.
    targets : list
        As :class:`~retrograd.compiler.program.Program` has them.

    Attributes
    ----------
    arena : int
        Bytes of the arena.
    results : int
        Bytes of the results that each run makes afresh.
    made : dict of Node to int
        The step after which a value is there; a value's node is one of the graph's.
    uses : dict of Node to list of int
        The steps that read it.
    sizes : dict of Node to int
        Its bytes in the arena; 0 for one that lives elsewhere.
    at : dict of Node to int
        The step in which a node of the graph is computed; those that are computed wherever they are read are missing.
    scratch : list of int
        Bytes of each step that are no value's.
    live : list of int
        Bytes of all that is alive at each step.
    orders : dict of Node to Order
        How sums are added up.
    """

    def __init__(self, graph: Graph, targets: list[Any]) -> None:
        self.graph = graph
        writer = StepWriter(graph)
        layout = Layout(writer, targets)
        schedule = writer.schedule
        self.arena = layout.arena_bytes
        self.orders = orders_in(writer)
        pairs = zip(graph.outputs, targets, strict=True)
        self.results = sum(n.type.nbytes for n, target in pairs if target is None)
        steps = layout.steps
        count = self.count = len(steps)
        self.reads: list[list[Node]] = [[] for _ in steps]
        nodes = set(graph.nodes)
        alias: dict[Node, Node] = {}
        for view, copy in schedule.copies.items():
            alias[copy] = view if view in nodes else copy
        self.made: dict[Node, int] = {}
        self.uses: dict[Node, list[int]] = {}
        self.sizes: dict[Node, int] = {}
        self.scratch = [0] * count
        first: dict[Node, int] = {}
        last: dict[Node, int] = {}
        for i, s in enumerate(steps):
            for n in s.writes:
                first.setdefault(n, i)
                last[n] = i
                if self._is_value(n, alias, nodes):
                    self.made[alias.get(n, n)] = i
                    self.sizes[alias.get(n, n)] = _padded(n) if n in layout.offset else 0
            for n in s.reads:
                last[n] = i
                named = alias.get(n, n)
                if named in nodes:
                    self.uses.setdefault(named, []).append(i)
                    self.reads[i].append(named)
        for i, s in enumerate(steps):  # what reads as it writes is no reader
            for n in s.writes:
                named = alias.get(n, n)
                if named in self.uses and self.made.get(named, -1) >= i and i in self.uses[named]:
                    self.uses[named].remove(i)
        change = np.zeros(count + 1, np.int64)
        for n, i in first.items():
            if n in layout.offset:
                size = _padded(n)
                change[i + (n in layout.over)] += size  # its place is another's until then
                change[last[n] + 1 if last[n] < count else count] -= size
                if not self._is_value(n, alias, nodes):
                    for k in range(i, min(last[n], count - 1) + 1):
                        self.scratch[k] += size
        self.live = np.cumsum(change)[:count].tolist()
        self.at: dict[Node, int] = dict(self.made)
        place = {id(s): i for i, s in enumerate(schedule.steps)}
        for n, nest in schedule.nest.items():
            if id(nest) in place and n in nodes:
                self.at.setdefault(n, place[id(nest)])
        for i, s in enumerate(schedule.steps):
            if not isinstance(s, Loops) and getattr(s, "node", None) in nodes:
                self.at.setdefault(s.node, i)

    @staticmethod
    def _is_value(n: Node, alias: dict[Node, Node], nodes: set[Node]) -> bool:
        return n.op is not None and (n in nodes or alias.get(n, n) in nodes)

    def idle(self) -> Any:
        """Give the bytes of values that wait, neither made nor read, at each step."""
        change = np.zeros(self.count + 1, np.int64)
        for n, size in self.sizes.items():
            if size and self.uses.get(n):
                before = self.made[n]
                for use in sorted(set(self.uses[n])):
                    if use - before > 1:
                        change[before + 1] += size
                        change[use] -= size
                    before = use
        return np.cumsum(change)[: self.count]

    def slice(self, node: Node, stop: Any) -> tuple[list[Node], list[Node]]:
        """Give the nodes that have to be computed for one, and the values that they are made from; ``stop`` tells those."""
        inner: list[Node] = [node]
        ends: dict[Node, None] = {}
        seen = {node}
        todo = list(node.inputs)
        while todo:
            n = todo.pop()
            if n in seen or n.op is None:
                continue
            seen.add(n)
            if stop(n):
                ends[n] = None
                continue
            inner.append(n)
            todo.extend(n.inputs)
        return inner, list(ends)


def bytes_of_run(graph: Graph, targets: list[Any], again: Any = ()) -> int:
    """Give the bytes that a program needs besides its inputs: its arena, and results but those made in the memory of former ones."""
    results = sum(n.type.nbytes for k, n in enumerate(graph.outputs) if targets[k] is None and k not in again)
    return int(Layout(StepWriter(graph), targets).arena_bytes) + results


def _padded(node: Node) -> int:
    size = math.prod(node.shape) * node.dtype.itemsize + 64
    return -(-size // ALIGN) * ALIGN


def seconds(node: Node) -> float:
    """Estimate the time of a node: of multiply-adds for products, of bytes for all else."""
    op: Any = node.op
    if op.name == "matmul":
        return math.prod((*node.shape, *node.inputs[0].shape[-1:])) / FLOPS + CALL
    if op.name.startswith("conv"):
        sizes = sorted(math.prod(n.shape) for n in (node, *node.inputs[:2]))
        return 2.0 * math.sqrt(float(sizes[0]) * sizes[1] * sizes[2]) / FLOPS + CALL
    if op.view:
        return 0.0
    if op.impure or op is AGAIN:  # the stream goes back, and on
        return float(node.type.nbytes) * 20 / BYTES
    size = max([node.type.nbytes, *[i.type.nbytes for i in node.inputs]])
    return float(size) * (4 if op.name in HEAVY else 1) / BYTES


__all__ = ["Lifetimes", "seconds"]
