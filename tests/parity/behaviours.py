"""Behaviours: functions of the namespace T, run under PyTorch and under retrograd, whose outcomes must be the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd

Behaviour = Callable[[Any], Any]


class Table(list[Any]):
    """Behaviours of one subject, in the order they are written."""

    def __call__(self, behaviour: Behaviour) -> Behaviour:
        """Enter a behaviour (use as a decorator)."""
        self.append(pytest.param(behaviour, id=behaviour.__name__.removeprefix("_")))
        return behaviour

    def add(self, **rows: Behaviour) -> None:
        """Enter short behaviours by name."""
        self.extend(pytest.param(behaviour, id=name) for name, behaviour in rows.items())


def facts(T: Any, value: Any) -> Any:
    """Give what is compared of a result: of a tensor its values, dtype, shape, requires_grad and is_leaf."""
    if isinstance(value, T.Tensor):
        plain = value.detach().resolve_conj() if hasattr(value, "resolve_conj") else value.detach()
        if str(plain.dtype) == "torch.bfloat16":
            plain = plain.float()
        return {
            "values": np.array(plain.numpy()),
            "dtype": str(value.dtype),
            "requires_grad": value.requires_grad,
            "is_leaf": value.is_leaf,
        }
    if isinstance(value, dict):
        return {str(k): facts(T, v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [type(value).__name__, *(facts(T, v) for v in value)]
    if isinstance(value, (type(None), bool, int, float, complex, str, np.ndarray)):
        return value
    return str(value)


def outcome(T: Any, behaviour: Behaviour) -> tuple[Any, BaseException | None]:
    """Run a behaviour: its facts, or the exception it raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = T.is_grad_enabled()
        try:
            return facts(T, behaviour(T)), None
        except Exception as error:
            return None, error
        finally:
            assert T.is_grad_enabled() == before, "the behaviour left another grad mode"
            T.set_default_dtype(T.float32)


def assert_same(ours: Any, theirs: Any, path: str = "result") -> None:
    """Compare facts; numbers within float64 rounding, or float32's where that is the dtype."""
    if isinstance(theirs, np.ndarray):
        assert isinstance(ours, np.ndarray), (path, ours, theirs)
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), (path, ours, theirs)
        loose = 1e-5 if theirs.dtype.itemsize <= 4 or theirs.dtype == np.complex64 else 1e-11
        np.testing.assert_allclose(ours, theirs, rtol=loose, atol=loose, err_msg=path)
    elif isinstance(theirs, dict):
        assert isinstance(ours, dict), (path, ours, theirs)
        assert ours.keys() == theirs.keys(), path
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{path}[{key!r}]")
    elif isinstance(theirs, list):
        assert isinstance(ours, list), (path, ours, theirs)
        assert len(ours) == len(theirs), (path, ours, theirs)
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(a, b, f"{path}[{i - 1}]")
    elif isinstance(theirs, float) and isinstance(ours, float):
        assert ours == pytest.approx(theirs, rel=1e-5, nan_ok=True), path
    else:
        assert type(ours) is type(theirs) and ours == theirs, (path, ours, theirs)


def compare(torch: Any, behaviour: Behaviour) -> None:
    """Assert that a behaviour's outcome is the same under both."""
    ours, our_error = outcome(retrograd, behaviour)
    theirs, their_error = outcome(torch, behaviour)
    mine, other = type(our_error).__name__, type(their_error).__name__
    assert mine == other, f"retrograd: {mine}: {our_error}\ntorch: {other}: {their_error}" + (
        f"\nours gave {ours}" if our_error is None else f"\ntorch gave {theirs}"
    )
    if their_error is None:
        assert_same(ours, theirs)
