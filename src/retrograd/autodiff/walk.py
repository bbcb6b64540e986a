"""The chain rule walked both ways over the nodes: pullback from results to leaves, pushforward from inputs to results."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from ..core import (
    FREED,
    MODE,
    PICK,
    BaseTensor,
    Node,
    describe,
    modified,
    quiet_off,
    quiet_on,
    reachable,
    tensor_class,
    wrap,
)
from ..core.door import _quiet
from ..core.kept import freed
from ..core.large import add_into
from ..core.rows import SparseArray
from ..ops.elementwise import add, cast, conj, real_part
from ..ops.shape import expand, sum_to

_ndarray = np.ndarray


class Arrays:
    """The walk on raw arrays: fast, and adding in place into arrays that it made itself."""

    as_tensors = False

    @staticmethod
    def values(node: Node) -> tuple[Any, Any]:
        """Give what a node saved, checked to be as it was."""
        saved = node.saved
        if saved is FREED:
            raise freed(node)
        xs: Any = ()
        if saved:
            xs = []
            for i, entry in enumerate(saved):
                if entry.__class__ is tuple:
                    if entry[1].version != entry[2]:
                        raise modified(node, entry, f"input {i}")
                    xs.append(entry[0])
                else:
                    xs.append(entry)
        out = node.out
        if out is not None:
            if out[1].version != out[2]:
                raise modified(node, out, "output 0")
            out = out[0]
        return xs, out

    @staticmethod
    def fit(r: Any, want: Node, node: Node) -> Any:
        """Give a rule's result the array form, shape and dtype of the variable."""
        if r.__class__ is not _ndarray:
            if r.__class__ is SparseArray:
                return r
            r = np.asarray(r)
        if r.dtype is not want.dtype and r.dtype != want.dtype:
            r = r.real.astype(want.dtype) if r.dtype.kind == "c" and want.dtype.kind != "c" else r.astype(want.dtype)
        if r.shape != want.shape:
            if node.op is None or not node.op.broadcasts:
                raise _misfit(node, r, want)
            r = sum_to(r, shape=want.shape)
        return r

    @staticmethod
    def conjugate(v: Any) -> Any:
        """Give the complex conjugate."""
        complex_array = isinstance(v, _ndarray) and v.dtype.kind == "c"  # an index or a mask is saved too
        return np.conjugate(v) if complex_array or isinstance(v, complex) else v

    zeros = staticmethod(lambda want: np.zeros(want.shape, want.dtype))


class Tensors:
    """The walk on Tensors: every step is recorded, for derivatives of derivatives and for traces."""

    as_tensors = True

    @staticmethod
    def values(node: Node) -> tuple[Any, Any]:
        """Give what a node saved as Tensors with their history."""
        saved = node.saved
        if saved is FREED:
            raise freed(node)
        xs = []
        for i, entry in enumerate(saved):
            if entry.__class__ is tuple:
                a, storage, version = entry
                if storage.version != version:
                    raise modified(node, entry, f"input {i}")
                n = node.inputs[i]
                xs.append(wrap(a, storage, n))
            else:
                xs.append(entry)
        out = node.out
        if out is not None:
            a, storage, version = out
            if storage.version != version:
                raise modified(node, out, "output 0")
            out = wrap(a, storage, node)
        return xs, out

    @staticmethod
    def fit(r: Any, want: Node, node: Node) -> Any:
        """Give a rule's result the shape and dtype of the variable."""
        if not isinstance(r, BaseTensor):
            r = wrap(np.asarray(r))
        a = r._a
        if a.dtype != want.dtype:
            r = cast(real_part(r) if a.dtype.kind == "c" and want.dtype.kind != "c" else r, dtype=want.dtype)
        if r._a.shape != want.shape:
            if node.op is None or not node.op.broadcasts:
                raise _misfit(node, r._a, want)
            r = sum_to(r, shape=want.shape)
        return r

    @staticmethod
    def conjugate(v: Any) -> Any:
        """Give the complex conjugate."""
        return conj(v) if isinstance(v, BaseTensor) else v.conjugate() if isinstance(v, complex) else v

    zeros = staticmethod(lambda want: wrap(np.zeros(want.shape, want.dtype)))


def as_tensor(g: Any) -> Any:
    """Give a gradient of a walk on arrays as a Tensor."""
    return wrap(g) if g.__class__ is _ndarray else tensor_class()._from_raw(g)


def as_array(t: Any) -> Any:
    """Give a gradient as a walk on arrays carries it."""
    return t.raw() if t._composite else t._a


