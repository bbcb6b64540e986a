"""Packing: panels of an operand, gathered from where it lies into what the micro-kernel reads straight through."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..codegen.emit import Count, Function, Module, Value
from ..codegen.kinds import KINDS
from ..codegen.lanes import Lanes
from ..runtime import cache, jit
from .frame import PLACES

LINE = 64  # bytes that are fetched together
AHEAD = 12  # rows that are asked for before they are read
BYTES = 16  # of the part of a vector within which instructions mix lanes freely


@dataclass(frozen=True)
class Packer:
    """A way to read an operand.

    Attributes
    ----------
    kind : str
        f32 or f64: of the packed numbers.
    how : str
        "along": unit stride along the free index; "across": unit stride along the sum, transposed in registers; "table": offsets
        from tables along both.
    vectors : int
        The width of a panel: so many vectors. Rows of fewer lanes are written too far, into what comes after.
    tabled : bool
        The other index (of "along" the sum, of "across" the free one) has a table of offsets in place of a stride.
    bounds : int
        How many conditions positions have; elements that break one are 0. For "table".
    source : str
        The kind of the operand's numbers, where it is not that of the packed ones.
    pairs : bool
        Of "along": two numbers of 16 bits, half the sum's stride apart, are packed as one of 32.
    """

    kind: str
    how: str
    vectors: int
    tabled: bool = False
    bounds: int = 0
    source: str = ""
    pairs: bool = False

    @property
    def name(self) -> str:
        """The packer's name, different for each."""
        rest = ("_tabled" if self.tabled else "") + (f"_bounds{self.bounds}" if self.bounds else "")
        rest += "_pairs" if self.pairs else ""
        return f"pack_{self.kind}_{self.source or self.kind}_{self.how}{self.vectors}{rest}"


PARAMS = [
    ("ptr noalias", "source"),  # the operand's first element
    ("ptr noalias", "target"),  # the first packed panel
    ("ptr", "operand"),  # the operand's words in the frame
    ("i64", "first"),  # of the free index: the first panel's first
    ("i64", "valid"),  # how many there are in all panels
    ("i64", "k"),  # of the sum: the first
    ("i64", "count"),  # how many
    ("i64", "step"),  # elements from k to k in a panel, and of the free index from panel to panel
    ("i64", "apart"),  # bytes from panel to panel
]
TOGETHER = (
    8  # panels that are written side by side, so that long pieces of memory are read: few enough for a cache's ways
)


def write_packer(module: Module, packer: Packer, name: str = "") -> Function:
    """Write the function that packs panels of one width; its parameters are ``PARAMS``."""
    f = module.function(name or packer.name, PARAMS)
    writer = _Writer(f, packer)
    if packer.how == "along":
        writer.along()
    else:
        writer.each(writer.across if packer.how == "across" else writer.table)
    f.ret()
    return f


@functools.cache
def code(packer: Packer) -> jit.Loaded:
    """Give a packer's machine code for this machine."""
    module = Module(jit.host().enabled)
    write_packer(module, packer)
    return cache.native(module.text(), packer.name)


def address(packer: Packer) -> int:
    """Give the address of a packer."""
    return code(packer).address(packer.name)


