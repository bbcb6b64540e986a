"""The comparing of one call in both libraries: values, dtypes, strides, derivatives, kinds of exceptions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")

TOLERANCE = {
    "float64": 1e-9,
    "complex128": 1e-9,
    "float32": 2e-6,
    "complex64": 1e-5,
    "float16": 2e-3,
    "bfloat16": 1.6e-2,
}
WRITTEN = "written through"


def raw(x: Any) -> Any:
    """Give a tensor of either library as an array, bfloat16 as float32."""
    x = x.detach()
    return x.float().numpy() if "bfloat16" in str(x.dtype) else x.numpy(force=True)


def make(t: Any, a: Any, dtype: str | None = None, layout: str = "") -> Any:
    """Give an array as a tensor of one library, with memory laid out in a given way."""
    x = t.tensor(np.array(a)) if dtype is None else t.tensor(np.array(a)).to(getattr(t, dtype))
    if layout == "turned" and x.dim() > 1:
        return x.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == "stepped" and x.dim():
        return t.stack([x, x], -1)[..., 0]
    if layout == "expanded":
        return x[..., :1].expand(x.shape) if x.dim() and x.shape[-1] else x
    return x


def outcome(t: Any, fn: Any, *inputs: Any, grad: bool = False) -> Any:
    """Give (results, gradients) of a call in one library, or its exception; inputs are arguments of ``make``."""
    xs = [make(t, *(i if isinstance(i, tuple) else (i,))) for i in inputs]
    if grad:
        xs = [x.requires_grad_() if x.dtype.is_floating_point or x.dtype.is_complex else x for x in xs]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = fn(t, *xs)
    except Exception as error:
        return error
    parts = list(out) if isinstance(out, (tuple, list)) else [out]
    if not grad:
        return parts, []
    rng = np.random.default_rng(3)
    total: Any = 0
    for p in parts:
        if isinstance(p, (retrograd.Tensor, torch.Tensor)) and p.requires_grad:
            w = np.asarray(rng.normal(size=tuple(p.shape)))
            if p.is_complex():
                w = w + 1j * rng.normal(size=tuple(p.shape))
            r = p * t.tensor(w).to(p.dtype)
            total = total + (r.real if r.is_complex() else r).sum()
    if isinstance(total, int):
        return parts, []
    try:
        total.backward()
    except RuntimeError as error:
        if "is not implemented" in str(error) or "not implemented for" in str(error):
            return parts, None  # torch has no derivative, which is no reason to have none here
        raise
    return parts, [x.grad for x in xs]


def same_value(
    mine: Any, other: Any, tolerance: float | None = None, strides: bool = False, what: str = "result"
) -> None:
    """Assert that two results are alike: tensors in dtype, shape and values, anything else by ==."""
    if isinstance(other, (tuple, list)) and not isinstance(other, torch.Size):
        assert len(mine) == len(other), (mine, other)
        for a, b in zip(mine, other, strict=True):
            same_value(a, b, tolerance, strides, what)
        return
    if not isinstance(other, torch.Tensor):
        if isinstance(other, (torch.dtype, torch.Size, torch.device)):
            mine, other = str(mine), str(other)
        assert type(mine) is type(other) and (mine == other or (mine != mine and other != other)), (mine, other)
        return
    assert str(mine.dtype) == str(other.dtype), f"{what}: dtype {mine.dtype}, torch {other.dtype}"
    assert tuple(mine.shape) == tuple(other.shape), f"{what}: shape {tuple(mine.shape)}, torch {tuple(other.shape)}"
    if strides and other.numel():
        assert mine.is_contiguous() == other.is_contiguous(), f"{what}: strides {mine.stride()}, torch {other.stride()}"
    kept = TOLERANCE.get(str(other.dtype).removeprefix("torch."), 0) if tolerance is None else tolerance
    a, b = raw(mine), raw(other)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(a, b, rtol=kept, atol=kept, equal_nan=True, err_msg=what)


def same_outcome(ours: Any, theirs: Any, tolerance: float | None = None, strides: bool = False) -> None:
    """Assert that two outcomes are alike: the same kind of exception, or the same results and gradients."""
    if isinstance(theirs, Exception):
        assert isinstance(ours, Exception), f"torch raises {type(theirs).__name__}: {str(theirs)[:200]}; here: {ours}"
        assert type(ours) is type(theirs), f"torch raises {type(theirs).__name__}: {str(theirs)[:200]}; here: {ours!r}"
        return
    if isinstance(ours, Exception):
        raise AssertionError(f"here {type(ours).__name__}: {ours}; torch: {theirs}") from ours
    same_value(ours[0], theirs[0], tolerance, strides)
    if theirs[1] is None:
        return
    assert ours[1] is not None and len(ours[1]) == len(theirs[1]), "one library gives gradients, the other none"
    for i, (a, b) in enumerate(zip(ours[1], theirs[1], strict=True)):
        assert (a is None) == (b is None), f"gradient {i}: {a}, torch {b}"
        if a is not None:
            same_value(a, b, tolerance, False, f"gradient {i}")


def compare(fn: Any, *inputs: Any, grad: bool = False, tolerance: float | None = None, strides: bool = False) -> None:
    """Run a call in both libraries and assert that they agree."""
    ours, theirs = outcome(retrograd, fn, *inputs, grad=grad), outcome(torch, fn, *inputs, grad=grad)
    same_outcome(ours, theirs, tolerance, strides)


def check_forward(fn: Any, *inputs: Any, tolerance: float = 1e-6) -> None:
    """Assert that the pushforward of a float64 call equals its central difference in a random direction."""
    rng = np.random.default_rng(5)
    xs = [np.asarray(i[0] if isinstance(i, tuple) else i, np.float64) for i in inputs]
    ts = [np.asarray(rng.normal(size=x.shape)) for x in xs]

    def run(*ys: Any) -> Any:
        out = fn(retrograd, *ys)
        return tuple(out) if isinstance(out, (tuple, list)) else (out,)

    tensors = tuple(retrograd.tensor(x) for x in xs)
    _, tangents = retrograd.func.jvp(run, tensors, tuple(retrograd.tensor(t) for t in ts))
    h = 1e-6
    up = run(*(retrograd.tensor(x + h * t) for x, t in zip(xs, ts, strict=True)))
    down = run(*(retrograd.tensor(x - h * t) for x, t in zip(xs, ts, strict=True)))
    for t, a, b in zip(tangents, up, down, strict=True):
        slope = (raw(a) - raw(b)) / (2 * h)
        np.testing.assert_allclose(raw(t), slope, rtol=tolerance, atol=tolerance)
