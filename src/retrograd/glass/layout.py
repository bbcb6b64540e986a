"""Places for the nodes of a graph on a plane: layers by depth, and an order within each that crosses few edges."""

from __future__ import annotations

from .model import Graph

SWEEPS = 8


def layers(graph: Graph) -> list[list[int]]:
    """Give the nodes in layers, inputs as late as they are needed, each layer in an order that crosses few edges.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    list of list of int
        Numbers of nodes; every edge goes from a layer to a later one.
    """
    depth: dict[int, int] = {}
    for node in graph.nodes:
        depth[node.id] = 1 + max((depth[i] for i in node.inputs), default=-1)
    for node in reversed(graph.nodes):  # leaves stand beside what uses them
        if not node.inputs and node.uses:
            depth[node.id] = min(depth[graph.edges[e].target] for e in node.uses) - 1
    found: list[list[int]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for k, d in depth.items():
        found[d].append(k)
    before = {n.id: list(n.inputs) for n in graph.nodes}
    after = {n.id: [graph.edges[e].target for e in n.uses] for n in graph.nodes}
    place = {k: i - len(layer) / 2 for layer in found for i, k in enumerate(layer)}
    for sweep in range(SWEEPS):
        near = before if sweep % 2 == 0 else after
        for layer in found if sweep % 2 == 0 else reversed(found):
            middle = {k: _mean([place[i] for i in near[k]], place[k]) for k in layer}
            layer.sort(key=lambda k: middle[k])
            for i, k in enumerate(layer):
                place[k] = i - (len(layer) - 1) / 2
    return found


def positions(graph: Graph) -> dict[int, tuple[float, float]]:
    """Give each node a place: the layer's number, and a height at which its neighbours are near.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    dict
        From a node's number to (x, y); neighbours in a layer are at least 1 apart.
    """
    found = layers(graph)
    place = {k: float(i) - (len(layer) - 1) / 2 for layer in found for i, k in enumerate(layer)}
    neighbours = {n.id: [*n.inputs, *(graph.edges[e].target for e in n.uses)] for n in graph.nodes}
    for sweep in range(8 * SWEEPS):
        for layer in found if sweep % 2 == 0 else reversed(found):
            wanted = [_mean([place[i] for i in neighbours[k]], place[k]) for k in layer]
            for k, y in zip(layer, _apart(wanted)):
                place[k] = y
    lowest = min(place.values(), default=0.0)
    return {k: (float(x), place[k] - lowest) for x, layer in enumerate(found) for k in layer}


def _apart(wanted: list[float]) -> list[float]:
    """Give heights as near as may be to those wanted, in their order and at least 1 apart (isotonic regression by pooling)."""
    pools: list[list[float]] = []  # mean of (wanted - index), count
    for i, y in enumerate(wanted):
        pools.append([y - i, 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, count = pools.pop()
            total = pools[-1][1] + count
            pools[-1][0] = (pools[-1][0] * pools[-1][1] + mean * count) / total
            pools[-1][1] = total
    found: list[float] = []
    for mean, count in pools:
        found += [mean + len(found) + j for j in range(int(count))]
    return found


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default


__all__ = ["layers", "positions"]
