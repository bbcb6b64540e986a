"""The end of scheduling: where each value is stored, and sums of long loops in parts that threads may share."""

from __future__ import annotations

import math
from typing import Any

from ...core import REGISTRY, Node
from ..draws.again import AGAIN
from ..draws.steps import arguments
from .kernel import CHUNK, MOST_CHUNKS, TAIL, Bounds, Joined, Loops, Statement
from .maps import Affine, Map, linear, strides_of
from .merging import first_reads, merge
from .values import Values


def finish(v: Values) -> list[Any]:
    """Decide what is stored and where, and give the steps in their order."""
    alone = [nest for nest in v.loops if nest.product is not None and len(nest.statements) == 1]
    for nest in alone:  # nothing goes on with it
        v.loops.remove(nest)
        v.calls.append(nest.product)
        v.needed.add(nest.product.node)
    merge(v.loops, v.calls, v.fills, v.stored, v.read_by)
    for nest in v.loops:
        n = len(nest.domain)
        for s in nest.statements:
            if s.node in v.stored:
                target, region = v.stored[s.node]
                s.store = (target, _region_address(s.home, region, target.shape, n))
                s.bounds = _overhang(s.home, region, target)
            elif s.node in v.needed or s.level == TAIL:
                s.store = (s.node, linear(s.home, strides_of(s.node.shape), n))
    for nest in v.loops:
        if nest.product is None:
            _add_apart(v, nest)
        elif nest.product.parts > 1:
            _add_by_chunks(v, nest)
    _begin_inside(v)
    _draw_late(v)
    return sorted([*v.loops, *v.calls, *v.fills, *v.joins], key=lambda s: s.time)


def _draw_late(v: Values) -> None:
    """Let numbers be drawn where they are first read, in the order of their stream, so that they take memory no sooner."""
    draws = [call for call in v.calls if call.node.op.impure]  # type: ignore[union-attr]
    if not draws:
        return
    read = first_reads(v.loops, v.calls, v.read_by)
    for call in v.calls:
        if call.node.op is AGAIN:
            draw = call.node.attrs["of"]
            read[draw] = min(read.get(draw, math.inf), call.time)
    following = math.inf
    for call in sorted(draws, key=lambda c: (c.time, v.place[c.node]), reverse=True):
        first = read.get(call.node)
        if first is not None and not call.operands and arguments(call.node) is not None:
            call.time = max(call.time, min(first - 0.75, following))
        following = min(following, call.time)


def _begin_inside(v: Values) -> None:
    """Let nests that run as one begin their sums themselves, instead of a step before each."""
    whole = [nest for nest in v.loops if nest.parts == 1 and (nest.product is None or nest.product.continues < 3)]
    own = {s.node: nest for nest in whole for s in nest.statements if s.level == TAIL}
    for fill in v.fills:
        if fill.node in own:
            own[fill.node].begun.add(fill.node)
    v.fills = [fill for fill in v.fills if fill.node not in own]


def _add_by_chunks(v: Values, nest: Loops) -> None:
    """Give every chunk of a product sums of its own, which it begins itself, and which are joined in order behind it."""
    for s in nest.statements:
        if s.level == TAIL and s.store is not None:
            nest.parts = nest.product.parts
            held = _chunks_sums(v, s.node, nest)
            s.store = (held, s.store[1])
            nest.begun.add(s.node)
            v.fills = [fill for fill in v.fills if fill.node is not s.node]


def _chunks_sums(v: Values, node: Node, nest: Loops) -> Node:
    """Give what holds the sums of each of a nest's chunks, and have them joined behind it."""
    shape = (nest.parts, *node.shape)
    held = Node(REGISTRY["clone"], (), {}, shape, node.dtype, False, node.place, (), None, None)
    nest.apart[node] = held
    v.joins.append(Joined(nest.time + 0.25, node, held))
    return held


def _add_apart(v: Values, nest: Loops) -> None:
    """Cut a nest that adds into memory into chunks, each with sums of its own, which are joined in order behind it."""
    tails = [s for s in nest.statements if s.level == TAIL]
    work = nest.work
    if not tails or (nest.cut is None and work < 2 * CHUNK):
        return
    whole, rows = _around(nest)
    if not whole and not rows:
        return
    outer = nest.size if whole else nest.domain[rows[0]]
    shared = [s for s in tails if shares(nest, s)]
    parts = min(MOST_CHUNKS, work // CHUNK, outer)
    added = sum(math.prod(s.node.shape) for s in shared)
    while parts > 1 and 2 * parts * added > nest.size:
        parts //= 2
    if nest.cut is not None:
        parts = min(nest.cut[0], outer)
    if parts < 2:
        return
    nest.parts = parts
    for s in shared:
        node, address = s.store  # type: ignore[misc]
        held = _chunks_sums(v, node, nest)
        s.store = (held, address)
        for fill in v.fills:
            if fill.node is node:
                fill.node = held


def _around(nest: Loops) -> tuple[bool, list[int]]:
    """Tell whether all that a nest adds up are single numbers, whatever its rows; and give the dimensions of the rows."""
    rows = nest.live[:-1] if nest.split is None else [d for d in nest.live if d not in nest.split]
    tails = [s.store for s in nest.statements if s.level == TAIL and s.store is not None]
    return nest.split is None and not any(any(place[1][1]) for place in tails), rows


def shares(nest: Loops, s: Statement) -> bool:
    """Tell whether the chunks of a nest all add to the same sums, if it is cut."""
    whole, rows = _around(nest)
    return s.store is not None and (whole or not rows or not s.store[1][1][rows[0]])


def _overhang(home: Map, region: tuple[Any, ...], whole: Node) -> Bounds:
    """Give what must hold for a part's element to lie inside an interleaved whole: the same for all of its parts."""
    if whole.op.name != "interleave":  # type: ignore[union-attr]
        return ()
    bounds = []
    for (c, ks), (at, step), count, n in zip(home, region, whole.inputs[0].shape, whole.shape, strict=True):
        if count * step != n:
            bounds.append(((at + step * c, tuple([step * k for k in ks])), n))
    return tuple(bounds)


def _region_address(home: Map, region: tuple[Any, ...], shape: tuple[int, ...], n: int) -> Affine:
    index = []
    d = 0
    for e in region:
        if isinstance(e, tuple):
            constant, coefs = home[d]
            index.append((e[0] + e[1] * constant, tuple([k * e[1] for k in coefs])))
            d += 1
        else:
            index.append((e, (0,) * n))
    return linear(tuple(index), strides_of(shape), n)
