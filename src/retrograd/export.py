"""torch.export: the names that libraries mention; a program that is to leave this library is saved as a module instead."""

from __future__ import annotations

from typing import Any, NoReturn


class ExportedProgram:
    """A whole graph of a module, with its state: PyTorch's form for other runtimes. None is made here."""


class Dim:
    """A dimension whose size may differ from call to call, by name."""

    AUTO = "auto"
    DYNAMIC = "dynamic"
    STATIC = "static"

    def __init__(self, name: str, *, min: int | None = None, max: int | None = None) -> None:
        self.name, self.min, self.max = name, min, max


def export(mod: Any, args: Any, kwargs: Any = None, **options: Any) -> NoReturn:
    """Raise NotImplementedError: there is no other runtime that would read this library's graphs."""
    raise NotImplementedError(
        f"torch.export.export of {type(mod).__name__}: graphs are not exported here; torch.compile(model) runs it as one "
        "program, and torch.save(model.state_dict()) is read by PyTorch, which can export it"
    )


def load(f: Any, **options: Any) -> NoReturn:
    """Raise NotImplementedError: exported programs are not read."""
    raise NotImplementedError("torch.export.load: exported programs are not read here; load a state_dict by torch.load")


def save(ep: Any, f: Any, **options: Any) -> NoReturn:
    """Raise NotImplementedError: exported programs are not written."""
    raise NotImplementedError("torch.export.save: there are no exported programs here; save model.state_dict()")


def register_dataclass(cls: Any, **options: Any) -> None:
    """Let instances of a class be arguments of exported programs: nothing is to be done."""


__all__ = ["Dim", "ExportedProgram", "export", "load", "register_dataclass", "save"]
