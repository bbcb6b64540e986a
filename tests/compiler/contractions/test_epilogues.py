"""What follows large products tile by tile: which statements do, what they compute, and which are left to loops of their own."""

import math

import numpy as np
import pytest

import retrograd as torch
from retrograd.nn import functional as F

CASES = {
    "bias": lambda x, w, b, r: x @ w.T + b,
    "bias and relu": lambda x, w, b, r: F.relu(x @ w.T + b),
    "scale and tanh": lambda x, w, b, r: torch.tanh((x @ w.T) * 0.1),
    "gelu": lambda x, w, b, r: F.gelu(x @ w.T + b),
    "residual": lambda x, w, b, r: (x @ w.T + b) + r,
    "mask": lambda x, w, b, r: torch.where(r * 2 + 1 > 0, x @ w.T, 0.0),
    "kept before and after": lambda x, w, b, r: (x @ w.T, torch.relu(x @ w.T)),
}
# deep ones are summed in blocks; the others have tiles that are cut, few rows or few columns
SIZES = [(300, 700, 430), (67, 5000, 333), (600, 3000, 17), (20, 2000, 512), (512, 64, 1024)]


def arguments(m, k, n, dtype=torch.float32):
    torch.manual_seed(m + k + n)
    make = [torch.randn(m, k), torch.randn(n, k) / math.sqrt(k), torch.randn(n), torch.randn(m, n)]
    return [t.to(dtype) for t in make]


def compiled(fn, given):
    run = torch.compile(lambda *xs: fn(*xs), fullgraph=True)
    for _ in range(3):
        found = run(*given)
    kernels = run.explain(rounds=0).data["programs"][0]["parts"][0]["kernels"]
    return run, found if isinstance(found, tuple) else (found,), kernels


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_what_follows_is_computed_with_the_product(name, sizes):
    fn, given = CASES[name], arguments(*sizes)
    run, found, kernels = compiled(fn, given)
    wanted = fn(*[t.to(torch.float64) for t in given])
    for got, exact in zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        scale = max(1.0, float(exact.abs().max()))
        assert float((got.to(torch.float64) - exact).abs().max()) < 2e-5 * scale
    m, k, n = sizes
    products = [kernel for kernel in kernels if kernel.get("product") == [m, k, n]]
    assert len(products) == 1 and len(products[0]["statements"]) > 1 and products[0]["goes_on"] == "tile by tile"
    assert "gone on with tile by tile" in str(run.explain(rounds=0))
    assert not any(kernel["kind"] == "product" for kernel in kernels)  # none by itself


def test_doubles():
    given = arguments(130, 900, 270, torch.float64)
    _, (found,), kernels = compiled(CASES["gelu"], given)
    assert any(kernel.get("product") for kernel in kernels)
    assert float((found - CASES["gelu"](*given)).abs().max()) < 1e-12


def test_bits_do_not_depend_on_threads():
    given = arguments(600, 3000, 500)
    before = torch.get_num_threads()
    run, (first,), _ = compiled(CASES["gelu"], given)
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(run(*given), first)
    finally:
        torch.set_num_threads(before)


def test_a_backward_pass_masks_in_its_product():
    torch.manual_seed(0)
    w, v = torch.randn(700, 600) * 0.05, torch.randn(500, 700) * 0.05
    w.requires_grad_()
    x = torch.randn(256, 600)

    def step(x):
        w.grad = None
        h = F.relu(x @ w.T)
        loss = (h @ v.T).square().mean()
        loss.backward()
        return loss

    run = torch.compile(step, fullgraph=True)
    for _ in range(3):
        run(x)
    got = w.grad.clone()
    kernels = run.explain(rounds=0).data["programs"][0]["parts"][0]["kernels"]
    behind = [k["product"] for k in kernels if k.get("product")]
    assert [256, 600, 700] in behind  # relu
    assert [256, 500, 700] in behind  # its mask
    step(x)
    assert torch.allclose(got, w.grad, rtol=1e-4, atol=1e-8)


def test_an_update_is_left_to_loops_that_run_from_end_to_end():
    torch.manual_seed(0)
    net = torch.nn.Linear(640, 520)
    optimizer = torch.optim.Adam(net.parameters())

    def step(x):
        optimizer.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    run = torch.compile(step, fullgraph=True)
    for _ in range(3):
        run(torch.ones(300, 640))
    kernels = run.explain(rounds=0).data["programs"][0]["parts"][0]["kernels"]
    alone = [k for k in kernels if k["kind"] == "product"]
    assert [(k["m"], k["k"], k["n"]) for k in alone] == [(520, 300, 640)]


def test_not_a_number_and_infinity_go_through():
    x, w, b, r = arguments(256, 400, 300)
    x[3, 5], x[200, 7] = float("nan"), float("inf")
    _, (found,), _ = compiled(CASES["bias and relu"], [x, w, b, r])
    wanted = np.maximum(x.numpy() @ w.numpy().T + b.numpy(), 0)
    assert np.array_equal(np.isnan(found.numpy()), np.isnan(wanted))
    assert np.array_equal(np.isinf(found.numpy()), np.isinf(wanted))
