"""Pooling as elementwise operations on what its windows reach: a maximum with the number of its tap, and sums.

A tap of all windows is one strided view of the input, with a fill where it reaches over the edge; so a pool is a few
elementwise nodes over its own elements. Backward, the positions of the input go by their rest modulo the stride: those of one
rest are reached by the same taps, each from one window, so their gradient is a sum of such views too, and nothing is scattered.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ...core import REGISTRY, Graph, Node
from ...ops.windows import Window, Windows, everywhere, window_sizes
from .rebuild import Builder, rebuild

MOST = 25  # taps of a window, or classes of positions, that are written out at once
LONGEST = 64  # taps along one dimension


def to_windows(graph: Graph) -> Graph:
    """Rewrite pools, and their gradients where the places of the maxima are known to come from one, as elementwise nodes."""
    return rebuild(graph, _Pools(graph))


Tap = tuple[int, ...]


class _Pools:
    def __init__(self, graph: Graph) -> None:
        ops = [n for n in graph.nodes if n.op is not None]
        self.placed = {(n.inputs[0], n.attrs["windows"]) for n in ops if _of_maxima(n)}
        self.made: dict[Any, tuple[Node, Node, Node]] = {}
        # of flat places: the input, its windows, the maxima, the taps' numbers
        self.places: dict[Node, tuple[Node, Windows, Node, Node]] = {}
        self.spread: dict[Node, tuple[Node, Node]] = {}  # of gradients at maxima: what is there, and the flat places

    def __call__(self, builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
        name = node.op.name  # type: ignore[union-attr]
        if name == "mul":
            return self._masked(builder, node, *inputs)
        if name in ("sum", "sum_to"):
            return self._summed(builder, node, inputs[0])
        if name not in ("max_pool", "max_pool_index", "pool_scatter", "avg_pool", "avg_pool_grad"):
            return None
        if 0 in node.shape or 0 in inputs[0].shape or node.dtype.kind not in "fiu" or node.dtype.name == "uint16":
            return None
        if name == "max_pool":
            return self._largest(builder, node, inputs[0])
        if name == "max_pool_index":
            return self._place(builder, node, inputs[0])
        if name == "pool_scatter":
            return self._spread_maxima(builder, node, *inputs)
        if node.dtype.kind != "f" or node.dtype.itemsize < 4:
            return None
        return (_averaged if name == "avg_pool" else _spread_average)(builder, node, inputs[0])

    # -- maxima ------------------------------------------------------------------------------------------------------------
    def _largest(self, builder: Builder, node: Node, x: Node) -> Node | None:
        windows = node.attrs["windows"]
        if not _plain(windows):
            return None
        if (node.inputs[0], windows) in self.placed and _may_number(windows):
            return self._numbered(builder, node, x, windows)[0]
        low = _lowest(x)
        for group in _groups(windows):
            parts = [_reached(builder, x, group, tap, low, node) for tap in _taps(group)]
            x = parts[0]
            for part in parts[1:]:
                x = builder.call("maximum", x, part, like=node)
        return x

    def _numbered(self, builder: Builder, node: Node, x: Node, windows: Windows) -> tuple[Node, Node, Node]:
        """Give the maxima, the number of the tap that each stands at, and that tap's distance from the window's first."""
        key = (x, windows)
        if key in self.made:
            return self.made[key]
        plane = [w.size for w in windows]
        numbers, distances = [w.kernel for w in windows], plane
        kind = np.dtype(np.uint8 if math.prod(numbers) < 255 else np.int32)
        code = _first_taps(builder, x, windows, numbers, kind)
        far = _first_taps(builder, x, windows, distances, np.dtype(np.int64))
        best = None
        for number, tap in enumerate(_taps(windows)):
            part = _reached(builder, x, windows, tap, _lowest(x), node)
            if best is None:
                best = part
                continue
            better = builder.call("gt", part, best, like=node)
            if x.dtype.kind == "f":
                better = builder.call("logical_or", better, builder.call("isnan", part, like=node), like=node)
            best = builder.call("where", better, part, best, like=node)
            distance = _flat([t * w.dilation for t, w in zip(tap, windows, strict=True)], distances)
            code = builder.call("where", better, builder.scalar(number), code, like=node)
            far = builder.call("where", better, builder.scalar(distance), far, like=node)
        assert best is not None
        shape = best.shape
        code, far = (c if c.shape == shape else builder.call("expand", c, shape=shape) for c in (code, far))
        self.made[key] = best, code, far
        return self.made[key]

    def _place(self, builder: Builder, node: Node, x: Node) -> Node | None:
        windows = node.attrs["windows"]
        if not _plain(windows) or not _may_number(windows) or not _of_maxima(node):
            return None
        best, code, place = self._numbered(builder, node, x, windows)
        strides = [math.prod([w.size for w in windows[d + 1 :]]) for d in range(len(windows))]
        for d, (w, stride) in enumerate(zip(windows, strides, strict=True)):
            counter = builder.call("iota", shape=node.shape, axis=len(node.shape) - len(windows) + d)
            origin = builder.call("mul", counter, builder.scalar(w.stride * stride), like=node)
            if w.padding:
                origin = builder.call("sub", origin, builder.scalar(w.padding * stride), like=node)
            place = builder.call("add", place, origin, like=node)
        self.places[place] = (x, windows, best, code)
        return place

    def _spread_maxima(self, builder: Builder, node: Node, g: Node, index: Node) -> Node | None:
        if index not in self.places:
            return None
        _, windows, _, code = self.places[index]
        if node.attrs["size"] != tuple(w.size for w in windows):
            return None
        given = g
        if g.dtype.itemsize < 4 and g.dtype.kind == "f":
            g = builder.call("cast", g, dtype=np.dtype(np.float32), like=node)
        zero = builder.scalar(0.0 if g.dtype.kind == "f" else 0)

        def term(tap: Tap, reach: Any) -> Node:
            number = builder.scalar(_flat(list(tap), [w.kernel for w in windows]))
            hit = builder.call("eq", reach(code, 255 if code.dtype.itemsize == 1 else -1), number, like=node)
            return builder.call("where", hit, reach(g, 0), zero, like=node)

        made = _gathered(builder, node, windows, g, term)
        if made is not None and made.op.name == "interleave":  # type: ignore[union-attr]
            self.spread[made] = (given, index)
        return made

    def _masked(self, builder: Builder, node: Node, x: Node, y: Node) -> Node | None:
        """Mask a gradient by the sign of what was pooled: where it is not zero, that is the maxima's."""
        for made, mask in ((x, y), (y, x)):
            if made not in self.spread or mask.op is None or mask.op.name != "step":
                continue
            g, index = self.spread[made]
            pooled, windows, best, _ = self.places[index]
            if mask.inputs[0] is pooled and g.dtype == best.dtype:
                masked = builder.call("mul", g, builder.call("step", best, like=mask), like=node)
                whole = builder.make(REGISTRY["pool_scatter"], (masked, index), _size(windows), node.shape, node.dtype)
                return self._spread_maxima(builder, whole, masked, index)
        return None

    def _summed(self, builder: Builder, node: Node, made: Node) -> Node | None:
        """Sum over whole planes what stands at maxima: each element of the smaller gradient once."""
        if made not in self.spread:
            return None
        g, index = self.spread[made]
        dims = len(self.places[index][1])
        rank = len(made.shape)
        if node.op.name == "sum":  # type: ignore[union-attr]
            axes = {a % rank for a in node.attrs["axis"]}
        else:
            shape = node.attrs["shape"]
            axes = {d for d in range(rank) if d < rank - len(shape) or shape[d - rank] != made.shape[d]}
            if any(made.shape[d] == 1 for d in range(rank - dims, rank)):
                return None
        if not axes.issuperset(range(rank - dims, rank)):
            return None
        return builder.make(node.op, (g,), node.attrs, node.shape, node.dtype, node)  # type: ignore[arg-type]


