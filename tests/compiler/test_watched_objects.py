"""Objects of the user's that answer to any name, or to none, are looked at without being asked."""

from __future__ import annotations

import os

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
