"""Schedulers that are stepped inside a compiled function: their own Python runs after each run of the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .watch import fields

# what a function would find unchanged if a scheduler's step came later than where it stands
READS = {"param_groups", "get_last_lr", "_last_lr", "last_epoch", "get_lr", "state_dict", "_step_count"}


def is_scheduler(value: Any) -> bool:
    """Tell whether an object changes the rates of an optimizer, step by step."""
    found = fields(value) or {}
    optimizer = found.get("optimizer")
    return "last_epoch" in found and hasattr(optimizer, "refresh_inputs") and callable(getattr(value, "step", None))


class Later:
    """Puts off ``scheduler.step()`` while it is open, to where the function has ended.

    A rate is an input of the program, so nothing in it depends on when the scheduler computes the next one, as long as no optimizer
    takes a step after it and the function does not look. Where that is not so, the call is made at once, and the reason noted.

    Parameters
    ----------
    schedulers : list
        Those that can be reached from the function.
    names : set of str
        The names that the function's code uses.
    """

    def __init__(self, schedulers: list[Any], names: set[str]) -> None:
        self.schedulers = [] if names & READS else [s for s in schedulers if "step" not in s.__dict__]
        self.optimizers = list({id(s.optimizer): s.optimizer for s in self.schedulers}.values())
        self.calls: list[tuple[Any, Callable[[], Any]]] = []
        self.reason: str | None = None

    def __enter__(self) -> Later:
        self._steps = [o.__dict__.get("step") for o in self.optimizers]
        for s in self.schedulers:
            s.__dict__["step"] = self._putting_off(s)
        for o in self.optimizers:
            o.__dict__["step"] = self._watched(o.step)
        return self

    def __exit__(self, *exc: Any) -> None:
        for s in self.schedulers:
            del s.__dict__["step"]
        for o, before in zip(self.optimizers, self._steps, strict=True):
            if before is None:
                del o.__dict__["step"]
            else:
                o.__dict__["step"] = before
        if exc and exc[0] is not None:
            self.run()

    def _putting_off(self, scheduler: Any) -> Callable[..., Any]:
        real = scheduler.step

        def step(*args: Any, **kwargs: Any) -> Any:
            if args or kwargs:
                return real(*args, **kwargs)
            self.calls.append((scheduler, real))
            return None

        return step

    def _watched(self, real: Any) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            if self.calls:
                self.reason = "a scheduler was stepped before its optimizer"
                self.run()
                self.calls.clear()
            return real(*args, **kwargs)

        step.__dict__.update(getattr(real, "__dict__", {}))
        return step

    def run(self) -> None:
        """Make the calls that were put off."""
        for _, call in self.calls:
            call()

    def release(self, guards: Any) -> list[Callable[[], Any]]:
        """Give the calls to be made after each run; what they change themselves is guarded no longer."""
        own = {id(s.__dict__) for s, _ in self.calls}
        guards.entries = [e for e in guards.entries if id(e[1]) not in own]
        return [call for _, call in self.calls]
