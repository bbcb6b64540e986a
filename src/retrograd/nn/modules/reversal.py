"""How a sequence of invertible modules is walked back: a node for each, and one set of values that moves with the walk."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...autodiff import pullback
from ...core import (
    FREED,
    MODE,
    Node,
    Op,
    attach_outputs,
    describe,
    enable_grad,
    here,
    modified,
    no_grad,
    show_type,
    wrap,
)
from ...random.generator import default_generator
from ...random.snapshot import Snapshot
from ...tensor.composed import ALIAS
from ...tensor.dispatch import FUNCTIONS


class Call:
    """One run of a sequence: its blocks, the random states of those that drew, and the values where the walk is."""

    def __init__(self, blocks: list[Any]) -> None:
        self.blocks = blocks
        self.trace: Any = None  # of a run that is compiled
        self.states: list[Any] = []
        self.autocast = MODE.autocast, MODE.autocast_cache
        self.last: Any = None  # weak reference to the last block's node, which holds the outputs
        self.at: int | None = None  # the block whose outputs ``values`` are
        self.values: list[Any] = []

    def outputs(self, k: int) -> list[Any]:
        """Give the outputs of block ``k``, computed back from the nearest ones that are there."""
        if self.at is None or self.at < k:
            self.at, self.values = len(self.blocks) - 1, [entry[0] for entry in self.kept()]
        with no_grad():
            while self.at > k:
                self.values = [
                    x._a for x in undone(self.blocks[self.at], [wrap(v) for v in self.values], self.states[self.at])
                ]
                self.at -= 1
        return self.values

    def kept(self) -> list[Any]:
        """Give what the last node saved: the outputs, as they were."""
        node = self.last()
        if node is None or node.saved is FREED:
            raise _freed(node)
        for i, entry in enumerate(node.saved):
            if entry[1].version != entry[2]:
                raise modified(node, entry, f"output {i}")
        found: list[Any] = node.saved
        return found

    def moved(self, k: int, values: list[Any]) -> None:
        """Note the outputs of block ``k``, which a walk has come to."""
        self.at, self.values = (k, values) if k >= 0 else (None, [])

    @contextlib.contextmanager
    def as_it_was(self) -> Iterator[None]:
        """Set the modes of the run; put them and the random state back."""
        before = MODE.autocast, MODE.autocast_cache, MODE.casts
        (MODE.autocast, MODE.autocast_cache), MODE.casts = self.autocast, None
        MODE.settle()
        state = Snapshot(default_generator)
        try:
            yield
        finally:
            state.go_back()
            MODE.autocast, MODE.autocast_cache, MODE.casts = before
            MODE.settle()


def _freed(node: Any) -> RuntimeError:
    place = f" (called at {describe(node.place)})" if node is not None else ""
    return RuntimeError(
        "Trying to backward through the graph a second time, after the outputs of a ReversibleSequence have been freed. Specify "
        f"retain_graph=True if you need to.{place}"
    )


def run(blocks: list[Any], xs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Run blocks without history, and give the last one's outputs a history of one node for each block."""
    call = Call(blocks)
    values, nodes = tuple(xs), [x._node if x.requires_grad else None for x in xs]
    place = here()
    for k, block in enumerate(blocks):
        held, parameters = of_block(block)
        count = len(values)
        with no_grad():
            values, state = block.run_noting_draws(values)
        call.states.append(state)
        if any(n is not None for n in nodes) or parameters:
            a = values[0]._a
            attrs = {"call": call, "k": k, "count": count, "parameters": parameters, "held": held}
            inputs = (*nodes, *[p._node for p in parameters])
            node = Node(REVERSIBLE, inputs, attrs, a.shape, a.dtype, True, place, (None,), None, None)
            marks = [wrap(v._a, v._s) for v in values]
            if len(marks) == 1:
                marks[0]._node = node
            else:
                attach_outputs(node, marks)
            values, nodes = tuple(marks), [m._node for m in marks]
            call.last = weakref.ref(node)
    node.saved = [(v._a, v._s, v._s.version) for v in values]
    return values


