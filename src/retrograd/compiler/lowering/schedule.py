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
from .epilogues import follows
from .joining import ADDING, HEAVY, REDUCTIONS, Joining
from .kernel import CHUNK, FULL, MOST_CHUNKS, TAIL, Bounds, Call, Fill, Joined, Loops, Statement
from .maps import VIEWS, Affine, Map, identity, linear, refined, strides_of, through
from .merging import merge

REFINED = 16384  # elements from which loops follow the dimensions behind a reshape
MOST_WAITING = 24  # nodes that may wait for each other
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
        self._run()

    # -- what nodes are ------------------------------------------------------------------------------------------------
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
        self._finish()

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

    # -- memory ----------------------------------------------------------------------------------------------------------
    def _finish(self) -> None:
        alone = [nest for nest in self.loops if nest.product is not None and len(nest.statements) == 1]
        for nest in alone:  # nothing goes on with it
            self.loops.remove(nest)
            self.calls.append(nest.product)
            self.needed.add(nest.product.node)
        merge(self.loops, self.calls, self.fills, self.stored, self._read_by)
        for nest in self.loops:
            n = len(nest.domain)
            for s in nest.statements:
                if s.node in self.stored:
                    target, region = self.stored[s.node]
                    s.store = (target, _region_address(s.home, region, target.shape, n))
                    s.bounds = _overhang(s.home, region, target)
                elif s.node in self.needed or s.level == TAIL:
                    s.store = (s.node, linear(s.home, strides_of(s.node.shape), n))
        for nest in self.loops:
            if nest.product is None:
                self._add_apart(nest)
            elif nest.product.parts > 1:
                self._add_by_chunks(nest)
        self._begin_inside()
        self.steps: list[Any] = sorted([*self.loops, *self.calls, *self.fills, *self.joins], key=lambda s: s.time)

    def _begin_inside(self) -> None:
        """Let nests that run as one begin their sums themselves, instead of a step before each."""
        whole = [
            nest for nest in self.loops if nest.parts == 1 and (nest.product is None or nest.product.continues < 3)
        ]
        own = {s.node: nest for nest in whole for s in nest.statements if s.level == TAIL}
        for fill in self.fills:
            if fill.node in own:
                own[fill.node].begun.add(fill.node)
        self.fills = [fill for fill in self.fills if fill.node not in own]

    def _add_by_chunks(self, nest: Loops) -> None:
        """Give every chunk of a product sums of its own, which it begins itself, and which are joined in order behind it."""
        for s in nest.statements:
            if s.level == TAIL and s.store is not None:
                nest.parts = nest.product.parts
                held = self._chunks_sums(s.node, nest)
                s.store = (held, s.store[1])
                nest.begun.add(s.node)
                self.fills = [fill for fill in self.fills if fill.node is not s.node]

    def _chunks_sums(self, node: Node, nest: Loops) -> Node:
        """Give what holds the sums of each of a nest's chunks, and have them joined behind it."""
        shape = (nest.parts, *node.shape)
        held = Node(place_op(), (), {}, shape, node.dtype, False, node.place, (), None, None)
        nest.apart[node] = held
        self.joins.append(Joined(nest.time + 0.25, node, held))
        return held

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

    def _read_by(self, number: Node) -> list[Node]:
        """Give what a number of a prelude reads from memory."""
        return self._leaves(number) if number in self.lazy else [number]

    def _add_apart(self, nest: Loops) -> None:
        """Cut a nest that adds into memory into chunks, each with sums of its own, which are joined in order behind it."""
        tails = [s for s in nest.statements if s.level == TAIL]
        work = nest.work
        if not tails or work < 2 * CHUNK:
            return
        if nest.split is not None:
            rows = [d for d in nest.live if d not in nest.split]
        else:
            rows = nest.live[:-1]
        stores = [(s, s.store) for s in tails if s.store is not None]
        whole = nest.split is None and not any(any(place[1][1]) for _, place in stores)
        if not whole and not rows:
            return
        outer = nest.size if whole else nest.domain[rows[0]]
        shared = [s for s, place in stores if whole or not place[1][1][rows[0]]]
        parts = min(MOST_CHUNKS, work // CHUNK, outer)
        added = sum(math.prod(s.node.shape) for s in shared)
        while parts > 1 and 2 * parts * added > nest.size:
            parts //= 2
        if parts < 2:
            return
        nest.parts = parts
        for s in shared:
            node, address = s.store  # type: ignore[misc]
            held = self._chunks_sums(node, nest)
            s.store = (held, address)
            for fill in self.fills:
                if fill.node is node:
                    fill.node = held


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


def _overhang(home: Map, region: tuple[Any, ...], whole: Node) -> Bounds:
    """Give what must hold for a part's element to lie inside an interleaved whole: the same for all of its parts."""
    if whole.op.name != "interleave":  # type: ignore[union-attr]
        return ()
    bounds = []
    for (c, ks), (at, step), count, n in zip(home, region, whole.inputs[0].shape, whole.shape, strict=True):
        if count * step != n:
            bounds.append(((at + step * c, tuple([step * k for k in ks])), n))
    return tuple(bounds)


def _region_address(home: Map, region: tuple[Any, ...], shape: tuple[int, ...], n: int) -> Affine:
    index = []
    d = 0
    for e in region:
        if isinstance(e, tuple):
            constant, coefs = home[d]
            index.append((e[0] + e[1] * constant, tuple([k * e[1] for k in coefs])))
            d += 1
        else:
            index.append((e, (0,) * n))
    return linear(tuple(index), strides_of(shape), n)
