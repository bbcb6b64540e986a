"""Choices among categories of given weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrograd.random.generator import Generator, default_generator
from retrograd.random.inverses import exponential
from retrograd.random.uniforms import Array, doubles, is_floating

_MANY = 1 << 10
"""Points from which they are sought in order."""


def multinomial(
    weights: Array, num_samples: int, replacement: bool = False, generator: Generator | None = None
) -> NDArray[np.int64]:
    """
    Draw `num_samples` indices of each row of `weights`, each in proportion to its weight.

    Without replacement, and for one sample, the indices of the largest w / q with q exponential, in falling order;
    equal keys, which only 16-bit weights make often, in the order of their indices. With replacement, the first index
    where the normalized cumulative sum reaches a uniform number.

    Parameters
    ----------
    weights : array, shape (categories,) or (rows, categories)
        Floating, non-negative; they need not sum to one.
    num_samples : int
    replacement : bool, optional
    generator : Generator, optional
        The default generator where none is given.

    Returns
    -------
    array of int64, shape (num_samples,) or (rows, num_samples)

    Raises
    ------
    RuntimeError
        If shapes, dtype, number of samples or weights do not fit the description.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, multinomial
    >>> multinomial(np.array([0.0, 1.0, 0.0]), 2, True, Generator())
    array([1, 1])
    """
    generator = generator or default_generator
    _check_request(weights, num_samples, replacement)
    rows = weights.reshape(-1, weights.shape[-1])
    if rows.shape[0] == 0:
        return np.empty((0, num_samples), np.int64)
    single = rows.astype(np.float32) if rows.dtype.itemsize == 2 else rows
    _check_weights(single)
    if replacement and num_samples > 1:
        chosen = _with_replacement(single, num_samples, generator)
    else:
        chosen = _without_replacement(rows, num_samples, generator)
    return chosen.reshape(*weights.shape[:-1], num_samples)


def _check_request(weights: Array, num_samples: int, replacement: bool) -> None:
    if weights.ndim not in (1, 2):
        raise RuntimeError(f"multinomial: weights must be 1 or 2 dim, but have shape {weights.shape}")
    if not is_floating(weights.dtype):
        raise RuntimeError(f"multinomial expects floating weights, but got {weights.dtype}; convert them first")
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: cannot sample n_sample = {num_samples} <= 0 samples")
    categories = weights.shape[-1]
    if not replacement and num_samples > categories:
        raise RuntimeError(
            f"multinomial: cannot sample {num_samples} of {categories} categories without replacement; "
            "draw fewer, or pass replacement=True"
        )
    if categories > 1 << 24:
        raise RuntimeError(f"multinomial: the number of categories cannot exceed 2**24, but is {categories}")


def _check_weights(rows: NDArray[Any]) -> None:
    if rows.size and not (rows.min() >= 0 and rows.max() < np.inf):
        raise RuntimeError("multinomial: weights contain either `inf`, `nan` or an element < 0")
    if rows.shape[1] == 0 or not bool(rows.any(axis=1).all()):
        raise RuntimeError("multinomial: the weights of a row sum to 0, so nothing can be drawn from it")


def _without_replacement(rows: Array, num_samples: int, generator: Generator) -> NDArray[np.int64]:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        keys: Array = rows / exponential(rows.shape, rows.dtype, 1.0, generator)
    if num_samples == 1:
        best: NDArray[np.int64] = np.argmax(keys, axis=1)
        return best
    return _largest(keys, num_samples)


def _largest(keys: Array, k: int) -> NDArray[np.int64]:
    """Return the places of the `k` largest of each row, in falling order, equal ones as they stand."""
    rows, n = keys.shape
    if 4 * k < n and keys.dtype.itemsize > 2:
        least = np.partition(keys, n - k, axis=1)[:, n - k, None]
        among = keys >= least
        if np.count_nonzero(among) == rows * k:  # no more are as large as the last of them, and none is not a number
            places: NDArray[np.int64] = np.nonzero(among)[1].reshape(rows, k)
            order = np.argsort(-np.take_along_axis(keys, places, 1), axis=1, kind="stable")
            return np.take_along_axis(places, order, 1)
    order = np.argsort(-keys, axis=1, kind="stable")
    return order[:, :k]


def _with_replacement(rows: NDArray[Any], num_samples: int, generator: Generator) -> NDArray[np.int64]:
    cumulative = np.cumsum(rows, axis=1, dtype=rows.dtype)
    cumulative /= cumulative[:, -1:].copy()
    cumulative[:, -1] = 1.0
    points = doubles(generator, rows.shape[0] * num_samples).reshape(rows.shape[0], num_samples)
    return np.stack([_sought(row, point) for row, point in zip(cumulative, points, strict=True)])


def _sought(row: Array, points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the first place where a rising row reaches each point."""
    if points.size < _MANY:
        return np.searchsorted(row, points)
    order = np.argsort(points)  # neighbours are found near each other
    result = np.empty(points.size, np.int64)
    result[order] = np.searchsorted(row, points[order])
    return result
