"""Structures of Jacobians: what is said of every row of the op table holds for the numbers of its samples."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from retrograd import glass
from retrograd.core import REGISTRY, TensorType
from retrograd.glass.patterns import pattern_of
from retrograd.glass.structure import classify, jacobian_of


def alone(marks, axis):
    return bool((marks.sum(axis) <= 1).all())


def area_of_blocks(marks):
    """Rows and columns that hang together, as rectangles: how many entries they have in all."""
    reach = marks.astype(int)
    for _ in range(20):
        reach = (reach @ marks.T.astype(int) @ reach > 0).astype(int)
    return int((reach > 0).sum())


# What each name promises of a matrix.
PROMISES = {
    "zero": lambda m, marks: not marks.any(),
    "identity": lambda m, marks: np.array_equal(m, np.eye(len(m))),
    "scaled identity": lambda m, marks: np.array_equal(m, m[0, 0] * np.eye(len(m))),
    "diagonal": lambda m, marks: not (marks & ~np.eye(len(m), dtype=bool)).any(),
    "permutation": lambda m, marks: (
        np.array_equal(np.sort(m, 0)[-1], np.ones(len(m))) and np.count_nonzero(m) == len(m)
    ),
    "selection": lambda m, marks: alone(marks, 0) or alone(marks, 1),
    "summation": lambda m, marks: alone(marks, 0),
    "broadcast": lambda m, marks: alone(marks, 1),
    "triangular": lambda m, marks: not np.triu(marks, 1).any(),
    "block diagonal": lambda m, marks: True,
    "sparse": lambda m, marks: True,
    "dense": lambda m, marks: True,
}


def arrays(op, sample):
    rng = np.random.default_rng(0)
    domain = sample.get("domain", op.domain) or (-2.0, 2.0)
    domains = domain if isinstance(domain[0], tuple) else (domain,) * len(sample["shapes"])
    kinds = sample.get("dtypes", (None,) * len(sample["shapes"]))
    for shape, (low, high), kind in zip(sample["shapes"], domains, kinds, strict=True):
        kind = kind or sample.get("dtype")
        if kind == "bool":
            yield rng.integers(0, 2, shape).astype(bool)
        elif kind == "index":
            yield rng.integers(0, sample["high"], shape)
        elif kind is None:
            yield rng.uniform(low, high, shape)
        else:
            return


def cases():
    for name, op in sorted(REGISTRY.items()):
        if op.vjp is None or op.outputs != 1 or op.family == "plain":
            continue
        for k, sample in enumerate(op.samples):
            xs = list(arrays(op, sample))
            if len(xs) == len(sample["shapes"]) and all(x.size for x in xs):
                yield pytest.param(op, xs, sample.get("attrs", {}), id=f"{name}-{k}")


@pytest.mark.parametrize(("op", "xs", "attrs"), list(cases()))
def test_structure_of_every_row(op, xs, attrs):
    floats = [x for x in xs if x.dtype.kind == "f"]
    tensors = [torch.tensor(x).requires_grad_(x.dtype.kind == "f") for x in xs]
    with torch.enable_grad():
        out = op(*tensors, **attrs)
    if out._a.dtype.kind != "f" or not floats or out._a.size * max(x.size for x in floats) > 6000:
        return
    assert pattern_of(op)[0].count(": ") == 1
    for slot, x in enumerate(xs):
        if x.dtype.kind != "f" or op.rule_for(slot) is None:
            continue
        matrix = np.zeros((out._a.size, x.size))
        for k in range(out._a.size):
            g = np.zeros(out._a.size)
            g[k] = 1
            (row,) = torch.autograd.grad(
                out, tensors[slot], torch.tensor(g.reshape(out._a.shape)), retain_graph=True, allow_unused=True
            )
            if row is not None:
                matrix[k] = row.numpy().reshape(-1)
        types = [TensorType(a.shape, a.dtype) for a in xs]
        said = jacobian_of(op, TensorType(out._a.shape, out._a.dtype), types[slot], types, slot, attrs)
        assert np.count_nonzero(matrix) <= said.nonzeros, said
        assert PROMISES[said.structure](matrix, matrix != 0), said
        if said.structure == "block diagonal":
            assert area_of_blocks(matrix != 0) <= said.nonzeros
        assert said.implicit_flops <= max(said.formed_flops, 5 * 16 * max(said.rows, said.columns))


def test_symbols_are_read_off_every_elementwise_row():
    """Each row's rule can be written; the numbers that stand in it are the rule's own."""
    missing = []
    for name, op in sorted(REGISTRY.items()):
        if op.family != "elementwise" or op.vjp is None:
            continue
        xs = [torch.tensor(x).requires_grad_() for x in arrays(op, op.samples[0]) if x.dtype.kind == "f"]
        if len(xs) != len(op.names):
            continue
        seen = glass.explain(op(*xs, **op.samples[0].get("attrs", {})))
        for e in seen.edges:
            if e.rule and "J(" in e.rule:
                missing.append(name)
    assert not missing


@pytest.mark.parametrize(
    ("matrix", "name"),
    [
        (np.zeros((2, 3)), "zero"),
        (np.eye(3), "identity"),
        (-2 * np.eye(3), "scaled identity"),
        (np.diag([1.0, 0.0, 2.0]), "diagonal"),
        (np.eye(3)[[1, 2, 0]], "permutation"),
        (np.eye(3)[[1, 2]], "selection"),
        (np.eye(3)[[1, 1, 0, 2]], "broadcast"),
        (np.ones((1, 3)), "summation"),
        (np.tril(np.full((3, 3), 2.0)), "triangular"),
        (np.full((2, 2), 3.0), "dense"),
        (np.kron(np.eye(2), np.full((2, 2), 3.0)), "block diagonal"),
        (np.array([[2.0, 2.0, 0.0], [0.0, 2.0, 2.0], [2.0, 0.0, 2.0]]), "sparse"),
    ],
)
def test_classify(matrix, name):
    assert classify(matrix) == name


def test_the_cost_of_a_large_product_is_that_of_its_nonzeros():
    x = torch.ones(256, 784, requires_grad=True)
    w = torch.ones(784, 10, requires_grad=True)
    seen = glass.explain((x @ w).sum())
    by_x, by_w = (seen.edges[e].jacobian for e in seen.node("x @ w").edges)
    for j in (by_x, by_w):
        assert j.structure == "block diagonal"
        assert j.implicit_flops == 2 * 256 * 784 * 10
    assert by_x.formed_bytes == 4 * 2560 * 256 * 784
    assert by_w.formed_flops == 2 * 2560 * 7840
    assert by_x.matrix is None
