"""backward, grad, leaves, grad modes, detach: every behaviour has the outcome it has under PyTorch."""

from __future__ import annotations

import numpy as np
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
    for _ in range(5):
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


# -- leaves, flags, detach, data -----------------------------------------------------------------------------------------
leaves = Table()


def _flags(t):
    return t.requires_grad, t.is_leaf, t.grad_fn is None


leaves.add(
    plain_tensor=lambda T: _flags(T.ones(3)),
    asked=lambda T: _flags(T.ones(3, requires_grad=True)),
    computed=lambda T: _flags(leaf(T) * 2),
    computed_of_plain=lambda T: _flags(T.ones(3) * 2),
    comparison=lambda T: _flags(leaf(T) > 2),
    argmax=lambda T: _flags(leaf(T).argmax()),
    cast_to_int=lambda T: _flags(leaf(T).int()),
    cast_to_same=lambda T: _flags(leaf(T).double()),
    view_of_leaf=lambda T: _flags(leaf(T)[0]),
    detached=lambda T: _flags((leaf(T) * 2).detach()),
    cloned=lambda T: _flags(leaf(T).clone()),
    new_like=lambda T: _flags(T.ones_like(leaf(T))),
    new_zeros=lambda T: _flags(leaf(T).new_zeros(2)),
    zeros_like_asked=lambda T: _flags(T.zeros_like(leaf(T), requires_grad=True)),
    tensor_of_tensor=lambda T: _flags(T.tensor(leaf(T).tolist())),
    as_tensor=lambda T: _flags(T.as_tensor(leaf(T))),
    parameter=lambda T: _flags(T.nn.Parameter(T.ones(2))),
    parameter_frozen=lambda T: _flags(T.nn.Parameter(T.ones(2), requires_grad=False)),
    parameter_of_ints=lambda T: _flags(T.nn.Parameter(T.ones(2, dtype=T.int64))),
    parameter_of_ints_frozen=lambda T: _flags(T.nn.Parameter(T.ones(2, dtype=T.int64), requires_grad=False)),
    parameter_of_computed=lambda T: _flags(T.nn.Parameter(leaf(T) * 2)),
    requires_grad_of_int=lambda T: T.ones(3, dtype=T.int64).requires_grad_(),
    requires_grad_of_bool=lambda T: T.ones(3, dtype=T.bool).requires_grad_(),
    int_asked=lambda T: T.ones(3, dtype=T.int64, requires_grad=True),
    int_tensor_asked=lambda T: T.tensor([1, 2], requires_grad=True),
    int_asked_not=lambda T: T.ones(3, dtype=T.int64).requires_grad_(False),
    complex_asked=lambda T: _flags(T.ones(3, dtype=T.complex64, requires_grad=True)),
    non_leaf_off=lambda T: (leaf(T) * 2).requires_grad_(False),
    non_leaf_on=lambda T: _flags((leaf(T) * 2).requires_grad_()),
    assign_flag=lambda T: setattr(T.ones(3), "requires_grad", True),
    assign_flag_non_leaf=lambda T: setattr(leaf(T) * 2, "requires_grad", False),
    assign_is_leaf=lambda T: setattr(leaf(T), "is_leaf", False),
    assign_grad_fn=lambda T: setattr(leaf(T), "grad_fn", None),
    off_and_on=lambda T: _flags(leaf(T).requires_grad_(False).requires_grad_()),
    detach_of_leaf=lambda T: _flags(leaf(T).detach()),
    detach_inplace=lambda T: _flags((leaf(T) * 2).detach_()),
    detach_inplace_of_leaf=lambda T: _flags(leaf(T).detach_()),
    detach_inplace_of_view=lambda T: (leaf(T) * 2)[0].detach_(),
    data=lambda T: _flags((leaf(T) * 2).data),
    grad_of_plain=lambda T: T.ones(3).grad,
    retain_grad_of_plain=lambda T: T.ones(3).retain_grad(),
    retain_grad_of_leaf=lambda T: (leaf(T).retain_grad(), leaf(T).retains_grad),
    retains_grad_default=lambda T: ((leaf(T) * 2).retains_grad, leaf(T).retains_grad),
    item_of_leaf=lambda T: scalar(T).item(),
    tolist_of_leaf=lambda T: leaf(T).tolist(),
    numpy_of_leaf=lambda T: leaf(T).numpy(),
    numpy_forced=lambda T: leaf(T).numpy(force=True),
    numpy_of_detached=lambda T: leaf(T).detach().numpy(),
    array_of_leaf=lambda T: np.asarray(leaf(T)),
    float_of_leaf=lambda T: float(scalar(T)),
    bool_of_leaf=lambda T: bool(scalar(T)),
    grad_of_wrong_shape=lambda T: setattr(leaf(T), "grad", T.ones(2, dtype=T.float64)),
    grad_of_wrong_dtype=lambda T: setattr(leaf(T), "grad", T.ones(3)),
    grad_of_wrong_type=lambda T: setattr(leaf(T), "grad", 3.0),
    grad_on_plain_tensor=lambda T: setattr(T.ones(2), "grad", T.ones(2)),
    grad_fn_names=lambda T: [
        (leaf(T) * 2).grad_fn.name(),
        (leaf(T) + 2).grad_fn.name(),
        leaf(T).sum().grad_fn.name(),
        leaf(T).exp().grad_fn.name(),
        leaf(T).view(3, 1).grad_fn.name(),
        (leaf(T) ** 2).grad_fn.name(),
        leaf(T).relu().grad_fn.name(),
        leaf(T).clone().grad_fn.name(),
        leaf(T).mean().grad_fn.name(),
        (leaf(T) / 2).grad_fn.name(),
        (leaf(T) - 2).grad_fn.name(),
        (-leaf(T)).grad_fn.name(),
        leaf(T).tanh().grad_fn.name(),
        leaf(T).sigmoid().grad_fn.name(),
        leaf(T).log().grad_fn.name(),
        leaf(T)[0].grad_fn.name(),
        leaf(T)[1:].grad_fn.name(),
    ],
)


