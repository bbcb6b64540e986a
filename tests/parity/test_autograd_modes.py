"""Grad modes as contexts, decorators and generators, inference mode, anomaly detection: outcomes as under PyTorch."""

from __future__ import annotations

import pytest

from parity.behaviours import Table, compare

torch = pytest.importorskip("torch")


def leaf(T, *values):
    return T.tensor(values or [1.0, 2.0, 3.0], dtype=T.float64, requires_grad=True)


# -- modes ---------------------------------------------------------------------------------------------------------------
modes = Table()


@modes
def contexts_and_nesting(T):
    x, seen = leaf(T), [T.is_grad_enabled()]
    with T.no_grad():
        seen += [T.is_grad_enabled(), (x * 2).requires_grad]
        with T.enable_grad():
            seen += [T.is_grad_enabled(), (x * 2).requires_grad]
            with T.set_grad_enabled(False):
                seen.append(T.is_grad_enabled())
            seen.append(T.is_grad_enabled())
        seen.append(T.is_grad_enabled())
    return [*seen, T.is_grad_enabled()]


@modes
def set_at_once(T):
    T.set_grad_enabled(False)
    first = T.is_grad_enabled()
    T.set_grad_enabled(True)
    return first, T.is_grad_enabled()


@modes
def one_object_nested(T):
    mode, seen = T.no_grad(), []
    with mode:
        with mode:
            seen.append(T.is_grad_enabled())
        seen.append(T.is_grad_enabled())
    seen.append(T.is_grad_enabled())
    T.set_grad_enabled(True)
    return seen


@modes
def restored_after_an_exception(T):
    try:
        with T.no_grad():
            raise KeyError
    except KeyError:
        pass
    return T.is_grad_enabled()


@modes
def decorators(T):
    x = leaf(T)

    @T.no_grad()
    def f(v):
        return v * 2

    @T.no_grad
    def g(v):
        return v * 2

    @T.enable_grad()
    def h(v):
        return v * 2

    @T.set_grad_enabled(False)
    def k(v):
        return v * 2

    @T.inference_mode()
    def m(v):
        return v * 2

    with T.no_grad():
        inside = h(x)
    return f(x), g(x), inside, k(x), m(x).is_inference(), f.__name__, T.is_grad_enabled()


@modes
def generators(T):
    x, seen = leaf(T), []

    @T.no_grad()
    def f():
        seen.append(T.is_grad_enabled())
        got = yield x * 2
        seen.append((got, T.is_grad_enabled()))
        try:
            yield x * 3
        except KeyError:
            seen.append(("caught", T.is_grad_enabled()))
        yield 4
        return 5

    steps = f()
    seen.append(next(steps).requires_grad)
    seen.append(T.is_grad_enabled())
    seen.append(steps.send("sent").requires_grad)
    seen.append(T.is_grad_enabled())
    seen.append(steps.throw(KeyError()))
    try:
        next(steps)
    except StopIteration as stop:
        seen.append(stop.value)
    return seen, T.is_grad_enabled()


@modes
def generators_closed(T):
    seen = []

    @T.no_grad()
    def f():
        try:
            yield 1
        finally:
            seen.append(T.is_grad_enabled())

    steps = f()
    next(steps)
    steps.close()
    return seen, T.is_grad_enabled()


@modes
def inference_flags(T):
    x = leaf(T)
    with T.inference_mode():
        y = x * 2
        z = T.ones(3)
        inside = T.is_inference_mode_enabled(), T.is_grad_enabled(), y.requires_grad, y.is_inference(), z.is_inference()
        view = x[0]
    return inside, y.is_inference(), x.is_inference(), view.is_inference(), T.is_inference_mode_enabled()


@modes
def inference_off_inside(T):
    x = leaf(T)
    with T.inference_mode(), T.inference_mode(False):
        y = x * 2
    return y, y.is_inference()


@modes
def enable_grad_in_inference(T):
    x = leaf(T)
    with T.inference_mode(), T.enable_grad():
        y = x * 2
        return y.requires_grad


@modes
def inference_tensor_saved(T):
    x = leaf(T)
    with T.inference_mode():
        c = T.ones(3, dtype=T.float64) * 2
    return x * c


@modes
def inference_tensor_not_saved(T):
    x = leaf(T)
    with T.inference_mode():
        c = T.ones(3, dtype=T.float64) * 2
    return x + c


@modes
def inference_tensor_written_outside(T):
    with T.inference_mode():
        c = T.ones(3) * 2
    c.add_(1)


@modes
def inference_tensor_written_inside(T):
    with T.inference_mode():
        c = T.ones(3) * 2
        c.add_(1)
    return c.clone()


@modes
def inference_tensor_asked_for_grad(T):
    with T.inference_mode():
        c = T.ones(3)
    c.requires_grad_()


@modes
def inference_tensor_cloned(T):
    with T.inference_mode():
        c = T.ones(3)
    return c.clone().requires_grad_(), c.clone().is_inference()


@modes
def inference_version(T):
    with T.inference_mode():
        c = T.ones(3)
    return c._version


@modes
def requires_grad_inside_no_grad(T):
    with T.no_grad():
        x = T.ones(3, requires_grad=True)
        y = T.nn.Parameter(T.ones(2))
    return x, y.requires_grad, (x * 2)


@modes
def view_made_under_no_grad_then_written(T):
    x = leaf(T)
    y = x * 1
    with T.no_grad():
        v = y[0]
    v.mul_(2)
    return y


@modes
def modes_are_the_threads_own(T):
    import threading

    seen = []
    with T.no_grad():
        t = threading.Thread(target=lambda: seen.append(T.is_grad_enabled()))
        t.start()
        t.join()
    return seen


@modes
def decorator_recursion(T):
    @T.no_grad()
    def f(n):
        return [T.is_grad_enabled()] + (f(n - 1) if n else [])

    return f(3), T.is_grad_enabled()


@modes
def grad_mode_module(T):
    with T.autograd.no_grad(), T.autograd.grad_mode.enable_grad():
        inside = T.is_grad_enabled()
    with T.autograd.set_grad_enabled(False):
        other = T.is_grad_enabled()
    return inside, other


@modes
def anomaly_nan(T):
    x = leaf(T, 0.0, 1.0)
    with T.autograd.detect_anomaly():
        (x.sqrt() * 0).sum().backward()


@modes
def anomaly_flag(T):
    before = T.is_anomaly_enabled()
    with T.autograd.detect_anomaly():
        inside = T.is_anomaly_enabled()
    with T.autograd.set_detect_anomaly(True):
        second = T.is_anomaly_enabled()
    T.autograd.set_detect_anomaly(True)
    third = T.is_anomaly_enabled()
    T.autograd.set_detect_anomaly(False)
    return before, inside, second, third, T.is_anomaly_enabled()


@modes
def anomaly_without_nan(T):
    x = leaf(T)
    with T.autograd.detect_anomaly():
        x.sqrt().sum().backward()
    return x.grad


@modes
def no_anomaly_no_error(T):
    x = leaf(T, 0.0, 1.0)
    (x.sqrt() * 0).sum().backward()
    return x.grad


@pytest.mark.parametrize("behaviour", modes)
def test_modes(behaviour):
    compare(torch, behaviour)
