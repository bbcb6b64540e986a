"""Floor 4: Tensor, Parameter, torch's functions of them, and gradients of plain functions."""

from __future__ import annotations

from . import (
    control,
    creation,
    functions,
    operators,
    placing,
    random_functions,
    random_methods,
    remaining,
    spaced,
    storage,
    windows,
)
from .backward import grad
from .creation import as_tensor, asarray, from_dlpack, from_numpy, frombuffer, tensor
from .dispatch import FUNCTIONS, METHODS
from .tensor import Parameter, Size, Tensor

operators.attach(Tensor)
remaining.attach(Tensor)

__all__ = [
    "FUNCTIONS",
    "METHODS",
    "Parameter",
    "Size",
    "Tensor",
    "as_tensor",
    "asarray",
    "control",
    "creation",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "functions",
    "grad",
    "random_functions",
    "random_methods",
    "remaining",
    "spaced",
    "storage",
    "tensor",
    "windows",
]
