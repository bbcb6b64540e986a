"""Program: a Graph lowered to native segments and NumPy calls in order, with its memory."""

from __future__ import annotations

import ctypes
import math
import time
import weakref
from typing import Any

import numpy as np

from ..core import Graph, Node, quiet_off, quiet_on
from ..core.door import _quiet
from ..core.threads import threads
from .codegen.emit import symbol
from .codegen.loops import ERROR
from .draws.again import draw_again
from .draws.steps import Held, generators
from .driver import WAKING, write_driver
from .layout import HIDDEN, Layout, may_fail
from .lowering.maps import strides_of
from .passes import optimise
from .runtime import pool
from .runtime.cache import native
from .step import Goal, Step
from .steps import StepWriter
from .together import groups, run_records, segments, write_together

PROGRAMS: weakref.WeakSet[Any] = weakref.WeakSet()  # all that there are


class Program:
    """Runs a graph on arrays.

    Parameters
    ----------
    graph : Graph
        Traced; it is optimised here.
    targets : sequence of int or None
        For each output, the input whose memory it is written back to, None for a result of its own, or HIDDEN for what is only
        to be done, such as a draw that nothing uses.
    """

    def __init__(self, graph: Graph, targets: Any = None, optimised: bool = False) -> None:
        self.targets = list(targets) if targets is not None else [None] * len(graph.outputs)
        began = time.perf_counter()
        self.graph = graph = graph if optimised else draw_again(optimise(graph))
        self.work = sum(n.type.nbytes for n in graph.nodes) // 4
        self.writer = StepWriter(graph)
        self.steps, self.schedule, self.module = self.writer.steps, self.writer.schedule, self.writer.module
        self.layout = Layout(self.writer, self.targets)
        self.home, self.offset, self.late = self.layout.home, self.layout.offset, self.layout.late
        self.arena_bytes = self.layout.arena_bytes
        self.lean: Any = None  # what runs it without results that nobody sees, once it is asked for
        self._load()
        self.python_seconds = time.perf_counter() - began - self.llvm_seconds

    def _load(self) -> None:
        """Assemble the kernels, and lay out the table of addresses."""
        self.arena = np.zeros(self.arena_bytes + 64, np.uint8)
        PROGRAMS.add(self)
        start = -self.arena.ctypes.data % 64
        self.arena_at = self.arena.ctypes.data + start
        self.arena_start = start
        write_driver(self.module)
        write_together(self.module)
        self.text = self.module.text()
        assembling = time.perf_counter()
        self.loaded = native(self.text, "program", own=self.module.has(ERROR))
        self.llvm_seconds, self.code_from = time.perf_counter() - assembling, self.loaded.origin
        pool.ensure(threads())
        inputs = {n: k for k, n in enumerate(self.graph.inputs)}
        self.fixed = {n: np.ascontiguousarray(v) for n, v in self.graph.constants.items() if isinstance(v, np.ndarray)}
        self.inputs = inputs
        table: list[int] = []
        self.input_slots: list[list[tuple[int, int]]] = [[] for _ in inputs]
        self.output_slots: list[list[tuple[int, int]]] = [[] for _ in self.graph.outputs]
        # of what NumPy makes
        self.made_slots: dict[Node, list[tuple[int, int]]] = {s.call.node: [] for s in self.steps if s.call is not None}
        records: list[int] = []
        rows = []
        for s in self.steps:
            rows.append(len(table))
            if s.call is not None:
                continue
            for node, extra in zip(s.arguments, s.offsets, strict=True):
                at = len(table)
                if isinstance(node, int):
                    table.append(node)
                elif isinstance(node, Goal):
                    target = self.targets[node.output]
                    slots = self.output_slots[node.output] if target is None else self.input_slots[target]
                    slots.append((at, extra))
                    table.append(0)
                elif node in self.fixed:
                    table.append(self.fixed[node].ctypes.data + extra)
                elif node in inputs:
                    self.input_slots[inputs[node]].append((at, extra))
                    table.append(0)
                elif node in self.home:
                    kind, k = self.home[node]
                    (self.input_slots if kind == "input" else self.output_slots)[k].append((at, extra))
                    table.append(0)
                else:
                    if node in self.made_slots:
                        self.made_slots[node].append((at, extra))
                    table.append(self.arena_at + self.offset[node] + extra)
        self.table = np.array(table or [0], np.uint64)
        for s, row in zip(self.steps, rows, strict=True):
            if s.call is None:
                records += [
                    self.loaded.address(s.name),
                    self.table.ctypes.data + 8 * row,
                    s.chunks + (WAKING if s.long else 0),
                ]
        self.single_records = np.array(records or [0], np.uint64)  # one for each native step
        self.singles = segments(self.steps, [s.call is None for s in self.steps], self.single_records)
        times = [s.time for s in self.schedule.steps]
        self.groups = groups(self.steps, self._place, times)
        self.records, self._heads = run_records(self.steps, self.groups, self.single_records, self.loaded)
        inside = {k for g in self.groups for k in range(g.first + 1, g.first + g.count)}
        begins = [s.call is None and k not in inside for k, s in enumerate(self.steps)]
        self.native_steps = sum(begins)
        self.segments = segments(self.steps, begins, self.records)
        self.drive = self.loaded.function("rg_drive", None, ctypes.c_void_p, ctypes.c_int64)
        checks = self.module.has(ERROR)
        self.error = ctypes.c_int64.from_address(self.loaded.address(symbol(ERROR))) if checks else None
        self.repeatable = self._is_repeatable()
        self.held = Held(generators(self.graph))

    def _place(self, node: Node) -> tuple[Any, int, int] | None:
        """Give where a value lies: whose memory, and from where to where in it; None for a constant."""
        if node in self.offset:
            return "arena", self.offset[node], self.offset[node] + node.type.nbytes
        where = ("input", self.inputs[node]) if node in self.inputs else self.home.get(node)
        return None if where is None else (where, 0, 1)

    # -- running -----------------------------------------------------------------------------------------------------------
    def __call__(self, values: Any, into: Any = None) -> list[Any]:
        """Run on arrays, one per input, contiguous; targets are written in place; gives the other outputs.

        ``into`` has arrays that outputs are to be made in, by their numbers.
        """
        results: list[Any] = [None] * len(self.graph.outputs)
        for k, node in enumerate(self.graph.outputs):
            if self.targets[k] is None:
                made = None if into is None else into.get(k)
                results[k] = np.empty(node.shape, node.dtype) if made is None else made
        for tables, arrays in ((self.input_slots, values), (self.output_slots, results)):
            for slots, a in zip(tables, arrays, strict=True):
                if slots:
                    pointer = a.ctypes.data
                    for at, extra in slots:
                        self.table[at] = pointer + extra
        self.execute(values, results)
        return [r for r, t in zip(results, self.targets, strict=True) if t is None]

    def complain(self) -> None:
        """Raise IndexError if generated code met an index that does not exist."""
        if self.error is not None and self.error.value:
            size, self.error.value = self.error.value, 0
            raise IndexError(f"an index is out of bounds for a dimension with size {size} (in a compiled function)")

    def _is_repeatable(self) -> bool:
        """Tell whether what can fail comes before the first write of what lives outside, and nothing is drawn."""
        first, last = len(self.steps), -1
        for i, s in enumerate(self.steps):
            if may_fail(s):
                last = i
            outside = [a for a in s.arguments if isinstance(a, Goal) and self.targets[a.output] is not None]
            if outside or any(self.home.get(n, ("",))[0] == "input" for n in s.writes):
                first = min(first, i)
        return last < first and not any(n.op is not None and n.op.impure for n in self.graph.nodes)

    def execute(self, values: Any, results: Any) -> None:
        """Run the steps; the table holds the addresses of the arrays already."""
        token = quiet_on(_quiet)
        self.held.__enter__()
        try:
            for segment in self.segments:
                if isinstance(segment, list):
                    self.drive(*segment)
                    self.complain()
                else:
                    self._run_call(segment, values, results)
            for k, base, offset, strides in self.late:
                node = self.graph.outputs[k]
                goal = results[k] if self.targets[k] is None else values[self.targets[k]]
                np.copyto(goal, self._array(base, values, results, offset, strides, node.shape))
        finally:
            self.held.__exit__()
            quiet_off(token)

    def _array(self, node: Node, values: Any, results: Any, offset: int, strides: Any, shape: Any) -> Any:
        """Give a value in memory as an array."""
        inputs = self.inputs
        size = node.dtype.itemsize
        if node in self.fixed:
            base = self.fixed[node]
        elif node in inputs:
            base = values[inputs[node]]
        elif node in self.home:
            kind, k = self.home[node]
            base = values[k] if kind == "input" else results[k]
        else:
            start = self.arena_start + self.offset[node]
            count = math.prod(node.shape) * size
            base = self.arena[start : start + count].view(node.dtype)
        flat = base.reshape(-1)
        return np.lib.stride_tricks.as_strided(flat[offset:], shape, tuple(s * size for s in strides))

    def _run_call(self, step: Step, values: Any, results: Any) -> None:
        call: Any = step.call
        node = call.node
        arguments = []
        for i, o in zip(node.inputs, call.operands, strict=True):
            if o is None:
                arguments.append(self.graph.constants[i])
            else:
                arguments.append(self._array(o[0], values, results, o[1], o[2], i.shape))
        found = node.op.numpy(*arguments, **node.attrs)
        np.copyto(self._array(node, values, results, 0, strides_of(node.shape), node.shape), found)


__all__ = ["HIDDEN", "Program"]
