"""Steps that are not pure functions of their arguments: each maker gives a fresh step, compiled or not."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import io
import itertools
import random
import sys
import time
import types

import numpy as np

import retrograd as torch

nn, F = torch.nn, torch.nn.functional
CONFIG = {"scale": 1.0}
FLAG = False
COUNTER = 0
SCALE = 1.0
START = datetime.datetime(2020, 1, 1)


def data():
    torch.manual_seed(0)
    return torch.randn(8, 4), torch.randn(8, 1)


def trained(loss_of, change=None, optimizer=torch.optim.SGD, net=None, **options):
    """Make a training step of a small net: ``loss_of(net, x, y)``, with ``change(i)`` before each call."""

    def make(wrapped):
        x, y = data()
        model = net() if net else nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))
        o = optimizer(model.parameters(), **{"lr": 0.05, **options})

        def step(x, y):
            o.zero_grad()
            loss = loss_of(model, x, y)
            loss.backward()
            o.step()
            return loss

        g = wrapped(step)

        def run(i):
            if change is not None:
                change(i, model, o)
            return g(x, y)

        return run, lambda: list(model.parameters())

    return make


def simple(build):
    """Make a step from ``build(wrapped) -> run`` that has no parameters."""

    def make(wrapped):
        torch.manual_seed(0)
        return build(wrapped), list

    return make


def annealed_beta(wrapped):
    beta = [1.0]
    x = torch.randn(4)
    g = wrapped(lambda x: (x * beta[0]).sum())

    def run(i):
        if i % 5 == 4:
            beta[0] *= 0.9
        return g(x)

    return run


def annealed_every_call(wrapped):
    state = {"beta": 1.0}
    x = torch.randn(4)

    def f(x):
        state["beta"] *= 0.9
        return (x * state["beta"]).sum()

    g = wrapped(f)
    return lambda i: g(x)


def teacher_forcing(wrapped):
    random.seed(3)
    x = torch.randn(4)
    g = wrapped(lambda x: x.sum() if random.random() < 0.5 else (x * 2).sum())
    return lambda i: g(x)


def counter_on_self(wrapped):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.l = nn.Linear(4, 2)
            self.n = 0

        def forward(self, x):
            self.n += 1
            return self.l(x).sum() * self.n

    net = Net()
    x = torch.randn(3, 4)
    g = wrapped(net)
    return lambda i: g(x) + net.n


def appended_losses(wrapped):
    x, hist = torch.randn(4), []

    def f(x):
        loss = (x * x).sum()
        hist.append(loss.detach())
        return loss

    g = wrapped(f)
    return lambda i: g(x) + len(hist)


def global_flag(wrapped):
    x = torch.randn(4)
    g = wrapped(lambda x: (x * 2).sum() if FLAG else x.sum())

    def run(i):
        global FLAG
        FLAG = (i // 4) % 2 == 1
        return g(x)

    return run


def early_exit(wrapped):
    def f(x):
        loss = x.log().sum()
        if torch.isnan(loss):
            return torch.zeros(())
        return loss

    g = wrapped(f)
    return lambda i: g(torch.full((3,), -1.0 if i % 3 == 2 else 2.0))


def printing(wrapped):
    x = torch.randn(4)
    lines = []

    class Out:
        def write(self, text):
            lines.append(text)

        def flush(self):
            pass

    out = Out()

    def f(x):
        print("step", file=out)
        return x.sum()

    g = wrapped(f)
    return lambda i: g(x) + len(lines)


def clock(wrapped):
    x = torch.randn(4)
    seen = []

    def f(x):
        seen.append(time.time())
        return x.sum() * (1.0 if time.time() > 5 else 2.0)

    g = wrapped(f)
    return lambda i: g(x) + len(seen)


def calendar(wrapped):
    x = torch.randn(4)

    def f(x):
        early = datetime.datetime.now() < datetime.datetime(2000, 1, 1) or datetime.date.today().year < 2000
        return x.sum() * (2.0 if early else 1.0) + (datetime.datetime.now() - START).total_seconds() * 0.0

    g = wrapped(f)
    return lambda i: g(x)


def numpy_state(wrapped):
    np.random.seed(0)  # noqa: NPY002
    x = torch.randn(4)
    g = wrapped(lambda x: (x * float(np.random.rand())).sum())  # noqa: NPY002
    return lambda i: g(x)


def numpy_generator(wrapped):
    rng = np.random.default_rng(0)
    x = torch.randn(4)
    g = wrapped(lambda x: (x * float(rng.random())).sum())
    return lambda i: g(x)


def numpy_array(wrapped):
    table = np.ones(4, np.float32)
    x = torch.randn(4)
    g = wrapped(lambda x: (x * torch.from_numpy(table)).sum())

    def run(i):
        table[i % 4] += 1
        return g(x)

    return run


def list_mutation(wrapped):
    weights = [1.0, 2.0]
    x = torch.randn(4)
    g = wrapped(lambda x: sum((x * w).sum() for w in weights))

    def run(i):
        if i == 7:
            weights.append(3.0)
        if i == 12:
            weights[0] = 0.5
        return g(x)

    return run


def dict_mutation(wrapped):
    terms = {"a": 1.0}
    x = torch.randn(4)
    g = wrapped(lambda x: sum((x * w).sum() for w in terms.values()))

    def run(i):
        if i == 7:
            terms["b"] = 3.0
        if i == 12:
            del terms["a"]
        return g(x)

    return run


def generator_next(wrapped):
    numbers = iter(range(1000))
    x = torch.randn(4)
    g = wrapped(lambda x: (x * next(numbers)).sum())
    return lambda i: g(x)


def counter_next(wrapped):
    numbers = itertools.count()
    x = torch.randn(4)
    g = wrapped(lambda x: (x * next(numbers)).sum())
    return lambda i: g(x)


def held_next(wrapped):
    held = types.SimpleNamespace(numbers={"all": [iter(range(1000))]})
    x = torch.randn(4)
    g = wrapped(lambda x: (x * next(held.numbers["all"][0])).sum())
    return lambda i: g(x)


def given_next(wrapped):
    numbers = iter(range(1000))
    x = torch.randn(4)
    g = wrapped(lambda x, numbers: (x * next(numbers)).sum())
    return lambda i: g(x, numbers)


def cycled_next(wrapped):
    class Parts:
        numbers = itertools.cycle([1.0, 2.0, 3.0])

        def one(self):
            return next(self.numbers)

    parts = Parts()
    x = torch.randn(4)
    g = wrapped(lambda x: (x * parts.one()).sum())
    return lambda i: g(x)


def lines_next(wrapped):
    lines = io.StringIO("\n".join(map(str, range(100))))
    x = torch.randn(4)
    g = wrapped(lambda x: (x * float(next(lines))).sum())
    return lambda i: g(x)


def batches_next(wrapped):
    from retrograd.utils.data import DataLoader, TensorDataset

    batches = iter(DataLoader(TensorDataset(torch.randn(100, 4)), batch_size=2))
    x = torch.randn(4)
    g = wrapped(lambda x: (x * next(batches)[0]).sum())
    return lambda i: g(x)


def own_iterator_next(wrapped):
    class Numbers:
        def __init__(self):
            self.k = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.k += 1
            return self.k

    numbers = Numbers()
    x = torch.randn(4)
    g = wrapped(lambda x: (x * next(numbers)).sum())
    return lambda i: g(x)


def fresh_next(wrapped):
    net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh())
    x = torch.randn(2, 4)

    def f(x):
        layers = iter(net)
        y = next(layers)(x.to(next(net.parameters()).device))
        return (next(layers)(y) * next((k for k in (1, 2, 3) if k > 1), 0)).sum()

    g = wrapped(f)
    return lambda i: g(x)


def generator_for(wrapped):
    def count():
        k = 0
        while True:
            k += 1
            yield k

    numbers = count()
    x = torch.randn(4)

    def f(x):
        for k in numbers:
            return (x * k).sum()
        return x

    g = wrapped(f)
    return lambda i: g(x)


def attribute_object(wrapped):
    config = types.SimpleNamespace(scale=1.0, inner=types.SimpleNamespace(shift=0.0))
    x = torch.randn(4)
    g = wrapped(lambda x: (x * config.scale + config.inner.shift).sum())

    def run(i):
        config.scale = 1.0 + i // 5
        config.inner.shift = float(i > 13)
        return g(x)

    return run


def attribute_table(wrapped):
    class Config:
        def __init__(self):
            self.scale = 1.0

    config = Config()
    x = torch.randn(4)
    g = wrapped(lambda x: (x * config.__dict__["scale"] + len(vars(config))).sum())

    def run(i):
        config.scale = 1.0 + i // 5
        return g(x)

    return run


def class_attribute(wrapped):
    class Settings:
        scale = 1.0

    x = torch.randn(4)
    g = wrapped(lambda x: (x * Settings.scale).sum())

    def run(i):
        Settings.scale = 1.0 + i // 6
        return g(x)

    return run


def inherited_attribute(wrapped):
    class Base:
        scale = 1.0

    class Settings(Base):
        pass

    s = Settings()
    x = torch.randn(4)
    g = wrapped(lambda x: (x * s.scale).sum())

    def run(i):
        if i == 6:
            Base.scale = 2.0
        if i == 12:
            s.scale = 5.0
        return g(x)

    return run


def module_config(wrapped):
    x = torch.randn(4)
    g = wrapped(lambda x: (x * CONFIG["scale"]).sum())

    def run(i):
        CONFIG["scale"] = 1.0 + i // 6
        return g(x)

    return run


def sys_modules_config(wrapped):
    config = types.ModuleType("settings_of_a_test")
    config.__file__ = "/somewhere/settings_of_a_test.py"
    config.scale = 1.0
    sys.modules["settings_of_a_test"] = config
    x = torch.randn(4)

    def f(x):
        import settings_of_a_test as s

        return (x * s.scale).sum()

    g = wrapped(f)

    def run(i):
        config.scale = 1.0 + i // 6
        return g(x)

    return run


def default_argument(wrapped):
    x = torch.randn(4)

    def f(x, scale=[1.0]):  # noqa: B006
        return (x * scale[0]).sum()

    g = wrapped(f)

    def run(i):
        f.__defaults__[0][0] = 1.0 + i // 6
        return g(x)

    return run


def replaced_defaults(wrapped):
    x = torch.randn(4)

    def inner(x, scale=1.0):
        return (x * scale).sum()

    g = wrapped(lambda x: inner(x))

    def run(i):
        if i == 9:
            inner.__defaults__ = (3.0,)
        return g(x)

    return run


def nonlocal_counter(wrapped):
    n = 0
    x = torch.randn(4)

    def f(x):
        nonlocal n
        n += 1
        return (x * n).sum()

    g = wrapped(f)
    return lambda i: g(x)


def global_counter(wrapped):
    global COUNTER
    COUNTER = 0
    x = torch.randn(4)

    def f(x):
        global COUNTER
        COUNTER += 1
        return x.sum()

    g = wrapped(f)
    return lambda i: g(x) + COUNTER


@dataclasses.dataclass
class Config:
    scale: float = 1.0
    kind: str = "a"


def dataclass_config(wrapped):
    c = Config()
    x = torch.randn(4)
    g = wrapped(lambda x: (x * c.scale).sum() if c.kind == "a" else x.sum())

    def run(i):
        c.scale = 1.0 + i // 7
        c.kind = "a" if i < 15 else "b"
        return g(x)

    return run


def property_read(wrapped):
    class Schedule:
        def __init__(self):
            self._step = 0

        @property
        def scale(self):
            return 1.0 + self._step // 6

    s = Schedule()
    x = torch.randn(4)
    g = wrapped(lambda x: (x * s.scale).sum())

    def run(i):
        s._step = i
        return g(x)

    return run


def partial_function(wrapped):
    x = torch.randn(4)
    holder = [1.0]
    g = wrapped(functools.partial(lambda h, x, k=1: (x * h[0] * k).sum(), holder, k=2))

    def run(i):
        holder[0] = 1.0 + i // 6
        return g(x)

    return run


def lambdas_in_a_list(wrapped):
    fns = [lambda x: x * 1.0, lambda x: x * 2.0]
    x = torch.randn(4)
    g = wrapped(lambda x: fns[0](x).sum())

    def run(i):
        if i == 8:
            fns.reverse()
        return g(x)

    return run


def try_except(wrapped):
    table = {}
    x = torch.randn(4)

    def f(x):
        try:
            return (x * table["k"]).sum()
        except KeyError:
            return x.sum()

    g = wrapped(f)

    def run(i):
        if i == 8:
            table["k"] = 4.0
        return g(x)

    return run


def try_attribute(wrapped):
    thing = types.SimpleNamespace()
    x = torch.randn(4)
    g = wrapped(lambda x: (x * getattr(thing, "scale", 1.0)).sum() if not hasattr(thing, "off") else x.sum() * 0)

    def run(i):
        if i == 8:
            thing.scale = 4.0
        if i == 14:
            thing.off = True
        return g(x)

    return run


def isinstance_branch(wrapped):
    holder = [1.0]
    x = torch.randn(4)
    g = wrapped(lambda x: x.sum() if isinstance(holder[0], float) else (x * 3).sum())

    def run(i):
        if i == 8:
            holder[0] = 1
        return g(x)

    return run


def length_of_a_list(wrapped):
    items = []
    x = torch.randn(4)
    g = wrapped(lambda x: (x * len(items)).sum())

    def run(i):
        if i % 6 == 5:
            items.append(object())
        return g(x)

    return run


class Kind(enum.Enum):
    A = 1
    B = 2


def enum_flag(wrapped):
    state = {"kind": Kind.A}
    x = torch.randn(4)
    g = wrapped(lambda x: x.sum() if state["kind"] is Kind.A else (x * 2).sum())

    def run(i):
        state["kind"] = Kind.A if i < 9 else Kind.B
        return g(x)

    return run


def string_flag(wrapped):
    x = torch.randn(4)
    g = wrapped(lambda x, how: x.sum() if how == "sum" else x.mean())
    return lambda i: g(x, "sum" if (i // 5) % 2 else "mean")


def training_flag(wrapped):
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    x = torch.randn(8, 4)
    g = wrapped(net)

    def run(i):
        net.train((i // 4) % 2 == 0)
        if i == 17:
            net[1].p = 0.25
        return g(x).sum()

    return run


def weight_replaced(wrapped):
    state = types.SimpleNamespace(w=torch.tensor(1.0))
    x = torch.randn(4)
    g = wrapped(lambda x: (x * state.w).sum())

    def run(i):
        if i % 5 == 4:
            state.w = torch.tensor(float(i))
        return g(x)

    return run


def closure_replaced(wrapped):
    scale = torch.tensor(1.0)
    x = torch.randn(4)

    def f(x):
        return (x * scale).sum()

    g = wrapped(f)

    def run(i):
        nonlocal scale
        if i % 5 == 4:
            scale = torch.tensor(float(i))
        return g(x)

    return run


def stored_state(wrapped):
    state = types.SimpleNamespace(h=torch.zeros(4))
    x = torch.randn(4)

    def f(x):
        state.h = state.h * 0.5 + x
        return state.h.sum()

    g = wrapped(f)
    return lambda i: g(x)


def stored_in_place(wrapped):
    h = torch.zeros(4)
    x = torch.randn(4)

    def f(x):
        h.mul_(0.5).add_(x)
        return h.sum()

    g = wrapped(f)
    return lambda i: g(x)


def total_item(wrapped):
    total = [0.0]
    x = torch.randn(4)

    def f(x):
        loss = x.sum()
        total[0] += loss.item()
        return loss

    g = wrapped(f)
    return lambda i: g(x) + total[0]


def queue(wrapped):
    import collections

    q = collections.deque([1.0, 2.0, 3.0])
    x = torch.randn(4)

    def f(x):
        q.rotate(1)
        return (x * q[0]).sum()

    g = wrapped(f)
    return lambda i: g(x)


def outside_deque(wrapped):
    import collections

    q = collections.deque([1.0, 2.0, 3.0])
    x = torch.randn(4)
    g = wrapped(lambda x: (x * q[0]).sum())

    def run(i):
        if i % 4 == 3:
            q.rotate(1)
        return g(x)

    return run


def outside_set(wrapped):
    names = {"a"}
    x = torch.randn(4)
    g = wrapped(lambda x: (x * (2.0 if "b" in names else 1.0)).sum())

    def run(i):
        if i == 9:
            names.add("b")
        return g(x)

    return run


def default_dict(wrapped):
    import collections

    counts = collections.defaultdict(float)
    x = torch.randn(4)

    def f(x):
        counts["n"] += 1
        return (x * counts["n"]).sum()

    g = wrapped(f)
    return lambda i: g(x)


def cached_helper(wrapped):
    calls = []

    @functools.lru_cache
    def scale(k):
        calls.append(k)
        return 1.0 + k

    x = torch.randn(4)
    g = wrapped(lambda x: (x * scale(CONFIG["scale"])).sum())

    def run(i):
        CONFIG["scale"] = 1.0 + i // 6
        return g(x)

    return run


def method_of_object(wrapped):
    class Trainer:
        def __init__(self):
            self.epoch = 0
            self.scale = 1.0

        def step(self, x):
            return (x * self.scale).sum() if self.epoch < 10 else (x * 2).sum()

    t = Trainer()
    x = torch.randn(4)
    g = wrapped(t.step)

    def run(i):
        t.epoch = i
        t.scale = 1.0 + i // 8
        return g(x)

    return run


def callable_object(wrapped):
    class Step:
        scale = 1.0

        def __call__(self, x):
            return (x * self.scale).sum()

    s = Step()
    x = torch.randn(4)
    g = wrapped(s)

    def run(i):
        if i == 8:
            s.scale = 3.0
        if i == 14:
            del s.scale
        return g(x)

    return run


def slots_object(wrapped):
    class Thing:
        __slots__ = ("scale",)

    t = Thing()
    t.scale = 1.0
    x = torch.randn(4)
    g = wrapped(lambda x: (x * t.scale).sum())

    def run(i):
        t.scale = 1.0 + i // 8
        return g(x)

    return run


def environment(wrapped):
    import os

    x = torch.randn(4)
    g = wrapped(lambda x: (x * float(os.environ.get("RETROGRAD_TEST_SCALE", "1"))).sum())

    def run(i):
        os.environ["RETROGRAD_TEST_SCALE"] = str(1 + i // 8)
        return g(x)

    return run


def deep_lists(wrapped):
    layers = [[{"w": [1.0]}]]
    x = torch.randn(4)
    g = wrapped(lambda x: (x * layers[0][0]["w"][0]).sum())

    def run(i):
        if i == 8:
            layers[0][0]["w"][0] = 2.0
        if i == 14:
            layers[0][0] = {"w": [7.0]}
        return g(x)

    return run


def replaced_method(wrapped):
    net = nn.Linear(4, 1)
    x = torch.randn(2, 4)
    g = wrapped(lambda x: net(x).sum())

    def run(i):
        if i == 9:
            net.forward = lambda x: F.linear(x, net.weight * 2)
        return g(x)

    return run


def replaced_global_function(wrapped):
    x = torch.randn(4)
    g = wrapped(lambda x: helper(x))

    def run(i):
        globals()["helper"] = helper_two if (i // 6) % 2 else helper_one
        return g(x)

    return run


def helper_one(x):
    return x.sum()


def helper_two(x):
    return x.mean()


helper = helper_one


def grad_switch(wrapped):
    w = torch.randn(4, requires_grad=True)
    g = wrapped(lambda x: (x * w).sum())
    x = torch.randn(4)

    def run(i):
        with torch.set_grad_enabled(i % 4 != 3):
            out = g(x)
        return out + float(out.requires_grad)

    return run


def default_dtype(wrapped):
    g = wrapped(lambda x: (x + torch.ones(4)).sum())
    x = torch.randn(4, dtype=torch.float64)

    def run(i):
        torch.set_default_dtype(torch.float64 if i % 8 > 3 else torch.float32)
        try:
            return g(x) + torch.ones(1).double()[0]
        finally:
            torch.set_default_dtype(torch.float32)

    return run


def noise_inside(wrapped):
    x = torch.randn(50)
    g = wrapped(lambda x: (F.dropout(x, 0.5) + torch.randn(50) + torch.rand_like(x)).sum())
    return lambda i: g(x) + torch.rand(()).item()


def own_generator(wrapped):
    gen = torch.Generator().manual_seed(5)
    g = wrapped(lambda x: (x + torch.randn(4, generator=gen)).sum())
    x = torch.randn(4)

    def run(i):
        if i == 11:
            gen.manual_seed(9)
        return g(x)

    return run


def bernoulli_branch(wrapped):
    g = wrapped(lambda x: x.sum() if torch.rand(()) < 0.5 else x.mean())
    x = torch.randn(4)
    return lambda i: g(x)


def reseeded_inside(wrapped):
    def f(x):
        torch.manual_seed(7)
        return (x + torch.randn(4)).sum()

    g = wrapped(f)
    x = torch.randn(4)
    return lambda i: g(x) + torch.rand(()).item()


def lr_by_hand(i, net, o):
    o.param_groups[0]["lr"] = 0.1 / (i + 1)


def freeze(i, net, o):
    if i == 8:
        for p in net[0].parameters():
            p.requires_grad_(False)


def changed_data(i, net, o):
    if i % 6 == 5:
        net[0].weight.data = net[0].weight.data * 0.5


def data_in_place(i, net, o):
    if i % 6 == 5:
        net[0].weight.data.mul_(0.5)


def loaded_state(i, net, o):
    if i == 3:
        net._kept = {k: v.clone() for k, v in net.state_dict().items()}
    if i == 11:
        net.load_state_dict(net._kept)


def late_hook(i, net, o):
    if i == 8:
        net[0].register_forward_hook(lambda m, a, out: out * 0.5)


def late_tensor_hook(i, net, o):
    if i == 8:
        net[0].weight.register_hook(lambda g: g * 0.1)


def new_parameter(i, net, o):
    if i == 8:
        net[2] = nn.Linear(5, 1)
        o.add_param_group({"params": list(net[2].parameters()), "lr": 0.01})


def momentum_zeroed(i, net, o):
    if i == 6:
        o.param_groups[0]["momentum"] = 0.5
    if i == 12:
        o.param_groups[0]["weight_decay"] = 0.1


def grads_set_by_hand(i, net, o):
    for p in net.parameters():
        p.grad = None if i % 2 else torch.ones_like(p)


def mse(net, x, y):
    return F.mse_loss(net(x), y)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)
        self.b.weight = self.a.weight
        self.out = nn.Linear(4, 1)

    def forward(self, x):
        return self.out(self.b(torch.tanh(self.a(x))))


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 6)
        self.n = nn.BatchNorm1d(6)
        self.d = nn.Dropout(0.3)
        self.out = nn.Linear(6, 1)

    def forward(self, x):
        return self.out(self.d(torch.relu(self.n(self.l(x)))))


def clipped_step(wrapped):
    x, y = data()
    net = nn.Linear(4, 1)
    o = torch.optim.Adam(net.parameters(), lr=0.05)

    def step(x, y):
        o.zero_grad()
        loss = mse(net, x, y) * 10
        loss.backward()
        norm = nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        o.step()
        return loss + norm

    g = wrapped(step)
    return lambda i: g(x, y), lambda: list(net.parameters())


def clip_value_step(wrapped):
    x, y = data()
    net = nn.Linear(4, 1)
    o = torch.optim.SGD(net.parameters(), lr=0.05)

    def step(x, y):
        o.zero_grad(set_to_none=False)
        loss = mse(net, x, y) * 10
        loss.backward()
        nn.utils.clip_grad_value_(net.parameters(), 0.1)
        o.step()
        return loss

    g = wrapped(step)
    return lambda i: g(x, y), lambda: list(net.parameters())


def averaged_step(wrapped):
    x, y = data()
    net = nn.Linear(4, 1)
    shadow = nn.Linear(4, 1)
    o = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)

    def step(x, y):
        o.zero_grad()
        loss = mse(net, x, y)
        loss.backward()
        o.step()
        with torch.no_grad():
            for p, q in zip(shadow.parameters(), net.parameters(), strict=True):
                p.mul_(0.9).add_(q, alpha=0.1)
        return loss

    g = wrapped(step)
    return lambda i: g(x, y), lambda: [*net.parameters(), *shadow.parameters()]


def accumulating_step(wrapped):
    x, y = data()
    net = nn.Linear(4, 1)
    o = torch.optim.SGD(net.parameters(), lr=0.05)

    def step(x, y):
        loss = mse(net, x, y) / 3
        loss.backward()
        return loss

    g = wrapped(step)

    def run(i):
        loss = g(x, y)
        if i % 3 == 2:
            o.step()
            o.zero_grad()
        return loss

    return run, lambda: list(net.parameters())


def outside_backward(wrapped):
    x, y = data()
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))
    o = torch.optim.AdamW(net.parameters(), lr=0.05)
    s = torch.optim.lr_scheduler.StepLR(o, 3, 0.5)
    g = wrapped(net)

    def run(i):
        o.zero_grad()
        loss = mse(g, x, y)
        loss.backward()
        o.step()
        s.step()
        return loss

    return run, lambda: list(net.parameters())


def scheduler_inside(wrapped):
    x, y = data()
    net = nn.Linear(4, 1)
    o = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    s = torch.optim.lr_scheduler.ExponentialLR(o, 0.9)

    def step(x, y):
        o.zero_grad()
        loss = mse(net, x, y)
        loss.backward()
        o.step()
        s.step()
        return loss

    g = wrapped(step)
    return lambda i: g(x, y), lambda: list(net.parameters())


def rate_read(wrapped):
    o = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    s = torch.optim.lr_scheduler.StepLR(o, 3, 0.5)
    g = wrapped(lambda x: x.sum() * s.get_last_lr()[0])

    def run(i):
        o.step()
        s.step()
        return g(torch.ones(3))

    return run, list


def two_optimizers(wrapped):
    x, y = data()
    a, b = nn.Linear(4, 4), nn.Linear(4, 1)
    oa, ob = torch.optim.SGD(a.parameters(), lr=0.05), torch.optim.Adam(b.parameters(), lr=0.01)

    def step(x, y):
        oa.zero_grad()
        ob.zero_grad()
        loss = F.mse_loss(b(torch.relu(a(x))), y)
        loss.backward()
        oa.step()
        ob.step()
        return loss

    g = wrapped(step)
    return lambda i: g(x, y), lambda: [*a.parameters(), *b.parameters()]


def adversarial(wrapped):
    torch.manual_seed(0)
    gen, dis = nn.Linear(3, 4), nn.Linear(4, 1)
    og, od = torch.optim.Adam(gen.parameters(), lr=0.02), torch.optim.Adam(dis.parameters(), lr=0.02)

    def step(real):
        noise = torch.randn(8, 3)
        od.zero_grad()
        fake = gen(noise)
        loss_d = F.softplus(dis(fake.detach())).mean() + F.softplus(-dis(real)).mean()
        loss_d.backward()
        od.step()
        og.zero_grad()
        loss_g = F.softplus(-dis(fake)).mean()
        loss_g.backward()
        og.step()
        return loss_d + loss_g

    g = wrapped(step)
    real = torch.randn(8, 4)
    return lambda i: g(real), lambda: [*gen.parameters(), *dis.parameters()]


def penalty(wrapped):
    x, y = data()
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))
    o = torch.optim.SGD(net.parameters(), lr=0.05)

    def step(x, y):
        o.zero_grad()
        x = x.clone().requires_grad_()
        out = net(x)
        (slope,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        loss = F.mse_loss(out, y) + 0.1 * slope.pow(2).sum()
        loss.backward()
        o.step()
        return loss

    g = wrapped(step)
    return lambda i: g(x, y), lambda: list(net.parameters())


def closure_step(wrapped):
    x, y = data()
    net = nn.Linear(4, 1)
    o = torch.optim.LBFGS(net.parameters(), lr=0.5, max_iter=3)

    def step(x, y):
        def closure():
            o.zero_grad()
            loss = mse(net, x, y)
            loss.backward()
            return loss

        return o.step(closure)

    g = wrapped(step)
    return lambda i: g(x, y), lambda: list(net.parameters())


def manual_descent(wrapped):
    x, y = data()
    w = torch.zeros(4, 1, requires_grad=True)

    def step(x, y):
        loss = F.mse_loss(x @ w, y)
        loss.backward()
        with torch.no_grad():
            w.sub_(w.grad * 0.1)
            w.grad.zero_()
        return loss

    g = wrapped(step)
    return lambda i: g(x, y), lambda: [w]


def manual_data(wrapped):
    x, y = data()
    w = torch.zeros(4, 1, requires_grad=True)

    def step(x, y):
        loss = F.mse_loss(x @ w, y)
        loss.backward()
        w.data -= 0.1 * w.grad
        w.grad = None
        return loss

    g = wrapped(step)
    return lambda i: g(x, y), lambda: [w]


def changing_batch(wrapped):
    x, y = data()
    net = nn.Linear(4, 1)
    o = torch.optim.SGD(net.parameters(), lr=0.05)

    def step(x, y):
        o.zero_grad()
        loss = mse(net, x, y)
        loss.backward()
        o.step()
        return loss

    g = wrapped(step)
    return lambda i: g(x[: 4 + 4 * (i % 2)], y[: 4 + 4 * (i % 2)]), lambda: list(net.parameters())


SIMPLE = [
    annealed_beta, annealed_every_call, teacher_forcing, counter_on_self, appended_losses, global_flag, early_exit, printing,
    clock, numpy_state, numpy_generator, numpy_array, list_mutation, dict_mutation, generator_next, counter_next,
    held_next, given_next, cycled_next, lines_next, batches_next, own_iterator_next, fresh_next, generator_for,
    attribute_object, attribute_table, class_attribute, inherited_attribute, module_config, sys_modules_config, default_argument,
    replaced_defaults, nonlocal_counter, global_counter, dataclass_config, property_read, partial_function, lambdas_in_a_list,
    try_except, try_attribute, isinstance_branch, length_of_a_list, enum_flag, string_flag, training_flag, weight_replaced,
    closure_replaced, stored_state, stored_in_place, total_item, queue, outside_deque, outside_set, default_dict,
    cached_helper, method_of_object, callable_object, slots_object, environment, deep_lists, replaced_method,
    replaced_global_function, grad_switch, default_dtype, noise_inside, own_generator, bernoulli_branch, reseeded_inside,
    calendar,
]  # fmt: skip
STEPS = {
    **{fn.__name__: simple(fn) for fn in SIMPLE},
    "plain": trained(mse),
    "lr_by_hand": trained(mse, lr_by_hand, momentum=0.9),
    "freeze": trained(mse, freeze),
    "changed_data": trained(mse, changed_data),
    "data_in_place": trained(mse, data_in_place),
    "loaded_state": trained(mse, loaded_state),
    "late_hook": trained(mse, late_hook),
    "late_tensor_hook": trained(mse, late_tensor_hook),
    "new_parameter": trained(mse, new_parameter),
    "momentum_zeroed": trained(mse, momentum_zeroed),
    "grads_set_by_hand": trained(mse, grads_set_by_hand),
    "tied": trained(mse, net=Tied),
    "normed": trained(mse, net=Normed),
    **{
        fn.__name__: fn
        for fn in (
            clipped_step, clip_value_step, averaged_step, accumulating_step, outside_backward, scheduler_inside, rate_read,
            two_optimizers, adversarial, penalty, closure_step, manual_descent, manual_data, changing_batch,
        )
    },
}  # fmt: skip
