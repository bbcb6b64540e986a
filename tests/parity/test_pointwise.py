"""Functions of numbers beside torch: special values, dtypes, gradients, forward mode, in-place and out= forms, errors."""

from __future__ import annotations

import inspect
import itertools
import math
from typing import Any

import numpy as np
import pytest

import retrograd
from retrograd.tensor.dispatch import FUNCTIONS, METHODS

torch = pytest.importorskip("torch")

from parity.tables import check_forward, compare, outcome, same_outcome, same_value  # noqa: E402  (below the check for torch)

FAMILY = ("arithmetic", "comparing", "complex_parts", "pointwise")
INF, NAN = math.inf, math.nan
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.5, 3.5, 1e-30, 1e30, -1e30, 100.0, INF, -INF, NAN]
PLAIN, UNIT, POSITIVE = [-1.7, -0.4, 0.3, 1.2, 2.6], [-0.8, -0.3, 0.2, 0.6, 0.9], [0.2, 0.7, 1.3, 2.4, 3.6]
LARGE = [1.2, 1.7, 2.4, 3.1, 4.5]
UNARY: dict[str, tuple[Any, list[float]]] = {
    **{
        n: (n, PLAIN)
        for n in (
            "abs",
            "absolute",
            "angle",
            "asinh",
            "arcsinh",
            "atan",
            "arctan",
            "ceil",
            "conj",
            "conj_physical",
            "cos",
            "cosh",
        )
    },
    **{
        n: (n, PLAIN)
        for n in (
            "deg2rad",
            "erf",
            "erfc",
            "exp",
            "exp2",
            "expm1",
            "fix",
            "floor",
            "frac",
            "isfinite",
            "isinf",
            "isnan",
            "isneginf",
        )
    },
    **{
        n: (n, PLAIN)
        for n in (
            "isposinf",
            "isreal",
            "logical_not",
            "nan_to_num",
            "neg",
            "negative",
            "positive",
            "rad2deg",
            "real",
            "relu",
        )
    },
    **{
        n: (n, PLAIN)
        for n in (
            "resolve_conj",
            "resolve_neg",
            "round",
            "sgn",
            "sigmoid",
            "sign",
            "signbit",
            "sin",
            "sinc",
            "sinh",
            "square",
            "tan",
        )
    },
    **{n: (n, PLAIN) for n in ("tanh", "trunc", "bitwise_not", "imag", "is_conj", "is_neg")},
    **{n: (n, UNIT) for n in ("acos", "arccos", "asin", "arcsin", "atanh", "arctanh", "erfinv")},
    **{n: (n, POSITIVE) for n in ("digamma", "lgamma", "log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sqrt")},
    "logit": ("logit", [0.1, 0.2, 0.4, 0.6, 0.9]),
    **{n: (n, LARGE) for n in ("acosh", "arccosh")},
}
CALLS: dict[str, Any] = {name: (lambda t, x, name=name: getattr(t, name)(x)) for name in UNARY} | {
    "round(decimals=1)": lambda t, x: t.round(x, decimals=1),
    "round(decimals=-1)": lambda t, x: x.round(decimals=-1),
    "clamp(-1, 1)": lambda t, x: t.clamp(x, -1, 1),
    "clamp(max)": lambda t, x: x.clamp(max=0.5),
    "clip(min)": lambda t, x: t.clip(x, min=0),
    "clamp_min": lambda t, x: t.clamp_min(x, 0.5),
    "clamp_max": lambda t, x: x.clamp_max(1),
    "clamp(crossed)": lambda t, x: t.clamp(x, 1, -1),
    "nan_to_num(numbers)": lambda t, x: t.nan_to_num(x, nan=1.0, posinf=2.0, neginf=-3.0),
    "polygamma(1)": lambda t, x: t.polygamma(1, x.abs() + 0.5),
    "polygamma(0)": lambda t, x: x.abs().add(0.5).polygamma(0),
    "mvlgamma": lambda t, x: t.mvlgamma(x.abs() + 2, 2),
    "logit(eps)": lambda t, x: t.logit(x, 1e-3),
    **{f"pow({k})": (lambda t, x, k=k: t.pow(x, k)) for k in (0, 1, 2, 3, -1, -2, 0.5, -0.5, 2.0, 1.5)},
    **{f"{k}**x": (lambda t, x, k=k: k**x) for k in (2, 0.5, 0.0, -1.5, 1)},
    "x.float_power(2)": lambda t, x: x.float_power(2),
    "1 / x": lambda t, x: 1 / x,
    "2 - x": lambda t, x: 2 - x,
    "x // 2": lambda t, x: x // 2,
    "7 // x": lambda t, x: 7.5 // x,
    "x % 3": lambda t, x: x % 3,
    "x % -3": lambda t, x: x % -3,
    "7 % x": lambda t, x: 7.5 % x,
    "fmod(3)": lambda t, x: t.fmod(x, 3),
    "lerp": lambda t, x: t.lerp(x, x * 2, 0.25),
    "lerp(1.0)": lambda t, x: t.lerp(x, x * 3, 1.0),
    "-x, +x, abs(x)": lambda t, x: (-x, +x, abs(x)),
    "~(x > 0)": lambda t, x: ~(x > 0),
    "x == x": lambda t, x: (x == x, x != x, x < 0, x >= 0),
    "ldexp": lambda t, x: t.ldexp(x, t.tensor(3)),
    "where(number)": lambda t, x: t.where(x > 0, x, 0.0),
    "x.where": lambda t, x: x.where(x > 0, x * 2),
}
DOMAIN = {
    "lerp": PLAIN,
    "polygamma(1)": POSITIVE,
    "polygamma(0)": POSITIVE,
    "mvlgamma": POSITIVE,
    "logit(eps)": [0.1, 0.2, 0.4, 0.6, 0.9],
}
POSITIVE_ONLY = ("pow(0.5)", "pow(-0.5)", "pow(1.5)", "7 // x", "x // 2", "7 % x")
BINARY = (
    *(
        "add",
        "sub",
        "subtract",
        "mul",
        "multiply",
        "div",
        "divide",
        "true_divide",
        "floor_divide",
        "remainder",
        "fmod",
        "pow",
    ),
    *(
        "float_power",
        "rsub",
        "atan2",
        "arctan2",
        "hypot",
        "logaddexp",
        "logaddexp2",
        "copysign",
        "nextafter",
        "heaviside",
    ),
    *("xlogy", "maximum", "minimum", "fmax", "fmin", "eq", "ne", "not_equal", "lt", "less", "le", "less_equal", "gt"),
    *("greater", "ge", "greater_equal", "logical_and", "logical_or", "logical_xor"),
)
INTEGER_BINARY = (
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift", "gcd", "lcm"),
)
TERNARY: dict[str, Any] = {
    "addcmul": lambda t, x, y, z: t.addcmul(x, y, z, value=0.5),
    "addcdiv": lambda t, x, y, z: t.addcdiv(x, y, z, value=2),
    "lerp(tensor)": lambda t, x, y, z: t.lerp(x, y, z),
    "clamp(tensors)": lambda t, x, y, z: t.clamp(x, y - 2, z + 1),
    "where": lambda t, x, y, z: t.where(x > 1, y, z),
    "add(alpha)": lambda t, x, y, z: t.add(x, y, alpha=2) + z,
    "div(floor)": lambda t, x, y, z: t.div(x, y, rounding_mode="floor"),
    "div(trunc)": lambda t, x, y, z: x.div(y, rounding_mode="trunc"),
    "rsub(alpha)": lambda t, x, y, z: t.rsub(x, y, alpha=3),
}
COMPLEX: dict[str, Any] = {
    "complex": lambda t, z: t.complex(z.real, z.imag),
    "polar": lambda t, z: t.polar(z.real.abs(), z.imag),
    "view_as_real": lambda t, z: t.view_as_real(z),
    "view_as_complex": lambda t, z: t.view_as_complex(t.view_as_real(z) * 2),
    "real, imag": lambda t, z: (z.real, z.imag, t.real(z), t.imag(z)),
    "adjoint": lambda t, z: (z.reshape(2, 2).adjoint(), z.reshape(2, 2).H, z.reshape(2, 2).mH),
    "abs": lambda t, z: z.abs(),
    "z * conj": lambda t, z: z * z.conj(),
    "sgn": lambda t, z: t.sgn(z),
    "arithmetic": lambda t, z: (z + 1, z - 2j, z * z, z / (z + 1), 1 / z, z**2, -z),
    "pow": lambda t, z: z ** (1.5 + 1j),
    "2 ** z": lambda t, z: 2**z,
    "log, sqrt": lambda t, z: (z.log(), z.sqrt(), z.exp(), z.sin(), z.cos(), z.tanh()),
    "logaddexp": lambda t, z: t.logaddexp(z, z * 2),
}
# what torch and this library compute differently, and why that is left so
LEFT_OUT = {
    ("sinc", "float16"): "torch rounds pi x to half precision first",
    ("digamma", "gradient"): "torch's trigamma is a large number at the poles, here infinite",
    ("logit", "gradient"): "torch has NaN outside [0, 1], where the function has no value",
    ("0.0**x", "forward"): "infinite differences",
    ("logical_and_", "gradient"): "torch lets the gradient pass through what has none",
    ("logical_or_", "gradient"): "the same",
    ("logical_xor_", "gradient"): "the same",
    ("logical_not_", "gradient"): "the same",
    ("nextafter_", "gradient"): "the same",
}
FLAT = ("erf", "erfc", "erfinv", "digamma", "lgamma", "isreal")  # give contiguous results whatever they are given
OWN_CASES = {
    "where",
    "lerp",
    "addcmul",
    "addcdiv",
    "clamp",
    "clip",
    "clamp_min",
    "clamp_max",
    "ldexp",
    "polygamma",
    "mvlgamma",
}
OWN_CASES |= {"view_as_real_copy", "view_as_complex_copy"}  # as every copying form of a view
OWN_CASES |= {"complex", "polar", "view_as_real", "view_as_complex", "adjoint"}


