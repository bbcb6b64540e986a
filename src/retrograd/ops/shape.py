"""The same numbers in another shape: views, copies, and the sums that undo them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import TensorType, strides
from . import batching
from .derive import linear, many_linear
from .sums import rows, sum_array_to, sums_plainly


def broadcast_array(x: Any, *, shape: tuple[int, ...]) -> Any:
    """Repeat an array along new and one-long dimensions without copying; writable where the array is."""
    lead = len(shape) - x.ndim
    if x.flags.c_contiguous and x.dtype.kind != "V":
        old = x.shape
        if lead >= 0 and all(m == n or m == 1 for m, n in zip(old, shape[lead:], strict=True)):
            strides = (0,) * lead + tuple([0 if m == 1 else s for m, s in zip(old, x.strides, strict=True)])
            return np.ndarray(shape, x.dtype, x, 0, strides)
    y = np.broadcast_to(x, shape)
    if x.flags.writeable:
        y.flags.writeable = True
    return y


def _shaped(x: TensorType, *, shape: tuple[int, ...]) -> TensorType:
    return TensorType(tuple(shape), x.dtype)


reshape = linear(
    "view",
    lambda x, *, shape: x.reshape(shape),
    type=_shaped,
    transpose=lambda g, *, x_type: reshape(g, shape=x_type.shape),
    view=True,
    batch=batching.reshaped,
    samples=(
        {"shapes": ((2, 6),), "attrs": {"shape": (3, 4)}},
        {"shapes": ((),), "attrs": {"shape": (1, 1)}},
        {"shapes": ((0, 2),), "attrs": {"shape": (2, 0)}},
    ),
)
expand = linear(
    "expand",
    broadcast_array,
    type=_shaped,
    transpose=lambda g, *, x_type: sum_to(g, shape=x_type.shape),
    view=True,
    batch=batching.expanded,
    samples=({"shapes": ((3, 1),), "attrs": {"shape": (2, 3, 4)}}, {"shapes": ((),), "attrs": {"shape": (2,)}}),
)
sum_to = linear(
    "sum_to",
    sum_array_to,
    type=_shaped,
    transpose=lambda g, *, x_type: expand(g, shape=x_type.shape),
    batch=batching.summed,
    samples=({"shapes": ((2, 3, 4),), "attrs": {"shape": (3, 1)}}, {"shapes": ((3, 4),), "attrs": {"shape": ()}}),
)


def inverse_axes(axes: tuple[int, ...]) -> tuple[int, ...]:
    """Give the permutation that undoes this one."""
    back = [0] * len(axes)
    for i, a in enumerate(axes):
        back[a] = i
    return tuple(back)


permute = linear(
    "permute",
    lambda x, *, axes: x.transpose(axes),
    type=lambda x, *, axes: TensorType(tuple(x.shape[a] for a in axes), x.dtype),
    transpose=lambda g, *, axes: permute(g, axes=inverse_axes(axes)),
    view=True,
    batch=batching.permuted,
    samples=({"shapes": ((2, 3, 4),), "attrs": {"axes": (2, 0, 1)}},),
)
transpose = linear(
    "transpose",
    lambda x, *, a, b: x.swapaxes(a, b),
    type=lambda x, *, a, b: TensorType(_swapped(x.shape, a, b), x.dtype),
    transpose=lambda g, *, a, b: transpose(g, a=a, b=b),
    view=True,
    batch=batching.along,
    samples=({"shapes": ((2, 3, 4),), "attrs": {"a": 0, "b": 2}},),
)


def _swapped(shape: tuple[int, ...], a: int, b: int) -> tuple[int, ...]:
    out = list(shape)
    out[a], out[b] = out[b], out[a]
    return tuple(out)


# -- views that show a part: their transpose writes the part into zeros ------------------------------------------------


def _embed(x: Any, *, part: Any, attrs: dict[str, Any], shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, x.dtype)
    if part.name in OVERLAPPING:
        where = part.numpy(np.arange(math.prod(shape)).reshape(shape), **attrs)
        np.add.at(out.reshape(-1), where, x)
    else:
        part.numpy(out, **attrs)[...] = x
    return out


embed = linear(
    "embed",
    _embed,
    type=lambda x, *, part, attrs, shape: TensorType(tuple(shape), x.dtype),
    transpose=lambda g, *, part, attrs: part(g, **attrs),
    batch=batching.embedded,
    samples=(),
)
OVERLAPPING = {"unfold_view", "as_strided"}


def _part_type(fn: Any) -> Any:
    def rule(x: TensorType, **attrs: Any) -> TensorType:
        return TensorType(fn(np.broadcast_to(np.zeros((), np.bool_), x.shape), **attrs).shape, x.dtype)

    return rule


def _part(name: str, fn: Any, samples: Any, batch: Any, shown: str = "") -> Any:
    def back(g: Any, *, node: Any, x_type: TensorType) -> Any:
        return embed(g, part=op, attrs=node.attrs, shape=x_type.shape)

    op = linear(name, fn, type=_part_type(fn), transpose=back, view=True, samples=samples, shown=shown, batch=batch)
    if name not in OVERLAPPING:
        op.add_into = _add_into(fn)
    return op


def _add_into(fn: Any) -> Any:
    def add_part(buffer: Any, g: Any, xs: Any, attrs: dict[str, Any]) -> None:
        part = fn(buffer, **attrs)
        np.add(part, g, out=part)

    return add_part


def _sliced(x: Any, *, index: tuple[Any, ...], several: Any = None) -> Any:
    r = x[index]
    return r if isinstance(r, np.ndarray) else x[(*index, ...)]


slice_ = _part(
    "slice",
    _sliced,
    batch=batching.sliced,
    samples=(
        {"shapes": ((4, 5),), "attrs": {"index": (slice(1, 3), slice(None, None, 2))}},
        {"shapes": ((4, 5),), "attrs": {"index": (-1, None)}},
        {"shapes": ((4, 5),), "attrs": {"index": (..., 2)}},
    ),
)


def _slice_shown(node: Any) -> str:
    """Give torch's name for a basic index: that of its last step."""
    attrs = node.attrs
    if attrs.get("several"):
        return str(attrs["several"][0])
    if isinstance(attrs["index"][0], slice) and attrs["index"][1:] == (Ellipsis,):
        return "SliceBackward0"  # x[:] too, though x[:, :] is an alias
    for i in reversed(attrs["index"]):
        if i is None:
            return "UnsqueezeBackward0"
        if isinstance(i, int):
            return "SelectBackward0"
        if i is not Ellipsis and i != slice(None):
            return "SliceBackward0"
    return "AliasBackward0"


