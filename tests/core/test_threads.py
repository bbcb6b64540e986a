"""One number of threads for generated code and for the libraries for matrices in the process."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

import retrograd as torch
from retrograd.core import threads

ASKS = ("scipy_openblas_get_num_threads64_", "scipy_openblas_get_num_threads", "openblas_get_num_threads")


def told():
    """Give the numbers that the libraries tell."""
    found = []
    for path in threads._libraries():
        library = ctypes.CDLL(path)
        found += [getattr(library, name)() for name in ASKS if hasattr(library, name)]
    return found


def test_libraries_for_matrices_follow():
    np.ones((2, 2)) @ np.ones((2, 2))
    before, own = told(), list(threads._wanted)
    if not before:
        pytest.skip("NumPy has another library here")
    try:
        torch.set_num_threads(1)
        assert torch.get_num_threads() == 1 and set(told()) == {1}
        torch.set_num_threads(2)
        assert set(told()) == {min(2, max(before))} or set(told()) == {2}
    finally:
        torch.set_num_threads(max(before))
        threads._wanted[:] = own
    for wrong, error in ((0, RuntimeError), (-1, RuntimeError), (1.0, TypeError), (True, TypeError)):
        with pytest.raises(error):
            torch.set_num_threads(wrong)
