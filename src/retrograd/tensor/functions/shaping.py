"""Shape: views where torch gives views, copies where it copies, joining and splitting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import BaseTensor, apply, at, here, show_type, wrap
from ...core import dtypes as _d
from ...ops import shape as s
from ...ops.elementwise import clone as clone_op
from ..dispatch import as_dtype, function, result_type, sizes, tensor_operand, wrap_dim, wrap_dims

ALL = slice(None)


def _resolve(shape: tuple[int, ...], size: int, name: str, x: Any) -> tuple[int, ...]:
    """Replace a -1 by the length that fits."""
    if -1 in shape:
        i = shape.index(-1)
        rest = math.prod(shape[:i] + shape[i + 1 :])
        if shape.count(-1) > 1:
            raise RuntimeError(f"only one dimension can be inferred: {name} of {show_type(x)} to {list(shape)}")
        if rest == 0:
            raise RuntimeError(f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified dimension size -1 can be any value and is ambiguous")
        if size % rest:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {size}: {name} of {show_type(x)}{at(here())}")
        return (*shape[:i], size // rest, *shape[i + 1 :])
    if math.prod(shape) != size:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {size}: {name} of {show_type(x)}{at(here())}")
    for n in shape:
        if n < 0:
            raise RuntimeError(f"invalid shape dimension {n}: {name} of {show_type(x)} to {list(shape)}")
    return shape


def _can_view(a: Any, shape: tuple[int, ...]) -> bool:
    if a.flags.c_contiguous:
        return True
    try:
        np.reshape(a, shape, copy=False)
    except ValueError:
        return False
    return True


def reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    """Give a view of another shape, of a copy where the memory does not allow one (library use)."""
    if not _can_view(x._a, shape):
        x = apply(clone_op, x, order="C")
    return apply(s.reshape, x, shape=shape)


@function("reshape", out=False)
def reshape(input: Any, *shape: Any, **named: Any) -> Any:
    """Give the same elements in another shape: a view where the memory allows, else a copy. One length may be -1."""
    if "shape" in named:
        shape = (named["shape"],)
    a = tensor_operand(input, "reshape")._a
    return reshaped(input, _resolve(sizes(shape, "reshape"), a.size, "reshape", input))


@function("view", torch=False)
def view(input: Any, *shape: Any, **named: Any) -> Any:
    """Give a view of another shape (RuntimeError where that needs a copy), or of another dtype."""
    if named:
        shape = (named.get("size", named.get("dtype")),)
    if len(shape) == 1 and isinstance(shape[0], _d.dtype):
        return _view_dtype(input, shape[0])
    a = input._a
    found = _resolve(sizes(shape, "view"), a.size, "view", input)
    if not _can_view(a, found):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). "
            f"Use .reshape(...) instead. (view of {show_type(input)} with strides {input.stride()} to {list(found)}){at(here())}"
        )
    return apply(s.reshape, input, shape=found)


def _view_dtype(x: Any, dtype: _d.dtype) -> Any:
    a = x._a
    if a.ndim == 0 and a.itemsize != dtype.itemsize:
        raise RuntimeError(f"self.dim() cannot be 0 to view {x.dtype} as {dtype} (different element sizes)")
    t = wrap(a.view(dtype.numpy), x._s)
    return t


@function("view_as", torch=False)
def view_as(input: Any, other: Any) -> Any:
    """View with another tensor's shape."""
    return view(input, tuple(other._a.shape))


@function("reshape_as", torch=False)
def reshape_as(input: Any, other: Any) -> Any:
    """Reshape to another tensor's shape."""
    return reshape(input, tuple(other._a.shape))


