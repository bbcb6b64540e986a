"""Convolution kernels against the sum that defines them, and against each other as transposes."""

from __future__ import annotations

import threading
from itertools import product

import ml_dtypes
import numpy as np
import pytest

from retrograd.ops import columns as columns_module
from retrograd.ops import conv_kernels as kernels

# x, w, stride, padding, dilation, groups
CASES = [
    ((2, 3, 9), (4, 3, 3), (1,), ((0, 0),), (1,), 1),
    ((2, 3, 9), (4, 3, 3), (2,), ((1, 2),), (1,), 1),
    ((2, 4, 9), (6, 2, 2), (3,), ((0, 0),), (3,), 2),
    ((1, 1, 1), (1, 1, 1), (1,), ((0, 0),), (1,), 1),
    ((3, 2, 8), (5, 2, 4), (2,), ((-1, 3),), (2,), 1),
    ((2, 3, 7, 6), (4, 3, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 3, 7, 6), (4, 3, 3, 2), (2, 3), ((0, 1), (2, 0)), (1, 2), 1),
    ((2, 6, 7, 6), (6, 1, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 6),
    ((2, 6, 7, 6), (12, 1, 3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 6),
    ((2, 6, 7, 6), (4, 3, 2, 2), (2, 1), ((1, 1), (0, 0)), (2, 3), 2),
    ((2, 5, 8, 8), (7, 5, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 5, 9, 9), (7, 5, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 5, 9, 9), (7, 5, 1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 3, 8, 8), (5, 3, 4, 4), (4, 4), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 3, 5, 5), (5, 3, 5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 9, 6, 6), (2, 9, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 2, 6, 6), (9, 2, 3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 2, 6, 6), (3, 2, 2, 2), (3, 3), ((4, 4), (5, 1)), (1, 1), 1),
    ((2, 2, 6, 6), (3, 2, 1, 1), (3, 3), ((4, 4), (5, 1)), (2, 2), 1),
    ((0, 2, 6, 6), (3, 2, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 2, 4, 5, 4), (3, 2, 2, 3, 2), (1, 2, 1), ((0, 0), (1, 1), (0, 1)), (2, 1, 1), 1),
    ((1, 4, 5, 4, 5), (4, 2, 3, 1, 2), (2, 1, 2), ((1, 1), (0, 0), (1, 0)), (1, 1, 2), 2),
]


def attributes(case):
    return dict(zip(("stride", "padding", "dilation", "groups"), case[2:], strict=True))


def padded(x, padding):
    x = np.pad(x, ((0, 0), (0, 0), *((max(lo, 0), max(hi, 0)) for lo, hi in padding)))
    ends = ((max(-lo, 0), n - max(-hi, 0)) for (lo, hi), n in zip(padding, x.shape[2:], strict=True))
    return x[(..., *(slice(a, b) for a, b in ends))]


def defined(x, w, *, stride, padding, dilation, groups):
    """The convolution as its defining sum, one tap at a time."""
    wide = padded(x, padding)
    pixels = columns_module.output_size(x.shape[2:], w.shape[2:], stride, padding, dilation)
    out = np.zeros((x.shape[0], groups, w.shape[0] // groups, *pixels), x.dtype)
    blocks = w.reshape(groups, -1, *w.shape[1:])
    for tap in product(*map(range, w.shape[2:])):
        reads = zip(tap, dilation, stride, pixels, strict=True)
        part = wide[(..., *(slice(i * d, i * d + (o - 1) * s + 1, s) for i, d, s, o in reads))]
        part = part.reshape(x.shape[0], groups, w.shape[1], *pixels)
        out += np.einsum("gkc,ngc...->ngk...", blocks[(..., *tap)], part)
    return out.reshape(x.shape[0], w.shape[0], *pixels)


def drawn(case, dtype=np.float64):
    rng = np.random.default_rng(7)
    x, w = (rng.standard_normal(shape).astype(dtype) for shape in case[:2])
    return x, w


@pytest.fixture(params=["whole", "chunked", "gathered", "scattered"])
def strategy(request, monkeypatch):
    """Each way in which the kernels may go about it."""
    columns_module.make_plan.cache_clear()
    if request.param == "chunked":
        monkeypatch.setattr(columns_module, "CHUNK_BYTES", 200)
        monkeypatch.setattr(columns_module, "CHUNK_BYTES_MAX", 200)
        monkeypatch.setattr(kernels, "CHUNK_BYTES", 200)
        monkeypatch.setattr(kernels, "FEW_ROWS", 0)
    elif request.param != "whole":
        monkeypatch.setattr(kernels, "SCATTER_COST", 0 if request.param == "scattered" else 10**6)
    yield request.param
    columns_module.make_plan.cache_clear()


@pytest.mark.parametrize("case", CASES)
def test_convolution_is_its_defining_sum(case, strategy):
    x, w = drawn(case)
    np.testing.assert_allclose(kernels.conv(x, w, **attributes(case)), defined(x, w, **attributes(case)), atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_the_three_are_each_others_transposes(case, strategy):
    x, w = drawn(case)
    attrs = attributes(case)
    out = kernels.conv(x, w, **attrs)
    g = np.random.default_rng(1).standard_normal(out.shape)
    to_x = kernels.conv_input_grad(g, w, x_shape=x.shape, **attrs)
    to_w = kernels.conv_weight_grad(g, x, w_shape=w.shape, **attrs)
    assert to_x.shape == x.shape and to_w.shape == w.shape
    np.testing.assert_allclose([np.vdot(to_x, x), np.vdot(to_w, w)], np.vdot(g, out), atol=1e-10)


@pytest.mark.parametrize("order", [columns_module.PIXELS, columns_module.PATCHES, columns_module.CHANNELS])
@pytest.mark.parametrize("case", CASES)
def test_every_order_of_columns_gives_the_same(case, order, monkeypatch):
    def fixed(geometry, itemsize, least_pixels):
        return columns_module.Plan(order, 1, 2)

    monkeypatch.setattr(kernels, "make_plan", fixed)
    x, w = drawn(case)
    attrs = attributes(case)
    expected = defined(x, w, **attrs)
    np.testing.assert_allclose(kernels.conv(x, w, **attrs), expected, atol=1e-12)
    to_w = kernels.conv_weight_grad(expected, x, w_shape=w.shape, **attrs)
    np.testing.assert_allclose(np.vdot(to_w, w), np.vdot(expected, expected), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64", "complex128", "int64", "int32", "uint8"])
def test_dtype_is_kept(dtype):
    for case in (CASES[6], CASES[9], CASES[15]):
        x, w = (np.round(4 * a).astype("i8").astype(dtype) for a in drawn(case))
        attrs = attributes(case)
        out = kernels.conv(x, w, **attrs)
        assert out.dtype == dtype
        wide = "c16" if np.dtype(dtype).kind == "c" else "i8"  # small whole numbers are exact in every dtype
        np.testing.assert_array_equal(out, defined(x.astype(wide), w.astype(wide), **attrs).astype(dtype))
        assert kernels.conv_input_grad(out, w, x_shape=x.shape, **attrs).dtype == dtype
        assert kernels.conv_weight_grad(out, x, w_shape=w.shape, **attrs).dtype == dtype


def test_sixteen_bit_floats_are_summed_in_float32():
    x, w = np.ones((1, 3000, 1), np.float16), np.ones((1, 3000, 1), np.float16)
    geometry = {"stride": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1}
    assert kernels.conv(x, w, **geometry).item() == 3000
    x, w = x.astype(ml_dtypes.bfloat16), w.astype(ml_dtypes.bfloat16)
    assert float(kernels.conv(x, w, **geometry).item()) == 3008  # the bfloat16 nearest to 3000


def test_any_memory_layout_will_do():
    for case in CASES:
        x, w = drawn(case)
        attrs = attributes(case)
        expected = kernels.conv(x, w, **attrs)
        strided = np.asfortranarray(x), np.repeat(w, 2, axis=-1)[..., ::2]
        np.testing.assert_allclose(kernels.conv(*strided, **attrs), expected, atol=1e-12)
        g = np.broadcast_to(np.float64(1), expected.shape)
        np.testing.assert_allclose(
            kernels.conv_weight_grad(g, strided[0], w_shape=w.shape, **attrs),
            kernels.conv_weight_grad(np.ones_like(expected), x, w_shape=w.shape, **attrs),
            atol=1e-12,
        )
        reversed_x = x[..., ::-1]
        np.testing.assert_allclose(
            kernels.conv(reversed_x, w, **attrs), kernels.conv(reversed_x.copy(), w, **attrs), atol=1e-12
        )


def test_threads_do_not_share_scratch():
    cases = [c for c in CASES if c[0][0]]
    expected = [kernels.conv(*drawn(case), **attributes(case)) for case in cases]
    wrong = []

    def work(shift):
        for turn in range(30):
            number = (turn + shift) % len(cases)
            out = kernels.conv(*drawn(cases[number]), **attributes(cases[number]))
            if not np.array_equal(out, expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(shift,)) for shift in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_scratch_is_bounded_and_lent_once():
    scratch = columns_module._Scratch()
    with scratch.borrow("columns", 100) as first, scratch.borrow("columns", 100) as second:
        assert not np.shares_memory(first, second)
    with scratch.borrow("columns", columns_module.SCRATCH_BYTES + 1):
        pass
    assert all(buffer.size <= columns_module.SCRATCH_BYTES for buffer in scratch.free.values())


@pytest.mark.parametrize("case", [c for c in CASES if all(lo >= 0 <= hi for lo, hi in c[3])])
def test_unfold_and_a_product_are_a_convolution(case):
    x, w = drawn(case)
    stride, padding, dilation, groups = case[2:]
    blocks = kernels.unfold(x, kernel=w.shape[2:], stride=stride, padding=padding, dilation=dilation)
    if groups == 1:
        out = defined(x, w, **attributes(case))
        np.testing.assert_allclose(
            w.reshape(w.shape[0], -1) @ blocks, out.reshape(*out.shape[:2], np.prod(out.shape[2:])), atol=1e-12
        )
    g = np.random.default_rng(1).standard_normal(blocks.shape)
    back = kernels.fold(g, size=x.shape[2:], kernel=w.shape[2:], stride=stride, padding=padding, dilation=dilation)
    assert back.shape == x.shape
    np.testing.assert_allclose(np.vdot(back, x), np.vdot(g, blocks), atol=1e-10)
