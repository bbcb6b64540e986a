"""Equal kernels side by side: steps that call one kernel and do not wait for each other become one record, and share the threads.

A schedule gives each step a time above those of all that it reads, so steps of one time may be taken in any order, and a step may
wait until just before its first reader. Those that call the same kernel are brought together, and one record goes over their rows of
addresses; where together they are worth it, in chunks, which threads share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import Node
from .codegen.emit import Module
from .driver import WAKING

if TYPE_CHECKING:
    from .step import Step

MOST_CHUNKS = 8
WAITING = 1 << 14  # bytes that a step reads, and so keeps in memory if it waits
LEAST_WORTH = 1 / 32  # of what two threads share, that a step must be to be another thread's
KERNEL, ROWS, WORDS, PER, COUNT, HEAD = range(6)  # words of a group's own row of the table


@dataclass(frozen=True)
class Group:
    """Steps ``first`` to ``first + count - 1``, as one record of so many chunks, each of ``per`` steps."""

    first: int
    count: int
    chunks: int
    per: int


def bring_together(steps: list[Step], sources: list[Any]) -> None:
    """Bring steps that call one kernel together in place, as far as none waits for another; the others keep their order."""
    _put_off(steps, sources)
    seen: dict[Any, int] = {}
    keys = []
    for k, (step, source) in enumerate(zip(steps, sources, strict=True)):
        kind = (source.time, step.name, len(step.arguments)) if step.alike else k
        keys.append((source.time, seen.setdefault(kind, k), k))
    order = [k for *_, k in sorted(keys)]
    steps[:] = [steps[k] for k in order]
    sources[:] = [sources[k] for k in order]


def _put_off(steps: list[Step], sources: list[Any]) -> None:
    """Give steps with one kernel the same time, where each may wait so long, and keeps little in memory meanwhile."""
    touched: dict[Node, list[int]] = {}
    for k, s in enumerate(steps):
        for node in {*s.reads, *s.writes}:
            touched.setdefault(node, []).append(k)
    kinds: dict[Any, list[int]] = {}
    for k, s in enumerate(steps):
        if s.alike:
            kinds.setdefault((s.name, len(s.arguments)), []).append(k)
    for members in kinds.values():
        members.sort(key=lambda k: sources[k].time)
        run: list[int] = []
        until = math.inf
        for k in members:
            time = sources[k].time
            if run and time >= until:
                _meet_at(run, sources)
                run, until = [], math.inf
            own = _until(k, steps, sources, touched)
            if own > time and sum(n.type.nbytes for n in steps[k].reads) <= WAITING:
                run.append(k)
                until = min(until, own)
        _meet_at(run, sources)


def _until(k: int, steps: list[Step], sources: list[Any], touched: dict[Node, list[int]]) -> float:
    """Give the time of the first step that reads or writes what a step writes."""
    others = (sources[j].time for node in steps[k].writes for j in touched[node] if j != k)
    return min((t for t in others if t >= sources[k].time), default=math.inf)


def _meet_at(run: list[int], sources: list[Any]) -> None:
    if len(run) > 1:
        last = max(sources[k].time for k in run)
        for k in run:
            sources[k].time = last


def groups(steps: list[Step], place: Any, times: list[float]) -> list[Group]:
    """Find runs of at least two steps that are one record; ``place`` gives where a value lies: (memory, first byte, end)."""
    found = []
    k = 0
    while k < len(steps):
        end = k + 1
        while (
            end < len(steps)
            and end < len(times)
            and steps[k].alike
            and _is_like(steps[k], steps[end], times[k], times[end])
        ):
            end += 1
        if end - k > 1:
            found.append(_group(steps, k, end - k, place))
        k = end
    return found


def _is_like(a: Step, b: Step, time: float, other: float) -> bool:
    same = a.name == b.name and len(a.arguments) == len(b.arguments)
    return same and b.alike and time == other and a.chunks == b.chunks == 1


def _group(steps: list[Step], first: int, count: int, place: Any) -> Group:
    members = steps[first : first + count]
    worth = sum(s.worth for s in members)
    chunks = 1
    if worth >= 1 and min(s.worth for s in members) >= LEAST_WORTH and not _meet(members, place):
        chunks = min(count, MOST_CHUNKS, max(2, int(2 * worth)))
    per = -(-count // chunks)
    return Group(first, count, -(-count // per), per)


def _meet(members: list[Step], place: Any) -> bool:
    """Tell whether one step writes where another reads or writes, which its values' lifetimes allow one after another."""
    spans: list[tuple[Any, int, int, int, bool]] = []
    for k, s in enumerate(members):
        written: set[Node] = set(s.writes)
        for node in {*s.reads, *s.writes}:
            where = place(node)
            if where is not None:
                spans.append((*where, k, node in written))
    spans.sort(key=lambda s: (str(s[0]), s[1]))
    open_: list[tuple[Any, int, int, int, bool]] = []
    for span in spans:
        memory, start, _, k, writes = span
        open_ = [o for o in open_ if o[0] == memory and o[2] > start]
        if any(o[3] != k and (writes or o[4]) for o in open_):
            return True
        open_.append(span)
    return False


def write_together(module: Module) -> None:
    """Write the function of such a record: it calls the kernel on each row of this chunk."""
    f = module.function("together", [("ptr", "arguments"), ("i64", "chunk")])
    kernel, rows = (f.load("ptr", f.element("i64", f.arguments, k), 8) for k in (KERNEL, ROWS))
    words, per, count = (f.load("i64", f.element("i64", f.arguments, k), 8) for k in (WORDS, PER, COUNT))
    first = f.mul(f.chunk, per)
    with f.loop(first, f.min(f.add(first, per), count)) as k:
        f.call(kernel, arguments=[("ptr", f.element("i64", rows, f.mul(k, words))), ("i64", 0)])
    f.ret()


def run_records(steps: list[Step], found: list[Group], single: Any, loaded: Any) -> tuple[Any, Any]:
    """Give the records of a run, from one for each native step, and the memory of the groups' own rows."""
    starts = {g.first: g for g in found}
    heads = np.zeros((max(len(found), 1), HEAD), np.uint64)
    rows: list[Any] = []
    record = 0
    numbers = []
    for s in steps:
        numbers.append(record)
        record += s.call is None
    k = 0
    while k < len(steps):
        group = starts.get(k)
        if group is None:
            if steps[k].call is None:
                rows.append(single[3 * numbers[k] : 3 * numbers[k] + 3])
            k += 1
            continue
        head = heads[found.index(group)]
        kernel, row = single[3 * numbers[k]], single[3 * numbers[k] + 1]
        head[:] = kernel, row, len(steps[k].arguments), group.per, group.count
        waking = WAKING if group.chunks > 1 and sum(s.worth for s in steps[k : k + group.count]) >= 2 else 0
        rows.append((loaded.address("rg_together"), head.ctypes.data, group.chunks + waking))
        k += group.count
    return np.array(rows or [(0, 0, 0)], np.uint64).reshape(-1), heads


def segments(steps: list[Step], begins: list[bool], records: Any) -> list[Any]:
    """Give what is run in order: calls of NumPy, and runs of records as [address, how many]; ``begins`` tells which steps have one."""
    found: list[Any] = []
    at = 0
    for step, is_record in zip(steps, begins, strict=True):
        if step.call is not None:
            found.append(step)
        elif is_record:
            if found and isinstance(found[-1], list):
                found[-1][1] += 1
            else:
                found.append([records.ctypes.data + 24 * at, 1])
            at += 1
    return found


__all__ = ["Group", "bring_together", "groups", "run_records", "segments", "write_together"]
