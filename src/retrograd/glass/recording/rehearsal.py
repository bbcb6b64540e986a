"""A compiled step that is looked at: its function runs once before the call, with every operation seen, and all is put back."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import random as _random
from ...compiler.witness import Served
from ...core import MODE
from ...core.node import Hooks
from ...nn.modules.module import Module
from ...optim import hooks as optimizer_hooks
from ...tensor import Tensor
from ..twins import array_of, tensors_of
from .lines import dense
from .statistics import places
from .tape import Seen, Tape


class Enough(BaseException):
    """The function has done all that is looked at."""


@dataclass
class Course:
    """What a program's function does, as its first rehearsal showed; its guards promise that it does so each time.

    Attributes
    ----------
    backwards
        Calls of ``backward`` before the first update.
    updates
        Optimizers' steps.
    spared
        Which of the tensors that are put back are parameters, gradients or the update's own, and stay as they are before it.
    """

    backwards: int = 0
    updates: int = 0
    spared: frozenset[int] = frozenset()


class Rehearsal:
    """One run of a compiled function, seen by a tape, of which nothing stays but what was seen.

    Where the first run has shown that there is one backward pass and one update, later ones end at the backward pass: it is walked for the
    gradients of values only, and neither parameters nor the optimizer's state have to be kept and put back.
    """

    def __init__(self, served: Served, function: Any, model: Any, keep: bool, course: Course | None) -> None:
        self.function, self.keep = function, keep
        self.model = model if model is not None else Module()
        self.leaves = list(model.parameters()) if model is not None else [t for t in served.written if t.requires_grad]
        self.grads = [p._grad for p in self.leaves]
        seen: dict[int, Any] = {id(t): t for t in [*served.written, *(g for g in self.grads if dense(g))]}
        self.tensors = list(seen.values())
        self.known = course
        self.course = Course()
        self.short = course is not None and course.updates == 1
        self.walks = course is not None and self.short and course.backwards == 1
        self.thread = threading.get_ident()
        self.ends = self.short or served.optimizers == 1 or served.has_endings
        self.rates: dict[int, float] = {}
        self.tape: _Following | None = None
        self.seen: list[Seen] = []
        self.before: dict[int, tuple[Any, Any]] = {id(p): _sample(p._a) for p in self.leaves}

    def run(self, args: Any, kwargs: Any) -> None:
        """Run it, note what is seen, and put everything back."""
        spared = self.known.spared if self.short and self.known is not None else frozenset()
        self.arrays = {k: t._a.copy() for k, t in enumerate(self.tensors) if k not in spared}
        versions = self.versions = [t._s.version for t in self.tensors]
        generator, changes = _random.default_generator.get_state(), Hooks.changes
        hook = optimizer_hooks.register_optimizer_step_pre_hook(self._updates)
        real = Tensor.backward
        Tensor.backward = functools.partialmethod(_went_back, self, real)  # type: ignore[assignment]
        try:
            with _Following(self.model, self.keep) as self.tape:
                self.tape.silent = self.walks
                self.function(*args, **kwargs)
        except Enough:
            pass
        finally:
            Tensor.backward = real  # type: ignore[method-assign]
            hook.remove()
            for k, a in self.arrays.items():
                np.copyto(self.tensors[k]._a, a)
                self.tensors[k]._s.version += 1
            for p, g in zip(self.leaves, self.grads, strict=True):
                p._grad = g
            _random.default_generator.set_state(generator)
            Hooks.changes = changes  # what was registered was on what the run made: the real call need not look for it
            written = any(self.tensors[k]._s.version != versions[k] for k in spared)
            self.arrays, self.tensors, self.grads = (
                {},
                [],
                [],
            )  # a gradient that somebody else holds gets new memory in the next step
        if written:
            raise RuntimeError("a tensor was written before the update, which it was not in the run before")
        if self.tape is not None:
            self.seen = self.tape.finished()

    def _updates(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        own = [p for group in optimizer.param_groups for p in group["params"]]
        for group in optimizer.param_groups:
            self.rates.update((id(p), float(group.get("lr", 0.0))) for p in group["params"])
        own += [t for p in own for t in tensors_of(optimizer.state.get(p, {}))]
        self.course.updates += 1
        if self.course.updates == 1 and self.known is None:
            mine = {id(t) for t in [*own, *self.grads]}
            self.course.spared = frozenset(
                k
                for k, t in enumerate(self.tensors)
                if id(t) in mine
                and t._s.version == self.versions[k]
                and np.array_equal(t._a, self.arrays[k], equal_nan=t._a.dtype.kind in "fc")
            )
        if self.ends:
            raise Enough

    def went_back(self, loss: Any, real: Any, args: Any, kwargs: Any) -> Any:
        """Note a backward pass; the only one of a known course is walked for values' gradients, and ends it."""
        self.course.backwards += self.course.updates == 0
        tape = self.tape
        if not self.walks or tape is None:
            return real(loss, *args, **kwargs)
        upstream = kwargs.get("gradient", args[0] if args else None)
        tape.go_back([loss], [upstream if upstream is not None else loss.detach().new_ones(loss.shape)])
        raise Enough


def _went_back(loss: Any, rehearsal: Rehearsal, real: Any, *args: Any, **kwargs: Any) -> Any:
    if threading.get_ident() != rehearsal.thread:
        return real(loss, *args, **kwargs)
    return rehearsal.went_back(loss, real, args, kwargs)


class _Following(Tape):
    """A tape over a whole step: gradients are taken from the step's own backward pass as it comes by."""

    silent = False  # the gradients are asked for, not waited for

    def _seen(self, op: Any, xs: Any, attrs: dict[str, Any], result: Any) -> None:
        if MODE.backward:
            return
        super()._seen(op, xs, attrs, result)
        if self.silent:
            return
        for out in result if isinstance(result, tuple) else (result,):
            if out is not None and out.requires_grad and not out.is_leaf and id(out) in self.index:
                out.register_hook(self._hook(self.index[id(out)]))

    def _hook(self, i: int) -> Any:
        def hook(g: Any) -> None:
            self.arrived(i, array_of(g), own=False)

        return hook

    def finished(self) -> list[Seen]:
        """Give what was seen up to the backward pass and what got a gradient."""
        self.forget()
        chosen = {k: i for i, k in enumerate(k for k, s in enumerate(self.seen) if s.gradient is not None or s.module)}
        kept = [self.seen[k] for k in chosen]
        for s in kept:
            s.inputs = [chosen[k] for k in s.inputs if k in chosen]
        return kept


def _sample(a: Any) -> tuple[Any, Any]:
    flat = a.reshape(-1)
    at = places(flat.size, 0)
    return at, flat.copy() if at is None else flat[at]
