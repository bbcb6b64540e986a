"""What is let in from a record's files, which anybody may have written: names, shapes and numbers such as a recorder writes."""

from __future__ import annotations

import math
from typing import Any

from .files import number
from .statistics import NAMES

MOST_DIMENSIONS, MOST_ELEMENTS = 64, 1 << 62
LARGEST_COUNT = 1e30  # of arithmetic and of bytes
COUNTS = [NAMES.index(name) for name in ("zeros", "nan", "inf")]
TEXTS, AMOUNTS = ("key", "op", "module", "place", "dtype"), ("forward", "backward", "bytes")


def text(value: Any) -> str:
    """Give text that can be printed and stored: control characters, which terminals obey, and halves of characters are escaped."""
    shown = str(value)
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in shown)


def description(data: dict[str, Any]) -> dict[str, Any]:
    """Give a record's description without what no recorder wrote."""
    found: dict[str, Any] = {k: text(v) if isinstance(v, str) else v for k, v in data.items()}
    for kind in ("nodes", "notes", "roots"):
        if kind in found and not isinstance(found[kind], list):
            found[kind] = []
    for kind in ("classes", "parameters"):
        if kind in found and not isinstance(found[kind], dict):
            found[kind] = {}
    if not isinstance(found.get("model", ""), str):
        found["model"] = ""
    found["nodes"] = [node(n) for n in found.get("nodes") or [] if is_node(n)]
    found["notes"] = [text(n) for n in found.get("notes") or [] if isinstance(n, str)]
    found["roots"] = [text(r) for r in found.get("roots") or [] if isinstance(r, str)]
    found["classes"] = {text(k): text(v) for k, v in (found.get("classes") or {}).items() if isinstance(v, str)}
    found["parameters"] = {text(k): v for k, v in (found.get("parameters") or {}).items() if is_shape(v)}
    return found


def is_shape(value: Any) -> bool:
    """Tell whether this is a shape that an array may have."""
    return (
        isinstance(value, list)
        and len(value) <= MOST_DIMENSIONS
        and all(type(v) is int and 0 <= v < MOST_ELEMENTS for v in value)
        and math.prod(value) < MOST_ELEMENTS
    )


def is_node(n: Any) -> bool:
    """Tell whether the description of an operation is whole."""
    return (
        isinstance(n, dict)
        and all(isinstance(n.get(k), str) for k in TEXTS)
        and is_shape(n.get("shape"))
        and isinstance(n.get("inputs"), list)
        and all(type(v) is int for v in n["inputs"])
        and all(type(n.get(k)) in (int, float) and abs(n[k]) < LARGEST_COUNT for k in AMOUNTS)
        and (n.get("units") is None or (type(n["units"]) is int and 0 <= n["units"] < MOST_ELEMENTS))
    )


def node(n: dict[str, Any]) -> dict[str, Any]:
    """Give the description of an operation with its texts as they can be printed."""
    return {**n, **{k: text(n[k]) for k in TEXTS}}


def line(data: dict[str, Any]) -> dict[str, Any]:
    """Give a step's statistics without what no recorder wrote."""
    found = dict(data)
    for kind in ("nodes", "parameters"):
        entries: Any = data.get(kind) if isinstance(data.get(kind), dict) else {}
        found[kind] = {
            text(name): {k: v for k, v in entry.items() if _is_entry(k, v)}
            for name, entry in entries.items()
            if isinstance(entry, dict)
        }
    return found


def _is_entry(name: str, value: Any) -> bool:
    if name in ("value", "gradient"):
        return (
            isinstance(value, list)
            and len(value) == len(NAMES)
            and all(_is_number(v) for v in value)
            and all(abs(number(value[i])) < LARGEST_COUNT for i in COUNTS)
        )
    return value is None if name == "update_ratio" and not _is_number(value) else _is_number(value)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) or (isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"))
