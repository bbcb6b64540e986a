"""What only the compiler writes into graphs: a value put together from parts, and a dimension's own index."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import TensorType
from . import batching
from .derive import many_linear, plain
from .shape import slice_

Region = tuple[Any, ...]  # one entry per dimension: an int, or (start, step) of as many places as the part is long


def target(region: Region, lengths: tuple[int, ...]) -> tuple[Any, ...]:
    """Give a region as a basic index; ``lengths`` is the part's shape, whose entries go to the region's ranges in turn."""
    out: list[Any] = []
    d = 0
    for entry in region:
        if isinstance(entry, tuple):
            start, step = entry
            stop = start + step * lengths[d]
            out.append(slice(start, stop if stop >= 0 else None, step))
            d += 1
        else:
            out.append(entry)
    return tuple(out)


def _assembled(*xs: Any, regions: tuple[Region, ...], shape: tuple[int, ...], fill: Any = 0) -> Any:
    out = np.full(shape, fill, xs[0].dtype)
    for x, region in zip(xs, regions, strict=True):
        out[target(region, x.shape)] = x
    return out


def _part_back(g: Any, *, i: int, types: Any, regions: tuple[Region, ...]) -> Any:
    return slice_(g, index=target(regions[i], types[i].shape))


assemble = many_linear(
    "assemble",
    _assembled,
    type=lambda *types, regions, shape, fill=0: TensorType(tuple(shape), types[0].dtype),
    transpose=_part_back,
    batch=batching.assembled,
    samples=(
        {
            "shapes": ((2, 3), (3,)),
            "attrs": {"regions": (((1, 1), (0, 2)), (0, (1, 1))), "shape": (3, 5)},
        },
    ),
)


def _counted(*, shape: tuple[int, ...], axis: int) -> Any:
    lengths = [1] * len(shape)
    lengths[axis] = shape[axis]
    return np.broadcast_to(np.arange(shape[axis]).reshape(lengths), shape)


iota = plain(
    "iota",
    _counted,
    type=lambda *, shape, axis: TensorType(tuple(shape), np.dtype(np.int64)),
    names=(),
    samples=({"shapes": (), "attrs": {"shape": (2, 3), "axis": 1}},),
)


def _reached(x: Any, *, starts: Any, steps: Any, shape: Any, fill: Any) -> Any:
    inside, places = [], []
    for n, start, step, count in zip(x.shape, starts, steps, shape, strict=True):
        index = start + step * np.arange(count)
        held = np.flatnonzero((index >= 0) & (index < n))
        inside.append(held)
        places.append(index[held])
    out = np.full(shape, fill, x.dtype)
    out[np.ix_(*inside)] = x[np.ix_(*places)]
    return out


reach = plain(
    "reach",
    _reached,
    type=lambda x, *, starts, steps, shape, fill: TensorType(tuple(shape), x.dtype),
    batch=batching.stepped,
    samples=(
        {
            "shapes": ((2, 5),),
            "attrs": {"starts": (0, -2), "steps": (1, 3), "shape": (2, 3), "fill": 1},
        },
    ),
)


def _interleaved(*xs: Any, steps: Any, shape: Any) -> Any:
    counts = xs[0].shape
    whole = np.empty(tuple(n * s for n, s in zip(counts, steps, strict=True)), xs[0].dtype)
    for x, first in zip(xs, np.ndindex(*steps), strict=True):
        whole[tuple(slice(r, None, s) for r, s in zip(first, steps, strict=True))] = x
    return np.ascontiguousarray(whole[tuple(map(slice, shape))])


interleave = plain(
    "interleave",
    _interleaved,
    type=lambda *types, steps, shape: TensorType(tuple(shape), types[0].dtype),
    batch=batching.stepped,
    samples=(
        {
            "shapes": ((2, 2), (2, 2), (2, 2), (2, 2)),
            "attrs": {"steps": (2, 2), "shape": (4, 3)},
        },
    ),
)


flat_read = plain(
    "flat_read",
    lambda x, index: x.take(index),
    type=lambda x, index: TensorType(index.shape, x.dtype),
    names=("x", "index"),
    batch=batching.picked,
    samples=({"shapes": ((5,), (2, 3)), "dtypes": (None, "index"), "high": 5},),
)


def _flat_added(x: Any, index: Any, *, size: int) -> Any:
    out = np.zeros(size, x.dtype)
    np.add.at(out, index.reshape(-1), x.reshape(-1))
    return out


flat_add = plain(
    "flat_add",
    _flat_added,
    type=lambda x, index, *, size: TensorType((size,), x.dtype),
    names=("x", "index"),
    batch=batching.piled,
    samples=({"shapes": ((2, 3), (2, 3)), "dtypes": (None, "index"), "high": 5, "attrs": {"size": 5}},),
)


def _checked(x: Any, *, size: int, low: int | None = None) -> Any:
    least = -size if low is None else low
    if x.size and (x.min() < least or x.max() >= size):
        wrong = x[(x < least) | (x >= size)].flat[0]
        raise IndexError(f"index {wrong} is out of bounds for dimension with size {size}")
    return np.where(x < 0, x + size, x)


check_index = plain(
    "check_index",
    _checked,
    type=lambda x, *, size, low=None: x,
    batch=batching.spread,
    samples=({"shapes": ((3, 4),), "dtypes": ("index",), "high": 5, "attrs": {"size": 5}},),
)
