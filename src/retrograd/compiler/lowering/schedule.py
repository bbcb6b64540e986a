"""Scheduling: a Graph's nodes are gathered into loop nests and calls, in an order in which every value is there when it is read.

Each step has a time, above the times of all that it reads. A node joins the loop nest of something it reads, or of something that
reads what it reads, where it runs over the same elements and everything else it needs is there before; else it opens a nest.
"""

from __future__ import annotations

import collections
import itertools
import math
from typing import Any

import numpy as np

from ...core import REGISTRY, Graph, Node
from ..passes.assembly import covers
from .ending import finish
from .epilogues import follows
from .joining import ADDING, REDUCTIONS, Joining
from .kernel import FULL, TAIL, Call, Fill, Loops, Statement
from .maps import VIEWS, Affine, Map, identity, linear, refined, strides_of, through
from .values import REFINED

SIDE_BY_SIDE = 16384  # elements up to which nests over equal domains are joined although they share nothing


def place_op() -> Any:
    """Give the op that stands for a copy."""
    return REGISTRY["clone"]


class Schedule(Joining):
    """The steps of a graph.

    Parameters
    ----------
    graph : Graph
    native : callable
        Tells whether loops can compute a node.
    continues : callable
        Tells whether a product's nest can go on with its elements: 0 no, 1 yes, and add columns up, 3 tile by tile.
    """

    def __init__(self, graph: Graph, native: Any, continues: Any = lambda call: 0) -> None:
        super().__init__(graph, native, continues)
        self._run()

    def source(self, node: Node, index: Map, domain: tuple[int, ...]) -> tuple[Node, Map | None, Affine | None]:
        """Follow views down to what has memory or is computed: (node, map, address if only an address is known)."""
        while True:
            node = self.copies.get(node, node)
            if node.op is None or node.op.name not in VIEWS:
                return node, index, None
            found = through(node, index, domain)
            inner = node.inputs[0]
            if found is not None:
                node, index = inner, found
                continue
            # a reshape whose indices are not affine: in contiguous memory its address still is
            inner = self.copies.get(inner, inner)
            if inner.op is not None and inner.op.name in VIEWS:
                inner = self._copy(inner)
            return inner, None, linear(index, strides_of(node.shape), len(domain))

    def _copy(self, view: Node) -> Node:
        """Schedule the copy of a view into memory of its own."""
        copy = Node(place_op(), (view,), {"order": "C"}, view.shape, view.dtype, False, view.place, (), None, None)
        if 0 in view.shape:
            self._schedule_call(copy)
        else:
            self._schedule_element(copy)
        self.needed.add(copy)
        self.copies[view] = copy
        return copy

    # -- the walk --------------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        graph = self.graph
        order = self.order
        wanted: set[Node] = set()
        for node in order:
            if node.op is not None and not self._in_loops(node) and node.op.name not in VIEWS:
                wanted.update(self._base(i) for i in node.inputs)
        wanted.update(self._base(o) for o in graph.outputs)
        users = [node for node in order if node.op is not None and node.op.name not in VIEWS]
        self.uses = collections.Counter(self._base(i) for node in users for i in node.inputs)
        last: list[Node] = []  # numbers that nothing else needs: what they are computed from stays open for others
        for node in order:
            op = node.op
            if op is None:
                self.time[node] = 0.0
            elif op.name in VIEWS:
                continue
            elif op.name == "assemble":
                self._schedule_assembly(node, node.attrs["regions"])
            elif op.name == "interleave":
                steps = node.attrs["steps"]
                firsts = itertools.product(*map(range, steps))
                self._schedule_assembly(node, [tuple(zip(first, steps, strict=True)) for first in firsts])
            elif not self._in_loops(node):
                self._schedule_call(node)
            elif node.shape == () and self._is_number(node) and node not in wanted and self._is_lazy(node):
                self.lazy.add(node)
            elif node not in wanted and self._waits(node):
                self.waiting.add(node)
            elif node.shape == () and not self.uses[node] and self._is_number(node):
                last.append(node)
            else:
                self._schedule_element(node)
        for node in last:
            self._schedule_element(node)
        for output in graph.outputs:
            base, _, _ = self.source(output, identity(output.shape), output.shape)
            if base in self.lazy:
                base = self._copy(base)
            if base.op is not None:
                self.needed.add(base)
        self.steps: list[Any] = finish(self)

    def _schedule_call(self, node: Node) -> None:
        operands: list[Any] = []
        time = 0.0
        for i in node.inputs:
            if i in self.constants and not isinstance(self.constants[i], np.ndarray):
                operands.append(None)
                continue
            base, index, _ = self.source(i, identity(i.shape), i.shape)
            if index is None or (node.op.name == "matmul" and not _lies_in_rows(index, base, i)):  # type: ignore[union-attr]
                base = self._copy(i)
                index = identity(i.shape)
            elif base in self.lazy:
                base = self._copy(base)
            elif base in self.waiting:
                self.waiting.discard(base)
                self._schedule_element(base)
            offset, strides = linear(index, strides_of(base.shape), len(i.shape))
            operands.append((base, offset, strides))
            self._settle(base)
            time = max(time, self.time[base])
            self.needed.add(base)
        time = max(time, self._not_before(node))
        if node.op.impure:  # type: ignore[union-attr]
            time = self.drawn = max(time, self.drawn)
        call = Call(time + 1, node, operands)
        self.time[node] = time + 1
        call.continues = self.continues(call)
        if call.continues == 3:
            call.behind = follows(node, self)
            call.continues = 3 if call.behind else 0
            read = [i for n in call.behind for i in n.inputs if i is not node and i not in call.behind]
            time = max([time, *map(self._ready_by, read)])
            call.time = self.time[node] = time + 1
        if call.continues:
            nest = Loops(time + 1, node.shape, product=call)
            nest.statements.append(Statement(node, FULL, identity(node.shape), []))
            nest.by_node[node] = nest.statements[0]
            self.nest[node] = nest
            self.loops.append(nest)
            return
        self.calls.append(call)
        self.needed.add(node)

    def _schedule_assembly(self, node: Node, regions: Any) -> None:
        time, least = 0.0, math.inf
        filled = node.op.name == "assemble" and not covers(node)  # type: ignore[union-attr]
        for piece, region in zip(node.inputs, regions, strict=True):
            if 0 in piece.shape:
                continue
            copy = Node(
                place_op(), (piece,), {"order": "C"}, piece.shape, piece.dtype, False, node.place, (), None, None
            )
            self.stored[copy] = (node, region)
            self._schedule_element(copy)
            self.needed.add(copy)
            self._settle(copy)
            time = max(time, self.time[copy])
            least = min(least, self.time[copy])
        if least == math.inf:
            time, least, filled = 0.5, 1.0, True
        if filled:
            self.fills.append(Fill(least - 0.5, node, node.attrs.get("fill", 0)))
        self.time[node] = time
        self.needed.add(node)

    def _schedule_element(self, node: Node) -> None:
        inner = node.inputs[0] if node.op.name in (*REDUCTIONS, *ADDING) else node  # type: ignore[union-attr]
        for _ in range(2 + len(node.inputs)):
            for nest in self._candidates(node):
                if self._join(node, nest):
                    return
            # a join that needs a copy of a view, or what was waiting, makes it, and is tried again there or behind it
            nest = Loops(1 + max([self._time_of(i) for i in node.inputs], default=0.0), self._domain(inner))
            joined = self._join(node, nest)
            if nest.statements:  # also what was waiting and went there, when the node itself did not
                self.loops.append(nest)
                self.by_domain.setdefault(nest.domain, []).append(nest)
            if joined:
                return
        self._schedule_call(node)

    def _domain(self, node: Node) -> tuple[int, ...]:
        """Give the loops for a node: its dimensions, cut where a large value that it views has them cut."""
        shape = node.shape
        if math.prod(shape) < REFINED:
            return shape
        for i in (node, *node.inputs):
            if i.op is not None and i.op.name == "view" and i.shape == node.shape:
                shape = refined(shape, i.inputs[0].shape)
        return shape

    def _candidates(self, node: Node) -> list[Loops]:
        found: dict[int, Loops] = {}
        read: list[Node] = []
        todo = [self._base(i) for i in node.inputs]
        while todo:
            base = todo.pop(0)
            base = self.copies.get(base, base)
            if base in read:
                continue
            if base in self.nest:
                nest = self.nest[base]
                found[id(nest)] = nest
            elif base in self.waiting:  # it goes where this node goes, so what it reads counts too
                todo.extend(self._base(i) for i in base.inputs)
            read.append(base)
        for base in read:
            for nest in self.readers.get(base, ())[-3:]:
                found.setdefault(id(nest), nest)
        shape = node.shape if node.op.name not in (*REDUCTIONS, *ADDING) else node.inputs[0].shape  # type: ignore[union-attr]
        if math.prod(shape) <= SIDE_BY_SIDE:
            for nest in self.by_domain.get(shape, ())[-2:]:
                found.setdefault(id(nest), nest)
        held = [v for base in read for v in (self._leaves(base) if base in self.lazy else [base]) if v in self.time]
        size = math.prod(shape)
        gate = self._not_before(node)
        fit = [n for n in found.values() if n.time >= gate and self._may_read(n, held) and _belongs(size, n, held)]
        # a sum goes where what it adds up is in registers
        adds = node.op.name in REDUCTIONS  # type: ignore[union-attr]
        held_here = {n: adds and n.product is not None and any(b in n.by_node for b in read) for n in fit}
        return sorted(fit, key=lambda n: (-n.size, not held_here[n], -n.time))

    def _may_read(self, nest: Loops, values: list[Node]) -> bool:
        """Tell whether all these values are a nest's own or are there before it, which may be put off if nothing has read it."""
        own = [nest.by_node[v] for v in values if v in nest.by_node]
        if any(s.level == TAIL for s in own):
            return False
        if nest not in self.settled and nest.product is None:
            return True
        return all(self.time[v] < nest.time or v in nest.by_node for v in values)


def _lies_in_rows(index: Map, base: Node, matrix: Node) -> bool:
    """Tell whether a matrix, or its transpose, has contiguous rows that do not overlap, as products read them."""
    down, right = linear(index, strides_of(base.shape), len(matrix.shape))[1][-2:]
    rows, columns = matrix.shape[-2:]
    turned = (right, down, columns, rows)
    return any(
        (one == 1 or inner == 1) and (lead >= inner or outer == 1)
        for lead, one, outer, inner in ((down, right, rows, columns), turned)
    )


def _belongs(size: int, nest: Loops, values: list[Node]) -> bool:
    """Tell whether a value goes into a nest: into a much larger one only with what it reads there, not to hold that up."""
    return size == nest.size or nest.size < REFINED or any(v in nest.by_node for v in values)
