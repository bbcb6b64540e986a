"""Muon, optimizers' options and errors one by one, and optimizers on other parameters for a while, against torch."""

from __future__ import annotations

import copy
import importlib
import inspect
import itertools
import warnings
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from parity.nn_helpers import drawn  # noqa: E402
from parity.outcomes import outcome, same  # noqa: E402

OPTIMIZERS = [n for n, c in vars(torch.optim).items() if inspect.isclass(c) and n != "Optimizer" and n[0] != "_"]
VALUES = (-1.0, 0.0, 0, 2, None, True, "x", (1.5, 0.5), (0.5, -1.0), (0.5, 0.5))


def matrices(T, *shapes):
    return [T.nn.Parameter(T.tensor(drawn(shape, i)).float()) for i, shape in enumerate(shapes)]


def muon(T, shape, **options):
    ps = matrices(T, shape, (2, 3))
    optimizer = T.optim.Muon(ps, **options)
    for _ in range(4):
        optimizer.zero_grad()
        sum((p**3).sum() for p in ps).backward()
        optimizer.step()
    state = optimizer.state_dict()
    return ps, state["state"], state["param_groups"], repr(optimizer)


OPTIONS = ({}, {"nesterov": False}, {"adjust_lr_fn": "match_rms_adamw", "lr": 0.1}, {"weight_decay": 0, "ns_steps": 3})


@pytest.mark.parametrize(("shape", "options"), list(itertools.product(((4, 4), (3, 7), (8, 3)), OPTIONS)), ids=str)
def test_muon(shape, options):
    same(lambda T: muon(T, shape, **{"lr": 0.02, **options}), tolerance=1e-4)


MUON_ERRORS = {
    "vector": lambda T: T.optim.Muon([T.nn.Parameter(T.ones(3))]),
    "adjustment": lambda T: T.optim.Muon(matrices(T, (2, 2)), adjust_lr_fn="other"),
    "too many steps": lambda T: muon(T, (2, 2), ns_steps=100),
    "complex": lambda T: muon_of_complex(T),
}


def muon_of_complex(T):
    p = T.nn.Parameter(T.ones(2, 2, dtype=T.complex64))
    p.grad = T.ones(2, 2, dtype=T.complex64)
    T.optim.Muon([p]).step()


@pytest.mark.parametrize("name", MUON_ERRORS)
def test_errors_of_muon(name):
    same(MUON_ERRORS[name])


