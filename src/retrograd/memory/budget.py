"""memory_budget: a block, or a model's plan, under which training stays within so many bytes."""

from __future__ import annotations

import gc
import re
import weakref
from numbers import Real
from types import CodeType
from typing import Any, NoReturn

from ..core import MODE, BaseTensor, here
from ..random.generator import default_generator
from ..random.snapshot import Snapshot
from .counter import uncounted
from .planning import Plan, plans
from .profile import Profile
from .recorder import Recorder
from .saving import Installed
from .show import shown

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


MOST_TRIALS = 6  # runs that are measured until two in a row agree
VARIES = 1.05  # times as much as before, at most, a step is measured to need another time: a temporary more or less
NAMED: set[int] = set()  # sizes that were said to be possible


class BudgetError(RuntimeError):
    """A budget that no plan keeps; ``smallest`` is the smallest that one does, in bytes."""

    final = True  # a compiled function does not run eagerly instead

    def __init__(self, message: str, smallest: int) -> None:
        super().__init__(message)
        self.smallest = smallest


def bytes_of(size: Any) -> int:
    """Give a size as bytes: a number, or a text such as ``"600MB"`` or ``"1.5 GiB"``.

    Examples
    --------
    >>> bytes_of("600MB"), bytes_of("1.5 GiB")
    (600000000, 1610612736)
    """
    number, unit = size, ""
    if isinstance(size, str):
        found = re.fullmatch(r"\s*(\d+(?:_\d+)*\.?\d*(?:e\d+)?|\.\d+)\s*([kmgt]?i?)b?\s*", size, re.IGNORECASE)
        number, unit = (float(found[1]), found[2].lower()) if found is not None else (-1.0, "")
    elif isinstance(size, bool) or not isinstance(size, Real):
        raise TypeError(f"memory_budget: a size is a number of bytes or a text such as '600MB' or '8GiB', not {size!r}")
    if not 0 <= number < 1e30 or unit not in UNITS:
        raise ValueError(
            f"memory_budget: {size!r} is no size; give bytes, or a text such as '600MB' or '8GiB' (shares are not taken)"
        )
    return int(number * UNITS[unit])


def text_of(size: float) -> str:
    """Write bytes for a reader: ``85.6 MB``.

    Examples
    --------
    >>> text_of(85_600_000), text_of(512)
    ('85.6 MB', '512 B')
    """
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if abs(size) >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size:.0f} B"


def bytes_there() -> int:
    """Count the bytes of all Tensors that there are, each Storage once.

    Examples
    --------
    >>> import retrograd as torch
    >>> before = bytes_there()
    >>> x = torch.zeros(1000)
    >>> bytes_there() - before
    4000
    """
    seen: dict[int, int] = {}
    for found in gc.get_objects():
        if issubclass(
            type(found), BaseTensor
        ):  # isinstance would ask every object for its class, which some answer with a warning
            try:
                a = getattr(found, "_a", None)
            except RuntimeError:  # a tensor that is made of others, such as a sparse one: those are counted
                continue
            while a is not None and isinstance(getattr(a, "base", None), type(a)):
                a = a.base
            if a is not None:
                seen[id(a)] = a.nbytes
    return sum(seen.values())


