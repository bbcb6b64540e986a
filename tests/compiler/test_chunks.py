"""Products in chunks of rows whose results go on into memory that they read: each row is taken once, whatever the chunks leave over."""

from __future__ import annotations

import pytest

import retrograd as torch
from retrograd import nn

ROWS = [33, 40, 47, 52, 53, 60, 64, 65, 72, 80, 90, 100, 104, 127, 128]


@pytest.mark.parametrize(("inner", "columns"), [(128, 128), (256, 100)])
def test_updates_in_place_take_each_row_once(inner, columns):
    torch.manual_seed(0)
    first = [torch.randn(m, columns) for m in ROWS]
    left, right = [torch.randn(m, inner) for m in ROWS], [torch.randn(inner, columns) for _ in ROWS]
    held = [w.clone() for w in first]

    def update():
        for w, a, b in zip(held, left, right, strict=True):
            w.sub_(a @ b, alpha=0.1)

    compiled = torch.compile(update, fullgraph=True)
    for _ in range(4):
        for w, before in zip(held, first, strict=True):
            w.copy_(before)
        compiled()
        for w, before, a, b in zip(held, first, left, right, strict=True):
            assert torch.allclose(w, before - 0.1 * (a @ b), atol=1e-4), tuple(w.shape)
    (entry,) = [e for some in compiled.entries.values() for e in some]
    assert any(getattr(s, "chunks", 1) > 1 for s in entry.program.steps)  # else nothing is tested


@pytest.mark.parametrize("width", [64, 90])
def test_a_trained_net_goes_as_in_eager_mode(width):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(width, 256), nn.Tanh(), nn.Linear(256, width))
    start = {k: v.clone() for k, v in net.state_dict().items()}
    x = torch.randn(256, width)

    def trained(compiled):
        net.load_state_dict(start)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

        def step(x):
            optimizer.zero_grad()
            loss = ((x + net(x)) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        run = torch.compile(step, fullgraph=True) if compiled else step
        losses = [run(x).item() for _ in range(6)]
        return losses, [p.detach().clone() for p in net.parameters()]

    (eager, mine), (compiled, theirs) = trained(False), trained(True)
    assert compiled == pytest.approx(eager, rel=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize(
    ("shape", "over"),
    [((65536, 16), 0), ((9000, 33), 0), ((40, 3000, 20), (0, 1)), ((40, 3000, 20), 1), ((12, 50, 400, 5), (1, 2))],
)
def test_sums_over_many_rows_stay_in_registers_in_each_chunk(shape, over):
    """The rows are shared out, each chunk has sums of its own, and bits do not depend on threads."""
    torch.manual_seed(0)
    x = torch.randn(*shape)
    run = torch.compile(lambda x: (x.sum(over), (x * x).sum(over), torch.amax(x, over), x * 2))
    for _ in range(3):
        run(x)
    before = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(run(x))
    finally:
        torch.set_num_threads(before)
    wide = x.to(torch.float64)
    for made, exact in zip(found[0], (wide.sum(over), (wide * wide).sum(over), torch.amax(wide, over), wide * 2)):
        assert float((made.to(torch.float64) - exact).abs().max()) < 1e-5 * max(1.0, float(exact.abs().max())) * 10
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(others, found[0]))
