"""Schedules without torch: their formulas, their warnings, and how they sit on an optimizer."""

from __future__ import annotations

import math
import pickle
import warnings
from typing import Any

import pytest

import retrograd as torch
from retrograd import optim
from retrograd.optim import lr_scheduler


def make(lr: Any = 1.0, **options: Any) -> Any:
    """Make an optimizer of one parameter."""
    return optim.SGD([torch.ones(1, requires_grad=True)], lr=lr, **options)


def follow(optimizer: Any, scheduler: Any, epochs: int) -> list[float]:
    """Give the rates of some epochs."""
    rates = []
    for _ in range(epochs):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


CLOSED: list[tuple[Any, Any]] = [
    (lambda o: lr_scheduler.StepLR(o, 3, 0.5), lambda t: 0.5 ** (t // 3)),
    (lambda o: lr_scheduler.MultiStepLR(o, [2, 5], 0.5), lambda t: 0.5 ** ((t >= 2) + (t >= 5))),
    (lambda o: lr_scheduler.ConstantLR(o, 0.5, 4), lambda t: 0.5 if t < 4 else 1.0),
    (lambda o: lr_scheduler.LinearLR(o, 0.5, 1.0, 4), lambda t: 0.5 + 0.5 * min(t, 4) / 4),
    (lambda o: lr_scheduler.ExponentialLR(o, 0.9), lambda t: 0.9**t),
    (lambda o: lr_scheduler.PolynomialLR(o, 8, 2.0), lambda t: (1 - min(t, 8) / 8) ** 2),
    (lambda o: lr_scheduler.CosineAnnealingLR(o, 5), lambda t: (1 + math.cos(math.pi * t / 5)) / 2),
    (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4), lambda t: (1 + math.cos(math.pi * (t % 4) / 4)) / 2),
    (lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: 1 / (1 + t)),
]


@pytest.mark.parametrize(("schedule", "formula"), CLOSED)
def test_rates_follow_their_formula(schedule: Any, formula: Any) -> None:
    optimizer = make()
    assert follow(optimizer, schedule(optimizer), 20) == pytest.approx([formula(t) for t in range(20)], abs=1e-12)


def test_a_rate_in_a_tensor_keeps_its_identity() -> None:
    rate = torch.tensor(1.0)
    optimizer = make(rate)
    assert follow(optimizer, lr_scheduler.ExponentialLR(optimizer, 0.5), 3) == [1.0, 0.5, 0.25]
    assert optimizer.param_groups[0]["lr"] is rate


def test_calls_in_the_wrong_order_are_warned_of_once() -> None:
    optimizer = make()
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()
    scheduler.step()
    optimizer = make()
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    optimizer.step = lambda: None
    with pytest.warns(UserWarning, match="overridden"):
        scheduler.step()


def test_the_scheduled_optimizer_still_steps_hooks_and_pickles() -> None:
    optimizer = make(momentum=0.9)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, 4)
    w = optimizer.param_groups[0]["params"][0]
    called: list[int] = []
    optimizer.register_step_post_hook(lambda *_: called.append(1))
    for _ in range(2):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        scheduler.step()
    assert called == [1, 1]
    twin, twin_optimizer = pickle.loads(pickle.dumps((scheduler.state_dict(), optimizer)))
    assert twin == scheduler.state_dict()
    assert twin_optimizer.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
    twin_optimizer.step()


def test_cycles_move_momentum_or_beta1() -> None:
    for optimizer, read in (
        (make(momentum=0.9), lambda group: group["momentum"]),
        (optim.Adam([torch.ones(1, requires_grad=True)]), lambda group: group["betas"][0]),
    ):
        scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=11, pct_start=0.5)
        momenta = []
        for _ in range(10):
            momenta.append(read(optimizer.param_groups[0]))
            optimizer.step()
            scheduler.step()
        assert momenta[0] == pytest.approx(0.95) and min(momenta) == pytest.approx(0.85, abs=5e-3)
    with pytest.raises(ValueError, match="momentum"):
        lr_scheduler.CyclicLR(optim.Adagrad([torch.ones(1, requires_grad=True)]), 0.1, 0.2)


def test_one_cycle_ends() -> None:
    optimizer = make(momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3)
    follow(optimizer, scheduler, 3)
    with pytest.raises(ValueError, match="Tried to step"):
        scheduler.step()


def test_plateau_with_a_group_added_later() -> None:
    optimizer = make()
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.0])
    optimizer.add_param_group({"params": [torch.ones(1, requires_grad=True)]})
    scheduler.step(1.0)
    with pytest.raises(RuntimeError, match="min_lrs"):
        scheduler.step(1.0)


def test_states_are_plain_and_can_be_saved() -> None:
    optimizer = make(momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scheduler in (
            lr_scheduler.LambdaLR(optimizer, lambda t: 1.0),
            lr_scheduler.CyclicLR(optimizer, 0.1, 0.2, mode="exp_range", gamma=0.9),
            lr_scheduler.SequentialLR(
                optimizer, [lr_scheduler.StepLR(optimizer, 2), lr_scheduler.ExponentialLR(optimizer, 0.9)], [3]
            ),
            lr_scheduler.ReduceLROnPlateau(optimizer),
        ):
            assert pickle.loads(pickle.dumps(scheduler.state_dict())) == scheduler.state_dict()
