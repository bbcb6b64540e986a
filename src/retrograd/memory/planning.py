"""Plans: which values a run holds and which parts it computes again, by dynamic programming over the stages of the run.

A run is cut into stages where few bytes cross. For stages [s, t) and bytes h already held below them, C(s, t, h) is the least time to
go forward and back: either stage s keeps all it saves, or the run goes on to a stage s' and keeps only what crosses there, and [s, s')
is run again when the walk comes back to it (Griewank and Walther 2000 for equal stages; Beaumont et al. 2019 for any).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .cells import Interval
from .profile import Profile, Simulation

STAGES = 64  # at most
LEVELS = 400  # of memory that the programme tells apart, at most
TARGETS = 32  # sizes between the smallest and the largest for which plans are made


@dataclass
class Plan:
    """What a run holds, and the parts that it computes again.

    Attributes
    ----------
    keep
        Numbers of the values that the run forward holds.
    root
        Its parts, each with those that are computed again within it.
    peak, seconds
        As simulated: bytes besides what was there before, and the time of what is computed again.
    """

    profile: Profile
    keep: frozenset[int]
    root: Interval | None
    peak: int
    seconds: float
    simulation: Simulation

    @property
    def rows(self) -> list[Any]:
        """The values of the run that was measured."""
        return self.profile.rows

    def fits(self, index: int, op: Any, a: Any) -> bool:
        """Tell whether a run's value is of the kind that was measured."""
        rows = self.profile.rows
        if index >= len(rows):
            return False
        row = rows[index]
        return row.op is op and row.shape == a.shape and row.dtype == a.dtype


def made(profile: Profile, keep: frozenset[int], root: Interval | None) -> Plan:
    """Simulate a plan."""
    found = Simulation(profile, keep, root)
    return Plan(profile, keep, root, found.peak, found.seconds, found)


class Stages:
    """The stages of a run: where it is cut, what crosses there, and what each stage saves and costs."""

    def __init__(self, profile: Profile, most: int = STAGES) -> None:
        self.profile = p = profile
        rows = p.rows
        count = len(rows)
        own = [k for k, r in enumerate(rows) if r.op is not None and r.owner < 0]
        crossing = np.zeros(count + 1)
        for k in own:
            if p.last[k] > k:
                crossing[k] += rows[k].nbytes
                crossing[p.last[k]] -= rows[k].nbytes
        crossing = np.cumsum(crossing)[:count]
        weight = np.zeros(count)
        for k in p.kept:
            weight[k] += rows[k].nbytes
        share = np.cumsum(weight) / max(weight.sum(), 1)
        end = max(p.kept, default=-1)
        self.bounds = [-1, *self._cuts(own, crossing, share, end, most), end]
        self.count = len(self.bounds) - 1
        self._measure(own)

    @staticmethod
    def _cuts(own: list[int], crossing: Any, share: Any, end: int, most: int) -> list[int]:
        """Choose the positions: the cheapest one near each equal share of the saved bytes."""
        places = np.array([k for k in own if k < end], dtype=np.int64)
        if not len(places):
            return []
        found: set[int] = set()
        part = np.floor(share[places] * most - 1e-9).astype(np.int64)
        for s in range(most):
            near = places[part == s]
            if len(near):
                least = crossing[near].min()
                found.add(int(near[crossing[near] <= least * 1.001][-1]))
        return sorted(found)

    def _measure(self, own: list[int]) -> None:
        p, bounds, n = self.profile, self.bounds, self.count
        rows = p.rows
        saved = set(p.kept)
        index = np.searchsorted(np.array(bounds[1:]), np.arange(len(rows)))  # the stage of each value
        self.cross: list[list[int]] = [[k for k in own if k <= b < p.last[k]] for b in bounds]
        self.time = np.zeros(n)
        self.all = np.zeros(n)
        self.holds: list[list[int]] = [[] for _ in range(n)]
        for k in own:
            s = int(index[k])
            if s >= n:
                continue
            if p.needed[k]:
                self.time[s] += rows[k].seconds
            if k in saved or bounds[s + 1] < p.last[k]:
                self.holds[s].append(k)
                self.all[s] += rows[k].nbytes
        self.wide = np.zeros((n + 1, n + 1))  # bytes that crossing bound s' adds to what crosses bound s
        for b in range(1, n + 1):
            for k in self.cross[b]:
                s = int(index[k]) + 1  # made after bounds[0 .. index]
                self.wide[:s, b] += rows[k].nbytes
        self.back = np.zeros(n)
        for step in p.steps:
            s = min(int(index[step.position]), n - 1)
            self.back[s] = max(self.back[s], step.other)


