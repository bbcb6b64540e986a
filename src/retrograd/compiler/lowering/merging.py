"""Merging: finished nests over the same elements that read the same values become one, so that memory is read once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from ...core import Node
from .kernel import TAIL, Call, Fill, Loops

LEAST = 16384  # elements below which a second reading costs nothing
MOST_STATEMENTS = 96


def merge(
    loops: list[Loops],
    calls: list[Call],
    fills: list[Fill],
    stored: dict[Node, tuple[Node, object]],
    leaves: Callable[[Node], Iterable[Node]],
) -> None:
    """Move nests into later ones with the same loops that load what they load, where nothing reads them in between."""
    kinds: dict[object, list[Loops]] = {}
    for nest in loops:
        if nest.product is None and nest.size >= LEAST:
            kinds.setdefault((nest.domain, nest.split), []).append(nest)
    if not any(len(group) > 1 for group in kinds.values()):
        return
    read = first_reads(loops, calls, leaves)
    gone: set[Loops] = set()
    for group in kinds.values():
        group.sort(key=lambda n: n.time)
        rank = {nest: k for k, nest in enumerate(group)}
        loads = {nest: _loads(nest) for nest in group}
        readers: dict[Node, list[Loops]] = {}
        for nest in group:
            for node in loads[nest]:
                readers.setdefault(node, []).append(nest)
        for k, early in enumerate(group):
            others = {n for node in loads[early] for n in readers[node] if rank[n] > k}
            for late in sorted(others, key=rank.__getitem__):
                if _may_move(early, late, read, stored):
                    _move(early, late, fills)
                    gone.add(early)
                    for node in loads[early] - loads[late]:
                        readers[node].append(late)
                    loads[late] |= loads[early]
                    break
    loops[:] = [nest for nest in loops if nest not in gone]


def _loads(nest: Loops) -> set[Node]:
    return {o.node for s in nest.statements for o in s.operands if o.kind == "load"}


def first_reads(loops: list[Loops], calls: list[Call], leaves: Callable[[Node], Iterable[Node]]) -> dict[Node, float]:
    """Give the time of the first step that reads each value from memory."""
    first: dict[Node, float] = {}
    for nest in loops:
        numbers = {leaf for node in nest.prelude for leaf in leaves(node)}
        for node in (*_loads(nest), *numbers):
            first[node] = min(first.get(node, math.inf), nest.time)
        if nest.product is not None:
            _note(nest.product, first)
    for call in calls:
        _note(call, first)
    return first


def _note(call: Call, first: dict[Node, float]) -> None:
    for o in call.operands:
        if o is not None:
            first[o[0]] = min(first.get(o[0], math.inf), call.time)


def _may_move(early: Loops, late: Loops, read: dict[Node, float], stored: dict[Node, tuple[Node, object]]) -> bool:
    if len(early.statements) + len(late.statements) > MOST_STATEMENTS:
        return False
    if (early.split is None) and any(s.level == TAIL for n in (early, late) for s in n.statements):
        return False  # rows would be other ones
    if any(s.node in stored for s in early.statements) or not late.keeps(early.orders.values()):
        return False
    return all(read.get(s.node, math.inf) > late.time for s in early.statements)


def _move(early: Loops, late: Loops, fills: list[Fill]) -> None:
    for fill in fills:
        if fill.node in early.by_node:
            fill.time += late.time - early.time
    late.statements[:0] = early.statements
    late.by_node = {**early.by_node, **late.by_node}
    late.orders |= early.orders
    late.prelude = {**early.prelude, **late.prelude}
