"""Draws in generated code beside PyTorch's: tensors of every dtype and layout, the bits and the generator's state."""

from __future__ import annotations

import importlib
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import retrograd  # noqa: E402

native = importlib.import_module("retrograd.random.native")
_cpuinfo = Path("/proc/cpuinfo")
ON_INTEL = "Intel" in (_cpuinfo.read_text() if _cpuinfo.exists() else platform.processor())
VECTOR = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
pytestmark = pytest.mark.skipif(not VECTOR, reason="PyTorch's normal kernel for AVX2 is the one that is reproduced")
MKL_DRAWS = ("bernoulli", "dropout", "exponential", "multinomial") if ON_INTEL else ()

SIZES = (1, 15, 16, 17, 100, 623, 624, 625, 1250, 2049, 20_000)
FLOATS = ("float32", "float64", "float16", "bfloat16")
LAYOUTS = {
    "whole": lambda T, n, d: T.zeros(n, dtype=d),
    "transposed": lambda T, n, d: T.zeros(n, 3, dtype=d).t(),
    "strided": lambda T, n, d: T.zeros(n, 2, dtype=d)[:, 1],
    "part": lambda T, n, d: T.zeros(n + 5, dtype=d)[3 : n + 3],
}
DRAWS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "uniform": (lambda T, x: x.uniform_(-1.5, 2.5), FLOATS),
    "normal": (lambda T, x: x.normal_(0.5, 2.0), FLOATS),
    "bernoulli": (lambda T, x: x.bernoulli_(0.3), (*FLOATS, "int64", "bool")),
    "exponential": (lambda T, x: x.exponential_(1.5), FLOATS),
    "geometric": (lambda T, x: x.geometric_(0.2), (*FLOATS, "int64")),
    "random": (lambda T, x: x.random_(-7, 90), (*FLOATS, "int64", "int8")),
    "random, wide": (lambda T, x: x.random_(0, 1 << 40), ("int64", "float64")),
    "dropout": (lambda T, x: T.nn.functional.dropout(x + 1, 0.3), FLOATS),
    "multinomial": (lambda T, x: T.multinomial(x.reshape(-1).abs() + 1, 1), ("float32", "float64")),
    "chances": (lambda T, x: T.bernoulli(x + 0.25), FLOATS),
    "randperm": (lambda T, x: T.randperm(x.numel()), ("int64",)),
}


def bits(t: Any) -> Any:
    t = t.detach()
    if str(t.dtype).endswith("bfloat16"):
        t = t.float()
    return np.asarray(t.contiguous().numpy())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", DRAWS)
def test_the_same_bits(name: str, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in MKL_DRAWS:
        pytest.skip("PyTorch draws these by MKL on Intel's processors")
    monkeypatch.setattr(native, "WORTH", 0)
    monkeypatch.setattr(native, "_addresses", {})
    draw, dtypes = DRAWS[name]
    for dtype in dtypes:
        for seed, n in enumerate(SIZES):
            found = []
            for T in (retrograd, torch):
                T.manual_seed(seed)
                T.randn(seed % 2)
                x = LAYOUTS[layout](T, n, getattr(T, dtype))
                drawn = [bits(draw(T, x)), bits(T.randn(3))]
                found.append([*drawn, T.get_rng_state().numpy()])
            for ours, theirs in zip(*found, strict=True):
                np.testing.assert_array_equal(ours, theirs, err_msg=f"{dtype}, {n}")
    assert all(native._addresses.values())
