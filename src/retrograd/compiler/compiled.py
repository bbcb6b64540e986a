"""Compiled functions and modules: which program serves a call, what is compared before it runs, and what it hands back."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff.trace import replay
from ..core import (
    FREED,
    MODE,
    BaseTensor,
    Graph,
    Node,
    Op,
    apply,
    attach_outputs,
    describe,
    enable_grad,
    here,
    modified,
    reachable,
    refresh,
    typeof,
    wrap,
)
from ..core.node import Hooks
from ..tensor.backward import grad
from ..tensor.composed import ALIAS
from ..tensor.tree import flatten, unflatten
from .capture import Captured
from .fast import MISSED, fast
from .guards import PLAIN, Guards, Unguardable
from .numbers import Promotion, as_inputs, settle
from .passes import optimise
from .program import HIDDEN, Program
from .split import Halves
from .watch import Watch

MOST_PROGRAMS = 8
STRICT = False  # tests: raise the compiler's own errors
WARMING = 1  # eager calls of one kind before a run is traced: optimizers make their state in the first


class Entry:
    """One program of a function: what it was captured from, its guards, and how it is run."""

    lock: Any
    raw: Graph  # as it was captured
    ledger: Any = None  # where numbers that are inputs are kept
    numbers: Any = ()
    scalars: dict[int, float]  # the numbers among the arguments that are not inputs

    def __init__(self, captured: Captured, guards: Guards, given: list[Any]) -> None:
        self.captured = captured
        self.guards = guards
        self.check = guards.check()
        position = {id(t): i for i, t in enumerate(given)}
        places = {id(t): k for k, t in enumerate(captured.inputs)}
        self.targets: list[Any] = [None] * (len(captured.outputs) + len(captured.new_grads))
        self.targets += [places[id(t)] for t in captured.written] + [HIDDEN] * captured.draws
        self.halves: Halves | None = None
        if captured.gradients:
            self._halve()
        else:
            self.program = Program(captured.graph, self.targets)
        self.sources: list[tuple[str, Any]] = []
        for t in captured.inputs:
            if id(t) in position:
                self.sources.append(("given", position[id(t)]))
            elif id(t) in captured.old_grads:
                self.sources.append(("grad", captured.old_grads[id(t)]))
            else:
                self.sources.append(("held", t))
        self.hooks = Hooks.changes
        self.hooked = [_hooks(t) for t in captured.inputs]
        self.held_types = [(t._a.shape, t._a.dtype, _wants(t)) for t in captured.inputs]
        old = {id(p) for p in captured.old_grads.values()}
        self.grads_were = [(t, id(t) in old) for t, _ in captured.new_grads]
        self.written_roots = {
            id(captured.inputs[k]._s) for k in self.targets if isinstance(k, int) and self.sources[k][0] != "given"
        }
        self.wanted = [places[id(t)] for t in captured.wanted]
        self.given = given
        self.fast = fast(self, _spent)

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
        written = {inputs[k] for k in self.targets if isinstance(k, int)}
        self.halves = Halves(joint, count, ups, written)
        self.program = Program(self.halves.forward, [*self.targets, *[None] * len(self.halves.saved)], optimised=True)
        self.backward = Program(self.halves.backward, optimised=True)
        self.kept = [inputs.index(n) for n in self.halves.kept]

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
        if not self.check():
            return False
        if Hooks.changes != self.hooks:
            holders = [given[source] if kind == "given" else source for kind, source in self.sources]
            if [_hooks(t) for t in holders] != self.hooked:
                return False
            self.hooks = Hooks.changes
        for t, was in self.grads_were:
            if (t._grad is not None) is not was:
                return False
        for (kind, t), (shape, dtype, wants) in zip(self.sources, self.held_types, strict=True):
            if kind == "held":
                a = t._a
                if a.shape != shape or a.dtype != dtype or _wants(t) is not wants:
                    return False
            elif kind == "grad" and (t._grad is None or t._grad._a.shape != shape):
                return False
        return not any(id(t._s) in self.written_roots for t in given)

    def refresh(self) -> None:
        """Write the present numbers into the inputs that stand for them."""
        for optimizer in self.guards.optimizers:
            optimizer.refresh_inputs()
        if self.numbers:
            values = self.ledger.read()
            for a, compute in self.numbers:
                a[...] = compute(*values)

    def run(self, given: list[Any]) -> Any:
        """Run the program and hand its results to their places."""
        captured = self.captured
        self.refresh()
        holders: list[Any] = []
        for kind, source in self.sources:
            t = given[source] if kind == "given" else source._grad if kind == "grad" else source
            if t._base is not None and t._base._node is not t._seen:
                refresh(t)
            holders.append(t)
        values = [t._a if t._a.flags.c_contiguous else np.ascontiguousarray(t._a) for t in holders]
        found = self.program(values)
        for k in {k for k in self.targets if isinstance(k, int)}:
            t = holders[k]
            t._s.version += 1
            if values[k] is not t._a:
                np.copyto(t._a, values[k])
        count = len(captured.outputs)
        for (t, _), a in zip(captured.new_grads, found[count : count + len(captured.new_grads)], strict=True):
            t._grad = wrap(a)
        for t in captured.cleared:
            t._grad = None
        outputs = [wrap(a) for a in found[:count]]
        for t, requires, is_open in zip(outputs, captured.requires, captured.open, strict=True):
            if requires and not is_open:
                t._node = _spent(t._a)
        if self.halves is not None:
            self._attach(outputs, found[len(found) - len(self.halves.saved) :], holders, values)
        stand = {id(t): h for t, h in zip(captured.inputs, holders)}  # numbers that became inputs come last
        stand.update({id(t): made for t, made in zip(captured.outputs, outputs, strict=True)})
        leaves = []
        for value in captured.results:
            if not isinstance(value, BaseTensor):
                leaves.append(value)
            else:
                leaves.append(stand[id(value)])
        return unflatten(leaves, captured.structure)

    def _attach(self, outputs: list[Any], saved: list[Any], holders: list[Any], values: list[Any]) -> None:
        """Give the open results their common history."""
        opened = [t for t, o in zip(outputs, self.captured.open, strict=True) if o]
        inputs = tuple(holders[k]._node for k in self.wanted)
        kept = [(values[k], holders[k]._s, holders[k]._s.version) for k in range(len(holders))]
        types = [typeof(t) for t in opened]
        node = Node(
            COMPILED, inputs, {"entry": self}, (), np.dtype(np.float32), True, here(), (saved, kept), types, None
        )
        attach_outputs(node, opened)


def _hooks(t: Any) -> tuple[int, ...]:
    """Give the numbers of the hooks on a leaf; those of other tensors are in their histories."""
    node = t._node
    found: tuple[int, ...] = () if node is None or node.op is not None or node.hooks is None else node.hooks.registered
    return found


def _wants(t: Any) -> bool:
    return t._node is not None and t._node.requires_grad


def _saved(node: Any) -> Any:
    if node.saved is FREED:
        raise RuntimeError(
            "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
            "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
            "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
            f"after calling backward. (a compiled function, called at {describe(node.place)})"
        )
    return node.saved


def _walk_back(node: Any, gradients: Any, needs: Any, as_tensors: bool) -> list[Any]:
    """Give the gradients of a compiled function's inputs: by its second program, or recorded, operation by operation."""
    entry = node.attrs["entry"]
    saved, kept = _saved(node)
    for k in (*entry.kept, *(range(len(kept)) if as_tensors else ())):
        a, storage, version = kept[k]
        if storage.version != version and k not in {t for t in entry.targets if isinstance(t, int)}:
            raise modified(node, kept[k], "an input")
    if as_tensors:
        return _recorded(node, gradients, saved, kept)
    given = [
        np.zeros(t.shape, t.dtype) if g is None else np.ascontiguousarray(g)
        for g, t in zip(gradients, node.types, strict=True)
    ]
    with entry.lock:
        return list(entry.backward([*given, *saved, *[kept[k][0] for k in entry.kept]]))


