"""Full backward hooks at a module's boundary, where in-place operations stand inside, before and after it."""

import gc
import weakref

import numpy as np
import pytest

import retrograd as torch
from retrograd import nn


def hooked(module, seen):
    module.register_full_backward_hook(lambda m, g, o: seen.append((g[0].tolist(), o[0].tolist())))
    return module


X = [-1.0, 2.0, -3.0, 4.0]


def test_an_in_place_relu_with_a_hook():
    seen = []
    x = torch.tensor(X, requires_grad=True)
    hooked(nn.ReLU(inplace=True), seen)(x * 2).sum().backward()
    assert seen == [([0.0, 1.0, 0.0, 1.0], [1.0] * 4)]
    assert x.grad.tolist() == [0.0, 2.0, 0.0, 2.0]


@pytest.mark.parametrize("inplace", [False, True])
def test_an_in_place_relu_after_a_hooked_layer(inplace):
    """What pytorch#61519 reports as broken: the layers before an in-place activation can be watched all the same."""
    torch.manual_seed(0)
    seen = []
    layers = [hooked(nn.Linear(4, 4), seen), hooked(nn.ReLU(inplace=inplace), seen), hooked(nn.Linear(4, 2), seen)]
    x = torch.tensor([X], requires_grad=True)
    nn.Sequential(*layers)(x).sum().backward()
    if inplace:
        assert seen == test_an_in_place_relu_after_a_hooked_layer.plain
    else:
        test_an_in_place_relu_after_a_hooked_layer.plain = seen
    assert len(seen) == 3
    np.testing.assert_allclose(seen[2][0], x.grad.tolist())


def test_what_an_in_place_layer_does_to_its_input_is_the_same_with_a_hook():
    """The residual sees the values after the in-place layer, and their gradient, as it does without hooks."""

    def run(hook):
        relu = nn.ReLU(inplace=True)
        if hook:
            hooked(relu, [])
        x = torch.tensor(X, requires_grad=True)
        h = x * 2
        y = relu(h)
        out = (y * 3 + h * 5).sum()
        out.backward()
        return h.tolist(), x.grad.tolist()

    assert run(False) == run(True) == ([0.0, 4.0, 0.0, 8.0], [0.0, 16.0, 0.0, 16.0])


def test_writing_to_a_hooked_output_in_place():
    seen = []
    x = torch.tensor(X, requires_grad=True)
    y = hooked(nn.Identity(), seen)(x * 1)
    y.mul_(3)
    y[0] = 7.0
    y.sum().backward()
    assert seen == [([0.0, 3.0, 3.0, 3.0], [0.0, 3.0, 3.0, 3.0])]
    assert x.grad.tolist() == [0.0, 3.0, 3.0, 3.0]


def test_a_leaf_may_not_be_written_through_a_hooked_layer_either():
    x = torch.tensor(X, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        hooked(nn.ReLU(inplace=True), [])(x)


def test_a_view_passes_through_a_hooked_in_place_layer():
    base = torch.tensor([X, X], requires_grad=True) * 1
    seen = []
    out = hooked(nn.ReLU(inplace=True), seen)(base[0])
    assert base[0].tolist() == [0.0, 2.0, 0.0, 4.0]
    (out.sum() + base.sum()).backward()
    # what flows into the base beside the layer's output joins behind the boundary
    assert seen == [([0.0, 2.0, 0.0, 2.0], [1.0] * 4)]


def test_hooks_see_tensors_and_may_leave_the_gradient():
    layer = nn.Linear(2, 2)
    layer.register_full_backward_hook(lambda m, g, o: None)
    x = torch.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert torch.equal(x.grad[0], layer.weight.sum(0))


def test_nothing_is_held_after_the_walk():
    gc.disable()
    try:
        layer = nn.Tanh()
        layer.register_full_backward_hook(lambda m, g, o: None)
        x = torch.ones(3, requires_grad=True)
        out = layer(x * 2)
        held = weakref.ref(out)
        out.sum().backward()
        del out
        assert held() is None
        module = weakref.ref(layer)
        del layer
        assert module() is None
    finally:
        gc.enable()


def test_second_derivatives_pass_the_boundary():
    x = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    layer = nn.Tanh()
    layer.register_full_backward_hook(lambda m, g, o: None)
    (g,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    t = np.tanh(0.5)
    np.testing.assert_allclose(h.item(), -2 * t * (1 - t * t), rtol=1e-12)
