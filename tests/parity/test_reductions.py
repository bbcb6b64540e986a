"""Reductions, scans and order against real torch: values, dtypes, derivatives, errors."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")

NAN, INF = math.nan, math.inf
RNG = np.random.default_rng(7)


def inputs() -> dict[str, Any]:
    """Give the arrays that every function is run on."""
    return {
        "matrix": RNG.normal(size=(3, 4)),
        "vector": RNG.normal(size=5),
        "cube": RNG.normal(size=(2, 3, 4)),
        "turned": RNG.normal(size=(4, 3, 2)).transpose(2, 0, 1),
        "stepped": RNG.normal(size=(6, 4))[::2, ::-1],
        "expanded": np.broadcast_to(RNG.normal(size=(3, 1)), (3, 4)),
        "scalar": RNG.normal(size=()),
        "one": RNG.normal(size=(1, 1)),
        "no rows": np.zeros((0, 3)),
        "no columns": np.zeros((3, 0)),
        "ties": np.array([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0], [0.0, -1.0, -1.0, 0.0]]),
        "zeros": np.zeros((2, 3)),
        "one zero": np.array([[0.0, 2.0, 3.0], [4.0, 0.0, 0.0]]),
        "nan": np.array([[1.0, NAN, 3.0], [4.0, 5.0, 6.0], [NAN, NAN, 2.0]]),
        "inf": np.array([[1.0, INF, 3.0], [-INF, 5.0, 6.0], [INF, -INF, 2.0]]),
    }


INPUTS = inputs()
DIMS: tuple[Any, ...] = (0, 1, -1, (0, 1), (), [-1], 5, "a", (0, 0))


def reductions(name: str, dims: Any = DIMS) -> dict[str, Any]:
    """Give calls of a reduction: alone, over dimensions, keeping them."""
    table = {f"{name}()": lambda t, x: getattr(t, name)(x), f"x.{name}()": lambda t, x: getattr(x, name)()}
    for d in dims:
        table[f"{name}({d!r})"] = lambda t, x, d=d: getattr(t, name)(x, d)
    table[f"{name}(dim=0, keepdim=True)"] = lambda t, x: getattr(t, name)(x, dim=0, keepdim=True)
    table[f"x.{name}(-1, True)"] = lambda t, x: getattr(x, name)(-1, True)
    table[f"{name}(axis, keepdims)"] = lambda t, x: getattr(t, name)(x, axis=-1, keepdims=True)
    return table


def along(name: str, *more: Any, **named: Any) -> dict[str, Any]:
    """Give calls of a function along one dimension."""
    return {f"{name}({d})": lambda t, x, d=d: getattr(t, name)(x, *more, d, **named) for d in (0, -1, 1, 7)}


ONE_DIM = (0, 1, -1, 5)
CALLS: dict[str, Any] = {
    **reductions("sum"),
    **reductions("mean"),
    **reductions("nansum"),
    **reductions("nanmean"),
    **reductions("amax"),
    **reductions("amin"),
    **reductions("any"),
    **reductions("all"),
    **reductions("prod", ONE_DIM),
    **reductions("max", ONE_DIM),
    **reductions("min", ONE_DIM),
    **reductions("argmax", ONE_DIM),
    **reductions("argmin", ONE_DIM),
    **reductions("var"),
    **reductions("std"),
    "var(unbiased=False)": lambda t, x: x.var(unbiased=False),
    "var(False)": lambda t, x: x.var(False),
    "std(0, False, True)": lambda t, x: x.std(0, False, True),
    "std(correction=0)": lambda t, x: t.std(x, dim=-1, correction=0),
    "var(correction=2)": lambda t, x: t.var(x, dim=(0,), correction=2, keepdim=True),
    "var_mean": lambda t, x: t.var_mean(x, -1),
    "std_mean": lambda t, x: t.std_mean(x, correction=0, keepdim=True),
    "sum(dtype=float64)": lambda t, x: x.sum(dtype=t.float64),
    "sum(dtype=int32)": lambda t, x: t.sum(x.detach().abs(), 0, dtype=t.int32) if bool(x.isfinite().all()) else x,
    "mean(dtype=float64)": lambda t, x: x.mean(-1, dtype=t.float64),
    "count_nonzero": lambda t, x: t.count_nonzero(x),
    "count_nonzero(0)": lambda t, x: x.count_nonzero(0),
    "max(other)": lambda t, x: t.max(x, -x),
    "min(other)": lambda t, x: x.min(x * 2),
    "aminmax": lambda t, x: t.aminmax(x),
    "aminmax(dim)": lambda t, x: x.aminmax(dim=-1, keepdim=True),
    "argmax(keepdim)": lambda t, x: x.argmax(keepdim=True),
    "logsumexp": lambda t, x: t.logsumexp(x, 0),
    "logsumexp(all)": lambda t, x: x.logsumexp((0, -1) if x.dim() > 1 else (-1,), keepdim=True),
    **along("softmax"),
    **along("log_softmax"),
    "softmax(dtype)": lambda t, x: t.softmax(x, dim=-1, dtype=t.float64),
    **{f"norm({p})": lambda t, x, p=p: x.norm(p) for p in (0, 1, 2, 3, 0.5, -1, INF, -INF)},
    **{f"norm({p}, 0)": lambda t, x, p=p: t.norm(x, p, 0, True) for p in (1, 2, 2.5, INF)},
    "norm('fro')": lambda t, x: t.norm(x),
    "norm(dims)": lambda t, x: t.norm(x, dim=(0, 1)),
    "dist": lambda t, x: t.dist(x, x * 2, 2),
    "dist to itself": lambda t, x: t.dist(x, x.detach(), 2),
    "renorm": lambda t, x: t.renorm(x, 2, 0, 1.5),
    "renorm 1": lambda t, x: x.renorm(1, -1, 0.5),
    **along("cumsum"),
    **along("cumprod"),
    **along("cummax"),
    **along("cummin"),
    **along("logcumsumexp"),
    "cumsum(dtype)": lambda t, x: x.cumsum(0, dtype=t.float64),
    "diff": lambda t, x: t.diff(x),
    "diff(2)": lambda t, x: x.diff(2, 0),
    "diff(prepend)": lambda t, x: t.diff(x, dim=0, prepend=x, append=x),
    "trapezoid": lambda t, x: t.trapezoid(x),
    "trapezoid(dx)": lambda t, x: t.trapezoid(x, dx=0.5, dim=0),
    "trapezoid(x)": lambda t, x: t.trapezoid(x, x.cumsum(-1)),
    "cumulative_trapezoid": lambda t, x: t.cumulative_trapezoid(x, dim=0),
    "sort": lambda t, x: t.sort(x, stable=True),
    "sort(0)": lambda t, x: x.sort(dim=0, descending=True, stable=True),
    "sort values": lambda t, x: x.sort(-1, True)[0],
    "argsort": lambda t, x: x.argsort(dim=0, stable=True) if x.dim() else x,
    "msort": lambda t, x: t.msort(x) if x.dim() else x,
    "topk": lambda t, x: t.topk(x, 2)[0],
    "topk(smallest)": lambda t, x: x.topk(1, 0, largest=False)[0],
    "topk(all)": lambda t, x: x.topk(3, dim=-1)[0],
    "topk(0)": lambda t, x: x.topk(0, dim=-1),
    "kthvalue": lambda t, x: t.kthvalue(x, 2)[0],
    "kthvalue(keepdim)": lambda t, x: x.kthvalue(1, 0, True)[0],
    "median": lambda t, x: x.median(),
    "median(dim)": lambda t, x: t.median(x, -1)[0],
    "median(keepdim)": lambda t, x: x.median(0, keepdim=True)[0],
    "nanmedian": lambda t, x: x.nanmedian(),
    "nanmedian(dim)": lambda t, x: x.nanmedian(-1)[0],
    "mode": lambda t, x: t.mode(x)[0],
    "mode(keepdim)": lambda t, x: x.mode(0, True)[0],
    **{
        f"quantile({w})": lambda t, x, w=w: t.quantile(x, 0.3, interpolation=w)
        for w in ("linear", "lower", "higher", "midpoint", "nearest")
    },
    "quantile(q, dim)": lambda t, x: x.quantile(t.tensor([0.1, 0.5, 1.0], dtype=x.dtype), 0),
    "quantile(keepdim)": lambda t, x: x.quantile(0.6, -1, True),
    "quantile(q, keepdim)": lambda t, x: x.quantile(t.tensor([0.1, 0.9], dtype=x.dtype), keepdim=True),
    "nanquantile": lambda t, x: t.nanquantile(x, 0.4, -1),
    "nanquantile(q)": lambda t, x: t.nanquantile(x, t.tensor([0.2, 0.7], dtype=x.dtype)),
    "unique": lambda t, x: t.unique(x.detach(), return_inverse=True, return_counts=True),
    "unique(dim)": lambda t, x: t.unique(x.detach(), dim=0) if x.dim() and x.numel() else x,
    "unique_consecutive": lambda t, x: t.unique_consecutive(x.detach(), return_inverse=True, return_counts=True),
    "histc": lambda t, x: t.histc(x.detach(), 4),
    "histc(range)": lambda t, x: x.detach().histc(5, -1, 1),
    "bincount": lambda t, x: t.bincount(x.detach().abs().long().flatten()) if bool(x.isfinite().all()) else x,
    "bincount(weights)": lambda t, x: (
        x.detach().abs().long().flatten().bincount(x.detach().flatten(), 9) if bool(x.isfinite().all()) else x
    ),
    "searchsorted": lambda t, x: t.searchsorted(t.tensor([-1.0, 0.0, 0.0, 1.0]).to(x.dtype), x.detach()),
    "searchsorted(right)": lambda t, x: t.searchsorted(
        t.tensor([-1.0, 0.0, 0.0, 1.0]).to(x.dtype), x.detach(), right=True, out_int32=True
    ),
    "bucketize": lambda t, x: t.bucketize(x.detach(), t.tensor([-1.0, 0.0, 1.0]).to(x.dtype)),
    "cov": lambda t, x: t.cov(x),
    "cov weighted": lambda t, x: t.cov(
        x, correction=0, fweights=t.arange(1, x.shape[-1] + 1), aweights=t.ones(x.shape[-1], dtype=t.float64) * 2
    ),
    "corrcoef": lambda t, x: t.corrcoef(x),
    "cdist": lambda t, x: t.cdist(x, x * 2 + 1),
    "cdist(1)": lambda t, x: t.cdist(x, x * 2 + 1, 1),
    "cdist(3)": lambda t, x: t.cdist(x, x * 2 + 1, p=3),
    "cdist(inf)": lambda t, x: t.cdist(x, x * 2 + 1, INF),
    "cdist(far)": lambda t, x: t.cdist(x.repeat(20, 1), x[:1] + 3) if x.dim() == 2 else x,
    "pdist": lambda t, x: t.pdist(x, 2),
    "histogram": lambda t, x: t.histogram(x.detach(), 4),
    "histogram(range)": lambda t, x: t.histogram(x.detach(), 3, range=(-1.0, 1.0), density=True),
    "unravel_index": lambda t, x: t.unravel_index(t.tensor([0, 3, 5]), (2, 3)),
    "isin": lambda t, x: t.isin(x.detach(), t.tensor([0.0, 2.0]).to(x.dtype)),
}
# Where torch names no winner among equals (values only are compared), or its answer is not followed.
NO_GRADIENT = [
    ("mode", "ties"),
    ("mode", "nan"),
    *((n, k) for n in ("topk", "kthvalue") for k in ("ties", "zeros", "one zero", "expanded")),
]
LEFT_OUT = [
    ("amax", "nan", "torch gives NaN for the gradient of a NaN; here those that are NaN share it, as for max()"),
    ("amin", "nan", "the same"),
    ("aminmax", "nan", "the same"),
    ("min(other)", "nan", "torch gives a NaN's gradient to both"),
    *(
        (n, k, "torch divides the product by each factor: NaN where this is inf")
        for n in ("prod", "cumprod")
        for k in ("nan", "inf")
    ),
    *((n, k, "torch's gradient divides by the empty list's count") for n in ("var(())", "std(())") for k in INPUTS),
    *(("var(correction=2)", k, "no degrees of freedom are left: the slope means nothing") for k in INPUTS),
    *((n, "inf", "inf - inf is computed in another order") for n in ("var", "std", "trapezoid", "logcumsumexp")),
    *(("cdist(1)", k, "torch's cdist has slope NaN where its own abs has 0") for k in ("nan", "inf")),
    *((n, "nan", "torch's sign of NaN is 0 here") for n in ("norm(", "renorm")),
    *(
        (n, k, "torch lets any dimension pass for no elements")
        for n in ("cummax(7)", "cummin(7)")
        for k in ("no rows", "no columns")
    ),
    *(("trapezoid", k, "torch gives zeros without history for no elements") for k in ("no rows", "no columns")),
    *(
        (n, k, "torch's gradient divides by the empty list's count")
        for n in ("var(())", "std(())")
        for k in ("float32", "float16", "bfloat16")
    ),
    ("corrcoef", "float16", "torch's own rounding is as large as the difference"),
    ("histc", "float16", "torch computes the bin in half precision"),
    *(
        ("cdist(inf)", k, "torch gives each winner the whole gradient")
        for k in ("expanded", "ties", "zeros", "nan", "inf")
    ),
    ("histogram", "scalar", "an element on the edge of two bins"),
    *(("pdist", k, "torch crashes") for k in ("no rows", "no columns")),
    ("unique(dim)", "nan", "NaN has no order"),
]


def left_out(name: str, kind: str) -> str:
    """Give the reason why a case is not compared, or nothing."""
    return next((reason for part, k, reason in LEFT_OUT if part in name and k == kind), "")


def run(t: Any, fn: Any, a: Any, dtype: str, grad: bool) -> Any:
    """Give (results, gradient) of a call in one library, or the exception it raises."""
    x = t.tensor(np.ascontiguousarray(a)).to(getattr(t, dtype))
    if isinstance(a, np.ndarray) and a.ndim > 1 and not a.flags.c_contiguous:
        x = x.transpose(0, -1).contiguous().transpose(0, -1)
    wanted = grad and x.is_floating_point()
    if wanted:
        x.requires_grad_()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = fn(t, x)
    except Exception as error:
        return error
    parts = list(out) if isinstance(out, tuple) else [out]
    g = None
    roots = [p for p in parts if p.requires_grad]
    if wanted and roots:
        weights = np.random.default_rng(3)
        total = sum((p * t.tensor(weights.normal(size=tuple(p.shape))).to(p.dtype)).sum() for p in roots)
        total.backward()
        g = x.grad
    return [*parts, g]


def as_array(x: Any) -> Any:
    """Give a tensor of either library as an array."""
    x = x.detach()
    return x.float().numpy() if "bfloat16" in str(x.dtype) else x.numpy()


def same(ours: Any, theirs: Any, tolerance: float) -> None:
    """Assert that two libraries gave the same: types of errors, or values, shapes and dtypes."""
    if isinstance(theirs, Exception):
        assert type(ours) is type(theirs), f"torch raises {type(theirs).__name__}: {theirs}; here: {ours!r}"
        return
    assert not isinstance(ours, Exception), f"{type(ours).__name__}: {ours}"
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs):
        assert (mine is None) == (other is None), "one library gives a gradient, the other none"
        if mine is None:
            continue
        assert str(mine.dtype) == str(other.dtype)
        assert tuple(mine.shape) == tuple(other.shape)
        np.testing.assert_allclose(as_array(mine), as_array(other), rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("name", CALLS)
def test_float64(name: str, kind: str) -> None:
    fn, a = CALLS[name], INPUTS[kind]
    if left_out(name, kind):
        pytest.skip(left_out(name, kind))
    grad = not any(part in name and kind == k for part, k in NO_GRADIENT)
    same(run(retrograd, fn, a, "float64", grad), run(torch, fn, a, "float64", grad), 1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 4e-3), ("bfloat16", 3e-2)])
@pytest.mark.parametrize("name", CALLS)
def test_other_floats(name: str, dtype: str, tolerance: float) -> None:
    if left_out(name, dtype):
        pytest.skip(left_out(name, dtype))
    fn, a = CALLS[name], np.round(INPUTS["matrix"], 1)
    theirs = run(torch, fn, a, dtype, True)
    if isinstance(theirs, Exception) and "not implemented" in str(theirs):
        pytest.skip("torch has no kernel for this dtype")
    same(run(retrograd, fn, a, dtype, True), theirs, tolerance)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("name", CALLS)
def test_integers(name: str, dtype: str) -> None:
    fn, a = CALLS[name], np.array([[1, 0, 3, 3], [2, 2, 0, 1]])
    if "'a'" in name:
        pytest.skip("which of two faults is found first")
    theirs = run(torch, fn, a, dtype, False)
    if "hist" in name and dtype == "uint8":
        pytest.skip("torch refuses the range before the dtype")
    if isinstance(theirs, Exception) and "not implemented" in str(theirs):
        pytest.skip("torch has no kernel for this dtype")
    if isinstance(theirs, RuntimeError) and "isin" in name:
        pytest.skip("torch refuses bools without need")
    same(run(retrograd, fn, a, dtype, False), theirs, 1e-6)
