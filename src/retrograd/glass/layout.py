"""Places for the nodes of a graph on a plane: layers by depth, straight chains, and ways for edges past the boxes between."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from .model import Graph

SWEEPS = 8
STIFF = {True: 8.0, False: 1.0}  # how much an operation resists being moved, against a leaf, a constant or a way past
NARROW = 0.45  # the room that a way past a layer takes, of the room of a box


@dataclass
class Layout:
    """Where nodes stand and how edges run.

    Attributes
    ----------
    layers
        Numbers of nodes by layer, from above.
    place
        From a node's number to (layer, height); neighbours in a layer are at least 1 apart.
    ways
        From an edge's number to the places that it passes between its ends.
    """

    layers: list[list[int]] = field(default_factory=list)
    place: dict[int, tuple[float, float]] = field(default_factory=dict)
    ways: dict[int, list[tuple[float, float]]] = field(default_factory=dict)


class _Net:
    """The nodes, and one point for each layer that an edge passes."""

    def __init__(self, graph: Graph) -> None:
        depth = _depths(graph)
        self.near: dict[int, list[tuple[int, float]]] = {n.id: [] for n in graph.nodes}
        self.before: dict[int, list[int]] = {n.id: [] for n in graph.nodes}
        self.after: dict[int, list[int]] = {n.id: [] for n in graph.nodes}
        self.stiff = {n.id: STIFF[n.kind in ("operation", "fold")] for n in graph.nodes}
        self.layers: list[list[int]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
        for k, d in depth.items():
            self.layers[d].append(k)
        self.points: dict[int, list[int]] = {}
        free = len(graph.nodes)
        for edge in graph.edges:
            chain = [edge.source]
            for d in range(depth[edge.source] + 1, depth[edge.target]):
                self.layers[d].append(free)
                self.stiff[free] = 1.0
                self.near[free], self.before[free], self.after[free] = [], [], []
                chain.append(free)
                free += 1
            chain.append(edge.target)
            self.points[edge.id] = chain[1:-1]
            pull = self.stiff[edge.source] * self.stiff[edge.target]
            for a, b in pairwise(chain):
                self.before[b].append(a)
                self.after[a].append(b)
                self.near[a].append((b, pull))
                self.near[b].append((a, pull))
        self.real = len(graph.nodes)
        self.spine = _spine(graph, depth)
        for k in self.spine:
            self.stiff[k] = 1e6

    def gap(self, a: int, b: int) -> float:
        """Give the room between the middles of two neighbours."""
        return ((1.0 if a < self.real else NARROW) + (1.0 if b < self.real else NARROW)) / 2

    def order(self) -> None:
        """Sort each layer by the middle of its neighbours', to and fro, which crosses few edges."""
        place = {k: i - len(layer) / 2 for layer in self.layers for i, k in enumerate(layer)}
        for sweep in range(SWEEPS):
            near = self.before if sweep % 2 == 0 else self.after
            for layer in self.layers if sweep % 2 == 0 else reversed(self.layers):
                middle = {k: _mean([place[i] for i in near[k]], place[k]) for k in layer}
                layer.sort(key=lambda k: middle[k])
                for i, k in enumerate(layer):
                    place[k] = i - (len(layer) - 1) / 2

    def heights(self) -> dict[int, float]:
        """Give heights at which chains of operations are straight, the longest one first, as far as there is room."""
        place: dict[int, float] = {}
        for layer in self.layers:
            y = 0.0
            for i, k in enumerate(layer):
                y += self.gap(layer[i - 1], k) if i else 0.0
                place[k] = y
        for sweep in range(6 * SWEEPS):
            for layer in self.layers if sweep % 2 == 0 else reversed(self.layers):
                wanted = [self._wanted(k, place) for k in layer]
                for k, y in zip(layer, self._apart(layer, wanted), strict=True):
                    place[k] = y
        return place

    def _wanted(self, k: int, place: dict[int, float]) -> float:
        if k in self.spine:
            return 0.0
        total = sum(w for _, w in self.near[k])
        return sum(place[i] * w for i, w in self.near[k]) / total if total else place[k]

    def _apart(self, layer: list[int], wanted: list[float]) -> list[float]:
        """Give heights as near as may be to those wanted, in order and apart (weighted isotonic regression by pooling)."""
        offset, pools = 0.0, []  # each pool: mean of (wanted - offset), weight, members
        offsets = []
        for i, y in enumerate(wanted):
            offset += self.gap(layer[i - 1], layer[i]) if i else 0.0
            offsets.append(offset)
            pools.append([y - offset, self.stiff[layer[i]], 1.0])
            while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
                mean, weight, count = pools.pop()
                last = pools[-1]
                last[0] = (last[0] * last[1] + mean * weight) / (last[1] + weight)
                last[1] += weight
                last[2] += count
        found: list[float] = []
        for mean, _, count in pools:
            for _ in range(int(count)):
                found.append(mean + offsets[len(found)])
        return found


def _depths(graph: Graph) -> dict[int, int]:
    """Give each node the number of its layer: behind all that it reads, and leaves next to what reads them first."""
    depth: dict[int, int] = {}
    for node in graph.nodes:
        depth[node.id] = 1 + max((depth[i] for i in node.inputs), default=-1)
    for node in reversed(graph.nodes):
        if not node.inputs and node.uses:
            depth[node.id] = min(depth[graph.edges[e].target] for e in node.uses) - 1
    return depth


def _spine(graph: Graph, depth: dict[int, int]) -> set[int]:
    """Give a longest path of operations to the result, which is drawn as one straight line."""
    found: set[int] = set()
    k = graph.output
    while True:
        found.add(k)
        before = [i for i in graph.nodes[k].inputs if graph.nodes[i].inputs]
        if not before:
            return found
        k = max(before, key=lambda i: (depth[i], -i))


def arrange(graph: Graph) -> Layout:
    """Lay a graph out from left to right.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    Layout

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import glass
    >>> x = torch.tensor(1.0, requires_grad=True)
    >>> arrange(glass.explain(x.exp().sin())).place
    {0: (0.0, 0.0), 1: (1.0, 0.0), 2: (2.0, 0.0)}
    """
    net = _Net(graph)
    net.order()
    height = net.heights()
    lowest = min(height.values(), default=0.0)
    layer_of = {k: x for x, layer in enumerate(net.layers) for k in layer}
    made = Layout([[k for k in layer if k < net.real] for layer in net.layers])
    made.place = {n.id: (float(layer_of[n.id]), height[n.id] - lowest) for n in graph.nodes}
    made.ways = {e: [(float(layer_of[k]), height[k] - lowest) for k in points] for e, points in net.points.items()}
    return made


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default


__all__ = ["Layout", "arrange"]
