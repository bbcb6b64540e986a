"""Convolutions by neighbouring taps with 2.25 times fewer multiplications: minimal filtering of two by two results at a time.

With the matrices of F(2, 3), ``Y = A' ((G g G') * (B' d B)) A`` for each tile of four by four numbers d of the source (S. Winograd,
Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, 2016). The sums
over source channels are sixteen products of matrices, one for each place in a tile. The transforms are additions and halves, so
results are nearly as exact as direct sums. Larger kernels are cut into squares of three by three taps, zeros at the edges, whose sums are
those of so many more source channels, each looked at some places further on: five by five taps take 1.56 times fewer multiplications.
"""

from __future__ import annotations

import math
from itertools import product

from ..codegen.emit import Count, Function, Module, Value
from ..codegen.lanes import Lanes
from . import conv_blocks as blocks
from . import conv_packing
from .conv_blocks import (
    CHUNKS,
    FIRST,
    IMAGES,
    RESULT,
    SCRATCH,
    SLOTS,
    argument,
    item,
    rounded,
    size,
    up,
)
from .conv_winograd_plan import POINTS, SIDE, Plan, cost, fits, make_plan


def write(plan: Plan, module: Module, name: str) -> list[tuple[str, int | None]]:
    """Write the functions ``void(ptr arguments, i64 chunk)`` that run one after another, and give their names and chunks."""
    blocks.write_window(plan.window, module, f"{name}_window", plan.width)
    conv_packing.write(plan, module, f"{name}_pack")
    _write_kernels(plan, module, f"{name}_kernels")
    for k, squares in enumerate(plan.rounds):
        _write_there(plan, squares, module, f"{name}_there_{k}")
    for _, rows in _runs(plan):
        for more in range(1 + plan.apart):
            _write_tile(plan, rows, bool(more), module, f"{name}_tile_{rows}_{more}")
    _write_back(plan, module, f"{name}_back")
    _write_main(plan, module, name)
    chunks = conv_packing.chunks(plan)
    return [(f"{name}_pack", chunks), (f"{name}_kernels", chunks), (name, None)]


def _runs(plan: Plan) -> list[tuple[int, int]]:
    """Cut a block's tiles into runs that are in registers at a time, of nearly equal length: (how many, length)."""
    count = up(plan.tiles, plan.held)
    each, extra = divmod(plan.tiles, count)
    return [(n, rows) for n, rows in ((extra, each + 1), (count - extra, each)) if n]


def _filtered(lanes: Lanes, three: list[Value]) -> list[Value]:
    """Multiply by G: four numbers of three."""
    a, b, c = three
    ends = lanes.add(a, c)
    half = lanes.const(0.5)
    return [a, lanes.mul(half, lanes.add(ends, b)), lanes.mul(half, lanes.sub(ends, b)), c]


def _spread(lanes: Lanes, four: list[Value]) -> list[Value]:
    """Multiply by the transpose of B: four numbers of four."""
    a, b, c, d = four
    return [lanes.sub(a, c), lanes.add(b, c), lanes.sub(c, b), lanes.sub(b, d)]


def _gathered(lanes: Lanes, four: list[Value]) -> list[Value]:
    """Multiply by the transpose of A: two numbers of four."""
    a, b, c, d = four
    return [lanes.add(a, lanes.add(b, c)), lanes.sub(lanes.sub(b, c), d)]


def _write_kernels(plan: Plan, module: Module, name: str) -> None:
    """Write the transform of packed kernels: for each panel and place in a tile, source channels by result channels."""
    c, number = plan.correlation, item(plan.kind)
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    lanes = Lanes(f, plan.kind, plan.width)
    packed = f.byte(argument(f, SCRATCH), SLOTS)
    goal = f.byte(packed, rounded(size(plan.kind) * plan.kept))
    begin, end = blocks.shared(f, plan.panels, conv_packing.chunks(plan), f.chunk)
    _, high, wide = c.kernel

    def tap(y: int, x: int, v: int) -> Value:
        inside = y < high and x < wide
        return lanes.load(source, (wide * y + x) * plan.across + v * plan.width) if inside else lanes.const(0)

    with f.loop(begin, end) as panel, f.loop(0, c.into) as r:
        source = f.element(number, packed, f.mul(f.add(f.mul(panel, c.into), r), c.taps * plan.across))
        into = f.element(number, goal, f.mul(f.add(f.mul(panel, POINTS * plan.terms), r), plan.across))
        for (k, (down, along)), v in product(enumerate(plan.squares), range(plan.vectors)):
            taps = [[tap(down + y, along + x, v) for y in range(SIDE)] for x in range(SIDE)]
            rows = list(zip(*[_filtered(lanes, column) for column in taps], strict=True))
            for y, row in enumerate(rows):
                for x, value in enumerate(_filtered(lanes, list(row))):
                    at = (4 * y + x) * plan.terms + k * c.into
                    lanes.store(value, into, at * plan.across + v * plan.width)
    f.ret()