@function("permute", out=False)
def permute(input: Any, *dims: Any, **named: Any) -> Any:
    """Reorder the dimensions; a view."""
    if "dims" in named:
        dims = (named["dims"],)
    n = input._a.ndim
    found = sizes(dims, "permute")
    if len(found) != n:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {n} is not equal to len(dims) = {len(found)}".replace("(sparse_coo)", "")
        )
    axes = tuple(wrap_dim(d, n, "permute") for d in found)
    if len(set(axes)) != n:
        raise RuntimeError(f"permute(dims): duplicate dims are not allowed: {list(found)} of {show_type(input)}")
    return apply(s.permute, input, axes=axes)


@function("transpose", "swapaxes", "swapdims", inplace=False, out=False)
def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Swap two dimensions; a view."""
    n = input._a.ndim
    a, b = wrap_dim(dim0, n, "transpose"), wrap_dim(dim1, n, "transpose")
    if n == 0:
        return apply(s.reshape, input, shape=())
    return apply(s.transpose, input, a=a, b=b)


@function("t", out=False)
def t(input: Any) -> Any:
    """Transpose a matrix; give vectors and scalars as they are."""
    n = tensor_operand(input, "t")._a.ndim
    if n > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {n}D: use transpose or mT")
    return transpose(input, 0, 1) if n == 2 else apply(s.reshape, input, shape=input._a.shape)


@function("adjoint", out=False)
def adjoint(input: Any) -> Any:
    """Give the conjugate transpose of the last two dimensions."""
    return transpose(input, -2, -1).conj()


@function("movedim", "moveaxis", out=False)
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Move dimensions to other places; a view."""
    n = input._a.ndim
    src = [source] if isinstance(source, int) else list(source)
    dst = [destination] if isinstance(destination, int) else list(destination)
    if len(src) != len(dst):
        raise RuntimeError(f"movedim: Invalid source or destination dims: source ({src} dims) should contain the same number of dims as destination ({dst} dims)")
    src, dst = [wrap_dim(d, n, "movedim") for d in src], [wrap_dim(d, n, "movedim") for d in dst]
    for name, dims in (("source", src), ("destination", dst)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({dims})")
    order = [d for d in range(n) if d not in src]
    for d, o in sorted(zip(dst, src, strict=True)):
        order.insert(d, o)
    return apply(s.permute, input, axes=tuple(order))


@function("expand", torch=False)
def expand(input: Any, *shape: Any, implicit: bool = False, **named: Any) -> Any:
    """Repeat dimensions of length 1 without copying; -1 keeps a length."""
    if "size" in named:
        shape = (named["size"],)
    want = sizes(shape, "expand")
    have = input._a.shape
    lead = len(want) - len(have)
    if lead < 0:
        raise RuntimeError(
            f"expand(torch.{show_type(input)}, size={list(want)}): the number of sizes provided ({len(want)}) must be greater or equal to the number of dimensions in the tensor ({len(have)})"
        )
    full = []
    for i, n in enumerate(want):
        old = have[i - lead] if i >= lead else None
        if n == -1:
            if old is None:
                raise RuntimeError(f"expand: The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {i}")
            n = old
        elif old is not None and old not in (1, n):
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({old}) at non-singleton dimension {i}.  Target sizes: {list(want)}.  Tensor sizes: {list(have)}{at(here())}"
            )
        full.append(n)
    return apply(s.expand, input, shape=tuple(full))


@function("expand_as", torch=False)
def expand_as(input: Any, other: Any) -> Any:
    """Expand to another tensor's shape."""
    return expand(input, tuple(other._a.shape))


@function("broadcast_to", out=False)
def broadcast_to(input: Any, size: Any) -> Any:
    """Expand to a shape."""
    return expand(input, tuple(size))


@function("squeeze", out=False)
def squeeze(input: Any, dim: Any = None) -> Any:
    """Leave out dimensions of length 1: all, or those named; a view."""
    shape = input._a.shape
    if dim is None:
        return apply(s.reshape, input, shape=tuple([n for n in shape if n != 1]))
    if isinstance(dim, (tuple, list)):
        dims: Any = wrap_dims(dim, len(shape), "squeeze") if dim else ()
    else:
        dims = (wrap_dim(dim, len(shape), "squeeze"),)
    return apply(s.reshape, input, shape=tuple([n for i, n in enumerate(shape) if not (n == 1 and i in dims)]))


