"""Products of matrices by generated kernels: any shapes, strides and batches, against float64."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from retrograd.compiler.contractions.prepared import prepare
from retrograd.compiler.contractions.products import describe, linear, matmul
from retrograd.core.threads import set_threads, threads
from retrograd.ops import contract

EPSILON = {np.float32: 1e-6, np.float64: 2e-15}
SIZES = (1, 2, 5, 13, 14, 15, 31, 32, 33, 50, 100, 257)


def scattered(rng, shape, dtype):
    """An array of that shape somewhere in a larger one: offsets, steps and turned dimensions."""
    whole = rng.standard_normal([2 * n + 3 for n in shape]).astype(dtype)
    index = tuple(slice(int(rng.integers(0, 3)), None, int(rng.choice([1, 1, 1, 2]))) for _ in shape)
    view = whole[index][tuple(slice(0, n) for n in shape)]
    return view[tuple(slice(None, None, int(rng.choice([1, 1, -1]))) for _ in shape)]


def operand(rng, shape, dtype):
    """An operand of a product, perhaps transposed."""
    if rng.random() < 0.5:
        return scattered(rng, shape, dtype)
    return scattered(rng, (*shape[:-2], shape[-1], shape[-2]), dtype).swapaxes(-1, -2)


def close(found, wanted, k, dtype):
    assert found.dtype == dtype and found.shape == wanted.shape
    assert np.abs(found - wanted).max(initial=0) <= 8 * EPSILON[dtype] * max(k, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(6))
def test_matrices_of_any_shape_and_strides(seed, dtype):
    rng = np.random.default_rng(seed)
    for _ in range(40):
        m, k, n = (int(size) for size in rng.choice(SIZES, 3))
        x, y = operand(rng, (m, k), dtype), operand(rng, (k, n), dtype)
        close(matmul(x, y), x.astype(np.float64) @ y.astype(np.float64), k, dtype)


@pytest.mark.parametrize("seed", range(4))
def test_batches_that_broadcast(seed):
    rng = np.random.default_rng(seed)
    for _ in range(40):
        lead = [int(n) for n in rng.integers(1, 4, rng.integers(0, 4))]
        m, k, n = (int(size) for size in rng.choice((1, 3, 14, 40), 3))
        ones = [[size if rng.random() < 0.7 else 1 for size in lead][rng.integers(0, len(lead) + 1) :] for _ in "xy"]
        x, y = operand(rng, (*ones[0], m, k), np.float32), operand(rng, (*ones[1], k, n), np.float32)
        if x.ndim > 2 and rng.random() < 0.5:
            x = np.broadcast_to(x[:1], x.shape)
        if x.ndim > 2 and rng.random() < 0.5:
            x = x.swapaxes(0, -2)
        if x.ndim > 2 and x.shape[0] not in (1, *(y.shape[:1] if y.ndim == x.ndim else ())) and y.ndim > 2:
            continue
        close(matmul(x, y), np.matmul(x.astype(np.float64), y.astype(np.float64)), k, np.float32)


@pytest.mark.parametrize(("m", "k", "n"), [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0), (40, 0, 50), (1, 0, 7)])
def test_empty_operands(m, k, n):
    x, y = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
    np.testing.assert_array_equal(matmul(x, y), np.zeros((m, n), np.float32))
    assert matmul(np.ones((0, m, k), np.float32), y).shape == (0, m, n)


@pytest.mark.parametrize(
    "shape", [(300, 200, 310), (40, 3000, 60), (4, 600, 500), (2000, 1, 1500), (64, 70, 3000), (9, 64, 64, 64)]
)
@pytest.mark.parametrize("turned", [False, True])
def test_threads_do_not_change_a_bit(shape, turned):
    rng = np.random.default_rng(0)
    *batch, m, k, n = shape
    x = rng.standard_normal((*batch, m, k)).astype(np.float32)
    y = rng.standard_normal((*batch, n, k) if turned else (*batch, k, n)).astype(np.float32)
    y = y.swapaxes(-1, -2) if turned else y
    before = threads()
    try:
        found = []
        for number in (1, 2, 3):
            set_threads(number)
            found.append(matmul(x, y))
    finally:
        set_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(20, 30, 40), (1, 64, 70), (33, 1, 65), (50, 600, 3)])
def test_what_is_not_a_number_goes_where_it_belongs(bad, shape):
    m, k, n = shape
    rng = np.random.default_rng(0)
    x, y = rng.random((m, k), np.float32), rng.random((k, n), np.float32)
    x[m // 2, k // 2] = bad
    found = matmul(x, y)
    assert not np.isfinite(found[m // 2]).any()
    assert np.isfinite(np.delete(found, m // 2, 0)).all()
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(np.isnan(found), np.isnan(x @ y))


def test_memory_that_is_not_aligned():
    rng = np.random.default_rng(0)
    raw = rng.standard_normal(5000).astype(np.float32).tobytes()
    x = np.frombuffer(b"abc" + raw, np.float32, 40 * 50, 3).reshape(40, 50)
    y = np.frombuffer(b"a" + raw, np.float32, 50 * 60, 1).reshape(50, 60)
    close(matmul(x, y), x.astype(np.float64) @ y.astype(np.float64), 50, np.float32)


def test_nothing_beside_the_operands_is_read_or_written():
    rng = np.random.default_rng(0)
    for m, k, n in ((5, 7, 9), (14, 33, 31), (30, 40, 65), (3, 50, 70)):
        whole = [np.full((rows + 2, columns + 2), np.nan, np.float32) for rows, columns in ((m, k), (k, n))]
        x, y = (array[1:-1, 1:-1] for array in whole)
        x[:], y[:] = rng.standard_normal((m, k)), rng.standard_normal((k, n))
        for left, right in ((x, y), (np.asfortranarray(x), y), (x, np.asfortranarray(y))):
            close(matmul(left, right), left.astype(np.float64) @ right.astype(np.float64), k, np.float32)


@pytest.mark.parametrize("shape", [(64, 784, 50), (2, 300, 200), (300, 20, 3), (5, 10, 70, 33)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_linear_layers(shape, dtype):
    rng = np.random.default_rng(0)
    *batch, m, k, n = shape
    x, w, b = (rng.standard_normal(s).astype(dtype) for s in ((*batch, m, k), (n, k), (n,)))
    wanted = x.astype(np.float64) @ w.T.astype(np.float64)
    close(linear(x, w), wanted, k, dtype)
    close(linear(x, w, b), wanted + b, k, dtype)
    close(linear(x[..., 0, :][(0,) * len(batch)], w, b), wanted[..., 0, :][(0,) * len(batch)] + b, k, dtype)


@pytest.mark.parametrize("dtype", [np.int64, np.complex64])
def test_other_numbers_are_left_to_numpy(dtype):
    x = np.ones((64, 64), dtype)
    assert matmul(x, x) is None
    assert contract.matmul(x, x).dtype == dtype


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "shape", [(5, 7, 9), (1, 300, 40), (40, 30, 1), (30, 1500, 70), (3, 20, 64, 33), (33, 1024, 1024), (130, 2050, 520)]
)
def test_narrow_numbers_are_summed_in_float32(name, shape):
    dtype = np.dtype(np.float16) if name == "float16" else np.dtype(ml_dtypes.bfloat16)
    rng = np.random.default_rng(0)
    *batch, m, k, n = shape
    x, y = rng.standard_normal((*batch, m, k)).astype(dtype), rng.standard_normal((*batch, k, n)).astype(dtype)
    bias = rng.standard_normal(n).astype(dtype)
    wanted = x.astype(np.float64) @ y.astype(np.float64)
    step = 2.0**-11 if name == "float16" else 2.0**-8
    for left, right in (
        (x, y),
        (x.swapaxes(-1, -2).copy().swapaxes(-1, -2), y),
        (x, y.swapaxes(-1, -2).copy().swapaxes(-1, -2)),
    ):
        found = matmul(left, right)
        assert found.dtype == dtype
        np.testing.assert_allclose(found.astype(np.float64), wanted, rtol=step, atol=1e-5 * k)
        found = linear(left, right.swapaxes(-1, -2), bias) if not batch else matmul(left, right)
        wanted_here = wanted + (bias.astype(np.float64) if not batch else 0)
        np.testing.assert_allclose(found.astype(np.float64), wanted_here, rtol=step, atol=1e-5 * k)


@pytest.mark.parametrize("shape", [(32, 100_000, 32), (5, 8200, 7), (100, 20_001, 128)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_sums_are_cut_alike_for_any_threads(shape, dtype):
    m, k, n = shape
    rng = np.random.default_rng(0)
    x, y, bias = (rng.standard_normal(s).astype(dtype) for s in ((k, m), (k, n), (n,)))
    before, found = threads(), []
    try:
        for count in (1, 2, 3):
            set_threads(count)
            found += [matmul(x.T, y), linear(x.T, y.T, bias) - bias]
    finally:
        set_threads(before)
    wanted = x.astype(np.float64).T @ y.astype(np.float64)
    for got in found:
        np.testing.assert_allclose(got, wanted, rtol=0, atol=3e-6 * k if dtype is np.float32 else 1e-14 * k)
    assert all(np.array_equal(got, found[0]) for got in found[::2])
    assert all(np.array_equal(got, found[1]) for got in found[1::2])


VIEWS = {
    "odd rows": lambda x: x[:, 1:-2],
    "every second": lambda x: x[:, ::2],
    "backwards": lambda x: x[::-1],
    "turned": lambda x: x.T,
    "turned, odd": lambda x: x[1:-2].T,
    "one row for all": lambda x: np.broadcast_to(x[:1], x.shape),
}


@pytest.mark.parametrize("left", VIEWS)
@pytest.mark.parametrize("right", VIEWS)
def test_views_of_bfloat16(left, right):
    dtype = np.dtype(ml_dtypes.bfloat16)
    rng = np.random.default_rng(0)
    x, y = (VIEWS[name](rng.standard_normal((101, 101)).astype(dtype)) for name in (left, right))
    k = min(x.shape[1], y.shape[0])
    x, y = x[:, :k], y[:k]
    for end in (k, k - 1):  # pairs, and a number left over
        wanted = x[:, :end].astype(np.float64) @ y[:end].astype(np.float64)
        found = matmul(x[:, :end], y[:end])
        np.testing.assert_allclose(found.astype(np.float64), wanted, rtol=2.0**-8, atol=1e-5 * k)


def test_bits_of_bfloat16_do_not_depend_on_threads():
    dtype = np.dtype(ml_dtypes.bfloat16)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 1024)).astype(dtype), rng.standard_normal((1024, 700)).astype(dtype)
    before, found = threads(), []
    try:
        for count in (1, 2):
            set_threads(count)
            found.append(matmul(x, y).view(np.uint16))
    finally:
        set_threads(before)
    assert np.array_equal(*found)


def test_blocks_of_rows_are_packed_for_all_columns_that_they_meet():
    for dtype in (np.float32, np.float16):
        for m in (20, 33, 128, 300, 1000):
            for k in (64, 1024, 3000):
                for n in (200, 1024, 4000):
                    strides = [np.empty(shape, dtype).strides for shape in ((m, k), (k, n))]
                    what = describe(np.dtype(dtype), (m, k), strides[0], (k, n), strides[1])[0]
                    cut = prepare(what).blocks
                    assert cut.group == cut.columns_at_once or -(-cut.row_panels // cut.row_strips) <= cut.rows_at_once


def test_a_sum_of_many_ones_in_bfloat16():
    dtype = np.dtype(ml_dtypes.bfloat16)
    found = matmul(np.ones((3, 1000), dtype), np.ones((1000, 20), dtype))
    assert (found.astype(np.float32) == 1000).all()


def test_ops_use_the_kernels_above_a_size(monkeypatch):
    asked = []
    monkeypatch.setattr(contract.executors, "find", lambda name: asked.append(name))
    contract.matmul(np.ones((4, 4), np.float32), np.ones((4, 4), np.float32))
    assert not asked
    contract.matmul(np.ones((80, 80), np.float32), np.ones((80, 80), np.float32))
    contract.linear_layer(np.ones((80, 80), np.float32), np.ones((80, 80), np.float32), np.ones(80, np.float32))
    contract.weight_product(np.ones((80, 80), np.float32), np.ones((80, 80), np.float32))
    assert asked == ["matmul", "linear", "matmul"]
