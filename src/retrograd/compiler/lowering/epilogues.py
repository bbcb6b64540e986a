"""What follows a large product tile by tile: chosen as a whole, so that nothing is stored that would not have been."""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush
from typing import Any

from ...core import Node

MOST = 12  # operations
LOADS, STORES = 1, 2  # values as large as the product that are read besides, and that are stored
SHORT, NEAR = 3, 2 << 20  # operations behind a convolution, and bytes of its result up to which there may be more


def follows(product: Node, schedule: Any) -> frozenset[Node]:
    """Give the elementwise nodes that go on with a large product's elements; none where they are better computed by themselves.

    Those are taken that stand behind it until something else reads one of them: scale, bias, activation, mask, residual. An optimizer's
    update reads and writes several arrays as large as the product from outside: they are walked through faster from end to end. So are many
    operations on a large convolution's result, whose blocks are some rows of many planes.
    """
    order, place, readers = schedule.order, schedule.place, schedule.reads_of
    members, loads = {product}, set()
    brought: set[Node] = set()  # what members read that is computed where they are
    asked = {product}
    waiting = [place[n] for n in readers.get(product, ())]
    heapify(waiting)
    while waiting:
        node = order[heappop(waiting)]
        if node in asked:
            continue
        asked.add(node)
        found = _read(node, product, members, schedule)
        if found is None:
            break
        members.add(node)
        for n in readers.get(node, ()):
            heappush(waiting, place[n])
        loads |= found[0]
        brought |= found[1]
        if len(members) + len(brought) > MOST or len(loads) > LOADS:
            return frozenset()
    count = len(members) + len(brought) - 1
    if product.op.name != "matmul" and count > SHORT and product.type.nbytes > NEAR:  # type: ignore[union-attr]
        return frozenset()
    stores = [n for n in members if n in schedule.outputs or any(r not in members for r in readers.get(n, ()))]
    most = 1 if any(i.op is None for i in loads) else STORES
    return frozenset((members | brought) - {product} if len(stores) <= most else ())


def _read(node: Node, product: Node, members: set[Node], schedule: Any) -> tuple[set[Node], set[Node]] | None:
    """Give the large values that a node reads besides members, and those that come with it; None where it cannot be a member."""
    if node.op is None or node.shape != product.shape or not schedule.is_light(node):
        return None
    loads: set[Node] = set()
    brought: set[Node] = set()
    waiting = [i for i in node.inputs if i not in members]
    while waiting:
        i = waiting.pop()
        if schedule.number(i) is not None:
            continue
        base = schedule.base_of(i)
        if base in members or not schedule.is_there(base):
            return None
        if base is i and i.shape == product.shape and schedule.may_come(i):
            if i not in brought:
                brought.add(i)
                waiting += i.inputs
        elif math.prod(i.shape) * 4 > math.prod(product.shape):
            loads.add(base)
    return loads, brought
