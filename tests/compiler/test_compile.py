"""The face of torch.compile: what can be compiled, what compiled things look like, and that they do what eager ones do."""

from __future__ import annotations

import collections
import copy
import io
import pickle
import threading
import warnings

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler import compiled

nn, F = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    monkeypatch.setattr(compiled, "STRICT", True)


def same(got, want, tolerance=1e-5):
    """Compare nested results."""
    if isinstance(want, torch.Tensor):
        assert isinstance(got, torch.Tensor)
        assert got.dtype == want.dtype
        assert got.requires_grad == want.requires_grad
        np.testing.assert_allclose(
            got.detach().double().numpy(), want.detach().double().numpy(), rtol=tolerance, atol=tolerance
        )
    elif isinstance(want, dict):
        assert type(got) is type(want)
        assert list(got) == list(want)
        for key in want:
            same(got[key], want[key], tolerance)
    elif isinstance(want, (list, tuple)):
        assert type(got) is type(want)
        assert len(got) == len(want)
        for a, b in zip(got, want, strict=True):
            same(a, b, tolerance)
    else:
        assert got == want


def programs(fn):
    return sum(len(e) for e in (fn.entries if isinstance(fn, compiled.Compiled) else fn._compiled.entries).values())


# -- what is compiled ---------------------------------------------------------------------------------------------------------
def test_a_function_is_compiled_after_a_few_calls():
    f = torch.compile(lambda x: (x * 2).sin().sum())
    x = torch.randn(5)
    for _ in range(6):
        same(f(x), (x * 2).sin().sum())
    assert programs(f) == 1
    same(f(x + 1), ((x + 1) * 2).sin().sum())


def test_decorators():
    @torch.compile
    def f(x):
        """Words."""
        return x * 2

    @torch.compile(fullgraph=True, dynamic=False, mode="reduce-overhead")
    def g(x):
        return x * 3

    for _ in range(4):
        same(f(torch.ones(3)), torch.full((3,), 2.0))
        same(g(torch.ones(3)), torch.full((3,), 3.0))
    assert f.__name__ == "f"
    assert f.__doc__ == "Words."
    assert programs(f) == programs(g) == 1


def test_methods():
    class Thing:
        def __init__(self, scale):
            self.scale = torch.tensor(scale)

        @torch.compile
        def f(self, x):
            return x * self.scale

    a, b = Thing(2.0), Thing(3.0)
    for _ in range(5):
        same(a.f(torch.ones(2)), torch.full((2,), 2.0))
        same(b.f(torch.ones(2)), torch.full((2,), 3.0))
    g = torch.compile(a.f)
    for _ in range(4):
        same(g(torch.ones(2)), torch.full((2,), 2.0))


