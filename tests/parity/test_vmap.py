"""vmap against PyTorch: a table of functions with every choice of mapped inputs, dimensions, nesting, derivatives, errors."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")

from parity.mapped import TABLE, inputs  # noqa: E402  (below the check for torch)

SIZE = 3


def leaves(out: Any) -> list[Any]:
    """Give the tensors of nested sequences."""
    return [v for part in out for v in leaves(part)] if isinstance(out, (tuple, list)) else [out]


def close(got: Any, want: Any, **tolerance: float) -> None:
    """Compare a tensor of each library."""
    g, w = got.detach().numpy(), want.detach().numpy() if hasattr(want, "detach") else want
    assert g.shape == w.shape
    assert g.dtype == w.dtype
    np.testing.assert_allclose(g, w, **{"rtol": 1e-7, "atol": 1e-9, **tolerance})


def choices(count: int) -> list[tuple[Any, ...]]:
    """All inputs mapped, and each of them alone."""
    each = [tuple(0 if i == j else None for i in range(count)) for j in range(count)]
    return [(0,) * count] + (each if count > 1 else [])


@pytest.mark.parametrize("name", TABLE)
def test_items_one_by_one(name: str) -> None:
    fn, kinds = TABLE[name]
    arrays = inputs(kinds, 0, SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dims in choices(len(kinds)):
            given = [a if d == 0 else a[0] for a, d in zip(arrays, dims, strict=True)]
            items = [
                leaves(fn(torch, *[torch.tensor(x[k] if d == 0 else x) for x, d in zip(given, dims, strict=True)]))
                for k in range(SIZE)
            ]
            want = [torch.stack(parts) for parts in zip(*items, strict=True)]
            got = leaves(retrograd.vmap(lambda *xs: fn(retrograd, *xs), dims)(*map(retrograd.tensor, given)))
            assert len(got) == len(want)
            for g, w in zip(got, want, strict=True):
                close(g, w)


FLAT = {"special.zeta": "no slope by the first argument", "as_strided": "needs a whole storage"}


def total(fn: Any) -> Any:
    """Make one number of all floating-point results, each element with a weight of its own."""

    def call(*xs: Any) -> Any:
        s: Any = xs[0].double().sum() * 0
        for o in leaves(fn(retrograd, *xs)):
            if o.dtype.is_floating_point:
                s = s + (o * (retrograd.arange(o.numel(), dtype=o.dtype).reshape(o.shape) + 1).cos()).sum()
        return s

    return call


@pytest.mark.parametrize("name", [n for n in TABLE if n not in FLAT])
def test_derivatives_within_and_around(name: str) -> None:
    fn, kinds = TABLE[name]
    xs = [retrograd.tensor(a) for a in inputs(kinds, 0, SIZE)]
    which = tuple(i for i, x in enumerate(xs) if x.dtype.is_floating_point)
    if not which:
        return
    f, func = total(fn), retrograd.func
    gradient = func.grad(f, which)

    def pushed(args: Any, tangents: Any) -> Any:
        def moved(*ds: Any) -> Any:
            whole = list(args)
            for i, d in zip(which, ds, strict=True):
                whole[i] = d
            return f(*whole)

        return func.jvp(moved, tuple(args[i] for i in which), tuple(tangents))[1]

    rng = np.random.default_rng(1)
    ts = [retrograd.tensor(rng.standard_normal(tuple(xs[i].shape))) for i in which]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        each = [gradient(*[x[k] for x in xs]) for k in range(SIZE)]
        want = [retrograd.stack(list(parts)) for parts in zip(*each, strict=True)]
        for got in (retrograd.vmap(gradient)(*xs), func.grad(lambda *a: retrograd.vmap(f)(*a).sum(), which)(*xs)):
            for g, w in zip(got, want, strict=True):
                close(g, w, rtol=1e-6, atol=1e-8)
        along = retrograd.stack([pushed([x[k] for x in xs], [t[k] for t in ts]) for k in range(SIZE)])
        close(retrograd.vmap(pushed)(xs, ts), along, rtol=1e-6, atol=1e-8)


def _cube(t: Any) -> Any:
    return t.tensor(np.random.default_rng(0).standard_normal((3, 4, 5)))


PLACES = list(itertools.product((0, 1, -1), (0, 1, -1)))


@pytest.mark.parametrize(("into", "out"), PLACES)
def test_dimensions(into: int, out: int) -> None:
    def run(t: Any) -> Any:
        x = _cube(t)
        return t.func.vmap(lambda a, b: (a @ b.sum(0, keepdim=True).mT, a + 1), (into, None), (out, 0))(x, x[0])

    try:
        want = run(torch)
    except RuntimeError:
        with pytest.raises(RuntimeError):
            run(retrograd)
        return
    for g, w in zip(run(retrograd), want, strict=True):
        close(g, w)


CALLS: dict[str, Any] = {
    "nested": lambda t, x: t.vmap(t.vmap(t.vmap(lambda a: a * 2)))(x),
    "nested over other dimensions": lambda t, x: t.vmap(
        t.vmap(lambda a: a.cumsum(0), in_dims=1, out_dims=1), in_dims=2
    )(x),
    "outer product by nesting": lambda t, x: t.vmap(lambda a: t.vmap(lambda b: (a * b).sum())(x))(x),
    "inner captures the outer item": lambda t, x: t.vmap(lambda a: t.vmap(lambda b: (b - a).abs().sum(), 1)(x))(
        x[:, 0, 0]
    ),
    "results that do not depend on the batch": lambda t, x: t.vmap(lambda a: (a.sum(), t.ones(2)))(x),
    "an input that is returned": lambda t, x: t.vmap(lambda a, b: (a, b), (0, None))(x, x),
    "out_dims None": lambda t, x: t.vmap(lambda a: (a, t.ones(3)), out_dims=(1, None))(x),
    "a plain result": lambda t, x: t.vmap(lambda a: (a, 3.5), out_dims=(0, None))(x)[0],
    "keywords are shared": lambda t, x: t.vmap(lambda a, k: a[0, 0] * k)(x, k=x),
    "dictionaries": lambda t, x: t.vmap(lambda d: {"s": d["a"] + d["b"]}, ({"a": 0, "b": None},), {"s": 1})(
        {"a": x, "b": 2.0}
    )["s"],
    "chunks": lambda t, x: t.vmap(lambda a: a.sum(), in_dims=2, chunk_size=2)(x),
    "an empty batch": lambda t, x: t.vmap(lambda a: a.sum(0))(x[:0]),
    "in place": lambda t, x: t.vmap(lambda a: a.mul_(2).add_(1), in_dims=1, out_dims=1)(x.clone()),
    "jacrev": lambda t, x: t.vmap(t.func.jacrev(lambda a: a.sin().sum(0)))(x),
    "jacfwd": lambda t, x: t.vmap(t.func.jacfwd(lambda a: a.sin().sum(0)))(x),
    "hessian": lambda t, x: t.vmap(t.func.hessian(lambda a: (a**3).sum()))(x[:, :2, :2]),
    "hessian of a product": lambda t, x: t.func.hessian(lambda a: a.prod())(x[0, 0]),
    "per-sample gradients": lambda t, x: t.vmap(t.func.grad(lambda w, a: ((a @ w) ** 2).sum()), (None, 0))(x[0, 0], x),
    "vjp": lambda t, x: t.func.vjp(t.vmap(lambda a: a.prod(0)), x)[1](t.ones(3, 5, dtype=x.dtype))[0],
    "jvp": lambda t, x: t.func.jvp(t.vmap(lambda a: a.prod(0)), (x,), (x.cos(),))[1],
    "batched gradients": lambda t, x: _batched(t, x),
    "vectorised jacobian": lambda t, x: t.autograd.functional.jacobian(lambda a: a.prod(1), x, vectorize=True),
    "vectorised hessian": lambda t, x: t.autograd.functional.hessian(lambda a: (a**3).sum(), x[0], vectorize=True),
    "rearrange": lambda t, x: t.func.rearrange(x, "a (b c) d -> c a (d b)", b=2),
}


def _batched(t: Any, x: Any) -> Any:
    x = x.requires_grad_()
    y = (x**2).sum(0)
    rows = t.eye(20, dtype=x.dtype).reshape(20, 4, 5)
    return t.autograd.grad(y, x, rows, is_grads_batched=True)[0]


@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got, want = (leaves(CALLS[name](t, _cube(t))) for t in (retrograd, torch))
    for g, w in zip(got, want, strict=True):
        close(g, w)


ERRORS: dict[str, Any] = {
    "no tensor": lambda t, x: t.vmap(lambda a: a)(1),
    "in_dims None": lambda t, x: t.vmap(lambda a: a, in_dims=None)(x),
    "in_dims all None": lambda t, x: t.vmap(lambda a: a, in_dims=(None,))(x),
    "in_dims too large": lambda t, x: t.vmap(lambda a: a, in_dims=3)(x),
    "in_dims too small": lambda t, x: t.vmap(lambda a: a, in_dims=-4)(x),
    "in_dims of another structure": lambda t, x: t.vmap(lambda a, b: a, in_dims=(0,))(x, x),
    "in_dims a string": lambda t, x: t.vmap(lambda a: a, in_dims="a")(x),
    "in_dims half": lambda t, x: t.vmap(lambda a: a, in_dims=(0.5,))(x),
    "in_dims of a number": lambda t, x: t.vmap(lambda a: a, in_dims=(0,))(1.0),
    "in_dims of a dictionary": lambda t, x: t.vmap(lambda d: d["a"], in_dims=({"a": 0},))({"a": x, "b": x}),
    "sizes differ": lambda t, x: t.vmap(lambda a, b: a)(x, x[:2]),
    "no inputs": lambda t, x: t.vmap(lambda: 1)(),
    "a number returned": lambda t, x: t.vmap(lambda a: 1.0)(x),
    "None returned": lambda t, x: t.vmap(lambda a: (a, None))(x),
    "out_dims of another structure": lambda t, x: t.vmap(lambda a: a, out_dims=(0, 1))(x),
    "out_dims too large": lambda t, x: t.vmap(lambda a: a, out_dims=3)(x),
    "out_dims None of a batch": lambda t, x: t.vmap(lambda a: a, out_dims=None)(x),
    "out_dims a string": lambda t, x: t.vmap(lambda a: a, out_dims="a")(x),
    "item": lambda t, x: t.vmap(lambda a: a.sum().item())(x),
    "a branch": lambda t, x: t.vmap(lambda a: a if a.sum() > 0 else -a)(x),
    "int": lambda t, x: t.vmap(lambda a: int(a.sum()))(x),
    "numpy": lambda t, x: t.vmap(lambda a: a.numpy())(x),
    "tolist": lambda t, x: t.vmap(lambda a: a.tolist())(x),
    "nonzero": lambda t, x: t.vmap(lambda a: a.nonzero())(x),
    "unique": lambda t, x: t.vmap(lambda a: a.unique())(x),
    "a mask": lambda t, x: t.vmap(lambda a: a[a > 0])(x),
    "masked_select": lambda t, x: t.vmap(lambda a: a.masked_select(a > 0))(x),
    "a write to what is shared": lambda t, x: t.vmap(lambda a, b: b.add_(a), (0, None))(x, x[0].clone()),
    "a draw": lambda t, x: t.vmap(lambda a: a + t.rand(2))(x),
    "randomness": lambda t, x: t.vmap(lambda a: a, randomness="any")(x),
    "the same draw for different chances": lambda t, x: t.vmap(lambda a: t.bernoulli(a.sigmoid()), randomness="same")(
        x
    ),
    "chunks of none": lambda t, x: t.vmap(lambda a: a, chunk_size=0)(x),
    "no models": lambda t, x: t.func.stack_module_state([]),
    "a function of a container": lambda t, x: t.func.functionalize(lambda a: a, remove="none")(x),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    found = []
    for t in (retrograd, torch):
        with pytest.raises(Exception) as caught:
            ERRORS[name](t, _cube(t))
        found.append(caught.value)
    assert type(found[0]) is type(found[1]), found
    start = str(found[1])[:24]
    if type(found[0]) is ValueError and "TreeSpec" not in str(found[1]):
        assert str(found[0]).startswith(start)


@pytest.mark.parametrize("randomness", ["different", "same"])
def test_draws_are_the_same_bits(randomness: str) -> None:
    draws = {
        "rand": lambda t, a: a + t.rand(4, 5, dtype=a.dtype),
        "randn": lambda t, a: a + t.randn(4, 5, dtype=a.dtype),
        "randn_like": lambda t, a: a + t.randn_like(a),
        "randint": lambda t, a: a + t.randint(10, (4, 5)),
        "normal_": lambda t, a: a.new_zeros(4, 5).normal_() + a,
    }
    for name, draw in draws.items():
        found = []
        for t in (retrograd, torch):
            t.manual_seed(0)
            found.append(t.vmap(lambda a, draw=draw, t=t: draw(t, a), randomness=randomness)(_cube(t)))
        np.testing.assert_array_equal(found[0].numpy(), found[1].numpy(), err_msg=name)


def test_an_ensemble_of_networks() -> None:
    def run(t: Any) -> Any:
        t.manual_seed(0)
        models = [t.nn.Sequential(t.nn.Linear(3, 4), t.nn.ReLU(), t.nn.Linear(4, 2)) for _ in range(3)]
        params, buffers = t.func.stack_module_state(models)
        x = t.randn(5, 3)
        call = lambda p, b, v: t.func.functional_call(models[0], (p, b), (v,))
        out = t.vmap(call, (0, 0, None))(params, buffers, x)
        out.square().sum().backward()
        return [out, *[params[k].grad for k in sorted(params)]]

    for g, w in zip(run(retrograd), run(torch), strict=True):
        np.testing.assert_allclose(g.detach().numpy(), w.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_per_sample_gradients_of_a_convolutional_network() -> None:
    def run(t: Any) -> Any:
        t.manual_seed(0)
        net = t.nn.Sequential(
            t.nn.Conv2d(1, 3, 3),
            t.nn.GroupNorm(1, 3),
            t.nn.ReLU(),
            t.nn.MaxPool2d(2),
            t.nn.Flatten(),
            t.nn.Linear(27, 4),
        )
        params = {k: v.detach() for k, v in net.named_parameters()}
        x, y = t.randn(6, 1, 8, 8), t.tensor([0, 1, 2, 3, 0, 1])

        def loss(p: Any, v: Any, label: Any) -> Any:
            out = t.func.functional_call(net, p, (v.unsqueeze(0),))
            return t.nn.functional.cross_entropy(out, label.unsqueeze(0))

        found = t.vmap(t.func.grad(loss), (None, 0, 0))(params, x, y)
        return [found[k] for k in sorted(found)]

    for g, w in zip(run(retrograd), run(torch), strict=True):
        np.testing.assert_allclose(g.numpy(), w.numpy(), rtol=1e-4, atol=1e-5)


def test_a_transformer_layer() -> None:
    def run(t: Any) -> Any:
        t.manual_seed(0)
        layer = t.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).double().eval()
        x = t.tensor(np.random.default_rng(0).standard_normal((3, 2, 4, 8)))
        return t.vmap(layer)(x) if t is retrograd else t.stack([layer(v) for v in x])

    close(run(retrograd), run(torch), rtol=1e-6, atol=1e-7)
