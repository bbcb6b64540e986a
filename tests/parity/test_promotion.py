"""Which dtype meets which: every pair of dtypes, scalars and zero-dimensional tensors, in and out of place, beside torch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")

from parity.tables import compare, outcome, same_outcome, same_value  # noqa: E402  (below the check for torch)

DTYPES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
UNSIGNED = ("uint16", "uint32", "uint64")
SCALARS = (True, 2, -3, 1.5, 2j)
BINARY: dict[str, Any] = {
    "add": lambda t, x, y: x + y,
    "sub": lambda t, x, y: x - y,
    "mul": lambda t, x, y: x * y,
    "div": lambda t, x, y: x / y,
    "floor_divide": lambda t, x, y: x // y,
    "mod": lambda t, x, y: x % y,
    "pow": lambda t, x, y: x**y,
    "eq": lambda t, x, y: x == y,
    "lt": lambda t, x, y: x < y,
    "and": lambda t, x, y: x & y,
    "or": lambda t, x, y: x | y,
    "xor": lambda t, x, y: x ^ y,
    "lshift": lambda t, x, y: x << y,
    "rshift": lambda t, x, y: x >> y,
    "maximum": lambda t, x, y: t.maximum(x, y),
    "fmin": lambda t, x, y: t.fmin(x, y),
    "atan2": lambda t, x, y: t.atan2(x, y),
    "fmod": lambda t, x, y: t.fmod(x, y),
    "div floor": lambda t, x, y: t.div(x, y, rounding_mode="floor"),
    "div trunc": lambda t, x, y: t.div(x, y, rounding_mode="trunc"),
    "logical_and": lambda t, x, y: t.logical_and(x, y),
    "where": lambda t, x, y: t.where(t.tensor([True, False, True]), x, y),
    "copysign": lambda t, x, y: t.copysign(x, y),
    "hypot": lambda t, x, y: t.hypot(x, y),
    "xlogy": lambda t, x, y: t.xlogy(x, y),
    "float_power": lambda t, x, y: t.float_power(x, y),
    "logaddexp": lambda t, x, y: t.logaddexp(x, y),
    "clamp": lambda t, x, y: t.clamp(x, min=y),
    "gcd": lambda t, x, y: t.gcd(x, y),
    "add alpha": lambda t, x, y: t.add(x, y, alpha=2),
    "sub alpha": lambda t, x, y: t.sub(x, y, alpha=2),
    "addcmul": lambda t, x, y: t.addcmul(x, y, y, value=2),
    "addcdiv": lambda t, x, y: t.addcdiv(x, y, y, value=2),
    "lerp": lambda t, x, y: t.lerp(x, y, 0.5),
    "cat": lambda t, x, y: t.cat([x.reshape(-1), y.reshape(-1)]),
    "stack": lambda t, x, y: t.stack([x.reshape(-1), y.reshape(-1)]),
    "ldexp": lambda t, x, y: t.ldexp(x, y),
    "nextafter": lambda t, x, y: t.nextafter(x, y),
    "heaviside": lambda t, x, y: t.heaviside(x, y),
    "true_divide": lambda t, x, y: t.true_divide(x, y),
    "rsub": lambda t, x, y: t.rsub(x, y),
    "bitwise_and": lambda t, x, y: t.bitwise_and(x, y),
}
IN_PLACE: dict[str, Any] = {
    "add_": lambda t, x, y: x.add_(y),
    "sub_": lambda t, x, y: x.sub_(y),
    "mul_": lambda t, x, y: x.mul_(y),
    "div_": lambda t, x, y: x.div_(y),
    "floor_divide_": lambda t, x, y: x.floor_divide_(y),
    "remainder_": lambda t, x, y: x.remainder_(y),
    "pow_": lambda t, x, y: x.pow_(y),
    "eq_": lambda t, x, y: x.eq_(y),
    "gt_": lambda t, x, y: x.gt_(y),
    "logical_or_": lambda t, x, y: x.logical_or_(y),
    "clamp_": lambda t, x, y: x.clamp_(max=y),
    "copy_": lambda t, x, y: x.copy_(y),
    "fill_": lambda t, x, y: x.fill_(y),
    "masked_fill_": lambda t, x, y: x.masked_fill_(t.tensor([True, False, True]), y),
    "bitwise_and_": lambda t, x, y: x.bitwise_and_(y),
    "atan2_": lambda t, x, y: x.atan2_(y),
    "+=": lambda t, x, y: x.__iadd__(y),
    "/=": lambda t, x, y: x.__itruediv__(y),
    "**=": lambda t, x, y: x.__ipow__(y),
}
TAKE_SCALARS_FIRST = (
    *("add", "sub", "mul", "div", "pow", "floor_divide", "mod", "eq", "lt", "and", "or", "xor", "where"),
    *("lshift", "rshift", "atan2", "xlogy", "float_power"),
)
VALUES = [1, 2, 3]
OTHERS = [2, 1, 3]


@pytest.mark.parametrize(("a", "b"), list(itertools.product(DTYPES, DTYPES)))
def test_pairs(a: str, b: str) -> None:
    for name, fn in BINARY.items():
        for x, y in (((VALUES, a), (OTHERS, b)), ((VALUES, a), (2, b)), ((2, a), (VALUES, b)), ((2, a), (3, b))):
            check(fn, x, y, name)


@pytest.mark.parametrize(("a", "b"), list(itertools.product(DTYPES, DTYPES)))
def test_pairs_in_place(a: str, b: str) -> None:
    for name, fn in IN_PLACE.items():
        for y in ((OTHERS, b), (2, b)):
            check(fn, (VALUES, a), y, name)


def check(fn: Any, x: Any, y: Any, name: str) -> None:
    """Compare one call; the row's name and operands stand in the message."""
    loose(fn, x, y, what=f"{name} of {x} and {y}", wide="16" in x[1] + y[1])


