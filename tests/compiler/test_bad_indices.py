"""An index that does not exist, found in generated code: eager's error, and eager's state behind it."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler import compiled

F = torch.nn.functional


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    monkeypatch.setattr(compiled, "STRICT", True)


def program_of(fn):
    return next(iter(fn.entries.values()))[0].program


def test_programs_of_one_text_have_errors_of_their_own():
    table = torch.randn(5, 3)
    fns = [torch.compile(lambda i, table=table: F.embedding(i, table) * 2, fullgraph=True) for _ in range(2)]
    good = torch.tensor([1, 2])
    for fn in fns:
        for _ in range(3):
            fn(good)
    one, two = (program_of(fn) for fn in fns)
    assert one.text == two.text
    assert ctypes.addressof(one.error) != ctypes.addressof(two.error)
    one.error.value = 7  # as if another thread's call had just met an index
    np.testing.assert_array_equal(fns[1](good).numpy(), (table[good] * 2).numpy())
    assert one.error.value == 7


def counting(seen, table):
    """Writes outside before it looks anything up."""

    def step(x, i):
        seen.add_(x.mean(0))
        return F.embedding(i, table).sum() + seen.sum()

    return step


def normalised(norm, table):
    """Batch norm's running statistics, then a loss that looks at classes."""

    def step(x, i):
        return F.cross_entropy(norm(x) @ table.T, i)

    return step


def late(seen, table):
    """Looks up what it has to compute first, long after the write."""

    def step(x, i):
        seen.add_(x.mean(0))
        h = (x @ x.T @ x).softmax(1).sum(0)
        return F.embedding(i + (h @ h > 1e9).long(), table).sum() + seen.sum()

    return step


@pytest.mark.parametrize("kind", ["counter", "batch norm", "late"])
def test_nothing_outside_is_written_before_all_indices_are_known(kind):
    ends = []
    for way in (lambda f: f, lambda f: torch.compile(f, fullgraph=True)):
        torch.manual_seed(0)
        table = torch.randn(5, 4)
        if kind != "batch norm":
            seen = torch.zeros(4)
            fn, held = way((late if kind == "late" else counting)(seen, table)), [seen]
        else:
            norm = torch.nn.BatchNorm1d(4, affine=False)
            fn, held = way(normalised(norm, table)), [norm.running_mean, norm.running_var, norm.num_batches_tracked]
        x, good, bad = torch.randn(3, 4), torch.tensor([0, 1, 4]), torch.tensor([0, 5, 1])
        for _ in range(4):
            fn(x, good)
        with pytest.raises(IndexError) as caught:
            fn(x, bad)
        after = fn(x, good)
        ends.append((str(caught.value), [after, *held]))
        if isinstance(fn, compiled.Compiled):
            assert program_of(fn).repeatable
    assert ends[0][0] == ends[1][0]
    for a, b in zip(ends[0][1], ends[1][1], strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)
