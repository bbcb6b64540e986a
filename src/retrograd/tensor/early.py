"""The order in which old programs give numbers: before the tensors that they are for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..core import BaseTensor, at, here
from ..core.warned import warn

F = TypeVar("F", bound=Callable[..., Any])


def numbers_last(fn: F) -> F:
    """Let a function be called in the order of old programs too: ``add(x, 2, y)`` is ``add(x, y, alpha=2)``, with torch's warning.

    The function takes what is too much as its last positional parameter, ``*early``, and gives all of it to ``fn.reordered``.
    """
    kinds = list(inspect.signature(fn).parameters.values())
    names = [p.name for p in kinds if p.kind is p.KEYWORD_ONLY]
    count = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in kinds)
    plain = inspect.Signature([p for p in kinds if p.kind is not p.VAR_POSITIONAL])
    told: list[str] = []

    def reordered(*args: Any, **kwargs: Any) -> Any:
        name = fn.__name__
        tensors = [x for x in args if isinstance(x, BaseTensor)]
        numbers = [x for x in args if not isinstance(x, BaseTensor)]
        fits = len(tensors) == count and len(numbers) <= len(names) and all(map(_is_number, numbers))
        if not fits or not isinstance(args[-1], BaseTensor):
            given = ", ".join(type(x).__name__ for x in args)
            raise TypeError(
                f"{name}() received an invalid combination of arguments - got ({given}), but expected "
                f"{', '.join(p.name for p in kinds[:count])}, and {', '.join(names)} by name{at(here())}"
            )
        if not told:
            told.append(name)
            early, late = [
                ", ".join([*a, *b]) for a, b in ((names[: len(numbers)], ["Tensor"]), (["Tensor, *"], names))
            ]
            warn(
                f"This overload of {name} is deprecated:\n\t{name}({early})\nConsider using one of the following signatures "
                f"instead:\n\t{name}({late})",
                UserWarning,
            )
        return fn(*tensors, **dict(zip(names, numbers, strict=False)), **kwargs)

    fn.reordered = reordered  # type: ignore[attr-defined]
    fn.__signature__ = plain  # type: ignore[attr-defined]
    return fn


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float, complex, np.generic))


__all__ = ["numbers_last"]
