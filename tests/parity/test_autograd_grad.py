"""autograd.grad: every behaviour has the outcome it has under PyTorch."""

from __future__ import annotations

import pytest

from parity.behaviours import Table, compare

torch = pytest.importorskip("torch")


def leaf(T, *values, dtype=None):
    return T.tensor(values or [1.0, 2.0, 3.0], dtype=dtype or T.float64, requires_grad=True)


def scalar(T, value=2.0):
    return T.tensor(value, dtype=T.float64, requires_grad=True)


def unit(T):
    return T.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=T.float64)


# -- autograd.grad -----------------------------------------------------------------------------------------------------
grads = Table()


@grads
def plain(T):
    x = leaf(T)
    found = T.autograd.grad((x**2).sum(), x)
    return found, x.grad


@grads
def tuple_of_inputs(T):
    x, w = leaf(T), leaf(T)
    return T.autograd.grad((x * w * w).sum(), (x, w))


@grads
def list_of_inputs(T):
    x, w = leaf(T), leaf(T)
    return T.autograd.grad([(x * w * w).sum()], [x, w])


@grads
def several_outputs(T):
    x = leaf(T)
    return T.autograd.grad([x.sum(), (x * x).sum()], x)


@grads
def grad_outputs_given(T):
    x = leaf(T)
    g = T.tensor([1.0, 2.0, 3.0], dtype=T.float64)
    return T.autograd.grad(x * x, x, g), T.autograd.grad([x * x, x.sum()], [x], [g, None])


@grads
def grad_outputs_wrong_shape(T):
    x = leaf(T)
    T.autograd.grad(x * x, x, T.ones(2))


@grads
def unused_raises(T):
    x, w = leaf(T), leaf(T)
    T.autograd.grad(x.sum(), [x, w])


@grads
def unused_allowed(T):
    x, w = leaf(T), leaf(T)
    return T.autograd.grad(x.sum(), [x, w], allow_unused=True)


@grads
def unused_materialized(T):
    x, w = leaf(T), leaf(T, dtype=T.float32)
    return T.autograd.grad(x.sum(), [x, w], materialize_grads=True)


@grads
def materialize_but_not_allow(T):
    x = leaf(T)
    T.autograd.grad(x.sum(), [x], materialize_grads=True, allow_unused=False)


@grads
def same_input_twice(T):
    x = leaf(T)
    return T.autograd.grad((x * x).sum(), [x, x])


@grads
def output_is_input(T):
    x = leaf(T)
    s = scalar(T)
    return T.autograd.grad(s, s), T.autograd.grad(x, x, T.ones_like(x))


@grads
def output_is_non_leaf_input(T):
    x = leaf(T)
    y = (x * 2).sum()
    return T.autograd.grad(y, y)


@grads
def output_is_input_among_others(T):
    x = leaf(T)
    y = x * 2
    z = (y * y).sum()
    return T.autograd.grad([z, y], [y, x], [None, T.ones_like(y)])


@grads
def non_leaf_input(T):
    x = leaf(T)
    y = x * 2
    return T.autograd.grad((y * y).sum(), y), x.grad, y.retains_grad


@grads
def leaf_and_non_leaf_inputs(T):
    x = leaf(T)
    y = x * 2
    return T.autograd.grad((y * y + x).sum(), [y, x])


@grads
def later_input_blocks_nothing(T):
    x = leaf(T)
    y = x * 2
    z = y * y
    return T.autograd.grad(z.sum(), [z, y, x])


@grads
def input_after_output(T):
    x = leaf(T)
    y = (x * 2).sum()
    z = y * 3
    return T.autograd.grad(y, [x, z], allow_unused=True)


@grads
def no_inputs(T):
    T.autograd.grad(leaf(T).sum(), [])


@grads
def input_does_not_require(T):
    x = leaf(T)
    c = T.ones(3, dtype=T.float64)
    T.autograd.grad((x * c).sum(), c)


@grads
def output_does_not_require(T):
    x = leaf(T)
    T.autograd.grad(T.ones(()), x)


@grads
def input_not_a_tensor(T):
    x = leaf(T)
    T.autograd.grad(x.sum(), [3.0])


@grads
def non_scalar_output(T):
    x = leaf(T)
    T.autograd.grad(x * 2, x)


@grads
def twice_raises_too(T):
    x = leaf(T)
    y = (x * x).sum()
    T.autograd.grad(y, x)
    T.autograd.grad(y, x)


@grads
def partial_walk_frees_only_its_way(T):
    x, w = leaf(T), leaf(T)
    a, b = x.exp(), w.exp()
    y = (a + b).sum()
    first = T.autograd.grad(y, x)
    return first, T.autograd.grad(b.sum(), w)


@grads
def create_graph_chain(T):
    x = leaf(T)
    found = []
    y = (x**5).sum()
    for _ in range(4):
        (g,) = T.autograd.grad(y, x, create_graph=True)
        found.append(g)
        y = g.sum()
    return found


@grads
def create_graph_constant(T):
    x = leaf(T)
    return T.autograd.grad((3 * x).sum(), x, create_graph=True)


@grads
def double_backward_through_grad_outputs(T):
    x = leaf(T)
    v = T.ones(3, dtype=T.float64, requires_grad=True)
    (g,) = T.autograd.grad(x**2, x, v, create_graph=True)
    return T.autograd.grad(g.sum(), v)


@grads
def jvp_by_double_backward(T):
    x = leaf(T)
    v = T.zeros(3, dtype=T.float64, requires_grad=True)
    (g,) = T.autograd.grad(x.sin(), x, v, create_graph=True)
    return T.autograd.grad(g, v, T.ones(3, dtype=T.float64))


@grads
def batched(T):
    x = leaf(T)
    return T.autograd.grad(x**2, x, unit(T), is_grads_batched=True)


@grads
def batched_two_inputs(T):
    x, w = leaf(T), leaf(T)
    return T.autograd.grad(
        [x * w, x.sum()],
        [x, w],
        [unit(T), T.arange(3, dtype=T.float64)],
        is_grads_batched=True,
    )


@grads
def batched_unused(T):
    x, w = leaf(T), leaf(T)
    return T.autograd.grad(x * x, [x, w], unit(T), is_grads_batched=True, allow_unused=True)


@grads
def grad_of_view(T):
    x = leaf(T)
    v = x[1:]
    return T.autograd.grad((x * 2).sum() + v.sum(), [v, x])


@grads
def grad_leaves_no_mark(T):
    x = leaf(T)
    y = x * x
    T.autograd.grad(y.sum(), [x])
    return x.grad, y.requires_grad


@grads
def gradient_penalty(T):
    x = T.tensor([[-1.0, -0.6, -0.2], [0.2, 0.6, 1.0]], dtype=T.float64, requires_grad=True)
    w = leaf(T, 0.0, 0.5, 1.0)
    out = T.tanh(x @ w)
    (g,) = T.autograd.grad(out.sum(), x, create_graph=True)
    ((g.norm(dim=1) - 1) ** 2).mean().backward()
    return x.grad, w.grad


@pytest.mark.parametrize("behaviour", grads)
def test_grad(behaviour):
    compare(torch, behaviour)
