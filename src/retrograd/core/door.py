"""The one door: every operation passes `apply`; every in-place write passes `assign`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import node as _class
from . import op as _op
from .errors import at, shapes_error, show_call
from .mode import MODE
from .node import FREED, BaseTensor, Node, Storage, next_seq, wrap
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
    mask = 0
    count = len(xs)
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
            q = y._node
            if q is not None:
                if q.requires_grad:
                    mask |= 2
                else:
                    q = None
        nodes: tuple[Any, ...] = (p, q)
        token = quiet_on(_quiet)
        try:
            a = op.numpy(u, v, **attrs) if attrs else op.numpy(u, v)
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
        token = quiet_on(_quiet)
        try:
            a = op.numpy(x._a, **attrs) if attrs else op.numpy(x._a)
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
            else:
                arrays.append(x)
            inputs.append(node)
        nodes = tuple(inputs)
        token = quiet_on(_quiet)
        try:
            a = op.numpy(*arrays, **attrs)
        except Exception as error:
            raise failed(op, xs, attrs, error) from (None if isinstance(error, ValueError) else error)
        finally:
            quiet_off(token)
    if a.__class__ is not _ndarray:
        if op.outputs != 1:
            return _finish_many(op, xs, attrs, mask, a)
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


def _finish_special(op: Op, xs: Any, attrs: dict[str, Any], mask: int, t: Any, mode: Any) -> Any:
    """Record a result while a trace, an observer, anomaly detection, forward mode or inference mode is on."""
    wanted = bool(mask) and mode.grad and op.vjp is not None and t._a.dtype.kind in INEXACT
    if mode.trace is not None:
        _record_traced(op, xs, attrs, mask, t, wanted)
    elif wanted:
        t._node = record(
            op,
            xs,
            attrs,
            mask,
            tuple([x._node if mask >> i & 1 else None for i, x in enumerate(xs)]),
            t,
            mode.keep_inputs,
        )
        if mode.anomaly is not None:
            mode.anomaly.recorded(t._node, xs, t._a)
    elif mode.inference and not op.view:
        t._s.inference = True
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


def pick_op() -> Op:
    """Give the op that takes one of several outputs."""
    return PICK


PICK = Op("pick", lambda x, *, index: x[index], type=lambda x, *, index: x, family="plain")


def _finish_many(op: Op, xs: Any, attrs: dict[str, Any], mask: int, arrays: Any) -> tuple[Any, ...]:
    """Wrap an operation of several outputs: one Node for all, and one that picks each."""
    mode = MODE
    if mode.trace is not None:
        raise NotImplementedError(f"{op.name} gives several results and cannot be traced yet")
    results = tuple(wrap(np.asarray(a)) for a in arrays)
    if mask and mode.grad and op.reverse is not None:
        inputs = tuple(x._node if mask >> i & 1 else None for i, x in enumerate(xs))
        saved = [(x._a, x._s, x._s.version) if isinstance(x, BaseTensor) else x for x in xs]
        node = Node(
            op,
            inputs,
            attrs,
            (),
            np.dtype(np.float32),
            True,
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
    for i, r in enumerate(results):
        if r is not None and r._a.dtype.kind in INEXACT:
            r._node = Node(
                PICK,
                (node,),
                {"index": i, "count": len(results)},
                r._a.shape,
                r._a.dtype,
                True,
                node.place,
                (),
                None,
                None,
            )


def refresh(view: Any) -> None:
    """Derive a view's Node anew from its base, which was written since."""
    base = view._base
    node = base._node
    view._seen = node
    if node is None or (not node.requires_grad and MODE.trace is None):
        view._node = None
        return
    several = _one_of_several(view) if MODE.trace is None else None
    if several:
        raise RuntimeError(
            f"Output {several[1]} of {several[0].removesuffix('Backward0')} is a view and its base or another view of its base has been modified inplace. "
            f"This view is the output of a function that returns multiple views. Such functions do not allow the output views to be modified inplace. "
            f"You should replace the inplace operation by an out-of-place one.{at(here())}"
        )
    for op, attrs in view._steps:
        found = op.type(node.type, **attrs)
        node = Node(op, (node,), attrs, found.shape, found.dtype, node.requires_grad, here(), (), [node.type], None)
        if MODE.trace is not None:
            MODE.trace.add(node, None)
    view._node = node


