"""When a recorder looks: so that training with it takes no more than a chosen multiple of training without."""

from __future__ import annotations

import math
import statistics as middle

PLAIN_STEPS = 32  # the last plain steps, from which a plain step's time is taken
MOST_LINES = 1000  # of statistics, before the steps between two looks are at least doubled
FIRST = 3  # steps to the second look, while no time of a plain step is known
SETTLED = 2  # plain steps behind a look before one counts: caches hold other things until then
MOST_LOOKS = 12  # without a plain step that counts
MARGIN = 0.9  # of what may be spent


class Budget:
    """An account of seconds: steps bring in, looks take out.

    Parameters
    ----------
    cost : float
        The time with recording over that without. From when the first look is paid for, the whole run stays below it.
    every : int or None
        Look at each so many steps instead, whatever it costs.
    grace : float
        Seconds of looking that count for nothing, so that a run of seconds is seen, too.

    Attributes
    ----------
    next
        The next step to look at.
    """

    def __init__(self, cost: float, every: int | None, grace: float = 0.0) -> None:
        self.cost, self.every, self.grace, self.next = cost, every, grace, 0
        self.plain: list[float] = []
        self.looks: list[float] = []
        self.steps = self.lines = 0
        self.spent = 0.0
        self.since = 0  # plain steps since the last look
        self.unmeasured = 0  # looks since a plain step counted
        self.guessed = False  # no plain step was timed when ``next`` was chosen

    @property
    def plain_seconds(self) -> float | None:
        """What a plain step takes."""
        return middle.median(self.plain) if self.plain else None

    def passed(self, step: int, seconds: float, extra: float, looked: bool) -> None:
        """Note a step: its own time, what looking added, and whether it was looked at."""
        self.steps += 1
        if looked:
            self._looked(step, seconds, extra)
        else:
            self._was_plain(step, seconds)

    def _was_plain(self, step: int, seconds: float) -> None:
        self.since += 1
        if seconds > 0 and (self.since > SETTLED or not self.plain):
            self.plain.append(seconds)
            del self.plain[:-PLAIN_STEPS]
            self.unmeasured = 0
        elif self.plain and self.looks:  # what a look did to the steps right behind it is of its making
            self.spent += min(max(seconds - middle.median(self.plain), 0.0), self.looks[-1])
        if self.every is None and (self.next == step + 1 or (self.guessed and self.since == FIRST - 1)):
            self.guessed = False
            self.next = step + max(1, self._owed())  # plain steps may take less than was thought

    def _looked(self, step: int, seconds: float, extra: float) -> None:
        self.lines += 1
        self.unmeasured += 1
        self.since = 0
        plain = self.plain_seconds
        slower = 0.0 if plain is None else min(max(seconds - plain, 0.0), extra)
        self.spent += extra + slower
        self.looks.append(extra + slower)
        del self.looks[:-8]
        if step >= self.next:
            self.next = step + self._wait()

    def _wait(self) -> int:
        """Say how many steps there are from one look to the next."""
        if self.every is not None:
            return self.every
        if self.spent < self.grace:
            return FIRST
        self.guessed = not self.plain
        if self.guessed:
            return FIRST
        least = SETTLED + 2 if self.unmeasured > MOST_LOOKS else 1
        even = math.ceil(middle.median(self.looks) / self._gain)
        return max(least, even, self._owed(), 1 << (self.lines // MOST_LINES))

    @property
    def _gain(self) -> float:
        """What a step brings in."""
        return max((self.plain_seconds or 0.0) * (self.cost - 1) * MARGIN, 1e-9)

    def _owed(self) -> int:
        """Say in how many steps what was spent, and what the next look will take, is brought in."""
        return math.ceil((self.spent - self.grace + middle.median(self.looks) - self.steps * self._gain) / self._gain)


__all__ = ["MOST_LINES", "Budget"]
