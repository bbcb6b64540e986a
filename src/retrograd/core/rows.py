"""Gradients and operands that hold only some of a tensor's elements."""

from __future__ import annotations

from typing import Any

import numpy as np


class SparseOperand(NotImplementedError):
    """A function of dense tensors was given a sparse one."""


class SparseArray:
    """A sum of slices at places: what a walk on raw arrays carries for a sparse gradient.

    ``places`` has a row for each of the first dimensions and a column for each slice, ``values`` the slices.
    """

    __slots__ = ("places", "shape", "values")
    met = False  # whether there has been one in this process: until then, optimizers need not look

    def __init__(self, places: Any, values: Any, shape: tuple[int, ...]) -> None:
        SparseArray.met = True
        self.places, self.values, self.shape = places, values, shape

    @property
    def dtype(self) -> Any:
        """The dtype of the values."""
        return self.values.dtype

    def copy(self) -> SparseArray:
        """Give one with values of its own."""
        return SparseArray(self.places, self.values.copy(), self.shape)

    def dense(self) -> Any:
        """Give all the elements."""
        return self.add_into(np.zeros(self.shape, self.dtype))

    def add_into(self, buffer: Any) -> Any:
        """Add the slices to a dense array, in place; give the array."""
        np.add.at(buffer, tuple(self.places), self.values)
        return buffer

    def __array_ufunc__(self, ufunc: Any, method: str, *xs: Any, out: Any = (), **options: Any) -> Any:
        if ufunc is not np.add or method != "__call__" or len(xs) != 2 or options:
            return NotImplemented
        x, y = xs
        if isinstance(x, SparseArray) and isinstance(y, SparseArray):
            places, values = np.concatenate([x.places, y.places], 1), np.concatenate([x.values, y.values])
            return SparseArray(places, values, x.shape)
        part, whole = (x, y) if isinstance(x, SparseArray) else (y, x)
        return part.add_into(whole if out and out[0] is whole else whole.copy())


__all__ = ["SparseArray", "SparseOperand"]
