"""Second derivatives of reductions, scans and order against finite differences, and what they keep and share."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import retrograd as torch
from retrograd.tensor import return_types

SMOOTH: dict[str, Any] = {
    "sum": lambda x: (x.sum(0) ** 3).sum(),
    "mean": lambda x: (x.mean(-1, keepdim=True) * x**2).sum(),
    "nansum": lambda x: x.square().nansum(1).square(),
    "prod": lambda x: x.prod(),
    "prod along": lambda x: x.prod(1),
    "var": lambda x: x.var(0),
    "var of all": lambda x: torch.var(x, correction=0).square(),
    "std": lambda x: x.std(-1),
    "std_mean": lambda x: torch.std_mean(x)[0] * torch.std_mean(x)[1],
    "logsumexp": lambda x: x.logsumexp((0, 1)),
    "logsumexp along": lambda x: torch.logsumexp(x, 1),
    "softmax": lambda x: x.softmax(1)[:, 0],
    "log_softmax": lambda x: x.log_softmax(0)[1],
    "norm": lambda x: x.norm(),
    "norm 1.5": lambda x: torch.norm(x, 1.5, 1),
    "norm 3": lambda x: x.norm(3, (0, 1)),
    "norm inf": lambda x: x.norm(float("inf")).square(),
    "dist": lambda x: torch.dist(x, x.flip(0) * 2, 3),
    "renorm": lambda x: x.renorm(2, 0, 0.5).square(),
    "max": lambda x: x.max() ** 3,
    "max along": lambda x: x.max(1)[0] ** 3,
    "amin": lambda x: torch.amin(x, 0) ** 3,
    "cumsum": lambda x: x.cumsum(1) ** 2,
    "cumprod": lambda x: x.cumprod(0),
    "cummax": lambda x: x.cummax(1)[0] ** 3,
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "diff": lambda x: x.diff(dim=0) ** 3,
    "trapezoid": lambda x: torch.trapezoid(x**2, x.cumsum(-1)),
    "sort": lambda x: x.sort(0)[0] ** 3,
    "topk": lambda x: x.topk(2, 1)[0] ** 3,
    "kthvalue": lambda x: x.kthvalue(2)[0] ** 3,
    "median": lambda x: x.median() ** 3,
    "quantile": lambda x: x.quantile(0.4, 1) ** 3,
    "aminmax": lambda x: x.aminmax()[0] * x.aminmax()[1],
}
ZEROS = {"prod", "prod along", "cumprod"}


def gradient(fn: Any, a: Any) -> Any:
    """Give the gradient of a weighted sum of what a function gives."""
    x = torch.tensor(a, requires_grad=True)
    y = fn(x)
    w = torch.tensor(np.random.default_rng(1).normal(size=tuple(y.shape)))
    return torch.autograd.grad((y * w).sum(), x, create_graph=True)[0], x


def check_second(fn: Any, a: Any) -> None:
    """Compare the product of a Hessian and a direction with the difference of two gradients."""
    v = np.random.default_rng(2).normal(size=a.shape)
    g, x = gradient(fn, a)
    (found,) = torch.autograd.grad((g * torch.tensor(v)).sum(), x, allow_unused=True)
    step = 1e-6
    difference = (gradient(fn, a + step * v)[0] - gradient(fn, a - step * v)[0]).detach().numpy() / (2 * step)
    np.testing.assert_allclose(0 if found is None else found.numpy(), difference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SMOOTH)
def test_second_derivatives(name: str) -> None:
    check_second(SMOOTH[name], np.random.default_rng(0).normal(size=(3, 4)))


@pytest.mark.parametrize("name", sorted(ZEROS))
def test_second_derivatives_of_products_with_zeros(name: str) -> None:
    a = np.random.default_rng(0).normal(size=(3, 4))
    a[0, 1] = a[2, 1] = a[1, 3] = 0.0
    check_second(SMOOTH[name], a)


def test_sums_of_many_ones() -> None:
    n = 2**25
    assert torch.ones(n).sum().item() == n
    assert torch.ones(1, 1).expand(n, 1).sum(0).item() == n
    assert torch.ones(1000, dtype=torch.bfloat16).sum().item() == 1000
    assert torch.ones(70000, dtype=torch.float16).mean().item() == 1


def test_sum_without_dimensions_is_a_copy() -> None:
    x = torch.tensor(3.0)
    y = x.sum()
    y += 1
    assert x.item() == 3.0


def test_named_results() -> None:
    r = torch.tensor([3.0, 1.0, 2.0]).max(0)
    assert repr(r) == "torch.return_types.max(\nvalues=tensor(3.),\nindices=tensor(0))"
    assert isinstance(r, return_types.max)
    assert isinstance(r, tuple)
    assert r.values is r[0]
    values, indices = torch.tensor([3.0, 1.0, 2.0]).sort()
    assert (values.tolist(), indices.tolist()) == ([1.0, 2.0, 3.0], [1, 2, 0])
    out = torch.empty(0), torch.empty(0, dtype=torch.int64)
    torch.max(torch.tensor([[1.0, 5.0]]), 1, out=out)
    assert (out[0].tolist(), out[1].tolist()) == ([5.0], [1])


def test_max_of_equals_shares_its_gradient() -> None:
    x = torch.tensor([1.0, 3.0, 3.0], requires_grad=True)
    x.max().backward()
    assert x.grad.tolist() == [0.0, 0.5, 0.5]


def test_slope_of_a_norm_at_zero_is_zero() -> None:
    for fn in (torch.norm, torch.std, lambda x: x.norm(1.5), lambda x: x.norm(dim=0)):
        x = torch.zeros(3, requires_grad=True)
        fn(x).backward()
        assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_topk_agrees_with_sort() -> None:
    rng = np.random.default_rng(0)
    for shape, dim in (((40,), 0), ((5, 30), 1), ((30, 4), 0)):
        x = torch.tensor(rng.integers(0, 9, size=shape).astype(np.float32))
        for k in (0, 1, 3, shape[dim]):
            for largest in (True, False):
                values, indices = x.topk(k, dim, largest)
                ordered = x.sort(dim=dim, descending=largest)[0]
                assert torch.equal(values, ordered.narrow(dim, 0, k))
                assert torch.equal(x.gather(dim, indices), values)


def test_few_degrees_of_freedom_warn() -> None:
    with pytest.warns(UserWarning, match="degrees of freedom"):
        assert torch.tensor([1.0]).std().isnan()


def test_integers_have_no_mean() -> None:
    with pytest.raises(RuntimeError, match="could not infer output dtype"):
        torch.tensor([1, 2]).mean()
    assert torch.tensor([1, 2]).mean(dtype=torch.float32).item() == 1.5


def test_in_place_scans_keep_history() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    y.cumsum_(0)
    (y * y).sum().backward()
    z = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    ((z * 2).cumsum(0) ** 2).sum().backward()
    assert x.grad.tolist() == z.grad.tolist()


def test_log_softmax_of_large_and_excluded_scores() -> None:
    x = torch.tensor([[1e4, 0.0, -float("inf")]], requires_grad=True)
    y = x.log_softmax(1)
    assert y[0, :2].tolist() == [0.0, -1e4]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y[0, 0].backward()
    assert x.grad.tolist() == [[0.0, 0.0, 0.0]]
