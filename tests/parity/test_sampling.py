"""Grid sampling, affine grids, fractional pooling and grouped products beside torch: values, draws, gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from parity.nn_helpers import compare, outcome  # noqa: E402

RNG = np.random.default_rng(0)
IMAGE, GRID = RNG.normal(size=(2, 3, 5, 4)), RNG.uniform(-1.6, 1.6, size=(2, 6, 7, 2))
VOLUME, GRID3 = RNG.normal(size=(2, 2, 3, 4, 5)), RNG.uniform(-1.6, 1.6, size=(2, 2, 3, 4, 3))
EVEN = np.round(GRID * 4) / 4
FAR = GRID * 9


def same(call, *arrays, dtype="float64", tolerance=1e-9, seed=0):
    compare(
        outcome(retrograd, call, arrays, dtype, True, seed), outcome(torch, call, arrays, dtype, True, seed), tolerance
    )


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample(mode, padding, align):
    def call(t, x, g):
        return t.nn.functional.grid_sample(x, g, mode, padding, align)

    for x, g in ((IMAGE, GRID), (IMAGE, EVEN), (IMAGE, FAR), (IMAGE[:, :, :1, :1], GRID), (VOLUME, GRID3)):
        same(call, x, g)
    same(call, IMAGE, GRID, dtype="float32", tolerance=2e-3)


SHAPES = [(IMAGE, GRID3), (IMAGE[:1], GRID), (IMAGE, GRID[..., :1]), (IMAGE[:, :, :0], GRID), (IMAGE, GRID[:, :0])]


@pytest.mark.parametrize(("x", "g"), SHAPES)
def test_grid_sample_shapes(x, g):
    same(lambda t, x, g: t.nn.functional.grid_sample(x, g, align_corners=False), x, g)


@pytest.mark.parametrize(("mode", "padding"), [("x", "zeros"), ("bilinear", "x")])
def test_grid_sample_modes(mode, padding):
    same(lambda t, x, g: t.nn.functional.grid_sample(x, g, mode, padding, False), IMAGE, GRID)


def test_a_warning_of_the_default_alignment():
    same(lambda t, x, g: t.nn.functional.grid_sample(x, g), IMAGE, GRID)
    same(lambda t, m: t.nn.functional.affine_grid(m, (2, 1, 3, 3)), RNG.normal(size=(2, 2, 3)))


def test_grid_sample_twice_differentiated():
    x, g = (retrograd.tensor(a, requires_grad=True) for a in (IMAGE[:1, :1], GRID[:1, :2, :3]))

    def call(x, g):
        return retrograd.nn.functional.grid_sample(x, g, align_corners=False)

    assert retrograd.autograd.gradgradcheck(call, (x, g))


SIZES = [(2, 1, 4, 5), (2, 1, 1, 5), (2, 0, 1, 5), (2, 1, 4), (3, 1, 4, 4), (2, 1, 0, 4), (2, 1, 3, 4, 5)]


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_affine_grid(size, align):
    maps = RNG.normal(size=(2, 3, 4) if len(size) == 5 else (2, 2, 3))
    same(lambda t, m: t.nn.functional.affine_grid(m, size, align), maps)


PLANES, BLOCKS = RNG.normal(size=(2, 3, 9, 11)), RNG.normal(size=(2, 3, 7, 9, 8))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_fractional_pooling(dtype):
    two, three = (lambda t: t.nn.functional.fractional_max_pool2d), (lambda t: t.nn.functional.fractional_max_pool3d)
    same(lambda t, x: two(t)(x, (3, 2), (5, 4), return_indices=True), PLANES, dtype=dtype)
    same(lambda t, x: two(t)(x[0], 2, output_ratio=(0.5, 0.6)), PLANES, dtype=dtype)
    same(lambda t, x: three(t)(x, (3, 2, 3), (4, 5, 3), return_indices=True), BLOCKS, dtype=dtype)
    same(lambda t, x: t.nn.functional.fractional_max_pool3d_with_indices(x[0], 2, 3), BLOCKS, dtype=dtype)


BAD = [
    {"kernel_size": 9, "output_size": 5},
    {"kernel_size": 2},
    {"kernel_size": 2, "output_size": (1, 2, 3)},
    {"kernel_size": 2, "output_size": 0},
]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_fractional_pooling_errors(bad):
    same(lambda t, x: t.nn.functional.fractional_max_pool2d(x, **bad), PLANES)


def test_fractional_pooling_layers():
    same(lambda t, x: t.nn.FractionalMaxPool2d(2, output_ratio=0.5, return_indices=True)(x), PLANES)
    same(lambda t, x: t.nn.FractionalMaxPool3d(2, 3)(x), BLOCKS)
    for bad in ({}, {"output_size": 2, "output_ratio": 0.5}, {"output_ratio": 1.5}):
        same(lambda t, k=bad: t.nn.FractionalMaxPool2d(2, **k) and 1)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_adaptive_maxima_with_places(dims):
    x = {1: PLANES[0], 2: PLANES, 3: BLOCKS}[dims]
    same(lambda t, x: getattr(t.nn.functional, f"adaptive_max_pool{dims}d_with_indices")(x, 3), x)


def test_convolution_of_sequences():
    shapes = [RNG.normal(size=s) for s in ((6, 2, 3), (3, 3, 4), (4,))]
    same(lambda t, x, w, b: t.nn.functional.conv_tbc(x, w, b, 1), *shapes)
    same(lambda t, x, w, b: t.conv_tbc(x, w, b[:2]), *shapes)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_grouped_products(dtype):
    a, b = RNG.normal(size=(16, 16)), RNG.normal(size=(2, 16, 8))
    turned = b.transpose(0, 2, 1).copy()

    def call(t, a, b):
        ends = None if a.dim() == b.dim() == 3 else t.tensor([8, 16], dtype=t.int32)
        return t.nn.functional.grouped_mm(a, b, offs=ends)

    for pair in ((a, b), (a, a), (turned, b), (turned, a)):
        same(call, *pair, dtype=dtype, tolerance=1e-4 if dtype == "float32" else 0.1)
