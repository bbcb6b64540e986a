"""Profile: what a measured run computed, saved and read, and what any plan for it would hold and cost, event by event."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

from .cells import Interval


@dataclass(slots=True)
class Row:
    """One value of a run; without an operation, one from outside.

    Attributes
    ----------
    nbytes
        Of its own memory; 0 for a view or a value from outside.
    seconds
        From the operation before to this one.
    other
        The peak meanwhile, less the values: temporaries, and what the program made besides.
    work
        The bytes that were there only while it was computed.
    operands
        Numbers of its operands.
    owner
        The number of the value that it is a view of, or -1.
    walked
        Whether a walk made it that was itself recorded: it reads what nodes had saved.
    """

    op: Any
    shape: tuple[int, ...]
    dtype: Any
    nbytes: int
    seconds: float
    other: int
    work: int
    operands: tuple[int, ...]
    owner: int = -1
    place: Any = None
    walked: bool = False

    def alike(self, other: Row) -> bool:
        """Tell whether another run's value is of the same kind."""
        return (
            self.op is other.op
            and self.shape == other.shape
            and self.dtype == other.dtype
            and self.operands == other.operands
        )


@dataclass(slots=True)
class Step:
    """One node of the measured walk that read what it had saved.

    Attributes
    ----------
    position
        The number of its value.
    pending
        Bytes besides the values when it read them: gradients on their way, and those that have arrived.
    other
        The peak from then to the next step, less the values.
    """

    position: int
    pending: int
    other: int = 0
    seconds: float = 0.0


@dataclass
class Profile:
    """A measured run: its values in the order they were made, its walk, and who read what."""

    rows: list[Row] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    saved: dict[int, list[int]] = field(default_factory=dict)  # by position: the values that its node reads
    fetched: dict[int, list[int]] = field(
        default_factory=dict
    )  # by number: what a recorded walk has read for that operation
    until: dict[int, int] = field(default_factory=dict)  # the event at which the program let a value go
    watches: dict[int, Any] = field(default_factory=dict)
    turn: int = -1  # how many values there were when the walk began
    trial: int = 1  # how many runs of this kind had been measured with it

    # -- being measured --------------------------------------------------------------------------------------------------------------
    def reads(self, position: int, owner: int) -> None:
        """Note that a node saves a value."""
        self.saved.setdefault(position, []).append(owner)

    def held_by(self, k: int, storage: Any) -> None:
        """Note which Storage has a value; when it is freed, the program holds the value no longer."""
        self.watches[-k - 1] = weakref.ref(storage, lambda _: self.let_go(k))

    def let_go(self, k: int) -> None:
        """Note that the program holds a value no longer."""
        self.watches.pop(-k - 1, None)
        self.until[k] = len(self.rows) + len(self.steps)

    def step(self, position: int, live: int, highest: int, current: int, peak: int, seconds: float) -> None:
        """Note a step of the walk; the peak and the time are of what came before."""
        if self.steps:
            before = self.steps[-1]
            before.other = max(before.other, peak - highest)
            before.seconds += seconds
            if before.position == position:
                return
        else:
            self.turn = len(self.rows)
        self.steps.append(Step(position, max(current - live, 0)))

    def ended(self, peak: int, highest: int) -> None:
        """Note the peak after the last step."""
        if self.steps:
            self.steps[-1].other = max(self.steps[-1].other, peak - highest)

    # -- what is known of it -----------------------------------------------------------------------------------------------------------
    def settle(self) -> None:
        """Work out uses: who reads each value, first and last, and what has to be computed for the saved ones."""
        rows = self.rows
        count = len(rows)
        self.memory = [k if r.owner < 0 else r.owner for k, r in enumerate(rows)]
        self.positions = {s.position for s in self.steps}
        self.kept = sorted(
            {o for p, some in self.saved.items() if p in self.positions for o in some if rows[o].op is not None}
            | {self.memory[i] for r in rows if r.walked for i in r.operands if rows[self.memory[i]].op is not None}
            | {o for some in self.fetched.values() for o in some if o >= 0 and rows[o].op is not None}
        )
        needed = bytearray(count)
        for k in self.kept:
            needed[k] = 1
        for k in range(count - 1, -1, -1):
            if needed[k]:
                for i in rows[k].operands:
                    needed[i] = 1
        self.needed = needed
        self.first, self.last = [count] * count, [-1] * count
        for k, row in enumerate(rows):
            for i in row.operands:
                o = self.memory[i]
                self.first[o] = min(self.first[o], k)
                if needed[k]:
                    self.last[o] = max(self.last[o], k)
        self.readers = [0] * count
        for some in self.saved.values():
            for o in some:
                self.readers[o] += 1
        self.watches.clear()

    def same(self, other: Profile) -> bool:
        """Tell whether another run was of the same kind."""
        return len(self.rows) == len(other.rows) and all(a.alike(b) for a, b in zip(self.rows, other.rows, strict=True))

    def agrees(self, other: Profile) -> bool:
        """Tell whether another run of the kind needed the same bytes besides its values at every event, to a twentieth of the most."""
        if [s.position for s in self.steps] != [s.position for s in other.steps]:
            return False
        mine, others = ([*(r.other for r in p.rows), *(s.other for s in p.steps)] for p in (self, other))
        most = max(map(min, mine, others), default=0)
        return max((abs(a - b) for a, b in zip(mine, others, strict=True)), default=0) <= 0.05 * most

    def least(self, other: Profile) -> None:
        """Take the lesser times and the greater bytes of two measurements of one kind of run."""
        for a, b in zip(self.rows, other.rows, strict=True):
            a.seconds, a.other, a.work = min(a.seconds, b.seconds), max(a.other, b.other), max(a.work, b.work)
        if [s.position for s in self.steps] == [s.position for s in other.steps]:
            for c, d in zip(self.steps, other.steps, strict=True):
                c.pending, c.other, c.seconds = (
                    max(c.pending, d.pending),
                    max(c.other, d.other),
                    min(c.seconds, d.seconds),
                )

    def slice(self, keep: Any, after: int) -> list[int]:
        """Give the operations beyond a number that have to be computed, in order, for these values."""
        rows, seen = self.rows, set()
        todo = list(keep)
        while todo:
            k = self.memory[todo.pop()]
            if k <= after or k in seen or rows[k].op is None:
                continue
            seen.add(k)
            for i in rows[k].operands:
                todo.append(i)
                if rows[i].owner >= 0:  # a view of a value may read others as well
                    todo.extend(rows[i].operands)
        return sorted(seen)


