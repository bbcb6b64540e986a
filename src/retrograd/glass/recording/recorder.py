"""The recorder: stands beside a training loop, chooses the steps at which it looks, and changes no number of it."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from typing import Any

from ...compiler.witness import Served, served
from ...core import MODE, BaseTensor
from ...optim import hooks as optimizer_hooks
from ...optim.optimizer import Optimizer
from ..twins import tensors_of
from . import doors
from .budget import MOST_LINES, Budget
from .files import LOSSES, STATISTICS, Store
from .history import looked_into
from .lines import dense, node_line, parameter_line, place_line, rooted
from .names import Names
from .reader import Record
from .rehearsal import Course, Rehearsal
from .roots import model_of, tensors
from .shadow import Shadow
from .statistics import places, statistics
from .tape import Seen, arrays_of

MOST_HELD = 512 << 20  # bytes of arrays in memory; the oldest go first (a directory keeps them all)
MOST_WITHOUT = 64  # backward passes before an optimizer that is there, but does nothing, is no longer waited for
WORTH, WORTH_WAITING = (
    3,
    32,
)  # looks after which operations have kernels of their own; later where a cost is kept to, which pays for them
MOST_PLACES = 20_000  # operations in the description
UNSEEN = "within a memory budget, autocast or anomaly detection only losses and parameters are recorded, no operations"


class Recorder(Record):
    """What :func:`retrograd.glass.record` gives; see there."""

    def __init__(
        self,
        model: Any,
        directory: str | os.PathLike[str] | None,
        *,
        level: str,
        cost: float | None,
        every: int | None,
        arrays: Any,
    ) -> None:
        super().__init__()
        if level not in ("summary", "all"):
            raise ValueError(f"record: level is 'summary' or 'all', not {level!r}")
        if every is not None and every < 1:
            raise ValueError(f"record: every is a number of steps of at least 1, not {every}")
        self.cost = cost if cost is not None else 1.4 if level == "summary" else 3.0
        if self.cost <= 1:
            raise ValueError(f"record: cost is the time with recording over that without, above 1, not {cost}")
        self.model, self.level, self.every = model, level, every
        self.wanted_arrays = set(arrays)
        self.store = Store(directory)
        self.directory = self.store.folder
        self.step = 0
        self.thread = 0
        self.busy = False  # the recorder itself, or something that must not be looked into, is running
        self.process = os.getpid()
        self.shadows: dict[int, Shadow] = {}  # by the model that was called
        self.names = Names(model)
        self.index: dict[str, int] = {}  # operations' places in the description
        self.history: list[Seen] = []  # operations of a step that no model's call showed,
        self.leaves: list[tuple[str, Any, Any, Any, Any]] = []  # and the tensors that it began with
        self.calls = 0  # of models in this step, with a history
        self.updating = 0  # optimizers that are at work,
        self.at_work: Any = None  # and the last that began
        self.ruled: bool | None = None  # whether an optimizer updates what is trained; None: not known yet
        self.parameters: dict[str, Any] = {}  # what updates of this step have made of them
        self.before: dict[str, Any] = {}
        self.backwards = 0
        self.stepped = False
        self.loss: float | None = None
        self.extra = 0.0
        self.began = 0.0
        self.budget = Budget(self.cost, every)
        self.held_bytes = 0
        self.met: set[int] = set()  # models whose parameters were named in this step
        self.shapes: dict[str, list[int]] = {}
        self.updated = self.worked = False  # an optimizer made a step: lately, ever
        self.training: weakref.WeakSet[Any] = weakref.WeakSet()  # compiled functions that are whole steps
        self.courses: weakref.WeakKeyDictionary[Any, Course] = weakref.WeakKeyDictionary()  # by program

    # -- on and off ---------------------------------------------------------------------------------------------------------
    def __enter__(self) -> Recorder:
        doors.enter(self)
        self.thread = threading.get_ident()
        self.handles = [
            optimizer_hooks.register_optimizer_step_pre_hook(self._before_update),
            optimizer_hooks.register_optimizer_step_post_hook(self._after_update),
        ]
        self._describe()
        self.began = time.perf_counter()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, frames: Any) -> None:
        doors.leave()
        doors.hide(error)
        for handle in self.handles:
            handle.remove()
        if os.getpid() != self.process:
            return  # a child that left the block, too: the record is its parent's
        if self.backwards or self.stepped:
            self._close()
        self._describe()
        self.store.close()
        self.shadows, self.history, self.leaves, self.at_work = {}, [], [], None

    def _describe(self) -> None:
        self.meta.update(
            {
                "level": self.level,
                "cost": self.cost,
                "every": self.every,
                "model": self.names.title or (type(self.model).__name__ if self.model is not None else ""),
                "classes": self.names.classes,
                "roots": [name for _, name in self.names.roots.values()],
                "steps": self.step,
                "notes": self.notes,
                "parameters": self.shapes,
                "plain_seconds": self.budget.plain_seconds,
            }
        )
        self.store.meta(self.meta)

    @property
    def due(self) -> bool:
        """Whether the present step is looked at."""
        return self.step >= self.budget.next or self.step in self.wanted_arrays

    def is_mine(self) -> bool:
        """Whether what happens now is of the thread and process that are recorded, and not the recorder's own work."""
        return not self.busy and threading.get_ident() == self.thread and os.getpid() == self.process

    def _own(self, work: Any, *arguments: Any) -> Any:
        """Do the recorder's own work: its time is counted, and an error in it ends the looking, never the training."""
        start = time.perf_counter()
        self.busy = MODE.aside = True
        MODE.beside = WORTH_WAITING if self.every is None else WORTH
        try:
            return work(*arguments)
        except Exception as error:
            known = f"{type(error).__name__}: {str(error)[:60]}"
            if len(self.notes) < 20 and not any(known in note for note in self.notes):
                self.notes.append(f"step {self.step}: {type(error).__name__}: {error}")
            self.shadows = {}
            return None
        finally:
            self.busy = MODE.aside = False
            MODE.beside = 0
            self.extra += time.perf_counter() - start

    # -- eager steps --------------------------------------------------------------------------------------------------------
    def called(self, module: Any, run: Any, args: Any, kwargs: Any) -> Any:
        """Run an outermost module's call, beside it its shadow if the step is looked at."""
        self._begins()
        self.calls += MODE.grad
        original = getattr(module, "_orig_mod", module)
        looking = self.due and id(original) not in self.shadows and MODE.grad and not MODE.special
        shadow = self._own(Shadow, original, self.keeping) if looking else None
        self.busy = True
        try:
            result = run(*args, **kwargs)
        finally:
            self.busy = False
        if self.due and MODE.grad and id(original) not in self.met:
            self.met.add(id(original))
            self._own(self.names.know, original)
            if MODE.special and not self.shadows and UNSEEN not in self.notes:
                self.notes.append(UNSEEN)
        if shadow is not None and any(t.requires_grad for t in tensors_of(result)):
            self.shadows[id(original)] = shadow
            shadow.root = self._own(self.names.root, original) or ""
            self._own(shadow.follow, args, kwargs, result)
        return result

    def _begins(self) -> None:
        """Close the step before, if what is about to run is of a new one.

        An update ends a step, with all updates that follow before anything is computed. Where no optimizer updates, as in a program that
        writes to its tensors itself, a step has one backward pass.
        """
        if self.updating:
            if self.stepped:  # an update that computes, right behind another one
                self._close()
                if self.due:
                    self._own(self._weights, self.at_work)
        elif self.stepped or (self.backwards and not self._is_ruled()):
            self._close()

    def _is_ruled(self) -> bool:
        """Tell whether an optimizer will make the update: there is one, and it has been seen at work or not much has passed without."""
        if self.ruled is None:
            ours = {id(p) for model in self.names.models() for p in model.parameters()}
            ours.update(id(leaf[1]) for leaf in self.leaves)
            rules = [o for o in gc.get_objects() if isinstance(o, Optimizer)]
            held = {id(p) for rule in rules for group in rule.param_groups for p in group["params"]}
            self.ruled = bool(held & ours if ours else held)
        return self.ruled and (self.worked or self.backwards < MOST_WITHOUT)

    def _close(self) -> None:
        if self.due:
            self._own(self._finish)
        self._end()

    @property
    def keeping(self) -> bool:
        """Whether the present step's arrays are kept."""
        return self.level == "all" or self.step in self.wanted_arrays

    def goes_back(self, loss: Any, upstream: Any) -> None:
        """Look at a loss that is about to be walked back from, where no model's call showed its operations."""
        if not self.calls:
            self._begins()
            if self.due and self.model is None and not self.history and MODE.grad and not MODE.special:
                self._own(self._looked_into, loss, upstream)

    def _looked_into(self, loss: Any, upstream: Any) -> None:
        self.history, leaves = looked_into(loss, upstream)
        called = tensors()
        for name, p in leaves:
            flat = p._a.reshape(-1)
            at = places(flat.size, 0)
            self.names.call(p, called.get(id(p)) or name)
            self.leaves.append((self.names.of(p), p, at, flat.copy() if at is None else flat[at], None))

    def went_back(self, loss: Any) -> None:
        """Note a backward pass."""
        self.backwards += 1
        if isinstance(loss, BaseTensor) and loss._a.size == 1:
            self.loss = float(loss._a)
        for shadow in self.shadows.values():
            if shadow.arrived:
                self._own(shadow.go_back)  # now: an update would change what its operations have kept
        if self.leaves:  # a program that updates by itself empties the gradients, too
            self.leaves = [
                (n, p, at, old, statistics(p._grad._a) if dense(p._grad) else g) for n, p, at, old, g in self.leaves
            ]

    def _before_update(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self.updated = self.worked = self.ruled = True
        if self.is_mine():
            self.updating += 1
            self.at_work = optimizer
            if self.due:
                self._own(self._weights, optimizer)

    def _weights(self, optimizer: Any) -> None:
        self.names.find(p for group in optimizer.param_groups for p in group["params"])
        for group in optimizer.param_groups:
            for p in group["params"]:
                name = self.names.of(p)
                flat = p._a.reshape(-1)
                at = places(flat.size, 0)
                self.before[name] = (p, at, flat.copy() if at is None else flat[at], float(group.get("lr", 0.0)))

    def _after_update(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if not self.is_mine():
            return
        self.updating = max(self.updating - 1, 0)
        self.stepped = True
        if self.due:
            self._own(self._updated)

    def _updated(self) -> None:
        """Note what an update has made of its parameters, while their gradients are there."""
        for name, (p, at, old, rate) in self.before.items():
            self.shapes[name] = list(p._a.shape)
            self.parameters[name] = parameter_line(p._a, p._grad._a if dense(p._grad) else None, at, old, rate)
        self.before = {}

    def _finish(self) -> None:
        """Write what was looked at in this step."""
        if not self.due:
            return
        for name, p, at, old, g in self.leaves:
            if name not in self.parameters:
                self.shapes[name] = list(p._a.shape)
                self.parameters[name] = {
                    **parameter_line(p._a, None, at, old, None),
                    **({"gradient": g} if g is not None else {}),
                }
        seen: list[Seen] = []
        for shadow in self.shadows.values():
            seen += rooted(shadow.seen, shadow.root, len(seen))
        self._write(seen or self.history, self.parameters)

    def _write(self, seen: list[Seen], parameters: dict[str, Any]) -> None:
        if not seen and not parameters:
            return
        line = {
            "step": self.step,
            "loss": self.loss,
            "parameters": parameters,
            "nodes": {s.key: node_line(s) for s in seen},
        }
        if any(s.key not in self.index for s in seen) and len(self.index) < MOST_PLACES:
            self._place(seen)
        self.statistics.append(line)
        if len(self.statistics) > MOST_LINES:
            del self.statistics[1::2]  # the directory has them all
        self.store.append(STATISTICS, line, flush=True)
        if self.keeping:
            found = arrays_of(seen)
            if self.directory is None:
                self.held[self.step] = found
                self.held_bytes += sum(a.nbytes for a in found.values())
                while self.held_bytes > MOST_HELD and len(self.held) > 1:
                    oldest = self.held.pop(next(iter(self.held)))
                    self.held_bytes -= sum(a.nbytes for a in oldest.values())
            self.store.arrays(self.step, found)

    def _place(self, seen: list[Seen]) -> None:
        """Put operations that were not there before into the description."""
        nodes = self.meta.setdefault("nodes", [])
        for s in seen:
            if s.key not in self.index:
                self.index[s.key] = len(nodes)
                sources = [self.index[seen[i].key] for i in s.inputs if seen[i].key in self.index]
                nodes.append({**place_line(s), "inputs": sources})
        self._describe()

    def _end(self) -> None:
        """Close a step: its time, its loss, and when to look next."""
        now = time.perf_counter()
        took = now - self.began - self.extra
        looked = self.due
        if self.loss is not None:
            self.losses.append((self.step, self.loss))
            if len(self.losses) > 8 * MOST_LINES:
                del self.losses[1::2]
            self.store.append(LOSSES, {"step": self.step, "loss": self.loss, "seconds": took})
        self.budget.passed(self.step, took, time.perf_counter() - self.began - took, looked)
        self.extra, self.began = 0.0, time.perf_counter()
        self.loss, self.backwards, self.stepped = None, 0, False
        self.shadows, self.before, self.parameters = {}, {}, {}
        self.history, self.leaves, self.calls = [], [], 0
        self.met.clear()
        self.step += 1

    # -- compiled steps -----------------------------------------------------------------------------------------------------
    def compiled(self, compiled: Any, args: Any, kwargs: Any) -> Any:
        """Run a compiled function's call; at a step that is looked at, run the function once before, with everything put back."""
        self._begins()
        found: Served | None = None
        rehearsal: Rehearsal | None = None
        if self.due and not MODE.special:
            found = self._own(served, compiled, args, kwargs)
        if found is not None and found.written:
            rehearsal = self._own(self._rehearse, compiled.fn, found, args, kwargs)
        self.updated = False
        self.busy = True
        try:
            result = doors.call_compiled(compiled, args, kwargs)
        finally:
            self.busy = False
        if self.updated or (found is not None and any(t.requires_grad for t in found.written)):
            self.training.add(compiled)
        if compiled in self.training:
            self._note_loss(result)
            if rehearsal is not None:
                self._own(self._compare, rehearsal)
            self._end()
        return result

    def _rehearse(self, function: Any, found: Served, args: Any, kwargs: Any) -> Rehearsal:
        """Run the function once with everything seen, and put everything back."""
        model = self.model or model_of(function)
        if model is not None:
            self.names.know(model)
        course = self.courses.get(found.program)
        rehearsal = Rehearsal(found, function, model, self.keeping, course)
        rehearsal.run(args, kwargs)
        if course is None:
            self.courses[found.program] = rehearsal.course
        return rehearsal

    def _compare(self, rehearsal: Rehearsal) -> None:
        """Write what was seen, and what the real call has made of the parameters."""
        parameters = {}
        for p in rehearsal.leaves:
            if self.names.is_known(p):
                name = self.names.of(p)
                at, old = rehearsal.before[id(p)]
                g = p._grad._a if dense(p._grad) else None
                self.shapes[name] = list(p._a.shape)
                parameters[name] = parameter_line(p._a, g, at, old, rehearsal.rates.get(id(p)))
        self._write(rehearsal.seen, parameters)

    def to_page(self) -> dict[str, Any]:
        """Give the page's sections, with the kernels of the last compiled function that was seen to be a whole step."""
        from ..report import kernels_of

        data = super().to_page()
        for compiled in list(self.training)[-1:]:
            data.update(self._own(kernels_of, compiled, data.get("graph")) or {})
        return data

    def _note_loss(self, result: Any) -> None:
        """Take the loss of a step that was one compiled call: the number that it gave."""
        found = [t for t in tensors_of(result) if t._a.size == 1 and t._a.dtype.kind == "f"]
        if found and self.loss is None:
            self.loss = float(found[0]._a)
        elif isinstance(result, float):
            self.loss = result