CONTAINERS = {
    "tuple": lambda x: (x + 1, x * 2),
    "dict": lambda x: {"b": x + 1, "a": [x * 2, (x.sum(), None, "text", 3)]},
    "input": lambda x: (x, x + 1, x),
    "twice": lambda x: (lambda y: (y, y))(x * 2),
    "nothing": lambda x: None,
    "number": lambda x: 7,
    "views": lambda x: (lambda y: (y, y[0], y.T))(x * 2),
    "view of input": lambda x: x[0],
    "input transposed": lambda x: x.T,
    "named": lambda x: Pair(x + 1, x - 1),
    "max": lambda x: x.max(0),
    "constant": lambda x: (torch.ones(3), x.sum()),
    "empty": lambda x: x[:0] * 2,
    "0-d": lambda x: x[0, 0] * 2 + x[1, 1],
    "bool": lambda x: x > 0,
    "cast": lambda x: (x.double(), x.long(), x.half(), x.bfloat16()),
    "list": lambda x: [x.relu(), [x.sum()]],
    "size": lambda x: (x * 2, x.shape, x.dtype),
}
Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize("name", CONTAINERS)
def test_results(name):
    fn = CONTAINERS[name]
    f = torch.compile(fn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(5):
            torch.manual_seed(k)
            x = torch.randn(3, 4)
            got, want = f(x), fn(x)
            same(got, want)
            if name == "input":
                assert got[0] is x
                assert got[2] is x
            if name in ("twice", "views"):
                first, second = got[0], got[1]
                first.zero_()
                assert (second == 0).all(), "results that share memory eagerly share it compiled"


def test_kwargs_and_nested_arguments():
    def fn(x, *rest, scale=1.0, extra=None, **more):
        return x * scale + sum(r.sum() for r in rest) + extra["k"][0] + more["z"]

    f = torch.compile(fn)
    for k in range(6):
        x, r, e, z = (torch.randn(3) + k for _ in range(4))
        same(f(x, r, scale=2.0, extra={"k": [e]}, z=z), fn(x, r, scale=2.0, extra={"k": [e]}, z=z))
    assert programs(f) == 1
    same(f(x, r, scale=3.0, extra={"k": [e]}, z=z), fn(x, r, scale=3.0, extra={"k": [e]}, z=z))


def test_the_same_tensor_twice():
    def fn(x, y):
        y = y.clone()
        y.add_(x)
        return x * y

    f = torch.compile(fn)
    for _ in range(4):
        x, y = torch.randn(3), torch.randn(3)
        same(f(x, y), fn(x, y))
        same(f(x, x), fn(x, x))

    def writes(x, y):
        x.add_(1)
        return (x * y).sum()

    g = torch.compile(writes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(4):
            x, y = torch.ones(3), torch.ones(3)
            same(g(x, y), torch.tensor(6.0))
            same(x, torch.full((3,), 2.0))
            z = torch.ones(3)
            same(g(z, z), torch.tensor(12.0))
            v = torch.ones(4)
            same(g(v[1:], v[:-1]), torch.tensor(2.0 + 4 + 4))


def test_views_as_arguments():
    def fn(x):
        return (x * 2).sum(-1)

    f = torch.compile(fn)
    base = torch.randn(6, 8)
    for k in range(5):
        for x in (base, base.T[:6, :6], base[:, ::2], base[k % 3], base.expand(2, 6, 8)):
            same(f(x), fn(x))


def test_written_arguments():
    def fn(x, out):
        out[1:] += x
        out.mul_(2)
        return out.sum()

    f = torch.compile(fn)
    for _ in range(5):
        x = torch.randn(3)
        a, b = torch.ones(4), torch.ones(4)
        version = a._version
        same(f(x, a), fn(x, b))
        same(a, b)
        assert a._version > version
        a, b = torch.ones(4, 2)[:, 0], torch.ones(4, 2)[:, 0]
        same(f(x, a), fn(x, b))
        same(a, b)


# -- modules ------------------------------------------------------------------------------------------------------------------
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 6)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.5)
        self.b = nn.Linear(6, 2)
        self.scale = 3.0

    def forward(self, x):
        return self.b(self.drop(torch.relu(self.norm(self.a(x)))))

    def helper(self):
        return 5


def pair_of_nets():
    torch.manual_seed(0)
    net = Net()
    return net, torch.compile(copy.deepcopy(net))


def test_a_module_keeps_its_face():
    net, fast = pair_of_nets()
    assert isinstance(fast, nn.Module)
    assert list(fast.state_dict()) == [f"_orig_mod.{k}" for k in net.state_dict()]
    assert [n for n, _ in fast.named_parameters()] == [f"_orig_mod.{n}" for n, _ in net.named_parameters()]
    assert fast.helper() == 5
    assert fast.scale == 3.0
    fast.scale = 4.0
    assert fast._orig_mod.scale == 4.0
    assert fast.a is fast._orig_mod.a
    assert fast.training
    fast.eval()
    assert not fast.training
    assert not fast._orig_mod.drop.training
    fast.train()
    assert fast._orig_mod.drop.training
    fast.load_state_dict(fast.state_dict())
    assert "OptimizedModule" in repr(fast)


def test_a_module_runs_and_trains():
    net, fast = pair_of_nets()
    results = []
    for model in (net, fast):
        torch.manual_seed(1)
        o = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        found = []
        for i in range(12):
            model.train(i % 5 != 4)
            o.zero_grad()
            out = model(torch.randn(8, 4))
            loss = out.pow(2).sum()
            loss.backward()
            o.step()
            found += [out.detach(), loss.detach()]
        results.append([*found, *[p.detach() for p in model.parameters()], *[b.double() for b in model.buffers()]])
    same(results[1], results[0], 1e-4)


