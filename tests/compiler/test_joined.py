"""Products by one matrix: joined where none waits for another, its columns turned once where they do."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from compiler.test_passes import check, graph_of, names
from retrograd.compiler.passes.joined import LEAST, join_products, turn_once
from retrograd.compiler.passes.products import to_products


def steps(x, w, u, b):
    """Multiply what comes in by ``w`` at each step, and the state by ``u``."""
    h = x[:, 0] * 0
    for t in range(x.shape[1]):
        h = torch.tanh(torch.nn.functional.linear(x[:, t], w, b) + torch.nn.functional.linear(h, u))
    return h


def scattered(x, w, u, b):
    """Give each product a left operand of its own kind, and let the results meet late."""
    parts = [x[:, 0], x[:, 1].exp(), (x[:, 2] * 2), x[:, 3] + x[:, 4]]
    return sum((p @ w.t()).tanh() for p in parts)


def chained(x, w, u, b):
    """Let every product wait for the one before."""
    h = x[:, 0]
    for _ in range(6):
        h = h @ u
    return h


def crossed(x, w, u, b):
    """Let the products by two matrices wait for each other crosswise, so that not all can be joined."""
    total = 0
    for t in range(4):
        first = x[:, t] @ w.t()[:, :8]
        total = total + torch.tanh(first @ w[:8]) @ w.t()[:, :8]
    return total


def repeated(x, w, u, b):
    """Read a product's result as another product's left operand, and the same product twice."""
    return torch.cat([(x[:, t] @ w.t()).exp() + x[:, t] @ w.t() for t in range(5)])


SHAPES = [(3, 6, 8), (8, 8), (8, 8), (8,)]


@pytest.mark.parametrize("fn", [steps, scattered, chained, crossed, repeated])
def test_values_stay(fn):
    graph, values = graph_of(fn, *SHAPES)
    made = check(join_products, to_products(graph), values)
    check(turn_once, made, values)


@pytest.mark.parametrize(
    ("fn", "before", "after"), [(steps, 12, 7), (scattered, 4, 1), (chained, 6, 6), (repeated, 5, 1)]
)
def test_what_is_joined(fn, before, after):
    graph, _ = graph_of(fn, *SHAPES)
    graph = to_products(graph)
    assert len({n for n in graph.nodes if n.op is not None and n.op.name == "matmul"}) >= before
    assert names(join_products(graph)).count("matmul") == after


def test_a_row_that_all_products_are_given_is_added_once():
    graph, _ = graph_of(steps, *SHAPES)
    made = join_products(to_products(graph))
    assert names(to_products(graph)).count("add") == 12
    assert names(made).count("add") == 7


def test_a_matrix_read_by_columns_is_turned_once_if_many_products_read_it():
    graph, _ = graph_of(steps, *SHAPES)
    made = turn_once(join_products(to_products(graph)))
    clones = [n for n in made.nodes if n.op is not None and n.op.name == "clone"]
    assert len(clones) == 1
    readers = [n for n in made.nodes if clones[0] in n.inputs]
    assert len(readers) == 6 >= LEAST


def test_draws_stay_in_their_order():
    def noisy(x, w, u, b):
        return sum(((x[:, t] + torch.rand_like(x[:, t])) @ w.t()).sum() for t in range(5))

    def run(compiled):
        torch.manual_seed(3)
        rng = np.random.default_rng(0)
        given = [torch.tensor(rng.uniform(0.5, 2, s).astype(np.float32)) for s in SHAPES]
        fn = torch.compile(noisy) if compiled else noisy
        return [fn(*given).item() for _ in range(4)]

    np.testing.assert_allclose(run(True), run(False), rtol=1e-5)


def test_gradients_of_a_recurrence_are_eager_ones():
    rng = np.random.default_rng(0)
    given = [torch.tensor(rng.uniform(-1, 1, s).astype(np.float32)) for s in SHAPES]

    def step(x, w, u, b):
        leaves = [t.clone().requires_grad_() for t in (x, w, u, b)]
        return torch.autograd.grad(steps(*leaves).square().sum(), leaves)

    compiled = torch.compile(step)
    for _ in range(3):
        found = compiled(*given)
    for a, e in zip(found, step(*given), strict=True):
        np.testing.assert_allclose(a.numpy(), e.numpy(), rtol=1e-4, atol=1e-5)
