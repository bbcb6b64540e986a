"""Division by a Python number that is zero has a slope, an infinite one, as division by a tensor has."""

from __future__ import annotations

import math

import pytest

import retrograd as torch


@pytest.mark.parametrize(
    ("divisor", "value", "slope"),
    [(0, math.inf, math.inf), (0.0, math.inf, math.inf), (-0.0, -math.inf, -math.inf), (2, 1.5, 0.5)],
)
def test_slope(divisor, value, slope):
    x = torch.tensor(3.0, requires_grad=True)
    y = x / divisor
    y.backward()
    assert (y.item(), x.grad.item()) == (value, slope)


def test_slope_of_a_complex_zero():
    x = torch.tensor(3.0 + 1j, requires_grad=True)
    (x / 0j).abs().backward()
    assert math.isnan(x.grad.real.item())
