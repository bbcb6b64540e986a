"""Plans of small runs by an integer programme: which values to hold, and what each stage of the walk computes again.

With k_v in {0, 1} for "v is held" and R[v, s] for "v is computed again for stage s of the walk", minimise the sum of time(v) R[v, s] where, for
each stage s, k_v + R[v, s] >= 1 for what its nodes read, R[v, s] <= k_u + R[u, s] for v's operands u, and what is held below s with what is
computed again for it fits beside the gradients. For given k the R come out as 0 or 1 by themselves, so that only the k branch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cells import Interval
from .profile import Profile

MOST = 100  # values of a run that is planned so
STAGES = 12
TARGETS = 9
SLACK = 1.4  # times the whole peak: stages count what they hold as if it were all there at once
SECONDS = 0.5  # for one target, at most


def kept_sets(profile: Profile, everything: Any) -> list[tuple[frozenset[int], Interval]]:
    """Give plans for budgets of several sizes; none for a large run, or where SciPy is not installed."""
    own = [k for k, r in enumerate(profile.rows) if r.op is not None and r.owner < 0 and profile.needed[k]]
    if not own or len(own) > MOST or len(profile.kept) < 2:
        return []
    try:
        from scipy.optimize import milp
    except ImportError:
        return []
    from .planning import Stages

    stages = Stages(profile, STAGES)
    problem = _Problem(profile, stages, own)
    found = []
    low = max(float(stages.back.max()), everything.peak / 64, 1.0)
    for target in np.geomspace(SLACK * everything.peak, low, TARGETS):
        plan = problem.solve(milp, float(target))
        if plan is not None:
            found.append(plan)
    return found


class _Problem:
    """The programme of one run, without the budget."""

    def __init__(self, profile: Profile, stages: Any, own: list[int]) -> None:
        from scipy.sparse import coo_array

        self.profile, self.stages, self.own = profile, stages, own
        p, n = profile, stages.count
        place = {v: i for i, v in enumerate(own)}
        self.stage = np.searchsorted(np.array(stages.bounds[1:]), np.array(own))
        self.columns: list[tuple[int, int]] = [(v, s) for s in range(n) for v in own if v <= stages.bounds[s + 1]]
        at = {pair: len(own) + i for i, pair in enumerate(self.columns)}
        entries: list[tuple[int, int, float]] = []
        lower: list[float] = []

        def row(terms: list[tuple[int, float]], least: float) -> None:
            entries.extend((len(lower), column, value) for column, value in terms)
            lower.append(least)

        saved = set(p.kept)
        for v in own:
            s = min(int(self.stage[place[v]]), n - 1)
            if v in saved:
                row([(place[v], 1.0), (at[v, s], 1.0)], 1.0)
        for v, s in self.columns:
            for u in {p.memory[i] for i in p.rows[v].operands}:
                if u in place:
                    row([(place[u], 1.0), (at[u, s], 1.0), (at[v, s], -1.0)], 0.0)
        size = len(own) + len(self.columns)
        self.rows = coo_array(
            ([e[2] for e in entries], ([e[0] for e in entries], [e[1] for e in entries])), shape=(len(lower), size)
        )
        self.lower = np.array(lower)
        held = np.zeros((n, size))
        unit = max(r.nbytes for r in p.rows)
        for s in range(n):
            for v in own:
                if v <= stages.bounds[s + 1]:
                    held[s, place[v]] = held[s, at[v, s]] = p.rows[v].nbytes / unit
        self.held, self.unit = held, unit
        cost = np.zeros(size)
        for (v, _), column in zip(self.columns, range(len(own), size), strict=True):
            cost[column] = max(p.rows[v].seconds, 1e-7) * 1e6
        self.cost = cost

    def solve(self, milp: Any, budget: float) -> tuple[frozenset[int], Interval] | None:
        """Give the plan of least time within so many bytes, or None."""
        from scipy.optimize import Bounds, LinearConstraint

        room = (budget - self.stages.back) / self.unit
        if (room <= 0).any():
            return None
        size = len(self.cost)
        whole = np.zeros(size)
        whole[: len(self.own)] = 1
        result = milp(
            self.cost,
            integrality=whole,
            bounds=Bounds(0, 1),
            constraints=[
                LinearConstraint(self.rows.tocsr(), self.lower, np.inf),
                LinearConstraint(self.held, -np.inf, room),
            ],
            options={"time_limit": SECONDS, "mip_rel_gap": 0.01},
        )
        return None if result.x is None else self._plan(result.x)

    def _plan(self, x: Any) -> tuple[frozenset[int], Interval]:
        p, bounds = self.profile, self.stages.bounds
        keep = frozenset(v for v, k in zip(self.own, x, strict=False) if k > 0.5)
        root = Interval(0, len(p.rows), [], keep)
        saved = set(p.kept)
        for s in range(self.stages.count):
            again = sorted(v for (v, t), r in zip(self.columns, x[len(self.own) :], strict=True) if t == s and r > 0.5)
            held = frozenset(v for v in again if v in saved and bounds[s] < v)
            if again:
                root.children.append(Interval(bounds[s] + 1, bounds[s + 1] + 1, again, held))
        return keep, root


__all__ = ["kept_sets"]
