"""Scheduling: a Graph's nodes are gathered into loop nests and calls, in an order in which every value is there when it is read.

Each step has a time, above the times of all that it reads. A node joins the loop nest of something it reads, or of something that
reads what it reads, where it runs over the same elements and everything else it needs is there before; else it opens a nest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import REGISTRY, Graph, Node
from ..passes.assembly import covers
from .kernel import FULL, ROW, TAIL, Call, Fill, Loops, Operand, Statement
from .maps import VIEWS, Affine, Map, identity, linear, split, strides_of, through

REDUCTIONS = {"sum": 0.0, "amax": -math.inf, "amin": math.inf}
MOST_STATEMENTS = 160
MOST_STREAMS = 40
MOST_BEHIND = 12  # statements that go on with a product's elements
HEAVY = (
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "tanh",
    "sigmoid",
    "softplus",
    "erf",
    "erfc",
    "sin",
    "cos",
    "tan",
    "pow",
    "hypot",
    "sinh",
    "cosh",
    "asinh",
    "acosh",
    "atanh",
    "asin",
    "acos",
    "atan",
    "atan2",
    "remainder",
    "fmod",
    "floor_divide",
    "logaddexp",
)
SIDE_BY_SIDE = 16384  # elements up to which nests over equal domains are joined although they share nothing


def place_op() -> Any:
    """Give the op that stands for a copy."""
    return REGISTRY["clone"]


class Schedule:
    """The steps of a graph.

    Parameters
    ----------
    graph : Graph
    native : callable
        Tells whether loops can compute a node.
    continues : callable
        Tells whether a matrix product's nest can go on with its elements: 0 no, 1 yes, 2 and add columns up.
    """

    def __init__(self, graph: Graph, native: Any, continues: Any = lambda call: 0) -> None:
        self.graph = graph
        self.native = native
        self.continues = continues
        self.constants = graph.constants
        self.time: dict[Node, float] = {}
        self.nest: dict[Node, Loops] = {}
        self.loops: list[Loops] = []
        self.calls: list[Call] = []
        self.fills: list[Fill] = []
        self.copies: dict[Node, Node] = {}  # a view that was copied, and the copy
        self.stored: dict[Node, tuple[Node, Any]] = {}  # a copy into part of a buffer: the buffer and the region
        self.needed: set[Node] = set()  # nodes that must have memory
        self.by_domain: dict[tuple[int, ...], list[Loops]] = {}
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
        order = graph.nodes
        wanted: set[Node] = set()
        for node in order:
            if node.op is not None and not self._in_loops(node) and node.op.name not in VIEWS:
                wanted.update(self._base(i) for i in node.inputs)
        wanted.update(self._base(o) for o in graph.outputs)
        for node in order:
            op = node.op
            if op is None:
                self.time[node] = 0.0
            elif op.name in VIEWS:
                continue
            elif op.name == "assemble":
                self._schedule_assembly(node)
            elif not self._in_loops(node):
                self._schedule_call(node)
            elif node.shape == () and self._is_number(node) and node not in wanted and self._is_lazy(node):
                self.lazy.add(node)
            elif node not in wanted and self._can_wait(node):
                self.waiting.add(node)
            else:
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
            if index is None:
                base = self._copy(i)
                index = identity(i.shape)
            elif base in self.lazy:
                base = self._copy(base)
            elif base in self.waiting:
                self.waiting.discard(base)
                self._schedule_element(base)
            offset, strides = linear(index, strides_of(base.shape), len(i.shape))
            operands.append((base, offset, strides))
            time = max(time, self.time[base])
            self.needed.add(base)
        call = Call(time + 1, node, operands)
        self.time[node] = time + 1
        call.continues = self.continues(call)
        if call.continues:
            nest = Loops(time + 1, node.shape, product=call)
            nest.statements.append(Statement(node, FULL, identity(node.shape), []))
            nest.by_node[node] = nest.statements[0]
            self.nest[node] = nest
            self.loops.append(nest)
            return
        self.calls.append(call)
        self.needed.add(node)

    def _schedule_assembly(self, node: Node) -> None:
        time, least = 0.0, math.inf
        filled = not covers(node)
        for piece, region in zip(node.inputs, node.attrs["regions"], strict=True):
            if 0 in piece.shape:
                continue
            copy = Node(
                place_op(), (piece,), {"order": "C"}, piece.shape, piece.dtype, False, node.place, (), None, None
            )
            self.stored[copy] = (node, region)
            self._schedule_element(copy)
            self.needed.add(copy)
            time = max(time, self.time[copy])
            least = min(least, self.time[copy])
        if least == math.inf:
            time, least, filled = 0.5, 1.0, True
        if filled:
            self.fills.append(Fill(least - 0.5, node, node.attrs.get("fill", 0)))
        self.time[node] = time
        self.needed.add(node)

    def _schedule_element(self, node: Node) -> None:
        for nest in self._candidates(node):
            if self._join(node, nest):
                return
        inner = node.inputs[0] if node.op.name in REDUCTIONS or node.op.name == "index_add_zeros" else node  # type: ignore[union-attr]
        for _ in range(
            2 + len(node.inputs)
        ):  # a join that needs a copy of a view makes it, and is tried again behind it
            nest = Loops(1 + max([self._time_of(i) for i in node.inputs], default=0.0), inner.shape)
            joined = self._join(node, nest)
            if nest.statements:  # also what was waiting and went there, when the node itself did not
                self.loops.append(nest)
                self.by_domain.setdefault(nest.domain, []).append(nest)
            if joined:
                return
        self._schedule_call(node)

    def _time_of(self, node: Node) -> float:
        if self.number(node) is not None:
            return 0.0
        while node.op is not None and node.op.name in VIEWS and node not in self.copies:
            node = node.inputs[0]
        node = self.copies.get(node, node)
        if node in self.lazy:
            return max([self.time[n] for n in self._leaves(node)], default=0.0)
        return self.time.get(node, 0.0)

    def _candidates(self, node: Node) -> list[Loops]:
        found: dict[int, Loops] = {}
        read: list[Node] = []
        for i in node.inputs:
            base = self._base(i)
            base = self.copies.get(base, base)
            if base in self.nest:
                nest = self.nest[base]
                found[id(nest)] = nest
            read.append(base)
        for base in read:
            for nest in self.readers.get(base, ())[-3:]:
                found.setdefault(id(nest), nest)
        shape = node.shape if node.op.name not in REDUCTIONS else node.inputs[0].shape  # type: ignore[union-attr]
        if math.prod(shape) <= SIDE_BY_SIDE:
            for nest in self.by_domain.get(shape, ())[-2:]:
                found.setdefault(id(nest), nest)
        return sorted(found.values(), key=lambda n: -n.time)

    # -- joining ---------------------------------------------------------------------------------------------------------
    def _home(self, node: Node, nest: Loops) -> tuple[Map | None, str]:
        """Give the map from a nest's counters to the index of a value of this shape, and the level it lives on."""
        domain = nest.domain
        if node.shape == domain:
            return identity(domain), FULL
        size = math.prod(node.shape)
        if size == nest.size and size > 1:
            return split(linear(identity(domain), strides_of(domain), len(domain)), node.shape, domain), FULL
        if nest.split is not None and size == nest.rows:
            coefs = [0] * len(domain)
            step = 1
            for d in reversed(range(len(domain))):
                if d not in nest.split:
                    coefs[d] = step if domain[d] != 1 else 0
                    step *= domain[d]
            return split((0, tuple(coefs)), node.shape, domain), ROW
        return None, FULL

    def _operand(self, node: Node, index: Map, nest: Loops) -> Operand | None:
        """Find where an operand comes from; None where it is not to be had inside this nest."""
        number = self.number(node)
        if number is not None:
            return Operand("number", number)
        base, at, address = self.source(node, index, nest.domain)
        number = self.number(base)
        if number is not None:
            return Operand("number", number)
        if base in self.lazy:
            if any(self.time[n] >= nest.time for n in self._leaves(base)):
                return None
            return Operand("scalar", base)
        if base in self.waiting:
            self.waiting.discard(base)
            home, _ = self._home(base, nest)
            if home is None or home != at or not self._join(base, nest):
                self._schedule_element(base)
        inside = nest.by_node.get(base)
        if inside is not None:
            if inside.level == TAIL or at is None or inside.home != at or base in self.stored:
                return None
            return Operand("value", base)
        if self.time.get(base, math.inf) >= nest.time:
            return None
        if address is None:
            address = linear(at, strides_of(base.shape), len(nest.domain))  # type: ignore[arg-type]
        return Operand("load", base, address)

    def _join(self, node: Node, nest: Loops) -> bool:
        name = node.op.name  # type: ignore[union-attr]
        if len(nest.statements) >= MOST_STATEMENTS:
            return False
        if nest.product is not None and not self._continues(node, nest):
            return False
        if name in REDUCTIONS:
            made = self._reduction(node, nest)
        elif name == "index_add_zeros":
            made = self._indexed_sum(node, nest)
        else:
            home, level = self._home(node, nest)
            if home is None:
                return False
            if name == "index_select":
                operands = self._selected(node, home, nest)
            else:
                operands = self._aligned(node, home, nest)
            made = None if operands is None else Statement(node, level, home, operands)
        if made is None:
            return False
        streams = {o.node for s in nest.statements for o in s.operands if o.kind == "load"}
        if len(streams) + len(made.operands) > MOST_STREAMS and nest.statements:
            return False
        nest.statements.append(made)
        nest.by_node[node] = made
        self.nest[node] = nest
        self.time[node] = nest.time
        for o in made.operands:
            if o.kind == "load":
                self.needed.add(o.node)
                self.readers.setdefault(o.node, []).append(nest)
            elif o.kind == "scalar":
                self._add_scalar(o.node, nest)
        if made.level == TAIL:
            self.fills.append(Fill(nest.time - 0.5, node, REDUCTIONS.get(name, 0.0)))
            self.needed.add(node)
        return True

    def _continues(self, node: Node, nest: Loops) -> bool:
        """Tell whether a product's nest may take a node: few and light ones, whose code stands once for each register."""
        name = node.op.name if node.op is not None else ""
        if len(nest.statements) >= MOST_BEHIND or name in (*HEAVY, "index_select", "index_add_zeros", "check_index"):
            return False
        if name in REDUCTIONS:
            return bool(nest.product.continues == 2 and math.prod(node.inputs[0].shape) == nest.size)
        return node.shape == nest.domain

    def _add_scalar(self, node: Node, nest: Loops) -> None:
        if node in nest.prelude or self.number(node) is not None:
            return
        if node in self.lazy:
            for i in node.inputs:
                self._add_scalar(i, nest)
        else:
            self.needed.add(node)
        nest.prelude[node] = None

    def _aligned(self, node: Node, home: Map, nest: Loops) -> list[Operand] | None:
        """Give the operands of an elementwise node, each broadcast to the node's shape."""
        out: dict[int, Operand] = {}
        n = len(nest.domain)
        order = sorted(range(len(node.inputs)), key=lambda k: self._base(node.inputs[k]) in self.waiting)
        for k in order:  # what can go anywhere is asked for last
            i = node.inputs[k]
            lead = len(node.shape) - len(i.shape)
            index = tuple([(0, (0,) * n) if size == 1 else home[lead + d] for d, size in enumerate(i.shape)])
            found = self._operand(i, index, nest)
            if found is None:
                return None
            out[k] = found
        return [out[k] for k in range(len(node.inputs))]

    def _selected(self, node: Node, home: Map, nest: Loops) -> list[Operand] | None:
        """Give the operands of a look-up: the table in memory, addressed without its looked-up dimension, and the index."""
        table, index = node.inputs
        axis = node.attrs["axis"]
        k = len(index.shape)
        n = len(nest.domain)
        where = self._operand(index, home[axis : axis + k], nest)
        if where is None or where.kind == "number":
            return None
        if where.kind == "value" and nest.by_node[where.node].level == FULL:
            return None
        if where.kind == "load" and nest.live and where.address[1][nest.live[-1]]:
            return None
        at = (*home[:axis], (0, (0,) * n), *home[axis + k :])
        base, found, _ = self.source(table, at, nest.domain)
        if found is None or base in nest.by_node or self.time.get(base, math.inf) >= nest.time:
            return None
        one = tuple([(int(d == axis), ()) for d in range(len(table.shape))])
        unit, unit_map, _ = self.source(table, one, ())
        zero, zero_map, _ = self.source(table, tuple([(0, ()) for _ in table.shape]), ())
        if unit_map is None or zero_map is None:
            return None
        steps = strides_of(base.shape)
        stride = linear(unit_map, steps, 0)[0] - linear(zero_map, steps, 0)[0]
        load = Operand("load", base, linear(found, steps, n))
        return [load, where, Operand("number", stride)]

    def _reduction(self, node: Node, nest: Loops) -> Statement | None:
        x = node.inputs[0]
        home, level = self._home(x, nest)
        if home is None:
            return None
        axes = {a % len(x.shape) for a in node.attrs["axis"]}
        reduced: set[int] = set()
        kept: set[int] = set()
        for d, (_, coefs) in enumerate(home):
            (reduced if d in axes else kept).update(i for i, k in enumerate(coefs) if k)
        if reduced & kept:
            return None
        operand = self._operand(x, home, nest)
        if operand is None:
            return None
        out = tuple([h for d, h in enumerate(home) if d not in axes])
        live = nest.live
        if nest.product is not None and (not live or live[-1] in reduced):
            return None
        if level == FULL and live and live[-1] in reduced and nest.split in (None, frozenset(reduced)):
            if nest.split is None and any(s.level == TAIL for s in nest.statements):
                return None
            nest.split = frozenset(reduced)
            return Statement(node, ROW, out, [operand], reads=level)
        if level == FULL and live and live[-1] in reduced and not (nest.split is not None and nest.split <= reduced):
            return None
        return Statement(node, TAIL, out, [operand], reads=level)

    def _indexed_sum(self, node: Node, nest: Loops) -> Statement | None:
        g, index = node.inputs
        home, level = self._home(g, nest)
        axis = node.attrs["axis"]
        k = len(index.shape)
        if home is None or level != FULL or math.prod(node.shape[axis + 1 :]) == 1:
            return None
        value = self._operand(g, home, nest)
        where = self._operand(index, home[axis : axis + k], nest)
        if value is None or where is None or where.kind == "number":
            return None
        if where.kind == "value" and nest.by_node[where.node].level == FULL:
            return None
        if where.kind == "load" and nest.live and where.address[1][nest.live[-1]]:
            return None
        n = len(nest.domain)
        out = (*home[:axis], (0, (0,) * n), *home[axis + k :])
        return Statement(node, TAIL, out, [value, where, Operand("number", strides_of(node.shape)[axis])])

    # -- memory ----------------------------------------------------------------------------------------------------------
    def _finish(self) -> None:
        alone = [nest for nest in self.loops if nest.product is not None and len(nest.statements) == 1]
        for nest in alone:  # nothing goes on with it
            self.loops.remove(nest)
            self.calls.append(nest.product)
            self.needed.add(nest.product.node)
        for nest in self.loops:
            n = len(nest.domain)
            for s in nest.statements:
                if s.node in self.stored:
                    target, region = self.stored[s.node]
                    s.store = (target, _region_address(s.home, region, target.shape, n))
                elif s.node in self.needed or s.level == TAIL:
                    s.store = (s.node, linear(s.home, strides_of(s.node.shape), n))
        self.steps: list[Any] = sorted([*self.loops, *self.calls, *self.fills], key=lambda s: s.time)


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
