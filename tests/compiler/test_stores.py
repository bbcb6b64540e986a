"""Functions that keep tensors at places outside, or give back objects, compile and leave there what eager ones leave."""

from __future__ import annotations

import dataclasses
import types
import warnings

import pytest

import retrograd as torch
from retrograd.compiler import compiled
from retrograd.tensor.tree import flatten

nn, F = torch.nn, torch.nn.functional


class Attention(nn.Module):
    """Keeps its map."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.last = None

    def forward(self, x):
        w = torch.softmax(self.q(x) @ self.k(x).mT, -1)
        self.last = w
        return w @ self.v(x)


class Hidden(nn.Module):
    """Keeps its hidden state without its history."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.h = torch.zeros(3, 4)

    def forward(self, x):
        h = torch.tanh(self.a(x) + self.b(self.h))
        self.h = h.detach()
        return h


class Running(nn.Module):
    """A mean by assignment to a buffer, and to an attribute."""

    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 4)
        self.register_buffer("mean", torch.zeros(4))
        self.square = torch.zeros(4)

    def forward(self, x):
        h = self.l(x)
        self.mean = 0.9 * self.mean + 0.1 * h.detach().mean(0)
        with torch.no_grad():
            self.square = 0.9 * self.square + 0.1 * (h * h).mean(0)
        return h - self.mean