def test_every_name_has_a_case() -> None:
    names = set()
    for name, fn in {**FUNCTIONS, **METHODS}.items():
        module = inspect.unwrap(fn).__module__.rpartition(".")[2]
        if module in FAMILY:
            names.add(name.removesuffix("_") if not name.startswith("__") else name)
    assert not names - set(UNARY) - set(BINARY) - set(INTEGER_BINARY) - OWN_CASES


def values_of(name: str) -> list[float]:
    return UNARY[name][1] if name in UNARY else POSITIVE if name in POSITIVE_ONLY else DOMAIN.get(name, PLAIN)


@pytest.mark.parametrize("name", CALLS)
def test_special_values(name: str) -> None:
    for dtype, tolerance in (("float64", 1e-9), ("float32", 2e-5)):
        compare(CALLS[name], (SPECIAL, dtype), tolerance=tolerance)


@pytest.mark.parametrize("name", CALLS)
def test_gradients(name: str) -> None:
    for x in (values_of(name), values_of(name)[3], np.zeros((0, 3)), np.reshape(values_of(name)[-4:], (2, 2))):
        compare(CALLS[name], x, grad=True)
    compare(
        CALLS[name],
        (np.reshape(values_of(name)[-4:], (2, 2)), "float64", "turned"),
        strides=name in UNARY and name not in FLAT,
    )
    compare(CALLS[name], (values_of(name), "float64", "stepped"))
    compare(CALLS[name], (values_of(name), "float64", "expanded"))