def _recorded(node: Any, gradients: Any, saved: list[Any], kept: list[Any]) -> list[Any]:
    entry = node.attrs["entry"]
    graph = entry.unread
    for k in entry.overwritten:
        raise modified(node, kept[k], "an input")
    tensors = [wrap(a) for a, _, _ in kept]
    aliases = []
    for k, outer in zip(entry.wanted, node.inputs, strict=True):
        t = tensors[k]
        if outer is not None:
            t._node = Node(ALIAS, (outer,), {}, t._a.shape, t._a.dtype, True, node.place, (), None, None)
        aliases.append(t)
    values = dict(zip(entry.halves.saved, saved, strict=True))

    def step(n: Node, xs: list[Any]) -> Any:
        if n.op.impure:  # type: ignore[union-attr]
            return wrap(values[entry.drawn[n]])
        return apply(n.op, *[wrap(x) if isinstance(x, np.ndarray) else x for x in xs], **n.attrs)  # type: ignore[arg-type]

    with enable_grad():
        results = replay(graph, tensors, step)
    opened = [t for t, o in zip(results, entry.captured.open, strict=True) if o]
    pairs = [(t, g) for t, g in zip(opened, gradients, strict=True) if g is not None]
    live = [t for t, outer in zip(aliases, node.inputs, strict=True) if outer is not None]
    found = iter(grad([t for t, _ in pairs], live, [g for _, g in pairs], create_graph=True, allow_unused=True))
    return [None if outer is None else next(found) for outer in node.inputs]


