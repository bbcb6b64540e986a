"""Functions whose compiled and mapped form once differed from eager mode: the same values, dtypes and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as torch

MASK = torch.tensor([True, False, True])
PLACES = torch.tensor([0, 0, 2])
NARROW = torch.tensor([[0, 1, 2], [2, 1, 0]], dtype=torch.int32)


def floats(dtype: Any) -> Any:
    return torch.tensor(np.random.default_rng(0).standard_normal((3, 4))).to(dtype)


def complex_numbers() -> Any:
    return torch.tensor([1 + 2j, -0.5 - 1j, 0.3j])


def integers() -> Any:
    return torch.tensor([[4, 1, 7, 7], [0, 3, 2, 9], [5, 5, 6, 8]])


CASES = {
    "complex numbers by a mask": (lambda x: x[MASK], complex_numbers),
    "complex rows by a mask": (lambda x: torch.stack([x, 2 * x])[:, MASK], complex_numbers),
    "complex masked_select": (lambda x: x.masked_select(MASK), complex_numbers),
    "complex numbers put by a mask": (lambda x: (2 * x).index_put((MASK,), x[:2]), complex_numbers),
    "complex powers": (lambda x: x ** (x + 1), complex_numbers),
    "powers of a number to complex numbers": (lambda x: 2.0**x, complex_numbers),
    "half precision binary cross entropy": (
        lambda x: torch.nn.functional.binary_cross_entropy(x.sigmoid(), x.detach().sigmoid()),
        lambda: floats(torch.float16),
    ),
    "whole numbers, index_reduce": (lambda x: x.index_reduce(0, PLACES, x + 1, "amin"), integers),
    "whole numbers, scatter_reduce": (lambda x: x.scatter_reduce(0, x % 3, x, "prod"), integers),
    "whole numbers, median": (lambda x: x.median(), integers),
    "whole numbers, nanmedian": (lambda x: x.nanmedian(), integers),
    "one whole number, nanmedian": (lambda x: x.nanmedian(), lambda: torch.tensor(-8)),
    "whole numbers, einsum": (lambda x: torch.einsum("ij->i", x), lambda: integers().int()),
    "small whole numbers, tensordot": (
        lambda x: torch.tensordot(x, x[:1, :1], ([0, 1], [1, 0])),
        lambda: integers().int()[:1],
    ),
    "NaN's median": (lambda x: x.median(), lambda: torch.tensor([1.0, float("nan"), 0.0])),
    "index_fill by a tensor": (lambda x: x.index_fill(0, PLACES, x.sum()), lambda: floats(torch.float32)),
    "circular padding that takes away": (
        lambda x: torch.nn.functional.pad(x[None], (-1, 2), "circular"),
        lambda: floats(torch.float32),
    ),
    "complex rows side by side": (lambda x: torch.cat([x, 2 * x, x[:1]]), complex_numbers),
    "complex numbers of two words, stacked": (
        lambda x: torch.stack([x.to(torch.complex128), x.to(torch.complex128).flip(0)], -1),
        complex_numbers,
    ),
    "complex numbers taken": (lambda x: x.take(PLACES), complex_numbers),
    "complex padding": (lambda x: torch.nn.functional.pad(x, (1, 2), value=2.5), complex_numbers),
    "a longer transform": (lambda x: torch.fft.fft(x, n=5), complex_numbers),
    "complex numbers written": (lambda x: x.clone().index_fill_(0, PLACES[1:], 2 - 1j), complex_numbers),
    "unsigned numbers side by side": (lambda x: torch.cat([x, x], 1), lambda: integers().to(torch.uint16)),
    "gather by narrow places": (lambda x: x.gather(0, NARROW), lambda: floats(torch.float16)),
    "scatter by narrow places": (lambda x: x.scatter(0, NARROW, 2 * x), lambda: floats(torch.float32)),
    "rows and columns by narrow places": (lambda x: x[NARROW[0], NARROW[1]], lambda: floats(torch.float32)),
    "slopes between places": (
        lambda x: torch.gradient(x, spacing=[2.0 * PLACES + torch.arange(3), torch.arange(4)])[0],
        lambda: floats(torch.float32),
    ),
    "bfloat16 powers": (lambda x: x.abs() ** (x + 1), lambda: floats(torch.bfloat16)),
    "bfloat16 limits": (lambda x: x.clamp(-x.abs() / 2, x.abs()), lambda: floats(torch.bfloat16)),
    "bfloat16 softplus": (lambda x: torch.nn.functional.softplus(x, 0.5, 1), lambda: floats(torch.bfloat16)),
    "bfloat16 choices": (lambda x: torch.where(x > 0, x, 2.5), lambda: floats(torch.bfloat16)),
    "places from the end": (lambda x: x.take_along_dim(PLACES[:, None] - 3, 1), lambda: floats(torch.float32)),
}


def gradient(y: Any, x: Any) -> Any:
    return torch.autograd.grad(y, x, torch.ones_like(y))[0] if x.requires_grad else None


@pytest.mark.filterwarnings("ignore:.*mask asked for a value")
@pytest.mark.parametrize("name", CASES)
def test_compiled(name: str) -> None:
    fn, make = CASES[name]
    compiled = torch.compile(fn)
    for _ in range(3):
        pairs = []
        for run in (fn, compiled):
            x = make()
            if x.is_floating_point() or x.is_complex():
                x.requires_grad_()
            y = run(x)
            pairs.append((y, gradient(y, x) if not name.startswith("NaN") else None))
        (want, slope), (got, found) = pairs
        assert got.dtype is want.dtype
        torch.testing.assert_close(got, want, equal_nan=True)
        if slope is not None:
            torch.testing.assert_close(found, slope)


@pytest.mark.parametrize("name", [n for n in CASES if "mask" not in n])
def test_mapped(name: str) -> None:
    fn, make = CASES[name]
    both = torch.stack([make(), make()])
    got, want = torch.func.vmap(fn)(both), torch.stack([fn(x) for x in both])
    assert got.dtype is want.dtype
    torch.testing.assert_close(got, want, equal_nan=True)


def test_forward_mode_of_complex_powers() -> None:
    x = complex_numbers().to(torch.complex128)
    h = 1e-6
    _, slope = torch.func.jvp(lambda a: a**a, (x,), (x,))
    step = ((x + h * x) ** (x + h * x) - (x - h * x) ** (x - h * x)) / (2 * h)
    torch.testing.assert_close(slope, step, rtol=1e-6, atol=1e-8)


def test_a_number_that_stands_in_places_counts_each_place_once() -> None:
    value = torch.tensor(2.0, requires_grad=True)
    torch.zeros(3).index_fill(0, torch.tensor([1, 1, 2]), value).sum().backward()
    assert value.grad.item() == 2
