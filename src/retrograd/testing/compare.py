"""Tensors compared with torch's default tolerances, and random tensors for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import BaseTensor, show_type, wrap
from ..core import dtypes as _d
from ..random import randint, uniform

TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_dtype: bool = True,
    check_device: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    allow_subclasses: bool = True,
    msg: Any = None,
) -> None:
    """Raise AssertionError unless two tensors (or nested containers of them) are close.

    |actual - expected| <= atol + rtol |expected|, with tolerances by dtype unless given.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.testing.assert_close(torch.tensor(1.0), torch.tensor(1.0 + 1e-7))
    """
    if isinstance(actual, (list, tuple, dict)):
        keys = list(actual) if isinstance(actual, dict) else range(len(actual))
        if len(actual) != len(expected):
            raise AssertionError(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}")
        for k in keys:
            assert_close(
                actual[k], expected[k], rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=check_dtype, msg=msg
            )
        return
    x, y = (v if isinstance(v, BaseTensor) else wrap(np.asarray(v)) for v in (actual, expected))
    both = isinstance(actual, BaseTensor) and isinstance(expected, BaseTensor)
    found = None
    if (rtol is None) != (atol is None):
        raise ValueError(f"Either none or both of rtol and atol must be given, but got rtol={rtol} and atol={atol}")
    if x._a.shape != y._a.shape:
        found = f"The values for attribute 'shape' do not match: {list(x._a.shape)} != {list(y._a.shape)}."
    elif both and check_dtype and x._a.dtype != y._a.dtype:
        found = f"The values for attribute 'dtype' do not match: {_d.from_numpy(x._a.dtype)} != {_d.from_numpy(y._a.dtype)}."
    else:
        names = [_d.from_numpy(v._a.dtype).name for v in (x, y)]
        r = max(TOLERANCES.get(n, (0.0, 0.0))[0] for n in names) if rtol is None else rtol
        a = max(TOLERANCES.get(n, (0.0, 0.0))[1] for n in names) if atol is None else atol
        wide = np.complex128 if "c" in (x._a.dtype.kind, y._a.dtype.kind) else np.float64
        p, q = x._a.astype(wide), y._a.astype(wide)
        with np.errstate(all="ignore"):
            ok = np.isclose(p, q, rtol=r, atol=a, equal_nan=equal_nan)
            if not ok.all():
                gap = np.abs(p - q)
                where = tuple(
                    int(i)
                    for i in np.unravel_index(np.nanargmax(np.where(ok, -1, np.nan_to_num(gap, nan=np.inf))), gap.shape)
                )
                found = (
                    f"Tensor-likes are not close!\n\nMismatched elements: {int((~ok).sum())} / {ok.size} ({100 * (~ok).mean():.1f}%)\n"
                    f"Greatest absolute difference: {gap[where]} at index {where} (up to {a} allowed)\n"
                    f"Greatest relative difference: {gap[where] / np.abs(q[where]) if q[where] else float('inf')} at index {where} (up to {r} allowed)"
                )
    if found is not None:
        text = msg(found) if callable(msg) else msg or f"{found} ({show_type(x)} against {show_type(y)})"
        raise AssertionError(text)


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """Raise AssertionError unless two tensors are close, dtypes aside."""
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False, msg=msg or None)


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any = "cpu",
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Any:
    """Make a tensor of random values from [low, high) for a test, by default [-9, 9), drawn from the default generator.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.testing.make_tensor(2, 3, dtype=torch.float64).shape
    torch.Size([2, 3])
    """
    size = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    d = _d.to_numpy(dtype)
    least, most = -9 if low is None else low, 9 if high is None else high
    if d.kind == "b":
        a = randint(0, 2, size).astype(d)
    elif d.kind in "iu":
        a = randint(int(max(least, 0) if d.kind == "u" else least), int(most) + (high is None), size).astype(d)
    else:
        a = uniform(size, np.dtype(np.float64), least, most)
        if d.kind == "c":
            a = a + 1j * uniform(size, np.dtype(np.float64), least, most)
        a = a.astype(d)
    if exclude_zero:
        a = np.where(a == 0, np.ones((), d), a)
    if noncontiguous and a.ndim:
        a = np.repeat(a, 2, axis=-1)[..., ::2]
    t = wrap(np.asarray(a))
    return t.requires_grad_() if requires_grad else t
