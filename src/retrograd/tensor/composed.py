"""Composed functions recorded as one Node that carries its inner Graph: differentiated once per type, run as straight-line NumPy.

A composed function has no rules of its own. The third time it meets the same types, one run of it is traced together with its
backward walk, and two Python functions are written from the graph: results with what the backward needs, and gradients. Asked for
a derivative of a derivative, the Node unfolds into the nodes it stands for. See docs/decisions/0004-composed-functions.md.

Where the arrays are large and a type has come often enough to pay for it, the two functions are kernels of the compiler's.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff import pullback, pushforward
from ..autodiff.trace import Trace
from ..core import (
    FREED,
    MODE,
    BaseTensor,
    Graph,
    Node,
    Op,
    Storage,
    describe,
    here,
    large,
    meta,
    modified,
    quiet_off,
    quiet_on,
    reachable,
    refresh,
    wrap,
)
from ..core.door import _quiet
from ..core.node import backward_name, composition
from ..core.strides import laid, memory_order
from ..ops.batching import same
from ..ops.derive import CASES, linear
from .backward import grad
from .straight_line import write

WARM = 3  # calls with the same types before a program is made
MOST = 512  # programs kept for one function; after that, new types run as they are
WATCHERS: list[
    Any
] = []  # told by ``entered(fn, xs)`` and ``left(fn, result)`` of calls that run operation by operation
ALIAS = linear("alias", lambda x: x, type=lambda x: x, transpose=lambda g: g, samples=CASES[1], batch=same)


class Table:
    """The programs of one composed function, by the types and settings it was called with."""

    def __init__(self, fn: Callable[..., Any], most_bytes: int | None = None, keeps: bool = True) -> None:
        self.fn, self.keeps = fn, keeps
        self.most_bytes = most_bytes  # a program that would keep more than this for backward is not made
        self.programs: dict[Any, Any] = {}

    def find(self, xs: tuple[Any, ...]) -> tuple[Any, int]:
        """Give the program for these arguments, or None while there is none, and the mask of those that want gradients."""
        mode = MODE
        if mode.special:
            return None, 0
        key: list[Any] = []
        mask, bit = 0, 1
        for x in xs:
            if isinstance(x, BaseTensor):
                if x._base is not None and x._base._node is not x._seen:
                    refresh(x)
                a = x._a
                key.append(a.shape)
                key.append(a.dtype)
                if a.ndim > 1 and not a.flags.c_contiguous:
                    key.append(a.strides)
                node = x._node
                if node is not None and node.requires_grad:
                    mask |= bit
            else:
                key.append(x)
            bit <<= 1
        if not mode.grad:
            mask = 0
        key.append(mask)
        found = tuple(key)
        program = self.programs.get(found, 0)
        if program.__class__ is int:
            program = self._warm(found, program, xs, mask)
        if program is not None and program.calls_left and program.by_operation:
            program.counted()
            if program.native is None:
                program = None
        return program, mask

    def _warm(self, key: Any, seen: int, xs: tuple[Any, ...], mask: int) -> Any:
        if MODE.aside:
            return None
        if seen < WARM - 1:
            if len(self.programs) < MOST:
                self.programs[key] = seen + 1
            return None
        made: Any = Program(self.fn, xs, mask, self.keeps)
        if made.aliased or (self.most_bytes is not None and made.kept_bytes > self.most_bytes):
            made = None
        self.programs[key] = made
        return made


def _found(original: Any, table: Table, xs: tuple[Any, ...]) -> tuple[Any, int]:
    return (None, 0) if any(map(meta.is_meta, xs)) else original(table, xs)


meta.LATER.append(lambda: meta.guard(Table.find, _found))


def composed(label: str, keeps: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Record calls of a function of Tensors as one Node each, under the name that torch prints for it.

    The function takes Tensors and hashable settings by position and gives one Tensor. It must be a composition of operations
    whose course depends on types and settings only, without random draws, in-place writes to its arguments, or Tensors from
    elsewhere. It may give a tuple: what follows the first Tensor has no history, such as the statistics of a batch. With ``keeps``, its history may read any argument again, which may not be written to meanwhile; without, only those that
    a rule of one of its operations reads.
    """

    def make(fn: Callable[..., Any]) -> Callable[..., Any]:
        table = Table(fn, keeps=keeps)

        @functools.wraps(fn)
        def call(*xs: Any) -> Any:
            program, mask = table.find(xs)
            r = (_told(fn, xs) if WATCHERS else fn(*xs)) if program is None else program.run(xs, mask)
            node = (r[0] if r.__class__ is tuple else r)._node
            if node is not None:
                node.label = label if program is not None else composition(label, xs)
            return r

        return call

    return make


