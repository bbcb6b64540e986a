"""Random draws inside compiled programs: eager mode's bits and its generators' states, with no call of NumPy."""

import ctypes
import threading

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler import epoch
from retrograd.compiler.draws.again import words_drawn
from retrograd.compiler.draws.native import seek
from retrograd.core import REGISTRY, Node
from retrograd.random import Generator
from retrograd.random.snapshot import BYTES

F = torch.nn.functional


def parts(compiled):
    return [part for program in compiled.explain(rounds=0).data["programs"] for part in program["parts"]]


def numpy_calls(compiled):
    return sum(part["numpy_calls"] for part in parts(compiled))


def leaves(result):
    return [t._a.tobytes() for t in (result if isinstance(result, tuple) else (result,))]


def same(fn, *args, calls=4, generators=()):
    """Run a function eagerly and compiled, from the same states, and compare bits; give the compiled one."""
    compiled, found = torch.compile(fn, fullgraph=True), []
    for f in (fn, compiled):
        torch.manual_seed(3)
        for k, g in enumerate(generators):
            g.manual_seed(k)
        results = [leaves(f(*args)) for _ in range(calls)]
        found.append((results, [leaves(g.get_state()) for g in (torch.default_generator, *generators)]))
    assert found[0] == found[1]
    return compiled


X = torch.linspace(0, 1, 50)
DRAWS = {
    "rand": lambda: torch.rand(5, 7),
    "rand, float64": lambda: torch.rand(33, dtype=torch.float64),
    "uniform_": lambda: torch.empty(40).uniform_(-1, 2),
    "randn, few": lambda: torch.randn(5),
    "randn": lambda: torch.randn(16),
    "randn, rest": lambda: torch.randn(629),
    "normal_, bfloat16": lambda: torch.empty(50, dtype=torch.bfloat16).normal_(1, 2),
    "normal_, float16": lambda: torch.empty(20, dtype=torch.float16).normal_(1, 2),
    "normal_, float64": lambda: torch.empty(50, dtype=torch.float64).normal_(1, 2),
    "normal_, transposed": lambda: torch.empty(6, 4).t().normal_(),
    "normal_, strided": lambda: torch.empty(30, 3)[:, 1].normal_(),
    "randint": lambda: torch.randint(-3, 12, (99,)),
    "randint, wide": lambda: torch.randint(0, 1 << 40, (99,)),
    "random_": lambda: torch.empty(9, dtype=torch.int32).random_(),
    "randperm": lambda: torch.randperm(500),
    "bernoulli_": lambda: torch.empty(70).bernoulli_(0.3),
    "bernoulli_, bool": lambda: torch.empty(70, dtype=torch.bool).bernoulli_(0.3),
    "dropout": lambda: F.dropout(X, 0.3),
    "dropout, float64": lambda: F.dropout(X.double(), 0.3),
    "dropout2d": lambda: F.dropout2d(X.reshape(1, 5, 2, 5), 0.3),
    "dropout, channels last": lambda: F.dropout(torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last), 0.4),
    "alpha dropout": lambda: F.alpha_dropout(X, 0.3, True),
    "exponential_": lambda: torch.empty(50).exponential_(2.0),
    "geometric_": lambda: torch.empty(50).geometric_(0.2),
    "cauchy_": lambda: torch.empty(50).cauchy_(),
    "log_normal_": lambda: torch.empty(51).log_normal_(),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw(name):
    draw = DRAWS[name]
    compiled = same(lambda: (draw(), torch.randn(3), draw()))  # the normal number that is kept goes on as well
    assert numpy_calls(compiled) == 0


def test_draws_keep_their_order_whatever_they_wait_for():
    """What a draw of NumPy's reads comes late; draws behind it must not come first."""

    def f(x):
        a = torch.bernoulli(torch.sigmoid(x @ x.T).exp().log())
        b = torch.rand(6, 6)
        return a, b, torch.multinomial(a + b, 2), torch.randn(20)

    same(f, torch.linspace(-1, 1, 36).reshape(6, 6))


def test_generators_of_ones_own():
    mine, other = torch.Generator(), torch.Generator()

    def f(x):
        first = x * torch.rand(50, generator=mine)
        return first + torch.randn(50), torch.randn(3, generator=other), torch.empty(9).uniform_(generator=mine)

    assert numpy_calls(same(f, X, generators=(mine, other))) == 0


def test_a_generator_that_is_an_argument():
    compiled = torch.compile(lambda x, g: x * torch.rand(50, generator=g))
    ours, theirs = ([torch.Generator().manual_seed(k) for k in (1, 2)] for _ in range(2))
    for k in range(12):
        assert torch.equal(compiled(X, ours[k % 2]), X * torch.rand(50, generator=theirs[k % 2]))
    assert all(torch.equal(a.get_state(), b.get_state()) for a, b in zip(ours, theirs, strict=True))


def test_states_that_change_between_calls():
    compiled = torch.compile(lambda: torch.randn(7), fullgraph=True)
    for _ in range(3):
        compiled()
    state = torch.get_rng_state()
    first = compiled()
    torch.set_rng_state(state)
    assert torch.equal(torch.randn(7), first)
    torch.set_rng_state(state)
    with torch.random.fork_rng():
        assert torch.equal(compiled(), first)
        compiled()
    assert torch.equal(compiled(), first)
    torch.manual_seed(5)
    seeded = compiled()
    torch.manual_seed(5)
    assert torch.equal(torch.randn(7), seeded)


