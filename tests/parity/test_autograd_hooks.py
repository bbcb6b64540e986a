"""Hooks on tensors and nodes, and the grad modes as contexts, decorators and generators: outcomes as under PyTorch."""

from __future__ import annotations

import pytest

from parity.behaviours import Table, compare

torch = pytest.importorskip("torch")


def leaf(T, *values):
    return T.tensor(values or [1.0, 2.0, 3.0], dtype=T.float64, requires_grad=True)


hooks = Table()


@hooks
def sees_the_gradient(T):
    x, seen = leaf(T), []
    x.register_hook(lambda g: seen.append(g.clone()))
    (x * x).sum().backward()
    return seen, x.grad


@hooks
def returns_a_new_gradient(T):
    x = leaf(T)
    x.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: g + 1)
    (x * x).sum().backward()
    return x.grad


@hooks
def order_and_removal(T):
    x, seen = leaf(T), []
    first = x.register_hook(lambda g: seen.append(1))
    second = x.register_hook(lambda g: seen.append(2))
    x.register_hook(lambda g: seen.append(3))
    x.sum().backward()
    second.remove()
    second.remove()
    x.sum().backward()
    first.remove()
    x.sum().backward()
    return seen


@hooks
def removal_inside_a_hook(T):
    x, seen = leaf(T), []
    handles = []
    handles.append(x.register_hook(lambda g: (seen.append(1), handles[0].remove())[2:] or None))
    x.sum().backward()
    x.sum().backward()
    return seen


@hooks
def handle_as_a_context(T):
    x, seen = leaf(T), []
    with x.register_hook(lambda g: seen.append(1)):
        x.sum().backward()
    x.sum().backward()
    return seen


@hooks
def on_a_non_leaf(T):
    x = leaf(T)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    (y * y).sum().backward()
    return x.grad


@hooks
def on_a_non_leaf_runs_once_with_the_sum(T):
    x, seen = leaf(T), []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.clone()))
    (y * y + y).sum().backward()
    return seen


@hooks
def before_in_place_stays_with_the_old_value(T):
    x, seen = leaf(T), []
    y = x * 2
    y.register_hook(lambda g: seen.append(("old", g.clone())))
    y.mul_(3)
    y.register_hook(lambda g: seen.append(("new", g.clone())))
    (y * y).sum().backward()
    return seen, x.grad


@hooks
def hook_before_retain_grad_changes_it(T):
    x = leaf(T)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    y.retain_grad()
    y.sum().backward()
    return y.grad, x.grad


@hooks
def hook_after_retain_grad_changes_it_too(T):
    x = leaf(T)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    return y.grad, x.grad


@hooks
def on_plain_tensor(T):
    T.ones(3).register_hook(lambda g: g)


@hooks
def returns_wrong_type(T):
    x = leaf(T)
    x.register_hook(lambda g: 3.0)
    x.sum().backward()


@hooks
def returns_wrong_shape(T):
    x = leaf(T)
    x.register_hook(lambda g: g[:2])
    x.sum().backward()


@hooks
def raises(T):
    x = leaf(T)

    def hook(g):
        raise KeyError("mine")

    x.register_hook(hook)
    x.sum().backward()


@hooks
def raises_and_the_graph_can_be_walked_again(T):
    x = leaf(T)
    y = x.exp()

    def hook(g):
        raise KeyError("mine")

    handle = y.register_hook(hook)
    z = y.sum()
    error = None
    try:
        z.backward(retain_graph=True)
    except KeyError as caught:
        error = str(caught)
    handle.remove()
    z.backward()
    return error, x.grad, T.is_grad_enabled()


@hooks
def reads_grad_mode(T):
    x, seen = leaf(T), []
    x.register_hook(lambda g: seen.append((T.is_grad_enabled(), g.requires_grad)))
    (x**3).sum().backward()
    (x**3).sum().backward(create_graph=True)
    return seen


@hooks
def new_gradient_keeps_history(T):
    x, w = leaf(T), leaf(T)
    y = x * 2
    y.register_hook(lambda g: g * w)
    (y**2).sum().backward(create_graph=True)
    return x.grad, T.autograd.grad(x.grad.sum(), [x, w])


@hooks
def runs_under_autograd_grad_of_leaf(T):
    x, seen = leaf(T), []
    x.register_hook(lambda g: (seen.append(1), g * 2)[1])
    return T.autograd.grad((x * x).sum(), x), seen


@hooks
def runs_under_autograd_grad_of_non_leaf(T):
    x, seen = leaf(T), []
    y = x * 2
    y.register_hook(lambda g: (seen.append(1), g * 2)[1])
    return T.autograd.grad((y * y).sum(), [y]), seen


@hooks
def in_place_on_the_gradient(T):
    x, w = leaf(T), leaf(T)

    def hook(g):
        g.mul_(3)

    y = x + w
    x.register_hook(lambda g: g.clone().mul_(3))
    y.sum().backward()
    return x.grad, w.grad


@hooks
def hook_on_root(T):
    x = leaf(T)
    y = (x * x).sum()
    y.register_hook(lambda g: g * 5)
    y.backward()
    return x.grad


