"""How a compiled sequence of invertible modules is walked back: what computes the inputs back is recorded behind the gradient.

The run forward is recorded without a history of its own. The walk back records, block after block, how the inputs come from the
outputs, with everything that reads the outputs waiting for the gradient (``after``); so no program holds more than one block's
values, however many there are. Random draws are those of the run forward, made again behind the gradient.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from ...autodiff.trace import Trace
from ...core import MODE, REGISTRY, Node, apply, attach_outputs, enable_grad, here, no_grad, wrap
from ...tensor.composed import ALIAS
from . import reversal

AFTER = REGISTRY["after"]


class TracedCall(reversal.Call):
    """One run of a sequence under a trace that is compiled.

    Attributes
    ----------
    draws : list
        For each block, the nodes of the numbers that f drew, and those of g; of another module, all of them and none.
    at, values
        As of a call that is not traced, but of tensors.
    """

    def __init__(self, blocks: list[Any]) -> None:
        super().__init__(blocks)
        self.trace = MODE.trace
        self.draws: list[tuple[list[Node], list[Node]]] = []
        self.results: list[Node] = []  # the nodes of the last outputs' values

    def tensors(self, k: int) -> list[Any]:
        """Give the outputs of block ``k`` as tensors, computed back from the nearest ones that are there."""
        if self.at is None or self.at < k:
            kept = [wrap(a, s, n) for (a, s, _), n in zip(self.kept(), self.results, strict=True)]
            self.at, self.values = len(self.blocks) - 1, kept
        while self.at > k:
            block, draws = self.blocks[self.at], self.draws[self.at]
            with no_grad(), _drawn(self.trace, [*draws[1], *draws[0]], None):
                self.values = list(reversal.undone(block, self.values, self.states[self.at]))
            self.at -= 1
        return self.values


def run_traced(blocks: list[Any], xs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Run blocks, and give the last one's outputs a history of one node for each block."""
    call, trace = TracedCall(blocks), MODE.trace
    values, place, node = tuple(xs), here(), None
    for k, block in enumerate(blocks):
        held, parameters = reversal.of_block(block)
        inputs = tuple([trace.node_of(x) for x in (*values, *parameters)])
        made = _without_history(call, block, values)
        if any(n.requires_grad for n in inputs):
            attrs = {"call": call, "k": k, "count": len(values), "parameters": parameters, "held": held}
            a, results = made[0]._a, [trace.node_of(v) for v in made]
            node = Node(
                reversal.REVERSIBLE, (*inputs, *results), attrs, a.shape, a.dtype, True, place, (None,), None, None
            )
            made = tuple([wrap(v._a, v._s) for v in made])
            attach_outputs(node, made)
            for v, n in zip(made, results, strict=True):
                trace.instead[v._node] = n
            call.last, call.results = weakref.ref(node), results
        values = made
    if node is not None:
        node.saved = [(v._a, v._s, v._s.version) for v in values]
    return values