def test_copies_and_pickles():
    _, fast = pair_of_nets()
    x = torch.randn(5, 4)
    fast.eval()
    want = fast(x)
    for other in (copy.deepcopy(fast), pickle.loads(pickle.dumps(fast))):
        for _ in range(3):
            same(other(x), want)
        assert other._orig_mod is not fast._orig_mod
    file = io.BytesIO()
    torch.save(fast.state_dict(), file)
    file.seek(0)
    fast.load_state_dict(torch.load(file))


def test_module_compile_in_place():
    net, _ = pair_of_nets()
    net.eval()
    x = torch.randn(5, 4)
    want = net(x)
    net.compile()
    for _ in range(4):
        same(net(x), want)
    assert next(iter(net.state_dict())) == "a.weight"


def test_a_compiled_module_inside_another():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.compile(nn.Linear(3, 3))
            self.last = nn.Linear(3, 1)

        def forward(self, x):
            return self.last(torch.tanh(self.inner(x)))

    torch.manual_seed(0)
    net = Outer()
    x = torch.randn(4, 3)
    want = net.last(torch.tanh(net.inner._orig_mod(x)))
    f = torch.compile(net)
    for _ in range(4):
        same(f(x), want)
        same(net(x), want)


# -- gradients outside --------------------------------------------------------------------------------------------------------
def gradients(fn, inputs, how, calls=4):
    found = []
    for k in range(calls):
        torch.manual_seed(k)
        xs = [torch.randn(*shape).requires_grad_(wanted) for shape, wanted in inputs]
        found.append(how(fn, xs))
    return found


def backward(fn, xs):
    out = fn(*xs)
    out.sum().backward()
    return [out, *[x.grad for x in xs]]


def twice(fn, xs):
    out = fn(*xs).sum()
    out.backward(retain_graph=True)
    out.backward()
    return [x.grad for x in xs]


def second_order(fn, xs):
    out = fn(*xs)
    g = torch.autograd.grad(out.sum(), [x for x in xs if x.requires_grad], create_graph=True)
    loss = sum((a * a).sum() for a in g)
    return [*g, *torch.autograd.grad(loss, [x for x in xs if x.requires_grad], allow_unused=True)]


def composed(fn, xs):
    out = fn(*[x * 2 for x in xs])
    (out.exp().mean() + xs[0].sum()).backward()
    return [x.grad for x in xs]


def some(fn, xs):
    return list(torch.autograd.grad(fn(*xs).sum(), xs[:1]))


HOWS = [backward, twice, second_order, composed, some]


@pytest.mark.parametrize("how", HOWS, ids=lambda h: h.__name__)
@pytest.mark.parametrize("wanted", [(True, True), (True, False)])
def test_gradients_outside(how, wanted):
    def fn(x, w):
        h = torch.tanh(x @ w)
        return torch.softmax(h, -1) * h.sum(0) + x.mean()

    inputs = [((5, 4), wanted[0]), ((4, 3), wanted[1])]
    f = torch.compile(fn)
    same(gradients(f, inputs, how), gradients(fn, inputs, how), 1e-4)
    assert programs(f) == 1


def test_two_results_in_different_losses():
    def fn(x):
        h = x.sin()
        return h * 2, (h * x).sum(), h.detach(), x.shape[0]

    def use(f, x):
        a, b, c, _ = f(x)
        (g1,) = torch.autograd.grad(a.pow(2).sum(), x, retain_graph=True)
        (g2,) = torch.autograd.grad(b, x)
        return [g1, g2, a, b, c]

    f = torch.compile(fn)
    for k in range(4):
        torch.manual_seed(k)
        x = torch.randn(4, requires_grad=True)
        same(use(f, x), use(fn, x))


def test_a_second_backward_says_so():
    f = torch.compile(lambda x: (x * x).sum())
    for _ in range(4):
        x = torch.randn(3, requires_grad=True)
        y = f(x)
        y.backward()
        with pytest.raises(RuntimeError, match="second time"):
            y.backward()


