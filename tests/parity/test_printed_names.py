"""The names that ``grad_fn`` prints, of functions that are compositions here and one operation in torch."""

from __future__ import annotations

from typing import Any

import pytest

import retrograd

torch = pytest.importorskip("torch")

CASES: dict[str, Any] = {
    "norm": lambda t, x, y: x.norm(),
    "norm 1": lambda t, x, y: x.norm(1),
    "norm 3 of rows": lambda t, x, y: x.norm(3, 1),
    "linalg.norm": lambda t, x, y: t.linalg.norm(x),
    "linalg.vector_norm": lambda t, x, y: t.linalg.vector_norm(x, dim=1),
    "std": lambda t, x, y: x.std(),
    "std of rows": lambda t, x, y: x.std(1),
    "var": lambda t, x, y: x.var(),
    "prod": lambda t, x, y: x.prod(),
    "prod of rows": lambda t, x, y: x.prod(1),
    "max": lambda t, x, y: x.max(),
    "min": lambda t, x, y: x.min(),
    "squeeze": lambda t, x, y: x[None].squeeze(),
    "squeeze of one": lambda t, x, y: x[None].squeeze(0),
    "unsqueeze": lambda t, x, y: x.unsqueeze(0),
    "log1p": lambda t, x, y: x.log1p(),
    "clamp": lambda t, x, y: x.clamp(0),
    "clamp both": lambda t, x, y: x.clamp(0, 1),
    "trace": lambda t, x, y: x.trace(),
    "diag": lambda t, x, y: x.diag(),
    "roll": lambda t, x, y: x.roll(1),
    "repeat": lambda t, x, y: x.repeat(2, 1),
    "mv": lambda t, x, y: t.mv(x, y[0]),
    "dot": lambda t, x, y: t.dot(x[0], y[0]),
    "bmm": lambda t, x, y: t.bmm(x[None], y[None]),
    "addmm": lambda t, x, y: t.addmm(x[0], x, y),
    "cdist": lambda t, x, y: t.cdist(x, y),
    "dist": lambda t, x, y: t.dist(x, y),
    "masked_fill": lambda t, x, y: x.masked_fill(x > 1, 0.0),
    "addcmul": lambda t, x, y: t.addcmul(x, x, y, value=0.5),
    "addcdiv": lambda t, x, y: t.addcdiv(x, x, y),
    "lerp": lambda t, x, y: t.lerp(x, y, 0.3),
    "lerp by a tensor": lambda t, x, y: t.lerp(x, y, x),
    "1 - x": lambda t, x, y: 1 - x,
    "rsub": lambda t, x, y: t.rsub(x, y),
    "embedding": lambda t, x, y: t.nn.functional.embedding(t.tensor([0, 1]), x),
    "pad": lambda t, x, y: t.nn.functional.pad(x, (1, 1)),
    "glu": lambda t, x, y: t.nn.functional.glu(x.repeat(1, 2)),
    "prelu": lambda t, x, y: t.nn.functional.prelu(x, y[0, :1]),
    "nearest": lambda t, x, y: t.nn.functional.interpolate(x[None, None], scale_factor=2),
    "bilinear": lambda t, x, y: t.nn.functional.interpolate(x[None, None], scale_factor=2, mode="bilinear"),
    "bicubic": lambda t, x, y: t.nn.functional.interpolate(
        x[None, None], scale_factor=2, mode="bicubic", antialias=True
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_names(case: str) -> None:
    found = []
    for library in (torch, retrograd):
        x = (library.arange(1.0, 10.0).reshape(3, 3) / 7).requires_grad_()
        y = (library.arange(1.0, 10.0).reshape(3, 3).flip(0) / 5).requires_grad_()
        result = CASES[case](library, x, y)
        result.sum().backward()
        found.append((result.grad_fn.name(), x.grad.numpy().round(3).tolist()))
    assert found[1] == found[0]