def of_block(block: Any) -> tuple[list[Any], list[Any]]:
    """Give the places of a block's parameters that require gradients, with what they hold; and those, each once."""
    tables = [m._parameters for m in block.modules()]
    held = [(table, name, p) for table in tables for name, p in table.items() if p is not None and p.requires_grad]
    return held, list({id(p): p for _, _, p in held}.values())


@contextlib.contextmanager
def as_held(held: list[Any]) -> Iterator[None]:
    """Put parameters in their places as the run found them, if they are others by now."""
    others = [(table, name, p, table[name]) for table, name, p in held if table[name] is not p]
    try:
        for table, name, p, _ in others:
            table[name] = p
        yield
    finally:
        for table, name, _, now in others:
            table[name] = now


def halves(xs: Sequence[Any], dim: int) -> tuple[Any, Any]:
    """Give two tensors, or the two halves of one."""
    if len(xs) == 2:
        return xs[0], xs[1]
    if len(xs) != 1:
        raise TypeError(f"Reversible takes one tensor or two halves, not {len(xs)} arguments")
    if xs[0].shape[dim] % 2:
        raise ValueError(f"Reversible: dimension {dim} of {show_type(xs[0])} cannot be halved; give two tensors")
    first, second = xs[0].chunk(2, dim)
    return first, second


def joined(xs: Sequence[Any], first: Any, second: Any, dim: int) -> Any:
    """Give two results as one tensor, where one was given."""
    if len(xs) == 2:
        return first, second
    return FUNCTIONS["cat"]([first, second], dim)


def tupled(x: Any) -> tuple[Any, ...]:
    """Give a tensor, or several, as a tuple."""
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def coupled_run(block: Any, xs: Sequence[Any], done: Any = lambda: None) -> tuple[tuple[Any, ...], Any]:
    """Run a coupling; give its results, and the random states before f and before g where these drew; each calls ``done`` behind it."""
    x1, x2 = halves(xs, block.dim)
    before = Snapshot(default_generator)
    y1 = block.couple(x1, block.f(x2))
    first, between = _drew(before)
    done()
    y2 = block.couple(x2, block.g(y1))
    second, _ = _drew(between)
    done()
    made = (y1, y2) if len(xs) == 2 else (joined(xs, y1, y2, block.dim),)
    return made, (first, second) if first is not None or second is not None else None


def _drew(before: Any) -> tuple[Any, Any]:
    """Give the state from before if there were draws since, else None; and the state now."""
    return (before, Snapshot(default_generator)) if before.moved() else (None, before)


def _reverse(node: Node, g: Any, needs: list[bool], as_tensors: bool) -> list[Any]:
    """Undo a block, and walk back through it."""
    if node.saved is FREED:
        raise _freed(node)
    call: Call = node.attrs["call"]
    k, parameters = node.attrs["k"], node.attrs["parameters"]
    block, random = call.blocks[k], call.states[k]
    given = g if g.__class__ is list else [g]
    if call.trace is not None and call.trace is MODE.trace:
        from .reversal_traced import reverse_traced

        return reverse_traced(node, given, needs)
    others = [None] * (len(node.inputs) - node.attrs["count"] - len(parameters))
    with call.as_it_was(), as_held(node.attrs["held"]), still(block):
        values = call.outputs(k)
        if as_tensors:
            return [*_recorded(node, call, values, given, needs), *others]
        upstream = [np.zeros(v.shape, v.dtype) if u is None else u for v, u in zip(values, given, strict=True)]
        found = Gathered(parameters)
        if block.coupled and len(values) == 2:
            values, upstream = _coupled(block, values, upstream, found, random)
        else:
            values, upstream = _inverted(block, values, upstream, found, random)
        call.moved(k - 1, values)
    return [*upstream, *[found.by_node.get(p._node) for p in parameters], *others]


@contextlib.contextmanager
def still(block: Any) -> Iterator[None]:
    """Put a block's buffers back at the end."""
    if MODE.trace is not None:
        for b in block.buffers():
            MODE.trace.node_of(b)
    buffers = [(b, b._a.copy(), b._node) for b in block.buffers()]
    try:
        yield
    finally:
        for b, a, node in buffers:
            np.copyto(b._a, a)
            b._node = node


