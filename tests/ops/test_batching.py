"""Every row of the registry has a batching rule, and the rule gives what the items give one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import retrograd
from ops.test_registry import CASES, arrays
from retrograd.core import REGISTRY, apply, wrap
from retrograd.core.mode import MODE
from retrograd.ops import computed, order
from retrograd.tensor.vmap import vmap

EXEMPT = {
    "reversible": "runs modules in its own walk, never under a trace",
    "pick": "takes one of several results: vmap does it itself",
    "iota": "has no inputs, so nothing that could depend on a batch",
    "module_boundary": "put around modules for their backward hooks, never under a trace",
}
SIZE = 3


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_row_has_a_rule(name):
    assert REGISTRY[name].batch is not None or name in EXEMPT, f"{name} has no batching rule: give the row batch="


def test_what_is_exempt_exists():
    assert set(EXEMPT) <= set(REGISTRY)


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_the_rule_gives_what_the_items_give(op, sample):
    if op.impure or op.batch is None:
        return
    items = [arrays(op, sample, seed=k) for k in range(SIZE)]
    attrs = sample.get("attrs", {})
    for flags in itertools.product([True, False], repeat=len(items[0])):
        if not any(flags):
            continue
        given = [np.stack([xs[i] for xs in items]) if f else items[0][i] for i, f in enumerate(flags)]
        got = vmap(lambda *xs: apply(op, *xs, **attrs), tuple(0 if f else None for f in flags))(*map(wrap, given))._a
        with np.errstate(all="ignore"):
            each = [op.numpy(*[xs[i] if f else items[0][i] for i, f in enumerate(flags)], **attrs) for xs in items]
        want = np.stack(each)
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        if got.dtype.kind in "fc":
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)
        else:
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_an_empty_batch_has_the_items_shape(op, sample):
    if op.impure or op.batch is None or op.name in ("histc",):
        return
    xs = arrays(op, sample)
    attrs = sample.get("attrs", {})
    blanks = [wrap(np.zeros((0, *x.shape), x.dtype)) for x in xs]
    with np.errstate(all="ignore"):
        try:
            want = op.numpy(*[np.zeros_like(x) for x in xs], **attrs)
        except RuntimeError:  # a matrix of zeros has no inverse
            return
    assert vmap(lambda *ts: apply(op, *ts, **attrs))(*blanks)._a.shape == (0, *np.asarray(want).shape)


def test_an_operation_without_a_rule_is_named():
    rule, order.histogram.batch = order.histogram.batch, None
    try:
        with pytest.raises(RuntimeError, match="histc has no batching rule"):
            vmap(lambda x: retrograd.histc(x, 3, 0, 1))(retrograd.rand(2, 4))
    finally:
        order.histogram.batch = rule
    assert MODE.trace is None and not MODE.special


def test_what_numpy_computes_is_one_operation():
    x = retrograd.randn(3, 2, 4)
    got = vmap(lambda v: apply(computed.computed, v, fn=lambda a: a.argmax(-1)))(x)
    np.testing.assert_array_equal(got._a, x._a.argmax(-1))
