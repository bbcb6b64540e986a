"""One pass over an array gives what NumPy's passes give, or nothing."""

from __future__ import annotations

import numpy as np
import pytest

from retrograd.compiler.moments import moments


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [512, 513, 575, 4095, 4096, 4097, 65_536, 100_003])
def test_moments_are_those_of_numpy(size, dtype):
    rng = np.random.default_rng(size)
    a = (rng.standard_normal(size) * 3 + 1).astype(dtype)
    a[rng.random(size) < 0.3] = 0
    a[rng.integers(size)] = -50
    a[-1] = 70  # what is behind the last whole vector counts, too
    b = a.astype(np.float64)
    total, squares, low, high, zeros = moments(a)
    assert (low, high, zeros) == (-50, 70, int((b == 0).sum()))
    assert total == pytest.approx(b.sum(), rel=1e-5, abs=1e-5 * size)
    assert squares == pytest.approx((b * b).sum(), rel=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20])
@pytest.mark.parametrize("place", [0, 300, 511, 999])
def test_what_squares_cannot_tell_is_left_to_numpy(value, place):
    a = np.ones(1000, np.float32)
    a[place] = value
    assert moments(a) is None


def test_other_arrays_are_left_to_numpy():
    a = np.ones(2000, np.float32)
    assert moments(a[::2]) is None and moments(a.reshape(40, 50)) is None and moments(a[:15]) is None
    assert moments(a.astype(np.float16)) is None and moments(a * 1e-20) is None
    assert moments(a * 0) == (0, 0, 0, 0, 2000) and moments(-a) == (-2000, 2000, -1, -1, 0)


def test_a_sum_of_many_keeps_its_digits():
    a = np.full(1 << 22, 0.1, np.float32)
    assert moments(a)[0] == pytest.approx(float(np.float32(0.1)) * a.size, rel=1e-6)
