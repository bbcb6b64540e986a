"""Schedules against torch's, to the last digit, for 100 epochs: plain, edited by hand, resumed, composed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from retrograd import optim
from retrograd.tensor import Tensor

torch = pytest.importorskip("torch")


def halving(epoch: int) -> float:
    """A factor for LambdaLR and MultiplicativeLR."""
    return 0.97 ** (epoch % 7)


class Shrinking:
    """A factor with attributes, which are saved."""

    def __init__(self) -> None:
        self.rate = 0.95

    def __call__(self, epoch: int) -> float:
        return self.rate ** (epoch % 5)


SINGLE: list[tuple[str, dict[str, Any]]] = [
    ("LambdaLR", {"lr_lambda": halving}),
    ("LambdaLR", {"lr_lambda": [halving, Shrinking()]}),
    ("MultiplicativeLR", {"lr_lambda": halving}),
    ("StepLR", {"step_size": 7, "gamma": 0.7}),
    ("StepLR", {"step_size": 1}),
    ("MultiStepLR", {"milestones": [3, 8, 8, 40], "gamma": 0.3}),
    ("ConstantLR", {"factor": 0.25, "total_iters": 9}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.9, "total_iters": 23}),
    ("LinearLR", {"total_iters": 150}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("PolynomialLR", {"total_iters": 31, "power": 1.7}),
    ("CosineAnnealingLR", {"T_max": 13, "eta_min": 0.001}),
    ("CosineAnnealingLR", {"T_max": 120}),
    ("CosineAnnealingWarmRestarts", {"T_0": 7}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2, "eta_min": 0.01}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 7, "step_size_down": 11}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": [0.2, 0.3], "step_size_up": 5, "mode": "triangular2"}),
    (
        "CyclicLR",
        {
            "base_lr": 0.01,
            "max_lr": 0.2,
            "step_size_up": 5,
            "mode": "exp_range",
            "gamma": 0.98,
            "cycle_momentum": False,
        },
    ),
    (
        "CyclicLR",
        {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 5, "scale_fn": Shrinking(), "scale_mode": "iterations"},
    ),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 101}),
    (
        "OneCycleLR",
        {"max_lr": [0.5, 0.7], "epochs": 11, "steps_per_epoch": 10, "anneal_strategy": "linear", "pct_start": 0.4},
    ),
    (
        "OneCycleLR",
        {"max_lr": 0.5, "total_steps": 101, "three_phase": True, "pct_start": 0.2, "base_momentum": [0.7, 0.8]},
    ),
    ("SWALR", {"swa_lr": 0.05, "anneal_epochs": 15}),
    ("SWALR", {"swa_lr": [0.05, 0.1], "anneal_epochs": 4, "anneal_strategy": "linear"}),
    ("SWALR", {"swa_lr": 0.05, "anneal_epochs": 0}),
]
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(SINGLE)]


def optimizers(kind: str = "SGD") -> tuple[Any, Any]:
    """Make torch's optimizer and ours, with two groups."""
    leaves = (
        [torch.ones(1, requires_grad=True) for _ in range(2)],
        [Tensor._wrap(np.ones(1, np.float32)).requires_grad_() for _ in range(2)],
    )
    options = {"momentum": 0.9} if kind == "SGD" else {}
    return tuple(  # type: ignore[return-value]
        getattr(module, kind)([{"params": [a], "lr": 0.1}, {"params": [b], "lr": 0.03}], **options)
        for module, (a, b) in zip((torch.optim, optim), leaves, strict=True)
    )


def schedule(optimizer: Any, name: str, options: dict[str, Any], **more: Any) -> Any:
    """Make a schedule of the library that the optimizer is from."""
    module = torch.optim if isinstance(optimizer, torch.optim.Optimizer) else optim
    return getattr(module.swa_utils if name == "SWALR" else module.lr_scheduler, name)(optimizer, **options, **more)


def rates(optimizer: Any) -> list[Any]:
    """Give what schedules set."""
    return [[group.get(key) for key in ("lr", "momentum", "betas", "initial_lr")] for group in optimizer.param_groups]


