"""A torch name that is not there is answered with the name, its neighbours, and where to look."""

import pytest

from retrograd.utils import _names


@pytest.mark.parametrize(
    ("module", "name", "known", "said"),
    [
        (
            "retrograd.nn",
            "Linaer",
            ["Linear", "ReLU"],
            "torch.nn.Linaer is not in retrograd; the nearest name is torch.nn.Linear.",
        ),
        ("retrograd", "relu6", ["relu", "_relu6"], "torch.relu6 is not in retrograd; the nearest name is torch.relu."),
        (
            "torch",
            "arrange",
            ["arange", "argwhere"],
            "torch.arrange is not in retrograd; the nearest name is torch.arange.",
        ),
        ("retrograd.optim", "Shampoo", ["SGD", "Adam"], "torch.optim.Shampoo is not in retrograd. "),
    ],
)
def test_missing(module, name, known, said):
    error = _names.missing(module, name, known)
    assert isinstance(error, AttributeError) and error.name == name
    assert str(error).startswith(said) and "issues" in str(error)


def test_missing_protocol_names_are_answered_shortly():
    assert str(_names.missing("retrograd", "__wrapped__", ["a"])) == "module 'torch' has no attribute '__wrapped__'"


def test_nearest_ignores_case_and_private_names():
    assert _names.nearest("relu", ["ReLU", "_relu", "GELU"]) == ["ReLU", "GELU"]
    assert _names.nearest("qqq", ["ReLU"]) == []
