"""Models without a peer: training mode, files of weights, names."""

import pytest

import retrograd as torch
from retrograd.torchvision import models


def test_googlenet_gives_three_results_while_training():
    model = models.googlenet(num_classes=4)
    x = torch.rand(2, 3, 32, 32)
    found = model(x)
    assert type(found).__name__ == "GoogLeNetOutputs" and found.aux_logits1.shape == (2, 4)
    assert model.eval()(x).shape == (2, 4)


def test_convnext_drops_blocks_only_while_training():
    model = models.ConvNeXt([(8, 16, 1), (16, None, 2)], 0.5, num_classes=3)
    x = torch.rand(2, 3, 32, 32)
    assert model(x).shape == (2, 3)
    model.eval()
    assert (model(x) == model(x)).all()


def test_published_weights_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_directory", [])
    for ask in (
        lambda: models.resnet18(weights=models.ResNet18_Weights.DEFAULT),
        lambda: models.resnet18(weights="DEFAULT"),
        lambda: models.get_model("resnet18", weights="ResNet18_Weights.IMAGENET1K_V1"),
    ):
        with pytest.raises(RuntimeError) as error:
            ask()
        assert str(tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth") in str(error.value)
        assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in str(error.value)


def test_published_weights_that_are_there(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_directory", [])
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    state = models.squeezenet1_1().state_dict()
    torch.save(state, folder / "squeezenet1_1-b8a52dc0.pth")
    model = models.squeezenet1_1(weights=models.SqueezeNet1_1_Weights.IMAGENET1K_V1)
    assert (model.state_dict()["features.0.weight"] == state["features.0.weight"]).all()
    with pytest.raises(ValueError, match="num_classes"):
        models.squeezenet1_1(weights="DEFAULT", num_classes=10)
    with pytest.warns(UserWarning, match="deprecated"):
        models.squeezenet1_1(pretrained=True)


def test_older_names_in_published_files():
    model = models.DenseNet(4, (1, 1, 1, 1), 8, 2, num_classes=2)
    old = {name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): v for name, v in model.state_dict().items()}
    model.load_state_dict(model._renamed(old))
    vit = models.VisionTransformer(8, 4, 1, 1, 8, 8, num_classes=2)
    state = {
        name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): v
        for name, v in vit.state_dict().items()
    }
    assert any("linear_1" in name for name in state)
    vit.load_state_dict(state)


def test_pretrained_false_is_the_older_spelling():
    with pytest.warns(UserWarning, match="pretrained"):
        models.squeezenet1_0(pretrained=False, num_classes=2)


def test_names():
    assert {"alexnet", "vgg16_bn", "resnet50", "vit_b_16", "convnext_tiny", "efficientnet_v2_s"} <= set(
        models.list_models()
    )
    assert models.list_models(include=["resnet*", "vgg1?"], exclude="*1*") == ["resnet34", "resnet50"]
    assert models.get_model_builder("ResNet18") is models.resnet18
    assert models.get_weight("ResNet50_Weights.IMAGENET1K_V2") is models.ResNet50_Weights.DEFAULT
    with pytest.raises(ValueError, match="resnet18"):
        models.get_model("resnet_18")
    with pytest.raises(TypeError, match="ResNet18_Weights"):
        models.resnet18(weights=models.ResNet34_Weights.DEFAULT)
    with pytest.raises(AttributeError, match=r"torchvision\.models\.resnet19"):
        models.resnet19


def test_sizes_that_do_not_fit():
    with pytest.raises(AssertionError, match="Wrong image height"):
        models.VisionTransformer(8, 4, 1, 1, 8, 8)(torch.zeros(1, 3, 12, 8))
    with pytest.raises(ValueError, match="groups=1"):
        models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], groups=2)


def test_inception_and_its_auxiliary_classifier():
    from retrograd.torchvision.models.inception import InceptionAux

    assert models.Inception3(num_classes=4, aux_logits=False).eval()(torch.rand(1, 3, 75, 75)).shape == (1, 4)
    assert InceptionAux(768, 4)(torch.rand(2, 768, 17, 17)).shape == (2, 4)


def test_results_in_between():
    from retrograd.torchvision.models._utils import IntermediateLayerGetter

    net = models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1])
    found = IntermediateLayerGetter(net, {"layer1": "low", "layer3": "high"})(torch.rand(1, 3, 32, 32))
    assert {name: tuple(x.shape) for name, x in found.items()} == {"low": (1, 64, 8, 8), "high": (1, 256, 2, 2)}
    with pytest.raises(ValueError, match="not present"):
        IntermediateLayerGetter(net, {"layer9": "x"})


def test_layers_by_a_list_of_widths():
    from retrograd.torchvision.models.vgg import cfgs, make_layers

    assert cfgs["A"] == [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]
    layers = make_layers([4, "M", 8], batch_norm=True)
    kinds = ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Conv2d", "BatchNorm2d", "ReLU"]
    assert [type(m).__name__ for m in layers] == kinds
    assert layers(torch.randn(2, 3, 8, 8)).shape == (2, 8, 4, 4)
