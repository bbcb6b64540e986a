"""Pooling kernels against a loop over windows, and averages against their transposes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from retrograd.ops import pool_kernels as kernels
from retrograd.ops.pool import adaptive_windows, strided_windows
from retrograd.ops.windows import Window

CASES = [
    strided_windows((8,), (2,), (2,), (0,), (1,)),
    strided_windows((9,), (3,), (2,), (1,), (1,)),
    strided_windows((9,), (3,), (2,), (1,), (2,)),
    strided_windows((9,), (2,), (3,), (0,), (1,)),
    strided_windows((8, 6), (2, 2), (2, 2), (0, 0), (1, 1)),
    strided_windows((7, 9), (3, 3), (2, 2), (0, 0), (1, 1)),
    strided_windows((7, 9), (3, 2), (1, 3), (1, 0), (1, 1), ceil_mode=True),
    strided_windows((6, 5), (2, 2), (5, 3), (1, 0), (1, 1), ceil_mode=True),
    strided_windows((6, 7), (1, 3), (1, 1), (0, 1), (1, 2)),
    strided_windows((6, 7), (1, 1), (1, 1), (0, 0), (1, 1)),
    strided_windows((5, 4, 6), (2, 3, 2), (2, 1, 2), (1, 1, 0), (1, 1, 2)),
    adaptive_windows((6, 9), (3, 3)),
    adaptive_windows((7, 5), (3, 2)),
    adaptive_windows((3, 5), (7, 2)),
    adaptive_windows((7, 4, 5), (1, 4, 3)),
    (Window(7, 3, 0), *strided_windows((6,), (2,), (2,), (0,), (1,))),
]


def reads(window, number):
    """The positions one output reads."""
    if not window.kernel:
        return range(number * window.size // window.outputs, -(-(number + 1) * window.size // window.outputs))
    places = (number * window.stride - window.padding + t * window.dilation for t in range(window.kernel))
    return [p for p in places if 0 <= p < window.size]


def windows_of(windows):
    """Each output's place, and the input's places that it reads."""
    for out in np.ndindex(*(w.outputs for w in windows)):
        yield out, list(product(*(reads(w, o) for w, o in zip(windows, out, strict=True))))


def drawn(windows, lead=(2, 3), seed=0):
    shape = (*lead, *(w.size for w in windows))
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(float)


@pytest.fixture(params=[1, 1 << 22], autouse=True)
def chunk(request, monkeypatch):
    monkeypatch.setattr(kernels, "CHUNK_BYTES", request.param)


@pytest.mark.parametrize("windows", CASES)
@pytest.mark.parametrize("special", [None, np.nan, -np.inf])
def test_maximum_and_its_place(windows, special):
    x = drawn(windows)
    if special is not None:
        x[np.random.default_rng(1).random(x.shape) < 0.4] = special
    out = kernels.max_pool(x, windows=windows)
    index = kernels.max_pool_index(x, out, windows=windows)
    size = tuple(w.size for w in windows)
    for place, read in windows_of(windows):
        values = np.stack([x[(..., *p)] for p in read])
        np.testing.assert_array_equal(out[(..., *place)], values.max(0))
        first = np.argmax(values, 0)  # NumPy's stops at the first NaN, torch's goes on to the last
        last = len(read) - 1 - np.argmax(np.isnan(values[::-1]), 0)
        chosen = np.where(np.isnan(values).any(0), last, first)
        flat = np.array([np.ravel_multi_index(p, size) for p in read])
        np.testing.assert_array_equal(index[(..., *place)], flat[chosen])
    np.testing.assert_array_equal(kernels.pool_gather(x, index, dims=len(windows)), out)


@pytest.mark.parametrize("windows", CASES)
def test_scatter_is_the_transpose_of_gather(windows):
    x = drawn(windows)
    index = kernels.max_pool_index(x, kernels.max_pool(x, windows=windows), windows=windows)
    g, t = drawn(windows, seed=1), np.random.default_rng(2).standard_normal(index.shape)
    back = kernels.pool_scatter(t, index, size=x.shape[2:])
    np.testing.assert_allclose(np.vdot(back, g), np.vdot(t, kernels.pool_gather(g, index, dims=len(windows))))


@pytest.mark.parametrize("windows", CASES)
@pytest.mark.parametrize(("include_padding", "divisor"), [(True, None), (False, None), (True, 7)])
def test_mean_and_its_transpose(windows, include_padding, divisor):
    x = drawn(windows)
    attrs = {"windows": windows, "include_padding": include_padding, "divisor": divisor}
    undilated = tuple(w._replace(dilation=1) for w in windows)
    out = kernels.avg_pool(x, **attrs)
    for place, read in windows_of(windows):
        count = divisor
        if count is None and include_padding:
            spans = zip(undilated, place, strict=True)
            count = np.prod([_span_with_padding(w, o) for w, o in spans])
        elif count is None:
            count = np.prod([len(reads(w, o)) for w, o in zip(undilated, place, strict=True)])
        np.testing.assert_allclose(out[(..., *place)], sum(x[(..., *p)] for p in read) / count)
    g = np.random.default_rng(2).standard_normal(out.shape)
    np.testing.assert_allclose(np.vdot(kernels.avg_pool_grad(g, **attrs), x), np.vdot(g, out))


def _span_with_padding(window, number):
    if not window.kernel:
        return len(reads(window, number))
    start = number * window.stride - window.padding
    return min(start + window.kernel, window.size + window.padding) - start


def test_infinities_stay_in_their_windows():
    x = np.zeros((1, 5))
    x[0, 0] = np.inf
    for windows in (strided_windows((5,), (2,), (1,), (0,), (1,)), adaptive_windows((5,), (3,))):
        out = kernels.avg_pool(x, windows=windows, include_padding=True, divisor=None)
        assert np.isinf(out[0, 0]) and (out[0, 1:] == 0).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64", "uint8"])
def test_dtype_is_kept(dtype):
    windows = CASES[5]
    x = (drawn(windows) + 4).astype(dtype)
    out = kernels.max_pool(x, windows=windows)
    mean = kernels.avg_pool(x, windows=windows, include_padding=True, divisor=None)
    assert out.dtype == mean.dtype == dtype
    expected = kernels.max_pool(x.astype("f8"), windows=windows)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(
        kernels.max_pool_index(x, out, windows=windows),
        kernels.max_pool_index(x.astype("f8"), expected, windows=windows),
    )


def test_sixteen_bit_sums_are_kept_in_float32():
    x = np.ones((1, 4000), np.float16)
    windows = strided_windows((4000,), (4000,), (1,), (0,), (1,))
    assert kernels.window_sum(x, windows=windows).item() == 4000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((4,), (2,), (0,), (0,), (1,)), "stride"),
        (((4,), (0,), (1,), (0,), (1,)), "kernel"),
        (((4,), (2,), (1,), (2,), (1,)), "pad should be at most half"),
        (((4,), (2,), (1,), (-1,), (1,)), "non-negative"),
        (((4,), (2,), (1,), (0,), (0,)), "dilation"),
        (((4, 4), (5, 2), (1, 1), (0, 0), (1, 1)), "Output size is too small"),
    ],
)
def test_windows_that_cannot_be(arguments, message):
    with pytest.raises(RuntimeError, match=message):
        strided_windows(*arguments)


def test_no_outputs_at_all():
    windows = adaptive_windows((6, 6), (0, 2))
    x = drawn(windows)
    out = kernels.max_pool(x, windows=windows)
    assert out.shape == kernels.max_pool_index(x, out, windows=windows).shape == (2, 3, 0, 2)
    attrs = {"windows": windows, "include_padding": True, "divisor": None}
    mean = kernels.avg_pool(x, **attrs)
    assert mean.shape == (2, 3, 0, 2) and not kernels.avg_pool_grad(mean, **attrs).any()


def test_adaptive_windows_that_cannot_be():
    with pytest.raises(RuntimeError, match="greater than or equal to 0"):
        adaptive_windows((4, 4), (-1, 2))
    with pytest.raises(RuntimeError, match="non-zero size"):
        adaptive_windows((4, 0), (1, 2))
