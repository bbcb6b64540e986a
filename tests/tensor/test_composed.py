"""Composed functions as one Node: the numbers, the derivatives of any order and the errors are those of the nodes it stands for."""

from __future__ import annotations

import copy
import gc

import numpy as np
import pytest

import retrograd as torch
from retrograd.core import MODE
from retrograd.tensor.composed import WARM, composed

F = torch.nn.functional


def rows(n=6, m=5):
    return torch.tensor(np.random.default_rng(0).standard_normal((n, m)))


FUNCTIONS = {
    "mse": (lambda x, y: F.mse_loss(x, y), lambda: (rows(), rows().flip(0))),
    "mse broadcast": (lambda x, y: F.mse_loss(x, y[0].expand(6, 5)), lambda: (rows(), rows().flip(0))),
    "softmax": (lambda x: F.softmax(x, 1), lambda: (rows(),)),
    "softmax 0": (lambda x: F.softmax(x, 0), lambda: (rows(),)),
    "log_softmax": (lambda x: F.log_softmax(x, -1), lambda: (rows(),)),
    "cross entropy": (lambda x: F.cross_entropy(x, torch.tensor([0, 1, 2, 3, 4, 0])), lambda: (rows(),)),
    "cross entropy none": (
        lambda x: F.cross_entropy(x, torch.tensor([0, 1, 2, 3, 4, 0]), reduction="none"),
        lambda: (rows(),),
    ),
    "gelu": (F.gelu, lambda: (rows(),)),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), lambda: (rows(),)),
    "silu": (F.silu, lambda: (rows(),)),
    "layer norm": (lambda x, w, b: F.layer_norm(x, (5,), w, b), lambda: (rows(), rows()[0].clone(), rows()[1].clone())),
    "layer norm plain": (lambda x: F.layer_norm(x, (5,)), lambda: (rows(),)),
}


def derivatives(fn, args, orders=3):
    """The value, and derivatives of a weighted sum of its squares along a fixed direction, reverse over reverse."""
    xs = [a.clone().requires_grad_() for a in args]
    out = fn(*xs)
    weights = torch.arange(1.0, out.numel() + 1, dtype=out.dtype).reshape(out.shape) / out.numel()
    total = (out * out * weights).sum()
    found = [out.detach().numpy().copy()]
    for _ in range(orders):
        grads = torch.autograd.grad(total, xs, create_graph=True, allow_unused=True, materialize_grads=True)
        found += [g.detach().numpy().copy() for g in grads]
        total = sum(
            (g * torch.cos(torch.arange(1.0, g.numel() + 1, dtype=g.dtype)).reshape(g.shape)).sum() for g in grads
        )
    xs = [a.clone().requires_grad_() for a in args]
    out = fn(*xs)
    (out * out * weights).sum().backward()
    found += [x.grad.numpy() for x in xs]
    value, pushed = torch.func.jvp(fn, tuple(args), tuple(torch.ones_like(a) for a in args))
    return [*found, value.numpy(), pushed.numpy()]


def unfused(fn, args):
    MODE.special, before = True, MODE.special  # what a trace or an observer does: nothing is fused
    try:
        return derivatives(fn, args)
    finally:
        MODE.special = before


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_equal_those_of_the_nodes(name):
    fn, make = FUNCTIONS[name]
    want = unfused(fn, make())
    for _ in range(WARM + 1):
        got = derivatives(fn, make())
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def network():
    torch.manual_seed(0)
    nn = torch.nn
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 6), nn.Tanh(), nn.Flatten(), nn.Linear(6, 3)).double()


def is_one_node(out) -> bool:
    return out._node.op.family == "composed"


def warm(model, x):
    for _ in range(WARM):
        out = model(x)
    return out


def test_a_sequence_of_plain_modules_is_one_node_with_the_same_bits():
    model, x = network(), rows()
    first = model(x)
    first.sum().backward()
    grads = [p.grad.numpy().copy() for p in model.parameters()]
    model.zero_grad()
    out = warm(model, x)
    assert is_one_node(out)
    np.testing.assert_array_equal(out.detach().numpy(), first.detach().numpy())
    out.sum().backward()
    for p, g in zip(model.parameters(), grads, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), g)