@pytest.mark.parametrize("name", CALLS)
def test_forward_mode(name: str) -> None:
    fn, x = CALLS[name], np.asarray(values_of(name))
    if (name, "forward") in LEFT_OUT or isinstance(outcome(retrograd, fn, x), Exception) or not smooth(fn, x):
        return
    check_forward(fn, x, tolerance=1e-5)


def smooth(fn: Any, x: Any) -> bool:
    parts = outcome(retrograd, fn, x)[0]
    return all(isinstance(p, retrograd.Tensor) and p.is_floating_point() for p in parts)


@pytest.mark.parametrize("name", CALLS)
def test_gradients_at_special_values(name: str) -> None:
    compare(CALLS[name], [0.0, 1.0, -1.0, 2.0, 0.5, -2.0, 3.0], grad=(name, "gradient") not in LEFT_OUT)


OTHERS = ("float16", "bfloat16", "int64", "int32", "uint8", "int8", "bool", "complex64")


@pytest.mark.parametrize("dtype", OTHERS)
@pytest.mark.parametrize("name", CALLS)
def test_dtypes(name: str, dtype: str) -> None:
    if (name, dtype) in LEFT_OUT:
        pytest.skip(LEFT_OUT[name, dtype])
    values = values_of(name) if dtype in ("float16", "bfloat16", "complex64") else [0, 1, 2, 3, 5]
    compare(CALLS[name], (values, dtype), tolerance={"float16": 4e-3, "bfloat16": 3e-2}.get(dtype, 2e-5))


