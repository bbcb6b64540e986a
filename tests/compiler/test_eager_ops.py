"""Every op that has a kernel for large arrays, beside its NumPy function: values, special values, dtypes, layouts."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler.eager_ops import Elementwise, Reduction
from retrograd.core import REGISTRY
from retrograd.core.large import KINDS, LARGE

N = 140_003
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, 2.0, 1e-40, 88.8, -104.0, 3e38])
ATTRS = {"clamp": {"min": -0.5, "max": 1.0}}
TWO = {"add", "sub", "mul", "div", "maximum", "minimum", "fmax", "fmin", "atan2", "hypot", "copysign", "pow"}
TWO |= {"eq", "ne", "lt", "le", "gt", "ge"}
DTYPES = (np.float32, np.float64)


def values(dtype, seed=0):
    x = np.random.default_rng(seed).standard_normal(N) * 3
    x[: SPECIAL.size] = SPECIAL
    return np.roll(x.astype(dtype), 7 * seed)


def operands(name, dtype):
    x, y = values(dtype), values(dtype, 1)
    if name == "where":
        return x > 0, x, y
    return (x, y) if name in TWO else (x,)


def close(found, wanted, steps=8):
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    if found.dtype.kind != "f":
        np.testing.assert_array_equal(found, wanted)
        return
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    with np.errstate(all="ignore"):
        error = np.abs(found[~same] - wanted[~same]) / np.spacing(np.abs(wanted[~same]))
    assert error.size == 0 or np.nanmax(error) <= steps, (np.nanmax(error), found[~same][:5], wanted[~same][:5])
    assert not np.isnan(error).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KINDS["elementwise"])
def test_like_numpy(name, dtype):
    op = REGISTRY[name]
    run = Elementwise(op)
    run.least = 0
    xs, attrs = operands(name, dtype), ATTRS.get(name, {})
    if name == "cast":
        attrs = {"dtype": np.dtype(np.float32 if dtype is np.float64 else np.float64)}
    with np.errstate(all="ignore"):
        wanted = op.numpy(*xs, **attrs)
        found = [run(*xs, **attrs) for _ in range(4)][-1]
        assert any(k.__class__ is tuple for k in run.kinds.values()), "no kernel was made"
        close(found, np.asarray(wanted))
        half = tuple(x[: N // 2] for x in xs)  # the same kernel serves every length
        close(run(*half, **attrs), np.asarray(op.numpy(*half, **attrs)))


@pytest.mark.parametrize("name", ["add", "mul", "sub", "div", "maximum", "gt", "where", "pow"])
def test_numbers_as_operands(name):
    op, run = REGISTRY[name], Elementwise(REGISTRY[name])
    run.least = 0
    x = np.abs(values(np.float32)) + np.float32(0.1)
    for number in (2.5, 3, -1.0, 0.1):
        given = (x > 1, x, number) if name == "where" else (x, number)
        with np.errstate(all="ignore"):
            for _ in range(4):
                found = run(*given)
            close(found, op.numpy(*given))
            if name in ("add", "sub", "mul"):
                close(run(number, x), op.numpy(number, x))


def test_integers_and_bools():
    x = np.random.default_rng(0).integers(-(2**62), 2**62, N)
    for name in ("add", "mul", "neg", "maximum", "lt", "abs"):
        run = Elementwise(REGISTRY[name])
        run.least = 0
        given = (x, np.roll(x, 1)) if name in TWO else (x,)
        for _ in range(4):
            found = run(*given)
        np.testing.assert_array_equal(found, REGISTRY[name].numpy(*given))
    with pytest.raises(OverflowError):
        torch.zeros(N, dtype=torch.int8)._a + 1000
    assert (torch.zeros(N, dtype=torch.int32) + True).dtype == torch.int32


LAYOUTS = {
    "columns": lambda x: x.reshape(-1, 100).T,
    "permuted": lambda x: x.reshape(10, -1, 100).transpose(2, 0, 1),
    "sliced": lambda x: x.reshape(-1, 100)[:, 10:90],
    "every other": lambda x: x[::2],
    "backwards": lambda x: x[::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    x, y = (LAYOUTS[layout](values(np.float32, k)[:140_000]) for k in range(2))
    run = Elementwise(REGISTRY["sub"])
    run.least = 0
    with np.errstate(all="ignore"):
        for _ in range(5):
            close(run(x, y), x - y)
            close(run(x, np.ascontiguousarray(y)), x - y)
            if x.ndim > 1:
                close(run(x, y[:1]), x - y[:1])


def test_a_contiguous_copy_is_contiguous():
    x = torch.randn(300, 200).T
    for _ in range(5):
        made = x.contiguous()
        assert made.is_contiguous() and torch.equal(made, x)
        assert x.clone().stride() == x.stride()


@pytest.mark.parametrize("axis", [(0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("name", ["sum", "amax", "amin", "mean"])
def test_reductions(name, axis):
    x = np.random.default_rng(0).standard_normal((60, 70, 50)).astype(np.float32)
    op, run = REGISTRY[name], Reduction(REGISTRY[name])
    for keepdims in (False, True):
        for _ in range(4):
            found = run(x, axis=axis, keepdims=keepdims)
        wanted = op.numpy(x.astype(np.float64), axis=axis, keepdims=keepdims)
        assert found.shape == wanted.shape and found.dtype == np.float32
        size = np.abs(x.astype(np.float64)).sum(axis, keepdims=keepdims) / (
            1 if name != "mean" else x.size / wanted.size
        )
        assert (np.abs(found - wanted) <= 1e-6 * size).all()
    x[3, 4, 5] = np.nan
    assert np.isnan(run(x, axis=(0, 1, 2), keepdims=False))


def test_many_numbers_are_added_up_precisely():
    x = torch.full((1 << 22,), 0.1)
    for _ in range(4):
        total = x.sum().item()
    assert abs(total / (float(np.float32(0.1)) * (1 << 22)) - 1) < 1e-6


def test_through_the_door_with_gradients():
    x = torch.randn(LARGE // 100 + 1, 400, requires_grad=True)
    w = torch.randn(400)
    seen = []
    for _ in range(5):
        x.grad = None
        (x.tanh() * w + x.exp().sum(1, keepdim=True)).sum().backward()
        seen.append(x.grad.numpy().copy())
    np.testing.assert_allclose(seen[-1], seen[0], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("size", [6, LARGE - 1, LARGE, LARGE + 1, N, 3 * N])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_number_that_scales_an_array_of_any_size_has_a_gradient(size, shape):
    x = torch.full((size, 2), 0.5)
    scale = torch.ones(shape, requires_grad=True)
    for _ in range(4):
        scale.grad = None
        (x * scale).sum().backward()
        assert scale.grad.shape == shape
        np.testing.assert_allclose(scale.grad.item(), size, rtol=1e-5)


def test_off_stays_numpy(monkeypatch):
    monkeypatch.setenv("RETROGRAD_NATIVE", "off")
    run = Elementwise(REGISTRY["exp"])
    x = values(np.float64)
    with np.errstate(all="ignore"):
        for _ in range(4):
            np.testing.assert_array_equal(run(x), np.exp(x))


WRITES = {
    "add": lambda x, y: x.add_(y),
    "add, scaled": lambda x, y: x.add_(y, alpha=-0.5),
    "itself, scaled": lambda x, y: x.add_(x, alpha=-0.5),
    "sub": lambda x, y: x.sub_(y),
    "rest": lambda x, y: x.mul_(0.5).add_(1.0).div_(y.abs() + 1),
    "exp": lambda x, y: x.exp_(),
    "clamp": lambda x, y: x.clamp_(-0.5, 0.5),
    "clamp between tensors": lambda x, y: x.clamp_(-y.abs(), y.abs()),
    "infix": lambda x, y: x.__iadd__(y).__imul__(2.0),
    "a row": lambda x, y: x.add_(y[0]),
    "of another dtype": lambda x, y: x.mul_(y.double()),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes_in_place(name):
    fn = WRITES[name]
    x, y = (
        torch.tensor(values(np.float64)[100:120_100].reshape(300, 400)),
        torch.tensor(values(np.float64, 1)[:120_000]),
    )
    x, y = x.float(), y.float().nan_to_num(0.0, 2.0, -2.0).clamp(-10, 10).reshape(300, 400)
    wanted = fn(x.double(), y.double())
    for _ in range(5):
        mine = x.clone()
        where, before = mine.data_ptr(), mine._version
        found = fn(mine, y)
        assert found is mine and mine.data_ptr() == where and mine._version > before
    np.testing.assert_allclose(mine.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)


def test_writes_over_what_is_read_elsewhere():
    base = torch.randn(100_001)
    wanted = base[1:].numpy() + base[:-1].numpy()
    for _ in range(5):
        x = base.clone()
        x[1:].add_(x[:-1])
        np.testing.assert_array_equal(x[1:].numpy(), wanted)


def test_writes_that_fail_leave_everything_as_it_was():
    x = torch.randn(300, 400)
    for _ in range(4):
        x.clone().clamp_(-0.5, 0.5)
    before = x.clone()
    with pytest.raises(RuntimeError):
        x.clamp_(torch.zeros(300, 400), torch.zeros(3, 7))
    with pytest.raises(RuntimeError):
        x.add_(torch.zeros(3, 300, 400))
    assert torch.equal(x, before)


def test_writes_with_history():
    w = torch.randn(300, 400, requires_grad=True)
    for _ in range(5):
        x = w * 2.0
        (g,) = torch.autograd.grad((x.mul_(3.0).exp_() + w).sum(), w)
    np.testing.assert_allclose(g.numpy(), 6 * np.exp(6 * w.detach().numpy().astype(np.float64)) + 1, rtol=1e-4)


RULES = {
    "tanh": lambda x, y: x.tanh(),
    "sigmoid": lambda x, y: x.sigmoid(),
    "exp": lambda x, y: x.exp(),
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / (y * y + 1),
    "pow": lambda x, y: (x * x + 0.1) ** 1.5,
    "powers": lambda x, y: (x * x + 0.1) ** y,
    "number": lambda x, y: x * 2.5 + y / 3,
    "relu": lambda x, y: x.relu() + y,
    "where": lambda x, y: torch.where(x > 0, x, y * 2),
    "clamp": lambda x, y: x.clamp(-0.5, 0.5) * y,
    "maximum": lambda x, y: torch.maximum(x, y),
    "erf": lambda x, y: torch.erf(x) - torch.log1p(y * y),
    "broadcast": lambda x, y: x.tanh() * y[:1] + y[:, :1].exp(),
    "no dimensions": lambda x, y: x * y.mean() / y.abs().sum(),
    "turned round": lambda x, y: (x.T * y.T).sin(),
}


@pytest.mark.parametrize("name", RULES)
def test_gradients_by_one_kernel(name):
    rng = np.random.default_rng(0)
    given = [torch.tensor(rng.standard_normal((300, 400))) for _ in range(2)]
    weights = torch.tensor(rng.standard_normal((300, 400)))

    def gradients(dtype, total):
        x, y = (t.to(dtype, copy=True).requires_grad_() for t in given)
        out = RULES[name](x, y)
        w = weights.to(dtype).reshape(out.shape) if total else torch.ones_like(out)
        return torch.autograd.grad(out.sum() if not total else (out * w).sum(), [x, y], allow_unused=True)

    for total in (True, False):
        for _ in range(5):
            found = gradients(torch.float32, total)
        for a, b in zip(found, gradients(torch.float64, total)):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-4, atol=2e-5 * max(1.0, b.abs().max().item()))


def test_gradients_that_meet_are_added_up():
    x = torch.randn(300, 400, requires_grad=True)
    for _ in range(5):
        x.grad = None
        y = x * 1.0
        for _ in range(2):
            (y.sin() + y.cos() + y).sum().backward(retain_graph=True)
    wanted = 2 * (x.cos() - x.sin() + 1)
    np.testing.assert_allclose(x.grad.numpy(), wanted.detach().numpy(), rtol=1e-5, atol=1e-5)
    row = torch.randn(400, requires_grad=True)
    for _ in range(5):
        (g,) = torch.autograd.grad((x.detach() * row).sum(), row)
    np.testing.assert_allclose(g.numpy(), x.detach().numpy().sum(0), rtol=1e-4, atol=1e-4)
