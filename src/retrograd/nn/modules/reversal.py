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


class _Call:
    """One run of a sequence: its blocks, the random states of those that drew, and the values where the walk is."""

    def __init__(self, blocks: list[Any]) -> None:
        self.blocks = blocks
        self.states: list[Any] = []
        self.autocast = MODE.autocast, MODE.autocast_cache
        self.last: Any = None  # weak reference to the last block's node, which holds the outputs
        self.at: int | None = None  # the block whose outputs ``values`` are
        self.values: list[Any] = []

    def outputs(self, k: int) -> list[Any]:
        """Give the outputs of block ``k``, computed back from the nearest ones that are there."""
        if self.at is None or self.at < k:
            self.at, self.values = len(self.blocks) - 1, self._kept()
        with no_grad():
            while self.at > k:
                self.values = [
                    x._a for x in undone(self.blocks[self.at], [wrap(v) for v in self.values], self.states[self.at])
                ]
                self.at -= 1
        return self.values

    def _kept(self) -> list[Any]:
        node = self.last()
        if node is None or node.saved is FREED:
            raise _freed(node)
        for i, entry in enumerate(node.saved):
            if entry[1].version != entry[2]:
                raise modified(node, entry, f"output {i}")
        return [entry[0] for entry in node.saved]

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
    call = _Call(blocks)
    values, nodes = tuple(xs), [x._node if x.requires_grad else None for x in xs]
    place = here()
    for k, block in enumerate(blocks):
        parameters = [p for p in dict.fromkeys(block.parameters()) if p.requires_grad]
        count = len(values)
        with no_grad():
            values, state = block.run_noting_draws(values)
        call.states.append(state)
        if any(n is not None for n in nodes) or parameters:
            a = values[0]._a
            attrs = {"call": call, "k": k, "count": count, "parameters": parameters}
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


