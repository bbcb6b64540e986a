"""Joining: which loop nest a node goes into, at which level, and where its operands come from there."""

from __future__ import annotations

import math

from ...core import Node
from .kernel import CHUNK, FULL, ROW, TAIL, Fill, Loops, Operand, Statement, identity_of
from .maps import Affine, Map, identity, linear, split, strides_of
from .values import HEAVY, Values

REDUCTIONS = ("sum", "amax", "amin")
ADDING = ("index_add_zeros", "flat_add")  # sums at places that are values
MOST_STATEMENTS = 160
MOST_STREAMS = 40
MOST_BEHIND = 12  # statements that go on with a product's elements


class Joining(Values):
    """The half of a schedule that puts nodes into nests; the walk over the graph is :class:`Schedule`'s."""

    def source(self, node: Node, index: Map, domain: tuple[int, ...]) -> tuple[Node, Map | None, Affine | None]:
        """Follow views down to what has memory or is computed."""
        raise NotImplementedError

    def _schedule_element(self, node: Node) -> None:
        raise NotImplementedError

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
            return Operand("scalar", base) if all(self._is_before(n, nest) for n in self._leaves(base)) else None
        if base in self.waiting:
            self.waiting.discard(base)
            home, _ = self._home(base, nest)
            if home is None or home != at or self._own_place(base, nest) or not self._join(base, nest):
                self._schedule_element(base)
        inside = nest.by_node.get(base)
        if inside is not None:
            if inside.level == TAIL or at is None or inside.home != at or base in self.stored:
                return None
            return Operand("value", base)
        if not self._is_before(base, nest):
            return None
        if address is None:
            address = linear(at, strides_of(base.shape), len(nest.domain))  # type: ignore[arg-type]
        return Operand("load", base, address)

    def _is_before(self, node: Node, nest: Loops) -> bool:
        """Tell whether a value is there when a nest begins; one that nothing has read from yet is put off for it."""
        time = self.time.get(node, math.inf)
        if time < nest.time:
            return True
        fixed = nest in self.settled or nest.product is not None or not nest.statements
        if time == math.inf or fixed or node in nest.by_node:
            return False
        moved = time + 1
        for fill in self.fills:
            if fill.node in nest.by_node:
                fill.time += moved - nest.time
        nest.time = moved
        for made in nest.by_node:
            self.time[made] = moved
        return True

    def _settle(self, node: Node) -> None:
        """Note that a value is read by another step: the time of its nest is fixed."""
        if node in self.nest:
            self.settled.add(self.nest[node])

    def _join(self, node: Node, nest: Loops) -> bool:
        name = node.op.name  # type: ignore[union-attr]
        if len(nest.statements) >= MOST_STATEMENTS:
            return False
        if nest.product is not None and not self._continues(node, nest):
            return False
        order = self.graph.sums.get(node)
        if order is not None and not nest.keeps([order]):
            return False
        if name in REDUCTIONS:
            made = self._reduction(node, nest)
        elif name in ADDING:
            made = self._indexed_sum(node, nest)
        else:
            home, level = self._home(node, nest)
            if home is None:
                return False
            if name in ("index_select", "flat_read"):
                operands = self._selected(node, home, nest)
            elif name == "reach":
                operands = self._reached(node, home, level, nest)
            else:
                operands = self._aligned(node, home, nest)
            made = None if operands is None else Statement(node, level, home, operands)
        if made is None or not self._are_before(made, nest):
            return False
        streams = {o.node for s in nest.statements for o in s.operands if o.kind == "load"}
        if len(streams) + len(made.operands) > MOST_STREAMS and nest.statements:
            return False
        nest.statements.append(made)
        nest.by_node[node] = made
        if order is not None:
            nest.orders[node] = order
        self.nest[node] = nest
        self.time[node] = nest.time
        for o in made.operands:
            if o.kind == "load":
                self.needed.add(o.node)
                self._settle(o.node)
                self.readers.setdefault(o.node, []).append(nest)
            elif o.kind == "scalar":
                self._add_scalar(o.node, nest)
        if made.level == TAIL:
            self.fills.append(Fill(nest.time - 0.5, node, identity_of(node)))
            self.needed.add(node)
        return True

    def _are_before(self, made: Statement, nest: Loops) -> bool:
        """Check a statement's operands once more: finding one may have put off another."""
        read = [o.node for o in made.operands if o.kind == "load"]
        for o in made.operands:
            if o.kind == "scalar":
                read += self._leaves(o.node) if o.node in self.lazy else [o.node]
        return all(self.time[n] < nest.time for n in read)

    def _continues(self, node: Node, nest: Loops) -> bool:
        """Tell whether a product's nest may take a node: few and light ones, whose code stands once for each register."""
        if nest.product.continues == 3:
            return node in nest.product.behind
        name = node.op.name if node.op is not None else ""
        if len(nest.statements) >= MOST_BEHIND or name in (
            *HEAVY,
            "index_select",
            "flat_read",
            *ADDING,
            "check_index",
            "reach",
        ):
            return False
        if name in REDUCTIONS:
            return bool(nest.product.continues == 1 and math.prod(node.inputs[0].shape) == nest.size)
        return node.shape == nest.domain

    def _add_scalar(self, node: Node, nest: Loops) -> None:
        if node in nest.prelude or self.number(node) is not None:
            return
        if node in self.lazy:
            for i in node.inputs:
                self._add_scalar(i, nest)
        else:
            self.needed.add(node)
            self._settle(node)
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

    def _reached(self, node: Node, home: Map, level: str, nest: Loops) -> list[Operand] | None:
        """Give the operand of a reach: memory at an address, and the bounds that are not kept everywhere."""
        if level != FULL:
            return None
        x = node.inputs[0]
        at = _stepped(home, node.attrs["starts"], node.attrs["steps"])
        base, found, address = self.source(x, at, nest.domain)
        if base in self.waiting:
            self.waiting.discard(base)
            self._schedule_element(base)
        if base in nest.by_node or base in self.lazy or not self._is_before(base, nest):
            return None
        if address is None:
            address = linear(found, strides_of(base.shape), len(nest.domain))  # type: ignore[arg-type]
        bounds = tuple([(i, n) for i, n in zip(at, x.shape, strict=True) if not _inside(i, n, nest.domain)])
        return [Operand("load", base, address, bounds)]

    def _selected(self, node: Node, home: Map, nest: Loops) -> list[Operand] | None:
        """Give the operands of a look-up: the table in memory, addressed without its looked-up dimension, and the index."""
        table, index = node.inputs
        axis = node.attrs.get("axis", 0)
        k = len(index.shape)
        n = len(nest.domain)
        where = self._operand(index, home[axis : axis + k], nest)
        if where is None or where.kind == "number":
            return None
        looked_up = table.shape[axis]
        wide = (*nest.domain, looked_up)  # the dimension is a counter too, so that the table may be any view
        other = [(c, (*ks, 0)) for c, ks in home]
        at = (*other[:axis], (0, (*(0,) * n, int(looked_up != 1))), *other[axis + k :])
        base, found, address = self.source(table, at, wide)
        if base in self.waiting:
            self.waiting.discard(base)
            self._schedule_element(base)
        if base in nest.by_node or base in self.lazy or not self._is_before(base, nest):
            return None
        if address is None:
            address = linear(found, strides_of(base.shape), n + 1)  # type: ignore[arg-type]
        load = Operand("load", base, (address[0], address[1][:n]))
        return [load, where, Operand("number", address[1][n])]

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
        if reduced.issuperset(live) and nest.split is None and nest.product is None and nest.size >= 2 * CHUNK:
            return Statement(node, TAIL, out, [operand], reads=level)  # each chunk adds up its own part
        if nest.product is not None and (not live or live[-1] in reduced):
            return None
        if level == FULL and live and live[-1] in reduced and nest.split in (None, frozenset(reduced)):
            if nest.split is None and any(s.level == TAIL for s in nest.statements):
                return None
            nest.split = frozenset(reduced)
            return Statement(node, ROW, out, [operand], reads=level)
        if level == FULL and live and live[-1] in reduced and nest.split is None:
            return None
        return Statement(node, TAIL, out, [operand], reads=level)

    def _indexed_sum(self, node: Node, nest: Loops) -> Statement | None:
        g, index = node.inputs
        home, level = self._home(g, nest)
        axis = node.attrs.get("axis", 0)
        k = len(index.shape)
        if home is None or level != FULL:
            return None
        value = self._operand(g, home, nest)
        where = self._operand(index, home[axis : axis + k], nest)
        if value is None or where is None or where.kind == "number":
            return None
        n = len(nest.domain)
        out = (*home[:axis], (0, (0,) * n), *home[axis + k :])
        return Statement(node, TAIL, out, [value, where, Operand("number", strides_of(node.shape)[axis])])


def _stepped(index: Map, starts: tuple[int, ...], steps: tuple[int, ...]) -> Map:
    """Give the map ``starts + steps * index``."""
    places = zip(index, starts, steps, strict=True)
    return tuple([(a + s * c, tuple([s * k for k in ks])) for (c, ks), a, s in places])


def _inside(index: Affine, size: int, domain: tuple[int, ...]) -> bool:
    """Tell whether an index lies in [0, size) wherever the counters stand."""
    constant, coefs = index
    low = constant + sum(min(k, 0) * (n - 1) for k, n in zip(coefs, domain, strict=True))
    high = constant + sum(max(k, 0) * (n - 1) for k, n in zip(coefs, domain, strict=True))
    return low >= 0 and high < size