class Simulation:
    """What a plan holds and computes, event by event, as a round would.

    Attributes
    ----------
    peak
        The most bytes, besides what was there before the run.
    seconds
        Of operations that are computed again.
    line
        Bytes at each event, forward and back.
    moment
        The event of the peak.
    """

    def __init__(self, profile: Profile, keep: frozenset[int], root: Interval | None) -> None:
        self.p, self.root = profile, root
        count = len(profile.rows)
        self.held, self.user = bytearray(count), bytearray(count)
        self.live = 0
        self.peak, self.moment, self.seconds, self.again = 0, 0, 0.0, 0
        self.line: list[int] = []
        self.opened: set[int] = set()
        self.base = 0
        self.heap: list[int] = []
        self._forward(keep)
        self._back()

    def _note(self, other: int) -> None:
        now = self.live + other
        if now > self.peak:
            self.peak, self.moment = now, len(self.line)

    def _set(self, flags: bytearray, k: int, on: int) -> None:
        before = self.held[k] or self.user[k]
        flags[k] = on
        after = self.held[k] or self.user[k]
        if before != after:
            self.live += self.p.rows[k].nbytes if after else -self.p.rows[k].nbytes

    def _forward(self, keep: frozenset[int]) -> None:
        p = self.p
        ends: dict[int, list[int]] = {}
        for k, event in p.until.items():
            ends.setdefault(event, []).append(k)
        self.ends = ends
        for k, row in enumerate(p.rows):
            for gone in ends.get(k, ()):
                self._set(self.user, gone, 0)
            if row.walked:
                self.base = row.other
                for i in (*row.operands, *p.fetched.get(k, ())):
                    o = p.memory[i]
                    if i >= 0 and p.rows[o].op is not None and not (self.held[o] or self.user[o]):
                        self._restore(o)
            if row.op is not None and row.owner < 0:
                self._set(self.user, k, 1)
                if k in keep:
                    self._set(self.held, k, 1)
                self._note(row.other)
                self.line.append(self.live + row.other)
        self.order = sorted((k for k in range(len(p.rows)) if self.held[k]), reverse=False)

    def _back(self) -> None:
        import heapq

        p = self.p
        self.heap = [-k for k in self.order]
        heapq.heapify(self.heap)
        self.opened.clear()
        readers = list(p.readers)
        count = len(p.rows)
        for j, step in enumerate(p.steps):
            for gone in self.ends.get(count + j, ()):
                self._set(self.user, gone, 0)
            position = step.position
            while self.heap and -self.heap[0] > position:
                self._set(self.held, -heapq.heappop(self.heap), 0)
            self.base = step.pending
            for o in p.saved.get(position, ()):
                if p.rows[o].op is not None and not (self.held[o] or self.user[o]):
                    self._restore(o)
            self._note(step.other)
            self.line.append(self.live + step.other)
            for o in p.saved.get(position, ()):
                readers[o] -= 1
                if not readers[o] and position <= min(p.first[o], o + 1) and self.held[o]:
                    self._set(self.held, o, 0)

    def _restore(self, o: int) -> None:
        part = self.root
        while part is not None:
            part = part.around(o)
            if part is None:
                break
            if id(part) not in self.opened:
                self.opened.add(id(part))
                self._run(part.ops, part.keep)
                if self.held[o] or self.user[o]:
                    return
        missing: list[int] = []
        seen, todo = set(), [o]
        while todo:
            k = self.p.memory[todo.pop()]
            if k in seen or self.p.rows[k].op is None or self.held[k] or self.user[k]:
                continue
            seen.add(k)
            missing.append(k)
            todo.extend(self.p.rows[k].operands)
        self._run(sorted(missing), frozenset(k for k in missing if self.p.readers[k]))

    def _run(self, ops: list[int], keep: frozenset[int]) -> None:
        import heapq

        p = self.p
        last: dict[int, int] = {}
        for k in ops:
            for i in p.rows[k].operands:
                last[p.memory[i]] = k
        leaving: dict[int, list[int]] = {}
        for i, k in last.items():
            leaving.setdefault(k, []).append(i)
        transient: dict[int, int] = {}
        extra = 0
        for k in ops:
            row = p.rows[k]
            if not (self.held[k] or self.user[k]):
                self.seconds += row.seconds
                self.again += 1
                if k in keep:
                    self._set(self.held, k, 1)
                    heapq.heappush(self.heap, -k)
                else:
                    transient[k] = row.nbytes
                    extra += row.nbytes
                self._note(self.base + extra + row.work)
                if k not in keep and last.get(k, -1) <= k:
                    extra -= transient.pop(k)
            for i in leaving.get(k, ()):
                if i in transient:
                    extra -= transient.pop(i)


__all__ = ["Profile", "Row", "Simulation", "Step"]
