"""What the kernels of convolutions share: padded copies of a block of the source, transposes in registers, and scratch memory."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ...core.threads import processors
from ..codegen.emit import Count, Function, Module, Value
from ..codegen.kinds import KINDS
from ..codegen.lanes import Lanes
from .conv_geometry import Correlation, Ints

LINE = 64  # bytes of a cache line
ROUND = 4096  # rows this far apart compete for the same places of the first cache
FIRST, SECOND, RESULT, SCRATCH, IMAGES, CHUNKS, BEHIND, WORDS = range(
    8
)  # what a kernel's table of arguments holds, and how much
PIECES = 8  # of the work, at least
SLOTS = 256  # bytes of flags in front of the scratch memory: one byte a slot is more than enough


def item(kind: str) -> str:
    """Give the LLVM type of one number."""
    return KINDS[kind].type


def size(kind: str) -> int:
    """Give the bytes of one number."""
    return KINDS[kind].size


def up(count: int, by: int) -> int:
    """Divide and round up."""
    return -(-count // by)


def rounded(bytes: int) -> int:
    """Round up to whole cache lines."""
    return up(bytes, LINE) * LINE


def vectors_across(channels: int, width: int, order: tuple[int, ...]) -> int:
    """Choose how many vectors of channels stand side by side: as few lanes too many as can be, the first of an order; one alone only if need be."""
    most = up(channels, width)
    return min(most, min(order, key=lambda v: (up(most, v) * v, v == 1 and most > 1)))


def enough_pieces(plan: Any, images: int) -> Any:
    """Give a plan whose result channels are cut into parts where its blocks are too few for threads."""
    units = plan.units(images)
    return plan if units >= PIECES else replace(plan, splits=min(plan.panels, up(PIECES, units)))


def shared(f: Function, total: Count, parts: Count, part: Count) -> tuple[Value, Value]:
    """Give where one of so many equal parts of a range begins and ends."""
    begin = f.op(f"udiv i64 {f.mul(part, total)}, {parts}")
    return begin, f.op(f"udiv i64 {f.mul(f.add(part, 1), total)}, {parts}")


def argument(f: Function, index: int, type: str = "ptr") -> Value:
    """Load an entry of the table of arguments."""
    return f.load(type, f.element("i64", f.arguments, index), 8)


def constant_mask(lanes: Lanes, held: list[bool]) -> Value | None:
    """Give a mask known now, or None where every lane is held."""
    if all(held):
        return None
    if lanes.width == 1:
        return "true" if held[0] else "false"
    return "<" + ", ".join(f"i1 {'true' if h else 'false'}" for h in held) + ">"


def fence(f: Function) -> None:
    """Keep what is loaded after from being the same register as what was loaded before: there are not enough to keep it."""
    f.do('call void asm sideeffect "", "~{memory}"()')


def first(lanes: Lanes, count: int) -> Value | None:
    """Give the mask of the first lanes; None where that is all of them."""
    return constant_mask(lanes, [lane < count for lane in range(lanes.width)])


def transposed(lanes: Lanes, rows: list[Value]) -> list[Value]:
    """Give the columns of a square block held in registers: rounds of perfect shuffles, half a block apart."""
    n = lanes.width
    if n == 1:
        return rows
    low = ", ".join(f"i32 {k // 2 + n * (k % 2)}" for k in range(n))
    high = ", ".join(f"i32 {n // 2 + k // 2 + n * (k % 2)}" for k in range(n))
    for _ in range(n.bit_length() - 1):
        mixed = []
        for a, b in zip(rows[: n // 2], rows[n // 2 :], strict=True):
            for order in (low, high):
                mixed.append(lanes.f.op(f"shufflevector {lanes.type} {a}, {lanes.type} {b}, <{n} x i32> <{order}>"))
        rows = mixed
    return rows


@functools.cache
def at_once() -> int:
    """Give how many threads have a slot at a time, one for each processor: if there are more of them, they wait."""
    return min(max(processors(), 2), SLOTS)


def take_slot(f: Function, flags: Value) -> Value:
    """Take a slot of the scratch memory that nobody has, and give its number."""
    slots = at_once()
    look, after, before = f.label("look"), f.label("taken"), f.here
    f.jump(look)
    f.block(look)
    slot, following = f"%{f.fresh('slot')}", f"%{f.fresh('next')}"
    f.do(f"{slot} = phi i64 [ 0, %{before} ], [ {following}, %{look} ]")
    flag = f.op(f"getelementptr inbounds i8, ptr {flags}, i64 {slot}")
    old = f.op(f"atomicrmw xchg ptr {flag}, i8 1 acquire")
    more = f.op(f"add i64 {slot}, 1")
    f.do(f"{following} = urem i64 {more}, {slots}")
    f.branch(f.op(f"icmp eq i8 {old}, 0"), after, look)
    f.block(after)
    return slot


def give_slot(f: Function, flags: Value, slot: Value) -> None:
    """Let others have a slot."""
    f.do(f"store atomic i8 0, ptr {f.op(f'getelementptr inbounds i8, ptr {flags}, i64 {slot}')} release, align 1")


def clear_slots(f: Function, flags: Value) -> None:
    """Say that nobody has a slot."""
    for k in range(0, SLOTS, 32):
        f.store("<32 x i8>", "zeroinitializer", f.byte(flags, k), 1)


def divided(f: Function, value: Count, by: int) -> tuple[Count, Count]:
    """Give quotient and rest of a count that is not negative."""
    if by == 1:
        return value, 0
    if isinstance(value, int):
        return divmod(value, by)
    return f.op(f"udiv i64 {value}, {by}"), f.op(f"urem i64 {value}, {by}")


@dataclass(frozen=True)
class Along:
    """What plans have in common that put result channels along vectors.

    Attributes
    ----------
    correlation : Correlation
    kind : str
        Of its numbers.
    width : int
        Lanes of a vector.
    vectors : int
        Vectors of result channels in registers.
    """

    correlation: Correlation
    kind: str
    width: int
    vectors: int

    @property
    def across(self) -> int:
        """Channels side by side in sums and packed kernels."""
        return self.vectors * self.width

    @property
    def panels(self) -> int:
        """Blocks of result channels of a group."""
        return up(self.correlation.out, self.across)


@dataclass(frozen=True)
class Window:
    """A block of the source with its zeros around it, one plane per channel, as it lies in scratch memory.

    Attributes
    ----------
    kind : str
        f32 or f64.
    channels : int
        Planes.
    length : tuple of int
        The source's three spatial sizes.
    extent : tuple of int
        The block's.
    low : int
        The position in the source's rows where the block's rows begin; may be negative.
    phases : int
        Columns are laid out by their residue modulo this, so that every phases-th column lies side by side.
    skips : tuple of int
        The block holds only every so manieth position of each dimension, and its extent counts those.
    bands : tuple of tuple of int
        For depth and height: how many runs of positions are filled, from where one begins to where the next does, and how long
        one is. What lies between is not read.
    """

    kind: str
    channels: int
    length: Ints
    extent: Ints
    low: int
    phases: int = 1
    skips: Ints = (1, 1, 1)
    bands: tuple[Ints, Ints] | None = None

    @property
    def filled(self) -> tuple[Ints, Ints]:
        """The bands; all positions are one where none are given."""
        return self.bands or ((1, 0, self.extent[0]), (1, 0, self.extent[1]))

    @property
    def run(self) -> int:
        """Columns of one phase: whole cache lines where there are several, so that none is written over by its neighbour."""
        columns = up(self.extent[2], self.phases)
        line = LINE // size(self.kind)
        return columns if self.phases == 1 else up(columns, line) * line

    @property
    def pitch(self) -> int:
        """Numbers from one row to the next."""
        return self.run * self.phases

    @property
    def plane(self) -> int:
        """Numbers from one channel to the next: an odd number of cache lines, so that channels spread over the cache."""
        line = LINE // size(self.kind)
        lines = up(self.extent[0] * self.extent[1] * self.pitch, line)
        return (lines | 1) * line

    @property
    def bytes(self) -> int:
        """Memory, with room for a vector that reads over the end."""
        return size(self.kind) * self.channels * self.plane + 4 * LINE

    def at(self, d: int, h: int, w: int) -> int:
        """Give where in a plane a position of the block lies."""
        return (d * self.extent[1] + h) * self.pitch + w % self.phases * self.run + w // self.phases


def write_window(window: Window, module: Module, name: str, width: int) -> None:
    """Write ``void(ptr image, ptr block, i64 depth, i64 row)``: copy the block that begins there, zeros outside the source."""
    f = module.function(name, [("ptr noalias", "image"), ("ptr noalias", "block"), ("i64", "depth"), ("i64", "row")])
    kind, length, extent = item(window.kind), window.length, window.extent
    lanes = Lanes(f, window.kind, width)
    with f.loop(0, window.channels) as c:
        plane = f.element(kind, f.params["block"], f.mul(c, window.plane))
        source = f.element(kind, f.image, f.mul(c, length[0] * length[1] * length[2]))
        with _along(f, window.filled[0]) as d, _along(f, window.filled[1]) as h:
            depth, row = f.add(f.depth, f.mul(d, window.skips[0])), f.add(f.row, f.mul(h, window.skips[1]))
            inside = f.op(
                f"and i1 {f.op(f'icmp ult i64 {depth}, {length[0]}')}, {f.op(f'icmp ult i64 {row}, {length[1]}')}"
            )
            goal = f.element(kind, plane, f.mul(f.add(f.mul(d, extent[1]), h), window.pitch))
            start = f.element(kind, source, f.mul(f.add(f.mul(depth, length[1]), row), length[2]))
            f.choose(inside, [], lambda: _row(f, window, lanes, start, goal), lambda: _zeros(f, window, lanes, goal))
    f.ret()


@contextlib.contextmanager
def _along(f: Function, band: Ints) -> Iterator[Count]:
    """Loop over the positions of bands."""
    count, step, length = band
    with f.loop(0, count) as k, f.loop(0, length) as i:
        yield f.add(f.mul(k, step), i) if count > 1 else i


def _zeros(f: Function, window: Window, lanes: Lanes, goal: Value) -> tuple[()]:
    with f.loop(0, window.pitch, lanes.width) as j:
        lanes.store(lanes.const(0), goal, j)
    return ()


def _row(f: Function, window: Window, lanes: Lanes, start: Value, goal: Value) -> tuple[()]:
    """Copy one row: runs of whole vectors, and masked ones where the row begins and ends."""
    width, phases = lanes.width, window.phases * window.skips[2]
    count = up(window.run, width)
    inside = [_inside(window, j * width * phases, width * phases) for j in range(count)]
    whole = [all(held) for held in inside]
    begin = whole.index(True) if True in whole else count
    end = begin + sum(whole)  # those that lie inside are neighbours
    for j in [*range(begin), *range(end, count)]:
        _move(f, window, lanes, (start, window.low + j * width * phases), (goal, j * width), inside[j])
    if end > begin:
        with f.loop(begin * width, end * width, width) as j:
            origin = f.element(lanes.item, start, f.mul(j, phases))
            _move(f, window, lanes, (origin, window.low), (f.element(lanes.item, goal, j), 0), None)
    return ()


def _inside(window: Window, first: int, count: int) -> list[bool]:
    """Tell which of a row's columns lie in the source."""
    return [0 <= window.low + first + k < window.length[2] for k in range(count)]


