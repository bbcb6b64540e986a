"""The chain rule walked backward over the nodes: pullback from results to leaves."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from ..core import (
    FREED,
    MODE,
    PICK,
    MetaArray,
    Node,
    blank,
    modified,
    quiet_off,
    quiet_on,
    reachable,
)
from ..core.door import _quiet
from ..core.kept import freed
from ..core.large import add_into
from ..core.rows import SparseArray
from ..ops.elementwise import add
from .carriers import Arrays, Tensors
from .hooks import run_after, run_before, run_hooks

_ndarray = np.ndarray


def on_the_way(roots: Sequence[Node], wanted: Sequence[Node]) -> set[Node]:
    """Give the nodes through which the roots depend on the wanted nodes."""
    targets = set(wanted)
    found: set[Node] = set()
    for node in reachable(roots):
        if node in targets or any(i is not None and i in found for i in node.inputs):
            found.add(node)
    return found


def will_reach(nodes: Sequence[Node]) -> int:
    """Count how many of the nodes the backward walk that is running comes to."""
    roots, path, _ = MODE.walk
    reached = set(reachable(roots)) if path is None else path
    return sum(node in reached for node in nodes)


def pullback(
    roots: Sequence[Node],
    seeds: Sequence[Any],
    *,
    retain: bool,
    as_tensors: bool,
    wanted: Sequence[Node] | None = None,
    leaf: Any = None,
) -> list[Any]:
    """Walk from the roots back, multiplying upstream gradients with local derivatives.

    Parameters
    ----------
    roots, seeds
        Nodes and their gradients (arrays, or Tensors when ``as_tensors``).
    retain
        Keep what the nodes saved, for another walk.
    as_tensors
        Run the rules on Tensors, so that the walk is itself recorded.
    wanted
        Nodes whose gradients are returned; only what leads to them is walked. None: walk to every leaf.
    leaf
        Called with (node, gradient, owned) at each leaf when ``wanted`` is None, and at wanted leaves otherwise.
    """
    mode: Any = Tensors if as_tensors else Arrays
    path = None if wanted is None else on_the_way(roots, wanted)
    captured: dict[Node, Any] = {}
    targets = frozenset() if wanted is None else frozenset(wanted)
    pending: dict[int, Any] = {}
    heap: list[int] = []
    anomaly = MODE.anomaly
    token = quiet_on(_quiet)
    MODE.backward += 1
    outer, MODE.walk = MODE.walk, (roots, path, as_tensors)
    saving = MODE.saving
    try:
        for root, seed in zip(roots, seeds, strict=True):
            if path is None or root in path:
                _arrive(pending, heap, root, seed, False, as_tensors)
        plain = not as_tensors and path is None and anomaly is None
        while heap:
            node, g, owned = pending.pop(-heappop(heap))
            hooks = node.hooks
            if plain and hooks is None and node.op is not PICK:
                _step(pending, heap, node, g, leaf, retain)
                g = None
                continue
            if hooks is not None:
                g, owned = run_hooks(hooks, node, g, owned, as_tensors)
            op = node.op
            if node in targets:
                if not as_tensors and g.__class__ is _ndarray and not g.flags.writeable:
                    g = g.copy()
                captured[node] = g
                owned = False
                if node.op is not None and not any(n is not None and n in path for n in node.inputs):  # type: ignore[operator]
                    if leaf is not None and hooks is not None and hooks.pre:
                        run_before(hooks, node, g, as_tensors)  # which see it, although nothing below it is wanted
                    continue
                if node.op is None and leaf is None:
                    continue  # nothing is added to it, so that its node's own hooks have nothing to see
            if hooks is not None and hooks.pre:
                g, owned = run_before(hooks, node, g, as_tensors), False
            if op is None:
                if leaf is not None:
                    leaf(node, g, owned)
                    if hooks is not None and hooks.post:
                        run_after(hooks, node, [], g, as_tensors)
                continue
            if op is PICK:
                _arrive_picked(pending, heap, node, g, as_tensors)
                continue
            watched = anomaly is not None or (hooks is not None and bool(hooks.post))
            results = _pulled(pending, heap, node, g, path, mode, watched)
            if watched:
                if hooks is not None and hooks.post:
                    results = run_after(hooks, node, results, g, as_tensors)
                if anomaly is not None:
                    for i, (_, r, _) in enumerate(results):
                        if r is not None:
                            anomaly.walked(node, i, r)
            for n, r, fresh in results:
                if r is not None:
                    _arrive(pending, heap, n, r, fresh, as_tensors)
            g = r = None
            results = []
            if not retain and (node.saved or node.out is not None):
                node.saved = FREED
                node.out = None
        return [] if wanted is None else [captured.get(n) for n in wanted]
    finally:
        MODE.backward -= 1
        MODE.walk = outer
        quiet_off(token)
        if MODE.saving is not saving:  # hooks that were entered on the way and not left
            MODE.saving = saving
            MODE.settle()
        if MODE.endings and not MODE.backward:
            _end()


def _end() -> None:
    """Run what waited for the end of the walk, and what that asks for in turn."""
    MODE.ending = True
    try:
        while MODE.endings:
            endings, MODE.endings = MODE.endings, ()
            for ending in endings:
                ending()
    finally:
        MODE.ending = False


def when_walked(run: Any) -> None:
    """Run a function once, when the backward walk that is running has ended.

    Raises RuntimeError outside of one.
    """
    if not (MODE.backward or MODE.ending):
        raise RuntimeError("Final callbacks can only be installed during backward pass.")
    MODE.endings += (run,)


def _step(pending: dict[int, Any], heap: list[int], node: Node, g: Any, leaf: Any, retain: bool) -> None:
    """Pass a gradient through one node, on raw arrays, with nobody watching: what nearly every node of a backward walk does."""
    if node.op.reverse is not None:  # type: ignore[union-attr]
        _step_whole(pending, heap, node, g, leaf, retain)
        return
    saved = node.saved
    xs: Any = ()
    if saved:  # as Arrays.values does; written out, because every node of a backward pass comes by here
        if saved is FREED:
            raise freed(node)
        xs = []
        for entry in saved:
            if entry.__class__ is tuple:
                if entry[1].version != entry[2]:
                    raise modified(node, entry, f"input {len(xs)}")
                xs.append(entry[0])
            else:
                xs.append(entry)
    out = node.out
    if out is not None:
        if out[1].version != out[2]:
            raise modified(node, out, "output 0")
        out = out[0]
    op: Any = node.op
    turned = False
    if node.dtype.kind == "c" and op.conjugates and (xs or out is not None):
        turned = op.broadcasts
        if turned:
            g = Arrays.conjugate(g)
        else:
            xs, out = [Arrays.conjugate(x) for x in xs], Arrays.conjugate(out)
    rules = op.vjp
    i = 0
    for n in node.inputs:
        if n is not None and n.requires_grad:
            if i == 0 and op.add_into is not None and n.op is not PICK:
                _add_into(pending, heap, n, node, g, xs)
                i = 1
                continue
            rule = rules[i] if rules.__class__ is list else rules
            r = rule.call(g, node, xs, out, i) if rule is not None else None
            if r is not None:
                if turned:
                    r = Arrays.conjugate(r)
                fresh = r is not g
                if r.__class__ is not _ndarray or r.dtype is not n.dtype or r.shape != n.shape:
                    r = Arrays.fit(r, n, node)
                fresh = fresh and r.base is None and r is not out
                if n.op is None and leaf is not None and n.hooks.quiet:
                    leaf(n, r, fresh)
                else:
                    _arrive(pending, heap, n, r, fresh, False)
        i += 1
    if not retain and (saved or out is not None):
        node.saved = FREED
        node.out = None


def _pulled(
    pending: dict[int, Any], heap: list[int], node: Node, g: Any, path: Any, mode: Any, watched: bool
) -> list[Any]:
    """Give (node, gradient, whether it is ours to write into) for each input of a node; None where there is no gradient."""
    op: Any = node.op
    inputs = node.inputs
    as_tensors = mode.as_tensors
    needs = [n is not None and n.requires_grad and (path is None or n in path) for n in inputs]
    if op.reverse is not None:
        given = op.reverse(node, g, needs, as_tensors)
        return [
            (n, mode.fit(r, n, node) if need and r is not None else None, False)
            for n, need, r in zip(inputs, needs, given, strict=True)
        ]
    if g.__class__ is list:
        raise RuntimeError(f"{op.name} has one result")
    xs, out = mode.values(node)
    turned = False
    if node.dtype.kind == "c" and op.conjugates and (xs or out is not None):
        # of elementwise rules what comes and goes is conjugated, so that they are asked on their side of a branch cut
        turned = op.broadcasts
        if turned:
            g = mode.conjugate(g)
        else:
            xs, out = [mode.conjugate(x) for x in xs], mode.conjugate(out)
    rules = op.vjp
    results: list[Any] = []
    for i, n in enumerate(inputs):
        r, fresh = None, False
        if needs[i]:
            if i == 0 and op.add_into is not None and not as_tensors and not watched and n.op is not PICK:
                _add_into(pending, heap, n, node, g, xs)
            else:
                rule = rules[i] if rules.__class__ is list else rules
                r = rule.call(g, node, xs, out, i) if rule is not None else None
                if r is not None:
                    if turned:
                        r = mode.conjugate(r)
                    fresh = r is not g and r.__class__ is _ndarray
                    r = mode.fit(r, n, node)
                    fresh = fresh and r.base is None and r is not out
        results.append((n, r, fresh))
    return results


def _step_whole(pending: dict[int, Any], heap: list[int], node: Node, g: Any, leaf: Any, retain: bool) -> None:
    """Pass a gradient through a node whose op gives all its gradients at once."""
    op: Any = node.op
    inputs = node.inputs
    results = op.reverse(node, g, [n is not None and n.requires_grad for n in inputs], False)
    owned = op.fresh
    for i, n in enumerate(inputs):
        r = results[i]
        if r is not None and n is not None and n.requires_grad:
            fresh = owned is not None and owned[i]
            if r.__class__ is not _ndarray or r.dtype is not n.dtype or r.shape != n.shape:
                r, fresh = Arrays.fit(r, n, node), False
            fresh = fresh and r.base is None
            if n.op is None and leaf is not None and n.hooks.quiet:
                leaf(n, r, fresh)
            else:
                _arrive(pending, heap, n, r, fresh, False)
    if not retain:
        node.saved = FREED
        node.out = None


def _arrive(pending: dict[int, Any], heap: list[int], node: Node, g: Any, owned: bool, as_tensors: bool) -> None:
    """Add a gradient to what a node has received; in place only into arrays that the walk made."""
    seq = node.seq
    found = pending.get(seq)
    if found is None:
        pending[seq] = [node, g, owned]
        heappush(heap, -seq)
    elif as_tensors:
        found[1] = add(found[1], g)
    elif found[2]:
        add_into(found[1], g)
    else:
        r = np.add(found[1], g)
        found[1] = r if isinstance(r, (_ndarray, SparseArray)) else np.asarray(r)
        found[2] = r.__class__ is not SparseArray


def _arrive_picked(pending: dict[int, Any], heap: list[int], node: Node, g: Any, as_tensors: bool) -> None:
    """Put the gradient of one of several results in its place among them."""
    parent = node.inputs[0]
    found = pending.get(parent.seq)
    if found is None:
        found = pending[parent.seq] = [parent, [None] * node.attrs["count"], False]
        heappush(heap, -parent.seq)
    i = node.attrs["index"]
    slots = found[1]
    slots[i] = g if slots[i] is None else (add(slots[i], g) if as_tensors else np.asanyarray(slots[i] + g))


def _add_into(pending: dict[int, Any], heap: list[int], target: Node, node: Node, g: Any, xs: Any) -> None:
    """Add a part's gradient into the whole's, without making an array of zeros for each part."""
    seq = target.seq
    found = pending.get(seq)
    op = node.op
    assert op is not None
    if found is None:
        buffer = (blank if g.__class__ is MetaArray else np.zeros)(target.shape, target.dtype)
        pending[seq] = [target, buffer, True]
        heappush(heap, -seq)
    elif found[2] and found[1].flags.writeable:
        buffer = found[1]
    else:
        buffer = found[1].copy() if isinstance(found[1], _ndarray) else found[1].dense()
        found[1], found[2] = buffer, True
    if buffer.__class__ is not MetaArray:
        op.add_into(buffer, g, xs, node.attrs)
