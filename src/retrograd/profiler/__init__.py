"""torch.profiler: how often each operation ran and how long it took, and how long the blocks took that the user names.

>>> import retrograd as torch
>>> x = torch.ones(3, 3)
>>> with torch.profiler.profile() as prof:
...     with torch.profiler.record_function("square"):
...         _ = x @ x
>>> sorted(event.key for event in prof.key_averages())
['aten::matmul', 'square']
"""

from __future__ import annotations

import enum
import functools
import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..core import MODE, REGISTRY

_LOCK = threading.Lock()
_running: list[profile] = []
_doors: dict[Any, Any] = {}  # by operation: what computes it where operands are small, while it is put aside
_inside = threading.local()  # whether a clock runs in this thread: one that calls another counts for both


class ProfilerActivity(enum.Enum):
    """What can be watched: here, the CPU."""

    CPU = 0
    CUDA = 2
    XPU = 1
    MTIA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(enum.Enum):
    """What a profiler does at a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """Give what can be watched: the CPU."""
    return {ProfilerActivity.CPU}


def kineto_available() -> bool:
    """Tell whether PyTorch's tracing library is there: no."""
    return False


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """Give a function of the step's number that says what to do: wait, warm up, record, over and over."""

    def action(step: int) -> ProfilerAction:
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        length = wait + warmup + active
        if repeat and step // length >= repeat:
            return ProfilerAction.NONE
        place = step % length
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if place == length - 1 else ProfilerAction.RECORD

    return action


class FunctionEventAvg:
    """The runs of one operation, or of the blocks of one name, together; times in microseconds."""

    def __init__(self, key: str, input_shapes: Any = None) -> None:
        self.key, self.input_shapes = key, input_shapes
        self.count = 0
        self.self_cpu_time_total = self.cpu_time_total = 0.0
        self.self_cpu_memory_usage = self.cpu_memory_usage = 0  # bytes of results, whether or not they are kept

    @property
    def cpu_time(self) -> float:
        """Microseconds of one run, on average."""
        return self.cpu_time_total / self.count if self.count else 0.0

    cuda_time = cuda_time_total = self_cuda_time_total = device_time = device_time_total = self_device_time_total = 0.0
    cuda_memory_usage = self_cuda_memory_usage = device_memory_usage = self_device_memory_usage = flops = 0

    def __repr__(self) -> str:
        return f"<FunctionEventAvg key={self.key} self_cpu_time={_shown(self.self_cpu_time_total)} count={self.count}>"


def _shown(us: float) -> str:
    if us >= 1e6:
        return f"{us / 1e6:.3f}s"
    return f"{us / 1e3:.3f}ms" if us >= 1e3 else f"{us:.3f}us"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(count) >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"