def loose(fn: Any, *inputs: Any, what: str, wide: bool) -> None:
    """Compare one call, to half precision's last digits where it is in play; torch's half-precision complex type is left out."""
    theirs = outcome(torch, fn, *inputs)
    if isinstance(theirs, Exception):
        if "ComplexHalf" in str(theirs):
            return
    elif isinstance(theirs[0][0], torch.Tensor) and theirs[0][0].dtype == torch.complex32:
        return
    try:
        same_outcome(outcome(retrograd, fn, *inputs), theirs, 2e-2 if wide else None)
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from None


@pytest.mark.parametrize("scalar", SCALARS)
@pytest.mark.parametrize("a", DTYPES)
def test_scalars(a: str, scalar: Any) -> None:
    for name, fn in {**BINARY, **IN_PLACE}.items():
        if name == "masked_fill_" and isinstance(scalar, complex):
            continue
        for x in ((VALUES, a), (2, a)):
            loose(lambda t, x, fn=fn: fn(t, x, scalar), x, what=f"{name} of {x} and {scalar}", wide="16" in a)
            if name in TAKE_SCALARS_FIRST:
                loose(lambda t, x, fn=fn: fn(t, scalar, x), x, what=f"{name} of {scalar} and {x}", wide="16" in a)


@pytest.mark.parametrize(("a", "b"), list(itertools.product(DTYPES + UNSIGNED, repeat=2)))
def test_promote_types(a: str, b: str) -> None:
    for fn in (
        lambda t: t.promote_types(getattr(t, a), getattr(t, b)),
        lambda t: t.can_cast(getattr(t, a), getattr(t, b)),
        lambda t: t.result_type(t.ones(2, dtype=getattr(t, a)), t.ones((), dtype=getattr(t, b))),
        lambda t: t.result_type(t.ones((), dtype=getattr(t, a)), 1.5),
        lambda t: t.result_type(t.ones(2, dtype=getattr(t, a)), 1j),
        lambda t: t.result_type(3, t.ones(1, dtype=getattr(t, a))),
        lambda t: t.result_type(3, 2.5),
        lambda t: t.ones(2, dtype=getattr(t, a)).to(getattr(t, b)),
    ):
        compare(fn)


@pytest.mark.parametrize("out", DTYPES)
@pytest.mark.parametrize("a", DTYPES)
def test_out(a: str, out: str) -> None:
    for fn in (
        lambda t, x, o: t.add(x, x, out=o),
        lambda t, x, o: t.mul(x, 2.5, out=o),
        lambda t, x, o: t.div(x, x, out=o),
        lambda t, x, o: t.exp(x, out=o),
        lambda t, x, o: t.eq(x, x, out=o),
        lambda t, x, o: t.cat([x, x], out=o),
    ):
        compare(fn, (VALUES, a), ([0, 0, 0], out), tolerance=2e-2)


def test_the_default_dtype_is_that_of_scalars() -> None:
    for t in (retrograd, torch):
        t.set_default_dtype(t.float64)
    try:
        for fn in (
            lambda t: t.tensor([1, 2]) / 2,
            lambda t: t.tensor([1, 2]) * 1.5,
            lambda t: t.tensor(1.5),
            lambda t: t.tensor([1, 2]).sqrt(),
            lambda t: t.ones(2),
            lambda t: t.tensor([True]) + 1j,
            lambda t: t.arange(0, 1, 0.25),
            lambda t: t.ones(2, dtype=t.float32) * 1.5,
        ):
            same_outcome(outcome(retrograd, fn), outcome(torch, fn))
    finally:
        for t in (retrograd, torch):
            t.set_default_dtype(t.float32)


NUMPY = (
    np.float32(1.5),
    np.float64(2.0),
    np.int64(3),
    np.int32(2),
)  # torch takes NumPy's bools and complex numbers for floats


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("scalar", NUMPY, ids=lambda s: type(s).__name__)
def test_numpy_scalars(scalar: Any, dtype: str) -> None:
    for name in ("add", "sub", "mul", "div", "eq", "lt"):
        fn = BINARY[name]
        if name == "sub" and dtype == "bool":
            continue
        ours = fn(retrograd, retrograd.ones(2, dtype=getattr(retrograd, dtype)), scalar)
        theirs = fn(torch, torch.ones(2, dtype=getattr(torch, dtype)), scalar)
        same_value(ours, theirs, what=f"{name} with {scalar!r}")


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
@pytest.mark.parametrize("array", [np.array([1.0, 2.0], np.float32), np.array([1, 2]), np.array(2.0)], ids=str)
def test_numpy_arrays(array: Any) -> None:
    for dtype in ("float32", "float64", "int64"):
        for name, fn in {
            "x + a": lambda x: x + array,
            "a + x": lambda x: array + x,
            "a * x": lambda x: array * x,
            "x == a": lambda x: x == array,
            "a - x": lambda x: array - x,
            "a / x": lambda x: array / x,
        }.items():
            ours = fn(retrograd.ones(2, dtype=getattr(retrograd, dtype)))
            assert isinstance(ours, retrograd.Tensor), name
            try:
                theirs = fn(torch.ones(2, dtype=getattr(torch, dtype)))
            except TypeError:
                continue
            np.testing.assert_array_equal(ours.numpy(), np.asarray(theirs))
