"""What follows a large product tile by tile: chosen as a whole, so that nothing is stored that would not have been."""

from __future__ import annotations

import math
from typing import Any

from ...core import Node

MOST = 12  # operations
LOADS, STORES = 1, 2  # values as large as the product that are read besides, and that are stored


def follows(product: Node, schedule: Any) -> frozenset[Node]:
    """Give the elementwise nodes that go on with a large product's elements; none where they are better computed by themselves.

    Those are taken that stand behind it until something else reads one of them: scale, bias, activation, mask, residual. An optimizer's
    update reads and writes several arrays as large as the product from outside: they are walked through faster from end to end.
    """
    order = schedule.graph.nodes
    members, loads = {product}, set()
    brought: set[Node] = set()  # what members read that is computed where they are
    for k in range(order.index(product) + 1, len(order)):
        node = order[k]
        if not any(i in members for i in node.inputs):
            continue
        found = _read(node, product, members, schedule)
        if found is None:
            break
        members.add(node)
        loads |= found[0]
        brought |= found[1]
        if len(members) + len(brought) > MOST or len(loads) > LOADS:
            return frozenset()
    outputs = set(schedule.graph.outputs)
    outside = {i for n in order if n not in members for i in n.inputs if i in members}
    stores = [n for n in members if n in outputs or n in outside]
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
