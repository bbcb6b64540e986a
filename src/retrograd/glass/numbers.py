"""Numbers of arrays: what is shown of a value or a gradient, in full where it is small."""

from __future__ import annotations

from typing import Any

import numpy as np

from .model import Numbers

FULL = 64  # elements up to which an array is shown whole
HEAT = 24  # rows and columns of the coarse picture of a larger one


def numbers_of(array: Any, full: int = FULL) -> Numbers:
    """Sum up an array.

    Parameters
    ----------
    array : array
        Of any dtype; a float16 or bfloat16 array is looked at in float32.
    full : int
        Up to how many elements it is given whole.

    Returns
    -------
    Numbers

    Examples
    --------
    >>> import numpy as np
    >>> numbers_of(np.array([3.0, 4.0])).norm
    5.0
    """
    a = np.asarray(array)
    made = Numbers(tuple(int(n) for n in a.shape), str(a.dtype))
    if a.dtype.kind == "V":
        a = a.astype(np.float32)
    if a.size <= full:
        made.full = a.tolist()
    if a.dtype.kind not in "biufc" or not a.size:
        return made
    if a.size == 1 and full:
        value = a.reshape(())[()]
        made.zeros, made.nan, made.inf = int(value == 0), int(value != value), int(abs(value) == np.inf)
        if not made.nan and not made.inf:
            made.norm = float(abs(value))
        return made
    _sum_up(a.reshape(-1), made)
    if a.size > full:
        made.heat = heat_map(a)
    return made


BLOCK = 1 << 20  # elements looked at together, so that a large array is not copied whole


def _sum_up(flat: Any, made: Numbers) -> None:
    """Fill in statistics, in float64 and block by block."""
    count = 0
    mean = spread = squares = 0.0
    low, high, scale = np.inf, -np.inf, 0.0
    for k in range(0, flat.size, BLOCK):
        block = flat[k : k + BLOCK]
        made.zeros += int(block.size - np.count_nonzero(block))
        wide = np.asarray(np.abs(block) if block.dtype.kind == "c" else block, np.float64)
        finite = np.isfinite(wide)
        if not finite.all():
            nan = int(np.isnan(wide).sum())
            made.nan += nan
            made.inf += int(wide.size - finite.sum()) - nan
            wide = wide[finite]
        if not wide.size:
            continue
        low, high = min(low, float(wide.min())), max(high, float(wide.max()))
        top = max(abs(float(wide.min())), abs(float(wide.max())))
        if top > scale:  # squares are of numbers over the largest, so that 1e+169 does not overflow
            squares, spread = squares * (scale / top) ** 2, spread * (scale / top) ** 2
            scale = top
        if scale:
            own = float(wide.mean())
            squares += float(np.square(wide / scale).sum())
            apart = float(np.square((wide - own) / scale).sum())
            both = count + wide.size
            spread += apart + ((own - mean) / scale) ** 2 * count * wide.size / both
            mean += (own - mean) * wide.size / both
        count += wide.size
    if count:
        made.mean, made.std = mean, scale * float(np.sqrt(spread / count))
        made.min, made.max = low, high
        made.norm = scale * float(np.sqrt(squares))


def heat_map(array: Any, most: int = HEAT) -> list[list[float]]:
    """Give means over blocks of an array seen as a matrix, at most ``most`` by ``most``; NaN where a block has one."""
    a = np.abs(array) if array.dtype.kind == "c" else array
    if a.size > BLOCK and a.ndim > 1:  # a picture of a large array is made of some of its rows
        a = a.reshape(-1, a.shape[-1])
        a = a[:: max(1, a.size // BLOCK)]
    columns = a.shape[-1] if a.ndim else 1
    if a.ndim == 1:  # a long vector is folded, so that its picture is not one line
        columns = int(np.ceil(np.sqrt(a.size)))
        a = np.append(np.asarray(a, np.float64), np.full(-a.size % columns, np.nan))
        return _blocks(a.reshape(-1, columns), most, ignore=True)
    return _blocks(np.asarray(a, np.float64).reshape(-1, columns), most, ignore=False)


def _blocks(matrix: Any, most: int, ignore: bool) -> list[list[float]]:
    rows = np.unique(np.linspace(0, matrix.shape[0], min(most, matrix.shape[0]) + 1).astype(int))
    columns = np.unique(np.linspace(0, matrix.shape[1], min(most, matrix.shape[1]) + 1).astype(int))
    filled = np.nan_to_num(matrix, nan=0.0, posinf=np.inf, neginf=-np.inf) if ignore else matrix
    with np.errstate(invalid="ignore", over="ignore"):
        sums = np.add.reduceat(np.add.reduceat(filled, rows[:-1], axis=0), columns[:-1], axis=1)
    counts = np.outer(np.diff(rows), np.diff(columns)).astype(float)
    if ignore:
        counts = np.add.reduceat(np.add.reduceat(~np.isnan(matrix), rows[:-1], axis=0), columns[:-1], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: list[list[float]] = (sums / counts).tolist()
    return found


def short(value: Any, digits: int = 8) -> str:
    """Write a number with up to ``digits`` significant digits.

    Examples
    --------
    >>> short(0.1966119332), short(-2.0)
    ('0.19661193', '-2')
    """
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, complex):
        return f"({short(value.real, digits)} {'-' if value.imag < 0 else '+'} {short(abs(value.imag), digits)}j)"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, str):
        return value
    return f"{float(value):.{digits}g}".replace("e+0", "e+").replace("e-0", "e-")


def listed(value: Any, digits: int = 4) -> str:
    """Write nested lists of numbers on one line."""
    if isinstance(value, list):
        return "[" + ", ".join(listed(v, digits) for v in value) + "]"
    return short(value, digits)


def brief(numbers: Numbers | None, digits: int = 8) -> str:
    """Write what is known of an array on one line: the number, the small array, or its statistics."""
    if numbers is None:
        return "?"
    if numbers.number is not None:
        return short(numbers.number, digits)
    if numbers.full is not None and numbers.size <= 8:
        return listed(numbers.full, min(digits, 5))
    shape = "x".join(map(str, numbers.shape)) or "scalar"
    if numbers.norm is None:
        return f"[{shape}]"
    bad = f", {numbers.nan} NaN" if numbers.nan else ""
    bad += f", {numbers.inf} inf" if numbers.inf else ""
    return f"[{shape}] norm {short(numbers.norm, 4)}, {short(numbers.min, 3)} .. {short(numbers.max, 3)}{bad}"


__all__ = ["FULL", "HEAT", "brief", "heat_map", "listed", "numbers_of", "short"]
