"""Shape: views where torch gives views, copies where it copies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import MODE, apply, at, here, show_type, wrap
from ...core import dtypes as _d
from ...ops import shape as s
from ...ops.computed import computed
from ...ops.elementwise import clone as clone_op
from ..dispatch import function, labelled, sizes, tensor_operand, type_name, wrap_dim, wrap_dims

ALL = slice(None)


def _resolve(shape: tuple[int, ...], size: int, name: str, x: Any) -> tuple[int, ...]:
    """Replace a -1 by the length that fits."""
    if -1 in shape:
        i = shape.index(-1)
        rest = math.prod(shape[:i] + shape[i + 1 :])
        if shape.count(-1) > 1:
            raise RuntimeError(f"only one dimension can be inferred: {name} of {show_type(x)} to {list(shape)}")
        if rest == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified "
                "dimension size -1 can be any value and is ambiguous"
            )
        if size % rest:
            raise RuntimeError(
                f"shape '{list(shape)}' is invalid for input of size {size}: {name} of {show_type(x)}{at(here())}"
            )
        return (*shape[:i], size // rest, *shape[i + 1 :])
    if math.prod(shape) != size:
        raise RuntimeError(
            f"shape '{list(shape)}' is invalid for input of size {size}: {name} of {show_type(x)}{at(here())}"
        )
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
    if -1 in shape:
        shape = _resolve(shape, x._a.size, "reshape", x)
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
    if not shape:
        raise TypeError("view() needs a shape, such as view(-1), or a dtype")
    if len(shape) == 1 and isinstance(shape[0], (_d.dtype, type)):
        return _view_dtype(input, _d.from_numpy(_d.to_numpy(shape[0])))
    a = input._a
    found = _resolve(sizes(shape, "view"), a.size, "view", input)
    if not _can_view(a, found):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans "
            "across two contiguous subspaces). "
            f"Use .reshape(...) instead. (view of {show_type(input)} with strides {input.stride()} to "
            f"{list(found)}){at(here())}"
        )
    return apply(s.reshape, input, shape=found)


def _view_dtype(x: Any, dtype: _d.dtype) -> Any:
    a, old, new = x._a, x._a.itemsize, dtype.itemsize
    if old != new:
        if not a.ndim:
            raise RuntimeError(
                f"self.dim() cannot be 0 to view {type_name(a.dtype)} as {type_name(dtype.numpy)} (different element sizes)"
            )
        if a.strides[-1] != old and a.size:
            raise RuntimeError(
                f"self.stride(-1) must be 1 to view {type_name(a.dtype)} as {type_name(dtype.numpy)} (different element sizes), but got "
                f"{x.stride(-1)}"
            )
        if new > old and x.storage_offset() % (new // old):
            raise RuntimeError(
                f"self.storage_offset() must be divisible by {new // old} to view {type_name(a.dtype)} as {type_name(dtype.numpy)} "
                f"(different element sizes), but got {x.storage_offset()}"
            )
        for d, step in enumerate(x.stride()[:-1]) if new > old else ():
            if step % (new // old):
                raise RuntimeError(
                    f"self.stride({d}) must be divisible by {new // old} to view {type_name(a.dtype)} as {type_name(dtype.numpy)} "
                    f"(different element sizes), but got {step}"
                )
        if new > old and (a.shape[-1] * old) % new:
            raise RuntimeError(
                f"self.size(-1) must be divisible by {new // old} to view {type_name(a.dtype)} as {type_name(dtype.numpy)} (different "
                f"element sizes), but got {a.shape[-1]}"
            )
        if not a.size:
            return wrap(np.empty((*a.shape[:-1], a.shape[-1] * old // new), dtype.numpy), x._s)
    if MODE.trace is not None:
        return apply(computed, x, fn=lambda v: np.ascontiguousarray(v).view(dtype.numpy))
    return wrap(a.view(dtype.numpy), x._s)


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
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the "
            f"desired ordering of dimensions i.e. input.dim() = {n} is not equal to len(dims) = {len(found)}".replace(
                "(sparse_coo)", ""
            )
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
    r = transpose(input, 0, 1) if n == 2 else apply(s.reshape, input, shape=input._a.shape)
    if r._node is not None:
        r._node.label = "TBackward0"
    return r


def reversed_dims(input: Any) -> Any:
    """Reverse the order of the dimensions; a view."""
    n = input._a.ndim
    return (
        labelled(apply(s.transpose, input, a=0, b=1), "PermuteBackward0")
        if n == 2
        else apply(s.permute, input, axes=tuple(range(n - 1, -1, -1)))
    )


def matrix_transpose(input: Any) -> Any:
    """Swap the last two dimensions; a view."""
    if input._a.ndim == 1:
        raise RuntimeError("tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor.")
    return transpose(input, -2, -1) if input._a.ndim else input


@function("movedim", "moveaxis", out=False)
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Move dimensions to other places; a view."""
    n = input._a.ndim
    src = [source] if isinstance(source, int) else list(source)
    dst = [destination] if isinstance(destination, int) else list(destination)
    if len(src) != len(dst):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({len(src)} dims: {src}) should contain the same "
            f"number of dims as destination ({len(dst)} dims: {dst})"
        )
    src, dst = [wrap_dim(d, n, "movedim") for d in src], [wrap_dim(d, n, "movedim") for d in dst]
    if not n:
        return apply(s.reshape, input, shape=())
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
            f"expand(torch.{show_type(input)}, size={list(want)}): the number of sizes provided ({len(want)}) "
            f"must be greater or equal to the number of dimensions in the tensor ({len(have)})"
        )
    full = []
    for i, n in enumerate(want):
        old = have[i - lead] if i >= lead else None
        if n == -1:
            if old is None:
                raise RuntimeError(
                    "expand: The expanded size of the tensor (-1) isn't allowed in a leading, non-existing "
                    f"dimension {i}"
                )
            n = old
        elif old is not None and old not in (1, n):
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({old}) at non-singleton "
                f"dimension {i}.  Target sizes: {list(want)}.  Tensor sizes: {list(have)}{at(here())}"
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
        return labelled(apply(s.reshape, input, shape=tuple([n for n in shape if n != 1])), "SqueezeBackward0")
    if isinstance(dim, (tuple, list)):
        dims: Any = wrap_dims(dim, len(shape), "squeeze") if dim else ()
    else:
        dims = (wrap_dim(dim, len(shape), "squeeze"),)
    r = apply(s.reshape, input, shape=tuple([n for i, n in enumerate(shape) if not (n == 1 and i in dims)]))
    return labelled(r, "SqueezeBackward2" if isinstance(dim, (tuple, list)) else "SqueezeBackward1")


