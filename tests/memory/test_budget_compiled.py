"""Budgets in compiled code: what a program needs is known before it runs, stays within the budget, and gives the same gradients."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import retrograd as torch
from retrograd import nn
from retrograd.compiler import compiled
from retrograd.compiler.capture import Captured
from retrograd.compiler.lifetimes import Lifetimes, bytes_of_run
from retrograd.compiler.passes import optimise
from retrograd.compiler.program import Program
from retrograd.core import REGISTRY
from retrograd.memory import BudgetError, Counter, memory_budget
from retrograd.memory.budget import Library, bytes_there
from retrograd.memory.compiled import Fitted, forms
from retrograd.utils.checkpoint import checkpoint

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from memory_nets import nets, residual


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    monkeypatch.setattr(compiled, "STRICT", True)


def own(budget):
    budget.library = Library(budget.bytes)
    return budget


def programs(function):
    found = [e for f in function.bounds.values() for some in f.entries.values() for e in some]
    return [p for e in found for p in (e.program, getattr(e, "backward", None)) if p is not None]


def captured(net, loss):
    """Give a training step's graph, its targets, and the arrays that it runs on."""

    def step():
        net.zero_grad()
        found = loss()
        found.backward()
        return found

    function = torch.compile(step)
    for _ in range(2):
        function()
    (entry,) = [e for some in function.entries.values() for e in some]
    return entry.program.graph, entry.targets, [t._a.copy() for t in entry.captured.inputs]


NETS = ["MLP", "LeNet", "GPT", "U-Net", "residual", "dropout"]


@pytest.mark.parametrize("name", NETS)
def test_programs_stay_within_budgets_and_give_the_same_gradients(name):
    torch.manual_seed(0)
    if name == "residual":
        net, x = residual(7, 16), torch.randn(2048, 16)
        loss = lambda: (net(x) ** 2).mean()
    elif name == "dropout":
        net = nn.Sequential(*[m for _ in range(6) for m in (nn.Linear(32, 32), nn.ReLU(), nn.Dropout(0.2))])
        x = torch.randn(512, 32)
        loss = lambda: (net(x) ** 2).mean()
    else:
        net, loss = nets()[name]
    graph, targets, values = captured(net, loss)
    measure = lambda g: bytes_of_run(g, targets)
    found = Fitted(0, forms(graph, targets, measure, (), ()))
    torch.manual_seed(5)
    plain, drawn = Program(graph, targets, optimised=True)(values), torch.rand(9)
    whole, least = found.forms[0].bytes, found.smallest
    assert least <= whole
    if name in ("MLP", "GPT", "residual", "dropout"):
        assert least < 0.7 * whole
    last = whole
    for room in np.linspace(whole, least, 12).astype(int):
        form = found.choose(int(room))
        assert form.bytes <= min(room, last)
        last = form.bytes
    for form in {id(f): f for f in (found.forms[1:2] + [found.choose(int(least))])}.values():
        program = Program(form.graph, targets, optimised=True)
        torch.manual_seed(5)
        with Counter() as counter:
            results = program(values)
        assert torch.equal(torch.rand(9), drawn)
        assert program.arena_bytes + sum(r.nbytes for r in results) == form.bytes
        assert counter.peak <= form.bytes - program.arena_bytes + 4096
        for a, b in zip(results, plain, strict=True):
            if name == "U-Net":  # a sum stands apart from the products that it adds unrounded elsewhere
                assert np.abs(a - b).max() <= 5e-7 * np.abs(b).max()
            else:
                np.testing.assert_array_equal(a, b)
    again = sum(s.label.endswith("again") for s in program.steps)
    assert (again > 0) is (name == "dropout")
    assert found.choose(int(least) - 64) is None


