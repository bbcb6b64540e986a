"""Composed functions as a pair of kernels: results, gradients, second derivatives, writes in place, and where they are left out."""

from __future__ import annotations

import gc
import importlib
import threading

import numpy as np
import pytest

import retrograd as torch
import retrograd.nn.functional as F
from retrograd import nn
from retrograd.compiler.runtime import pool

composed = importlib.import_module("retrograd.tensor.composed")
TARGET = torch.tensor(np.random.default_rng(0).integers(0, 200, 160))
CASES = {
    "gelu": (F.gelu, [(160, 256)]),
    "gelu by tanh": (lambda x: F.gelu(x, approximate="tanh"), [(160, 256)]),
    "silu": (F.silu, [(160, 256)]),
    "elu": (F.elu, [(160, 256)]),
    "softmax": (lambda x: F.softmax(x, -1), [(160, 200)]),
    "softmax over rows": (lambda x: F.softmax(x, 0), [(160, 200)]),
    "softmax in the middle": (lambda x: F.softmax(x, 1), [(20, 40, 50)]),
    "log softmax": (lambda x: F.log_softmax(x, -1), [(160, 200)]),
    "layer norm": (lambda x, w, b: F.layer_norm(x, (200,), w, b), [(160, 200), (200,), (200,)]),
    "layer norm without weights": (lambda x: F.layer_norm(x, (200,)), [(160, 200)]),
    "layer norm over two": (lambda x, w, b: F.layer_norm(x, (20, 40), w, b), [(50, 20, 40), (20, 40), (20, 40)]),
    "batch norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), [(16, 20, 10, 10), (20,), (20,)]),
    "batch norm of rows": (lambda x: F.batch_norm(x, None, None, training=True), [(160, 200)]),
    "batch norm, frozen": (
        lambda x, w, b: F.batch_norm(
            x, torch.full((20,), 0.3, dtype=x.dtype), torch.full((20,), 2.0, dtype=x.dtype), w, b
        ),
        [(16, 20, 10, 10), (20,), (20,)],
    ),
    "group norm": (lambda x, w, b: F.group_norm(x, 4, w, b), [(16, 20, 10, 10), (20,), (20,)]),
    "cross entropy": (lambda x: F.cross_entropy(x, TARGET), [(160, 200)]),
    "mean square": (F.mse_loss, [(160, 200), (160, 200)]),
    "smooth l1": (F.smooth_l1_loss, [(160, 256), (160, 256)]),
    "logits": (lambda x: F.binary_cross_entropy_with_logits(x, torch.full((160, 256), 0.3)), [(160, 256)]),
}


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Compile at the third call of a program, whatever it costs, and forget the programs afterwards."""
    before = composed.calls_before_kernels
    monkeypatch.setattr(composed, "calls_before_kernels", lambda program: min(3, before(program)))
    tables = [o for o in gc.get_objects() if type(o) is composed.Table]
    for table in tables:
        table.programs.clear()
    yield
    for table in tables:
        table.programs.clear()


def programs():
    return [p for o in gc.get_objects() if type(o) is composed.Table for p in o.programs.values()]


def native():
    return [p for p in programs() if isinstance(p, composed.Program) and p.native is not None]


def data(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [torch.tensor(rng.standard_normal(s).astype(np.float32)) for s in shapes]


def run(fn, given, dtype=torch.float32, second=False):
    xs = [x.detach().to(dtype).requires_grad_() for x in given]
    out = fn(*xs)
    w = torch.linspace(0.5, 1.5, out.numel(), dtype=dtype).reshape(out.shape)
    gs = torch.autograd.grad((out * w).sum(), xs, create_graph=second)
    if second:
        gs = (*gs, *torch.autograd.grad(sum((g * g).sum() for g in gs), xs, allow_unused=True))
    return [out.detach().numpy(), *[None if g is None else g.detach().numpy() for g in gs]]


def warm(fn, given, calls=9):
    for _ in range(calls):
        found = run(fn, given)
    assert native(), "no kernels were made"
    return found


@pytest.mark.parametrize("name", CASES)
def test_results_and_gradients(name):
    fn, shapes = CASES[name]
    given = data(shapes)
    found = warm(fn, given)
    wanted = run(fn, given, torch.float64)
    for a, b in zip(found, wanted):
        assert a.dtype == np.float32 and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6 * max(1.0, np.abs(b).max()))


@pytest.mark.parametrize(
    "name",
    ["gelu", "softmax", "layer norm", "batch norm", "batch norm, frozen", "cross entropy", "mean square", "silu"],
)
def test_second_derivatives_unfold(name):
    fn, shapes = CASES[name]
    given = data(shapes)
    warm(fn, given)
    found, wanted = run(fn, given, second=True), run(fn, given, torch.float64, second=True)
    for a, b in zip(found, wanted):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * max(1.0, np.abs(b).max()))


@pytest.mark.parametrize("name", ["gelu", "softmax", "layer norm", "batch norm", "cross entropy"])
def test_the_same_bits_for_any_number_of_threads(name):
    fn, shapes = CASES[name]
    given = data(shapes)
    both = warm(fn, given)
    pool.ensure(1)
    try:
        alone = run(fn, given)
    finally:
        pool.ensure(torch.get_num_threads())
    for a, b in zip(both, alone):
        np.testing.assert_array_equal(a, b)


def test_infinities_and_nans():
    (x,) = data([(160, 256)])
    x[0, 0], x[1, 1], x[2, 2] = float("inf"), float("nan"), float("-inf")
    x[3] = float("-inf")
    first = run(CASES["softmax"][0], [x])
    for a, b in zip(warm(CASES["softmax"][0], [x]), first):
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True)


def test_without_gradients():
    (x,) = data([(160, 256)])
    with torch.no_grad():
        first = F.gelu(x)
        for _ in range(9):
            found = F.gelu(x)
    assert native() and not found.requires_grad and found.grad_fn is None
    np.testing.assert_allclose(found.numpy(), first.numpy(), rtol=1e-5, atol=1e-6)


def test_nodes_have_torchs_names_and_are_freed():
    (x,) = data([(160, 256)])
    warm(F.gelu, [x])
    y = F.gelu(x.requires_grad_())
    assert y.grad_fn.name() == "GeluBackward0"
    y.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()


def test_a_write_to_what_backward_reads_is_found():
    (x,) = data([(160, 256)])
    warm(F.gelu, [x])
    x = x.clone().requires_grad_()
    h = x * 1.0
    y = F.gelu(h)
    h.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_write_to_a_result_that_backward_reads_is_found():
    fn, shapes = CASES["softmax"]
    given = data(shapes)
    warm(fn, given)
    kernels = native()[0].native
    y = fn(given[0].clone().requires_grad_())
    y.detach().mul_(2.0)
    if kernels.reads_out:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
    else:
        y.sum().backward()


def test_arrays_that_lie_otherwise():
    fn = CASES["softmax in the middle"][0]
    given = data([(20, 40, 50)])
    right = warm(fn, given)
    base = given[0].transpose(0, 1).contiguous().transpose(0, 1)  # another layout, of the same numbers
    for _ in range(5):
        for a, b in zip(run(fn, [base]), right):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    x = given[0].requires_grad_()
    for _ in range(5):  # a gradient of ones that takes no memory
        (g,) = torch.autograd.grad(fn(x).sum(), x)
        np.testing.assert_allclose(g.numpy(), 0.0, atol=1e-6)


def test_a_class_that_does_not_exist():
    (x,) = data([(160, 200)])
    warm(CASES["cross entropy"][0], [x])
    wrong = TARGET.clone()
    wrong[3] = 200
    with pytest.raises(IndexError, match="out of bounds"):
        F.cross_entropy(x, wrong)
    assert F.cross_entropy(x, TARGET).isfinite()


def test_hooks_anomaly_mode_and_traces_see_what_they_saw():
    (x,) = data([(160, 256)])
    warm(F.gelu, [x])
    seen = []
    x = x.clone().requires_grad_()
    y = F.gelu(x)
    y.register_hook(lambda g: seen.append(g.shape))
    y.sum().backward()
    assert seen == [(160, 256)] and x.grad is not None
    with torch.autograd.set_detect_anomaly(True):
        F.gelu(x).sum().backward()
    value, tangent = torch.func.jvp(F.gelu, (x.detach(),), (torch.ones_like(x),))
    np.testing.assert_allclose(tangent.numpy(), (x.grad / 2).numpy(), rtol=1e-4, atol=1e-5)


def test_a_sequence_of_modules():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 8))
    x = torch.randn(128, 64)

    def step():
        net.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        return [loss.item(), *[p.grad.numpy().copy() for p in net.parameters()]]

    first = step()
    for _ in range(9):
        found = step()
    assert native()
    for a, b in zip(found, first):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


def test_threads():
    (x,) = data([(160, 256)])
    right = warm(F.gelu, [x])
    wrong = []

    def work():
        for _ in range(20):
            if not all(np.array_equal(a, b) for a, b in zip(run(F.gelu, [x]), right)):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_off(monkeypatch):
    monkeypatch.setenv("RETROGRAD_NATIVE", "off")
    (x,) = data([(160, 256)])
    for _ in range(9):
        run(F.gelu, [x])
    assert not native()


def test_a_failing_compiler_is_not_heard_of(monkeypatch, caplog):
    pair = importlib.import_module("retrograd.compiler.eager_composed")

    def broken(*args):
        raise ValueError("no such register")

    monkeypatch.setattr(pair, "optimise", broken)
    (x,) = data([(160, 256)])
    with caplog.at_level("DEBUG", "retrograd.eager"):
        for _ in range(9):
            run(F.gelu, [x])
    assert not native() and caplog.text.count("the compiler failed") == 1


def test_small_work_stays_with_numpy():
    (x,) = data([(8, 20)])
    for _ in range(9):
        run(F.gelu, [x])
    assert programs() and not native()


def test_running_statistics_move_alike_before_and_with_kernels():
    """What comes along besides the result has no history, and is right in every way of computing it."""
    x = torch.linspace(-3, 5, 16 * 20 * 100).reshape(16, 20, 10, 10)
    layer, exact = nn.BatchNorm2d(20), nn.BatchNorm2d(20).double()
    for k in range(12):
        layer(x * (k + 1)).sum().backward()
        exact(x.double() * (k + 1))
        np.testing.assert_allclose(layer.running_mean.numpy(), exact.running_mean.numpy(), rtol=1e-5)
        np.testing.assert_allclose(layer.running_var.numpy(), exact.running_var.numpy(), rtol=1e-5)
        assert not layer.running_mean.requires_grad
        assert layer.running_mean.grad_fn is None
    assert native()
    assert layer.num_batches_tracked.item() == 12
