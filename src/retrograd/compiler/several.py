"""Several steps in one native call: a program behind the gate, run on batch after batch of the rows of some tensors."""

from __future__ import annotations

import copy
import ctypes
import math
from typing import Any

import numpy as np

from ..core import BaseTensor, quiet_off, quiet_on
from ..core.door import _quiet
from ..core.types import RememberingNumber
from .block import Block, aligned
from .draws.steps import generator_of
from .fast import Fast
from .leaner import without_stores
from .program import Program
from .runtime.rounds import Gather, Move, Rounds

MOST_AHEAD = 16 << 20  # bytes of random draws that are made ahead of the steps that read them


class Unfit(Exception):
    """A program that cannot run several steps in one call; says why."""


class Several:
    """Runs a program many times.

    Between two runs nothing is looked at: whoever calls it has just made one call through the gate, which found everything as
    it was, and left the addresses of all that is held, and of the gradients, in the program's table.

    Parameters
    ----------
    fast : Fast
    tensors : tuple of Tensor
        Whose rows are the step's arguments.
    size : int
        Rows of a batch.
    scheduler : object, optional
        Its ``step()`` is due after every step.

    Raises
    ------
    Unfit
    """

    def __init__(self, fast: Fast, tensors: tuple[Any, ...], size: int, scheduler: Any = None) -> None:
        self.fast, self.entry, self.size, self.scheduler = fast, fast.entry, size, scheduler
        self.program: Program = self.entry.program
        self.tensors = tensors
        self._check()
        program, captured = self.program, self.entry.captured
        error = 0 if program.error is None else ctypes.addressof(program.error)
        drive = program.loaded.address("rg_drive")
        self.rounds = program.held.guarding(Rounds(drive, program.records.ctypes.data, program.native_steps, error))
        self.calls = 0
        place = {source: k for k, (kind, source) in enumerate(self.entry.sources) if kind == "given"}
        self.given: list[tuple[Any, Any, Any]] = []  # array, slots, batch in memory
        for i, t in enumerate(tensors):
            if i in place and program.input_slots[place[i]]:
                self.given.append((t._a, program.input_slots[place[i]], aligned((size, *t._a.shape[1:]), t._a.dtype)))
        self.draws: list[Any] = [s.call.node for s in program.steps if s.call is not None]  # made ahead
        self.drawn: list[Any] = [n for s in program.steps for n in s.writes if n.op is not None and n.op.impure]
        self.numbers = [
            (t._a, program.input_slots[k])
            for k, (kind, t) in enumerate(self.entry.sources)
            if kind == "held" and self._is_number(t)
        ]
        self.results: list[Any] = []  # of each leaf: the output's number, or a value that is no tensor
        outputs = {id(t): k for k, t in enumerate(captured.outputs)}
        for value in captured.results:
            self.results.append((outputs[id(value)], None) if isinstance(value, BaseTensor) else (None, value))
        self.zeros = [e for e in self.entry.guards.entries if e[0] in ("zero", "zeros")]
        self.ahead = sum(n.type.nbytes for n in self.draws)

    def _check(self) -> None:
        program, captured = self.program, self.entry.captured
        if self.entry.halves is not None:
            raise Unfit("the gradient of its result is asked for outside")
        if self.fast.given_back:
            raise Unfit("it leaves gradients that were not there before")
        if any(isinstance(x, RememberingNumber) for x in captured.results):
            raise Unfit("it gives back a number that changes")
        if self.fast.readers:
            raise Unfit("it reads gradients that were there before")
        if captured.places:
            raise Unfit(f"it keeps a tensor from call to call ({captured.places[0].name})")
        if captured.same or captured.views:
            raise Unfit("it gives back a tensor that is not made in it")
        if self.entry.endings:
            raise Unfit("it steps a scheduler: leave that to epoch(scheduler=...)")
        if program.late:
            raise Unfit("NumPy copies one of its results")
        for s in program.steps:
            if s.call is None:
                continue
            op: Any = s.call.node.op
            if op.name != "draw" or s.call.node in program.home:
                raise Unfit(f"it calls NumPy ({s.label})")
        ahead = {id(generator_of(s.call.node)) for s in program.steps if s.call is not None}
        inside = [n for s in program.steps if s.call is None for n in s.writes if n.op is not None and n.op.impure]
        if any(id(generator_of(n)) in ahead for n in inside):
            raise Unfit("some of its draws are NumPy's, and others of the same generator are not")
        if len(self.tensors) != self.fast.given:
            raise Unfit("its arguments are not the tensors of the dataset")
        for t, given in zip(self.tensors, self.entry.given, strict=True):
            if t.requires_grad or not t._a.flags.c_contiguous:
                raise Unfit("a tensor of the dataset wants a gradient or is not contiguous")
            if t._a.shape[1:] != given._a.shape[1:] or t._a.dtype != given._a.dtype:
                raise Unfit("its arguments are not rows of the dataset's tensors")

    def _is_number(self, t: Any) -> bool:
        optimizers = self.entry.guards.optimizers
        return any(t is n for o in optimizers for n in o._inputs.values()) or any(
            t._a is a for a, _ in self.entry.numbers
        )

    def most(self) -> int:
        """Say how many steps may be run in one call, so that draws made ahead of them take not too much memory."""
        return max(1, MOST_AHEAD // self.ahead) if self.ahead else 1 << 40

    # -- running -----------------------------------------------------------------------------------------------------------
    def __call__(self, rows: Any, count: int) -> tuple[list[Any], int]:
        """Run ``count`` steps on these rows (a slice, or an array); give each result's arrays, and how many were run.

        Fewer are run where an index was out of range; the program's error is set then, and generators and the scheduler are
        as they were before the step that failed.
        """
        program = self.program
        states = self._states() if program.error is not None else None
        moved, count = self._numbers(count)
        drawn = self._draw(count)
        table = program.table.copy()
        block = self._block()
        gathers, moves, kept = self._batches(rows)
        for slots, values in [*drawn, *moved]:
            moves += self._moves(slots, values.ctypes.data, values.strides[0])
        blocks = {k: np.empty((count, *shape), dtype) for k, (shape, dtype) in enumerate(self.fast.makes)}
        for k, values in blocks.items():
            size = math.prod(values.shape[1:]) * values.itemsize
            moves += self._moves(program.output_slots[k], values.ctypes.data, size)
        token = quiet_on(_quiet)
        block.fill()
        try:
            done = self._run(count, gathers, moves)
        finally:
            quiet_off(token)
            program.table[:] = table
            block.put_back()
        del kept
        for s in self.fast.storages:
            s.version += done
        if states is not None and done < count:
            self._back(states, done)
        return [value if k is None else blocks[k][:done] for k, value in self.results], done

    def _run(self, count: int, gathers: list[Gather], moves: list[Move]) -> int:
        self.calls += 1
        program = self.program
        if self.calls == 2 and program.lean is None and program.error is None:
            program.lean = self._lean() or False
        ahead = count - 1 if program.lean else 0  # nobody sees the gradients of these
        if ahead:
            program.lean(ahead, gathers, moves)
        return int(self.rounds(count, gathers, moves, ahead))

    def _lean(self) -> Any:
        """Give what runs the steps without storing the gradients that the next step writes over."""
        program, count = self.program, len(self.entry.captured.outputs)
        grads = {program.graph.outputs[k + count]: ("output", k + count) for k in range(len(self.fast.grads))}
        found = without_stores(program, {n for n, place in grads.items() if program.home.get(n) == place})
        if found is None:
            return None
        records, code = found
        drive = program.loaded.address("rg_drive")
        rounds = Rounds(drive, records.ctypes.data, len(records) // 3)
        rounds.kept = records, code
        return program.held.guarding(rounds)

    def _block(self) -> Block:
        """Lay out what the steps read and write besides their batches side by side, and note its addresses."""
        fast, program, count = self.fast, self.program, len(self.entry.captured.outputs)
        written = {k for k in self.entry.targets if isinstance(k, int)}
        held = [(t._a, program.input_slots[k], k in written) for t, k in fast.held]
        held += [(made._a, program.output_slots[k + count], True) for k, (_, made) in enumerate(fast.grads)]
        held = [h for h in held if h[1]]
        block = Block([(a, is_written) for a, _, is_written in held], [t._a for t in self.tensors])
        for a, (_, slots, _) in zip(block.arrays, held, strict=True):
            for at, extra in slots:
                program.table[at] = a.ctypes.data + extra
        return block

    def _moves(self, slots: Any, first: int, stride: int) -> list[Move]:
        table = self.program.table.ctypes.data
        return [Move(table + 8 * at, first + extra, stride) for at, extra in slots]

    def _batches(self, rows: Any) -> tuple[list[Gather], list[Move], Any]:
        """Rows one after another are read where they lie; others are gathered by their numbers, whose array comes last."""
        gathers, moves = [], []
        numbers = None if isinstance(rows, slice) else np.ascontiguousarray(rows, np.int64)
        for a, slots, batch in self.given:
            row = math.prod(a.shape[1:]) * a.itemsize
            if numbers is None:
                moves += self._moves(slots, a.ctypes.data + rows.start * row, self.size * row)
                continue
            gathers.append(Gather(a.ctypes.data, batch.ctypes.data, row, self.size, numbers.ctypes.data))
            for at, extra in slots:
                self.program.table[at] = batch.ctypes.data + extra
        return gathers, moves, numbers

    def _draw(self, count: int) -> list[tuple[Any, Any]]:
        """Draw for all steps, in the order in which they would."""
        blocks = [np.empty((count, *n.shape), n.dtype) for n in self.draws]
        for i in range(count if blocks else 0):
            for node, block in zip(self.draws, blocks, strict=True):
                block[i] = node.op.numpy(**node.attrs)
        return [(self.program.made_slots[n], b) for n, b in zip(self.draws, blocks, strict=True)]

    def _numbers(self, count: int) -> tuple[list[tuple[Any, Any]], int]:
        """Step the scheduler for all steps, and note the numbers of each; fewer where one becomes zero, or is no longer."""
        if self.scheduler is None:
            return [], count
        blocks = [np.empty((count, *a.shape), a.dtype) for a, _ in self.numbers]
        for i in range(count):
            if not self.entry.guards.holds(self.zeros):
                count = i
                break
            self.entry.refresh()
            for (a, _), block in zip(self.numbers, blocks, strict=True):
                block[i] = a
            self.scheduler.step()
        return [(slots, b) for (_, slots), b in zip(self.numbers, blocks, strict=True)], count

    # -- going back --------------------------------------------------------------------------------------------------------
    def _states(self) -> Any:
        generators = {id(g): g for g in map(generator_of, self.drawn)}
        settings = None
        if self.scheduler is not None:
            groups = [
                (g, {k: v for k, v in g.items() if k != "params"})
                for o in self.entry.guards.optimizers
                for g in o.param_groups
            ]
            settings = copy.deepcopy(self.scheduler.state_dict()), groups
        return [(g, g.get_state()) for g in generators.values()], settings

    def _back(self, states: Any, done: int) -> None:
        """Put generators and the scheduler where they were after so many steps."""
        generators, settings = states
        for generator, state in generators:
            generator.set_state(state)
        for node in self.drawn * done:
            node.op.numpy(**node.attrs)
        if settings is not None:
            self.scheduler.load_state_dict(settings[0])
            for group, values in settings[1]:
                group.update(values)
            for _ in range(done):
                self.scheduler.step()


__all__ = ["Several", "Unfit"]
