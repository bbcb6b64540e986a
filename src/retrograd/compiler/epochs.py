"""Epochs: a compiled step run over all batches of a loader, in few native calls."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import MODE, BaseTensor, wrap
from ..data import DataLoader, TensorDataset
from ..data.gather import Batches, Gathering
from ..data.iterators import SingleProcessIterator
from ..tensor.tree import flatten, unflatten
from .compiled import Compiled
from .fast import MISSED, Fast
from .several import Several, Unfit

SLICE = 0.05  # seconds of one native call: between two, Ctrl-C is heard and progress shown
FIRST = 16  # steps of the first
SHOWN = 0.1  # seconds between two lines of progress
MOST_NOTES = 8


def epoch(
    step: Any,
    data: Any,
    *,
    batch_size: int | None = None,
    shuffle: bool | None = None,
    drop_last: bool = False,
    generator: Any = None,
    scheduler: Any = None,
    progress: bool | Callable[[int, int | None, float | None], Any] = False,
) -> Any:
    """Run a step over all batches of a loader, as machine code from one batch to the next.

    It does what ``for batch in loader: step(*batch)`` does: the batches, the random draws, the parameters, the optimizer's state and
    the gradients are the same bits. Where the loader is one over a TensorDataset, in this process, and the step is compiled
    without calls of NumPy, gathering the batch, the step and keeping its result run in native code, about 50 ms at a time;
    otherwise, and for the first calls, which are watched and traced, it is that loop. ``step.explain()`` tells which it was.

    Parameters
    ----------
    step : callable
        Takes a batch's tensors; it is compiled if it is not.
    data : DataLoader, Dataset, tuple of Tensor, or iterable
        A dataset, or tensors whose rows belong together, go into a DataLoader with the next four arguments.
    batch_size, shuffle, drop_last, generator
        As DataLoader takes them.
    scheduler : object, optional
        A learning rate scheduler, stepped after every step.
    progress : bool or callable
        True prints a line on stderr; a callable is called with the steps done, their number (None where it is not
        known), and the mean of the results so far where they are numbers.

    Returns
    -------
    Tensor, or as the step returns them, or None
        Its results, stacked along a new first dimension, without history; a list where their shapes differ, or for what is no
        tensor.

    Raises
    ------
    TypeError
        If a loader is given with arguments that are for making one.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.compiler import epoch
    >>> net = torch.nn.Linear(3, 1)
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> @torch.compile
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = torch.nn.functional.mse_loss(net(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x = torch.randn(1000, 3)
    >>> losses = epoch(step, (x, x.sum(1, keepdim=True)), batch_size=10, shuffle=True)
    >>> losses.shape, bool(losses[-1] < losses[0])
    (torch.Size([100]), True)
    """
    made_here = isinstance(data, TensorDataset) or (
        isinstance(data, tuple) and all(isinstance(t, BaseTensor) for t in data)
    )
    if made_here:
        dataset = TensorDataset(*data) if isinstance(data, tuple) else data
        data = DataLoader(dataset, batch_size or 1, shuffle, drop_last=drop_last, generator=generator)
    elif batch_size is not None or shuffle is not None or drop_last or generator is not None:
        raise TypeError(
            "epoch: batch_size, shuffle, drop_last and generator are for tensors or a TensorDataset, not a loader"
        )
    compiled = step if isinstance(step, Compiled) else Compiled(step)
    return _Epoch(compiled, data, scheduler, progress).run()


class _Epoch:
    """One run over a loader."""

    def __init__(self, compiled: Compiled, loader: Any, scheduler: Any, progress: Any) -> None:
        self.compiled, self.loader, self.scheduler = compiled, loader, scheduler
        self.show = _Line(compiled.name) if progress is True else progress or None
        self.total = len(loader) if hasattr(loader, "__len__") else None
        self.results = _Results()
        self.done = self.native = 0
        self.reason: str | None = None
        self.several: dict[tuple[int, int], Several | str] = {}
        self.seconds = 0.0  # of one native step

    def run(self) -> Any:
        began = time.perf_counter()
        try:
            batches = iter(self.loader)
            if self._is_native(batches):
                self._by_slices(batches._indices, batches._fetch)
            else:
                for batch in batches:
                    self._one(batch)
        finally:
            if isinstance(self.show, _Line):
                self.show.end()
            self._note(time.perf_counter() - began)
        return self.results.stacked()

    def _is_native(self, batches: Any) -> bool:
        if type(batches) is not SingleProcessIterator:
            self.reason = "the loader is not a DataLoader without workers"
        elif not isinstance(batches._fetch, Gathering):
            self.reason = "the loader's samples are not rows of a TensorDataset's tensors"
        elif not isinstance(batches._indices, Batches):
            self.reason = "the loader's sampler is not one of the library's own"
        return self.reason is None

    def _note(self, seconds: float) -> None:
        notes, compiled = self.compiled.epochs, self.compiled
        if self.reason is None and not self.native and self.done:
            self.reason = self._why(compiled)
        notes.append({"steps": self.done, "native": self.native, "seconds": seconds, "reason": self.reason})
        del notes[:-MOST_NOTES]

    @staticmethod
    def _why(compiled: Compiled) -> str | None:
        if compiled.eager:
            return next(iter(compiled.eager.values()))
        if compiled.entries and compiled.quick is None:
            return "its calls are not compared in generated code alone"
        return None

    # -- one by one --------------------------------------------------------------------------------------------------------
    def _one(self, batch: Any) -> None:
        self._keep(self.compiled(*batch) if isinstance(batch, (tuple, list)) else self.compiled(batch))

    def _keep(self, result: Any) -> None:
        if self.scheduler is not None:
            self.scheduler.step()
        self.results.add(result)
        self._progress(1)

    def _progress(self, steps: int) -> None:
        self.done += steps
        if self.show is not None:
            self.show(self.done, self.total, self.results.mean())

    # -- many at once ------------------------------------------------------------------------------------------------------
    def _by_slices(self, indices: Any, fetch: Gathering) -> None:
        """Make one call through the gate, which compares everything, and as many steps behind it as fit into a slice."""
        for index in indices:
            batch = fetch(index)
            with self.compiled.lock:
                fast = self.compiled.quick
                result = self._gated(fast, batch)
                if result is MISSED:
                    self._one(batch)
                    continue
                self._keep(result)
                several = self._many(fast, fetch, batch)
                if several is not None:
                    self._slice(several, indices, fetch)

    def _gated(self, fast: Fast | None, batch: list[Any]) -> Any:
        if fast is None or MODE.special or MODE.grad is not fast.grad or fast.given != len(batch) or fast.entry.endings:
            return MISSED
        try:
            return fast.call(batch)
        except Exception:
            return self.compiled._failed(fast.entry, batch, {})

    def _many(self, fast: Fast, fetch: Gathering, batch: list[Any]) -> Several | None:
        size = len(batch[0]._a)
        key = id(fast), size
        found = self.several.get(key)
        if found is None:
            try:
                found = Several(fast, fetch.tensors, size, self.scheduler)
            except Unfit as unfit:
                found = self.reason = str(unfit)
            self.several[key] = found
        return found if isinstance(found, Several) else None

    def _slice(self, several: Several, indices: Batches, fetch: Gathering) -> None:
        began = time.perf_counter()
        while (left := SLICE - (time.perf_counter() - began)) > 0:
            most = FIRST if self.seconds == 0.0 else int(left / self.seconds)
            if indices.draws and several.drawn:
                most = min(most, 1)
            taken, count = indices.several(min(most, several.most()), several.size)
            if count == 0 or not self._run(several, taken, count, fetch):
                return

    def _run(self, several: Several, taken: Any, count: int, fetch: Gathering) -> bool:
        """Run these batches; tell whether all of them were native."""
        rows = fetch.rows(taken)
        start = time.perf_counter()
        done = 0
        if rows is not None:
            results, done = several(rows, count)
            if done:
                self.seconds = (time.perf_counter() - start) / done
                self.results.add_many(results, several.entry.captured.structure, done)
                self.native += done
                self._progress(done)
        if done == count:
            return True
        size = several.size
        for k in range(done, count):
            if isinstance(taken, slice):
                index: Any = slice(taken.start + k * size, taken.start + (k + 1) * size)
            else:
                index = taken[k * size : (k + 1) * size]
            batch = fetch(index)
            if k == done and several.program.error is not None and several.program.error.value:
                self._keep(self._complain(several, batch))
            else:
                self._one(batch)
        return False

    def _complain(self, several: Several, batch: list[Any]) -> Any:
        try:
            several.program.complain()
        except IndexError:
            return self.compiled._failed(several.entry, batch, {})


class _Results:
    """The results of all steps: of each leaf, arrays of those of several steps, or lists of what is no tensor."""

    def __init__(self) -> None:
        self.parts: list[tuple[Any, int, list[Any]]] = []  # structure, steps, leaves
        self.counted, self.sum, self.steps = 0, 0.0, 0

    def add(self, result: Any) -> None:
        """Keep one step's result."""
        leaves, structure = flatten(result)
        self.parts.append((structure, 1, [x._a[None] if isinstance(x, BaseTensor) else [x] for x in leaves]))

    def add_many(self, results: list[Any], structure: Any, steps: int) -> None:
        """Keep the results of several."""
        leaves = [x if isinstance(x, np.ndarray) and x.shape[:1] == (steps,) else [x] * steps for x in results]
        self.parts.append((structure, steps, leaves))

    def mean(self) -> float | None:
        """Give the mean of the first leaf so far, if it is one number a step."""
        for _, steps, leaves in self.parts[self.counted :]:
            values = leaves[0] if leaves else None
            if not isinstance(values, np.ndarray) or values.size != steps or values.dtype.kind not in "fiub":
                return None
            self.sum += float(values.sum(dtype=np.float64))
            self.steps += steps
        self.counted = len(self.parts)
        return self.sum / self.steps if self.steps else None

    def stacked(self) -> Any:
        """Give them as one result whose tensors have a new first dimension."""
        if not self.parts:
            return None
        structure, _, leaves = self.parts[0]
        if any(repr(s) != repr(structure) or len(x) != len(leaves) for s, _, x in self.parts):
            return [unflatten([_leaf(x[k]) for x in leaves], s) for s, n, leaves in self.parts for k in range(n)]
        columns = [_column([leaves[i] for _, _, leaves in self.parts]) for i in range(len(leaves))]
        return None if structure is None and columns == [None] else unflatten(columns, structure)


def _leaf(x: Any) -> Any:
    return wrap(np.ascontiguousarray(x)) if isinstance(x, (np.ndarray, np.generic)) else x


def _column(blocks: list[Any]) -> Any:
    """Put a leaf's values of all steps together."""
    if all(isinstance(b, np.ndarray) for b in blocks) and len({(b.shape[1:], b.dtype) for b in blocks}) == 1:
        return wrap(blocks[0] if len(blocks) == 1 else np.concatenate(blocks))
    values = [_leaf(v) for b in blocks for v in b]
    return None if all(v is None for v in values) else values


class _Line:
    """A line on stderr, written over as steps are done."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.began = self.last = time.perf_counter()
        self.text = ""

    def __call__(self, done: int, of: int | None, mean: float | None) -> None:
        now = time.perf_counter()
        whole = f"/{of}" if of is not None else ""
        value = f"  mean {mean:.6g}" if mean is not None else ""
        self.text = f"{self.name}: {done}{whole} steps{value}  {(now - self.began) / done * 1e6:.3g} us a step"
        if now - self.last >= SHOWN:
            self.last = now
            self._write("\r" + self.text)

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    def end(self) -> None:
        if self.text:
            self._write("\r" + self.text + "\n")


__all__ = ["epoch"]