def _told(fn: Callable[..., Any], xs: tuple[Any, ...]) -> Any:
    """Run a composed function operation by operation, telling who watches where it begins and ends."""
    for watcher in WATCHERS:
        watcher.entered(fn, xs)
    r = None
    try:
        r = fn(*xs)
    finally:
        for watcher in WATCHERS:
            watcher.left(fn, r[0] if isinstance(r, tuple) else r)
    return r


class Program:
    """One composed function for one set of types: its graph, and the functions written from it."""

    def __init__(self, fn: Callable[..., Any], xs: tuple[Any, ...], mask: int, keeps: bool = True) -> None:
        self.name, self.keeps = fn.__name__.strip("_"), keeps
        self.tensors = [i for i, x in enumerate(xs) if isinstance(x, BaseTensor)]
        self.wanted = [i for i in self.tensors if mask >> i & 1]
        held = [wrap(x._a) if isinstance(x, BaseTensor) else x for x in xs]
        for i in self.wanted:
            held[i].requires_grad_()
        upstream = None
        with Trace([held[i] for i in self.tensors]) as trace:
            before = MODE.grad
            MODE.grad = bool(self.wanted)
            try:
                out, *asides = found if isinstance(found := fn(*held), tuple) else (found,)
                grads: list[Any] = []
                if self.wanted and out.requires_grad:
                    ones = np.ones(out._a.shape, out._a.dtype)
                    upstream = wrap(ones, Storage(ones))  # an input of the trace, not a constant
                    grads = list(
                        grad(out, [held[i] for i in self.wanted], upstream, retain_graph=True, allow_unused=True)
                    )
            finally:
                MODE.grad = before
            self.given = [trace.node_of(held[i]) for i in self.tensors]
            self.out: Node = trace.node_of(out)
            self.asides = [trace.node_of(t) for t in asides]  # results without a history
            self.grads = [None if g is None else trace.node_of(g) for g in grads]
            self.upstream = None if upstream is None else trace.node_of(upstream)
            graph, inputs, _ = trace.finish([out, *asides, *[g for g in grads if g is not None]])
        self.order = None if all(held[i]._a.flags.c_contiguous for i in self.tensors) else memory_order(out._a)
        self.constants = dict(graph.constants)
        known = set(self.given) | {self.upstream}
        for node, t in zip(graph.inputs, inputs, strict=True):
            if node not in known:
                self.constants[node] = t._a  # made inside the function, so the same at every call
        self.graph = Graph(tuple(self.given), (self.out,), self.constants)
        self.inner = [n for n in reachable([self.out]) if n.op is not None and n.requires_grad]
        self.saved = self._plan()
        # a result that is a view of an argument has to stay one, for writes in place to be seen on both sides
        self.aliased = any(np.may_share_memory(r._a, held[i]._a) for i in self.tensors for r in (out, *asides))
        self.kept_bytes = sum(n.type.nbytes for n in self.saved if n not in self.given)
        self.op = self._make_op(self._reverse)
        self.native_op = self.op
        self.forward, self.backward = write(self)
        self.native: Any = None  # the kernels that do the same
        self.calls_left = 0 if self.aliased else calls_before_kernels(self)  # 0: never
        # until there are kernels, operations that have kernels of their own go one by one: they give the bits that the pair will give
        self.by_operation = max((math.prod(n.shape) for n in self.inner), default=0) >= OF_ITS_OWN
        for node in reachable([self.out, *self.asides, *[g for g in self.grads if g is not None]]):
            node.saved, node.out = (), None  # the trial run's values are not needed any more

    def _plan(self) -> list[Node]:
        """Give the values that the inner nodes would save, in order."""
        kept: dict[Node, None] = {}
        for node in self.inner:
            for i, entry in enumerate(node.saved or ()):
                if entry is not None and node.inputs[i] not in self.constants:
                    kept[node.inputs[i]] = None
            if node.out is not None:
                kept[node] = None
        self.reads = {n: ([e is not None for e in n.saved or ()], n.out is not None, n.types) for n in self.inner}
        backward = reachable([g for g in self.grads if g is not None])
        late = _depends(backward, self.upstream)
        for node in backward:
            if node in late:
                for i in node.inputs:
                    if i not in late and i is not self.upstream and i not in self.constants:
                        kept[i] = None
        return list(kept)

    def _make_op(self, reverse: Any) -> Op:
        op = Op.__new__(Op)
        op.name, op.numpy, op.type, op.names = self.name, None, None, ()  # type: ignore[assignment]
        op.view, op.broadcasts, op.family, op.outputs, op.impure = False, False, "composed", 1, False
        op.lower = op.cost = op.domain = None
        op.samples, op.conjugates, op.vjp, op.jvp = (), False, [], None
        op.shown = backward_name(self.out) if self.out.op is not None else ""
        op.plans, op.quick, op.add_into, op.inline, op.fresh = {}, [], None, None, None
        op.reverse, op.forward, op.operands = reverse, self._push, tuple(self.tensors)
        return op

    def run(self, xs: tuple[Any, ...], mask: int) -> Any:
        """Compute the result, and record it as one node if a gradient is wanted."""
        if self.native is not None:
            t = self._run_native(xs, mask)
            if t is not None:
                return t
        else:
            self.counted()
        token = quiet_on(_quiet)
        try:
            made = self.forward(*[xs[i]._a for i in self.tensors])
        finally:
            quiet_off(token)
        first = 1 + len(self.asides)
        t = wrap(made[0] if self.order is None else laid(made[0], self.order))
        if mask and self.upstream is not None:
            a = t._a
            stores = [None if i is None else xs[i]._s for i in self.sources]
            saved = (made[first:], stores, [None if s is None else s.version for s in stores])
            inputs = tuple([x._node if mask >> i & 1 else None for i, x in enumerate(xs)])
            t._node = Node(self.op, inputs, {}, a.shape, a.dtype, True, here(2), saved, None, (a, t._s, 0))
        return t if first == 1 else (t, *map(wrap, made[1:first]))

    # -- kernels -----------------------------------------------------------------------------------------------------------
    def counted(self) -> None:
        """Count a call by NumPy, or operation by operation; the last one that does not pay for kernels makes them."""
        if self.calls_left and not MODE.aside:
            self.calls_left -= 1
            if not self.calls_left:
                self._compile()

    def _compile(self) -> None:
        compiler = importlib.import_module(f"{__package__.partition('.')[0]}.compiler.eager_composed")
        self.native = compiler.pair(
            self.given, (self.out, *self.asides), self.upstream, self.grads, self.constants, self.keeps, self.name
        )
        if self.native is not None and self.upstream is not None:
            self.native_op = self._make_op(self._reverse_native)
            fresh = dict(zip(self.wanted, self.native.fresh, strict=True))
            self.native_op.fresh = tuple(fresh.get(i, False) for i in range(max(self.tensors) + 1))

    def _run_native(self, xs: tuple[Any, ...], mask: int) -> Any:
        arrays = [xs[i]._a for i in self.tensors]
        try:
            made = self.native.forward(*arrays)
        except IndexError:  # NumPy's words for it
            return None
        t = wrap(made[0] if self.order is None else laid(made[0], self.order))
        if mask and self.upstream is not None:
            a = t._a
            stores = [xs[i]._s for i in self.tensors]
            saved = (made, arrays, stores, [s.version for s in stores])
            inputs = tuple([x._node if mask >> i & 1 else None for i, x in enumerate(xs)])
            t._node = Node(self.native_op, inputs, {}, a.shape, a.dtype, True, here(3), saved, None, (a, t._s, 0))
        return t if not self.asides else (t, *map(wrap, made[1 : 1 + len(self.asides)]))

    def _reverse_native(self, node: Node, g: Any, needs: list[bool], as_tensors: bool) -> list[Any]:
        _still_there(node)
        if as_tensors:
            return self._reverse(node, g, needs, True)
        made, arrays, stores, versions = node.saved
        for k in self.native.reads:
            if stores[k].version != versions[k]:
                raise modified(node, (arrays[k], stores[k], versions[k]), "an input")
        out = node.out
        if self.native.reads_out and out[1].version != out[2]:
            raise modified(node, out, "output 0")
        results: list[Any] = [None] * len(node.inputs)
        for i, r in zip(self.wanted, self.native.gradients(g, made, arrays), strict=True):
            results[i] = r
        return results

    def _values_again(self, node: Node) -> tuple[Any, Any]:
        """Compute what NumPy's forward function would have saved, and its result, from the arguments that were kept."""
        _, arrays, stores, versions = node.saved
        for entry in zip(arrays, stores, versions, strict=True):
            if entry[1].version != entry[2]:
                raise modified(node, entry, "an input")
        token = quiet_on(_quiet)
        try:
            made = self.forward(*arrays)
        finally:
            quiet_off(token)
        kept = dict(zip(self.tensors, zip(stores, versions, strict=True), strict=True))
        sources = [(None, None) if i is None else kept[i] for i in self.sources]
        return (made[1 + len(self.asides) :], [s for s, _ in sources], [v for _, v in sources]), (
            made[0],
            Storage(made[0]),
            0,
        )

    # -- backward ----------------------------------------------------------------------------------------------------------
    def _values(self, node: Node) -> tuple[Any, Any]:
        """Give what the node saved, unchanged since: (values, storages, versions), and its result."""
        _still_there(node)
        if node.op is not self.op:
            return self._values_again(node)
        values, stores, versions = node.saved
        for v, s, version in zip(values, stores, versions, strict=True):
            if s is not None and s.version != version:
                raise modified(node, (v, s, version), "an input")
        out = node.out
        if self.reads_out and out[1].version != out[2]:
            raise modified(node, out, "output 0")
        return node.saved, out

    def _reverse(self, node: Node, g: Any, needs: list[bool], as_tensors: bool) -> list[Any]:
        results: list[Any] = [None] * len(node.inputs)
        if not as_tensors:
            (values, _, _), _ = self._values(node)
            for i, r in zip(self.wanted, self.backward(g, *values), strict=True):
                results[i] = r
            return results
        root, aliases = self._unfold(node)
        live = [i for i in self.wanted if needs[i]]
        found = pullback([root], [g], retain=True, as_tensors=True, wanted=[aliases[i] for i in live])
        for i, r in zip(live, found, strict=True):
            results[i] = r
        return results

    def _push(self, node: Node, ts: list[Any], values: Any, out: Any) -> Any:
        root, aliases = self._unfold(node)
        pairs = [(aliases[i], ts[i]) for i in self.wanted if ts[i] is not None]
        return pushforward([root], [a for a, _ in pairs], [t for _, t in pairs])[0]

    def _unfold(self, node: Node) -> tuple[Node, dict[int, Node]]:
        """Make the nodes that this one stands for, with what they would have saved."""
        (values, stores, versions), out = self._values(node)
        held = {}
        for n, v, s, version in zip(self.saved, values, stores, versions, strict=True):
            v = v if isinstance(v, np.ndarray) else np.asarray(v)
            held[n] = (v, s, version) if s is not None else (v, Storage(v), 0)
        held[self.out] = out
        real: dict[Node, Any] = {}
        aliases: dict[int, Node] = {}
        for i, n in zip(self.tensors, self.given, strict=True):
            outer = node.inputs[i]
            if outer is not None:
                aliases[i] = real[n] = Node(ALIAS, (outer,), {}, n.shape, n.dtype, True, node.place, (), None, None)
        for n in self.inner:
            flags, reads_out, types = self.reads[n]
            saved = [
                None
                if not f
                else self.constants[i]
                if i in self.constants and not isinstance(self.constants[i], np.ndarray)
                else held[i]
                if i not in self.constants
                else (self.constants[i], Storage(self.constants[i]), 0)
                for f, i in zip(flags, n.inputs, strict=False)
            ]
            inputs = tuple(real.get(i) for i in n.inputs)
            real[n] = Node(
                n.op,
                inputs,
                n.attrs,
                n.shape,
                n.dtype,
                True,
                node.place,
                saved if any(flags) else (),
                types,
                held[n] if reads_out else None,
            )
        return real[self.out], aliases

    sources: list[int | None]  # for each saved value, the argument that it is, if it is one
    reads_out: bool


