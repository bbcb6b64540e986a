"""Equal calls give equal bits: before and after kernels are compiled, eager or compiled, for everything that is rounded element by element."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import retrograd as torch
from retrograd import optim
from retrograd.optim import units
from retrograd.tensor import Tensor

F = torch.nn.functional
SIZE = 1 << 16  # from here on single operations, gradients and compositions have kernels
CALLS = 40  # enough for a composition of so many elements to be compiled

ELEMENTWISE: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(torch, name)
        for name in ("exp", "exp2", "expm1", "log1p", "tanh", "sigmoid", "erf", "erfc", "sin", "cos", "tan", "sinh")
    },
    **{name: getattr(torch, name) for name in ("asinh", "atan", "neg", "abs", "square", "floor", "round", "relu")},
    **{name: getattr(F, name) for name in ("gelu", "silu", "mish", "elu", "selu", "softplus", "hardswish")},
    "x^3": lambda x: x**3,
    "(x + 2)^2.2": lambda x: (x + 2) ** 2.2,
    "(x + 2)^0.5": lambda x: (x + 2) ** 0.5,
    "3 / (x + 2)": lambda x: 3 / (x + 2),
    "by a row": lambda x: x.reshape(64, -1) * torch.arange(1.0, SIZE // 64 + 1) + x.reshape(64, -1),
    "by a number of no dimensions": lambda x: x * torch.tensor(1.1) - x,
    "to a power by rows": lambda x: torch.pow(x.reshape(64, -1) + 2, torch.arange(SIZE // 64) / 300),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_eager_calls_before_and_after_compiling(name: str) -> None:
    """From the first call on: a checkpoint's recomputation, or a program resumed, meets the same numbers."""
    x = torch.linspace(-1.9, 1.9, SIZE)
    g = torch.linspace(-3, 5, SIZE)
    seen = set()
    for _ in range(CALLS if hasattr(F, name) else 4):
        leaf = x.clone().requires_grad_()
        y = ELEMENTWISE[name](leaf)
        y.backward(g.reshape(y.shape))
        seen.add((y.detach().numpy().tobytes(), leaf.grad.numpy().tobytes()))
    assert len(seen) == 1


@pytest.mark.parametrize(
    "compute",
    [
        lambda x, y: x * y + x,
        lambda x, y: x - y * y,
        lambda x, y: (x + 1) * (y - x * 3) / (y * y + 2),
        lambda x, y: torch.lerp(x, y, 0.3),
        lambda x, y: torch.addcmul(x, y, y, value=0.1),
    ],
)
@pytest.mark.parametrize("shape", [(7,), (33, 40), (300, 300)])
def test_compiled_arithmetic_is_rounded_as_numpy_rounds_it(compute: Any, shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(0)
    x, y = (torch.tensor(draw.standard_normal(shape).astype(np.float32)) for _ in range(2))
    compiled = torch.compile(compute, fullgraph=True)
    expected = compute(x, y).numpy().tobytes()
    for _ in range(4):
        assert compiled(x, y).numpy().tobytes() == expected


def test_sums_may_take_products_unrounded() -> None:
    """What is read by nothing but sums may be multiplied and added at once; the same product, read otherwise too, may not."""
    x, y = torch.linspace(-1, 1, 4096), torch.linspace(0.3, 7, 4096)
    both = torch.compile(lambda x, y: ((x * y).sum(), x * y + 1), fullgraph=True)
    expected = (x.double() * y.double()).sum().item()
    for _ in range(4):
        total, other = both(x, y)
        assert total.item() == pytest.approx(expected, rel=1e-5)
        assert other.numpy().tobytes() == (x * y + 1).numpy().tobytes()


RULES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("Adagrad", {"lr_decay": 0.1}),
    ("Adadelta", {}),
    ("Adamax", {}),
    ("NAdam", {}),
    ("RAdam", {}),
    ("ASGD", {"t0": 3}),
    ("Rprop", {}),
]


@pytest.mark.parametrize(("name", "options"), RULES, ids=[name for name, _ in RULES])
def test_updates_by_numpy_by_kernels_and_compiled(name: str, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (130, 131)
    start = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    params = [Tensor._wrap(start.copy()).requires_grad_() for _ in range(3)]
    by_numpy, by_kernel, compiled = (getattr(optim, name)([p], **options) for p in params)

    @torch.compile(fullgraph=True)
    def step(g: Any) -> None:
        params[2].grad = g.clone()
        compiled.step()

    draw = np.random.default_rng(1)
    for k in range(8):
        g = draw.standard_normal(shape).astype(np.float32)
        g[0, :4] = 0, -0.0, 1e-30, 1e30
        if k == 6:
            g[1, :3] = np.nan, np.inf, -np.inf
        for p in params[:2]:
            p.grad = torch.tensor(g)
        monkeypatch.setattr(units, "PAID", 1 << 60)
        monkeypatch.setattr(units, "PLANS", {})
        by_numpy.step()
        monkeypatch.undo()
        monkeypatch.setattr(units, "PAID", 0)
        by_kernel.step()
        monkeypatch.undo()
        step(torch.tensor(g))
        for p in params[1:]:
            np.testing.assert_array_equal(p._a, params[0]._a)
            finite = np.isfinite(p._a)
            assert p._a[finite].tobytes() == params[0]._a[finite].tobytes()


def test_a_rule_with_powers_of_arrays_stays_with_numpy() -> None:
    """Powers are rounded otherwise by NumPy than in loops."""
    from retrograd.optim.plan import record

    class Powers(optim.Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {"lr": 0.1})

        def update(self, p: Any, g: Any, state: Any, h: Any) -> Any:
            return p - h.lr * (g * g + 1) ** 0.25, state

    plan = record(Powers([torch.ones(3, requires_grad=True)]), {"lr": 0.1}, (), ())
    assert importlib.import_module("retrograd.compiler.eager_update").update(plan, np.float32) is None
