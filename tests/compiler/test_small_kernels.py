"""Small products and short sums in generated code: rows that share registers, sums that stay in them."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler.codegen import small
from retrograd.compiler.codegen.emit import Module
from retrograd.compiler.codegen.flat import pays
from retrograd.compiler.codegen.products import Product
from retrograd.compiler.runtime import jit

BEHIND = 40  # numbers behind the result that have to stay as they are


def computed(p, lanes, a, b):
    """Run a product's nest on arrays that lie as it says."""
    module = Module(jit.host().enabled)
    small.write_small(p, module, "k", lanes)
    loaded = jit.build(module.text(), "small product")
    c = np.full(p.m * p.n + BEHIND, 7, a.dtype)
    addresses = np.array([a.ctypes.data, b.ctypes.data, c.ctypes.data], np.uint64)
    run = loaded.function("rg_k", None, ctypes.c_void_p, ctypes.c_int64)
    for chunk in reversed(range(p.chunks)):
        run(addresses.ctypes.data, chunk)
    assert (c[p.m * p.n :] == 7).all()
    return c[: p.m * p.n].reshape(p.m, p.n)


SIZES = [
    *[(40, 10, n) for n in (4, 5, 8, 10, 12, 20, 24, 36, 40, 41, 72)],
    *[(m, 9, 40) for m in (1, 2, 3, 5, 11, 23)],
    *[(m, 7, 10) for m in (7, 8, 17, 33)],
]


@pytest.mark.parametrize("turned", [False, True], ids=["rows of A", "columns of A"])
@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "x".join(map(str, s)))
def test_products_whose_rows_share_registers(sizes, turned):
    m, k, n = sizes
    random = np.random.default_rng(0)
    for kind, dtype, lanes, close in (
        ("f32", np.float32, 16, 1e-5),
        ("f64", np.float64, 8, 1e-13),
        ("f32", np.float32, 8, 1e-5),
    ):
        p = Product(kind, (), m, n, k, (1, m) if turned else (k, 1), (n, 1), (n, 1))
        a, b = random.standard_normal(m * k).astype(dtype), random.standard_normal((k, n)).astype(dtype)
        matrix = a.reshape(k, m).T if turned else a.reshape(m, k)
        np.testing.assert_allclose(computed(p, lanes, a, b), matrix.astype("f8") @ b, rtol=close, atol=close)


STRIPS = [(m, k, n) for n in (17, 20, 35, 98) for m, k in ((3, 5), (8, 8), (37, 21), (100, 6))]


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("sizes", STRIPS, ids=lambda s: "x".join(map(str, s)))
def test_narrow_ends_of_rows_share_registers(sizes, chunks):
    m, k, n = sizes
    random = np.random.default_rng(1)
    for kind, dtype, lanes in (("f32", np.float32, 16), ("f64", np.float64, 8), ("f32", np.float32, 8)):
        x, y = random.integers(-9, 9, (m, k)).astype(dtype), random.integers(-9, 9, (k, n)).astype(dtype)
        for a, b in (("rows", "rows"), ("columns", "rows"), ("rows", "columns"), ("apart", "rows")):
            lies = {"rows": (k, 1), "columns": (1, m), "apart": (2 * k, 2)}[a]
            p = Product(kind, (), m, n, k, lies, (n, 1) if b == "rows" else (1, k), (n, 1), chunks=chunks)
            left = {"rows": x, "columns": x.T, "apart": np.repeat(x, 2, axis=1)}[a]
            right = y if b == "rows" else y.T
            found = computed(p, lanes, np.ascontiguousarray(left), np.ascontiguousarray(right))
            np.testing.assert_array_equal(found, x @ y)  # whole numbers: every sum is exact


