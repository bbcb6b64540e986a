"""Optimizers against torch's: 30 steps with every choice of flags, files both ways, errors."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

from retrograd import optim
from retrograd.optim.units import BLOCK
from retrograd.tensor import Tensor

torch = pytest.importorskip("torch")

SHAPES = [(3, 4), (5,), (), (2, 3, 2)]
LARGE = [(3, BLOCK // 2), (7,)]


def combinations(**choices: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Give every choice of one value for each option."""
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


WD = (0, 0.1)
FLAG = (False, True)
CASES: list[tuple[str, dict[str, Any]]] = [
    *(
        ("SGD", {"lr": 0.1, **kw})
        for kw in combinations(momentum=(0, 0.9), dampening=(0, 0.3), weight_decay=WD, maximize=FLAG)
    ),
    *(
        ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, **kw})
        for kw in combinations(weight_decay=WD, maximize=FLAG)
    ),
    *(
        ("Adam", {"lr": 0.01, **kw})
        for kw in combinations(weight_decay=WD, amsgrad=FLAG, maximize=FLAG, decoupled_weight_decay=FLAG)
    ),
    ("Adam", {"betas": (0.3, 0.6), "eps": 1e-3}),
    *(("AdamW", {"lr": 0.01, **kw}) for kw in combinations(weight_decay=WD, amsgrad=FLAG, maximize=FLAG)),
    *(("RMSprop", kw) for kw in combinations(weight_decay=WD, momentum=(0, 0.9), centered=FLAG, maximize=FLAG)),
    *(
        ("Adagrad", kw)
        for kw in combinations(weight_decay=WD, lr_decay=(0, 0.1), initial_accumulator_value=(0, 0.5), maximize=FLAG)
    ),
    *(("Adadelta", kw) for kw in combinations(weight_decay=WD, maximize=FLAG)),
    *(("Adamax", kw) for kw in combinations(weight_decay=WD, maximize=FLAG)),
    *(("NAdam", kw) for kw in combinations(weight_decay=WD, decoupled_weight_decay=FLAG, maximize=FLAG)),
    *(("RAdam", kw) for kw in combinations(weight_decay=WD, decoupled_weight_decay=FLAG, maximize=FLAG)),
    ("RAdam", {"betas": (0.9, 0.6)}),
    *(("ASGD", kw) for kw in combinations(weight_decay=WD, t0=(1e6, 5), lambd=(1e-4, 1e-2), maximize=FLAG)),
    *(("Rprop", kw) for kw in combinations(etas=((0.5, 1.2), (0.3, 1.5)), maximize=FLAG)),
    *(("Adafactor", kw) for kw in combinations(weight_decay=WD, beta2_decay=(-0.8, -0.3), maximize=FLAG)),
]
NAMES = sorted({name for name, _ in CASES})


def describe(value: Any) -> str | None:
    """Name a case by its options."""
    return ",".join(f"{k}={v}" for k, v in value.items()) or "defaults" if isinstance(value, dict) else None


