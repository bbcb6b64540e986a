"""Budgets in compiled code: a program's values over its steps as a run of the kind that plans are made for."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np

from ..compiler.draws.again import repeatable
from ..compiler.lifetimes import Lifetimes, seconds
from ..compiler.passes.recompute import Copies
from ..compiler.program import PROGRAMS
from ..core import REGISTRY, Graph, Node
from .planning import Plan, plans
from .profile import Profile, Row, Step

AFTER = REGISTRY["after"]
CLOSE = 0.85  # of what a form is expected to need: it is lowered to see


class Measured:
    """A lowered graph as a profile.

    Attributes
    ----------
    turn : int
        The step at which most bytes wait: what is before it is run forward, what is behind it is the way back.
    rows : list of Node
        The values of the profile's rows.
    draws : frozenset of Node
        Draws that may be made again: in a graph that is lowered in parts, there is no going back from the one to the other.
    """

    def __init__(self, graph: Graph, targets: list[Any], in_parts: bool = False) -> None:
        self.draws = frozenset() if in_parts else frozenset(repeatable(graph.nodes))
        self.lives = lives = Lifetimes(graph, targets)
        idle = lives.idle()
        self.turn = int(idle.argmax()) if len(idle) else -1
        fixed = self._fixed()
        made = [(i, n.seq, n) for n, i in lives.made.items() if i <= self.turn and lives.sizes[n] and n not in fixed]
        self.rows = [n for _, _, n in sorted(made, key=lambda m: m[:2])]
        number = self.number = {n: k for k, n in enumerate(self.rows)}
        self.profile = Profile()
        live = self._others(number)
        first_row = np.searchsorted([lives.made[n] for n in self.rows], np.arange(self.turn + 2)).tolist()
        for n in self.rows:
            inner, ends = lives.slice(n, number.__contains__)
            at = lives.made[n]
            self.profile.rows.append(
                Row(
                    n.op, n.shape, n.dtype, lives.sizes[n], sum(map(seconds, inner)), live[at], lives.scratch[at],
                    tuple([number[e] for e in ends]), -1, next((i.place for i in (*inner, *ends) if i.place is not None), None),
                )
            )  # fmt: skip
        count = len(self.rows)
        for n, k in number.items():
            early = [i for i in lives.uses.get(n, ()) if i <= self.turn]
            last = max(early, default=lives.made[n])
            self.profile.until[k] = first_row[last + 1] if last < self.turn else count
        self._steps(live)

    def _fixed(self) -> set[Node]:
        """Give the values that are not computed again: results, those of operations that give several, and draws of some kinds."""
        graph = self.lives.graph
        made: list[Any] = list(self.lives.made)
        drawn = {n for n in made if n.op.impure} - self.draws
        several = {n for n in made if n.op.outputs != 1 or n.op.name == "pick"}
        return drawn | several | set(graph.outputs)

    def _others(self, number: dict[Node, int]) -> list[int]:
        """Give the bytes at each step that are not the rows'."""
        lives = self.lives
        own = np.zeros(lives.count + 1, np.int64)
        for n in number:
            last = max([lives.made[n], *lives.uses.get(n, ())])
            own[lives.made[n]] += lives.sizes[n]
            own[last + 1] -= lives.sizes[n]
        return [int(n) for n in np.array(lives.live) - np.cumsum(own)[: lives.count]]

    def _steps(self, live: list[int]) -> None:
        """Note the steps of the way back, those together that leave the same values behind."""
        lives, p = self.lives, self.profile
        if not self.rows:
            return
        spent = [0.0] * lives.count
        for n, at in lives.at.items():
            spent[at] += seconds(n)
        highest, positions = 0, []
        for i in range(lives.count - 1, self.turn, -1):
            highest = max([highest, *[self.number[n] for n in lives.reads[i] if n in self.number]])
            positions.append(highest)
        for i, position in zip(range(self.turn + 1, lives.count), reversed(positions), strict=True):
            if not p.steps or p.steps[-1].position != position:
                p.steps.append(Step(position, live[i], live[i]))
                p.saved[position] = []
            step = p.steps[-1]
            step.seconds += spent[i]
            step.other, step.pending = max(step.other, live[i]), max(step.pending, live[i])
            for n in lives.reads[i]:
                k = self.number.get(n)
                if k is not None and k not in p.saved[position]:
                    p.saved[position].append(k)

    def plans(self) -> list[Plan]:
        """Give plans of all sizes, quickest first."""
        return plans(self.profile)

    def graph(self, plan: Plan, gates: Any, stands: Any) -> Graph:
        """Give the graph that follows a plan."""
        held = {self.rows[k] for k in plan.keep}
        return Copies(self.lives, self.rows, self.turn, held, plan.root, gates, stands, self.draws).graph()