def _misfit(node: Node, r: Any, want: Node) -> RuntimeError:
    return RuntimeError(
        f"{node.name()} returned an invalid gradient: got shape {list(r.shape)} but expected shape compatible with {list(want.shape)} "
        f"(the operation was called at {describe(node.place)})"
    )


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
    roots, path = MODE.walk
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
    outer, MODE.walk = MODE.walk, (roots, path)
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
                g, owned = _run_hooks(hooks, node, g, owned, as_tensors)
            op = node.op
            if node in targets:
                if not as_tensors and g.__class__ is _ndarray and not g.flags.writeable:
                    g = g.copy()
                captured[node] = g
                owned = False
                if node.op is not None and not any(n is not None and n in path for n in node.inputs):  # type: ignore[operator]
                    continue  # nothing below it is wanted
            if hooks is not None and hooks.pre:
                g, owned = _before(hooks, node, g, as_tensors), False
            if op is None:
                if leaf is not None:
                    leaf(node, g, owned)
                    if hooks is not None and hooks.post:
                        _after(hooks, node, [], g, as_tensors)
                continue
            if op is PICK:
                _arrive_picked(pending, heap, node, g, as_tensors)
                continue
            watched = anomaly is not None or (hooks is not None and bool(hooks.post))
            results = _pulled(pending, heap, node, g, path, mode, watched)
            if watched:
                if hooks is not None and hooks.post:
                    results = _after(hooks, node, results, g, as_tensors)
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
        if MODE.endings and not MODE.backward:
            endings, MODE.endings = MODE.endings, ()
            for ending in endings:
                ending()


def _step(pending: dict[int, Any], heap: list[int], node: Node, g: Any, leaf: Any, retain: bool) -> None:
    """Pass a gradient through one node, on raw arrays, with nobody watching: what nearly every node of a backward walk does."""
    if node.op.reverse is not None:  # type: ignore[union-attr]
        _step_whole(pending, heap, node, g, leaf, retain)
        return
    saved = node.saved
    xs: Any = ()
    if saved:
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
    if node.dtype.kind == "c" and op.conjugates:
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
    if node.dtype.kind == "c" and op.conjugates:
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
                    fresh = r is not g and r.__class__ is _ndarray
                    r = mode.fit(r, n, node)
                    fresh = fresh and r.base is None and r is not out
        results.append((n, r, fresh))
    return results


def _after(hooks: Any, node: Node, results: list[Any], g: Any, as_tensors: bool) -> list[Any]:
    """Run a node's own hooks on the gradients of its inputs, all together."""
    given = tuple([None if r is None else r if as_tensors else as_tensor(r) for _, r, _ in results])
    upstream = _upstream(g, as_tensors)
    for hook in list(hooks.post.values()):
        new = hook(given, upstream)
        if new is None:
            continue
        new = tuple(new) if isinstance(new, (tuple, list)) else (new,)
        if len(new) != len(given):
            raise RuntimeError(
                f"hook '{_name(hook)}' has returned an incorrect number of values (got {len(new)}, but expected {len(given)})"
            )
        for before, after, (n, _, _) in zip(given, new, results, strict=True):
            _check_replaced(hook, before, after, n)
        given = new
    return [
        (n, None if v is None or r is None else v if as_tensors else as_array(v), False)
        for (n, r, _), v in zip(results, given, strict=True)
    ]


def _before(hooks: Any, node: Node, g: Any, as_tensors: bool) -> Any:
    """Run the hooks that see the gradients of a node's results before its rules do."""
    upstream = _upstream(g, as_tensors)
    for hook in list(hooks.pre.values()):
        new = hook(upstream)
        if new is None:
            continue
        new = tuple(new) if isinstance(new, (tuple, list)) else (new,)
        if len(new) != len(upstream):
            raise RuntimeError(
                f"hook '{_name(hook)}' has returned an incorrect number of values (got {len(new)}, but expected {len(upstream)})"
            )
        for before, after in zip(upstream, new, strict=True):
            _check_replaced(hook, before, after, node)
        upstream = new
    back = [None if v is None else v if as_tensors else as_array(v) for v in upstream]
    return back if g.__class__ is list else back[0]


def _upstream(g: Any, as_tensors: bool) -> tuple[Any, ...]:
    """Give gradients as Tensors, for hooks to look at."""
    return tuple(
        [None if v is None else v if as_tensors else as_tensor(v) for v in (g if g.__class__ is list else [g])]
    )


def _name(hook: Any) -> str:
    return getattr(hook, "__name__", None) or type(hook).__name__


def _check_replaced(hook: Any, before: Any, after: Any, node: Any) -> None:
    """Check that a hook gave a gradient of the type that it was shown."""
    if after is None or after is before:
        return
    if not isinstance(after, BaseTensor):
        raise TypeError(
            f"hook '{_name(hook)}' returned a {type(after).__name__}: it returns None or the new gradient, a Tensor"
        )
    if before is None:
        raise RuntimeError(
            f"can't replace a None gradient with a non-None value (hook '{_name(hook)}' of {node.name()})"
        )
    if after._composite or before._composite:
        return
    if after._a.shape != before._a.shape:
        raise RuntimeError(
            f"hook '{_name(hook)}' has changed the size of value: {list(before._a.shape)} to {list(after._a.shape)}"
        )
    if after._a.dtype != before._a.dtype:
        raise RuntimeError(
            f"hook '{_name(hook)}' has changed the type of value (was {before._a.dtype}, got {after._a.dtype})"
        )


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
        found[1] = r if r.__class__ is _ndarray or r.__class__ is SparseArray else np.asarray(r)
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
    slots[i] = g if slots[i] is None else (add(slots[i], g) if as_tensors else np.asarray(slots[i] + g))


