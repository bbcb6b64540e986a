"""The walk as a whole: errors that name lines, anomalies, threads, hooks that raise, long chains, and graphs that die."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import retrograd as torch


def leaf(*values):
    return torch.tensor(values or [1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)


# -- errors --------------------------------------------------------------------------------------------------------------
def test_an_overwritten_value_names_the_operation_the_tensor_and_both_lines():
    x = leaf()
    y = x.exp()
    z = y.sin()
    y.add_(1)
    with pytest.raises(RuntimeError) as caught:
        z.sum().backward()
    text = str(caught.value)
    for part in (
        "DoubleTensor [3]",
        "SinBackward0",
        "add_",
        "y.add_(1)",
        "z = y.sin()",
        "test_autograd.py",
        "version 1",
    ):
        assert part in text


def test_a_second_walk_names_the_operation_and_its_line():
    x = leaf()
    y = x.exp().sum()
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True") as caught:
        y.backward()
    assert "x.exp().sum()" in str(caught.value)


def test_a_vector_root_says_how_to_reduce_it():
    with pytest.raises(RuntimeError, match=r"only for scalar outputs, not for float64\[3\]"):
        (leaf() * 2).backward()


def test_a_gradient_of_another_shape_is_refused_where_the_rule_enters_the_walk():
    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g[:2]

    with pytest.raises(RuntimeError, match=r"BadBackward returned an invalid gradient at index 0 - got \[2\]"):
        Bad.apply(leaf()).sum().backward()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64])
def test_a_gradient_has_the_shape_and_dtype_of_its_variable(dtype):
    x = torch.ones(3, 1, dtype=dtype, requires_grad=True)
    w = torch.ones(4, dtype=torch.float64, requires_grad=True)
    s = torch.ones((), dtype=dtype, requires_grad=True)
    (x * w * s).abs().sum().backward()
    for t in (x, w, s):
        assert (t.grad.shape, t.grad.dtype) == (t.shape, t.dtype)
        assert isinstance(t.grad._a, np.ndarray)


# -- anomalies -----------------------------------------------------------------------------------------------------------
def test_a_nan_in_the_backward_walk_is_named():
    x = leaf(0.0, 1.0)
    with torch.autograd.detect_anomaly():
        y = torch.sqrt(x) * 0
        with pytest.raises(RuntimeError) as caught:
            y.sum().backward()
    for part in ("SqrtBackward0", "nan", "index [0]", "y = torch.sqrt(x) * 0"):
        assert part in str(caught.value)


def test_an_infinity_in_the_backward_walk_is_named_when_asked():
    x = leaf(0.0, 1.0)
    with torch.autograd.detect_anomaly(check_inf=True):
        y = torch.sqrt(x)
        with pytest.raises(RuntimeError, match="inf"):
            y.sum().backward()
    y = torch.sqrt(x)
    with torch.autograd.detect_anomaly():
        y.sum().backward()  # infinities are not looked for unless asked


def test_a_nan_in_the_forward_pass_is_named_when_asked():
    x = leaf(-1.0, 1.0)
    with (
        torch.autograd.detect_anomaly(check_forward=True),
        pytest.raises(RuntimeError, match=r"log gave nan at index \[0\]"),
    ):
        torch.log(x)
    watch = torch.autograd.detect_anomaly(check_forward=True, check_inf=True)
    with watch, pytest.raises(RuntimeError, match=r"log gave inf at index \[1\]"):
        torch.log(leaf(1.0, 0.0))


def test_anomaly_detection_restores_what_was():
    with torch.autograd.detect_anomaly():
        with torch.autograd.detect_anomaly():
            pass
        assert torch.autograd.is_anomaly_enabled()
    assert not torch.autograd.is_anomaly_enabled()


# -- hooks that raise ----------------------------------------------------------------------------------------------------
def test_a_hook_that_raises_leaves_the_modes_and_the_graph_as_they_were():
    x, w = leaf(), leaf()

    def hook(g):
        raise KeyError("mine")

    y = (x.exp() * w).sum()
    handle = x.register_hook(hook)
    with pytest.raises(KeyError, match="mine"):
        y.backward(retain_graph=True)
    assert torch.is_grad_enabled()
    from retrograd.core import MODE

    assert MODE.backward == 0
    handle.remove()
    x.grad = w.grad = None
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp([1.0, 2.0, 3.0]) * [1.0, 2.0, 3.0])
    np.testing.assert_allclose(w.grad.numpy(), np.exp([1.0, 2.0, 3.0]))
    with pytest.warns(RuntimeWarning):
        np.float64(1.0) / np.float64(0.0)  # NumPy's own warnings are back


def test_an_error_in_a_decorated_function_restores_the_mode():
    @torch.no_grad()
    def f():
        raise KeyError

    with pytest.raises(KeyError):
        f()
    assert torch.is_grad_enabled()


# -- threads -------------------------------------------------------------------------------------------------------------
def run_threads(*targets):
    errors = []

    def guarded(target):
        try:
            target()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(t,)) for t in targets]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors


def test_threads_walk_their_own_graphs():
    results = {}

    def work(k):
        x = torch.full((50,), float(k), dtype=torch.float64, requires_grad=True)
        for _ in range(50):
            x.grad = None
            y = x
            for _ in range(20):
                y = y * 1.01
            (y * y).sum().backward()
        results[k] = x.grad[0].item()

    run_threads(*[lambda k=k: work(k) for k in range(1, 5)])
    for k, found in results.items():
        assert found == pytest.approx(2 * k * 1.01**40)


def test_threads_accumulate_into_a_shared_leaf():
    x = torch.zeros(200_000, dtype=torch.float64, requires_grad=True)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        run_threads(*[lambda: [(x * 1.0).sum().backward() for _ in range(20)] for _ in range(4)])
    finally:
        sys.setswitchinterval(before)
    np.testing.assert_array_equal(x.grad.numpy(), 80.0)


def test_threads_walk_one_graph_that_is_retained():
    x = leaf()
    y = x.exp().sum()
    run_threads(*[lambda: [y.backward(retain_graph=True) for _ in range(50)] for _ in range(4)])
    np.testing.assert_allclose(x.grad.numpy(), 200 * np.exp([1.0, 2.0, 3.0]), rtol=1e-12)


def test_modes_are_a_threads_own():
    seen = []
    with torch.no_grad():
        run_threads(lambda: seen.append(torch.is_grad_enabled()))
    assert seen == [True]


# -- long chains, and graphs that die --------------------------------------------------------------------------------------
LONG = """
import threading
import retrograd as torch
def run():
    x = torch.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    assert g.item() == 1.0
    g2 = (y * y)
    g2.backward()
    assert x.grad.item() == 2.0
    del y, g, g2
    z = x
    for _ in range(100_000):
        z = z.sin()
    (g,) = torch.autograd.grad(z, x, create_graph=True)
    g.backward()
    del z, g
