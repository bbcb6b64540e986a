"""Capture: one real run of the user's function under a trace, and what of it has to be done again at each replay."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff import pullback
from ..autodiff.trace import Trace
from ..core import FREED, MODE, REGISTRY, BaseTensor, Graph, Node, Storage, apply, reachable, wrap
from ..core.node import leaf_node
from ..core.place import describe, here
from ..tensor.backward import grad
from ..tensor.composed import ALIAS
from ..tensor.tree import flatten, unflatten
from .numbers import Either, plain, present
from .reasons import Reasons
from .regions import computed_again
from .regions import run as run_region
from .stores import Unfit, taken_apart
from .trial import Trial

AFTER = REGISTRY["after"]


class Recorder(Trace):
    """A trace that notes what a graph could not do again: values that left it, and arrays from outside."""

    compiling = True

    def __init__(self, inputs: Any, leaves: Any, optimizers: Any, code: Any = None) -> None:
        super().__init__(inputs)
        self.regions: Any = []  # calls whose values a backward walk computes again; None while one runs
        self.walked: set[Node] = set()  # made in backward walks
        self.optimizers = list(optimizers)
        self.reasons = Reasons(code)
        self.draws: list[Node] = []
        self.drawn: Any = None  # the draws that those made now are again, in order; None for new ones
        self.gate: Node | None = None  # behind which they are
        self.instead: dict[Node, Node] = {}  # by a node that carries a history of its own: the one that has its value
        self.own: list[Any] = []  # leaves that were made in the run, weakly, with their nodes
        self.told: list[Any] = []  # tensors from outside that are to require gradients from now on
        self.unseen: str | None = None  # where a leaf was written through .data
        self.numbers: dict[int, Any] = {}  # plain numbers by identity, with those that remember how they came to be
        self.grads = {id(t): _weakly(t._grad) for t in leaves}  # those that the run drops are freed while it runs
        self.leaves = list(leaves)
        self.trial: Trial | None = None  # the backward walk that is made ahead of the program's
        self.asked_grads: dict[int, Any] = {}  # tensors from outside whose ``.grad`` was asked for or set
        self.outside: dict[int, tuple[Any, Node | None]] = {}  # the nodes that tensors from outside had, by identity

    def asked(self, tensor: Any, what: str) -> None:
        """Note that a value was asked for: the course of the run may depend on it."""
        if what == "bool" and any(tensor is t for o in self.optimizers for t in o._inputs.values()):
            return  # whether a group's number is zero is a guard
        where = describe(here())
        self.reasons.append(f"{what.removeprefix('shape of ')} asked for a value at {where}")

    def constant(self, value: Any) -> Node:
        """Give a node for a Python scalar: for one that changes from call to call, one that remembers."""
        found = self.numbers.get(id(value))
        node = super().constant(value)
        if found is not None and type(found[1]) is list:
            either = self.constants[node] = Either(value)
            either.candidates = list(found[1])
        elif found is not None:
            self.constants[node] = found[1]
        return node

    def remembered(self, value: Any) -> Any:
        """Give the number that a plain one was made of, which remembers: what a rule computes with it changes as it does."""
        found = self.numbers.get(id(value)) if value.__class__ is float else None
        return value if found is None else found[1]

    def node_of(self, tensor: Any) -> Node:
        """Give the node that stands for a tensor's value, and remember which it had before."""
        if tensor._node is None or tensor._node not in self.known:
            noted = self.outside.get(id(tensor))
            if noted is None or noted[0]() is not tensor:
                self.outside[id(tensor)] = weakref.ref(tensor), tensor._node
            if tensor.requires_grad and tensor.is_leaf and id(tensor) not in self.grads:  # of no module or optimizer
                self.grads[id(tensor)] = _weakly(tensor._grad)
                self.leaves.append(tensor)
            if self.trial is not None and tensor.requires_grad and tensor.is_leaf:
                self.trial.leaf(tensor)
        return super().node_of(tensor)

    def gradient(self, tensor: Any) -> None:
        """Note what ``.grad`` of a tensor from outside is before it changes."""
        made, node = self.created.get(id(tensor)), tensor._node
        if id(tensor) in self.asked_grads or (made is not None and made() is tensor):
            return
        if node is not None and node in self.known and id(tensor) not in self.outside:
            return  # made in the run
        self.asked_grads[id(tensor)] = tensor
        if id(tensor) not in self.grads:
            self.grads[id(tensor)] = _weakly(tensor._grad)
            self.leaves.append(tensor)

    def variable(self, tensor: Any) -> Node:
        """Give a tensor a node whose gradient goes to its ``.grad``, as a leaf's does."""
        before = self.node_of(tensor)
        outside = any(t is tensor for t, _ in self.inputs)
        if outside:
            self.reasons.append(f"a tensor from outside was told to require a gradient at {describe(here())}")
            self.told.append(tensor)
        node = super().variable(tensor)
        if not before.requires_grad:
            if not outside:
                self.own.append((weakref.ref(tensor), node))
            node.hook_table().retain = weakref.ref(tensor)
        return node

    def writing(self, tensor: Any, value: Any) -> None:
        """Note a write that history does not see."""
        base = tensor._base
        if base is not None and base._s is not tensor._s and base.requires_grad:
            old = base._node
            if any(n.requires_grad and old in n.inputs for n in self.known):  # a backward walk may read the old value
                self.unseen = describe(here())

    def walking(self) -> None:
        """Find that what a backward walk reads was overwritten unseen: the graph still has the old values."""
        if self.unseen is not None:
            self.reasons.append(f"a backward pass began after a write through .data at {self.unseen}")

    def beyond(self, node: Node, g: Any, leaf: Any) -> None:
        """Walk on, from a tensor that came with a history: eagerly, since no graph holds it."""
        before = next((self.outside[id(t)][1] for t, n in self.inputs if n is node and id(t) in self.outside), None)
        self.reasons.append(f"a backward pass went on into a history from outside at {describe(here())}")
        if before is not None:
            pullback([before], [g], retain=True, as_tensors=True, leaf=leaf)

    def drawing(self, generator: Any) -> None:
        """Let draws be drawn again."""

    def checkpointed(self, fn: Callable[[], Any]) -> Any:
        """Call a function whose values a backward walk is to compute again."""
        return run_region(self, fn)

    def made(self, tensor: Any) -> None:
        """Note a constant; one that shares an array from outside may change unseen."""
        base = tensor._a.base
        if (
            isinstance(base, np.ndarray)
            and not isinstance(base, np.memmap)
            and base.base is None
            and tensor._s.root is tensor._a
            and not (base.size == 1 and not tensor._a.flags.writeable)  # one number, repeated
        ):
            self.reasons.append(f"a tensor was made of a NumPy array at {describe(here())}")
        super().made(tensor)

    def add(self, node: Node, tensor: Any) -> None:
        """Note a node, and keep draws, which move a generator whether or not they are used."""
        super().add(node, tensor)
        if MODE.backward:
            self.walked.add(node)
        if node.op is not None and node.op.impure:
            if self.drawn is not None:
                self._drawn_again(node, tensor)
            else:
                self.draws.append(node)

    def _drawn_again(self, node: Node, tensor: Any) -> None:
        """Let a draw that was made before stand for one that was made again."""
        before = next(self.drawn, None)
        if before is None or tensor is None or before.op is not node.op or before.type != node.type:
            self.reasons.append(
                f"a block of a ReversibleSequence drew other numbers when it was computed back, at {describe(here())}"
            )
        elif self.gate is None:
            tensor._node = before
        else:
            behind = Node(AFTER, (before, self.gate), {}, node.shape, node.dtype, False, node.place, (), None, None)
            super().add(behind, None)
            tensor._node = behind


