"""torch.utils.benchmark: how long a statement takes, measured with warm-up and repetition, and tables of such measurements."""

from __future__ import annotations

from .measurement import Measurement, TaskSpec, ordered_unique, select_unit, trim_sigfig, unit_to_english
from .table import Colorize, Compare
from .timer import Language, Timer, timer

__all__ = [
    "Colorize",
    "Compare",
    "Language",
    "Measurement",
    "TaskSpec",
    "Timer",
    "ordered_unique",
    "select_unit",
    "timer",
    "trim_sigfig",
    "unit_to_english",
]


def __getattr__(name: str) -> object:
    from .._names import missing

    raise missing("torch.utils.benchmark", name, __all__)