def test_an_input_overwritten_before_backward():
    f = torch.compile(lambda x, w: (x * w).sum())
    for _ in range(4):
        x, w = torch.randn(3), torch.randn(3, requires_grad=True)
        y = f(x, w)
        x.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.backward()


def test_no_grad_and_inference():
    w = torch.randn(4, requires_grad=True)
    f = torch.compile(lambda x: x * w)
    x = torch.randn(4)
    for _ in range(4):
        assert f(x).requires_grad
        with torch.no_grad():
            assert not f(x).requires_grad
        with torch.inference_mode():
            same(f(x).clone(), (x * w).detach().clone())


def test_no_grad_inside():
    w = torch.randn(4, requires_grad=True)

    def fn(x):
        with torch.no_grad():
            y = x * w
        return y, x + w

    f = torch.compile(fn)
    for _ in range(4):
        same(f(torch.ones(4)), fn(torch.ones(4)))


def test_custom_functions():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x  # not the derivative, so that it is seen to be used

    def fn(x):
        return Double.apply(x).sin()

    f = torch.compile(fn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(gradients(f, [((3,), True)], backward), gradients(fn, [((3,), True)], backward))


def test_checkpoint_and_hooks():
    from retrograd.utils.checkpoint import checkpoint

    w = torch.randn(4, 4, requires_grad=True)

    def fn(x):
        return checkpoint(lambda y: torch.tanh(y @ w), x, use_reentrant=False).sum()

    f = torch.compile(fn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(4):
            x = torch.randn(2, 4)
            same(torch.autograd.grad(f(x), w), torch.autograd.grad(fn(x), w))


def test_hooks_on_leaves_run_once():
    seen = []
    w = torch.randn(3, requires_grad=True)
    w.register_hook(lambda g: seen.append(1) or g * 2)
    f = torch.compile(lambda x: (x * w).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(5):
            w.grad = None
            f(torch.ones(3)).backward()
            same(w.grad, torch.full((3,), 2.0))
            assert len(seen) == k + 1


# -- how many programs ----------------------------------------------------------------------------------------------------------
def test_shapes_have_programs_of_their_own_up_to_eight():
    f = torch.compile(lambda x: (x * 2).sum())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(4):
            for n in range(1, 12):
                same(f(torch.ones(n)), torch.tensor(2.0 * n))
    assert programs(f) == compiled.MOST_PROGRAMS
    assert len([w for w in said if "8 times already" in str(w.message)]) == 1


def test_dtypes_and_types_have_programs_of_their_own():
    f = torch.compile(lambda x, k: x * k)
    for _ in range(4):
        for x in (torch.ones(3), torch.ones(3, dtype=torch.float64), torch.ones(3, dtype=torch.int64)):
            for k in (2, 2.5):
                got, want = f(x, k), x * k
                same(got, want)


def test_fullgraph_raises():
    f = torch.compile(lambda x: x * float(x.sum()), fullgraph=True)

    def several():
        for _ in range(3):
            f(torch.ones(3))

    with pytest.raises(RuntimeError, match="asked for a value"):
        several()


def test_one_warning_says_why():
    f = torch.compile(lambda x: x * float(x.sum()))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(6):
            same(f(torch.ones(3)), torch.full((3,), 3.0))
    assert ["asked for a value" in str(w.message) for w in said] == [True]


def test_what_cannot_be_compiled():
    with pytest.raises(RuntimeError):
        torch.compile(3)
    with pytest.raises(RuntimeError):
        torch.compile(lambda x: x, mode="no such mode")
    with pytest.raises(RuntimeError):
        torch.compile(lambda x: x, backend="no such backend")
    f = lambda x: x
    assert torch.compile(f, disable=True) is f


# -- errors ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("at", [0, 1, 2, 4])
def test_exceptions_pass_and_leave_things_as_eager_does(at):
    class Failed(Exception):
        pass

    def make(wrapped):
        state = {"fail": False}
        w = torch.ones(3, requires_grad=True)
        o = torch.optim.SGD([w], lr=0.1)

        def step(x):
            o.zero_grad()
            loss = (w * x).sum()
            loss.backward()
            if state["fail"]:
                raise Failed
            o.step()
            return loss.detach()

        g = wrapped(step)
        found = []
        for i in range(7):
            state["fail"] = i == at
            try:
                found.append(g(torch.ones(3)))
            except Failed:
                found.append(w.grad.clone())
        return [*found, w.detach()]

    same(make(torch.compile), make(lambda f: f))


INDEX = {
    "embedding": (lambda w, i: F.embedding(i, w).sum(), [1, 2], [1, 7], IndexError),
    "negative embedding": (lambda w, i: F.embedding(i, w).sum(), [1, 2], [1, -1], IndexError),
    "cross entropy": (lambda w, i: F.cross_entropy(w[:2], i), [1, 2], [1, 4], IndexError),
    "gather": (lambda w, i: w[:2].gather(1, i[:, None]), [1, 2], [1, 4], RuntimeError),
    "negative gather": (lambda w, i: w[:2].gather(1, i[:, None]), [1, 2], [1, -1], RuntimeError),
    "index_select": (lambda w, i: w.index_select(0, i), [1, 2], [1, 9], IndexError),
    "advanced": (lambda w, i: w[i], [1, 2], [1, -9], IndexError),
    "scatter": (lambda w, i: torch.zeros(5).scatter_add(0, i, w[0, :2]), [1, 2], [1, 5], RuntimeError),
}


@pytest.mark.parametrize("name", INDEX)
def test_an_index_out_of_range(name):
    fn, good, bad, kind = INDEX[name]
    f = torch.compile(fn)
    w = torch.randn(7, 4)
    for _ in range(4):
        same(f(w, torch.tensor(good)), fn(w, torch.tensor(good)))
    for _ in range(2):
        with pytest.raises(kind) as eager:
            fn(w, torch.tensor(bad))
        with pytest.raises(kind) as native:
            f(w, torch.tensor(bad))
        assert str(native.value).split("\n")[0] == str(eager.value).split("\n")[0]
        same(f(w, torch.tensor(good)), fn(w, torch.tensor(good)))


def test_an_index_out_of_range_changes_nothing():
    w = torch.randn(5, 3, requires_grad=True)
    o = torch.optim.SGD([w], lr=0.1)

    def step(i):
        o.zero_grad()
        loss = F.embedding(i, w).pow(2).sum()
        loss.backward()
        o.step()
        return loss

    f = torch.compile(step)
    for _ in range(5):
        f(torch.tensor([1, 2]))
    assert programs(f) == 1
    before = w.detach().clone()
    with pytest.raises(IndexError):
        f(torch.tensor([1, 5]))
    same(w.detach(), before)


# -- training -------------------------------------------------------------------------------------------------------------------
OPTIMIZERS = {
    "SGD": {"momentum": 0.9, "nesterov": True},
    "Adam": {"amsgrad": True},
    "AdamW": {},
    "NAdam": {},
    "RAdam": {},
    "Adamax": {},
    "Adagrad": {},
    "Adadelta": {},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "Rprop": {"weight_decay": None},
    "ASGD": {},
    "Adafactor": {},
    "LBFGS": {"weight_decay": None},
    "SparseAdam": {"weight_decay": None},
    "Muon": {},
}


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if hasattr(torch.optim, n)])
def test_optimizers(name):
    options = {"lr": 0.02, "weight_decay": 0.1, **OPTIMIZERS[name]}
    options = {k: v for k, v in options.items() if v is not None}

    def run(wrapped):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 5, bias=name != "Muon"), nn.Tanh(), nn.Linear(5, 2, bias=name != "Muon"))
        if name == "SparseAdam":
            net = nn.Sequential(nn.Embedding(6, 4, sparse=True), nn.Flatten())
        o = getattr(torch.optim, name)(net.parameters(), **options)
        s = torch.optim.lr_scheduler.StepLR(o, 4, 0.5)
        x, y = torch.randn(8, 4), torch.randn(8, 2)
        if name == "SparseAdam":
            x, y = torch.randint(0, 6, (8, 2)), torch.randn(8, 8)

        def step(x, y):
            def closure():
                o.zero_grad()
                loss = F.mse_loss(net(x), y)
                loss.backward()
                return loss

            if name == "LBFGS":
                return o.step(closure)
            loss = closure()
            o.step()
            return loss

        g = wrapped(step)
        found = []
        for _ in range(12):
            found.append(g(x, y).detach())
            s.step()
        return [*found, *[p.detach() for p in net.parameters()]]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(run(torch.compile), run(lambda f: f), 2e-4)


