"""Modules by themselves: pickling, third derivatives of the norms, running statistics, and names."""

import copy
import pickle

import numpy as np
import pytest

import retrograd as torch
from retrograd import nn

F = nn.functional


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
        self.table = nn.ParameterDict({"a": torch.ones(2)})
        self.register_buffer("seen", torch.zeros(1), persistent=False)

    def forward(self, x):
        return self.body(x)


def test_a_module_can_be_pickled_and_copied():
    torch.manual_seed(0)
    net = Net()
    net.body[0].register_forward_hook(print_nothing)
    for copied in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert repr(copied) == repr(net)
        assert copied.body[0].weight is not net.body[0].weight
        assert isinstance(copied.body[0].weight, nn.Parameter)
        assert torch.equal(copied(torch.ones(2, 3)), net(torch.ones(2, 3)))
        assert len(copied.body[0]._forward_hooks) == 1
        with torch.no_grad():
            copied.body[0].weight.zero_()
        assert net.body[0].weight.abs().sum() > 0


def print_nothing(module, args, output):
    return None


def test_a_handle_survives_pickling_with_its_module():
    layer = nn.ReLU()
    handle = layer.register_forward_hook(print_nothing)
    handle, layer = pickle.loads(pickle.dumps((handle, layer)))
    handle.remove()
    assert not layer._forward_hooks


def test_compile_gives_the_module_itself():
    net = Net()
    assert net.compile() is net


def test_cuda_is_an_error():
    with pytest.raises(RuntimeError):
        nn.Linear(1, 1).cuda()
    with pytest.raises(RuntimeError):
        nn.Linear(1, 1).to("cuda")


def third_derivative(f, x, direction, step=1e-3):
    """d3/dt3 of f(x + t d) at 0, by central differences of the first derivative from the library's forward alone."""
    at = [f(x + k * step * direction) for k in (-3, -2, -1, 0, 1, 2, 3)]
    weights = np.array([1, -8, 13, 0, -13, 8, -1]) / 8
    return float(np.dot(weights, at) / step**3)


NORMS = {
    "layer_norm": lambda x: F.layer_norm(x, (4,), torch.arange(1.0, 5.0, dtype=torch.float64)),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "group_norm": lambda x: F.group_norm(x, 2, eps=0.1),
    "instance_norm": lambda x: F.instance_norm(x.reshape(2, 2, 4)),
    "rms_norm": lambda x: F.rms_norm(x, (4,)),
    "normalize": lambda x: F.normalize(x),
    "gelu": F.gelu,
    "softplus": F.softplus,
    "mish": F.mish,
    "selu": F.selu,
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "cross_entropy": lambda x: F.cross_entropy(x, torch.tensor([0, 3, 1, 1]), label_smoothing=0.1, reduction="none"),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x.sigmoid(), torch.full((4, 4), 0.3, dtype=torch.float64)),
    "cosine_similarity": lambda x: F.cosine_similarity(x[:2], x[2:]),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "huber": lambda x: F.huber_loss(x * 3, torch.zeros_like(x)),
}  # fmt: skip


@pytest.mark.parametrize("name", NORMS)
def test_third_derivatives_against_finite_differences(name):
    """PyTorch's third derivatives of the norms are silently wrong; these are compared with float64 differences."""
    rng = np.random.default_rng(3)
    x, d = rng.standard_normal((4, 4)), rng.standard_normal((4, 4))
    weigh = torch.tensor(rng.standard_normal(64))

    def f(values):
        out = NORMS[name](values)
        return (out.flatten().pow(3) * weigh[: out.numel()]).sum()

    leaf = torch.tensor(x, requires_grad=True)
    direction = torch.tensor(d)
    value = f(leaf)
    for _ in range(3):
        (g,) = torch.autograd.grad(value, leaf, create_graph=True)
        value = (g * direction).sum()
    expected = third_derivative(lambda v: f(torch.tensor(v)).item(), x, d, 5e-3)
    np.testing.assert_allclose(value.item(), expected, rtol=2e-3, atol=2e-3)


def test_running_statistics_keep_their_dtype_and_take_no_history():
    layer = nn.BatchNorm1d(2)
    layer(torch.randn(5, 2, requires_grad=True)).sum().backward()
    assert layer.running_mean.grad_fn is None
    assert not layer.running_var.requires_grad
    assert layer.num_batches_tracked.dtype == torch.int64
    assert layer.num_batches_tracked.item() == 1


def test_cross_entropy_saves_no_gradient_for_targets_and_few_nodes():
    x = torch.randn(5, 4, requires_grad=True)
    loss = F.cross_entropy(x, torch.tensor([0, 1, 2, 3, 3]))
    nodes, stack = set(), [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None and node not in nodes:
            nodes.add(node)
            stack += [n for n, _ in node.next_functions]
    assert len(nodes) <= 8
    assert len({type(n) for n in nodes}) >= 1


def test_the_names_programs_import_from_torch():
    from retrograd.nn import init, utils
    from retrograd.nn.modules import activation, container, conv, linear, loss, module, normalization
    from retrograd.nn.modules.batchnorm import _BatchNorm
    from retrograd.nn.modules.conv import _ConvNd
    from retrograd.nn.modules.utils import _pair
    from retrograd.nn.parameter import Parameter

    assert _pair(3) == (3, 3)
    assert isinstance(nn.Conv2d(1, 1, 1), _ConvNd)
    assert isinstance(nn.BatchNorm2d(1), _BatchNorm)
    assert Parameter is nn.Parameter
    assert activation.ReLU is nn.ReLU
    assert (container.Sequential, conv.Conv2d, linear.Linear) == (nn.Sequential, nn.Conv2d, nn.Linear)
    assert (loss.MSELoss, module.Module, normalization.LayerNorm) == (nn.MSELoss, nn.Module, nn.LayerNorm)
    assert init.kaiming_normal_
    assert utils.rnn.pad_sequence
    assert activation.Hardtanh
    assert loss.TripletMarginLoss


def test_every_layer_prints_and_holds_what_it_says():
    assert sorted(set(nn.__all__)) == sorted(nn.__all__)
    assert all(hasattr(nn, name) for name in nn.__all__)
    assert all(hasattr(F, name) for name in F.__all__)


def test_data_parallel_is_the_module_it_holds():
    net = nn.DataParallel(nn.Linear(2, 3))
    assert list(net.state_dict()) == ["module.weight", "module.bias"]
    assert net(torch.ones(4, 2)).shape == (4, 3)


@pytest.mark.parametrize(
    ("module", "name", "near"),
    [
        (nn, "Linaer", "torch.nn.Linear"),
        (F, "softmaxx", "torch.nn.functional.softmax"),
        (nn.init, "kaiming", "kaiming"),
    ],
)
def test_a_missing_name_gives_the_nearest(module, name, near):
    with pytest.raises(AttributeError, match=near):
        getattr(module, name)