class Library:
    """The measured runs of one block, and the plans for each."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.base: int | None = None  # bytes that are there before a run
        self.counted = False  # whether that is what was there when a measured run began, and no guess
        self.found: list[tuple[Profile, list[Plan], Plan]] = []
        self.trials: list[Profile] = []  # measured once
        self.wait = 0  # rounds until one is measured although there are plans
        self.unknown: dict[Any, int] = {}  # by a kind of round: how many of those behind it are to be measured
        self.tries = 0
        self.left = 0  # how often a run left every plan
        self.pending: Any = None  # a recorder whose walk was still to come when its block ended
        self.programs: list[Any] = []  # compiled within the budget

    def plans(self) -> list[Plan]:
        """Give the plan for each kind of run that was measured."""
        return [plan for _, _, plan in self.found]

    def add(self, profile: Profile) -> None:
        """Plan for a measured run; BudgetError where no plan keeps the budget."""
        if any(profile.same(known) for known, _, _ in self.found):
            return
        for first in self.trials:
            if profile.same(first):  # two runs in a row must agree: the first ones may load or compile what they need
                self.trials.remove(first)
                profile.trial = first.trial + 1
                if not profile.agrees(first) and profile.trial < MOST_TRIALS:
                    break
                profile.least(first)
                with uncounted():
                    choices = plans(profile)
                self.found.append((profile, choices, self.choose(choices)))
                return
        self.trials = [*self.trials[-3:], profile]

    def choose(self, choices: list[Plan]) -> Plan:
        """Give the quickest plan within the budget; where a refusal has named this size, the smallest one may stand above it by what measurements vary."""
        base = self.base or 0
        fitting = [plan for plan in choices if base + plan.peak <= self.budget]
        least = min(choices, key=lambda plan: plan.peak)
        if not fitting and not (self.budget in NAMED and base + least.peak <= self.budget * VARIES):
            with uncounted():  # other kinds of steps, measured once so far, may need more
                others = [min(plan.peak for plan in plans(profile)) for profile in self.trials]
            self.refuse(base, max([least.peak, *others]))
        return min(fitting, key=lambda plan: (plan.seconds, plan.peak), default=least)

    def refuse(self, base: int, peak: int) -> NoReturn:
        """Raise BudgetError: no plan's peak is less than this."""
        least = base + peak
        NAMED.add(least)
        raise BudgetError(
            f"memory_budget: {text_of(self.budget)} is not possible for this step: with everything computed again that can be, its peak is "
            f"{text_of(least)}, of which {text_of(base)} were there before it (parameters, optimizer state, data). "
            f"Give at least {least} bytes, or a smaller batch.",
            least,
        )


_LIBRARIES: weakref.WeakKeyDictionary[CodeType, dict[Any, Library]] = weakref.WeakKeyDictionary()


