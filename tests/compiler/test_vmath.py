"""Vector mathematics against float64 (for float32) and extended precision (for float64): all binades, all special values."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

from compiler.native import DTYPES, Row, compile_rows
from retrograd.compiler.codegen import vmath
from retrograd.compiler.runtime import jit

# name: the largest error allowed of float32 and of float64, in units in the last place, as the docstrings say
BOUNDS = {
    "exp": (1.0, 1.1), "exp2": (0.9, 0.9), "expm1": (1.6, 2.3), "log": (0.8, 0.8), "log2": (0.51, 0.51), "log10": (0.51, 0.51),
    "log1p": (1.4, 1.4), "tanh": (1.2, 2.6), "sigmoid": (1.6, 1.6), "softplus": (1.7, 1.7), "erf": (1.1, 1.0), "erfc": (0.51, 3.7),
    "sin": (1.6, 1.5), "cos": (1.6, 1.5), "tan": (0.51, 2.9), "sinh": (0.51, 2.5), "cosh": (0.51, 1.6), "asinh": (0.51, 1.9),
    "acosh": (0.51, 2.1), "atanh": (0.51, 2.0), "asin": (0.51, 2.3), "acos": (0.51, 1.3), "atan": (0.51, 1.8), "rsqrt": (1.5, 1.5),
    "cbrt": (0.51, 0.51),
    "pow": (0.51, 1.0), "atan2": (0.51, 1.8), "hypot": (0.51, 1.0), "fmod": (0, 0), "remainder": (0, 0), "floor_divide": (0, 0),
}  # fmt: skip
SPECIAL = [0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 7.5, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1e30, -1e30, 1e5, 1e300, -1e300, 5e-324]  # fmt: skip
EXTENDED = np.finfo(np.longdouble).nmant > 60


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def reference(name: str):
    """NumPy's function, or C's, or a formula that is safe in the wider type."""
    other = {"sigmoid": _sigmoid, "softplus": _softplus, "rsqrt": lambda x: 1 / np.sqrt(x), "pow": np.power}
    if name in other:
        return other[name]
    if name in ("erf", "erfc"):
        return lambda x: np.array([getattr(math, name)(v) for v in x.astype(np.float64).tolist()])
    arc = {f"a{b}": f"arc{b}" for b in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "tan2")}
    return getattr(np, arc.get(name, name))


@functools.cache
def functions(kind: str):
    """All functions of one kind, as wide as this machine's vectors, and those of exp in instructions every machine has."""
    width = jit.host().lanes(np.dtype(DTYPES[kind]).itemsize)
    rows = {name: Row(kind, width, f) for name, f in vmath.UNARY.items()}
    rows |= {name: Row(kind, width, f, 2) for name, f in vmath.BINARY.items()}
    return compile_rows(rows, jit.host().enabled)


def check(got: np.ndarray, want: np.ndarray, bound: float, inputs: tuple) -> None:
    """Errors within the bound; NaN, infinities, and the signs of zeros where they must be."""
    digits, lowest = (23, -126) if got.dtype == np.float32 else (52, -1022)
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        exponent = np.maximum(np.floor(np.log2(np.abs(want))), lowest)
        error = np.abs(got - want) / np.exp2(exponent - digits)
        settled = ~np.isfinite(rounded) | (want == 0)
    wrong = np.where(settled, (got != rounded) & ~(np.isnan(got) & np.isnan(rounded)), ~(error <= bound))
    wrong |= (got == 0) & (np.signbit(got) != np.signbit(rounded))
    assert not wrong.any(), [(*(x[i] for x in inputs), got[i], want[i], error[i]) for i in np.flatnonzero(wrong)[:5]]


@pytest.mark.parametrize("name", vmath.UNARY)
def test_float32_in_every_binade(name: str) -> None:
    patterns = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        x = np.concatenate([np.array(SPECIAL).astype(np.float32), patterns])
        want = reference(name)(x.astype(np.float64))
    check(functions("f32")[name](x), want, BOUNDS[name][0], (x,))