def test_muon_goes_on_from_torchs_state():
    theirs, mine = matrices(torch, (3, 4)), matrices(retrograd, (3, 4))
    first, second = torch.optim.Muon(theirs, lr=0.1), retrograd.optim.Muon(mine, lr=0.3)
    theirs[0].grad = torch.tensor(drawn((3, 4), 5)).float()
    mine[0].grad = retrograd.tensor(drawn((3, 4), 5)).float()
    first.step()
    saved = first.state_dict()
    buffer = retrograd.tensor(saved["state"][0]["momentum_buffer"].numpy())
    second.load_state_dict({**saved, "state": {0: {"momentum_buffer": buffer}}})
    mine[0].data = retrograd.tensor(theirs[0].detach().numpy().copy())
    first.step()
    second.step()
    np.testing.assert_allclose(mine[0].detach().numpy(), theirs[0].detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_defaults_and_what_each_option_may_be(name):
    def made(T, **options):
        return dict(getattr(T.optim, name)(matrices(T, (2, 2), (2, 2)), **options).defaults)

    same(made)
    same(lambda T: getattr(T.optim, name)(matrices(T, (2, 2), (2, 2))).state_dict())
    same(lambda T: repr(getattr(T.optim, name)(matrices(T, (2, 2)))))
    for option in list(inspect.signature(getattr(torch.optim, name)).parameters)[1:]:
        for value in VALUES:
            mine, theirs = (outcome(T, partial(made, **{option: value})) for T in (retrograd, torch))
            assert repr(mine) == repr(theirs), f"{option}={value!r}"


PARAMETERS = {
    "none": lambda T: [],
    "a tensor": lambda T: T.ones(2, 2),
    "a result": lambda T: [T.ones(2, 2, requires_grad=True) * 2],
    "a number": lambda T: [3],
    "a set": lambda T: set(matrices(T, (2, 2))),
    "groups": lambda T: [{"params": matrices(T, (2, 2))}, {"params": matrices(T, (2, 2))[0], "lr": 0.5}],
    "named": lambda T: [("a", matrices(T, (2, 2))[0]), ("b", matrices(T, (2, 2))[0])],
    "named twice": lambda T: [("a", matrices(T, (2, 2))[0]), ("a", matrices(T, (2, 2))[0])],
    "partly named": lambda T: [("a", matrices(T, (2, 2))[0]), *matrices(T, (2, 2))],
    "a generator": lambda T: (p for p in matrices(T, (2, 2))),
    "twice": lambda T: matrices(T, (2, 2)) * 2,
    "text": lambda T: "abc",
    "a group with a set": lambda T: [{"params": set(matrices(T, (2, 2)))}],
    "a group without": lambda T: [{"lr": 1}],
    "integers": lambda T: [T.ones(2, 2, dtype=T.int64)],
}


@pytest.mark.parametrize("name", ["SGD", "AdamW", "LBFGS", "Muon"])
@pytest.mark.parametrize("given", PARAMETERS)
def test_parameters_of_every_kind(name, given):
    def case(T):
        made = getattr(T.optim, name)(PARAMETERS[given](T))
        return [sorted(group) for group in made.param_groups], [len(g["params"]) for g in made.param_groups]

    same(case)


def started(T):
    live = matrices(T, (2, 2), (2, 2))
    optimizer = T.optim.SGD([{"params": live[:1]}, {"params": live[1:], "lr": 0.2}], lr=0.1, momentum=0.9)
    for p in live:
        p.grad = T.ones(2, 2)
    optimizer.step()
    return live, optimizer


def swapped(T, change=lambda state: state, count=2, fail=False):
    live, optimizer = started(T)
    state = optimizer.state_dict()
    given = {
        "state": {k: dict(v) for k, v in state["state"].items()},
        "param_groups": [dict(g) for g in state["param_groups"]],
    }
    given["param_groups"][0]["lr"] = 1.0
    others = {f"p{i}": T.nn.Parameter(T.zeros(2, 2)) for i in range(count)}
    for p in others.values():
        p.grad = T.full((2, 2), 2.0)
    try:
        with T.optim.swap_in_optimizer_params_and_state(optimizer, others, change(given)):
            optimizer.step()
            inside = [len(g["params"]) for g in optimizer.param_groups], optimizer.param_groups[0]["lr"]
            if fail:
                raise KeyError
    except KeyError:
        inside = "failed"
    optimizer.step()
    same_ones = all(a is b for a, b in zip(live, (p for g in optimizer.param_groups for p in g["params"]), strict=True))
    return (
        live,
        list(others.values()),
        inside,
        optimizer.param_groups[0]["lr"],
        same_ones,
        optimizer.state_dict()["state"],
    )


def without(key):
    return lambda state: {k: v for k, v in state.items() if k != key}


def in_group(**change):
    return lambda state: {**state, "param_groups": [{**state["param_groups"][0], **change}, *state["param_groups"][1:]]}


SWAPPED = {
    "swapped": swapped,
    "after an error": lambda T: swapped(T, fail=True),
    "too few": lambda T: swapped(T, count=1),
    "no state": lambda T: swapped(T, without("state")),
    "no groups": lambda T: swapped(T, without("param_groups")),
    "one group": lambda T: swapped(T, lambda s: {**s, "param_groups": s["param_groups"][:1]}),
    "other options": lambda T: swapped(T, in_group(size=3)),
    "other numbers": lambda T: swapped(T, in_group(params=[0, 1])),
    "names": lambda T: swapped(T, in_group(params=["a"])),
    "extra state": lambda T: swapped(T, lambda s: {**s, "state": {**s["state"], 7: {}}}),
    "state of another kind": lambda T: swapped(T, lambda s: {**s, "state": {0: 3}}),
    "not started": lambda T: T.optim.swap_in_optimizer_params_and_state(
        T.optim.SGD(matrices(T, (2, 2)), momentum=0.9), {}, {}
    ).__enter__(),
}


@pytest.mark.parametrize("name", SWAPPED)
def test_other_parameters_for_a_while(name):
    same(SWAPPED[name])


# The lists of states that each function of lists takes, by the names of the states.
LISTS = {
    "Adadelta": ("square_avg", "acc_delta", "step"),
    "Adagrad": ("sum", "step"),
    "Adam": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"),
    "AdamW": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"),
    "Adamax": ("exp_avg", "exp_inf", "step"),
    "ASGD": ("ax", "mu", "eta", "step"),
    "NAdam": ("exp_avg", "exp_avg_sq", "mu_product", "step"),
    "RAdam": ("exp_avg", "exp_avg_sq", "step"),
    "RMSprop": ("square_avg", "grad_avg", "momentum_buffer", "step"),
    "Rprop": ("prev", "step_size", "step"),
    "SGD": ("momentum_buffer",),
}
PAIRS = {
    "betas": ("beta1", "beta2"),
    "etas": ("etaminus", "etaplus"),
    "step_sizes": ("step_size_min", "step_size_max"),
}
CHOSEN = [
    *((name, {}) for name in LISTS),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "maximize": True}),
]


