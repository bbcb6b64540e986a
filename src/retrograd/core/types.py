"""TensorType: what is known of a tensor before its numbers are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class TensorType(NamedTuple):
    """Shape and (NumPy) dtype of a value."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"

    @property
    def size(self) -> int:
        """The number of elements."""
        n = 1
        for d in self.shape:
            n *= d
        return n

    @property
    def nbytes(self) -> int:
        """The number of bytes of a dense array of this type."""
        return self.size * self.dtype.itemsize


def typeof(x: Any) -> TensorType:
    """Give the type of an array, a Tensor or a Node."""
    if isinstance(x, np.ndarray):
        return TensorType(x.shape, x.dtype)
    found = getattr(x, "type", None)
    if isinstance(found, TensorType):
        return found
    a = getattr(x, "_a", x)
    a = np.asarray(a)
    return TensorType(a.shape, a.dtype)


class RememberingNumber:
    """A Python number that remembers how it was computed, until it is given to an operation as a plain one."""

    __slots__ = ()

    def plain(self) -> Any:
        """Give the plain number; whoever captures the run is told."""
        raise NotImplementedError
