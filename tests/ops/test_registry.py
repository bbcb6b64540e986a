"""Every row of the registry: type rule, both derivative modes to third order, raw arrays and Tensors alike, in every dtype."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest

import retrograd
from retrograd.autodiff import pullback, pushforward
from retrograd.core import MODE, REGISTRY, TensorType, apply, enable_grad, no_grad, typeof, wrap

EXEMPT = {
    "reversible": "has a walk of its own; tested in tests/memory",
    "pick": "takes one of several results; tested with operations that have them",
    "view_write": "made by in-place writes; tested in tests/parity/test_views_and_writes.py",
    "straight": "made by writes under a trace; tested in tests/core",
    "function": "autograd.Function; tested in tests/tensor",
    "once_differentiable": "autograd.Function; tested in tests/tensor",
    "take_rows": "index_select with a sparse gradient; tested in tests/parity/test_sparse.py",
    "embed": "the transpose of every view that shows a part",
    "detach": "has no derivative by definition",
    "module_boundary": "an identity that module hooks put around a module; tested in tests/nn",
    "index_put2": "index_put for two index arrays; tested in tests/parity/test_indexing.py",
    "index_put_zeros2": "its transpose",
    "draw": "random",
    "draw_like": "random",
}


def all_cases():
    for name, op in sorted(REGISTRY.items()):
        for k, sample in enumerate(op.samples):
            yield pytest.param(op, sample, id=f"{name}-{k}")


CASES = list(all_cases())


def arrays(op, sample, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    domain = sample.get("domain", op.domain) or (-2.0, 2.0)
    domains = domain if isinstance(domain[0], tuple) else (domain,) * len(sample["shapes"])
    kinds = sample.get("dtypes", (None,) * len(sample["shapes"]))
    out = []
    for shape, (low, high), kind in zip(sample["shapes"], domains, kinds, strict=True):
        kind = kind or sample.get("dtype")
        if kind == "bool":
            out.append(np.asarray(rng.integers(0, 2, shape), np.bool_))
        elif kind == "index":
            out.append(np.asarray(rng.integers(0, sample["high"], shape)))
        elif kind is not None and np.dtype(kind).kind in "iu":
            out.append(np.asarray(rng.integers(1, 6, shape), kind))
        elif kind is not None and np.dtype(kind).kind == "c":
            out.append(np.asarray(rng.uniform(low, high, shape) + 1j * rng.uniform(low, high, shape), kind))
        else:
            out.append(np.asarray(rng.uniform(low, high, shape)).astype(dtype))
    return out


def differentiable(xs):
    return [i for i, a in enumerate(xs) if a.dtype.kind in "fcV"]


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_row_has_samples(name):
    assert REGISTRY[name].samples or name in EXEMPT, f"{name} is tested nowhere: give it samples"


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_the_type_rule_says_what_numpy_gives(op, sample):
    xs = arrays(op, sample)
    attrs = sample.get("attrs", {})
    with np.errstate(all="ignore"):
        found = np.asarray(op.numpy(*xs, **attrs))
    assert op.type(*(typeof(a) for a in xs), **attrs) == TensorType(found.shape, found.dtype)


def tangents_like(xs, rng, which):
    return [np.asarray(rng.standard_normal(a.shape)).astype(a.dtype) if i in which else None for i, a in enumerate(xs)]


def evaluate(op, xs, attrs):
    with np.errstate(all="ignore"):
        return np.asarray(op.numpy(*xs, **attrs))


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_both_modes_agree_with_differences(op, sample):
    attrs = sample.get("attrs", {})
    xs = arrays(op, sample)
    which = differentiable(xs)
    if op.vjp is None or not which or evaluate(op, xs, attrs).dtype.kind != "f" or any(a.dtype.kind == "c" for a in xs):
        return
    rng = np.random.default_rng(1)
    v = tangents_like(xs, rng, which)
    eps = 1e-6
    moved = [[a if d is None else a + s * eps * d for a, d in zip(xs, v, strict=True)] for s in (1, -1)]
    numerical = (evaluate(op, moved[0], attrs) - evaluate(op, moved[1], attrs)) / (2 * eps)
    g = rng.standard_normal(numerical.shape)
    want = float((g * numerical).sum())
    before = MODE.keep_inputs
    MODE.keep_inputs = True
    MODE.settle()
    try:
        tensors = [wrap(a.copy()) for a in xs]
        for i in which:
            tensors[i].requires_grad_()
        out = apply(op, *tensors, **attrs)
    finally:
        MODE.keep_inputs = before
        MODE.settle()
    if not out.requires_grad:
        assert abs(want) < 1e-5
        return
    leaves = [tensors[i]._node for i in which]
    pushed = pushforward([out._node], leaves, [wrap(v[i]) for i in which])[0]
    if pushed is not None:
        np.testing.assert_allclose(pushed._a, numerical, rtol=1e-5, atol=1e-7)
    else:
        assert abs(want) < 1e-5
    raw = pullback([out._node], [g], retain=True, as_tensors=False, wanted=leaves)
    recorded = pullback([out._node], [wrap(g)], retain=True, as_tensors=True, wanted=leaves)
    got = 0.0
    for i, r, t in zip(which, raw, recorded, strict=True):
        if r is None:
            assert t is None
            continue
        assert (r.shape, r.dtype) == (xs[i].shape, xs[i].dtype)
        np.testing.assert_allclose(r, t._a, rtol=1e-12, atol=1e-12)
        got += float((r * v[i]).sum())
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


def directional(op, attrs, base, which, v, order):
    """The order-th derivative of a weighted sum of the result along v, by reverse walks over reverse walks."""

    def along(s):
        tensors = [wrap(a) for a in base]
        return [apply_along(t, s, v[i]) if i in which else t for i, t in enumerate(tensors)]

    def apply_along(t, s, d):
        return t + s * wrap(d)

    with enable_grad():
        s = retrograd.tensor(0.0, dtype=retrograd.float64, requires_grad=True)
        out = apply(op, *along(s), **attrs)
        weights = np.random.default_rng(5).standard_normal(out._a.shape)
        y = (out * wrap(weights)).sum()
        for _ in range(order):
            if not y.requires_grad:
                return 0.0
            (y,) = retrograd.autograd.grad(y, s, create_graph=True, allow_unused=True, materialize_grads=True)
    return y.item()


def differences(op, attrs, base, which, v, order):
    """The same derivative by differences of the derivative one order lower."""
    eps = 1e-5
    sides = []
    for sign in (1, -1):
        moved = [a + sign * eps * v[i] if i in which else a for i, a in enumerate(base)]
        sides.append(directional(op, attrs, moved, which, v, order - 1))
    return (sides[0] - sides[1]) / (2 * eps)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize(("op", "sample"), CASES)
def test_higher_orders_agree_with_differences(op, sample, order):
    attrs = sample.get("attrs", {})
    xs = arrays(op, sample, seed=3)
    which = differentiable(xs)
    if op.vjp is None or not which or evaluate(op, xs, attrs).dtype.kind != "f" or any(a.dtype.kind == "c" for a in xs):
        return
    v = tangents_like(xs, np.random.default_rng(4), which)
    got = directional(op, attrs, xs, which, v, order)
    want = differences(op, attrs, xs, which, v, order)
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)


NARROW = [np.float32, np.float16, ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize(("op", "sample"), CASES)
def test_rules_keep_the_dtype(op, sample, dtype):
    attrs = sample.get("attrs", {})
    if op.vjp is None or sample.get("dtype") or op.name in ("cast", "view_as_complex"):
        return
    xs = arrays(op, sample, dtype=dtype)
    which = differentiable(xs)
    tensors = [wrap(a) for a in xs]
    for i in which:
        tensors[i].requires_grad_()
    out = apply(op, *tensors, **attrs)
    assert out._a.dtype == dtype
    leaves = [tensors[i]._node for i in which]
    seed = np.ones(out._a.shape, dtype)
    for as_tensors in (False, True):
        found = pullback(
            [out._node], [wrap(seed) if as_tensors else seed], retain=True, as_tensors=as_tensors, wanted=leaves
        )
        for i, r in zip(which, found, strict=True):
            a = r._a if as_tensors and r is not None else r
            assert a is None or (a.shape, a.dtype) == (xs[i].shape, dtype)


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_no_gradient_for_inputs_that_do_not_want_one(op, sample):
    attrs = sample.get("attrs", {})
    xs = arrays(op, sample)
    which = differentiable(xs)
    if op.vjp is None or any(a.dtype.kind == "c" for a in xs):
        return
    for wanted in itertools.chain.from_iterable(itertools.combinations(which, n) for n in range(1, len(which) + 1)):
        tensors = [wrap(a) for a in xs]
        for i in wanted:
            tensors[i].requires_grad_()
        with no_grad():
            assert apply(op, *tensors, **attrs)._node is None
        out = apply(op, *tensors, **attrs)
        if out._node is None:
            continue
        assert [n is not None for n in out._node.inputs] == [i in wanted for i in range(len(xs))]
        pullback([out._node], [np.ones(out._a.shape)], retain=False, as_tensors=False, leaf=lambda node, g, owned: None)
