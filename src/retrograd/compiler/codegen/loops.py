"""From a loop nest to an LLVM function: rows outside, vectors inside, and as many sweeps over a row as its reductions ask for."""

from __future__ import annotations

import math
from typing import Any

from ...core import Node
from ..lowering.kernel import FULL, ROW, TAIL, Loops, Operand, Statement
from ..lowering.maps import Affine
from .emit import Count, Module, Value
from .lanes import Lanes
from .rows import HEAVY, ROWS, kind_of, operand_dtype

STASH = 32768  # bytes of a row's values that may be kept between sweeps on the stack
CHUNK = 32768  # elements that are worth a thread
MOST_CHUNKS = 8
ERROR = "error"  # the word of a module that is not 0 once an index was out of range
IDENTITY = {"sum": 0.0, "amax": -math.inf, "amin": math.inf, "index_add_zeros": 0.0}


class Analysis:
    """What has to be known of a nest before its text is written: its loops, sweeps, and what is kept between them."""

    def __init__(self, nest: Loops, constants: dict[Node, Any], lanes: int) -> None:
        self.nest, self.constants = nest, constants
        live = nest.live
        tails = any(s.level == TAIL for s in nest.statements)
        if nest.split is not None:
            rows, cols = [d for d in live if d not in nest.split], [d for d in live if d in nest.split]
        else:
            by_row = tails or any(s.node.op.name == "index_select" for s in nest.statements)  # type: ignore[union-attr]
            rows, cols = (live[:-1], live[-1:]) if by_row else ([], live)
        self.tails = tails
        self.addresses: list[Affine] = [a for s in nest.statements for a in self._addresses(s)]
        self.rows, self.cols = self._collapse(rows), self._collapse(cols)
        if nest.product is not None:
            self.rows, self.cols = [(nest.domain[0], 0)], [(nest.domain[1], 1)]
        self.stage: dict[Node, int] = {}
        self._number_sweeps()
        self.stashed: set[Node] = set()
        self._keep()
        inner = self.cols[-1][0] if self.cols else 1
        bytes_ = [self._size(s) for s in nest.statements]
        width = lanes if min(bytes_, default=4) <= 4 else max(1, lanes // 2)
        self.flat = self._is_flat()
        while width > 1 and width // 2 >= inner and not self.flat:
            width //= 2
        self.width = width
        self.chunks, self.per = self._split_work()

    @staticmethod
    def _size(s: Statement) -> int:
        return int(s.node.dtype.itemsize)

    def _addresses(self, s: Statement) -> list[Affine]:
        out = [o.address for o in s.operands if o.kind == "load"]
        if s.store is not None:
            out.append(s.store[1])
        if s.node.op.name == "iota":  # type: ignore[union-attr]
            out.append(s.home[s.node.attrs["axis"]])
        return out

    def _collapse(self, dims: list[int]) -> list[tuple[int, int]]:
        """Join neighbouring dimensions that every address walks as one; give (length, dimension whose steps count)."""
        domain = self.nest.domain
        out: list[tuple[int, int]] = []
        for d in dims:
            if out:
                length, before = out[-1]
                if all(c[before] == c[d] * domain[d] for _, c in self.addresses):
                    out[-1] = (length * domain[d], d)
                    continue
            out.append((domain[d], d))
        return out

    def _number_sweeps(self) -> None:
        """Give every statement the sweep it runs in (full, tail) or the sweep it must come before (row)."""
        for s in self.nest.statements:
            before = [self.stage[o.node] for o in s.operands if o.kind == "value"]
            stage = max(before, default=0)
            if s.level == ROW and s.node.op.name in IDENTITY:  # type: ignore[union-attr]
                stage += 1
            self.stage[s.node] = stage
        self.sweeps = 1 + max([self.stage[s.node] for s in self.nest.statements if s.level != ROW], default=-1)
        for s in self.nest.statements:
            if s.level == ROW and s.node.op.name in IDENTITY:  # type: ignore[union-attr]
                self.sweeps = max(self.sweeps, self.stage[s.node])

    def in_registers(self, s: Statement) -> bool:
        """Tell whether a statement adds up along the row before its sum goes anywhere."""
        if s.node.op.name not in IDENTITY or s.reads != FULL or s.node.op.name == "index_add_zeros":  # type: ignore[union-attr]
            return False
        if s.level == ROW:
            return True
        assert s.store is not None
        return self.nest.split is not None and not any(s.store[1][1][d] for _, d in self.cols)

    def adds_rows(self, s: Statement) -> bool:
        """Tell whether a tail adds one value for each row."""
        return s.level == TAIL and s.reads != FULL

    def _keep(self) -> None:
        """Choose which values of an earlier sweep are kept for a later one: what is costly to compute again."""
        heavy: dict[Node, int] = {}
        for s in self.nest.statements:
            if s.level == FULL:
                own = 8 if s.node.op.name in HEAVY else 2 if s.node.op.name in ("div", "sqrt", "rsqrt") else 1  # type: ignore[union-attr]
                heavy[s.node] = own + sum(heavy.get(o.node, 0) for o in s.operands if o.kind == "value")
        row_bytes = math.prod(n for n, _ in self.cols) if self.cols else 1
        for s in self.nest.statements:
            if s.level == ROW and s.node.op.name not in IDENTITY:  # type: ignore[union-attr]
                continue
            sweep = self.stage[s.node] - (s.level == ROW)
            todo = [o.node for o in s.operands if o.kind == "value"]
            while todo:
                n = todo.pop()
                other = self.nest.by_node[n]
                if other.level != FULL or self.stage[n] >= sweep or n in self.stashed or other.store is not None:
                    if other.level == FULL and self.stage[n] >= sweep:
                        todo.extend(o.node for o in other.operands if o.kind == "value")
                    continue
                if heavy[n] >= 6 and row_bytes * n.dtype.itemsize <= STASH:
                    self.stashed.add(n)
                else:
                    todo.extend(o.node for o in other.operands if o.kind == "value")

    def _is_flat(self) -> bool:
        """Tell whether the nest is one plain loop, whose length is then an argument: one kernel serves every length."""
        if (
            self.nest.split is not None
            or self.tails
            or self.rows
            or len(self.cols) != 1
            or self.nest.product is not None
        ):
            return False
        if any(s.node.op.name in ("iota", "index_select", "check_index") for s in self.nest.statements):  # type: ignore[union-attr]
            return False
        d = self.cols[0][1]
        return all(coefs[d] in (0, 1) for _, coefs in self.addresses)

    def shape(self) -> Any:
        """Give what the text depends on besides the statements."""
        if self.flat:
            return ("flat", self.width, self.chunks > 1)
        split = None if self.nest.split is None else tuple(sorted(self.nest.split))
        return (self.nest.domain, split, self.chunks, self.per)

    def _split_work(self) -> tuple[int, int]:
        """Say how many chunks the outermost loop is cut into, and how many of its turns each has."""
        if self.tails or self.nest.size < 2 * CHUNK or (self.nest.split is not None and not self.rows):
            return 1, 0
        outer = (self.rows or self.cols)[0][0]
        chunks = min(MOST_CHUNKS, self.nest.size // CHUNK, outer)
        per = -(-outer // chunks)
        if not self.rows and len(self.cols) == 1:
            per = -(-per // (4 * self.width)) * 4 * self.width
        chunks = -(-outer // per)
        return (chunks, per) if chunks > 1 else (1, 0)


class Writer:
    """Writes one nest as a function ``void(ptr arguments, i64 chunk)``; ``arguments`` holds the buffers' addresses in order."""

    def __init__(self, plan: Analysis, module: Module, name: str, buffers: dict[tuple[Node, int], int]) -> None:
        self.plan, self.nest, self.constants = plan, plan.nest, plan.constants
        self.buffers = buffers
        self.f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
        self.contract = True
        self.pointers: dict[tuple[Node, int], Value] = {}  # by value and place in it
        self.scalars: dict[Node, Value] = {}
        self.stashes: dict[Node, Value] = {}
        self.given: dict[Node, Value] = {}  # values that come from elsewhere than the statements
        self._write()

    # -- pieces ----------------------------------------------------------------------------------------------------------
    def lanes(self, dtype: Any, width: int) -> Lanes:
        """Give lanes for a dtype."""
        kind = kind_of(dtype)
        assert kind is not None
        return Lanes(self.f, kind, width, contract=self.contract)

    def _write(self) -> None:
        f, plan, nest = self.f, self.plan, self.nest
        for place, k in self.buffers.items():
            self.pointers[place] = f.load("ptr", f.element("ptr", f.arguments, k), 8)
        for node in nest.prelude:
            lanes = self.lanes(node.dtype, 1)
            if (node, 0) in self.pointers:
                self.scalars[node] = lanes.load(self.pointers[node, 0], 0)
            else:
                self.scalars[node] = self._apply(node, [self._scalar(i, node) for i in node.inputs], 1)
        for node in plan.stashed:
            count = math.prod(n for n, _ in plan.cols)
            lanes = self.lanes(node.dtype, 1)
            self.stashes[node] = f.alloca(lanes.memory, count + 16)
        self.row_index: dict[int, Count] = {}
        self._nest()
        f.ret()

    def _nest(self) -> None:
        self._rows(0)

    def _scalar(self, node: Node, user: Node) -> Value:
        value = self.constants.get(node)
        if value is not None:
            number = value if not hasattr(value, "reshape") else value.reshape(()).item()
            dtype = operand_dtype(user, self.constants) if not hasattr(value, "reshape") else node.dtype
            if user.op.name == "where" and node is not user.inputs[0]:  # type: ignore[union-attr]
                dtype = user.dtype
            return self.lanes(dtype, 1).const(number)
        return self.scalars[node]

    def _rows(self, level: int) -> None:
        plan, f = self.plan, self.f
        if level == len(plan.rows):
            self._row()
            return
        length, d = plan.rows[level]
        if level == 0 and plan.chunks > 1:
            start = f.mul(f.chunk, plan.per)
            stop = f.min(f.add(start, plan.per), length)
            with f.loop(start, stop) as i:
                self.row_index[d] = i
                self._rows(level + 1)
            return
        with f.loop(0, length) as i:
            self.row_index[d] = i
            self._rows(level + 1)

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

    def _offset(self, address: Affine, dims: list[tuple[int, int]], index: dict[int, Count]) -> Count:
        total_: Count = 0
        for _, d in dims:
            if address[1][d]:
                total_ = self.f.add(total_, self.f.mul(index[d], address[1][d]))
        return total_

    def _at_row(self, node: Node, address: Affine) -> Value:
        """Give the address of an access at the start of this row."""
        key = (node, address)
        found = self.row_pointers.get(key)
        if found is None:
            offset = self._offset(address, self.plan.rows, self.row_index)
            memory = self.lanes(node.dtype, 1).memory
            found = self.row_pointers[key] = self.f.element(memory, self.pointers[node, address[0]], offset)
        return found

    def _hoist(self) -> None:
        """Compute what is the same for the whole row before its loops: addresses, and values that do not vary along it."""
        for s in self.nest.statements:
            table = s.operands[0] if s.node.op.name == "index_select" else None  # type: ignore[union-attr]
            for o in s.operands:
                if o.kind == "load":
                    pointer = self._at_row(o.node, o.address)
                    if o is not table and not any(o.address[1][d] for _, d in self.plan.cols):
                        key = (o.node, o.address)
                        if key not in self.row_loads:
                            self.row_loads[key] = self.lanes(o.node.dtype, 1).load(pointer, 0)
            if s.store is not None:
                self._at_row(*s.store)

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

    def _index_operand(self, o: Operand, s: Statement) -> Value:
        """Give the index of a look-up, which the innermost loop does not change."""
        if o.kind == "load" and any(o.address[1][d] for _, d in self.plan.cols):
            pointer, _ = self._place(o.node, o.address)
            return self.lanes(o.node.dtype, 1).load(pointer, 0)
        return self._row_operand(o, s)

    def _row_operand(self, o: Operand, s: Statement) -> Value:
        if o.kind == "value":
            return self.row_values[o.node]
        if o.kind == "load":
            found = self.row_loads.get((o.node, o.address))
            return found if found is not None else self.lanes(o.node.dtype, 1).load(self._at_row(o.node, o.address), 0)
        if o.kind == "scalar":
            return self.scalars[o.node]
        return self._number(o, s, 1)

    def _number(self, o: Operand, s: Statement, width: int) -> Value:
        name = s.node.op.name  # type: ignore[union-attr]
        position = s.operands.index(o)
        if name in ("cast", "clone"):
            dtype = s.node.inputs[0].dtype
        elif name == "where":
            dtype = s.node.inputs[0].dtype if position == 0 else s.node.dtype
        elif name in IDENTITY:
            dtype = s.node.dtype
        else:
            dtype = operand_dtype(s.node, self.constants)
        return self.lanes(dtype, width).const(o.node)

    def _row_statement(self, s: Statement) -> None:
        if s.node.op.name == "iota":  # type: ignore[union-attr]
            value = self._counter(s, 1, {}, 0)
        elif s.node.op.name == "index_select":  # type: ignore[union-attr]
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
        lanes.store(self._combine(s.node, lanes, lanes.load(pointer, 0), value), pointer, 0)

    @staticmethod
    def _combine(node: Node, lanes: Lanes, a: Value, b: Value) -> Value:
        name = node.op.name  # type: ignore[union-attr]
        if name == "amax":
            return lanes.maximum(a, b)
        return lanes.minimum(a, b) if name == "amin" else lanes.add(a, b)

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
        self.reductions = [s for s in self.wanted if plan.in_registers(s)]
        inner = plan.cols[-1][0] if plan.cols else 1
        self.ways = 4 if self.reductions and inner >= 8 * plan.width and len(self.nest.statements) <= 24 else 1
        self._spread_all()
        first = []
        for s in self.reductions:
            lanes = self.lanes(s.node.dtype, plan.width)
            first += [(lanes.type, lanes.const(IDENTITY[s.node.op.name]))] * self.ways  # type: ignore[union-attr]
        results = self._columns(0, {}, first)
        for k, s in enumerate(self.reductions):
            lanes = self.lanes(s.node.dtype, plan.width)
            parts = results[k * self.ways : (k + 1) * self.ways]
            value = self._across(s.node, lanes, parts)
            if s.level == ROW:
                self.row_values[s.node] = value
                if s.store is not None:
                    self.lanes(s.node.dtype, 1).store(value, self._at_row(*s.store), 0)
            else:
                self._add_to_memory(s, value)

    def _across(self, node: Node, lanes: Lanes, parts: list[Value]) -> Value:
        while len(parts) > 1:
            parts = [self._combine(node, lanes, a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
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
            with f.loop_carry(start, stop, 1, carry) as loop:
                inside = self._columns(level + 1, {**index, d: loop.i}, self._paired(carry, loop.values))
                loop.set(*inside)
            return loop.results
        self.index = index
        self.places: dict[Any, Value] = {}
        if level:
            for s in self.nest.statements:
                for access in (
                    *[(o.node, o.address) for o in s.operands if o.kind == "load"],
                    *([s.store] if s.store else ()),
                ):
                    self._place(*access)
        return self._vectors(index, start, stop, length, carry)

    @staticmethod
    def _paired(carry: list[tuple[str, Value]], values: list[Value]) -> list[tuple[str, Value]]:
        return [(t, v) for (t, _), v in zip(carry, values, strict=True)]

    def _vectors(
        self, index: dict[int, Count], start: Count, stop: Count, length: int, carry: list[Any]
    ) -> list[Value]:
        f, width, ways = self.f, self.plan.width, self.ways
        known = isinstance(start, int) and isinstance(stop, int)
        values = [v for _, v in carry]
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
                values = self._body(index, at, mask, values, 0)
            else:
                before = values
                types = [t for t, _ in carry]
                inside = f.op(f"icmp sgt i64 {rest}, 0")
                values = f.choose(inside, types, lambda: self._body(index, at, mask, before, 0), lambda: before)
        return values

    # -- one vector --------------------------------------------------------------------------------------------------------
    def _body(
        self, index: dict[int, Count], at: Count, mask: Value | None, carried: list[Value], way: int
    ) -> list[Value]:
        plan = self.plan
        self.values: dict[Node, Value] = dict(self.given)
        self.index, self.at, self.mask_ = index, at, mask
        out = list(carried)
        stores = []  # after all loads: what is stored may lie where something else was read
        for s in self.wanted:
            if s.level == FULL:
                value = self._value(s.node)
                if s.node in plan.stashed:
                    self._stash(s.node, value)
                if s.store is not None:
                    stores.append((s.store, value))
                continue
            lanes = self.lanes(s.node.dtype, plan.width)
            value = self._operand(s.operands[0], s, plan.width)
            if s in self.reductions:
                k = self.reductions.index(s) * self.ways + way
                if mask is not None:
                    value = lanes.select(mask, value, lanes.const(IDENTITY[s.node.op.name]))  # type: ignore[union-attr]
                out[k] = self._combine(s.node, lanes, out[k], value)
                continue
            pointer, stride = self._place(*s.store)  # type: ignore[misc]
            if s.node.op.name == "index_add_zeros":  # type: ignore[union-attr]
                where = self._index_operand(s.operands[1], s)
                pointer = self._indexed(pointer, where, s)
            old = lanes.load(pointer, at, stride, mask)
            lanes.store(self._combine(s.node, lanes, old, value), pointer, at, stride, mask)
        for (node, address), value in stores:
            pointer, stride = self._place(node, address)
            self.lanes(node.dtype, plan.width).store(value, pointer, at, stride, mask)
        return out

    def _indexed(self, pointer: Value, where: Value, s: Statement) -> Value:
        index = s.operands[1].node
        wide = self.lanes(index.dtype, 1).convert(where, kind_of(index.dtype) or "i64", "i64")
        offset = self.f.mul(wide, int(s.operands[2].node))
        return self.f.element(self.lanes(s.node.dtype, 1).memory, pointer, offset)

    def _place(self, node: Node, address: Affine) -> tuple[Value, int]:
        """Give the address of an access at the start of the innermost loop, and its stride there."""
        cols = self.plan.cols
        pointer = self._at_row(node, address)
        if len(cols) > 1:
            found = self.places.get((node, address))
            if found is None:
                offset = self._offset(address, cols[:-1], self.index)
                found = self.f.element(self.lanes(node.dtype, 1).memory, pointer, offset)
                self.places[node, address] = found
            pointer = found
        return pointer, address[1][cols[-1][1]] if cols else 0

    def _stash_place(self, node: Node) -> tuple[Value, Count]:
        offset: Count = 0
        for length, d in self.plan.cols[:-1]:
            offset = self.f.add(self.f.mul(offset, length), self.index[d])
        if len(self.plan.cols) > 1:
            offset = self.f.mul(offset, self.plan.cols[-1][0])
        return self.stashes[node], self.f.add(offset, self.at)

    def _stash(self, node: Node, value: Value) -> None:
        pointer, at = self._stash_place(node)
        self.lanes(node.dtype, self.plan.width).store(value, pointer, at, 1, self.mask_)

    def _value(self, node: Node) -> Value:
        """Give a full statement's value at this vector: computed, or read back from an earlier sweep."""
        found = self.values.get(node)
        if found is not None:
            return found
        plan = self.plan
        s = self.nest.by_node[node]
        lanes = self.lanes(node.dtype, plan.width)
        if plan.stage[node] < self.sweep and node in plan.stashed:
            pointer, at = self._stash_place(node)
            value = lanes.load(pointer, at, 1, self.mask_)
        elif plan.stage[node] < self.sweep and s.store is not None:
            pointer, stride = self._place(*s.store)
            value = lanes.load(pointer, self.at, stride, self.mask_)
        elif node.op.name == "iota":  # type: ignore[union-attr]
            value = self._counter(s, plan.width, self.index, self.at)
        elif node.op.name == "index_select":  # type: ignore[union-attr]
            pointer, stride = self._place(s.operands[0].node, s.operands[0].address)
            value = self._looked_up(s, pointer, self.at, stride, plan.width, self.mask_)
        else:
            value = self._apply(node, [self._operand(o, s, plan.width) for o in s.operands], plan.width)
        self.values[node] = value
        return value

    def _looked_up(self, s: Statement, pointer: Value, at: Count, stride: int, width: int, mask: Value | None) -> Value:
        where = self._index_operand(s.operands[1], s)
        return self.lanes(s.node.dtype, width).load(self._indexed(pointer, where, s), at, stride, mask)

    def _counter(self, s: Statement, width: int, index: dict[int, Count], at: Count) -> Value:
        constant, coefs = s.home[s.node.attrs["axis"]]
        lanes = self.lanes(s.node.dtype, width)
        start = self.f.add(constant, self._offset((0, coefs), self.plan.rows, self.row_index))
        cols = self.plan.cols
        if index or at != 0 or width > 1:
            start = self.f.add(start, self._offset((0, coefs), cols[:-1], index))
        step = coefs[cols[-1][1]] if cols else 0
        start = self.f.add(start, self.f.mul(at, step))
        base = lanes.splat(str(start))
        if width == 1 or not step:
            return base
        return lanes.add(base, lanes.mul(lanes.iota(), lanes.const(step)))

    def _operand(self, o: Operand, s: Statement, width: int) -> Value:
        if o.kind == "number":
            return self._number(o, s, width)
        if o.kind == "scalar":
            return self._spread(self.scalars[o.node], o.node.dtype, width)
        if o.kind == "value":
            if self.nest.by_node[o.node].level == FULL:
                return self._value(o.node)
            return self._spread(self.row_values[o.node], o.node.dtype, width)
        found = self.row_loads.get((o.node, o.address))
        if found is not None:
            return self._spread(found, o.node.dtype, width)
        key = ("load", o.node, o.address)
        value: Value | None = self.values.get(key)  # type: ignore[call-overload]
        if value is None:
            pointer, stride = self._place(o.node, o.address)
            value = self.lanes(o.node.dtype, width).load(pointer, self.at, stride, self.mask_)
            self.values[key] = value  # type: ignore[index]
        return value

    def _spread(self, value: Value, dtype: Any, width: int) -> Value:
        if width == 1:
            return value
        found: Value | None = self.spreads.get(value)
        return self.lanes(dtype, width).splat(value) if found is None else found

    # -- one operation -------------------------------------------------------------------------------------------------------
    def _apply(self, node: Node, args: list[Value], width: int) -> Value:
        op: Any = node.op
        result = self.lanes(node.dtype, width)
        if op.name == "clone":
            return args[0]
        if op.name == "cast":
            source = node.inputs[0]
            value = self.constants.get(source)
            old = source.dtype if value is None or hasattr(value, "dtype") else node.inputs[0].dtype
            return result.convert(args[0], kind_of(old) or "", result.kind)
        if op.name == "where":
            return result.select(args[0], args[1], args[2])
        if op.name == "check_index":
            return self._checked(node, args[0], width)
        lanes = self.lanes(operand_dtype(node, self.constants), width)
        if lanes.kind in ("f16", "bf16"):  # kept in two bytes, but computed as float32
            lanes = lanes.of("f32")
        return ROWS[op.name](lanes, args, node)

    def _checked(self, node: Node, value: Value, width: int) -> Value:
        """Give indices counted from the front; one that does not exist is told in the error word, and 0 stands in for it."""
        lanes, f = self.lanes(node.dtype, width), self.f
        size, low = int(node.attrs["size"]), node.attrs.get("low")
        masks = lanes.of("bool")
        below = lanes.compare("lt", value, lanes.const(-size if low is None else low))
        wrong = masks.or_(below, lanes.compare("ge", value, lanes.const(size)))
        if width > 1 and self.mask_ is not None:
            wrong = masks.and_(wrong, self.mask_)
        error = f.module.variable(ERROR, "i64")
        with f.if_(lanes.any(wrong), unlikely=True):
            f.store("i64", str(size), error)
        negative = lanes.compare("lt", value, lanes.const(0))
        found = lanes.select(negative, lanes.add(value, lanes.const(size)), value)
        return lanes.select(wrong, lanes.const(0), found)


class Behind(Writer):
    """Writes a matrix product whose elements are gone on with while they are in registers.

    The arguments are the nest's buffers, then the addresses of A and B.
    """

    def __init__(
        self, plan: Analysis, module: Module, name: str, buffers: dict[tuple[Node, int], int], tiles: Any
    ) -> None:
        self.tiles = tiles  # (function, address of A, address of B, put)
        super().__init__(plan, module, name, buffers)

    def _nest(self) -> None:
        f, k = self.f, len(self.buffers)
        self.wanted = [s for s in self.nest.statements if s.store is not None]
        self.reductions: list[Statement] = []
        self.sweep, self.ways = 0, 1
        self.row: Any = None
        a, b = (f.load("ptr", f.element("ptr", f.arguments, k + i), 8) for i in range(2))
        self.tiles(f, a, b, self._put)

    def _put(self, row: Count, column: Count, lanes: Lanes, value: Value, mask: Value | None) -> None:
        self.plan.width = lanes.width
        if self.row != (row, lanes.width):
            self.row = (row, lanes.width)
            self.row_index = {0: row}
            self.row_values, self.row_pointers, self.row_loads = {}, {}, {}
            self._hoist()
            self._spread_all()
        self.places = {}
        self.given = {self.nest.product.node: value}
        self._body({}, column, mask, [], 0)


__all__ = ["Analysis", "Behind", "Writer"]
