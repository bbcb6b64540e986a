"""Entry: one program of a compiled function, what has to be so for it to serve a call, and how it is run."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import BaseTensor, Graph, Node, reachable, refresh, typeof, wrap
from ..core.node import Hooks
from .capture import Captured
from .draws.again import draw_again
from .fast import fast, is_only_gradient
from .guards import Guards
from .history import attach, spent, walking_back
from .lifetimes import bytes_of_run
from .lowering.kernel import Order
from .orders import orders_of
from .passes import optimise
from .program import HIDDEN, Program
from .split import Halves
from .stores import pattern, source_of


class Unkept(Exception):
    """A kept tensor that is also something else; says what."""


class Entry:
    """One program of a function: what it was captured from, its guards, and how it is run."""

    lock: Any
    raw: Graph  # as it was captured
    endings: Any = ()  # Python that runs after the program
    ledger: Any = None  # where numbers that are inputs are kept
    numbers: Any = ()
    compared: Any = None  # the plain numbers with which changing ones were compared in its capture, if that noted any
    scalars: dict[int, float]  # the numbers among the arguments that are not inputs

    def __init__(self, captured: Captured, guards: Guards, given: list[Any], fit: Any = None) -> None:
        self.captured, self.fit = captured, fit
        self.guards = guards
        self.check = guards.check()
        position = self.position = {id(t): i for i, t in enumerate(given)}
        places = {id(t): k for k, t in enumerate(captured.inputs)}
        self.targets: list[Any] = [None] * (len(captured.outputs) + len(captured.new_grads))
        self.targets += [places[id(t)] for t in captured.written] + [HIDDEN] * captured.draws
        self.halves: Halves | None = None
        self.reads: list[set[int]] | None = None  # by gradient: the results' gradients that it depends on, once asked
        if captured.gradients:
            self._halve()
        else:
            self.program = self._whole()
        self.sources: list[tuple[str, Any]] = []
        self.places = [p for p in captured.places if p.asked]
        old = [x for p in self.places for x in p.old]  # what they held when the run began
        kept = {id(source_of(x)): i for i, x in enumerate(old) if isinstance(x, BaseTensor)}
        self.pattern = pattern([source_of(x) if isinstance(x, BaseTensor) else x for x in old])
        for k, t in enumerate(captured.inputs):
            if id(t) in kept:
                if id(t) in position or k in self.targets:
                    raise Unkept(f"a tensor that it keeps was {'given' if id(t) in position else 'written'} too")
                self.sources.append(("place", kept[id(t)]))
            elif id(t) in position:
                self.sources.append(("given", position[id(t)]))
            elif id(t) in captured.old_grads:
                leaf = captured.old_grads[id(t)]
                self.sources.append(("grad", position.get(id(leaf), leaf)))
            else:
                self.sources.append(("held", t))
        self.hooks = Hooks.changes
        self.hooked = [_hooks(t) for t in captured.inputs]
        self.held_types = [(t._a.shape, t._a.dtype, _wants(t)) for t in captured.inputs]
        self.grads_were = [(t, id(t) in captured.had_grads) for t, _ in captured.new_grads]
        # of leaves that are arguments: a call may bring others
        self.grads_given = [position.get(id(t)) for t, _ in self.grads_were]
        read = {source for kind, source in self.sources if kind == "grad" and isinstance(source, int)}
        read |= {id(source) for kind, source in self.sources if kind == "grad" and not isinstance(source, int)}
        self.looked_at = [
            (position.get(id(t), t), was)
            for t, was in captured.looked_at
            if not was or position.get(id(t), id(t)) not in read
        ]
        self.twins = [(position.get(id(t), t), position.get(id(u), u)) for t, u in captured.twins]
        self.written_roots = {
            id(captured.inputs[k]._s) for k in self.targets if isinstance(k, int) and self.sources[k][0] == "held"
        }
        self.written_grads = [
            self.sources[k][1] for k in self.targets if isinstance(k, int) and self.sources[k][0] == "grad"
        ]
        self.wanted = [places[id(t)] for t in captured.wanted]
        self.opened = [k for k, is_open in enumerate(captured.open) if is_open]
        self.opened_types = [typeof(captured.outputs[k]) for k in self.opened]
        self.targeted = {k for k in self.targets if isinstance(k, int)}
        self.given = given
        for p in captured.places:
            p.old = []
        self.fast = fast(self)
        self._let_go()

    def _let_go(self) -> None:
        """Keep no results and gradients of the captured run: what has their types stands for them from now on."""
        captured = self.captured
        captured.new_grads = [(t, None) for t, _ in captured.new_grads]
        made = {id(t) for t in captured.outputs}
        kept = [x for x in captured.results if isinstance(x, BaseTensor) and (id(x) in made or id(x) in captured.views)]
        stand = {id(t): wrap(np.broadcast_to(np.zeros((), t._a.dtype), t._a.shape)) for t in [*captured.outputs, *kept]}
        captured.views = {
            id(stand[k]): (stand.get(id(base), base), steps)
            for k, (base, steps) in captured.views.items()
            if k in stand
        }
        captured.outputs = [stand[id(t)] for t in captured.outputs]
        captured.results = [stand.get(id(value), value) for value in captured.results]
        captured.written, captured.old_grads = [], {}
        needed = captured.same | {id(base) for base, _ in captured.views.values()}
        for k, (kind, _) in enumerate(self.sources):  # the run found them where each run finds its own
            t = captured.inputs[k]
            if kind == "grad" and id(t) not in needed:
                captured.inputs[k] = wrap(np.broadcast_to(np.zeros((), t._a.dtype), t._a.shape))

    def _whole(self) -> Program:
        captured = self.captured
        if self.fit is None:
            return Program(captured.graph, self.targets)
        own, targets = len(captured.outputs), self.targets
        again = {own + k for k, (t, _) in enumerate(captured.new_grads) if id(t) in captured.had_grads}

        def measure(graph: Graph) -> int:
            return bytes_of_run(graph, targets, again)

        return Program(self.fit(draw_again(optimise(captured.graph)), targets, measure), targets, optimised=True)

    def _halve(self) -> None:
        captured = self.captured
        joint = Graph(captured.graph.inputs, (*captured.graph.outputs, *captured.gradients), captured.graph.constants)
        draws = [n for n in joint.nodes if n.op is not None and n.op.impure]
        ups_ = set(captured.upstream)
        forward = tuple([n for n in joint.inputs if n not in ups_])
        results = captured.graph.outputs[: len(captured.outputs)]
        self.unread = Graph(
            forward, results, captured.graph.constants
        )  # as it was recorded: what was detached still is
        needed = set(self.unread.nodes) & set(reachable(results))
        self.overwritten = [k for k in self.targets if isinstance(k, int) and forward[k] in needed]
        joint = optimise(joint)
        drawn = [n for n in joint.nodes if n.op is not None and n.op.impure]
        self.drawn = dict(zip(draws, drawn, strict=True))
        count = len(captured.graph.outputs)
        ups = list(captured.upstream)
        inputs = [n for n in joint.inputs if n not in set(ups)]
        forward_targets = self.targets
        written = {inputs[k] for k in forward_targets if isinstance(k, int)}

        def halved(graph: Graph) -> tuple[Halves, list[Any]]:
            found = Halves(graph, count, ups, written)
            return found, [*forward_targets, *[None] * len(found.saved)]

        def measure(graph: Graph) -> int:
            found, targets = halved(graph)
            ends = [None] * len(found.backward.outputs)
            return bytes_of_run(found.forward, targets) + bytes_of_run(found.backward, ends)

        def orders() -> dict[Node, Order]:
            """Give the orders of sums in the two parts as they are without a budget."""
            found, _ = halved(joint)
            late = {found.origin[n]: order for n, order in orders_of(found.backward).items() if n in found.origin}
            return {**orders_of(found.forward), **late}

        if self.fit is not None:
            ends = [*self.targets, *[None] * len(captured.gradients)]
            joint = self.fit(joint, ends, measure, ups, joint.outputs[: len(captured.outputs)], orders())
        self.halves, targets = halved(joint)
        self.program = Program(self.halves.forward, targets, optimised=True)
        self.backward = Program(self.halves.backward, optimised=True)
        self.back = walking_back(self)
        self.kept = [inputs.index(n) for n in self.halves.kept]

    def now(self) -> list[Any] | None:
        """Give what the places hold that are read, as leaves; None where it is not such as the program was made for."""
        found: list[Any] = []
        for p in self.places:
            leaves = p.leaves()
            if leaves is None:
                return None
            found += leaves
        return [source_of(x) if isinstance(x, BaseTensor) else x for x in found]

    def holder(self, kind: str, source: Any, given: list[Any], kept: Any) -> Any:
        """Give the tensor of an input."""
        if kind == "given":
            return given[source]
        if kind == "grad":
            return _leaf(source, given)._grad
        return kept[source] if kind == "place" else source

    def takes(self, leaves: list[Any]) -> bool:
        """Tell whether the numbers among a call's arguments are those that the program was made for, or its inputs."""
        for i, value in self.scalars.items():
            if leaves[i] != value:
                return False
        if self.ledger is not None:
            self.ledger.arguments[:] = leaves
        return True

    def fits(self, given: list[Any]) -> bool:
        """Tell whether everything that the run depended on is as it was."""
        if not self.check() or (self.ledger is not None and not self.ledger.holds()):
            return False
        kept: Any = ()
        if self.places:
            kept = self.now()
            if kept is None or pattern(kept) != self.pattern:
                return False
            if any(isinstance(x, BaseTensor) and id(x._s) in self.written_roots for x in kept):
                return False
        if Hooks.changes != self.hooks:
            holders = [
                _leaf(source, given) if kind == "grad" else self.holder(kind, source, given, kept)
                for kind, source in self.sources
            ]
            if [_hooks(t) for t in holders] != self.hooked:
                return False
            self.hooks = Hooks.changes
        for (t, was), place in zip(self.grads_were, self.grads_given, strict=True):
            leaf = t if place is None else given[place]
            if (leaf._grad is not None) is not was:
                return False
        for source, was in self.looked_at:
            if (_leaf(source, given)._grad is not None) is not was:
                return False
        if any(_leaf(t, given)._grad is not _leaf(u, given)._grad for t, u in self.twins):
            return False
        for (kind, t), (shape, dtype, wants) in zip(self.sources, self.held_types, strict=True):
            if kind == "held":
                a = t._a
                if a.shape != shape or a.dtype != dtype or _wants(t) is not wants:
                    return False
            elif kind == "grad" and ((g := _leaf(t, given)._grad) is None or g._a.shape != shape):
                return False
        if self.written_grads and self.overlap([_leaf(s, given)._grad for s in self.written_grads], given):
            return False
        return not any(id(t._s) in self.written_roots for t in given)

    def overlap(self, grads: list[Any], given: list[Any]) -> bool:
        """Tell whether gradients that the program writes share memory with each other, an argument or what is written besides."""
        if any(t is None for t in grads):
            return True
        roots = {id(t._s) for t in grads}
        return len(roots) < len(grads) or not roots.isdisjoint((*self.written_roots, *[id(t._s) for t in given]))

    def refresh(self) -> None:
        """Write the present numbers into the inputs that stand for them."""
        for optimizer in self.guards.optimizers:
            optimizer.refresh_inputs()
        if self.numbers:
            values = self.ledger.read()
            for a, compute in self.numbers:
                a[...] = compute(*values)

    def _gradients(self) -> dict[int, Any]:
        """Give the memory of gradients that the step throws away, which nothing else holds: the new ones are made in it."""
        found = {}
        read = {id(source) for kind, source in self.sources if kind == "grad"}
        for k, (t, was) in enumerate(self.grads_were, len(self.captured.outputs)):
            out = self.program.graph.outputs[k]
            is_ours = self.grads_given[k - len(self.captured.outputs)] is None
            if was and is_ours and id(t) not in read and is_only_gradient(t):
                a = t._grad._a
                if a.shape == out.shape and a.dtype == out.dtype:
                    found[k] = a
        return found

    def run(self, given: list[Any]) -> Any:
        """Run the program and hand its results to their places."""
        captured = self.captured
        self.refresh()
        holders: list[Any] = []
        kept = self.now()
        for kind, source in self.sources:
            t = self.holder(kind, source, given, kept)
            if t._base is not None and t._base._node is not t._seen:
                refresh(t)
            holders.append(t)
        values = [t._a if t._a.flags.c_contiguous else np.ascontiguousarray(t._a) for t in holders]
        found = self.program(values, self._gradients())
        for k in {k for k in self.targets if isinstance(k, int)}:
            t = holders[k]
            t._s.version += 1
            if values[k] is not t._a:
                np.copyto(t._a, values[k])
        count = len(captured.outputs)
        found_grads = found[count : count + len(captured.new_grads)]
        for (t, _), place, a in zip(captured.new_grads, self.grads_given, found_grads, strict=True):
            (t if place is None else given[place])._grad = wrap(a)
        for t in captured.cleared:
            place = self.position.get(id(t))
            (t if place is None else given[place])._grad = None
        outputs = [wrap(a) for a in found[:count]]
        for t, requires, is_open in zip(outputs, captured.requires, captured.open, strict=True):
            if requires and not is_open:
                t._node = spent(t._a)
        if self.halves is not None:
            attach(self, outputs, found[len(found) - len(self.halves.saved) :], holders, values)
        stand = {id(t): h for t, h in zip(captured.inputs, holders)}  # numbers that became inputs come last
        stand.update({id(t): made for t, made in zip(captured.outputs, outputs, strict=True)})
        return captured.deliver(stand)


def _leaf(source: Any, given: list[Any]) -> Any:
    """Give the tensor whose gradient an input is: an argument, by its number, or one that is always the same."""
    return given[source] if source.__class__ is int else source


def _hooks(t: Any) -> tuple[int, ...]:
    """Give the numbers of the hooks on a leaf; those of other tensors are in their histories."""
    node = t._node
    found: tuple[int, ...] = () if node is None or node.op is not None or node.hooks is None else node.hooks.registered
    return found


def _wants(t: Any) -> bool:
    return t._node is not None and t._node.requires_grad
