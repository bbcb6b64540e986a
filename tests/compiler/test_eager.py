"""Kernels that eager mode calls with raw arrays: layouts, errors, threads, forks, and what switches them off."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler import eager
from retrograd.compiler.runtime import pool
from retrograd.core import REGISTRY

F32 = np.float32
BASE = np.random.default_rng(0).standard_normal((4, 6, 5, 8)).astype(F32)
LAYOUTS = {
    "contiguous": (BASE, True),
    "transposed inside": (BASE.transpose(0, 2, 1, 3), True),
    "sliced": (BASE[:, 1:4], True),
    "sliced at the end": (BASE[..., 2:6], True),
    "picked": (BASE[:, 2], True),
    "expanded": (np.broadcast_to(BASE[0], BASE.shape), True),
    "expanded inside": (np.broadcast_to(BASE[:, :1], BASE.shape), True),
    "length one": (BASE[:, :1, :, 3:7], True),
    "turned round": (BASE.T, False),
    "every other": (BASE[..., ::2], False),
    "backwards": (BASE[:, ::-1], False),
    "a column": (BASE[..., 0], False),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_are_read_where_they_lie(name):
    x, understood = LAYOUTS[name]
    assert (eager.layout(x) is not None or x.flags.c_contiguous) is understood
    kernel = eager.native(REGISTRY["mul"], x, BASE[0, 0, 0, : x.shape[-1]])
    (found,) = kernel(x, BASE[0, 0, 0, : x.shape[-1]])
    np.testing.assert_array_equal(found, x * BASE[0, 0, 0, : x.shape[-1]])
    assert found.flags.c_contiguous


def test_overlapping_windows_are_copied():
    x = np.lib.stride_tricks.sliding_window_view(np.arange(12, dtype=F32), 5)
    assert eager.layout(x) is None
    (found,) = eager.native(REGISTRY["neg"], x)(x)
    np.testing.assert_array_equal(found, -x)


def test_functions_of_tensors_and_several_results():
    def fn(x, y):
        return x.exp() + y, (x * y).sum(1)

    x, y = BASE[0, :, :, 0], np.ascontiguousarray(BASE[1, :, :, 1])
    first, second = eager.native(fn, x, y)(x, y)
    np.testing.assert_allclose(first, np.exp(x) + y, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(second, (x * y).sum(1), rtol=1e-5)


def test_numbers_are_part_of_the_code():
    (found,) = eager.native(REGISTRY["add"], BASE, 2.5)(BASE)
    np.testing.assert_array_equal(found, BASE + F32(2.5))


def test_other_arrays_are_refused():
    kernel = eager.native(REGISTRY["exp"], BASE)
    for other in (BASE.astype(np.float64), BASE[0], BASE[:, :3]):
        with pytest.raises(TypeError, match="was given"):
            kernel(other)
    raw = np.zeros(BASE.nbytes + 1, np.uint8)[1:].view(F32).reshape(BASE.shape)  # not aligned: copied
    np.testing.assert_array_equal(kernel(raw)[0], np.ones_like(BASE))


def test_what_has_no_loops_stays_with_numpy(caplog):
    with caplog.at_level("DEBUG", "retrograd.eager"):
        assert eager.native(REGISTRY["nextafter"], BASE, BASE) is None
    assert "runs by NumPy" in caplog.text


def test_kinds_are_compiled_when_they_come_again():
    calls = []

    def plain(x, **attrs):
        calls.append(x.shape)
        return np.exp(x)

    run = eager.Native(REGISTRY["exp"], plain)
    for _ in range(5):
        np.testing.assert_allclose(run(BASE), np.exp(BASE), rtol=1e-6)
    assert len(calls) == eager.WARM - 1
    run(BASE[0])
    assert calls[-1] == BASE.shape[1:]


def test_an_index_that_does_not_exist_is_told_by_numpy():
    x, index = BASE[0, 0], np.array([1, 9])
    run = eager.Native(REGISTRY["index_select"], lambda x, i, axis: x.take(i, axis), warm=1)
    np.testing.assert_array_equal(run(x, np.array([1, 2]), axis=0), x[[1, 2]])
    with pytest.raises(IndexError, match="out of bounds"):
        run(x, index, axis=0)


def test_off(monkeypatch):
    monkeypatch.setenv("RETROGRAD_NATIVE", "off")
    assert eager.native(REGISTRY["exp"], BASE) is None


def test_two_threads_at_once_and_any_number_of_threads():
    x = np.random.default_rng(1).standard_normal((300, 1000)).astype(F32)
    kernel = eager.native(lambda t: torch.softmax(t, 1), x)
    (right,) = kernel(x)
    pool.ensure(1)
    try:
        np.testing.assert_array_equal(kernel(x)[0], right)
    finally:
        pool.ensure(torch.get_num_threads())
    wrong = []

    def work(k):
        mine = np.roll(x, k, 0)
        for _ in range(30):
            if not np.array_equal(kernel(mine)[0], np.roll(right, k, 0)):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_computes():
    x = np.random.default_rng(1).standard_normal((300, 1000)).astype(F32)
    kernel = eager.native(REGISTRY["exp"], x)
    (right,) = kernel(x)
    stop = threading.Event()
    other = threading.Thread(target=lambda: [kernel(x) for _ in iter(lambda: stop.is_set(), True)])
    other.start()
    try:
        for _ in range(3):
            child = os.fork()
            if not child:
                os._exit(0 if np.array_equal(kernel(x)[0], right) else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        other.join()


def test_without_a_gate(monkeypatch):
    from retrograd.compiler import eager_gate

    monkeypatch.setattr(eager_gate, "gate", lambda: None)
    kernel = eager.native(REGISTRY["add"], BASE, BASE[0])
    np.testing.assert_array_equal(kernel(BASE, BASE[0])[0], BASE + BASE[0])
    turned = np.asfortranarray(BASE[0])
    np.testing.assert_array_equal(kernel(BASE, turned)[0], BASE + BASE[0])
    with pytest.raises(TypeError):
        kernel(BASE, BASE)


def test_small_work_loads_no_compiler():
    code = (
        "import sys, retrograd as torch\n"
        "x = torch.randn(50, 50, requires_grad=True)\n"
        "for _ in range(300): torch.softmax(x, 1).exp().sum().backward()\n"
        "assert 'llvmlite' not in sys.modules, 'loaded'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_function_that_is_being_captured_does_not_notice():
    w = torch.randn(300, 300, requires_grad=True)

    @torch.compile(fullgraph=True)
    def step(x):
        h = x @ w
        for _ in range(6):  # large operations become kernels during the first call, and the second
            h = torch.nn.functional.gelu(h).tanh() + h.sigmoid()
        loss = h.square().mean()
        loss.backward()
        return loss

    x = torch.randn(400, 300)
    losses = [step(x).item() for _ in range(4)]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-5)
