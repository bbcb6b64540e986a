"""Products inside compiled programs, and their plans in words."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler.codegen.products import Product
from retrograd.compiler.contractions import native, plan
from retrograd.compiler.runtime import jit

wide = pytest.mark.skipif(jit.host().vector_bits < 512, reason="large products are a library's here")
FORMS = {
    "plain": (lambda x, y: x @ y, (700, 500), (500, 600)),
    "second turned": (lambda x, y: x @ y.T, (300, 900), (400, 900)),
    "first turned": (lambda x, y: x.T @ y, (900, 300), (900, 400)),
    "batch": (lambda x, y: x @ y, (3, 400, 500), (3, 500, 410)),
    "rows of a batch": (lambda x, y: x @ y, (4, 200, 500), (500, 600)),
}


@pytest.mark.parametrize("form", FORMS)
def test_large_products_are_eagers_to_the_last_bit(form):
    function, *shapes = FORMS[form]
    torch.manual_seed(0)
    x, y = (torch.randn(shape) for shape in shapes)
    compiled = torch.compile(function, fullgraph=True)
    found = [compiled(x, y) for _ in range(3)][-1].numpy()
    np.testing.assert_allclose(found, function(x.double(), y.double()).numpy(), atol=1e-3)
    if jit.host().vector_bits == 512:
        np.testing.assert_array_equal(found, function(x, y).numpy())


@wide
def test_steps_are_told_apart():
    torch.manual_seed(0)
    x, y, z = torch.randn(600, 500), torch.randn(500, 700), torch.randn(700, 400)
    compiled = torch.compile(lambda x, y, z: x @ y @ z, fullgraph=True)
    for _ in range(3):
        compiled(x, y, z)
    kernels = compiled.explain(rounds=0).data["programs"][0]["parts"][0]["kernels"]
    products = [kernel for kernel in kernels if kernel["kind"] == "product"]
    assert [kernel["by"] for kernel in products] == ["own kernel"] * 2
    assert {(kernel["m"], kernel["k"], kernel["n"]) for kernel in products} == {(600, 500, 700), (600, 700, 400)}


def test_products_that_are_not_contiguous_are_a_librarys():
    assert native.of_product(Product("f32", (), 700, 800, 900, (900, 1), (800, 1), (1600, 1))) is None
    assert native.of_product(Product("f32", (), 700, 800, 900, (900, 1), (800, 1), (800, 1), beta=0.5)) is None


@wide
@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ((1, 4096), (4096, 4096), "B is read once, straight through, in sweeps"),
        ((4096, 4096), (4096, 2), "A is read once, straight through, in sums"),
        ((4096, 1), (1, 4096), "the outer product is written, past the caches"),
        ((300, 1), (1, 300), "300x1x300: the outer product is written"),
        ((64, 784), (784, 50), "A strided, B direct"),
        ((2048, 2048), (2048, 2048), "A packed across, B packed along"),
        ((32, 128, 64), (32, 64, 128), "32 times 128x64x128"),
        ((32, 128, 64), (64, 128), "4096x64x128"),
    ],
)
def test_plans(x, y, said):
    assert said in plan(x, y)


def test_plans_for_other_numbers():
    assert plan((10, 20), (20, 30), np.int64).startswith("NumPy")
