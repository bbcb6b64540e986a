"""The initialisers beyond torch give the variance that their docstrings state."""

from functools import partial

import numpy as np
import pytest

import retrograd as torch
from retrograd import nn


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def outputs(net, x):
    """The output of each weighted layer on a batch."""
    found = []
    handles = [
        layer.register_forward_hook(lambda m, a, o: found.append(o.detach()))
        for layer in net.modules()
        if "weight" in layer._parameters
    ]
    net(x)
    for handle in handles:
        handle.remove()
    return found


def deep(depth=8):
    layers = [layer for _ in range(depth) for layer in (nn.Linear(30, 30), nn.Tanh())]
    return nn.Sequential(nn.Linear(10, 30), nn.Tanh(), *layers, nn.Linear(30, 4))


def test_lsuv_gives_every_layer_unit_variance():
    net, x = deep(), torch.randn(200, 10) * 3 + 1
    assert nn.init.lsuv_(net, x, tol=0.01) is net
    for out in outputs(net, x):
        assert abs(out.var(correction=0).item() - 1) < 0.01


def test_lsuv_for_convolutions_with_centring():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5))
    x = torch.rand(50, 3, 8, 8)
    nn.init.lsuv_(net, x, tol=0.02, centre=True)
    for out in outputs(net, x):
        assert abs(out.var(correction=0).item() - 1) < 0.02
        assert abs(out.mean().item()) < 0.3


def test_lsuv_keeps_the_directions_of_a_weight_if_asked():
    net = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
    before = net[0].weight.detach().clone()
    nn.init.lsuv_(net, torch.randn(100, 10), orthonormal=False)
    ratio = net[0].weight.detach() / before
    assert torch.allclose(ratio, ratio[0, 0].expand_as(ratio), rtol=1e-4)
    assert net[0].bias.abs().sum() > 0


def test_lsuv_goes_in_the_order_of_the_forward_pass():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first, self.unused = nn.Linear(20, 3), nn.Linear(10, 20), nn.Linear(7, 7)

        def forward(self, x, scale=1.0):
            return self.last(self.first(x).relu() * scale)

    net, x = Backwards().train(), torch.randn(100, 10)
    unused = net.unused.weight.detach().clone()
    nn.init.lsuv_(net, (x,))
    assert abs(net(x).var(correction=0).item() - 1) < 0.1
    assert torch.equal(net.unused.weight, unused)
    assert net.training
    assert all(not layer._forward_hooks for layer in net.modules())


def test_lsuv_refuses_a_batch_without_variance():
    with pytest.raises(RuntimeError, match=r"Linear\(in_features=3.*variance 0"):
        nn.init.lsuv_(nn.Sequential(nn.Linear(3, 2)), torch.zeros(5, 3))


def test_delta_orthogonal_keeps_the_length_of_every_signal():
    for shape in ((6, 4, 3), (8, 8, 3, 3), (5, 2, 1, 3, 5)):
        w = nn.init.delta_orthogonal_(torch.empty(*shape), gain=2.0)
        dims = len(shape) - 2
        x = torch.randn(3, shape[1], *(7,) * dims)
        conv = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)[dims - 1]
        y = conv(x, w, padding="same")
        np.testing.assert_allclose(y.square().sum().item(), 4 * x.square().sum().item(), rtol=1e-4)
        assert int((w != 0).sum()) == shape[0] * shape[1]


def test_delta_orthogonal_has_the_stated_variance():
    w = nn.init.delta_orthogonal_(torch.empty(200, 100, 3, 3))[:, :, 1, 1]
    np.testing.assert_allclose(w.square().mean().item(), 1 / 200, rtol=1e-4)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 3, 3), (1, 1, 1, 1, 1, 1)])
def test_delta_orthogonal_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="dimensions|channels"):
        nn.init.delta_orthogonal_(torch.empty(*shape))


class Residual(nn.Module):
    def __init__(self, blocks, width=64):
        super().__init__()
        linear = partial(nn.Linear, width, width)
        self.stem = nn.Linear(10, width)
        self.branches = nn.ModuleList(
            [nn.Sequential(*[layer() for layer in (linear, nn.ReLU, linear, nn.ReLU, linear)]) for _ in range(blocks)]
        )
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        x = self.stem(x)
        for branch in self.branches:
            x = x + branch(x)
        return self.head(x)


def test_fixup_has_the_stated_variances():
    blocks, width = 16, 64
    net = Residual(blocks, width)
    assert nn.init.fixup_(net, net.branches, net.head) is net
    for branch in net.branches:
        for layer in (branch[0], branch[2]):
            np.testing.assert_allclose(layer.weight.var().item(), 2 / width * blocks ** (-1 / 2), rtol=0.15)
        assert branch[4].weight.abs().sum() == 0
    np.testing.assert_allclose(net.stem.weight.var().item(), 2 / 10, rtol=0.25)
    assert all(p.abs().sum() == 0 for name, p in net.named_parameters() if name.endswith("bias"))
    x = torch.randn(7, 10)
    assert net(x).abs().sum() == 0


def test_a_step_after_fixup_changes_the_output_alike_at_every_depth():
    changes = []
    for blocks in (4, 64):
        net = Residual(blocks)
        nn.init.fixup_(net, net.branches)
        x = torch.randn(20, 10)
        before = net(x)
        before.square().mean().backward()
        with torch.no_grad():
            for p in net.parameters():
                p.sub_(1e-3 * p.grad)
        changes.append((net(x) - before).abs().mean().item())
    assert 0.2 < changes[1] / changes[0] < 20


def test_fixup_refuses_what_it_cannot_read():
    with pytest.raises(ValueError, match="none"):
        nn.init.fixup_(nn.Linear(1, 1), [])
    with pytest.raises(ValueError, match="branch 0"):
        nn.init.fixup_(nn.Linear(1, 1), [nn.ReLU()])


@pytest.mark.parametrize(
    ("fill", "variance"),
    [
        (lambda w: nn.init.xavier_uniform_(w, 2.0), 4 * 2 / 700),
        (lambda w: nn.init.xavier_normal_(w), 2 / 700),
        (lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"), 2 / 300),
        (lambda w: nn.init.kaiming_normal_(w, mode="fan_out"), 2 / 400),
        (lambda w: nn.init.kaiming_uniform_(w, a=5**0.5), 1 / 900),
        (lambda w: nn.init.orthogonal_(w, 3.0), 9 / 400),
        (lambda w: nn.init.sparse_(w, 0.75, 2.0), 1.0),
        (lambda w: nn.init.trunc_normal_(w, std=10.0, a=-1.0, b=1.0), 0.3325),
    ],
)
def test_variances(fill, variance):
    w = fill(torch.empty(400, 300))
    np.testing.assert_allclose(w.var().item(), variance, rtol=0.02)
    assert abs(w.mean().item()) < 0.02
