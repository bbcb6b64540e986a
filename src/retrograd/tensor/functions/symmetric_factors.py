"""Factors of symmetric matrices that need not be positive-definite: L D L^T with pivots, D of blocks of one and two."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import wrap
from ...core.mode import no_grad
from .. import return_types
from ..dispatch import tensor_operand
from .linear_algebra import depends_on_values, matrices, solve

_ALPHA = (1 + math.sqrt(17)) / 8  # keeps the elements' growth least: Bunch and Kaufman 1977


def _size(a: Any) -> Any:
    """Give how large numbers are; of complex ones the sum of the parts' sizes, as LAPACK does."""
    return np.abs(a.real) + np.abs(a.imag) if a.dtype.kind == "c" else np.abs(a)


def _pivot(a: Any, k: int) -> tuple[int, int]:
    """Give which row to bring to the block that begins at k, and the block's size; -1 where the column is zero."""
    here = _size(a[k, k])
    below = _size(a[k + 1 :, k])
    largest = below.max(initial=0.0)
    if max(here, largest) == 0 or np.isnan(here):
        return -1, 1
    if here >= _ALPHA * largest:
        return k, 1
    row = k + 1 + int(below.argmax())
    beside = max(_size(a[row, k:row]).max(initial=0.0), _size(a[row + 1 :, row]).max(initial=0.0))
    if here >= _ALPHA * largest * (largest / beside):
        return k, 1
    return row, 1 if _size(a[row, row]) >= _ALPHA * beside else 2


def _exchange(a: Any, k: int, one: int, other: int, size: int, turn: Any) -> None:
    """Exchange two rows and columns of the lower triangle that is left."""
    a[other + 1 :, [one, other]] = a[other + 1 :, [other, one]]
    between = slice(one + 1, other)
    a[between, one], a[other, between] = turn(a[other, between]), turn(a[between, one]).copy()
    a[other, one] = turn(a[other, one])
    a[one, one], a[other, other] = a[other, other], a[one, one]
    if size == 2:
        a[k + 1, k], a[other, k] = a[other, k], a[k + 1, k]


def _factor(matrix: Any, hermitian: bool) -> tuple[Any, Any, int]:
    """Factor one matrix in LAPACK's arrangement: L's columns below D's blocks, pivots from 1, negative for blocks of two."""
    a = np.tril(matrix)
    n = len(a)
    turn = np.conj if hermitian else np.asarray
    pivots, info, k = np.zeros(n, np.int32), 0, 0
    while k < n:
        row, size = _pivot(a, k)
        if row < 0:
            info = info or k + 1
            pivots[k] = k + 1
            k += 1
            continue
        last = k + size - 1
        if row != last:
            _exchange(a, k, last, row, size, turn)
        rest = slice(k + size, n)
        columns = a[rest, k : k + size].copy()
        block = a[k : k + size, k : k + size].copy()
        if size == 2:
            block[0, 1] = turn(block[1, 0])
        if hermitian:
            block[range(size), range(size)] = block.diagonal().real
        scaled = np.linalg.solve(block.T, columns.T).T if size == 2 else columns / block[0, 0]
        a[rest, rest] -= np.tril(scaled @ turn(columns).T)
        a[rest, k : k + size] = scaled
        pivots[k : k + size] = row + 1 if size == 1 else -(row + 1)
        k += size
    return a, pivots, info


def _product(a: Any, pivots: Any, hermitian: bool) -> Any:
    """Give the matrix of these factors again."""
    n = len(a)
    turn = np.conj if hermitian else np.asarray
    steps, k = [], 0
    while k < n:
        steps.append((k, 1 if pivots[k] > 0 else 2))
        k += steps[-1][1]
    m = np.zeros_like(a)
    for k, size in reversed(steps):
        block = a[k : k + size, k : k + size].copy()
        if size == 2:
            block[0, 1] = turn(block[1, 0])
        rest = slice(k + size, n)
        columns = a[rest, k : k + size]
        m[k : k + size, k : k + size] = block
        m[rest, k : k + size] = columns @ block
        m[k : k + size, rest] = turn(m[rest, k : k + size]).T
        m[rest, rest] += m[rest, k : k + size] @ turn(columns).T
        one, other = k + size - 1, abs(int(pivots[k])) - 1
        if one != other:
            m[[one, other]] = m[[other, one]]
            m[:, [one, other]] = m[:, [other, one]]
    return m


