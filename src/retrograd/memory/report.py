"""memory_report: where a training step's bytes are, and when they are most."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

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


@dataclass
class Kept:
    """What is kept at one place for the walk."""

    place: str
    module: str
    op: str
    nbytes: int
    values: int


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
        The predicted peak of what the step adds, from the values' lifetimes, and the operation or step of the walk at which it is reached.
    measured
        The peak of array bytes that the step really added, run as it is.
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
            if t._s.version != version and t._a.shape == a.shape:
                t._write(a)
        for t, g in grads:
            t._grad = g
        for o, state in states:
            o.state.clear()
            o.state.update(state)
        random.go_back()


def memory_report(step: Callable[..., Any], *args: Any, put_back: bool = True) -> Report:
    """Run a training step twice and tell where its bytes are: once operation by operation, once as it is.

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
    with _put_back() if put_back else contextlib.nullcontext():
        library = _Collected()
        recorder = Recorder(library, None)
        installed = Installed(recorder)
        with installed:
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
    profile = library.profile
    if profile is None:
        raise RuntimeError("memory_report: the step did not walk back, or saved nothing: call .backward() in it")
    with _put_back() if put_back else contextlib.nullcontext():
        with Resident() as resident, Counter() as counter:
            step(*args)
        sizes = _sizes()
    return _report(profile, modules, counter.peak, resident.added, sizes)


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


__all__ = ["Kept", "Report", "memory_report"]