class Pair:
    """The same parameters twice, torch's and ours, each with an optimizer, and gradients made of their values."""

    def __init__(self, name: str, options: dict[str, Any], shapes: list[Any] = SHAPES, dtype: str = "float32") -> None:
        draw = np.random.default_rng(0)
        arrays = [np.asarray(draw.standard_normal(shape), dtype) for shape in shapes]
        if dtype.startswith("complex"):
            arrays = [a + 1j * np.asarray(draw.standard_normal(a.shape), dtype) for a in arrays]
        self.dtype = dtype
        self.theirs = [torch.nn.Parameter(torch.from_numpy(a.copy())) for a in arrays]
        self.ours = [Tensor._wrap(a.copy()).requires_grad_() for a in arrays]
        self.reset(name, options)
        self.draw = np.random.default_rng(1)

    def reset(self, name: str, options: dict[str, Any]) -> None:
        """Make new optimizers."""
        self.torch = getattr(torch.optim, name)(self.theirs, **options)
        self.optim = getattr(optim, name)(self.ours, **options)

    def step(self, skip: tuple[int, ...] = ()) -> None:
        """Take a step of each, with no gradient for the parameters whose numbers are skipped."""
        for i, (theirs, ours) in enumerate(zip(self.theirs, self.ours, strict=True)):
            noise = self.draw.standard_normal(ours._a.shape)
            for p, a in ((theirs, theirs.detach().numpy()), (ours, ours._a)):
                g = np.asarray(a * 0.5 + noise, self.dtype)
                p.grad = None if i in skip else torch.from_numpy(g) if p is theirs else Tensor._wrap(g)
        self.torch.step()
        self.optim.step()

    def check(self, rtol: float = 1e-5, atol: float = 2e-6) -> None:
        """Compare parameters and states."""
        for theirs, ours in zip(self.theirs, self.ours, strict=True):
            np.testing.assert_allclose(ours._a, theirs.detach().numpy(), rtol, atol)
            expected, found = self.torch.state.get(theirs, {}), self.optim.state.get(ours, {})
            assert list(found) == list(expected)
            for key, value in expected.items():
                assert found[key]._a.dtype == value.numpy().dtype, key
                assert found[key]._a.shape == value.numpy().shape, key
                np.testing.assert_allclose(found[key]._a, value.numpy(), rtol, atol, err_msg=key)


@pytest.mark.parametrize(("name", "options"), CASES, ids=describe)
def test_thirty_steps(name: str, options: dict[str, Any]) -> None:
    pair = Pair(name, options)
    for _ in range(30):
        pair.step()
    pair.check()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("shapes", "dtype", "rtol", "atol"),
    [(SHAPES, "float64", 1e-9, 1e-9), (LARGE, "float32", 1e-5, 2e-6)],
    ids=["float64", "large"],
)
def test_dtypes_and_sizes(name: str, shapes: Any, dtype: str, rtol: float, atol: float) -> None:
    pair = Pair(name, {"lr": 0.02}, shapes, dtype)
    for _ in range(8):
        pair.step()
    pair.check(
        rtol, atol
    )  # 1e-9: numbers kept in float32 between steps, such as NAdam's mu_product, differ in their last digits


@pytest.mark.parametrize("name", [n for n in NAMES if n != "Adafactor"])
def test_complex_parameters(name: str) -> None:
    pair = Pair(name, {"lr": 0.02}, [(3, 2), (4,)], "complex64")
    for _ in range(8):
        pair.step()
    pair.check()


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_dtypes_move_as_torch_s(name: str, dtype: str) -> None:
    import ml_dtypes

    start = np.linspace(-1, 1, 12).astype(np.float32).reshape(3, 4)
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()).to(getattr(torch, dtype)))
    ours = Tensor._wrap(start.astype(getattr(ml_dtypes, dtype, np.float16))).requires_grad_()
    pair = getattr(torch.optim, name)([theirs], lr=0.05), getattr(optim, name)([ours], lr=0.05)
    for i in range(10):
        g = np.cos(start * i).astype(np.float32)
        theirs.grad, ours.grad = torch.from_numpy(g).to(theirs.dtype), Tensor._wrap(g.astype(ours._a.dtype))
        for optimizer in pair:
            optimizer.step()
    found, expected = ours._a.astype(np.float32), theirs.detach().float().numpy()
    np.testing.assert_allclose(
        found, expected, atol=4e-3 if dtype == "float16" else 3e-2
    )  # torch rounds after each operation, we once


@pytest.mark.parametrize("name", NAMES)
def test_gradients_that_come_and_go(name: str) -> None:
    pair = Pair(name, {})
    for skip in ((1,), (), (0, 2), (), (0, 1, 2, 3), (3,), ()):
        pair.step(skip)
    pair.check()


