"""Choosing between arrays without branches: NumPy's `where` guesses each element, and a random mask makes it guess wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

SMALL = 2048
_INTEGERS = {4: np.dtype(np.int32), 8: np.dtype(np.int64)}

try:
    from numpy._core.umath import clip as _clip  # type: ignore[attr-defined]
except ImportError:  # another NumPy layout
    _clip = np.clip


def select(cond: Any, x: Any, y: Any) -> Any:
    """Take from x where the condition holds, from y elsewhere: ``np.where``, by the bits for large arrays."""
    if cond.size < SMALL:
        return np.where(cond, x, y)
    arrays = [v for v in (x, y) if v.__class__ is np.ndarray]
    d = arrays[0].dtype if arrays else None
    if (
        d is None
        or d.kind not in "fiu"
        or d.itemsize not in _INTEGERS
        or any(v.shape != cond.shape and v.ndim for v in arrays)
    ):
        return np.where(cond, x, y)
    if (len(arrays) == 2 and x.dtype != y.dtype) or not cond.flags.c_contiguous:
        return np.where(cond, x, y)
    kind = _INTEGERS[d.itemsize]
    mask = cond.astype(kind)
    np.negative(mask, out=mask)
    if y.__class__ is not np.ndarray and y == 0:
        mask &= _bits(x, d, kind)
        return mask.view(d)
    a, b = _bits(x, d, kind), _bits(y, d, kind)
    mask &= np.bitwise_xor(a, b)  # b ^ ((a ^ b) & mask)
    mask ^= b
    return mask.view(d)


def _bits(v: Any, d: Any, kind: Any) -> Any:
    if v.__class__ is not np.ndarray:
        v = np.asarray(v).astype(d)
    return np.ascontiguousarray(v).view(kind) if v.ndim else v.view(kind)


def rectify(x: Any) -> Any:
    """Give max(x, 0); NaN stays."""
    return _clip(x, 0, np.inf) if x.dtype.kind == "f" and x.itemsize > 2 else np.maximum(x, 0)
