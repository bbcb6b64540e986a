"""A model's call, done once more beside the real one with every operation seen; nothing of the real one changes by a bit."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from ... import random as _random
from ...core import MODE, BaseTensor, enable_grad
from ...core.place import describe, here, line_of
from ...nn.modules import handles
from ...nn.parameter import Parameter
from ...tensor.backward import grad
from ..doctor.look import Call
from ..summary import flops
from .statistics import RECTIFIERS, dead_share, statistics


@dataclass
class Seen:
    """One operation: where it is, what it cost, and its value's and gradient's statistics."""

    key: str
    op: str
    module: str
    place: str
    line: str
    shape: tuple[int, ...]
    dtype: str
    inputs: list[int]
    seconds: float
    flops: tuple[int, int]
    value: list[float]
    gradient: list[float] | None = None
    dead: float | None = None
    out: Any = field(default=None, repr=False)


class Tape:
    """Sees the operations of a call, their modules and lines, and keeps each one's statistics."""

    def __init__(self, model: Any, keep: bool) -> None:
        self.keep = keep  # the arrays, too
        self.model = model
        self.seen: list[Seen] = []
        self.index: dict[int, int] = {}  # which operation made a tensor
        self.outs: list[Any] = []
        self.paths = {id(part): path for path, part in model.named_modules()} if hasattr(model, "named_modules") else {}
        self.stack: list[str] = []
        self.counts: dict[str, int] = {}
        self.image = False

    def __enter__(self) -> Self:
        MODE.observers = (*MODE.observers, self._see)
        MODE.settle()
        self.handles = [
            handles.register_module_forward_pre_hook(self._enter),
            handles.register_module_forward_hook(self._leave, always_call=True),
        ]
        self.last = time.perf_counter()
        return self

    def __exit__(self, *exc: Any) -> None:
        for handle in self.handles:
            handle.remove()
        MODE.observers = tuple(o for o in MODE.observers if o != self._see)
        MODE.settle()

    def _enter(self, module: Any, args: Any) -> None:
        self.stack.append(self.paths.get(id(module), ""))

    def _leave(self, module: Any, args: Any, output: Any) -> None:
        if self.stack:
            self.stack.pop()

    def _see(self, op: Any, xs: Any, attrs: dict[str, Any], result: Any) -> None:
        seconds = time.perf_counter() - self.last
        place = here()
        where = line_of(place)
        module = self.stack[-1] if self.stack else ""
        sources = [self.index[id(x)] for x in xs if isinstance(x, BaseTensor) and id(x) in self.index]
        for out in result if isinstance(result, tuple) else (result,):
            if out is None:
                continue
            name = f"{module}/{op.name}" if module else op.name
            count = self.counts[name] = self.counts.get(name, 0) + 1
            made = Seen(
                f"{name}#{count}",
                op.name,
                module,
                f"{where[0]}:{where[1]}" if where else "",
                describe(place) if place is not None else "",
                tuple(out._a.shape),
                str(out._a.dtype),
                sources,
                seconds,
                flops(Call(op, tuple(xs), attrs, out, module, place)),
                statistics(out._a),
            )
            if op.name.startswith("conv"):
                self.image = True
            if op.name in RECTIFIERS and out._a.ndim > 1:
                made.dead = dead_share(out._a, 1 if self.image and out._a.ndim > 2 else out._a.ndim - 1)
            self.index[id(out)] = len(self.seen)
            self.seen.append(made)
            self.outs.append(out)
        self.last = time.perf_counter()

    def go_back(self, outputs: list[Any], upstream: list[Any]) -> None:
        """Walk back from outputs with the gradients that really arrived, and keep each operation's."""
        chosen = [(o, g) for o, g in zip(outputs, upstream, strict=True) if g is not None and o.requires_grad]
        inner = [(i, t) for i, t in enumerate(self.outs) if t.requires_grad and t._a.dtype.kind in "fc"]
        if not chosen or not inner:
            return
        with enable_grad():
            got = grad([o for o, _ in chosen], [t for _, t in inner], [g for _, g in chosen], allow_unused=True)
        for (i, _), g in zip(inner, got, strict=True):
            if g is not None:
                a = g.to_dense()._a if getattr(g, "_composite", False) else g._a
                self.seen[i].gradient = statistics(a)
                if self.keep:
                    self.seen[i].out = (self.outs[i]._a, a)
        if self.keep:
            for i, t in enumerate(self.outs):
                if self.seen[i].out is None:
                    self.seen[i].out = (t._a, None)

    def forget(self) -> None:
        """Let the history go."""
        self.outs, self.index = [], {}


