"""Sums of arrays: their accumulators and the order in which they add."""

from __future__ import annotations

from typing import Any

import numpy as np

BLOCK = 1024
_reduce: Any = np.add.reduce


def rows(x: Any) -> Any:
    """Give an array laid out row by row, as torch's reductions, scans and reads by index are; NumPy keeps x's order."""
    return x if x.flags.c_contiguous else x.copy()


def is_narrow(d: Any) -> bool:
    """Tell whether sums of this dtype need a float32 accumulator."""
    return bool(d.itemsize == 2 and d.kind in "fV")


def sum_array(x: Any, *, axis: Any, keepdims: bool = False) -> Any:
    """Sum an array; half precisions accumulate in float32, long strided sums in blocks, so that 2^25 ones are 2^25."""
    d = x.dtype
    if d.itemsize == 2 and d.kind in "fV":
        return _reduce(x, axis, np.float32, None, keepdims).astype(d) if axis != () else x
    if axis == ():
        return x
    if x.ndim > 1 and x.shape[0] > 4 * BLOCK and d.kind in "fc" and (axis[0] if axis.__class__ is tuple else axis) == 0:
        return _blocked(x, axis, keepdims)
    return _reduce(x, axis, None, None, keepdims)


def sums_plainly(kind: Any, axis: Any) -> bool:
    """Tell whether ``sum_array`` of this type is NumPy's own sum."""
    first = axis[0] if isinstance(axis, tuple) and axis else axis
    return (
        not is_narrow(kind.dtype)
        and axis != ()
        and not (len(kind.shape) > 1 and first == 0 and kind.shape[0] > 4 * BLOCK)
    )


def _blocked(x: Any, axis: Any, keepdims: bool) -> Any:
    # NumPy adds rows one after another along a leading axis: after 2^24 ones a float32 stands still
    n = x.shape[0]
    whole = n - n % BLOCK
    blocks = _reduce(x[:whole].reshape(-1, BLOCK, *x.shape[1:]), axis=1)
    if whole < n:
        blocks = np.concatenate([blocks, _reduce(x[whole:], axis=0, keepdims=True)])
    return sum_array(blocks, axis=axis, keepdims=keepdims)


def sum_array_to(x: Any, *, shape: tuple[int, ...]) -> Any:
    """Sum an array over what broadcasting added, so that it has this shape."""
    lead = x.ndim - len(shape)
    kept = x.shape[lead:]
    if kept == shape:
        return sum_array(x, axis=tuple(range(lead)) if lead > 1 else 0) if lead else x
    axes = tuple(range(lead)) + tuple([lead + i for i, n in enumerate(shape) if n == 1 != kept[i]])
    r = sum_array(x, axis=axes)
    return r if r.shape == shape else r.reshape(shape)
