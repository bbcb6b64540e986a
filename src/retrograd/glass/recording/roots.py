"""What the program calls its models and tensors: by the variables that hold them."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from ...core import BaseTensor
from ...nn.modules.module import Module

_OWN = f"{__name__.partition('.')[0]}."
MOST_FRAMES, MOST_VARIABLES = 40, 20_000


def frames() -> list[FrameType]:
    """List the program's frames, the outermost first; the library's own are left out."""
    found: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and len(found) < MOST_FRAMES:
        if not str(frame.f_globals.get("__name__", "")).startswith(_OWN):
            found.append(frame)
        frame = frame.f_back
    return found[::-1]


def _variables() -> list[tuple[str, Any]]:
    """List names and values: the outermost function's first, an object's attributes as far as a method runs on it."""
    found: list[tuple[str, Any]] = []
    for frame in frames():
        main = frame.f_globals if frame.f_globals.get("__name__") == "__main__" else {}
        for variables in (frame.f_locals, main if main is not frame.f_locals else {}):
            for name, value in list(variables.items()):
                if name == "self" and hasattr(value, "__dict__") and not isinstance(value, Module):
                    found += [(k, v) for k, v in vars(value).items() if not k.startswith("_")]
                elif not name.startswith("_") and name != "self":
                    found.append((name, value))
        if len(found) > MOST_VARIABLES:
            break
    return found


def modules() -> dict[int, str]:
    """Give what each module is called, by id: its path in the model that a variable holds, after the variable where there are several.

    A model that is a part of another one goes by its path there.
    """
    tops: dict[int, tuple[str, Any]] = {}
    for name, value in _variables():
        held = getattr(value, "_orig_mod", value)
        if isinstance(held, Module) and id(held) not in tops and next(iter(held.parameters()), None) is not None:
            tops[id(held)] = name, held
    inside = {id(part) for _, top in tops.values() for part in top.modules() if part is not top}
    tops = {k: v for k, v in tops.items() if k not in inside}
    found: dict[int, str] = {}
    taken: dict[str, int] = {}
    for name, top in tops.values():
        count = taken[name] = taken.get(name, 0) + 1
        first = "" if len(tops) == 1 else name if count == 1 else f"{name} ({count})"
        for path, part in top.named_modules():
            found.setdefault(id(part), ".".join(p for p in (first, path) if p))
    return found


def tensors() -> dict[int, str]:
    """Give what each tensor is called, by id, those in lists and dictionaries by their places."""
    found: dict[int, str] = {}
    for name, value in _variables():
        if isinstance(value, BaseTensor):
            found.setdefault(id(value), name)
        elif isinstance(value, (list, tuple)) and len(value) < 1000:
            for k, part in enumerate(value):
                if isinstance(part, BaseTensor):
                    found.setdefault(id(part), f"{name}[{k}]")
        elif isinstance(value, dict) and len(value) < 1000:
            for k, part in list(value.items()):
                if isinstance(part, BaseTensor) and isinstance(k, (str, int)):
                    found.setdefault(id(part), f"{name}[{k!r}]")
    return found


__all__ = ["frames", "modules", "tensors"]


def model_of(function: Any) -> Any:
    """Find the module that a function uses: in its closure, or among the globals that it names; None if there is not just one."""
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not bound yet
            continue
    found += [function.__globals__[name] for name in code.co_names if name in function.__globals__]
    owner = getattr(function, "__self__", None)
    found += list(vars(owner).values()) if hasattr(owner, "__dict__") else []
    models = {id(m): m for m in found if isinstance(m, Module) and next(iter(m.parameters()), None) is not None}
    return next(iter(models.values())) if len(models) == 1 else None
