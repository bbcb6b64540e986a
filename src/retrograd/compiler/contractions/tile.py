"""The micro-kernel: a block of C in registers, summed over k, and stored with what follows it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..codegen import vmath
from ..codegen.emit import Count, Function, Module, Value
from ..codegen.kinds import KINDS
from ..codegen.lanes import Lanes
from ..runtime import cache, jit
from .blocking import shape
from .frame import ACCUMULATE, FINAL, get

LINE = 64  # bytes that are fetched together
BEHIND = "behind"  # the epilogue of a tile whose finished sums are handed to the frame's function, in memory of the tile's own
TENSORS = ("add", "mask")  # epilogue steps that read a tensor laid out as C
TAKES = ("scale", "bias_rows", "bias_columns", *TENSORS)  # steps that read memory, each its own


@dataclass(frozen=True)
class Tile:
    """A micro-kernel: ``rows`` by ``vectors`` registers of the result.

    Attributes
    ----------
    kind : str
        f32 or f64.
    a : str
        "packed": ``rows`` numbers side by side for each k; "strided": by the frame's a_free and a_sum; "table": by a_free and
        a_sum_table.
    b : str
        "packed": vectors side by side for each k, the frame's width apart; "direct": rows with unit stride, b_sum apart;
        "table": rows with unit stride at b_sum_table.
    epilogue : tuple of str
        Steps between the sum and the store.
    scattered : bool
        C's columns lie where the frame's c_columns says; the address of the tile is then that of its rows.
    out : str
        The kind of C's numbers, and of what else the epilogue reads, where it is another: bf16 or f16.
    pairs : bool
        The operands' numbers are pairs of bfloat16.
    """

    kind: str
    rows: int
    vectors: int
    a: str = "packed"
    b: str = "packed"
    epilogue: tuple[str, ...] = ()
    scattered: bool = False
    out: str = ""
    pairs: bool = False

    @property
    def name(self) -> str:
        """The kernel's name, different for each."""
        steps = "".join(f"_{step}" for step in self.epilogue) + ("_scattered" if self.scattered else "")
        kind = f"{self.kind}_{self.out}" if self.out else self.kind
        kind += "_pairs" if self.pairs else ""
        return f"tile_{kind}_{self.rows}x{self.vectors}_{self.a}_{self.b}{steps}"


def write_tile(module: Module, tile: Tile, name: str = "") -> Function:
    """Write ``void(ptr a, ptr b, ptr c, ptr frame)``: addresses of the tile's first row, column and element."""
    params = [("ptr", "a"), ("ptr", "b"), ("ptr", "c"), ("ptr", "frame")]
    f = module.function(name or tile.name, params)
    _Writer(f, tile).write()
    return f


@functools.cache
def code(tile: Tile) -> jit.Loaded:
    """Give a micro-kernel's machine code for this machine."""
    module = Module(jit.host().enabled)
    write_tile(module, tile)
    return cache.native(module.text(), tile.name)


def address(tile: Tile) -> int:
    """Give the address of a micro-kernel."""
    return code(tile).address(tile.name)


