"""What is contracted, in plain numbers: operands by the axes of their two indices, the result, the batch, the epilogue."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Axes = tuple[tuple[int, int], ...]  # (length, stride in elements), outermost first


@dataclass(frozen=True)
class Bound:
    """A condition on an operand's elements: ``0 <= start + free . (indices) + sum . (indices) < extent``, or the element is 0.

    Attributes
    ----------
    extent, start : int
    free, sum : tuple of int
        A coefficient for each axis of the two indices.
    """

    extent: int
    start: int
    free: tuple[int, ...]
    sum: tuple[int, ...]


@dataclass(frozen=True)
class Operand:
    """An operand, by the axes of the index that stays and of the index that is summed over.

    Attributes
    ----------
    free, sum : tuple of (length, stride)
    offset : int
        Of the element where all indices are 0.
    bounds : tuple of Bound
    """

    free: Axes
    sum: Axes
    offset: int = 0
    bounds: tuple[Bound, ...] = ()


@dataclass(frozen=True)
class Result:
    """The result, by the axes of its rows (one) and of its columns."""

    rows: Axes
    columns: Axes
    offset: int = 0


@dataclass(frozen=True)
class Contraction:
    """``C[i, j] (+)= sum over k of A[i, k] B[k, j]`` for each item of a batch, and what follows.

    Attributes
    ----------
    kind : str
        f32 or f64: of the sums.
    a, b : Operand
    c : Result
    batch : tuple
        Axes (length, stride of a, of b, of c[, of vectors over the rows]).
    epilogue : tuple of str
    accumulate : bool
        Add to what C holds.
    source : str
        The kind of the operands' and the result's numbers, and of what the epilogue reads, where it is another: bf16 or f16.
    pairs : tuple of str
        Of A and of B, where an instruction multiplies two numbers of a sum at once and the sum's axes count such pairs: "words", two
        numbers side by side, which are strided and packed as one of 32 bits; or "rows", the second half the sum's stride behind.
    """

    kind: str
    a: Operand
    b: Operand
    c: Result
    batch: tuple[tuple[int, ...], ...] = ()
    epilogue: tuple[str, ...] = ()
    accumulate: bool = False
    source: str = ""
    pairs: tuple[str, ...] = ()

    @property
    def m(self) -> int:
        """Rows."""
        return count(self.a.free)

    @property
    def n(self) -> int:
        """Columns."""
        return count(self.b.free)

    @property
    def k(self) -> int:
        """How many products are summed for an element."""
        return count(self.a.sum)

    @property
    def items(self) -> int:
        """The batch's length."""
        return math.prod(axis[0] for axis in self.batch)

    @property
    def work(self) -> int:
        """Multiply-adds."""
        return self.items * self.m * self.n * self.k

    def check(self) -> None:
        """Raise ValueError unless lengths agree."""
        lengths = (("rows", count(self.c.rows), self.m), ("columns", count(self.c.columns), self.n))
        for name, found, wanted in (*lengths, ("sum", count(self.b.sum), self.k)):
            if found != wanted:
                raise ValueError(f"contraction: the {name} have lengths {wanted} and {found}; they must agree")
        if len(merged(self.c.rows)) > 1:
            raise ValueError(
                "contraction: the rows of C must have one stride; exchange A and B, or make an axis of the batch"
            )


def count(axes: Axes) -> int:
    """Give the length of an index."""
    return math.prod(length for length, _ in axes)


def merged(axes: Axes) -> Axes:
    """Join axes that are one: where the inner one's whole length is the outer one's stride. Axes of length 1 are left out."""
    out: list[tuple[int, int]] = []
    for length, stride in axes:
        if length == 1:
            continue
        if out and out[-1][1] == length * stride:
            out[-1] = (out[-1][0] * length, stride)
        else:
            out.append((length, stride))
    return tuple(out)


def table(lengths: tuple[int, ...], steps: tuple[int, ...], dtype: type = np.int64) -> np.ndarray:
    """Give start-less offsets of all places along an index, outermost axis first."""
    total: np.ndarray = np.zeros((), dtype)
    for length, step in zip(lengths, steps, strict=True):
        total = np.add.outer(total, np.arange(length, dtype=dtype) * dtype(step))
    return np.ascontiguousarray(total.reshape(-1))


__all__ = ["Axes", "Bound", "Contraction", "Operand", "Result", "count", "merged", "table"]
