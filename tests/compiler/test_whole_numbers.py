"""Whole numbers among the arguments: one program for all of them where they are only computed with, one each where they decide."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import retrograd as torch

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def programs(compiled):
    return sum(len(entries) for entries in compiled.entries.values())


def unused(x, index):
    return (x * 2).tanh()


def factor(x, index):
    return x * index + 1 / (index + 1)


def beside_a_float(x, index):
    return x * 0.5 + index


def counted(x, index, scale=1.0):
    return (x + index) * scale


@pytest.mark.parametrize("fn", [unused, factor, beside_a_float])
def test_one_program_serves_all(fn):
    compiled = torch.compile(fn, fullgraph=True)
    for index in range(20):
        np.testing.assert_allclose(
            compiled(torch.tensor(X), index).numpy(), fn(torch.tensor(X), index).numpy(), rtol=1e-6
        )
    assert programs(compiled) == 1 and not compiled.eager
    assert "int" in str(compiled.explain(rounds=0))


def test_keywords_and_floats_beside_them():
    compiled = torch.compile(counted, fullgraph=True)
    for index in range(12):
        found = compiled(torch.tensor(X), index=index, scale=1 / (index + 1))
        np.testing.assert_allclose(found.numpy(), (X + index) / (index + 1), rtol=1e-6)
    assert programs(compiled) <= 2 and not compiled.eager


def test_numbers_that_decide_have_programs_of_their_own():
    def by_mode(x, mode):
        return x * 2 if mode == 0 else x.exp() if mode == 1 else x - mode

    compiled = torch.compile(by_mode, fullgraph=True)
    for _ in range(4):
        for mode in (0, 1, 2):
            np.testing.assert_allclose(
                compiled(torch.tensor(X), mode).numpy(), by_mode(torch.tensor(X), mode).numpy(), rtol=1e-6
            )
    assert programs(compiled) == 3


def test_numbers_that_are_shapes():
    compiled = torch.compile(lambda x, n: x.sum() * torch.ones(n), fullgraph=True)
    for _ in range(3):
        for n in (2, 3, 5):
            np.testing.assert_allclose(compiled(torch.tensor(X), n).numpy(), np.full(n, 15.0))


def test_functions_chosen_by_a_number():
    def first(x):
        return x + 1

    def second(x):
        return x * 3

    def chosen(x, which):
        return (first, second)[which](x)

    compiled = torch.compile(chosen, fullgraph=True)
    for k in range(10):
        np.testing.assert_allclose(compiled(torch.tensor(X), k % 2).numpy(), chosen(torch.tensor(X), k % 2).numpy())


def test_a_training_step_that_is_given_its_number():
    def run(wrap):
        torch.manual_seed(0)
        net = torch.nn.Linear(3, 1)
        optimizer = torch.optim.Adam(net.parameters(), 0.1)

        def training_step(batch, batch_idx):
            x, y = batch
            optimizer.zero_grad()
            loss = (net(x) - y).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        step = wrap(training_step)
        generator = np.random.default_rng(0)
        batches = [
            (torch.tensor(generator.random((4, 3), np.float32)), torch.tensor(generator.random((4, 1), np.float32)))
            for _ in range(15)
        ]
        return [step(batch, k).item() for k, batch in enumerate(batches)], step

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, step = run(torch.compile)
    np.testing.assert_allclose(found, run(lambda f: f)[0], rtol=1e-5)
    assert programs(step) == 1 and not step.eager


def test_numbers_that_are_given_back_and_kept_change_with_those_they_were_computed_of():
    settings = {"scale": 1.0, "count": 1}

    def fn(x):
        return x * settings["scale"], settings["scale"] * 2, {"count": settings["count"] + 1}

    compiled = torch.compile(fn, fullgraph=True)
    for _ in range(8):
        x, twice, more = compiled(torch.tensor(X))
        np.testing.assert_allclose(x.numpy(), X * settings["scale"])
        assert (twice, type(twice)) == (settings["scale"] * 2, float)
        assert (more["count"], type(more["count"])) == (settings["count"] + 1, int)
        settings["scale"] += 0.5
        settings["count"] += 3
    assert programs(compiled) == 1


def test_what_a_run_leaves_in_the_place_of_a_number_stays():
    def course(wrapped):
        phase = {"now": 1.0, "gain": 1.0}

        @wrapped
        def fn(x):
            if phase["now"] > 4:
                phase["gain"] = phase["gain"] + 1.0
            return x * phase["now"] * phase["gain"]

        found = []
        for _ in range(10):
            found.append((fn(torch.ones(1)).item(), phase["gain"], type(phase["gain"])))
            phase["now"] += 1.0
            phase["gain"] += 0.25
        return found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert course(torch.compile) == course(lambda fn: fn)


def every_fourth(s, x):
    if (s["n"] + 1) % 4 == 0:
        x = x * 2
    return x + 1


def warmed_up(s, x):
    return x * min(1.0, s["n"] / 10)


def in_phases(s, x):
    if s["n"] < 3:
        return x * s["n"]
    return x + s["n"] if s["n"] // 5 > 1 else x - s["n"]


def at_one_number(s, x):
    return x * s["n"] if s["n"] != 7 else -x


def counted_down(s, x):
    left = 12 - s["n"]
    return x * 3 if not left else x / left


def of_two(s, x):
    return x * s["a"] if s["a"] * 4 > s["n"] else x * s["n"]


def chosen(s, x):
    return x * (0.5 if s["n"] in (3, 6, 9) else max(s["a"], 0.1 * s["n"], math.cos(s["a"])))


@pytest.mark.parametrize(
    ("fn", "most"),
    [
        (every_fourth, 2),
        (warmed_up, 2),
        (in_phases, 4),
        (at_one_number, 3),
        (counted_down, 3),
        (of_two, 2),
    ],
    ids=lambda fn: getattr(fn, "__name__", ""),
)
def test_a_program_for_each_outcome_of_comparisons(fn, most):
    settings = {"n": 0, "a": 0.25}
    compiled = torch.compile(lambda x: fn(settings, x), fullgraph=True)
    for k in range(40):
        settings["n"] = k % 17
        settings["a"] = 0.25 + 0.125 * (k % 5)
        np.testing.assert_allclose(compiled(torch.tensor(X)).numpy(), fn(settings, torch.tensor(X)).numpy(), rtol=1e-6)
    assert programs(compiled) <= most


def test_numbers_that_come_of_others_unseen_are_noticed():
    settings = {"n": 0, "a": 0.25}
    compiled = torch.compile(lambda x: chosen(settings, x))  # 0.1 * n and cos(a) are plain numbers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(40):
            settings["n"] = k % 17
            settings["a"] = 0.25 + 0.125 * (k % 5)
            x = torch.tensor(X)
            np.testing.assert_allclose(compiled(x).numpy(), chosen(settings, x).numpy(), rtol=1e-6)


def remainder_kept(s, x):
    turn = s["n"] % 4
    return x * (1.0 + turn) if turn == turn else -x


def quotient_in_a_float(s, x):
    return x * (1.0 + s["n"] // 6)


def both(s, x):
    turn = s["n"] // 6
    return x * (1.0 + turn) if turn > 1 else x * (2.0 - turn)


@pytest.mark.parametrize("fn", [remainder_kept, quotient_in_a_float, both], ids=lambda fn: fn.__name__)
def test_remainders_in_floats_are_guards(fn):
    settings = {"n": 0}
    compiled = torch.compile(lambda x: fn(settings, x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(30):
            settings["n"] = k
            x = torch.tensor(X)
            np.testing.assert_allclose(compiled(x).numpy(), fn(settings, x).numpy(), rtol=1e-6)


def test_remainders_that_are_computed_with_are_guards():
    settings = {"n": 0}
    compiled = torch.compile(lambda x: x * (settings["n"] % 3), fullgraph=True)
    for k in (0, 3, 6, 1, 4, 7, 2, 5):
        settings["n"] = k
        assert compiled(torch.ones(1)).item() == k % 3
