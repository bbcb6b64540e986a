"""The history of a compiled function's results: one Node, walked back by a second program or operation by operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff.trace import replay
from ..core import (
    FREED,
    MODE,
    Node,
    Op,
    apply,
    attach_outputs,
    describe,
    enable_grad,
    here,
    modified,
    wrap,
)
from ..tensor.backward import grad
from ..tensor.composed import ALIAS
from .eager_gate import Kernel, Unsuitable


def attach(entry: Any, outputs: list[Any], saved: list[Any], holders: list[Any], values: list[Any]) -> None:
    """Give the open results of a run their common history."""
    opened = [outputs[k] for k in entry.opened]
    inputs = tuple([holders[k]._node for k in entry.wanted])
    kept = [(a, t._s, t._s.version) for a, t in zip(values, holders, strict=True)]
    attrs = {"entry": entry}
    node = Node(COMPILED, inputs, attrs, (), _FLOAT, True, here(), (saved, kept), entry.opened_types, None)
    attach_outputs(node, opened)


_FLOAT = np.dtype(np.float32)


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
    again = []
    for k in range(len(kept)) if as_tensors else entry.kept:
        a, storage, version = kept[k]
        if storage.version != version and k not in entry.targeted:
            raise modified(node, kept[k], "an input")
        again.append(a)
    if as_tensors:
        return _recorded(node, gradients, saved, kept)
    if all(g is not None for g in gradients):
        return list(entry.back(*gradients, *saved, *again))
    given = [np.zeros(t.shape, t.dtype) if g is None else g for g, t in zip(gradients, node.types, strict=True)]
    missing = {k for k, g in enumerate(gradients) if g is None}
    found = entry.back(*given, *saved, *again)
    return [None if reads <= missing else r for r, reads in zip(found, _reads(entry), strict=True)]


def _reads(entry: Any) -> list[set[int]]:
    """Tell which results' gradients each gradient depends on: where none of them came, the walk does not go on."""
    graph, count = entry.halves.backward, len(entry.captured.upstream)
    if entry.reads is None:
        ups = {n: k for k, n in enumerate(graph.inputs[:count])}
        found: dict[Node, set[int]] = {n: {k} for n, k in ups.items()}
        for n in graph.nodes:
            if n.op is not None:
                found[n] = set().union(*[found.get(i, ()) for i in n.inputs])
        entry.reads = [found.get(o, set()) for o in graph.outputs]
    return entry.reads  # type: ignore[no-any-return]


def walking_back(entry: Any) -> Any:
    """Give a program that walks back as a function of arrays: by the gate where it is generated code from end to end."""
    program = entry.backward
    try:
        return Kernel(program)
    except Unsuitable:

        def run(*arrays: Any) -> Any:
            with entry.lock:
                return program([np.ascontiguousarray(a) for a in arrays])

        return run


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
    roots, given = [t for t, _ in pairs], [g for _, g in pairs]
    found = iter(grad(roots, live, given, retain_graph=True, create_graph=MODE.grad, allow_unused=True))
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


class _Always:
    """Says of each gradient that it is new."""

    def __getitem__(self, i: int) -> bool:
        return True


COMPILED = _op("compiled", "CompiledFunctionBackward", _walk_back, 0)
COMPILED.fresh = _Always()
SPENT = _op("compiled_step", "CompiledFunctionBackward", _gone, 1)


def spent(a: Any) -> Node:
    """Give the history of a result whose backward pass ran inside the program."""
    return Node(SPENT, (), {}, a.shape, a.dtype, True, None, FREED, None, None)
