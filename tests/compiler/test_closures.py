"""Closures, modules and other objects: each has programs of its own, and only what ran decides whether they fit."""

from __future__ import annotations

import gc
import sys
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import retrograd as torch
import retrograd.compiler.compiled as compiled
from retrograd.compiler import watch

X = torch.ones(2, 3)


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(compiled, "STRICT", True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def factory(scale: Any) -> tuple[Callable[..., Any], Callable[[Any], None]]:
    """A function of one code with a variable of its own, and what sets it."""

    def step(x: Any) -> Any:
        return x * 2 if scale == "twice" else x * scale

    def change(value: Any) -> None:
        nonlocal scale
        scale = value

    return step, change


def test_more_closures_than_programs() -> None:
    """Twelve of one factory, each compiled by itself."""
    made = [torch.compile(factory(k + 1.5)[0], fullgraph=True) for k in range(12)]
    for _ in range(4):
        for k, step in enumerate(made):
            assert step(X)[0, 0].item() == k + 1.5
    assert [step.made for step in made] == [1] * 12


def test_a_sibling_changes() -> None:
    """What another closure of the code reads is no guard of this one."""
    one, _ = factory("twice")
    _, change = two = factory("twice")
    steps = [torch.compile(f, fullgraph=True) for f in (one, two[0])]
    for value in ("twice", 3.0, "twice", 5.0, 7.0):
        change(value)
        for _ in range(3):
            assert steps[0](X)[0, 0].item() == 2.0
            assert steps[1](X)[0, 0].item() == (2.0 if value == "twice" else value)
    assert steps[0].made == 1


def test_closures_as_arguments() -> None:
    apply = torch.compile(lambda f, x: f(x) + 1, fullgraph=True)
    closures = [factory(k + 0.5)[0] for k in range(12)]
    for _ in range(4):
        for k, f in enumerate(closures):
            assert apply(f, X)[0, 0].item() == k + 1.5
    assert apply.made == 12


def test_modules_as_arguments() -> None:
    run = torch.compile(lambda net, x: net(x).sum(), fullgraph=True)
    nets = [torch.nn.Linear(3, 2) for _ in range(10)]
    for _ in range(4):
        for net in nets:
            torch.testing.assert_close(run(net, X), net(X).sum())
    assert run.made == 10


def test_the_limit_is_for_the_same_objects() -> None:
    """Eight shapes of one closure; another closure is not out of programs for that."""
    apply = torch.compile(lambda f, x: f(x))
    first, second = factory(2.0)[0], factory(3.0)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n in range(1, 12):
            for _ in range(3):
                assert apply(first, torch.ones(n)).sum().item() == 2.0 * n
    assert apply.made == compiled.MOST_PROGRAMS
    for _ in range(3):
        assert apply(second, X)[0, 0].item() == 3.0
    assert apply.made == compiled.MOST_PROGRAMS + 1


def test_the_limit_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MOST_IN_ALL", 3)
    apply = torch.compile(lambda f, x: f(x))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(5):
            f = factory(float(k))[0]
            for _ in range(3):
                assert apply(f, X)[0, 0].item() == float(k)
    assert ["compiled 3 times already, for different arguments" in str(w.message) for w in caught] == [True]
    assert apply.made == 3


def test_what_was_called_once_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MOST_WATCHED", 2)
    run = torch.compile(lambda net, x: net(x).sum(), fullgraph=True)
    nets = [torch.nn.Linear(3, 2) for _ in range(6)]
    dead = [weakref.ref(net) for net in nets[:3]]
    for net in nets:
        run(net, X)
    del nets[:3], net
    gc.collect()
    assert all(ref() is None for ref in dead)


def test_a_factory_inside() -> None:
    """Its closures live as long as the call."""
    net = torch.nn.Linear(3, 3)

    def outer(x: Any, k: float) -> Any:
        def inner(y: Any) -> Any:
            return net(y) * k

        return inner(x) + inner(2 * x)

    run = torch.compile(outer, fullgraph=True)
    for k in (1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0):
        torch.testing.assert_close(run(X, k), outer(X, k))
    assert run.made == 2  # the second takes the number as an input


def test_a_default_that_changes() -> None:
    def scaled(x: Any, k: float = 2.0) -> Any:
        return x * k

    run = torch.compile(lambda x: scaled(x), fullgraph=True)
    for k in (2.0, 2.0, 2.0, 5.0, 5.0, 7.0):
        scaled.__defaults__ = (k,)
        assert run(X)[0, 0].item() == k


def test_the_function_of_a_frame() -> None:
    """Of two closures of one code, the one that runs; without that, all are looked at."""

    def make(k: int) -> Callable[[], Any]:
        def mine() -> Any:
            return k and watch.function_of(sys._getframe())

        return mine

    for f in [make(1), make(2)]:
        assert f() in (f, None)
    if sys.implementation.name == "cpython" and sys.version_info < (3, 14):
        assert watch._places() is not None


def test_where_frames_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_places", lambda: None)
    step, change = factory(2.0)
    run = torch.compile(step, fullgraph=True)
    for value in (2.0, 2.0, 2.0, 3.0, 3.0, 4.0):
        change(value)
        assert run(X)[0, 0].item() == value