def _still_there(node: Node) -> None:
    if node.saved is FREED:
        raise RuntimeError(
            "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
            "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you "
            f"need to backward through the graph a second time or if you need to access saved tensors after calling backward. ({node.name()}, called at {describe(node.place)})"
        )


# What NumPy and the compiler take, in seconds, roughly: it decides when compiling has paid for itself, by sizes and counts alone
OF_ITS_OWN = large.LARGE  # elements from which single operations have kernels
LARGE = 1 << 12  # elements of the largest value, below which NumPy's calls are as quick
SUMS = {"sum", "mean", "amax", "amin", "sum_to", "matmul"}
EXACT = {
    "add",
    "sub",
    "mul",
    "div",
    "neg",
    "abs",
    "square",
    "reciprocal",
    "sqrt",
    "rsqrt",
    "maximum",
    "minimum",
    "relu",
}
PER_CALL, PER_BYTE, PER_DEAR_BYTE, PER_FLOP = 1e-6, 0.1e-9, 1e-9, 1e-11
TO_COMPILE, TO_COMPILE_NODE = 0.02, 1e-3
DEAR = {"erf", "erfc", "sigmoid", "softplus", "pow", "tanh", "log1p", "expm1", "gather", "embed"}


def calls_before_kernels(program: Program) -> int:
    """Say after how many calls NumPy has taken as long as compiling the two kernels would; 0 where they are not worth it."""
    nodes = [n for n in reachable([program.out, *[g for g in program.grads if g is not None]]) if n.op is not None]
    work = [n for n in nodes if not n.op.view]  # type: ignore[union-attr]
    # what has no sums is computed by NumPy until its operations have kernels of their own, whose bits are the pair's, unless NumPy's are too
    names = {n.op.name for n in work}  # type: ignore[union-attr]
    least = LARGE if names & SUMS or names <= EXACT else OF_ITS_OWN
    if max((math.prod(n.shape) for n in work), default=0) < least:
        return 0
    seconds = sum(_seconds(n) for n in work)
    return WARM + math.ceil((TO_COMPILE + TO_COMPILE_NODE * len(nodes)) / seconds)


def _seconds(n: Node) -> float:
    op: Any = n.op
    size: int = max([n.type.nbytes, *[i.type.nbytes for i in n.inputs]])
    flops: int = op.cost(*[i.type for i in n.inputs], **n.attrs) if op.family == "bilinear" and op.cost else 0
    return PER_CALL + size * (PER_DEAR_BYTE if op.name in DEAR else PER_BYTE) + flops * PER_FLOP


def _depends(order: list[Node], source: Node | None) -> set[Node]:
    """Give the nodes of a sorted list that depend on one."""
    found: set[Node] = {source} if source is not None else set()
    for n in order:
        if any(i in found for i in n.inputs):
            found.add(n)
    found.discard(source)
    return found


def unfold(node: Node) -> tuple[Node, dict[int, Node]] | None:
    """Give the nodes that a composed function's node stands for: the last one, and by input what takes the argument's place.

    None for a node of any other kind, which has nothing inside.
    """
    program = getattr(node.op.reverse, "__self__", None) if node.op is not None else None
    return program._unfold(node) if isinstance(program, Program) else None


__all__ = ["WATCHERS", "composed", "unfold"]
