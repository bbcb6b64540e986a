"""The memory that an epoch's steps work in: one aligned block instead of the tensors', and no gradients that nobody sees."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler.block import Block, aligned
from retrograd.utils.data import DataLoader, TensorDataset

nn, F = torch.nn, torch.nn.functional


def trained(whole, accumulates=False, epochs=2):
    """Train a little, by whole epochs or step by step; give the step, and all that training writes."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-5 if accumulates else 0.05, momentum=0.9)

    @torch.compile(fullgraph=True)
    def step(x, y):
        if not accumulates:
            optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    g = torch.Generator().manual_seed(5)
    loader = DataLoader(TensorDataset(torch.randn(400, 6, generator=g), torch.randn(400, 3, generator=g)), 5)
    losses = []
    for _ in range(epochs):
        if whole:
            losses += step.epoch(loader).tolist()
        else:
            losses += [step(x, y).item() for x, y in loader]
    state = [*net.parameters(), *[p.grad for p in net.parameters()]]
    state += [v["momentum_buffer"] for v in optimizer.state.values()]
    return step, losses, [t.detach().numpy().copy() for t in state]


def program_of(step):
    return next(e.program for entries in step.entries.values() for e in entries)


@pytest.mark.parametrize("accumulates", [False, True])
def test_gradients_are_those_of_the_last_step(accumulates):
    step, losses, state = trained(True, accumulates)
    _, wanted, states = trained(False, accumulates)
    assert losses == wanted
    for a, b in zip(state, states, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (step.epochs[-1]["native"] > 64) is not accumulates
    assert bool(program_of(step).lean) is not accumulates


def test_kernels_without_the_stores_are_other_kernels():
    step, *_ = trained(True)
    program = program_of(step)
    records, _ = program.lean.kept
    whole, lean = program.records.reshape(-1, 3), records.reshape(-1, 3)
    assert whole.shape == lean.shape
    changed = whole[:, 0] != lean[:, 0]
    assert 1 <= changed.sum() <= 2  # the two products that make gradients of weights
    alone = whole[:, 0] != program.loaded.address("rg_together")
    assert (whole[alone, 1:] == lean[alone, 1:]).all()


def test_a_block_stands_in_for_arrays():
    a, b = np.arange(5, dtype=np.float32), np.arange(3, dtype=np.float64)
    block = Block([(a, True), (b, False)])
    assert block.used
    assert all(x.ctypes.data % 64 == 0 for x in block.arrays)
    block.fill()
    for x in block.arrays:
        x += 1
    block.put_back()
    np.testing.assert_array_equal(a, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(b, [0, 1, 2])


def test_arrays_that_share_memory_stay_where_they_are():
    a, other = np.zeros(8, np.float32), np.zeros(8, np.float32)
    for places, others in (
        ([(a, True), (a[4:], False)], ()),
        ([(a, True)], (a[2:6],)),
        ([(np.zeros(1 << 20), True)], ()),
    ):
        block = Block(places, others)
        assert not block.used
        assert all(x is y for x, (y, _) in zip(block.arrays, places, strict=True))
    assert Block([(a, True), (other, True)], [np.zeros(3)]).used


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 5)])
def test_aligned_arrays(shape):
    made = aligned(shape, np.float32)
    assert made.shape == shape
    assert made.dtype == np.float32
    assert made.ctypes.data % 64 == 0 or not made.size
    assert made.flags.c_contiguous
    assert made.flags.writeable
