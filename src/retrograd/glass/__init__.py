"""The glass box: every gradient seen, explained and derived. It reads graphs; nothing imports it."""

from __future__ import annotations

from .derivation import Derivation
from .derive import derive
from .doctor import Diagnosis, Finding, doctor
from .explain import explain
from .explanation import Explanation
from .record import Record, open_record, record
from .repair import repair
from .report import report
from .summary import summary
from .watch import watch

__all__ = [
    "Derivation",
    "Diagnosis",
    "Explanation",
    "Finding",
    "Record",
    "derive",
    "doctor",
    "explain",
    "open_record",
    "record",
    "repair",
    "report",
    "summary",
    "watch",
]