@pytest.mark.parametrize("name", NAMES)
def test_options_changed_between_steps(name: str) -> None:
    pair = Pair(name, {"lr": 0.02})
    for i in range(12):
        for optimizer in (pair.torch, pair.optim):
            group = optimizer.param_groups[0]
            group["lr"] = 0.02 / (1 + i)
            if "weight_decay" in group:
                group["weight_decay"] = 0.1 * (i % 3)
            group["maximize"] = i % 4 == 3
            if name == "SGD" and i == 5:
                group["momentum"] = 0.5
        pair.step()
    pair.check()


def test_groups_have_their_own_options() -> None:
    pair = Pair("SGD", {})
    for make, params in ((torch.optim.SGD, pair.theirs), (optim.SGD, pair.ours)):
        groups = [{"params": params[:2]}, {"params": params[2], "lr": 0.2, "momentum": 0.9}]
        optimizer = make(groups, lr=0.1, weight_decay=0.01)
        optimizer.add_param_group({"params": params[3:], "nesterov": True, "momentum": 0.8})
        setattr(pair, "torch" if make is torch.optim.SGD else "optim", optimizer)
    for _ in range(10):
        pair.step()
    pair.check()
    assert repr(pair.optim) == repr(pair.torch)


@pytest.mark.parametrize("name", NAMES)
def test_repr_and_defaults_equal_torch_s(name: str) -> None:
    pair = Pair(name, {})
    assert repr(pair.optim) == repr(pair.torch)
    assert pair.optim.defaults == pair.torch.defaults


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_learning_rate_in_a_tensor(name: str) -> None:
    pair = Pair(name, {"lr": 0.1})
    pair.torch = getattr(torch.optim, name)(pair.theirs, lr=torch.tensor(0.1))
    pair.optim = getattr(optim, name)(pair.ours, lr=Tensor._wrap(np.array(0.1, np.float32)))
    for i in range(6):
        pair.torch.param_groups[0]["lr"].fill_(0.1 / (i + 1))
        pair.optim.param_groups[0]["lr"]._a.fill(0.1 / (i + 1))
        pair.step()
    pair.check(rtol=1e-4)


def to_torch(value: Any) -> Any:
    """Turn our tensors in a nested state into torch's."""
    return convert(value, Tensor, lambda t: torch.from_numpy(t._a.copy()))


def from_torch(value: Any) -> Any:
    """Turn torch's tensors in a nested state into ours."""
    return convert(value, torch.Tensor, lambda t: Tensor._wrap(t.detach().numpy().copy()))