@contextlib.contextmanager
def same_draws(blocks: Sequence[Any]) -> Iterator[None]:
    """Put the generator and the blocks' buffers back at the end."""
    state = Snapshot(default_generator)
    with contextlib.ExitStack() as stack:
        for block in blocks:
            stack.enter_context(still(block))
        try:
            yield
        finally:
            state.go_back()


class Gathered:
    """The gradients of a block's parameters, and of tensors that stand for its inputs, as walks bring them."""

    as_tensors = False

    def __init__(self, parameters: list[Any]) -> None:
        self.by_node: dict[Node, Any] = {}
        self.own = {p._node for p in parameters}
        self.computed = any(n.op is not None for n in self.own)  # parameters that others were computed for
        self.hooked = [n.hooks for n in self.own if n.hooks is not None and not n.hooks.quiet]

    def leaf(self, node: Node, g: Any, owned: bool) -> None:
        """Take a leaf's gradient."""
        if node not in self.own:
            raise RuntimeError(
                f"ReversibleSequence: a block reads a tensor of {node.type} that requires a gradient and is none of its parameters, so that "
                "its gradient would be lost: make it a Parameter of the block's function, or detach() it"
            )
        self.add(node, g, owned)

    def add(self, node: Node, g: Any, owned: bool) -> None:
        """Add a gradient to what a node has had so far."""
        old = self.by_node.get(node)
        if old is None:
            self.by_node[node] = g if owned else g.copy()
        else:
            np.add(old, g, out=old)

    def walk(self, outs: Sequence[Any], upstream: Sequence[Any]) -> None:
        """Walk back from tensors; hooks of parameters wait for the whole gradient."""
        pairs = [(x._node, g) for x, g in zip(outs, upstream, strict=True) if g is not None]
        roots = [(n, g) for n, g in pairs if n is not None and n.requires_grad]
        if not roots:
            return
        nodes, gs = [n for n, _ in roots], [g for _, g in roots]
        with quieted(self.hooked):
            if self.computed:
                wanted = list(self.own)
                found = pullback(nodes, gs, retain=False, as_tensors=self.as_tensors, wanted=wanted)
                for n, g in zip(wanted, found, strict=True):
                    if g is not None:
                        self.add(n, g, False)
            else:
                pullback(nodes, gs, retain=False, as_tensors=self.as_tensors, leaf=self.leaf)

    def variable(self, a: Any) -> Any:
        """Give a tensor of an array, or of a tensor's value, whose gradient is taken here."""
        x = wrap(a).requires_grad_()
        self.own.add(x._node)
        return x

    def take(self, x: Any) -> Any:
        """Give a variable's gradient and forget it; zeros where none came."""
        g = self.by_node.pop(x._node, None)
        return np.zeros(x._a.shape, x._a.dtype) if g is None else g


@contextlib.contextmanager
def quieted(hooked: list[Any]) -> Iterator[None]:
    """Let hooks wait: the walk outside calls them, with the whole gradient."""
    kept = [(h, h.tensor, h.pre, h.post, h.accumulated, h.retain) for h in hooked]
    for h in hooked:
        h.tensor, h.pre, h.post, h.accumulated, h.retain = {}, {}, {}, {}, None
    try:
        yield
    finally:
        for h, *tables in kept:
            h.tensor, h.pre, h.post, h.accumulated, h.retain = tables


def _coupled(
    block: Any, values: list[Any], upstream: list[Any], found: Gathered, random: Any
) -> tuple[list[Any], list[Any]]:
    """Undo a coupling and walk back through it, running each function once."""
    for_f, for_g = random or (None, None)
    if for_g is not None:
        for_g.go_back()
    z1 = found.variable(values[0])
    with enable_grad():
        h = block.g(z1)
    with no_grad():
        x2 = found.variable(block.uncouple(wrap(values[1]), wrap(h._a))._a)
    with enable_grad():
        y2 = block.couple(x2, h)
    found.walk([y2], [upstream[1]])
    d1, d2 = upstream[0] + found.take(z1), found.take(x2)
    del h, y2
    if for_f is not None:
        for_f.go_back()
    x2 = found.variable(x2._a)
    with enable_grad():
        h = block.f(x2)
    with no_grad():
        x1 = found.variable(block.uncouple(wrap(values[0]), wrap(h._a))._a)
    with enable_grad():
        y1 = block.couple(x1, h)
    found.walk([y1], [d1])
    return [x1._a, x2._a], [found.take(x1), d2 + found.take(x2)]