def test_a_step_under_budgets():
    torch.manual_seed(0)
    net, x = residual(8, 16), torch.randn(2048, 16)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)

    def step():
        optimizer.zero_grad()
        loss = (net(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    step()
    plain = [p.grad.clone() for p in net.parameters()]
    function = torch.compile(step)

    def run(size):
        budget = own(memory_budget(size))
        for _ in range(3):
            with budget:
                function()
        base = bytes_there()
        with Counter() as counter, budget:
            function()
        for p, g in zip(net.parameters(), plain, strict=True):
            assert torch.allclose(p.grad, g, rtol=1e-5, atol=1e-7)
        return budget, base + programs(function)[-1].arena.nbytes + counter.peak

    whole, peak = run("1GB")
    assert peak <= whole.choices()[0][0] * 1.03
    assert "computed again: 0 operations" in whole.show()
    assert "as estimated" in whole.show()
    assert "smallest possible" in whole.show()
    sizes = [b for b, _ in whole.choices()]
    assert sizes == sorted(sizes, reverse=True)
    assert [s for _, s in whole.choices()] == sorted(s for _, s in whole.choices())
    base = whole.library.programs[-1].base
    assert sizes[-1] == whole.smallest
    assert whole.smallest - base < 0.7 * (sizes[0] - base)
    middle = (sizes[0] + sizes[-1]) // 2
    tight, peak = run(middle)
    assert peak <= middle * 1.03
    assert "memory_nets.py" in tight.show()
    assert "on the way back" in tight.show() or "forward" in tight.show()
    with pytest.raises(BudgetError, match="Give at least") as caught:
        run(10_000)
    assert caught.value.smallest == pytest.approx(whole.smallest, rel=0.1)  # another program holds gradients meanwhile


@pytest.mark.parametrize("to_none", [True, False])
def test_a_program_keeps_no_gradients_besides_those_that_are_there(to_none):
    torch.manual_seed(0)
    net, x = residual(4, 64), torch.randn(64, 64)

    def step():
        net.zero_grad(set_to_none=to_none)
        loss = (net(x) ** 2).mean()
        loss.backward()
        return loss

    step()
    plain = [p.grad.clone() for p in net.parameters()]
    before = bytes_there()
    function = torch.compile(step)
    for _ in range(4):
        loss = function()
    assert all(torch.allclose(p.grad, g, rtol=1e-4, atol=1e-6) for p, g in zip(net.parameters(), plain, strict=True))
    assert loss.item() > 0
    assert bytes_there() < before + 20_000


def test_of_a_compiled_module_before_training():
    torch.manual_seed(0)
    net, x = residual(8, 16), torch.randn(2048, 16)
    loss = lambda model: (model(x) ** 2).mean()
    loss(net).backward()
    plain = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    module = torch.compile(net)
    whole = memory_budget(module, "1GB", x)
    assert all(p.grad is None for p in net.parameters())
    with whole:
        loss(module).backward()
    unbounded = [p.grad.clone() for p in net.parameters()]
    size = (whole.choices()[0][0] + whole.smallest) // 2
    tight = memory_budget(module, size, x)
    for _ in range(2):
        net.zero_grad()
        with tight:
            loss(module).backward()
        assert all(
            torch.allclose(p.grad, g, rtol=1e-5, atol=1e-7) for p, g in zip(net.parameters(), plain, strict=True)
        )
        assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), unbounded, strict=True))
    forward, backward = programs(module._compiled)[-2:]
    held = sum(n.type.nbytes for n in forward.graph.outputs)
    made = sum(n.type.nbytes for n in backward.graph.outputs)
    assert forward.arena_bytes + backward.arena_bytes + held + made <= size - tight.library.programs[-1].base
    with pytest.raises(BudgetError):
        memory_budget(module, whole.smallest // 2, x)


@pytest.mark.parametrize("whole", [True, False], ids=["step", "module"])
def test_checkpoints_in_compiled_code_are_computed_again(whole):
    found = {}
    for use in (False, True):
        torch.manual_seed(0)
        parts = [
            nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Dropout(0.1), nn.Linear(32, 32), nn.Tanh()) for _ in range(6)
        ]
        net, x = nn.ModuleList(parts), torch.randn(256, 32)

        def loss(x, net=net, use=use):
            for part in net:
                x = checkpoint(part, x, use_reentrant=False) if use else part(x)
            return x.pow(2).mean()

        def step(x, net=net, loss=loss):
            net.zero_grad()
            found = loss(x)
            found.backward()
            return found

        function = torch.compile(step if whole else loss, fullgraph=True)
        for k in range(4):
            torch.manual_seed(k)
            net.zero_grad()
            result = function(x)
            if not whole:
                result.backward()
        (entry,) = [e for some in function.entries.values() for e in some]
        assert any(n.op is REGISTRY["after"] for n in (entry.program if whole else entry.backward).graph.nodes) is use
        held = entry.program.arena_bytes
        if not whole:
            held += entry.backward.arena_bytes + sum(n.type.nbytes for n in entry.halves.saved)
        found[use] = held, [p.grad.clone() for p in net.parameters()], result.item()
    assert found[True][0] < 0.8 * found[False][0]
    for a, b in zip(found[True][1], found[False][1], strict=True):  # sums may stand behind another product
        assert torch.allclose(a, b, rtol=0, atol=1e-6 * float(b.abs().max()))
    assert found[True][2] == found[False][2]


