"""Stable forms: what overflows as it is written, and its gradient, is finite and right when it is compiled."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from compiler.test_passes import check, graph_of, names
from retrograd.compiler import compiled, passes
from retrograd.compiler.passes.stable import stable_forms
from retrograd.compiler.passes.writes import remove_copies

F = torch.nn.functional
WANTED = torch.tensor([0, 1, 1])
ROWS = torch.arange(3)


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    monkeypatch.setattr(compiled, "STRICT", True)


def shares(x):
    e = torch.exp(x)
    return e / e.sum(1)[:, None]


FORMS = {  # as it is written, and a form that is right everywhere
    "sigmoid": (lambda x: 1 / (1 + torch.exp(-x)), torch.sigmoid),
    "sigmoid, reciprocal": (lambda x: (torch.exp(-x) + 1).reciprocal(), torch.sigmoid),
    "sigmoid, quotient": (lambda x: torch.exp(x) / (1 + torch.exp(x)), torch.sigmoid),
    "silu": (lambda x: x / (1 + torch.exp(-x)), F.silu),
    "softplus": (lambda x: torch.log(1 + torch.exp(x)), F.softplus),
    "softplus, log1p": (lambda x: torch.log1p(torch.exp(x)), F.softplus),
    "log of a sigmoid": (lambda x: torch.log(torch.sigmoid(x)), F.logsigmoid),
    "log of the rest": (lambda x: torch.log(1 - torch.sigmoid(x)), lambda x: F.logsigmoid(-x)),
    "log of a written sigmoid": (lambda x: -torch.log(1 / (1 + torch.exp(-x))), lambda x: F.softplus(-x)),
    "two classes": (
        lambda x: -(0.3 * torch.log(torch.sigmoid(x)) + 0.7 * torch.log(1 - torch.sigmoid(x))),
        lambda x: -(0.3 * F.logsigmoid(x) + 0.7 * F.logsigmoid(-x)),
    ),
    "log softmax": (lambda x: torch.log(F.softmax(x, 1)), lambda x: F.log_softmax(x, 1)),
    "log softmax of columns": (lambda x: torch.log(F.softmax(x, 0)), lambda x: F.log_softmax(x, 0)),
    "log likelihood, gathered": (
        lambda x: -torch.log(F.softmax(x, 1).gather(1, WANTED[:, None])),
        lambda x: F.cross_entropy(x, WANTED, reduction="none")[:, None],
    ),
    "log likelihood, indexed": (
        lambda x: -torch.log(F.softmax(x, 1)[ROWS, WANTED]),
        lambda x: F.cross_entropy(x, WANTED, reduction="none"),
    ),
    "softmax": (lambda x: torch.exp(x) / torch.exp(x).sum(1, keepdim=True), lambda x: F.softmax(x, 1)),
    "softmax, new dimension": (shares, lambda x: F.softmax(x, 1)),
    "log of a written softmax": (lambda x: torch.log(shares(x)), lambda x: F.log_softmax(x, 1)),
    "likelihood of a written softmax": (
        lambda x: -torch.log(shares(x)[ROWS, WANTED]),
        lambda x: F.cross_entropy(x, WANTED, reduction="none"),
    ),
    "logsumexp": (lambda x: torch.log(torch.exp(x).sum(1)), lambda x: torch.logsumexp(x, 1)),
    "logsumexp of all": (lambda x: torch.log(torch.exp(x).sum()), lambda x: torch.logsumexp(x, (0, 1))),
    "log of a mean": (lambda x: torch.log(torch.exp(x).mean(1)), lambda x: torch.logsumexp(x, 1) - float(np.log(4))),
    "minus logsumexp": (lambda x: x - torch.log(torch.exp(x).sum(1, keepdim=True)), lambda x: F.log_softmax(x, 1)),
    "logaddexp": (
        lambda x: torch.log(torch.exp(x[:, :2]) + torch.exp(x[:, 2:])),
        lambda x: torch.logaddexp(x[:, :2], x[:, 2:]),
    ),
    "share of two": (
        lambda x: torch.exp(x[:, :2]) / (torch.exp(x[:, :2]) + torch.exp(x[:, 2:])),
        lambda x: torch.sigmoid(x[:, :2] - x[:, 2:]),
    ),
    "log of a product": (lambda x: torch.log(torch.exp(x) * torch.exp(2 * x)), lambda x: 3 * x),
}
MILD = np.array([[0.3, -1.2, 0.5, 2.0], [1.0, 2, 3, 4], [-1, -0.5, 0.1, 0]], np.float32)
WILD = np.array([[1000, -1000, 0, 500], [0, -90, -120, 88], [-200, -200.5, -200, -201]], np.float32)


def course(fn, a):
    x = torch.tensor(a, requires_grad=True)
    out = fn(x)
    (out * (torch.arange(out.numel()).reshape(out.shape) + 1.0)).sum().backward()
    return out.detach().double().numpy(), x.grad.double().numpy()


def agrees(got, want):
    return all(
        np.isfinite(a).all() and np.allclose(a, b, rtol=3e-5, atol=2e-5 * max(1.0, 0.05 * abs(b).max()))
        for a, b in zip(got, want, strict=True)
    )


@pytest.mark.filterwarnings("ignore:.*encountered")
@pytest.mark.parametrize("name", FORMS)
def test_overflow_is_met_nowhere(name):
    written, right = FORMS[name]
    f = torch.compile(lambda x: written(x), fullgraph=True)
    for a in (MILD, MILD, MILD, WILD, 100 * MILD):
        got = course(f, a)
        if a is not MILD or f.made:
            assert agrees(got, course(right, a.astype(np.float64)))
    if name != "log of a product":
        assert not agrees(course(written, WILD), course(right, WILD.astype(np.float64)))


@pytest.mark.filterwarnings("ignore:.*encountered")
def test_a_whole_step():
    def losses(wrapped, loss_of):
        torch.manual_seed(0)
        net = torch.nn.Linear(4, 4)
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-5)

        @wrapped
        def step(x):
            optimizer.zero_grad()
            loss = loss_of(net(x))
            loss.backward()
            optimizer.step()
            return loss

        found = [step(torch.tensor(a)).item() for a in (MILD, MILD, WILD, WILD, WILD)]
        return np.array([*found, *net.weight.detach().flatten().tolist()])

    written, right = (lambda x: -torch.log(shares(x)[ROWS, WANTED]).mean()), (lambda x: F.cross_entropy(x, WANTED))
    wanted = losses(lambda f: f, right)
    np.testing.assert_allclose(losses(torch.compile(fullgraph=True), written), wanted, rtol=1e-4)
    assert not np.isfinite(losses(lambda f: f, written)).all()


KEPT = {  # what has nothing to gain stays as it is
    "softmax": lambda x: F.softmax(x, 1),
    "log softmax": lambda x: F.log_softmax(x, 1),
    "logsumexp": lambda x: torch.logsumexp(x, 1),
    "gate": lambda x: torch.sigmoid(x) * torch.tanh(x) + (1 - torch.sigmoid(x)) * x,
    "gaussian": lambda x: torch.exp(-0.5 * x * x) / 2.5,
    "log of a sum": lambda x: torch.log(x + 1e-8),
    "own quotient": lambda x: x / x,
}


@pytest.mark.parametrize("name", KEPT)
def test_what_has_nothing_to_gain_is_kept(name):
    def fn(x):
        x.requires_grad_()
        out = KEPT[name](x)
        return (out, *torch.autograd.grad(out.sum(), x))

    graph, values = graph_of(fn, (3, 4))
    graph = remove_copies(graph)
    assert sorted(names(check(stable_forms, graph, values))) == sorted(names(graph))


def test_what_may_be_zero_is_not_cancelled():
    f = torch.compile(lambda x: x * torch.sigmoid(x) / x, fullgraph=True)
    for _ in range(4):
        with np.errstate(all="ignore"):
            assert torch.isnan(f(torch.zeros(2))).all()


def test_it_is_in_the_pipeline_before_what_hides_the_forms():
    assert passes.PIPELINE.index(stable_forms) == 1