def _move(
    f: Function,
    window: Window,
    lanes: Lanes,
    source: tuple[Value, int],
    goal: tuple[Value, int],
    inside: list[bool] | None,
) -> None:
    """Copy one vector for each phase; ``inside``: which of the numbers side by side may be read, None for all."""
    width, phases = lanes.width, window.phases * window.skips[2]
    origin = f.element(lanes.item, *source)

    def read(at: int, step: int, held: list[bool]) -> Value:
        if not any(held):
            return lanes.const(0)
        return lanes.load(f.element(lanes.item, origin, at), 0, step, constant_mask(lanes, held))

    held = inside or [True] * (width * phases)
    if phases == 2:
        a, b = (read(k * width, 1, held[k * width : (k + 1) * width]) for k in range(2))
        values = list(apart(lanes, a, b))[: window.phases]
    else:
        values = [read(phase, phases, held[phase::phases]) for phase in range(window.phases)]
    for phase, value in enumerate(values):
        lanes.store(value, goal[0], goal[1] + phase * window.run)


def apart(lanes: Lanes, a: Value, b: Value) -> tuple[Value, Value]:
    """Give the even and the odd numbers of two vectors that lie one behind the other."""
    n = lanes.width
    even, odd = (", ".join(f"i32 {2 * k + start}" for k in range(n)) for start in (0, 1))
    shuffle = f"shufflevector {lanes.type} {a}, {lanes.type} {b}, <{n} x i32>"
    return lanes.f.op(f"{shuffle} <{even}>"), lanes.f.op(f"{shuffle} <{odd}>")


