"""The builtin that takes operations on small arrays: the same bits, types, history and refusals as the door in Python."""

from __future__ import annotations

import gc
import sys
import threading
import weakref

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler import eager_door, eager_small
from retrograd.core import MODE, REGISTRY, apply, small
from retrograd.core.saving import Keeper
from retrograd.tensor import Tensor

UNARY = ("neg", "abs", "square", "reciprocal", "sqrt", "relu", "step")
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge")
ODD = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-42, -1e-42, 3.0]
DOORS = {name: eager_small.door(REGISTRY[name]) for name in sorted(small.NAMES)}
pytestmark = pytest.mark.skipif(None in DOORS.values(), reason="objects cannot be read by generated code here")


def numbers(shape, dtype, seed=0):
    """Give numbers among which all special ones are."""
    made = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    flat = made.reshape(-1)
    places = np.random.default_rng(seed + 1).permutation(flat.size)[: len(ODD)]
    flat[places] = ODD[: len(places)]
    return made


def both(name, *xs):
    """Give what the builtin makes at its second call, when it has learnt the kind, and what the door in Python makes."""
    op = REGISTRY[name]
    DOORS[name](*xs)
    quick, op.quick_door = op.quick_door, None
    try:
        return DOORS[name](*xs), apply(op, *xs)
    finally:
        op.quick_door = quick


def same(found, wanted):
    """Compare two tensors to the last bit; NaNs are alike."""
    assert found is not None
    assert type(found) is type(wanted) and found.dtype == wanted.dtype and found.shape == wanted.shape
    assert found.stride() == wanted.stride()
    one, two = found._a, wanted._a
    both_nan = (one != one) & (two != two)
    assert (
        (one.view(np.uint8).reshape(-1) == two.view(np.uint8).reshape(-1)).reshape(*one.shape, -1).all(-1) | both_nan
    ).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (10, 40), (2, 3, 4, 5), (127, 255)])
@pytest.mark.parametrize("name", UNARY + BINARY)
def test_elementwise(name, shape, dtype):
    xs = [Tensor._wrap(numbers(shape, dtype, k)) for k in range(1 if name in UNARY else 2)]
    same(*both(name, *xs))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("number", [2.0, -1, 0, 0.1, 1e300, float("nan"), -(2**40) - 1])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "lt"])
def test_numbers_among_operands(name, number, dtype):
    x = Tensor._wrap(numbers((4, 5), dtype))
    same(*both(name, x, number))
    if name in ("sub", "div"):
        same(*both(name, number, x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_have_numpys_bits(dtype):
    rng = np.random.default_rng(0)
    for _ in range(100):
        m, k, n = (int(v) for v in rng.integers(2, 40, 3))
        if m * k * n >= 1 << 15:
            continue
        x, y = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n)))
        for a in (x, np.asfortranarray(x)):
            for b in (y, np.asfortranarray(y)):
                found, _ = both("matmul", Tensor._wrap(a), Tensor._wrap(b))
                assert np.array_equal(found._a, np.dot(a, b))
        bias = rng.standard_normal(n).astype(dtype)
        for w in (y.T, y.T.copy()):
            same(*both("linear", *(Tensor._wrap(a) for a in (x, w, bias))))
            same(*both("linear", *(Tensor._wrap(a) for a in (x, w))))


def ready(name, *xs):
    """Give what the builtin makes of products of middle size, once it has learnt dtypes and shapes, and what the door in Python makes."""
    DOORS[name](*xs)
    return both(name, *xs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(64, 64, 64), (33, 65, 129), (31, 37, 41), (100, 100, 100), (200, 30, 10)])
def test_products_of_middle_size(sizes, dtype):
    rng = np.random.default_rng(0)
    m, k, n = sizes
    x, y, b = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n), (n,)))
    for u in (x, np.asfortranarray(x), np.repeat(x, 2, 0)[::2], x[::-1], x[:, ::-1]):
        for v in (y, np.asfortranarray(y), np.repeat(y, 2, 1)[:, ::2]):
            same(*ready("matmul", Tensor._wrap(u), Tensor._wrap(v)))
            same(*ready("linear", Tensor._wrap(u), Tensor._wrap(v.T)))
            same(*ready("linear", Tensor._wrap(u), Tensor._wrap(v.T), Tensor._wrap(b)))


