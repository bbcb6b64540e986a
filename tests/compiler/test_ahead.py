"""What a statement computes before it asks for a value, told by its text."""

from __future__ import annotations

import ast

import pytest

from retrograd.compiler.ahead import Ahead

TABLE = {
    "if torch.isnan(loss) or f(x): pass": (["torch.isnan(loss)"], "if _ahead_0_ or f(x):\n    pass"),
    "if not (y - x).norm() > 1: pass": (["(y - x).norm() > 1"], "if not _ahead_0_:\n    pass"),
    "total += p.grad.norm(2).item() ** 2": (["p.grad.norm(2)"], "total += _ahead_0_.item() ** 2"),
    "losses.append(mse(a, b).item())": (["mse(a, b)"], "losses.append(_ahead_0_.item())"),
    "return {'a': loss.item(), 'b': (a == b).float().mean().item()}": (
        ["(a == b).float().mean()"],
        "return {'a': loss.item(), 'b': _ahead_0_.item()}",
    ),
    "print(f'{i} {a.sum().item():.3f} {b.sum().item()}')": (
        ["a.sum()", "b.sum()"],
        "print(f'{i} {_ahead_0_.item():.3f} {_ahead_1_.item()}')",
    ),
    "x = float(f(y)) + g(z)": (["f(y)"], "x = float(_ahead_0_) + g(z)"),
    "v, w = (f(x).item(), int(g(x)))": (["f(x)", "g(x)"], "v, w = (_ahead_0_.item(), int(_ahead_1_))"),
    "assert torch.isfinite(out).all(), 'bad'": (["torch.isfinite(out).all()"], "assert _ahead_0_, 'bad'"),
    # what comes before it might do something, or asks within
    "x = foo(a).bar(float(f(y)))": ([], None),
    "if loss.item() > f(x): pass": ([], None),
    "if 0 < f(x) < 1: pass": ([], None),
    "x = g(z) + float(f(y))": ([], None),
    "a[i(1)] += f(x).item()": ([], None),
    "x = float(f(y) if z else 0)": ([], None),
    "x = [float(f(y)) for y in ys]": ([], None),
    "x = float(max(f(y), 1))": ([], None),
    "x = float(y := f(z))": ([], None),
    "while f(x) > 1: pass": ([], None),
}


@pytest.mark.parametrize("text", TABLE)
def test_what_may_be_computed_ahead(text):
    statement = ast.parse("def f():\n " + text).body[0].body[0]
    local: set[str] = set()
    found, left = Ahead(local).of(statement)
    made, rest = TABLE[text]
    assert [ast.unparse(s.value) for s in found] == made
    assert ast.unparse(left) == (ast.unparse(statement) if rest is None else rest)
    assert local == {f"_ahead_{k}_" for k in range(len(made))}
