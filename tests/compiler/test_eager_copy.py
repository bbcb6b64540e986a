"""Copies that are turned in registers, beside NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler.eager_copy import turned
from retrograd.compiler.runtime import pool

SHAPES = [
    ((300, 400), (1, 0)),
    ((317, 403), (1, 0)),
    ((3000, 17), (1, 0)),
    ((20, 30, 100), (2, 0, 1)),
    ((20, 30, 100), (0, 2, 1)),
    ((8, 33, 50, 40), (0, 3, 1, 2)),
    ((8, 33, 50, 40), (3, 2, 1, 0)),
    ((5, 6, 9, 8, 90), (4, 0, 1, 3, 2)),
    ((1, 300, 1, 400), (0, 3, 2, 1)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32, np.complex64])
@pytest.mark.parametrize(("shape", "axes"), SHAPES)
def test_like_numpy(shape, axes, dtype):
    whole = np.random.default_rng(0).integers(-1000, 1000, shape).astype(dtype)
    for x in (whole.transpose(axes), whole[..., 1:-2].transpose(axes), whole.transpose(axes)[:, :, ...]):
        found = turned(x)
        assert found is not None and found.flags.c_contiguous and found.dtype == dtype
        np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((300, 400), np.float32),
        np.zeros((300, 800), np.float32).T[::2],
        np.zeros((300, 400), np.float32).T[::-1],
        np.zeros((300, 400), np.float16).T,
        np.zeros((20, 30), np.float32).T,
        np.broadcast_to(np.zeros((300, 1), np.float32), (300, 400)),
    ],
    ids=["contiguous", "every other", "backwards", "two bytes", "small", "spread"],
)
def test_what_is_left_to_numpy(x):
    found = turned(x)
    assert found is None or np.array_equal(found, x)


def test_contiguous_with_its_gradient_and_threads():
    x = torch.randn(300, 400, requires_grad=True)
    y = x.T.contiguous()
    assert y.is_contiguous() and torch.equal(y, x.T)
    (g,) = torch.autograd.grad(y, x, torch.arange(120_000.0).reshape(400, 300))
    assert torch.equal(g, torch.arange(120_000.0).reshape(400, 300).T)
    pool.ensure(1)
    try:
        assert torch.equal(x.T.contiguous(), y)
    finally:
        pool.ensure(torch.get_num_threads())
