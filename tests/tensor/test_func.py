"""Derivatives of plain functions, beyond what PyTorch has: value_and_grad, hvp, nesting by its values."""

from __future__ import annotations

import math

import numpy as np
import pytest

import retrograd as torch
from retrograd.func import grad, hessian, hvp, jacfwd, jacrev, jvp, linearize, value_and_grad, vjp


def number(value):
    return torch.tensor(value, dtype=torch.float64)


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


def f(x):
    return (x.sin() * x**2).sum()


def test_value_and_grad():
    value, g = value_and_grad(f)(number(2.0))
    assert value.item() == pytest.approx(4 * math.sin(2))
    assert g.item() == pytest.approx(4 * math.cos(2) + 4 * math.sin(2))
    (value, aux), g = value_and_grad(lambda x: (f(x), x * 2), has_aux=True)(number(2.0))
    assert (value.requires_grad, aux.item(), g.requires_grad) == (False, 4.0, False)


def test_hvp_is_the_hessian_times_the_vector():
    x, v = vector(0.5, -1.0, 2.0), vector(1.0, 2.0, 3.0)
    value, product = hvp(f, (x,), (v,))
    np.testing.assert_allclose(product.numpy(), (hessian(f)(x) @ v).numpy(), rtol=1e-12)
    assert value.item() == pytest.approx(f(x).item())
    g = lambda a, b: (a * b**2).sum()
    _, (pa, pb) = hvp(g, (x, v), (v, x))
    np.testing.assert_allclose(pa.numpy(), (2 * v * x).numpy())
    np.testing.assert_allclose(pb.numpy(), (2 * v * v + 2 * x * x).numpy())


def test_perturbations_are_not_confused():
    assert grad(lambda x: x * grad(lambda y: x + y)(number(1.0)))(number(2.0)).item() == 1
    forward = lambda h, x: jvp(h, (x,), (torch.ones_like(x),))[1]
    assert forward(lambda x: x * forward(lambda y: x + y, number(1.0)), number(2.0)).item() == 1
    assert grad(lambda x: x * forward(lambda y: x * y, number(1.0)))(number(2.0)).item() == 4
    assert forward(lambda x: x * grad(lambda y: x * y)(number(1.0)), number(2.0)).item() == 4


@pytest.mark.parametrize("outer", [grad, "jvp"])
@pytest.mark.parametrize("middle", [grad, "jvp"])
@pytest.mark.parametrize("inner", [grad, "jvp"])
def test_three_levels_of_any_mode(outer, middle, inner):
    def d(kind, fn):
        return grad(fn) if kind is grad else lambda x: jvp(fn, (x,), (torch.ones_like(x),))[1]

    third = d(outer, d(middle, d(inner, lambda x: x.exp() * x**2)))
    x = 0.7
    found = third(number(x))
    assert found.item() == pytest.approx(math.exp(x) * (x * x + 6 * x + 6), rel=1e-12)
    assert not found.requires_grad


def test_linearize_pushes_many_and_is_differentiable():
    x = vector(0.5, -1.0)
    value, push = linearize(torch.exp, x)
    for v in (vector(1.0, 0.0), vector(2.0, 3.0)):
        np.testing.assert_allclose(push(v).numpy(), (torch.exp(x) * v).numpy())
    v = vector(1.0, 2.0)
    found = grad(lambda y: linearize(f, y)[1](v))(x)
    np.testing.assert_allclose(found.numpy(), (hessian(f)(x) @ v).numpy(), rtol=1e-12)
    assert value.is_leaf


def test_jacobians_agree_in_both_modes_through_every_kind_of_op():
    def h(x):
        y = x.reshape(2, 2) @ x.reshape(2, 2).t()
        z = y.clone()
        z[0] = y[1] * 2
        return torch.cat(
            [z.flatten(), x.cumsum(0), x.softmax(0), x.sort().values, x[torch.tensor([0, 0, 3])], x.prod()[None]]
        )

    x = vector(0.3, -0.7, 1.2, 0.9)
    np.testing.assert_allclose(jacfwd(h)(x).numpy(), jacrev(h)(x).numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(jacfwd(jacrev(h))(x).numpy(), jacrev(jacfwd(h))(x).numpy(), rtol=1e-9, atol=1e-11)


def test_transforms_leave_no_history_and_touch_no_grad():
    x = vector(1.0, 2.0)
    w = vector(3.0, 4.0).requires_grad_()
    found = grad(lambda v: (v * v * w.detach()).sum())(x)
    assert not found.requires_grad and x.grad is None and w.grad is None
    linked = grad(lambda v: (v * v * w).sum())(x)
    assert linked.requires_grad
    linked.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * x.numpy())


def test_containers_and_argnums():
    params = {"w": vector(1.0, 2.0), "b": [number(3.0), (number(4.0),)]}
    g = grad(lambda p, x: (p["w"] * x).sum() * p["b"][0] + p["b"][1][0] ** 2)(params, vector(5.0, 6.0))
    assert g["b"][0].item() == 17 and g["b"][1][0].item() == 8
    np.testing.assert_allclose(g["w"].numpy(), [15, 18])
    a, b = grad(lambda p, q: (p * q).sum(), argnums=(1, 0))(vector(1.0), vector(2.0))
    assert (a.item(), b.item()) == (1, 2)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: grad(lambda x: x * 2)(vector(1.0, 2.0)), RuntimeError, "scalar"),
        (lambda: grad(f, argnums=3)(number(1.0)), RuntimeError, "argnum=3"),
        (lambda: grad(f, argnums=(0, 0))(number(1.0)), RuntimeError, "unique"),
        (lambda: grad(f)(torch.tensor([1, 2])), RuntimeError, r"int64\[2\]"),
        (lambda: grad(f)(3.0), ValueError, "float"),
        (lambda: jvp(f, (number(1.0),), (vector(1.0, 2.0),)), RuntimeError, "shape"),
        (lambda: vjp(lambda: 1), RuntimeError, "at least one"),
        (lambda: grad(f, has_aux=True)(number(1.0)), RuntimeError, "aux"),
    ],
)
def test_bad_calls(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_a_transform_under_no_grad_still_differentiates():
    with torch.no_grad():
        assert grad(f)(number(2.0)).item() == pytest.approx(4 * math.cos(2) + 4 * math.sin(2))
        assert not torch.is_grad_enabled()


def test_an_error_inside_leaves_no_transform_running():
    def bad(x):
        raise KeyError

    with pytest.raises(KeyError):
        grad(bad)(number(1.0))
    from retrograd.core import MODE
    from retrograd.tensor.transforms import _RUNNING

    assert not _RUNNING.leaves and not MODE.keep_inputs and not MODE.special