def _of_maxima(node: Node) -> bool:
    """Tell whether a node gives the places of what is known to be its input's maxima."""
    if node.op is None or node.op.name != "max_pool_index":
        return False
    x, y = node.inputs
    return y.op is not None and y.op.name == "max_pool" and y.inputs[0] is x and y.attrs == node.attrs


def _size(windows: Windows) -> dict[str, Any]:
    return {"size": tuple(w.size for w in windows)}


def _first_taps(builder: Builder, x: Node, windows: Windows, lengths: list[int], dtype: Any) -> Node:
    """Give the number of the first tap of each window that lies inside the input, an array that broadcasts."""
    code = builder.array(np.zeros((), dtype))
    for d, w in enumerate(windows):
        first = np.maximum(0, -((np.arange(w.outputs) * w.stride - w.padding) // w.dilation))
        if not first.any():
            continue
        unit = math.prod(lengths[d + 1 :]) * (w.dilation if lengths[d] == w.size and dtype.itemsize == 8 else 1)
        steps = (first * unit).astype(dtype).reshape(-1, *(1,) * (len(windows) - 1 - d))
        code = builder.call("add", code, builder.array(steps))
    return code


def _plain(windows: Windows) -> bool:
    return all(0 < w.kernel <= LONGEST for w in windows)


def _may_number(windows: Windows) -> bool:
    """Tell whether taps are few enough to be numbered at once, and every window has one inside the input."""
    return math.prod(w.kernel for w in windows) <= MOST and all(everywhere(w) for w in windows)


def _groups(windows: Windows) -> list[Windows]:
    """Give the windows to be reduced at once; or, where they have many taps, those of one dimension after another."""
    if math.prod(w.kernel for w in windows) <= MOST:
        return [windows]
    found = []
    for d in reversed(range(len(windows))):
        rest = [
            Window(w.size, w.size, 1) if k < d else Window(w.outputs, w.outputs, 1) if k > d else w
            for k, w in enumerate(windows)
        ]
        found.append(tuple(rest))
    return found


def _taps(windows: Windows) -> list[Tap]:
    return list(itertools.product(*[range(w.kernel) for w in windows]))


def _flat(place: list[int], lengths: list[int]) -> int:
    total = 0
    for p, n in zip(place, lengths, strict=True):
        total = total * n + p
    return total


def _lowest(x: Node) -> Any:
    return int(np.iinfo(x.dtype).min) if x.dtype.kind in "iu" else -math.inf


def _reached(builder: Builder, x: Node, windows: Windows, tap: Tap, fill: Any, like: Node) -> Node:
    """Give what one tap of all windows reads."""
    starts = [t * w.dilation - w.padding for t, w in zip(tap, windows, strict=True)]
    return _reach(builder, x, starts, [w.stride for w in windows], [w.outputs for w in windows], fill, like)


def _reach(
    builder: Builder,
    x: Node,
    starts: list[int],
    steps: list[int],
    counts: list[int],
    fill: Any,
    like: Node,
    behind: bool = False,
) -> Node:
    """Give the elements of the last dimensions at ``starts + steps * index``, a slice where all of them exist.

    ``behind``: they are read from memory even so, since what uses them cannot run where ``x`` is computed.
    """
    lead = len(x.shape) - len(starts)
    dims = list(zip(starts, steps, counts, x.shape[lead:], strict=True))
    if not behind and all(a == 0 and s == 1 and c == n for a, s, c, n in dims):
        return x
    if not behind and all(a >= 0 and a + s * (c - 1) < n for a, s, c, n in dims):
        index = tuple([slice(a, a + s * (c - 1) + 1, s) for a, s, c, _ in dims])
        return builder.call("slice", x, index=((slice(None),) * lead + index), like=like)
    return builder.call(
        "reach",
        x,
        starts=(0,) * lead + tuple(starts),
        steps=(1,) * lead + tuple(steps),
        shape=x.shape[:lead] + tuple(counts),
        fill=fill,
        like=like,
    )


# -- averages --------------------------------------------------------------------------------------------------------------


def _averaged(builder: Builder, node: Node, x: Node) -> Node | None:
    windows = node.attrs["windows"]
    lead = len(node.shape) - len(windows)
    if not all(w.kernel for w in windows):
        return None
    if _tiles(windows) and (math.prod(w.kernel for w in windows) > MOST or all(w.outputs == 1 for w in windows)):
        shape = (*x.shape[:lead], *[n for w in windows for n in (w.outputs, w.kernel)])
        axes = tuple(range(lead + 1, len(shape), 2))
        total = builder.call("sum", builder.call("view", x, shape=shape), axis=axes, keepdims=False, like=node)
    elif _plain(windows):
        total = x
        for group in _groups(windows):
            parts = [_reached(builder, total, group, tap, 0, node) for tap in _taps(group)]
            total = parts[0]
            for part in parts[1:]:
                total = builder.call("add", total, part, like=node)
    else:
        return None
    return builder.call("div", total, _divisor(builder, node), like=node)


def _tiles(windows: Windows) -> bool:
    """Tell whether windows lie side by side and cover the input."""
    return all(w.kernel == w.stride and not w.padding and w.kernel * w.outputs == w.size for w in windows)


def _divisor(builder: Builder, node: Node) -> Node:
    given = node.attrs.get("divisor")
    sizes: Any = (
        window_sizes(node.attrs["windows"], node.attrs.get("include_padding", True)) if given is None else given
    )
    if getattr(sizes, "ndim", 0):
        return builder.array(np.ascontiguousarray(sizes, node.dtype))
    return builder.scalar(float(sizes))


def _spread_average(builder: Builder, node: Node, g: Node) -> Node | None:
    windows = node.attrs["windows"]
    divisor = _divisor(builder, node) if all(w.kernel for w in windows) else None
    if divisor is None:
        return None
    if divisor.shape or all(w.outputs == 1 for w in windows):
        g, divisor = builder.call("div", g, divisor, like=node), None
    if all(w.outputs == 1 for w in windows) and _tiles(windows):
        return builder.call("expand", g, shape=node.shape)
    if not _plain(windows) or math.prod(w.kernel for w in windows) > LONGEST:
        return None
    total = _gathered(builder, node, windows, g, lambda tap, reach: reach(g, 0))
    return total if total is None or divisor is None else builder.call("div", total, divisor, like=node)


def _gathered(builder: Builder, node: Node, windows: Windows, g: Node, term: Any) -> Node | None:
    """Give the sum, at each position of the input, of ``term(tap, reach)`` over the taps that reach it.

    ``reach(v, fill)`` is the element of ``v``, which has the outputs' shape, at the window that does.
    """
    lead = len(node.shape) - len(windows)
    steps = [w.stride for w in windows]
    if math.prod(steps) > LONGEST:
        return None
    counts = [-(-w.size // w.stride) for w in windows]
    overlapping = any((w.kernel - 1) * w.dilation >= w.stride for w in windows)
    pieces = []
    for rests in itertools.product(*map(range, steps)):
        total = None
        for tap in reversed(_taps(windows)):  # the windows in their own order
            shifts = [r + w.padding - t * w.dilation for r, t, w in zip(rests, tap, windows, strict=True)]
            if any(shift % s for shift, s in zip(shifts, steps, strict=True)):
                continue
            starts = [shift // s for shift, s in zip(shifts, steps, strict=True)]

            def reach(v: Node, fill: Any, starts: list[int] = starts) -> Node:
                return _reach(builder, v, starts, [1] * len(starts), counts, fill, node, overlapping)

            part = term(tap, reach)
            total = part if total is None else builder.call("add", total, part, like=node)
        if total is None:
            zero = builder.array(np.zeros((), g.dtype))
            total = builder.call("expand", zero, shape=(*node.shape[:lead], *counts))
        if total.dtype != node.dtype:
            total = builder.call("cast", total, dtype=node.dtype, like=node)
        pieces.append(total)
    if len(pieces) == 1:
        return pieces[0]
    return builder.call("interleave", *pieces, steps=((1,) * lead + tuple(steps)), shape=node.shape, like=node)
