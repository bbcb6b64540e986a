"""Whole numbers among the arguments: one program for all of them where they are only computed with, one each where they decide."""

from __future__ import annotations

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
