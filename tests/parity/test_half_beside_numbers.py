"""Half precisions beside Python's numbers: what torch computes in float32 is rounded once, eager and compiled."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")

VALUES = np.random.RandomState(0).randn(2, 256).astype(np.float32) * 3
NAMES = [
    "add",
    "sub",
    "mul",
    "div",
    "true_divide",
    "fmod",
    "remainder",
    "floor_divide",
    "pow",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "copysign",
]
CASES: dict[str, Any] = {f"{n}": lambda t, a, b, n=n: getattr(t, n)(a, 0.1) for n in NAMES}
CASES |= {f"{n}_": lambda t, a, b, n=n: getattr(a.clone(), f"{n}_")(0.1) for n in NAMES if n not in ("true_divide",)}
CASES |= {f"{n} of a number first": lambda t, a, b, n=n: getattr(t, n)(0.1, a) for n in ("mul", "add", "sub", "div")}
CASES |= {
    "add alpha": lambda t, a, b: t.add(a, b, alpha=0.1),
    "sub alpha": lambda t, a, b: t.sub(a, b, alpha=0.1),
    "add_ alpha": lambda t, a, b: a.clone().add_(b, alpha=0.1),
    "add number alpha": lambda t, a, b: t.add(a, 0.3, alpha=0.1),
    "0.1 * a": lambda t, a, b: 0.1 * a,
    "0.1 - a": lambda t, a, b: 0.1 - a,
    "0.1 / a": lambda t, a, b: 0.1 / a,
    "0.1 ** a": lambda t, a, b: 0.1 ** a.abs(),
    "a * 2049": lambda t, a, b: a * 2049,
    "a + 2049": lambda t, a, b: a + 2049,
    "a * 0-d": lambda t, a, b: a * t.tensor(0.1),
    "a + 0-d": lambda t, a, b: a + t.tensor(0.1),
    "0-d - a": lambda t, a, b: t.tensor(0.1) - a,
    "a / 0-d": lambda t, a, b: a / t.tensor(0.1),
    "a * 0-d double": lambda t, a, b: a * t.tensor(0.1, dtype=t.float64),
    "div floor": lambda t, a, b: t.div(a, 0.1, rounding_mode="floor"),
    "div trunc": lambda t, a, b: t.div(a, 0.1, rounding_mode="trunc"),
    "lerp": lambda t, a, b: t.lerp(a, b, 0.1),
    "addcdiv": lambda t, a, b: t.addcdiv(a, a, b, value=0.1),
    "clamp": lambda t, a, b: t.clamp(a, -0.1, 0.1),
    "where": lambda t, a, b: t.where(a > 0.1, a, 0.1),
    "masked_fill": lambda t, a, b: a.masked_fill(a > 0.1, 0.1),
    "leaky_relu": lambda t, a, b: t.nn.functional.leaky_relu(a, 0.1),
    "elu": lambda t, a, b: t.nn.functional.elu(a, 0.1),
    "celu": lambda t, a, b: t.nn.functional.celu(a, 0.3),
    "softplus": lambda t, a, b: t.nn.functional.softplus(a, 0.3),
    "softshrink": lambda t, a, b: t.nn.functional.softshrink(a, 0.3),
    "threshold": lambda t, a, b: t.nn.functional.threshold(a, 0.1, 0.3),
    "equal to the number": lambda t, a, b: t.full_like(a, 0.1) >= 0.1,
}


def found(library: Any, case: str, dtype: str, compiled: bool = False) -> Any:
    a, b = (library.tensor(v.tolist()).to(getattr(library, dtype)) for v in VALUES)
    run = CASES[case]
    if compiled:
        program = retrograd.compile(lambda a, b: run(retrograd, a, b), fullgraph=True)
        for _ in range(2):
            program(a, b)
        result = program(a, b)
        assert program.made == 1
    else:
        result = run(library, a, b)
    return str(result.dtype), result.float().numpy()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("case", CASES)
def test_rounded_as_in_torch(case: str, dtype: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = found(torch, case, dtype)
        got = found(retrograd, case, dtype)
        fast = found(retrograd, case, dtype, compiled=True)
    assert got[0] == fast[0] == want[0]
    np.testing.assert_array_equal(got[1], want[1])
    # generated code does not round what it computes on the way
    np.testing.assert_allclose(fast[1], want[1], rtol=2.0 ** (-10 if dtype == "float16" else -7))


def test_gradients_and_names() -> None:
    for library in (torch, retrograd):
        x = library.tensor(VALUES[0].tolist()).to(library.bfloat16).requires_grad_()
        y = x * 0.1
        assert y.grad_fn.name() == "MulBackward0"
        y.sum().backward()
        assert x.grad.dtype == library.bfloat16
        np.testing.assert_array_equal(x.grad.float().numpy(), np.full(256, 0.10009765625, np.float32))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_generated_code_samples_the_same_neighbours(mode: str, padding: str, dtype: str) -> None:
    rows = np.random.RandomState(1)
    image = retrograd.tensor(rows.randn(2, 3, 9, 11).tolist()).to(getattr(retrograd, dtype))
    grid = retrograd.tensor((rows.rand(2, 13, 17, 2) * 2.6 - 1.3).tolist()).to(getattr(retrograd, dtype))

    def sample(image: Any, grid: Any) -> Any:
        return retrograd.nn.functional.grid_sample(image, grid, mode, padding, False)

    compiled = retrograd.compile(sample, fullgraph=True)
    for _ in range(3):
        found = compiled(image, grid)
    difference = (found.float() - sample(image, grid).float()).abs().max().item()
    assert difference <= (0 if mode == "nearest" else 0.004 if dtype == "float16" else 0.032)
