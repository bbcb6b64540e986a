"""Models against torchvision's: names, shapes and first weights of the state, the printed form, results."""

import numpy as np
import pytest

import retrograd
from parity.vision_peer import peer
from retrograd.torchvision import models as ours

peer()
torch = pytest.importorskip("torch")
theirs = pytest.importorskip("torchvision.models")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

STAGES = ((False, 1, 3, 1, 8, 8, 2), (False, 6, 5, 2, 8, 16, 2), (True, 4, 3, 1, 16, 16, 1))


def efficientnet(M):
    """Three small stages, in each library's own records."""
    if M is ours:
        stages = [M.efficientnet.Stage(*row) for row in STAGES]
    else:
        kinds = (M.efficientnet.MBConvConfig, M.efficientnet.FusedMBConvConfig)
        stages = [kinds[fused](*row) for fused, *row in STAGES]
    return M.EfficientNet(stages, 0.2, 0.5, 3)


SMALL = {
    "squeezenet1_0": lambda M: M.SqueezeNet("1_0", 7),
    "resnet": lambda M: M.ResNet(M.resnet.BasicBlock, [1, 2, 1, 1], 7),
    "resnet_zero": lambda M: M.ResNet(M.resnet.Bottleneck, [1, 2, 1, 1], 5, True, 4, 16, [False, True, True]),
    "mobilenet_v2": lambda M: M.mobilenet_v2(width_mult=0.25),
    "mobilenet_v3_dilated": lambda M: M.mobilenet_v3_small(dilated=True, reduced_tail=True, width_mult=0.5),
    "shufflenet": lambda M: M.shufflenet_v2_x0_5(),
    "efficientnet": lambda M: efficientnet(M),
    "densenet": lambda M: M.DenseNet(8, (2, 3, 2, 2), 16, 2, 0.1, 5),
    "vit": lambda M: M.VisionTransformer(32, 8, 2, 2, 16, 32, 0.1, 0.1, 5),
    "vit_representation": lambda M: M.VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=5, representation_size=12),
}


def numbers(module):
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("name", SMALL)
def test_first_weights_and_results(name):
    torch.manual_seed(3), retrograd.manual_seed(3)
    a, b = SMALL[name](theirs), SMALL[name](ours)
    first, second = numbers(a), numbers(b)
    assert list(first) == list(second)
    for key, value in first.items():
        np.testing.assert_array_equal(second[key], value, err_msg=key)
    assert torch.rand(1).item() == retrograd.rand(1).item(), "another count of random numbers was drawn"
    assert repr(a) == repr(b)
    # In float64: a batch norm over the few values of so small a picture magnifies every rounding.
    a.double(), b.double()
    x = np.random.default_rng(0).random((2, 3, 32, 32))
    for train in (False, True):
        a.train(train), b.train(train)
        torch.manual_seed(5), retrograd.manual_seed(5)
        expected, got = a(torch.from_numpy(x)), b(retrograd.from_numpy(x))
        scale = expected.abs().max().item() + 1e-30
        np.testing.assert_allclose(got.detach().numpy() / scale, expected.detach().numpy() / scale, atol=1e-6)


@pytest.fixture
def undrawn(monkeypatch):
    """Build without drawing weights: shapes alone cost nothing, whatever the model's size."""
    for name in ("uniform_", "normal_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_", "xavier_uniform_"):
        monkeypatch.setattr(retrograd.nn.init, name, lambda tensor, *args, **kwargs: tensor)


@pytest.mark.parametrize("name", [name for name in ours.list_models() if name != "vit_h_14"])
def test_names_and_shapes(name, undrawn):
    with torch.device("meta"):
        draws = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        a = theirs.get_model(name, **draws)
    b = ours.get_model(name)
    shapes = [{key: tuple(value.shape) for key, value in one.state_dict().items()} for one in (a, b)]
    assert list(shapes[0].items()) == list(shapes[1].items())
    published = theirs.get_model_weights(name)
    assert ours.get_model_weights(name).__name__ == published.__name__
    for one, two in zip(ours.get_model_weights(name), published, strict=True):
        assert (one.name, one.url) == (two.name, two.url)
        assert repr(one.transforms()) == repr(two.transforms())
        assert one.meta["num_params"] == two.meta["num_params"]
    assert ours.get_model_weights(name).DEFAULT.name == published.DEFAULT.name


def test_the_transform_of_published_weights():
    pil = pytest.importorskip("PIL.Image")
    picture = pil.fromarray(np.random.default_rng(0).integers(0, 256, (300, 260, 3), np.uint8))
    expected = theirs.ResNet50_Weights.DEFAULT.transforms()(picture).numpy()
    np.testing.assert_allclose(ours.ResNet50_Weights.DEFAULT.transforms()(picture).numpy(), expected, atol=1e-6)


def test_gradients_of_a_training_step():
    torch.manual_seed(0), retrograd.manual_seed(0)
    a = theirs.ResNet(theirs.resnet.BasicBlock, [1, 1, 1, 1], 4).double()
    b = ours.ResNet(ours.resnet.BasicBlock, [1, 1, 1, 1], 4).double()
    x = np.random.default_rng(0).random((2, 3, 32, 32))
    torch.nn.functional.cross_entropy(a(torch.from_numpy(x)), torch.tensor([1, 3])).backward()
    retrograd.nn.functional.cross_entropy(b(retrograd.from_numpy(x)), retrograd.tensor([1, 3])).backward()
    for (name, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        scale = p.grad.abs().max().item() + 1e-12
        np.testing.assert_allclose(q.grad.numpy() / scale, p.grad.numpy() / scale, atol=1e-6, err_msg=name)
