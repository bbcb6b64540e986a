"""Plans of small runs by descent: one value after another is let go, each time the one that brings most for the time that it costs.

What counts is how far the line of memory stands out above a mark a little below its highest point, summed over all events: letting go of one
value seldom lowers a peak that several hold up, but always what stands out. When nothing does any more, the mark sinks.
"""

from __future__ import annotations

import time
from typing import Any

from .profile import Profile, Simulation

MOST = 400  # values of a run that is planned so
SECONDS = 1.5  # for all of it, at most
SHARE = 0.97  # of the peak, where the mark is


def kept_sets(profile: Profile) -> list[frozenset[int]]:
    """Give sets of values to keep, each with a lower peak than the one before."""
    keep = frozenset(profile.kept)
    if len(profile.rows) > MOST or len(keep) < 2:
        return []
    found: list[frozenset[int]] = []
    began = time.perf_counter()
    now = Simulation(profile, keep, None)
    mark = now.peak * SHARE
    while time.perf_counter() - began < SECONDS:
        if now.peak <= mark:
            found.append(keep)
            mark = now.peak * SHARE
        above = _above(now, mark)
        best: Any = None
        for k in sorted(keep, key=lambda k: -profile.rows[k].nbytes):
            if not profile.rows[k].nbytes:
                continue
            other = Simulation(profile, keep - {k}, None)
            gain = above - _above(other, mark)
            if gain <= 0:
                continue
            worth = gain / (max(other.seconds - now.seconds, 0.0) + 1e-7)
            if best is None or worth > best[0]:
                best = worth, keep - {k}, other
            if time.perf_counter() - began > SECONDS:
                break
        if best is None:
            break
        _, keep, now = best
    return found


def _above(simulation: Simulation, mark: float) -> float:
    return sum([height - mark for height in simulation.line if height > mark])


__all__ = ["kept_sets"]