@pytest.mark.parametrize(
    "shapes",
    [
        ((64, 16, 16), (64, 16, 16)),
        ((64, 16, 16), (16, 16)),
        ((2, 3, 40, 50), (3, 50, 7)),
        ((4, 1, 20, 30), (5, 30, 40)),
        ((50, 60), (4, 60, 50)),
    ],
)
def test_batches_of_products(shapes):
    xs = [Tensor._wrap(np.random.default_rng(k).standard_normal(s).astype(np.float32)) for k, s in enumerate(shapes)]
    same(*ready("matmul", *xs))
    if len(shapes[1]) == 2:
        same(*ready("linear", xs[0], xs[1].T))


def test_more_kinds_of_products_than_the_table_has_places():
    rng = np.random.default_rng(0)
    kinds = [(m, k, 33) for m in range(32, 52) for k in range(32, 52)]
    for _ in range(2):
        for m, k, n in kinds:
            same(*ready("matmul", *(Tensor._wrap(rng.standard_normal(s).astype(np.float32)) for s in ((m, k), (k, n)))))


def test_products_follow_the_number_of_threads():
    rng = np.random.default_rng(0)
    x, y = (Tensor._wrap(rng.standard_normal((100, 100)).astype(np.float32)) for _ in range(2))
    before = torch.get_num_threads()
    _, wanted = ready("matmul", x, y)
    try:
        for count in (1, 3, 2, 1):
            torch.set_num_threads(count)
            found, now = ready("matmul", x, y)
            same(found, wanted)
            same(now, wanted)
    finally:
        torch.set_num_threads(before)


class Own(torch.Tensor):
    pass


REFUSED = {
    "broadcasting": lambda: (torch.ones(3, 4), torch.ones(4)),
    "nothing": lambda: (torch.ones(0, 4), torch.ones(0, 4)),
    "no dimensions": lambda: (torch.tensor(1.0), torch.tensor(2.0)),
    "many elements": lambda: (torch.ones(1 << 15), torch.ones(1 << 15)),
    "two dtypes": lambda: (torch.ones(3), torch.ones(3).double()),
    "integers": lambda: (torch.arange(3), torch.arange(3)),
    "turned": lambda: (torch.ones(3, 4).T, torch.ones(4, 3)),
    "spread": lambda: (torch.ones(8)[::2], torch.ones(4)),
    "a class of the user's": lambda: (torch.ones(3).as_subclass(Own), torch.ones(3)),
    "a number that doubles do not hold": lambda: (torch.ones(3), 2**60 + 1),
    "a number beyond doubles": lambda: (torch.ones(3), 2**2000),
    "True": lambda: (torch.ones(3), True),
    "an array": lambda: (torch.ones(3), np.ones(3, np.float32)),
    "nothing at all": lambda: (torch.ones(3), None),
    "two numbers": lambda: (1.0, 2.0),
    "no operand": lambda: (),
    "five operands": lambda: (torch.ones(3),) * 5,
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_for_it_is_left_alone(case):
    xs = REFUSED[case]()
    for _ in range(3):
        assert DOORS["add"](*xs) is None


@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 4), (3, 4)),
        ((1, 4), (4, 5)),
        ((3, 4), (4, 1)),
        ((3, 1), (1, 4)),
        ((2, 3, 4), (4, 5)),
        ((40,), (40, 1000)),
        ((0, 4), (4, 5)),
        ((2, 200), (200, 300)),
        ((200, 300), (300, 200)),
        ((40, 40), (41, 40)),
        ((2, 40, 40), (3, 40, 40)),
    ],
)
def test_products_that_are_left_alone(shapes):
    xs = [torch.ones(s) for s in shapes]
    for _ in range(3):
        assert DOORS["matmul"](*xs) is None
    x = torch.ones(4, 4)
    assert DOORS["matmul"](x, x.T) is None  # NumPy has another function for it


@pytest.fixture
def doors(monkeypatch):
    """All doors open."""
    for name, made in DOORS.items():
        monkeypatch.setattr(REGISTRY[name], "quick_door", made)


