"""One measurement: what was measured, the times found, and what they say."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

MOST_FIGURES = 4
LEAST_INTERVAL = 25e-9  # seconds: no clock here tells more
Z95 = 1.645
WAVERING, DISTURBED = 0.1, 0.25  # interquartile range by median, from which on a warning is given

_UNITS = {"ns": ("nanosecond", 1e-9), "us": ("microsecond", 1e-6), "ms": ("millisecond", 1e-3), "s": ("second", 1.0)}


def select_unit(t: float) -> tuple[str, float]:
    """Give the unit that a time is best shown in, and how many seconds it has.

    Examples
    --------
    >>> from retrograd.utils.benchmark import select_unit
    >>> select_unit(0.0025)
    ('ms', 0.001)
    """
    unit = {-3: "ns", -2: "us", -1: "ms"}.get(math.floor(math.log10(t) / 3), "s")
    return unit, _UNITS[unit][1]


def unit_to_english(u: str) -> str:
    """Spell a unit's name."""
    return _UNITS[u][0]


def trim_sigfig(x: float, n: int) -> float:
    """Round to a number of significant figures.

    Examples
    --------
    >>> from retrograd.utils.benchmark import trim_sigfig
    >>> round(trim_sigfig(3.14159, 2), 6)
    3.1
    """
    scale = 10.0 ** (math.ceil(math.log10(abs(x))) - n)
    return round(x / scale) * scale


def ordered_unique(elements: Iterable[Any]) -> list[Any]:
    """Give each of some values once, in the order they come in."""
    return list(dict.fromkeys(elements))


@dataclasses.dataclass(frozen=True)
class TaskSpec:
    """What a measurement measures, and the words that a table puts it under."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label, or else the statement."""
        below = f" ({self.sub_label})" if self.sub_label else ""
        if self.label is None and "\n" in self.stmt:
            return "\n".join([f"stmt:{below}", *(f"  {line}" for line in self.stmt.splitlines())])
        return (self.stmt if self.label is None else self.label) + (f": {self.sub_label}" if self.sub_label else "")

    def setup_str(self) -> str:
        """Show the preparation, where there is one."""
        if not self.setup or self.setup == "pass":
            return ""
        if "\n" not in self.setup:
            return f"setup: {self.setup}"
        return "setup:\n" + "\n".join(f"  {line}" for line in self.setup.splitlines())

    def summarize(self) -> str:
        """Show title, description and preparation, one below the other."""
        parts = (self.title, self.description or "", self.setup_str())
        return "\n".join(f"{part}\n" if "\n" in part else part for part in parts if part)


@dataclasses.dataclass(repr=False)
class Measurement:
    """The times of some runs of a statement; median, mean and spread are of one execution, in seconds.

    Examples
    --------
    >>> from retrograd.utils.benchmark import Measurement, TaskSpec
    >>> m = Measurement(100, [0.002, 0.001, 0.003], TaskSpec("f(x)", "pass"))
    >>> m.median, m.stmt
    (2e-05, 'f(x)')
    """

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        spec = self.__dict__.get("task_spec")
        if spec is None or name.startswith("__"):
            raise AttributeError(name)
        return getattr(spec, name)

    @property
    def times(self) -> list[float]:
        """The time of one execution, by run."""
        return [t / self.number_per_run for t in self.raw_times]

    def _quantile(self, q: float) -> float:
        return float(np.quantile(self.times, q))

    @property
    def median(self) -> float:
        """The time that half of the runs are below."""
        return self._quantile(0.5) if self.raw_times else -1.0

    @property
    def mean(self) -> float:
        """The runs' average."""
        return float(np.mean(self.times)) if self.raw_times else -1.0

    @property
    def iqr(self) -> float:
        """The interquartile range: the width of the middle half."""
        return self._quantile(0.75) - self._quantile(0.25) if self.raw_times else 0.0

    @property
    def significant_figures(self) -> int:
        """How many figures of the median can be trusted, by the spread of the middle half."""
        times = sorted(self.times)
        middle = np.asarray(times[len(times) // 4 : math.ceil(3 * len(times) / 4)], np.float32)
        interval = max(Z95 * float(middle.std()) / math.sqrt(len(middle)), LEAST_INTERVAL)
        return min(max(math.floor(math.log10(self.median / interval)), 1), MOST_FIGURES)

    def meets_confidence(self, threshold: float = WAVERING) -> bool:
        """Tell whether the spread is less than a part of the median."""
        return self.iqr / self.median < threshold

    @property
    def _warning(self) -> str:
        if not self.raw_times or self.meets_confidence():
            return ""
        cause = (
            "This could indicate system fluctuation."
            if self.meets_confidence(DISTURBED)
            else "This suggests significant environmental influence."
        )
        part = self.iqr / self.median * 100
        return f"  WARNING: Interquartile range is {part:.1f}% of the median measurement.\n           {cause}"

    @property
    def has_warnings(self) -> bool:
        """Whether the runs differ so much that the median says little."""
        return bool(self._warning)

    @property
    def title(self) -> str:
        """The label, or else the statement."""
        return self.task_spec.title

    @property
    def env(self) -> str:
        """The environment it was measured in."""
        return self.task_spec.env or "Unspecified env"

    @property
    def as_row_name(self) -> str:
        """What the table's row is called."""
        return self.sub_label or self.stmt or "[Unknown]"

    def __repr__(self) -> str:
        unit, scale = select_unit(self.median)
        n, threads = len(self.raw_times), self.num_threads
        lines = [
            f"<torch.utils.benchmark.utils.common.Measurement object at {id(self):#x}>",
            self.task_spec.summarize(),
            f"  {'Median: ' if n > 1 else ''}{self.median / scale:.2f} {unit}",
        ]
        if n >= 4:
            low, high = self._quantile(0.25) / scale, self._quantile(0.75) / scale
            lines.append(f"  IQR:    {self.iqr / scale:.2f} {unit} ({low:.2f} to {high:.2f})")
        lines.append(
            f"  {n} measurement{'s' if n > 1 else ''}, {self.number_per_run} runs "
            f"{'per measurement,' if n > 1 else ','} {threads} thread{'s' if threads > 1 else ''}"
        )
        return "\n".join([*lines, self._warning]).rstrip()

    @staticmethod
    def merge(measurements: Iterable[Measurement]) -> list[Measurement]:
        """Join the runs of equal tasks."""
        groups: dict[TaskSpec, list[float]] = {}
        for m in measurements:
            groups.setdefault(m.task_spec, []).extend(m.times)
        return [Measurement(1, times, spec) for spec, times in groups.items()]