class memory_budget:
    """Keep the peak of training steps within a budget: values that do not fit are computed again on the way back.

    As a block, ``with memory_budget("8GB"):`` around steps, or around one. The first steps of a kind, two or a few more, are measured: the bytes and the time
    of every operation, and what the walk reads. Then it is planned, once, which values to hold and which parts to compute again;
    later steps follow the plan, and give the same gradients to the last bit. A step that takes another course is measured in turn.

    As a plan, ``memory_budget(model, "600MB", batch)`` measures the model on the batch at once, with the sum of its result in the loss's
    place, and changes nothing; the result is the block for real steps.

    Parameters
    ----------
    *args
        ``(size,)``, or ``(model, size, *batch)``. A size is a number of bytes or a text such as "600MB" or "8GiB". It bounds all bytes of
        Tensors: parameters, gradients, optimizer state and data, as they are when a step begins, and all that the step adds.

    Raises
    ------
    BudgetError
        When a step has been measured and no plan keeps the budget; it gives the smallest that one does.

    Notes
    -----
    The measured step itself stays within the budget as far as thinning out what it saves can bring it.

    Examples
    --------
    >>> import retrograd as torch
    >>> net = torch.nn.Sequential(
    ...     *[torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh()) for _ in range(20)]
    ... )
    >>> x = torch.randn(256, 64)
    >>> budget = torch.memory.memory_budget(net, "2.2MB", x)
    >>> with budget:
    ...     net(x).sum().backward()
    """

    def __init__(self, *args: Any) -> None:
        if not args:
            raise TypeError("memory_budget: give a size, or a model, a size and the model's arguments")
        self.before: list[Any] = []
        if isinstance(args[0], (Real, str)) or not callable(args[0]):
            if len(args) > 1:
                raise TypeError("memory_budget: a size stands alone, or after the model")
            self.bytes = bytes_of(args[0])
            place = here()
            known = _LIBRARIES.setdefault(place[0], {}) if place is not None else {}
            key = (place[1] if place is not None else None, self.bytes)
            self.library = known.setdefault(key, Library(self.bytes))
        else:
            if len(args) == 1:
                raise TypeError("memory_budget: a model stands before a size and the model's arguments")
            self.bytes = bytes_of(args[1])
            self.library = Library(self.bytes)
            self._measure(args[0], args[2:])

    def __enter__(self) -> memory_budget:
        if self.library.base is None:
            self.library.base = bytes_there()
        recorder = Recorder(self.library, max(self.bytes - self.library.base, 0))
        installed = Installed(recorder)
        installed.__enter__()
        MODE.observers += (recorder.observe,)
        MODE.settle()
        self.before.append((installed, recorder))
        return self

    def __exit__(self, kind: Any = None, *exc: Any) -> None:
        installed, recorder = self.before.pop()
        MODE.observers = tuple(o for o in MODE.observers if o != recorder.observe)
        installed.__exit__()
        if kind is None:
            recorder.close()
        else:
            recorder.abandon()

    @property
    def plan(self) -> Plan | None:
        """The plan for the kind of step that was measured last."""
        if self.library.programs:
            found: Plan = self.library.programs[-1].chosen.plan
            return found
        return self.library.found[-1][2] if self.library.found else None

    @property
    def smallest(self) -> int:
        """The smallest budget that is possible for the steps measured so far, in bytes."""
        compiled = max((p.base + p.smallest for p in self.library.programs), default=0)
        eager = max((min(p.peak for p in choices) for _, choices, _ in self.library.found), default=0)
        least: int = max(compiled, eager + (self.library.base or 0))
        NAMED.add(least)
        return least

    def choices(self) -> list[tuple[int, float]]:
        """Give (bytes, seconds of computing again) of every plan for the step measured last, largest first."""
        if self.library.programs:
            last = self.library.programs[-1]
            return [(form.bytes + last.base, form.seconds) for form in last.front()]
        if not self.library.found:
            return []
        base = self.library.base or 0
        return [(plan.peak + base, plan.seconds) for plan in self.library.found[-1][1]]

    def show(self) -> str:
        """Write the plan: memory over time, what is kept, what is computed again, and at what cost."""
        if self.library.programs:
            pages = []
            for p in self.library.programs:
                least = min(p.forms, key=lambda form: int(form.bytes))
                pages.append(shown(p.chosen.plan, p.base, self.bytes, (least.plan, least.bytes), p.chosen.bytes))
            return "\n\n".join(pages)
        if self.plan is None:
            return "memory_budget: no step has been measured yet"
        least = min(self.library.found[-1][1], key=lambda plan: plan.peak)
        return shown(self.plan, self.library.base or 0, self.bytes, (least, least.peak))

    def _measure(self, model: Any, batch: tuple[Any, ...]) -> None:
        """Run the model once, forward and back, and put everything back as it was."""
        state = Snapshot(default_generator)
        parameters = list(model.parameters()) if hasattr(model, "parameters") else []
        grads = [p._grad for p in parameters]
        buffers = [(b, b._a.copy()) for b in model.buffers()] if hasattr(model, "buffers") else []
        try:
            while not self.library.found and not self.library.programs:
                state.go_back()
                for p in parameters:
                    p._grad = None
                with self:
                    out = model(*batch)
                    _total(out).backward()
                    del out
        finally:
            for p, g in zip(parameters, grads, strict=True):
                p._grad = g
            for b, a in buffers:
                b._write(a)
            state.go_back()


def _total(out: Any) -> Any:
    """Give the sum of all results that carry gradients."""
    todo, found = [out], None
    while todo:
        x = todo.pop()
        if isinstance(x, BaseTensor):
            if x.requires_grad:
                found = x.sum() if found is None else found + x.sum()
        elif isinstance(x, dict):
            todo.extend(x.values())
        elif isinstance(x, (list, tuple)):
            todo.extend(x)
    if found is None:
        raise RuntimeError("memory_budget: nothing in the model's result requires a gradient")
    return found


__all__ = ["BudgetError", "bytes_of", "bytes_there", "memory_budget", "text_of"]
