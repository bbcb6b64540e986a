"""backward: every behaviour has the outcome it has under PyTorch."""

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


# -- backward ----------------------------------------------------------------------------------------------------------
backward = Table()


@backward
def fills_grad_of_leaves(T):
    x, w = leaf(T), leaf(T)
    data = T.ones(3, dtype=T.float64)
    ((x * w + data) ** 2).sum().backward()
    return x.grad, w.grad, data.grad


@backward
def accumulates(T):
    x = leaf(T)
    x.sum().backward()
    first = x.grad
    (x * x).sum().backward()
    return x.grad, first is x.grad, first


@backward
def grad_identity_kept_when_accumulating(T):
    x = leaf(T)
    x.grad = T.ones(3, dtype=T.float64)
    held = x.grad
    (x * 2).sum().backward()
    return held, held is x.grad, held._version


@backward
def gradient_argument(T):
    x = leaf(T)
    y = x * x
    g = T.tensor([1.0, 0.0, -1.0], dtype=T.float64)
    y.backward(g)
    return x.grad, g


@backward
def gradient_argument_is_not_aliased(T):
    x = leaf(T)
    g = T.ones(3, dtype=T.float64)
    (x + 0).backward(g)
    x.grad.mul_(5)
    return x.grad, g


@backward
def gradient_on_leaf_is_not_aliased(T):
    x = leaf(T)
    g = T.ones(3, dtype=T.float64)
    x.backward(g)
    g.mul_(7)
    return x.grad


@backward
def two_leaves_do_not_share_grad(T):
    x, y = leaf(T), leaf(T)
    (x + y).sum().backward()
    x.grad.mul_(10)
    return x.grad, y.grad


@backward
def fan_out_shares_nothing(T):
    x = leaf(T)
    y = x * 1
    y.retain_grad()
    (y + x).backward(T.ones(3, dtype=T.float64))
    y.grad.mul_(10)
    return x.grad, y.grad


@backward
def leaf_backward(T):
    x = scalar(T)
    x.backward()
    return x.grad


@backward
def leaf_backward_twice(T):
    x = scalar(T)
    x.backward()
    x.backward()
    return x.grad


@backward
def twice_raises(T):
    x = leaf(T)
    y = (x * x).sum()
    y.backward()
    y.backward()


@backward
def twice_without_saved_values(T):
    x = leaf(T)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    return x.grad


@backward
def retain_graph_twice(T):
    x = leaf(T)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


@backward
def shared_part_freed(T):
    x = leaf(T)
    z = x.exp()
    (z * 1).sum().backward()
    (z * z).sum().backward()


@backward
def create_graph_then_backward(T):
    x = leaf(T)
    (x**3).sum().backward(create_graph=True)
    g = x.grad
    x.grad = None
    g.sum().backward()
    return g, x.grad


@backward
def create_graph_without_history(T):
    x = leaf(T)
    (x * 3).sum().backward(create_graph=True)
    return x.grad


@backward
def create_graph_accumulates_out_of_place(T):
    x = leaf(T)
    x.grad = T.ones(3, dtype=T.float64)
    held = x.grad
    (x**2).sum().backward(create_graph=True)
    return held, x.grad, held is x.grad


@backward
def create_graph_but_retain_false(T):
    x = leaf(T)
    y = (x**3).sum()
    y.backward(create_graph=True, retain_graph=False)
    y.backward()


@backward
def inputs_limit(T):
    x, w = leaf(T), leaf(T)
    (x * w).sum().backward(inputs=[x])
    return x.grad, w.grad


@backward
def inputs_single(T):
    x, w = leaf(T), leaf(T)
    (x * w).sum().backward(inputs=w)
    return x.grad, w.grad


@backward
def inputs_non_leaf(T):
    x = leaf(T)
    y = x * 2
    (y * y).sum().backward(inputs=[y])
    return x.grad, y.grad


@backward
def inputs_leaf_and_non_leaf(T):
    x = leaf(T)
    y = x * 2
    (y * y).sum().backward(inputs=[y, x])
    return x.grad, y.grad


@backward
def inputs_empty(T):
    leaf(T).sum().backward(inputs=[])


@backward
def inputs_unused(T):
    x, w = leaf(T), leaf(T)
    x.sum().backward(inputs=[w])
    return x.grad, w.grad


@backward
def inputs_not_requiring(T):
    x = leaf(T)
    x.sum().backward(inputs=[T.ones(3)])


@backward
def several_roots(T):
    x = leaf(T)
    T.autograd.backward([(x * 2).sum(), (x**2).sum()])
    return x.grad


