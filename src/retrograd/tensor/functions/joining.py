"""Joining tensors and taking them apart: cat, stack, split, chunk and their kin."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import BaseTensor, apply, at, here, show_type
from ...ops import shape as s
from ...ops.elementwise import clone as clone_op
from ..dispatch import FUNCTIONS, METHODS, as_dtype, function, result_type, type_name, wrap_dim
from .shaping import ALL, reshaped, unsqueeze
from .strides import copied


def _common(tensors: Any, name: str) -> list[Any]:
    if isinstance(tensors, BaseTensor):
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    parts = list(tensors)
    for i, p in enumerate(parts):
        if not isinstance(p, BaseTensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(p).__name__} ({name})")
    if not parts:
        raise (ValueError if name == "cat" else RuntimeError)(
            f"{name} expects a non-empty TensorList"
            if name == "stack"
            else f"{name}(): expected a non-empty list of Tensors"
        )
    first = parts[0]._a.dtype
    if any(p._a.dtype != first for p in parts):
        d = result_type(*(p if p._a.ndim else p.reshape(1) for p in parts))
        parts = [as_dtype(p, d) for p in parts]
    return parts


@function("cat", "concat", "concatenate", method=False)
def cat(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Any:
    """Join tensors along an existing dimension."""
    parts = _common(tensors, "cat")
    if axis is not None:
        dim = axis
    full = [p for p in parts if p._a.shape != (0,)]
    if not full:
        return apply(s.cat, *parts, axis=0)
    for p in full:
        if not p._a.ndim:
            raise RuntimeError(
                f"zero-dimensional tensor (at position {parts.index(p) if p is parts[0] else 1}) cannot be "
                "concatenated: unsqueeze it, or use stack"
            )
    n = full[0]._a.ndim
    d = wrap_dim(dim, n, "cat")
    shape = full[0]._a.shape
    for i, p in enumerate(full):
        other = p._a.shape
        if len(other) != n:
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {n} and {len(other)} (cat of "
                f"{show_type(full[0])} and {show_type(p)}){at(here())}"
            )
        for k in range(n):
            if k != d and other[k] != shape[k]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {d}. Expected size {shape[k]} but got "
                    f"size {other[k]} for tensor number {i} in the list.{at(here())}"
                )
    if len(full) == 1:
        return apply(clone_op, full[0], order="C")
    return apply(s.cat, *full, axis=d)


@function("stack", method=False)
def stack(tensors: Any, dim: int = 0) -> Any:
    """Join tensors of one shape along a new dimension."""
    parts = _common(tensors, "stack")
    shape = parts[0]._a.shape
    for i, p in enumerate(parts):
        if p._a.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(p._a.shape)} at entry {i}{at(here())}"
            )
    n = len(shape) + 1
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim}) in stack()"
        )
    return apply(s.stack, *parts, axis=dim % n)


def _slices(x: Any, dim: int, bounds: list[tuple[int, int]], name: str) -> tuple[Any, ...]:
    lead = (ALL,) * dim
    return tuple([apply(s.slice_, x, index=(*lead, slice(a, b)), several=(name, i)) for i, (a, b) in enumerate(bounds)])


@function("split", out=False)
def split(tensor: Any, split_size_or_sections: Any = None, dim: int = 0, *, split_size: Any = None) -> Any:
    """Cut a dimension into pieces of one size (the last may be shorter) or of given sizes; views."""
    size = split_size_or_sections if split_size is None else split_size
    a = tensor._a
    if not a.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = wrap_dim(dim, a.ndim, "split")
    n = a.shape[d]
    if isinstance(size, (list, tuple)):
        if sum(size) != n or any(k < 0 for k in size):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension "
                f"{d}), but got split_sizes={list(size)}"
            )
        bounds, start = [], 0
        for k in size:
            bounds.append((start, start + k))
            start += k
        return _slices(tensor, d, bounds, "SplitWithSizesBackward0")
    size = int(size)
    if size < 0 or (size == 0 and n != 0):
        raise RuntimeError(
            f"split expects split_size be non-negative, but got split_size={size}"
            if size < 0
            else "split_size can only be 0 if dimension size is 0, but got dimension size of " + str(n)
        )
    if n == 0:
        return _slices(tensor, d, [(0, 0)], "SplitBackward0")
    return _slices(tensor, d, [(i, min(i + size, n)) for i in range(0, n, size)], "SplitBackward0")


@function("split_with_sizes", out=False)
def split_with_sizes(input: Any, split_sizes: Any, dim: int = 0) -> Any:
    """Cut a dimension into pieces of given sizes; views."""
    return split(input, list(split_sizes), dim)


@function("chunk", out=False)
def chunk(input: Any, chunks: int, dim: int = 0) -> Any:
    """Cut a dimension into at most this many pieces of equal size; views."""
    if not input._a.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    d = wrap_dim(dim, input._a.ndim, "chunk")
    n = input._a.shape[d]
    size = -(-n // chunks)
    if size == 0:
        return _slices(input, d, [(0, 0)] * chunks, "SplitBackward0")
    return _slices(input, d, [(i, min(i + size, n)) for i in range(0, n, size)], "SplitBackward0")


@function("tensor_split", out=False)
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> Any:
    """Cut a dimension at indices, or into a number of nearly equal pieces; views."""
    if not input._a.ndim:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = wrap_dim(dim, input._a.ndim, "tensor_split")
    n = input._a.shape[d]
    if isinstance(indices_or_sections, BaseTensor) and indices_or_sections._a.dtype != np.int64:
        raise RuntimeError(
            "tensor_split expected tensor_indices_or_sections to have dtype of long, but got "
            f"{type_name(indices_or_sections._a.dtype)}"
        )
    if isinstance(indices_or_sections, BaseTensor) and indices_or_sections._a.ndim > 1:
        raise RuntimeError(
            "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but got a tensor "
            f"with {indices_or_sections._a.ndim} dims"
        )
    cuts = indices_or_sections.tolist() if isinstance(indices_or_sections, BaseTensor) else indices_or_sections
    if isinstance(cuts, int):
        if cuts <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {cuts}")
        sizes_ = [n // cuts + (1 if i < n % cuts else 0) for i in range(cuts)]
        ends = np.cumsum(sizes_).tolist()
        bounds = list(zip([0, *ends[:-1]], ends, strict=True))
    else:
        ends = [max(0, min(c + n if c < 0 else c, n)) for c in cuts]
        starts = [0, *ends]
        bounds = [(a, max(a, b)) for a, b in zip(starts, [*ends, n], strict=True)]
    return tuple([narrow_slice(input, d, a, b) for a, b in bounds])


def narrow_slice(x: Any, dim: int, start: int, stop: int) -> Any:
    """Give a slice of one dimension as a view (library use)."""
    return apply(s.slice_, x, index=(*(ALL,) * dim, slice(start, stop)))


@function("unbind", out=False)
def unbind(input: Any, dim: int = 0) -> Any:
    """Give the slices along a dimension, which goes; views."""
    a = input._a
    if not a.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    d = wrap_dim(dim, a.ndim, "unbind")
    lead = (ALL,) * d
    return tuple([apply(s.slice_, input, index=(*lead, i), several=("UnbindBackward0", i)) for i in range(a.shape[d])])


@function("narrow", out=False)
def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """Give ``length`` elements from ``start`` of a dimension; a view."""
    if not input._a.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, input._a.ndim, "narrow")
    n = input._a.shape[d]
    if isinstance(start, BaseTensor) and (start._a.ndim or start._a.dtype.kind not in "iu"):
        raise RuntimeError(
            f"start must be an 0-dim integral Tensor: narrow() got {start.dtype} of shape {list(start._a.shape)}"
        )
    first = int(start)
    if not -n <= first <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {first})")
    first = first + n if first < 0 else first
    if length < 0 or first + length > n:
        raise RuntimeError(
            "narrow(): length must be non-negative."
            if length < 0
            else f"start ({first}) + length ({length}) exceeds dimension size ({n})."
        )
    return narrow_slice(input, d, first, first + length)


@function("select", out=False)
def select(input: Any, dim: int, index: Any) -> Any:
    """Give one slice along a dimension, which goes; a view."""
    a = input._a
    if not a.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, a.ndim, "select")
    i = int(index)
    if not -a.shape[d] <= i < a.shape[d]:
        raise IndexError(f"select(): index {i} out of range for tensor of size {list(a.shape)} at dimension {d}")
    return apply(s.slice_, input, index=(*(ALL,) * d, i))


def _stacker(name: str, doc: str, prepare: Any, dim: Any) -> Any:
    def fn(tensors: Any) -> Any:
        if isinstance(tensors, BaseTensor):
            raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
        parts = [prepare(p) for p in tensors]
        if not parts:
            raise RuntimeError(f"{name} expects a non-empty TensorList: give at least one tensor")
        return cat(parts, dim if isinstance(dim, int) else dim(parts))

    fn.__name__ = name
    fn.__doc__ = doc
    return function(name, method=False)(fn)


@function("atleast_1d", method=False, out=False)
def atleast_1d(*tensors: Any) -> Any:
    """Give tensors with at least one dimension."""
    return _atleast(tensors, lambda x: x if x._a.ndim else reshaped(x, (1,)))


@function("atleast_2d", method=False, out=False)
def atleast_2d(*tensors: Any) -> Any:
    """Give tensors with at least two dimensions."""
    return _atleast(tensors, lambda x: x if x._a.ndim >= 2 else reshaped(x, (1, x._a.size)))


@function("atleast_3d", method=False, out=False)
def atleast_3d(*tensors: Any) -> Any:
    """Give tensors with at least three dimensions."""
    return _atleast(
        tensors,
        lambda x: x if x._a.ndim >= 3 else unsqueeze(x, -1) if x._a.ndim == 2 else reshaped(x, (1, x._a.size, 1)),
    )


def _atleast(tensors: Any, fn: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], BaseTensor):
        return fn(tensors[0])
    if len(tensors) == 1:
        tensors = tuple(tensors[0])
    return tuple(fn(x) for x in tensors)


hstack = _stacker(
    "hstack", "Join tensors column by column.", atleast_1d, lambda parts: 0 if parts[0]._a.ndim == 1 else 1
)


vstack = _stacker("vstack", "Join tensors row by row.", atleast_2d, 0)


row_stack = _stacker("row_stack", "Join tensors row by row.", atleast_2d, 0)


dstack = _stacker("dstack", "Join tensors along the third dimension.", atleast_3d, 2)


column_stack = _stacker(
    "column_stack", "Join vectors as columns.", lambda x: reshaped(x, (x._a.size, 1)) if x._a.ndim <= 1 else x, 1
)


def _nd_split(name: str, doc: str, axis: int, least: int) -> Any:
    def fn(input: Any, indices_or_sections: Any) -> Any:
        n = input._a.ndim
        if n < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension{'s' if least > 1 else ''}, "
                f"but got a tensor with {n} dimensions!"
            )
        d = 0 if axis == 1 and n == 1 else axis
        if isinstance(indices_or_sections, int) and (
            indices_or_sections <= 0 or input._a.shape[d] % indices_or_sections
        ):
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {d}, but the size of the dimension "
                f"{input._a.shape[d]} is not divisible by the split_size {indices_or_sections}!"
            )
        return tensor_split(input, indices_or_sections, d)

    fn.__name__ = name
    fn.__doc__ = doc
    return function(name, out=False)(fn)


hsplit = _nd_split("hsplit", "Split column by column.", 1, 1)


vsplit = _nd_split("vsplit", "Split row by row.", 0, 2)


dsplit = _nd_split("dsplit", "Split along the third dimension.", 2, 3)

for _name, _fn in {
    "select": select,
    "narrow": narrow,
    "split": split,
    "split_with_sizes": split_with_sizes,
    "unbind": unbind,
}.items():
    copied(_fn, f"{_name}_copy")
METHODS["narrow_copy"] = FUNCTIONS["narrow_copy"]
_unsafe: dict[str, Any] = {"unsafe_split": split, "unsafe_chunk": chunk, "unsafe_split_with_sizes": split_with_sizes}
for _name, _view in _unsafe.items():
    function(_name, out=False)(_view)