@pytest.mark.parametrize("name", [*BINARY, *INTEGER_BINARY])
def test_binary(name: str) -> None:
    fn = lambda t, x, y: getattr(t, name)(x, y)
    if name in INTEGER_BINARY:
        for dtype in ("int64", "int8", "uint8", "bool", "float32"):
            compare(fn, ([1, 6, 12, 0, 7], dtype), ([3, 4, 2, 5, 1], dtype))
        compare(fn, ([-1, -6, 12, 0, 7], "int32"), ([3, 4, 2, 5, 1], "int32"))
        compare(fn, ([[1], [2]], "int64"), ([3, 4], "int64"))
        return
    numbers = (
        [v for v in SPECIAL if abs(v) != 1e-30] if name in ("remainder", "fmod") else SPECIAL
    )  # torch's quotient overflows
    grid = list(itertools.product(numbers, numbers))
    for dtype in ("float64", "float32"):
        compare(
            fn,
            ([a for a, _ in grid], dtype),
            ([b for _, b in grid], dtype),
            tolerance=1e-5 if dtype == "float32" else 1e-9,
        )
    x, y = [0.4, 1.7, 2.2, 3.1], [1.3, 0.6, 2.2, 1.9]
    grad = name != "nextafter"
    compare(fn, x, y, grad=grad)
    compare(fn, np.reshape(x, (4, 1)), y, grad=grad)
    compare(fn, 1.5, y, grad=grad)
    compare(fn, x, 2.5, grad=grad)
    compare(fn, np.zeros((0, 2)), np.ones(2), grad=grad)
    compare(fn, np.ones((2, 3)), np.ones((4,)))
    compare(
        fn, (np.reshape(x, (2, 2)), "float64", "turned"), (np.reshape(y, (2, 2)), "float64", "turned"), strides=True
    )
    for dtype in ("float16", "bfloat16"):
        compare(
            fn,
            (x, dtype),
            (y, dtype),
            grad=name not in ("remainder", "fmod", "nextafter"),
            tolerance=2e-2 if dtype == "bfloat16" else 4e-3,
        )
    signed = [(a, b) for a in (-7, -6, -1, 0, 1, 5, 7) for b in (-3, -2, -1, 1, 2, 3) if not (name == "pow" and b < 0)]
    for dtype in ("int64", "int32", "int8"):
        compare(fn, ([a for a, _ in signed], dtype), ([b for _, b in signed], dtype))
    compare(fn, ([1, 2], "int64"), ([0, 1], "int64"))
    compare(fn, ([True, False, True], "bool"), ([True, True, False], "bool"))
    if name not in ("eq", "ne", "lt", "le", "gt", "ge", "nextafter") and smooth(lambda t, x: fn(t, x, x), x):
        check_forward(fn, np.array([0.4, 1.7, 2.9]), np.array([1.3, 0.6, 1.9]))


@pytest.mark.parametrize("name", [*BINARY])
def test_binary_gradients_at_special_values(name: str) -> None:
    fn = lambda t, x, y: getattr(t, name)(x, y)
    numbers = [0.0, 1.0, -1.0, 2.0, -2.5]
    grid = list(itertools.product(numbers, numbers))[name == "xlogy" :]  # torch has NaN for the slope of 0 log y at 0
    compare(fn, [a for a, _ in grid], [b for _, b in grid], grad=name != "nextafter")


@pytest.mark.parametrize("name", TERNARY)
def test_ternary(name: str) -> None:
    fn = TERNARY[name]
    x, y, z = [0.4, 1.7, 2.2, -3.1], [1.3, 0.6, 2.5, 1.9], [0.3, 0.9, -1.4, 0.5]
    compare(fn, x, y, z, grad=True)
    compare(
        fn, np.reshape(x, (4, 1)), y, 0.7, grad=not name.startswith("clamp")
    )  # torch's own broadcasting fails there
    compare(fn, 0.5, y, z, grad=True)
    for dtype in ("float32", "float16", "bfloat16", "int64", "bool", "complex64"):
        compare(fn, (x, dtype), (y, dtype), (z, dtype), tolerance={"bfloat16": 3e-2, "float16": 5e-3}.get(dtype, 1e-5))
    check_forward(fn, np.array(x) + 0.05, np.array(y), np.array(z))


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_numbers(name: str) -> None:
    z = np.array([1 + 2j, -0.5 + 0.3j, 0.7 - 1.1j, -2.0 - 0.4j])
    compare(COMPLEX[name], z, grad=True)
    compare(COMPLEX[name], (z, "complex64"), tolerance=1e-5)


