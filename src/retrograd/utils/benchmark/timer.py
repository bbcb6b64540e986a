"""Timer: a statement run often enough that its time can be told, warm, on a given number of threads."""

from __future__ import annotations

import enum
import statistics
import textwrap
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from .measurement import Measurement, TaskSpec

timer = timeit.default_timer  # nothing here runs behind the program's back that would have to be waited for
SHORTEST = 1e-9


class Language(enum.Enum):
    """What a statement is written in."""

    PYTHON = 0
    CPP = 1


def _plain(text: str) -> str:
    return textwrap.dedent(text).removeprefix("\n").rstrip()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    from ... import get_num_threads, set_num_threads

    before = get_num_threads()
    set_num_threads(count)
    try:
        yield
    finally:
        set_num_threads(before)


class Timer:
    """Measures how long a statement takes, as `timeit.Timer` does, but warm, on one thread unless more are asked for.

    Parameters
    ----------
    stmt, setup : str
        What is measured, and what is run once before.
    globals : dict, optional
        The names both see; ``torch`` is among them anyhow.
    label, sub_label, description, env : str, optional
        The words by which `Compare` arranges measurements: table, row, column, group of rows.
    num_threads : int
        How many threads operations may use.

    Examples
    --------
    >>> from retrograd.utils.benchmark import Timer
    >>> Timer("x + x", globals={"x": 2}).timeit(100).number_per_run
    100
    """

    _timer_cls: Any = timeit.Timer

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Any = Language.PYTHON,
    ) -> None:
        if not isinstance(stmt, str):
            raise ValueError("Currently only a `str` stmt is supported.")
        if language in (Language.CPP, "cpp", "c++"):
            raise NotImplementedError("Timer: statements in C++ would need a compiler; here only Python is timed")
        if language not in (Language.PYTHON, "py", "python"):
            raise ValueError(f"Invalid language `{language}`.")
        if global_setup:
            raise ValueError(f"global_setup is C++ only, got `{global_setup}`; put it into `setup`.")
        import retrograd

        names = {"torch": retrograd, **(globals or {})}
        stmt, setup = _plain(stmt), _plain(setup)
        self._timer = self._timer_cls(stmt=stmt, setup=setup, timer=timer, globals=names)
        self._task_spec = TaskSpec(stmt, setup, "", label, sub_label, description, env, num_threads)

    def _timeit(self, number: int) -> float:
        taken: float = self._timer.timeit(number)
        return max(taken, SHORTEST)

    def _measured(self, number: int, times: list[float]) -> Measurement:
        return Measurement(number_per_run=number, raw_times=times, task_spec=self._task_spec)

    def timeit(self, number: int = 1000000) -> Measurement:
        """Run the statement a number of times, after a warm-up of a hundredth of it."""
        with _threads(self._task_spec.num_threads):
            self._timeit(max(number // 100, 2))
            return self._measured(number, [self._timeit(number)])

    def repeat(self, repeat: int = -1, number: int = -1) -> NoReturn:
        """Raise NotImplementedError: `blocked_autorange` is what to use."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def autorange(self, callback: Any = None) -> NoReturn:
        """Raise NotImplementedError: `blocked_autorange` is what to use."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def _block(self, min_run_time: float) -> int:
        """Give how many executions make the clock's own time negligible; finding out is the warm-up."""
        empty = statistics.median(self._timeit(0) for _ in range(5))
        number = 1
        while True:
            taken = self._timeit(number)
            if taken > min_run_time or (empty <= 1e-4 * taken and taken >= min_run_time / 1000):
                return number
            number *= 10

    def _repeated(
        self, number: int, least: float, most: float | None, enough: Callable[[list[float]], bool], callback: Any
    ) -> Measurement:
        times: list[float] = []
        total = 0.0
        while total < least or not enough(times):
            times.append(self._timeit(number))
            total += times[-1]
            if callback is not None:
                callback(number, times[-1])
            if most and total > most:
                break
        return self._measured(number, times)

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Run blocks of executions until a time in all has passed; how long a block is, is found out first."""
        with _threads(self._task_spec.num_threads):
            return self._repeated(self._block(min_run_time), min_run_time, None, lambda times: True, callback)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:
        """Run blocks of executions until their interquartile range is less than a part of their median."""

        def enough(times: list[float]) -> bool:
            if len(times) <= 3:
                return False
            low, middle, high = np.quantile(times, (0.25, 0.5, 0.75))
            return bool(high - low < threshold * middle)

        with _threads(self._task_spec.num_threads):
            return self._repeated(self._block(0.05), min_run_time, max_run_time, enough, callback)

    def collect_callgrind(self, *args: Any, **options: Any) -> NoReturn:
        """Raise NotImplementedError: there is no compiled library whose instructions could be counted."""
        raise NotImplementedError(
            "Timer.collect_callgrind: instructions are not counted here; blocked_autorange measures times"
        )