class Maps(nn.Module):
    """Makes a list of tensors anew in each call."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        self.maps = []

    def forward(self, x):
        self.maps = []
        for layer in self.layers:
            x = torch.tanh(layer(x))
            self.maps.append(x)
        return x


class Shifted(nn.Module):
    """The last two inputs."""

    def __init__(self):
        super().__init__()
        self.before, self.last = torch.zeros(3, 4), torch.ones(3, 4)

    def forward(self, x):
        r = self.before + self.last * x
        self.before = self.last
        self.last = r
        return r * 2


class Halves(nn.Module):
    """Keeps two views of one tensor."""

    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 8)
        self.k, self.v = torch.zeros(6, 4).chunk(2)

    def forward(self, x):
        r = (self.k * self.v).sum() + self.l(x).sum()
        self.k, self.v = self.l(x).detach().chunk(2, -1)
        return r


class Slots:
    __slots__ = ("h",)


def of_object(state):
    def f(x):
        state.h = state.h * 0.5 + x
        return state.h.sum()

    return f, lambda: [state.h]


def of_dict():
    table = {"h": torch.zeros(3, 4), "pair": (torch.zeros(3, 4), 2.0)}

    def f(x):
        table["h"] = table["h"] * 0.5 + x
        table["pair"] = table["pair"][0] + table["h"], 2.0
        return table["pair"][0] * table["pair"][1]

    return f, lambda: [table["h"], table["pair"][0]]


def of_list():
    items = [torch.zeros(3, 4), torch.ones(3, 4)]

    def f(x):
        items[0] = items[0] * items[1] + x
        return items[0].sum()

    return f, lambda: items


def of_variable():
    h = torch.zeros(3, 4)

    def f(x):
        nonlocal h
        h = h * 0.5 + x
        return h.sum()

    return f, lambda: [h]


def of_total():
    state = types.SimpleNamespace(total=0.0)

    def f(x):
        state.total = state.total + x.sum()
        return x * 2

    return f, lambda: [torch.as_tensor(state.total)]


def module(kind, *names):
    def make():
        net = kind()
        return net, lambda: flatten([getattr(net, n) for n in names])[0]

    return make


MAKERS = {
    "attention": module(Attention, "last"),
    "hidden": module(Hidden, "h"),
    "running": module(Running, "mean", "square"),
    "maps": module(Maps, "maps"),
    "shifted": module(Shifted, "before", "last"),
    "halves": module(Halves, "k", "v"),
    "object": lambda: of_object(types.SimpleNamespace(h=torch.zeros(3, 4))),
    "slots": lambda: of_object(slotted()),
    "dict": of_dict,
    "list": of_list,
    "variable": of_variable,
    "total": of_total,
}


def slotted():
    made = Slots()
    made.h = torch.zeros(3, 4)
    return made


def course(make, wrapped, calls=9):
    torch.manual_seed(0)
    f, kept = make()
    g = wrapped(f)
    found, old = [], []
    parameters = list(f.parameters()) if isinstance(f, nn.Module) else []
    for i in range(calls):
        x = torch.randn(3, 4)
        with torch.no_grad() if i % 3 == 2 else torch.enable_grad():
            out = g(x)
        if out.requires_grad:
            out.sum().backward()
        old += kept()  # what was kept stays what it was
        found += [out.detach(), *[p.grad.clone() for p in parameters if p.grad is not None]]
    flags = [(t.requires_grad, t.is_leaf, t.shape) for t in old]
    return [t.detach().clone() for t in found + old], flags, g


def compiled_only(g):
    c = g.__dict__.get("_compiled", g)
    return c.made and not c.eager


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_kept_tensors_are_those_of_eager_runs(name, monkeypatch):
    monkeypatch.setattr(compiled, "STRICT", True)
    want, flags, _ = course(MAKERS[name], lambda f: f)
    got, found, g = course(MAKERS[name], torch.compile)
    assert found == flags
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)
    assert compiled_only(g)


def test_a_kept_tensor_may_be_replaced_from_outside():
    torch.manual_seed(0)
    net = Hidden()
    g = torch.compile(net)
    x = torch.randn(3, 4)
    for _ in range(4):
        g(x)
    for new in (torch.ones(3, 4), torch.zeros(3, 4), torch.ones(4), torch.randn(8, 4)[::2][:3]):
        net.h = new
        a = g(x)
        after, net.h = net.h, new
        torch.testing.assert_close(a, net(x))
        torch.testing.assert_close(after, net.h)
    assert compiled_only(g)


def test_a_whole_step_keeps_its_map():
    def trained(wrapped):
        torch.manual_seed(0)
        net = Attention()
        optimizer = torch.optim.Adam(net.parameters(), 0.01)
        x = torch.randn(3, 4)

        def step(x):
            optimizer.zero_grad()
            loss = net(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        g = wrapped(step)
        return [(g(x).item(), net.last.sum().item(), net.last[0, 0].item()) for _ in range(12)], g

    (want, _), (got, g) = trained(lambda f: f), trained(torch.compile)
    torch.testing.assert_close(torch.tensor(got), torch.tensor(want))
    assert compiled_only(g)
    (entry,) = [e for entries in g.entries.values() for e in entries]
    assert entry.fast is not None


def test_one_tensor_that_is_kept_and_given_runs_eagerly():
    state = types.SimpleNamespace(h=torch.ones(3))

    def f(x):
        state.h = state.h + x
        return state.h

    want, h = [], torch.ones(3)
    for _ in range(6):
        h = h + h
        want.append(h)
    g = torch.compile(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for w in want:
            torch.testing.assert_close(g(state.h), w)


@dataclasses.dataclass
class Output:
    loss: object
    parts: tuple
    name: str = "a"


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    loss: object


class Plain:
    def __init__(self, x):
        self.x = x
        self.again = Frozen(x + 1)


OBJECTS = {
    "dataclass": (lambda x: Output(x * 2, (x, x + 1)), lambda o: [o.loss, *o.parts]),
    "frozen": (lambda x: [Frozen(x * 2)], lambda o: [o[0].loss]),
    "nested": (lambda x: {"a": Plain(x * 3)}, lambda o: [o["a"].x, o["a"].again.loss]),
}


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_objects_that_a_call_makes_are_made_anew(name):
    f, parts = OBJECTS[name]
    g = torch.compile(f)
    made = []
    for i in range(6):
        x = torch.full((3,), float(i))
        made.append(g(x))
        for a, b in zip(parts(made[-1]), parts(f(x)), strict=True):
            torch.testing.assert_close(a, b)
    assert compiled_only(g)
    for i, o in enumerate(made):  # still what they were
        torch.testing.assert_close(parts(o)[0], parts(f(torch.full((3,), float(i))))[0])


@pytest.mark.parametrize(
    "f",
    [lambda x: (x * i for i in range(2)), lambda x: lambda: x * 2, lambda x: iter([x])],
    ids=["generator", "closure", "iterator"],
)
def test_what_cannot_be_made_again_runs_eagerly(f):
    g = torch.compile(f)

    def run():
        for i in range(5):
            found, want = g(torch.full((3,), float(i))), f(torch.full((3,), float(i)))
            a, b = (found(), want()) if callable(want) else (next(found), next(want))
            torch.testing.assert_close(a, b)

    with pytest.warns(UserWarning, match="it gives back"):
        run()


def test_backward_into_a_history_from_outside():
    w = torch.ones(3, requires_grad=True)

    def back(loss):
        loss.backward()
        return loss

    g = torch.compile(back)

    def run():
        for i in range(5):
            w.grad = None
            g((w * w * i).sum())
            torch.testing.assert_close(w.grad, torch.full((3,), 2.0 * i))

    with pytest.warns(UserWarning, match="a history from outside"):
        run()
