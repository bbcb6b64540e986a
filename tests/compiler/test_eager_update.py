"""Optimizers' rules as one pass over memory, beside NumPy's blocks."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler.runtime import pool
from retrograd.optim import units

RULES = {
    "SGD": {"lr": 0.1},
    "SGD with momentum": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True},
    "Adam": {"lr": 1e-2, "weight_decay": 0.1},
    "Adam with maxima": {"lr": 1e-2, "amsgrad": True},
    "AdamW": {"lr": 1e-2},
    "RMSprop": {"lr": 1e-2, "centered": True, "momentum": 0.9},
    "Adagrad": {"lr": 1e-2},
    "Adadelta": {},
    "Adamax": {},
    "NAdam": {},
    "RAdam": {},
    "Rprop": {},
    "ASGD": {},
}
SHAPES = [(300, 400), (90, 100), (50,), (7, 11, 200)]


def train(name, paid, monkeypatch, dtype=torch.float32, steps=6):
    monkeypatch.setattr(units, "PAID", paid)
    for plan in units.PLANS.values():
        plan.kernels.clear()
    torch.manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(s, dtype=dtype)) for s in SHAPES]
    optimizer = getattr(torch.optim, name.split()[0])(params, **RULES[name])
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator, dtype=dtype)
        if step == 3:
            optimizer.param_groups[0]["lr"] = 0.5 * optimizer.param_groups[0]["lr"]
        optimizer.step()
    made = [k for plan in units.PLANS.values() for k in plan.kernels.values() if k.__class__ is not int]
    return [p.detach().numpy() for p in params], made


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", RULES)
def test_the_same_steps(name, dtype, monkeypatch):
    wanted, made = train(name, 1 << 60, monkeypatch, dtype)
    assert not made
    found, made = train(name, 1, monkeypatch, dtype)
    assert made and None not in made
    tolerance = 2e-5 if dtype is torch.float32 else 1e-12
    for a, b in zip(found, wanted):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["SGD with momentum", "Adam"])
def test_the_same_bits_for_any_number_of_threads(name, monkeypatch):
    both, _ = train(name, 1, monkeypatch)
    pool.ensure(1)
    try:
        alone, _ = train(name, 1, monkeypatch)
    finally:
        pool.ensure(torch.get_num_threads())
    for a, b in zip(both, alone):
        np.testing.assert_array_equal(a, b)


def test_gradients_that_lie_otherwise(monkeypatch):
    monkeypatch.setattr(units, "PAID", 1)
    p, q = (torch.nn.Parameter(torch.ones(200, 300)) for _ in range(2))
    g = torch.randn(300, 200)
    for param, grad in ((p, g.T), (q, g.T.contiguous())):
        optimizer = torch.optim.Adam([param], lr=0.1)
        for _ in range(3):
            param.grad = grad
            optimizer.step()
    assert torch.equal(p, q)


def test_versions_and_state_are_kept(monkeypatch):
    monkeypatch.setattr(units, "PAID", 1)
    p = torch.nn.Parameter(torch.ones(200, 300))
    optimizer = torch.optim.Adam([p], lr=0.1)
    for _ in range(3):
        before = p._version
        p.grad = torch.ones_like(p)
        optimizer.step()
        assert p._version == before + 1
    state = optimizer.state_dict()["state"][0]
    assert state["step"].item() == 3 and state["exp_avg"].shape == p.shape
    np.testing.assert_allclose(state["exp_avg"].numpy(), 1 - 0.9**3, rtol=1e-5)
