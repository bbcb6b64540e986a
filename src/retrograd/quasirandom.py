"""torch.quasirandom: Sobol sequences, whose points fill the unit cube more evenly than random ones."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np

from .core import dtypes as _d
from .random import Generator
from .tensor import FUNCTIONS, Tensor

__all__ = ["SobolEngine"]

BITS, MOST = 30, 21201


class SobolEngine:
    r"""Points of a Sobol sequence in [0, 1)^dimension, each the last one XOR a column of direction numbers.

    x_{i+1} = x_i ^ V[:, c(i)] / 2^30, where c(i) is the place of the lowest zero bit of i. The direction numbers are those of
    Joe and Kuo, of which SciPy has a table: it must be installed.

    Parameters
    ----------
    dimension : int
        From 1 to 21201.
    scramble : bool
        Multiply the direction numbers by random lower triangular matrices, and XOR a random shift.
    seed : int, optional
        Of the scrambling; torch's points to the bit.

    Raises
    ------
    ValueError
        For another dimension.

    References
    ----------
    Joe, Kuo, "Constructing Sobol sequences with better two-dimensional projections", 2008.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.quasirandom.SobolEngine(1).draw(4).flatten()  # more dimensions take SciPy's table
    tensor([0.0000, 0.5000, 0.7500, 0.2500])
    """

    MAXBIT = BITS
    MAXDIM = MOST

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None) -> None:
        if not 1 <= dimension <= MOST:
            raise ValueError(
                f"Supported range of dimensionality for SobolEngine is [1, {MOST}], but it was asked for {dimension}"
            )
        self.seed, self.scramble, self.dimension = seed, scramble, dimension
        columns = _direction_numbers(dimension)
        if scramble:
            generator = None
            if seed is not None:
                generator = Generator()
                generator.manual_seed(seed)
            randint = FUNCTIONS["randint"]
            shift = randint(2, (dimension, BITS), generator=generator)._a @ (1 << np.arange(BITS))
            columns = _scrambled(columns, np.tril(randint(2, (dimension, BITS, BITS), generator=generator)._a))
        else:
            shift = np.zeros(dimension, np.int64)
        self.sobolstate, self.shift = Tensor._wrap(columns), Tensor._wrap(shift)
        self.quasi = self.shift.clone()
        self.num_generated = 0

    def _go_on(self, n: int) -> Any:
        """Give the next ``n`` points as integers, the first of all among them, and keep the last."""
        first = self.num_generated == 0
        numbers = np.arange(n - 1 if first else n) + (0 if first else self.num_generated - 1)
        places = np.log2(~numbers & (numbers + 1)).astype(np.int64)
        steps = self.sobolstate._a.T[places]
        points = np.bitwise_xor.accumulate(np.concatenate([self.quasi._a[None], steps]), axis=0)
        self.quasi = Tensor._wrap(points[-1].copy())
        self.num_generated += n
        return points if first else points[1:]

    def draw(self, n: int = 1, out: Any = None, dtype: Any = None) -> Any:
        """Give the next ``n`` points, as rows.

        Parameters
        ----------
        n : int
            How many.
        out : Tensor, optional
            Where they go.
        dtype : dtype, optional
            The default dtype if left out.
        """
        kind = _d.to_numpy(_d.get_default_dtype() if dtype is None else dtype)
        points = Tensor._wrap((self._go_on(n).astype(kind) * kind.type(2.0**-BITS)).astype(kind))
        if out is not None:
            return out.resize_(*points.shape).copy_(points)
        return points

    def draw_base2(self, m: int, out: Any = None, dtype: Any = None) -> Any:
        """Give the next 2^m points; ValueError unless their number with those before is a power of two, as balance needs."""
        total = self.num_generated + 2**m
        if total & (total - 1):
            raise ValueError(
                f"The balance properties of Sobol' points require n to be a power of 2. {self.num_generated} points have been "
                f"previously generated, then: n={self.num_generated}+2**{m}={total}. If you still want to do this, please use "
                "'SobolEngine.draw()' instead."
            )
        return self.draw(2**m, out, dtype)

    def reset(self) -> SobolEngine:
        """Begin the sequence again."""
        self.quasi = self.shift.clone()
        self.num_generated = 0
        return self

    def fast_forward(self, n: int) -> SobolEngine:
        """Leave out the next ``n`` points."""
        if n:
            self._go_on(n)
        return self

    def __repr__(self) -> str:
        parts = [f"dimension={self.dimension}"]
        if self.scramble:
            parts.append("scramble=True")
        if self.seed is not None:
            parts.append(f"seed={self.seed}")
        return f"{type(self).__name__}({', '.join(parts)})"


def _direction_numbers(dimension: int) -> np.ndarray[Any, Any]:
    """Give the direction numbers, a row for each dimension: a recurrence modulo 2 by a primitive polynomial of each."""
    if dimension == 1:
        return np.ones((1, BITS), np.int64) << np.arange(BITS)[::-1]
    try:
        with resources.files("scipy.stats").joinpath("_sobol_direction_numbers.npz").open("rb") as file:
            table = np.load(file)
            polynomials, starts = table["poly"][:dimension], table["vinit"][:dimension]
    except (ModuleNotFoundError, FileNotFoundError):
        raise RuntimeError(
            "SobolEngine needs the table of direction numbers that SciPy has: pip install scipy"
        ) from None
    v = np.zeros((dimension, BITS), np.int64)
    v[0] = 1
    degrees = np.frexp(polynomials.astype(np.float64))[1] - 1
    for degree in np.unique(degrees[1:]):
        rows = np.flatnonzero(degrees == degree)
        rows = rows[rows > 0]
        some = np.zeros((len(rows), BITS), np.int64)
        some[:, :degree] = starts[rows, :degree]
        for j in range(degree, BITS):
            new = some[:, j - degree].copy()
            for k in range(degree):
                bit = (polynomials[rows] >> (degree - 1 - k)) & 1
                new ^= bit * (some[:, j - k - 1] << (k + 1))
            some[:, j] = new
        v[rows] = some
    return v << np.arange(BITS)[::-1]


def _scrambled(columns: Any, matrices: Any) -> Any:
    """Multiply each dimension's numbers, as columns of bits, by its lower triangular matrix with ones on the diagonal, modulo 2."""
    matrices = matrices.copy()
    matrices[:, np.arange(BITS), np.arange(BITS)] = 1
    # a number's lowest bit meets the matrix's last column
    bits = (columns[:, None, :] >> np.arange(BITS)[::-1, None]) & 1
    found = np.matmul(matrices, bits) & 1
    return (found << np.arange(BITS)[::-1, None]).sum(1)
