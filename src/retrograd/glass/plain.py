"""Values as JSON has them, and back: what is not finite is a word."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any


def plain(value: Any) -> Any:
    """Give a value of this module as JSON has it."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, complex):
        return {"real": plain(value.real), "imag": plain(value.imag)}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    return value


def from_plain(value: Any) -> Any:
    """Give numbers back from what ``plain`` made of them."""
    if isinstance(value, str):
        return float(value) if value in ("NaN", "Infinity", "-Infinity") else value
    if isinstance(value, list):
        return [from_plain(v) for v in value]
    if isinstance(value, dict) and set(value) == {"real", "imag"}:
        return complex(from_plain(value["real"]), from_plain(value["imag"]))
    return value


__all__ = ["from_plain", "plain"]