def test_no_register_is_read_behind_the_end():
    """The last numbers of every operand lie at the end of a page behind which nothing may be read."""
    import mmap

    page = mmap.PAGESIZE
    libc = ctypes.CDLL(None)

    def at_the_end(values):
        size = -(-values.nbytes // page) * page
        memory = mmap.mmap(-1, size + page)
        whole = np.frombuffer(memory, np.uint8)
        assert libc.mprotect(ctypes.c_void_p(whole.ctypes.data + size), ctypes.c_size_t(page), 0) == 0
        out = whole[size - values.nbytes : size].view(values.dtype).reshape(values.shape)
        out[...] = values
        return out

    random = np.random.default_rng(2)
    for m, k, n in ((7, 6, 18), (33, 9, 35), (26, 5, 100)):
        x, y = (random.integers(-9, 9, s).astype(np.float32) for s in ((m, k), (k, n)))
        for turned in (False, True):
            p = Product("f32", (), m, n, k, (1, m) if turned else (k, 1), (n, 1), (n, 1), chunks=2)
            left = at_the_end(np.ascontiguousarray(x.T if turned else x))
            np.testing.assert_array_equal(computed(p, 16, left, at_the_end(y)), x @ y)


@pytest.mark.parametrize("m", [1, 5, 16, 37, 64, 100, 101])
def test_chunks_share_rows_evenly(m):
    p = Product("f32", (), m, 32, 3, (3, 1), (32, 1), (32, 1), chunks=4)
    a, b = np.ones(m * 3, np.float32), np.ones((3, 32), np.float32)
    module = Module(jit.host().enabled)
    small.write_small(p, module, "k", 16)
    run = jit.build(module.text(), "shares").function("rg_k", None, ctypes.c_void_p, ctypes.c_int64)
    rows = []
    for chunk in range(4):
        c = np.zeros((m, 32), np.float32)
        run(np.array([x.ctypes.data for x in (a, b, c)], np.uint64).ctypes.data, chunk)
        rows.append(int((c != 0).all(1).sum()))
    assert sum(rows) == m and max(rows) == -(-m // 4)


@pytest.mark.parametrize("size", [3, 40])
def test_relu_lets_nan_and_the_zeros_sign_through(size):
    x = torch.tensor([-0.0, 0.0, float("nan"), -1.0, 2.0, float("-inf"), float("inf")] * size)
    f = torch.compile(torch.relu)
    for _ in range(3):
        found = f(x)
    want = torch.relu(x)
    assert (found.numpy().view(np.int32) == want.numpy().view(np.int32)).all()


def test_which_products_are_flat():
    def flat(m, k, n, streams=1, turned=True):
        p = Product("f32", (), m, n, k, (1, m) if turned else (k, 1), (n, 1), (n, 1))
        return pays(p, 16, *small._registers(n, 16), streams)

    assert flat(40, 10, 10)
    assert flat(40, 10, 40, streams=5)  # with an optimizer's update behind it
    assert not flat(40, 10, 40)  # two rows' ends share a register anyway
    assert not flat(40, 10, 32)  # whole registers
    assert not flat(64, 50, 100)  # too many registers until rows fill them


def held_of(fn, *given):
    f = torch.compile(fn, fullgraph=True)
    for _ in range(3):
        out = f(*given)
    for a, b in zip(out, fn(*given), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)
    (entries,) = f.entries.values()
    program = entries[0].program
    assert not any(s.label.startswith("fill") for s in program.steps)  # nests begin their sums themselves
    return [(len(plan.held), plan.held_from) for plan in program.writer.plans.values()]


SHORT_SUMS = {
    "rows": (lambda x: [x.sum(0), (x * x).amax(0)], (10, 37), [(2, 0)]),
    "rows of each": (lambda x: [(x * 2).sum(1)], (4, 29, 20), [(1, 1)]),
    "rows of each, and of all": (lambda x: [(x * 2).sum(1), (x * x).sum((0, 1))], (4, 29, 20), [(2, 1)]),
    "with a sum of everything": (lambda x: [x * x, (x * x).sum(0), (x * x).sum()], (10, 5), [(1, 0), (0, 0)]),
    "too long for registers": (lambda x: [(x * 2).sum(0)], (10, 200), [(0, 0)]),
    "single numbers": (lambda x: [(x * x).sum()], (6, 7), [(0, 0)]),
}


@pytest.mark.parametrize("name", SHORT_SUMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_along_short_rows_stay_in_registers(name, dtype):
    fn, shape, want = SHORT_SUMS[name]
    x = torch.tensor(np.random.default_rng(1).standard_normal(shape).astype(dtype))
    found = held_of(fn, x)
    if dtype == "float32":
        assert found == want
