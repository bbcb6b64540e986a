"""Equal kernels side by side: which steps become one record, that threads share it, and that results are those of one by one."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler import together


def compiled(fn, *given):
    f = torch.compile(fn, fullgraph=True)
    for _ in range(3):
        out = f(*given)
    (entries,) = f.entries.values()
    return f, entries[0].program, out


def branches(count, rows, inner, columns):
    """Products of one input with weights of their own, as attention's."""
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(inner, columns, generator=generator) for _ in range(count)]

    def fn(x):
        return [torch.tanh(x @ w) @ w.T for w in weights]

    return fn, torch.randn(rows, inner, generator=generator)


@pytest.mark.parametrize(
    ("sizes", "shared"), [((3, 6, 7, 9), False), ((3, 60, 64, 48), True), ((5, 40, 40, 64), True)], ids=str
)
def test_equal_products_are_one_record(sizes, shared):
    fn, x = branches(*sizes)
    f, program, out = compiled(fn, x)
    assert program.native_steps < len(program.steps)
    groups = {(program.steps[g.first].label, g.count, g.chunks > 1) for g in program.groups}
    count, rows, inner, columns = sizes
    assert (f"matmul [] {rows}x{inner}x{columns}", count, shared) in groups
    for a, b in zip(out, fn(x), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=2e-5)
    told = f.explain(rounds=1).data["programs"][0]["parts"][0]["together"]
    assert max(g["steps"] for g in told) == count
    assert "of equal kernels side by side" in str(f.explain(rounds=0))


def test_the_bits_are_those_of_one_by_one(monkeypatch):
    fn, x = branches(4, 60, 64, 48)
    _, program, together_ = compiled(fn, x)
    assert any(g.chunks > 1 for g in program.groups)
    monkeypatch.setattr("retrograd.compiler.program.groups", lambda *a: [])
    _, alone, single = compiled(fn, x)
    assert not alone.groups
    assert alone.native_steps == len(alone.steps)
    for a, b in zip(together_, single, strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()


def test_steps_wait_for_their_like():
    """The first product has nothing to wait for it until the end, the second comes after other work."""
    generator = torch.Generator().manual_seed(1)
    u, v, w = (torch.randn(12, 12, generator=generator) for _ in range(3))

    def fn(x):
        first = x @ u
        late = torch.cumsum(x @ v, 1)
        return first, late, late @ w

    x = torch.randn(12, 12, generator=generator)
    _, program, out = compiled(fn, x)
    assert [g.count for g in program.groups] == [2]
    for a, b in zip(out, fn(x), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=2e-5)


def test_what_depends_is_not_brought_together():
    w = torch.randn(12, 12, generator=torch.Generator().manual_seed(2)) / 4

    def fn(x):
        for _ in range(4):
            x = torch.cumsum(x @ w, 0)
        return x

    x = torch.randn(12, 12)
    _, program, out = compiled(fn, x)
    assert not program.groups
    np.testing.assert_allclose(out.numpy(), fn(x).numpy(), rtol=1e-4, atol=1e-4)


def test_values_that_share_memory_are_not_computed_at_once():
    a, b = object(), object()

    class Value:
        def __init__(self, name):
            self.name = name

    x, y, z = Value("x"), Value("y"), Value("z")

    class Step:
        def __init__(self, reads, writes):
            self.reads, self.writes = reads, writes

    places = {x: (a, 0, 64), y: (a, 64, 128), z: (b, 0, 64)}
    meet = together._meet
    assert not meet([Step((x,), (y,)), Step((x,), (z,))], places.get)
    places[z] = (a, 32, 64)
    assert meet([Step((x,), (y,)), Step((x,), (z,))], places.get)  # the second writes what the first reads
    places[z] = (a, 100, 160)
    assert meet([Step((x,), (y,)), Step((x,), (z,))], places.get)  # both write
