"""torch.types: names for annotations."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TypeAlias

from .core import device, dtype
from .tensor import Size, Tensor

Number: TypeAlias = int | float | bool
FileLike: TypeAlias = object
Device: TypeAlias = device | str | int | None
PySymType: TypeAlias = int | float | bool
IntLikeType: TypeAlias = int
FloatLikeType: TypeAlias = float
BoolLikeType: TypeAlias = bool
_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
_dtype = dtype
_device = device
_size: TypeAlias = Size | list[int] | tuple[int, ...]
_int, _float, _bool, _complex = builtins.int, builtins.float, builtins.bool, builtins.complex
Storage: TypeAlias = object


class SymInt:
    """A size that is an expression: the class by which programs ask for one; sizes are ints here, so it has no instances."""


class SymFloat:
    """A number that is an expression, of which there is none here."""


class SymBool:
    """A truth that is an expression, of which there is none here."""


__all__ = ["Device", "FileLike", "Number", "Storage"]
