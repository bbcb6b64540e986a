"""Draws against values recorded from PyTorch 2.13 by tests/parity/test_random_streams.py, which also keeps them so."""

from __future__ import annotations

import importlib
import json
import zlib
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

R = importlib.import_module("retrograd.random")

ROWS = json.loads((Path(__file__).parent / "golden.json").read_text())

OURS = {
    "uniform": lambda g, n, d, a, b: R.uniform(n, d, a, b, g),
    "normal": lambda g, n, d, a, b: R.normal(n, d, a, b, g),
    "normal_strided": lambda g, n, d, a, b: R.normal(n, d, a, b, g, contiguous=n < 2),
    "truncated_normal": lambda g, n, d, m, s, a, b: R.truncated_normal(n, d, m, s, a, b, g),
    "log_normal": lambda g, n, d, a, b: R.log_normal(n, d, a, b, g),
    "exponential": lambda g, n, d, a: R.exponential(n, d, a, g),
    "geometric": lambda g, n, d, a: R.geometric(n, d, a, g),
    "cauchy": lambda g, n, d, a, b: R.cauchy(n, d, a, b, g),
    "bernoulli_scalar": lambda g, n, d, a: R.bernoulli_scalar(a, n, d, g),
    "randint": lambda g, n, d, a, b: R.randint(a, b, n, d, g),
    "random_": lambda g, n, d: R.random_(n, d, g),
    "random_from": lambda g, n, d, a: R.random_(n, d, g, low=a),
    "randperm": lambda g, n, d: R.randperm(n, d, g),
}
# float64 results of the C library's functions differ between C libraries in the last bit.
OF_THE_C_LIBRARY = {"normal", "truncated_normal", "normal_strided", "log_normal", "exponential", "cauchy"}


@pytest.mark.parametrize("name", sorted({row["draw"] for row in ROWS}))
def test_recorded_draws(name: str) -> None:
    for row in ROWS:
        if row["draw"] != name:
            continue
        g = R.Generator().manual_seed(row["seed"])
        R.normal(row["seed"] % 2, np.float32, generator=g)
        n, d, *parameters = row["arguments"]
        drawn = OURS[name](g, n, np.dtype(ml_dtypes.bfloat16 if d == "bfloat16" else d), *parameters)
        assert drawn.shape == (n,), row
        values = drawn.astype(np.complex128).view(np.float64)[:4]
        if name in OF_THE_C_LIBRARY and d in ("float64", "complex128"):
            np.testing.assert_allclose(values, row["values"], rtol=1e-14)
        else:
            assert values.tolist() == row["values"], row
            assert zlib.crc32(drawn.tobytes()) == row["checksum"], row
        assert zlib.crc32(g.get_state().tobytes()[:5016]) == row["words"], row


def first(count: int, draw: Any) -> list[float]:
    return [round(float(v), 4) for v in np.ravel(draw)[:count]]


def test_the_numbers_everyone_knows() -> None:
    """torch.manual_seed(0), torch.manual_seed(42): the draws that tutorials print."""
    g = R.Generator()
    assert first(3, R.normal(3, np.float32, generator=g.manual_seed(0))) == [1.541, -0.2934, -2.1788]
    assert first(4, R.uniform((2, 2), np.float32, generator=g.manual_seed(0))) == [0.4963, 0.7682, 0.0885, 0.132]
    assert R.randperm(5, generator=g.manual_seed(0)).tolist() == [4, 0, 1, 3, 2]
    assert first(3, R.uniform(3, np.float32, generator=g.manual_seed(42))) == [0.8823, 0.915, 0.3829]
