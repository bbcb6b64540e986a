"""What NumPy computes of whole arrays in a way that no other row says, as an operation without derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import TensorType
from . import batching
from .derive import plain


def _type(*types: TensorType, fn: Callable[..., Any]) -> TensorType:
    blank = np.asarray(fn(*[np.zeros(t.shape, t.dtype) for t in types]))
    return TensorType(blank.shape, blank.dtype)


def _run(*xs: Any, fn: Callable[..., Any]) -> Any:
    return np.asarray(fn(*xs))


computed = plain(
    "computed",
    _run,
    names=(),
    type=_type,
    batch=batching.leading,  # so a function keeps to the last dimensions, and takes any number of dimensions before them
    samples=({"shapes": ((3, 4),), "attrs": {"fn": np.sign}},),
)

__all__ = ["computed"]
