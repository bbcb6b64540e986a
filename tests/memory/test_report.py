"""memory_report: what it counts, by module and line, its peak beside the measured one, and compiled steps."""

from __future__ import annotations

import pytest

import retrograd as torch
from retrograd import nn
from retrograd.memory import memory_report
from retrograd.nn import functional as F


class Last(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells, self.head = nn.LSTM(16, 32, batch_first=True), nn.Linear(32, 4)

    def forward(self, x):
        return self.head(self.cells(x)[0][:, -1])


NETS = {
    "perceptron": (lambda: nn.Sequential(nn.Linear(16, 64), nn.Tanh(), nn.Linear(64, 4)), (256, 16)),
    "convolutions": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 4)),
        (64, 1, 12, 12),
    ),
    "recurrence": (Last, (16, 20, 16)),
}


def made(name):
    torch.manual_seed(0)
    net, shape = NETS[name][0](), NETS[name][1]
    optimizer = torch.optim.Adam(net.parameters())
    x, y = torch.randn(*shape), torch.randint(0, 4, (shape[0],))

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return net, optimizer, step


@pytest.mark.parametrize("name", NETS)
def test_the_predicted_peak_is_near_the_measured_one(name):
    net, optimizer, step = made(name)
    for _ in range(2):
        step()
    report = memory_report(step)
    size = sum(p.nbytes for p in net.parameters())
    assert report.parameters >= size  # other tests' modules may still be alive
    assert report.optimizer >= 2 * size
    assert report.gradients >= size
    assert sum(report.by_module().values()) == sum(report.by_line().values()) == report.activations
    assert 0.7 < report.peak / report.measured < 1.3  # functions that run as one free what they keep at their end
    assert report.peak >= report.activations
    assert report.moment in str(report)


@pytest.mark.parametrize("name", NETS)
def test_a_compiled_step_is_reported_by_its_plan(name):
    _, _, step = made(name)
    compiled = torch.compile(step, fullgraph=True)
    for _ in range(3):
        compiled()
    entries = [e for some in compiled.entries.values() for e in some]
    report = memory_report(compiled)
    assert [e for some in compiled.entries.values() for e in some] == entries  # its guards hold still
    (program,) = report.compiled
    assert program.arena == entries[0].program.arena_bytes
    assert 0 < program.alive <= program.arena
    assert 0.9 < report.peak / report.measured < 1.1
    assert "held by" in str(report)


def test_state_is_put_back_into_the_same_dictionaries():
    net, optimizer, step = made("perceptron")
    step()
    held = {p: (s, dict(s)) for p, s in optimizer.state.items()}
    weights = [p.detach().clone() for p in net.parameters()]
    values = [s["exp_avg"].clone() for s in optimizer.state.values()]
    random = torch.get_rng_state()
    memory_report(step)
    assert all(optimizer.state[p] is s and all(s[k] is v for k, v in kept.items()) for p, (s, kept) in held.items())
    assert all(torch.equal(a, b) for a, b in zip(weights, net.parameters(), strict=True))
    assert all(torch.equal(a, s["exp_avg"]) for a, s in zip(values, optimizer.state.values(), strict=True))
    assert torch.equal(random, torch.get_rng_state())