def _inverted(
    block: Any, values: list[Any], upstream: list[Any], found: Gathered, random: Any
) -> tuple[list[Any], list[Any]]:
    """Invert a module, run it again on what came back, and walk back."""
    with no_grad():
        xs = [found.variable(x._a) for x in undone(block, [wrap(v) for v in values], random)]
    first = first_state(random)
    if first is not None:
        first.go_back()
    with enable_grad():
        ys = tupled(block(*xs))
    found.walk(ys, upstream)
    return [x._a for x in xs], [found.take(x) for x in xs]


def _recorded(node: Node, call: Call, values: list[Any], given: list[Any], needs: list[bool]) -> list[Any]:
    """Walk back with history: from inputs that are computed back, the block runs as an ordinary one."""
    k, parameters = node.attrs["k"], node.attrs["parameters"]
    block, random = call.blocks[k], call.states[k]
    with no_grad():
        back = undone(block, [wrap(v) for v in values], random)
    call.moved(k - 1, [x._a for x in back])
    stands = []
    for t, outer in zip(back, node.inputs, strict=False):
        a = t._a
        alias = None if outer is None else Node(ALIAS, (outer,), {}, a.shape, a.dtype, True, node.place, (), None, None)
        stands.append(wrap(a, t._s, alias))
    return with_history(block, stands, first_state(random), parameters, given, needs)


def with_history(
    block: Any, stands: list[Any], state: Any, parameters: list[Any], given: Sequence[Any], needs: list[bool]
) -> list[Any]:
    """Run a block as an ordinary one, and give the recorded gradients of its inputs and parameters."""
    with enable_grad():
        if state is not None:
            state.go_back()
        ys = tupled(block(*stands))
    pairs = [(y._node, g) for y, g in zip(ys, given, strict=True) if g is not None]
    needs = needs[: len(stands) + len(parameters)]
    wanted = [x._node for x, need in zip([*stands, *parameters], needs, strict=True) if need]
    with quieted([p._node.hooks for p in parameters if p._node.hooks is not None]):
        found = pullback([n for n, _ in pairs], [g for _, g in pairs], retain=True, as_tensors=True, wanted=wanted)
    grads = iter(found)
    return [next(grads) if need else None for need in needs]


def first_state(random: Any) -> Any:
    """Give the random state from before a block drew first, or None if it did not."""
    return next((s for s in random if s is not None), None) if isinstance(random, tuple) else random


def undone(block: Any, ys: list[Any], random: Any) -> tuple[Any, ...]:
    """Invert a block under the draws that it made."""
    if not isinstance(random, tuple):
        if random is not None:
            random.go_back()
        return tupled(block.inverse(*ys))
    if random[1] is not None:
        random[1].go_back()
    y1, y2 = halves(ys, block.dim)
    x2 = block.uncouple(y2, block.g(y1))
    if random[0] is not None:
        random[0].go_back()
    x1 = block.uncouple(y1, block.f(x2))
    return (x1, x2) if len(ys) == 2 else (joined(ys, x1, x2, block.dim),)


REVERSIBLE = Op("reversible", lambda *xs, **attrs: xs, type=lambda *types, **attrs: types[0], names=(), outputs=0)
REVERSIBLE.reverse = _reverse
REVERSIBLE.vjp = []


class _Owned:
    """Every gradient that ``_reverse`` gives is the walk's to keep."""

    def __getitem__(self, i: int) -> bool:
        return True


REVERSIBLE.fresh = _Owned()

__all__ = ["coupled_run", "halves", "joined", "run", "same_draws", "tupled", "undone"]
