"""jit, hub, overrides and types: names that programs import, and honest errors where there is nothing behind them."""

import pytest

import retrograd as torch


def test_scripted_functions_are_themselves(tmp_path):
    def double(x):
        return 2 * x

    module = torch.nn.Linear(2, 2)
    assert torch.jit.script(double) is double
    assert torch.jit.trace(module, torch.ones(2)) is module
    assert torch.jit.ignore(double) is double
    assert not torch.jit.is_scripting()
    with pytest.warns(UserWarning, match="state_dict"):
        torch.jit.save(module, tmp_path / "m.pt")
    assert torch.equal(torch.jit.load(tmp_path / "m.pt").weight, module.weight)


def test_hub_reads_a_local_folder_and_fetches_nothing(tmp_path):
    (tmp_path / "hubconf.py").write_text("def small(n=1):\n    'A model.'\n    return n\n")
    assert torch.hub.list(str(tmp_path)) == ["small"]
    assert torch.hub.help(str(tmp_path), "small") == "A model."
    assert torch.hub.load(str(tmp_path), "small", 3, source="local") == 3
    with pytest.raises(RuntimeError, match="Cannot find callable"):
        torch.hub.load(str(tmp_path), "large", source="local")
    with pytest.raises(RuntimeError, match="source='local'"):
        torch.hub.load("pytorch/vision", "resnet18")
    with pytest.raises(ValueError, match="Unknown source"):
        torch.hub.load("x", "y", source="elsewhere")


def test_weights_are_read_from_where_they_would_be_downloaded(tmp_path):
    url = "https://example.org/w.pt?x=1"
    with pytest.raises(RuntimeError, match="w.pt"):
        torch.hub.load_state_dict_from_url(url, tmp_path)
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pt")
    assert torch.hub.load_state_dict_from_url(url, tmp_path)["a"].item() == 1


def test_overrides_and_types():
    class Handles:
        @classmethod
        def __torch_function__(cls, *args):
            return None

    assert torch.overrides.is_tensor_like(torch.ones(1))
    assert torch.overrides.is_tensor_like(Handles())
    assert not torch.overrides.is_tensor_like(1.0)
    assert torch.overrides.has_torch_function([Handles()])
    assert not torch.overrides.has_torch_function([torch.ones(1)])
    assert torch.overrides.is_tensor_method_or_property(torch.Tensor.add)
    assert isinstance(1.0, torch.types.Number)
