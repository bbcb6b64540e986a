"""The recorder: stands beside a training loop, chooses the steps at which it looks, and changes no number of it."""

from __future__ import annotations

import functools
import os
import statistics as middle
import threading
import time
import weakref
from typing import Any

import numpy as np

from ... import random as _random
from ...compiler.compiled import Compiled
from ...compiler.witness import written
from ...core import MODE, BaseTensor
from ...nn.modules.module import Module
from ...optim import hooks as optimizer_hooks
from ...tensor import Tensor
from .files import LOSSES, STATISTICS, Store
from .reader import Record
from .shadow import Seen, Shadow, Tape, arrays_of, tensors_of
from .statistics import places, statistics

MOST_LINES = 1000  # of statistics, before the steps between two looks are at least doubled
MOST_HELD = 512 << 20  # bytes of arrays in memory; the oldest go first (a directory keeps them all)
PLAIN_STEPS = 32  # the last plain steps, from which a plain step's time is taken
_running: list[Recorder] = []
_real_call, _real_backward, _real_compiled = Module.__call__, Tensor.backward, Compiled.__call__


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
        self.shadow: Shadow | None = None
        self.before: dict[str, Any] = {}
        self.backwards = 0
        self.stepped = False
        self.loss: float | None = None
        self.extra = 0.0
        self.began = 0.0
        self.plain: list[float] = []
        self.next = 0
        self.lines = 0
        self.spent = 0.0  # seconds of looking
        self.held_bytes = 0
        self.named: dict[int, str] = {}
        self.updated = False  # an optimizer made a step
        self.training: weakref.WeakSet[Any] = weakref.WeakSet()  # compiled functions that are whole steps

    # -- on and off ---------------------------------------------------------------------------------------------------------
    def __enter__(self) -> Recorder:
        if _running:
            raise RuntimeError("record: another recorder is running; leave it first")
        _running.append(self)
        self.thread = threading.get_ident()
        self.handles = [
            optimizer_hooks.register_optimizer_step_pre_hook(self._before_update),
            optimizer_hooks.register_optimizer_step_post_hook(self._after_update),
        ]
        Module.__call__ = _call  # type: ignore[method-assign]
        Tensor.backward = _backward  # type: ignore[method-assign]
        Compiled.__call__ = _compiled_call  # type: ignore[method-assign]
        self._describe()
        self.began = time.perf_counter()
        return self

    def __exit__(self, *exc: Any) -> None:
        Module.__call__ = _real_call  # type: ignore[method-assign]
        Tensor.backward = _real_backward  # type: ignore[method-assign]
        Compiled.__call__ = _real_compiled  # type: ignore[method-assign]
        for handle in self.handles:
            handle.remove()
        _running.clear()
        if self.backwards and not self.stepped:
            self._own(self._finish)
            self._end()
        self._describe()
        self.store.close()
        self.shadow = None

    def _describe(self) -> None:
        self.meta.update(
            {
                "level": self.level,
                "cost": self.cost,
                "every": self.every,
                "model": type(self.model).__name__ if self.model is not None else "",
                "steps": self.step,
                "notes": self.notes,
                "plain_seconds": middle.median(self.plain) if self.plain else None,
            }
        )
        self.store.meta(self.meta)

    @property
    def due(self) -> bool:
        """Whether the present step is looked at."""
        return self.step >= self.next or self.step in self.wanted_arrays

    def _mine(self) -> bool:
        return not self.busy and threading.get_ident() == self.thread

    def _own(self, work: Any, *arguments: Any) -> Any:
        """Do the recorder's own work: its time is counted, and an error in it ends the looking, never the training."""
        start = time.perf_counter()
        self.busy = MODE.aside = True
        try:
            return work(*arguments)
        except Exception as error:
            known = f"{type(error).__name__}: {str(error)[:60]}"
            if len(self.notes) < 20 and not any(known in note for note in self.notes):
                self.notes.append(f"step {self.step}: {type(error).__name__}: {error}")
            self.shadow = None
            return None
        finally:
            self.busy = MODE.aside = False
            self.extra += time.perf_counter() - start

    # -- eager steps --------------------------------------------------------------------------------------------------------
    def called(self, module: Any, run: Any, args: Any, kwargs: Any) -> Any:
        """Run an outermost module's call, beside it its shadow if the step is looked at."""
        if self.backwards and not self.stepped:  # a step without an optimizer ends where the next forward pass begins
            self._own(self._finish)
            self._end()
        looking = self.due and self.shadow is None and MODE.grad and not MODE.special
        original = getattr(module, "_orig_mod", module)
        shadow = self._own(Shadow, original, self.keeping) if looking else None
        self.busy = True
        try:
            result = run(*args, **kwargs)
        finally:
            self.busy = False
        if shadow is not None and any(t.requires_grad for t in tensors_of(result)):
            self._names(original)
            self.shadow = shadow
            self._own(shadow.follow, args, kwargs, result)
        return result

    @property
    def keeping(self) -> bool:
        """Whether the present step's arrays are kept."""
        return self.level == "all" or self.step in self.wanted_arrays

    def _names(self, model: Any) -> None:
        for name, p in model.named_parameters():
            self.named.setdefault(id(p), name)

    def went_back(self, loss: Any) -> None:
        """Note a backward pass."""
        self.backwards += 1
        if isinstance(loss, BaseTensor) and loss._a.size == 1:
            self.loss = float(loss._a)
        if self.shadow is not None and self.shadow.arrived:
            self._own(self.shadow.go_back)  # now: an update would change what its operations have kept

    def _before_update(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self.updated = True
        if self._mine() and self.due:
            self._own(self._weights, optimizer)

    def _weights(self, optimizer: Any) -> None:
        for group in optimizer.param_groups:
            for p in group["params"]:
                name = self.named.get(id(p)) or f"parameter {len(self.named)}"
                self.named.setdefault(id(p), name)
                flat = p._a.reshape(-1)
                at = places(flat.size, 0)
                self.before[name] = (p, at, flat.copy() if at is None else flat[at], float(group.get("lr", 0.0)))

    def _after_update(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if not self._mine():
            return
        self.stepped = True
        if self.due:
            self._own(self._finish)
        self._end()

    def _finish(self) -> None:
        """Write what was looked at in this step."""
        if not self.due:
            return
        seen = self.shadow.seen if self.shadow is not None else []
        parameters = {}
        for name, (p, at, old, rate) in self.before.items():
            parameters[name] = _parameter(p._a, p._grad._a if _dense(p._grad) else None, at, old, rate)
        self._write(seen, parameters)

    def _write(self, seen: list[Seen], parameters: dict[str, Any]) -> None:
        if not seen and not parameters:
            return
        line = {
            "step": self.step,
            "loss": self.loss,
            "parameters": parameters,
            "nodes": {s.key: _node(s) for s in seen},
        }
        if not self.meta.get("nodes") and seen:
            self.meta["nodes"] = [_place(s) for s in seen]
            self._describe()
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

    def _end(self) -> None:
        """Close a step: its time, its loss, and when to look next."""
        now = time.perf_counter()
        took = now - self.began - self.extra
        looked = self.due
        if not looked and took > 0:
            self.plain.append(took)
            del self.plain[:-PLAIN_STEPS]
        if self.loss is not None:
            self.losses.append((self.step, self.loss))
            if len(self.losses) > 8 * MOST_LINES:
                del self.losses[1::2]
            self.store.append(LOSSES, {"step": self.step, "loss": self.loss, "seconds": took})
        if looked:
            self.lines += 1
            self.spent += self.extra
            if self.step >= self.next:
                self.next = self.step + self._wait()
        self.extra, self.began = 0.0, time.perf_counter()
        self.loss, self.backwards, self.stepped = None, 0, False
        self.shadow, self.before = None, {}
        self.step += 1

    def _wait(self) -> int:
        """Say how many steps there are to the next look."""
        if self.every is not None:
            return self.every
        if not self.plain:
            return 3
        plain = middle.median(self.plain)
        wait = int(np.ceil(self.extra / max(plain * (self.cost - 1), 1e-9)))
        return max(1, wait, 1 << (self.lines // MOST_LINES))

    # -- compiled steps -----------------------------------------------------------------------------------------------------
    def compiled(self, compiled: Any, args: Any, kwargs: Any) -> Any:
        """Run a compiled function's call; at a step that is looked at, run the function once more with everything put back."""
        own = compiled.fn
        writes = self._own(written, compiled, args, kwargs) if self.due and not MODE.special else None
        state = self._own(_State, writes, self.model or _model_of(own)) if writes else None
        self.updated = False
        self.busy = True
        try:
            result = _real_compiled(compiled, *args, **kwargs)
        finally:
            self.busy = False
        if self.updated or any(t.requires_grad for t in writes or ()):
            self.training.add(compiled)
        if compiled in self.training:
            if state is not None:
                self._own(self._again, own, args, kwargs, state)
            self._count(result)
        return result

    def _count(self, result: Any) -> None:
        """End a step that was one compiled call; its loss is the number that it gave."""
        found = [t for t in tensors_of(result) if t._a.size == 1 and t._a.dtype.kind == "f"]
        if found and self.loss is None:
            self.loss = float(found[0]._a)
        elif isinstance(result, float):
            self.loss = result
        self._end()

    def _again(self, function: Any, args: Any, kwargs: Any, state: _State) -> None:
        model = state.model
        after = _State(state.tensors, model)
        parameters = {}
        if model is not None:
            self._names(model)
        for k, t in enumerate(state.tensors):
            name = self.named.get(id(t))
            if name is not None:
                old = state.arrays[k].reshape(-1)
                at = places(old.size, 0)
                g = t._grad._a if _dense(t._grad) else None
                parameters[name] = _parameter(after.arrays[k], g, at, old if at is None else old[at], None)
        state.put_back()
        try:
            with _Following(model if model is not None else Module(), self.keeping) as tape:
                function(*args, **kwargs)
            seen = tape.finished()
        finally:
            after.put_back()
        self._write(seen, parameters)


class _Following(Tape):
    """A tape over a whole step: gradients are taken from the step's own backward pass as it comes by."""

    forward = True

    def _see(self, op: Any, xs: Any, attrs: dict[str, Any], result: Any) -> None:
        if MODE.backward:
            return
        super()._see(op, xs, attrs, result)
        for out in result if isinstance(result, tuple) else (result,):
            if out is not None and out.requires_grad and id(out) in self.index:
                out.register_hook(self._hook(self.index[id(out)]))

    def _hook(self, i: int) -> Any:
        def arrived(g: Any) -> None:
            made = self.seen[i]
            made.gradient = statistics(g._a)
            if self.keep:
                made.out = (self.outs[i]._a.copy(), g._a.copy())

        return arrived

    def finished(self) -> list[Seen]:
        """Give what was seen up to the backward pass and what got a gradient."""
        return [s for s in self.seen if s.gradient is not None or s.module]


class _State:
    """The contents of tensors, of gradients and of the random generator, to be put back."""

    def __init__(self, tensors: list[Any], model: Any) -> None:
        self.tensors, self.model = tensors, model
        self.arrays = [t._a.copy() for t in tensors]
        self.leaves = list(model.parameters()) if model is not None else [t for t in tensors if t.requires_grad]
        self.grads = [(p._grad, p._grad._a.copy() if _dense(p._grad) else None) for p in self.leaves]
        self.generator = _random.default_generator.get_state()

    def put_back(self) -> None:
        for t, a in zip(self.tensors, self.arrays, strict=True):
            np.copyto(t._a, a)
            t._s.version += 1
        for p, (g, a) in zip(self.leaves, self.grads, strict=True):
            p._grad = g
            if a is not None:
                np.copyto(g._a, a)
        _random.default_generator.set_state(self.generator)


def _model_of(function: Any) -> Any:
    """Find the module that a function uses: in its closure, or among the globals that it names; None if there is not just one."""
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not bound yet
            continue
    found += [function.__globals__[name] for name in code.co_names if name in function.__globals__]
    owner = getattr(function, "__self__", None)
    found += list(vars(owner).values()) if hasattr(owner, "__dict__") else []
    models = {id(m): m for m in found if isinstance(m, Module) and next(iter(m.parameters()), None) is not None}
    return next(iter(models.values())) if len(models) == 1 else None


def _dense(g: Any) -> bool:
    return g is not None and not getattr(g, "_composite", False)


def _parameter(a: Any, g: Any, at: Any, old: Any, rate: float | None) -> dict[str, Any]:
    flat = a.reshape(-1)
    new = flat if at is None else flat[at]
    size = float(np.linalg.norm(old.astype(np.float64)))
    change = float(np.linalg.norm(new.astype(np.float64) - old))
    found: dict[str, Any] = {"value": statistics(a), "update_ratio": change / size if size > 0 else None}
    if g is not None:
        found["gradient"] = statistics(g)
    if rate is not None:
        found["lr"] = rate
    return found


def _node(s: Seen) -> dict[str, Any]:
    found: dict[str, Any] = {"value": s.value, "seconds": s.seconds}
    if s.gradient is not None:
        found["gradient"] = s.gradient
    if s.dead is not None:
        found["dead"] = s.dead
    return found


def _place(s: Seen) -> dict[str, Any]:
    return {
        "key": s.key,
        "op": s.op,
        "module": s.module,
        "place": s.line,
        "shape": list(s.shape),
        "dtype": s.dtype,
        "inputs": s.inputs,
        "forward": s.flops[0],
        "backward": s.flops[1],
        "bytes": int(np.prod(s.shape, dtype=np.int64)) * np.dtype(s.dtype).itemsize if s.dtype != "bfloat16" else 2,
    }


def _recorder() -> Recorder | None:
    return _running[0] if _running and _running[0]._mine() else None


def _call(self: Any, *args: Any, **kwargs: Any) -> Any:
    recorder = _recorder()
    if recorder is None or not _wanted(recorder, self):
        return _real_call(self, *args, **kwargs)
    return recorder.called(self, functools.partial(_real_call, self), args, kwargs)


def _wanted(recorder: Recorder, module: Any) -> bool:
    """Tell whether a module that is called from outside is what is recorded: the one that was named, or one with parameters."""
    original = getattr(module, "_orig_mod", module)
    if recorder.model is not None:
        return original is recorder.model or original is getattr(recorder.model, "_orig_mod", None)
    return next(iter(original.parameters()), None) is not None


def _backward(self: Any, *args: Any, **kwargs: Any) -> Any:
    recorder = _recorder()
    result = _real_backward(self, *args, **kwargs)
    if recorder is not None:
        recorder.went_back(self)
    return result


def _compiled_call(self: Any, *args: Any, **kwargs: Any) -> Any:
    recorder = _recorder()
    if recorder is None:
        return _real_compiled(self, *args, **kwargs)
    if isinstance(self.fn, Module):
        if not _wanted(recorder, self.fn):
            return _real_compiled(self, *args, **kwargs)
        return recorder.called(self.fn, functools.partial(_real_compiled, self), args, kwargs)
    return recorder.compiled(self, args, kwargs)
