"""Course: how a part of a run is computed again: what is let go when, and which operations are one kernel.

A product whose elements are gone on with, and that nothing else reads, is computed together with what follows it: one pass over memory instead of
two or three, and the same bits, for the kernel is the product's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ..core import executors

PRODUCTS = ("linear", "matmul")
FOLLOWING = ("relu", "add")  # rounded alike wherever they are computed
MOST = 3  # operations behind a product

executors.register("followed", f"{__package__.partition('.')[0]}.compiler.contractions.products:followed")


class Chain:
    """A product and what follows it.

    Attributes
    ----------
    first : int
        The product's number.
    links : tuple of (int, int, int)
        For each operation behind: its number, the place of the one before among its operands, and that of another or -1.
    steps : tuple of str
        Their names.
    """

    __slots__ = ("first", "links", "steps")

    def __init__(self, first: int, links: tuple[tuple[int, int, int], ...], steps: tuple[str, ...]) -> None:
        self.first, self.links, self.steps = first, links, steps

    @property
    def members(self) -> list[int]:
        """The numbers of all, in order."""
        return [self.first, *[k for k, _, _ in self.links]]


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
        By the number of its last member, each chain that is computed at once.
    within : set of int
        Operations that are computed as a part of a chain that ends later.
    leaving : dict
        By an operation's number, the results that are read there for the last time.
    lasting : set of int
        Results that a later operation reads.
    """

    def __init__(self, cells: list[Any], ops: list[int], keep: frozenset[int]) -> None:
        self.chains: dict[int, Chain] = {}
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
        self.within.difference_update(self.chains.pop(last).members)
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
            last = k
            links: list[tuple[int, int, int]] = []
            while len(links) < MOST:
                after = reader.get(last)
                if after is None or reads[last] != 1 or last in keep or cells[after].op.name not in FOLLOWING:
                    break
                operands = cells[after].operands
                place = next(i for i, x in enumerate(operands) if x is cells[last])
                links.append((after, place, 1 - place if len(operands) > 1 else -1))
                last = after
            if links:
                self.chains[last] = Chain(k, tuple(links), tuple([cells[n].op.name for n, _, _ in links]))
                self.within.update(self.chains[last].members[:-1])

    def _find_times(self) -> None:
        ends = {k: end for end, chain in self.chains.items() for k in chain.members}
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
    chain = course.chains[last]
    product = made = cells[chain.first]
    others = []
    for k, place, other in chain.links:
        operands = cells[k].operands
        if operands[place] is not made or made.present() is not None:
            return None
        if other >= 0:
            x = operands[other]
            if x is made:
                return None
            others.append(value(x))
        made = cells[k]
    run = executors.find("followed")
    a = None if run is None else run(product.op.name, [value(x) for x in product.operands], chain.steps, others)
    if a is None:
        course.sever(last)
    return a


__all__ = ["Chain", "Course", "computed"]
