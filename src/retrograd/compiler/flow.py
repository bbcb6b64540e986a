"""The maximum flow through a network, and the minimum cut that it leaves: Dinic's algorithm, without recursion."""

from __future__ import annotations

from collections import deque

INFINITE = 1 << 62


class Network:
    """A directed network whose edges have whole-number capacities.

    Parameters
    ----------
    count : int
        How many places it has; they are numbered from 0.

    Notes
    -----
    Source: E. A. Dinic, "Algorithm for solution of a problem of maximum flow in networks with power estimation", 1970.

    Examples
    --------
    >>> network = Network(4)
    >>> for edge in ((0, 1, 3), (0, 2, 2), (1, 3, 1), (2, 3, 5)):
    ...     network.edge(*edge)
    >>> network.flow(0, 3)
    3
    >>> sorted(network.behind(3))  # what is on the far side of the cut that is nearest to the sink
    [2, 3]
    """

    def __init__(self, count: int) -> None:
        self.edges: list[list[int]] = [[] for _ in range(count)]  # numbers of the edges that leave a place
        self.to: list[int] = []
        self.left: list[int] = []  # capacity that is not used; edge e's way back is e ^ 1

    def edge(self, a: int, b: int, capacity: int) -> None:
        """Add an edge from ``a`` to ``b``."""
        for x, y, c in ((a, b, capacity), (b, a, 0)):
            self.edges[x].append(len(self.to))
            self.to.append(y)
            self.left.append(c)

    def flow(self, source: int, sink: int) -> int:
        """Send as much as goes from source to sink, and give the amount."""
        total = 0
        while (level := self._levels(source, sink)) is not None:
            total += self._block(source, sink, level)
        return total

    def _levels(self, source: int, sink: int) -> list[int] | None:
        """Give each place's distance from the source over what is left, or None if the sink is out of reach."""
        level = [-1] * len(self.edges)
        level[source] = 0
        todo = deque([source])
        while todo:
            a = todo.popleft()
            for e in self.edges[a]:
                b = self.to[e]
                if self.left[e] and level[b] < 0:
                    level[b] = level[a] + 1
                    todo.append(b)
        return level if level[sink] >= 0 else None

    def _block(self, source: int, sink: int, level: list[int]) -> int:
        """Send flow along shortest ways until each of them is blocked."""
        to, left, edges = self.to, self.left, self.edges
        following = [0] * len(edges)
        path: list[int] = []
        at, total = source, 0
        while True:
            if at == sink:
                amount = min(left[e] for e in path)
                total += amount
                keep = len(path)
                for i in range(len(path) - 1, -1, -1):
                    e = path[i]
                    left[e] -= amount
                    left[e ^ 1] += amount
                    if not left[e]:
                        keep = i
                del path[keep:]
                at = to[path[-1]] if path else source
                continue
            mine = edges[at]
            while following[at] < len(mine):
                e = mine[following[at]]
                if left[e] and level[to[e]] == level[at] + 1:
                    break
                following[at] += 1
            if following[at] < len(mine):
                path.append(mine[following[at]])
                at = to[path[-1]]
            elif path:
                level[at] = -1
                at = to[path.pop() ^ 1]
            else:
                return total

    def behind(self, sink: int) -> set[int]:
        """Give the places from which the sink can still be reached: the far side of the cut that is nearest to it."""
        found = {sink}
        todo = [sink]
        while todo:
            b = todo.pop()
            for e in self.edges[b]:
                a = self.to[e]
                if self.left[e ^ 1] and a not in found:
                    found.add(a)
                    todo.append(a)
        return found
