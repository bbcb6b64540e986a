"""Covariances, histograms, and distances between points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core import MODE, BaseTensor, apply
from ...core import dtypes as _d
from ...core.warned import warn
from ...ops import elementwise as e
from ...ops import order as od
from ...ops.index import take_axis
from ...ops.shape import slice_, transpose
from .. import return_types
from ..dispatch import as_dtype, function, type_name
from . import arithmetic, comparing
from .complex_parts import conj
from .diagonals import diagonal
from .norms import vector_norm
from .products import matmul
from .reductions import check_input, literal, mean, narrowed, root, square_size, untraceable, widened
from .reductions import sum as _sum


# -- covariance --------------------------------------------------------------------------------------------------------
def _check_weights(label: str, given: Any, count: int) -> None:
    a = given._a
    whole = label == "fweights"
    if a.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {label} to have one or fewer dimensions but got {label} with {a.ndim} dimensions"
        )
    if (a.dtype.kind in "iu") != whole or (not whole and a.dtype.kind not in "fV"):
        raise RuntimeError(
            f"cov(): expected {label} to have {'integral' if whole else 'floating point'} dtype but got {label} with "
            f"{type_name(a.dtype)} dtype"
        )
    if a.size != count:
        raise RuntimeError(
            f"cov(): expected {label} to have the same numel as there are observations: {a.size} != {count}"
        )
    if MODE.trace is None and (a < 0).any():
        raise RuntimeError(f"cov(): {label} cannot be negative")


@function("cov")
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """Give the covariance matrix of variables, one row of observations each.

    ``fweights`` says how often each observation occurred, ``aweights`` how much it counts.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.cov(torch.tensor([[1.0, 2.0], [2.0, 4.0]]))
    tensor([[0.5000, 1.0000],
            [1.0000, 2.0000]])
    """
    check_input(input, False, "cov")
    if input._a.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input._a.ndim} dimensions"
        )
    if input._a.dtype.kind == "b":
        raise RuntimeError("cov(): bool dtype is not supported for input")
    rows = input if input._a.ndim == 2 else input.reshape(1, -1)
    weights = None
    for label, given in (("fweights", fweights), ("aweights", aweights)):
        if given is not None:
            _check_weights(label, given, rows._a.shape[1])
            weights = given if weights is None else arithmetic.mul(weights, given)
    n = rows._a.shape[1]
    if weights is None:
        centred = arithmetic.sub(rows, mean(rows if rows._a.dtype.kind in "fcV" else rows.float(), 1, True))
        freedom: Any = max(n - correction, 0)
        weighted = centred
        few = n - correction <= 0
    else:
        total = _sum(weights)
        if MODE.trace is None and not total.item():
            raise RuntimeError("cov(): weights sum to zero, can't be normalized")
        centred = arithmetic.sub(rows, arithmetic.div(_sum(arithmetic.mul(rows, weights), 1, True), total))
        squared = _sum(arithmetic.mul(weights, aweights)) if aweights is not None else total
        freedom = arithmetic.sub(total, arithmetic.div(arithmetic.mul(squared, correction), total))
        weighted = arithmetic.mul(centred, weights)
        few = MODE.trace is None and bool((freedom <= 0).item())
        freedom = comparing.clamp(freedom, min=0)
    if few:
        warn("cov(): degrees of freedom is <= 0. Correction should be strictly less than the number of observations.")
    product = matmul(weighted, conj(apply(transpose, centred, a=0, b=1)))
    if weights is None:
        return arithmetic.mul(product, 1 / freedom if freedom else math.inf).squeeze()
    return arithmetic.div(product, freedom).squeeze()


@function("corrcoef")
def corrcoef(input: Any) -> Any:
    """Give the matrix of Pearson's correlation coefficients of variables, one row of observations each."""
    check_input(input, False, "corrcoef")
    c = cov(input)
    if not c._a.ndim:
        return arithmetic.div(c, c)
    spread = diagonal(c).sqrt()
    scaled = arithmetic.div(arithmetic.div(c, spread.unsqueeze(1)), spread.unsqueeze(0))
    return comparing.clamp(scaled, -1, 1) if scaled._a.dtype.kind != "c" else scaled