def test_parts_of_complex_numbers_are_views() -> None:
    def write(t: Any) -> Any:
        z = t.zeros(3, dtype=t.complex128)
        z.real.add_(2)
        z.imag[1] = 5
        t.view_as_real(z)[2, 1] = 7
        z.real = t.tensor([1.0, 2.0, 3.0], dtype=t.float64)
        r = t.zeros(2, 2)
        t.view_as_complex(r)[0] = 1 + 2j
        return z, r

    compare(write)
    compare(lambda t: t.nan_to_num(t.tensor([1 + 2j, complex(INF, NAN)])))
    compare(lambda t: t.view_as_complex(t.zeros(3)))
    compare(lambda t: t.view_as_complex(t.zeros(2, 3).t()))
    compare(lambda t: t.view_as_real(t.zeros(3)))
    compare(lambda t: t.imag(t.zeros(3)))
    compare(lambda t: t.complex(t.zeros(3), t.zeros(3, dtype=t.float64)))
    compare(lambda t: t.complex(t.zeros(3, dtype=t.int64), t.zeros(3)))


IN_PLACE = sorted(n for n in METHODS if n.endswith("_") and not n.endswith("__") and n[:-1] in {*UNARY, *BINARY})


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name: str) -> None:
    base = name[:-1]
    more = (lambda t: (t.tensor([1.5, 0.5, 2.0, 1.0, 3.0], dtype=t.float64),)) if base in BINARY else lambda t: ()
    values = values_of(base) if base in UNARY else [0.4, 1.7, 2.2, 3.1, 0.9]

    def write(t: Any, x: Any) -> Any:
        y = x.clone()
        r = getattr(y, name)(*more(t))
        assert r is y
        return y

    grad = (name, "gradient") not in LEFT_OUT
    compare(write, values, grad=grad)
    compare(write, (values, "float64", "stepped"), grad=grad)
    for dtype in ("float32", "int64", "bool"):
        compare(
            lambda t, x: getattr(x, name)(*(m.to(x.dtype) for m in more(t))),
            ([1, 0, 1, 1, 0] if base not in BINARY else [1, 2, 3, 4, 5], dtype),
        )


OUT = sorted(
    {*UNARY, *BINARY}
    - {
        "positive",
        "real",
        "imag",
        "is_conj",
        "is_neg",
        "conj",
        "resolve_conj",
        "resolve_neg",
        "isfinite",
        "isinf",
        "isnan",
        "isreal",
        "rsub",
        "relu",
    }
)


@pytest.mark.parametrize("name", OUT)
def test_out(name: str) -> None:
    values = UNARY[name][1] if name in UNARY else POSITIVE

    def call(t: Any, dtype: Any, size: int) -> Any:
        x = t.tensor(values)
        if name == "bitwise_not":
            x = x.long()
        out = t.empty(size, dtype=getattr(t, dtype))
        r = getattr(t, name)(x, *((x,) if name in BINARY else ()), out=out)
        assert r is out
        return r

    for dtype, size in (("float32", 5), ("float64", 5), ("int64", 5), ("bool", 5), ("float32", 0)):
        compare(lambda t, d=dtype, n=size: call(t, d, n), tolerance=1e-5)


def test_overflow_wraps() -> None:
    for dtype in ("int8", "uint8", "int16", "int32", "int64"):
        top = int(np.iinfo(dtype).max)
        for fn in (
            lambda t, x: x + 1,
            lambda t, x: x * x,
            lambda t, x: -x,
            lambda t, x: x**3,
            lambda t, x: x + x,
            lambda t, x: x << 1,
        ):
            compare(fn, ([top, top - 1, 1], dtype))