@function("unsqueeze", out=False)
def unsqueeze(input: Any, dim: int) -> Any:
    """Put in a dimension of length 1; a view."""
    shape = tensor_operand(input, "unsqueeze")._a.shape
    n = len(shape) + 1
    if not -n <= dim < n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim}) in unsqueeze()")
    d = dim % n
    return apply(s.reshape, input, shape=(*shape[:d], 1, *shape[d:]))


@function("flatten", out=False)
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Join dimensions start_dim to end_dim into one."""
    shape = tensor_operand(input, "flatten")._a.shape
    if not shape:
        return apply(s.reshape, input, shape=(1,))
    a, b = wrap_dim(start_dim, len(shape), "flatten"), wrap_dim(end_dim, len(shape), "flatten")
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if a == b:
        return input
    return reshaped(input, (*shape[:a], math.prod(shape[a : b + 1]), *shape[b + 1 :]))


@function("ravel", out=False)
def ravel(input: Any) -> Any:
    """Give all elements as one dimension."""
    return reshaped(input, (input._a.size,))


@function("unflatten", out=False)
def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """Split one dimension into several."""
    shape = input._a.shape
    d = wrap_dim(dim, len(shape), "unflatten")
    parts = tuple(sizes)
    if not parts:
        raise RuntimeError("unflatten: sizes must be non-empty")
    if -1 in parts:
        rest = -math.prod(parts)
        if rest <= 0 or shape[d] % rest:
            raise RuntimeError(f"unflatten: Provided sizes {list(parts)} don't multiply up to the size of dim {d} ({shape[d]}) in the input tensor")
        parts = tuple(shape[d] // rest if p == -1 else p for p in parts)
    if math.prod(parts) != shape[d]:
        raise RuntimeError(f"unflatten: Provided sizes {list(parts)} don't multiply up to the size of dim {d} ({shape[d]}) in the input tensor")
    return reshaped(input, (*shape[:d], *parts, *shape[d + 1 :]))


@function("contiguous", torch=False)
def contiguous(input: Any, memory_format: Any = None) -> Any:
    """Give itself if its elements lie in row-major order, else a copy in that order."""
    return input if input._a.flags.c_contiguous else apply(clone_op, input, order="C")


@function("clone", out=False)
def clone(input: Any, *, memory_format: Any = None) -> Any:
    """Give a copy, with history."""
    order = "C" if memory_format is not None and "contiguous_format" in str(memory_format) else "K"
    a = input._a
    if order == "K" and not a.flags.c_contiguous and a.ndim and 0 in a.strides:
        order = "C"
    return apply(clone_op, input, order=order)


# -- joining -----------------------------------------------------------------------------------------------------------------
def _common(tensors: Any, name: str) -> list[Any]:
    if isinstance(tensors, BaseTensor):
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    parts = list(tensors)
    for i, p in enumerate(parts):
        if not isinstance(p, BaseTensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(p).__name__}")
    if not parts:
        raise (ValueError if name == "cat" else RuntimeError)(f"{name} expects a non-empty TensorList" if name == "stack" else f"{name}(): expected a non-empty list of Tensors")
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
    full = [p for p in parts if p._a.shape != (0,)] or parts[:1]
    for p in full:
        if not p._a.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {parts.index(p) if p is parts[0] else 1}) cannot be concatenated: unsqueeze it, or use stack")
    n = full[0]._a.ndim
    d = wrap_dim(dim, n, "cat")
    shape = full[0]._a.shape
    for i, p in enumerate(full):
        other = p._a.shape
        if len(other) != n:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {n} and {len(other)} (cat of {show_type(full[0])} and {show_type(p)}){at(here())}")
        for k in range(n):
            if k != d and other[k] != shape[k]:
                raise RuntimeError(f"Sizes of tensors must match except in dimension {d}. Expected size {shape[k]} but got size {other[k]} for tensor number {i} in the list.{at(here())}")
    if len(full) == 1:
        return clone(full[0])
    return apply(s.cat, *full, axis=d)


@function("stack", method=False)
def stack(tensors: Any, dim: int = 0) -> Any:
    """Join tensors of one shape along a new dimension."""
    parts = _common(tensors, "stack")
    shape = parts[0]._a.shape
    for i, p in enumerate(parts):
        if p._a.shape != shape:
            raise RuntimeError(f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and {list(p._a.shape)} at entry {i}{at(here())}")
    n = len(shape) + 1
    if not -n <= dim < n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim}) in stack()")
    return apply(s.stack, *parts, axis=dim % n)


# -- taking apart ------------------------------------------------------------------------------------------------------------
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
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {d}), but got split_sizes={list(size)}"
            )
        bounds, start = [], 0
        for k in size:
            bounds.append((start, start + k))
            start += k
        return _slices(tensor, d, bounds, "SplitWithSizesBackward0")
    size = int(size)
    if size < 0 or (size == 0 and n != 0):
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}" if size < 0 else "split_size can only be 0 if dimension size is 0, but got dimension size of " + str(n))
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
    d = wrap_dim(dim, input._a.ndim, "tensor_split")
    n = input._a.shape[d]
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
        raise RuntimeError("Dimension specified as 0 but tensor has no dimensions")
    d = wrap_dim(dim, a.ndim, "unbind")
    lead = (ALL,) * d
    return tuple([apply(s.slice_, input, index=(*lead, i), several=("UnbindBackward0", i)) for i in range(a.shape[d])])


@function("narrow", out=False)
def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """Give ``length`` elements from ``start`` of a dimension; a view."""
    d = wrap_dim(dim, input._a.ndim, "narrow")
    n = input._a.shape[d]
    first = int(start)
    if not -n <= first <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {first})")
    first = first + n if first < 0 else first
    if length < 0 or first + length > n:
        raise RuntimeError(f"narrow(): length must be non-negative." if length < 0 else f"start ({first}) + length ({length}) exceeds dimension size ({n}).")
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
        parts = [prepare(p) for p in tensors]
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
    return _atleast(tensors, lambda x: x if x._a.ndim >= 3 else unsqueeze(x, -1) if x._a.ndim == 2 else reshaped(x, (1, x._a.size, 1)))


def _atleast(tensors: Any, fn: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], BaseTensor):
        return fn(tensors[0])
    if len(tensors) == 1:
        tensors = tuple(tensors[0])
    return tuple(fn(x) for x in tensors)


hstack = _stacker("hstack", "Join tensors column by column.", atleast_1d, lambda parts: 0 if parts[0]._a.ndim == 1 else 1)
vstack = _stacker("vstack", "Join tensors row by row.", atleast_2d, 0)
row_stack = _stacker("row_stack", "Join tensors row by row.", atleast_2d, 0)
dstack = _stacker("dstack", "Join tensors along the third dimension.", atleast_3d, 2)
column_stack = _stacker("column_stack", "Join vectors as columns.", lambda x: reshaped(x, (x._a.size, 1)) if x._a.ndim <= 1 else x, 1)


def _nd_split(name: str, doc: str, axis: int, least: int) -> Any:
    def fn(input: Any, indices_or_sections: Any) -> Any:
        n = input._a.ndim
        if n < least:
            raise RuntimeError(f"torch.{name} requires a tensor with at least {least} dimension{'s' if least > 1 else ''}, but got a tensor with {n} dimensions!")
        d = 0 if axis == 1 and n == 1 else axis
        if isinstance(indices_or_sections, int) and (indices_or_sections <= 0 or input._a.shape[d] % indices_or_sections):
            raise RuntimeError(f"torch.{name} attempted to split along dimension {d}, but the size of the dimension {input._a.shape[d]} is not divisible by the split_size {indices_or_sections}!")
        return tensor_split(input, indices_or_sections, d)

    fn.__name__ = name
    fn.__doc__ = doc
    return function(name, out=False)(fn)


hsplit = _nd_split("hsplit", "Split column by column.", 1, 1)
vsplit = _nd_split("vsplit", "Split row by row.", 0, 2)
dsplit = _nd_split("dsplit", "Split along the third dimension.", 2, 3)


# -- diagonals and triangles -------------------------------------------------------------------------------------------------
@function("diagonal", out=False)
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """Give a diagonal as the last dimension; a view."""
    n = input._a.ndim
    a, b = wrap_dim(dim1, n, "diagonal"), wrap_dim(dim2, n, "diagonal")
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return apply(s.diagonal, input, offset=offset, a=a, b=b)


@function("diag_embed", out=False)
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Put the last dimension on a diagonal of a matrix of zeros."""
    shape = input._a.shape
    n = len(shape) + 1
    a, b = wrap_dim(dim1, n, "diag_embed"), wrap_dim(dim2, n, "diag_embed")
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    if a > b:
        a, b, offset = b, a, -offset
    side = shape[-1] + abs(offset)
    rest = list(shape[:-1])
    rest.insert(a, side)
    rest.insert(b, side)
    return apply(s.embed, input, part=s.diagonal, attrs={"offset": offset, "a": a, "b": b}, shape=tuple(rest))


