"""How reading and writing by index arrays runs on a whole batch: shared indices move over, an item's own gain the item's number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import REGISTRY
from .batching import Attrs, Flags, counted, grown, item_rank, move, permute, shape_of, view

ARRAY = "array"


# -- along one axis -----------------------------------------------------------------------------------------------------------
def _flat_index(index: Any, n: int, size: int) -> Any:
    """Give indices into lines of n laid end to end, one line per item."""
    own = index if not n else REGISTRY["remainder"](index, n)
    return REGISTRY["add"](own, REGISTRY["mul"](counted(size, *(1,) * (len(shape_of(index)) - 1)), n))


def take_axis(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Take places of one axis: the items' lines are laid end to end where each has its own places."""
    (x, index), axis = xs, attrs["axis"]
    if not flags[1]:
        return op(x, index, axis=axis + 1)
    if not flags[0]:
        return move(op(x, index, axis=axis), axis, 0)
    x = move(x, 0, axis)
    shape = shape_of(x)
    n = shape[axis + 1]
    lines = view(x, (*shape[:axis], size * n, *shape[axis + 2 :]))
    return move(op(lines, _flat_index(index, n, size), axis=axis), axis, 0)


def add_axis(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Add into places of one axis."""
    (g, index), axis, shape = xs, attrs["axis"], tuple(attrs["shape"])
    if not flags[1]:
        return op(g, index, axis=axis + 1, shape=(size, *shape))
    n = shape[axis]
    g = move(grown(g, flags[0], size), 0, axis)
    r = op(g, _flat_index(index, n, size), axis=axis, shape=(*shape[:axis], size * n, *shape[axis + 1 :]))
    return move(view(r, (*shape[:axis], size, n, *shape[axis + 1 :])), axis, 0)


# -- gather and scatter -------------------------------------------------------------------------------------------------------
def _lines(x: Any) -> Any:
    """Give items that are numbers as lines of one."""
    shape = shape_of(x)
    return view(x, (*shape, 1)) if len(shape) == 1 else x


def along(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Operations that go by an index of the same rank along one axis: the batch is one more dimension of all."""
    made = dict(attrs)
    result = shape_of(xs[0])[flags[0] :]
    if op.name == "gather":
        result = shape_of(xs[1])[flags[1] :]
    elif "shape" in made:
        result = tuple(made["shape"])
        made["shape"] = (size, *(result or (1,)))
    made["axis"] = attrs["axis"] + 1 if item_rank(xs[-1], flags[-1]) else 1
    r = op(*[_lines(grown(x, f, size)) for x, f in zip(xs, flags, strict=True)], **made)
    return view(r, (size, *result))


# -- indexing in full ---------------------------------------------------------------------------------------------------------
class _Places:
    """Where the dimensions of index arrays go in what they read, for one item and for the batch."""

    def __init__(
        self, spec: tuple[Any, ...], arrays: Sequence[Any], flags: Flags, item: tuple[int, ...], size: int
    ) -> None:
        self.size = size
        at = [i for i, s in enumerate(spec) if s is ARRAY or s == ARRAY]
        together = at[-1] - at[0] == len(at) - 1
        self.start = at[0] if together else 0  # of the arrays' dimensions in an item's result
        blanks = [_blank(a, f) for a, f in zip(arrays, flags, strict=True)]
        rest = iter(blanks)
        index = tuple(next(rest) if s is ARRAY or s == ARRAY else s for s in spec)
        self.item: tuple[int, ...] = np.broadcast_to(np.zeros((), np.bool_), _room(item, spec))[index].shape
        self.width = len(np.broadcast_shapes(*[b.shape if b.dtype.kind != "b" else (int(b.sum()),) for b in blanks]))
        self.own = any(flags)
        if self.own:
            rank = max(item_rank(a, f) for a, f in zip(arrays, flags, strict=True))
            self.spec: tuple[Any, ...] = (ARRAY, *spec)
            self.arrays = [counted(size, *(1,) * rank)]
            for a, f in zip(arrays, flags, strict=True):
                shape = shape_of(a)
                self.arrays.append(view(a, (size, *(1,) * (rank + 1 - len(shape)), *shape[1:])) if f else a)
        else:
            self.spec, self.arrays = (slice(None), *spec), list(arrays)
            # apart from each other, the arrays' dimensions come first of all, before the batch
            self.first = 0 if together else self.width

    def outward(self) -> tuple[int, ...]:
        """Give the order of a batched read's dimensions that has the batch first and an item's after it."""
        rank = len(self.item) + 1
        if not self.own:
            return (self.first, *[i for i in range(rank) if i != self.first])
        adjacent = self.start == 0  # the arrays begin the spec, or come first anyway
        if adjacent:
            return tuple(range(rank))
        # read as (batch, arrays..., others...): put the arrays' dimensions back behind `start` others
        others = list(range(1 + self.width, rank))
        return (0, *others[: self.start], *range(1, 1 + self.width), *others[self.start :])

    def inward(self) -> tuple[int, ...]:
        """Give the order that undoes it."""
        back = [0] * (len(self.item) + 1)
        for i, a in enumerate(self.outward()):
            back[a] = i
        return tuple(back)


def _blank(a: Any, flag: bool) -> Any:
    """Give an array of indices like an item's, all 0; a mask itself."""
    if a._a.dtype.kind == "b":
        return a._a
    return np.zeros(a._a.shape[bool(flag) :], np.int64)


def _room(item: tuple[int, ...], spec: tuple[Any, ...]) -> tuple[int, ...]:
    """Let index 0 exist along axes of length 0 that an array indexes."""
    used = [s for s in spec if s is not None]
    return tuple(max(n, 1) if d < len(used) and used[d] == ARRAY else n for d, n in enumerate(item))


def _refuse_masks(arrays: Sequence[Any], flags: Flags) -> None:
    if any(f and a._a.dtype.kind == "b" for a, f in zip(arrays, flags, strict=True)):
        raise RuntimeError(
            "vmap: We do not support batching operators that can support dynamic shape. Attempting to batch over indexing with a "
            "boolean mask. Use torch.where(mask, ...) instead, whose shape does not depend on the mask."
        )


def read(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """``x[spec with arrays]`` of each item."""
    from .index import indexing

    x, *arrays = xs
    _refuse_masks(arrays, flags[1:])
    x = grown(x, flags[0], size)
    p = _Places(attrs["spec"], arrays, flags[1:], shape_of(x)[1:], size)
    r = indexing(len(p.arrays)).read(x, *p.arrays, spec=p.spec)
    return permute(r, p.outward())


def add(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Zeros of each item's shape, with its part added at the places."""
    from .index import indexing

    g, *arrays = xs
    shape = tuple(attrs["shape"])
    p = _Places(attrs["spec"], arrays, flags[1:], shape, size)
    g = permute(grown(g, flags[0], size), p.inward())
    return indexing(len(p.arrays)).add(g, *p.arrays, spec=p.spec, shape=(size, *shape))


def put(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Each item with its part written, or added, at the places."""
    from .index import indexing

    x, y, *arrays = xs
    _refuse_masks(arrays, flags[2:])
    x = grown(x, flags[0], size)
    p = _Places(attrs["spec"], arrays, flags[2:], shape_of(x)[1:], size)
    y = grown(y, flags[1], size)
    y = view(y, (size, *(1,) * (len(p.item) + 1 - len(shape_of(y))), *shape_of(y)[1:]))
    y = permute(REGISTRY["expand"](y, shape=(size, *p.item)), p.inward())
    return indexing(len(p.arrays)).put(x, y, *p.arrays, spec=p.spec, accumulate=attrs["accumulate"])


def masked_places(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """The number of places before each where the mask holds, in each item."""
    x, y = xs
    item = shape_of(x)[1:] if flags[0] else shape_of(x)
    last = math.prod(shape_of(y)[bool(flags[1]) :]) - 1
    if not flags[0]:
        return grown(op(x, wrap_blank(last + 1)), False, size)
    flat = REGISTRY["cast"](view(x, (size, math.prod(item))), dtype=np.dtype(np.int64))
    places = REGISTRY["sub"](REGISTRY["cumsum"](flat, axis=1), 1)
    return view(REGISTRY["clamp"](places, min=0, max=last), (size, *item))


def wrap_blank(n: int) -> Any:
    """Give n zeros: for operations that read a length only."""
    return counted(n)
