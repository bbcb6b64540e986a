"""How operations run on a whole batch at once: what depends on the batch has it as dimension 0, and the attributes move over.

A rule is ``rule(op, xs, flags, size, attrs)``: the inputs, which of them carry the batch, its size, the attributes for one item.
It gives the result with the batch as dimension 0. Rules are written in the library's own ops, so that what they do is recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import PICK, REGISTRY, STRAIGHT, VIEW_WRITE, BaseTensor, wrap
from ..core.types import typeof

Attrs = dict[str, Any]
Flags = Sequence[bool]


# -- small words --------------------------------------------------------------------------------------------------------------
def shape_of(x: Any) -> tuple[int, ...]:
    """Give the shape of a Tensor or an array; that of a number is ()."""
    return typeof(x).shape


def view(x: Any, shape: tuple[int, ...]) -> Any:
    """Give the same elements in another shape."""
    return x if shape_of(x) == shape else REGISTRY["view"](x, shape=shape)


def permute(x: Any, axes: tuple[int, ...]) -> Any:
    """Give the dimensions in another order."""
    return x if axes == tuple(range(len(axes))) else REGISTRY["permute"](x, axes=axes)


def move(x: Any, source: int, target: int) -> Any:
    """Move one dimension to another place; the others keep their order."""
    axes = [i for i in range(len(shape_of(x))) if i != source]
    axes.insert(target, source)
    return permute(x, tuple(axes))


def grown(x: Any, flag: bool, size: int) -> Any:
    """Give a value with the batch as dimension 0, repeated without copying where it does not depend on it."""
    return x if flag else REGISTRY["expand"](x, shape=(size, *shape_of(x)))


def lifted(x: Any, rank: int) -> Any:
    """Put dimensions of length 1 behind the batch, so that an item has this many."""
    size, *item = shape_of(x)
    return view(x, (size, *(1,) * (rank - len(item)), *item))


def counted(size: int, *shape: int) -> Any:
    """Give the numbers of the batch's items as an index, in the shape (size, 1, ...)."""
    return wrap(np.arange(size).reshape(size, *shape))


def item_rank(x: Any, flag: bool) -> int:
    """Give the number of dimensions of one item."""
    return len(shape_of(x)) - bool(flag)


def shifted(axis: int) -> int:
    """Give where a dimension of an item is in the batch."""
    return axis + 1 if axis >= 0 else axis


