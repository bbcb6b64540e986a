"""Course: how a part of a run is computed again: what is let go when, and which operations are one kernel.

A product whose elements are gone on with, and that nothing else reads, is computed together with what follows it: one pass over memory instead of
two or three, and the same bits, for the kernel is the product's own.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import executors

PRODUCTS = ("linear", "matmul")
FOLLOWING = ("relu", "add")  # rounded alike wherever they are computed
MOST = 3  # operations behind a product

executors.register("followed", f"{__package__.partition('.')[0]}.compiler.contractions.products:followed")


class Course:
    """How a part's operations are computed again.

    Parameters
    ----------
    cells : list of Cell
        Of the run.
    ops : list of int
        The operations' numbers, in order.
    keep : frozenset of int
        Those whose results are held.

    Attributes
    ----------
    chains : dict
        By the number of its last member, each chain that is computed at once: its members, a product and what follows it, in order.
    within : set of int
        Operations that are computed as a part of a chain that ends later.
    leaving : dict
        By an operation's number, the results that are read there for the last time.
    lasting : set of int
        Results that a later operation reads.
    """

    def __init__(self, cells: list[Any], ops: list[int], keep: frozenset[int]) -> None:
        self.chains: dict[int, tuple[int, ...]] = {}
        self.within: set[int] = set()
        self.ops = ops
        self.reads = {
            k: tuple([(x.index, x.memory.index) for x in cells[k].operands if getattr(x, "index", -1) >= 0])
            for k in ops
        }
        if executors.find("followed") is not None:
            self._find_chains(cells, keep)
        self._find_times()

    def sever(self, last: int) -> None:
        """Compute a chain's operations one by one from now on."""
        self.within.difference_update(self.chains.pop(last))
        self._find_times()

    def _find_chains(self, cells: list[Any], keep: frozenset[int]) -> None:
        reads: Counter[int] = Counter()
        reader: dict[int, int] = {}
        for k, some in self.reads.items():
            for i, owner in some:
                reads[owner] += 1
                reader[i] = k
        for k in self.ops:
            if cells[k].op.name not in PRODUCTS:
                continue
            members = [k]
            while len(members) <= MOST:
                last = members[-1]
                after = reader.get(last)
                if after is None or reads[last] != 1 or last in keep or cells[after].op.name not in FOLLOWING:
                    break
                members.append(after)
            if len(members) > 1:
                self.chains[members[-1]] = tuple(members)
                self.within.update(members[:-1])

    def _find_times(self) -> None:
        ends = {k: members[-1] for members in self.chains.values() for k in members}
        last: dict[int, int] = {}
        for k, some in self.reads.items():
            at = ends.get(k, k)
            for _, owner in some:
                last[owner] = max(last.get(owner, -1), at)
        self.leaving: dict[int, list[int]] = {}
        for i, k in last.items():
            if i in self.reads:
                self.leaving.setdefault(k, []).append(i)
        self.lasting = {i for i, k in last.items() if k > i}


def computed(cells: list[Any], course: Course, last: int, value: Callable[[Any], Any]) -> Any:
    """Compute a chain in one kernel, or give None where that cannot be.

    Parameters
    ----------
    cells : list of Cell
        Of a run that has the course's operations; what they read is looked at again.
    course : Course
    last : int
        The chain's last member.
    value : callable
        Gives a cell's array.
    """
    members = course.chains[last]
    others: list[Any] = []
    for before, k in itertools.pairwise(members):
        made, operands = cells[before], cells[k].operands
        rest = [x for x in operands if x is not made]
        if len(rest) + 1 != len(operands) or made.present() is not None:
            return None
        others += rest
    first, steps = cells[members[0]], tuple([cells[k].op.name for k in members[1:]])
    arrays, rest = ([value(x) for x in some] for some in (first.operands, others))
    run = executors.find("followed")
    a = None
    if run is not None and all(x.__class__ is np.ndarray for x in (*arrays, *rest)):
        a = run(first.op.name, arrays, steps, rest)
    if a is None:
        course.sever(last)
    return a


__all__ = ["Course", "computed"]