@function("unsqueeze", out=False, shown="UnsqueezeBackward0")
def unsqueeze(input: Any, dim: int) -> Any:
    """Put in a dimension of length 1; a view."""
    shape = tensor_operand(input, "unsqueeze")._a.shape
    n = len(shape) + 1
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim}) in unsqueeze()"
        )
    d = dim % n
    return apply(s.reshape, input, shape=(*shape[:d], 1, *shape[d:]))


@function("flatten", out=False)
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Join dimensions start_dim to end_dim into one."""
    shape = tensor_operand(input, "flatten")._a.shape
    a, b = wrap_dim(start_dim, len(shape), "flatten"), wrap_dim(end_dim, len(shape), "flatten")
    if not shape:
        return apply(s.reshape, input, shape=(1,))
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if a == b:
        return input
    return reshaped(input, (*shape[:a], math.prod(shape[a : b + 1]), *shape[b + 1 :]))


@function("ravel", out=False)
def ravel(input: Any) -> Any:
    """Give all elements as one dimension."""
    return reshaped(contiguous(input), (input._a.size,))


@function("unflatten", out=False)
def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """Split one dimension into several."""
    shape = input._a.shape
    if not shape:
        raise RuntimeError("unflatten got an unexpected error: the tensor has no dimensions")
    d = wrap_dim(dim, len(shape), "unflatten")
    parts = tuple(sizes)
    if not parts:
        raise RuntimeError("unflatten: sizes must be non-empty")
    if -1 in parts:
        rest = -math.prod(parts)
        if rest <= 0 or shape[d] % rest:
            raise RuntimeError(
                f"unflatten: Provided sizes {list(parts)} don't multiply up to the size of dim {d} "
                f"({shape[d]}) in the input tensor"
            )
        parts = tuple(shape[d] // rest if p == -1 else p for p in parts)
    if math.prod(parts) != shape[d]:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(parts)} don't multiply up to the size of dim {d} ({shape[d]}) in "
            "the input tensor"
        )
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


@function("unfold", torch=False)
def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """Give windows of a dimension as a new last dimension; a view."""
    d = wrap_dim(dimension, input._a.ndim, "unfold")
    n = input._a.shape[d] if input._a.ndim else 1
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {n} but size is {size} (unfold)")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not input._a.ndim:
        return apply(s.slice_, reshaped(input, (1,)), index=(slice(0, size),))
    return apply(s.unfold_view, input, axis=d, size=size, step=step)