@pytest.mark.skipif(not EXTENDED, reason="there is nothing more precise here to compare with")
@pytest.mark.parametrize("name", vmath.UNARY)
def test_float64(name: str) -> None:
    rng = np.random.default_rng(0)
    parts = [
        rng.integers(0, 2**64, 20000, np.uint64).view(np.float64),
        *(rng.uniform(-s, s, 20000) for s in (1, 3, 40)),
    ]
    x = np.concatenate([np.array(SPECIAL), *parts, rng.uniform(0.5, 2, 20000)])
    bound, wide = BOUNDS[name][1], np.longdouble
    if name in ("erf", "erfc"):
        bound, wide = bound + 1, np.float64  # C's function has an error of its own
    with np.errstate(all="ignore"):
        want = reference(name)(x.astype(wide))
    check(functions("f64")[name](x), want, bound, (x,))


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("name", [name for name in vmath.BINARY if name != "logaddexp"])
def test_functions_of_two_numbers(name: str, kind: str) -> None:
    rng, dtype = np.random.default_rng(1), DTYPES[kind]
    bits, size = (np.uint32, 2**32) if kind == "f32" else (np.uint64, 2**64)
    with np.errstate(all="ignore"):
        a, b = (grid.ravel() for grid in np.meshgrid(np.array(SPECIAL).astype(dtype), np.array(SPECIAL).astype(dtype)))
        pairs = [(a, b), (rng.integers(0, size, 3000, np.uint64).astype(bits).view(dtype) for _ in range(2))]
        pairs += [
            (rng.uniform(0, 20, 9000), rng.uniform(-20, 20, 9000)),
            (rng.uniform(-5, 5, 9000), rng.uniform(-5, 5, 9000)),
        ]
        pairs += [(rng.uniform(0.99, 1.01, 9000), rng.uniform(-5000, 5000, 9000))]
        pairs += [(rng.integers(-50, 50, 9000), rng.integers(-9, 9, 9000))]
        x, y = (np.concatenate([np.asarray(side, dtype) for side in sides]) for sides in zip(*map(tuple, pairs)))
        exact = BOUNDS[name][0] == 0  # these are found without any rounding, in the type itself
        wide = dtype if exact else (np.float64 if kind == "f32" else np.longdouble)
        if wide is np.longdouble and not EXTENDED:
            pytest.skip("there is nothing more precise here to compare with")
        want = reference(name)(x.astype(wide), y.astype(wide))
    check(functions(kind)[name](x, y), want, BOUNDS[name][kind == "f64"], (x, y))


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_logaddexp(kind: str) -> None:
    rng, dtype = np.random.default_rng(2), DTYPES[kind]
    special = [0, 1, -1, np.inf, -np.inf, np.nan, 1000, -1000]
    a, b = (grid.ravel() for grid in np.meshgrid(special, special))
    x, y = (np.concatenate([s, rng.uniform(-50, 50, 20000)]).astype(dtype) for s in (a, b))
    with np.errstate(all="ignore"):
        want = np.logaddexp(x.astype(np.longdouble), y.astype(np.longdouble))
        got = functions(kind)["logaddexp"](x, y)
        # Where the two terms cancel, the error is that of the larger term.
        scale = np.maximum(np.abs(want), np.abs(np.maximum(x, y)))
        error = np.abs(got - want) / np.spacing(scale.astype(dtype))
    plain = np.isfinite(want)
    assert (error[plain] < 2).all()
    np.testing.assert_array_equal(got[~plain], want[~plain].astype(dtype))


def test_what_is_exact_is_exact() -> None:
    f = functions("f64")
    powers = np.arange(-1074, 1024).astype(np.float64)
    np.testing.assert_array_equal(f["log2"](np.exp2(powers)), powers)
    np.testing.assert_array_equal(f["exp2"](powers), np.exp2(powers))
    tens = np.arange(0, 23).astype(np.float64)
    np.testing.assert_array_equal(f["log10"](10.0**tens), tens)
    whole = np.arange(-100, 101).astype(np.float64)
    np.testing.assert_array_equal(f["cbrt"](whole**3), whole)
    np.testing.assert_array_equal(f["pow"](np.abs(whole), np.full(201, 2.0)), whole**2)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_results_depend_on_nothing_but_the_number(kind: str) -> None:
    """One lane, few lanes, and instructions of any machine give the bits that full vectors give."""
    names = {**vmath.UNARY, **vmath.BINARY}
    rows = {f"{n}_{w}": Row(kind, w, names[n], 1 + (n in vmath.BINARY)) for n in names for w in (1, 4)}
    rng = np.random.default_rng(3)
    with np.errstate(all="ignore"):
        x = np.concatenate([np.array(SPECIAL), rng.normal(0, 30, 200), rng.normal(0, 1e6, 30)]).astype(DTYPES[kind])
    y = rng.permutation(x)
    for name, narrow in compile_rows(rows).items():
        full = functions(kind)[name.rsplit("_", 1)[0]]
        operands = (x, y) if name.rsplit("_", 1)[0] in vmath.BINARY else (x,)
        np.testing.assert_array_equal(narrow(*operands), full(*operands), err_msg=name)


def test_every_function_says_its_error() -> None:
    for f in (*vmath.UNARY.values(), *vmath.BINARY.values()):
        assert "ulp" in f.__doc__ or "xact" in f.__doc__, f.__name__
