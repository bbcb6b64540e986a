"""Sums over time: a weight that is used at every step of a recurrence gets its gradient from one long product, not from a sum of many."""

from __future__ import annotations

from collections.abc import Callable

from ...core import Graph, Node
from .rebuild import Builder, rebuild

LEAST = 3  # terms that are worth the copies
MOST_ROWS = 512  # of one product: longer ones are no faster


def join_terms(graph: Graph) -> Graph:
    """Rewrite sums of ``matmul(transpose(a), b)``, and of column sums, as one of each over the terms put below each other."""
    return rebuild(graph, _Joiner(graph))


class _Joiner:
    def __init__(self, graph: Graph) -> None:
        users: dict[Node, int] = {}
        parents: dict[Node, Node] = {}
        for n in graph.nodes:
            for i in n.inputs:
                users[i] = users.get(i, 0) + 1
                parents[i] = n
        for o in graph.outputs:
            users[o] = users.get(o, 0) + 2
        self.users = users
        self.inner = {
            n
            for n in graph.nodes
            if _is_sum(n) and users.get(n) == 1 and _is_sum(parents[n]) and parents[n].shape == n.shape
        }
        self.new: dict[Node, Node] = {}

    def __call__(self, builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
        found = None
        if _is_sum(node) and node not in self.inner:
            found = self._joined(builder, node)
        if found is None and (node in self.inner or self.users.get(node, 0) == 1):
            found = builder.make(node.op, inputs, node.attrs, node.shape, node.dtype, node)  # type: ignore[arg-type]
        if found is not None:
            self.new[node] = found
        return found

    def _leaves(self, node: Node) -> list[Node]:
        found: list[Node] = []
        todo = [node]
        while todo:
            n = todo.pop()
            if n is node or n in self.inner:
                todo.extend(reversed(n.inputs))
            else:
                found.append(n)
        return found

    def _joined(self, builder: Builder, node: Node) -> Node | None:
        leaves = self._leaves(node)
        if len(leaves) < LEAST or any(x.shape != node.shape for x in leaves):
            return None
        products = [x for x in leaves if self._is_product(x)]
        columns = [x for x in leaves if self._is_column_sum(x)]
        kinds = {(x.inputs[0].inputs[0].shape[1], x.inputs[1].shape[1]) for x in products}
        terms: list[Node] = []
        taken: set[Node] = set()
        if len(products) >= LEAST and len(kinds) == 1:
            for some in spans(products, lambda x: self.new[x].inputs[1].shape[0]):
                a = builder.call("cat", *[self.new[x].inputs[0].inputs[0] for x in some], axis=0, like=node)
                b = builder.call("cat", *[self.new[x].inputs[1] for x in some], axis=0, like=node)
                terms.append(builder.call("matmul", builder.call("transpose", a, a=-1, b=-2), b, like=node))
            taken.update(products)
        if len(columns) >= LEAST:
            for some in spans(columns, lambda x: self.new[x].inputs[0].shape[0]):
                whole = builder.call("cat", *[self.new[x].inputs[0] for x in some], axis=0, like=node)
                terms.append(builder.call("sum", whole, axis=(0,), keepdims=False, like=node))
            taken.update(columns)
        if not terms or any(x not in self.new for x in leaves if x not in taken):
            return None
        total = terms[0]
        for x in (*terms[1:], *[self.new[x] for x in leaves if x not in taken]):
            total = builder.call("add", total, x, like=node)
        return total

    def _is_product(self, x: Node) -> bool:
        if (
            x.op is None
            or x.op.name != "matmul"
            or x not in self.new
            or len(x.shape) != 2
            or len(x.inputs[1].shape) != 2
        ):
            return False
        made = self.new[x]
        turned = made.inputs[0]
        return (
            made.op is x.op
            and turned.op is not None
            and turned.op.name == "transpose"
            and len(turned.shape) == 2
            and x.inputs[0].op is not None
            and x.inputs[0].op.name == "transpose"
        )

    def _is_column_sum(self, x: Node) -> bool:
        return (
            x.op is not None
            and x.op.name == "sum"
            and x in self.new
            and self.new[x].op is x.op
            and x.attrs["axis"] == (0,)
            and len(x.inputs[0].shape) == 2
            and not x.attrs.get("keepdims")
        )


def spans(terms: list[Node], rows: Callable[[Node], int]) -> list[list[Node]]:
    """Cut what is put below each other, in the order in which it was recorded, into pieces of ``MOST_ROWS`` at most.

    A piece is multiplied when its last row is there, so that not all of it has to be in memory at once.
    """
    found: list[list[Node]] = []
    room = 0
    for x in sorted(terms, key=lambda x: x.seq):
        room -= rows(x)
        if room < 0:
            found.append([])
            room = MOST_ROWS - rows(x)
        found[-1].append(x)
    return found


def _is_sum(n: Node) -> bool:
    return n.op is not None and n.op.name == "add" and n.dtype.kind == "f" and all(i.shape == n.shape for i in n.inputs)
