"""An exception that leaves a module's forward says in which module it arose: ``in Sequential.2: Linear(10, 40)``."""

from __future__ import annotations

import inspect
from typing import Any

from ...core.errors import not_a_tensor

_ROOM = __name__.rpartition(".")[0]
_REWRITABLE = (RuntimeError, ValueError, TypeError, IndexError)


class _Trail:
    """Where an exception was first seen, how far up its path is known, and what the exception said before."""

    def __init__(self, module: Any, error: Exception) -> None:
        self.lowest = brief(module)
        self.path = ""
        self.top = module
        message = error.args[0] if len(error.args) == 1 else None
        self.message = message if type(error) in _REWRITABLE and isinstance(message, str) else None
        self.note = -1


def brief(module: Any) -> str:
    """Name a module by its class and main sizes, such as ``Linear(10, 40)``; a container by its class alone."""
    name = str(module._get_name())
    if module._modules:
        return name
    try:
        sizes = module._brief_repr()
    except Exception:  # a user's extra_repr must not hide the error that is being reported
        sizes = ""
    return f"{name}({sizes})"


def _path_within(parent: Any, descendant: Any) -> str | None:
    for path, module in parent.named_modules():
        if module is descendant and path:
            return str(path)
    return None


def blame(module: Any, error: Exception) -> None:
    """Write into ``error``, which is leaving ``module``, the path from this module down to where it arose.

    Called once per level as the exception climbs; each call rewrites the same line. The line ends the message of a
    built-in exception that carries one string, and is a note on any other.
    """
    trail = getattr(error, "_module_trail", None)
    if trail is None:
        trail = _Trail(module, error)
        try:
            error._module_trail = trail  # type: ignore[attr-defined]
        except AttributeError:
            return
    elif trail.top is not module:
        below = _path_within(module, trail.top)
        if below is None:
            return
        trail.path = f"{below}.{trail.path}" if trail.path else below
        trail.top = module
    place = f"{module._get_name()}.{trail.path}: {trail.lowest}" if trail.path else trail.lowest
    if trail.message is not None:
        error.args = (f"{trail.message}\n  in {place}",)
    elif trail.note >= 0:
        error.__notes__[trail.note] = f"in {place}"
    else:
        error.add_note(f"in {place}")
        trail.note = len(error.__notes__) - 1


def misplaced(module: Any, error: Exception, args: tuple[Any, ...]) -> TypeError | None:
    """Give the TypeError for a layer of the library that was called with something that is no Tensor, or None."""
    if type(error) is not AttributeError or not type(module).__module__.startswith(_ROOM):
        return None
    return not_a_tensor(error, module._get_name(), args, inspect.signature(module.forward).parameters)
