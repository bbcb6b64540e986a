"""Recorder: makes a Cell of every operation's result, decides what is held, and measures the first run of each kind."""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Iterator
from time import perf_counter
from typing import Any

from ..core import MODE, VIEW_WRITE, BaseTensor, Keeper, Op, here
from ..core.mode import heard_by
from ..core.saving import SavedInputs, SavedResult
from .cells import FAR, Cell, Entry, Round, cell_table, recorded_walk
from .counter import Counter
from .profile import Profile, Row
from .thinning import STRIDE, Room

MOST_KINDS = 4  # of runs that are measured in one block
MOST_TRIES = 24  # times that a run left every plan, after which others are measured


class _Watch(weakref.ref[Any]):
    """Weak reference to an array that knows its bytes."""

    __slots__ = ("nbytes",)
    nbytes: int


class Recorder(Keeper):
    """Hears of every operation while a budget's block is open."""

    def __init__(self, library: Any, limit: int | None) -> None:
        self.library = library  # of profiles and their plans
        self.limit = limit
        self.candidates: list[Any] = []
        self.plan: Any = None
        self.before: Any = "the block's beginning"  # the kind of the round before, as far as it is known
        self.profile: Profile | None = None
        self.counter: Counter | None = None
        self.done = False
        self.operands: tuple[Any, ...] = ()  # of the operation that was heard of last: cells, and numbers
        self.heard = False  # whether the last call of a compiled function ran eagerly
        self.begin()

    # -- rounds ---------------------------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """Start a round: by a plan, if there is one, until the run leaves it."""
        if self.candidates:
            self.before = id(self.plan)
        pending, self.library.pending = self.library.pending, None
        if pending is not None:
            pending.finish()
        self.candidates = list(self.library.plans())
        self.plan = self.candidates[0] if self.candidates else None
        self.round = Round(self.plan.root if self.plan is not None else None)
        self.marks: list[tuple[int, list[Cell]]] = []
        self.recent: list[Cell] = []
        self.stride = STRIDE
        self.live = 0
        self.library.wait -= 1
        unknown = self.library.unknown.get(self.before, 0)
        if unknown:
            self.library.unknown[self.before] = unknown - 1
        self.round.turning = self._turn
        if self.plan is None or self.library.wait == 0 or unknown:
            self.plan = self.round.root = None
            if not self.library.programs:
                self.measure()

    def measure(self) -> None:
        """Measure this round."""
        gc.collect()  # what cycles hold would leave in the middle of the run
        self.profile = Profile()
        self.counter = Counter()
        self.counter.__enter__()
        self.round.listener, self.round.watch, self.round.fetched = self.walked, self.watch, self.profile.fetched
        self._bounded()
        self.highest = 0
        self.last = perf_counter()

    def _bounded(self) -> None:
        """Let what is held without a plan be thinned out."""
        if self.limit is not None:
            self.round.room = Room(self.limit, self.round, self.counter)

    def finish(self) -> None:
        """End the round: what was measured becomes a profile; cells that nothing will read let go of their makers."""
        profile, self.profile = self.profile, None
        self._count_no_more()
        round_ = self.round
        round_.listener = round_.turning = None
        if profile is not None and profile.steps:
            self.library.add(profile)
        if not any(c.readers for c in round_.cells):
            for c in round_.cells:
                c.operands, c.a = (), None

    # -- what the door tells ---------------------------------------------------------------------------------------------------------
    def observe(self, op: Op, xs: Any, attrs: dict[str, Any], t: Any) -> None:
        """Hear of an operation."""
        if self.done:
            self.done = False
        elif (
            self.round.cells
            and (MODE.backward or not self.round.ended)  # before and behind a run it makes data: values from outside
            and MODE.trace is None
            and not isinstance(t, tuple)
        ):
            self.made(op, xs, attrs, t)

    def recorded(self, node: Any, xs: Any, t: Any) -> None:
        cell = self.made(node.op, xs, node.attrs, t)
        self.done = True
        position = cell.index
        planned = self.plan is not None and self.profile is None
        saved: Any = node.saved
        if saved:
            entries = []
            for i, entry in enumerate(saved):
                if entry.__class__ is tuple:
                    made_by = xs[i]._node
                    # a leaf's value is there anyway, and its version is checked
                    if made_by is None or made_by.op is not None:
                        read = self.operands[i]
                        entry = Entry(self.round, read, position) if planned else self._named(read, position)
                entries.append(entry)
            node.saved = SavedInputs(entries)
        if node.out is not None:
            node.out = SavedResult(Entry(self.round, cell, position) if planned else self._named(cell, position))

    def _named(self, cell: Cell, position: int) -> Entry:
        owner = cell.memory
        if owner.op is None:
            return Entry(self.round, cell, position)
        if self.profile is not None:
            self.profile.reads(position, owner.index)
        if self.plan is None and owner.a is None:
            a = owner.present()
            if a is not None:
                self.round.hold(owner, a)
        return Entry(self.round, cell, position)

    def keep(self, tensor: Any, node: Any, i: int) -> Any:
        made_by = tensor._node
        if made_by is not None and made_by.op is None:
            return None
        cell = self.cell_of(tensor)
        return self._named(cell, max(len(self.round.cells) - 1, cell.index))

    def made(self, op: Op, xs: Any, attrs: dict[str, Any], t: Any) -> Cell:
        """Make the cell of a result."""
        round_ = self.round
        if round_.ended and not MODE.backward:
            self.finish()
            self.begin()
            round_ = self.round
        cells = round_.cells
        index = len(cells)
        read: list[Any] = []
        for x in xs:
            if isinstance(x, BaseTensor):
                storage = x._s
                try:  # what `cell_of` gives, where the value lies in memory of its own
                    version, found = storage.notes["cells"][id(x._a)]  # type: ignore[index]
                    k = found.index
                    if version != storage.version or (
                        found.a is not x._a if k < 0 else cells[k] is not found or x._a is not storage.root
                    ):
                        found = self.cell_of(x)
                except (TypeError, LookupError):
                    found = self.cell_of(x)
                owner = found.owner or found
                if owner.first_use > index:
                    owner.first_use = index
                x = found
            read.append(x)
        operands = self.operands = tuple(read)
        a, storage = t._a, t._s
        cell = Cell(index, op, operands, attrs, a, storage)
        profile = self.profile
        if profile is not None and index == 0:
            self._begun()
        if op.impure:
            cell.op, cell.operands, cell.a = None, (), a
        cells.append(cell)
        if storage.notes is None:
            storage.notes = {"cells": {id(a): (storage.version, cell)}}
        else:
            cell_table(storage)[id(a)] = (storage.version, cell)
        plan = self.plan
        if plan is not None:
            rows = plan.profile.rows
            row = rows[index] if index < len(rows) else None
            if row is None or row.op is not op or row.shape != a.shape or row.dtype != a.dtype:
                self._leave(index, op, a)
                plan = self.plan
            if plan is not None and index in plan.keep:
                round_.hold(cell, a)
        if profile is not None:
            self._measured(cell, a, storage)
        elif plan is None:
            self._mark(cell)
        return cell

    def _begun(self) -> None:
        """Count what was there before a measured run, whose first value has come: an optimizer's state is made in the first step."""
        from .budget import bytes_there

        there = bytes_there() - max(self.counter.current if self.counter is not None else 0, 0)
        self.library.base = there if not self.library.counted else max(there, self.library.base or 0)
        self.library.counted = True
        self.last = perf_counter()

    def cell_of(self, x: Any) -> Cell:
        """Give the cell of a tensor's present value; of one from outside, a cell that holds it."""
        storage, a = x._s, x._a
        notes = storage.notes
        if notes is not None:
            table = notes.get("cells")
            found = table.get(id(a)) if table is not None else None
            if found is not None and found[0] == storage.version:
                cell: Cell = found[1]
                k, cells = cell.index, self.round.cells
                if k < 0:
                    if cell.a is a:
                        return cell
                elif k < len(cells) and cells[k] is cell and (a is storage.root or cell.present() is a):
                    return cell
        cell = Cell(-1, None, (), None, a, storage)
        cell.a = a
        cell_table(storage)[id(a)] = (storage.version, cell)
        return cell

    def writing(self, tensor: Any, value: Any) -> None:
        """Before a write: values that may be needed again are copied; the written tensor stands for its new value's cell."""
        storage = tensor._s
        base = tensor._base
        given = isinstance(value, BaseTensor)
        new = before = None
        if given and base is not None and base._s is storage:
            new, before = self.cell_of(value), self.cell_of(base)
        elif given and value._a.shape == tensor._a.shape and value._a.dtype == tensor._a.dtype:
            new = self.cell_of(value)
            if new.op is None or new.owner is not None:
                new = None
        table = cell_table(storage)
        for _, cell in list(table.values()):
            if cell.a is not None:
                cell.a = cell.a.copy()
            cell.ref = None
            if self.profile is not None and cell.index >= 0:
                self.profile.let_go(cell.index)
        table.clear()
        if new is None:
            return
        version = storage.version + 1
        if before is not None:  # a write through a view: the base's new value is an operation's result
            cells = self.round.cells
            a = base._a
            new = Cell(len(cells), VIEW_WRITE, (before, new), {"steps": tensor._steps}, a, storage)
            new.owner, new.nbytes = None, a.nbytes
            for x in new.operands:
                if x.memory.first_use is FAR:
                    x.memory.first_use = new.index
            cells.append(new)
            if self.plan is not None and not self.plan.fits(new.index, VIEW_WRITE, a):
                self._leave(new.index, VIEW_WRITE, a)
            if self.profile is not None:
                operands = tuple([x.index for x in new.operands if x.index >= 0])
                self.profile.rows.append(Row(VIEW_WRITE, a.shape, a.dtype, a.nbytes, 0.0, 0, 0, operands))
                self.profile.rows[-1].place = here()
        else:
            a = tensor._a
            if new.a is value._a:  # the written memory holds the value from now on
                new.a = a
        new.ref, new.version = weakref.ref(storage if storage.root is a else a), version
        table[id(a)] = (version, new)
        if self.profile is not None:
            self.profile.held_by(new.index, storage)

    # -- compiled functions -----------------------------------------------------------------------------------------------------------
    def compiled(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a compiled function in the form that keeps the budget; what runs eagerly in it is heard of."""
        away = self._away()
        if away is None:
            return function.fn(*args, **kwargs)
        from .compiled import fit

        bounded = function.within(self.library, fit(self.library, function))
        bounded.around = self._back
        self.heard = False
        with away:
            result = bounded(*args, **kwargs)
        if not self.heard:
            self._uncounted()
        return result

    def _uncounted(self) -> None:
        """Measure this round no further: part of it was no run of operations."""
        self.profile = self.round.listener = self.round.watch = None
        self._count_no_more()

    def _away(self) -> Any:
        """Give the block in which nothing is heard of, or None where others listen too."""
        before = MODE.observers
        MODE.observers = tuple(o for o in before if o != self.observe)
        MODE.saving = None
        MODE.settle()
        alone = not MODE.special
        MODE.observers, MODE.saving = before, self
        MODE.settle()
        return self._turned(False) if alone else None

    def _back(self) -> Any:
        """Give the block, within such a one, in which everything is heard of again."""
        return self._turned(True)

    @contextlib.contextmanager
    def _turned(self, on: bool) -> Iterator[None]:
        self.heard = on
        with heard_by((self.observe,), self) if on else heard_by():
            yield

    def _turn(self) -> None:
        """Hear that the walk begins: where the plan goes on, the run leaves it here."""
        if self.plan is not None and self.profile is None and self.plan.profile.turn != len(self.round.cells):
            self._leave(len(self.round.cells), None, None)

    # -- when the run leaves the plan ---------------------------------------------------------------------------------------------------
    def _leave(self, index: int, op: Any, a: Any) -> None:
        """Go on by another plan that has fitted so far, or without one."""
        cells = self.round.cells[:index]
        plan = self.plan
        for other in self.candidates:
            rows, mine = other.profile.rows, plan.profile.rows
            if (
                other is not plan
                and (other.fits(index, op, a) if op is not None else other.profile.turn == index)
                and all(rows[c.index].alike(mine[c.index]) for c in cells)
            ):
                self.plan, self.round.root = other, other.root
                return
        self.plan = self.round.root = None
        self._bounded()
        library = self.library
        if library.tries < MOST_TRIES:  # what comes behind a round of this kind is measured the next two times
            library.tries += 1
            library.unknown[self.before] = 2
        if library.left < MOST_KINDS and library.wait <= 0:
            library.left += 1
            library.wait = library.left

    # -- measuring ------------------------------------------------------------------------------------------------------------------
    def _measured(self, cell: Cell, a: Any, storage: Any) -> None:
        profile, counter = self.profile, self.counter
        assert profile is not None and counter is not None
        now = perf_counter()
        current = counter.current
        peak = counter.reset_peak()
        if cell.owner is None and cell.op is not None:
            self.watch(cell, a)
            profile.held_by(cell.index, storage)
        operands = tuple([x.index for x in cell.operands if isinstance(x, Cell) and x.index >= 0])
        owner = -1 if cell.owner is None else cell.owner.index if cell.owner.index >= 0 else cell.index
        row = Row(
            cell.op, a.shape, a.dtype, cell.nbytes, now - self.last, max(peak - self.live, 0), peak - current, operands
        )
        row.owner, row.place, row.walked = owner, here(), recorded_walk()
        profile.rows.append(row)
        room = self.round.room
        if room is not None:
            room.margin = max(room.margin, row.work + cell.nbytes)
            if room.short():
                self._thin()
                counter.reset_peak()
        self._mark(cell)
        self.last = perf_counter()

    def watch(self, cell: Cell, a: Any) -> None:
        """Count an array as live until it is freed."""
        if self.profile is not None:
            owned = a if a.base is None else a.base
            watch = _Watch(owned, self._freed)
            watch.nbytes = cell.nbytes
            self.profile.watches[id(watch)] = watch
            self.live += cell.nbytes
            self.highest = max(self.highest, self.live)

    def _freed(self, watch: Any) -> None:
        self.live -= watch.nbytes

    def walked(self, position: int) -> None:
        """Measure a step of the walk."""
        profile, counter = self.profile, self.counter
        if profile is None:
            return
        if not profile.steps:
            MODE.endings += (self.walk_ended,)
        now = perf_counter()
        current, peak = (self.live, self.highest) if counter is None else (counter.current, counter.reset_peak())
        profile.step(position, self.live, self.highest, current, peak, now - self.last)
        self.highest = self.live
        self.last = now

    def walk_ended(self) -> None:
        """Measure the end of the walk; what an optimizer does then is no part of the plan."""
        if self.profile is not None and self.counter is not None:
            self.profile.ended(self.counter.reset_peak(), self.highest)

    def abandon(self) -> None:
        """End after an error: nothing is learned from this round."""
        self.profile = self.round.listener = self.round.turning = None
        self._count_no_more()

    def _count_no_more(self) -> None:
        if self.counter is not None:
            self.counter.__exit__()
            self.counter = None
            if self.round.room is not None:
                self.round.room.counter = None

    def close(self) -> None:
        """End with the block; where the walk is still to come, it is listened to, without counting."""
        if self.profile is not None and not self.profile.steps and self.counter is not None:
            self._count_no_more()
            self.library.pending = self
        elif self.round.position is not None or self.profile is None:
            self.finish()

    # -- without a plan -------------------------------------------------------------------------------------------------------------
    def _mark(self, cell: Cell) -> None:
        """Every so often, note what the program itself holds: later values can be made again from that."""
        if cell.owner is None and cell.op is not None:
            self.recent.append(cell)
        room = self.round.room
        if room is not None and self.profile is None and room.short():
            self._thin()
        if self.limit is None or cell.index - (self.marks[-1][0] if self.marks else 0) < self.stride:
            return
        self.recent = [c for c in self.recent if c.ref is not None and c.ref() is not None]
        self.marks.append((cell.index, list(self.recent)))
        for c in self.recent:
            a = c.present()
            if a is not None:
                self.round.hold(c, a)

    def _thin(self) -> None:
        """Let go of what is saved between the marks, and of every other mark."""
        if not self.round.held:
            return
        pinned = {c.index for _, some in self.marks[::2] for c in some}
        self.marks = self.marks[::2]
        self.stride *= 2
        cells = self.round.cells
        for k in self.round.held:
            if k not in pinned and cells[k].op is not None:
                cells[k].a = None
        self.round.held = [k for k in self.round.held if cells[k].a is not None]


__all__ = ["Recorder"]