def run(pair: tuple[Any, Any], schedules: tuple[Any, Any], epochs: int, edit: Any = None) -> None:
    """Step both and compare every epoch."""
    for epoch in range(epochs):
        assert rates(pair[1]) == rates(pair[0]), epoch
        assert schedules[1].get_last_lr() == schedules[0].get_last_lr(), epoch
        for optimizer, scheduler in zip(pair, schedules, strict=True):
            optimizer.step()
            if edit is not None and epoch % 10 == 4:
                edit(optimizer)
            scheduler.step()
    assert rates(pair[1]) == rates(pair[0])


def plain(state: dict[str, Any]) -> dict[str, Any]:
    """Make a schedule's state comparable."""
    return {
        key: [plain(s) for s in value] if key == "_schedulers" else value
        for key, value in state.items()
        if key != "anneal_func"
    }


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "options"), SINGLE, ids=IDS)
def test_a_hundred_epochs(name: str, options: dict[str, Any], kind: str) -> None:
    pair = optimizers(kind)
    schedules = tuple(schedule(o, name, options) for o in pair)
    run(pair, schedules, 100)  # type: ignore[arg-type]
    assert plain(schedules[1].state_dict()) == plain(schedules[0].state_dict())


@pytest.mark.parametrize(("name", "options"), SINGLE, ids=IDS)
def test_rates_edited_by_hand(name: str, options: dict[str, Any]) -> None:
    def edit(optimizer: Any) -> None:
        optimizer.param_groups[1]["lr"] *= 0.37

    pair = optimizers()
    run(pair, tuple(schedule(o, name, options) for o in pair), 60, edit)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "options"), SINGLE, ids=IDS)
def test_resumed_from_a_state(name: str, options: dict[str, Any]) -> None:
    pair = optimizers()
    schedules = tuple(schedule(o, name, options) for o in pair)
    run(pair, schedules, 33)  # type: ignore[arg-type]
    states = [(o.state_dict(), s.state_dict()) for o, s in zip(pair, schedules, strict=True)]
    pair = optimizers()
    schedules = tuple(schedule(o, name, options) for o in pair)
    for optimizer, scheduler, (optimizer_state, state) in zip(pair, schedules, states, strict=True):
        optimizer.load_state_dict(optimizer_state)
        scheduler.load_state_dict(state)
    run(pair, schedules, 40)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options"), [case for case in SINGLE if case[0] != "SWALR"], ids=[i for i in IDS if "SWALR" not in i]
)
def test_resumed_by_last_epoch(name: str, options: dict[str, Any]) -> None:
    pair = optimizers()
    schedules = tuple(schedule(o, name, options) for o in pair)
    run(pair, schedules, 12)  # type: ignore[arg-type]
    run(pair, tuple(schedule(o, name, options, last_epoch=11) for o in pair), 20)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options"),
    [case for case in SINGLE if case[0] not in ("SWALR",)],
    ids=[i for i in IDS if "SWALR" not in i],
)
def test_closed_form_for_a_given_epoch(name: str, options: dict[str, Any]) -> None:
    pair = optimizers()
    schedules = tuple(schedule(o, name, options) for o in pair)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for epoch in (0, 1, 9, 5, 30):
            for optimizer, scheduler in zip(pair, schedules, strict=True):
                optimizer.step()
                scheduler.step(epoch)
            assert rates(pair[1]) == rates(pair[0])


COMPOSED: list[tuple[str, list[tuple[str, dict[str, Any]]], list[int]]] = [
    ("SequentialLR", [("LinearLR", {"total_iters": 5}), ("CosineAnnealingLR", {"T_max": 20})], [5]),
    (
        "SequentialLR",
        [("ConstantLR", {"factor": 0.1}), ("ExponentialLR", {"gamma": 0.9}), ("StepLR", {"step_size": 4})],
        [3, 30],
    ),
    ("SequentialLR", [("CosineAnnealingWarmRestarts", {"T_0": 4}), ("PolynomialLR", {"total_iters": 40})], [10]),
    ("ChainedScheduler", [("ConstantLR", {"factor": 0.1, "total_iters": 6}), ("ExponentialLR", {"gamma": 0.95})], []),
    ("ChainedScheduler", [("CosineAnnealingLR", {"T_max": 9}), ("StepLR", {"step_size": 5, "gamma": 0.9})], []),
]


