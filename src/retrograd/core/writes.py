"""In-place writes: what is refused, and how a write becomes history; every one passes `assign`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .door import one_of_several, refresh
from .errors import at, show_call
from .mode import MODE
from .node import BaseTensor, Node, wrap
from .op import Op
from .place import here
from .types import TensorType


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


def _write_shown(node: Any) -> str:
    """Give torch's name: a write to all of a tensor, as x[:, :] = y is, is a copy."""
    whole = all("index" in a and set(map(repr, a["index"])) <= _ALL for _, a in node.attrs["steps"])
    return f"torch::autograd::{'CopyBackwards' if whole else 'CopySlices'}"


_ALL = {repr(slice(None)), repr(...)}
VIEW_WRITE = Op(
    "view_write",
    _view_write,
    type=lambda x, y, *, steps: x,
    names=("x", "y"),
    vjp=[_rest_of, _part_of],
    jvp=[_pushed, _pushed],
    family="linear",
    shown=_write_shown,
)
_SHOWN = {"copy_": "torch::autograd::CopyBackwards", "fill_": "FillBackward2"}  # torch's names

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
    if node is not None and node.requires_grad and node.op is None and "stands" not in node.attrs:
        raise RuntimeError(
            f"a leaf Variable that requires grad is being used in an in-place operation. ({name}; write under torch.no_grad(), "
            f"or use the out-of-place form){at(here())}"
        )
    base = x._base
    if base is not None and _detached(x):
        return
    if base is None:
        if a is not x._s.root and node is None:
            _check_silent_view(x, name)
    else:
        if base._node is not x._seen:
            refresh(x)
        n = base._node
        if n is not None and n.requires_grad and n.op is None and "stands" not in n.attrs:
            raise RuntimeError(
                f"a view of a leaf Variable that requires grad is being used in an in-place operation. ({name}; write under torch.no_grad(), "
                f"or clone() first){at(here())}"
            )
        several = one_of_several(x)
        if several and x._node is not None and x._node.requires_grad:
            raise RuntimeError(
                f"Output {several[1]} of {several[0]} is a view and is being modified inplace. This view is the output of a function "
                f"that returns multiple views. Such functions do not allow the output views to be modified inplace. "
                f"You should replace the inplace operation by an out-of-place one.{at(here())}"
            )


def _detached(x: Any) -> bool:
    """Tell whether a view was cut from its base's history: writes through it are not history, as where grad mode is off."""
    return any(op.name == "detach" for op, _ in x._steps)


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


def assign(x: Any, r: Any, name: str, keep_old: bool = False, given: bool = False) -> Any:
    """Give ``x`` the value of ``r`` in place, with history.

    ``r`` has ``x``'s shape and dtype. Its Node becomes the node of ``x``, or, where ``x`` is a view, of what is scattered into
    its base; views of the base derive theirs when they are next used. ``keep_old`` keeps the way to the old value's node.
    ``given``: ``r`` is a tensor of the program's, whose memory lives on, and not one that was made to be written.
    """
    mode = MODE
    trace = mode.trace
    if mode.dual is not None:
        mode.dual.written(x, r)
    if trace is not None:
        if isinstance(r, BaseTensor):
            trace.node_of(r)
        trace.node_of(x if x._base is None else x._base)
        trace.writing(x, r)
    if mode.saving is not None:
        mode.saving.writing(x, r)
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
    if not given and node is not None and node.out.__class__ is tuple and node.out[0] is r._a:
        node.out = (x._a, storage, storage.version)
    before = x._node
    if x._base is not None:
        base, before_base = x._base, mode.grad
        cut = trace is not None and _detached(x)
        mode.grad = before_base and not cut
        _rebind(base, VIEW_WRITE, old, node, {"steps": tuple([s for s in x._steps if s[0].name != "detach"])}, r)
        if trace is not None and not mode.grad and old is not None and old.requires_grad:
            _rebind(
                base, STRAIGHT, old, base._node, {}, base
            )  # gradients go on to what was written over, as without a trace
        mode.grad = before_base
        refresh(x)
        if old is not None and old.hooks is not None:
            _move_retained(old, x._base)
    elif not mode.grad and old is not None and old.requires_grad:
        _rebind(x, STRAIGHT, old, node, {}, r)
    elif keep_old or node is None or not node.requires_grad:
        _rebind(x, VIEW_WRITE, old, node, {"steps": ()}, r)
        if x._node is not None:
            x._node.label = _SHOWN.get(name) or f"{name.strip('_').capitalize()}Backward0"
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
