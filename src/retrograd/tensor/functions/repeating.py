"""Turning, rolling, repeating, and grids of combinations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import BaseTensor, apply, at, here, show_type, wrap
from ...core.warned import warn
from ...ops import shape as s
from ...ops.elementwise import clone as clone_op
from ...ops.index import take_axis
from ..dispatch import function, sizes, tensor_operand, to_default_float, wrap_dim, wrap_dims
from .joining import cat, stack
from .reductions import untraceable
from .shaping import clone, expand, ravel, reshaped, transpose


@function("flip", out=False)
def flip(input: Any, *axes: Any, dims: Any = None) -> Any:
    """Reverse the order along dimensions (a copy)."""
    if not axes and dims is None:
        raise TypeError('flip() missing 1 required positional arguments: "dims"')
    found = sizes(axes if dims is None else (dims,), "flip")
    if not input._a.ndim:
        wrap_dims(found, 0, "flip")
        return clone(input)
    return apply(s.flip, input, axes=wrap_dims(found, input._a.ndim, "flip") if found else ())


@function("fliplr", out=False)
def fliplr(input: Any) -> Any:
    """Reverse the columns."""
    if input._a.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


@function("flipud", out=False)
def flipud(input: Any) -> Any:
    """Reverse the rows."""
    if input._a.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


@function("rot90", out=False)
def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """Turn by 90 degrees, k times, in the plane of two dimensions."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input._a.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input._a.ndim}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == input._a.ndim:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    a, b = (wrap_dim(d, input._a.ndim, "rot90") for d in dims)
    k %= 4
    if k == 0:
        return clone(input)
    if k == 2:
        return flip(input, a, b)
    return transpose(flip(input, b), a, b) if k == 1 else flip(transpose(input, a, b), b)


@function("roll", out=False, shown="RollBackward0")
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
    if not input._a.size:
        return clone(input)
    if not input._a.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return apply(s.roll, input, shifts=by, axes=tuple(wrap_dim(d, input._a.ndim, "roll") for d in axes))


@function("repeat", torch=False, shown="RepeatBackward0")
def repeat(input: Any, *repeats: Any) -> Any:
    """Copy the tensor a number of times along each dimension."""
    times = sizes(repeats, "repeat")
    shape = input._a.shape
    if len(times) < len(shape):
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: "
            f"repeat of {show_type(input)} by {list(times)}"
        )
    if any(k < 0 for k in times):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension: repeat {list(times)} of {show_type(input)}"
        )
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
    untraceable(
        "repeat_interleave", *[v for v in (input if repeats is None else repeats,) if isinstance(v, BaseTensor)]
    )
    if repeats is None:
        return wrap(np.repeat(np.arange(input._a.size), input._a))
    if dim is None:
        input, dim = ravel(input), 0
    d = wrap_dim(dim, input._a.ndim, "repeat_interleave")
    counts = repeats._a if isinstance(repeats, BaseTensor) else np.asarray(repeats)
    n = input._a.shape[d]
    if counts.ndim and counts.size not in (1, n):
        raise RuntimeError(
            f"repeats must have the same size as input along dim, but got repeats.size(0) = {counts.size} and "
            f"input.size({d}) = {n}"
        )
    index = np.repeat(
        np.arange(n), counts.reshape(-1) if counts.ndim and counts.size > 1 else int(counts.reshape(-1)[0])
    )
    return apply(take_axis, input, wrap(index), axis=d)


@function("meshgrid", method=False, out=False)
def meshgrid(*tensors: Any, indexing: str | None = None) -> Any:
    """Give the grids of coordinates that vectors span."""
    parts = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    if indexing is None:
        warn("torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.", UserWarning)
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    swap = indexing == "xy" and len(parts) >= 2
    if swap:
        parts[0], parts[1] = parts[1], parts[0]
    for p in parts:
        if p._a.ndim > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {show_type(p)}{at(here())}"
            )
        if p._a.dtype != parts[0]._a.dtype:
            raise RuntimeError(
                f"torch.meshgrid expects all tensors to have the same dtype, got {parts[0].dtype} and "
                f"{p.dtype}{at(here())}"
            )
    shape = tuple(p._a.size for p in parts)
    grids = [
        expand(reshaped(p, (*(1,) * i, p._a.size, *(1,) * (len(parts) - i - 1))), shape) for i, p in enumerate(parts)
    ]
    if swap:
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
    return tuple(p if p._a.shape == shape else expand(p, shape) for p in parts)


@function("broadcast_shapes", method=False, out=False)
def broadcast_shapes(*shapes: Any) -> Any:
    """Give the shape to which these broadcast."""
    from ..tensor import Size

    try:
        return Size(np.broadcast_shapes(*(tuple(n) if isinstance(n, (tuple, list)) else (n,) for n in shapes)))
    except ValueError as error:
        raise RuntimeError(f"Shape mismatch: objects cannot be broadcast to a single shape: {shapes}") from error


@function("cartesian_prod", method=False, out=False)
def cartesian_prod(*tensors: Any) -> Any:
    """Give every combination of elements, one from each vector."""
    for x in tensors:
        if x._a.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x._a.shape)}: cartesian_prod{at(here())}")
    if len(tensors) == 1:
        return tensors[0]
    return stack([ravel(g) for g in meshgrid(*tensors, indexing="ij")], 1)


