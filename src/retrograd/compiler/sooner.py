"""Order of steps for memory: what is read for the last time is read before something else needs room, where neither waits for the other.

A schedule takes steps as their values become ready, so that the gradient of a layer's input may be made while the gradient of its weights,
which is the last to read the layer's input, still waits. Such a step is moved forward, past a few others, as far as that lowers
the most that is held meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core import Node
from .draws.again import AGAIN

if TYPE_CHECKING:
    from .step import Step

LEAST = 1 << 18  # bytes that a program holds from which this is worth while
NEAR = 0.6  # of the most that it holds: where less is held, nothing is moved
FAR = 12  # steps that one is moved past


def read_sooner(steps: list[Step], sources: list[Any], elsewhere: set[Node], fixed: set[Node]) -> None:
    """Move steps forward in place.

    Parameters
    ----------
    steps, sources : list
        Steps, and what each was written from.
    elsewhere : set of Node
        Values whose memory is not the program's.
    fixed : set of Node
        Values whose steps stay where they are: they are written to memory that others read.
    """
    order = _Order(steps, elsewhere)
    most = max(order.live, default=0)
    if most < LEAST:
        return
    for k in range(len(steps)):
        if _may_move(steps[k], sources[k], fixed):
            order.move(k, NEAR * most)
    steps[:], sources[:] = [steps[k] for k in order.steps], [sources[k] for k in order.steps]


def _may_move(step: Step, source: Any, fixed: set[Node]) -> bool:
    """Tell whether nothing but what a step reads says when it is run."""
    node = getattr(source, "node", None)
    if step.call is not None or step.alike or "check_index" in step.label or not fixed.isdisjoint(step.writes):
        return False
    return node is None or node.op is None or not (node.op.impure or node.op is AGAIN)


class _Order:
    """An order of steps, by their numbers, and what is held at each place of it."""

    def __init__(self, steps: list[Step], elsewhere: set[Node]) -> None:
        self.steps = list(range(len(steps)))
        self.place = list(range(len(steps)))
        self.reads = [set(s.reads) for s in steps]
        self.writes = [set(s.writes) for s in steps]
        made = set().union(*self.writes) - elsewhere
        self.own = [(r | w) & made for r, w in zip(self.reads, self.writes, strict=True)]
        self.users: dict[Node, list[int]] = {}
        for k, own in enumerate(self.own):
            for n in own:
                self.users.setdefault(n, []).append(k)
        self.live: list[int] = []
        held = 0
        for k, own in enumerate(self.own):
            held += sum(n.type.nbytes for n in own if self.users[n][0] == k)
            self.live.append(held)
            held -= sum(n.type.nbytes for n in own if self.users[n][-1] == k)

    def move(self, k: int, least: float) -> None:
        """Move a step forward to where the most that is held on its way is least."""
        last = self.place[k]
        if not any(
            all(self.place[u] <= last for u in self.users[n]) and self.place[self.users[n][0]] < last
            for n in self.own[k]
        ):
            return  # nothing ends with it
        first = last
        while first > 0 and last - first < FAR and not self._waits(k, self.steps[first - 1]):
            first -= 1
        if first == last or max(self.live[first : last + 1]) < least:
            return
        before = self.steps[first : last + 1]
        best, found = max(self.live[first : last + 1]), None
        for at in range(len(before) - 1):
            tried = [*before[:at], k, *before[at:-1]]
            live = self._held(tried, first)
            if max(live) < best:
                best, found = max(live), (tried, live)
        if found is not None:
            self.steps[first : last + 1], self.live[first : last + 1] = found
            for i, s in enumerate(found[0]):
                self.place[s] = first + i

    def _waits(self, k: int, other: int) -> bool:
        """Tell whether a step has to come behind another that is before it."""
        return not self.writes[other].isdisjoint(self.reads[k] | self.writes[k]) or not self.reads[other].isdisjoint(
            self.writes[k]
        )

    def _held(self, tried: list[int], first: int) -> list[int]:
        """Give what is held at each step of a part of the order, were it another."""
        inside = set(tried)
        held = self.live[first] - self._begun(self.steps[first], first)
        seen: set[Node] = set()
        left: dict[Node, int] = {}
        for s in tried:
            for n in self.own[s]:
                left[n] = left.get(n, 0) + 1
        found = []
        for s in tried:
            own = self.own[s]
            for n in own - seen:
                seen.add(n)
                if not any(self.place[u] < first for u in self.users[n]):
                    held += n.type.nbytes
            found.append(held)
            for n in own:
                left[n] -= 1
                if not left[n] and not any(u not in inside and self.place[u] >= first for u in self.users[n]):
                    held -= n.type.nbytes
        return found

    def _begun(self, s: int, at: int) -> int:
        """Give the bytes that begin to be held with the step at a place."""
        return sum(n.type.nbytes for n in self.own[s] if all(self.place[u] >= at for u in self.users[n]))


__all__ = ["read_sooner"]
