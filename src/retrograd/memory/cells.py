"""Cells: every value of a run with the operation that made it, so that a value that was let go can be made again.

While a round is recorded, each operation's result has a Cell, which knows its operation, its operands' cells and its attributes. What
nodes save are entries that name cells. A cell may let its array go at any time: an entry that is read makes it again, from
whatever is nearest. So a plan is only advice on what to keep, and the gradients never depend on it.
"""

from __future__ import annotations

import weakref
from bisect import insort
from typing import Any

import numpy as np

from ..core import MODE, BaseTensor, Held, Op, Storage, quiet_off, quiet_on
from ..core.door import _quiet
from ..core.errors import show_type
from .course import Course, computed

FAR = 1 << 60
_ref = weakref.ref


class Cell:
    """One value: its array while it is held, and how to make it again.

    Attributes
    ----------
    a
        The array, where the cell holds it.
    ref
        Weak reference to the Storage, or to the array, that somebody else may still hold.
    owner
        The cell whose memory this one's array is a view of, or itself.
    readers
        How many saved entries will still read it.
    first_use
        The lowest number of an operation that reads it; once the walk is there, nothing below needs it.
    """

    __slots__ = ("a", "attrs", "first_use", "index", "nbytes", "op", "operands", "owner", "readers", "ref", "version")

    def __init__(
        self, index: int, op: Op | None, operands: tuple[Any, ...], attrs: Any, a: Any, storage: Storage
    ) -> None:
        self.index, self.op, self.operands, self.attrs = index, op, operands, attrs
        self.a: Any = None
        self.version = storage.version
        self.readers, self.first_use = 0, FAR
        # None stands for the cell itself as owner, so that there is no cycle
        self.owner: Cell | None = None
        if storage.root is a and (op is None or not op.view):
            self.ref: Any = _ref(storage)
        else:
            self.ref = _ref(a)
        if a.base is None:
            self.nbytes = a.nbytes
        else:
            first = operands[0] if operands else None
            if op is not None and first.__class__ is Cell and (op.view or _shares(a, first)):
                self.owner, self.nbytes = first.owner or first, 0
            else:
                self.nbytes = (a.base if isinstance(a.base, np.ndarray) else a).nbytes

    @property
    def memory(self) -> Cell:
        """The cell that owns the bytes."""
        return self if self.owner is None else self.owner

    def present(self) -> Any:
        """Give the array if somebody holds it unchanged, else None."""
        if self.a is not None:
            if self.op is None:
                self._check()
            return self.a
        found = self.ref() if self.ref is not None else None
        if found.__class__ is Storage:
            return found.root if found.version == self.version else None
        return found

    def _check(self) -> None:
        storage = self.ref() if self.ref is not None else None
        if storage.__class__ is Storage and storage.version != self.version:
            by = storage.written
            raise RuntimeError(
                f"memory_budget: {show_type(self.a)}, from which values were to be computed again, was written in place since"
                f"{f', by {by[0]}' if by else ''}: walk back before parameters or data are changed."
            )

    def again(self) -> Any:
        """Compute the array from operands that are present."""
        values = [x.present() if isinstance(x, Cell) else x for x in self.operands]
        return self.op(*values, **self.attrs)  # type: ignore[misc]  # what the door would run


def _shares(a: np.ndarray[Any, Any], first: Cell) -> bool:
    other = first.present()
    return other is not None and np.may_share_memory(a, other)


class Entry(Held):
    """What a node saves in a round: the name of a cell."""

    __slots__ = ("cell", "owner", "position", "round")

    def __init__(self, round_: Round, cell: Cell, position: int) -> None:
        self.round, self.cell, self.position = round_, cell, position
        owner = cell.owner
        self.owner = owner = cell if owner is None else owner
        owner.readers += 1
        round_.waiting += 1

    def fetch(self) -> tuple[Any, Storage, int]:
        self.round.reached(self.position)
        cell = self.cell
        a = cell.present()
        if a is None:
            a = self.round.restore(cell)
        storage = Storage(a)
        if recorded_walk():  # what reads the value is an operation of the run, and this one's cell its operand
            storage.notes = {"cells": {id(a): (0, cell)}}
            if self.round.fetched is not None:
                self.round.fetched.setdefault(len(self.round.cells), []).append(self.owner.index)
        return a, storage, 0

    def __del__(self) -> None:
        owner, round_ = self.owner, self.round
        owner.readers -= 1
        round_.waiting -= 1
        position = round_.position
        if position is None:
            if not round_.waiting:  # the history was dropped, and no walk has come
                round_.over = True
        elif not owner.readers and owner.op is not None and position <= owner.first_use and position <= owner.index + 1:
            owner.a = None


class Interval:
    """A part of the run that is computed again in one go: which operations, in order, and which of their results are then held."""

    __slots__ = ("children", "course", "high", "keep", "low", "ops")

    def __init__(self, low: int, high: int, ops: list[int], keep: frozenset[int]) -> None:
        self.low, self.high, self.ops, self.keep = low, high, ops, keep
        self.course: Course | None = None  # worked out when it is run for the first time
        self.children: list[Interval] = []

    def around(self, index: int) -> Interval | None:
        """Give the part of this one that a value belongs to."""
        for child in self.children:
            if child.low <= index < child.high:
                return child
        return None


