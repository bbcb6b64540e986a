"""A module called with other parameters: values, gradients, tied weights, errors, and its own parameters back afterwards."""

from __future__ import annotations

import pytest

import retrograd as torch
from retrograd.func import functional_call, grad


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))


def test_gradients_are_those_of_the_given_tensors():
    net, x = model(), torch.ones(5, 3)
    for _ in range(4):
        parameters = {name: p.detach().clone() for name, p in net.named_parameters()}
        found = grad(lambda ps: functional_call(net, ps, (x,)).sum())(parameters)
        net.zero_grad()
        net(x).sum().backward()
        for name, p in net.named_parameters():
            torch.testing.assert_close(found[name], p.grad)


def test_own_parameters_come_back_also_after_an_error():
    net = model()
    own = dict(net.named_parameters())
    with pytest.raises(RuntimeError):
        functional_call(net, {"0.weight": torch.ones(4, 3)}, torch.ones(5, 9))
    assert all(p is own[name] for name, p in net.named_parameters())


def test_tied_weights_are_replaced_together():
    net = model()
    net[2].weight = torch.nn.Parameter(torch.ones(4, 4))
    net.twin = net[2]
    out = functional_call(net[2], {"weight": torch.zeros(4, 4)}, torch.ones(4))
    torch.testing.assert_close(out, net[2].bias.expand(4))


def test_errors():
    net = model()
    with pytest.raises(KeyError):
        functional_call(net, {"nothing": torch.ones(1)}, torch.ones(1, 3))
    with pytest.raises(RuntimeError):
        functional_call(net, {}, torch.ones(1, 3), strict=True)
    with pytest.raises(ValueError):
        functional_call(net, [{"0.bias": torch.ones(4)}, {"0.bias": torch.ones(4)}], torch.ones(1, 3))
