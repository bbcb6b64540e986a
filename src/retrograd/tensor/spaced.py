"""Counted and equally spaced numbers, their powers, the identity matrix and the matrix of powers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import BaseTensor, elsewhere
from ..core import dtypes as _d
from ..core.dtypes import float64, to_numpy
from ..core.dtypes import from_numpy as dtype_of
from ..core.warned import warn
from .creation import _finish, full, into
from .dispatch import function
from .literals import default_dtype, literal_dtype


def _spaced(start: Any, end: Any, steps: Any, dtype: Any, name: str) -> tuple[Any, Any]:
    """Give equally spaced numbers, counted from the nearer end as torch does, and the dtype that they are to have."""
    start, end = (v.item() if isinstance(v, BaseTensor) else v for v in (start, end))
    if not hasattr(steps, "__index__") or isinstance(steps, bool):
        raise TypeError(
            f"{name}() received an invalid combination of arguments: 'steps' must be int, not {type(steps).__name__}"
        )
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative ({name}: steps={steps})")
    if dtype is not None:
        d = to_numpy(dtype)
    else:
        d = literal_dtype(None, 1j) if isinstance(start, complex) or isinstance(end, complex) else default_dtype()
    if d.kind in "iub":
        start, end = int(start), int(end)
    n = int(steps)
    inside = d if d.kind in "fcV" else np.dtype(np.float64)
    low, high = inside.type(start), inside.type(end)
    if n < 2:
        return np.full(n, low), d
    i = np.arange(n)
    step = (high - low) / inside.type(n - 1)
    # torch multiplies and adds with one rounding, for which a wider type stands here; halves are rounded after each
    wide: Any = {"f": np.float64, "d": np.longdouble, "F": np.complex128, "D": np.clongdouble}.get(
        inside.char, inside.type
    )
    low, high, step = wide(low), wide(high), wide(step)
    up, down = i.astype(wide), (n - 1 - i).astype(wide)
    return np.where(i < n // 2, low + step * up, high - step * down).astype(inside), d


def evenly(start: float, end: float, steps: int, dtype: _d.dtype) -> Any:
    """Give ``linspace``'s numbers as an array, to the bit (library use)."""
    return _spaced(start, end, steps, dtype, "linspace")[0]


def _made(a: Any, out: Any, name: str, requires_grad: bool, device: Any) -> Any:
    if out is None:
        return _finish(a, requires_grad, device)
    return into(out, a, name)


def _ends(name: str, start: Any, end: Any, step: Any) -> tuple[Any, Any, Any]:
    """Check the bounds of a count and give them as Python numbers."""
    start, end, step = (v.item() if isinstance(v, (BaseTensor, np.generic)) else v for v in (start, end, step))
    for v in (start, end, step):
        if isinstance(v, complex):
            raise RuntimeError(
                f"value cannot be converted to type double without overflow: {name} counts real numbers, got {v!r}"
            )
        if not isinstance(v, (int, float)):
            raise TypeError(f"{name}(): arguments 'start', 'end' and 'step' must be Numbers, not {type(v).__name__}")
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError(f"upper bound and lower bound inconsistent with step sign: {name}({start}, {end}, {step})")
    return start, end, step


@function("arange", method=False, out=False)
def arange(
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Make the numbers from start (0) up to, not including, end, in steps."""
    elsewhere(device)
    if end is None or start is None:
        start, end = 0, start if end is None else end
        if end is None:
            raise TypeError("arange() needs an end, such as arange(5)")
    start, end, step = _ends("arange", start, end, step)
    whole = not any(isinstance(v, float) for v in (start, end, step))
    if dtype is not None:
        d = to_numpy(dtype)
    elif out is not None:
        d = out._a.dtype
    else:
        d = np.dtype(np.int64) if whole else default_dtype()
    if d.kind in "bc":
        raise NotImplementedError(
            f"\"arange_cpu\" not implemented for '{dtype_of(d).name.capitalize()}': count integers or floats "
            "and convert them"
        )
    if d.kind in "iu" and not whole:
        first, stride = int(start), int(step)
        if not stride and d == np.int64:
            raise ValueError(f"step must be nonzero: arange by {step} in {dtype_of(d)}")
        n = -((int(end) - first) // -stride) if d == np.int64 else math.ceil((end - start) / step)  # torch's two counts
        a = (first + np.arange(max(n, 0)) * stride).astype(d)
    elif whole:
        a = np.arange(start, end, step).astype(d, copy=False)
    else:
        a = (start + np.arange(math.ceil((end - start) / step)) * step).astype(d)
    return _finish(a, requires_grad, device) if out is None else into(out, a, "arange")


@function("range", method=False, out=False)
def range_(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Make the numbers from start to end, both included, in steps (deprecated: use ``arange``)."""
    elsewhere(device)
    message = (
        "torch.range is deprecated because its behavior is inconsistent with Python's range builtin: use torch.arange"
    )
    warn(message, UserWarning)
    start, end, step = _ends("range", start, end, step)
    a = (start + np.arange(math.floor((end - start) / step) + 1) * step).astype(
        default_dtype() if dtype is None else to_numpy(dtype)
    )
    return _finish(a, requires_grad, device) if out is None else into(out, a, "range")


@function("linspace", method=False, out=False)
def linspace(
    start: Any,
    end: Any,
    steps: Any,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Make ``steps`` equally spaced numbers from start to end, both included."""
    elsewhere(device)
    a, d = _spaced(start, end, steps, dtype, "linspace")
    return _made(a.astype(d), out, "linspace", requires_grad, device)


@function("logspace", method=False, out=False)
def logspace(
    start: Any,
    end: Any,
    steps: Any,
    base: float = 10.0,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Make ``base`` to the powers of ``steps`` equally spaced numbers from start to end, both included."""
    elsewhere(device)
    a, d = _spaced(start, end, steps, dtype, "logspace")
    if d.kind != "c":  # torch counts the exponents in float64 here, whatever the dtype
        start, end = (d.type(v.item() if isinstance(v, BaseTensor) else v) for v in (start, end))
        a = _spaced(start.item(), end.item(), steps, float64, "logspace")[0]
    with np.errstate(all="ignore"):
        powers = np.power(a.dtype.type(base), a)
        return _made(powers.astype(d), out, "logspace", requires_grad, device)


@function("eye", method=False, out=False)
def eye(
    n: Any,
    m: Any = None,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Make the identity matrix of n rows and m (n) columns."""
    elsewhere(device)
    m = n if m is None else m
    for name, size in (("n", n), ("m", m)):
        if size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size} (eye)")
    return _made(np.eye(int(n), int(m), dtype=literal_dtype(dtype, 1.0)), out, "eye", requires_grad, device)


@function("scalar_tensor", method=False, out=False)
def scalar_tensor(
    s: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Make a tensor of one number, in the default floating dtype unless another is given."""
    return full(
        (), s, dtype=_d.get_default_dtype() if dtype is None else dtype, device=device, requires_grad=requires_grad
    )


@function("vander", method=False, out=False)
def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    """Make the matrix whose columns are the powers of a vector, highest first unless ``increasing``."""
    if x.dim() != 1:
        raise RuntimeError(f"x must be a one-dimensional tensor (vander), got one of shape {list(x.shape)}")
    n = x.shape[0] if N is None else int(N)
    if n < 0:
        raise RuntimeError("N must be non-negative (vander).")
    powers = arange(n) if increasing else arange(n).flip(0)
    return x.unsqueeze(-1) ** powers.to(x.dtype if x.is_floating_point() else _d.int64)