def coupled_run(block: Any, xs: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
    """Run a coupling; give its results, and the random states before f and before g where these drew."""
    x1, x2 = halves(xs, block.dim)
    before = Snapshot(default_generator)
    y1 = block.couple(x1, block.f(x2))
    first, between = _drew(before)
    y2 = block.couple(x2, block.g(y1))
    second, _ = _drew(between)
    made = (y1, y2) if len(xs) == 2 else (joined(xs, y1, y2, block.dim),)
    return made, (first, second) if first is not None or second is not None else None


def _drew(before: Any) -> tuple[Any, Any]:
    """Give the state from before if there were draws since, else None; and the state now."""
    return (before, Snapshot(default_generator)) if before.moved() else (None, before)


def _reverse(node: Node, g: Any, needs: list[bool], as_tensors: bool) -> list[Any]:
    """Undo a block, and walk back through it."""
    if node.saved is FREED:
        raise _freed(node)
    call: _Call = node.attrs["call"]
    k, parameters = node.attrs["k"], node.attrs["parameters"]
    block, random = call.blocks[k], call.states[k]
    given = g if g.__class__ is list else [g]
    with call.as_it_was(), _still(block):
        values = call.outputs(k)
        if as_tensors:
            return _recorded(node, call, values, given, needs)
        upstream = [np.zeros(v.shape, v.dtype) if u is None else u for v, u in zip(values, given, strict=True)]
        found = _Gathered(parameters)
        if block.coupled and len(values) == 2:
            values, upstream = _coupled(block, values, upstream, found, random)
        else:
            values, upstream = _inverted(block, values, upstream, found, random)
        call.moved(k - 1, values)
    return [*upstream, *[found.by_node.get(p._node) for p in parameters]]


@contextlib.contextmanager
def _still(block: Any) -> Iterator[None]:
    """Put a block's buffers back at the end."""
    buffers = [(b, b._a.copy()) for b in block.buffers()]
    try:
        yield
    finally:
        for b, a in buffers:
            np.copyto(b._a, a)


@contextlib.contextmanager
def same_draws(blocks: Sequence[Any]) -> Iterator[None]:
    """Put the generator and the blocks' buffers back at the end."""
    state = Snapshot(default_generator)
    with contextlib.ExitStack() as stack:
        for block in blocks:
            stack.enter_context(_still(block))
        try:
            yield
        finally:
            state.go_back()


class _Gathered:
    """The gradients of leaves, as walks bring them."""

    def __init__(self, parameters: list[Any]) -> None:
        self.by_node: dict[Node, Any] = {}
        self.hooked = [p._node.hooks for p in parameters if p._node.hooks is not None and not p._node.hooks.quiet]

    def leaf(self, node: Node, g: Any, owned: bool) -> None:
        """Take a leaf's gradient."""
        old = self.by_node.get(node)
        if old is None:
            self.by_node[node] = g if owned else g.copy()
        else:
            np.add(old, g, out=old)

    def walk(self, out: Any, upstream: Any) -> None:
        """Walk back from a tensor; hooks of parameters wait for the whole gradient."""
        if out._node is None or not out._node.requires_grad:
            return
        kept = [(h, h.tensor, h.pre, h.post, h.accumulated, h.retain) for h in self.hooked]
        for h in self.hooked:
            h.tensor, h.pre, h.post, h.accumulated, h.retain = {}, {}, {}, {}, None
        try:
            pullback([out._node], [upstream], retain=False, as_tensors=False, leaf=self.leaf)
        finally:
            for h, *tables in kept:
                h.tensor, h.pre, h.post, h.accumulated, h.retain = tables

    def take(self, x: Any) -> Any:
        """Give a leaf's gradient and forget it; zeros where none came."""
        g = self.by_node.pop(x._node, None)
        return np.zeros(x._a.shape, x._a.dtype) if g is None else g


def _leaf(a: Any) -> Any:
    return wrap(a).requires_grad_()


def _coupled(
    block: Any, values: list[Any], upstream: list[Any], found: _Gathered, random: Any
) -> tuple[list[Any], list[Any]]:
    """Undo a coupling and walk back through it, running each function once."""
    for_f, for_g = random or (None, None)
    if for_g is not None:
        for_g.go_back()
    z1 = _leaf(values[0])
    with enable_grad():
        h = block.g(z1)
    with no_grad():
        x2 = _leaf(block.uncouple(wrap(values[1]), wrap(h._a))._a)
    with enable_grad():
        y2 = block.couple(x2, h)
    found.walk(y2, upstream[1])
    d1, d2 = upstream[0] + found.take(z1), found.take(x2)
    del h, y2
    if for_f is not None:
        for_f.go_back()
    x2 = _leaf(x2._a)
    with enable_grad():
        h = block.f(x2)
    with no_grad():
        x1 = _leaf(block.uncouple(wrap(values[0]), wrap(h._a))._a)
    with enable_grad():
        y1 = block.couple(x1, h)
    found.walk(y1, d1)
    return [x1._a, x2._a], [found.take(x1), d2 + found.take(x2)]


def _inverted(
    block: Any, values: list[Any], upstream: list[Any], found: _Gathered, random: Any
) -> tuple[list[Any], list[Any]]:
    """Invert a module, run it again on what came back, and walk back."""
    if random is not None:
        random.go_back()
    with no_grad():
        xs = [_leaf(x._a) for x in tupled(block.inverse(*[wrap(v) for v in values]))]
    if random is not None:
        random.go_back()
    with enable_grad():
        ys = tupled(block(*xs))
    pairs = [(y._node, u) for y, u in zip(ys, upstream, strict=True) if y._node is not None and y._node.requires_grad]
    if pairs:
        pullback([n for n, _ in pairs], [u for _, u in pairs], retain=False, as_tensors=False, leaf=found.leaf)
    return [x._a for x in xs], [found.take(x) for x in xs]


def _recorded(node: Node, call: _Call, values: list[Any], given: list[Any], needs: list[bool]) -> list[Any]:
    """Walk back with history: from inputs that are computed back, the block runs as an ordinary one."""
    k, parameters, count = node.attrs["k"], node.attrs["parameters"], node.attrs["count"]
    block, random = call.blocks[k], call.states[k]
    with no_grad():
        back = undone(block, [wrap(v) for v in values], random)
    call.moved(k - 1, [x._a for x in back])
    aliases = []
    for t, outer in zip([*back, *parameters], node.inputs, strict=True):
        a = t._a
        alias = None if outer is None else Node(ALIAS, (outer,), {}, a.shape, a.dtype, True, node.place, (), None, None)
        aliases.append(wrap(a, t._s, alias))
    with enable_grad(), _in_place_of(parameters, aliases[count:], block):
        first = random[0] if isinstance(random, tuple) and random[0] is not None else random
        first = first[1] if isinstance(first, tuple) else first
        if first is not None:
            first.go_back()
        ys = tupled(block(*aliases[:count]))
    pairs = [(y._node, g) for y, g in zip(ys, given, strict=True) if g is not None]
    wanted = [a._node for a, need in zip(aliases, needs, strict=True) if need]
    grads = iter(pullback([n for n, _ in pairs], [g for _, g in pairs], retain=True, as_tensors=True, wanted=wanted))
    return [next(grads) if need else None for need in needs]


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


@contextlib.contextmanager
def _in_place_of(parameters: list[Any], stand_ins: list[Any], block: Any) -> Iterator[None]:
    """Let other tensors stand where parameters are held."""
    by_id = {id(p): s for p, s in zip(parameters, stand_ins, strict=True)}
    held = [(m._parameters, name, p) for m in block.modules() for name, p in m._parameters.items() if id(p) in by_id]
    for table, name, p in held:
        table[name] = by_id[id(p)]
    try:
        yield
    finally:
        for table, name, p in held:
            table[name] = p


REVERSIBLE = Op("reversible", lambda *xs, **attrs: xs, type=lambda *types, **attrs: types[0], names=(), outputs=0)
REVERSIBLE.reverse = _reverse
REVERSIBLE.vjp = []


class _Owned:
    """Every gradient that ``_reverse`` gives is the walk's to keep."""

    def __getitem__(self, i: int) -> bool:
        return True


REVERSIBLE.fresh = _Owned()

__all__ = ["coupled_run", "halves", "joined", "run", "same_draws", "tupled", "undone"]
