"""Assembly: concatenations, stacks, paddings and sums of embedded slices become one value whose parts are written in place."""

from __future__ import annotations

from typing import Any

from ...core import Graph, Node
from ..lowering.maps import parts
from .rebuild import Builder, rebuild


def assemble_parts(graph: Graph) -> Graph:
    """Rewrite ``cat``, ``stack``, ``embed`` of slices and padding as ``assemble``, and sums of assemblies as fewer of them."""
    graph = rebuild(graph, _rule)
    return rebuild(graph, _Merge(graph))


def _whole(shape: tuple[int, ...]) -> list[Any]:
    return [(0, 1)] * len(shape)


def _make(builder: Builder, pieces: list[tuple[Node, tuple[Any, ...]]], node: Node, fill: Any = 0) -> Node:
    values = tuple([p for p, _ in pieces])
    attrs = {"regions": tuple([r for _, r in pieces]), "shape": node.shape, "fill": fill}
    return builder.call("assemble", *values, like=node, **attrs)


def _rule(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    name = node.op.name  # type: ignore[union-attr]
    if name == "cat":
        at, axis, pieces = 0, node.attrs["axis"], []
        for x in inputs:
            region = _whole(node.shape)
            region[axis] = (at, 1)
            at += x.shape[axis]
            if x.shape[axis]:
                pieces.append((x, tuple(region)))
        return pieces[0][0] if len(pieces) == 1 else _make(builder, pieces, node) if pieces else None
    if name == "stack":
        axis, pieces = node.attrs["axis"], []
        for i, x in enumerate(inputs):
            region = _whole(node.shape)
            region[axis] = i
            pieces.append((x, tuple(region)))
        return _make(builder, pieces, node)
    if name == "embed" and node.attrs["part"].name == "slice":
        found = parts(node.attrs["attrs"]["index"], node.shape)
        if found is None or 0 in inputs[0].shape:
            return None
        piece = inputs[0]
        if None in found:  # the part had a dimension of one that the whole has not
            kept = [e for e in found if not isinstance(e, int)]
            shape = tuple([n for e, n in zip(kept, piece.shape, strict=True) if e is not None])
            piece = builder.call("view", piece, shape=shape, like=node)
        return _make(builder, [(piece, tuple([e for e in found if e is not None]))], node)
    if name == "roll" and isinstance(node.attrs["axes"], tuple) and 0 not in node.shape:
        return _rolled(builder, node, inputs[0])
    if name == "constant_pad" and all(a >= 0 and b >= 0 for a, b in node.attrs["widths"]) and 0 not in inputs[0].shape:
        padded = tuple([(a, 1) for a, _ in node.attrs["widths"]])
        return _make(builder, [(inputs[0], padded)], node, node.attrs.get("value", 0))
    return None


def _rolled(builder: Builder, node: Node, x: Node) -> Node:
    """Give a rolled value as its two ends, changed about, along one axis after another."""
    for shift, axis in zip(node.attrs["shifts"], node.attrs["axes"], strict=True):
        n = x.shape[axis]
        shift %= n
        if not shift:
            continue
        pieces = []
        for start, stop, at in ((n - shift, n, 0), (0, n - shift, shift)):
            lead = (slice(None),) * (axis % len(x.shape))
            part = builder.call("slice", x, index=(*lead, slice(start, stop)), like=node)
            region = _whole(node.shape)
            region[axis] = (at, 1)
            pieces.append((part, tuple(region)))
        x = _make(builder, pieces, node)
    return x


def box(region: tuple[Any, ...], lengths: tuple[int, ...]) -> list[tuple[int, int]]:
    """Give the first and last index that a part takes along each dimension of the whole."""
    out = []
    d = 0
    for e in region:
        if isinstance(e, tuple):
            last = e[0] + e[1] * (lengths[d] - 1)
            out.append((min(e[0], last), max(e[0], last)))
            d += 1
        else:
            out.append((e, e))
    return out


def _apart(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> bool:
    return any(x[1] < y[0] or y[1] < x[0] for x, y in zip(a, b, strict=True))


class _Merge:
    """Sums of assemblies over zeros, whose parts do not meet, are one assembly."""

    def __init__(self, graph: Graph) -> None:
        self.users: dict[Node, int] = {}
        for n in graph.nodes:
            for i in n.inputs:
                self.users[i] = self.users.get(i, 0) + 1
        for o in graph.outputs:
            self.users[o] = self.users.get(o, 0) + 2
        self.single: set[Node] = set()  # new nodes that stand for an old one with one user
        self.boxes: dict[Node, list[Any]] = {}

    def __call__(self, builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
        found = None
        if node.op.name == "add":  # type: ignore[union-attr]
            x, y = inputs
            both = self._open(x) and self._open(y) and node.shape == x.shape == y.shape
            if both and all(_apart(a, b) for a in self._boxes(x) for b in self._boxes(y)):
                attrs = {**x.attrs, "regions": x.attrs["regions"] + y.attrs["regions"]}
                found = builder.make(x.op, x.inputs + y.inputs, attrs, x.shape, x.dtype, node)  # type: ignore[arg-type]
                self.boxes[found] = self._boxes(x) + self._boxes(y)
        if self.users.get(node, 0) == 1:
            made = found or builder.make(node.op, inputs, node.attrs, node.shape, node.dtype, node)  # type: ignore[arg-type]
            self.single.add(made)
            return made
        return found

    def _open(self, x: Node) -> bool:
        return x.op is not None and x.op.name == "assemble" and x.attrs.get("fill", 0) == 0 and x in self.single

    def _boxes(self, x: Node) -> list[Any]:
        if x not in self.boxes:
            self.boxes[x] = [box(r, i.shape) for r, i in zip(x.attrs["regions"], x.inputs, strict=True)]
        return self.boxes[x]


def covers(node: Node) -> bool:
    """Tell whether an assembly's parts leave no place to its fill (they never overlap)."""
    total = 1
    for n in node.shape:
        total *= n
    filled = 0
    for x in node.inputs:
        size = 1
        for n in x.shape:
            size *= n
        filled += size
    return filled == total
