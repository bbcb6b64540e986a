"""The hooks that see gradients on their way: of a tensor, and before and after a node's rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import BaseTensor, Node
from ..ops.elementwise import add
from .carriers import as_array, as_tensor

_ndarray = np.ndarray


def run_after(hooks: Any, node: Node, results: list[Any], g: Any, as_tensors: bool) -> list[Any]:
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
            check_replaced(hook, before, after, n)
        given = new
    return [
        (n, None if v is None or r is None else v if as_tensors else as_array(v), False)
        for (n, r, _), v in zip(results, given, strict=True)
    ]


def run_before(hooks: Any, node: Node, g: Any, as_tensors: bool) -> Any:
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
            check_replaced(hook, before, after, node)
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


def check_replaced(hook: Any, before: Any, after: Any, node: Any) -> None:
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


def run_hooks(hooks: Any, node: Node, g: Any, owned: bool, as_tensors: bool) -> tuple[Any, bool]:
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
            check_replaced(hook, shown, r, node)
            g = r if as_tensors else as_array(r)
    if hooks.retain is not None:
        tensor = hooks.retain()
        if tensor is not None:
            old = tensor._grad
            kept = g if as_tensors else as_tensor(g.copy() if g.__class__ is _ndarray and not g.flags.writeable else g)
            tensor._grad = kept if old is None else add(old, kept)
            owned = False
    return g, owned