def test_two_threads():
    w = torch.randn(6, 6)
    f = torch.compile(lambda x: torch.softmax(x @ w, -1).sum(0))
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(60):
            x = torch.from_numpy(rng.standard_normal((9, 6)).astype(np.float32))
            got, want = f(x), torch.softmax(x @ w, -1).sum(0)
            if not torch.allclose(got, want, atol=1e-5):
                wrong.append((got, want))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_results_are_not_overwritten_by_the_next_call():
    f = torch.compile(lambda x: (x * 2, x + 1))
    kept = []
    for k in range(8):
        kept.append((k, f(torch.full((4,), float(k)))))
    for k, (a, b) in kept:
        same(a, torch.full((4,), 2.0 * k))
        same(b, torch.full((4,), k + 1.0))


def test_gradients_kept_outside_are_not_overwritten():
    w = torch.ones(3, requires_grad=True)

    def step(x):
        w.grad = None
        (w * x).sum().backward()

    f = torch.compile(step)
    kept = []
    for k in range(8):
        f(torch.full((3,), float(k)))
        kept.append(w.grad)
    for k, g in enumerate(kept):
        same(g, torch.full((3,), float(k)))


def test_inside_other_transforms():
    fn = lambda x: (x.sin() * x).sum()
    f = torch.compile(fn)
    x = torch.randn(4)
    for _ in range(4):
        same(torch.func.grad(f)(x), torch.func.grad(fn)(x))
        same(torch.func.vmap(f)(torch.ones(3, 4)), torch.func.vmap(fn)(torch.ones(3, 4)))
        same(torch.func.jvp(f, (x,), (x,)), torch.func.jvp(fn, (x,), (x,)))
        same(f(x), fn(x))
    g = torch.compile(torch.func.grad(fn))
    h = torch.compile(torch.func.vmap(fn))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(4):
            same(g(x), torch.func.grad(fn)(x))
            same(h(torch.ones(3, 4) * 2), torch.func.vmap(fn)(torch.ones(3, 4) * 2))