class EventList(list[FunctionEventAvg]):
    """Events, with a table of them."""

    memory = False  # whether the table shows bytes

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all operations."""
        return float(sum(e.self_cpu_time_total for e in self))

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        header: str | None = None,
        top_level_events_only: bool = False,
        **ignored: Any,
    ) -> str:
        """Give the events as text, the dearest first where ``sort_by`` names what counts."""
        rows = list(self)
        if sort_by is not None:
            field = sort_by.replace("cuda", "cpu").replace("device", "cpu")
            if rows and not hasattr(rows[0], field):
                raise AttributeError(f"table: there is nothing to sort by called {sort_by!r}; try cpu_time_total")
            rows.sort(key=lambda e: getattr(e, field), reverse=True)
        rows = rows[:row_limit] if row_limit >= 0 else rows
        total = self.self_cpu_time_total or 1.0
        shaped = any(e.input_shapes is not None for e in rows)
        names = ["Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg"]
        names += ["CPU Mem", "Self CPU Mem"] * self.memory + ["# of Calls"] + ["Input Shapes"] * shaped
        cells = [
            [
                e.key[:max_name_column_width],
                f"{100 * e.self_cpu_time_total / total:.2f}%",
                _shown(e.self_cpu_time_total),
                f"{100 * e.cpu_time_total / total:.2f}%",
                _shown(e.cpu_time_total),
                _shown(e.cpu_time),
                *([_bytes(e.cpu_memory_usage), _bytes(e.self_cpu_memory_usage)] if self.memory else []),
                str(e.count),
                *([str(e.input_shapes or [])] if shaped else []),
            ]
            for e in rows
        ]
        widths = [max(12, *(len(row[k]) for row in [names, *cells])) for k in range(len(names))]
        rule = "  ".join("-" * n for n in widths)
        lines = [] if header is None else ["=" * len(rule), header]
        lines += [rule, "  ".join(c.rjust(n) for c, n in zip(names, widths, strict=True)), rule]
        lines += ["  ".join(c.rjust(n) for c, n in zip(row, widths, strict=True)) for row in cells]
        return "\n".join([*lines, rule, f"Self CPU time total: {_shown(self.self_cpu_time_total)}", ""])

    def key_averages(self, *args: Any, **options: Any) -> EventList:
        """Give the events: they are averages already."""
        return self

    def __str__(self) -> str:
        return self.table()


class profile:
    """Count and time the operations inside a ``with`` block, the blocks named by `record_function` too.

    While it runs, operations are recorded one by one and are not fused, so the whole is slower than without.

    Parameters
    ----------
    activities : iterable of ProfilerActivity, optional
        Accepted; the CPU is what is watched.
    schedule : callable, optional
        What to do at which step; see `schedule`. Without one, everything is recorded.
    on_trace_ready : callable, optional
        Called with the profiler whenever a recording is complete.
    record_shapes, profile_memory : bool
        Whether ``key_averages(group_by_input_shape=True)`` tells shapes apart, and whether tables show the bytes of results.
    with_stack, with_flops, with_modules
        Accepted.
    """

    def __init__(
        self,
        *,
        activities: Iterable[Any] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        acc_events: bool = False,
        **ignored: Any,
    ) -> None:
        self.schedule, self.on_trace_ready, self.step_num = schedule, on_trace_ready, 0
        self._spans: list[tuple[str, float, float, bool, int, int, Any]] = []
        self._shapes, self._memory = record_shapes, profile_memory
        self._recording = False

    def start(self) -> None:
        """Start the profiler."""
        self._follow()

    def stop(self) -> None:
        """Stop it; the recording is complete."""
        if self._recording:
            self._off()
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)

    def step(self) -> None:
        """Say that a step of the program is done."""
        if self._action() is ProfilerAction.RECORD_AND_SAVE and self._recording:
            self._off()
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)
        self.step_num += 1
        self._follow()

    def _action(self) -> ProfilerAction:
        return ProfilerAction.RECORD if self.schedule is None else self.schedule(self.step_num)

    def _follow(self) -> None:
        wanted = self._action() in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if wanted and not self._recording:
            self._spans = []
            self._on()
        elif self._recording and not wanted:
            self._off()

    def _on(self) -> None:
        self._recording = True
        with _LOCK:
            _running.append(self)
            if len(_running) == 1:
                _time_operations(True)
        MODE.observers = (*MODE.observers, _watch)
        MODE.settle()

    def _off(self) -> None:
        self._recording = False
        with _LOCK:
            _running.remove(self)
            if not _running:
                _time_operations(False)
        observers = list(MODE.observers)
        observers.remove(_watch)
        MODE.observers = tuple(observers)
        MODE.settle()

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stop()

    def events(self) -> EventList:
        """Give the events."""
        return self.key_averages()

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> EventList:
        """Give what was recorded, by operation and by named block, and by the operands' shapes where that is asked for."""
        found: dict[Any, FunctionEventAvg] = {}
        told = self._shapes and group_by_input_shape
        for name, start, end, operation, thread, size, shapes in self._spans:
            key = (name, str(shapes)) if told else name
            event = found.setdefault(key, FunctionEventAvg(name, shapes if told else None))
            event.count += 1
            event.cpu_time_total += (end - start) * 1e6
            if operation:
                event.self_cpu_time_total += (end - start) * 1e6
                event.self_cpu_memory_usage += size
            else:
                size = sum(s[5] for s in self._spans if s[3] and s[4] == thread and start <= s[1] and s[2] <= end)
            event.cpu_memory_usage += size
        events = EventList(found.values())
        events.memory = self._memory
        return events

    def export_chrome_trace(self, path: str) -> None:
        """Write the recording as a file that chrome://tracing reads."""
        events = [
            {"name": n, "ph": "X", "ts": s * 1e6, "dur": (e - s) * 1e6, "pid": os.getpid(), "tid": t}
            for n, s, e, _, t, *_ in self._spans
        ]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events}, file)

    def add_metadata(self, key: str, value: str) -> None:
        """Accept a note."""

    add_metadata_json = add_metadata


