"""What a recorder computes beside the steps: with kernels of its own, and nothing of it stays with the program."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from retrograd import glass
from retrograd.compiler import eager, fast
from retrograd.core import MODE, REGISTRY
from retrograd.glass.recording.statistics import MANY, dead_share

nn = torch.nn
F = nn.functional


def test_kernels_for_what_runs_beside_are_no_others():
    op = REGISTRY["square"]
    kernel = eager.Native(op, op.numpy)
    x = np.linspace(-2, 3, 1 << 15, dtype=np.float32)
    seen = []
    MODE.observers = (lambda *a: seen.append(a),)
    MODE.settle()
    MODE.aside, MODE.beside = True, 3
    try:
        for _ in range(5):
            np.testing.assert_array_equal(kernel(x), x * x)
    finally:
        MODE.aside, MODE.beside, MODE.observers = False, 0, ()
        MODE.settle()
    assert kernel.kinds == {}  # the program's own calls are counted from the first on
    assert not seen  # who looks is not shown what a kernel is made of
    (made,) = kernel.beside.kinds.values()
    assert made.__class__ is not int or not eager.enabled()


def test_nothing_is_made_where_nobody_looks():
    op = REGISTRY["square"]
    kernel = eager.Native(op, op.numpy)
    MODE.aside = True
    try:
        for _ in range(5):
            kernel(np.ones(1 << 15, np.float32))
    finally:
        MODE.aside = False
    assert kernel.kinds == {} and kernel.beside.kinds == {}


def compiled_training(update):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    @torch.compile
    def by_optimizer(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    @torch.compile
    def by_hand(x, y):
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= 0.1 * p.grad
                p.grad = None
        return loss

    return net, by_optimizer if update == "optimizer" else by_hand


@pytest.mark.parametrize("update", ["optimizer", "hand"])
def test_a_rehearsal_leaves_nothing_with_the_parameters(update):
    net, step = compiled_training(update)
    x, y = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 2])
    for _ in range(6):
        step(x, y)
    with glass.record(net, every=1) as seen:
        for _ in range(5):
            step(x, y)
    assert len(seen.steps) == 5 and "gradient" in seen.latest()["nodes"]["0/linear#1"]
    for p in net.parameters():
        assert p._node.hooks is None or not p._node.hooks.registered


@pytest.mark.skipif(fast.g.gate() is None, reason="objects cannot be read by generated code here")
def test_the_call_behind_a_rehearsal_takes_the_short_way(monkeypatch):
    net, step = compiled_training("optimizer")
    x, y = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 2])
    for _ in range(6):
        step(x, y)
    assert step.quick is not None
    missed, real = [], fast.Fast.call

    def call(self, given):
        result = real(self, given)
        missed.append(result is fast.MISSED)
        return result

    monkeypatch.setattr(fast.Fast, "call", call)
    with glass.record(net, every=1):
        for _ in range(8):
            step(x, y)
    assert missed[-5:] == [False] * 5


@pytest.mark.parametrize(
    ("shape", "axis"), [((64, 6, 4, 4), 1), ((64, 10), 1), ((5, 7, 9), 2), ((3, 4), 1), ((0, 4), 1)]
)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.98])
def test_dead_units_are_those_that_every_sample_leaves_at_zero(shape, axis, share):
    rng = np.random.default_rng(0)
    a = np.where(rng.random(shape) > share, rng.standard_normal(shape), 0.0)
    if a.size:
        a.swapaxes(0, axis)[:2] = 0
    others = tuple(i for i in range(a.ndim) if i != axis)
    dead = float((~a.any(axis=others)).mean()) if a.size else 0.0
    always = float(a.all(axis=others).mean()) if a.size and dead >= MANY else 0.0
    assert dead_share(a, axis) == (dead, always)
