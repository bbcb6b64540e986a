"""Capture: one real run of the user's function under a trace, and what of it has to be done again at each replay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff.trace import Trace
from ..core import FREED, MODE, BaseTensor, Graph, Node, Storage, reachable, wrap
from ..core.place import describe, here
from ..tensor.backward import grad
from ..tensor.tree import flatten


class Recorder(Trace):
    """A trace that notes what a graph could not do again: values that left it, and arrays from outside."""

    compiling = True

    def __init__(self, inputs: Any, leaves: Any, optimizers: Any) -> None:
        super().__init__(inputs)
        self.optimizers = list(optimizers)
        self.reasons: list[str] = []
        self.draws: list[Node] = []
        self.grads = {id(t): t._grad for t in leaves}
        self.leaves = list(leaves)

    def asked(self, tensor: Any, what: str) -> None:
        """Note that a value was asked for: the course of the run may depend on it."""
        if what == "bool" and any(tensor is t for o in self.optimizers for t in o._inputs.values()):
            return  # whether a group's number is zero is a guard
        where = describe(here())
        self.reasons.append(f"{what.removeprefix('shape of ')} asked for a value at {where}")

    def drawing(self, generator: Any) -> None:
        """Let draws be drawn again."""

    def made(self, tensor: Any) -> None:
        """Note a constant; one that shares an array from outside may change unseen."""
        base = tensor._a.base
        if isinstance(base, np.ndarray) and not isinstance(base, np.memmap) and base.base is None and tensor._s.root is tensor._a:
            self.reasons.append(f"a tensor was made of a NumPy array at {describe(here())}")
        super().made(tensor)

    def add(self, node: Node, tensor: Any) -> None:
        """Note a node, and keep draws, which move a generator whether or not they are used."""
        super().add(node, tensor)
        if node.op is not None and node.op.impure:
            self.draws.append(node)


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
        self, fn: Callable[..., Any], args: Any, kwargs: Any, given: list[Any], leaves: list[Any], optimizers: Any
    ) -> None:
        self.reason: str | None = None
        self._ups: list[Any] = []
        recorder = Recorder(given, leaves, optimizers)
        before = MODE.grad
        with recorder:
            self.result = fn(*args, **kwargs)
            self._finish(recorder, given)
        if MODE.grad != before:
            self.reason = "the function changed grad mode and left it so"

    def _finish(self, recorder: Recorder, given: list[Any]) -> None:
        leaves, self.structure = flatten(self.result)
        self.results = leaves
        tensors = [t for t in leaves if isinstance(t, BaseTensor)]
        known = {id(t) for t, _ in recorder.inputs}
        self.same = {id(t) for t in tensors if id(t) in known}  # results that are inputs themselves
        outputs = [t for t in tensors if id(t) not in self.same]
        self.outputs = outputs
        self.requires = [t.requires_grad for t in outputs]
        self.new_grads: list[tuple[Any, Any]] = []  # leaves and the gradients that they ended with
        self.cleared: list[Any] = []
        seen = {id(t): t for t in recorder.leaves}
        for t, node in recorder.inputs:
            if node.requires_grad and node.op is None:
                seen.setdefault(id(t), t)
        for t in seen.values():
            g = t._grad
            if g is recorder.grads.get(id(t), g) and not (g is not None and id(g) not in known and g._node in recorder.known):
                continue
            if g is None:
                self.cleared.append(t)
            else:
                self.new_grads.append((t, g))
        self.old_grads = {id(g): recorder_leaf for recorder_leaf in recorder.leaves if (g := recorder.grads[id(recorder_leaf)]) is not None}
        everything = [*outputs, *[g for _, g in self.new_grads]]
        freed = [any(n.saved is FREED for n in reachable([t._node])) for t in outputs]
        self.open = [r and not f for r, f in zip(self.requires, freed, strict=True)]
        self.wanted: list[Any] = []  # tensors from outside whose gradients the open results can ask for
        self.upstream: list[Node] = []
        gradients: list[Any] = []
        if any(self.open):
            gradients = self._differentiate(recorder, [t for t, o in zip(outputs, self.open, strict=True) if o])
        graph, self.inputs, self.written = recorder.finish([*everything, *gradients])
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
        draws = [d for d in recorder.draws if d not in set(reachable(graph.outputs))]
        self.graph = Graph(graph.inputs, (*graph.outputs, *draws), graph.constants)
        self.draws = len(draws)
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

    def _differentiate(self, recorder: Recorder, results: list[Any]) -> list[Any]:
        """Walk back from the open results to every tensor from outside that wants a gradient, under the same trace."""
        arrays = [np.ones(t._a.shape, t._a.dtype) for t in results]
        self._ups = [wrap(a, Storage(a)) for a in arrays]  # with storages of their own: inputs of the graph, not constants
        self.upstream = [recorder.node_of(u) for u in self._ups]
        candidates = [t for t, n in recorder.inputs if n.requires_grad]
        found = grad(results, candidates, self._ups, retain_graph=True, allow_unused=True) if candidates else ()
        pairs = [(t, g) for t, g in zip(candidates, found, strict=True) if g is not None]
        self.wanted = [t for t, _ in pairs]
        return [g for _, g in pairs]