# -- histograms --------------------------------------------------------------------------------------------------------
@function("histogram")
def histogram(input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False) -> Any:
    """Count (or weigh) the elements between the edges of bins; give (hist, bin_edges).

    ``bins`` is a number of equal bins over ``range``, or the edges themselves; ``density`` makes the area 1.
    """
    check_input(input, False, "histogram")
    untraceable("histogram", *[v for v in (bins, weight) if isinstance(v, BaseTensor)])
    untraceable("histogram", input)
    a = od.comparable(input._a)
    if a.dtype.kind != "f":
        raise NotImplementedError(
            f"\"histogram\" not implemented for '{type_name(input._a.dtype)}': convert it to a float"
        )
    if isinstance(bins, BaseTensor):
        edges = od.comparable(bins._a)
    else:
        low, high = range if range is not None else (a.min(), a.max()) if a.size else (0.0, 1.0)
        if not (np.isfinite(low) and np.isfinite(high)):
            raise RuntimeError(f"torch.histogramdd: dimension 0's range [{low}, {high}] is not finite")
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, int(bins) + 1, dtype=a.dtype)
    weights = None if weight is None else od.comparable(weight._a).reshape(-1)
    counts, _ = np.histogram(a.reshape(-1), edges, weights=weights)
    hist = counts.astype(a.dtype)
    if density:
        hist = hist / (hist.sum() * np.diff(edges))
    return return_types.histogram(literal(hist.astype(input._a.dtype)), literal(np.asarray(edges, input._a.dtype)))


# -- distances ---------------------------------------------------------------------------------------------------------
def _points(x: Any, which: str, name: str) -> None:
    if x._a.ndim < 2:
        raise RuntimeError(f"{name} only supports at least 2D tensors, {which} got: {x._a.ndim}D")
    if x._a.dtype.kind not in "fV":
        raise RuntimeError(f"{name} only supports floating-point dtypes, {which} got: {type_name(x._a.dtype)}")


@function("cdist", method=False, shown="CdistBackward0")
def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary") -> Any:
    """Give the p-norms of the differences of all pairs of rows: (..., P, M), (..., R, M) -> (..., P, R).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.cdist(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """
    _points(x1, "X1", "cdist")
    _points(x2, "X2", "cdist")
    rows, columns, width = x1._a.shape[-2], x2._a.shape[-2], x1._a.shape[-1]
    if width != x2._a.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {width} X2: {x2._a.shape[-1]} (cdist)")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    many = compute_mode == "use_mm_for_euclid_dist_if_necessary" and (rows > 25 or columns > 25)
    if p == 2 and (many or compute_mode == "use_mm_for_euclid_dist"):
        squares = arithmetic.add(_sum(square_size(x1), -1, True), _sum(square_size(x2), -1).unsqueeze(-2))
        product = matmul(x1, apply(transpose, x2, a=x2._a.ndim - 2, b=x2._a.ndim - 1))
        return root(comparing.clamp(arithmetic.sub(squares, arithmetic.mul(product, 2)), min=0))
    difference = arithmetic.sub(
        apply(slice_, x1, index=(*(slice(None),) * (x1._a.ndim - 1), None, ...)),
        apply(slice_, x2, index=(*(slice(None),) * (x2._a.ndim - 2), None, ...)),
    )
    return _norms(difference, float(p))


def _norms(difference: Any, p: float) -> Any:
    if not difference._a.shape[-1]:
        return _sum(difference, -1)
    if p == 0:  # a count, with a slope of zero
        return _sum(comparing.clamp(apply(e.ceil, apply(e.absolute, difference)), max=1.0), -1)
    return narrowed(vector_norm(widened(difference), p, (difference._a.ndim - 1,), False), difference)


@function("pdist", method=False)
def pdist(input: Any, p: float = 2.0) -> Any:
    """Give the p-norms of the differences of all pairs of rows, in order: (N, M) -> (N (N - 1) / 2)."""
    check_input(input, False, "pdist")
    if input._a.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input._a.ndim}D")
    _points(input, "input", "pdist")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    first, second = (literal(i) for i in np.triu_indices(input._a.shape[0], 1))
    rows = [apply(take_axis, input, i, axis=0) for i in (first, second)]
    return _norms(apply(e.sub, *rows), float(p))


@function("unravel_index", method=False, out=False)
def unravel_index(indices: Any, shape: Any) -> Any:
    """Give, for places in a flattened tensor of this shape, the index along each dimension."""
    if isinstance(shape, BaseTensor) or not isinstance(shape, (int, Sequence)):
        raise TypeError(f"expected 'shape' to be int or sequence of ints, but got {type(shape).__name__}")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    for n in sizes:
        if not isinstance(n, int):
            raise TypeError(f"expected 'shape' sequence to only contain ints, but got {type(n).__name__}")
        if n < 0:
            raise ValueError(f"'shape' cannot have negative values, but got {tuple(sizes)}")
    if indices._a.dtype.kind not in "iu":
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    found = []
    indices = as_dtype(indices, _d.int64)
    step = math.prod(sizes)
    for n in sizes:
        step = step // n if n else 0
        found.append(arithmetic.remainder(arithmetic.floor_divide(indices, step), n))
    return tuple(found)


__all__ = ["cdist", "corrcoef", "cov", "histogram", "pdist", "unravel_index"]
