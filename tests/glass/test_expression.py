"""Expressions are read, never run: what they mean, and what is refused."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

import retrograd as torch
from retrograd.glass.expression import ExpressionError, compute, names_in, parse, parse_value


def value(text, **names):
    return compute(parse(text), {k: torch.tensor(v, dtype=torch.float64) for k, v in names.items()}).item()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("2 ** 3 ** 2", 512),
        ("2 ^ 3", 8),
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        ("- - 3", 3),
        ("8 / 4 / 2", 1),
        ("8 - 4 - 2", 2),
        ("1e-3 * 1.5E3", 1.5),
        (".5 + 1.", 1.5),
        ("exp(log(x))", 3),
        ("ln(e)", 1),
        ("max(x, 5) + min(x, 5)", 8),
        ("cos(pi)", -1),
        ("x*x - x^2", 0),
        ("1/(1+exp(-0))", 0.5),
        ("relu(-x) + abs(-x)", 3),
        ("2·x × 3 − 4 ÷ 2", 16),
        ("cos(π)", -1),
    ],
)
def test_meaning(text, wanted):
    assert value(text, x=3.0) == pytest.approx(wanted)


def test_infinities_and_what_is_undefined_are_values():
    assert value("9**9**9**9") == math.inf
    assert value("1 / 0") == math.inf
    assert math.isnan(value("0 / 0"))
    assert math.isnan(value("log(-1)"))
    assert value("(0 - 1) / 0") == -math.inf


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a value is missing at the end"),
        ("1 +", "a value is missing at the end"),
        ("x x", "an operator is missing at 'x', character 3"),
        ("x.__class__", "attributes are not part"),
        ("__import__('os')", "not part of expressions"),
        ("x; y", "';' at character 2"),
        ("x if y else z", "an operator is missing"),
        ("lambda: 0", "':' at character 7"),
        ("eval(x)", "'eval' is not a function"),
        ("x[0]", "an operator is missing"),
        ("f'{x}'", "not part of expressions"),
        ("x = 1", "'=' at character 3"),
        ("1 + x²", "'²' at character 6: powers are written"),
        ("sigmod(x)", "did you mean sigmoid"),
        ("<script>alert(1)</script>", "'<' at character 1"),
        ("exp(x, y)", "exp takes 1 value, not 2"),
        ("max(x)", "max takes 2 values, not 1"),
        ("(x", "'\\)' is missing"),
        ("1e999", "too large for a number"),
        ("9" * 5000, "too large for a number"),
        ("(" * 200 + "x" + ")" * 200, "nested more than 60 deep"),
        ("-" * 500 + "x", "nested more than 60 deep"),
        ("2**" * 500 + "2", "nested more than 60 deep"),
        ("exp(" * 100 + "x" + ")" * 100, "nested more than 60 deep"),
        ("x + " * 5000 + "x", "at most 10000 are read"),
        ("n" * 100, "a name of 100 letters"),
        ("x\0y", "not part of expressions"),
    ],
)
def test_what_is_refused(text, why):
    start = time.perf_counter()
    with pytest.raises(ExpressionError, match=why):
        parse(text)
    assert time.perf_counter() - start < 1


def test_a_long_sum_takes_no_recursion():
    assert value("+".join(["x"] * 4000), x=1.0) == 4000


def test_names_in_order():
    assert names_in(parse("b*a + exp(b - c)")) == ["b", "a", "c"]


def test_values():
    np.testing.assert_array_equal(parse_value("[[1, -2], [3.5, 4e1]]"), [[1, -2], [3.5, 40]])
    assert parse_value("-3").shape == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1, [2]]", "different lengths"),
        ("[1, 2", "',' is missing"),
        ("x", "a number or a list"),
        ("1 2", "nothing may follow"),
        ("[" * 100, "nested more than 60 deep"),
        ("1e999", "too large"),
        ("-[1]", "a number or a list"),
    ],
)
def test_values_that_are_refused(text, why):
    with pytest.raises(ExpressionError, match=why):
        parse_value(text)
