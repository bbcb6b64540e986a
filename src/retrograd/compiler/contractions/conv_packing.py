"""Kernels of convolutions laid out for vectors of result channels: for each panel, source channel and tap, a row of channels."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from ..codegen.emit import Count, Function, Module, Value
from ..codegen.lanes import Lanes
from . import conv_blocks as blocks
from .conv_blocks import SCRATCH, SECOND, SLOTS, argument, item
from .conv_geometry import part_taps

if TYPE_CHECKING:
    from . import conv_channels, conv_winograd

    Plan = conv_channels.Plan | conv_winograd.Plan


def chunks(plan: Plan) -> int:
    """Give into how many chunks packing is cut."""
    return max(1, min(8, plan.correlation.groups * plan.panels))


def write(plan: Plan, module: Module, name: str) -> None:
    """Write ``void(ptr arguments, i64 chunk)`` that lays kernels out by panels: for each source channel and tap, a row of channels."""
    c = plan.correlation
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    number = item(plan.kind)
    lanes = Lanes(f, plan.kind, plan.width)
    kernel, scratch = argument(f, SECOND), argument(f, SCRATCH)
    with f.if_(f.op(f"icmp eq i64 {f.chunk}, 0")):
        blocks.clear_slots(f, scratch)
    goal = f.byte(scratch, SLOTS)
    total = c.groups * plan.panels
    begin, end = blocks.shared(f, total, chunks(plan), f.chunk)
    with f.loop(begin, end) as i:
        group, panel = blocks.divided(f, i, plan.panels)
        start = f.element(number, kernel, f.mul(group, c.group_step))
        for v in range(plan.vectors):
            q = f.add(f.mul(panel, plan.across), v * plan.width)
            with f.if_(f.op(f"icmp slt i64 {q}, {c.out}")):
                goals = [
                    f.element(number, goal, f.add(at + v * plan.width, f.mul(i, c.into * part_taps(p) * plan.across)))
                    for p, at in zip(c.live, plan.packed, strict=False)
                ]
                _pack_vector(plan, f, lanes, start, q, goals)
    f.ret()


def _pack_vector(plan: Plan, f: Function, lanes: Lanes, start: Value, q: Count, goals: list[Value]) -> None:
    """Pack the kernels of one vector of result channels, from channel ``q`` on."""
    c, number, width, across = plan.correlation, lanes.item, plan.width, plan.across
    left = f.min(width, f.sub(c.out, q))
    if c.q_step == 1:  # the channels lie side by side
        mask = lanes.tail(str(left)) if c.out % width else None
        with f.loop(0, c.into) as r:
            at = f.add(q, f.mul(r, c.r_step))
            lanes.store(lanes.load(start, at, 1, mask), goals[0], f.mul(r, across))
        return
    source = f.element(number, start, f.mul(q, c.q_step))

    def turn(source: Value, columns: int, goal: Value, step: int) -> None:
        sizes = [("i64", c.q_step), ("i64", left), ("ptr", goal), ("i64", step), ("i64", columns)]
        narrow = columns if columns <= width else 0
        f.call(blocks.turn(f, plan.kind, width, columns=narrow), arguments=[("ptr", source), *sizes])

    taps, (part, *rest) = c.taps, c.live
    every = not rest and len(c.parts) == 1 and part_taps(part) == taps
    if every and c.r_step == taps and all(a.tap_step == 1 for a in part):
        turn(source, c.into * taps, goals[0], across)  # all that one result channel needs lies side by side, in order
        return
    home: list[tuple[int, Value, int]] = []  # for each tap that is used, its part's goal and its place there
    if not every:
        for goal, part in zip(goals, c.live, strict=True):
            chosen = product(*[[a.tap + k * a.tap_step for k in range(a.taps)] for a in part])
            for order, (x, y, z) in enumerate(chosen):
                home.append(((x * c.kernel[1] + y) * c.kernel[2] + z, goal, order))
    used = {id(goal): part_taps(part) for goal, part in zip(goals, c.live, strict=True)}
    memory = "" if every else f.alloca(number, taps * width)
    with f.loop(0, c.into) as r:
        here = f.element(number, source, f.mul(r, c.r_step))
        if every:  # the taps in reverse
            end = f.element(number, goals[0], f.mul(f.add(f.mul(r, taps), taps - 1), across))
            turn(here, taps, end, -across)
        else:
            turn(here, taps, memory, width)
        for tap, goal, order in home:
            value = lanes.load(memory, tap * width)
            lanes.store(value, goal, f.mul(f.add(f.mul(r, used[id(goal)]), order), across))