@function("diag")
def diag(input: Any, diagonal: int = 0) -> Any:
    """Make a diagonal matrix of a vector, or take a matrix's diagonal (a copy)."""
    n = input._a.ndim
    if n == 1:
        return diag_embed(input, diagonal)
    if n == 2:
        return clone(apply(s.diagonal, input, offset=diagonal, a=0, b=1))
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {n}D")


@function("diagflat", out=False)
def diagflat(input: Any, offset: int = 0) -> Any:
    """Make a diagonal matrix of all elements."""
    return diag_embed(ravel(input), offset)


def _matrix(x: Any, name: str) -> None:
    if x._a.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions, got {show_type(x)}")


@function("tril", inplace=True)
def tril(input: Any, diagonal: int = 0) -> Any:
    """Keep the lower triangle, zero the rest."""
    _matrix(input, "tril")
    return apply(s.tril, input, diagonal=diagonal)


@function("triu", inplace=True)
def triu(input: Any, diagonal: int = 0) -> Any:
    """Keep the upper triangle, zero the rest."""
    _matrix(input, "triu")
    return apply(s.triu, input, diagonal=diagonal)


@function("tril_indices", method=False, out=False)
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None) -> Any:
    """Give the (row, column) indices of the lower triangle."""
    a = np.stack(np.tril_indices(row, offset, col))
    return wrap(a if dtype is None else a.astype(_d.to_numpy(dtype)))