class Form:
    """One way to compile a program: its plan, and the bytes that it needs besides its inputs."""

    def __init__(self, plan: Plan, make: Any, measure: Any) -> None:
        self.plan, self._make, self._measure = plan, make, measure
        self._graph: Graph | None = None
        self._bytes: int | None = None

    @property
    def seconds(self) -> float:
        """Of what is computed again, as estimated."""
        return self.plan.seconds

    @property
    def graph(self) -> Graph:
        """The graph."""
        if self._graph is None:
            self._graph = self._make(self.plan)
        return self._graph

    @property
    def bytes(self) -> int:
        """As lowered: of the arena, and of what a run makes afresh."""
        if self._bytes is None:
            self._bytes = int(self._measure(self.graph))
        return self._bytes

    def let_go(self) -> None:
        """Keep the figures alone."""
        self._graph = None


class Fitted:
    """A program that was planned for a budget: the forms that it could have, quickest first, and the one that it has.

    Attributes
    ----------
    base : int
        Bytes that were there besides the program: tensors, and what other compiled functions hold.
    """

    def __init__(self, base: int, forms: list[Form]) -> None:
        self.base, self.forms = base, forms
        self.chosen: Form | None = None

    def choose(self, room: int) -> Form | None:
        """Give the quickest form within some bytes."""
        last = self.forms[0]
        if last.bytes <= room:
            return last
        for form in self.forms[1:]:
            ratio = last.bytes / max(last.plan.peak, 1)
            if form.plan.peak * ratio * CLOSE > room:
                continue
            last = form
            if form.bytes <= room:
                return form
        fitting = [form for form in self.forms if form.bytes <= room]
        return fitting[0] if fitting else None

    @property
    def smallest(self) -> int:
        """The least bytes of all forms."""
        return min(form.bytes for form in self.forms)

    def front(self) -> list[Form]:
        """Give the forms that no other beats in both memory and time."""
        found: list[Form] = []
        for form in sorted(self.forms, key=lambda f: (f.seconds, f.bytes)):
            if not found or form.bytes < found[-1].bytes:
                found.append(form)
        return found


def bytes_elsewhere(function: Any) -> int:
    """Count the bytes of all tensors, and of the arenas of programs that are not a compiled function's own."""
    from .budget import bytes_there

    entries = [e for f in (function, *function.bounds.values()) for some in f.entries.values() for e in some]
    gc.collect()  # programs are parts of cycles
    own = {id(p) for e in entries for p in (e.program, getattr(e, "backward", None))}
    arenas = [int(p.arena.nbytes) for p in PROGRAMS if id(p) not in own]
    return bytes_there() + sum(arenas)


def fit(library: Any, function: Any) -> Any:
    """Give the function that brings a compiled function's graphs into a form within a budget."""

    known = weakref.ref(function)

    def fitted(
        graph: Graph, targets: list[Any], measure: Any, ups: Any = (), results: Any = (), orders: Any = None
    ) -> Graph:
        base = bytes_elsewhere(known())
        found = Fitted(base, forms(graph, targets, measure, ups, results, orders))
        chosen = found.choose(library.budget - base)
        if chosen is None:
            library.refuse(base, found.smallest)
        found.chosen = chosen
        made: Graph = chosen.graph  # type: ignore[union-attr]
        for form in found.forms:
            form.let_go()
        library.programs.append(found)
        return made

    return fitted


def forms(graph: Graph, targets: list[Any], measure: Any, ups: Any, results: Any, orders: Any = None) -> list[Form]:
    """Give the ways to compile a graph; ``ups`` are the inputs that come only when the results are there.

    Sums keep the order in which the graph as it is adds them up; ``orders`` has it where the graph is lowered in parts.
    """
    stands: dict[Node, Node] = {}
    gates: Any = None
    behind = graph
    if ups:
        behind, stands, new = _behind(graph, ups, results)
        gates = set(stands)
        for n in behind.nodes:
            if any(i in gates for i in n.inputs):
                gates.add(n)
        gates -= set(stands)
    measured = Measured(behind, targets, bool(ups))
    if orders is not None:
        measured.lives.orders = {new.get(n, n): order for n, order in orders.items()} if ups else orders
    whole, *others = measured.plans()
    again = lambda plan: measured.graph(plan, gates, stands)
    return [Form(whole, lambda plan: graph, measure), *[Form(plan, again, measure) for plan in others]]


def _behind(graph: Graph, ups: Any, results: Any) -> tuple[Graph, dict[Node, Node], dict[Node, Node]]:
    """Give a graph in which gradients from outside come after the results that they are of, and what stands for what."""
    stands: dict[Node, Node] = {}
    new: dict[Node, Node] = {n: n for n in graph.nodes if n.op is None}
    for n in graph.nodes:
        if n.op is None:
            continue
        for i in n.inputs:
            if i in ups and new[i] is i:
                gate = next(r for r in results if r.op is not None)
                new[i] = Node(AFTER, (i, new[gate]), {}, i.shape, i.dtype, False, i.place, (), None, None)
                stands[new[i]] = i
        inputs = tuple([new[i] for i in n.inputs])
        same = all(a is b for a, b in zip(inputs, n.inputs, strict=True))
        new[n] = n if same else Node(n.op, inputs, n.attrs, n.shape, n.dtype, False, n.place, (), None, None)
    made = Graph(graph.inputs, tuple([new[o] for o in graph.outputs]), graph.constants)
    return made, stands, new


__all__ = ["Fitted", "Form", "Measured", "fit", "forms"]