def ldl_factor_ex(A: Any, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """Give ``ldl_factor`` and, for each matrix, 0 or the number of the first block of D that is zero."""
    x = matrices(A, "linalg.ldl_factor_ex", True)
    shape = x._a.shape
    depends_on_values("linalg.ldl_factor_ex", x)
    with no_grad():
        found = [_factor(m, hermitian) for m in x._a.reshape(math.prod(shape[:-2]), *shape[-2:])]
    info = np.array([f[2] for f in found], np.int32).reshape(shape[:-2])
    if check_errors and info.any():
        raise RuntimeError(
            f"torch.linalg.ldl_factor: the block of D at {int(info.max())} is zero: the matrix is singular, of type {shape}"
        )
    factors = np.array([f[0] for f in found], x._a.dtype).reshape(shape)
    pivots = np.array([f[1] for f in found], np.int32).reshape(shape[:-1])
    return return_types.linalg_ldl_factor_ex(wrap(factors), wrap(pivots), wrap(np.asarray(info)))


def ldl_factor(A: Any, *, hermitian: bool = False) -> Any:
    """Factor A = L D L^T (L D L^H with ``hermitian``), rows exchanged for stability; give (LD, pivots) as LAPACK has them.

    Shapes: A (..., n, n), of which the lower triangle is read. RuntimeError for a singular matrix.

    Source: Bunch and Kaufman 1977, Some stable methods for calculating inertia and solving symmetric linear systems.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.linalg.ldl_factor(torch.tensor([[4.0, 2.0], [2.0, 3.0]])).LD
    tensor([[4.0000, 0.0000],
            [0.5000, 2.0000]])
    """
    return return_types.linalg_ldl_factor(*ldl_factor_ex(A, hermitian=hermitian, check_errors=True)[:2])


def ldl_solve(LD: Any, pivots: Any, B: Any, *, hermitian: bool = False) -> Any:
    """Solve A X = B, given what ``ldl_factor`` gives of A; B alone gets a gradient.

    Examples
    --------
    >>> import retrograd as torch
    >>> LD, pivots = torch.linalg.ldl_factor(torch.tensor([[4.0, 2.0], [2.0, 3.0]]))
    >>> torch.linalg.ldl_solve(LD, pivots, torch.tensor([[8.0], [7.0]]))
    tensor([[1.2500],
            [1.5000]])
    """
    tensor_operand(B, "linalg.ldl_solve", "B", 3)
    x = matrices(LD, "linalg.ldl_solve", True)
    if B.dim() < 2:
        raise RuntimeError(f"torch.linalg.ldl_solve: Expected B to have at least 2 dimensions, but it has {B.dim()}")
    if B.shape[-2] != x.shape[-1]:
        raise RuntimeError(
            f"torch.linalg.ldl_solve: Expected LD.shape[-1] = {x.shape[-1]} to equal B.shape[-2] = {B.shape[-2]}"
        )
    if tuple(pivots.shape) != tuple(x.shape[:-1]) or pivots._a.dtype.kind not in "iu":
        raise RuntimeError(
            f"torch.linalg.ldl_solve: Expected pivots to be integers of shape {list(x.shape[:-1])}, but got "
            f"{list(pivots.shape)} of {pivots.dtype}"
        )
    if x._a.dtype != B._a.dtype:
        raise RuntimeError(
            f"ldl_solve: Expected LD and B to have the same dtype, but they are {LD.dtype} and {B.dtype}"
        )
    n = x.shape[-1]
    count = math.prod(x.shape[:-2])
    depends_on_values("linalg.ldl_solve", x, pivots)
    pairs = zip(x._a.reshape(count, n, n), pivots._a.reshape(count, n), strict=True)
    whole = np.array([_product(a, p, hermitian) for a, p in pairs], x._a.dtype)
    return solve(wrap(whole.reshape(x._a.shape)), B)
