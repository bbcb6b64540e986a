"""Pools behind the compiler: every geometry, values that compare oddly, their gradients, and no call of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from ml_dtypes import bfloat16

import retrograd as torch
from compiler.test_programs import agree, traced
from retrograd.compiler.program import Program
from retrograd.core import wrap

F = torch.nn.functional

GEOMETRIES = [  # spatial sizes, kernel, stride, padding, dilation, ceil_mode
    ((8,), 2, 2, 0, 1, False),
    ((9,), 3, 2, 1, 1, False),
    ((40,), 5, 3, 2, 1, True),
    ((33,), 3, 1, 1, 2, False),
    ((100,), 2, 5, 1, 1, False),
    ((8, 8), 2, 2, 0, 1, False),
    ((28, 28), 2, 2, 0, 1, False),
    ((55, 55), 3, 2, 0, 1, False),
    ((13, 13), 3, 2, 0, 1, False),
    ((14, 15), 3, 2, 1, 1, False),
    ((7, 9), (3, 2), (2, 1), (1, 0), 1, True),
    ((12, 35), (2, 3), (3, 4), (1, 1), (2, 1), False),
    ((6, 70), (1, 4), (1, 4), 0, 1, False),
    ((9, 9), 4, 4, 2, 1, True),
    ((20, 20), 6, 3, 3, 1, False),
    ((5, 6, 7), 2, 2, 0, 1, False),
    ((5, 6, 19), 3, 2, 1, 1, True),
    ((4, 1), 1, 1, 0, 1, False),
    ((1, 1), 1, 1, 0, 1, False),
    ((3, 2), (3, 2), 1, 0, 1, False),
]
KINDS = {"float32": np.float32, "float64": np.float64, "bfloat16": bfloat16, "int32": np.int32, "uint8": np.uint8}


def spread(shape, dtype, seed=0):
    """Give few different values, so that windows have ties."""
    return np.random.default_rng(seed).integers(0, 7, shape).astype(dtype)


def odd(shape, seed=0):
    rng = np.random.default_rng(seed)
    values = np.array([np.nan, -np.inf, np.inf, 0.0, -0.0, 1.0, 1.0, -1.0], np.float32)
    return rng.choice(values, shape, p=[0.1, 0.4, 0.05, 0.1, 0.1, 0.1, 0.1, 0.05])


def pools(dims):
    return getattr(F, f"max_pool{dims}d"), getattr(F, f"avg_pool{dims}d")


def gradient(pool):
    def fn(x):
        y = x.detach().requires_grad_()
        out = pool(y)
        (g,) = torch.autograd.grad((out * torch.arange(out.numel(), dtype=out.dtype).view(out.shape)).sum(), y)
        return [out.detach(), g]

    return fn


def calls(fn, *arrays):
    """Say which steps of a function's program are NumPy's."""
    graph, _, targets = traced(fn, [wrap(a) for a in arrays])
    return [s.label for s in Program(graph, targets).steps if s.call is not None]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "dilation", "ceil"), GEOMETRIES)
def test_maxima_of_every_geometry(size, kernel, stride, padding, dilation, ceil):
    pool, _ = pools(len(size))
    values = spread((2, 3, *size), np.float32)

    def fn(x):
        return pool(x, kernel, stride, padding, dilation, ceil)

    agree(gradient(fn), [values])
    if np.prod(kernel if isinstance(kernel, tuple) else [kernel] * len(size)) <= 25:
        assert calls(gradient(fn), values) == []
        agree(lambda x: pool(x, kernel, stride, padding, dilation, ceil, True), [values])
    assert calls(lambda x: [fn(x)], values) == []


@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "dilation", "ceil"), GEOMETRIES)
@pytest.mark.parametrize("counted", [True, False])
def test_averages_of_every_geometry(size, kernel, stride, padding, dilation, ceil, counted):
    _, pool = pools(len(size))
    values = spread((2, 3, *size), np.float32)

    def fn(x):
        return pool(x, kernel, stride, padding, ceil, counted)

    agree(gradient(fn), [values])
    assert calls(gradient(fn), values) == []


@pytest.mark.parametrize("size", [(17, 23), (1, 40), (6, 6)])
@pytest.mark.parametrize("kernel", [2, 3, (1, 5)])
def test_values_that_compare_oddly(size, kernel):
    """NaN wins, the last of them; of equal values the first; infinities below all are found inside the input."""
    if np.any(np.array(size) < kernel):
        size = (6, 40)
    values = odd((3, 2, *size))
    padding = tuple(np.broadcast_to(kernel, 2) // 2)
    agree(lambda x: F.max_pool2d(x, kernel, 2, padding, return_indices=True), [values])
    agree(gradient(lambda x: F.max_pool2d(x, kernel, 2, padding)), [values])
    agree(gradient(lambda x: F.max_pool2d(x, kernel, 2, padding)), [np.full_like(values, -np.inf)])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_number(kind):
    values = spread((2, 3, 21, 18), KINDS[kind])
    agree(lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True), [values])
    if kind in ("float32", "float64"):
        agree(gradient(lambda x: F.max_pool2d(x, 3, 2, 1)), [values])
        agree(gradient(lambda x: F.avg_pool2d(x, 3, 2, 1)), [values])


@pytest.mark.parametrize("size", [1, 4, 7, (2, 5), (None, 3)])
def test_windows_that_share_out_a_plane(size):
    values = spread((2, 3, 12, 15), np.float32)
    agree(gradient(lambda x: F.adaptive_avg_pool2d(x, size)), [values])
    agree(gradient(lambda x: F.adaptive_max_pool2d(x, size)), [values])


def test_whole_planes():
    values = spread((2, 3, 70, 80), np.float32)
    for fn in (lambda x: F.avg_pool2d(x, (70, 80)), lambda x: F.adaptive_avg_pool2d(x, 1)):
        agree(gradient(fn), [values])
        assert calls(gradient(fn), values) == []


def test_relu_in_front_is_masked_by_the_maxima():
    values = np.random.default_rng(0).standard_normal((2, 4, 13, 13)).astype(np.float32)
    bias = np.zeros((1, 4, 1, 1), np.float32)

    def fn(x, b):
        y, c = x.detach().requires_grad_(), b.detach().requires_grad_()
        out = F.max_pool2d(torch.relu(y + c), 3, 2)
        loss = (out * torch.arange(out.numel(), dtype=out.dtype).view(out.shape)).sum()
        return [out.detach(), *torch.autograd.grad(loss, (y, c))]

    agree(fn, [values, bias])
    graph, _, targets = traced(fn, [wrap(values), wrap(bias)])
    program = Program(graph, targets)
    assert all(s.call is None for s in program.steps)
    masks = [n for n in program.graph.nodes if n.op is not None and n.op.name == "step"]
    assert [n.shape for n in masks] == [(2, 4, 6, 6)]


def test_strided_views_and_their_gradients():
    """Every second to fifth element, either way, is read and written as whole vectors where that is shorter."""
    values = np.random.default_rng(0).standard_normal((3, 130)).astype(np.float32)
    for step in (2, 3, 4, 5):
        for start in (0, 1):
            agree(gradient(lambda x, a=start, s=step: x[:, a::s].exp()), [values])
    agree(gradient(lambda x: x.flip(1).exp()), [values])
    agree(lambda x: [torch.stack([x, x + 1, x * 2], -1), torch.stack([x, -x], -1)], [values])


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (5, 1, 2)])
def test_large_pools_in_eager_mode(kernel, stride, padding):
    """From the third call on kernels run; results and gradients are NumPy's."""
    values = spread((4, 8, 33, 30), np.float32)
    for pool in (F.max_pool2d, F.avg_pool2d):
        found = []
        for _ in range(5):
            x = wrap(values.copy()).requires_grad_()
            out = pool(x, kernel, stride, padding)
            (g,) = torch.autograd.grad((out * torch.arange(out.numel()).view(out.shape)).sum(), x)
            found.append((out.detach().numpy().copy(), g.numpy().copy()))
        for out, g in found[1:]:
            np.testing.assert_allclose(out, found[0][0], rtol=1e-6)
            np.testing.assert_allclose(g, found[0][1], rtol=1e-5, atol=1e-3)


def test_the_same_bits_for_any_number_of_threads():
    values = spread((8, 16, 41, 40), np.float32)
    fn = gradient(lambda x: F.max_pool2d(x, 3, 2, 1) + F.avg_pool2d(x, 3, 2, 1))
    graph, _, targets = traced(fn, [wrap(values)])
    program = Program(graph, targets)
    assert max(s.chunks for s in program.steps) > 1
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append([a.tobytes() for a in program([values])])
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]
