"""A model's operations as they are recorded: where each is, what it cost, and what its value and gradient were like."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from ...core import BaseTensor, enable_grad
from ...core.place import Place, describe, here
from ...tensor.backward import grad
from ..doctor.look import Call
from ..observing import Observing
from ..summary import flops
from ..twins import array_of
from .statistics import RECTIFIERS, dead_share, statistics

_lines: dict[Place, str] = {}
MOST_PLACES = 10_000


@dataclass
class Seen:
    """One operation: where it is, what it cost, and its value's and gradient's statistics."""

    key: str
    op: str
    module: str
    line: str
    shape: tuple[int, ...]
    dtype: str
    inputs: list[int]
    seconds: float
    flops: tuple[int, int]
    value: list[float]
    gradient: list[float] | None = None
    dead: float | None = None  # of a rectifier's units, the share that is zero for all samples
    always: float = 0.0  # and the share that never is, where many are dead
    units: int = 0
    out: Any = field(default=None, repr=False)


class Tape(Observing):
    """Sees the operations of a call, their modules and lines, and keeps each one's statistics."""

    def __init__(self, model: Any, keep: bool) -> None:
        super().__init__(model)
        self.keep = keep  # the arrays, too
        self.seen: list[Seen] = []
        self.index: dict[int, int] = {}  # which operation made a tensor
        self.outs: list[Any] = []
        self.versions: list[int] = []  # of their memory, when they were seen
        self.counts: dict[str, int] = {}
        self.image = False

    def __enter__(self) -> Self:
        super().__enter__()
        self.last = time.perf_counter()
        return self

    def _seen(self, op: Any, xs: Any, attrs: dict[str, Any], result: Any) -> None:
        seconds = time.perf_counter() - self.last
        place, module = here(), self.module
        sources = [self.index[id(x)] for x in xs if isinstance(x, BaseTensor) and id(x) in self.index]
        for out in result if isinstance(result, tuple) else (result,):
            if out is None:
                continue
            name = f"{module}/{op.name}" if module else op.name
            count = self.counts[name] = self.counts.get(name, 0) + 1
            a = out._a
            made = Seen(
                f"{name}#{count}",
                op.name,
                module,
                line_at(place),
                tuple(a.shape),
                str(a.dtype),
                sources,
                seconds,
                flops(Call(op, tuple(xs), attrs, out, module, place)),
                self._statistics(out, xs),
            )
            if op.name.startswith("conv"):
                self.image = True
            if op.name in RECTIFIERS and a.ndim > 1:
                axis = 1 if self.image and a.ndim > 2 else a.ndim - 1
                made.units = a.shape[axis]
                made.dead, made.always = dead_share(a, axis)
            if self.keep:
                made.out = (a if a.base is None else a.copy(), None)  # a view's memory may be written to later
            self.index[id(out)] = len(self.seen)
            self.seen.append(made)
            self.outs.append(out)
            self.versions.append(out._s.version)
        self.last = time.perf_counter()

    def _statistics(self, out: Any, xs: Any) -> list[float]:
        """Give a value's statistics; those of a view of a whole value that was seen are known."""
        for x in xs:
            if isinstance(x, BaseTensor) and id(x) in self.index and x._s is out._s and x._a.size == out._a.size:
                at = self.index[id(x)]
                if self.versions[at] == x._s.version and x._a.dtype == out._a.dtype:
                    return self.seen[at].value
        return statistics(out._a)

    def arrived(self, i: int, a: Any, own: bool = True) -> None:
        """Note an operation's gradient; ``own`` tells that nobody else writes to its memory."""
        made = self.seen[i]
        made.gradient = statistics(a)
        self._keep_gradient(made, a, own)

    def _keep_gradient(self, made: Seen, a: Any, own: bool) -> None:
        if self.keep:
            made.out = (made.out[0], a if own else a.copy())

    def go_back(self, outputs: list[Any], upstream: list[Any]) -> None:
        """Walk back from outputs with the gradients that really arrived, and keep each operation's."""
        chosen = [(o, g) for o, g in zip(outputs, upstream, strict=True) if g is not None and o.requires_grad]
        inner = [(i, t) for i, t in enumerate(self.outs) if t.requires_grad and t._a.dtype.kind in "fcV"]
        if not chosen or not inner:
            return
        with enable_grad():
            got = grad([o for o, _ in chosen], [t for _, t in inner], [g for _, g in chosen], allow_unused=True)
        known: dict[
            Any, tuple[list[float], Any]
        ] = {}  # with the arrays, so that no other comes to lie there; an addition hands on the array that it was given
        for (i, _), g in zip(inner, got, strict=True):
            if g is not None:
                a = array_of(g)
                key = a.__array_interface__["data"], a.shape, a.strides, a.dtype
                made = self.seen[i]
                if key not in known:
                    known[key] = statistics(a), a
                made.gradient = known[key][0]
                self._keep_gradient(made, a, own=True)

    def forget(self) -> None:
        """Let the history go."""
        self.outs, self.index = [], {}


def line_at(place: Place | None) -> str:
    """Describe a place; a line that was read once is known."""
    if place is None:
        return ""
    found = _lines.get(place)
    if found is None:
        if len(_lines) >= MOST_PLACES:
            _lines.clear()
        found = _lines[place] = describe(place)
    return found


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
