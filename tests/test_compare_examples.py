"""The script that compares the examples' output finds what it should find, and passes what float32 leaves open."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "compare_examples"


@pytest.fixture(scope="module")
def script():
    loader = SourceFileLoader("compare_examples", str(SCRIPT))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    made = module_from_spec(spec)
    loader.exec_module(made)
    return made


SAME = [
    ("step 10  loss 0.6946", "step 10  loss 0.6946"),
    ("step 10  loss 0.6946", "step 10  loss 0.6950"),
    ("loss 1234.5", "loss 1235.0"),
    ("weights 61,100,840", "weights 61,100,840"),
    ("loss -0.0000", "loss +0.0000"),
    ("loss 3.1", "loss 3.2"),
    ("1.2345e-07", "1.2346e-07"),
    ("loss 0.5, 3 s, peak 1.03 MB", "loss 0.5, 12 s, peak 0.3 MB"),
]
OTHER = [
    ("step 10  loss 0.6946", "step 10  loss 0.6966"),
    ("step 10  loss 0.6946", "step 11  loss 0.6946"),
    ("weights 61,100,840", "weights 61,100,841"),
    ("loss 0.69", "loss"),
    ("loss", "loss 0.69"),
    ("loss nan", "loss nan"),
    ("loss inf", "loss 1.0"),
    ("word 1.0", "other 1.0"),
    ("loss 0.5, 3 s", "loss 0.8, 3 s"),
    ("3 sheep", "4 sheep"),
]


@pytest.mark.parametrize(("mine", "other"), SAME)
def test_near_enough(script, mine, other):
    assert not list(script.differences([mine], [other]))


@pytest.mark.parametrize(("mine", "other"), OTHER)
def test_a_difference(script, mine, other):
    assert list(script.differences([mine], [other]))


def test_a_missing_line(script):
    assert list(script.differences(["loss 1.0"], ["loss 1.0", "loss 0.5"]))
