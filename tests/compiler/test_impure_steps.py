"""Compiled steps do over twenty calls what eager ones do, whatever they depend on."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest

import retrograd as torch
from compiler.impure_steps import STEPS
from retrograd.compiler import compiled


def course(make, wrapped, calls=20):
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    run, parameters = make(wrapped)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(calls):
            found.append(run(i).detach().double().numpy().copy())
    return found, [p.detach().numpy().copy() for p in parameters()]


@pytest.mark.parametrize("name", sorted(STEPS))
def test_equal_to_eager(name, monkeypatch):
    monkeypatch.setattr(compiled, "STRICT", True)
    want, weights = course(STEPS[name], lambda fn: fn)
    got, found = course(STEPS[name], torch.compile)
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5, err_msg=f"call {i}")
    for a, b in zip(found, weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)