def _add_into(pending: dict[int, Any], heap: list[int], target: Node, node: Node, g: Any, xs: Any) -> None:
    """Add a part's gradient into the whole's, without making an array of zeros for each part."""
    seq = target.seq
    found = pending.get(seq)
    op = node.op
    assert op is not None
    if found is None:
        buffer = np.zeros(target.shape, target.dtype)
        pending[seq] = [target, buffer, True]
        heappush(heap, -seq)
    elif found[2] and found[1].flags.writeable:
        buffer = found[1]
    else:
        buffer = found[1].copy() if found[1].__class__ is _ndarray else found[1].dense()
        found[1], found[2] = buffer, True
    op.add_into(buffer, g, xs, node.attrs)


def _run_hooks(hooks: Any, node: Node, g: Any, owned: bool, as_tensors: bool) -> tuple[Any, bool]:
    """Show a gradient to the hooks of its tensor, in the order they were registered, then keep it if it is to be retained."""
    if g.__class__ is list:
        return g, owned
    for hook in list(hooks.tensor.values()):
        if g.__class__ is _ndarray and not g.flags.writeable:
            g = g.copy()
        shown = g if as_tensors else as_tensor(g)
        r = hook(shown)
        owned = False
        if r is not None:
            _check_replaced(hook, shown, r, node)
            g = r if as_tensors else as_array(r)
    if hooks.retain is not None:
        tensor = hooks.retain()
        if tensor is not None:
            old = tensor._grad
            kept = g if as_tensors else as_tensor(g.copy() if g.__class__ is _ndarray and not g.flags.writeable else g)
            tensor._grad = kept if old is None else add(old, kept)
            owned = False
    return g, owned


def pushforward(roots: Sequence[Node], inputs: Sequence[Node], tangents: Sequence[Any]) -> list[Any]:
    """Walk forward from the inputs, multiplying tangents with local derivatives; everything is recorded on Tensors.

    Gives the tangent of each root, or None where it does not depend on the inputs.
    """
    known: dict[Node, Any] = dict(zip(inputs, tangents, strict=True))
    sources = set(inputs)
    order = reachable(roots)
    left: dict[Node, int] = {}
    for node in order:
        for i in node.inputs:
            if i is not None:
                left[i] = left.get(i, 0) + 1
    keep = set(roots)
    for node in order:
        if node in sources or node.op is None or not node.requires_grad:
            continue
        ts = [known.get(i) if i is not None else None for i in node.inputs]
        if any(t is not None for t in ts):
            known[node] = _push(node, ts)
        for i in node.inputs:
            if i is not None:
                left[i] -= 1
                if not left[i] and i not in keep:
                    known.pop(i, None)
    return [known.get(r) for r in roots]


def _push(node: Node, ts: list[Any]) -> Any:
    op = node.op
    assert op is not None
    if op is PICK:
        many = ts[0]
        return None if many is None else many[node.attrs["index"]]
    xs, out = ((), None) if op.forward is not None else Tensors.values(node)
    return tangent_of(node, ts, xs, out)


def tangent_of(node: Node, ts: list[Any], xs: Any, out: Any) -> Any:
    """Give the tangent of an operation's result from those of its inputs (None for constants), its inputs and its result."""
    op: Any = node.op
    if op.forward is not None:
        if op.family == "linear":  # linear in all its inputs together
            ts = [t if t is not None else _zero_tangent(node, i) for i, t in enumerate(ts)]
        return op.forward(node, ts, (), None)
    total = None
    for i, t in enumerate(ts):
        if t is None:
            continue
        rule = op.tangent_for(i)
        if rule is None:
            continue
        r = rule.call(t, node, xs, out, i)
        if r is None:
            continue
        if r._a.dtype != node.dtype:
            r = cast(real_part(r) if r._a.dtype.kind == "c" and node.dtype.kind != "c" else r, dtype=node.dtype)
        if r._a.shape != node.shape:
            r = expand(r, shape=node.shape)
        total = r if total is None else add(total, r)
    return total


def _zero_tangent(node: Node, i: int) -> Any:
    kind = node.types[i]
    return wrap(np.zeros(kind.shape, kind.dtype))


__all__ = ["as_array", "as_tensor", "on_the_way", "pullback", "pushforward", "tensor_class", "will_reach"]
