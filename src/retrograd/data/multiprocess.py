"""The iterator of a DataLoader with worker processes."""

from __future__ import annotations

import itertools
import multiprocessing
import weakref
from typing import Any

from .iterators import LoaderIterator
from .workers import Crew, Job


class MultiProcessIterator(LoaderIterator):
    """Hands out tasks to workers in turn, some ahead, and gives their answers in the tasks' order.

    Every task has a number. In order, the next answer is awaited only from the worker that has the next number: it
    answers its own tasks in their order, so nothing needs to be put aside. Answers to an epoch that was broken off
    are dropped.
    """

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        if loader.prefetch_factor < 1:
            raise ValueError("prefetch_factor must be at least 1 for workers to be given tasks")
        self._ahead = loader.prefetch_factor * self._num_workers
        self._in_order = loader.in_order
        self._persistent = loader.persistent_workers
        job = Job(
            loader.dataset,
            self._is_stream,
            loader._auto_collation,
            loader.collate_fn,
            loader.drop_last,
            self._base_seed,
            loader.worker_init_fn,
            self._num_workers,
        )
        self._crew = Crew(loader.multiprocessing_context or multiprocessing.get_context(), job)
        self._stop = weakref.finalize(self, self._crew.stop)
        self._epoch = 0
        self._begin()

    def _reset(self, loader: Any) -> None:
        super()._reset(loader)
        self._epoch += 1
        for worker in range(self._num_workers):
            self._crew.ask(worker, self._epoch, None, None)
        self._begin()

    @property
    def _alive(self) -> bool:  # type: ignore[override]
        return self._stop.alive

    def _begin(self) -> None:
        self._next_task = 0  # the number of the next task to hand out
        self._awaited = 0  # the number of the next answer to give
        self._worker_of: dict[int, int] = {}  # the tasks that are not answered
        self._active = [True] * self._num_workers
        self._turns = itertools.cycle(range(self._num_workers))
        for _ in range(self._ahead):
            self._hand_out()

    def _hand_out(self) -> None:
        """Give the next indices to the next worker whose stream has not ended."""
        try:
            index = next(self._indices)
        except StopIteration:
            return
        share = self._ahead // max(1, sum(self._active))
        for worker in itertools.islice(self._turns, self._num_workers):
            busy = 0 if self._in_order else sum(w == worker for w in self._worker_of.values())
            if self._active[worker] and (self._in_order or busy < share):
                break
        else:
            return
        self._crew.ask(worker, self._epoch, self._next_task, index)
        self._worker_of[self._next_task] = worker
        self._next_task += 1

    def _candidates(self) -> list[int]:
        """Give the workers whose answer may come next; none at the end."""
        for number in [n for n, worker in self._worker_of.items() if not self._active[worker]]:
            del self._worker_of[number]
        if not self._in_order:
            return sorted(set(self._worker_of.values()))
        while self._awaited < self._next_task and self._awaited not in self._worker_of:
            self._awaited += 1
        return [self._worker_of[self._awaited]] if self._awaited < self._next_task else []

    def __next__(self) -> Any:
        if not self._alive:
            raise StopIteration
        while workers := self._candidates():
            try:
                worker, (epoch, number, kind, data) = self._crew.hear(workers, self._timeout)
            except RuntimeError:
                self._stop.detach()
                self._crew.stop(patience=0)
                raise
            if epoch != self._epoch:
                continue
            if kind == "end":
                self._active[worker] = False
                self._hand_out()
                continue
            del self._worker_of[number]
            self._hand_out()
            if kind == "error":
                data.reraise()
            self._count()
            return data
        if not self._persistent:
            self._stop()
        raise StopIteration