def together(lanes: Lanes, even: Value, odd: Value) -> tuple[Value, Value]:
    """Give the two vectors of which :func:`apart` gives these."""
    n = lanes.width
    low, high = (", ".join(f"i32 {(start + k) // 2 + n * (k % 2)}" for k in range(n)) for start in (0, n))
    shuffle = f"shufflevector {lanes.type} {even}, {lanes.type} {odd}, <{n} x i32>"
    return lanes.f.op(f"{shuffle} <{low}>"), lanes.f.op(f"{shuffle} <{high}>")


def go_on(f: Function, values: Value, step: int, place: tuple[Count, Count, Count], sizes: tuple[Count, Count]) -> None:
    """Write the call of what follows a convolution, on results that are whole; its address is among the arguments.

    It is a function ``void(ptr arguments, ptr values, i64 step, i64 image, i64 channel, i64 channels, i64 pixel, i64 pixels)``; the first
    channel's results from the first pixel on lie at ``values``, the next channel's ``step`` numbers further on.
    """
    (image, channel, pixel), (channels, pixels) = place, sizes
    numbers = [("i64", n) for n in (step, image, channel, channels, pixel, pixels)]
    f.call(argument(f, BEHIND), arguments=[("ptr", f.arguments), ("ptr", values), *numbers])