@function("triu_indices", method=False, out=False)
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None) -> Any:
    """Give the (row, column) indices of the upper triangle."""
    a = np.stack(np.triu_indices(row, offset, col))
    return wrap(a if dtype is None else a.astype(_d.to_numpy(dtype)))


# -- turning and repeating ---------------------------------------------------------------------------------------------------
@function("flip", out=False)
def flip(input: Any, *dims: Any) -> Any:
    """Reverse the order along dimensions (a copy)."""
    found = sizes(dims, "flip")
    return apply(s.flip, input, axes=wrap_dims(found, input._a.ndim, "flip") if found else ())


@function("fliplr", out=False)
def fliplr(input: Any) -> Any:
    """Reverse the columns."""
    return flip(input, 1)


@function("flipud", out=False)
def flipud(input: Any) -> Any:
    """Reverse the rows."""
    return flip(input, 0)


@function("rot90", out=False)
def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """Turn by 90 degrees, k times, in the plane of two dimensions."""
    a, b = (wrap_dim(d, input._a.ndim, "rot90") for d in dims)
    k %= 4
    if k == 0:
        return clone(input)
    if k == 2:
        return flip(input, a, b)
    return transpose(flip(input, b), a, b) if k == 1 else flip(transpose(input, a, b), b)


@function("roll", out=False)
def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Shift around along dimensions (along the flattened tensor if none is given)."""
    by = (int(shifts),) if isinstance(shifts, int) else tuple(shifts)
    if dims is None or dims == ():
        if len(by) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(by)}, dims:0")
        flat = apply(s.roll, ravel(input), shifts=by, axes=(0,))
        return reshaped(flat, input._a.shape)
    axes = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(axes) != len(by):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(by)}, dims:{len(axes)}")
    return apply(s.roll, input, shifts=by, axes=tuple(wrap_dim(d, input._a.ndim, "roll") for d in axes))


@function("repeat", torch=False)
def repeat(input: Any, *repeats: Any) -> Any:
    """Copy the tensor a number of times along each dimension."""
    times = sizes(repeats, "repeat")
    shape = input._a.shape
    if len(times) < len(shape):
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    if any(k < 0 for k in times):
        raise RuntimeError(f"Trying to create tensor with negative dimension: repeat {list(times)} of {show_type(input)}")
    shape = (1,) * (len(times) - len(shape)) + shape
    inner = tuple(v for n in shape for v in (1, n))
    outer = tuple(v for k, n in zip(times, shape, strict=True) for v in (k, n))
    x = apply(s.expand, reshaped(input, inner), shape=outer)
    x = apply(clone_op, x, order="C")
    return apply(s.reshape, x, shape=tuple(k * n for k, n in zip(times, shape, strict=True)))


@function("tile", out=False)
def tile(input: Any, *dims: Any) -> Any:
    """Repeat, with ones put before too few numbers."""
    times = sizes(dims, "tile")
    return repeat(input, (1,) * (input._a.ndim - len(times)) + times)


@function("repeat_interleave", out=False)
def repeat_interleave(input: Any, repeats: Any = None, dim: int | None = None, *, output_size: Any = None) -> Any:
    """Repeat each element (or slice along ``dim``) a number of times."""
    if repeats is None:
        return wrap(np.repeat(np.arange(input._a.size), input._a))
    if dim is None:
        input, dim = ravel(input), 0
    d = wrap_dim(dim, input._a.ndim, "repeat_interleave")
    counts = repeats._a if isinstance(repeats, BaseTensor) else np.asarray(repeats)
    n = input._a.shape[d]
    if counts.ndim and counts.size not in (1, n):
        raise RuntimeError(f"repeats must have the same size as input along dim, but got repeats.size(0) = {counts.size} and input.size({d}) = {n}")
    from ...ops.index import take_axis

    index = np.repeat(np.arange(n), counts.reshape(-1) if counts.ndim and counts.size > 1 else int(counts.reshape(-1)[0]))
    return apply(take_axis, input, wrap(index), axis=d)


@function("unfold", torch=False)
def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """Give windows of a dimension as a new last dimension; a view."""
    d = wrap_dim(dimension, input._a.ndim, "unfold")
    n = input._a.shape[d] if input._a.ndim else 1
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {n} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    return apply(s.unfold_view, input if input._a.ndim else reshaped(input, (1,)), axis=d, size=size, step=step)


@function("as_strided", out=False)
def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """View the storage with given sizes and strides."""
    return apply(s.as_strided, input, size=tuple(size), stride=tuple(stride), offset=storage_offset or 0)


@function("meshgrid", method=False, out=False)
def meshgrid(*tensors: Any, indexing: str | None = None) -> Any:
    """Give the grids of coordinates that vectors span."""
    parts = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    if indexing is None:
        import warnings

        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.", UserWarning, stacklevel=3
        )
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f"torch.meshgrid: indexing must be one of \"xy\" or \"ij\", but received: {indexing}")
    swap = indexing == "xy" and len(parts) >= 2
    if swap:
        parts[0], parts[1] = parts[1], parts[0]
    shape = tuple(p._a.size for p in parts)
    grids = [expand(reshaped(p, (1,) * i + (-1 if False else p._a.size,) + (1,) * (len(parts) - i - 1)), shape) for i, p in enumerate(parts)]
    if swap:
        grids = [transpose(g, 0, 1) for g in grids]
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@function("broadcast_tensors", method=False, out=False)
def broadcast_tensors(*tensors: Any) -> Any:
    """Expand tensors to their common shape."""
    parts = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    try:
        shape = np.broadcast_shapes(*(p._a.shape for p in parts))
    except ValueError:
        from ...core import shapes_error

        raise shapes_error("broadcast_tensors", parts, here()) from None
    return tuple(expand(p, shape) for p in parts)


@function("broadcast_shapes", method=False, out=False)
def broadcast_shapes(*shapes: Any) -> Any:
    """Give the shape to which these broadcast."""
    from ..tensor import Size

    try:
        return Size(np.broadcast_shapes(*(tuple(n) if isinstance(n, (tuple, list)) else (n,) for n in shapes)))
    except ValueError as error:
        raise RuntimeError(f"Shape mismatch: objects cannot be broadcast to a single shape: {shapes}") from error


@function("block_diag", method=False, out=False)
def block_diag(*tensors: Any) -> Any:
    """Put matrices on the diagonal of a matrix of zeros."""
    parts = [atleast_2d(x) for x in tensors]
    rows, columns = sum(p._a.shape[0] for p in parts), sum(p._a.shape[1] for p in parts)
    d = result_type(*parts)
    total, r, c = None, 0, 0
    for p in parts:
        h, w = p._a.shape
        piece = apply(s.pad, as_dtype(p, d), widths=((r, rows - r - h), (c, columns - c - w)), value=0)
        total = piece if total is None else total + piece
        r, c = r + h, c + w
    return total


@function("cartesian_prod", method=False, out=False)
def cartesian_prod(*tensors: Any) -> Any:
    """Give every combination of elements, one from each vector."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([ravel(g) for g in meshgrid(*tensors, indexing="ij")], 1)