def solve(stages: Stages, budget: float) -> tuple[frozenset[int], Interval] | None:
    """Give the plan of least time for so many bytes, as the stages tell them; None where there is none."""
    n = stages.count
    small = stages.wide[stages.wide > 0]
    unit = float(np.median(small)) if len(small) else budget / LEVELS
    unit = unit / max(int(unit * LEVELS / budget), 1)
    unit = max(unit, budget / LEVELS)
    room = np.floor((budget - stages.back) / unit).astype(np.int64)
    levels = int(budget / unit) + 1
    whole = np.minimum(np.rint(stages.all / unit), levels + 1).astype(np.int64)
    wide = np.minimum(np.rint(stages.wide / unit), levels + 1).astype(np.int64)
    ahead = np.concatenate([[0.0], np.cumsum(stages.time)])
    h = np.arange(levels)
    cost = np.full((n + 1, n + 1, levels + 1), np.inf, np.float32)
    choice = np.zeros((n + 1, n + 1, levels), np.int16)
    for s in range(n + 1):
        cost[s, s, :levels] = 0
    for length in range(1, n + 1):
        for s in range(n - length + 1):
            t = s + length
            after = np.minimum(h + whole[s], levels)
            best = stages.time[s] + cost[s + 1, t, after]
            best[after > room[s]] = np.inf
            pick = np.full(levels, s, np.int16)
            if length > 1:
                splits = np.arange(s + 1, t)
                above = np.minimum(h[None, :] + wide[s, splits][:, None], levels)
                total = (
                    cost[splits[:, None], t, above]
                    + cost[s, s + 1 : t, :levels]
                    + (ahead[splits] - ahead[s])[:, None].astype(np.float32)
                )
                least = total.argmin(0)
                value = total[least, h]
                better = value < best
                best = np.where(better, value, best)
                pick = np.where(better, splits[least], pick).astype(np.int16)
            cost[s, t, :levels] = best
            choice[s, t] = pick
    if not np.isfinite(cost[0, n, 0]):
        return None
    return _built(stages, choice, whole, wide, n, levels)


def _built(stages: Stages, choice: Any, whole: Any, wide: Any, n: int, levels: int) -> tuple[frozenset[int], Interval]:
    """Read the choices off as parts within parts."""
    p, bounds = stages.profile, stages.bounds
    root = Interval(0, len(p.rows), [], frozenset())
    todo = [(root, 0, n, 0)]
    while todo:
        part, s, t, h = todo.pop()
        start = bounds[s]
        keep: list[int] = []
        while s < t:
            to = int(choice[s, t, min(h, levels - 1)])
            if to == s:
                keep += stages.holds[s]
                h += int(whole[s])
                s += 1
            else:
                child = Interval(bounds[s] + 1, bounds[to] + 1, [], frozenset())
                part.children.append(child)
                todo.append((child, s, to, h))
                keep += [k for k in stages.cross[to] if k > bounds[s]]
                h += int(wide[s, to])
                s = to
        part.keep = frozenset(keep)
        part.ops = p.slice(keep, start)
    return root.keep, root


def plans(profile: Profile) -> list[Plan]:
    """Give plans for budgets of all sizes, each with less memory and more time than the one before."""
    profile.settle()
    everything = made(profile, frozenset(profile.kept), None)
    found = [everything]
    stages = Stages(profile)
    if stages.count > 1:
        for target in np.geomspace(everything.peak, max(stages.back.max(), everything.peak / 512, 1), TARGETS):
            solved = solve(stages, float(target))
            if solved is not None:
                found.append(made(profile, *solved))
    from . import descent, exact

    for keep, root in exact.kept_sets(profile, everything):
        found.append(made(profile, keep, root))
    for keep in descent.kept_sets(profile):
        found.append(made(profile, keep, Interval(0, len(profile.rows), [], frozenset())))
    return front(found)


def front(found: list[Plan]) -> list[Plan]:
    """Drop every plan that another beats in both memory and time."""
    best: list[Plan] = []
    for plan in sorted(found, key=lambda p: (p.seconds, p.peak)):
        if not best or plan.peak < best[-1].peak:
            best.append(plan)
    return best


__all__ = ["Plan", "Stages", "front", "made", "plans", "solve"]
