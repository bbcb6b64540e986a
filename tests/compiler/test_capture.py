"""What one run of a step comes to: results that share memory, writes past history, schedulers, numbers, leaves that are arguments."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler import compiled
from retrograd.compiler.runtime import jit
from retrograd.core import MODE

nn, F = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    monkeypatch.setattr(compiled, "STRICT", True)


def quietly(run):
    """Run with warnings recorded; give their texts."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    return [str(w.message) for w in caught]


# -- results that share memory ------------------------------------------------------------------------------------------------
def both(y, *more):
    return (y, *[m(y) for m in more])


SHARING = {
    "row of an argument": lambda x: x[0],
    "argument transposed": lambda x: x.T,
    "argument and its row": lambda x: (x, x[0], x * 2),
    "views of a result": lambda x: both(x * 2, lambda y: y[0], lambda y: y.T),
    "views of what is no result": lambda x: both(x * 2, lambda y: y[0], lambda y: y[1:])[1:],
    "view of a view": lambda x: both(x + 1, lambda y: y[0], lambda y: y[0][1:])[1:],
    "detached": lambda x: both(x * 2, lambda y: y.detach()),
    "argument detached": lambda x: x.detach(),
    "data": lambda x: both(x * 2, lambda y: y.data),
    "parts": lambda x: (x * 2).chunk(2),
    "written through a view": lambda x: both(x * 2, lambda y: y[0].add_(1)),
    "last state": lambda x: both(torch.stack([x[0] * 2, x[1] * 3]), lambda y: y[-1]),
    "argument written": lambda x: x.add_(1)[0],
}