def compose(optimizer: Any, kind: str, parts: list[Any], milestones: list[int]) -> Any:
    """Make a composed schedule of the library that the optimizer is from."""
    schedulers = [schedule(optimizer, name, options) for name, options in parts]
    module = torch.optim.lr_scheduler if isinstance(optimizer, torch.optim.Optimizer) else optim.lr_scheduler
    return (
        module.ChainedScheduler(schedulers)
        if kind == "ChainedScheduler"
        else module.SequentialLR(optimizer, schedulers, milestones)
    )


@pytest.mark.parametrize(("kind", "parts", "milestones"), COMPOSED)
def test_composed_schedules(kind: str, parts: list[Any], milestones: list[int]) -> None:
    pair = optimizers()
    schedules = tuple(compose(o, kind, parts, milestones) for o in pair)
    run(pair, schedules, 25)  # type: ignore[arg-type]
    states = [(o.state_dict(), s.state_dict()) for o, s in zip(pair, schedules, strict=True)]
    assert plain(states[1][1]) == plain(states[0][1])
    pair = optimizers()
    schedules = tuple(compose(o, kind, parts, milestones) for o in pair)
    for optimizer, scheduler, (optimizer_state, state) in zip(pair, schedules, states, strict=True):
        optimizer.load_state_dict(optimizer_state)
        scheduler.load_state_dict(state)
    run(pair, schedules, 40)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    "options", [{}, {"patience": 2, "cooldown": 3}, {"min_lr": [0.01, 0.02], "patience": 1, "threshold": 0.1}]
)
def test_plateau(mode: str, threshold_mode: str, options: dict[str, Any]) -> None:
    pair = optimizers()
    schedules = [
        schedule(o, "ReduceLROnPlateau", {"mode": mode, "threshold_mode": threshold_mode, **options}) for o in pair
    ]
    metrics = 1 + np.random.default_rng(0).standard_normal(100) * 0.2 + np.linspace(1, 0, 100)
    for metric in metrics:
        for scheduler in schedules:
            scheduler.step(metric)
        assert rates(pair[1]) == rates(pair[0])
    assert schedules[1].state_dict() == schedules[0].state_dict()


ERRORS: list[tuple[str, dict[str, Any]]] = [
    ("LambdaLR", {"lr_lambda": [halving]}),
    ("MultiplicativeLR", {"lr_lambda": 3}),
    ("ConstantLR", {"factor": 2.0}),
    ("LinearLR", {"start_factor": 0.0}),
    ("LinearLR", {"end_factor": 1.5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 0}),
    ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 0}),
    ("CosineAnnealingWarmRestarts", {"T_0": 2, "eta_min": "a"}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.2, "mode": "square"}),
    ("CyclicLR", {"base_lr": [0.1], "max_lr": 0.2}),
    ("OneCycleLR", {"max_lr": 0.1}),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": -1}),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": 10, "pct_start": 2.0}),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": 10, "anneal_strategy": "none"}),
    ("ReduceLROnPlateau", {"factor": 1.0}),
    ("ReduceLROnPlateau", {"mode": "middle"}),
    ("ReduceLROnPlateau", {"threshold_mode": "middle"}),
    ("ReduceLROnPlateau", {"min_lr": [0.1]}),
    ("SWALR", {"swa_lr": 0.1, "anneal_strategy": "none"}),
    ("SWALR", {"swa_lr": 0.1, "anneal_epochs": -1}),
    ("StepLR", {"step_size": 2, "last_epoch": 3}),
    ("SequentialLR", {"schedulers": [], "milestones": []}),
]