def test_errors() -> None:
    for fn in (
        lambda t: t.ones(2) + "a",
        lambda t: t.ones(2) + None,
        lambda t: t.ones(2) + [1, 2],
        lambda t: t.ones(2) < "a",
        lambda t: t.exp(2.0),
        lambda t: t.exp([1.0]),
        lambda t: t.add(t.ones(2)),
        lambda t: t.ones(2) + t.ones(3),
        lambda t: t.ones(2, dtype=t.int64) // 0,
        lambda t: t.ones(2, dtype=t.int64) % 0,
        lambda t: t.ones(2, dtype=t.int64).fmod(0),
        lambda t: t.ones(2, dtype=t.int64) // t.tensor([1, 0]),
        lambda t: t.ones(2) // 0,
        lambda t: t.ones(2, dtype=t.bool) - t.ones(2, dtype=t.bool),
        lambda t: -t.ones(2, dtype=t.bool),
        lambda t: +t.ones(2, dtype=t.bool),
        lambda t: ~t.ones(2),
        lambda t: t.ones(2) & 1,
        lambda t: t.clamp(t.ones(2)),
        lambda t: t.where(t.ones(2), 1, 2),
        lambda t: t.where(t.ones(2) > 0, "a", 2),
        lambda t: t.div(t.ones(2), 2, rounding_mode="up"),
        lambda t: t.ones(2, dtype=t.int64) ** -1,
        lambda t: t.tensor([2, 1, -1]) ** t.tensor([-1, -2, -3]),
        lambda t: t.ones(2).add_(t.ones(3)),
        lambda t: t.ones(2).add_(t.ones(2, 2)),
        lambda t: t.ones(2, dtype=t.int64).add_(1.5),
        lambda t: t.ones(2, dtype=t.int64).div_(2),
        lambda t: t.add(t.ones(2), t.ones(2), out=t.ones(2, dtype=t.int64)),
        lambda t: t.add(t.ones(2, requires_grad=True), 1, out=t.ones(2)),
        lambda t: t.add(t.ones(2, dtype=t.int64), 1, alpha=1.5),
        lambda t: t.maximum(t.ones(2), 1),
        lambda t: t.heaviside(t.ones(2), t.ones(2, dtype=t.float64)),
        lambda t: t.lerp(t.ones(2), t.ones(2, dtype=t.float64), 0.5),
        lambda t: t.polygamma(-1, t.ones(2)),
        lambda t: t.ones(2, requires_grad=True).add_(1),
        lambda t: t.ones(1).expand(3).add_(1),
        lambda t: t.ones(2) @ 3,
        lambda t: 3 @ t.ones(2),
        lambda t: t.sub(t.ones(2), True),
    ):
        compare(fn)


def test_equality_with_what_is_no_number() -> None:
    for other in (None, "a", [1.0, 1.0], (), {}, object):
        for fn in (
            lambda t, o=other: t.ones(2) == o,
            lambda t, o=other: t.ones(2) != o,
            lambda t, o=other: o == t.ones(2),
        ):
            ours, theirs = outcome(retrograd, fn), outcome(torch, fn)
            if isinstance(theirs, Exception):
                continue
            same_outcome(ours, theirs)
    same_value([retrograd.ones(1) == None], [torch.ones(1) == None])  # noqa: E711  (the comparison is the subject)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8"])
@pytest.mark.parametrize("number", [2, 1, 1.0, 3.7, 0.1, -7, 0, 10, True, INF, NAN])
def test_a_number_over_a_tensor_has_torchs_bits(number: Any, dtype: str) -> None:
    """Torch multiplies the reciprocal by the number, which rounds twice: eager and compiled, and so do the slopes."""
    values = (np.random.RandomState(0).randn(1001) * 9 + 40).tolist()
    found = []
    compiled = retrograd.compile(lambda x: number / x, fullgraph=True)
    for library, runs in ((torch, [lambda x: number / x]), (retrograd, [lambda x: number / x] + [compiled] * 4)):
        for run in runs:
            x = library.tensor(values).to(getattr(library, dtype)).requires_grad_(dtype.startswith("float"))
            y = run(x)
            if x.requires_grad:
                y.sum().backward()
                if run is not compiled and number != 1:
                    assert y.grad_fn.name() == "MulBackward0"
                    assert [n.name() for n, _ in y.grad_fn.next_functions if n is not None] == ["ReciprocalBackward0"]
            found.append((y.detach().numpy(), x.grad.numpy() if x.requires_grad else y.detach().numpy()))
    for y, slope in found[1:]:
        np.testing.assert_array_equal(y, found[0][0])
        if number == 1:  # one operation here, whose slope is rounded otherwise
            np.testing.assert_allclose(slope, found[0][1], rtol=4e-7)
        else:
            np.testing.assert_array_equal(slope, found[0][1])
