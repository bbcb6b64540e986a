"""The one door: every operation passes `apply`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import node as _class
from . import op as _op
from .errors import at, shapes_error, show_call
from .large import LARGE
from .meta import MetaArray
from .mode import MODE
from .node import BaseTensor, Node, Storage, next_seq, wrap
from .op import Op
from .place import describe, here
from .types import TensorType

# NumPy's floating-point warnings are switched off inside the door: infinities and NaNs are values here, as in torch.
try:
    from numpy._core._ufunc_config import _extobj_contextvar  # type: ignore[attr-defined]
    from numpy._core.umath import _make_extobj

    _quiet: Any = _make_extobj(all="ignore")
    quiet_on: Any = _extobj_contextvar.set
    quiet_off: Any = _extobj_contextvar.reset
except ImportError:  # another NumPy layout: the public, slower way
    _quiet = None

    def quiet_on(_: Any) -> Any:
        """Switch warnings off."""
        return np.seterr(all="ignore")

    def quiet_off(before: Any) -> None:
        """Switch them back."""
        np.seterr(**before)


_new = object.__new__
_ndarray = np.ndarray
INEXACT = "fcV"  # kinds of dtypes that carry gradients; bfloat16's kind is V


def apply(op: Op, *xs: Any, **attrs: Any) -> Any:
    """Run an operation on tensors and Python scalars; record it where a gradient is wanted.

    Parameters
    ----------
    op : Op
    *xs : Tensor or Python scalar
        Tensors of one dtype (promotion happens above this floor).
    **attrs
        The operation's attributes.
    """
    quick = op.quick_door
    if quick is not None and not attrs:
        t = quick(*xs)
        if t is not None:
            return t if t._node is None else with_history(op, xs, t)
    mask = 0
    count = len(xs)
    run = op.numpy
    if count == 2:  # most operations have two operands, or one: the loop below, written out
        x, y = xs
        p: Node | None = None
        q: Node | None = None
        u: Any = x
        v: Any = y
        if isinstance(x, BaseTensor):
            if x._base is not None and x._base._node is not x._seen:
                refresh(x)
            u = x._a
            if u.size >= LARGE and op.large is not None:
                run = op.large
            p = x._node
            if p is not None:
                if p.requires_grad:
                    mask = 1
                else:
                    p = None
        if isinstance(y, BaseTensor):
            if y._base is not None and y._base._node is not y._seen:
                refresh(y)
            v = y._a
            if v.size >= LARGE and op.large is not None:
                run = op.large
            q = y._node
            if q is not None:
                if q.requires_grad:
                    mask |= 2
                else:
                    q = None
        nodes: tuple[Any, ...] = (p, q)
        token = quiet_on(_quiet)
        try:
            a = run(u, v, **attrs) if attrs else run(u, v)
            if (
                op.layout is not None
                and a.ndim > 1
                and (
                    (u.__class__ is _ndarray and not u.flags.c_contiguous)
                    or (v.__class__ is _ndarray and not v.flags.c_contiguous)
                )
            ):
                a = op.layout(a, u, v)
        except Exception as error:
            raise failed(op, xs, attrs, error) from (None if isinstance(error, ValueError) else error)
        finally:
            quiet_off(token)
    elif count == 1 and isinstance(xs[0], BaseTensor):
        x = xs[0]
        if x._base is not None and x._base._node is not x._seen:
            refresh(x)
        p = x._node
        if p is not None:
            if p.requires_grad:
                mask = 1
            else:
                p = None
        nodes = (p,)
        u = x._a
        if u.size >= LARGE and op.large is not None:
            run = op.large
        token = quiet_on(_quiet)
        try:
            a = run(u, **attrs) if attrs else run(u)
            if op.layout is not None and a.ndim > 1 and not u.flags.c_contiguous:
                a = op.layout(a, u)
        except Exception as error:
            raise failed(op, xs, attrs, error) from (None if isinstance(error, ValueError) else error)
        finally:
            quiet_off(token)
    else:
        arrays = []
        inputs: list[Node | None] = []
        for x in xs:
            node = None
            if isinstance(x, BaseTensor):
                if x._base is not None and x._base._node is not x._seen:
                    refresh(x)
                node = x._node
                if node is not None:
                    if node.requires_grad:
                        mask |= 1 << len(inputs)
                    else:
                        node = None
                arrays.append(x._a)
                if x._a.size >= LARGE and op.large is not None:
                    run = op.large
            else:
                arrays.append(x)
            inputs.append(node)
        nodes = tuple(inputs)
        token = quiet_on(_quiet)
        try:
            a = run(*arrays, **attrs)
            if op.layout is not None:
                for b in arrays:
                    if b.__class__ is _ndarray and not b.flags.c_contiguous:
                        a = op.layout(a, *arrays)
                        break
        except Exception as error:
            raise failed(op, xs, attrs, error) from (None if isinstance(error, ValueError) else error)
        finally:
            quiet_off(token)
    if a.__class__ is not _ndarray:
        if op.outputs != 1:
            return _finish_many(op, xs, attrs, mask, a)
        if a.__class__ is not MetaArray:
            a = np.asarray(a)
    mode = MODE
    t = _new(_class._TENSOR)
    t._a = a
    t._grad = t._node = t._base = None
    if op.view:
        x = xs[0]
        t._s = x._s
        if mode.grad or mode.special:
            if x._base is None:
                t._base, t._steps = x, ((op, attrs),)
                t._seen = x._node
            else:
                t._base, t._steps = x._base, (*x._steps, (op, attrs))
                t._seen = x._seen
        else:
            # no history is kept here, but a later write with history must know what it writes to (see `check_writable`)
            t._seen = x if x._base is not None or x._a is x._s.root else getattr(x, "_seen", x)
    else:
        s = _new(Storage)
        s.root = a
        s.version = 0
        s.notes = None
        t._s = s
    if mode.special:
        return _finish_special(op, xs, attrs, mask, t, mode)
    if mask and mode.grad and op.vjp is not None and a.dtype.kind in INEXACT:
        t._node = record(op, xs, attrs, mask, nodes, t, False)
    return t


def with_history(op: Op, xs: Any, t: Any) -> Any:
    """Give a result that was made without the door its Node, and tell those who hear of operations."""
    mask = 0
    nodes: list[Node | None] = []
    for x in xs:
        node = x._node if isinstance(x, BaseTensor) else None
        if node is not None and not node.requires_grad:
            node = None
        if node is not None:
            mask |= 1 << len(nodes)
        nodes.append(node)
    t._node = None
    if MODE.special:
        return _finish_special(op, xs, {}, mask, t, MODE)
    t._node = record(op, xs, {}, mask, tuple(nodes), t, False)
    return t


def _finish_special(op: Op, xs: Any, attrs: dict[str, Any], mask: int, t: Any, mode: Any) -> Any:
    """Record a result while a trace, an observer, anomaly detection, forward mode or inference mode is on."""
    wanted = bool(mask) and mode.grad and op.vjp is not None and t._a.dtype.kind in INEXACT
    if mode.trace is not None:
        _record_traced(op, xs, attrs, mask, t, wanted)
    elif wanted:
        node = record(
            op,
            xs,
            attrs,
            mask,
            tuple([x._node if mask >> i & 1 else None for i, x in enumerate(xs)]),
            t,
            mode.keep_inputs,
        )
        if mode.saving is not None:
            mode.saving.recorded(node, xs, t)
        t._node = node
        if mode.anomaly is not None:
            mode.anomaly.recorded(t._node, xs, t._a)
    elif mode.inference and not op.view:
        t._s.inference = True
    if mode.dual is not None:
        mode.dual.applied(op, xs, attrs, t)
    for observer in mode.observers:
        observer(op, xs, attrs, t)
    return t


_op.door = apply


def record(op: Op, xs: Any, attrs: dict[str, Any], mask: int, inputs: tuple[Any, ...], t: Any, forward: bool) -> Node:
    """Make the Node of an operation, with what its rules will read."""
    count = len(inputs)
    quick = op.quick
    plan = quick[mask] if quick and not forward and count == len(op.names) else None
    if plan is None:
        plan = op.plan(mask, forward, count)
    node = _new(Node)
    if plan.values:
        kept: list[Any] = [None] * count
        for i in plan.values:
            x = xs[i]
            if isinstance(x, BaseTensor):
                s = x._s
                kept[i] = (x._a, s, s.version)
                if s.notes is not None and s.inference:
                    raise RuntimeError(
                        "Inference tensors cannot be saved for backward. To work around you can make a clone to get a normal tensor and use it in autograd."
                    )
            else:
                kept[i] = x
        node.saved = kept
    else:
        node.saved = ()
    if plan.types:
        types: list[Any] = [None] * count
        for i in plan.types:
            x = xs[i]
            types[i] = TensorType(x._a.shape, x._a.dtype) if isinstance(x, BaseTensor) else None
        node.types = types
    else:
        node.types = None
    a = t._a
    node.op = op
    node.inputs = inputs
    node.attrs = attrs
    node.shape = a.shape
    node.dtype = a.dtype
    node.requires_grad = True
    node.place = here(3)
    node.out = (a, t._s, t._s.version) if plan.out else None
    node.hooks = None
    node.label = None
    node.seq = next_seq()
    return node


def _record_traced(op: Op, xs: Any, attrs: dict[str, Any], mask: int, t: Any, wanted: bool) -> None:
    trace = MODE.trace
    a = t._a
    inputs = tuple([trace.node_of(x) if isinstance(x, BaseTensor) else trace.constant(x) for x in xs])
    if t._base is not None:
        t._seen = t._base._node
    if wanted:
        node = record(op, xs, attrs, mask, inputs, t, MODE.keep_inputs)
    else:
        node = Node(op, inputs, attrs, a.shape, a.dtype, False, here(), (), None, None)
    t._node = node
    trace.add(node, t)


PICK = Op("pick", lambda x, *, index, count=0: x[index], type=lambda x, *, index, count=0: x, family="plain")


def _finish_many(op: Op, xs: Any, attrs: dict[str, Any], mask: int, arrays: Any) -> tuple[Any, ...]:
    """Wrap an operation of several outputs: one Node for all, and one that picks each."""
    mode = MODE
    trace = mode.trace
    results = tuple(wrap(a, Storage(a)) for a in map(np.asanyarray, arrays))
    wanted = bool(mask) and mode.grad and op.reverse is not None
    if wanted or trace is not None:
        if trace is not None:
            inputs = tuple(trace.node_of(x) if isinstance(x, BaseTensor) else trace.constant(x) for x in xs)
        else:
            inputs = tuple(x._node if mask >> i & 1 else None for i, x in enumerate(xs))
        saved = [(x._a, x._s, x._s.version) if isinstance(x, BaseTensor) else x for x in xs]
        node = Node(
            op,
            inputs,
            attrs,
            (),
            np.dtype(np.float32),
            wanted,
            here(),
            saved,
            None,
            tuple((r._a, r._s, r._s.version) for r in results),
        )
        attach_outputs(node, results)
    for observer in mode.observers:
        observer(op, xs, attrs, results)
    return results


def attach_outputs(node: Node, results: Any) -> None:
    """Give each result of a node with several outputs the Node that picks it."""
    trace = MODE.trace
    if trace is not None:
        trace.add(node, None)
    for i, r in enumerate(results):
        if r is not None and (r._a.dtype.kind in INEXACT or trace is not None):
            r._node = Node(
                PICK,
                (node,),
                {"index": i, "count": len(results)},
                r._a.shape,
                r._a.dtype,
                node.requires_grad and r._a.dtype.kind in INEXACT,
                node.place,
                (),
                None,
                None,
            )
            if trace is not None:
                trace.add(r._node, r)


def refresh(view: Any) -> None:
    """Derive a view's Node anew from its base, which was written since."""
    base = view._base
    node = base._node
    if MODE.trace is not None:
        MODE.trace.deriving(view)
    view._seen = node
    if node is None or (not node.requires_grad and MODE.trace is None):
        view._node = None
        return
    several = one_of_several(view) if MODE.trace is None else None
    if several:
        raise RuntimeError(
            f"Output {several[1]} of {several[0].removesuffix('Backward0')} is a view and its base or another view of its base has been modified inplace. "
            f"This view is the output of a function that returns multiple views. Such functions do not allow the output views to be modified inplace. "
            f"You should replace the inplace operation by an out-of-place one.{at(here())}"
        )
    for op, attrs in view._steps:
        found = op.type(node.type, **attrs)
        wanted = node.requires_grad and op.name != "detach"
        node = Node(op, (node,), attrs, found.shape, found.dtype, wanted, here(), (), [node.type], None)
        if MODE.trace is not None:
            MODE.trace.add(node, None)
    view._node = node


