"""What a small program gives in either library, made plain: tensors by value, modules by print, errors by type."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)


def plain(value):
    """Tensors as (dtype, shape, values), modules as they print, containers of these item by item."""
    if isinstance(value, (torch.Tensor, retrograd.Tensor)):
        held = value.detach()
        held = held if held.is_complex() else held.double() if held.is_floating_point() else held
        return str(value.dtype), tuple(value.shape), held.numpy().copy()
    if isinstance(value, (torch.nn.Module, retrograd.nn.Module)):
        return repr(value)
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(one) for one in value]
    if isinstance(value, (torch.dtype, retrograd.dtype, torch.device, retrograd.device)):
        return str(value)
    return value


def outcome(library, case, seed=0):
    """What a case gives, and the categories of its warnings; or the type of its exception."""
    library.manual_seed(seed)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            result = plain(case(library))
        except Exception as error:
            return type(error), None
    return result, sorted(w.category.__name__ for w in told)


def assert_same(mine, theirs, tolerance, where=""):
    """Equal, item by item; floating-point values nearly."""
    if isinstance(theirs, np.ndarray):
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance, err_msg=where)
    elif isinstance(theirs, dict):
        assert list(mine) == list(theirs), where
        for key, value in theirs.items():
            assert_same(mine[key], value, tolerance, f"{where}.{key}")
    elif isinstance(theirs, (list, tuple)):
        assert isinstance(mine, (list, tuple)) and len(mine) == len(theirs), where
        for i, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            assert_same(a, b, tolerance, f"{where}[{i}]")
    elif isinstance(theirs, float):
        assert mine == pytest.approx(theirs, rel=tolerance, abs=tolerance, nan_ok=True), where
    else:
        assert mine == theirs, where


def same(case, seed=0, tolerance=1e-5):
    """Run a case in both libraries, and compare."""
    theirs = outcome(torch, case, seed)
    mine = outcome(retrograd, case, seed)
    assert_same(mine[0], theirs[0], tolerance)
    assert mine[1] == theirs[1], "warnings"
