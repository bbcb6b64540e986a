"""A batch in parts: the whole batch's gradient for every reduction, uneven parts, weights, and what is refused."""

from __future__ import annotations

import pytest

import retrograd as torch
from retrograd import nn
from retrograd.memory import Counter, accumulate
from retrograd.nn import functional as F


def made(*layers):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), *layers, nn.Linear(8, 4)).double()
    return net, torch.randn(11, 6, dtype=torch.float64), torch.randint(0, 4, (11,))


def gradients(net):
    return [p.grad.clone() for p in net.parameters()]


def whole(net, loss):
    net.zero_grad()
    loss.backward()
    found = gradients(net)
    net.zero_grad()
    return found


LAYERS = {
    "tanh": lambda: [nn.Tanh()],
    "layer norm": lambda: [nn.LayerNorm(8), nn.ReLU()],
    "batch norm of before": lambda: [nn.BatchNorm1d(8).eval()],
}


@pytest.mark.parametrize("rows", [1, 3, 4, 11, 50])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("layers", LAYERS)
def test_gradient_and_loss_of_the_whole_batch(layers, reduction, rows):
    net, x, y = made(*LAYERS[layers]())
    expected = F.cross_entropy(net(x), y, reduction=reduction)
    grads = whole(net, expected.mean())
    found = accumulate(
        lambda x, y: F.cross_entropy(net(x), y, reduction=reduction), x, y, rows=rows, reduction=reduction
    )
    assert found.shape == expected.shape
    assert not found.requires_grad
    assert torch.allclose(found, expected)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(gradients(net), grads, strict=True))


@pytest.mark.parametrize("rows", [2, 3])
def test_means_that_divide_by_something_else(rows):
    net, x, y = made(nn.Tanh())
    y[:4] = -100  # a whole part of ignored targets, for rows = 2
    loss = lambda x, y: F.cross_entropy(net(x), y)
    expected = loss(x, y)
    grads = whole(net, expected)
    found = accumulate(loss, x, y, rows=rows, weight=lambda x, y: (y >= 0).sum())
    assert torch.allclose(found, expected)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(gradients(net), grads, strict=True))
    classes = torch.tensor([1.0, 0.5, 2.0, 3.0], dtype=torch.float64)
    y = y.clamp(min=0)
    weighted = lambda x, y: F.cross_entropy(net(x), y, classes)
    grads = whole(net, weighted(x, y))
    accumulate(weighted, x, y, rows=rows, weight=lambda x, y: classes[y].sum())
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(gradients(net), grads, strict=True))


def test_gradients_add_to_those_that_are_there_and_through_a_scaler():
    net, x, y = made(nn.Tanh())
    loss = lambda x, y: F.cross_entropy(net(x), y)
    grads = whole(net, loss(x, y))
    accumulate(loss, x, y, rows=4)
    accumulate(loss, x, y, rows=5, backward=lambda part: (part * 3).backward())
    assert all(torch.allclose(a, 4 * b) for a, b in zip(gradients(net), grads, strict=True))


def test_statistics_of_the_batch_are_refused_or_each_part_has_its_own():
    net, x, y = made(nn.BatchNorm1d(8), nn.ReLU())
    loss = lambda x, y: F.cross_entropy(net(x), y)
    with pytest.raises(RuntimeError, match=r"batch_norm of .*whole batch's statistics.*apart=True"):
        accumulate(loss, x, y, rows=4)
    assert all(p.grad is None for p in net.parameters())
    assert torch.allclose(accumulate(loss, x, y, rows=11), loss(x, y))  # one part is the whole batch
    accumulate(loss, x, y, rows=4, apart=True)
    net.eval()
    grads = whole(net, loss(x, y))
    accumulate(loss, x, y, rows=4)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(gradients(net), grads, strict=True))


def test_only_one_part_is_there_at_a_time():
    torch.manual_seed(0)
    net = nn.Sequential(*[m for _ in range(6) for m in (nn.Linear(32, 32), nn.Tanh())])
    x = torch.randn(640, 32)
    loss = lambda x: (net(x) ** 2).mean()
    loss(x).backward()
    with Counter() as plain:
        loss(x).backward()
    accumulate(loss, x, rows=64)
    with Counter() as parts:
        accumulate(loss, x, rows=64)
    assert parts.peak < plain.peak / 3


@pytest.mark.parametrize(
    ("loss", "options", "error", "text"),
    [
        (lambda x: x.sum(1), {}, ValueError, "has to give one number"),
        (lambda x: x.sum(), {"reduction": "none"}, ValueError, "one loss for each of its 2 rows"),
        (lambda x: 1.0, {}, TypeError, "not float"),
        (lambda x: x.sum(), {"reduction": "max"}, ValueError, "'mean', 'sum' or 'none'"),
        (lambda x: x.sum(), {"rows": 0}, ValueError, "at least 1"),
    ],
)
def test_errors(loss, options, error, text):
    x = torch.ones(5, 2, requires_grad=True)
    with pytest.raises(error, match=text):
        accumulate(loss, x, **{"rows": 2, **options})


def test_an_empty_batch_and_nothing_but_ignored_targets():
    net, x, y = made()
    assert accumulate(lambda x: net(x).sum(), x[:0], rows=2, reduction="sum").item() == 0
    loss = accumulate(
        lambda x, y: F.cross_entropy(net(x), y), x, y * 0 - 100, rows=4, weight=lambda x, y: (y >= 0).sum()
    )
    assert loss.isnan()
