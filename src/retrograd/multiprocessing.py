"""torch.multiprocessing: Python's, through whose queues and pipes tensors travel by copy, and ``spawn``."""

from __future__ import annotations

import multiprocessing as _python
from multiprocessing import *  # noqa: F403  every name of Python's module
from typing import Any


def get_all_sharing_strategies() -> set[str]:
    """Give the ways in which tensors are handed over."""
    return {"file_system", "file_descriptor"}


_strategy = ["file_descriptor"]


def get_sharing_strategy() -> str:
    """Give the way in which tensors are handed over."""
    return _strategy[0]


def set_sharing_strategy(new_strategy: str) -> None:
    """Choose the way in which tensors are handed over; they are copied either way."""
    if new_strategy not in get_all_sharing_strategies():
        raise AssertionError(f"the sharing strategy {new_strategy!r} is none of {sorted(get_all_sharing_strategies())}")
    _strategy[0] = new_strategy


class ProcessRaisedException(Exception):
    """A process that ``spawn`` started ended by an exception."""


class ProcessExitedException(Exception):
    """A process that ``spawn`` started ended by a signal or an exit status."""


def _call(fn: Any, i: int, args: tuple[Any, ...], errors: Any) -> None:
    """Run one of the processes, and send a traceback to the parent where it fails."""
    import traceback

    try:
        fn(i, *args)
    except KeyboardInterrupt:
        pass
    except Exception:
        errors.put(traceback.format_exc())
        raise SystemExit(1) from None


class SpawnContext:
    """The processes that ``spawn`` started without waiting for them."""

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes, self.errors = processes, errors

    def pids(self) -> list[int]:
        """Give the processes' numbers."""
        return [int(p.pid) for p in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait for the processes; end the others where one fails, and raise what it raised."""
        for i, process in enumerate(self.processes):
            process.join(timeout)
            if process.exitcode is None:
                return False
            if process.exitcode:
                for other in self.processes:
                    if other.is_alive():
                        other.terminate()
                if not self.errors[i].empty():
                    raise ProcessRaisedException(
                        f"\n\n-- Process {i} terminated with the following error:\n{self.errors[i].get()}"
                    )
                raise ProcessExitedException(f"process {i} terminated with exit code {process.exitcode}")
        return True


ProcessContext = SpawnContext


def start_processes(
    fn: Any,
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> Any:
    """Run ``fn(i, *args)`` in ``nprocs`` processes, and wait for them unless ``join`` is False.

    Raises ProcessRaisedException where one of them raises.
    """
    context: Any = _python.get_context(start_method)
    processes, errors = [], []
    for i in range(nprocs):
        queue = context.SimpleQueue()
        process = context.Process(target=_call, args=(fn, i, args, queue), daemon=daemon)
        process.start()
        processes.append(process)
        errors.append(queue)
    started = SpawnContext(processes, errors)
    if not join:
        return started
    while not started.join():
        pass
    return None


def spawn(
    fn: Any,
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> Any:
    """Run ``fn(i, *args)`` in ``nprocs`` fresh processes; see `start_processes`."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)


__all__ = [
    *_python.__all__,
    "ProcessExitedException",
    "ProcessRaisedException",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]
