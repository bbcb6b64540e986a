"""Reading and adding at places that are values, in one form: elements of a flat vector, whose places are worked out beside them.

Gathers, scatters and indexing by arrays become ``flat_read`` and ``flat_add``; the first of the largest is the least place of those
that are as large; truth over dimensions is an extreme, and counting a sum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import REGISTRY, Graph, Node
from ...ops.index import ARRAY
from ..lowering.maps import parts, strides_of
from .rebuild import Builder, rebuild
from .selection import one_in_each_row

MOST_BOXES, MOST_PIECES = 7, 256  # around what is written into a slice; of one value in all
INT64 = np.dtype(np.int64)


def to_places(graph: Graph) -> Graph:
    """Rewrite indexing, places of extremes, truth and counts as look-ups, sums at places, and plain reductions."""
    return rebuild(graph, _rule)


def _rule(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    name = node.op.name  # type: ignore[union-attr]
    if 0 in node.shape or any(0 in i.shape for i in inputs):
        return None
    rule = RULES.get(name)
    if rule is None and name.startswith(("index_put_zeros", "index")) and name not in OTHERS:
        rule = _add_indexed if name.startswith("index_put_zeros") else None if "_" in name else _read_indexed
    return None if rule is None else rule(builder, node, inputs)


OTHERS = ("index_select", "index_add_zeros", "index_put")


# -- places ----------------------------------------------------------------------------------------------------------------
def _checked(builder: Builder, index: Node, size: int, like: Node) -> Node:
    known = index.op is not None and index.op.name == "check_index" and index.attrs["size"] == size
    found = index if known else builder.call("check_index", index, size=size, like=like)
    return found if found.dtype == INT64 else builder.call("cast", found, dtype=INT64, like=like)


def _times(builder: Builder, x: Node, number: int, like: Node) -> Node:
    return x if number == 1 else builder.call("mul", x, builder.scalar(number), like=like)


def _sum_of(builder: Builder, terms: list[Node], shape: tuple[int, ...], like: Node) -> Node:
    total = terms[0]
    for term in terms[1:]:
        total = builder.call("add", total, term, like=like)
    return total if total.shape == shape else builder.call("expand", total, shape=shape)


def _along(builder: Builder, index: Node, axis: int, shape: tuple[int, ...], like: Node) -> Node:
    """Give the flat places of ``index`` along one axis of a shape, every other axis at its own place."""
    terms = []
    for d, step in enumerate(strides_of(shape)):
        if d == axis:
            terms.append(_times(builder, _checked(builder, index, shape[d], like), step, like))
        elif index.shape[d] != 1:
            terms.append(_times(builder, builder.call("iota", shape=index.shape, axis=d), step, like))
    return _sum_of(builder, terms, index.shape, like)


def _flat(builder: Builder, x: Node) -> Node:
    return x if len(x.shape) == 1 else builder.call("view", x, shape=(math.prod(x.shape),))


def _read(builder: Builder, x: Node, places: Node, like: Node) -> Node:
    return builder.call("flat_read", _flat(builder, x), places, like=like)


def _add(builder: Builder, g: Node, places: Node, shape: tuple[int, ...], like: Node) -> Node:
    if g.shape != places.shape:
        g = builder.call("expand", g, shape=places.shape)
    total = builder.call("flat_add", g, places, size=math.prod(shape), like=like)
    return total if shape == total.shape else builder.call("view", total, shape=shape)


# -- one axis --------------------------------------------------------------------------------------------------------------
def _gather(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    x, index = inputs
    axis = node.attrs["axis"] % max(len(x.shape), 1)
    if not x.shape or index.dtype.kind != "i" or len(index.shape) != len(x.shape) or one_in_each_row(x, index, axis):
        return None
    return _sunk(builder, x, index, axis, node)


def _sunk(builder: Builder, x: Node, index: Node, axis: int, like: Node) -> Node:
    """Gather from what a value was computed from, where that is fewer elements: so it need not be kept whole."""
    op = x.op
    if op is not None and op.family == "elementwise" and math.prod(index.shape) * 4 <= math.prod(x.shape):
        parts = []
        for i in x.inputs:
            if builder.is_scalar(i) or i.shape == ():
                parts.append(i)
            elif i.shape == x.shape:
                parts.append(_sunk(builder, i, index, axis, like))
            else:
                lead = (1,) * (len(x.shape) - len(i.shape)) + i.shape
                if lead[axis] != 1:
                    break
                part = i if lead == i.shape else builder.call("view", i, shape=lead)
                parts.append(_cut(builder, part, index.shape))
        else:
            return builder.make(op, tuple(parts), x.attrs, index.shape, x.dtype, like)
    return _read(builder, x, _along(builder, index, axis, x.shape, like), like)


def _cut(builder: Builder, x: Node, shape: tuple[int, ...]) -> Node:
    """Give the part of a value that has only the first of each dimension that the places have."""
    if all(n in (1, m) for n, m in zip(x.shape, shape, strict=True)):
        return x
    index = tuple([slice(0, min(n, m)) for n, m in zip(x.shape, shape, strict=True)])
    return builder.call("slice", x, index=index)


def _scatter_add(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    g, index = inputs
    axis = node.attrs["axis"] % max(len(node.shape), 1)
    if not node.shape or index.dtype.kind != "i" or len(index.shape) != len(node.shape):
        return None
    if one_in_each_row(node, index, axis, math.inf) and g.dtype.kind == "f" and g.shape == index.shape:
        return None
    if g.shape != index.shape:
        g = _cut(builder, g, index.shape)
    return _add(builder, g, _along(builder, index, axis, node.shape, node), node.shape, node)


def _pool_gather(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    x, index = inputs
    lead, plane = _planes(x.shape, node.attrs["dims"])
    return _read(builder, x, _in_planes(builder, index, lead, plane, node), node)


def _pool_scatter(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    g, index = inputs
    if g.dtype.kind != "f" or g.dtype.itemsize < 4:
        return None
    lead, plane = _planes(node.shape, len(node.attrs["size"]))
    return _add(builder, g, _in_planes(builder, index, lead, plane, node), node.shape, node)


def _planes(shape: tuple[int, ...], dims: int) -> tuple[int, int]:
    return len(shape) - dims, math.prod(shape[len(shape) - dims :])


def _in_planes(builder: Builder, index: Node, lead: int, plane: int, like: Node) -> Node:
    terms = [_checked(builder, index, plane, like)]
    for d, step in enumerate(strides_of(index.shape[:lead])):
        if index.shape[d] != 1:
            terms.append(_times(builder, builder.call("iota", shape=index.shape, axis=d), step * plane, like))
    return _sum_of(builder, terms, index.shape, like)


# -- arrays among slices ---------------------------------------------------------------------------------------------------
def _read_indexed(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    x, *arrays = inputs
    axis = _only_axis(node.attrs["spec"], arrays)
    if axis is not None:
        return builder.call("index_select", x, arrays[0], axis=axis, like=node)
    places = _indexed(builder, node.attrs["spec"], arrays, x.shape, node.shape, node)
    return None if places is None else _read(builder, x, places, node)


def _add_indexed(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    g, *arrays = inputs
    if g.dtype.kind not in "fi" or g.dtype.itemsize < 4:
        return None
    axis = _only_axis(node.attrs["spec"], arrays)
    if axis is not None and g.shape == (*node.shape[:axis], *arrays[0].shape, *node.shape[axis + 1 :]):
        return builder.call("index_add_zeros", g, arrays[0], axis=axis, shape=node.shape, like=node)
    places = _indexed(builder, node.attrs["spec"], arrays, node.shape, None, node)
    if places is None:
        return None
    return _add(builder, g, places, node.shape, node)


def _is_array(entry: Any) -> bool:
    return isinstance(entry, str) and entry == ARRAY


def _only_axis(spec: tuple[Any, ...], arrays: list[Node]) -> int | None:
    """Give the axis of a single index array behind whole dimensions."""
    whole = all(isinstance(s, slice) and s == slice(None) for s in spec[:-1])
    fits = len(arrays) == 1 and arrays[0].dtype.kind == "i" and _is_array(spec[-1]) and whole
    return len(spec) - 1 if fits else None


def _indexed(
    builder: Builder, spec: tuple[Any, ...], arrays: list[Node], shape: tuple[int, ...], out: Any, like: Node
) -> Node | None:
    """Give the flat places in a value of ``shape`` that a spec of slices and index arrays names, as NumPy orders them."""
    entries = list(spec)
    if any(e is Ellipsis for e in entries):
        here = next(k for k, e in enumerate(entries) if e is Ellipsis)
        entries[here : here + 1] = [slice(None)] * (len(shape) - len(entries) + 1)
    entries += [slice(None)] * (len(shape) - len(entries))
    if len(entries) != len(shape) or not all(isinstance(e, slice) or _is_array(e) for e in entries):
        return None
    if any(a.dtype.kind != "i" for a in arrays):
        return None
    common = np.broadcast_shapes(*[a.shape for a in arrays])
    at = [d for d, e in enumerate(entries) if _is_array(e)]
    together = at == list(range(at[0], at[0] + len(at)))
    ranges = [None if _is_array(e) else range(*e.indices(n)) for e, n in zip(entries, shape, strict=True)]
    front = [d for d in range(at[0]) if ranges[d] is not None] if together else []
    behind = [d for d, r in enumerate(ranges) if r is not None and d not in front]
    length = {d: len(r) for d, r in enumerate(ranges) if r is not None}
    whole = (*[length[d] for d in front], *common, *[length[d] for d in behind])
    if 0 in whole or (out is not None and whole != tuple(out)):
        return None
    steps, terms, rest = strides_of(shape), [], iter(arrays)
    for d, r in enumerate(ranges):
        if r is None:
            index = _times(builder, _checked(builder, next(rest), shape[d], like), steps[d], like)
            padded = (*(1,) * len(front), *(1,) * (len(common) - len(index.shape)), *index.shape, *(1,) * len(behind))
            terms.append(index if padded == index.shape else builder.call("view", index, shape=padded))
            continue
        place = front.index(d) if d in front else len(front) + len(common) + behind.index(d)
        if len(r) > 1:
            terms.append(_times(builder, builder.call("iota", shape=whole, axis=place), r.step * steps[d], like))
        if r.start:
            start = builder.array(np.full((1,) * len(whole), r.start * steps[d], INT64))
            terms.append(start)
    return _sum_of(builder, terms, whole, like)


# -- writing into slices ---------------------------------------------------------------------------------------------------
def _written(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """Put a written value together from what was written and the boxes around it."""
    x, y = inputs
    steps = node.attrs["steps"]
    if builder.is_scalar(x) or not (builder.is_scalar(y) or y.dtype == x.dtype):
        return None
    if all(op.name in ("view", "transpose", "permute") for op, _ in steps):
        return _written_whole(builder, node, x, y)
    if len(steps) != 1 or steps[0][0].name != "slice" or not x.shape:
        return None
    index = steps[0][1]["index"]
    found = parts(index, x.shape)
    if found is None or None in found:
        return None
    kind = REGISTRY["slice"].type(x.type, index=index)
    lengths, box = iter(kind.shape), []
    for e in found:
        count = next(lengths) if isinstance(e, tuple) else 1
        start, step = e if isinstance(e, tuple) else (e, 1)
        if step != 1 and count != 1:
            return None
        box.append((start, start + count))
    if 0 in kind.shape:
        return x
    y = _spread(builder, y, tuple(kind.shape), x.dtype)
    pieces, fill = (
        [(y, tuple([(a, 1) if isinstance(e, tuple) else a for e, (a, _) in zip(found, box, strict=True)]))],
        0,
    )
    old = [(x, ((0, 1),) * len(x.shape))]
    if x.op is not None and x.op.name == "assemble" and _in_boxes(x):  # several writes in a row are put together once
        old, fill = list(zip(x.inputs, x.attrs["regions"], strict=True)), x.attrs.get("fill", 0)
    for piece, region in old:
        pieces += _outside(builder, piece, region, box, node)
    if len(pieces) > min(MOST_BOXES + 2 * len(old), MOST_PIECES):
        return None
    values, regions = [p for p, _ in pieces], tuple([r for _, r in pieces])
    return builder.call("assemble", *values, regions=regions, shape=x.shape, fill=fill, like=node)


def _written_whole(builder: Builder, node: Node, x: Node, y: Node) -> Node:
    """Give a value that was written through views of all of it: what was written, turned back."""
    kinds = [x.type]
    for op, attrs in node.attrs["steps"]:
        kinds.append(op.type(kinds[-1], **attrs))
    y = _spread(builder, y, tuple(kinds[-1].shape), x.dtype)
    for (op, attrs), kind in zip(reversed(node.attrs["steps"]), reversed(kinds[:-1]), strict=True):
        if op.name == "view":
            y = builder.call("view", y, shape=tuple(kind.shape))
        elif op.name == "transpose":
            y = builder.call("transpose", y, **attrs)
        else:
            y = builder.call("permute", y, axes=tuple(int(a) for a in np.argsort(attrs["axes"])))
    return y


def _spread(builder: Builder, y: Node, shape: tuple[int, ...], dtype: Any) -> Node:
    """Give a number or a value as one of a shape."""
    if builder.is_scalar(y):
        y = builder.array(np.full((), builder.constants[y], dtype))
    return y if y.shape == shape else builder.call("expand", y, shape=shape)


Region = tuple[Any, ...]


def _in_boxes(x: Node) -> bool:
    return all(not isinstance(e, tuple) or e[1] == 1 for region in x.attrs["regions"] for e in region)


def _outside(
    builder: Builder, piece: Node, region: Region, box: list[tuple[int, int]], like: Node
) -> list[tuple[Node, Region]]:
    """Cut a part of a whole into those that lie outside a box: itself where they do not meet."""
    lengths = iter(piece.shape)
    own = [(e[0], e[0] + next(lengths)) if isinstance(e, tuple) else (e, e + 1) for e in region]
    if any(a >= high or b <= low for (a, b), (low, high) in zip(own, box, strict=True)):
        return [(piece, region)]
    inner = [(max(a, low), min(b, high)) for (a, b), (low, high) in zip(own, box, strict=True)]
    found = []
    for d, (low, high) in enumerate(inner):
        for start, stop in ((own[d][0], low), (high, own[d][1])):
            if start >= stop:
                continue
            around = [*inner[:d], (start, stop), *own[d + 1 :]]
            kept = [k for k, e in enumerate(region) if isinstance(e, tuple)]
            index = tuple([slice(around[k][0] - own[k][0], around[k][1] - own[k][0]) for k in kept])
            part = builder.call("slice", piece, index=index, like=like)
            found.append((part, tuple([(around[k][0], 1) if k in kept else e for k, e in enumerate(region)])))
    return found


# -- extremes, truth, counts -----------------------------------------------------------------------------------------------
def _place_of_extreme(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    (x,) = inputs
    axis = node.attrs["axis"]
    if x.dtype.kind not in "fiu" or not x.shape or (x.dtype.kind == "f" and x.dtype.itemsize < 4):
        return None
    if axis is None:
        x, axis = _flat(builder, x), 0
    axis = (axis[0] if isinstance(axis, tuple) else axis) % len(x.shape)
    kept = tuple([1 if d == axis else n for d, n in enumerate(x.shape)])
    name = "amax" if node.op.name == "argmax" else "amin"  # type: ignore[union-attr]
    best = builder.call(name, x, axis=(axis,), keepdims=False, like=node)
    spread = builder.call("expand", builder.call("view", best, shape=kept), shape=x.shape)
    hit = builder.call("eq", x, spread, like=node)
    if x.dtype.kind == "f":
        hit = builder.call("logical_or", hit, builder.call("isnan", x, like=node), like=node)
    counter = builder.call("iota", shape=x.shape, axis=axis)
    first = builder.call("where", hit, counter, builder.scalar(x.shape[axis]), like=node)
    found = builder.call("amin", first, axis=(axis,), keepdims=False, like=node)
    return found if found.shape == node.shape else builder.call("view", found, shape=node.shape)


def _truth(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    (x,) = inputs
    axes = node.attrs["axis"]
    if not isinstance(axes, tuple) or not axes or x.dtype.kind not in "bfiu":
        return None
    if x.dtype.kind != "b":
        x = builder.call("ne", x, builder.scalar(0), like=node)
    name = "amax" if node.op.name == "any" else "amin"  # type: ignore[union-attr]
    return _reduced(builder, name, x, node)


def _counted(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    (x,) = inputs
    axes = node.attrs["axis"]
    if not isinstance(axes, tuple) or not axes or x.dtype.kind not in "biu" or node.dtype.itemsize < 4:
        return None
    if node.dtype.kind != "i":
        return None
    if x.dtype != node.dtype:
        x = builder.call("cast", x, dtype=node.dtype, like=node)
    return _reduced(builder, "sum", x, node)


def _wide_sum(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """Sum numbers of two bytes in float32, and round once."""
    (x,) = inputs
    axes = node.attrs["axis"]
    if x.dtype != node.dtype or x.dtype.itemsize != 2 or x.dtype.kind not in "fV":
        return None
    if not isinstance(axes, tuple) or not axes or (x.dtype.kind == "V" and x.dtype.name != "bfloat16"):
        return None
    total = _reduced(builder, "sum", builder.call("cast", x, dtype=np.dtype(np.float32), like=node), node)
    return builder.call("cast", total, dtype=node.dtype, like=node)


def _reduced(builder: Builder, name: str, x: Node, node: Node) -> Node:
    found = builder.call(name, x, axis=node.attrs["axis"], keepdims=False, like=node)
    return found if found.shape == node.shape else builder.call("view", found, shape=node.shape)


RULES = {
    "gather": _gather,
    "scatter_add_zeros": _scatter_add,
    "pool_gather": _pool_gather,
    "pool_scatter": _pool_scatter,
    "argmax": _place_of_extreme,
    "argmin": _place_of_extreme,
    "any": _truth,
    "all": _truth,
    "sum_integers": _counted,
    "sum": _wide_sum,
    "view_write": _written,
}