def _weakly(grad: Any) -> Any:
    """Give a reference that lets a gradient die, or None for none."""
    return None if grad is None else weakref.ref(grad)


def _is_still(grad: Any, noted: Any) -> bool:
    """Tell whether a gradient, or that there is none, is what was noted."""
    return noted is None if grad is None else noted is not None and noted() is grad


DETACHED: Any = object()  # a step of a view: the same values without history


def _views(results: list[Any], known: dict[int, Any]) -> dict[int, tuple[Any, Any]]:
    """Give the results that share memory with an input or with another result, each as steps from the tensor they are views of."""
    shared: dict[int, list[Any]] = {}
    for t in {id(t): t for t in (*known.values(), *results)}.values():
        shared.setdefault(id(t._s.root), []).append(t)
    found: dict[int, tuple[Any, Any]] = {}
    for t in results:
        others = shared[id(t._s.root)]
        if id(t) in known or id(t) in found or len(others) == 1:
            continue
        base = t._base
        cut = base is not None and any(op.name == "detach" for op, _ in t._steps)
        if base is not None and (cut or base.requires_grad is t.requires_grad):
            found[id(t)] = base, t._steps
        elif base is None and t._node is not None and not t.requires_grad:
            for u in others:
                same = u is not t and u._base is None and id(u) not in found
                if same and u._a.shape == t._a.shape and u._a.strides == t._a.strides and _start(u) == _start(t):
                    found[id(t)] = u, (DETACHED,)
                    break
    return found