def convert(value: Any, kind: Any, change: Any) -> Any:
    """Change every tensor in nested dicts and lists."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, dict):
        return {key: convert(v, kind, change) for key, v in value.items()}
    if isinstance(value, list):
        return [convert(v, kind, change) for v in value]
    return value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("direction", ["to torch", "from torch"])
def test_state_dicts_go_both_ways(name: str, direction: str) -> None:
    options = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9, "centered": True}, "Adam": {"amsgrad": True}}.get(
        name, {}
    )
    pair = Pair(name, options)
    for _ in range(5):
        pair.step()
    ours, theirs = pair.optim.state_dict(), pair.torch.state_dict()
    assert [list(state) for state in ours["state"].values()] == [list(state) for state in theirs["state"].values()]
    assert ours["param_groups"] == theirs["param_groups"]
    pair.reset(name, options)
    pair.torch.load_state_dict(to_torch(ours) if direction == "to torch" else theirs)
    pair.optim.load_state_dict(from_torch(theirs) if direction == "from torch" else ours)
    for _ in range(5):
        pair.step()
    pair.check()


ERRORS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": -1.0}),
    ("SGD", {"momentum": -0.1}),
    ("SGD", {"weight_decay": -0.1}),
    ("SGD", {"nesterov": True}),
    ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
    ("SGD", {"fused": True, "foreach": True}),
    ("SGD", {"fused": True, "differentiable": True}),
    ("Adam", {"lr": -1.0}),
    ("Adam", {"eps": -1.0}),
    ("Adam", {"betas": (1.0, 0.9)}),
    ("Adam", {"betas": (0.9, -0.1)}),
    ("Adam", {"betas": (0, 0.9)}),
    ("Adam", {"weight_decay": -1.0}),
    ("Adam", {"fused": True, "foreach": True}),
    ("AdamW", {"weight_decay": -1.0}),
    ("RMSprop", {"lr": -1.0}),
    ("RMSprop", {"momentum": -1.0}),
    ("RMSprop", {"alpha": -1.0}),
    ("RMSprop", {"eps": -1.0}),
    ("Adagrad", {"lr_decay": -1.0}),
    ("Adagrad", {"initial_accumulator_value": -1.0}),
    ("Adagrad", {"eps": -1.0}),
    ("Adadelta", {"rho": 1.5}),
    ("Adadelta", {"eps": -1.0}),
    ("Adamax", {"betas": (1.0, 0.9)}),
    ("NAdam", {"momentum_decay": -1.0}),
    ("RAdam", {"betas": (0.5, 1.0)}),
    ("ASGD", {"weight_decay": -1.0}),
    ("Rprop", {"etas": (0.5, 0.9)}),
    ("LBFGS", {"lr": -1.0}),
    ("Adafactor", {"lr": -1.0}),
    ("Adafactor", {"d": 0.5}),
    ("Adafactor", {"beta2_decay": 0.5}),
]


def outcome(call: Any) -> tuple[type[BaseException], str]:
    """Give the type and text of the error that a call raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Exception) as caught:
            call()
    return caught.type, str(caught.value)


@pytest.mark.parametrize(("name", "options"), ERRORS, ids=describe)
def test_errors_of_options(name: str, options: dict[str, Any]) -> None:
    theirs, ours = torch.ones(1, requires_grad=True), Tensor._wrap(np.ones(1, np.float32)).requires_grad_()
    expected = outcome(lambda: getattr(torch.optim, name)([theirs], **options))
    assert outcome(lambda: getattr(optim, name)([ours], **options)) == expected


def parameter_errors(module: Any, leaf: Any) -> list[Any]:
    """Give calls that fail for their parameters, for torch or for us."""
    a, b = leaf(), leaf()

    def missing_option() -> Any:
        base = module.Optimizer
        required = __import__("importlib").import_module(f"{module.__name__}.optimizer").required
        return type("Needs", (base,), {})([a], {"lr": required})

    return [
        lambda: module.SGD([], lr=0.1),
        lambda: module.SGD([{"params": {a, b}}], lr=0.1),
        lambda: module.SGD([1], lr=0.1),
        lambda: module.SGD(["a"], lr=0.1),
        lambda: module.SGD([{"params": [a]}, {"params": [a]}], lr=0.1),
        lambda: module.SGD([{"params": [a]}, [b]], lr=0.1),
        lambda: module.SGD([("a", a), b], lr=0.1),
        lambda: module.SGD([a], lr=0.1).load_state_dict({"state": {}, "param_groups": []}),
        lambda: module.SGD([a], lr=0.1).load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]}),
        lambda: module.LBFGS([{"params": [a]}, {"params": [b]}]),
        missing_option,
    ]


@pytest.mark.parametrize("i", range(11))
def test_errors_of_parameters(i: int) -> None:
    theirs = parameter_errors(torch.optim, lambda: torch.ones(1, requires_grad=True))[i]
    ours = parameter_errors(optim, lambda: Tensor._wrap(np.ones(1, np.float32)).requires_grad_())[i]
    assert outcome(ours) == outcome(theirs)


def rosenbrock(x: Any) -> tuple[float, Any]:
    """Give the valley function and its gradient, in float64."""
    x = x.astype(np.float64)
    a, b = x[:-1], x[1:]
    g = np.zeros_like(x)
    g[:-1] = -400 * a * (b - a * a) - 2 * (1 - a)
    g[1:] += 200 * (b - a * a)
    return float((100 * (b - a * a) ** 2 + (1 - a) ** 2).sum()), g