@hooks
def gradient_clipping(T):
    x = leaf(T)
    x.register_hook(lambda g: g.clamp(-3, 3))
    (x * x).sum().backward()
    return x.grad


@hooks
def backward_inside_a_hook(T):
    x, w = leaf(T), leaf(T)

    def hook(g):
        with T.enable_grad():
            (w * w).sum().backward()

    x.register_hook(hook)
    (x * x).sum().backward()
    return x.grad, w.grad


# -- hooks after accumulation --------------------------------------------------------------------------------------------
@hooks
def post_accumulate(T):
    x, seen = leaf(T), []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    return seen


@hooks
def post_accumulate_steps_the_optimizer(T):
    x = leaf(T)

    def hook(p):
        with T.no_grad():
            p -= 0.1 * p.grad
        p.grad = None

    x.register_post_accumulate_grad_hook(hook)
    (x * x).sum().backward()
    (x * x).sum().backward()
    return x, x.grad


@hooks
def post_accumulate_removal(T):
    x, seen = leaf(T), []
    handle = x.register_post_accumulate_grad_hook(lambda p: seen.append(1))
    x.sum().backward()
    handle.remove()
    x.sum().backward()
    return seen


@hooks
def post_accumulate_on_non_leaf(T):
    (leaf(T) * 2).register_post_accumulate_grad_hook(lambda p: None)


@hooks
def post_accumulate_on_plain(T):
    T.ones(2).register_post_accumulate_grad_hook(lambda p: None)


@hooks
def post_accumulate_not_under_grad(T):
    x, seen = leaf(T), []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(1))
    T.autograd.grad((x * x).sum(), x)
    return seen


@hooks
def post_accumulate_under_inputs(T):
    x, seen = leaf(T), []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
    (x * x).sum().backward(inputs=[x])
    return seen


# -- hooks of nodes ------------------------------------------------------------------------------------------------------
@hooks
def node_hook(T):
    x, w, seen = leaf(T), leaf(T), []
    y = x * w
    y.grad_fn.register_hook(lambda down, up: seen.append(([d.clone() for d in down], [u.clone() for u in up])))
    (y * 3).sum().backward()
    return seen


@hooks
def node_hook_sees_none_for_data(T):
    x, c, seen = leaf(T), T.ones(3, dtype=T.float64), []
    y = x * c
    y.grad_fn.register_hook(lambda down, up: seen.append([d is None for d in down]))
    y.sum().backward()
    return seen


@hooks
def node_hook_called_once(T):
    x, w, seen = leaf(T), leaf(T), []
    y = x * w
    y.grad_fn.register_hook(lambda down, up: seen.append(1))
    y.sum().backward()
    return seen


@hooks
def node_hook_changes_gradients(T):
    x, w = leaf(T), leaf(T)
    y = x * w
    y.grad_fn.register_hook(lambda down, up: (down[0] * 10, down[1] * 100))
    y.sum().backward()
    return x.grad, w.grad


@hooks
def node_hook_returns_wrong_number(T):
    x, w = leaf(T), leaf(T)
    y = x * w
    y.grad_fn.register_hook(lambda down, up: (down[0],))
    y.sum().backward()


@hooks
def node_prehook(T):
    x, seen = leaf(T), []
    y = x * 2
    y.grad_fn.register_prehook(lambda up: (seen.append(up[0].clone()), (up[0] * 5,))[1])
    (y * 3).sum().backward()
    return seen, x.grad


@hooks
def tensor_hook_runs_before_prehook(T):
    x, seen = leaf(T), []
    y = x * 2
    y.grad_fn.register_prehook(lambda up: seen.append(("pre", up[0].clone())))
    y.register_hook(lambda g: (seen.append(("tensor", g.clone())), g * 2)[1])
    y.sum().backward()
    return seen, x.grad


@hooks
def node_hook_removed(T):
    x, seen = leaf(T), []
    y = x * 2
    y.grad_fn.register_hook(lambda down, up: seen.append(1)).remove()
    y.sum().backward()
    return seen


@hooks
def node_hook_with_create_graph(T):
    x = leaf(T)
    y = x.exp()
    y.grad_fn.register_hook(lambda down, up: (down[0] * 2,))
    y.sum().backward(create_graph=True)
    return x.grad, T.autograd.grad(x.grad.sum(), x)


@hooks
def hook_of_accumulating_node(T):
    x, seen = leaf(T), []
    y = x * 2
    node = y.grad_fn.next_functions[0][0]
    node.register_hook(lambda down, up: seen.append((len(down), up[0].clone())))
    y.sum().backward()
    return seen


@hooks
def prehook_of_accumulating_node(T):
    x = leaf(T)
    y = x * 2
    node = y.grad_fn.next_functions[0][0]
    handle = node.register_prehook(lambda up: (up[0] * 7,))
    y.sum().backward()
    del handle
    return x.grad


@pytest.mark.parametrize("behaviour", hooks)
def test_hooks(behaviour):
    compare(torch, behaviour)
