"""Gradients that a compiled function finds, reads and writes: of parameters, of plain leaves, of its arguments."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch

nn = torch.nn


def leaves(count=3):
    return [torch.full((4,), float(k + 1)).requires_grad_() for k in range(count)]


def of_an_argument(ps):
    return lambda x: ps[0].grad * 2 + x.grad


def norm(ps):
    return lambda x: torch.stack([p.grad.norm() for p in ps]).norm()


def clipped(ps):
    def clip(x):
        total = torch.stack([p.grad.norm() for p in ps]).norm()
        for p in ps:
            p.grad.mul_(0.5 / total)
        return total

    return clip


def updated(ps):
    def step(x):
        with torch.no_grad():
            for p in ps:
                if p.grad is not None:
                    p -= 0.1 * p.grad
        return ps[-1] * 1.0

    return step


def cleared(ps):
    def step(x):
        total = sum([p.grad.sum() for p in ps if p.grad is not None])
        for p in ps:
            p.grad = None
        return total * 1.0

    return step


def zeroed(ps):
    def step(x):
        loss = sum([(p * p).sum() for p in ps]) * x.detach().sum()
        loss.backward()
        with torch.no_grad():
            for p in ps:
                p.sub_(0.01 * p.grad)
                p.grad.zero_()
        return loss

    return step


def added_to_an_argument(ps):
    def step(x):
        (x * x * ps[0].detach()).sum().backward()
        return x.grad * 1.0

    return step


def by_an_optimizer(ps):
    optimizer = torch.optim.SGD(ps, 0.1, momentum=0.9)
    return lambda x: optimizer.step()


STEPS = [of_an_argument, norm, clipped, updated, cleared, zeroed, added_to_an_argument, by_an_optimizer]


def course(make, wrapped, change=None):
    ps = leaves()
    fn = wrapped(make(ps))
    found = []
    for i in range(10):
        x = torch.full((4,), float(i)).requires_grad_()
        x.grad = torch.full((4,), 10.0 * i)
        for k, p in enumerate(ps):
            p.grad = torch.full((4,), float(i + k + 1))
        if change is not None:
            change(i, ps, x)
        before = [(p.grad, None if p.grad is None else p.grad._version) for p in ps]
        result = fn(x)
        found.append(None if result is None else result.detach().numpy().copy())
        found += [p.detach().numpy().copy() for p in ps]
        found += [None if t.grad is None else t.grad.detach().numpy().copy() for t in (*ps, x)]
        found.append([p.grad is g for p, (g, _) in zip(ps, before, strict=True)])
        found.append([g is not None and g._version > v for g, v in before])
    return found


def absent(i, ps, x):
    if i % 4 == 3:
        ps[1].grad = None


def shared(i, ps, x):
    if i in (5, 6):
        ps[1].grad = ps[0].grad
    if i == 8:
        x.grad = ps[2].grad


def of_another_kind(i, ps, x):
    if i > 5:
        ps[0].grad = torch.arange(8.0)[::2] + i


NEEDED = (of_an_argument, norm, clipped, zeroed)  # take gradients for granted
CHANGES = [
    (make, change)
    for make in STEPS
    for change in (None, absent, shared, of_another_kind)
    if change is not absent or make not in NEEDED
]


@pytest.mark.parametrize(("make", "change"), CHANGES, ids=lambda f: f and f.__name__)
def test_as_eager(make, change):
    want, got = course(make, lambda f: f, change), course(make, torch.compile, change)
    for a, b in zip(want, got, strict=True):
        if isinstance(a, np.ndarray):
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
        else:
            assert a == b


def test_gradients_that_come_later_are_met():
    a, b = torch.ones(2).requires_grad_(), torch.ones(2).requires_grad_()
    optimizer = torch.optim.SGD([a, b], 0.5)
    step = torch.compile(lambda: optimizer.step())
    for i in range(8):
        a.grad = torch.ones(2)
        if i >= 5:
            b.grad = torch.ones(2)
        step()
    assert a.tolist() == [1 - 8 * 0.5] * 2
    assert b.tolist() == [1 - 3 * 0.5] * 2


def test_an_update_alone_takes_the_short_way():
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    step = torch.compile(lambda: optimizer.step())
    for _ in range(6):
        optimizer.zero_grad()
        net(torch.ones(2, 4)).sum().backward()
        step()
    assert step.quick is not None
    assert len(step.quick.readers) == 2