def evaluator(pair: Pair, which: str, losses: list[float]) -> Any:
    """Make the closure of one of the two: it gives the valley function and leaves its gradients."""
    params = getattr(pair, which)

    def closure() -> float:
        loss, g = rosenbrock(np.concatenate([p.detach().numpy() if which == "theirs" else p._a for p in params]))
        for p, part in zip(params, (g[:4].astype(pair.dtype), g[4:].astype(pair.dtype)), strict=True):
            p.grad = torch.from_numpy(part) if which == "theirs" else Tensor._wrap(part)
        losses.append(loss)
        return loss

    return closure


# float32 runs are compared at their start: rounding alone sends them apart in the valley.
@pytest.mark.parametrize(("dtype", "calls", "rtol"), [("float32", 1, 1e-3), ("float64", 4, 1e-7)])
@pytest.mark.parametrize(
    "options",
    [
        {"lr": 1e-3, "max_iter": 5},
        {"line_search_fn": "strong_wolfe", "max_iter": 9},
        {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 8},
        {"line_search_fn": "strong_wolfe", "max_eval": 4, "lr": 5.0},
        {"lr": 1e-3, "history_size": 2, "max_eval": 3},
    ],
    ids=describe,
)
def test_lbfgs(options: dict[str, Any], dtype: str, calls: int, rtol: float) -> None:
    pair = Pair("LBFGS", options, [(4,), (2,)], dtype)
    losses: tuple[list[float], list[float]] = ([], [])
    ours, theirs = evaluator(pair, "ours", losses[0]), evaluator(pair, "theirs", losses[1])
    for _ in range(calls):
        assert pair.optim.step(ours) == pytest.approx(pair.torch.step(theirs), rel=rtol)
    np.testing.assert_allclose(*losses, rtol=rtol)
    state, expected = pair.optim.state_dict(), pair.torch.state_dict()
    assert [state["state"][0][key] for key in ("n_iter", "func_evals")] == [
        expected["state"][0][key] for key in ("n_iter", "func_evals")
    ]
    pair.reset("LBFGS", options)
    pair.torch.load_state_dict(to_torch(state))
    pair.optim.load_state_dict(from_torch(expected))
    assert pair.optim.step(ours) == pytest.approx(pair.torch.step(theirs), rel=rtol)
    np.testing.assert_allclose(*losses, rtol=10 * rtol)


def test_hooks_are_called_as_torch_s() -> None:
    calls: dict[str, list[Any]] = {"torch": [], "retrograd": []}
    pair = Pair("SGD", {"lr": 0.1})
    for name, optimizer in (("torch", pair.torch), ("retrograd", pair.optim)):
        note = calls[name].append
        handles = [
            optimizer.register_step_pre_hook(
                lambda o, args, kwargs, note=note: note(("pre", len(args), sorted(kwargs)))
            ),
            optimizer.register_step_post_hook(
                lambda o, args, kwargs, note=note: note(("post", len(args), sorted(kwargs)))
            ),
            optimizer.register_state_dict_pre_hook(lambda o, note=note: note("saving")),
            optimizer.register_state_dict_post_hook(
                lambda o, state, note=note: note(sorted(state)) or {**state, "more": 1}
            ),
            optimizer.register_load_state_dict_pre_hook(lambda o, state, note=note: note(sorted(state))),
            optimizer.register_load_state_dict_post_hook(lambda o, note=note: note("loaded")),
        ]
        optimizer.step()
        optimizer.step(closure=lambda: 3.0)
        state = optimizer.state_dict()
        optimizer.load_state_dict(state)
        for handle in handles:
            handle.remove()
        optimizer.step()
    assert calls["retrograd"] == calls["torch"]
