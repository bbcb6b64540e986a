"""In-place writes on bases, views and siblings, before and after use: values, gradients and errors equal PyTorch's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")

VIEWS = {
    "slice": lambda t: t[1:3],
    "select": lambda t: t[:, 1],
    "transpose": lambda t: t.transpose(0, 1),
    "expand": lambda t: t.unsqueeze(0).expand(2, 4, 4),
    "chunk": lambda t: t.chunk(2)[0],
    "diagonal": lambda t: t.diagonal(),
    "view": lambda t: t.view(2, 8),
    "unsqueeze": lambda t: t.unsqueeze(1),
    "unbind": lambda t: t.unbind(0)[1],
    "narrow": lambda t: t.narrow(1, 1, 2),
    "slice of transpose": lambda t: t.t()[1:3],
    "unfold": lambda t: t.unfold(0, 2, 2),
}
WRITES = {
    "mul_": lambda t: t.mul_(2),
    "add_ product": lambda t: t.add_(t * t),
    "exp_": lambda t: t.exp_(),
    "zero_": lambda t: t.zero_(),
    "fill": lambda t: t.__setitem__(0, 3.0),
    "copy_": lambda t: t.copy_(t.detach() * 3),
}
TARGETS = ("base", "view", "sibling")
TIMES = ("before", "after", "between")


def run(T, view, write, target, time, leaf_kind):
    x = T.tensor(np.linspace(0.1, 1.6, 16).reshape(4, 4), requires_grad=leaf_kind != "no grad")
    base = x if leaf_kind == "leaf" else x * 1
    v = VIEWS[view](base)
    sibling = base.view(-1)
    chosen = {"base": base, "view": v, "sibling": sibling}[target]
    total = 0
    if time == "after":
        total = total + (v * v).sum() + (base * base).sum()
        WRITES[write](chosen)
    elif time == "before":
        WRITES[write](chosen)
        total = total + (v * v).sum() + (base.sin() * sibling.view(4, 4)).sum()
    else:
        total = total + (v * 3).sum()
        WRITES[write](chosen)
        total = total + (sibling * sibling).sum() + (v.cos()).sum()
    values = [base, v, sibling, total]
    out = [t.detach().numpy().copy() for t in values] + [tuple(t.requires_grad for t in values)]
    if total.requires_grad:
        total.backward()
        out.append(None if x.grad is None else x.grad.numpy().copy())
    return out


def outcome(T, *case):
    try:
        return run(T, *case), None
    except Exception as error:
        return None, error


@pytest.mark.parametrize("leaf_kind", ["computed", "leaf", "no grad"])
@pytest.mark.parametrize("view", VIEWS)
def test_table(view, leaf_kind):
    for write, target, time in itertools.product(WRITES, TARGETS, TIMES):
        case = (view, write, target, time, leaf_kind)
        ours, our_error = outcome(retrograd, *case)
        theirs, their_error = outcome(torch, *case)
        assert type(our_error) is type(their_error), (case, our_error, their_error)
        if theirs is None:
            continue
        for a, b in zip(ours, theirs, strict=True):
            if a is None or isinstance(a, tuple):
                assert a == b, case
            else:
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12, err_msg=str(case))
