"""Weights with a life of their own: shapes learned late, functions of other weights, masks; without torch."""

import copy

import pytest

import retrograd as torch
from retrograd import nn
from retrograd.nn.utils import parametrizations, parametrize, prune


def test_an_error_about_a_missing_shape_says_what_to_do():
    with pytest.raises(ValueError, match="Call `forward` with a batch"):
        nn.LazyLinear(2).weight.sum()
    with pytest.raises(RuntimeError, match="has none until the module's first `forward`"):
        nn.Linear(3, 2).load_state_dict(nn.LazyLinear(2).state_dict())


def test_an_optimizer_made_before_the_first_call_moves_the_weights():
    net = nn.Sequential(nn.LazyConv1d(2, 3), nn.Flatten(), nn.LazyLinear(1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.ones(2, 3, 5)).sum().backward()
    before = net[2].bias.item()
    optimizer.step()
    assert [type(part).__name__ for part in net] == ["Conv1d", "Flatten", "Linear"]
    assert net[2].bias.item() == pytest.approx(before - 0.2)


def test_layers_share_a_parametrized_weight_through_a_sequence():
    """A Sequential of plain modules is one composed function; a parametrized one is called module by module."""
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1))
    x = torch.rand(4, 3)
    for _ in range(4):
        net(x)
    parametrizations.weight_norm(net[0])
    net[0].parametrizations.weight.original0.data.mul_(2)
    twice = net(x)
    parametrize.remove_parametrizations(net[0], "weight")
    assert torch.allclose(net(x), twice)


def test_a_pruned_layer_in_a_sequence_stays_pruned_while_it_trains():
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    for _ in range(4):
        net(torch.rand(2, 4))
    prune.l1_unstructured(net[0], "weight", 0.5)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        net(torch.rand(2, 4)).square().sum().backward()
        optimizer.step()
    net(torch.rand(2, 4))
    assert int((net[0].weight == 0).sum()) == 8
    assert int((net[0].weight_orig == 0).sum()) == 0


def test_orthogonal_weights_stay_orthogonal():
    layer = parametrizations.orthogonal(nn.Linear(3, 5))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.rand(2, 3)).square().sum().backward()
        optimizer.step()
    assert torch.allclose(layer.weight.T @ layer.weight, torch.eye(3), atol=1e-5)


def test_a_deep_copy_of_a_parametrized_module_is_its_own():
    layer = parametrizations.spectral_norm(nn.Linear(3, 3))
    twin = copy.deepcopy(layer)
    twin.weight = torch.eye(3)
    twin(torch.ones(1, 3)).sum().backward()
    assert layer.parametrizations.weight.original.grad is None
    assert not torch.equal(layer.weight, twin.weight)


def test_flexible_attention_is_attention():
    from retrograd.nn.attention.flex_attention import create_block_mask, flex_attention

    q, k, v = (torch.rand(1, 2, 5, 4) for _ in range(3))
    mask = create_block_mask(lambda b, h, q, k: q >= k, None, None, 5, 5, BLOCK_SIZE=2)
    expected = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(flex_attention(q, k, v, block_mask=mask), expected, atol=1e-6)
