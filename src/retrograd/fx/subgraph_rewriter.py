"""Putting one small program wherever another stands in a larger one."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..nn import Module
from ._symbolic_trace import symbolic_trace
from .graph import Graph
from .graph_module import GraphModule
from .node import Node


class Match(NamedTuple):
    """Where a pattern was found: the last Node of it, and which Node each of the pattern's is."""

    anchor: Node
    nodes_map: dict[Node, Node]


def _graph(of: Any) -> Graph:
    if isinstance(of, GraphModule):
        return of.graph
    return of if isinstance(of, Graph) else symbolic_trace(of).graph


class _Search:
    """Whether a pattern's Nodes, gone through from its result back, are a program's."""

    def __init__(self, pattern: Graph) -> None:
        self.pattern = pattern
        self.placeholders = [n for n in pattern.nodes if n.op == "placeholder"]
        result = pattern.output_node()
        self.results = result.all_input_nodes
        self.anchor = self.results[0]

    def at(self, node: Node) -> dict[Node, Node] | None:
        """Match the pattern's first result with a Node; None where it is another program."""
        found: dict[Node, Node] = {}
        if not self._same(self.anchor, node, found):
            return None
        inner = {found[p] for p in self.pattern.nodes if p in found and p.op != "placeholder"}
        for p, n in found.items():
            # what is between may be used nowhere else, because it will be gone
            if p.op != "placeholder" and p not in self.results and any(user not in inner for user in n.users):
                return None
        return found

    def _same(self, p: Node, n: Node, found: dict[Node, Node]) -> bool:
        if p in found:
            return found[p] is n
        if p.op == "placeholder":
            found[p] = n
            return True
        if p.op != n.op or p.target != n.target or len(p.args) != len(n.args) or p.kwargs.keys() != n.kwargs.keys():
            return False
        found[p] = n
        return self._args(p.args, n.args, found) and self._args(p.kwargs, n.kwargs, found)

    def _args(self, p: Any, n: Any, found: dict[Node, Node]) -> bool:
        if isinstance(p, Node):
            if not isinstance(n, Node):
                return False
            return self._same(p, n, found)
        if isinstance(p, (list, tuple)):
            alike = isinstance(n, (list, tuple)) and len(p) == len(n)
            return alike and all(self._args(a, b, found) for a, b in zip(p, n, strict=True))
        if isinstance(p, dict):
            return isinstance(n, dict) and p.keys() == n.keys() and all(self._args(p[k], n[k], found) for k in p)
        return not isinstance(n, Node) and type(p) is type(n) and bool(p == n)


def replace_pattern(gm: GraphModule, pattern: Any, replacement: Any) -> list[Match]:
    """Put a replacement wherever a pattern stands in a program; both are functions or modules, and are traced.

    The pattern's arguments stand for any value. Matches do not overlap, and what lies inside one is used nowhere else.

    Examples
    --------
    >>> import retrograd as torch
    >>> traced = torch.fx.symbolic_trace(lambda x: torch.relu(x + 1) * 2)
    >>> found = torch.fx.replace_pattern(traced, lambda x: torch.relu(x), lambda x: torch.tanh(x))
    >>> print(len(found), traced.code.strip())
    1 def forward(self, x):
        add = x + 1;  x = None
        tanh = torch.tanh(add);  add = None
        mul = tanh * 2;  tanh = None
        return mul
    """
    wanted, other = _graph(pattern), _graph(replacement)
    search = _Search(wanted)
    matches: list[Match] = []
    used: set[Node] = set()
    for node in reversed(gm.graph.nodes):
        if node.op in ("placeholder", "output"):
            continue
        found = search.at(node)
        if found is None:
            continue
        inner = {n for p, n in found.items() if p.op != "placeholder"}
        if inner & used:
            continue
        used |= inner
        matches.append(Match(node, found))
    matches.reverse()
    replaced: dict[Node, Node] = {}
    for match in matches:
        _put(gm.graph, search, other, match, replaced)
    if isinstance(replacement, Module):
        for name, held in replacement.named_children():
            if not hasattr(gm, name):
                gm.add_module(name, held)
    gm.recompile()
    return matches


def _put(graph: Graph, search: _Search, other: Graph, match: Match, replaced: dict[Node, Node]) -> None:
    arguments = [n for n in other.nodes if n.op == "placeholder"]
    if len(arguments) != len(search.placeholders):
        raise RuntimeError("the pattern and its replacement have different numbers of arguments")
    current = {n: _now(n, replaced) for n in match.nodes_map.values()}
    values = {
        a: current[match.nodes_map[p]]
        for a, p in zip(arguments, search.placeholders, strict=True)
        if p in match.nodes_map
    }
    order = {node: i for i, node in enumerate(graph.nodes)}
    results = [match.nodes_map[r] for r in search.results]
    users = [user for result in results for user in result.users if user not in match.nodes_map.values()]
    before = min(users, key=order.__getitem__) if users else results[-1]
    with graph.inserting_before(before):
        new = graph.graph_copy(other, values)
    made = [new] if isinstance(new, Node) else list(new)
    for old, fresh in zip(results, made, strict=True):
        old.replace_all_uses_with(fresh)
        replaced[old] = fresh
    for p in reversed(search.pattern.nodes):
        node = match.nodes_map.get(p)
        if node is not None and p.op != "placeholder" and not node.users:
            graph.erase_node(node)


def _now(node: Node, replaced: dict[Node, Node]) -> Node:
    while node in replaced:
        node = replaced[node]
    return node


__all__ = ["Match", "replace_pattern"]