slice_.shown = _slice_shown
diagonal = _part(
    "diagonal",
    lambda x, *, offset, a, b: _writable_diagonal(x, offset, a, b),
    batch=batching.along,
    samples=(
        {"shapes": ((4, 5),), "attrs": {"offset": 1, "a": 0, "b": 1}},
        {"shapes": ((2, 3, 4),), "attrs": {"offset": -1, "a": 2, "b": 0}},
    ),
)


def _writable_diagonal(x: Any, offset: int, a: int, b: int) -> Any:
    rows, columns = x.shape[a], x.shape[b]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    rest = [i for i in range(x.ndim) if i not in (a % x.ndim, b % x.ndim)]
    start = [slice(None)] * x.ndim
    start[a] = slice(max(0, -offset), None)
    start[b] = slice(max(0, offset), None)
    y = x[tuple(start)]
    return np.lib.stride_tricks.as_strided(
        y,
        (*(x.shape[i] for i in rest), length),
        (*(x.strides[i] for i in rest), x.strides[a] + x.strides[b]),
        writeable=x.flags.writeable,
    )


unfold_view = _part(
    "unfold_view",
    lambda x, *, axis, size, step: _windows(x, axis, size, step),
    batch=batching.along,
    samples=({"shapes": ((7, 2),), "attrs": {"axis": 0, "size": 3, "step": 2}},),
    shown="UnfoldBackward0",
)


def _windows(x: Any, axis: int, size: int, step: int) -> Any:
    count = (x.shape[axis] - size) // step + 1
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :], size)
    strides = (*x.strides[:axis], x.strides[axis] * step, *x.strides[axis + 1 :], x.strides[axis])
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=x.flags.writeable)


as_strided = _part(
    "as_strided",
    lambda x, *, size, stride, offset: _strided(x, size, stride, offset),
    batch=batching.strided,
    samples=({"shapes": ((3, 4),), "attrs": {"size": (2, 2), "stride": (4, 1), "offset": 1}},),
)