@leaves
def grad_setter_accepts(T):
    x = leaf(T)
    g = T.ones(3, dtype=T.float64)
    x.grad = g
    same = x.grad is g
    x.grad = None
    return same, x.grad


@leaves
def grad_of_itself(T):
    x = leaf(T)
    x.grad = x


@leaves
def del_grad(T):
    x = leaf(T)
    x.sum().backward()
    del x.grad
    return x.grad


@leaves
def grad_of_non_leaf_warns(T):
    import warnings

    y = leaf(T) * 2
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        g = y.grad
        y.retain_grad()
        y.grad
    return g, [w.category.__name__ for w in seen]


@leaves
def retain_grad(T):
    x = leaf(T)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    flag = y.retains_grad
    (y * y).sum().backward()
    return flag, y.grad, x.grad


@leaves
def retained_grad_accumulates(T):
    x = leaf(T)
    y = x * 2
    y.retain_grad()
    (y * y).sum().backward()
    (y * 3).sum().backward()
    return y.grad, x.grad


@leaves
def retained_grad_with_create_graph(T):
    x = leaf(T)
    y = x * 2
    y.retain_grad()
    (y**3).sum().backward(create_graph=True)
    return y.grad, T.autograd.grad(y.grad.sum(), x)


@leaves
def retained_grad_after_in_place(T):
    x = leaf(T)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    (y * y).sum().backward()
    return y.grad, x.grad


@leaves
def detach_shares_memory(T):
    x = leaf(T)
    d = x.detach()
    d[0] = 100
    return x, d, x._version, d._version


@leaves
def detach_write_is_noticed(T):
    x = leaf(T)
    y = (x * x).sum()
    x.detach().zero_()
    y.backward()