@function("combinations", out=False)
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """Give every choice of r elements of a vector."""
    from itertools import combinations as plain
    from itertools import combinations_with_replacement as again

    rows = list((again if with_replacement else plain)(range(input._a.size), r))
    from ...ops.index import take_axis

    return apply(take_axis, input, wrap(np.array(rows, np.int64).reshape(-1, r)), axis=0)


def constant_pad(x: Any, widths: Any, value: Any = 0) -> Any:
    """Pad with a constant; ``widths`` gives (before, after) per dimension (library use)."""
    return apply(s.pad, x, widths=tuple(tuple(w) for w in widths), value=value)


def _in_place_view(name: str, fn: Any) -> None:
    """Make the form that changes the tensor's own shape: t_, transpose_, squeeze_, unsqueeze_."""
    from ..dispatch import METHODS

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        r = fn(self, *args, **kwargs)
        self._a, self._node = r._a, r._node
        if self._base is not None:
            self._steps = r._steps
        return self

    method.__name__ = name
    method.__doc__ = f"Give this tensor the shape that ``{name[:-1]}`` gives, in place."
    METHODS[name] = method


for _name, _fn in {"t_": t, "transpose_": transpose, "squeeze_": squeeze, "unsqueeze_": unsqueeze, "swapaxes_": transpose, "swapdims_": transpose}.items():
    _in_place_view(_name, _fn)
