"""Room: how much memory a run without a plan may still take, and how its values are computed again within that."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from ..core import quiet_off, quiet_on
from ..core.door import _quiet

STRIDE = 16  # operations between two marks, at first
EVERY, PART = (
    16,
    64,
)  # operations between two counts of what is there, where no counter runs: so many, or that part of all so far


class Room:
    """The memory that a run may take, and what it takes.

    Parameters
    ----------
    limit : int
        Bytes that the run may add.
    round_ : Round
        Whose values are counted where no counter runs.

    Attributes
    ----------
    margin
        The most that one operation has taken so far: its result and what it needed meanwhile.
    counter
        Counts what is taken, while the run is measured.
    """

    def __init__(self, limit: int, round_: Any, counter: Any = None) -> None:
        self.limit, self.round, self.counter = limit, round_, counter
        self.margin = 0
        self._there, self._wait = 0, 0

    def short(self) -> bool:
        """Tell whether another operation may be too much."""
        return self.used() + self.margin > self.limit

    def used(self) -> int:
        """Give the bytes that are there."""
        if self.counter is not None:
            return int(self.counter.current)
        if self._wait == 0:
            cells = self.round.cells
            self._there = sum(
                c.nbytes for c in cells if c.owner is None and c.op is not None and c.present() is not None
            )
            self._wait = max(EVERY, len(cells) // PART)  # each count goes through all
        self._wait -= 1
        return self._there

    def again(self, cell: Any, missing: dict[int, Any]) -> Any:
        """Compute missing values in order, up to this one; what is held of them is thinned out from the far end as memory fills.

        Every so many operations, all that later ones read is held, so that another time there is less to compute.
        """
        round_ = self.round
        order = sorted(missing)
        last = {x.index: k for k in order for x in missing[k].operands if getattr(x, "index", -1) in missing}
        values: dict[int, Any] = {}
        held: list[int] = []  # by this call, and no marks
        marks: list[tuple[int, list[int]]] = []
        stride = STRIDE
        widest = max(
            STRIDE, round(len(order) ** (2 / 3))
        )  # with marks further apart, the same would be computed over and over
        token = quiet_on(_quiet)
        try:
            for n, k in enumerate(order):
                c = missing[k]
                a = c.again()
                round_._made(c, a)
                values[k] = a
                if c.owner is None:
                    self.margin = max(self.margin, 2 * c.nbytes)
                if c.readers and c.owner is None and c.a is None:
                    round_.hold(c, a)
                    held.append(k)
                for x in c.operands:
                    i = getattr(x, "index", -1)
                    if last.get(i) == k:
                        values.pop(i, None)
                if n - (marks[-1][0] if marks else 0) >= stride:
                    some = [i for i in values if missing[i].owner is None and missing[i].a is None]
                    marks.append((n, some + [i for i in held if i in values]))
                    for i in some:
                        round_.hold(missing[i], values[i])
                    held = [i for i in held if i not in values]
                near = order[max(n - stride // 2, 0)]
                while self.short():
                    far = bisect_left(held, near)
                    if far:
                        gone, held = held[: (far + 1) // 2], held[(far + 1) // 2 :]
                    elif len(marks) > 1 and 2 * stride <= widest:
                        pinned = {i for _, some in marks[::2] for i in some}
                        gone = [i for _, some in marks[1::2] for i in some if i not in pinned]
                        marks, stride = marks[::2], 2 * stride
                        near = order[max(n - stride // 2, 0)]
                    else:
                        break
                    self._release(gone)
        finally:
            quiet_off(token)
        return values[cell.index]

    def _release(self, gone: list[int]) -> None:
        """Let go of values that were held."""
        round_ = self.round
        for i in gone:
            round_.cells[i].a = None
        lost = set(gone)
        round_.held = [i for i in round_.held if i not in lost]
        self._wait = 0


__all__ = ["STRIDE", "Room"]
