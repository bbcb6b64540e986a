"""Values that are computed again instead of kept: their nodes are made a second time, behind what the later part has come to by then.

A plan names the values that are held over from the early part of a program to its late one, and the parts that are computed again in one go.
The late part's steps are gone through in order; where one reads a value that is not there, the value's nodes are copied. What a copy
reads of the early part it reads through ``after``, so that no schedule takes it forward, and nothing takes it for the first one.
"""

from __future__ import annotations

from typing import Any

from ...core import REGISTRY, Graph, Node
from ..draws.again import again, make_token
from ..lifetimes import Lifetimes
from ..lowering.maps import VIEWS


class Copies:
    """The nodes that stand for a graph's nodes as its late part sees them.

    Parameters
    ----------
    lives : Lifetimes
        Of the graph as it is.
    rows : list of Node
        Early values by number, in the order in which they are made.
    turn : int
        The last step of the early part.
    held : set of Node
        Early values that stay.
    root : object or None
        The parts that are computed again in one go, as a tree: ``around(number)``, ``ops``, ``keep``.
    gates : set of Node or None
        The late nodes that copies may wait for, if not all.
    stands : dict of Node to Node
        Nodes that others take the place of.
    draws : set of Node
        Draws that may be made again.
    """

    def __init__(
        self,
        lives: Lifetimes,
        rows: list[Node],
        turn: int,
        held: set[Node],
        root: Any,
        gates: Any,
        stands: Any,
        draws: Any = frozenset(),
    ) -> None:
        self.lives, self.rows, self.turn, self.held, self.root = lives, rows, turn, held, root
        self.number = {n: k for k, n in enumerate(rows)}
        self.operands = {n: lives.slice(n, self.number.__contains__)[1] for n in rows}
        self.asked = {n for some in lives.reads[turn + 1 :] for n in some}
        self.constants = dict(lives.graph.constants)
        self.draws, self.token = draws, make_token(self.constants)
        self.gates, self.stands = gates, stands
        self.late: dict[Node, Node] = {}  # late nodes, as they are now
        self.made: dict[Any, Node] = {}
        self.version: dict[Node, Node] = {}  # values that were let go, as they were computed again
        self.opened: set[int] = set()
        self.gate: Node | None = None
        self.fresh: set[Node] = set()  # copies made behind the present gate

    def graph(self) -> Graph:
        """Give the graph with the copies."""
        lives = self.lives
        steps: dict[int, list[Node]] = {}
        for n in lives.graph.nodes:
            at = lives.at.get(n, -1)
            if at > self.turn and n.op is not None:
                steps.setdefault(at, []).append(n)
        reach = self._reach()
        before: Node | None = None
        for i in sorted(steps):
            self._pass(reach[i])
            gate = self._gate(i) or before
            self.gate = gate
            self.fresh.clear()
            if gate is not None:
                for n in dict.fromkeys(lives.reads[i]):
                    if n in self.number and n not in self.held and n not in self.version:
                        self._restore(n)
            for n in steps[i]:
                self.late[n] = self._again(n)
            if self._may_wait_for(steps[i][-1]):
                before = self.late[steps[i][-1]]
        outputs = tuple([self._now(n) for n in lives.graph.outputs])
        made = Graph(lives.graph.inputs, outputs, {})
        made.constants = {n: self.constants[n] for n in made.nodes if n in self.constants}
        made.order = self._order(made)
        orders = lives.orders
        copies = {copy: orders[key[0]] for key, copy in self.made.items() if key[0] in orders}
        made.sums = {**orders, **copies}
        return made

    def _order(self, graph: Graph) -> list[Node]:
        """Give the nodes in the order of those that they stand for; copies come before what first reads them."""
        used = set(graph.nodes)
        found: dict[Node, None] = {}
        for n in self.lives.graph.nodes:
            todo = [self._now(n) if n in self.late else n]
            while todo:
                n = todo[-1]
                waiting = [i for i in n.inputs if i not in found] if n in used and n not in found else []
                if waiting:
                    todo.extend(waiting)
                    continue
                todo.pop()
                if n in used:
                    found.setdefault(n)
        return [*found, *[n for n in graph.nodes if n not in found]]

    def _reach(self) -> dict[int, int]:
        """Give, for each late step, the highest number that it or a later one reads."""
        found: dict[int, int] = {}
        highest = -1
        for i in range(self.lives.count - 1, self.turn, -1):
            highest = max([highest, *[self.number[n] for n in self.lives.reads[i] if n in self.number]])
            found[i] = highest
        return found

    def _pass(self, highest: int) -> None:
        """Let go of copies that nothing reads from here on."""
        for n in [n for n in self.version if self.number.get(n, -1) > highest]:
            del self.version[n]

    def _gate(self, i: int) -> Node | None:
        """Give what a step reads that is there last before it."""
        at = self.lives.made
        found = [n for n in self.lives.reads[i] if n in self.late and at.get(n, i) < i and self._may_wait_for(n)]
        return self.late[max(found, key=lambda n: at[n])] if found else None

    def _may_wait_for(self, n: Node) -> bool:
        return self.gates is None or n in self.gates

    # -- computing again -----------------------------------------------------------------------------------------------------
    def _restore(self, n: Node) -> None:
        """Make a value again: with the part that it belongs to, then from whatever is there."""
        part = self.root
        while part is not None:
            part = part.around(self.number[n])
            if part is None:
                break
            if id(part) not in self.opened:
                self.opened.add(id(part))
                self._run([self.rows[k] for k in part.ops], {self.rows[k] for k in part.keep})
                if n in self.version:
                    return
        missing = self._missing(n)
        self._run(missing, self.asked.intersection(missing))

    def _missing(self, value: Node) -> list[Node]:
        """Give what has to be computed for a value, itself included, in order."""
        found: set[Node] = set()
        todo = [value]
        while todo:
            v = todo.pop()
            if v in found or v in self.held or v in self.version:
                continue
            found.add(v)
            todo.extend(self.operands[v])
        return sorted(found, key=lambda v: self.number[v])

    def _run(self, order: list[Node], keep: set[Node]) -> None:
        passing = []
        for wanted in order:
            for v in self._missing(wanted):
                self.version[v] = self._again(v, True)
                if v not in keep:
                    passing.append(v)
        for v in passing:
            del self.version[v]

    def _now(self, n: Node) -> Node:
        """Give the node that stands for one at this moment."""
        found = self.late.get(n) or self.version.get(n)
        return n if found is None else found

    def _again(self, node: Node, early: bool = False) -> Node:
        """Give a node with everything that it reads as it is now; an early one with all that has no memory as a copy."""
        known: dict[Node, Node] = {}
        todo = [node]
        while todo:
            n = todo[-1]
            if n in known:
                todo.pop()
                continue
            if n is not node and self._stays(n):
                known[n] = self._now(n)
                todo.pop()
                continue
            waiting = [i for i in n.inputs if i not in known]
            if waiting:
                todo.extend(waiting)
                continue
            todo.pop()
            known[n] = self._copy(n, tuple([known[i] for i in n.inputs]), early)
        return known[node]

    def _stays(self, n: Node) -> bool:
        """Tell whether a node is not made again here: it is there, late or early, or nothing but an input."""
        stays = n.op is None or n.op.impure or n.op.outputs != 1 or n.op.name == "pick"
        return stays or n in self.late or n in self.number or not n.inputs

    def _copy(self, n: Node, inputs: tuple[Node, ...], early: bool) -> Node:
        op: Any = n.op
        if n in self.draws and self.gate is not None:
            drawn = self.made.setdefault(("again", n, self.gate), again(n, self.gate, self.token))
            self.fresh.add(drawn)
            return drawn
        if op is None or op.impure or not inputs:
            return n
        if n in self.stands:
            stand: Node = self.stands[n]
            return stand
        if early and op.name not in VIEWS and not any(i in self.fresh for i in inputs):
            inputs = self._behind(inputs)
        key = (n, inputs)
        found = self.made.get(key)
        if found is None:
            found = n
            if any(a is not b for a, b in zip(inputs, n.inputs, strict=True)):
                found = Node(op, inputs, n.attrs, n.shape, n.dtype, False, n.place, (), None, None)
            self.made[key] = found
        if found is not n:
            self.fresh.add(found)
        return found

    def _behind(self, inputs: tuple[Node, ...]) -> tuple[Node, ...]:
        """Give inputs one of which is not there before the gate."""
        gate: Any = self.gate
        for k, i in enumerate(inputs):
            if i in self.constants and i.op is None:
                continue
            found = self.made.get(("after", i, gate))
            if found is None:
                op = REGISTRY["after"]
                found = Node(op, (i, gate), {}, i.shape, i.dtype, False, i.place, (), None, None)
                self.made["after", i, gate] = found
            return (*inputs[:k], found, *inputs[k + 1 :])
        return inputs


__all__ = ["Copies"]
