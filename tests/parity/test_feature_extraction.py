"""torchvision.models.feature_extraction: what named modules give, and its gradient, as under torchvision."""

import numpy as np
import pytest

from parity.vision_peer import peer

torchvision = peer()
torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from retrograd.torchvision.models import feature_extraction as ours  # noqa: E402


def features(T, vision, wanted):
    create = ours.create_feature_extractor if T is retrograd else _theirs().create_feature_extractor
    T.manual_seed(0)
    model = vision.models.resnet18().eval()
    extractor = create(model, wanted)
    found = extractor(T.randn(1, 3, 32, 32))
    list(found.values())[-1].sum().backward()
    return found, model.conv1.weight.grad, list(extractor.state_dict()), extractor.training


def _theirs():
    from torchvision.models import feature_extraction

    return feature_extraction


# A module, its neighbours that write in place by an operator (``out += x``) and by a module (ReLU), and the last.
@pytest.mark.parametrize(
    "wanted", [{"layer1": "a", "layer2.1.bn2": "b", "layer2.0.bn1": "c", "avgpool": "d"}, ["layer4", "fc"]]
)
def test_the_results_and_the_gradient(wanted):
    mine, my_slope, my_names, my_mode = features(retrograd, retrograd.torchvision, wanted)
    theirs, their_slope, their_names, their_mode = features(torch, torchvision, wanted)
    assert list(mine) == list(theirs) and my_mode == their_mode
    for name, value in theirs.items():
        np.testing.assert_allclose(mine[name].detach().numpy(), value.detach().numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(my_slope.numpy(), their_slope.numpy(), rtol=1e-3, atol=1e-2)
    assert set(their_names) <= set(my_names)


def test_names_are_modules():
    names, evaluated = ours.get_graph_node_names(retrograd.torchvision.models.resnet18())
    assert names == evaluated and names[:4] == ["conv1", "bn1", "relu", "maxpool"] and "layer1.0.conv1" in names


def test_a_name_that_is_no_module():
    model = retrograd.torchvision.models.resnet18()
    with pytest.raises(ValueError, match="nearest module is 'layer1.0'"):
        ours.create_feature_extractor(model, ["layer1.0.add"])
    with pytest.raises(ValueError, match="return_nodes"):
        ours.create_feature_extractor(model)