def one_of_several(view: Any) -> Any:
    """Give (function, number) if a view comes from a function that gives several, such as chunk."""
    for _, attrs in view._steps:
        if attrs.get("several"):
            return attrs["several"]
    return None


def modified(node: Node, entry: Any, which: str) -> RuntimeError:
    """Say that a value kept for the backward pass was overwritten since, by what and where."""
    a, storage, version = entry
    kind = {"float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16"}.get(
        str(a.dtype), str(a.dtype)
    )
    by = ""
    if storage.written is not None:
        by = f" It was last written by {storage.written[0]} at {describe(storage.written[1])}."
    return RuntimeError(
        f"one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[torch.{kind}Tensor {list(a.shape)}], which is {which} of {node.name()}, is at version {storage.version}; "
        f"expected version {version} instead.{by} The operation {node.op.name if node.op else ''} that needs it was called at {describe(node.place)}. "
        f"Hint: use an out-of-place operation there, or clone() the tensor before writing to it."
    )


def failed(op: Op, xs: Any, attrs: dict[str, Any], error: Exception) -> Exception:
    """Turn NumPy's error into one that names the op, the types, the place and the remedy."""
    place = here()
    text = str(error)
    if isinstance(error, (RuntimeError, IndexError, NotImplementedError, MemoryError)) or getattr(
        error, "explained", False
    ):
        return error
    if "broadcast" in text or "could not be broadcast" in text:
        return shapes_error(op.name, xs, place)
    kind = RuntimeError if isinstance(error, ValueError) else type(error)
    try:
        return kind(f"{show_call(op.name, xs, attrs)}: {text}{at(place)}")
    except TypeError:
        return RuntimeError(f"{show_call(op.name, xs, attrs)}: {text}{at(place)}")


__all__ = [
    "PICK",
    "apply",
    "attach_outputs",
    "modified",
    "one_of_several",
    "quiet_off",
    "quiet_on",
    "refresh",
    "with_history",
]
