"""torch.masked: values, dtypes, gradients and exceptions of reductions and normalisations under masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from .tables import compare

torch = pytest.importorskip("torch")

NAMES = ("sum", "prod", "amax", "amin", "mean", "var", "std", "logsumexp", "norm")
ALONG = ("cumsum", "cumprod", "softmax", "log_softmax", "softmin", "median")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4, 2))
MASKS = {
    "none": None,
    "own": RNG.random((3, 4, 2)) > 0.4,
    "row": np.array([[[True, True]], [[False, True]], [[True, False]]]),
    "some": np.array([True, False]),
    "numbers": np.array([[0.0, 2.0]] * 4),
}


def call(name: str, mask: Any, *args: Any, **kwargs: Any) -> Any:
    def run(t: Any, x: Any) -> Any:
        extra = {key: getattr(t, v) if key == "dtype" else v for key, v in kwargs.items()}
        return getattr(t.masked, name)(x, *args, **extra, mask=None if mask is None else t.tensor(mask))

    return run


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", NAMES)
def test_reductions(name: str, mask: str) -> None:
    for kwargs in ({}, {"dim": 1}, {"dim": (0, -1), "keepdim": True}, {"dim": (), "keepdim": True}):
        compare(call(name, MASKS[mask], **kwargs), (X, "float64"), grad=True)
    compare(call(name, MASKS[mask], dim=0), (X, "float32"), tolerance=1e-5)
    compare(call(name, MASKS[mask], dim=0), (10 * X, "int64"))
    compare(call(name, MASKS[mask], dim=0, dtype="float64"), (10 * X, "int32"))
    compare(call(name, MASKS[mask], dim=2), (X + 1j * X[::-1], "complex128"))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", ALONG)
def test_along_one_dimension(name: str, mask: str) -> None:
    for dim in (0, -1):
        compare(call(name, MASKS[mask], dim), (X, "float64"), grad=name != "median")
        compare(call(name, MASKS[mask], dim), (10 * X, "int64"))
    compare(call(name, MASKS[mask], 1, dtype="float64"), (X, "float32"), tolerance=1e-6)
    compare(call(name, MASKS[mask], 3), (X, "float64"))


@pytest.mark.parametrize("mask", MASKS)
def test_places_norms_and_the_rest(mask: str) -> None:
    m = MASKS[mask]
    for name in ("argmax", "argmin"):
        compare(call(name, m), (X, "float64"))
        compare(call(name, m, 1, keepdim=True), (X, "float32"))
        compare(call(name, m, dim=0, dtype="int64"), (10 * X, "int64"))
    for order in (2.0, 1.0, 0.0, math.inf, -math.inf, 3):
        compare(call("norm", m, order, 1), (X, "float64"), grad=bool(order))
        compare(call("normalize", m, order, 1), (X, "float64"), grad=bool(order))
    for kwargs in ({"unbiased": False}, {"correction": 0}, {"correction": 3}, {"unbiased": True, "correction": 1}):
        compare(call("var", m, 1, **kwargs), (X, "float64"), grad=True)
        compare(call("std", m, **kwargs), (X, "float32"), tolerance=1e-5)
    compare(
        lambda t, x, y: t.masked.logaddexp(
            x, y, input_mask=None if m is None else t.tensor(m), other_mask=None if m is None else ~t.tensor(m).bool()
        ),
        (X, "float64"),
        (X[::-1], "float64"),
        grad=True,
    )


REFUSED = {
    "a dimension twice": call("sum", None, dim=(0, 0)),
    "a dimension that is not there": call("prod", None, dim=5),
    "a mask of more dimensions": call("sum", np.ones((1, 3, 4, 2), bool)),
    "a mask of another size": call("sum", np.ones((5, 2), bool)),
    "a mean of whole numbers": lambda t, x: t.masked.mean(x.long()),
    "the largest complex number": lambda t, x: t.masked.amax(x.cfloat(), mask=x > 0),
    "a median of whole numbers where none is let through": lambda t, x: t.masked.median(x.long(), 0, mask=x > 100),
    "a sparse tensor": lambda t, x: t.masked.cumsum(x[0].to_sparse(), 0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    compare(REFUSED[name], (X, "float64"))


def test_a_single_number() -> None:
    for name in (*NAMES, *ALONG):
        for mask in (None, np.array(True), np.array(False)):
            for dim in (0, -1):
                compare(call(name, mask, dim=dim), (np.array(2.0), "float64"))
    compare(
        lambda t, x: (x.sum((0,)), x.amax((-1,), True), x.mean((0,)), x.logsumexp((0,))), (np.array(2.0), "float64")
    )
