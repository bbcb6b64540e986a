"""What crosses from the forward part to the backward part of a compiled function: fewest bytes, and the same gradients."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

import retrograd as torch
from compiler.test_programs import drawn
from retrograd.compiler import compiled
from retrograd.compiler.flow import Network
from retrograd.compiler.lowering.maps import VIEWS
from retrograd.core import wrap

nn, F = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    monkeypatch.setattr(compiled, "STRICT", True)


# -- the flow -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(30))
def test_a_flow_is_as_large_as_the_smallest_cut(seed):
    choices = random.Random(seed)
    n = choices.choice([2, 4, 6, 8])
    edges = [(a, b, choices.randrange(9)) for a in range(n) for b in range(n) if a != b and choices.random() < 0.5]
    network = Network(n)
    for e in edges:
        network.edge(*e)
    flow = network.flow(0, n - 1)
    sides = [
        {n - 1, *[k + 1 for k, far in enumerate(bits) if far]}
        for bits in itertools.product((False, True), repeat=n - 2)
    ]
    sizes = [sum(c for a, b, c in edges if a not in far and b in far) for far in sides]
    assert flow == min(sizes)
    smallest = [far for far, size in zip(sides, sizes, strict=True) if size == flow]
    assert network.behind(n - 1) == set.intersection(*smallest)


def test_a_long_network_does_not_recurse():
    network = Network(5000)
    for k in range(4999):
        network.edge(k, k + 1, 5000 - k)
    assert network.flow(0, 4999) == 2


# -- what is handed over -----------------------------------------------------------------------------------------------------
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(16, 48)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        a = (q @ k.transpose(-1, -2)) * 0.25
        return a.masked_fill(torch.triu(torch.ones(8, 8), 1) != 0, float("-inf")).softmax(-1) @ v


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(16), Attention()
        self.up, self.down = nn.Linear(16, 64), nn.Linear(64, 16)

    def forward(self, x):
        x = x + self.attention(self.norm(x))
        return x + self.down(F.gelu(self.up(x)))


class Recurrence(nn.Module):
    def __init__(self):
        super().__init__()
        self.gates = nn.Linear(16, 48)

    def forward(self, x):
        h = c = torch.zeros(x.shape[0], 16)
        for t in range(x.shape[1]):
            i, f, o = self.gates(h + x[:, t]).chunk(3, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i)
            h = torch.sigmoid(o) * torch.tanh(c)
        return h


MODULES = {  # and the part of the bytes of before that is enough, at most
    "relu": (lambda: nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)), 1.0),
    "gelu": (lambda: nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 4)), 0.5),
    "silu": (lambda: nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 4)), 0.7),
    "chain": (lambda: nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Softplus(), nn.SiLU(), nn.Linear(32, 4)), 0.6),
    "layer norm": (lambda: nn.Sequential(nn.Linear(16, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 4)), 0.6),
    "dropout": (lambda: nn.Sequential(nn.Linear(16, 32), nn.Dropout(0.5), nn.GELU(), nn.Linear(32, 4)), 0.8),
    "attention": (Attention, 1.0),
    "block": (Block, 0.7),
    "recurrence": (Recurrence, 0.9),
}


def halves_of(module):
    (entries,) = module._compiled.entries.values()
    return entries[0].halves


def handed(nodes):
    return sum(n.type.nbytes for n in nodes)


def before(halves):
    """Everything that late nodes read, through views, is handed over."""
    saved, seen, todo = set(), set(), list(halves.gradients)
    while todo:
        n = todo.pop()
        if n in seen or n in halves.graph.constants:
            continue
        seen.add(n)
        if n in halves.late:
            todo.extend(n.inputs)
        elif n.op is None:
            if n in halves.written:
                saved.add(n)
        elif n.op.impure or (n in halves.early and n.op.name not in VIEWS):
            saved.add(n)
        else:
            todo.extend(n.inputs)
    saved.update(n for n in halves.graph.nodes if n.op is not None and n.op.impure)
    return saved


def gradients(module, x, seed):
    torch.manual_seed(seed)
    x = x.clone().requires_grad_()
    out = module(x)
    (out * torch.arange(out.numel()).reshape(out.shape)).sum().backward()
    found = [x.grad, *[p.grad for p in module.parameters()]]
    module.zero_grad()
    return found


@pytest.mark.parametrize("name", MODULES)
def test_less_is_handed_over(name):
    make, part = MODULES[name]
    torch.manual_seed(0)
    eager = make()
    module = torch.compile(eager, fullgraph=True)
    x = torch.randn(2, 8, 16)
    for k in range(4):
        got, want = gradients(module, x, k), gradients(eager, x, k)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-3)
    halves = halves_of(module)
    assert handed(halves.saved) <= part * handed(before(halves))
    again = {n.op.name for n in halves.again}
    assert not {"matmul", "sum", "amax", "draw"} & again
    assert again - VIEWS or part == 1.0


def test_never_more_than_before():
    for seed in range(16):
        maker, arrays = drawn(seed, "float32")
        tensors = [wrap(a.copy()).requires_grad_() for a in arrays]

        def fn(*xs, maker=maker):
            made = [v for v in maker.run(xs)[len(xs) :] if v.requires_grad and v.is_floating_point()]
            return sum(((v * 0.1).sum() for v in made[-3:]), torch.zeros(()))

        f = torch.compile(fn)
        for _ in range(3):
            torch.manual_seed(seed)
            with np.errstate(all="ignore"):
                f(*tensors)
        for entries in f.entries.values():
            halves = entries[0].halves
            if halves is not None:
                assert handed(halves.saved) <= handed(before(halves)), maker.lines


def test_a_second_derivative_through_what_is_computed_again():
    def fn(x, w):
        return F.gelu(F.layer_norm(x @ w, (6,))).softmax(-1).pow(2).sum()

    f = torch.compile(fn, fullgraph=True)
    for k in range(4):
        torch.manual_seed(k)
        x, w = torch.randn(3, 4, requires_grad=True), torch.randn(4, 6, requires_grad=True)
        found = []
        for g in (f, fn):
            (first,) = torch.autograd.grad(g(x, w), x, create_graph=True)
            found.append([first, *torch.autograd.grad(first.pow(2).sum(), [x, w])])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5)


# -- what may change between forward and backward ---------------------------------------------------------------------------
def test_what_eager_does_not_read_again_may_change_before_backward():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.shift = nn.Parameter(torch.ones(16)), nn.Parameter(torch.zeros(16))

        def forward(self, x):
            return F.gelu(torch.sin(x + self.shift) + self.shift)

    torch.manual_seed(0)
    eager = Net()
    module = torch.compile(eager, fullgraph=True)
    x = torch.randn(8, 16)
    for _ in range(4):
        found = []
        for m in (module, eager):
            loss = m(x).sum()
            with torch.no_grad():
                old = eager.shift.clone()
                eager.shift += 1.0
            try:
                loss.backward()
            except RuntimeError as error:
                found.append(str(error))
            else:
                found.append(eager.shift.grad.numpy().copy())
            with torch.no_grad():
                eager.shift.copy_(old)
            eager.zero_grad()
        np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_a_maximum_is_found_again_where_it_was():
    # a sum is rounded once beside its product, and twice from memory: where the maximum was is told by its very bits
    def fn(x, y):
        product = x * y
        return (product + x).amax(-1), product

    f = torch.compile(fn, fullgraph=True)
    for k in range(6):
        torch.manual_seed(k)
        x, y = (torch.randn(64, 33, requires_grad=True) for _ in range(2))
        f(x, y)[0].sum().backward()
        np.testing.assert_array_equal((y.grad.numpy() != 0).sum(1), np.ones(64))
    ((entry,),) = f.entries.values()
    assert "add" not in [n.op.name for n in entry.halves.again]


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return g * (s * (1 + x * (1 - s)))


class Several(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k, y):
        ctx.save_for_backward(x, y)
        ctx.k = k
        return x * y * k, None, (x + y).sum(1)

    @staticmethod
    def backward(ctx, g, _, h):
        x, y = ctx.saved_tensors
        return g * y * ctx.k + h[:, None], None, g * x * ctx.k + h[:, None]


def excited(net, x):
    """Scale channels by two pointwise convolutions of their means, with a function of one's own between them."""
    y = torch.nn.functional.adaptive_avg_pool2d(x, 1)
    return (torch.sigmoid(net[1](Swish.apply(net[0](y)))) * x).square().mean()