def turn(f: Function, kind: str, width: int, columns: int = 0) -> Value:
    """Give the function ``void(ptr source, i64 step, i64 rows, ptr goal, i64 goal_step, i64 columns)`` that transposes a matrix.

    It is written once into a module; ``columns``: there are always so many, and no more than fit into a vector.
    """
    name = f"turn_{kind}{f'_{columns}' if columns else ''}"
    if not f.module.defines(name):
        _Turn(f.module, name, kind, width, columns).write()
    return f"@rg_{name}"


class _Turn:
    """Writes it: square blocks in registers, masked ones at the edges."""

    def __init__(self, module: Module, name: str, kind: str, width: int, columns: int) -> None:
        params = [("ptr noalias", "source"), ("i64", "step"), ("i64", "rows")]
        self.f = module.function(name, [*params, ("ptr noalias", "goal"), ("i64", "goal_step"), ("i64", "columns")])
        self.lanes, self.columns = Lanes(self.f, kind, width), columns

    def write(self) -> None:
        f, width = self.f, self.lanes.width
        whole = f.round_down(f.rows, width)
        if self.columns:
            mask = first(self.lanes, self.columns)
            with f.loop(0, whole, width) as r:
                self.block(r, 0, [mask] * width, [None] * self.columns)
            with f.loop(whole, f.rows, width) as r:
                below = self.lanes.tail(str(f.sub(f.rows, r)))
                self.block(r, 0, self.held(f.sub(f.rows, r), mask or self.every()), [below] * self.columns)
            f.ret()
            return
        with f.loop(0, f.rows, width) as r:
            high = f.op(f"icmp slt i64 {r}, {whole}")
            along = f.op(f"select i1 {high}, i64 {f.round_down(f.columns, width)}, i64 0")
            with f.loop(0, along, width) as k:
                self.block(r, k, [None] * width, [None] * width)
            with f.loop(along, f.columns, width) as k:
                down, left = f.sub(f.rows, r), f.sub(f.columns, k)
                right, below = self.lanes.tail(str(left)), self.lanes.tail(str(down))
                self.block(r, k, self.held(down, right), self.held(left, below))
        f.ret()

    def every(self) -> Value:
        """Give the mask of all lanes."""
        return f"splat (i1 {'true'})"

    def held(self, count: Count, mask: Value) -> list[Value | None]:
        """Give the mask for each of the first rows, and nothing for the others."""
        f, type = self.f, self.lanes.mask
        there = [f.op(f"icmp slt i64 {lane}, {count}") for lane in range(self.lanes.width)]
        return [f.op(f"select i1 {held}, {type} {mask}, {type} zeroinitializer") for held in there]

    def block(self, r: Count, k: Count, reads: list[Value | None], writes: list[Value | None]) -> None:
        """Turn one block; its masks for each row that is read and written."""
        f, lanes = self.f, self.lanes
        source = f.element(lanes.item, f.element(lanes.item, f.source, f.mul(r, f.step)), k)
        goal = f.element(lanes.item, f.element(lanes.item, f.goal, f.mul(k, f.goal_step)), r)
        rows = []
        for lane, mask in enumerate(reads):
            rows.append(lanes.load(f.element(lanes.item, source, f.mul(f.step, lane)), 0, 1, mask))
        for lane, (column, mask) in enumerate(zip(transposed(lanes, rows), writes, strict=False)):
            lanes.store(column, f.element(lanes.item, goal, f.mul(f.goal_step, lane)), 0, 1, mask)