@leaves
def data_write_is_not_noticed(T):
    x = leaf(T)
    y = (x * x).sum()
    x.data.zero_()
    y.backward()
    return x.grad, x._version


@leaves
def data_assignment(T):
    x = leaf(T)
    x.data = T.tensor([5.0, 6.0], dtype=T.float64)
    (x * x).sum().backward()
    return x, x.grad


@leaves
def data_assignment_shares(T):
    x = leaf(T)
    new = T.zeros(3, dtype=T.float64)
    x.data = new
    new[0] = 4
    return x


@leaves
def data_assignment_of_other_dtype(T):
    x = leaf(T)
    x.data = T.zeros(3, dtype=T.float32)
    (x * 2).sum().backward()
    return x, x.grad


@leaves
def data_assignment_not_a_tensor(T):
    leaf(T).data = 3.0


@leaves
def detach_inplace_cuts(T):
    x = leaf(T)
    y = x * 2
    y.detach_()
    z = y * 3
    return y, z


@leaves
def in_place_makes_history(T):
    x = leaf(T)
    y = T.zeros(3, dtype=T.float64)
    y += x
    y *= x
    y.sum().backward()
    return y, x.grad


@leaves
def in_place_on_leaf(T):
    leaf(T).add_(1)


@leaves
def in_place_on_view_of_leaf(T):
    leaf(T)[0].add_(1)


@leaves
def in_place_on_leaf_under_no_grad(T):
    x = leaf(T)
    with T.no_grad():
        x.add_(1)
        x[0] = 7
    return x, x._version


@leaves
def saved_then_overwritten(T):
    x = leaf(T)
    y = x.exp()
    z = (y * y).sum()
    y.add_(1)
    z.backward()


@leaves
def output_overwritten(T):
    x = leaf(T)
    y = x.exp()
    y.mul_(2)
    y.sum().backward()


@leaves
def not_saved_may_be_overwritten(T):
    x = leaf(T)
    y = x * 2
    z = y + 1
    y.zero_()
    (z.sum() + y.sum()).backward()
    return x.grad


@leaves
def in_place_relu_then_use(T):
    x = leaf(T, -1.0, 2.0)
    y = x * 3
    y.relu_()
    (y * y).sum().backward()
    return y, x.grad


@leaves
def requires_grad_on_the_way(T):
    x = T.ones(3, dtype=T.float64)
    y = x * 2
    x.requires_grad_()
    return y, x * 2


@leaves
def requires_grad_off_on_the_way(T):
    x = leaf(T)
    y = (x * x).sum()
    x.requires_grad_(False)
    y.backward()
    return x.grad


@leaves
def out_argument_with_grad(T):
    x = leaf(T)
    T.exp(x, out=T.zeros(3, dtype=T.float64))


@leaves
def next_functions(T):
    x, c = leaf(T), T.ones(3, dtype=T.float64)
    y = x * c
    z = y + x
    return [
        [f.name() if f else None for f, _ in z.grad_fn.next_functions],
        [f.name() if f else None for f, _ in y.grad_fn.next_functions],
        [n for _, n in y.grad_fn.next_functions],
        z.grad_fn.next_functions[0][0] is y.grad_fn,
        z.grad_fn.next_functions[1][0].variable is x,
        z.grad_fn.next_functions[1][0].next_functions,
        z.grad_fn.name() in repr(z.grad_fn),
    ]


@leaves
def metadata(T):
    y = leaf(T) * 2
    y.grad_fn.metadata["note"] = 3
    return dict(y.grad_fn.metadata)


@leaves
def output_nr(T):
    a, b = (leaf(T) * 2).split([1, 2])
    return a.output_nr, b.output_nr, leaf(T).output_nr


@pytest.mark.parametrize("behaviour", leaves)
def test_leaves_and_flags(behaviour):
    compare(torch, behaviour)
