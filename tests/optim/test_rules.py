"""One rule, four ways of running it: on arrays, on Tensors, recorded into in-place code, and traced into a graph."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from retrograd import optim
from retrograd.autodiff.trace import interpret, trace
from retrograd.optim.plan import Hyper, record
from retrograd.optim.rules import maximum, where
from retrograd.optim.units import BLOCK, PLANS
from retrograd.tensor import Tensor

RULES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "maximize": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("RMSprop", {}),
    ("Adagrad", {"lr_decay": 0.1}),
    ("Adadelta", {}),
    ("Adamax", {}),
    ("NAdam", {}),
    ("RAdam", {}),
    ("ASGD", {"t0": 3}),
    ("Rprop", {}),
    ("Adafactor", {"weight_decay": 0.1}),
]
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(RULES)]


def leaves(*shapes: Any, seed: int = 0, dtype: Any = np.float32) -> list[Any]:
    """Make parameters."""
    draw = np.random.default_rng(seed)
    return [Tensor._wrap(np.asarray(draw.standard_normal(shape), dtype)).requires_grad_() for shape in shapes]


def give_gradients(draw: Any, *lists: Any) -> list[Any]:
    """Give the parameters of every list the same gradients."""
    gradients = [np.asarray(draw.standard_normal(p.shape), p._a.dtype) for p in lists[0]]
    for params in lists:
        for p, g in zip(params, gradients, strict=True):
            p.grad = Tensor._wrap(g.copy())
    return gradients


@pytest.mark.parametrize(("name", "options"), RULES, ids=IDS)
def test_the_step_is_the_rule_on_arrays(name: str, options: dict[str, Any]) -> None:
    shapes = [(3, 4), (), (7,)] if name != "Adafactor" else [(3, 4)]
    params = leaves(*shapes)
    optimizer = getattr(optim, name)(params, **options)
    h = Hyper(optimizer.param_groups[0])
    values = [p._a.copy() for p in params]
    states: list[dict[str, Any]] = [optimizer.initial(a, h) or {} for a in values]
    draw = np.random.default_rng(1)
    for _ in range(9):
        gradients = give_gradients(draw, params)
        optimizer.step()
        for i, (p, g) in enumerate(zip(params, gradients, strict=True)):
            values[i], states[i] = optimizer.update(values[i], g, states[i], h)
            assert p._a.tobytes() == np.asarray(values[i], np.float32).tobytes()
            states[i] = {k: float(np.float32(v)) if k in optimizer.scalars else v for k, v in states[i].items()}


@pytest.mark.parametrize(("name", "options"), RULES, ids=IDS)
def test_traced_and_interpreted_it_gives_the_same_bits(name: str, options: dict[str, Any]) -> None:
    traced, eager = leaves((3, 4), (7,)), leaves((3, 4), (7,))
    ours, theirs = (getattr(optim, name)(params, **options) for params in (traced, eager))
    draw = np.random.default_rng(1)
    for _ in range(2):
        give_gradients(draw, traced, eager)
        ours.step()
        theirs.step()
    give_gradients(draw, traced, eager)
    _, graph, inputs, written = trace(lambda: ours.step() or traced[0])
    theirs.step()
    for _ in range(2):
        for a, b in zip(traced, eager, strict=True):
            if (
                name == "Adafactor"
            ):  # the mean it takes is an array's, which NumPy keeps in float32 and a Tensor in float64
                np.testing.assert_allclose(a._a, b._a, rtol=1e-6)
                continue
            assert a._a.tobytes() == b._a.tobytes()
            for key, value in theirs.state.get(b, {}).items():
                np.testing.assert_array_equal(ours.state[a][key]._a, value._a)
        for optimizer in (ours, theirs):
            optimizer.param_groups[0]["lr"] *= 0.5
        ours.refresh_inputs()
        for a, b in zip(traced, eager, strict=True):
            g = np.asarray(draw.standard_normal(a.shape), np.float32)
            a.grad._a[...] = g
            b.grad = Tensor._wrap(g)
        results = interpret(graph, [t._a for t in inputs])
        for tensor, result in zip(written, results[1:], strict=True):
            tensor._a[...] = result
        theirs.step()


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_a_differentiable_step_has_the_rule_s_derivative(name: str) -> None:
    def loss_after_step(rate: Any) -> Any:
        base = Tensor._wrap(np.array([1.0, -2.0, 3.0])).requires_grad_()
        p = base.clone()
        optimizer = getattr(optim, name)([p], lr=rate, differentiable=True)
        p.grad = (base * base * base).detach().clone()
        optimizer.step()
        return (p * p).sum()

    rate = Tensor._wrap(np.array(0.125)).requires_grad_()
    loss_after_step(rate).backward()
    h = 1e-5
    expected = (loss_after_step(0.125 + h).item() - loss_after_step(0.125 - h).item()) / (2 * h)
    assert rate.grad.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("name", "options"), RULES[:-1], ids=IDS[:-1])
def test_blocks_packs_and_single_parameters_agree(name: str, options: dict[str, Any]) -> None:
    n = BLOCK + 5
    large, parts = (
        leaves((n,)),
        [Tensor._wrap(part.copy()).requires_grad_() for part in np.split(leaves((n,))[0]._a, range(500, n, 500))],
    )
    alone = [Tensor._wrap(part._a.copy()).requires_grad_() for part in parts]
    optimizers = [getattr(optim, name)(large, **options), getattr(optim, name)(parts, **options)]
    optimizers += [getattr(optim, name)([p], **options) for p in alone]
    draw = np.random.default_rng(1)
    for _ in range(4):
        (g,) = give_gradients(draw, large)
        for params in (parts, alone):
            for p, part in zip(params, np.split(g, range(500, n, 500)), strict=True):
                p.grad = Tensor._wrap(part.copy())
        for optimizer in optimizers:
            optimizer.step()
    for params in (parts, alone):
        assert np.concatenate([p._a for p in params]).tobytes() == large[0]._a.tobytes()


def test_strided_parameters_and_gradients() -> None:
    for shape in ((6, 4), (BLOCK // 64, 128)):
        plain = leaves(shape)
        strided = [
            Tensor._wrap(np.asfortranarray(plain[0]._a)).requires_grad_(),
            Tensor._wrap(np.repeat(plain[0]._a, 2, 0)[::2]).requires_grad_(),
        ]
        optimizers = [optim.Adam([p], lr=0.1) for p in (*plain, *strided)]
        draw = np.random.default_rng(1)
        for _ in range(3):
            (g,) = give_gradients(draw, plain)
            for p in strided:
                p.grad = Tensor._wrap(np.asfortranarray(g))
            for optimizer in optimizers:
                optimizer.step()
        for p in strided:
            np.testing.assert_array_equal(p._a, plain[0]._a)


class Swap(optim.Optimizer):
    """A rule whose states change places, whose parameter is read after it is written, and that chooses by a number."""

    def __init__(self, params: Any, late: float = 2.0) -> None:
        super().__init__(params, {"late": late})

    def initial(self, p: Any, h: Any) -> dict[str, Any]:
        return {"step": 0.0, "a": 0 * p, "b": 0 * p}

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        t = state["step"] + 1
        new = where(t > h.late, p - state["b"], maximum(p, g) * 0.5)
        return new, {"step": t, "a": state["b"], "b": state["a"] + g + new}


def test_memory_is_not_overwritten_before_it_is_read() -> None:
    params = leaves((4,), (2, 3))
    optimizer = Swap(params)
    values = [p._a.copy() for p in params]
    states = [{"step": 0.0, "a": 0 * a, "b": 0 * a} for a in values]
    draw = np.random.default_rng(1)
    for _ in range(5):
        gradients = give_gradients(draw, params)
        optimizer.step()
        for i, g in enumerate(gradients):
            values[i], states[i] = optimizer.update(values[i], g, states[i], Hyper({"late": 2.0}))
            np.testing.assert_array_equal(params[i]._a, values[i])
            np.testing.assert_array_equal(optimizer.state[params[i]]["a"]._a, states[i]["a"])
            np.testing.assert_array_equal(optimizer.state[params[i]]["b"]._a, states[i]["b"])


class Random(optim.Optimizer):
    """A rule of random operations on everything there is, whose results are random too."""

    def __init__(self, params: Any, seed: int) -> None:
        super().__init__(params, {"seed": str(seed), "number": 0.75})  # text is a flag: another plan for each

    def initial(self, p: Any, h: Any) -> dict[str, Any]:
        return {"step": 0.0, "a": 0 * p + 1, "b": 0 * p + 2}

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        draw = np.random.default_rng(int(h.seed))
        t = state["step"] + 1
        values = [p, g, state["a"], state["b"]]

        def pick() -> Any:
            return values[draw.integers(len(values))]

        for _ in range(draw.integers(1, 12)):
            x, y = pick(), pick()
            values.append(
                [
                    lambda x, y: x + y,
                    lambda x, y: x - y,
                    lambda x, y: x * h.number,
                    lambda x, y: x / t - y,
                    maximum,
                    lambda x, y: where(x > y, x * 0.5, y),
                    lambda x, y: where(x > 0, y, x),
                    lambda x, y: where(t > 2, x, y),
                    lambda x, y: -x,
                ][draw.integers(9)](x, y)
            )
        return (pick() if draw.random() < 0.5 else p - pick()), {"step": t, "a": pick(), "b": pick()}


@pytest.mark.parametrize("seed", range(150))
def test_random_rules(seed: int) -> None:
    params = leaves(*([(4,), (2, 3)] if seed % 2 else [(5,)]))  # packed, or one alone
    optimizer = Random(params, seed)
    values = [p._a.copy() for p in params]
    states = [{"step": 0.0, "a": 0 * a + 1, "b": 0 * a + 2} for a in values]
    draw = np.random.default_rng(seed)
    for _ in range(4):
        gradients = give_gradients(draw, params)
        optimizer.step()
        for i, g in enumerate(gradients):
            values[i], states[i] = optimizer.update(values[i], g, states[i], Hyper({"seed": str(seed), "number": 0.75}))
            np.testing.assert_array_equal(params[i]._a, values[i])
            for name in "ab":
                np.testing.assert_array_equal(optimizer.state[params[i]][name]._a, states[i][name])


def test_gradients_are_never_written() -> None:
    for name, options in RULES:
        params = leaves((3, 4), (BLOCK * 2,)) if name != "Adafactor" else leaves((3, 4))
        optimizer = getattr(optim, name)(params, **options)
        draw = np.random.default_rng(1)
        for _ in range(3):
            gradients = give_gradients(draw, params)
            optimizer.step()
            for p, g in zip(params, gradients, strict=True):
                np.testing.assert_array_equal(p.grad._a, g)


def test_a_rule_may_not_branch_on_a_number() -> None:
    class Impatient(Swap):
        def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
            return (p - g, {}) if state["step"] > 3 else (p, {})

    params = leaves((2,))
    give_gradients(np.random.default_rng(0), params)
    with pytest.raises(TypeError, match="where"):
        Impatient(params).step()


def test_plans_are_shared_and_follow_flags_not_numbers() -> None:
    params = leaves((2, 2), (3,))
    optimizer = optim.SGD(params, lr=0.5, momentum=0.5)
    draw = np.random.default_rng(0)
    for _ in range(3):
        give_gradients(draw, params)
        optimizer.step()
    before = len(PLANS)
    for lr in (0.1, 0.2, 0.3):
        optimizer.param_groups[0]["lr"] = lr
        give_gradients(draw, params)
        optimizer.step()
    assert len(PLANS) == before


def test_a_plan_reads_its_arrays_in_place() -> None:
    plan = record(
        optim.SGD(leaves((1,))),
        {"lr": 0.1, "momentum": 0.9, "dampening": 0, "weight_decay": 0, "nesterov": False, "maximize": False},
        ("momentum_buffer",),
        (),
    )
    assert len(plan.temporaries) == 1
    assert plan.numbers(0.1, 0.9, 0, 0) == ((0.9, 0.1), ())
    assert not plan.gathers_p


@pytest.mark.parametrize("condition", [True, False])
def test_where_on_every_kind_of_operand(condition: bool) -> None:
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    expected = x if condition else y
    for c, pair in itertools.product((condition, np.array([condition] * 2)), ((x, y),)):
        np.testing.assert_array_equal(where(c, *pair), expected)
    c = Tensor._wrap(np.array([condition] * 2))
    np.testing.assert_array_equal(where(c, Tensor._wrap(x), Tensor._wrap(y))._a, expected)
