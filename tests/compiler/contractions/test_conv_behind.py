"""What follows convolutions block by block: which statements do, what they compute, and that bits do not depend on threads."""

import numpy as np
import pytest

import retrograd as torch
from retrograd.nn import functional as F

# input, kernel, stride, padding, dilation, groups: each way of computing, in one, two and three dimensions, with parts and rests
SIZES = {
    "few source channels": ((2, 3, 17, 19), (20, 3, 5, 5), 2, 2, 1, 1),
    "neighbouring taps": ((2, 64, 14, 14), (64, 64, 3, 3), 1, 1, 1, 1),
    "small planes": ((3, 40, 7, 7), (48, 40, 3, 3), 1, 1, 1, 1),
    "few result channels": ((2, 6, 33, 35), (5, 6, 3, 3), 1, 1, 1, 1),
    "depthwise": ((3, 8, 20, 21), (8, 1, 3, 3), 1, 1, 1, 8),
    "depthwise, strided": ((3, 8, 20, 21), (8, 1, 3, 3), 2, 1, 1, 8),
    "depthwise, small planes": ((3, 24, 7, 7), (24, 1, 5, 5), 1, 2, 1, 24),
    "many groups": ((2, 20, 8, 9), (40, 1, 5, 5), 1, 2, 1, 20),
    "grouped": ((2, 64, 14, 14), (64, 16, 3, 3), 1, 1, 1, 4),
    "several blocks": ((1, 130, 33, 60), (64, 130, 3, 3), 2, 1, 1, 1),
    "one dimension": ((2, 12, 50), (40, 12, 3), 1, 1, 2, 1),
    "three dimensions": ((2, 5, 7, 9, 11), (9, 5, 3, 3, 3), (1, 2, 1), 1, 1, 1),
    "taps that do not overlap": ((2, 32, 12, 12), (48, 32, 1, 1), 1, 0, 1, 1),
    "strided taps": ((2, 32, 13, 12), (48, 32, 1, 1), 2, 0, 1, 1),
    "a product": ((2, 300, 12, 13), (70, 300, 1, 1), 1, 0, 1, 1),
    "a product, many weights": ((3, 300, 5, 5), (530, 300, 1, 1), 1, 0, 1, 1),
}


def convolved(x, w, b, stride, padding, dilation, groups):
    return getattr(F, f"conv{x.ndim - 2}d")(x, w, b, stride, padding, dilation, groups)


def normed(y, b):
    return F.relu(F.batch_norm(y, b * 0.1, b * b + 1, b, b + 1, False))


# of the input, the kernel, a bias, a residual, one number for each row of the result, and the geometry
CASES = {
    "bias and relu": lambda x, w, b, r, q, geometry: F.relu(convolved(x, w, b, *geometry)),
    "batch norm in evaluation": lambda x, w, b, r, q, geometry: normed(convolved(x, w, None, *geometry), b),
    "residual": lambda x, w, b, r, q, geometry: F.relu(convolved(x, w, b, *geometry) + r * 2),
    "gelu": lambda x, w, b, r, q, geometry: F.gelu(convolved(x, w, b, *geometry)),
    "kept before and after": lambda x, w, b, r, q, geometry: (
        convolved(x, w, b, *geometry),
        F.relu(convolved(x, w, b, *geometry)),
    ),
    "not the same for a plane": lambda x, w, b, r, q, geometry: F.relu(convolved(x, w, b, *geometry) * q),
}


def arguments(name, dtype=torch.float32):
    torch.manual_seed(0)
    x, w, *geometry = SIZES[name]
    x, w, b = torch.randn(*x, dtype=dtype), torch.randn(*w, dtype=dtype) * 0.1, torch.randn(w[0], dtype=dtype)
    shape = convolved(x, w, b, *geometry).shape
    rows = (1, 1, *shape[2:-1], 1) if len(shape) > 3 else (1, 1, shape[-1])
    return [x, w, b, torch.randn(*shape, dtype=dtype), torch.randn(*rows, dtype=dtype)], geometry


def compiled(fn, given):
    run = torch.compile(lambda *xs: fn(*xs), fullgraph=True)
    for _ in range(3):
        found = run(*given)
    kernels = run.explain(rounds=0).data["programs"][0]["parts"][0]["kernels"]
    return run, found if isinstance(found, tuple) else (found,), kernels


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SIZES)
def test_what_follows_is_computed_with_the_convolution(name, case):
    given, geometry = arguments(name)
    run, found, kernels = compiled(lambda *xs: CASES[case](*xs, geometry), given)
    wanted = CASES[case](*[t.to(torch.float64) for t in given], geometry)
    for got, exact in zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        scale = max(1.0, float(exact.abs().max()))
        assert float((got.to(torch.float64) - exact).abs().max()) < 1e-5 * scale
    taken = [kernel for kernel in kernels if kernel.get("convolution")]
    assert len(taken) == 1
    assert len(taken[0]["statements"]) > 1
    assert "gone on with tile by tile" in str(run.explain(rounds=0))
    assert not any(kernel["kind"] == "convolution" for kernel in kernels)  # none by itself


