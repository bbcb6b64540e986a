"""Slopes where they are easily wrong: beside NaN and infinities, at zeros, and on both sides of branch cuts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")

NAN, INF = float("nan"), float("inf")
POINTS = [NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 6.0, -3.0]
ONE = (
    *("abs", "angle", "acos", "asin", "atan", "acosh", "asinh", "atanh", "cos", "cosh", "erf", "erfc", "exp", "exp2"),
    *("expm1", "frac", "log", "log2", "log10", "log1p", "neg", "reciprocal", "relu", "rsqrt", "sigmoid", "sign", "sin"),
    *("sinc", "sinh", "sqrt", "square", "tan", "tanh", "trunc", "nan_to_num", "lgamma", "erfinv"),
)
LAYERS = (
    *("relu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "hardtanh", "hardswish", "hardsigmoid"),
    *("leaky_relu", "logsigmoid", "softplus", "softsign", "tanhshrink"),
)
TWO = (
    *("add", "sub", "mul", "div", "atan2", "hypot", "maximum", "minimum", "fmax", "fmin", "fmod", "remainder", "pow"),
    *("copysign", "max", "min", "float_power"),
)
LOSSES = ("mse_loss", "smooth_l1_loss", "huber_loss", "l1_loss")
# infinite or undefined either way: here the limit, or the slope that is right on one side
APART = {
    "hypot": {(0.0, 0.0)},
    "remainder": {(x, y) for x in POINTS for y in (0.0, -0.0, NAN)},
    "pow": {(-INF, 0.5), (-0.0, 0.5), (-0.0, -0.5)},
    "float_power": {(-INF, 0.5), (-0.0, 0.5), (-0.0, -0.5)},
}


def slopes(t: Any, fn: Any, *arrays: Any, dtype: str = "float64") -> list[Any]:
    xs = [t.tensor(a, dtype=getattr(t, dtype)).requires_grad_() for a in arrays]
    y = fn(t, *xs)
    y.backward(t.arange(1, y.numel() + 1).to(y.dtype) * (1 + 0.5j if y.is_complex() else 1))
    return [y.detach().numpy(), *(np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in xs)]


def agree(fn: Any, *arrays: Any, dtype: str = "float64", kept: Any = None) -> None:
    theirs, ours = slopes(torch, fn, *arrays, dtype=dtype), slopes(retrograd, fn, *arrays, dtype=dtype)
    for a, b in zip(theirs, ours, strict=True):
        if kept is not None:
            a, b = a[kept], b[kept]
        if np.iscomplexobj(a):  # which part of an infinite number is NaN is nobody's promise
            a, b = (np.where(np.isfinite(v), v, NAN) for v in (a, b))
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ONE)
def test_of_one(name: str) -> None:
    agree(lambda t, x: getattr(t, name)(x), np.array(POINTS))


@pytest.mark.parametrize("name", LAYERS)
def test_of_activations(name: str) -> None:
    points = POINTS[name in ("elu", "selu", "celu", "hardswish") :]  # torch's kernels of these lose NaN
    agree(lambda t, x: getattr(t.nn.functional, name)(x), np.array(points))


@pytest.mark.parametrize("name", TWO)
def test_of_two(name: str) -> None:
    pairs = list(itertools.product(POINTS, POINTS))
    apart = {tuple(map(repr, p)) for p in APART.get(name, ())}
    kept = np.array([tuple(map(repr, p)) not in apart for p in pairs])
    agree(lambda t, x, y: getattr(t, name)(x, y), *np.array(pairs).T, kept=kept)


@pytest.mark.parametrize("name", LOSSES)
def test_of_losses(name: str) -> None:
    pairs = np.array(list(itertools.product(POINTS, POINTS))).T
    agree(lambda t, x, y: getattr(t.nn.functional, name)(x, y, reduction="none"), *pairs)


def test_of_x_log1p_y() -> None:
    pairs = np.array(list(itertools.product((0.0, 1.0, -2.0), (0.5, 1.0, 3.0, 0.0, -0.5)))).T
    agree(lambda t, x, y: t.special.xlog1py(x, y), *pairs)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize(
    "name",
    [
        *("acosh", "asinh", "acos", "asin", "atan", "atanh", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "exp"),
        *("tan", "tanh", "sinh", "cosh", "sin", "cos", "reciprocal", "sigmoid", "square", "angle", "abs", "sgn"),
    ],
)
def test_beside_branch_cuts(name: str, dtype: str) -> None:
    real, imaginary = (-3.0, -2.0, -0.5, -0.0, 0.0, 0.5, 1.5), (-2.0, -0.5, -0.0, 0.0, 0.5, 2.0)
    points = np.array([complex(a, b) for a in real for b in imaginary])
    with np.errstate(all="ignore"):
        agree(lambda t, z: getattr(t, name)(z), points, dtype=dtype)
