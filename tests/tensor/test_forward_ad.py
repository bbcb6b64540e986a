"""Eager forward mode without the other library: levels, what keeps tangents alive, networks, and how modes meet."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from retrograd.autograd import forward_ad as ad
from retrograd.core import REGISTRY, apply
from retrograd.core.mode import MODE


def test_a_decorated_function_and_the_end_of_a_level():
    @ad.dual_level()
    def slope(x):
        return ad.unpack_dual(ad.make_dual(x, torch.ones_like(x)) ** 2).tangent

    x = torch.tensor([1.0, 2.0])
    assert slope(x).tolist() == [2, 4]
    with ad.dual_level():
        dual = ad.make_dual(x, x)
    assert ad.unpack_dual(dual).tangent is None
    assert MODE.dual is None and not MODE.special
    with pytest.raises(ZeroDivisionError), ad.dual_level():
        1 / 0
    assert MODE.dual is None


def test_names_of_the_pair():
    pair = ad.unpack_dual(torch.ones(2))
    assert pair._fields == ("primal", "tangent")
    assert type(pair) is ad.UnpackedDualTensor
    with ad.dual_level():
        level = MODE.dual
        assert ad.unpack_dual(ad.make_dual(torch.ones(2), torch.zeros(2)), level=0).tangent.tolist() == [0, 0]
        assert level is MODE.dual


def test_a_network_s_directional_derivative():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.LayerNorm(4), torch.nn.Linear(4, 2)
    ).double()
    x, v = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    with ad.dual_level():
        got = ad.unpack_dual(net(ad.make_dual(x, v))).tangent
    _, want = torch.func.jvp(net, (x,), (v,))
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy())
    params = dict(net.named_parameters())
    with ad.dual_level():  # along the parameters
        dual = {k: ad.make_dual(p, torch.ones_like(p)) for k, p in params.items()}
        got = ad.unpack_dual(torch.func.functional_call(net, dual, (x,))).tangent
    h = 1e-6
    up, down = (
        torch.func.functional_call(net, {k: p + s * h for k, p in params.items()}, (x,)).detach() for s in (1, -1)
    )
    np.testing.assert_allclose(got.detach().numpy(), ((up - down) / (2 * h)).numpy(), rtol=1e-5, atol=1e-7)


def test_a_hessian_vector_product_by_a_backward_walk():
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    v = torch.tensor([1.0, -1.0], dtype=torch.float64)
    with ad.dual_level():
        (ad.make_dual(x, v) ** 3).sum().backward()
        assert ad.unpack_dual(x.grad).tangent.tolist() == [6.0, -12.0]


def test_tangents_do_not_outlive_their_values():
    with ad.dual_level():
        y = ad.make_dual(torch.ones(10), torch.ones(10))
        for _ in range(50):
            y = y * 1.01
        assert len(MODE.dual.table) < 8


def test_vmap_and_jvp_within_a_level():
    x = torch.arange(6.0).view(3, 2)
    with ad.dual_level():
        dual = ad.make_dual(x, torch.ones(3, 2))
        assert ad.unpack_dual(torch.vmap(lambda v: (v**2).sum())(dual)).tangent.tolist() == [2, 10, 18]

    def slope(v):
        with ad.dual_level():
            return ad.unpack_dual(ad.make_dual(v, torch.ones(2)) ** 2).tangent

    np.testing.assert_array_equal(torch.vmap(slope)(x).numpy(), 2 * x.numpy())
    _, pushed = torch.func.jvp(lambda v: torch.func.jvp(torch.sin, (v,), (torch.ones_like(v),))[1], (x,), (x,))
    np.testing.assert_allclose(pushed.numpy(), (-x.sin() * x).numpy(), atol=1e-6)


def test_an_operation_without_a_rule_says_so():
    with ad.dual_level(), pytest.raises(NotImplementedError, match="forward AD"):
        apply(REGISTRY["cumprod_value"], ad.make_dual(torch.ones(3), torch.ones(3)), axis=0)
