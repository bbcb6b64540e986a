"""What a record says of a parameter, of an operation at a step, and of where an operation stands."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .statistics import statistics
from .tape import Seen


def dense(g: Any) -> bool:
    """Tell whether there is a gradient that is an array."""
    return g is not None and not getattr(g, "_composite", False)


def parameter_line(a: Any, g: Any, at: Any, old: Any, rate: float | None) -> dict[str, Any]:
    """Describe a parameter after an update, and its gradient; ``old`` is what stood at the places ``at`` before."""
    flat = a.reshape(-1)
    new = flat if at is None else flat[at]
    size = float(np.linalg.norm(old.astype(np.float64)))
    change = float(np.linalg.norm(new.astype(np.float64) - old))
    found: dict[str, Any] = {"value": statistics(a), "update_ratio": change / size if size > 0 else None}
    if g is not None:
        found["gradient"] = statistics(g)
    if rate is not None:
        found["lr"] = rate
    return found


def rooted(seen: list[Seen], root: str, first: int) -> list[Seen]:
    """Give operations as they stand behind ``first`` others, with a model's name before their modules."""
    if not root and not first:
        return seen
    return [
        dataclasses.replace(
            s,
            key=f"{root}{'.' if s.module else '/'}{s.key}" if root else s.key,
            module=".".join(part for part in (root, s.module) if part),
            inputs=[i + first for i in s.inputs],
        )
        for s in seen
    ]


def node_line(s: Seen) -> dict[str, Any]:
    """Describe an operation at a step."""
    found: dict[str, Any] = {"value": s.value, "seconds": s.seconds} if s.value else {"seconds": s.seconds}
    if s.gradient is not None:
        found["gradient"] = s.gradient
    if s.dead is not None:
        found["dead"] = s.dead
        if s.always:
            found["always"] = s.always
    return found


def place_line(s: Seen) -> dict[str, Any]:
    """Describe an operation: what it is and where, which no step changes."""
    units = {"units": s.units} if s.units else {}
    return {
        **units,
        "key": s.key,
        "op": s.op,
        "module": s.module,
        "place": s.line,
        "shape": list(s.shape),
        "dtype": s.dtype,
        "inputs": s.inputs,
        "forward": s.flops[0],
        "backward": s.flops[1],
        "bytes": int(np.prod(s.shape, dtype=np.int64)) * (2 if s.dtype == "bfloat16" else np.dtype(s.dtype).itemsize),
    }
