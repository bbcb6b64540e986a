"""Contractions by their description: several axes, bounds, batches, what follows the sum, and how operands are read."""

from __future__ import annotations

import itertools
import math
import os
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest

from retrograd.compiler.contractions import Bound, Contraction, Operand, Result, prepare
from retrograd.core.threads import set_threads, threads


def matrices(rng, m, k, n, dtype=np.float32):
    return rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)


def product(m, k, n, kind="f32", **options):
    """The contraction of contiguous matrices."""
    return Contraction(
        kind, Operand(((m, k),), ((k, 1),)), Operand(((n, 1),), ((k, n),)), Result(((m, n),), ((n, 1),)), **options
    )


@pytest.mark.parametrize(("a_direct", "b_direct"), [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize(("kind", "dtype"), [("f32", np.float32), ("f64", np.float64)])
def test_operands_packed_or_read_where_they_lie(kind, dtype, a_direct, b_direct):
    rng = np.random.default_rng(0)
    for m, k, n in ((1, 1, 1), (14, 64, 32), (29, 33, 47), (70, 520, 65)):
        a, b = matrices(rng, m, k, n, dtype)
        c = np.full((m, n), np.nan, dtype)
        prepare(product(m, k, n, kind), a_direct, b_direct).arrays(a, b, c)
        np.testing.assert_allclose(c, a.astype(np.float64) @ b, atol=1e-5 * k)


def test_a_sum_is_added_to_what_is_there():
    rng = np.random.default_rng(0)
    for m, k, n in ((3, 0, 5), (20, 7, 40), (33, 1500, 50)):
        a, b = matrices(rng, m, k, n)
        c = rng.standard_normal((m, n)).astype(np.float32)
        wanted = c + a.astype(np.float64) @ b
        prepare(product(m, k, n, accumulate=True)).arrays(a, b, c)
        np.testing.assert_allclose(c, wanted, atol=2e-6 * (k + 1))


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize(("m", "n"), [(60, 70), (300, 40), (30, 500)])
def test_long_sums_are_cut_into_blocks(m, n, accumulate):
    rng = np.random.default_rng(0)
    k = 7000
    a, b = matrices(rng, m, k, n)
    c, bias = rng.standard_normal((m, n)).astype(np.float32), rng.standard_normal(n).astype(np.float32)
    wanted = a.astype(np.float64) @ b + (c if accumulate else 0)
    for direct in (False, True):
        what = product(m, k, n, epilogue=("bias_columns", "relu"), accumulate=accumulate)
        ready, found = prepare(what, direct, direct), c.copy()
        assert ready.blocks.depth_at_once < k
        ready.arrays(a, b, found, bias)
        np.testing.assert_allclose(found, np.maximum(wanted + bias, 0), atol=2e-3)


STEPS = {
    "scale": (lambda v, e: v * e[0], (1,)),
    "bias_rows": (lambda v, e: v + e[:, None], ("m",)),
    "bias_columns": (lambda v, e: v + e, ("n",)),
    "add": (lambda v, e: v + e, ("m", "n")),
    "mask": (lambda v, e: np.where(e > 0, v, 0), ("m", "n")),
    "relu": (lambda v: np.maximum(v, 0), None),
    "tanh": (np.tanh, None),
    "sigmoid": (lambda v: 1 / (1 + np.exp(-v)), None),
}


@pytest.mark.parametrize(
    "steps",
    [
        ("scale",),
        ("bias_rows", "relu"),
        ("bias_columns", "tanh"),
        ("mask", "add"),
        ("add", "scale", "sigmoid"),
        ("scale", "bias_columns", "mask"),
    ],
)
@pytest.mark.parametrize("accumulate", [False, True])
def test_what_follows_the_sum(steps, accumulate):
    rng = np.random.default_rng(0)
    for m, k, n in ((5, 20, 9), (31, 40, 70), (28, 1300, 64)):
        a, b = matrices(rng, m, k, n)
        c = rng.standard_normal((m, n)).astype(np.float32)
        wanted = a.astype(np.float64) @ b + (c if accumulate else 0)
        extras = []
        for step in steps:
            function, shape = STEPS[step]
            if shape:
                extras.append(rng.standard_normal([{"m": m, "n": n, 1: 1}[s] for s in shape]).astype(np.float32))
            wanted = function(wanted, *extras[-1:] if shape else ())
        prepare(product(m, k, n, epilogue=steps, accumulate=accumulate)).arrays(a, b, c, *extras)
        np.testing.assert_allclose(c, wanted, atol=3e-6 * k)


def test_nan_passes_relu_and_is_masked():
    a, b = np.full((20, 3), np.nan, np.float32), np.ones((3, 40), np.float32)
    c = np.empty((20, 40), np.float32)
    prepare(product(20, 3, 40, epilogue=("relu",))).arrays(a, b, c)
    assert np.isnan(c).all()
    prepare(product(20, 3, 40, epilogue=("mask",))).arrays(a, b, c, np.zeros_like(c))
    assert (c == 0).all()


def patches(shape, kernel, stride, padding, dilation, weights):
    """A two-dimensional convolution: its operands and its result."""
    n, c, h, w = shape
    out = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1 for size, k, s, p, d in zip((h, w), kernel, stride, padding, dilation)
    ]
    (oh, ow), (kh, kw), (sh, sw), (ph, pw), (dh, dw) = out, kernel, stride, padding, dilation
    x = Operand(
        ((n, c * h * w), (oh, sh * w), (ow, sw)),
        ((c, h * w), (kh, dh * w), (kw, dw)),
        -ph * w - pw,
        (Bound(h, -ph, (0, sh, 0), (0, dh, 0)), Bound(w, -pw, (0, 0, sw), (0, 0, dw))),
    )
    taps = c * kh * kw
    result = Result(((weights, oh * ow),), ((n, weights * oh * ow), (oh * ow, 1)))
    return Operand(((weights, taps),), ((taps, 1),)), x, result, (n, weights, oh, ow)


def convolved(x, w, stride, padding, dilation):
    n, c, h, width = x.shape
    padded = np.zeros((n, c, h + 2 * padding[0], width + 2 * padding[1]))
    padded[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + width] = x
    kh, kw = w.shape[2:]
    oh = (padded.shape[2] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (padded.shape[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    out = np.zeros((n, w.shape[0], oh, ow))
    for i, j in itertools.product(range(kh), range(kw)):
        part = padded[:, :, i * dilation[0] :, j * dilation[1] :][:, :, :: stride[0], :: stride[1]][:, :, :oh, :ow]
        out += np.einsum("nchw,oc->nohw", part, w[:, :, i, j])
    return out


@pytest.mark.parametrize("seed", range(12))
def test_image_patches_are_read_where_they_lie(seed):
    rng = np.random.default_rng(seed)
    for _ in range(5):
        n, c, weights = (int(v) for v in rng.integers(1, 5, 3))
        h, w = (int(v) for v in rng.integers(5, 20, 2))
        kernel, stride, dilation = (tuple(int(v) for v in rng.integers(1, high, 2)) for high in (4, 3, 3))
        padding = tuple(int(v) for v in rng.integers(0, 3, 2))
        if any(size + 2 * p < d * (k - 1) + 1 for size, p, k, d in zip((h, w), padding, kernel, dilation)):
            continue
        a, b, result, shape = patches((n, c, h, w), kernel, stride, padding, dilation, weights)
        x = rng.standard_normal((n, c, h, w)).astype(np.float32)
        weight = rng.standard_normal((weights, c, *kernel)).astype(np.float32)
        out = np.full(shape, np.nan, np.float32)
        prepare(Contraction("f32", a, b, result)).arrays(weight, x, out)
        wanted = convolved(x.astype(np.float64), weight.astype(np.float64), stride, padding, dilation)
        np.testing.assert_allclose(out, wanted, atol=1e-5 * math.prod(weight.shape[1:]))


def test_the_result_may_lie_anywhere():
    rng = np.random.default_rng(0)
    a, b = matrices(rng, 20, 30, 45)
    wanted = a.astype(np.float64) @ b
    for shape, view in (
        ((45, 20), lambda c: c.T),
        ((40, 90), lambda c: c[::-2, 1::2]),
        ((20, 90), lambda c: c[:, 45:]),
    ):
        memory = np.full(shape, 7, np.float32)
        c = view(memory)
        rows, columns = (s // 4 for s in c.strides)
        operands = Operand(((20, 30),), ((30, 1),)), Operand(((45, 1),), ((30, 45),))
        prepare(Contraction("f32", *operands, Result(((20, rows),), ((45, columns),)))).arrays(a, b, c)
        np.testing.assert_allclose(c, wanted, atol=1e-4)
        c[...] = 7
        assert (memory == 7).all()


def test_axes_of_a_sum_and_a_batch():
    """sum over (p, q) of a[g, i, p, q] b[g, q, p, j]: the axes of the sum lie in another order in each."""
    rng = np.random.default_rng(0)
    g, i, p, q, j = 3, 17, 5, 6, 40
    a, b = rng.standard_normal((g, i, p, q)).astype(np.float32), rng.standard_normal((g, q, p, j)).astype(np.float32)
    c = np.zeros((g, i, j), np.float32)
    what = Contraction(
        "f32",
        Operand(((i, p * q),), ((p, q), (q, 1))),
        Operand(((j, 1),), ((p, j), (q, p * j))),
        Result(((i, j),), ((j, 1),)),
        ((g, i * p * q, q * p * j, i * j),),
    )
    prepare(what).arrays(a, b, c)
    np.testing.assert_allclose(c, np.einsum("gipq,gqpj->gij", a.astype(np.float64), b), atol=1e-4)


def test_a_bias_for_each_item_of_a_batch():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 15, 8)).astype(np.float32), rng.standard_normal((3, 8, 33)).astype(np.float32)
    bias, c = rng.standard_normal(45).astype(np.float32), np.empty((3, 15, 33), np.float32)
    what = product(15, 8, 33, batch=((3, 120, 264, 495, 15),), epilogue=("bias_rows",))
    prepare(what).arrays(a, b, c, bias)
    np.testing.assert_allclose(c, a.astype(np.float64) @ b + bias.reshape(3, 15, 1), atol=1e-5)


def test_threads_do_not_change_a_bit_of_patches():
    rng = np.random.default_rng(0)
    a, b, result, shape = patches((8, 16, 28, 28), (3, 3), (1, 1), (1, 1), (1, 1), 32)
    x, w = (
        rng.standard_normal((8, 16, 28, 28)).astype(np.float32),
        rng.standard_normal((32, 16, 3, 3)).astype(np.float32),
    )
    found, before = [], threads()
    try:
        for number in (1, 2):
            set_threads(number)
            out = np.empty(shape, np.float32)
            prepare(Contraction("f32", a, b, result)).arrays(w, x, out)
            found.append(out)
    finally:
        set_threads(before)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("a", "b", "c", "message"),
    [
        (((2, 3),), ((4, 1),), ((3, 4),), "rows have lengths 2 and 3"),
        (((2, 3),), ((4, 1),), ((2, 9), (1, 1)), ""),
        (((4, 3),), ((4, 1),), ((2, 9), (2, 1)), "one stride"),
    ],
)
def test_descriptions_that_do_not_fit(a, b, c, message):
    what = Contraction("f32", Operand(a, ((3, 1),)), Operand(b, ((3, 4),)), Result(c, ((4, 1),)))
    if message:
        with pytest.raises(ValueError, match=message):
            prepare(what)
    else:
        prepare(what)


def test_threads_of_python_at_once():
    rng = np.random.default_rng(0)
    a, b = matrices(rng, 150, 160, 170)
    wanted, wrong = a.astype(np.float64) @ b, []

    def work():
        for _ in range(30):
            c = np.empty((150, 170), np.float32)
            prepare(product(150, 160, 170)).arrays(a, b, c)
            if np.abs(c - wanted).max() > 1e-3:
                wrong.append(c)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


PROGRAM = """
import os
import platform
import numpy as np
from retrograd.compiler.contractions.products import matmul
x = np.random.default_rng(0).random((300, 300), np.float32)
before = matmul(x, x)
child = os.fork()
if child == 0:
    os._exit(0 if (matmul(x, x) == before).all() else 3)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
print((matmul(x, x) == before).all())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_child_computes_too():
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "True", run.stderr


@pytest.mark.parametrize("off", [False, True])
def test_native_code_may_be_switched_off(off):
    program = (
        "import sys, numpy as np, retrograd as torch\n"
        "x = torch.ones(100, 100)\n"
        "print((x @ x).sum().item(), 'llvmlite' in sys.modules)"
    )
    environment = {**os.environ, "RETROGRAD_NATIVE": "off" if off else ""}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment)
    assert run.stdout.split() == ["1000000.0", str(not off)], run.stderr


NARROWER = """
import dataclasses, sys
import numpy as np
from retrograd.compiler.runtime import jit

here, bits = jit.host(), int(sys.argv[1])
gone = ("avx512", "avx10") if bits == 256 else ("avx", "fma", "f16c", "vaes", "vpclmulqdq")
features = ",".join("-" + f[1:] if f[1:].startswith(gone) else f for f in here.features.split(","))
narrow = dataclasses.replace(here, cpu="haswell" if bits == 256 else "nehalem", features=features)
jit.host.cache_clear()
jit.host = lambda: narrow
assert narrow.vector_bits == bits

from retrograd.compiler.contractions import Bound, Contraction, Operand, Result, prepare, plan
from retrograd.compiler.contractions.products import contraction_of, matmul

rng = np.random.default_rng(0)
for m, k, n in ((1, 30, 40), (1, 4, 1), (5, 7, 9), (6, 16, 16), (13, 33, 31), (70, 300, 65), (40, 50, 3)):
    x, y = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    for dtype, near in ((np.float32, 1e-5), (np.float64, 1e-13), (np.float16, 3e-2)):
        for left in (x.astype(dtype), np.asfortranarray(x.astype(dtype))):
            for right in (y.astype(dtype), np.asfortranarray(y.astype(dtype))):
                found = matmul(left, right)
                assert np.abs(found - left.astype(float) @ right.astype(float)).max() < near * k, (m, k, n, dtype)
    for kind, dtype in (("f32", np.float32), ("f64", np.float64)):
        a, b, c = x[:, :2].astype(dtype), y[:2].astype(dtype), np.empty((m, n), dtype)
        prepare(contraction_of(kind, (), (m, 2, n), (2, 1), (n, 1)), False, False).arrays(a, b, c)
        assert np.abs(c - a.astype(float) @ b).max() < 1e-5, (m, n, kind)
    a, b, bias, c = (v.astype(np.float32) for v in (x, y, rng.standard_normal(n), np.empty((m, n))))
    what = contraction_of("f32", (), (m, k, n), (k, 1), (n, 1))
    prepare(dataclasses.replace(what, epilogue=("bias_columns", "relu"))).arrays(a, b, c, bias)
    assert np.abs(c - np.maximum(x @ y + bias, 0)).max() < 1e-4
    scattered = Operand(((n, 2),), ((k, 2 * n),), 1, (Bound(2 * n, 1, (2,), (0,)),))
    wide = np.zeros((k, 2 * n), np.float32)
    wide[:, 1::2] = b
    prepare(Contraction("f32", what.a, scattered, what.c)).arrays(a, wide, c)
    assert np.abs(c - x @ y).max() < 1e-4
print(plan((3000, 3000), (3000, 3000)))
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these features are x86's")
@pytest.mark.parametrize("bits", [256, 128])
def test_processors_with_narrower_vectors(bits):
    run = subprocess.run([sys.executable, "-c", NARROWER, str(bits)], capture_output=True, text=True, timeout=60)
    assert run.stdout.startswith("NumPy: its library"), run.stderr
