"""Functions of parts that are named by counts: segments reduced, points counted in boxes, the first places that are set."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import BaseTensor, wrap
from ...ops import order as od
from ...ops.index import add_axis, take_axis
from .. import return_types
from ..dispatch import function, tensor_operand, type_name, wrap_dim
from .comparing import where
from .reductions import untraceable

_EMPTY = {"sum": 0.0, "mean": math.nan, "max": -math.inf, "min": math.inf, "prod": 1.0}


@function("segment_reduce", method=False)
def segment_reduce(
    data: Any,
    reduce: str,
    *,
    lengths: Any = None,
    indices: Any = None,
    offsets: Any = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: Any = None,
) -> Any:
    """Reduce consecutive pieces of a dimension: "sum", "mean", "max", "min" or "prod" of each.

    Shapes: data (*B, n, ...), lengths (*B, pieces) that sum to n, or offsets (*B, pieces + 1), axis the number of
    dimensions B; the result (*B, pieces, ...). An empty piece gives ``initial``, or NaN for a mean, and the reduction's
    neutral number else. RuntimeError for lengths that do not fit.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.segment_reduce(torch.tensor([1.0, 2.0, 3.0]), "max", lengths=torch.tensor([2, 1]))
    tensor([2., 3.])
    """
    tensor_operand(data, "segment_reduce", "data")
    if reduce not in _EMPTY:
        raise RuntimeError(f"segment_reduce: unsupported reduction {reduce!r}: one of {', '.join(_EMPTY)} is expected")
    if data._a.dtype.kind not in "fV":
        raise NotImplementedError(f"\"_segment_reduce_cpu\" not implemented for '{type_name(data._a.dtype)}'")
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    if (lengths is None) == (offsets is None):
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    axis = wrap_dim(axis, data.dim(), "segment_reduce")
    untraceable("segment_reduce", offsets if lengths is None else lengths)
    counts = np.diff(offsets._a, axis=-1) if lengths is None else lengths._a
    if counts.dtype.kind not in "iu" or counts.ndim != axis + 1 or counts.shape[:axis] != data._a.shape[:axis]:
        raise RuntimeError(
            f"segment_reduce(): Expected integers of one dimension more than the {axis} before the axis, of equal sizes, but "
            f"got {list(counts.shape)} for data {list(data.shape)}"
        )
    n = data.shape[axis]
    if not unsafe and ((counts < 0).any() or (lengths is not None and (counts.sum(-1) != n).any())):
        raise RuntimeError(
            f"segment_reduce(): Expected all rows of lengths along axis to sum to data.size(lengths.dim()-1) = {n} and to be "
            "non-negative"
        )
    shape = (*counts.shape, *data._a.shape[axis + 1 :])
    flat = counts.reshape(-1, counts.shape[-1])
    begins = np.cumsum(flat, 1) - flat if lengths is not None else offsets._a.reshape(len(flat), -1)[:, :-1]
    rows = begins + (np.arange(len(flat)) * n)[:, None]
    sizes = flat.reshape(-1)
    segment = np.repeat(np.arange(sizes.size), sizes)
    inside = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    taken = take_axis(
        data.reshape(-1, *data._a.shape[axis + 1 :]), wrap(np.repeat(rows.reshape(-1), sizes) + inside), axis=0
    )
    found = _reduced(taken, reduce, segment, sizes, initial)
    return found.reshape(shape)


def _reduced(taken: Any, reduce: str, segment: Any, sizes: Any, initial: Any) -> Any:
    kind, tail = taken._a.dtype, taken._a.shape[1:]
    column = (-1, *[1] * len(tail))
    start = _EMPTY[reduce] if initial is None else float(initial)
    if reduce in ("sum", "mean"):
        total = add_axis(taken, wrap(segment), axis=0, shape=(sizes.size, *tail))
        first = 0.0 if initial is None else float(initial)
        total = total + first if first else total
        if reduce == "sum":
            return total
        mean = total / wrap(np.maximum(sizes, 1).reshape(column).astype(kind))
        return where(wrap((sizes > 0).reshape(column)), mean, start) if not sizes.all() else mean
    longest = int(sizes.max(initial=0))
    # one line of a table for each segment, filled up with numbers that change nothing
    places = np.full((sizes.size, longest), len(segment), np.int64)
    inside = np.arange(len(segment)) - (np.cumsum(sizes) - sizes)[segment]
    places[segment, inside] = np.arange(len(segment))
    table = taken if len(segment) else taken.new_zeros((1, *tail))
    lines = take_axis(table, wrap(np.minimum(places, max(len(segment) - 1, 0))), axis=0)
    there = wrap((places < len(segment)).reshape(sizes.size, longest, *[1] * len(tail)))
    lines = where(there, lines, _EMPTY[reduce])
    if reduce == "prod":
        return lines.prod(1) * start if longest else lines.new_full((sizes.size, *tail), start)
    if not longest:
        return lines.new_full((sizes.size, *tail), start)
    best = (lines.max(1) if reduce == "max" else lines.min(1))[0]
    if initial is None:
        return best
    return best.clamp(min=start) if reduce == "max" else best.clamp(max=start)


@function("histogramdd", method=False, out=False)
def histogramdd(input: Any, bins: Any, range: Any = None, weight: Any = None, density: bool = False) -> Any:
    """Count (or weigh) points in the boxes of a grid; give (hist, bin_edges).

    Shapes: input (..., D); ``bins`` one number, a number for each dimension, or the edges of each; ``range`` the lowest and
    highest edge of each dimension, one after the other; weight (...). ``density`` makes the volume 1.

    Examples
    --------
    >>> import retrograd as torch
    >>> points = torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    >>> torch.histogramdd(points, [2, 2]).hist
    tensor([[1., 0.],
            [0., 2.]])
    """
    untraceable("histogramdd", input)
    tensor_operand(input, "histogramdd")
    if input._a.dtype.kind != "f" or input._a.dtype.itemsize < 4:
        raise NotImplementedError(f"\"histogramdd\" not implemented for '{type_name(input._a.dtype)}': use float32")
    if input.dim() < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    a = od.comparable(input._a)
    dims = a.shape[-1]
    points = a.reshape(-1, dims)
    given = [bins] * dims if isinstance(bins, int) else list(bins)
    if len(given) != dims:
        raise RuntimeError(
            f"torch.histogramdd: expected {dims} sequences of bin edges for a {dims}-dimensional histogram"
        )
    if range is not None and len(range) != 2 * dims:
        raise RuntimeError(
            f"torch.histogramdd: for a {dims}-dimensional histogram range should have {2 * dims} elements"
        )
    edges = []
    for d, count in enumerate(given):
        if isinstance(count, BaseTensor):
            edges.append(od.comparable(count._a))
            continue
        if count <= 0:
            raise RuntimeError(f"torch.histogramdd(): bins must be > 0, got {count} for dimension {d}")
        column = points[:, d]
        low, high = range[2 * d : 2 * d + 2] if range is not None else (0.0, 1.0)
        if range is None and column.size:
            low, high = column.min(), column.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise RuntimeError(f"torch.histogramdd: dimension {d}'s range [{low}, {high}] is not finite")
        if low > high:
            raise RuntimeError("torch.histogramdd: min should not exceed max")
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges.append(np.linspace(low, high, int(count) + 1, dtype=a.dtype))
    weights = None if weight is None else weight._a.reshape(-1)
    hist = np.histogramdd(points, edges, weights=weights)[0].astype(a.dtype)
    if density:
        total = hist.sum()
        for d, edge in enumerate(edges):
            hist = hist / np.diff(edge).reshape([-1 if i == d else 1 for i in np.arange(dims)])
        hist = hist / total
    made = tuple(wrap(np.asarray(edge, input._a.dtype)) for edge in edges)
    return return_types.histogramdd(wrap(np.asarray(hist, input._a.dtype)), made)


@function("nonzero_static")
def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Any:
    """Give the places of the first ``size`` elements that are not zero, filled up with ``fill_value``: (size, dims).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nonzero_static(torch.tensor([0, 3, 4]), size=3)
    tensor([[ 1],
            [ 2],
            [-1]])
    """
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, but got {size}")
    untraceable("nonzero_static", input)
    found = np.argwhere(input._a)[:size]
    result = np.full((size, input.dim()), fill_value, np.int64)
    result[: len(found)] = found
    return wrap(result)


@function("hash_tensor")
def hash_tensor(input: Any, dim: Any = (), *, keepdim: bool = False, mode: int = 0) -> Any:
    """Give the exclusive or of the elements' bits, floating-point numbers as float64, as a number of uint64.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.hash_tensor(torch.tensor([1, 3])).item()
    2
    """
    if mode != 0:
        raise RuntimeError(f"hash_tensor: mode must be 0 (exclusive or), not {mode}")
    a = input._a
    if a.dtype.kind == "c":
        raise NotImplementedError(f"\"hash_tensor\" not implemented for '{type_name(a.dtype)}'")
    wide = a.astype(np.float64 if a.dtype.kind in "fV" else np.int64)
    dims = [dim] if isinstance(dim, int) else list(dim)
    axes = tuple(wrap_dim(d, a.ndim, "hash_tensor") for d in dims) or tuple(range(a.ndim))
    bits = np.ascontiguousarray(wide).view(np.uint64).reshape(a.shape)
    combine: Any = np.bitwise_xor.reduce
    return wrap(np.asarray(combine(bits, axis=axes if a.ndim else (), keepdims=keepdim)))
