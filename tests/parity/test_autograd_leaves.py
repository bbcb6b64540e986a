"""Leaves and their flags, .grad, detach, .data and in-place writes: outcomes as under PyTorch."""

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