def _write_there(plan: Plan, squares: list[tuple[int, int]], module: Module, name: str) -> None:
    """Write ``void(ptr block, ptr moved)``: the transform of an image's block of the source, tiles side by side."""
    c, number, window = plan.correlation, item(plan.kind), plan.window
    f = module.function(name, [("ptr noalias", "source"), ("ptr noalias", "moved")])
    lanes = Lanes(f, plan.kind, plan.width)
    columns = plan.grid[1]
    with f.loop(0, c.into) as r, f.loop(0, plan.rows) as y:
        source = f.element(number, f.source, f.add(f.mul(r, window.plane), f.mul(y, 2 * window.pitch)))
        goal = f.element(number, f.moved, f.add(f.mul(r, plan.tiles), f.mul(y, columns)))
        for (square, (high, wide)), x in product(enumerate(squares), range(0, columns, plan.width)):
            places = [[window.at(0, high + row, wide + k) + x for k in range(4)] for row in range(4)]
            four = [[lanes.load(source, at) for at in row] for row in places]
            down = [_spread(lanes, [four[row][k] for row in range(4)]) for k in range(4)]
            for row in range(4):
                for k, value in enumerate(_spread(lanes, [down[j][row] for j in range(4)])):
                    at = ((4 * row + k) * plan.each + square * c.into) * plan.tiles + x
                    lanes.store(value, goal, at, 1, blocks.first(lanes, columns - x))
    f.ret()


def _write_tile(plan: Plan, rows: int, more: bool, module: Module, name: str) -> None:
    """Write ``void(ptr moved, ptr kernel, ptr products)``: one place's sums over a round's terms for some tiles, added to what is there."""
    f = module.function(name, [("ptr noalias", "moved"), ("ptr noalias", "kernel"), ("ptr noalias", "products")])
    lanes, one = Lanes(f, plan.kind, plan.width, contract=True), Lanes(f, plan.kind, 1)
    number = lanes.item
    count = rows * plan.vectors
    start = [lanes.load(f.products, k * plan.width) if more else lanes.const(0) for k in range(count)]
    with f.loop_carry(0, plan.each, 1, [(lanes.type, value) for value in start]) as loop:
        left = f.element(number, f.moved, f.mul(loop.i, plan.tiles))
        right = f.element(number, f.kernel, f.mul(loop.i, plan.across))
        kernels = [lanes.load(right, v * plan.width) for v in range(plan.vectors)]
        out = []
        for k in range(rows):
            factor = lanes.splat(one.load(left, k))
            out += [lanes.fma(factor, b, loop.values[k * plan.vectors + v]) for v, b in enumerate(kernels)]
        loop.set(*out)
    for k, value in enumerate(loop.results):
        lanes.store(value, f.products, k * plan.width)
    f.ret()