def twin_of(model: Any) -> Any:
    """Copy a model, its state in Python too; parameters and buffers share the original's memory or are copies."""
    memo: dict[int, Any] = {}
    for p in model.parameters():
        shared = Parameter(p.detach(), requires_grad=p.requires_grad)
        memo[id(p)] = shared
        # deepcopy looks what it holds alive for up in the memo, too
        memo.setdefault(id(memo), []).append(p)
    twin = copy.deepcopy(model, memo)
    for module in twin.modules():
        for table in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
            module.__dict__[table].clear()
    return twin


def tensors_of(thing: Any) -> list[Any]:
    """List the tensors in nested data."""
    if isinstance(thing, BaseTensor):
        return [thing]
    if isinstance(thing, dict):
        thing = list(thing.values())
    return [t for part in thing for t in tensors_of(part)] if isinstance(thing, (list, tuple)) else []


class Shadow:
    """One call of a model at a step that is recorded: the real result is given back, and a copy is run under the tape."""

    def __init__(self, model: Any, keep: bool) -> None:
        self.model, self.keep = model, keep
        self.twin = twin_of(model)
        self.before = _random.default_generator.get_state()
        self.tape: Tape | None = None
        self.outputs: list[Any] = []
        self.upstream: list[Any] = []

    def follow(self, args: Any, kwargs: Any, result: Any) -> None:
        """Run the copy on what the real call was given, with the same random draws, and wait for the real gradients."""
        after = _random.default_generator.get_state()
        real = tensors_of(result)
        try:
            _random.default_generator.set_state(self.before)
            with enable_grad(), Tape(self.twin, self.keep) as self.tape:
                again = self.twin.forward(*_detached(args), **_detached(kwargs))
        finally:
            _random.default_generator.set_state(after)
        self.outputs = tensors_of(again)
        self.upstream = [None] * len(self.outputs)
        for i, (mine, theirs) in enumerate(zip(self.outputs, real, strict=False)):
            if theirs.requires_grad and mine.requires_grad:
                theirs.register_hook(self._arrived(i))

    def _arrived(self, i: int) -> Any:
        def hook(g: Any) -> None:
            if i >= len(self.upstream):  # a second backward pass of the step
                return
            held = self.upstream[i]
            self.upstream[i] = g.detach().clone() if held is None else held + g.detach()

        return hook

    @property
    def arrived(self) -> bool:
        """Whether real gradients have come that were not walked back yet."""
        return any(g is not None for g in self.upstream)

    @property
    def seen(self) -> list[Seen]:
        """What was seen."""
        return self.tape.seen if self.tape is not None else []

    def go_back(self) -> None:
        """Walk back with the gradients that arrived; once, so of several backward passes of a step the first counts."""
        if self.tape is not None:
            self.tape.go_back(self.outputs, self.upstream)
            self.tape.forget()
        self.outputs, self.upstream = [], []


def _detached(thing: Any) -> Any:
    if isinstance(thing, BaseTensor):
        x: Any = thing
        return x.detach().requires_grad_(x.requires_grad) if x._a.dtype.kind in "fc" else x
    if isinstance(thing, dict):
        return {k: _detached(v) for k, v in thing.items()}
    if isinstance(thing, (list, tuple)):
        parts = [_detached(v) for v in thing]
        return type(thing)(*parts) if hasattr(thing, "_fields") else type(thing)(parts)
    return thing


def arrays_of(seen: list[Seen]) -> dict[str, Any]:
    """Give the arrays that a tape kept, by ``value:KEY`` and ``gradient:KEY``."""
    found = {}
    for made in seen:
        value, gradient = made.out if made.out is not None else (None, None)
        if value is not None:
            found[f"value:{made.key}"] = np.ascontiguousarray(value)
        if gradient is not None:
            found[f"gradient:{made.key}"] = np.ascontiguousarray(gradient)
    return found