def run():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    x, y = torch.randn(5, 6), torch.randn(5, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    losses = []
    for _ in range(4):
        h = torch.relu(x @ net[0].weight.T + net[0].bias)
        out = torch.nn.functional.linear(h, net[2].weight, net[2].bias) * 2.0 - 0.5
        loss = ((out - y) * (out - y)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    grads = [p.grad._a.copy() for p in net.parameters()]
    a = torch.randn(3, 3, requires_grad=True)
    (first,) = torch.autograd.grad(((a * a) @ a).sum(), a, create_graph=True)
    (second,) = torch.autograd.grad((first * first).sum(), a)
    return [losses, *grads, second._a.copy()]


def test_training_has_the_same_bits(doors, monkeypatch):
    run()
    quick = run()
    for name in DOORS:
        monkeypatch.setattr(REGISTRY[name], "quick_door", None)
    for one, two in zip(quick, run(), strict=True):
        assert np.array_equal(one, two)


def test_results_know_where_they_come_from(doors):
    x = torch.ones(2, 3, requires_grad=True)
    for _ in range(2):
        y = x * 2.0
        z = x @ torch.ones(3, 2)
    assert y.grad_fn.name() == "MulBackward0" and z.grad_fn.name() == "MmBackward0"
    assert y.grad_fn.place[0].co_name == z.grad_fn.place[0].co_name == "test_results_know_where_they_come_from"
    with torch.no_grad():
        assert (x * 2.0).grad_fn is None and not (x * 2.0).requires_grad
    assert (x > 2.0).grad_fn is None
    base = torch.ones(2, 3)
    view = base[:]
    base.mul_(torch.ones(2, 3, requires_grad=True))
    assert (view * 2.0).requires_grad  # a view of what was written since


def test_modes_are_kept(doors):
    x = torch.ones(2, 3)
    x + x
    with torch.inference_mode():
        assert (x + x).is_inference()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (torch.ones(4, 4) @ torch.full((4, 4), 2.0)).dtype == torch.bfloat16
    doubled = torch.compile(lambda v: v + v)
    for _ in range(4):
        assert torch.equal(doubled(x), torch.full((2, 3), 2.0))
    assert torch.equal(torch.vmap(lambda v: v * v)(x), x * x)


def test_those_who_listen_hear_of_all(doors, monkeypatch):
    w, b, x = torch.randn(6, 5, requires_grad=True), torch.randn(6), torch.randn(4, 5)

    def listened():
        heard, kept = [], []

        class Keeps(Keeper):
            def keep(self, tensor, node, i):
                kept.append((node.op.name, i, tensor is not None))

        before = MODE.observers, MODE.saving
        MODE.observers = (lambda op, xs, attrs, t: heard.append((op.name, len(xs), attrs, t.shape)),)
        MODE.saving = Keeps()
        MODE.settle()
        try:
            y = torch.nn.functional.linear(x, w, b)
            z = (torch.relu(y) * 2.0 + (y > 0)).sum()
            with torch.no_grad():
                a = x @ w.T
        finally:
            MODE.observers, MODE.saving = before
            MODE.settle()
        assert z.requires_grad and not a.requires_grad and a.grad_fn is None and y.grad_fn.name() == "AddmmBackward0"
        return heard, kept, torch.autograd.grad(z, w)[0]

    listened()
    quick = listened()
    calls = []
    for name in ("linear", "relu", "mul", "matmul"):
        door = DOORS[name]
        monkeypatch.setattr(
            REGISTRY[name], "quick_door", lambda *xs, d=door, n=name: calls.append((n, (t := d(*xs)) is not None)) or t
        )
    listened()
    assert {n for n, taken in calls if taken} == {"linear", "relu", "mul", "matmul"}
    for name in DOORS:
        monkeypatch.setattr(REGISTRY[name], "quick_door", None)
    slow = listened()
    assert quick[:2] == slow[:2] and torch.equal(quick[2], slow[2])


def test_nothing_is_kept(doors):
    x, y = torch.ones(4, 4), torch.full((4, 4), 2.0)
    results = [x + y, x @ y, x * 2.0]
    held = [weakref.ref(r) for r in results] + [weakref.ref(r._s) for r in results]
    del results
    assert not any(ref() is not None for ref in held)
    things = (x._a.dtype, x._a, y._a, x, y, eager_door.WANTED, type(x), x._s.__class__)
    gc.collect()
    before = [sys.getrefcount(t) for t in things]
    for _ in range(1000):
        x + y, x @ y, x * 2.0, x + 3
        DOORS["add"](x, torch.ones(3))
    gc.collect()
    assert all(abs(b - a) < 5 for b, a in zip(before, [sys.getrefcount(t) for t in things], strict=True))


def test_threads(doors):
    x, wrong = torch.arange(12.0).reshape(3, 4), []

    def work(k):
        for _ in range(3000):
            y = x * float(k)
            if not (y._a == x._a * k).all():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_it_is_opened_after_many_calls(monkeypatch):
    op = REGISTRY["add"]
    monkeypatch.setattr(op, "quick_door", None)
    monkeypatch.setattr(small, "_calls", [0])
    monkeypatch.setattr(small, "PATIENCE", 100)
    small.attach(op)
    x = torch.ones(3)
    counter = op.quick_door
    for _ in range(10):
        x + x
    assert op.quick_door is counter
    for _ in range(100):
        x + x
    assert op.quick_door is not counter and op.quick_door(x, x) is not None