def by_lists(T, name, options):
    """Two steps of the class, to have states, and then two of the function of lists."""
    ps = matrices(T, (2, 3), (4,))
    optimizer = getattr(T.optim, name)(ps, **options)
    for k in range(2):
        for i, p in enumerate(ps):
            p.grad = T.tensor(drawn(tuple(p.shape), 10 * k + i)).float()
        optimizer.step()
    group = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
    for pair, names in PAIRS.items():
        if pair in group:
            group |= dict(zip(names, group.pop(pair), strict=True))
    step = getattr(importlib.import_module(f"{T.__name__}.optim.{name.lower()}"), name.lower())
    wanted = inspect.signature(getattr(importlib.import_module(f"torch.optim.{name.lower()}"), name.lower()))
    settings = {k: group[k] for k in wanted.parameters if k in group}
    lists = []
    for state in LISTS[name]:
        held = [optimizer.state[p].get(state) for p in ps]
        lists.append([] if held[0] is None and state != "momentum_buffer" else held)
    if name == "RMSprop" and lists[2][0] is None:
        lists[2] = []
    with T.no_grad():
        for k in range(2):
            step(ps, [T.tensor(drawn(tuple(p.shape), 50 + k)).float() for p in ps], *lists, **settings)
    return ps, lists


@pytest.mark.parametrize(("name", "options"), CHOSEN, ids=str)
def test_functions_of_lists(name, options):
    same(lambda T: by_lists(T, name, options), tolerance=2e-5)


def test_functions_of_lists_are_at_torchs_address():
    from retrograd.optim import _functional

    assert {name.lower() for name in LISTS} == set(_functional.__all__)
    with pytest.raises(TypeError):
        _functional.adam([retrograd.ones(1)], [retrograd.ones(1)])


def given(T, name, dtype="float64", sparse=False, steps=3, shape=(4, 3), **options):
    """Take steps on gradients that are assigned by hand; give the parameter, the state's names and the group's."""
    p = T.nn.Parameter(T.tensor(drawn(shape, 1)).to(getattr(T, dtype)))
    optimizer = getattr(T.optim, name)([p], **options)
    for i in range(steps):
        g = T.tensor(drawn(shape, 10 + i)).to(getattr(T, dtype))
        p.grad = g.to_sparse(1) if sparse else g
        if i == 1:
            optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch may tell of its sparse tensors' checks
            optimizer.step()
    state = optimizer.state_dict()
    return p, [list(s) for s in state["state"].values()], list(state["param_groups"][0])


def first_velocity(T):
    x, g = (T.tensor(drawn((3,), i)).requires_grad_() for i in (1, 2))
    p = x.clone()
    p.grad = g
    optimizer = T.optim.SGD([p], lr=0.1, momentum=0.9, differentiable=True)
    optimizer.step()
    optimizer.step()
    return T.autograd.grad((p**3).sum(), (x, g))


def quadratic(T, lr):
    p = T.nn.Parameter(T.tensor(drawn((3,), 1)))
    optimizer = T.optim.LBFGS([p], lr=lr, max_iter=3)

    def closure():
        optimizer.zero_grad()
        loss = ((p - 0.3) ** 4).sum()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    return list(optimizer.state_dict()["state"][0]), type(optimizer.state_dict()["state"][0]["t"])


TWO_RATES = (0.1, 0.2)
CALLS = {
    **{
        f"sparse {name} {options}": lambda T, name=name, options=options: given(T, name, sparse=True, **options)
        for name, options in (
            ("SGD", {"lr": 0.1}),
            ("SGD", {"lr": 0.1, "momentum": 0.9}),
            ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
            ("SGD", {"lr": 0.1, "fused": True}),
            ("Adagrad", {"lr": 0.1}),
            ("Adagrad", {"weight_decay": 0.1}),
            ("Adagrad", {"fused": True}),
            ("SparseAdam", {}),
            ("Adam", {}),
            ("RMSprop", {}),
        )
    },
    **{
        f"complex {name} {options}": lambda T, name=name, options=options: given(T, name, "complex128", **options)
        for name, options in (
            ("Adafactor", {}),
            ("SparseAdam", {}),
            *((name, {"fused": True}) for name in ("SGD", "Adam", "AdamW", "Adagrad")),
        )
    },
    **{
        f"{name} of float64": lambda T, name=name: given(T, name)
        for name in ("Muon", "Adafactor", "Adam", "SGD", "NAdam", "ASGD", "Rprop")
    },
    "Adafactor by two rates": lambda T: given(T, "Adafactor", lr=T.tensor(TWO_RATES)),
    "Adam's rate over lists": lambda T: given(T, "Adam", lr=T.tensor(0.1), foreach=True),
    "AdamW's betas over lists": lambda T: given(
        T, "AdamW", betas=(T.tensor(0.9, dtype=T.float64), T.tensor(0.99, dtype=T.float64)), foreach=True
    ),
    "the first velocity has no history": first_velocity,
    "what LBFGS keeps": lambda T: quadratic(T, 1),
    "what LBFGS keeps by another rate": lambda T: quadratic(T, 0.5),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    same(CALLS[name], tolerance=1e-4 if "Muon" in name else 1e-7)
