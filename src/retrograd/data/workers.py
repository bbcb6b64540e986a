"""The worker processes of a DataLoader: what one does, and the crew of them that a parent leads."""

from __future__ import annotations

import contextlib
import os
import queue
import random
import signal
import threading
import time
import warnings
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

PATIENCE = 5.0  # seconds that a worker has to stop by itself


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker process knows of itself: its number, how many there are, its seed, and its copy of the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None
_parent_ends: weakref.WeakSet[Any] = weakref.WeakSet()  # this process's ends of all crews' pipes


def get_worker_info() -> WorkerInfo | None:
    """Tell a worker process who it is: ``id``, ``num_workers``, ``seed`` and ``dataset``; None in the main process.

    Examples
    --------
    >>> from retrograd.utils.data import get_worker_info
    >>> print(get_worker_info())
    None
    """
    return _info


@dataclass(frozen=True)
class Job:
    """What every worker of a crew is told at its start."""

    dataset: Any
    stream: bool
    batched: bool
    collate_fn: Any
    drop_last: bool
    base_seed: int
    init_fn: Any
    num_workers: int


def seed_worker(base_seed: int, worker: int) -> int:
    """Seed this process's random streams as PyTorch seeds those of its workers, and give the seed.

    Python and this library take ``base_seed + worker``; NumPy a mixture of both, so that the streams differ.
    """
    from ..random import default_generator

    seed = base_seed + worker
    random.seed(seed)
    default_generator.manual_seed(seed)
    entropy = np.random.SeedSequence([worker, base_seed & 0xFFFFFFFF, base_seed >> 32, 0])
    np.random.seed(entropy.generate_state(4))  # noqa: NPY002, what programs of worker processes draw from
    return seed


def work(job: Job, worker: int, tasks: Any, results: Any, inherited: Any) -> None:
    """Fetch what the parent asks for until it closes its end of the pipe, or is gone."""
    global _info
    for connection in inherited:  # copies of the parent's ends: held open, they would hide that the parent is gone
        connection.close()
    _info = WorkerInfo(worker, job.num_workers, seed_worker(job.base_seed, worker), job.dataset)
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks, inbox), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        _serve(job, worker, inbox, results)


def _listen(tasks: Any, inbox: queue.SimpleQueue[Any]) -> None:
    """Take the parent's messages at once, so that it never waits for a worker that itself waits to be heard."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            inbox.put(tasks.recv())
    inbox.put(None)


def _serve(job: Job, worker: int, inbox: queue.SimpleQueue[Any], results: Any) -> None:
    from .transport import RemoteError, send

    where = f"in DataLoader worker process {worker}"
    parent = os.getppid()
    fetch, failure = _begin(job, worker, where, True)
    ended = False
    while os.getppid() == parent:
        try:
            message = inbox.get(timeout=PATIENCE)
        except queue.Empty:
            continue
        if message is None:
            return
        epoch, number, index = message
        if number is None:  # a new epoch for a worker that is kept
            fetch, failure = _begin(job, worker, where, False)
            ended = False
            continue
        if ended:
            continue
        answer: Any = failure
        if failure is None:
            try:
                answer = fetch(index)
            except StopIteration:
                if job.stream:
                    ended = True
                    send(results, (epoch, number, "end", None))
                    continue
                answer = RemoteError(where)
            except Exception:
                answer = RemoteError(where)
        _answer(results, epoch, number, answer, where)
        del answer, index, message  # the parent has its own copy now


def _begin(job: Job, worker: int, where: str, first: bool) -> tuple[Any, Any]:
    """Give the function that fetches, or the error that came up instead."""
    from .fetch import make_fetch
    from .transport import RemoteError

    try:
        if first and job.init_fn is not None:
            job.init_fn(worker)
        return make_fetch(job.dataset, job.stream, job.batched, job.collate_fn, job.drop_last)[0], None
    except Exception:
        return None, RemoteError(where)


def _answer(results: Any, epoch: int, number: int, answer: Any, where: str) -> None:
    """Send data or an error; data that cannot be pickled becomes an error, and an error a RuntimeError."""
    from .transport import RemoteError, send

    try:
        send(results, (epoch, number, "error" if isinstance(answer, RemoteError) else "data", answer))
    except OSError:
        raise
    except Exception:
        error = answer if isinstance(answer, RemoteError) else RemoteError(where)
        try:
            send(results, (epoch, number, "error", error))
        except OSError:
            raise
        except Exception:
            send(results, (epoch, number, "error", error.without_type()))


class Crew:
    """Worker processes and the pipes to and from them.

    No worker shares a pipe or a lock with another, so that one that is killed leaves the others whole.
    """

    def __init__(self, context: Any, job: Job) -> None:
        self.owner = os.getpid()
        self.processes: list[Any] = []
        self.tasks: list[Any] = []
        self.results: list[Any] = []
        try:
            for worker in range(job.num_workers):
                self._hire(context, job, worker)
        except BaseException:
            self.stop()
            raise

    def _hire(self, context: Any, job: Job, worker: int) -> None:
        from .transport import widen

        hears, tasks = context.Pipe(duplex=False)
        results, says = context.Pipe(duplex=False)
        widen(results)
        _parent_ends.update((tasks, results))
        self.tasks.append(tasks)
        self.results.append(results)
        forked = context.get_start_method() == "fork"
        inherited = tuple(_parent_ends) if forked else ()
        process = context.Process(target=work, args=(job, worker, hears, says, inherited), daemon=True)
        with warnings.catch_warnings():
            # from 3.12 on Python warns of a fork beside threads; NumPy's, the only ones here, are made for it
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        self.processes.append(process)
        hears.close()
        says.close()

    def ask(self, worker: int, epoch: int, number: int | None, index: Any) -> None:
        """Give a worker a task; one that is gone is found out when its answer is awaited."""
        with contextlib.suppress(OSError):
            self.tasks[worker].send((epoch, number, index))

    def hear(self, workers: list[int], timeout: float) -> tuple[int, Any]:
        """Wait for the answer of one of several workers; RuntimeError if it is gone or the time is over."""
        from multiprocessing.connection import wait

        from .transport import receive

        by_pipe = {self.results[worker]: worker for worker in workers}
        ready = wait(list(by_pipe), timeout or None)
        if not ready:
            raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
        pipe: Any = ready[0]
        worker = by_pipe[pipe]
        try:
            return worker, receive(pipe)
        except (EOFError, OSError):
            raise RuntimeError(self._obituary(worker)) from None

    def _obituary(self, worker: int) -> str:
        process = self.processes[worker]
        process.join(PATIENCE)
        code = process.exitcode
        if code is not None and code < 0:
            how = f"was killed by signal {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                how += " (perhaps for want of memory)"
        else:
            how = f"left with exit code {code}"
        return (
            f"DataLoader worker (pid(s) {process.pid}) exited unexpectedly: worker {worker} {how}. "
            "With num_workers=0 an error in the dataset shows where it comes from."
        )

    def stop(self, patience: float = PATIENCE) -> None:
        """End all workers; those that do not stop by themselves in ``patience`` seconds are terminated."""
        if os.getpid() != self.owner:  # a copy in a forked process
            return
        for connection in (*self.tasks, *self.results):
            connection.close()
        deadline = time.monotonic() + patience
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
        for how in ("terminate", "kill"):
            for process in self.processes:
                if process.is_alive():
                    getattr(process, how)()
                    process.join(1.0)
        for process in self.processes:
            if not process.is_alive():
                process.close()
        self.processes = []
