"""Products by one matrix: small ones that do not wait for each other become one, and a matrix that many read by columns is turned once.

A recurrence multiplies what comes in at each step by the same weights. None of those products waits for another, so they
are one product of all rows; on the way back, so are the gradients of what came in. The products that do wait for each
other read the weights anew at every step: by columns, if the layer keeps them so, which is worth one copy by rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from ...core import Graph, Node
from .rebuild import Builder, rebuild
from .sums import spans

LEAST = 4  # products that are worth the copies
MOST_WORK = 1 << 23  # multiply-adds from which a product gains nothing from others beside it
MOST_BYTES = 1 << 26  # of what one joined product reads and gives, which has to be there at once
LEAST_COLUMNS = 8  # of the result: a copied element of a row is multiplied so many times


def join_products(graph: Graph) -> Graph:
    """Rewrite products by the same right operand, none of which needs another's result, as one product and its slices."""
    for levels in (_from_inputs, _from_outputs):
        members = [n for n in graph.nodes if _is_candidate(n)]
        if len(members) >= LEAST:
            graph = _joined(graph, _groups(graph, members, levels))
    return graph


def turn_once(graph: Graph) -> Graph:
    """Rewrite a transposed right operand that many small products read as a copy with its rows in order."""
    readers: dict[Node, int] = {}
    for n in graph.nodes:
        if _is_candidate(n) and _is_turned(n.inputs[1]):
            readers[n.inputs[1]] = readers.get(n.inputs[1], 0) + 1
    chosen = {n for n, count in readers.items() if count >= LEAST}
    if not chosen:
        return graph

    def rule(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if _is_candidate(node) and node.inputs[1] in chosen:
            rows = builder.call("clone", inputs[1], like=node.inputs[1], order="C")
            return builder.call("matmul", inputs[0], rows, like=node)
        return None

    return rebuild(graph, rule)


def _is_candidate(n: Node) -> bool:
    if n.op is None or n.op.name != "matmul" or n.dtype.kind != "f" or len(n.shape) != 2:
        return False
    (m, k), n_columns = n.inputs[0].shape, n.shape[1]
    return 0 < m * k * n_columns < MOST_WORK and n_columns >= LEAST_COLUMNS


def _is_turned(n: Node) -> bool:
    return n.op is not None and n.op.name == "transpose" and len(n.shape) == 2 and bool(n.attrs["a"] != n.attrs["b"])


# -- who is joined with whom -----------------------------------------------------------------------------------------------


def _from_inputs(order: list[Node], members: set[Node]) -> dict[Node, int]:
    """Give the number of members on the longest way to each node."""
    level: dict[Node, int] = {}
    for n in order:
        level[n] = max((level[i] for i in n.inputs), default=0) + (n in members)
    return level


def _from_outputs(order: list[Node], members: set[Node]) -> dict[Node, int]:
    """Give the number of members on the longest way from each node."""
    level: dict[Node, int] = {}
    for n in reversed(order):
        own = level.setdefault(n, 0) + (n in members)
        level[n] = own
        for i in n.inputs:
            level[i] = max(level.get(i, 0), own)
    return level


def _groups(
    graph: Graph, members: list[Node], levels: Callable[[list[Node], set[Node]], dict[Node, int]]
) -> list[list[Node]]:
    """Give products of the same level, which therefore do not depend on each other, by the same matrix."""
    level = levels(graph.nodes, set(members))
    found: dict[tuple[Node, tuple[int, ...], int], list[Node]] = {}
    for n in members:
        found.setdefault((n.inputs[1], n.inputs[0].shape, level[n]), []).append(n)
    whole = [group for group in found.values() if len(group) >= LEAST]
    cut = [some for group in whole for some in spans(group, lambda n: n.shape[0])]
    return [group for group in cut if len(group) >= LEAST and _fits(group)]


def _fits(group: list[Node]) -> bool:
    each = math.prod(group[0].shape) + math.prod(group[0].inputs[0].shape)
    return bool(len(group) * each * group[0].dtype.itemsize <= MOST_BYTES)


# -- the graph with them joined ----------------------------------------------------------------------------------------------


def _joined(graph: Graph, groups: list[list[Node]]) -> Graph:
    groups = [group for group in groups if not _draws_between(graph, group)]
    if not groups:
        return graph
    of = {n: group for group in groups for n in group}
    sums = _sums(graph, groups)
    graph = Graph(graph.inputs, graph.outputs, graph.constants, _order(graph.nodes, of), graph.checked)
    operands = {n.inputs[0] for n in of}
    left = {n: n for n in operands if n.op is None}
    made: dict[int, Node] = {}

    def rule(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
        found = None
        product = sums.get(node, node)
        group = of.get(product)
        if group is not None:
            if id(group) not in made:
                rows = builder.call("cat", *[left[n.inputs[0]] for n in group], axis=0, like=node)
                made[id(group)] = builder.call("matmul", rows, inputs[1], like=node)
            whole = made[id(group)]
            if product is not node:
                whole = builder.call("add", whole, inputs[1], like=node)
            at = group.index(product) * node.shape[0]
            found = builder.call("slice", whole, index=(slice(at, at + node.shape[0]),), like=node)
        elif node in operands:
            found = builder.make(node.op, inputs, node.attrs, node.shape, node.dtype, node)  # type: ignore[arg-type]
        if found is not None and node in operands:
            left[node] = found
        return found

    return rebuild(graph, rule)


def _sums(graph: Graph, groups: list[list[Node]]) -> dict[Node, Node]:
    """Give sums that are the only readers of a group's products, where all add the same row: (sum, product)."""
    readers: dict[Node, list[Node]] = {}
    for n in graph.nodes:
        for i in n.inputs:
            readers.setdefault(i, []).append(n)
    found: dict[Node, Node] = {}
    asked = set(graph.outputs)
    for group in groups:
        only = [readers.get(n, []) for n in group]
        if any(len(r) != 1 or n in asked for n, r in zip(group, only, strict=True)):
            continue
        sums = [r[0] for r in only]
        row = sums[0].inputs[-1] if sums[0].inputs else None
        if (
            row is not None
            and row.op is None
            and row.shape == group[0].shape[1:]
            and all(
                s.op is not None and s.op.name == "add" and s.inputs == (n, row) and s.dtype == n.dtype
                for s, n in zip(sums, group, strict=True)
            )
        ):
            found.update(zip(sums, group, strict=True))
    return found


def _order(nodes: Iterable[Node], of: dict[Node, list[Node]]) -> list[Node]:
    """Give the nodes in their order, but before the first product of a group, all that any product of it reads."""
    done: set[Node] = set()
    order: list[Node] = []
    for start in nodes:
        todo = [start]
        while todo:
            n = todo[-1]
            if n in done:
                todo.pop()
                continue
            reads = [i for member in of.get(n, (n,)) for i in member.inputs if i not in done]
            if reads:
                todo.extend(reversed(reads))
            else:
                todo.pop()
                done.add(n)
                order.append(n)
    return order


def _draws_between(graph: Graph, group: list[Node]) -> bool:
    """Tell whether a draw would have to be moved, which must stay in its order."""
    draws = [n for n in graph.nodes if n.op is not None and n.op.impure]
    if not draws:
        return False
    place = {n: k for k, n in enumerate(graph.nodes)}
    first = min(place[n] for n in group)
    todo, seen = list(group), set(group)
    while todo:
        for i in todo.pop().inputs:
            if i in seen or place[i] < first:
                continue
            if i.op is not None and i.op.impure:
                return True
            seen.add(i)
            todo.append(i)
    return False
