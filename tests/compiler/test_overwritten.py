"""Loops write over what they read for the last time, where they read it element by element and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch

SIZE = 300 * 200 * 4


def program(fn, *args):
    function = torch.compile(fn, fullgraph=True)
    for _ in range(3):
        result = function(*args)
    (entry,) = [e for some in function.entries.values() for e in some]
    np.testing.assert_allclose(result.numpy(), fn(*args).numpy(), rtol=1e-5, atol=1e-5)
    return entry.program


def between(x, w):
    """A value that a product reads, another of the same elements, and a product again."""
    first = x @ w
    return (first - x.mean()).tanh() @ w


def turned(x, w):
    first = x @ w
    return (first.flip(0) - first.sum()).tanh() @ w


def read_later(x, w):
    first = x @ w
    second = (first - x.mean()).tanh()
    return second @ w + (first @ w)


def of_rows(x, w):
    first = x @ w
    return torch.softmax(first, 1) @ w


@pytest.mark.parametrize(("fn", "held"), [(between, 1), (turned, 2), (read_later, 3), (of_rows, 2)])
def test_values_in_the_arena(fn, held):
    torch.manual_seed(0)
    found = program(fn, torch.randn(300, 200), torch.randn(200, 200) * 0.1)
    values = [n for n in found.offset if n.op is not None and n.type.nbytes == SIZE]
    places = {found.offset[n] for n in values}
    assert len(places) == held <= len(values)