def _one_of_several(view: Any) -> Any:
    """Give (function, number) if a view comes from a function that gives several, such as chunk."""
    for _, attrs in view._steps:
        if attrs.get("several"):
            return attrs["several"]
    return None


def _view_write(x: Any, y: Any, *, steps: Any) -> Any:
    out = x.copy()
    target = out
    for op, attrs in steps:
        target = op.numpy(target, **attrs)
    target[...] = y
    return out


def _rest_of(g: Any, *, steps: Any, y_type: TensorType) -> Any:
    import numpy as _np

    if isinstance(g, BaseTensor):
        zero = wrap(_np.zeros(y_type.shape, y_type.dtype))
        return VIEW_WRITE(g, zero, steps=steps)
    return _view_write(g, 0, steps=steps)


def _part_of(g: Any, *, steps: Any) -> Any:
    for op, attrs in steps:
        g = op(g, **attrs)
    return g


def _pushed(t: Any, *, steps: Any, i: int, types: Any) -> Any:
    x_type, y_type = types
    other = np.zeros((y_type if i == 0 else x_type).shape, x_type.dtype)
    if isinstance(t, BaseTensor):
        other = wrap(other)
    return VIEW_WRITE(t, other, steps=steps) if i == 0 else VIEW_WRITE(other, t, steps=steps)


VIEW_WRITE = Op(
    "view_write",
    _view_write,
    type=lambda x, y, *, steps: x,
    names=("x", "y"),
    vjp=[_rest_of, _part_of],
    jvp=[_pushed, _pushed],
    family="linear",
    shown="CopySlices",
)

STRAIGHT = Op(
    "straight",
    lambda x, y: y,
    type=lambda x, y: y,
    names=("x", "y"),
    vjp=[lambda g: g, None],
    jvp=[lambda t: t, None],
    family="linear",
)


def check_writable(x: Any, name: str, overlap: bool = False) -> None:
    """Raise RuntimeError if writing to this tensor now would spoil a gradient, or (unless ``overlap``) write one place twice."""
    a = x._a
    if (
        not overlap
        and 0 in a.strides
        and a.size > 1
        and any(s == 0 and n > 1 for s, n in zip(a.strides, a.shape, strict=True))
    ):
        raise RuntimeError(
            f"unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            f"Please clone() the tensor before performing the operation. ({name} on an expanded {show_call('tensor', [x])}){at(here())}"
        )
    mode = MODE
    if x._s.inference and not mode.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed."
            "You can make a clone to get a normal tensor before doing inplace update."
        )
    if not mode.grad:
        return
    node = x._node
    if node is not None and node.requires_grad and node.op is None:
        raise RuntimeError(
            f"a leaf Variable that requires grad is being used in an in-place operation. ({name}; write under torch.no_grad(), "
            f"or use the out-of-place form){at(here())}"
        )
    base = x._base
    if base is None:
        if a is not x._s.root and node is None:
            _check_silent_view(x, name)
    else:
        if base._node is not x._seen:
            refresh(x)
        n = base._node
        if n is not None and n.requires_grad and n.op is None:
            raise RuntimeError(
                f"a view of a leaf Variable that requires grad is being used in an in-place operation. ({name}; write under torch.no_grad(), "
                f"or clone() first){at(here())}"
            )
        several = _one_of_several(x)
        if several and x._node is not None and x._node.requires_grad:
            raise RuntimeError(
                f"Output {several[1]} of {several[0]} is a view and is being modified inplace. This view is the output of a function "
                f"that returns multiple views. Such functions do not allow the output views to be modified inplace. "
                f"You should replace the inplace operation by an out-of-place one.{at(here())}"
            )