def _write_back(plan: Plan, module: Module, name: str) -> None:
    """Write ``void(ptr products, ptr sums)``: an image's block of results, pixel by pixel, channels side by side."""
    c, number = plan.correlation, item(plan.kind)
    f = module.function(name, [("ptr noalias", "products"), ("ptr noalias", "sums")])
    lanes = Lanes(f, plan.kind, plan.width)
    columns, line = plan.grid[1], c.result[2]

    def tile(y: Count, x: Count, wide: int) -> None:
        source = f.element(number, f.products, f.mul(f.add(f.mul(y, columns), x), plan.across))
        goal = f.element(number, f.sums, f.mul(f.add(f.mul(y, 2 * line), f.mul(x, 2)), plan.across))
        for v in range(plan.vectors):
            at = [[(4 * row + k) * plan.tiles * plan.across + v * plan.width for k in range(4)] for row in range(4)]
            down = [_gathered(lanes, [lanes.load(source, at[row][k]) for row in range(4)]) for k in range(4)]
            for row in range(2):
                for k, value in enumerate(_gathered(lanes, [down[j][row] for j in range(4)])[:wide]):
                    lanes.store(value, goal, (row * line + k) * plan.across + v * plan.width)

    with f.loop(0, plan.rows) as y:
        if line // 2:
            with f.loop(0, line // 2) as x:
                tile(y, x, 2)
        if line % 2:
            tile(y, line // 2, 1)
    f.ret()


def _write_main(plan: Plan, module: Module, name: str) -> None:
    """Write the walk over blocks, result channels, places in a tile, and tiles."""
    c, number, bytes = plan.correlation, item(plan.kind), size(plan.kind)
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    source, result, scratch = (argument(f, i) for i in (FIRST, RESULT, SCRATCH))
    images, chunks = argument(f, IMAGES, "i64"), argument(f, CHUNKS, "i64")
    several, _ = blocks.divided(f, f.add(images, plan.images - 1), plan.images)
    begin, end = blocks.shared(f, f.mul(several, plan.blocks * plan.splits), chunks, f.chunk)
    slot = blocks.take_slot(f, scratch)
    packed = f.byte(scratch, SLOTS)
    kernels = f.byte(packed, rounded(bytes * plan.kept))
    block = f.byte(kernels, f.add(plan.transformed, f.mul(slot, sum(plan.parts))))
    moved = f.byte(block, plan.parts[0])
    products = f.byte(moved, plan.parts[1])
    sums = f.byte(products, plan.parts[2])
    (part,) = c.parts
    each = plan.rows * plan.grid[1]  # tiles of an image
    with f.loop(begin, end) as unit:
        place, split = blocks.divided(f, unit, plan.splits)
        place, down = blocks.divided(f, place, plan.blocks)
        image, height = f.mul(place, plan.images), f.mul(down, 2 * plan.rows)
        here = 1 if plan.images == 1 else f.min(plan.images, f.sub(images, image))
        first, last = (0, plan.panels) if plan.splits == 1 else blocks.shared(f, plan.panels, plan.splits, split)
        kept = POINTS * plan.tiles * plan.across if plan.apart else 0  # products of one panel
        for number_of, _ in enumerate(plan.rounds):
            with f.loop(0, here) as k:
                if number_of == 0 or plan.images > 1:
                    planes = f.mul(f.add(image, k), c.into * math.prod(c.length))
                    at = [("i64", 0), ("i64", f.add(height, part[1].first))]
                    start = f.element(number, source, planes)
                    f.call(f"@rg_{name}_window", arguments=[("ptr", start), ("ptr", block), *at])
                goal = f.element(number, moved, f.mul(k, each))
                f.call(f"@rg_{name}_there_{number_of}", arguments=[("ptr", block), ("ptr", goal)])
            if plan.apart:
                with f.loop(first, last) as panel:
                    mine = f.element(number, products, f.mul(panel, kept))
                    _write_products(plan, f, name, number_of, (moved, kernels, mine), panel)
        rows = f.min(2 * plan.rows, f.sub(c.result[1], height))
        with f.loop(first, last) as panel:
            made = f.element(number, products, f.mul(panel, kept))
            if not plan.apart:
                _write_products(plan, f, name, 0, (moved, kernels, made), panel)
            with f.loop(0, here) as k:
                left = f.element(number, made, f.mul(k, each * plan.across))
                f.call(f"@rg_{name}_back", arguments=[("ptr", left), ("ptr", sums)])
                channel, pixel, pixels = (
                    f.mul(panel, plan.across),
                    f.mul(height, c.result[2]),
                    f.mul(rows, c.result[2]),
                )
                count = f.min(plan.across, f.sub(c.out, channel))
                if plan.behind:
                    goal = f.byte(sums, plan.parts[3])
                else:
                    planes = f.mul(f.add(f.mul(f.add(image, k), c.out), channel), c.pixels)
                    goal = f.element(number, result, f.add(planes, pixel))
                f.call(
                    blocks.turn(f, plan.kind, plan.width),
                    arguments=[
                        ("ptr", sums),
                        ("i64", plan.across),
                        ("i64", pixels),
                        ("ptr", goal),
                        ("i64", plan.spread if plan.behind else c.pixels),
                        ("i64", count),
                    ],
                )
                if plan.behind:
                    blocks.go_on(f, goal, plan.spread, (f.add(image, k), channel, pixel), (count, pixels))
    blocks.give_slot(f, scratch, slot)
    f.ret()


def _write_products(
    plan: Plan, f: Function, name: str, round: int, bases: tuple[Value, Value, Value], panel: Count
) -> None:
    """Write a round of the sixteen products of a panel."""
    number, (moved, kernels, products) = item(plan.kind), bases
    with f.loop(0, POINTS) as point:
        left = f.element(number, moved, f.mul(point, plan.each * plan.tiles))
        rows = f.mul(f.add(f.mul(panel, POINTS), point), plan.terms)
        right = f.element(number, kernels, f.mul(f.add(rows, round * plan.each), plan.across))
        goal = f.element(number, products, f.mul(point, plan.tiles * plan.across))
        start = 0
        for many, count in _runs(plan):
            with f.loop(start, start + many * count, count) as tile:
                arguments = [
                    ("ptr", f.element(number, left, tile)),
                    ("ptr", right),
                    ("ptr", f.element(number, goal, f.mul(tile, plan.across))),
                ]
                f.call(f"@rg_{name}_tile_{count}_{int(round > 0)}", arguments=arguments)
            start += many * count


__all__ = ["Plan", "cost", "fits", "make_plan", "write"]