def several(net, x):
    y = net[0](x).flatten(1)
    a, none, b = Several.apply(y, 3.0, y.cos())
    assert none is None
    return a.sin().sum() + b.square().sum()


@pytest.mark.parametrize("whole", [False, True], ids=["module", "step"])
@pytest.mark.parametrize("fn", [excited, several])
def test_functions_of_ones_own(fn, whole, monkeypatch):
    monkeypatch.setattr(compiled, "STRICT", True)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(32, 8, 1), torch.nn.Conv2d(8, 32, 1))
    x = torch.randn(4, 32, 4, 4)

    def step(run):
        net.zero_grad()
        loss = run(net, x)
        loss.backward()
        return loss

    ways = {False: lambda run: step(run), True: torch.compile(lambda: step(fn))}
    quick = torch.compile(fn)
    for _ in range(4):
        wanted = step(fn).item(), [p.grad.clone() for p in net.parameters() if p.grad is not None]
        found = ways[True]() if whole else ways[False](quick)
        np.testing.assert_allclose(found.item(), wanted[0], rtol=1e-5)
        for p, g in zip([p for p in net.parameters() if p.grad is not None], wanted[1], strict=True):
            np.testing.assert_allclose(p.grad.numpy(), g.numpy(), rtol=1e-4, atol=1e-5)
    assert (ways[True] if whole else quick).made == 1


