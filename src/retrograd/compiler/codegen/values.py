"""The values of a nest's statements, at one row and at one vector of it: where operands come from, and each operation's text."""

from __future__ import annotations

from typing import Any

from ...core import Node
from ..lowering.kernel import FULL, Bounds, Loops, Operand, Statement
from ..lowering.maps import Affine
from .analysis import ERROR, IDENTITY, Analysis
from .emit import Count, Function, Value
from .lanes import Lanes
from .rows import ROWS, in_dtype, kind_of, moved_as, operand_dtype
from .strided import MOST, weave
from .strided import load as load_strided


class Values:
    """The state of a function that is being written, and the values that statements have in it."""

    f: Function
    plan: Analysis
    nest: Loops
    constants: dict[Node, Any]
    summed: set[Node]  # products that nothing but sums read, which may add them up unrounded
    pointers: dict[tuple[Node, int], Value]  # the arguments, by value and place in it
    scalars: dict[Node, Value]  # numbers of the prelude
    stashes: dict[Node, Value]
    row_index: dict[int, Count]
    row_values: dict[Node, Value]  # numbers of this row
    row_pointers: dict[Any, Value]
    row_loads: dict[Any, Value]
    spreads: dict[Any, Value]  # the row's numbers in every lane
    sweep: int
    places: dict[Any, Value]  # addresses at the start of the innermost loop
    index: dict[int, Count]  # counters of the loops around it
    at: Count  # where in it this vector begins
    mask_: Value | None
    rest: Count | None  # how many lanes it has left, where not all
    values: dict[Node, Value]  # of this vector

    def lanes(self, dtype: Any, width: int, contract: bool = False) -> Lanes:
        """Give lanes for a dtype; each operation is rounded by itself, as NumPy's are, unless sums may take products as they are."""
        return Lanes(self.f, moved_as(dtype), width, contract)

    def _scalar(self, node: Node, user: Node) -> Value:
        value = self.constants.get(node)
        if value is not None:
            number = value if not hasattr(value, "reshape") else value.reshape(()).item()
            dtype = operand_dtype(user, self.constants) if not hasattr(value, "reshape") else node.dtype
            if user.op.name == "where" and node is not user.inputs[0]:  # type: ignore[union-attr]
                dtype = user.dtype
            return self.lanes(dtype, 1).const(in_dtype(number, dtype))
        return self.scalars[node]

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
            found = self.row_pointers[key] = self._move(key, memory, self.pointers[node, address[0]], offset)
        return found

    def _index_operand(self, o: Operand, s: Statement) -> Value:
        """Give the index of a look-up, which the innermost loop does not change."""
        if o.kind == "load" and any(o.address[1][d] for _, d in self.plan.cols):
            pointer, stride = self._place(o.node, o.address)
            return self.lanes(o.node.dtype, 1).load(pointer, self.at if stride else 0, stride or 1)
        if o.kind == "value" and self.nest.by_node[o.node].level == FULL:
            return self._value(o.node)
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
        return self.lanes(dtype, width).const(in_dtype(o.node, dtype))

    @staticmethod
    def combined(node: Node, lanes: Lanes, a: Value, b: Value) -> Value:
        """Give the sum, or whatever a reduction makes, of two values."""
        name = node.op.name  # type: ignore[union-attr]
        if name == "amax":
            return lanes.maximum(a, b)
        return lanes.minimum(a, b) if name == "amin" else lanes.add(a, b)

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
                found = self._move((node, address), self.lanes(node.dtype, 1).memory, pointer, offset)
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
        elif node.op.name in ("index_select", "flat_read"):  # type: ignore[union-attr]
            pointer, stride = self._place(s.operands[0].node, s.operands[0].address)
            value = self._looked_up(s, pointer, self.at, stride, plan.width, self.mask_)
        else:
            value = self._apply(node, [self._operand(o, s, plan.width) for o in s.operands], plan.width)
        self.values[node] = value
        return value

    def _looked_up(self, s: Statement, pointer: Value, at: Count, stride: int, width: int, mask: Value | None) -> Value:
        if width > 1 and self._varies(s.operands[1]):
            return self.lanes(s.node.dtype, width).gather(pointer, self._scattered(s, at, stride, width), mask)
        where = self._index_operand(s.operands[1], s)
        return self.lanes(s.node.dtype, width).load(self._indexed(pointer, where, s), at, stride, mask)

    def _varies(self, o: Operand) -> bool:
        """Tell whether an index is another one in each lane."""
        if o.kind == "value":
            return self.nest.by_node[o.node].level == FULL
        return o.kind == "load" and bool(self._inner(o.address))

    def _scattered(self, s: Statement, at: Count, stride: int, width: int) -> Value:
        """Give the places of a look-up, one for each lane, from the start of the innermost loop."""
        o = s.operands[1]
        lanes = self.lanes(o.node.dtype, width)
        places = lanes.convert(self._operand(o, s, width), lanes.kind, "i64")
        wide = Lanes(self.f, "i64", width)
        unit = int(s.operands[2].node)
        if unit != 1:
            places = wide.mul(places, wide.const(unit))
        if stride:
            along = wide.iota(str(at)) if width > 1 else str(at)
            places = wide.add(places, wide.mul(along, wide.const(stride)))
        return places

    def _add_by_lanes(self, s: Statement, value: Value, pointer: Value, stride: int) -> None:
        """Add lane after lane to where its index says: lanes may meet."""
        f, width = self.f, self.plan.width
        lanes = self.lanes(s.node.dtype, width)
        places = self._scattered(s, self.at, stride, width)
        one = lanes.of(lanes.kind, 1)
        wide = Lanes(f, "i64", width)

        def add(k: int) -> None:
            address = f.element(one.memory, pointer, wide.lane(places, k))
            one.store(one.add(one.load(address), lanes.lane(value, k)), address)

        for k in range(width):
            if self.mask_ is None:
                add(k)
            elif self.rest is None or isinstance(self.rest, str):
                inside = lanes.of("bool").lane(self.mask_, k)
                with f.if_(inside):
                    add(k)
            elif k < self.rest:
                add(k)

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
        key = ("load", o.node, o.address, o.bounds)
        value: Value | None = self.values.get(key)  # type: ignore[call-overload]
        if value is None:
            pointer, stride = self._place(o.node, o.address)
            value = self._load(o, s, self.lanes(o.node.dtype, width), pointer, stride)
            self.values[key] = value  # type: ignore[index]
        return value

    # -- memory ------------------------------------------------------------------------------------------------------------
    def _move(self, key: Any, memory: str, pointer: Value, offset: Count) -> Value:
        """Give the address that many elements on, which may lie outside where bounds say that it is not used then."""
        if key not in self.plan.bounded or offset == 0:
            return self.f.element(memory, pointer, offset)
        return self.f.op(f"getelementptr {memory}, ptr {pointer}, i64 {offset}")

    def _load(self, o: Operand, s: Statement, lanes: Lanes, pointer: Value, stride: int) -> Value:
        """Load an operand's vector from memory."""
        if o.bounds:
            return self._bounded(o, s, lanes, pointer, stride)
        near = lanes.width > 1 and (stride == -1 or 2 <= stride <= MOST)
        if near and self.mask_ is None:
            return load_strided(lanes, pointer, self.at, stride)
        if near and stride > 0 and self.rest is not None:
            last = self.f.add(self.f.mul(self.f.sub(self.rest, 1), stride), 1)
            return load_strided(lanes, pointer, self.at, stride, lambda at: self._before(lanes, last, at))
        return lanes.load(pointer, self.at, stride, self.mask_)

    def _before(self, lanes: Lanes, last: Count, at: int) -> Value:
        """Give the mask of the elements ``at``, ``at + 1``, ... that lie before ``last``."""
        return lanes.tail(str(self.f.sub(last, at)))

    def _bounded(self, o: Operand, s: Statement, lanes: Lanes, pointer: Value, stride: int) -> Value:
        """Load where the bounds hold; elsewhere the value is the statement's fill."""
        fill = s.node.attrs["fill"]
        width, masks = lanes.width, lanes.of("bool")
        near = [self._inner(index) for index, _ in o.bounds if self._inner(index)]
        partial = self.mask_ is not None and not near  # lanes that a row has not may lie outside memory
        mask = self._hold(o.bounds, width)
        strided = width > 1 and 2 <= stride <= MOST and near in ([], [stride])
        if strided and (not partial or self.rest is not None):

            def allowed(at: int) -> Value:
                held = self._hold(o.bounds, width, at, stride)
                if not partial:
                    return held
                last = self.f.add(self.f.mul(self.f.sub(self.rest, 1), stride), 1)  # type: ignore[arg-type]
                return masks.and_(held, self._before(lanes, last, at))

            value = load_strided(lanes, pointer, self.at, stride, allowed)
        else:
            value = lanes.load(pointer, self.at, stride, masks.and_(mask, self.mask_) if partial else mask)  # type: ignore[arg-type]
        return value if fill == 0 else lanes.select(mask, value, lanes.const(fill))

    def _put_away(self, stores: list[tuple[Statement, Value]]) -> None:
        """Store a vector of each statement; neighbours that lie side by side go together."""
        found = dict(stores)
        width = self.plan.width
        woven = [group for group in self.plan.woven if all(s in found for s in group)]
        if width == 1 or (self.mask_ is not None and self.rest is None):
            woven = []
        for group in woven:
            self._weave(group, [found.pop(s) for s in group])
        for s, value in found.items():
            node, address = s.store  # type: ignore[misc]
            pointer, stride = self._place(node, address)
            lanes, mask = self.lanes(node.dtype, width), self.mask_
            if s.bounds:
                held = self._hold(s.bounds, width)
                mask = held if mask is None else lanes.of("bool").and_(held, mask)
            lanes.store(value, pointer, self.at, stride, mask)

    def _weave(self, group: list[Statement], values: list[Value]) -> None:
        first, stride = group[0], len(group)
        node, address = first.store  # type: ignore[misc]
        pointer, _ = self._place(node, address)
        lanes = self.lanes(node.dtype, self.plan.width)

        def allowed(at: int) -> Value:
            mask = self._hold(first.bounds, lanes.width, at, stride) if first.bounds else ""
            if self.rest is None:
                return mask
            tail = self._before(lanes, self.f.mul(self.rest, stride), at)
            return lanes.of("bool").and_(mask, tail) if mask else tail

        weave(lanes, values, pointer, self.at, allowed if first.bounds or self.rest is not None else None)

    def _inner(self, index: Affine) -> int:
        """Give an index's step along the innermost loop."""
        cols = self.plan.cols
        return index[1][cols[-1][1]] if cols else 0

    def _hold(self, bounds: Bounds, width: int, first: int = 0, stride: int = 0) -> Value:
        """Give the mask of where bounds hold in the lanes; or, of a stride, in the elements that follow ``first``."""
        key = ("hold", bounds, width, first, stride)
        found: Value | None = self.values.get(key)  # type: ignore[call-overload]
        if found is not None:
            return found
        f, masks = self.f, Lanes(self.f, "bool", width)
        outer = [masks.splat(self._holds(b)) for b in bounds if not self._inner(b[0])]
        for index, size in bounds:
            step = self._inner(index)
            if not step:
                continue
            start = f.add(f.add(self._start(index), f.mul(self.at, step)), first)
            lanes = Lanes(f, "i32", width)
            places = lanes.splat(f.op(f"trunc i64 {start} to i32")) if isinstance(start, str) else lanes.const(start)
            if width > 1:
                steps = lanes.iota() if stride or step == 1 else lanes.mul(lanes.iota(), lanes.const(step))
                places = lanes.add(places, steps)
            outer.append(f.op(f"icmp ult {lanes.type} {places}, {lanes.const(size)}"))
        mask = outer[0]
        for other in outer[1:]:
            mask = masks.and_(mask, other)
        self.values[key] = mask  # type: ignore[index]
        return mask

    def _start(self, index: Affine) -> Count:
        """Give an index at the start of the innermost loop."""
        found: Count | None = self.places.get(index)
        if found is None:
            inside = self._offset(index, self.plan.cols[:-1], self.index)
            found = self.places[index] = self.f.add(self._start_of_row(index), inside)  # type: ignore[assignment]
        return found

    def _start_of_row(self, index: Affine) -> Count:
        found: Count | None = self.row_pointers.get(index)
        if found is None:
            found = self.f.add(index[0], self._offset(index, self.plan.rows, self.row_index))
            self.row_pointers[index] = found  # type: ignore[assignment]
        return found

    def _holds(self, bound: tuple[Affine, int]) -> Value:
        """Tell, as one i1, whether a bound holds that the innermost loop does not change."""
        found = self.places.get(bound)
        if found is None:
            start = self._start(bound[0])
            found = self.places[bound] = self.f.op(f"icmp ult i64 {start}, {bound[1]}")
        return found

    def _spread(self, value: Value, dtype: Any, width: int) -> Value:
        if width == 1:
            return value
        found: Value | None = self.spreads.get(value)
        return self.lanes(dtype, width).splat(value) if found is None else found

    def _apply(self, node: Node, args: list[Value], width: int) -> Value:
        op: Any = node.op
        result = self.lanes(node.dtype, width)
        if op.name in ("clone", "reach"):
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
        lanes = self.lanes(operand_dtype(node, self.constants), width, node in self.summed)
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
