"""Objects of the user's that answer to any name, or to none, are looked at without being asked."""

from __future__ import annotations

import importlib
import os
import sys

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler.watch import OUTSIDE, fields, whose


class Agreeable:
    """Has whatever it is asked for."""

    __slots__ = ()

    def __getattr__(self, name):
        return lambda *args: name


class Loud:
    """Raises whatever its attribute is asked for."""

    def __getattr__(self, name):
        raise RuntimeError(f"nobody may ask for {name}")


class Unbound:
    """Has a dictionary that cannot be had."""

    @property
    def __dict__(self):
        raise RuntimeError("not bound")


class Endless:
    """Looks for each name by looking for it."""

    def __getattr__(self, name):
        return getattr(self, name)


GLOBAL: dict[str, object] = {}


@pytest.mark.parametrize("kind", [Agreeable, Loud, Unbound, Endless])
def test_calls_compile_beside_them(kind):
    held = kind()
    GLOBAL["held"] = held

    def helper(x, other):
        return x * 2 + (1 if other is GLOBAL["held"] else 0)

    compiled = torch.compile(lambda x: helper(x, held).tanh(), fullgraph=True)
    x = torch.arange(4.0)
    for _ in range(3):
        np.testing.assert_allclose(compiled(x).numpy(), np.tanh(x.numpy() * 2 + 1), rtol=1e-6)


def test_own_attributes():
    class Plain:
        def __init__(self):
            self.a = 1

    assert fields(Plain()) == {"a": 1}
    assert fields(3) is None and fields(Agreeable()) is None and fields(Unbound()) is None and fields(int) is None


def test_installed_code_is_not_the_users():
    assert (
        whose(os.path.join(os.path.expanduser("~"), ".local", "lib", "python3.11", "site-packages", "x", "y.py"))
        == "other"
    )
    assert whose("/usr/lib/python3/dist-packages/numpy/core.py") == "other"
    assert whose(np.__file__) == "other"
    assert any(os.path.dirname(np.__file__) + os.sep == place for place in OUTSIDE)
    assert whose("/home/somebody/train.py") == "user"


NOISY = """
import os, time
import retrograd as torch
BEGAN, HOME = time.time(), os.environ.get("HOME")
FACTOR = torch.randn(3)
print("loaded")
def scaled(x): return x * FACTOR
"""


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    name = "loaded_" + "".join(c if c.isalnum() else "_" for c in request.node.name)
    (tmp_path / f"{name}.py").write_text(NOISY)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


def by_function(name, x):
    return importlib.import_module(name).scaled(x).tanh()


def by_statement(name, x):
    import colorsys  # noqa: F401

    return __import__(name).scaled(x).tanh()


def after_one_that_fails(name, x):
    try:
        import there_is_no_such_module  # noqa: F401
    except ImportError:
        return by_function(name, x)
    return x


@pytest.mark.parametrize("way", [by_function, by_statement, after_one_that_fails])
def test_what_an_import_does_is_not_done_by_the_call(way, module):
    compiled = torch.compile(lambda x: way(module, x), fullgraph=True)
    x = torch.arange(3.0)
    for _ in range(4):
        found = compiled(x)
        assert torch.allclose(found, way(module, x))
    assert compiled.made == 1


def test_a_module_loaded_by_a_later_call_keeps_its_numbers(module):
    loads = [False]

    def fn(x):
        return x * importlib.import_module(module).FACTOR if loads[0] else x.tanh()

    compiled = torch.compile(fn, fullgraph=True)
    x = torch.arange(3.0)
    compiled(x)
    loads[0] = True
    for _ in range(5):
        found = compiled(x)
        assert torch.allclose(found, fn(x))
    assert compiled.made == 1


def test_what_a_call_does_beside_an_import_is_noted(module):
    def fn(x):
        by_function(module, x)
        return x * os.stat(os.curdir).st_size

    compiled = torch.compile(fn)
    compiled(torch.ones(3))
    with pytest.warns(UserWarning, match=r"stat\(\) was called"):
        compiled(torch.ones(3))
