"""Chains of products in chunks: what lies between them rides on them, and neither chunks nor threads change a number."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import retrograd as torch
from retrograd import nn


def trained(widths, batch, compiled, steps=3):
    """Train a net of linear layers with ReLU; give losses, gradients and parameters."""
    torch.manual_seed(0)
    layers = []
    for inner, outer in itertools.pairwise(widths):
        layers += [nn.Linear(inner, outer), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    x, y = torch.randn(batch, widths[0]), torch.randn(batch, widths[-1])

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = torch.compile(step, fullgraph=True) if compiled else step
    losses = [run(x, y).item() for _ in range(steps)]
    values = [a.numpy().copy() for p in net.parameters() for a in (p.grad, p.detach())]
    return run, losses, values


# rows that no number of chunks divides, columns whose rest is a quarter of a register, half, or more
@pytest.mark.parametrize(
    ("widths", "batch"),
    [
        ((100, 100, 100, 100), 100),
        ((90, 98, 83, 97), 67),
        ((33, 300, 36, 3), 130),
        ((72, 136, 72), 37),
    ],
)
def test_chunks_and_threads_change_no_number(widths, batch):
    _, losses, values = trained(widths, batch, False)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(trained(widths, batch, True))
    finally:
        torch.set_num_threads(before)
    for _, theirs, others in found:
        assert theirs == pytest.approx(losses, rel=1e-5)
        for a, b in zip(values, others, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=2e-6)
    for _, theirs, others in found[1:]:
        assert theirs == found[0][1]
        assert all(np.array_equal(a, b) for a, b in zip(others, found[0][2], strict=True))


def test_masks_and_sums_ride_on_products_in_chunks():
    run, _, _ = trained((100, 100, 100, 100, 1), 100, True)
    (entry,) = [e for some in run.entries.values() for e in some]
    steps = entry.program.steps
    products = [s for s in steps if "matmul" in s.label]
    assert [s.label for s in products].count(
        "matmul+step+mul+sum 100x100x100"
    ) == 2  # an input's gradient, one a hidden layer
    assert all(s.chunks > 1 for s in products if s.label.endswith("100x100x100"))
    others = [s.label for s in steps if s not in products]
    assert not any("[100, 100]" in label for label in others)  # nothing walks over a layer's values but products
    assert others.count("joined sum [100] of 4") == 2


@pytest.mark.parametrize(("m", "k", "n"), [(100, 100, 100), (64, 128, 33), (66, 37, 129), (130, 20, 1024)])
def test_what_is_read_by_columns_is_turned_once(m, k, n):
    torch.manual_seed(0)
    x, w = torch.randn(m, k), torch.randn(n, k)
    f = torch.compile(lambda x, w: torch.tanh(x @ w.T), fullgraph=True)
    for _ in range(3):
        found = f(x, w)
    assert torch.allclose(found, torch.tanh(x @ w.T), atol=1e-5)
    (entry,) = [e for some in f.entries.values() for e in some]
    labels = [s.label for s in entry.program.steps]
    assert labels[0] == f"turned {k}x{n}" and labels[1].startswith("matmul")
    w.mul_(2)  # it is turned anew at every call
    assert torch.allclose(f(x, w), torch.tanh(x @ w.T), atol=1e-5)
    assert f"turned {k}x{n}" in str(f.explain(rounds=0))


def test_what_masks_is_computed_from_what_is_there():
    """The step of an activation is taken where it is asked for, not kept in memory from the forward pass on."""
    run, _, _ = trained((100, 100, 100, 100, 1), 100, True)
    (entry,) = [e for some in run.entries.values() for e in some]
    program = entry.program
    kept = [n for n in program.offset if n.op is not None and n.shape == (100, 100)]
    assert sorted({n.op.name for n in kept}) == ["mul", "relu"]
    assert program.layout.arena_bytes < 6.5 * 40_000  # three activations, two gradients, and what is small