@backward
def several_roots_share_a_part(T):
    x = leaf(T)
    y = x.exp()
    T.autograd.backward([y, y * y], [T.ones_like(y), T.ones_like(y)])
    return x.grad


@backward
def same_root_twice(T):
    x = leaf(T)
    y = (x * x).sum()
    T.autograd.backward([y, y])
    return x.grad


@backward
def root_is_inside_other_root(T):
    x = leaf(T)
    y = (x * x).sum()
    T.autograd.backward([y, y * 3])
    return x.grad


@backward
def non_scalar(T):
    (leaf(T) * 2).backward()


@backward
def one_element_is_enough(T):
    x = T.ones(1, 1, dtype=T.float64, requires_grad=True)
    (x * 3).backward()
    return x.grad


@backward
def no_grad_root(T):
    with T.no_grad():
        y = (leaf(T) * 2).sum()
    y.backward()


@backward
def integer_root(T):
    T.tensor(3).backward()


@backward
def plain_root(T):
    T.tensor(3.0).backward()


@backward
def one_of_two_roots_plain(T):
    T.autograd.backward([leaf(T).sum(), T.tensor(3.0)])


@backward
def gradient_shape_misfit(T):
    (leaf(T) * 2).backward(T.ones(2, dtype=T.float64))


@backward
def gradient_broadcastable_is_misfit(T):
    (leaf(T) * 2).backward(T.ones(1, dtype=T.float64))


@backward
def gradient_of_other_dtype(T):
    x = leaf(T)
    (x * 2).backward(T.ones(3, dtype=T.float32))
    return x.grad


@backward
def gradient_not_a_tensor(T):
    (leaf(T) * 2).backward([1.0, 1.0, 1.0])


@backward
def gradients_of_wrong_number(T):
    x = leaf(T)
    T.autograd.backward([x.sum(), x.sum()], [None])


@backward
def unused_leaf_stays_none(T):
    x, w = leaf(T), leaf(T)
    x.sum().backward()
    return w.grad


@backward
def dtypes_are_the_variables(T):
    x = T.ones(3, dtype=T.float32, requires_grad=True)
    w = T.ones(3, dtype=T.float64, requires_grad=True)
    b = T.ones(3, dtype=T.float16, requires_grad=True)
    c = T.ones(3, dtype=T.bfloat16, requires_grad=True)
    (x * w + b + c).sum().backward()
    return x.grad, w.grad, b.grad, c.grad


@backward
def broadcast_is_undone(T):
    x = T.ones(3, 1, dtype=T.float64, requires_grad=True)
    w = T.ones(4, dtype=T.float64, requires_grad=True)
    s = scalar(T)
    (x * w * s).sum().backward()
    return x.grad, w.grad, s.grad


@backward
def complex_to_real(T):
    z = T.tensor([1 + 2j, 3 - 1j], dtype=T.complex128, requires_grad=True)
    (z * z.conj()).real.sum().backward()
    return z.grad


@backward
def complex_scalar_root(T):
    z = T.tensor(1 + 2j, requires_grad=True)
    (z * z).backward()


@backward
def real_times_complex(T):
    x = leaf(T)
    z = T.tensor([1j, 2.0, 1 + 1j], dtype=T.complex128, requires_grad=True)
    (x * z).abs().sum().backward()
    return x.grad, z.grad


@backward
def through_integers_stops(T):
    x = leaf(T)
    y = x.long()
    return y, (y.double() * x).sum()


@backward
def backward_under_no_grad(T):
    x = leaf(T)
    y = (x * x).sum()
    with T.no_grad():
        y.backward()
    return x.grad


@backward
def backward_under_no_grad_with_create_graph(T):
    x = leaf(T)
    y = (x * x).sum()
    with T.no_grad():
        y.backward(create_graph=True)
    return x.grad


@backward
def expand_gradient(T):
    x = scalar(T)
    x.expand(3).sum().backward()
    return x.grad


@backward
def sum_gradient_is_writable(T):
    x = leaf(T)
    x.sum().backward()
    x.grad[0] = 5
    return x.grad


@backward
def empty_tensor(T):
    x = T.ones(0, requires_grad=True)
    x.sum().backward()
    return x.grad


@backward
def diamond(T):
    x = scalar(T)
    for _ in range(20):
        x2 = x if _ == 0 else y  # noqa: F821
        y = x2 + x2
    y.backward()
    return x.grad


@pytest.mark.parametrize("behaviour", backward)
def test_backward(behaviour):
    compare(torch, behaviour)
