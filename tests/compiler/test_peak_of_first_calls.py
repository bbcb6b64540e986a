"""The first calls of a compiled step take no more memory than eager ones: nothing that a run has done with is kept."""

import gc
import tracemalloc

import pytest

import retrograd as torch

MIB = 1 << 20
KINDS = {
    "SGD": lambda params: torch.optim.SGD(params, lr=0.01, momentum=0.9),
    "Adam": lambda params: torch.optim.Adam(params, lr=0.01),
    "RMSprop": lambda params: torch.optim.RMSprop(params, lr=0.01, weight_decay=0.1),
}


def peaks(step, batch, calls):
    """Give the most memory that there was at a time in each call, in MiB."""
    found = []
    for _ in range(calls):
        gc.collect()
        tracemalloc.reset_peak()
        step(*batch)
        found.append(tracemalloc.get_traced_memory()[1] / MIB)
    return found


def training(kind, width=512, rows=64, layers=2):
    torch.manual_seed(0)
    parts = [part for _ in range(layers) for part in (torch.nn.Linear(width, width), torch.nn.Tanh())]
    net = torch.nn.Sequential(*parts)
    optimizer = KINDS[kind](net.parameters())

    def step(x, y):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return net, optimizer, step, (torch.randn(rows, width), torch.randn(rows, width))


@pytest.mark.parametrize(
    ("kind", "sizes"), [("SGD", (1024, 64, 2)), ("Adam", (1024, 64, 2)), ("SGD", (32, 16384, 8))], ids=str
)
def test_no_call_takes_more_than_eager_ones(kind, sizes):
    found = {}
    for width, rows, layers in ((32, 32, 2), sizes):  # the first time for what is imported
        for way in ("eager", "compiled"):
            _, _, step, batch = training(kind, width, rows, layers)
            tracemalloc.start()
            try:
                found[way] = peaks(torch.compile(step, fullgraph=True) if way == "compiled" else step, batch, 4)
            finally:
                tracemalloc.stop()
    # a weight, or an activation, is 4 or 2 MiB; a trace that kept what the step computes would hold a dozen of them more
    assert max(found["compiled"]) < found["eager"][-1] + 8, found


def test_values_of_a_captured_step_are_those_of_eager_mode():
    for kind in KINDS:
        nets = []
        for way in ("eager", "compiled"):
            net, optimizer, step, batch = training(kind, 96)
            run = torch.compile(step, fullgraph=True) if way == "compiled" else step
            losses = [run(*batch).item() for _ in range(2)]  # the second is captured
            nets.append((losses, [p.detach().clone() for p in net.parameters()], optimizer.state_dict()["state"]))
        (a, p, s), (b, q, t) = nets
        assert a == b
        for x, y in zip(p, q, strict=True):
            assert torch.allclose(x, y, rtol=1e-6, atol=1e-7)
        for k in s:
            for name in s[k]:
                assert torch.allclose(s[k][name], t[k][name], rtol=1e-6, atol=1e-8), (kind, name)


def test_a_gradient_that_somebody_holds_is_not_written_over():
    net, _, step, batch = training("SGD", 64)
    run = torch.compile(step, fullgraph=True)
    run(*batch)
    run(*batch)
    held, view = net[0].weight.grad, net[2].weight.grad[1]
    before = held.clone(), view.clone()
    for _ in range(4):
        run(*batch)
        assert torch.equal(held, before[0]) and torch.equal(view, before[1])
        assert net[0].weight.grad is not held


@pytest.mark.parametrize("held_from", [2, 3, 4])
def test_gradients_held_at_any_time_stay(held_from):
    net, _, step, batch = training("SGD", 64)
    run = torch.compile(step, fullgraph=True)
    kept = []
    for k in range(8):
        run(*batch)
        if k >= held_from:
            g = net[0].weight.grad
            kept.append(((g, g.numpy(), g.detach())[k % 3], g.clone()))
            del g
    for now, then in kept:
        assert torch.equal(torch.as_tensor(now), then)