class Again(torch.autograd.Function):
    """Computes a block again in backward, and uses up what it kept."""

    @staticmethod
    def forward(ctx, run, x, *params):
        ctx.run, ctx.kept, ctx.params = run, [x], params
        with torch.no_grad():
            return run(x)

    @staticmethod
    def backward(ctx, g):
        x = ctx.kept.pop().detach().requires_grad_()
        with torch.enable_grad():
            y = ctx.run(x)
        found = torch.autograd.grad(y, [x, *ctx.params], g)
        del ctx.params
        return (None, *found)


class Walks(torch.autograd.Function):
    """Walks into the gradients of a block's parameters by itself, as reversible layers do."""

    @staticmethod
    def forward(ctx, run, x, *params):
        ctx.run, ctx.x = run, x.detach()
        with torch.no_grad():
            return run(x)

    @staticmethod
    def backward(ctx, g):
        with torch.enable_grad():
            x = ctx.x.requires_grad_()
            y = ctx.run(x)
        torch.autograd.backward(y, g)
        found, x.grad = x.grad, None
        del ctx.x
        return (None, found, *[None] * (len(ctx.needs_input_grad) - 2))


class Fails(Again):
    """Cannot be walked through ahead of the program's own walk."""

    ready = False

    @staticmethod
    def backward(ctx, g):
        if not Fails.ready:
            raise ValueError("not yet")
        return Again.backward(ctx, g)


@pytest.mark.parametrize("cls", [Again, Walks, Fails])
@pytest.mark.parametrize("cleared", [False, True], ids=["summed", "cleared"])
def test_functions_whose_backward_has_effects_find_all_as_it_was(cls, cleared):
    torch.manual_seed(0)
    first, block = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    parameters = [*first.parameters(), *block.parameters()]

    def run(x):
        return cls.apply(lambda y: block(y).tanh(), first(x), *block.parameters())

    def gradients(made):
        found = []
        for p in parameters:
            p.grad = None
        for i in range(4):
            if cleared:
                for p in parameters:
                    p.grad = None
            Fails.ready = False
            y = made(torch.ones(2, 3) * (i + 1))
            Fails.ready = True
            y.square().sum().backward()
            found += [p.grad.tolist() for p in parameters]
        return found

    wanted = gradients(run)
    if cls is Again:
        found = gradients(torch.compile(run, fullgraph=True))
    else:
        with pytest.warns(UserWarning, match="by itself" if cls is Walks else "not yet"):
            found = gradients(torch.compile(run))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_draws_of_a_walk_made_ahead_are_not_missed():
    block = torch.nn.Linear(3, 3)

    def run(x):
        return Again.apply(lambda y: torch.dropout(block(y), 0.5, True), x, *block.parameters())

    def numbers(made):
        torch.manual_seed(0)
        found = []
        for _ in range(4):
            block.zero_grad()
            made(torch.ones(2, 3, requires_grad=True)).square().sum().backward()
            found += [*block.weight.grad.flatten().tolist(), torch.rand(()).item()]
        return found

    np.testing.assert_allclose(numbers(torch.compile(run, fullgraph=True)), numbers(run), rtol=1e-5, atol=1e-6)


def test_results_that_no_gradient_came_for_pass_none_on():
    one, two = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    run = torch.compile(lambda x, h: (one(x), two(h) + x * 0.5))
    for _ in range(4):
        two.zero_grad()
        x, h = (torch.randn(2, 3, requires_grad=True) for _ in range(2))
        run(x, h)[0].sum().backward()
        assert two.weight.grad is None and h.grad is None and x.grad is not None
    h = torch.zeros(2, 3)
    for _ in range(4):  # what went before is not walked again
        a, h = run(torch.ones(2, 3), h)
        a.square().mean().backward()


def test_averages_that_a_module_keeps_with_their_history():
    class Centred(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(3, 3)
            self.register_buffer("mean", torch.zeros(3))

        def forward(self, x):
            x = self.inner(x)
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
            return x - x.mean(0)

    kept = []
    for wrapped in (lambda m: m, torch.compile):
        torch.manual_seed(0)
        net = Centred()
        run, optimizer = wrapped(net), torch.optim.SGD(net.parameters(), lr=0.1)
        for k in range(6):
            optimizer.zero_grad()
            run(torch.arange(12.0).reshape(4, 3).add(k).cos()).square().mean().backward()
            optimizer.step()
        kept.append([net.mean.detach().numpy(), net.inner.weight.detach().numpy()])
    for a, b in zip(*kept, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
