"""A warning is what torch warns of, and points at the program's line where torch's does."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")


def _in_a_module(name: str, *sizes: int) -> Any:
    """Call a function by name in a forward, which the library calls: one line too far is in the library."""

    def call(t: Any) -> None:
        class Net(t.nn.Module):  # type: ignore[misc]
            def forward(self, x: Any) -> Any:
                return getattr(t.nn.functional if hasattr(t.nn.functional, name) else t, name)(x)

        Net()(t.ones(*sizes))

    return call


CALLS: dict[str, Any] = {
    "softmax without a dim": lambda t: t.nn.functional.softmax(t.ones(2, 3)),
    "log_softmax without a dim": lambda t: t.nn.functional.log_softmax(t.ones(2, 3)),
    "softmin without a dim": lambda t: t.nn.functional.softmin(t.ones(2, 3)),
    "softmax in a forward": _in_a_module("softmax", 2, 3),
    "log_softmax in a forward": _in_a_module("log_softmax", 2, 3),
    "softmin in a forward": _in_a_module("softmin", 2, 3),
    "mse_loss broadcast": lambda t: t.nn.functional.mse_loss(t.ones(2), t.ones(2, 1)),
    "kl_div by mean": lambda t: t.nn.functional.kl_div(t.ones(2, 2), t.ones(2, 2)),
    "std of one": lambda t: t.ones(1).std(),
    "std of one in a forward": _in_a_module("std", 1),
    "var of one": lambda t: t.var(t.ones(1)),
    "cov of one": lambda t: t.cov(t.ones(2, 1)),
    "tensor of a tensor": lambda t: t.tensor(t.ones(2)),
    "new_tensor of a tensor": lambda t: t.ones(2).new_tensor(t.ones(2)),
    "gradient of no leaf": lambda t: (t.ones(2, requires_grad=True) * 2).grad,
    "upsample": lambda t: t.nn.functional.upsample(t.ones(1, 1, 2, 2), scale_factor=2),
    "old initializer": lambda t: t.nn.init.xavier_normal(t.ones(2, 2)),
    "dropout2d of a matrix": lambda t: t.nn.functional.dropout2d(t.ones(2, 3)),
}


@pytest.mark.parametrize("case", CALLS)
def test_table(case: str) -> None:
    seen = []
    for library in (torch, retrograd):
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("always")
            CALLS[case](library)
        seen.append([(w.category, str(w.message)[:60], w.filename == __file__) for w in given])
    assert seen[0] == seen[1]


def test_read_only_array() -> None:
    """Torch warns of it once in a process, so only the place is looked at."""
    data = np.frombuffer(bytes(8), np.uint8)
    for make in (retrograd.from_numpy, retrograd.as_tensor):
        with pytest.warns(UserWarning, match="not writable") as given:
            make(data)
        assert given[0].filename == __file__


def test_a_line_warns_once_by_default() -> None:
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("default")
        for _ in range(3):
            retrograd.ones(1).std()
        retrograd.ones(1).std()
    assert len(given) == 2
