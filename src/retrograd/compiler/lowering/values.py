"""Values of a graph while it is scheduled: what is known of each, when it is there, and whether it may wait until it is asked for."""

from __future__ import annotations

import collections
import math
from typing import Any

import numpy as np

from ...core import Graph, Node
from ...core.large import ELEMENTARY
from .kernel import Call, Fill, Joined, Loops
from .maps import VIEWS

HEAVY = (*ELEMENTARY, "softplus", "pow", "logaddexp", "remainder", "fmod", "floor_divide")
REFINED = 16384  # elements from which loops follow the dimensions behind a reshape
MOST_WAITING = 24  # nodes that may wait for each other


class Values:
    """What is known of a graph's values while its steps are being found; :class:`.schedule.Schedule` says of what it is made."""

    def __init__(self, graph: Graph, native: Any, continues: Any = lambda call: 0) -> None:
        self.graph = graph
        self.order = graph.nodes
        self.place = {n: k for k, n in enumerate(self.order)}
        self.reads_of: dict[Node, list[Node]] = {}  # by a node, those that read it
        for n in self.order:
            for i in n.inputs:
                self.reads_of.setdefault(i, []).append(n)
        self.outputs = set(graph.outputs)
        self.gated = any(n.op is not None and n.op.name == "after" for n in self.order)
        self.native = native
        self.continues = continues
        self.constants = graph.constants
        self.time: dict[Node, float] = {}
        self.drawn = 0.0  # the time of the last random draw, which none behind it comes before
        self.nest: dict[Node, Loops] = {}
        self.loops: list[Loops] = []
        self.calls: list[Call] = []
        self.fills: list[Fill] = []
        self.joins: list[Joined] = []
        self.copies: dict[Node, Node] = {}  # a view that was copied, and the copy
        self.stored: dict[Node, tuple[Node, Any]] = {}  # a copy into part of a buffer: the buffer and the region
        self.needed: set[Node] = set()  # nodes that must have memory
        self.by_domain: dict[tuple[int, ...], list[Loops]] = {}
        self.settled: set[Loops] = set()  # whose values other steps read
        self.depth: dict[Node, int] = {}  # how many waiting nodes hang on each other
        self.readers: dict[Node, list[Loops]] = {}
        self.lazy: set[Node] = set()
        self.waiting: set[Node] = set()  # computed from inputs alone: each goes where it is first asked for
        self.uses: collections.Counter[Node] = collections.Counter()  # of a value, how many read it

    def number(self, node: Node) -> Any:
        """Give a node's value if it is one number known now, else None."""
        value = self.constants.get(node)
        if value is None:
            return None
        if isinstance(value, np.ndarray):
            return (
                value.reshape(()).item() if value.size == 1 and value.dtype.kind in "fiub" and value.ndim == 0 else None
            )
        return value

    def _base(self, node: Node) -> Node:
        while node.op is not None and node.op.name in VIEWS:
            node = node.inputs[0]
        return node

    base_of = _base

    def is_light(self, node: Node) -> bool:
        """Tell whether a node is elementwise and loops can compute it."""
        return self._is_number(node) and self._in_loops(node)

    def may_come(self, node: Node) -> bool:
        """Tell whether an elementwise node has no place yet, and goes where it is asked for."""
        return node.op is not None and node not in self.time and self.is_light(node)

    def is_there(self, node: Node, depth: int = 4) -> bool:
        """Tell whether a value is known by now, or is a few light operations away from those that are."""
        node = self._base(node)
        if node.op is None or node in self.time or node in self.waiting or node in self.lazy:
            return True
        return depth > 0 and self.is_light(node) and all(self.is_there(i, depth - 1) for i in node.inputs)

    def _ready_by(self, node: Node) -> float:
        """Give a time at which a value of ``is_there`` is there at the latest."""
        node = self._base(node)
        if node in self.time or node.op is None or node in self.lazy:
            return self._time_of(node)
        return 1 + max([self._ready_by(i) for i in node.inputs], default=0.0)

    def _in_loops(self, node: Node) -> bool:
        return bool(self.native(node)) and 0 not in node.shape and all(0 not in i.shape for i in node.inputs)

    def _can_wait(self, node: Node) -> bool:
        """Tell whether an elementwise node depends on the graph's inputs and other such nodes only."""
        if not self._is_number(node):
            return False
        for i in node.inputs:
            base = self._base(i)
            if base.op is None or base in self.waiting or self.number(base) is not None:
                continue
            if base not in self.lazy or any(self.time[n] > 0 for n in self._leaves(base)):
                return False
        return True

    def _waits(self, node: Node) -> bool:
        """Tell whether a node goes where it is first asked for; chains of such nodes stay short."""
        depth = 1 + max([self.depth.get(self._base(i), 0) for i in node.inputs], default=0)
        if depth > MOST_WAITING or not (self._can_wait(node) or self._may_wait(node)):
            return False
        self.depth[node] = depth
        return True

    def _may_wait(self, node: Node) -> bool:
        """Tell whether a node is light, and read from one value that is no larger: it is computed where it is asked for."""
        if node.op.name in ("reach", "iota"):  # type: ignore[union-attr]
            return True
        if not self._is_number(node) or node.op.name in HEAVY:  # type: ignore[union-attr]
            return False
        size, found, todo = node.type.nbytes, set(), [self._base(i) for i in node.inputs if self.number(i) is None]
        while todo:
            base = todo.pop()
            if base in self.waiting and base.op.name != "reach":  # type: ignore[union-attr]
                todo.extend(self._base(i) for i in base.inputs if self.number(i) is None)
            elif base.type.nbytes * 4 > size:
                found.add(base)
        for base in found:
            product = self.nest[base].product if base in self.nest else None
            if product is not None and (node in product.behind if product.behind else base not in self.needed):
                return False  # in registers now, behind a product, and perhaps nowhere else
        return len(found) <= 1 and all(base.type.nbytes <= size and base.op is not None for base in found)

    @staticmethod
    def _is_number(node: Node) -> bool:
        return node.op.family == "elementwise" or node.op.name in ("cast", "where")  # type: ignore[union-attr]

    def _is_lazy(self, node: Node) -> bool:
        """Tell whether a 0-d node depends on 0-d leaves and other such nodes only."""
        for i in node.inputs:
            if self.number(i) is not None or i in self.lazy:
                continue
            if i.shape != () or (i.op is not None and i.op.name in VIEWS):
                return False
            if i.op is not None and i not in self.time:
                return False
        return True

    def _leaves(self, node: Node) -> list[Node]:
        """Give what a lazy node reads from memory."""
        found: list[Node] = []
        todo, seen = [node], set()
        while todo:
            n = todo.pop()
            if n in seen or self.number(n) is not None:
                continue
            seen.add(n)
            if n in self.lazy:
                todo.extend(n.inputs)
            else:
                found.append(n)
        return found

    def _time_of(self, node: Node) -> float:
        if self.number(node) is not None:
            return 0.0
        gate = 0.0
        while node.op is not None and node.op.name in VIEWS and node not in self.copies:
            if node.op.name == "after":
                gate = max(gate, self._time_of(node.inputs[1]))
            node = node.inputs[0]
        return max(gate, self._own_time(self.copies.get(node, node)))

    def _own_time(self, node: Node) -> float:
        if node in self.lazy:
            return max([self.time[n] for n in self._leaves(node)], default=0.0)
        if node in self.waiting:
            return max([self._time_of(i) for i in node.inputs], default=0.0)
        return self.time.get(node, 0.0)

    def _not_before(self, node: Node) -> float:
        """Give the time of what a node is to come after, though it does not read it."""
        time = 0.0
        todo = list(node.inputs) if self.gated else []
        while todo:
            n = todo.pop()
            while n.op is not None and n.op.name in VIEWS and n not in self.copies:
                if n.op.name == "after":
                    time = max(time, self._time_of(n.inputs[1]))
                n = n.inputs[0]
            if n in self.waiting or n in self.lazy:
                todo.extend(n.inputs)
        return time

    def _own_place(self, node: Node, nest: Loops) -> bool:
        """Tell whether a waiting value had better be computed before a large nest that asks for it: small, of use elsewhere, not its."""
        size = math.prod(node.shape)
        if size == nest.size or nest.size < REFINED or self.uses[node] < 2:
            return False
        todo, seen = [node], set()
        while todo:
            value = todo.pop()
            if value in nest.by_node:
                return False
            if value in self.waiting or value is node:
                todo.extend(b for b in map(self._base, value.inputs) if b not in seen)
                seen.update(todo)
        return True

    def read_by(self, number: Node) -> list[Node]:
        """Give what a number of a prelude reads from memory."""
        return self._leaves(number) if number in self.lazy else [number]