@pytest.mark.parametrize(("name", "options"), ERRORS)
def test_errors(name: str, options: dict[str, Any]) -> None:
    found = []
    for optimizer in optimizers():
        with pytest.raises((ValueError, TypeError, KeyError)) as caught:
            schedule(optimizer, name, options)
        found.append(caught.type)
    assert found[1] is found[0]


def test_the_wrong_order_is_warned_of() -> None:
    for optimizer in optimizers():
        scheduler = schedule(optimizer, "StepLR", {"step_size": 1})
        with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
            scheduler.step()
        with pytest.warns(UserWarning, match="get_last_lr"):
            scheduler.get_lr()


def models(use_batch_norm: bool = True) -> tuple[Any, Any]:
    """Make the same model in both libraries."""
    import retrograd

    made = []
    draw = np.random.default_rng(0)
    weights = [draw.standard_normal(shape).astype(np.float32) for shape in ((4, 3), (4,), (2, 4), (2,))]
    for library in (torch, retrograd):
        norm = library.nn.BatchNorm1d(4) if use_batch_norm else library.nn.ReLU()
        model = library.nn.Sequential(library.nn.Linear(3, 4), norm, library.nn.Linear(4, 2))
        with library.no_grad():
            for layer, (w, b) in zip((model[0], model[2]), (weights[:2], weights[2:]), strict=True):
                layer.weight.copy_(library.from_numpy(w))
                layer.bias.copy_(library.from_numpy(b))
        made.append(model)
    return tuple(made)  # type: ignore[return-value]


AVERAGES: list[dict[str, Any]] = [
    {},
    {"use_buffers": True},
    {"avg_fn": lambda swa: swa.get_ema_avg_fn(0.9)},
    {"avg_fn": lambda swa: swa.get_swa_avg_fn(), "use_buffers": True},
    {"multi_avg_fn": lambda swa: swa.get_ema_multi_avg_fn(0.5)},
    {"multi_avg_fn": lambda swa: swa.get_swa_multi_avg_fn()},
]


@pytest.mark.parametrize("options", AVERAGES, ids=range(len(AVERAGES)))
def test_averaged_models(options: dict[str, Any]) -> None:
    import retrograd

    found: list[dict[str, Any]] = []
    for library, model in zip((torch, retrograd), models(), strict=True):
        swa = library.optim.swa_utils
        averaged = swa.AveragedModel(model, **{key: v(swa) if callable(v) else v for key, v in options.items()})
        draw = np.random.default_rng(1)
        for _ in range(5):
            x = library.from_numpy(draw.standard_normal((6, 3)).astype(np.float32))
            model(x)
            with library.no_grad():
                for p in model.parameters():
                    p.add_(library.from_numpy(draw.standard_normal(tuple(p.shape)).astype(np.float32)))
            averaged.update_parameters(model)
        swa.update_bn([library.from_numpy(draw.standard_normal((6, 3)).astype(np.float32)) for _ in range(3)], averaged)
        assert averaged.training
        found.append({key: value.detach().numpy() for key, value in averaged.state_dict().items()})
    assert list(found[1]) == list(found[0])
    for key, value in found[0].items():
        assert found[1][key].dtype == value.dtype
        np.testing.assert_allclose(found[1][key], value, rtol=1e-5, atol=1e-6, err_msg=key)


def test_errors_of_averages() -> None:
    import retrograd

    for library, model in zip((torch, retrograd), models(use_batch_norm=False), strict=True):
        swa = library.optim.swa_utils
        with pytest.raises(AssertionError):
            swa.AveragedModel(model, avg_fn=swa.get_swa_avg_fn(), multi_avg_fn=swa.get_swa_multi_avg_fn())
        with pytest.raises(ValueError, match="decay"):
            swa.get_ema_avg_fn(1.5)
        with pytest.raises(ValueError, match="decay"):
            swa.get_ema_multi_avg_fn(-0.1)
        swa.update_bn([], model)