def _without_history(call: TracedCall, block: Any, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Run a block; its operations are recorded, and save nothing."""
    trace = call.trace
    before, marks = len(trace.known), [len(trace.draws)]
    regions, trace.regions = trace.regions, None  # nothing is held for checkpoints to let go of
    try:
        if block.coupled:
            made, state = reversal.coupled_run(block, values, lambda: marks.append(len(trace.draws)))
        else:
            made, state = block.run_noting_draws(values)
            marks.append(len(trace.draws))
    finally:
        trace.regions = regions
    made = tuple([v.clone() if v._base is not None or any(v is x for x in values) else v for v in made])
    for n in islice(reversed(trace.known), len(trace.known) - before):
        if n.op is not None:
            n.saved, n.out, n.requires_grad = (), None, False
    call.states.append(state)
    call.draws.append((trace.draws[marks[0] : marks[1]], trace.draws[marks[1] :]))
    return made


@contextlib.contextmanager
def _drawn(trace: Any, nodes: list[Node], gate: Any) -> Iterator[None]:
    """Let draws that are made again stand for those of the run forward, behind what has come back by now."""
    before = trace.drawn, trace.gate
    trace.drawn, trace.gate = iter(nodes), None if gate is None else trace.node_of(gate)
    try:
        yield
    finally:
        trace.drawn, trace.gate = before


class _Gathered(reversal.Gathered):
    """The gradients as recorded walks bring them."""

    as_tensors = True

    def add(self, node: Node, g: Any, owned: bool) -> None:
        """Add a gradient to what a node has had so far."""
        old = self.by_node.get(node)
        self.by_node[node] = g if old is None else old + g

    def variable(self, a: Any) -> Any:
        """Give a tensor of a tensor's value whose gradient is taken here."""
        x = wrap(a._a, a._s, a._node)
        node = x._node = Trace.variable(MODE.trace, x)  # a compiling trace would keep the gradient for the user
        if self.computed:
            self.own.add(node)
        else:
            node.hook_table().add("tensor", lambda g: self.add(node, g, False))
        return x

    def take(self, x: Any) -> Any:
        """Give a variable's gradient and forget it; None where none came."""
        return self.by_node.pop(x._node, None)


def reverse_traced(node: Node, given: list[Any], needs: list[bool]) -> list[Any]:
    """Undo a block, and walk back through it, all of it recorded behind the gradient that has come."""
    call: TracedCall = node.attrs["call"]
    k, parameters, count = node.attrs["k"], node.attrs["parameters"], node.attrs["count"]
    block, trace = call.blocks[k], call.trace
    regions, trace.regions = trace.regions, None
    try:
        with call.as_it_was(), reversal.as_held(node.attrs["held"]), reversal.still(block):
            with no_grad():
                gate = next(g for g in given if g is not None)
                values = [apply(AFTER, v, gate) for v in call.tensors(k)]
            if MODE.grad:
                return [*_with_history(node, call, values, given, needs), *[None] * len(values)]
            found = _Gathered(parameters)
            walked = _coupled if block.coupled and count == 2 else _inverted
            back, upstream = walked(call, k, values, given, found)
            call.moved(k - 1, back)
    finally:
        trace.regions = regions
    return [*upstream, *[found.by_node.get(p._node) for p in parameters], *[None] * len(values)]


def _coupled(
    call: TracedCall, k: int, values: list[Any], given: list[Any], found: _Gathered
) -> tuple[list[Any], list[Any]]:
    """Undo a coupling and walk back through it, running each function once."""
    block, draws, trace = call.blocks[k], call.draws[k], call.trace
    for_f, for_g = call.states[k] or (None, None)
    z1 = found.variable(values[0])
    with enable_grad(), _again(trace, for_g, draws[1], z1):
        h = block.g(z1)
    with no_grad():
        x2 = found.variable(block.uncouple(values[1], h.detach()))
    with enable_grad():
        y2 = block.couple(x2, h)
    found.walk([y2], [given[1]])
    d1, d2 = _sum(given[0], found.take(z1)), found.take(x2)
    del h, y2
    x2 = found.variable(x2.detach())
    with enable_grad(), _again(trace, for_f, draws[0], x2):
        h = block.f(x2)
    with no_grad():
        x1 = found.variable(block.uncouple(values[0], h.detach()))
    with enable_grad():
        y1 = block.couple(x1, h)
    found.walk([y1], [d1])
    gradients = [found.take(x1), _sum(d2, found.take(x2))]
    return [x1.detach(), x2.detach()], gradients


def _inverted(
    call: TracedCall, k: int, values: list[Any], given: list[Any], found: _Gathered
) -> tuple[list[Any], list[Any]]:
    """Undo a module, run it again on what came back, and walk back."""
    block, draws, trace = call.blocks[k], call.draws[k], call.trace
    with no_grad(), _drawn(trace, [*draws[1], *draws[0]], values[0]):
        xs = [found.variable(x) for x in reversal.undone(block, values, call.states[k])]
    with enable_grad(), _again(trace, reversal.first_state(call.states[k]), [*draws[0], *draws[1]], xs[0]):
        ys = reversal.tupled(block(*xs))
    found.walk(ys, given)
    return [x.detach() for x in xs], [found.take(x) for x in xs]


@contextlib.contextmanager
def _again(trace: Any, state: Any, nodes: list[Node], gate: Any) -> Iterator[None]:
    """Set the generator to where it was, and let what is drawn stand for what was drawn then."""
    if state is not None:
        state.go_back()
    with _drawn(trace, nodes, gate):
        yield


def _sum(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b


def _with_history(
    node: Node, call: TracedCall, values: list[Any], given: Sequence[Any], needs: list[bool]
) -> list[Any]:
    """Walk back with history: from inputs that are computed back, the block runs as an ordinary one."""
    k, parameters = node.attrs["k"], node.attrs["parameters"]
    block, trace, draws = call.blocks[k], call.trace, call.draws[k]
    with no_grad(), _drawn(trace, [*draws[1], *draws[0]], values[0]):
        back = reversal.undone(block, values, call.states[k])
    call.moved(k - 1, list(back))
    stands = []
    for t, outer in zip(back, node.inputs, strict=False):
        a, value = t._a, trace.node_of(t)
        alias = Node(ALIAS, (outer, value), {}, a.shape, a.dtype, outer.requires_grad, node.place, (), None, None)
        trace.add(alias, None)
        trace.instead[alias] = value
        stands.append(wrap(a, t._s, alias))
    state = reversal.first_state(call.states[k])
    with _drawn(trace, [*draws[0], *draws[1]], back[0]):
        return reversal.with_history(block, stands, state, parameters, given, needs)


__all__ = ["TracedCall", "reverse_traced", "run_traced"]
