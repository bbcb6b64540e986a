"""Copies of tensors: deep ones that share among themselves what the originals share, shallow ones, and pickles."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ..core import MODE, Storage, at, here, leaf_node, show_type

_new = object.__new__


def deep(t: Any, memo: dict[int, Any]) -> Any:
    """Copy a leaf with its gradient and attributes; tensors that share memory share it in the copy too.

    Raises RuntimeError for a tensor with history.
    """
    if id(t) in memo:
        return memo[id(t)]
    if not t.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment: "
            f"{show_type(t)} was made by {t.grad_fn.name()}. Copy t.detach(), or use t.clone() to stay in the graph.{at(here())}"
        )
    if MODE.trace is not None:
        memo[id(t)] = r = t.detach().clone()
        return r.requires_grad_() if t.requires_grad else r
    made = _new(type(t))
    made._a, made._s = _copied(t._a, t._s, memo)
    made._node = made._base = made._grad = None
    memo[id(t)] = made
    if t.requires_grad:
        made._node = leaf_node(made)
    if t._grad is not None:
        made._grad = copy.deepcopy(t._grad, memo)
    made.__dict__.update(copy.deepcopy(t.__dict__, memo))
    return made


def shallow(t: Any) -> Any:
    """Give another tensor of the same memory and history."""
    if MODE.trace is not None:
        return t.view_as(t)
    made = _new(type(t))
    made._a, made._s, made._node, made._base, made._grad = t._a, t._s, None, None, None
    if t.requires_grad:
        made._node = leaf_node(made) if t.is_leaf else t._node
    return made


def rebuild(cls: type, a: Any, requires_grad: bool, extra: dict[str, Any]) -> Any:
    """Make a tensor of what a pickle holds."""
    t: Any = _new(cls)
    if (own := np.dtype(a.dtype.type)) == a.dtype:  # NumPy's pickles bring an equal dtype that is another object
        a = a.view(own)
    t._a, t._s = a, Storage(a)
    t._node = t._base = t._grad = None
    if requires_grad:
        t._node = leaf_node(t)
    t.__dict__.update(extra)
    return t


def deep_storage(storage: Storage, memo: dict[int, Any]) -> Storage:
    """Copy a storage, once for it and all tensors that share it."""
    return _copied(storage.root, storage, memo)[1]


def _copied(a: Any, storage: Storage, memo: dict[int, Any]) -> tuple[Any, Storage]:
    """Copy a storage once for all tensors that share it, and give the same view of the copy."""
    root = storage.root
    key: Any = ("storage", id(root))  # what copies a storage bare keeps its own under the number alone
    if key not in memo:
        low, high = np.lib.array_utils.byte_bounds(root)
        held = np.empty(high - low, np.uint8)
        held[...] = np.lib.stride_tricks.as_strided(_bytes_at(root), (high - low,), (1,)) if root.size else 0
        memo[key] = (low, held, Storage(_view_of(held, root, low)))
    low, held, copy = memo[key]
    if a is root:
        return copy.root, copy
    start, end = np.lib.array_utils.byte_bounds(a) if a.size else (low, low)
    if start < low or end > low + held.size:  # the tensor was given other memory than its storage began with
        alone = a.copy(order="K")
        return alone, Storage(alone)
    return _view_of(held, a, low), copy


def _bytes_at(root: Any) -> Any:
    """Give the bytes of an array from its lowest address on."""
    first = root[tuple([slice(None, None, -1) if s < 0 else slice(None) for s in root.strides])]
    return first[tuple([slice(0, 1)] * root.ndim)].reshape(-1).view(np.uint8)


def _view_of(held: Any, a: Any, low: int) -> Any:
    start = a.__array_interface__["data"][0] - low if a.size else 0
    return np.ndarray(a.shape, a.dtype, held, start, a.strides) if a.size else np.empty(a.shape, a.dtype)


__all__ = ["deep", "rebuild", "shallow"]