def _start(t: Any) -> int:
    return int(t._a.__array_interface__["data"][0])


class Captured:
    """What one run came to.

    Attributes
    ----------
    graph : Graph
        Its outputs are the results, the new gradients, the written tensors' new values, and draws.
    inputs : list
        The tensors that were its inputs.
    reason : str or None
        Why it cannot be replayed.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        args: Any,
        kwargs: Any,
        given: list[Any],
        leaves: list[Any],
        optimizers: Any,
        stores: Any = None,
        known: Any = (),
        code: Any = None,
    ) -> None:
        self.reason: str | None = None
        self.stores, self.known = stores, known
        self._ups: list[Any] = []
        recorder = Recorder(given, leaves, optimizers, code)
        self.lines = recorder.reasons.lines  # of the function with this code, at which reasons came up
        before = MODE.grad
        with recorder:
            self.result = fn(*args, **kwargs)
            self._finish(recorder, given)
        self._without_memory()
        for p in self.places:
            p.note()
        for t in recorder.told:
            t._node = leaf_node(t)
        results = {id(t) for t in self.results}
        for t, node in [(t, n) for ref, n in recorder.own if (t := ref()) is not None and id(t) in results]:
            self.reason = self.reason or "a result is a leaf that was made in it"
            t._node = leaf_node(t)
            node.op, node.inputs, node.attrs, node.hooks = ALIAS, (t._node,), {}, None
        if MODE.grad != before:
            self.reason = "the function changed grad mode and left it so"

    def _finish(self, recorder: Recorder, given: list[Any]) -> None:
        try:
            leaves, self.structure = taken_apart(self.result, self.known)
        except Unfit as unfit:
            leaves, self.structure = flatten(self.result)
            recorder.reasons.append(f"it gives back {unfit}")
        self.places = self.stores.find() if self.stores is not None else []
        self.stores = self.known = None
        for p in self.places:
            p.first = len(leaves)
            kept, p.structure = flatten(p.now)
            leaves += kept
            p.count, p.now = len(kept), None
        self.results = leaves
        tensors = [t for t in leaves if isinstance(t, BaseTensor)]
        known = {id(t): t for t, _ in recorder.inputs}
        self.same = {id(t) for t in tensors if id(t) in known}  # results that are inputs themselves
        self.views = _views(tensors, known)
        computed = [self.views[id(t)][0] if id(t) in self.views else t for t in tensors]
        outputs = list({id(t): t for t in computed if id(t) not in known}.values())
        self.outputs = outputs
        self.requires = [t.requires_grad for t in outputs]
        if any(t._grad is not None for t in outputs):
            recorder.reasons.append("a result has a gradient of its own")
        self.new_grads: list[tuple[Any, Any]] = []  # leaves and the gradients that they ended with
        self.cleared: list[Any] = []
        seen = {id(t): t for t in recorder.leaves}
        for t, node in recorder.inputs:
            if node.requires_grad and node.op is None:
                seen.setdefault(id(t), t)
        for t in seen.values():
            g = t._grad
            if _is_still(g, recorder.grads.get(id(t), _weakly(g))) and not (
                g is not None and id(g) not in known and g._node in recorder.known
            ):
                continue
            if g is None:
                self.cleared.append(t)
            else:
                self.new_grads.append((t, g))
        noted_grads = [(t, found) for t in recorder.leaves if (found := recorder.grads[id(t)]) is not None]
        self.had_grads = {id(t) for t, _ in noted_grads}
        first: dict[int, Any] = {}  # leaves that had one gradient in common
        self.twins = [
            (first[id(g)], t) for t, f in noted_grads if (g := f()) is not None and first.setdefault(id(g), t) is not t
        ]
        changed = {id(t) for t, _ in self.new_grads}
        # whose gradients were looked at, and whether there were any
        self.looked_at = [(t, id(t) in self.had_grads) for t in recorder.asked_grads.values() if id(t) not in changed]
        self.old_grads = {id(g): t for t, found in noted_grads if (g := found()) is not None}
        everything = [*outputs, *[g for _, g in self.new_grads]]
        freed = [any(n.saved is FREED for n in reachable([t._node])) for t in outputs]
        self.open = [r and not f for r, f in zip(self.requires, freed, strict=True)]
        self.wanted: list[Any] = []  # tensors from outside whose gradients the open results can ask for
        self.upstream: list[Node] = []
        gradients: list[Any] = []
        if any(self.open):
            gradients = self._differentiate(recorder, [t for t, o in zip(outputs, self.open, strict=True) if o])
        graph, self.inputs, self.written = recorder.finish([*everything, *gradients])
        for region in recorder.regions:
            region.close()
        graph = computed_again(graph, recorder.regions, recorder.walked, recorder.silent, recorder.instead)
        extra = len(everything), len(everything) + len(gradients)
        found = graph.outputs
        self.gradients = found[extra[0] : extra[1]]
        graph = Graph(graph.inputs, (*found[: extra[0]], *found[extra[1] :]), graph.constants)
        self.inputs = [t for t in self.inputs if not any(t is u for u in self._ups)]
        for t in self.written:
            if t._node is not None and t._node.requires_grad and t._node.op is not None:
                self.reason = "a tensor from outside was written in place with history"
        for t in self.wanted:
            if t._node is None or not t._node.requires_grad:
                self.reason = "a tensor that wants a gradient lost its history"
        used = set(reachable(graph.outputs)) if recorder.draws else set()
        draws = [d for d in recorder.draws if d not in used]
        self.graph = Graph(graph.inputs, (*graph.outputs, *draws), graph.constants)
        self.draws = len(draws)
        if any(self.open) or any(n.attrs.get("stands") and n.requires_grad for _, n in recorder.inputs):
            self._separate(recorder)  # a view of what was given is not among the outputs, and has a history too
        self.silent = recorder.silent
        if recorder.reasons:
            self.reason = recorder.reasons[0]
        arrays = [t._a for t in self.inputs]
        for t in outputs:
            if any(np.may_share_memory(t._a, a) for a in arrays if a.size) and t._a.size:
                self.reason = self.reason or "a result is a view of a tensor from outside"
        roots: dict[int, int] = {}
        for t in self.inputs:
            roots[id(t._s.root)] = roots.get(id(t._s.root), 0) + 1
        for t in self.written:
            if roots[id(t._s.root)] > 1:
                self.reason = self.reason or "two tensors from outside share memory that was written"

        for i, t in enumerate(outputs):
            if t._a.size and any(np.may_share_memory(t._a, u._a) for u in outputs[:i] if u._a.size):
                self.reason = self.reason or "two results share memory"

    def _without_memory(self) -> None:
        """Let what this first run gives and keeps hold plain numbers."""
        leaves = [plain(x) for x in self.results]
        if any(a is not b for a, b in zip(leaves, self.results, strict=True)):
            self.result = unflatten(leaves, self.structure)
            for p in self.places:
                p.write(leaves)

    def settle(self) -> None:
        """Let the results' numbers be those of this run."""
        self.results = [plain(x) for x in self.results]

    def handed(self, stand: dict[int, Any]) -> list[Any]:
        """Give the results, from the tensors that stand for inputs and outputs: views of them are taken anew."""
        found = []
        for value in self.results:
            if isinstance(value, BaseTensor):
                source, steps = self.views.get(id(value), (value, ()))
                value = stand.get(id(source), source)
                for step in steps:
                    value = value.detach() if step is DETACHED else apply(step[0], value, **step[1])
            found.append(present(value))
        return found

    def deliver(self, stand: dict[int, Any]) -> Any:
        """Give the function's result, from the tensors that stand for inputs and outputs, and put what it keeps in its places."""
        found = self.handed(stand)
        for p in self.places:
            p.write(found)
        return unflatten(found, self.structure)

    def _separate(self, recorder: Recorder) -> None:
        """Give the results of this first run, which the user has now, histories of their own, and the graph other nodes."""
        new: dict[Node, Node] = {}
        stands: list[tuple[Node, Node]] = []
        for tensor, node in recorder.inputs:
            before = recorder.outside.get(id(tensor), (None, None))[1]
            if node.attrs.get("stands") and node.requires_grad and before is not None:
                new[node] = Node(None, (), node.attrs, node.shape, node.dtype, True, None, (), None, None)
                stands.append((node, before))
        outputs = (*self.graph.outputs, *self.gradients)
        for n in reachable((*self.graph.inputs, *outputs)):
            if n.op is None:
                new.setdefault(n, n)
            else:
                inputs = tuple([new[i] for i in n.inputs])
                new[n] = Node(n.op, inputs, n.attrs, n.shape, n.dtype, False, n.place, (), None, None)
                if (
                    n in recorder.silent and n.op.outputs == 1 and n.dtype.kind in "fcV"
                ):  # for derivatives of derivatives
                    new[n] = Node(REGISTRY["detach"], (new[n],), {}, n.shape, n.dtype, False, n.place, (), None, None)
        found = tuple([new[n] for n in outputs])
        count = len(self.graph.outputs)
        self.gradients = found[count:]
        self.graph = Graph(tuple([new[n] for n in self.graph.inputs]), found[:count], self.graph.constants)
        for node, before in stands:
            node.op, node.inputs, node.attrs = ALIAS, (before,), {}

    def promote(self, as_inputs: Any) -> list[tuple[Any, Any]]:
        """Make inputs of numbers that changed; give their arrays with the functions that compute them."""
        count = len(self.graph.outputs)
        joint = Graph(self.graph.inputs, (*self.graph.outputs, *self.gradients), self.graph.constants)
        made, computes = as_inputs(joint)
        self.graph = Graph(made.inputs, made.outputs[:count], made.constants)
        self.gradients = made.outputs[count:]
        arrays = [np.zeros((), n.dtype) for n, _ in computes]
        self.inputs += [wrap(a) for a in arrays]
        return [(a, compute) for a, (_, compute) in zip(arrays, computes, strict=True)]

    def _differentiate(self, recorder: Recorder, results: list[Any]) -> list[Any]:
        """Walk back from the open results to every tensor from outside that wants a gradient, under the same trace."""
        arrays = [np.ones(t._a.shape, t._a.dtype) for t in results]
        self._ups = [
            wrap(a, Storage(a)) for a in arrays
        ]  # with storages of their own: inputs of the graph, not constants
        self.upstream = [recorder.node_of(u) for u in self._ups]
        candidates = [t for t, n in recorder.inputs if n.requires_grad]
        if any(n.hooks is not None and n.hooks.registered for _, n in recorder.inputs):
            recorder.reasons.append("a tensor has hooks that the backward pass outside has to call")
            return []
        found: Any = ()
        with Trial(recorder, results):
            if candidates:
                found = grad(results, candidates, self._ups, retain_graph=True, allow_unused=True)
        if len(found) < len(candidates):
            return []
        pairs = [(t, g) for t, g in zip(candidates, found, strict=True) if g is not None]
        self.wanted = [t for t, _ in pairs]
        return [g for _, g in pairs]