class _Writer:
    def __init__(self, f: Function, packer: Packer) -> None:
        self.f, self.packer = f, packer
        row = KINDS[packer.kind]
        self.width = jit.host().lanes(row.size)
        self.lanes = Lanes(f, packer.kind, self.width)
        self.source = Lanes(f, packer.source or packer.kind, self.width)
        self.from_item = KINDS[packer.source or packer.kind].memory
        self.item = row.type

    def word(self, name: str, type: str = "i64") -> Value:
        return self.f.load(type, self.f.element("i64", self.f.params["operand"], PLACES[name]), 8)

    def offset(self, table: Value, stride: Value, index: Count) -> Count:
        """Give the offset of a place along one index, from its table or by its stride."""
        if self.packer.tabled:
            return self.f.load("i64", self.f.element("i64", table, index), 8)
        return self.f.mul(stride, index)

    def fetch(self, address: Value, numbers: int) -> None:
        """Ask for memory that is read later; nothing is wrong where there is none."""
        f, size = self.f, self.source.row.size
        call = f.module.declare("llvm.prefetch.p0", "void", ["ptr", "i32", "i32", "i32"])
        for at in range(0, numbers * size, LINE):
            f.do(f"call void {call}(ptr {f.byte(address, at)}, i32 0, i32 3, i32 1)")

    def each(self, pack: Callable[[Value, Count, Count], None]) -> None:
        """Pack one panel after the other: ``pack(target, first, valid)``."""
        f, p = self.f, self.f.params
        with f.loop(0, p["valid"], p["step"]) as i:
            number = f.op(f"sdiv i64 {i}, {p['step']}")
            target = f.byte(p["target"], f.mul(number, p["apart"]))
            pack(target, f.add(p["first"], i), f.min(f.sub(p["valid"], i), p["step"]))

    def along(self) -> None:
        """Copy rows, through several panels at once."""
        f, p = self.f, self.f.params
        table = self.word("sum_table", "ptr") if self.packer.tabled else ""
        stride = "" if self.packer.tabled else self.word("sum")
        whole = f.op(f"sdiv i64 {p['valid']}, {p['step']}")
        # panels whose lanes are all there: those of whole vectors, for a narrower panel is read beyond its own end
        exact = f.op(f"icmp eq i64 {p['step']}, {self.packer.vectors * self.width}")
        whole = f.op(f"select i1 {exact}, i64 {whole}, i64 0")

        def row(i: Count) -> Value:
            return f.element(
                self.from_item, p["source"], f.add(p["first"], self.offset(table, stride, f.add(p["k"], i)))
            )

        ahead = "" if table else f.mul(stride, AHEAD)
        with f.loop(0, whole, TOGETHER) as group:
            stop = f.min(whole, f.add(group, TOGETHER))
            with f.loop(0, p["count"]) as i:
                source, at = row(i), f.mul(i, p["step"])
                with f.loop(group, stop) as panel:
                    read = f.element(self.from_item, source, f.mul(panel, p["step"]))
                    out = f.element(self.item, f.byte(p["target"], f.mul(panel, p["apart"])), at)
                    if ahead:
                        self.fetch(f.element(self.from_item, read, ahead), self.packer.vectors * self.width)
                    for v in range(self.packer.vectors):
                        self.lanes.store(self._read(read, v * self.width, None), out, v * self.width)
        with f.loop(f.mul(whole, p["step"]), p["valid"], p["step"]) as start:
            left = f.min(f.sub(p["valid"], start), p["step"])
            masks = [self.source.tail(str(f.sub(left, v * self.width))) for v in range(self.packer.vectors)]
            panel = f.op(f"sdiv i64 {start}, {p['step']}")
            target = f.byte(p["target"], f.mul(panel, p["apart"]))
            with f.loop(0, p["count"]) as i:
                read = f.element(self.from_item, row(i), start)
                out = f.element(self.item, target, f.mul(i, p["step"]))
                for v, mask in enumerate(masks):
                    self.lanes.store(self._read(read, v * self.width, mask), out, v * self.width)

    def _read(self, row: Value, at: int, mask: Value | None) -> Value:
        """Read a vector of a row, or of two rows, whose numbers are put side by side."""
        if not self.packer.pairs:
            return self.source.load(row, at, 1, mask)
        f, narrow, words = self.f, Lanes(self.f, "i16", self.width), self.lanes.of("i32")
        other = f.element(self.from_item, row, f.op(f"sdiv i64 {self.word('sum')}, 2"))
        low, high = (f.op(f"zext {narrow.type} {narrow.load(p, at, 1, mask)} to {words.type}") for p in (row, other))
        high = f.op(f"shl {words.type} {high}, {words.const(16)}")
        return f.op(f"bitcast {words.type} {f.op(f'or {words.type} {low}, {high}')} to {self.lanes.type}")

    def across(self, target: Value, first_place: Count, valid_places: Count) -> None:
        """Read rows along the sum, as many as there are lanes, and store their columns."""
        f, p, w = self.f, self.f.params, self.width
        table = self.word("free_table", "ptr") if self.packer.tabled else ""
        stride = "" if self.packer.tabled else self.word("free")
        last = f.sub(valid_places, 1)
        start = f.element(self.from_item, p["source"], p["k"])
        spare = f.alloca(self.lanes.type, w)
        for v in reversed(range(self.packer.vectors)):  # what is written too far is written over
            # rows that there are not are read as the last that there is: nobody reads their columns
            rows = []
            for r in range(w):
                index = f.add(first_place, f.min(v * w + r, last))
                rows.append(f.element(self.from_item, start, self.offset(table, stride, index)))
            out = f.element(self.item, target, v * w)
            whole = f.round_down(p["count"], w)
            with f.loop(0, whole, w) as i:
                columns = self._transposed([self.source.load(row, i) for row in rows])
                at = f.element(self.item, out, f.mul(i, p["step"]))
                for c, column in enumerate(columns):
                    self.lanes.store(column, f.element(self.item, at, f.mul(p["step"], c)))
            rest = f.sub(p["count"], whole)
            with f.if_(f.op(f"icmp sgt i64 {rest}, 0")):
                mask = self.source.tail(str(rest))
                columns = self._transposed([self.source.load(row, whole, 1, mask) for row in rows])
                for c, column in enumerate(columns):
                    self.lanes.store(column, spare, c * w)
                with f.loop(0, rest) as i:
                    at = f.element(self.item, out, f.mul(f.add(whole, i), p["step"]))
                    self.lanes.store(self.lanes.load(spare, f.mul(i, w)), at)

    def table(self, target: Value, first_place: Count, valid_places: Count) -> None:
        """Gather: each vector of the panel for all of the sum, by plain reads where its lanes lie side by side."""
        f, w = self.f, self.width
        wide, masks = self.lanes.of("i64"), self.lanes.of("bool")
        frees = self.word("free_table", "ptr")
        for v in reversed(range(self.packer.vectors)):  # what is written too far is written over
            first, left = f.add(first_place, v * w), f.sub(valid_places, v * w)
            valid = self.lanes.tail(str(left))
            places = wide.load(frees, first, 1, valid)
            start = wide.lane(places, 0)
            straight = masks.or_(wide.compare("eq", places, wide.iota(start)), masks.not_(valid))
            vector = _Vector(self, f.element(self.item, target, v * w), first, valid, places, start)
            with f.if_(f.op(f"icmp sgt i64 {left}, 0")):
                f.choose(
                    self.lanes.all(straight),
                    [],
                    functools.partial(vector.write, True),
                    functools.partial(vector.write, False),
                )

    def _transposed(self, rows: list[Value]) -> list[Value]:
        """Turn w vectors of w lanes: first within parts of a vector, then the parts."""
        within = max(1, BYTES // KINDS[self.packer.kind].size)
        if self.width <= within:
            return _turn(self.f, self.lanes, rows, 1, self.width)
        parts = self.width // within
        # after this, vector c of a group holds in its part p the group's rows at column p * within + c
        groups = [_turn(self.f, self.lanes, rows[g * within : (g + 1) * within], 1, within) for g in range(parts)]
        out: list[Value] = [""] * self.width
        for c in range(within):
            turned = _turn(self.f, self.lanes, [group[c] for group in groups], within, self.width)
            for part, value in enumerate(turned):
                out[part * within + c] = value
        return out


class _Vector:
    """One vector of a gathered panel: where its lanes begin, for all of the sum."""

    def __init__(self, of: _Writer, target: Value, first: Count, valid: Value, places: Value, start: Value) -> None:
        self.of, self.target, self.first, self.valid, self.places, self.start = of, target, first, valid, places, start

    def write(self, plain: bool) -> Sequence[Value]:
        """Read and store; ``plain``: the lanes lie side by side."""
        of, f = self.of, self.of.f
        p, narrow, masks = f.params, of.lanes.of("i32"), of.lanes.of("bool")
        bounds = range(of.packer.bounds)
        positions = [narrow.load(of.word(f"free_position{d}", "ptr"), self.first, 1, self.valid) for d in bounds]
        moves = [of.word(f"sum_position{d}", "ptr") for d in bounds]
        extents = [narrow.splat(f.op(f"trunc i64 {of.word(f'extent{d}')} to i32")) for d in bounds]
        sums = of.word("sum_table", "ptr")
        with f.loop(0, p["count"]) as i:
            k = f.add(p["k"], i)
            row = f.element(of.from_item, p["source"], f.load("i64", f.element("i64", sums, k), 8))
            mask = self.valid
            for position, move, extent in zip(positions, moves, extents):
                step = narrow.splat(f.load("i32", f.element("i32", move, k), 4))
                inside = f.op(f"icmp ult {narrow.type} {narrow.add(position, step)}, {extent}")
                mask = masks.and_(mask, inside)
            if plain:
                # masked: an element outside may lie outside of memory too
                value = of.source.load(f.element(of.from_item, row, self.start), 0, 1, mask)
            else:
                value = of.source.gather(row, self.places, mask)
            of.lanes.store(value, f.element(of.item, self.target, f.mul(i, p["step"])))
        return ()


def _turn(f: Function, lanes: Lanes, rows: list[Value], item: int, within: int) -> list[Value]:
    """Transpose rows of items (``item`` lanes each) inside each run of ``within`` lanes, by taking even and odd items apart."""
    if len(rows) == 1:
        return rows
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    even = [_take(f, lanes, x, y, item, within, 0) for x, y in pairs]
    odd = [_take(f, lanes, x, y, item, within, 1) for x, y in pairs]
    halves = _turn(f, lanes, even, item, within), _turn(f, lanes, odd, item, within)
    return [value for pair in zip(*halves, strict=True) for value in pair]


def _take(f: Function, lanes: Lanes, x: Value, y: Value, item: int, within: int, odd: int) -> Value:
    """Give, for each run of ``within`` lanes, the even (odd) items of x and behind them those of y."""
    order = []
    for run in range(0, lanes.width, within):
        for source in (0, lanes.width):
            for at in range(odd * item, within, 2 * item):
                order += [source + run + at + lane for lane in range(item)]
    mask = ", ".join(f"i32 {place}" for place in order)
    return f.op(f"shufflevector {lanes.type} {x}, {lanes.type} {y}, <{lanes.width} x i32> <{mask}>")