# -- families -----------------------------------------------------------------------------------------------------------------
def spread(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Elementwise: items are given one rank, so that they broadcast as they would alone."""
    rank = max(item_rank(x, f) for x, f in zip(xs, flags, strict=True))
    return op(*[lifted(x, rank) if f else x for x, f in zip(xs, flags, strict=True)], **attrs)


def matrices(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Operations on the last two dimensions that broadcast over all before them: as elementwise ones."""
    return spread(op, xs, flags, size, attrs)


def leading(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Operations that work along the last dimensions, with equal dimensions before them: one more does not matter."""
    return op(*[grown(x, f, size) for x, f in zip(xs, flags, strict=True)], **attrs)


def axes(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Operations on one array along the axes that they name: each is one further."""
    (x,) = xs
    if len(shape_of(x)) == 1 and any(isinstance(attrs.get(k), int) for k in ("axis", "a", "b")):
        # the items are numbers, along whose one axis NumPy works for once
        return view(op(view(x, (size, 1)), **moved_axes(attrs)), (size,))
    return op(x, **moved_axes(attrs))


def moved_axes(attrs: Attrs) -> Attrs:
    """Give attributes with every axis one further."""
    made = dict(attrs)
    for key in ("axis", "a", "b", "axes"):
        if key in made and made[key] is not None:
            v = made[key]
            made[key] = tuple(map(shifted, v)) if isinstance(v, tuple) else shifted(v)
    return made


def over_all(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """The same, where no axis means the item as one line."""
    if attrs["axis"] is not None:
        return axes(op, xs, flags, size, attrs)
    item = shape_of(xs[0])[1:]
    r = op(view(xs[0], (size, math.prod(item))), axis=1, keepdims=False)
    return view(r, (size, *(1,) * len(item))) if attrs["keepdims"] else r


def joined(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Joining along an axis: every part has the batch."""
    return op(*[grown(x, f, size) for x, f in zip(xs, flags, strict=True)], axis=attrs["axis"] + 1)


def assembled(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Parts put into a whole: every part and the whole have the batch."""
    regions = tuple(((0, 1), *r) for r in attrs["regions"])
    parts = [grown(x, f, size) for x, f in zip(xs, flags, strict=True)]
    return op(*parts, **{**attrs, "regions": regions, "shape": (size, *attrs["shape"])})


def stepped(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Places counted from ``starts`` in ``steps``: along the batch one after another."""
    parts = [grown(x, f, size) for x, f in zip(xs, flags, strict=True)]
    more = {"starts": (0, *attrs["starts"])} if "starts" in attrs else {}
    return op(*parts, **{**attrs, **more, "steps": (1, *attrs["steps"]), "shape": (size, *attrs["shape"])})


def picked(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Places in a vector: each item has its own, or its own places."""
    x, index = xs
    if not flags[0]:
        return op(x, index)
    return op(
        REGISTRY["view"](x, shape=(math.prod(shape_of(x)),)), _own_places(grown(index, flags[1], size), shape_of(x)[1])
    )


def piled(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Sums at places of a vector: each item has its own."""
    x, index = (grown(v, f, size) for v, f in zip(xs, flags, strict=True))
    length = attrs["size"]
    return REGISTRY["view"](op(x, _own_places(index, length), size=size * length), shape=(size, length))


def _own_places(index: Any, length: int) -> Any:
    """Move each item's places into its own stretch."""
    count = shape_of(index)[0]
    starts = wrap(np.arange(count) * length)
    return index + REGISTRY["view"](starts, shape=(count, *(1,) * (len(shape_of(index)) - 1)))


def padded(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Padding: none along the batch."""
    return op(xs[0], **{**attrs, "widths": ((0, 0), *attrs["widths"])})


def summed(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """The sum that undoes broadcasting: first over the dimensions that an item had too many, then to the lengths."""
    x, target = xs[0], tuple(attrs["shape"])
    more = len(shape_of(x)) - 1 - len(target)
    if more > 0:
        x = REGISTRY["sum"](x, axis=tuple(range(1, 1 + more)), keepdims=False)
    return op(x, shape=(size, *target)) if shape_of(x) != (size, *target) else x


def folded(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Operations on one array whose dimension 0 is a batch already: both become one."""
    n, *rest = shape_of(xs[0])[1:]
    r = op(view(xs[0], (size * n, *rest)), **attrs)
    return view(r, (size, n, *shape_of(r)[1:]))


class Steps:
    """The rule of a view: the views that do the same to a batch, ``steps(op, attrs, item's shape, size)``.

    Writes through views and the transposes of views move their attributes with it.
    """

    def __init__(self, steps: Callable[[Any, Attrs, tuple[int, ...], int], list[tuple[Any, Attrs]]]) -> None:
        self.steps = steps

    def __call__(self, op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
        x = xs[0]
        for step, moved in self.steps(op, attrs, shape_of(x)[1:], size):
            x = step(x, **moved)
        return x


def _expanded(op: Any, attrs: Attrs, item: tuple[int, ...], size: int) -> list[tuple[Any, Attrs]]:
    shape = attrs["shape"]
    first = (REGISTRY["view"], {"shape": (size, *(1,) * (len(shape) - len(item)), *item)})
    return [first, (op, {"shape": (size, *shape)})]


def _strided(op: Any, attrs: Attrs, item: tuple[int, ...], size: int) -> list[tuple[Any, Attrs]]:
    return [(op, {**attrs, "size": (size, *attrs["size"]), "stride": (math.prod(item), *attrs["stride"])})]


same = Steps(lambda op, attrs, item, size: [(op, attrs)])
reshaped = Steps(lambda op, attrs, item, size: [(op, {"shape": (size, *attrs["shape"])})])
expanded = Steps(_expanded)
permuted = Steps(lambda op, attrs, item, size: [(op, {"axes": (0, *[a % len(item) + 1 for a in attrs["axes"]])})])
along = Steps(lambda op, attrs, item, size: [(op, moved_axes(attrs))])
sliced = Steps(lambda op, attrs, item, size: [(op, {**attrs, "index": (slice(None), *attrs["index"])})])
strided = Steps(_strided)


def moved_steps(steps: Sequence[tuple[Any, Attrs]], item: tuple[int, ...], size: int) -> tuple[tuple[Any, Attrs], ...]:
    """Give the views that lead from a batch to the parts of its items that ``steps`` lead to."""
    made: list[tuple[Any, Attrs]] = []
    blank = np.broadcast_to(np.zeros((), np.bool_), item)
    for op, attrs in steps:
        made += op.batch.steps(op, attrs, blank.shape, size)
        blank = op.numpy(blank, **attrs)
    return tuple(made)


def embedded(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """The transpose of a view: zeros of the batch's shape."""
    ((part, moved),) = attrs["part"].batch.steps(attrs["part"], attrs["attrs"], attrs["shape"], size)
    return op(xs[0], part=part, attrs=moved, shape=(size, *attrs["shape"]))


def written(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """A write through views."""
    x, y = (grown(v, f, size) for v, f in zip(xs, flags, strict=True))
    return op(x, y, steps=moved_steps(attrs["steps"], shape_of(x)[1:], size))


# -- contractions -------------------------------------------------------------------------------------------------------------
def _rows(x: Any, flag: bool) -> Any:
    """Give items as matrices of rows."""
    shape = shape_of(x)
    lead, item = (shape[:1], shape[1:]) if flag else ((), shape)
    return view(x, (*lead, math.prod(item[:-1]), item[-1]))


def weight_product(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """x^T y over all rows of an item."""
    x, y = (_rows(v, f) for v, f in zip(xs, flags, strict=True))
    return REGISTRY["matmul"](REGISTRY["transpose"](x, a=-2, b=-1), y)


def linear_layer(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """x W^T + b: one product of matrices for shared weights, a product per item for weights of its own."""
    x, w = xs[0], xs[1]
    shared = [i for i, f in enumerate(flags) if not f]
    if 1 in shared and (len(xs) < 3 or 2 in shared):
        return op(*xs)
    if 1 in shared:
        r = op(x, w)
    else:
        item = shape_of(x)[1:] if flags[0] else shape_of(x)
        r = REGISTRY["matmul"](_rows(x, flags[0]), REGISTRY["transpose"](w, a=-2, b=-1))
        r = view(r, (size, *item[:-1], shape_of(w)[1]))
    if len(xs) < 3:
        return r
    add = REGISTRY["add"]
    batched = bool(flags[0] or flags[1])
    return spread(add, (r, xs[2]), (batched, flags[2]), size, {})


# -- convolution --------------------------------------------------------------------------------------------------------------
def _into(x: Any, axis: int) -> Any:
    """Fold the batch into a dimension of the item, before its elements."""
    x = move(x, 0, axis)
    shape = shape_of(x)
    return view(x, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def _out_of(x: Any, axis: int, size: int) -> Any:
    """Take the batch out of a dimension again, to the front."""
    shape = shape_of(x)
    x = view(x, (*shape[:axis], size, shape[axis] // size, *shape[axis + 1 :]))
    return move(x, axis, 0)


def _empty(op: Any, xs: Sequence[Any], flags: Flags, attrs: Attrs) -> Any:
    """Give the result of an empty batch."""
    types = [typeof(x) for x in xs]
    found = op.type(*[t._replace(shape=t.shape[1:]) if f else t for t, f in zip(types, flags, strict=True)], **attrs)
    return wrap(np.zeros((0, *found.shape), found.dtype))


def conv(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Images of one batch fold into N; kernels of one batch into the output channels; both into groups."""
    x, w = xs
    if not size:
        return _empty(op, xs, flags, attrs)
    if not flags[1]:
        return folded_first(op, x, w, size, attrs)
    if not flags[0] and attrs["groups"] == 1:
        return _out_of(op(x, _into(w, 0), **attrs), 1, size)
    groups = attrs["groups"] * size
    return _out_of(op(_into(grown(x, flags[0], size), 1), _into(w, 0), **{**attrs, "groups": groups}), 1, size)


def folded_first(op: Any, x: Any, w: Any, size: int, attrs: Attrs) -> Any:
    """Fold the batch of the first operand into its dimension 0."""
    made = dict(attrs)
    if "x_shape" in made:
        made["x_shape"] = (made["x_shape"][0] * size, *made["x_shape"][1:])
    return _out_of(op(_into(x, 0), w, **made), 0, size)


def conv_input_grad(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """The transpose by the images: the same."""
    g, w = xs
    if not size:
        return _empty(op, xs, flags, attrs)
    if not flags[1]:
        return folded_first(op, g, w, size, attrs)
    n, c, *pixels = attrs["x_shape"]
    made = {**attrs, "groups": attrs["groups"] * size, "x_shape": (n, c * size, *pixels)}
    return _out_of(op(_into(grown(g, flags[0], size), 1), _into(w, 0), **made), 1, size)


def conv_weight_grad(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """The transpose by the kernels: one per item."""
    g, x = xs
    if not size:
        return _empty(op, xs, flags, attrs)
    o, *rest = attrs["w_shape"]
    made = {**attrs, "w_shape": (o * size, *rest)}
    if flags[1] or attrs["groups"] > 1:
        made["groups"] = attrs["groups"] * size
        g, x = grown(g, flags[0], size), _into(grown(x, flags[1], size), 1)
    return _out_of(op(_into(g, 1), x, **made), 0, size)


# -- questions of order -------------------------------------------------------------------------------------------------------
def searchsorted(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """One sorted line for all, or one per item."""
    s, v = xs
    if not flags[0] and len(shape_of(s)) == 1:
        return op(s, v, **attrs)
    s, v = grown(s, flags[0], size), grown(v, flags[1], size)
    if len(shape_of(s)) == 2:
        item = shape_of(v)[1:]
        return view(op(s, view(v, (size, math.prod(item))), **attrs), (size, *item))
    return op(s, v, **attrs)


def isin(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Every element against every other where each item has its own set."""
    x, y = xs
    if not flags[1]:
        return op(x, y, **attrs)
    item = shape_of(x)[1:] if flags[0] else shape_of(x)
    lead = (size,) if flags[0] else (1,)
    x = view(x, (*lead, math.prod(item), 1))
    y = view(y, (size, 1, math.prod(shape_of(y)[1:])))
    r = REGISTRY["any"](REGISTRY["eq"](x, y), axis=(2,), keepdims=False)
    r = view(r, (size, *item))
    return REGISTRY["logical_not"](r) if attrs["invert"] else r


def lined(op: Any, xs: Sequence[Any], flags: Flags, size: int, attrs: Attrs) -> Any:
    """Operations on an item as one line, which take the number of lines as ``lines``."""
    x, *rest = (grown(v, f, size) for v, f in zip(xs, flags, strict=True))
    return op(x, *rest, **{**attrs, "lines": attrs.get("lines", 1) * size})


VIEW_WRITE.batch = written
STRAIGHT.batch = leading
PICK.batch = None  # what it picks from is a tuple: see `vmap`


def is_tensor(x: Any) -> bool:
    """Tell whether a value is a Tensor."""
    return isinstance(x, BaseTensor)