class _SwitchedProfile(profile):
    """The old form, ``torch.autograd.profiler.profile``, whose first argument says whether anything is recorded."""

    def __init__(self, enabled: bool = True, **options: Any) -> None:
        super().__init__(**{k: v for k, v in options.items() if k not in ("use_cuda", "use_cpu", "use_device")})
        self.enabled = enabled

    def _action(self) -> ProfilerAction:
        return ProfilerAction.RECORD if self.enabled else ProfilerAction.NONE

    def __str__(self) -> str:
        return self.key_averages().table()

    def table(self, *args: Any, **options: Any) -> str:
        """Give what was recorded as text."""
        return self.key_averages().table(*args, **options)

    def total_average(self) -> FunctionEventAvg:
        """Give all operations as one."""
        total = FunctionEventAvg("Total")
        for event in self.key_averages():
            total.count += event.count
            total.self_cpu_time_total += event.self_cpu_time_total
        total.cpu_time_total = total.self_cpu_time_total
        return total

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all operations."""
        return self.key_averages().self_cpu_time_total


def _watch(op: Any, xs: Any, attrs: Any, result: Any) -> None:
    """Stand among the observers, so that operations pass the door one by one."""


def _time_operations(on: bool) -> None:
    """Put a clock before every operation's function, or take it away; what computes small arrays past it waits meanwhile."""
    for op in list(REGISTRY.values()):
        if on:
            op.numpy = _clocked(op.numpy, f"aten::{op.name}")
            if op.large is not None:
                op.large = _clocked(op.large, f"aten::{op.name}")
            if op.quick_door is not None:
                _doors[op], op.quick_door = op.quick_door, None
        else:
            op.numpy = getattr(op.numpy, "__wrapped__", op.numpy)
            op.large = getattr(op.large, "__wrapped__", op.large)
    if not on:
        for op, door in _doors.items():
            op.quick_door = door
        _doors.clear()


def _is_new(a: Any) -> bool:
    """Tell whether an array has memory of its own."""
    return isinstance(a, np.ndarray) and a.base is None


def _clocked(fn: Any, name: str) -> Any:
    def clocked(*xs: Any, **attrs: Any) -> Any:
        if getattr(_inside, "clock", False):
            return fn(*xs, **attrs)
        _inside.clock = True
        start = time.perf_counter()
        made = None
        try:
            made = fn(*xs, **attrs)
            return made
        finally:
            _inside.clock = False
            end, thread = time.perf_counter(), threading.get_ident()
            size = sum(a.nbytes for a in (made if isinstance(made, tuple) else (made,)) if _is_new(a))
            shapes = [list(x.shape) for x in xs if isinstance(x, np.ndarray)]
            for each in _running:
                each._spans.append((name, start, end, True, thread, size, shapes))

    clocked.__wrapped__ = fn  # type: ignore[attr-defined]
    return clocked


class record_function:
    """A block, or a decorator, whose time is recorded under a name.

    Examples
    --------
    >>> import retrograd as torch
    >>> with torch.profiler.record_function("nothing is recorded without a profiler"):
    ...     pass
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self._starts: list[float] = []

    def __enter__(self) -> record_function:
        self._starts.append(time.perf_counter())
        return self

    def __exit__(self, *error: Any) -> None:
        start = self._starts.pop()
        for each in _running:
            each._spans.append((self.name, start, time.perf_counter(), False, threading.get_ident(), 0, []))

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return fn(*args, **kwargs)

        return wrapped


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None, use_gzip: bool = False) -> Any:
    """Give a function that writes each recording into a folder."""

    def handler(prof: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{os.uname().nodename}_{os.getpid()}"
        prof.export_chrome_trace(os.path.join(dir_name, f"{worker}.{time.time_ns() // 1_000_000}.pt.trace.json"))

    return handler


class emit_nvtx:
    """Ranges for NVIDIA's profiler: there is no such device, and the block runs as without."""

    def __init__(self, enabled: bool = True, record_shapes: bool = False) -> None:
        self.enabled, self.record_shapes = enabled, record_shapes

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: Any) -> None:
        return None


emit_itt = emit_nvtx

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "kineto_available",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]