@function("combinations", out=False)
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """Give every choice of r elements of a vector."""
    from itertools import combinations as plain
    from itertools import combinations_with_replacement as again

    if input._a.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input._a.shape)}: combinations{at(here())}")
    if r == 0:
        return input.new_empty((0,))
    rows = list((again if with_replacement else plain)(range(input._a.size), r))
    return apply(take_axis, input, wrap(np.array(rows, np.int64).reshape(-1, r)), axis=0)


def constant_pad(x: Any, widths: Any, value: Any = 0) -> Any:
    """Pad with a constant; ``widths`` gives (before, after) per dimension (library use)."""
    return apply(s.pad, x, widths=tuple(tuple(w) for w in widths), value=value)


@function("constant_pad_nd", method=False, out=False)
def constant_pad_nd(input: Any, pad: Any, value: Any = 0) -> Any:
    """Pad with a constant: (before, after) of the last dimension, then of the one before it, and so on."""
    n = tensor_operand(input, "constant_pad_nd")._a.ndim
    if len(pad) % 2 or len(pad) > 2 * n:
        raise RuntimeError(
            f"Length of pad must be even and at most twice the number of dimensions: {list(pad)} of "
            f"{show_type(input)}{at(here())}"
        )
    pairs = [tuple(pad[i : i + 2]) for i in range(0, len(pad), 2)]
    return constant_pad(input, [(0, 0)] * (n - len(pairs)) + pairs[::-1], value)


@function("gradient", method=False, out=False)
def gradient(input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> Any:
    """Estimate the slope along each dimension by central differences of second order, one-sided at the ends.

    ``spacing`` is a number, or one per dimension, or tensors of coordinates; the result is a tuple with a tensor per dimension.
    """
    n = tensor_operand(input, "gradient")._a.ndim
    spacing = 1 if spacing is None else spacing
    dims = range(n) if dim is None else [dim] if isinstance(dim, int) else dim
    axes = list(wrap_dims(tuple(dims), n, "gradient")) if n else [wrap_dim(d, n, "gradient") for d in dims]
    steps = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(axes)
    if len(steps) != len(axes):
        raise RuntimeError(
            f"torch.gradient expected spacing to be unspecified, a scalar, or a list of length {len(axes)}, "
            f"but got {len(steps)}"
        )
    return tuple(_slope(input, d, h, edge_order) for d, h in zip(axes, steps, strict=True))


def _even_slope(x: Any, d: int, n: int, h: Any, edge_order: int) -> Any:
    """Give the slope where the places are ``h`` apart; differences are taken in the input's own dtype."""
    inner = (x.narrow(d, 2, n - 2) - x.narrow(d, 0, n - 2)) / (2 * h)
    ends = []
    for sign, places in ((1, range(3)), (-1, range(n - 1, n - 4, -1))):
        near = [x.narrow(d, i, 1) for i in places if 0 <= i < n][: edge_order + 1]
        if edge_order == 1:
            ends.append((near[1] - near[0] if sign == 1 else near[0] - near[1]) / h)
        else:
            ends.append((-1.5 * near[0] + 2 * near[1] - 0.5 * near[2]) * (sign / h))
    return cat([ends[0], inner, ends[1]], d)


def _slope(x: Any, d: int, h: Any, edge_order: int) -> Any:
    n = x._a.shape[d]
    if n < edge_order + 1:
        raise RuntimeError(
            f"torch.gradient expected each dimension size to be at least edge_order+1, but got {n}{at(here())}"
        )
    if x._a.dtype.kind == "b" or x._a.dtype == np.uint8:
        raise RuntimeError(f"torch.gradient does not support {x.dtype} input: convert it by .float(){at(here())}")
    if not isinstance(h, BaseTensor):
        return _even_slope(x, d, n, h if isinstance(h, complex) else float(h), edge_order)
    x = to_default_float(x)
    shape = (-1, *(1,) * (x._a.ndim - d - 1))
    steps = h.diff()  # in their own precision, which may be higher than the input's
    before, after = reshaped(steps.narrow(0, 0, n - 2), shape), reshaped(steps.narrow(0, 1, n - 2), shape)
    left, middle, right = (x.narrow(d, i, n - 2) for i in range(3))
    both = before + after
    inner = (-after / (before * both)) * left + ((after - before) / (before * after)) * middle
    inner = inner + (before / (after * both)) * right
    first, last = (
        [x.narrow(d, i, 1) for i in range(3 if edge_order == 2 else 2)],
        [x.narrow(d, n - 1 - i, 1) for i in range(min(n, 3))],
    )
    a, b = steps.select(0, 0), steps.select(0, n - 2)
    if edge_order == 1:
        ends = (first[1] - first[0]) / a, (last[0] - last[1]) / b
    else:
        a2, b2 = steps.select(0, 1), steps.select(0, n - 3)
        ends = (
            -(2 * a + a2) / (a * (a + a2)) * first[0] + (a + a2) / (a * a2) * first[1] - a / (a2 * (a + a2)) * first[2],
            (2 * b + b2) / (b * (b + b2)) * last[0] - (b + b2) / (b * b2) * last[1] + b / (b2 * (b + b2)) * last[2],
        )
    return cat([ends[0], inner, ends[1]], d)