def test_nested_compiled_functions_are_watched_to_the_end():
    inner = torch.compile(lambda x: x * 2)
    state = {"scale": 1.0}
    f = torch.compile(lambda x: inner(x) * state["scale"])
    for k in range(12):
        state["scale"] = 1.0 + k // 4
        same(f(torch.ones(3)), torch.full((3,), 2.0 * state["scale"]))


def test_under_a_profiler():
    import cProfile

    f = torch.compile(lambda x: x * 2)
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(4):
        same(f(torch.ones(3)), torch.full((3,), 2.0))
    profiler.disable()
    assert profiler.getstats()
    assert programs(f) == 1


def test_under_a_profile_function():
    import sys

    f = torch.compile(lambda x: x * 2)
    seen = []
    sys.setprofile(lambda *event: seen.append(event))
    for _ in range(4):
        same(f(torch.ones(3)), torch.full((3,), 2.0))
    sys.setprofile(None)
    assert seen
    assert programs(f) == 0


def test_second_derivatives_keep_what_was_detached():
    def fn(x):
        with torch.no_grad():
            y = x * 3
        return (x * x.detach() * y * x).sum() + (x * F.dropout(x, 0.5)).sum()

    f = torch.compile(fn)
    same(gradients(f, [((6,), True)], second_order), gradients(fn, [((6,), True)], second_order), 1e-4)
    assert programs(f) == 1


def test_gradients_cleared_by_the_step_are_gone_after_it():
    torch.manual_seed(0)
    net, x = torch.nn.Linear(3, 1), torch.randn(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    @torch.compile
    def step():
        loss = net(x).square().mean()
        optimizer.zero_grad()
        return loss.detach()

    for _ in range(6):
        net(x).sum().backward()
        step()
        assert all(p.grad is None for p in net.parameters())