def _op(name: str, shown: str, reverse: Any, outputs: int) -> Op:
    op = Op.__new__(Op)
    op.name, op.view, op.broadcasts, op.family, op.outputs, op.impure = name, False, False, "composed", outputs, False
    op.names, op.shown, op.vjp, op.jvp, op.conjugates = (), shown, [], None, False
    op.plans, op.quick, op.add_into, op.inline, op.fresh = {}, [], None, None, None
    op.reverse, op.forward = reverse, None
    return op


def _gone(node: Any, g: Any, needs: Any, as_tensors: bool) -> Any:
    raise RuntimeError(
        "Trying to backward through the graph a second time: backward() was already called inside the compiled function "
        "that gave this result"
    )


COMPILED = _op("compiled", "CompiledFunctionBackward", _walk_back, 0)
SPENT = _op("compiled_step", "CompiledFunctionBackward", _gone, 1)


def _spent(a: Any) -> Node:
    """Give the history of a result whose backward pass ran inside the program."""
    return Node(SPENT, (), {}, a.shape, a.dtype, True, None, FREED, None, None)


class Compiled:
    """A function that runs as machine code once it is warm.

    Parameters
    ----------
    fn : callable
    fullgraph : bool
        Raise RuntimeError where a call cannot be compiled, instead of running it eagerly with a warning.
    name : str
        What messages call it.
    """

    is_compiled = True

    def __init__(self, fn: Callable[..., Any], fullgraph: bool = False, name: str = "") -> None:
        self.fn, self.fullgraph = fn, fullgraph
        self.name = name or getattr(fn, "__qualname__", type(fn).__name__)
        self.entries: dict[Any, list[Entry]] = {}
        self.watches: dict[Any, list[Watch]] = {}
        self.eager: dict[Any, str] = {}
        self.made = 0
        self.lock = threading.RLock()
        self.warned = False
        self.quick: Any = None  # the way into the program that served the last call
        functools.update_wrapper(self, fn, updated=())

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else functools.partial(self, owner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        mode = MODE
        quick = self.quick
        if (
            quick is not None
            and not kwargs
            and not mode.special
            and mode.grad is quick.grad
            and len(args) == quick.given
        ):
            with self.lock:
                try:
                    result = quick.call(args)
                except Exception:
                    return self._failed(quick.entry, args, kwargs)
            if result is not MISSED:
                return result
        if mode.special:  # inside another trace, an observer, forward or anomaly mode
            return self.fn(*args, **kwargs)
        leaves, structure = flatten((args, kwargs))
        given = [x for x in leaves if isinstance(x, BaseTensor)]
        key = self._key(leaves, structure)
        if key is None or key in self.eager:
            return self.fn(*args, **kwargs)
        with self.lock:
            for entry in self.entries.get(key, ()):
                if entry.takes(leaves) and entry.fits(given):
                    try:
                        result = entry.run(given)
                    except Exception:
                        return self._failed(entry, args, kwargs)
                    if entry.fast is not None:
                        entry.fast.arm()
                        flat = structure[2][0][2] == [None] * len(args) and len(given) == len(leaves) and not kwargs
                        self.quick = entry.fast if flat else None
                    return result
            return self._new(key, leaves, structure, given)

    # whatever a program raises, such as an index out of range, is left to the eager function to raise in its own words
    def _failed(self, entry: Entry, args: Any, kwargs: Any) -> Any:
        """Raise what the eager function raises, by running it, if the program has changed nothing yet."""
        if entry.program.repeatable:
            return self.fn(*args, **kwargs)
        raise

    def _key(self, leaves: list[Any], structure: Any) -> Any:
        """Give what tells calls of different programs apart, or None for a call that has to run as it is."""
        key: list[Any] = [MODE.grad, repr(structure)]
        seen: dict[int, int] = {}  # the same tensor, or tensors of one memory, in two places are a case of their own
        for x in leaves:
            if isinstance(x, BaseTensor):
                a = x._a
                node = x._node
                for part in (x, x._s.root):
                    if seen.setdefault(id(part), len(key)) != len(key):
                        key.append(("again", seen[id(part)]))
                key.append(
                    (
                        a.shape,
                        a.dtype.str,
                        type(x),
                        node is not None and node.requires_grad,
                        node is None or node.op is None,
                    )
                )
            elif type(x) is float:
                key.append(float)  # what it is, each program knows
            elif isinstance(x, PLAIN):
                key.append((type(x), x))
            else:
                key.append((type(x), id(x)))
        try:
            hash(made := tuple(key))
        except TypeError:
            return None
        return made

    # -- a call that no program serves yet ---------------------------------------------------------------------------------
    def _new(self, key: Any, leaves: list[Any], structure: Any, given: list[Any]) -> Any:
        args, kwargs = unflatten(leaves, structure)
        if sys.getprofile() is not None:  # somebody else watches every call; compile when they are done
            return self.fn(*args, **kwargs)
        watches = self.watches.setdefault(key, [])
        if len(watches) < WARMING or self.made >= MOST_PROGRAMS:
            if self.made >= MOST_PROGRAMS:
                self._give_up(key, f"it was compiled {MOST_PROGRAMS} times already, for different shapes or values")
                return self.fn(*args, **kwargs)
            watch = Watch()
            with watch:
                result = self.fn(*args, **kwargs)
            watches.append(watch)
            return result
        watch = watches[0]
        try:
            guards = Guards(watch, [self.fn, *[x for x in leaves if not isinstance(x, BaseTensor)]])
        except Unguardable as error:
            self._give_up(key, str(error))
            return self.fn(*args, **kwargs)
        parameters: dict[int, Any] = {id(t): t for t in given if t.requires_grad and t.is_leaf}
        for module in guards.modules:
            for p in module.__dict__.get("_parameters", {}).values():
                if p is not None:
                    parameters[id(p)] = p
        for optimizer in guards.optimizers:
            for group in optimizer.param_groups:
                parameters.update({id(p): p for p in group["params"]})
        second = Watch()
        former = next(iter(self.entries.get(key, ())), None)
        promotion = None if former is None else Promotion(former, leaves)
        with promotion or contextlib.nullcontext(), second:
            if promotion:
                args, kwargs = unflatten(promotion.ledger.arguments, structure)
            captured = Captured(self.fn, args, kwargs, given, list(parameters.values()), guards.optimizers)
        reason = captured.reason or next(iter(watch.impure + second.impure), None)
        changed = guards.changed()
        fresh = set(second.codes) - set(watch.codes)
        if reason is None and (fresh or changed is not None):
            watch.codes.update(second.codes)  # it took another way, or made something that it keeps: look once more
            watch.objects.update(second.objects)
            if len(watches) > 3:
                reason = f"{changed} was changed during the call" if changed else "its course differs from call to call"
            else:
                watches.append(watch)
                return captured.result
        if reason is not None:
            self._give_up(key, reason)
            return captured.result
        numbers: Any = []
        raw = captured.graph
        if promotion and not second.flattened and promotion.succeeds(raw):
            promotion.release(guards)
            numbers = captured.promote(as_inputs)
        else:
            promotion = None
            settle(raw)
        try:
            entry = Entry(captured, guards, given)
        except Exception as error:
            if STRICT:
                raise
            self._give_up(key, f"the compiler failed ({type(error).__name__}: {error}); please report it")
            return captured.result
        entry.lock, entry.raw = self.lock, raw
        entry.scalars = {i: x for i, x in enumerate(leaves) if type(x) is float}
        if promotion and former:
            for _, holder, i, _ in promotion.ledger.places:
                if holder is promotion.ledger.arguments:
                    del entry.scalars[i]
            entry.ledger, entry.numbers = promotion.ledger, numbers
            self.entries[key].remove(former)  # whose numbers this program takes too
        self.entries.setdefault(key, []).insert(0, entry)
        self.made += 1
        return captured.result

    def explain(
        self, *, graph: bool = False, guards: bool = False, ir: bool = False, assembly: bool = False, rounds: int = 20
    ) -> Any:
        """Tell what the function has become: see :func:`retrograd.compiler.explain.explain`."""
        from .explain import explain

        return explain(self, graph=graph, guards=guards, ir=ir, assembly=assembly, rounds=rounds)

    def _give_up(self, key: Any, reason: str) -> None:
        self.eager[key] = reason
        message = f"{self.name} runs eagerly, not compiled: {reason}"
        if self.fullgraph:
            raise RuntimeError(message)
        if not self.warned:
            self.warned = True
            warnings.warn(message, UserWarning, stacklevel=4)


def compile_function(fn: Callable[..., Any], fullgraph: bool = False) -> Compiled:
    """Give the compiled form of a function."""
    return Compiled(fn, fullgraph)


__all__ = ["Compiled", "compile_function"]
