"""From a loop nest to an LLVM function: rows outside, vectors inside, and as many sweeps over a row as its reductions ask for."""

from __future__ import annotations

import math
from typing import Any

from ...core import Node
from ..lowering.kernel import FULL, ROW, TAIL, Statement, identity_of
from .analysis import ADDING, ERROR, IDENTITY, Analysis
from .emit import Count, Function, Module, Value
from .lanes import Lanes
from .rows import summed_products
from .values import Values


class Writer(Values):
    """Writes one nest as a function ``void(ptr arguments, i64 chunk)``; ``arguments`` holds the buffers' addresses in order."""

    def __init__(self, plan: Analysis, module: Module, name: str, buffers: dict[tuple[Node, int], int]) -> None:
        self.plan, self.nest, self.constants = plan, plan.nest, plan.constants
        self.buffers = buffers
        self.f = self._open(module, name)
        self.summed = summed_products(plan.nest.statements)
        for s in plan.nest.statements:
            if s.node in plan.nest.orders and not plan.nest.orders[s.node].fused:
                self.summed.difference_update([o.node for o in s.operands if o.kind == "value"])
        self.pointers: dict[tuple[Node, int], Value] = {}  # by value and place in it
        self.scalars: dict[Node, Value] = {}
        self.stashes: dict[Node, Value] = {}
        self.given: dict[Node, Value] = {}  # values that come from elsewhere than the statements
        self.sums: dict[tuple[Statement, int], Value] = {}  # in registers for all rows, by place in the row
        self._write()

    def _open(self, module: Module, name: str) -> Function:
        return module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])

    # -- pieces ----------------------------------------------------------------------------------------------------------
    def _write(self) -> None:
        f, plan, nest = self.f, self.plan, self.nest
        for place, k in self.buffers.items():
            pointer = f.load("ptr", f.element("ptr", f.arguments, k), 8)
            if plan.is_apart(place[0]):
                size = math.prod(place[0].shape[1:])
                pointer = f.element(self.lanes(place[0].dtype, 1).memory, pointer, f.mul(f.chunk, size))
            self.pointers[place] = pointer
        for node in nest.prelude:
            lanes = self.lanes(node.dtype, 1)
            if (node, 0) in self.pointers:
                self.scalars[node] = lanes.load(self.pointers[node, 0], 0)
            else:
                self.scalars[node] = self._apply(node, [self._scalar(i, node) for i in node.inputs], 1)
        for node in [
            s.node for s in self.nest.statements if s.node in plan.stashed
        ]:  # in an order that is always the same
            count = math.prod(n for n, _ in plan.cols)
            lanes = self.lanes(node.dtype, 1)
            self.stashes[node] = f.alloca(lanes.memory, count + 16)
        self.row_index: dict[int, Count] = {}
        self._begin_sums()
        self._nest()
        f.ret()

    def _begin_sums(self) -> None:
        """Set the memory of sums to what they begin with, unless they are in registers until the end."""
        for s in self.nest.statements:
            if s.level != TAIL or s.node not in self.nest.begun or self.plan.covers(s) or self._is_stored_once(s):
                continue
            pointer, count = self.pointers[s.store[0], s.store[1][0]], math.prod(s.node.shape)  # type: ignore[index]
            width = max(1, 4 * self.plan.lanes // max(s.node.dtype.itemsize, 4))
            whole = count // width * width
            if whole:
                lanes = self.lanes(s.node.dtype, width)
                with self.f.loop(0, whole, width) as i:
                    lanes.store(lanes.const(identity_of(s.node)), pointer, i)
            at = whole
            while at < count:
                lanes = self.lanes(s.node.dtype, 1 << (count - at).bit_length() - 1)
                lanes.store(lanes.const(identity_of(s.node)), pointer, at)
                at += lanes.width

    def _is_stored_once(self, s: Statement) -> bool:
        """Tell whether a sum is in registers until it is whole, so that it is stored and not added."""
        return s.node in self.nest.begun and not self.plan.rows and self.plan.chunks == 1 and self.plan.in_registers(s)

    def _nest(self) -> None:
        self._rows(0)

    def _keep(self) -> None:
        """Write the loops over the rows from where sums are held in registers on."""
        plan = self.plan
        length = plan.cols[-1][0]
        pointers = {s: self._held_place(s) for s in plan.held}
        for s in plan.held:
            lanes = self._held_lanes(s)
            for at in range(0, length, plan.width):
                if s.node in self.nest.begun and plan.covers(s):
                    self.sums[s, at] = lanes.const(identity_of(s.node))
                else:
                    self.sums[s, at] = lanes.load(pointers[s], at, 1, self._mask_of(length - at))
        self._rows_within(plan.held_from)
        for (s, at), value in self.sums.items():
            self._held_lanes(s).store(value, pointers[s], at, 1, self._mask_of(length - at))
        self.sums.clear()

    def _held_lanes(self, s: Statement) -> Lanes:
        return self.lanes(s.node.dtype, self.plan.width, contract=bool(self.summed))

    def _held_place(self, s: Statement) -> Value:
        """Give the address where a held sum begins."""
        node, address = s.store  # type: ignore[misc]
        offset = self._offset(address, self.plan.rows[: self.plan.held_from], self.row_index)
        return self.f.element(self.lanes(node.dtype, 1).memory, self.pointers[node, address[0]], offset)

    def _mask_of(self, left: int) -> Value | None:
        width = self.plan.width
        return None if left >= width else Lanes(self.f, "f32", width).tail(str(left))

    def _turns(self, start: Count, stop: Count, d: int, level: int) -> None:
        """Write the loop over one dimension of the rows, which carries the sums that are held."""
        keys = list(self.sums)
        with self.f.loop_carry(start, stop, 1, [(self._held_lanes(k[0]).type, self.sums[k]) for k in keys]) as loop:
            self.row_index[d] = loop.i
            self.sums.update(zip(keys, loop.values, strict=True))
            self._rows(level + 1)
            loop.set(*[self.sums[k] for k in keys])
        self.sums.update(zip(keys, loop.results, strict=True))

    def _rows(self, level: int) -> None:
        if self.plan.held and level == self.plan.held_from:
            self._keep()
        else:
            self._rows_within(level)

    def _rows_within(self, level: int) -> None:
        plan, f = self.plan, self.f
        if level == len(plan.rows):
            self._row()
            return
        length, d = plan.rows[level]
        if level == 0 and plan.chunks > 1:
            start = f.mul(f.chunk, plan.per)
            stop = f.min(f.add(start, plan.per), length)
            self._turns(start, stop, d, level)
            return
        self._turns(0, length, d, level)

    # -- one row ---------------------------------------------------------------------------------------------------------
    def _row(self) -> None:
        plan = self.plan
        self.row_values: dict[Node, Value] = {}  # scalars of this row
        self.row_pointers: dict[Any, Value] = {}
        self.row_loads: dict[Any, Value] = {}
        self._hoist()
        statements = self.nest.statements
        for stage in range(plan.sweeps + 1):
            for s in statements:
                if s.level == ROW and plan.stage[s.node] == stage and s.node.op.name not in IDENTITY:  # type: ignore[union-attr]
                    self._row_statement(s)
                elif s.level == TAIL and plan.stage[s.node] == stage and plan.adds_rows(s):
                    self._add_to_memory(s, self._row_operand(s.operands[0], s))
            if stage < plan.sweeps:
                self._sweep(stage)

    def _hoist(self) -> None:
        """Compute what is the same for the whole row before its loops: addresses, and values that do not vary along it."""
        for s in self.nest.statements:
            table = s.operands[0] if s.node.op.name in ("index_select", "flat_read") else None  # type: ignore[union-attr]
            for o in s.operands:
                if o.kind == "load":
                    pointer = self._at_row(o.node, o.address)
                    if o is not table and not o.bounds and not any(o.address[1][d] for _, d in self.plan.cols):
                        key = (o.node, o.address)
                        if key not in self.row_loads:
                            self.row_loads[key] = self.lanes(o.node.dtype, 1).load(pointer, 0)
            if s.store is not None:
                self._at_row(*s.store)
        for index, _ in self.plan.limits:
            self._start_of_row(index)

    def _spread_all(self) -> None:
        """Spread the row's numbers over lanes before the sweep's loops."""
        self.spreads: dict[Any, Value] = {}
        width = self.plan.width
        if width == 1:
            return
        for s in self.nest.statements:
            if (s.level == ROW and s not in self.reductions) or self.plan.stage[s.node] > self.sweep + (s.level == ROW):
                continue
            for o in s.operands:
                value = None
                if o.kind == "scalar":
                    value = self.scalars[o.node]
                elif o.kind == "load":
                    value = self.row_loads.get((o.node, o.address))
                elif o.kind == "value":
                    value = self.row_values.get(o.node)
                if value is not None and value not in self.spreads:
                    self.spreads[value] = self.lanes(o.node.dtype, width).splat(value)

    def _row_statement(self, s: Statement) -> None:
        if s.node.op.name == "iota":  # type: ignore[union-attr]
            value = self._counter(s, 1, {}, 0)
        elif s.node.op.name in ("index_select", "flat_read"):  # type: ignore[union-attr]
            value = self._looked_up(s, self._at_row(s.operands[0].node, s.operands[0].address), 0, 0, 1, None)
        else:
            value = self._apply(s.node, [self._row_operand(o, s) for o in s.operands], 1)
        self.row_values[s.node] = value
        if s.store is not None:
            self.lanes(s.store[0].dtype, 1).store(value, self._at_row(*s.store), 0)

    def _add_to_memory(self, s: Statement, value: Value) -> None:
        assert s.store is not None
        lanes = self.lanes(s.node.dtype, 1)
        pointer = self._at_row(*s.store)
        lanes.store(self.combined(s.node, lanes, lanes.load(pointer, 0), value), pointer, 0)

    # -- one sweep over a row ----------------------------------------------------------------------------------------------
    def _sweep(self, sweep: int) -> None:
        plan = self.plan
        self.sweep = sweep
        self.wanted = [
            s
            for s in self.nest.statements
            if (s.level == FULL and plan.stage[s.node] == sweep and (s.store is not None or s.node in plan.stashed))
            or (s.level == TAIL and plan.stage[s.node] == sweep and not plan.adds_rows(s))
            or (s.level == ROW and s.node.op.name in IDENTITY and plan.stage[s.node] == sweep + 1)  # type: ignore[union-attr]
        ]
        if not self.wanted:
            return
        kept = [s for s in self.wanted if plan.in_registers(s)]
        self.runs = [s for s in self.wanted if plan.adds_runs(s)]
        self.reductions = kept + self.runs
        self.ways = plan.ways if self.reductions else 1
        self._spread_all()
        results = self._columns(0, {}, self._beginnings(kept))
        for k, s in enumerate(kept):
            lanes = self.lanes(s.node.dtype, plan.width)
            parts = results[k * self.ways : (k + 1) * self.ways]
            value = self._across(s.node, lanes, parts)
            if s.level == ROW:
                self.row_values[s.node] = value
                if s.store is not None:
                    self.lanes(s.node.dtype, 1).store(value, self._at_row(*s.store), 0)
            elif self._is_stored_once(s):
                self.lanes(s.node.dtype, 1).store(value, self._at_row(*s.store), 0)  # type: ignore[misc]
            else:
                self._add_to_memory(s, value)

    def _beginnings(self, statements: list[Statement]) -> list[tuple[str, Value]]:
        first = []
        for s in statements:
            lanes = self.lanes(s.node.dtype, self.plan.width)
            first += [(lanes.type, lanes.const(identity_of(s.node)))] * self.ways
        return first

    def _add_run(self, s: Statement, parts: list[Value]) -> None:
        """Add what the innermost loop has added up to memory."""
        pointer, _ = self._place(*s.store)  # type: ignore[misc]
        value = self._across(s.node, self.lanes(s.node.dtype, self.plan.width), parts)
        one = self.lanes(s.node.dtype, 1)
        one.store(self.combined(s.node, one, one.load(pointer, 0), value), pointer, 0)

    def _across(self, node: Node, lanes: Lanes, parts: list[Value]) -> Value:
        while len(parts) > 1:
            parts = [self.combined(node, lanes, a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        name = node.op.name  # type: ignore[union-attr]
        if lanes.width == 1:
            return parts[0]
        return lanes.max(parts[0]) if name == "amax" else lanes.min(parts[0]) if name == "amin" else lanes.sum(parts[0])

    def _columns(self, level: int, index: dict[int, Count], carry: list[tuple[str, Value]]) -> list[Value]:
        plan, f = self.plan, self.f
        if not plan.cols:
            return self._body({}, 0, None, [v for _, v in carry], 0)
        length, d = plan.cols[level]
        per: Count = plan.per
        start: Count = 0
        stop: Count = length
        if plan.flat:
            stop = f.load("i64", f.element("i64", f.arguments, len(self.buffers)), 8)
            per = f.load("i64", f.element("i64", f.arguments, len(self.buffers) + 1), 8)
        if level == 0 and not plan.rows and plan.chunks > 1:
            start = f.mul(f.chunk, per)
            stop = f.min(f.add(start, per), stop)
        if level < len(plan.cols) - 1:
            keys, count = list(self.sums), len(carry)
            held = [(self._held_lanes(k[0]).type, self.sums[k]) for k in keys]
            with f.loop_carry(start, stop, 1, [*carry, *held]) as loop:
                self.sums.update(zip(keys, loop.values[count:], strict=True))
                inside = self._columns(level + 1, {**index, d: loop.i}, self._paired(carry, loop.values[:count]))
                loop.set(*inside, *[self.sums[k] for k in keys])
            self.sums.update(zip(keys, loop.results[count:], strict=True))
            return loop.results[:count]
        self.index = index
        self.places: dict[Any, Value] = {}
        for bound in plan.limits:
            self._start(bound[0])
            if not self._inner(bound[0]):
                self._holds(bound)
        if level:
            for s in self.nest.statements:
                for access in (
                    *[(o.node, o.address) for o in s.operands if o.kind == "load"],
                    *([s.store] if s.store else ()),
                ):
                    self._place(*access)
        results = self._vectors(index, start, stop, length, carry + self._beginnings(self.runs))
        for k, s in enumerate(self.runs):
            at = len(carry) + k * self.ways
            self._add_run(s, results[at : at + self.ways])
        return results[: len(carry)]

    @staticmethod
    def _paired(carry: list[tuple[str, Value]], values: list[Value]) -> list[tuple[str, Value]]:
        return [(t, v) for (t, _), v in zip(carry, values, strict=True)]

    def _vectors(
        self, index: dict[int, Count], start: Count, stop: Count, length: int, carry: list[Any]
    ) -> list[Value]:
        f, width, ways = self.f, self.plan.width, self.ways
        known = isinstance(start, int) and isinstance(stop, int)
        values = [v for _, v in carry]
        if any(s in self.wanted for s in self.plan.held):
            return self._unrolled(index, length, values)
        at: Count = start
        for step in (width * ways, width) if ways > 1 else (width,):
            if known:
                end: Count = int(at) + (int(stop) - int(at)) // step * step
                if end == at:
                    continue
            else:
                end = f.add(at, f.round_down(f.sub(stop, at), step))
            with f.loop_carry(at, end, step, self._paired(carry, values)) as loop:
                now = loop.values
                for way in range(step // width):
                    now = self._body(index, f.add(loop.i, way * width) if way else loop.i, None, now, way)
                loop.set(*now)
            values, at = loop.results, end
        if width > 1 and (self.plan.flat or length % width):
            rest: Any = int(stop) - int(at) if known else f.sub(stop, at)
            mask = Lanes(f, "f32", width).tail(str(rest))
            if known:
                values = self._body(index, at, mask, values, 0, rest)
            else:
                before = values
                types = [t for t, _ in carry]
                inside = f.op(f"icmp sgt i64 {rest}, 0")
                values = f.choose(inside, types, lambda: self._body(index, at, mask, before, 0, rest), lambda: before)
        return values

    def _unrolled(self, index: dict[int, Count], length: int, values: list[Value]) -> list[Value]:
        """Write a short row without a loop."""
        width = self.plan.width
        for at in range(0, length, width):
            left = length - at
            values = self._body(index, at, self._mask_of(left), values, 0, left if left < width else None)
        return values

    # -- one vector --------------------------------------------------------------------------------------------------------
    def _body(
        self,
        index: dict[int, Count],
        at: Count,
        mask: Value | None,
        carried: list[Value],
        way: int,
        rest: Count | None = None,
    ) -> list[Value]:
        plan = self.plan
        self.values: dict[Node, Value] = dict(self.given)
        self.index, self.at, self.mask_, self.rest = index, at, mask, rest
        out = list(carried)
        stores: list[
            tuple[Statement, Value]
        ] = []  # after all loads: what is stored may lie where something else was read
        for s in self.wanted:
            if s.level == FULL:
                value = self._value(s.node)
                if s.node in plan.stashed:
                    self._stash(s.node, value)
                if s.store is not None:
                    stores.append((s, value))
                continue
            lanes = self.lanes(s.node.dtype, plan.width, contract=bool(self.summed))
            value = self._operand(s.operands[0], s, plan.width)
            if s in self.reductions:
                k = self.reductions.index(s) * self.ways + way
                if mask is not None:
                    value = lanes.select(mask, value, lanes.const(identity_of(s.node)))
                out[k] = self.combined(s.node, lanes, out[k], value)
                continue
            if (s, at) in self.sums:
                self.sums[s, at] = self.combined(s.node, lanes, self.sums[s, at], value)  # type: ignore[index]
                continue
            pointer, stride = self._place(*s.store)  # type: ignore[misc]
            if s.node.op.name in ADDING:  # type: ignore[union-attr]
                if self._varies(s.operands[1]):
                    self._add_by_lanes(s, value, pointer, stride)
                    continue
                where = self._index_operand(s.operands[1], s)
                pointer = self._indexed(pointer, where, s)
            self._add(s, lanes, value, pointer, stride)
        self._put_away(stores)
        return out

    def _add(self, s: Statement, lanes: Lanes, value: Value, pointer: Value, stride: int) -> None:
        """Add a vector to memory."""
        at, mask = self.at, self.mask_
        old = lanes.load(pointer, at, stride, mask)
        lanes.store(self.combined(s.node, lanes, old, value), pointer, at, stride, mask)


__all__ = ["ERROR", "Analysis", "Writer"]