def _strided(x: Any, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Any:
    step = x.itemsize
    flat = x.reshape(-1)
    if not all(size):
        return flat[:0].reshape(size)
    return np.lib.stride_tricks.as_strided(
        flat[offset:], size, tuple(s * step for s in stride), writeable=x.flags.writeable
    )


# -- complex numbers as pairs of real ones ----------------------------------------------------------------------------


def _pairs(x: Any) -> Any:
    real = x.real  # as_strided then reaches the imaginary part behind each real one
    steps = (*x.strides, real.itemsize)
    return np.lib.stride_tricks.as_strided(real, (*x.shape, 2), steps, writeable=x.flags.writeable)


def _joined(x: Any) -> Any:
    kind = np.dtype(f"c{2 * x.itemsize}")
    if x.strides[-1] != x.itemsize and x.size:
        x = np.ascontiguousarray(x)
    return x.view(kind)[..., 0] if x.size else np.empty(x.shape[:-1], kind)


PAIRS: tuple[dict[str, Any], ...] = ({"shapes": ((3, 2),)},)
view_as_real = linear(
    "view_as_real",
    _pairs,
    type=lambda x: TensorType((*x.shape, 2), np.dtype(f"f{x.dtype.itemsize // 2}")),
    transpose=lambda g: view_as_complex(g),
    view=True,
    batch=batching.same,
    samples=({"shapes": ((3, 4),), "dtype": "complex128"},),
)
view_as_complex = linear(
    "view_as_complex",
    _joined,
    type=lambda x: TensorType(x.shape[:-1], np.dtype(f"c{2 * x.dtype.itemsize}")),
    transpose=lambda g: view_as_real(g),
    view=True,
    batch=batching.same,
    samples=PAIRS,
)

# -- copies ----------------------------------------------------------------------------------------------------------
flip = linear(
    "flip",
    lambda x, *, axes: np.flip(x, axes).copy(),
    type=lambda x, *, axes: x,
    transpose=lambda g, *, axes: flip(g, axes=axes),
    batch=batching.axes,
    samples=({"shapes": ((3, 4),), "attrs": {"axes": (1,)}},),
)
flip.layout = strides.as_operands
roll = linear(
    "roll",
    lambda x, *, shifts, axes: rows(np.roll(x, shifts, axes)),
    type=lambda x, *, shifts, axes: x,
    transpose=lambda g, *, shifts, axes: roll(g, shifts=tuple(-s for s in shifts), axes=axes),
    batch=batching.axes,
    samples=({"shapes": ((3, 4),), "attrs": {"shifts": (1, 2), "axes": (0, 1)}},),
)


def _pad(x: Any, *, widths: tuple[tuple[int, int], ...], value: Any = 0) -> Any:
    out = np.full(tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)), value, x.dtype)
    source = tuple(slice(max(-a, 0), n + min(b, 0)) for n, (a, b) in zip(x.shape, widths, strict=True))
    out[
        tuple(slice(max(a, 0), max(a, 0) + max(0, s.stop - s.start)) for (a, _), s in zip(widths, source, strict=True))
    ] = x[source]
    return out


pad = linear(
    "constant_pad",
    _pad,
    type=lambda x, *, widths, value=0: TensorType(
        tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)), x.dtype
    ),
    transpose=lambda g, *, widths: pad(g, widths=tuple((-a, -b) for a, b in widths), value=0),
    batch=batching.padded,
    samples=(
        {"shapes": ((3, 4),), "attrs": {"widths": ((1, 2), (0, 1))}},
        {"shapes": ((3, 4),), "attrs": {"widths": ((-1, 2), (1, -1))}},
    ),
)


def _push_pad(t: Any, *, widths: Any) -> Any:
    return pad(t, widths=widths, value=0)


pad.jvp = pad._rules([_push_pad], "call")


def _triangle(fn: Any, name: str) -> Any:
    op = linear(
        name,
        lambda x, *, diagonal: rows(fn(x, diagonal)),
        type=lambda x, *, diagonal: x,
        transpose=lambda g, *, diagonal: op(g, diagonal=diagonal),
        batch=batching.leading,
        samples=({"shapes": ((3, 4),), "attrs": {"diagonal": 0}}, {"shapes": ((2, 3, 3),), "attrs": {"diagonal": -1}}),
    )
    return op


tril = _triangle(np.tril, "tril")
triu = _triangle(np.triu, "triu")


def _cat_type(*types: TensorType, axis: int) -> TensorType:
    first = types[0]
    shape = list(first.shape)
    shape[axis] = sum(t.shape[axis] for t in types)
    return TensorType(tuple(shape), first.dtype)


def _cat_back(g: Any, *, i: int, types: Any, axis: int) -> Any:
    start = sum(t.shape[axis] for t in types[:i])
    return slice_(g, index=(*(slice(None),) * axis, slice(start, start + types[i].shape[axis])))


def _concatenate(*xs: Any, axis: int) -> Any:
    r = np.concatenate(xs, axis)
    return r if r.flags.c_contiguous else np.ascontiguousarray(r)  # NumPy keeps Fortran order, torch does not


cat = many_linear(
    "cat",
    _concatenate,
    type=_cat_type,
    transpose=_cat_back,
    samples=({"shapes": ((2, 3), (2, 1), (2, 0)), "attrs": {"axis": 1}},),
)
cat.layout = strides.as_all_images


def _stack_back(g: Any, *, i: int, axis: int) -> Any:
    return slice_(g, index=(*(slice(None),) * axis, i))


def _stacked(*xs: Any, axis: int) -> Any:
    lead = (slice(None),) * axis
    return _concatenate(*[x[(*lead, None)] for x in xs], axis=axis)


stack = many_linear(
    "stack",
    _stacked,
    type=lambda *types, axis: TensorType((*types[0].shape[:axis], len(types), *types[0].shape[axis:]), types[0].dtype),
    transpose=_stack_back,
    samples=({"shapes": ((2, 3), (2, 3)), "attrs": {"axis": 1}},),
)


reshape.inline = lambda types, attrs: f"{{0}}.reshape({attrs['shape']!r})"
permute.inline = lambda types, attrs: f"{{0}}.transpose({attrs['axes']!r})"
transpose.inline = lambda types, attrs: f"{{0}}.swapaxes({attrs['a']}, {attrs['b']})"
sum_to.inline = lambda types, attrs: (
    "add_up({0}, 0)"
    if len(types[0].shape) == 2 and attrs["shape"] == types[0].shape[1:] and sums_plainly(types[0], 0)
    else None
)