class _Writer:
    def __init__(self, f: Function, tile: Tile) -> None:
        self.f, self.tile = f, tile
        self.width = jit.host().lanes(KINDS[tile.kind].size)
        self.lanes = Lanes(f, tile.kind, self.width, contract=True)
        self.one = Lanes(f, tile.kind, 1)
        self.item = KINDS[tile.kind].type
        self.out = Lanes(f, tile.out or tile.kind, self.width, contract=True)
        self.out_item = self.out.row.memory
        self.frame = f.params["frame"]

    def get(self, name: str, type: str = "i64") -> Value:
        return get(self.f, self.frame, name, type)

    def write(self) -> None:
        f, tile = self.f, self.tile
        columns = self.get("columns")
        left = f.sub(columns, (tile.vectors - 1) * self.width)
        self.mask = self.lanes.tail(str(left))
        self.row_step = self.get("c_row")
        if not tile.scattered and tile.epilogue != (BEHIND,):
            self._fetch()
        flags = self.get("flags")
        self.adds = f.op(f"icmp ne i64 {f.op(f'and i64 {flags}, {ACCUMULATE}')}, 0")
        self.final = f.op(f"icmp ne i64 {f.op(f'and i64 {flags}, {FINAL}')}, 0")
        if tile.epilogue == (BEHIND,):
            with f.if_(self.final):
                f.call(self.get("ahead", "ptr"), "void", [("ptr", self.frame), ("i64", tile.rows)])
        sums = self._sum()
        full = f.op(f"icmp sge i64 {left}, {self.width}")

        def store() -> Sequence[Value]:
            f.choose(full, [], lambda: self._finish(sums, None), lambda: self._finish(sums, self.mask))
            return ()

        if tile.epilogue == (BEHIND,):
            f.choose(self.final, [], lambda: self._hand_over(sums), store)
        else:
            store()
        f.ret()

    def _hand_over(self, sums: list[Value]) -> Sequence[Value]:
        """Give the finished sums to the function behind: its rows lie as far apart as those of the widest tile."""
        f, tile, lanes, width = self.f, self.tile, self.lanes, self.width
        across = shape(tile.kind).vectors * width
        memory = f.alloca(self.item, tile.rows * across)
        c = f.params["c"]
        rows = [f.element(self.item, c, f.mul(self.row_step, r)) for r in range(tile.rows)]
        for v in range(tile.vectors):
            values = sums[v :: tile.vectors]
            place = _Straight(self, v * width, self.mask if v == tile.vectors - 1 else None)

            def added(values: list[Value] = values, place: Any = place) -> list[Value]:
                return [lanes.add(place.load(row), value) for row, value in zip(rows, values)]

            def whole(values: list[Value] = values) -> list[Value]:
                return values

            values = f.choose(self.adds, [lanes.type] * tile.rows, added, whole)
            for r, value in enumerate(values):
                lanes.store(value, memory, r * across + v * width)
        f.call(self.get(BEHIND, "ptr"), "void", [("ptr", self.frame), ("ptr", memory), ("i64", tile.rows)])
        return ()

    def _fetch(self) -> None:
        """Ask for the tile of C, which is read or written when the sum is done."""
        f = self.f
        call = f.module.declare("llvm.prefetch.p0", "void", ["ptr", "i32", "i32", "i32"])
        bytes = self.width * self.out.row.size
        for r in range(self.tile.rows):
            row = f.element(self.out_item, f.params["c"], f.mul(self.row_step, r))
            for v in range(0, self.tile.vectors, max(1, LINE // bytes)):
                f.do(f"call void {call}(ptr {f.byte(row, v * bytes)}, i32 1, i32 3, i32 1)")

    # the sum

    def _sum(self) -> list[Value]:
        f, tile, lanes = self.f, self.tile, self.lanes
        zero = [(lanes.type, lanes.const(0))] * (tile.rows * tile.vectors)
        a, b = f.params["a"], f.params["b"]
        a_starts, a_next, a_read = self._a(a)
        b_step = 0 if tile.b == "table" else self.get("width" if tile.b == "packed" else "b_sum")
        b_table = self._table("b") if tile.b == "table" else ""
        pointers = [*a_starts, *([] if b_table else [b])]
        with f.loop_carry(0, self.get("k"), 1, [*zero, *[("ptr", p) for p in pointers]]) as loop:
            values = loop.values[: len(zero)]
            held = loop.values[len(zero) :]
            if b_table:
                row = f.element(self.item, b, f.load("i64", f.element("i64", b_table, loop.i), 8))
            else:
                row = held[-1]
            right = []
            for v in range(tile.vectors):
                masked = tile.b != "packed" and v == tile.vectors - 1
                right.append(lanes.load(row, v * self.width, 1, self.mask if masked else None))
            out = []
            read = a_read(held, loop.i)
            for r in range(tile.rows):
                factor = lanes.splat(self.one.load(read(r)))
                out += [self._multiply(factor, right[v], values[r * tile.vectors + v]) for v in range(tile.vectors)]
            moved = [f.element(self.item, p, a_next) for p in held[: len(a_starts)]]
            loop.set(*out, *moved, *([] if b_table else [f.element(self.item, row, b_step)]))
        return loop.results[: len(zero)]

    def _multiply(self, x: Value, y: Value, added: Value) -> Value:
        """Multiply two vectors, or the pairs of two vectors, and add."""
        if not self.tile.pairs:
            return self.lanes.fma(x, y, added)
        f, type, pairs = self.f, self.lanes.type, "<32 x bfloat>"
        dot = f.module.declare("llvm.x86.avx512bf16.dpbf16ps.512", type, [type, pairs, pairs])
        halves = [f.op(f"bitcast {type} {value} to {pairs}") for value in (x, y)]
        return f.call(dot, type, [(type, added), *[(pairs, half) for half in halves]])

    def _table(self, which: str) -> Value:
        f = self.f
        return f.element("i64", self.get(f"{which}_sum_table", "ptr"), self.get("first_k"))

    def _a(self, a: Value) -> tuple[list[Value], Count, Callable[[Sequence[Value], Value], Callable[[int], Value]]]:
        """Give the addresses that move along k, by how much, and how a row's number is found from them."""
        f, tile, item = self.f, self.tile, self.item
        if tile.a == "packed":
            return [a], tile.rows, lambda held, k: lambda r: f.element(item, held[0], r)
        stride = self.get("a_free")
        twice = f.mul(stride, 2)
        # three rows from each address: a machine adds one or two strides while it reads
        firsts = [f.element(item, a, f.mul(stride, r)) for r in range(0, tile.rows, 3)]

        def within(starts: Sequence[Value]) -> Callable[[int], Value]:
            return lambda r: f.element(item, starts[r // 3], (0, stride, twice)[r % 3])

        if tile.a == "strided":
            return firsts, self.get("a_sum"), lambda held, k: within(held)
        table = self._table("a")

        def at(held: Sequence[Value], k: Value) -> Callable[[int], Value]:
            offset = f.load("i64", f.element("i64", table, k), 8)
            return within([f.element(item, p, offset) for p in firsts])

        return [], 0, at

    # the end

    def _finish(self, sums: list[Value], mask: Value | None) -> Sequence[Value]:
        tile = self.tile
        for v in range(tile.vectors):
            self._column(v, sums[v :: tile.vectors], mask if v == tile.vectors - 1 else None)
        return ()

    def _column(self, v: int, values: list[Value], mask: Value | None) -> None:
        """Finish one vector of each row."""
        f = self.f
        if not self.tile.scattered:
            self._values(v, values, mask, _Straight(self, v * self.width, mask))
            return
        first = f.add(self.get("j"), v * self.width)
        wide = self.lanes.of("i64")
        places = wide.load(self.get("c_columns", "ptr"), first, 1, mask)
        start = wide.lane(places, 0)
        straight = wide.compare("eq", places, wide.iota(start))
        if mask is not None:
            straight = wide.of("bool").or_(straight, wide.of("bool").not_(mask))

        def near() -> Sequence[Value]:
            self._values(v, values, mask, _Straight(self, start, mask))
            return ()

        def far() -> Sequence[Value]:
            self._values(v, values, mask, _Scattered(self, places, mask))
            return ()

        f.choose(self.lanes.all(straight), [], near, far)

    def _values(self, v: int, values: list[Value], mask: Value | None, place: Any) -> None:
        f, lanes = self.f, self.lanes
        types = [lanes.type] * len(values)
        c = f.params["c"]
        rows = [f.element(self.out_item, c, f.mul(self.row_step, r)) for r in range(len(values))]
        values = f.choose(
            self.adds,
            types,
            lambda: [lanes.add(place.load(row), value) for row, value in zip(rows, values)],
            lambda: values,
        )
        if self.tile.epilogue and self.tile.epilogue != (BEHIND,):
            before = values
            values = f.choose(self.final, types, lambda: self._epilogue(v, before, mask, place), lambda: before)
        for row, value in zip(rows, values):
            place.store(value, row)

    def _epilogue(self, v: int, values: list[Value], mask: Value | None, place: Any) -> list[Value]:
        f, lanes, out = self.f, self.lanes, self.out
        extras = self.get("extras", "ptr")
        taken = 0
        for step in self.tile.epilogue:
            base = ""
            if step in TAKES:
                base = f.load("ptr", f.element("ptr", extras, taken), 8)
                taken += 1
            if step == "scale":
                factor = lanes.splat(self.one.load(base))
                values = [lanes.mul(value, factor) for value in values]
            elif step == "bias_rows":
                first = f.element(self.out_item, base, f.add(self.get("i"), self.get("bias")))
                number = out.of(out.kind, 1)
                values = [lanes.add(value, lanes.splat(number.load(first, r))) for r, value in enumerate(values)]
            elif step == "bias_columns":
                row = out.load(base, f.add(self.get("j"), v * self.width), 1, mask)
                values = [lanes.add(value, row) for value in values]
            elif step in TENSORS:
                apart = [f.op(f"ptrtoint ptr {p} to i64") for p in (f.params["c"], self.get("c", "ptr"))]
                start = f.byte(base, f.sub(*apart))
                rows = [f.element(self.out_item, start, f.mul(self.row_step, r)) for r in range(len(values))]
                read = [place.load(row) for row in rows]
                zero = lanes.const(0)
                if step == "add":
                    values = [lanes.add(value, other) for value, other in zip(values, read)]
                else:
                    values = [lanes.select(lanes.compare("gt", o, zero), x, zero) for x, o in zip(values, read)]
            elif step == "relu":
                # NaN goes through, as in the library's relu
                values = [lanes.select(lanes.compare("lt", x, lanes.const(0)), lanes.const(0), x) for x in values]
            else:
                values = [vmath.UNARY[step](lanes, value) for value in values]
        return values


class _Straight:
    """A vector whose lanes lie side by side in memory, some elements behind a row's address."""

    def __init__(self, writer: _Writer, start: Count, mask: Value | None) -> None:
        self.lanes, self.start, self.mask = writer.out, start, mask

    def load(self, row: Value) -> Value:
        return self.lanes.load(row, self.start, 1, self.mask)

    def store(self, value: Value, row: Value) -> None:
        self.lanes.store(value, row, self.start, 1, self.mask)


class _Scattered:
    """A vector whose lanes lie at places of their own, in elements behind a row's address."""

    def __init__(self, writer: _Writer, places: Value, mask: Value | None) -> None:
        self.lanes, self.places, self.mask = writer.out, places, mask

    def load(self, row: Value) -> Value:
        return self.lanes.gather(row, self.places, self.mask)

    def store(self, value: Value, row: Value) -> None:
        self.lanes.scatter(value, row, self.places, self.mask)
