"""memory_report: where a training step's bytes are, and when they are most."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core import MODE, BaseTensor, describe
from ..nn.modules.module import Module, register_module_forward_hook, register_module_forward_pre_hook
from ..optim import Optimizer
from ..random.generator import default_generator
from ..random.snapshot import Snapshot
from ..tensor import Parameter
from .budget import Library, text_of
from .counter import Counter
from .planning import made
from .profile import Profile
from .recorder import Recorder
from .resident import Resident
from .saving import Installed
from .show import bars

MOST_RUNS = 3  # that are recorded, until two agree


@dataclass
class Kept:
    """What is kept at one place for the walk."""

    place: str
    module: str
    op: str
    nbytes: int
    values: int


@dataclass
class Compiled:
    """A program of a compiled function: what it holds between calls, and what a call makes besides.

    Attributes
    ----------
    name
        The function's.
    arena
        Bytes that the program keeps for the values of every call.
    alive
        The most of them that are in use at once.
    results
        Bytes that a call makes afresh: results and gradients.
    moment
        What is computed when the most are in use, and where.
    """

    name: str
    arena: int
    alive: int
    results: int
    moment: str


@dataclass
class Report:
    """What a step holds.

    Attributes
    ----------
    parameters, gradients, optimizer, buffers
        Bytes of each.
    kept
        What nodes keep for the walk, by line and module, largest first.
    activations
        Its sum: bytes held between the run forward and the walk.
    peak, moment
        The predicted peak of what the step adds, from the lifetimes of values, and where it is reached: operation by operation, or by
        the plans of compiled programs where the whole step is compiled.
    measured
        The peak of array bytes that the step needed, run as it is: what it added, and what compiled programs hold.
    compiled
        The programs of compiled functions that the step calls.
    resident
        The peak of the process's resident memory that it added, or None where the system does not tell.
    """

    parameters: int
    gradients: int
    optimizer: int
    buffers: int
    kept: list[Kept]
    activations: int
    peak: int
    moment: str
    measured: int
    resident: int | None
    compiled: list[Compiled] = field(default_factory=list)
    line: list[int] = field(repr=False, default_factory=list)
    limit: int = 0

    def by_module(self) -> dict[str, int]:
        """Give the bytes kept, by module."""
        found: dict[str, int] = {}
        for k in self.kept:
            found[k.module] = found.get(k.module, 0) + k.nbytes
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def by_line(self) -> dict[str, int]:
        """Give the bytes kept, by line of the program."""
        found: dict[str, int] = {}
        for k in self.kept:
            found[k.place] = found.get(k.place, 0) + k.nbytes
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def __str__(self) -> str:
        lines = [
            f"parameters      {text_of(self.parameters):>10}",
            f"gradients       {text_of(self.gradients):>10}",
            f"optimizer state {text_of(self.optimizer):>10}",
            f"buffers         {text_of(self.buffers):>10}",
            f"activations     {text_of(self.activations):>10}  kept for the walk",
            f"peak of a step  {text_of(self.peak):>10}  predicted, {self.moment}",
            f"                {text_of(self.measured):>10}  measured, in bytes of arrays",
        ]
        if self.resident is not None:
            lines.append(f"                {text_of(self.resident):>10}  measured, of the process's resident memory")
        for c in self.compiled:
            lines.append(
                f"compiled        {text_of(c.arena):>10}  held by {c.name}, {text_of(c.alive)} in use at most, {c.moment}; "
                f"{text_of(c.results)} of results"
            )
        lines += [f"over the step   {bars(self.line, max(self.limit, 1))}", "", "kept, by module"]
        lines += [f"  {text_of(b):>10}  {name}" for name, b in list(self.by_module().items())[:12]]
        lines += ["kept, by line"]
        lines += [f"  {text_of(b):>10}  {name}" for name, b in list(self.by_line().items())[:12]]
        return "\n".join(lines)


class _Collected(Library):
    """Takes one measured run, and plans nothing."""

    def __init__(self) -> None:
        super().__init__(1 << 62)
        self.profile: Profile | None = None

    def add(self, profile: Profile) -> None:
        if self.profile is None:
            self.profile = profile


class _Listening(Recorder):
    """Hears of a compiled function's operations one by one, and notes which functions there are."""

    def __init__(self, library: Any) -> None:
        super().__init__(library, None)
        self.functions: list[Any] = []
        self.within = 0  # values that were made in them

    def compiled(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if function not in self.functions:
            self.functions.append(function)
        before = len(self.round.cells)
        result = function.fn(*args, **kwargs)
        self.within += len(self.round.cells) - before
        return result


def _programs(functions: list[Any]) -> list[Compiled]:
    """Describe the programs of compiled functions."""
    found = []
    for function in functions:
        for entries in function.entries.values():
            for entry in entries:
                parts = [entry.program] if entry.halves is None else [entry.program, entry.backward]
                found += [_program(function.name + of, p) for of, p in zip(("", ", back"), parts, strict=False)]
    return found


def _program(name: str, program: Any) -> Compiled:
    from ..compiler.explain import plan_of

    plan = plan_of(program)
    live = plan["live_bytes"]
    moment = ""
    if live:
        writes = [n for n in program.steps[live.index(max(live))].writes if n.op is not None]
        moment = f"at {writes[0].op.name}, {describe(writes[0].place)}" if writes else ""
    return Compiled(
        name, plan["arena_bytes"], min(plan["peak_bytes"], plan["arena_bytes"]), plan["output_bytes"], moment
    )


def _roots(tensors: Any) -> dict[int, int]:
    found: dict[int, int] = {}
    for t in tensors:
        a = getattr(t, "_a", None)
        if a is not None:
            while getattr(a, "base", None) is not None and hasattr(a.base, "nbytes"):
                a = a.base
            found[id(a)] = a.nbytes
    return found


def _tensors_in(value: Any) -> list[Any]:
    found, todo = [], [value]
    while todo:
        x = todo.pop()
        if isinstance(x, BaseTensor):
            found.append(x)
        elif isinstance(x, dict):
            todo.extend(x.values())
        elif isinstance(x, (list, tuple)):
            todo.extend(x)
    return found


@contextlib.contextmanager
def _module_names(recorder: Recorder) -> Iterator[dict[int, str]]:
    """Note, for each value, in which module it was made."""
    names: dict[int, str] = {}
    stack: list[str] = []
    found: dict[int, str] = {}

    def enter(module: Any, args: Any) -> None:
        if not stack:
            names.update({id(m): n for n, m in module.named_modules()})
        kind = type(module).__name__
        name = names.get(id(module), "")
        stack.append(f"{name} ({kind})" if name else kind)

    def leave(module: Any, args: Any, output: Any) -> None:
        stack.pop()

    def noted(op: Any, xs: Any, attrs: Any, t: Any) -> None:
        found[len(recorder.round.cells) - 1] = stack[-1] if stack else "(outside of modules)"

    handles = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
    MODE.observers += (noted,)
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
        MODE.observers = tuple(o for o in MODE.observers if o is not noted)


@contextlib.contextmanager
def _put_back() -> Iterator[None]:
    """Put back what a step writes: tensors, gradients, optimizers' state and random state."""
    everything = gc.get_objects()
    optimizers = [o for o in everything if issubclass(type(o), Optimizer)]
    tensors = [t for t in everything if issubclass(type(t), BaseTensor) and getattr(t, "_a", None) is not None]
    tensors = [t for t in tensors if t._base is None and t._a.flags.writeable]
    del everything
    grads = [(t, t._grad) for t in tensors]
    values = [(t, t._s.version, t._a.copy()) for t in tensors]
    states = [(o, {p: dict(s) for p, s in o.state.items()}) for o in optimizers]
    random = Snapshot(default_generator)
    try:
        yield
    finally:
        for t, version, a in values:
            if t._a.shape != a.shape:
                continue
            if t._s.version != version:
                t._write(a)
            else:  # an optimizer writes its state past the versions
                np.copyto(t._a, a)
        for t, g in grads:
            t._grad = g
        for o, state in states:
            for p in [p for p in o.state if p not in state]:
                del o.state[p]
            for p, kept in state.items():  # into the same dictionary, which compiled code knows
                held = o.state[p]
                if any(held.get(k) is not v for k, v in kept.items()) or len(held) != len(kept):
                    held.clear()
                    held.update(kept)
        random.go_back()


def memory_report(step: Callable[..., Any], *args: Any, put_back: bool = True) -> Report:
    """Run a training step a few times and tell where its bytes are: operation by operation, and once as it is.

    Parameters
    ----------
    step : callable
        Runs forward, walks back, and may let an optimizer step.
    *args
        Its arguments.
    put_back : bool
        Whether tensors, gradients, optimizers' state and the random state are put back as they were, at the cost of copies of them.

    Returns
    -------
    Report
        ``print`` shows it.

    Examples
    --------
    >>> import retrograd as torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
    >>> x = torch.randn(100, 64)
    >>> report = torch.memory.memory_report(lambda: net(x).sum().backward())
    >>> report.activations
    25600
    """
    back = _put_back if put_back else contextlib.nullcontext
    profile, modules, recorder = _recorded(step, args, back)
    for _ in range(MOST_RUNS - 1):  # first calls load and compile kernels
        before = profile
        profile, modules, recorder = _recorded(step, args, back)
        if profile.same(before) and profile.agrees(before):
            break
    with back():
        with Resident() as resident, Counter() as counter:
            step(*args)
        sizes = _sizes()
    programs = _programs(recorder.functions)
    held = sum(p.arena for p in programs)
    found = _report(profile, modules, counter.peak + held, resident.added, sizes)
    found.compiled = programs
    if programs and recorder.within == len(profile.rows):
        found.peak = held + max(p.results for p in programs)
        found.moment = max(programs, key=lambda p: p.alive).moment
    return found


def _recorded(step: Callable[..., Any], args: tuple[Any, ...], back: Any) -> tuple[Profile, dict[int, str], _Listening]:
    """Run the step, hearing of every operation."""
    with back():
        library = _Collected()
        recorder = _Listening(library)
        with Installed(recorder):
            MODE.observers += (recorder.observe,)
            with _module_names(recorder) as modules:
                MODE.settle()
                try:
                    step(*args)
                    recorder.close()
                finally:
                    MODE.observers = tuple(o for o in MODE.observers if o != recorder.observe)
        MODE.settle()
    recorder.abandon()
    if library.profile is None:
        raise RuntimeError("memory_report: the step did not walk back, or saved nothing: call .backward() in it")
    return library.profile, modules, recorder


def _sizes() -> tuple[int, int, int, int]:
    """Count parameters, gradients, optimizers' state and buffers, each Storage once."""
    everything = gc.get_objects()
    parameters = [p for p in everything if issubclass(type(p), Parameter)]
    states = [t for o in everything if issubclass(type(o), Optimizer) for t in _tensors_in(dict(o.state))]
    buffers = [
        b for m in everything if issubclass(type(m), Module) and "_buffers" in m.__dict__ for b in m._buffers.values()
    ]
    grads = [p._grad for p in parameters if p._grad is not None]
    return (
        sum(_roots(parameters).values()),
        sum(_roots(grads).values()),
        sum(_roots(states).values()),
        sum(_roots([b for b in buffers if b is not None]).values()),
    )


def _report(profile: Profile, modules: dict[int, str], measured: int, resident: int | None, sizes: Any) -> Report:
    profile.settle()
    plan = made(profile, frozenset(profile.kept), None)
    kept: dict[Any, Kept] = {}
    for k in profile.kept:
        row = profile.rows[k]
        place, module = describe(row.place), modules.get(k, "(outside of modules)")
        entry = kept.setdefault((place, module, row.op.name), Kept(place, module, row.op.name, 0, 0))
        entry.nbytes += row.nbytes
        entry.values += 1
    found = plan.simulation
    forward = len(found.line) - len(profile.steps)
    if found.moment < forward:
        own = [k for k, r in enumerate(profile.rows) if r.op is not None and r.owner < 0]
        row = profile.rows[own[found.moment]]
        moment = f"at {row.op.name}, {describe(row.place)}"
    else:
        row = profile.rows[profile.steps[found.moment - forward].position]
        moment = f"on the way back, at {row.op.name}, {describe(row.place)}"
    ranked = sorted(kept.values(), key=lambda k: -k.nbytes)
    parameters, gradients, optimizer, buffers = sizes
    return Report(
        parameters=parameters,
        gradients=gradients,
        optimizer=optimizer,
        buffers=buffers,
        kept=ranked,
        activations=sum(k.nbytes for k in ranked),
        peak=plan.peak,
        moment=moment,
        measured=measured,
        resident=resident,
        line=found.line,
        limit=plan.peak,
    )


__all__ = ["Compiled", "Kept", "Report", "memory_report"]