def _check_silent_view(x: Any, name: str) -> None:
    """Refuse a write with history to a view that was made without: its base would not learn of it."""
    base = getattr(x, "_seen", None)
    if not isinstance(base, BaseTensor):
        return
    owner = base if base._base is None else base._base
    if owner._node is not None and owner._node.requires_grad:
        raise RuntimeError(
            f"A view was created in no_grad mode and is being modified inplace with grad mode enabled ({name}). Its base requires grad "
            f"and would not learn of the write. Put both the view and the write inside the no_grad block, or both outside.{at(here())}"
        )


def assign(x: Any, r: Any, name: str, keep_old: bool = False) -> Any:
    """Give ``x`` the value of ``r`` in place, with history.

    ``r`` has ``x``'s shape and dtype. Its Node becomes the node of ``x``, or, where ``x`` is a view, of what is scattered into
    its base; views of the base derive theirs when they are next used. ``keep_old`` keeps the way to the old value's node.
    """
    mode = MODE
    trace = mode.trace
    if trace is not None:
        if isinstance(r, BaseTensor):
            trace.node_of(r)
        trace.node_of(x if x._base is None else x._base)
    node = r._node
    storage = x._s
    if r._a is not x._a:
        np.copyto(x._a, r._a, casting="unsafe")
    storage.version += 1
    old = x._node if x._base is None else x._base._node
    wanted = mode.grad and ((node is not None and node.requires_grad) or (old is not None and old.requires_grad))
    if not wanted and trace is None:
        if mode.grad:
            storage.written = (name, here())
        return x
    storage.written = (name, here())
    if node is not None and node.out is not None and node.out is not FREED and node.out[0] is r._a:
        node.out = (x._a, storage, storage.version)
    before = x._node
    if x._base is not None:
        _rebind(x._base, VIEW_WRITE, old, node, {"steps": x._steps}, r)
        refresh(x)
        if old is not None and old.hooks is not None:
            _move_retained(old, x._base)
    elif not mode.grad and old is not None and old.requires_grad:
        _rebind(x, STRAIGHT, old, node, {}, r)
    elif keep_old or node is None or not node.requires_grad:
        _rebind(x, VIEW_WRITE, old, node, {"steps": ()}, r)
    else:
        x._node = node
    if before is not None and before.hooks is not None:
        _move_retained(before, x)
    return x


def _move_retained(before: Node, x: Any) -> None:
    """Let ``retain_grad`` follow a tensor to its new node; its other hooks stay with the old value."""
    retain = before.hooks.retain
    if retain is not None and retain() is x and x._node is not None and x._node.requires_grad:
        before.hooks.retain = None
        x._node.hook_table().retain = retain


def _rebind(x: Any, op: Op, old: Node | None, new: Node | None, attrs: dict[str, Any], r: Any) -> None:
    """Make ``x``'s node the write of ``new`` over ``old``."""
    mode = MODE
    trace = mode.trace
    a = x._a
    if trace is None and (old is None or not old.requires_grad):
        old = None
    if trace is None and (new is None or not new.requires_grad):
        new = None
    needs = any(n is not None and n.requires_grad for n in (old, new)) if mode.grad else (op is STRAIGHT)
    types = [TensorType(a.shape, a.dtype), TensorType(r._a.shape, r._a.dtype)]
    x._node = Node(op, (old, new), attrs, a.shape, a.dtype, needs, here(), (), types, None)
    if trace is not None:
        trace.add(x._node, x)


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
    "FREED",
    "PICK",
    "STRAIGHT",
    "VIEW_WRITE",
    "apply",
    "assign",
    "check_writable",
    "next_seq",
    "quiet_off",
    "quiet_on",
    "refresh",
]
