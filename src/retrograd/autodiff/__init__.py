"""Floor 3: the chain rule walked both ways, traces, and an interpreter of graphs."""

from __future__ import annotations

from .forward import pushforward
from .trace import Trace, interpret, replay, trace
from .walk import on_the_way, pullback, when_walked, will_reach

__all__ = [
    "Trace",
    "interpret",
    "replay",
    "trace",
    "on_the_way",
    "pullback",
    "pushforward",
    "when_walked",
    "will_reach",
]