def as_tuple(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


@pytest.mark.parametrize("wanted", [False, True, "computed"], ids=["plain", "with a gradient", "with a history"])
@pytest.mark.parametrize("name", SHARING)
def test_results_that_share_memory(name, wanted):
    if wanted and name == "argument written":
        pytest.skip("a tensor from outside that wants a gradient may not be written")
    computed, wanted = wanted == "computed", bool(wanted)
    fn = SHARING[name]
    f = torch.compile(fn, fullgraph=True)
    for k in range(5):
        torch.manual_seed(k)
        a = torch.randn(3, 4, requires_grad=wanted)
        b = a.detach().clone().requires_grad_(wanted)
        got, want = as_tuple(f(a * 3 if computed else a)), as_tuple(fn(b * 3 if computed else b))
        assert len(got) == len(want)
        for p, q in zip(got, want, strict=True):
            assert torch.equal(p, q)
            assert (p.requires_grad, p.stride()) == (q.requires_grad, q.stride())
        if wanted and any(p.requires_grad for p in got):
            for results in (got, want):
                sum((p * p).sum() for p in results if p.requires_grad).backward()
            assert torch.allclose(a.grad, b.grad)
        if not wanted:
            for results in (got, want):
                results[-1].fill_(7)
            for p, q in zip((*got, a), (*want, b), strict=True):
                assert torch.equal(p, q)
    assert f.made == 1


# -- writes that history does not see ---------------------------------------------------------------------------------------
def minus_data(w, g):
    w.data -= 0.1 * g


def set_data(w, g):
    w.data = w.data - 0.1 * g


def no_grad(w, g):
    with torch.no_grad():
        w[1:] -= 0.1 * g[1:]


WRITES = {  # name: (before the loss, between it and backward, after), and whether it is compiled
    "data": ((None, None, minus_data), True),
    "data, in place": ((None, None, lambda w, g: w.data.sub_(0.1 * g)), True),
    "data, a part": ((None, None, lambda w, g: w.data[:2].sub_(0.1 * g[:2])), True),
    "data, clamped first": ((lambda w, g: w.data.clamp_(-0.5, 0.5), None, None), True),
    "data, filled first": ((lambda w, g: w.data.fill_(0.3), None, None), True),
    "data, one element first": ((lambda w, g: w.data.__setitem__(0, 0.5), None, None), True),
    "data, between": ((None, lambda w, g: w.data.mul_(2), None), False),
    "data, another": ((None, None, set_data), False),
    "detached": ((None, None, lambda w, g: w.detach().sub_(0.1 * g)), True),
    "detached, rows first": ((lambda w, g: w.detach()[1:].mul_(0.5), None, None), True),
    "without grad, a part": ((None, None, no_grad), True),
    "without grad, a part first": ((lambda w, g: no_grad(w, torch.ones(3)), None, None), True),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes_past_history(name):
    (first, between, last), compiles = WRITES[name]

    def make():
        torch.manual_seed(0)
        w = torch.randn(3, requires_grad=True)

        def step(x):
            if first:
                first(w, None)
            loss = ((w * w * x).sum() - 1) ** 2
            if between:
                between(w, None)
            loss.backward()
            g, w.grad = w.grad, None
            if last:
                last(w, g)
            return loss, g

        return step, w

    (eager, w), (step, v) = make(), make()
    f = torch.compile(step)

    def run():
        for k in range(6):
            x = torch.full((3,), 0.1 * k)
            for p, q in zip((*eager(x), w), (*f(x), v), strict=True):
                np.testing.assert_allclose(q.detach().numpy(), p.detach().numpy(), rtol=1e-5, atol=1e-6)
            assert v.is_leaf
            assert v.requires_grad

    messages = quietly(run)
    assert (f.made == 1) is compiles
    assert len(messages) == (not compiles)


# -- schedulers -----------------------------------------------------------------------------------------------------------------
S = torch.optim.lr_scheduler
SCHEDULERS = {
    "steps": lambda o: S.StepLR(o, 3, 0.5),
    "cosine": lambda o: S.CosineAnnealingLR(o, 20),
    "one cycle": lambda o: S.OneCycleLR(o, 0.2, total_steps=40),
    "a function": lambda o: S.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "two in turn": lambda o: S.SequentialLR(o, [S.ConstantLR(o, 0.5, 3), S.ExponentialLR(o, 0.9)], [4]),
    "with restarts": lambda o: S.CosineAnnealingWarmRestarts(o, 5),
}


def parts(make):
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    return net, optimizer, make(optimizer)


def stepped(net, o, s):
    def step(x):
        o.zero_grad()
        loss = net(x).pow(2).mean()
        loss.backward()
        o.step()
        s.step()
        return loss

    return step


def stepped_first(net, o, s):
    def step(x):
        s.step()
        o.zero_grad()
        loss = net(x).pow(2).mean()
        loss.backward()
        o.step()
        return loss

    return step


def stepped_and_read(net, o, s):
    def step(x):
        o.zero_grad()
        loss = net(x).pow(2).mean()
        loss.backward()
        o.step()
        s.step()
        return loss * s.get_last_lr()[0]

    return step


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("order", [stepped, stepped_first, stepped_and_read], ids=lambda f: f.__name__)
def test_a_scheduler_inside_the_step(name, order):
    eager, mine = parts(SCHEDULERS[name]), parts(SCHEDULERS[name])
    step, f = order(*eager), torch.compile(order(*mine))

    def run():
        for k in range(12):
            x = torch.full((4, 3), 0.1 * k + 0.1)
            np.testing.assert_allclose(f(x).item(), step(x).item(), rtol=1e-5)
            assert mine[2].last_epoch == eager[2].last_epoch
            assert mine[2].get_last_lr() == eager[2].get_last_lr()
        assert torch.allclose(mine[0].weight, eager[0].weight)

    messages = [m for m in quietly(run) if "eagerly" in m or "in pieces" in m]
    assert bool(f.made) is (order is stepped)
    assert len(messages) == (order is not stepped)


# -- whole numbers ------------------------------------------------------------------------------------------------------------
class Counter:
    n = 1


INPUTS = {
    "times": lambda x, n: x * n,
    "plus": lambda x, n: (x + n).sum(),
    "over": lambda x, n: x / n,
    "minus": lambda x, n: n - x,
    "of whole tensors": lambda x, n: x.long() * n,
    "where": lambda x, n: torch.where(x > 1, n, x),
    "computed with": lambda x, n: x * (2 * n + 1) / (n + 1),
    "compared": lambda x, n: (x > n) * n,
    "base": lambda x, n: n**x,
    "written": lambda x, n: x.clone().mul_(n).add_(n),
    "beside the same number": lambda x, n: (x * n + 3) * 3 + 4 * x,
}
GUARDED = {
    "slice": lambda x, n: x[: n % 3],
    "loop": lambda x, n: sum(x * i for i in range(n)),
    "branch": lambda x, n: x * 2 if n > 4 else x * n,
    "modulo": lambda x, n: x.long() % n,
    "tensor": lambda x, n: x * torch.tensor(n),
    "shape": lambda x, n: x.expand(n, 3).sum(),
    "filled": lambda x, n: x * torch.full((3,), n),
}


@pytest.mark.parametrize("name", [*INPUTS, *GUARDED])
def test_a_whole_number_that_changes(name):
    fn = {**INPUTS, **GUARDED}[name]
    counter = Counter()
    counter.n = 1
    f = torch.compile(lambda x: fn(x, counter.n))

    def run():
        for k in range(12 if name in INPUTS else 6):
            x = torch.tensor([0.5, 1.5, 3.5]) + 0.1 * k
            got, want = f(x), fn(x, counter.n)
            if isinstance(want, torch.Tensor):
                assert got.dtype == want.dtype
                assert torch.allclose(got, want, rtol=1e-5)
            else:
                assert got == want
            counter.n += 1

    assert not quietly(run)
    if name in INPUTS:
        assert f.made <= 3


def test_two_numbers_that_were_equal():
    a, b = Counter(), Counter()
    f = torch.compile(lambda x: x * a.n + b.n)
    for first, second in [(1, 1), (1, 1), (2, 2), (2, 2), (3, 3), (3, 3), (4, 7), (5, 5), (9, 2)]:
        a.n, b.n = first, second
        assert torch.equal(f(torch.ones(2)), torch.ones(2) * first + second)


# -- leaves ---------------------------------------------------------------------------------------------------------------------
def walked(x, y):
    loss = ((x * y) ** 2).sum()
    loss.backward()
    return loss


def attack(x, y):
    x = x.detach().requires_grad_()
    ((x * y) ** 2).sum().backward()
    return x + 0.1 * x.grad.sign()


def projected(x, y):
    d = torch.zeros_like(x, requires_grad=True)
    for _ in range(3):
        (((x + d) * y) ** 2).sum().backward()
        with torch.no_grad():
            d += 0.1 * d.grad.sign()
            d.clamp_(-0.2, 0.2)
        d.grad.zero_()
    return (x + d).detach()


def projected_anew(x, y):
    d = torch.zeros_like(x)
    for _ in range(3):
        d = d.detach().requires_grad_(True)
        (((x + d) * y) ** 2).sum().backward()
        d = (d + 0.1 * d.grad.sign()).clamp(-0.2, 0.2)
    return (x + d).detach()


@pytest.mark.parametrize("fn", [attack, projected, projected_anew], ids=lambda f: f.__name__)
def test_leaves_made_inside(fn):
    f = torch.compile(fn, fullgraph=True)
    for k in range(5):
        torch.manual_seed(k)
        x, y = torch.randn(3), torch.randn(3)
        assert torch.allclose(f(x, y), fn(x, y))
    assert f.made == 1


def test_another_leaf_at_each_call_has_its_own_gradient():
    f = torch.compile(walked, fullgraph=True)
    for k in range(5):
        torch.manual_seed(k)
        x, y = torch.randn(3, requires_grad=True), torch.randn(3)
        f(x, y)
        assert torch.allclose(x.grad, 2 * x * y * y)
    assert f.made == 1
    for k in range(4):  # one that has a gradient already
        f(x, y)
        assert torch.allclose(x.grad, (k + 2) * 2 * x * y * y)


def told(x, y):
    x.requires_grad_()
    return walked(x, y)


def own(x, y):
    z = (x * y).detach().requires_grad_()
    walked(z, y)
    return z


@pytest.mark.parametrize("fn", [told, own], ids=lambda f: f.__name__)
def test_leaves_that_outlive_the_call_stay_eager(fn):
    f = torch.compile(fn)

    def run():
        for k in range(5):
            torch.manual_seed(k)
            x, y = torch.randn(3), torch.randn(3)
            z = x if fn is told else None
            result = f(x, y)
            z = result if z is None else z
            assert z.is_leaf
            assert torch.allclose(z.grad, 2 * z * y * y)

    assert len(quietly(run)) == 1
    assert not f.made


# -- derivatives of derivatives -----------------------------------------------------------------------------------------------
def penalty_run(wrapped):
    """Twenty steps of a small WGAN with a gradient penalty (Gulrajani et al., 2017)."""
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    critic = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    g_better = torch.optim.Adam(generator.parameters(), lr=1e-2, betas=(0.5, 0.9))
    c_better = torch.optim.Adam(critic.parameters(), lr=1e-2, betas=(0.5, 0.9))

    def judge(real):
        fake = generator(torch.randn(real.shape)).detach()
        share = torch.rand(len(real), 1)
        mixed = (share * real + (1 - share) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
        loss = critic(fake).mean() - critic(real).mean() + 10 * (slope.norm(dim=1) - 1).pow(2).mean()
        c_better.zero_grad()
        loss.backward()
        c_better.step()
        return loss

    def make(count):
        loss = -critic(generator(torch.randn(count, 2))).mean()
        g_better.zero_grad()
        loss.backward()
        g_better.step()
        return loss

    judge, make = wrapped(judge), wrapped(make)
    losses = []
    for _ in range(20):
        real = torch.randn(8, 2) * 0.5 + 1
        losses.append([judge(real).item(), make(8).item()])
    weights = [p.detach().numpy() for p in itertools.chain(generator.parameters(), critic.parameters())]
    return np.array(losses), weights, (judge, make)


def test_a_gradient_penalty_is_compiled():
    losses, weights, _ = penalty_run(lambda f: f)
    got, found, steps = penalty_run(torch.compile(fullgraph=True))
    np.testing.assert_allclose(got, losses, rtol=2e-3, atol=1e-4)
    for a, b in zip(found, weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-3, atol=2e-3)
    assert [s.made for s in steps] == [1, 1]


def test_iterators_made_inside_are_compiled():
    net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh())

    def step(x):
        layers = iter(net)
        y = next(layers)(x.to(next(net.parameters()).device))
        return next(layers)(y) * next((k for k in (1, 2, 3) if k > 1), 0)

    f, x = torch.compile(step, fullgraph=True), torch.randn(2, 4)
    for _ in range(4):
        assert torch.allclose(f(x), step(x), rtol=1e-5, atol=1e-6)
    assert f.made == 1


def test_a_hessian_is_compiled():
    def step(x, v):
        x = x.detach().requires_grad_()
        (g,) = torch.autograd.grad((torch.sin(x) * x.exp()).sum(), x, create_graph=True)
        (h,) = torch.autograd.grad((g * v).sum(), x, create_graph=True)
        (third,) = torch.autograd.grad(h.sum(), x)
        return g.detach(), h.detach(), third

    f = torch.compile(step, fullgraph=True)
    for k in range(4):
        torch.manual_seed(k)
        x, v = torch.randn(5), torch.randn(5)
        for a, b in zip(f(x, v), step(x, v), strict=True):
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)
    assert f.made == 1


def test_calls_before_the_program_compile_nothing_for_eager_mode(monkeypatch):
    """The program has all that they compute; what eager mode has already is used."""
    seen = []
    assemble = jit.assemble

    def counted(text, name="kernel", passes=False):
        seen.append(name)
        return assemble(text, name, passes)

    x, w = torch.randn(333, 301), torch.randn(301, 299)
    want = torch.tanh(x.double() @ w.double()).erf().sum(1).numpy()
    monkeypatch.setenv("RETROGRAD_CACHE", "off")
    monkeypatch.setattr(jit, "assemble", counted)
    f = torch.compile(lambda x, w: torch.tanh(x @ w).erf().sum(1), fullgraph=True)
    first = f(x, w)
    assert not [name for name in seen if name == "program" or name.startswith(("tile", "pack"))]
    for found in (first, f(x, w), f(x, w)):
        np.testing.assert_allclose(found.numpy(), want, rtol=1e-4, atol=1e-3)
    assert seen.count("program") == 1
    assert not MODE.aside
