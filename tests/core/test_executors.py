"""Functions that a higher floor names for an op: imported late, and not missed where they cannot be had."""

from __future__ import annotations

import math
import sys

import pytest

from retrograd.core import executors


@pytest.fixture
def name(request):
    """A name of its own for each test, forgotten afterwards."""
    made = request.node.name
    yield made
    for table in (executors._named, executors._found, executors._problems):
        table.pop(made, None)


def test_nothing_is_imported_before_it_is_asked_for(name, monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    executors.register(name, "colorsys:rgb_to_hsv")
    assert "colorsys" not in sys.modules
    assert executors.find(name)(0, 0, 0) == (0.0, 0.0, 0)


def test_unknown_names_have_none(name):
    assert executors.find(name) is None


@pytest.mark.parametrize("place", ["no_such_module:f", "math:no_such_function"])
def test_what_cannot_be_had_is_told_once(name, place):
    executors.register(name, place)
    assert executors.find(name) is None
    assert "no_such" in executors.problems()[name]
    executors.register(name, "math:hypot")
    assert executors.find(name) is math.hypot


@pytest.mark.parametrize("word", ["off", "0", "False"])
def test_the_environment_may_switch_all_off(name, word, monkeypatch):
    monkeypatch.setenv("RETROGRAD_NATIVE", word)
    executors.register(name, "math:hypot")
    assert executors.find(name) is None