@pytest.mark.parametrize("name", SIZES)
def test_doubles(name):
    given, geometry = arguments(name, torch.float64)
    _, (found,), kernels = compiled(lambda *xs: CASES["gelu"](*xs, geometry), given)
    assert any(kernel.get("convolution") for kernel in kernels)
    assert float((found - CASES["gelu"](*given, geometry)).abs().max()) < 1e-12


@pytest.mark.parametrize("name", SIZES)
def test_a_transposed_convolution_is_followed_too(name):
    (x, w, _, r, _), (stride, padding, dilation, groups) = arguments(name)

    def fn(r, w, b):
        up = getattr(F, f"conv_transpose{r.ndim - 2}d")
        return F.relu(up(r, w, b, stride, padding, 0, groups, dilation) * 2)

    b = torch.randn(w.shape[1] * groups)
    _, (found,), kernels = compiled(fn, (r, w, b))
    assert [kernel for kernel in kernels if kernel.get("convolution")]
    exact = fn(*[t.to(torch.float64) for t in (r, w, b)])
    assert float((found.to(torch.float64) - exact).abs().max()) < 1e-5 * max(1.0, float(exact.abs().max()))


@pytest.mark.parametrize(
    "name", ["neighbouring taps", "several blocks", "depthwise", "grouped", "strided taps", "a product"]
)
def test_bits_do_not_depend_on_threads(name):
    given, geometry = arguments(name)
    before = torch.get_num_threads()
    run, (first,), _ = compiled(lambda *xs: CASES["gelu"](*xs, geometry), given)
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(run(*given), first)
    finally:
        torch.set_num_threads(before)


def test_a_backward_pass_masks_and_adds_in_its_convolution():
    torch.manual_seed(0)
    w = [(torch.randn(32, 32, 3, 3) * 0.06).requires_grad_() for _ in range(3)]

    def step(x):
        y = F.relu(F.conv2d(x, w[0], padding=1))
        z = F.conv2d(F.relu(F.conv2d(y, w[1], padding=1)), w[2], padding=1) + y
        return torch.autograd.grad((z * z).sum(), w)

    x = torch.randn(4, 32, 16, 16)
    run, found, kernels = compiled(step, (x,))
    for got, wanted in zip(found, step(x), strict=True):
        assert float((got - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())
    taken = [
        str(kernel["statements"]) for kernel in kernels if str(kernel.get("convolution")).startswith("conv_input_grad")
    ]
    assert any("where" in text or "mul" in text for text in taken)


def test_inputs_that_are_also_outputs_are_not_written_too_early():
    torch.manual_seed(0)
    x, w, b = torch.randn(2, 16, 12, 12), torch.randn(16, 16, 3, 3) * 0.1, torch.randn(16)

    def step(x):
        y = x.clone()
        y.add_(F.conv2d(x, w, b, padding=1))
        x.copy_(F.relu(F.conv2d(x, w, b, padding=1)))
        return y

    run = torch.compile(step)
    mine, theirs = x.clone(), x.clone()
    for _ in range(4):
        np.testing.assert_allclose(run(mine).numpy(), step(theirs).numpy(), rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-3)


def test_kernels_as_large_as_the_image_are_products_by_themselves():
    torch.manual_seed(0)
    x, w = torch.randn(4, 128, 4, 4), torch.randn(16, 128, 4, 4) * 0.1
    _, (found,), kernels = compiled(lambda x, w: F.relu(F.conv2d(x, w) * 2), (x, w))
    assert not any(kernel.get("convolution") for kernel in kernels)
    assert torch.allclose(found, F.relu(F.conv2d(x, w) * 2), atol=1e-4)


@pytest.mark.parametrize(("channels", "taken"), [(16, True), (64, False)])
def test_many_operations_on_large_results_have_loops_of_their_own(channels, taken):
    torch.manual_seed(0)
    x, w, b = torch.randn(4, 16, 60, 60), torch.randn(channels, 16, 3, 3) * 0.1, torch.randn(channels)
    v = torch.rand(channels) + 1

    def normal(x, w, b, v):
        return F.relu(F.batch_norm(F.conv2d(x, w, padding=1), b, v, v, b, False))

    _, _, kernels = compiled(normal, (x, w, b, v))
    assert any(kernel.get("convolution") for kernel in kernels) == taken
    _, _, kernels = compiled(lambda x, w, b: F.relu(F.conv2d(x, w, b, padding=1)), (x, w, b))
    assert any(kernel.get("convolution") for kernel in kernels)