class Round:
    """The cells of one run forward and back, what is held of them, and how far the walk has come."""

    def __init__(self, root: Interval | None) -> None:
        self.cells: list[Cell] = []
        self.position: int | None = None  # of the node that the walk is at
        self.waiting = 0  # entries that nodes hold
        self.over = False  # whether nodes let go of all of them before a walk came
        self.root = root
        self.opened: set[int] = set()
        self.held: list[int] = []  # the numbers of cells that hold their arrays, in order
        self.recomputed = 0  # operations so far
        self.seconds = 0.0
        self.listener: Any = None  # told of each step of the walk, while a round is measured,
        self.watch: Any = None  # and of each array that is made again
        self.room: Any = None  # what a run without a plan may take
        self.turning: Any = None  # called when the walk begins
        self.fetched: dict[int, list[int]] | None = (
            None  # by number of the next operation: what a recorded walk has read, then too
        )

    # -- forward ------------------------------------------------------------------------------------------------------------------
    @property
    def ended(self) -> bool:
        """Whether the next operation belongs to another round."""
        return self.over or self.position is not None

    def hold(self, cell: Cell, a: Any) -> None:
        """Keep a cell's array until the walk has passed it."""
        if cell.a is None:
            cell.a = a
            held = self.held
            if not held or cell.index > held[-1]:
                held.append(cell.index)
            else:
                insort(held, cell.index)

    # -- the walk -------------------------------------------------------------------------------------------------------------------
    def reached(self, position: int) -> None:
        """Hear that the walk is at a node; let go of what only later ones needed."""
        if recorded_walk():  # a part of the run: another walk will come by
            return
        if self.position is None or position > self.position:
            self.opened.clear()
            if self.position is None and self.turning is not None:
                turning, self.turning = self.turning, None
                turning()
        self.position = position
        held = self.held
        while held and held[-1] > position:
            cell = self.cells[held.pop()]
            if cell.op is not None:
                cell.a = None
        if self.listener is not None:
            self.listener(position)

    def restore(self, cell: Cell) -> Any:
        """Make a value again: by the plan's parts, then from whatever is there."""
        owner = cell.memory
        part = self.root if owner.present() is None else None  # of a held value's memory only the view is made again
        while part is not None:
            part = part.around(owner.index)
            if part is None or part.high > len(self.cells):  # this run walks back from an earlier place than the plan's
                break
            if id(part) not in self.opened:
                self.opened.add(id(part))
                self._run(part)
                if owner.present() is not None:
                    break
        found = cell.present()
        return found if found is not None else self._nearest(cell)

    def _run(self, part: Interval) -> None:
        """Compute a part's operations again in order, each result for as long as another of them needs it."""
        cells, keep = self.cells, part.keep
        course = part.course
        if course is None:
            course = part.course = Course(cells, part.ops, keep)
        chains, within, leaving, lasting = course.chains, course.within, course.leaving, course.lasting
        alive: dict[int, Any] = {}
        token = quiet_on(_quiet)
        try:
            for k in part.ops:
                if k in within:  # computed where its chain ends
                    continue
                cell = cells[k]
                a = cell.present()
                if a is None:
                    if k in chains:
                        a = computed(cells, course, k, self._value)
                    if a is None:
                        a = cell.op(*map(self._value, cell.operands), **cell.attrs)  # type: ignore[misc]  # what the door would run
                    self._made(cell, a)
                if k in keep:
                    self.hold(cell, a)
                if k in lasting:
                    alive[k] = a
                for i in leaving.get(k, ()):
                    alive.pop(i, None)
        finally:
            quiet_off(token)

    def _value(self, x: Any) -> Any:
        """Give an operand's array, computed from the nearest values where it is not there."""
        if x.__class__ is not Cell:
            return x
        a = x.present()
        return self._nearest(x) if a is None else a

    def _made(self, cell: Cell, a: Any) -> None:
        cell.ref = weakref.ref(a)
        self.recomputed += 1
        if self.watch is not None:
            self.watch(cell, a)

    def _nearest(self, cell: Cell) -> Any:
        """Compute a value again from the nearest ones that are there; those on the way that will be read are held."""
        missing: dict[int, Cell] = {}
        todo = [cell]
        while todo:
            c = todo.pop()
            if c.index in missing or c.present() is not None:
                continue
            missing[c.index] = c
            todo.extend(x for x in c.operands if isinstance(x, Cell))
        if self.room is not None:
            return self.room.again(cell, missing)
        order = sorted(missing)
        last = {x.index: k for k in order for x in missing[k].operands if isinstance(x, Cell) and x.index in missing}
        values: dict[int, Any] = {}
        token = quiet_on(_quiet)
        try:
            for k in order:
                c = missing[k]
                a = c.again()
                self._made(c, a)
                values[k] = a
                if c.readers and c.owner is None:
                    self.hold(c, a)
                for x in c.operands:
                    if isinstance(x, Cell) and last.get(x.index) == k:
                        values.pop(x.index, None)
        finally:
            quiet_off(token)
        return values[cell.index]


def recorded_walk() -> bool:
    """Tell whether a walk is running that is recorded itself (``create_graph``)."""
    return MODE.walk is not None and bool(MODE.walk[2])


def cell_table(storage: Storage) -> dict[int, Any]:
    """Give a storage's cells, by its arrays."""
    notes = storage.notes
    if notes is None:
        notes = storage.notes = {}
    table: dict[int, Any] = notes.setdefault("cells", {})
    return table


__all__ = ["BaseTensor", "Cell", "Entry", "Interval", "Round", "cell_table", "recorded_walk"]