def test_second_derivatives_through_a_sequence():
    model = network()
    x = rows().requires_grad_()

    def penalty():
        (g,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        model.zero_grad()
        ((g.norm(2, 1) - 1) ** 2).mean().backward()
        return [p.grad.numpy().copy() if p.grad is not None else None for p in model.parameters()]

    want = penalty()
    warm(model, x)
    assert is_one_node(model(x))
    for a, b in zip(penalty(), want, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_an_overwritten_parameter_is_found():
    model, x = network(), rows()
    out = warm(model, x)
    with torch.no_grad():
        model[2].weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_backward_twice_is_an_error_unless_retained():
    model, x = network(), rows()
    out = warm(model, x).sum()
    out.backward(retain_graph=True)
    once = model[0].weight.grad.numpy().copy()
    out.backward()
    np.testing.assert_allclose(model[0].weight.grad.numpy(), 2 * once)
    with pytest.raises(RuntimeError, match="a second time"):
        out.backward()


@pytest.mark.parametrize(
    "kind", ["forward hook", "backward hook", "in-place module", "instance forward", "subclass", "anomaly"]
)
def test_what_wants_to_see_modules_is_called(kind):
    model, x = network(), rows()
    seen = []
    if kind == "forward hook":
        model[1].register_forward_hook(lambda *args: seen.append(1))
    elif kind == "backward hook":
        model[1].register_full_backward_hook(lambda *args: seen.append(1))
    elif kind == "in-place module":
        model[1] = torch.nn.ReLU(inplace=True)
        seen.append(1)
    elif kind == "instance forward":
        inner = model[1].forward
        model[1].forward = lambda v: seen.append(1) or inner(v)
    elif kind == "subclass":

        class Mine(torch.nn.ReLU):
            def forward(self, v):
                seen.append(1)
                return super().forward(v)

        model[1] = Mine()
    else:
        seen.append(1)
    if kind == "anomaly":
        with torch.autograd.detect_anomaly():
            out = warm(model, x)
    else:
        out = warm(model, x)
    assert not is_one_node(out)
    out.sum().backward()
    assert seen


def test_frozen_parameters_and_other_types_get_programs_of_their_own():
    model, x = network(), rows()
    warm(model, x)
    model[0].weight.requires_grad_(False)
    out = warm(model, x)
    out.sum().backward()
    assert model[0].weight.grad is None and model[0].bias.grad is not None
    assert warm(model, rows(3)).shape == (3, 3)
    with torch.no_grad():
        assert warm(model, x)._node is None
    model.float()
    assert warm(model, x.float()).dtype is torch.float32


def test_a_changed_setting_is_seen():
    model = torch.nn.Sequential(torch.nn.Linear(5, 5), torch.nn.GELU()).double()
    x = rows()
    before = warm(model, x).detach().numpy()
    model[1].approximate = "tanh"
    after = warm(model, x).detach().numpy()
    assert 0 < np.abs(before - after).max() < 1e-2


def test_copies_and_pickles_leave_programs_behind():
    import pickle

    model, x = network(), rows()
    want = warm(model, x).detach().numpy()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(warm(twin, x).detach().numpy(), want)


def test_a_view_of_the_input_stays_a_view():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Flatten())
    x = torch.zeros(2, 3)
    warm(model, x)[0, 0] = 5
    assert x[0, 0] == 5


def test_a_large_sequence_frees_as_it_goes():
    model = torch.nn.Sequential(torch.nn.Linear(2048, 2048), torch.nn.ReLU(), torch.nn.Linear(2048, 1))
    assert not is_one_node(warm(model, torch.zeros(2048, 2048)))


def test_a_node_and_what_it_keeps_die_by_reference_count():
    model, x = network(), rows()
    warm(model, x)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(50):
            model(x).sum().backward()
        assert len(gc.get_objects()) - before < 30
    finally:
        gc.enable()


def test_many_types_do_not_fill_the_memory():
    @composed("MulBackward0")
    def double(x):
        return x * 2

    for n in range(700):
        for _ in range(WARM + 1):
            double(torch.zeros(n))
    table = next(c.cell_contents for c in double.__closure__ if hasattr(c.cell_contents, "programs"))
    assert len(table.programs) <= 512
