"""The wording of errors: which operation, which types, where, and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dtypes import from_numpy
from .node import BaseTensor
from .place import Place, describe


def show_type(x: Any) -> str:
    """Write an operand's type as ``float32[2, 3]``; a Python scalar as itself."""
    if getattr(x, "_composite", False):
        return f"sparse {x.dtype.name}{list(x.shape)}"
    a = getattr(x, "_a", x)
    if isinstance(a, np.ndarray):
        return f"{from_numpy(a.dtype).name}{list(a.shape)}"
    text = repr(x)
    return text if len(text) < 60 else f"{text[:57]}..."


def show_call(name: str, xs: Any, attrs: dict[str, Any] | None = None) -> str:
    """Write a call as ``matmul(float32[2, 3], float32[4, 5])``."""
    parts = [show_type(x) for x in xs]
    for key, value in (attrs or {}).items():
        text = show_type(value) if hasattr(value, "_a") or isinstance(value, np.ndarray) else repr(value)
        parts.append(f"{key}={text if len(text) < 60 else text[:57] + '...'}")
    return f"{name}({', '.join(parts)})"


def at(place: Place | None) -> str:
    """Write ``, at file:line`` or nothing."""
    return "" if place is None else f"\n  at {describe(place)}"


def name_the_call(error: Exception, name: str, args: tuple[Any, ...]) -> None:
    """Add the call to an error's message that does not say which operation it is about."""
    if len(error.args) == 1 and isinstance(error.args[0], str) and name not in error.args[0]:
        error.args = (f"{error.args[0]}\n  in {show_call(name, args)}",)


def shapes_error(name: str, xs: Any, place: Place | None) -> RuntimeError:
    """Say which dimension keeps operands from broadcasting."""
    shapes = [x.shape if hasattr(x, "shape") else () for x in (getattr(x, "_a", x) for x in xs)]
    width = max(map(len, shapes))
    padded = [(1,) * (width - len(s)) + tuple(s) for s in shapes]
    for d in reversed(range(width)):
        sizes = [s[d] for s in padded if s[d] != 1]
        if len(set(sizes)) > 1:
            return RuntimeError(
                f"The size of tensor a ({padded[0][d]}) must match the size of tensor b ({padded[1][d]}) at non-singleton dimension {d}: "
                f"{show_call(name, xs)} cannot broadcast. Sizes must be equal, or 1, from the last dimension backwards; "
                f"reshape, unsqueeze or transpose one of them.{at(place)}"
            )
    return RuntimeError(f"{show_call(name, xs)}: shapes {shapes} do not fit{at(place)}")


def not_a_tensor(error: AttributeError, name: str, args: tuple[Any, ...], names: Any = ("input",)) -> TypeError | None:
    """Give the TypeError for an argument that has none of a Tensor's attributes, if that is what the error is about."""
    given = getattr(error, "obj", None)
    for i, x in enumerate(args):
        if x is given and not isinstance(x, BaseTensor):
            names = list(names)
            which = f"argument '{names[i]}' (position {i + 1})" if i < len(names) else f"argument {i + 1}"
            hint = {"ndarray": "; torch.from_numpy makes one", "tuple": "; is it several results of a call before?"}
            kind = type(x).__name__
            return TypeError(f"{name}(): {which} must be Tensor, not {kind}{hint.get(kind, '')}")
    return None