def test_nested_checkpoints_and_functions_of_several_results():
    w = nn.Parameter(torch.randn(16, 16) * 0.3)

    def inner(x):
        return torch.tanh(x @ w), torch.sigmoid(x) * 2

    def outer(x, y):
        a, b = checkpoint(inner, x + y, use_reentrant=False)
        return torch.tanh(a @ w) * b

    def step(x):
        w.grad = None
        y = checkpoint(outer, x, x * 0.5, use_reentrant=False)
        y = checkpoint(outer, y, x, use_reentrant=False)
        loss = y.pow(2).sum()
        loss.backward()
        return loss

    x = torch.randn(128, 16)
    expected = step(x), w.grad.clone()
    function = torch.compile(step, fullgraph=True)
    for _ in range(4):
        loss = function(x)
    assert torch.allclose(loss, expected[0])
    assert torch.allclose(w.grad, expected[1], rtol=1e-4, atol=1e-5)


def test_what_comes_after_is_not_scheduled_before():
    x = torch.randn(64, 256)
    w = torch.randn(256, 256)

    def chain(x):
        first = torch.tanh(x @ w)
        late = torch.tanh((first * 2) @ w).sum()
        again = torch.tanh(torch.tensor_after(x, late) @ w)
        return (again * late).sum()

    after = REGISTRY["after"]
    torch_after = lambda x, gate: __import__("retrograd.core", fromlist=["apply"]).apply(after, x, gate)
    chain.__globals__["torch"] = torch
    torch.tensor_after = torch_after
    try:
        graph = Captured(chain, (x,), {}, [x], [], []).graph
    finally:
        del torch.tensor_after
    lives = Lifetimes(optimise(graph), [None])
    products = [n for n in lives.graph.nodes if n.op is not None and n.op.name == "matmul"]
    assert len(products) == 3  # the second computation of the first product is one of its own
    times = sorted(lives.at[n] for n in products)
    gated = next(n for n in products if any(i.op is after for i in n.inputs))
    assert lives.at[gated] == times[-1]


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x + 1,
        lambda x: x,
        lambda x: torch.linalg.qr(x @ x.T)[0].sum() + (x @ x.T).tanh().sum(),
        lambda x: x[:, :3].sum(0),
        lambda x: torch.dropout(x, 0.5, True).exp().sum(1),
    ],
    ids=["add", "same", "several", "view", "draw"],
)
def test_functions_of_every_kind_within_a_budget(fn):
    x = torch.randn(8, 8)
    function = torch.compile(fn)
    budget = own(memory_budget("1MB"))
    for k in range(4):
        torch.manual_seed(k)
        with budget:
            result = function(x)
        torch.manual_seed(k)
        assert torch.allclose(result, fn(x), atol=1e-5)
    assert budget.smallest <= 1_000_000
    assert budget.choices()
    assert "budget 1.0 MB" in budget.show()