def test_a_draw_into_a_tensor_from_outside():
    noise = torch.zeros(40)

    def f():
        noise.normal_()
        return noise * 2

    assert numpy_calls(same(f)) == 0


def network(compiled):
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Dropout(0.4), torch.nn.Linear(64, 4), torch.nn.Dropout(0.1)
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return net, torch.compile(step, fullgraph=True) if compiled else step


def test_a_training_step_with_dropout_is_generated_code_alone():
    found = []
    for compiled in (False, True):
        net, step = network(compiled)
        torch.manual_seed(1)
        x, y = torch.randn(32, 20), torch.randn(32, 4)
        losses = [step(x, y).item() for _ in range(8)]
        found.append((losses, [p.detach().clone() for p in net.parameters()], torch.get_rng_state()))
    (part,) = parts(step)
    assert part["numpy_calls"] == 0
    draws = [k for k in part["kernels"] if k["kind"] == "draw"]
    assert [(k["op"], k["runs"]) for k in draws] == [("bernoulli", 2)] and draws[0]["lines"]
    assert "draw bernoulli [32, 64]" in step.explain(rounds=1).text
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert torch.equal(found[0][2], found[1][2])


def test_a_compiled_module_keeps_its_mask_for_the_backward_pass():
    net = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Flatten())
    compiled = torch.compile(net)
    for _ in range(4):
        x = torch.ones(6, 50, requires_grad=True)
        y = compiled(x)
        y.sum().backward()
        assert torch.equal(x.grad, y.detach())  # each is the mask


def test_many_steps_in_one_call_draw_as_one_after_another():
    x, y = torch.randn(200, 20), torch.randn(200, 4)
    found = []
    for whole in (False, True):
        net, step = network(True)
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 8, shuffle=True)
        torch.manual_seed(2)
        for _ in range(3):
            losses = epoch(step, loader) if whole else torch.stack([step(*batch) for batch in loader])
        found.append([losses, *net.parameters(), torch.get_rng_state()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert step.epochs[-1]["native"] > 20


def test_steps_in_several_threads_share_a_stream():
    g = torch.Generator()
    draws = [torch.compile(lambda n=n: torch.rand(n, generator=g)) for n in (3000, 70_000)]
    for draw in draws:
        for _ in range(4):
            draw()
    g.manual_seed(9)
    found = []

    def run(draw):
        found.extend([draw() for _ in range(15)])

    threads = [threading.Thread(target=run, args=(d,)) for d in (*draws, lambda: torch.rand(5000, generator=g))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    alone = torch.Generator().manual_seed(9)
    expected = torch.rand(sum(len(t) for t in found), generator=alone)
    assert torch.equal(torch.cat(found).sort().values, expected.sort().values)
    assert torch.equal(g.get_state(), alone.get_state())


def test_numpy_draws_where_native_code_is_off(monkeypatch):
    monkeypatch.setenv("RETROGRAD_NATIVE", "off")
    assert numpy_calls(same(lambda: (torch.rand(30), F.dropout(X, 0.5)))) == 2


@pytest.mark.parametrize("seed", [0, 7])
def test_a_stream_is_gone_through_in_both_directions(seed):
    g = Generator()
    g.manual_seed(seed)
    words = [g.word() for _ in range(4000)]
    go = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(seek())
    at = 4000
    for goal in (3999, 3744, 3743, 1, 624, 625, 623, 1872, 0, 2500, 3990, 1248, 0, 4000, 0):
        go(g.address, goal - at)
        count = min(3, 4000 - goal)
        assert [g.word() for _ in range(count)] == words[goal : goal + count]
        at = goal + count
    end = Generator()
    end.manual_seed(seed)
    for _ in range(4000):
        end.word()
    go(g.address, 4000 - at)
    assert ctypes.string_at(g.address, BYTES) == ctypes.string_at(end.address, BYTES)


WORDS = [
    *[(kind, {}, dtype) for kind in ("uniform", "normal", "exponential", "cauchy") for dtype in ("f4", "f8")],
    *[(kind, {"p": 0.3}, dtype) for kind in ("bernoulli", "geometric") for dtype in ("f4", "f8")],
    ("randperm", {}, "i8"),
    *[("randint", {"low": 0, "high": high}, "i8") for high in (10, 1 << 40)],
    ("random", {}, "f4"),
]


@pytest.mark.parametrize(("kind", "parameters", "dtype"), WORDS)
def test_words_of_a_draw(kind, parameters, dtype):
    for n in (1, 15, 16, 17, 33, 100, 1300):
        g, h = Generator(), Generator()
        dtype = np.dtype(dtype)
        attrs = {"kind": kind, "shape": (n,), "dtype": dtype, "parameters": parameters, "generator": g}
        node = Node(REGISTRY["draw"], (), attrs, (n,), dtype, False, None, (), None, None)
        for one in (g, h):
            one.manual_seed(3)
        REGISTRY["draw"].numpy(**attrs)
        count = words_drawn(node)
        assert (count is None) == (kind == "normal" and n < 16)
        for _ in range(count or 0):
            h.word()
        assert count is None or g.word() == h.word()