threading.stack_size(256 * 1024)
t = threading.Thread(target=run)
t.start()
t.join()
print("done")
"""


def test_a_long_chain_is_walked_twice_and_freed_in_a_small_stack():
    out = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True)
    assert out.stdout == "done\n", out.stderr


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def freed_after(make):
    """Tell whether what ``make`` gives dies with its last reference, the collector being off."""
    made = make()
    watched = weakref.ref(made)
    del made
    return watched() is None


def test_graphs_die_with_their_last_reference(no_collector):
    x = leaf()

    def hooked():
        y = x.exp()
        y.register_hook(lambda g: g * 2)
        y.retain_grad()
        (y * y).sum().backward()
        return y

    def retained():
        y = (x.exp() * x).sum()
        y.backward(retain_graph=True)
        return y

    def viewed():
        y = x * 1
        y[0] = 3.0
        v = y[1:]
        v.mul_(2)
        (y * y).sum().backward()
        return y

    def twice():
        y = (x**3).sum()
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), x, create_graph=True)
        return h

    def failed():
        y = (x * x).sum()
        y.backward()
        with contextlib.suppress(RuntimeError):
            y.backward()
        return y

    def silent_view():
        y = x * 1
        with torch.no_grad():
            return y[0]

    for make in (hooked, retained, viewed, twice, failed, silent_view):
        assert freed_after(make), make.__name__


def test_saved_values_go_when_the_walk_has_used_them(no_collector):
    x = leaf()
    y = x.exp()
    values = weakref.ref(y._s)
    z = y.sin().sum()
    del y
    assert values() is not None
    z.backward()
    assert values() is None


def test_nothing_is_recorded_for_data():
    x, c = leaf(), torch.ones(3, dtype=torch.float64)
    y = x * c
    assert y.grad_fn.next_functions[1] == (None, 0)
    assert (c * c).grad_fn is None


def test_anomaly_detection_names_the_module_and_the_line():
    class Root(torch.nn.Module):
        def forward(self, x):
            return torch.sqrt(x - x.detach())

    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.ReLU(), Root()))
    with torch.autograd.detect_anomaly(check_inf=True), pytest.raises(RuntimeError) as caught:
        net(torch.ones(1, 2)).sum().backward()
    text = str(caught.value)
    assert "SqrtBackward0" in text and "in Sequential.1.1: Root()" in text and "torch.sqrt(x - x.detach())" in text
