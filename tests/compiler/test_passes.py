"""Each pass alone: what it rewrites, and that values and types stay."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from compiler.test_programs import close, drawn, forward_of, gradient_of, traced
from retrograd.autodiff.trace import interpret
from retrograd.compiler import passes
from retrograd.compiler.passes import sums
from retrograd.compiler.passes.algebra import simplify
from retrograd.compiler.passes.apart import read_apart
from retrograd.compiler.passes.assembly import assemble_parts
from retrograd.compiler.passes.constants import fold
from retrograd.compiler.passes.products import to_products
from retrograd.compiler.passes.selection import select_by_comparison
from retrograd.compiler.passes.sums import join_terms
from retrograd.compiler.passes.writes import remove_copies
from retrograd.core import wrap

F = torch.nn.functional


def graph_of(fn, *shapes):
    rng = np.random.default_rng(0)
    tensors = [wrap(rng.uniform(0.5, 2, s).astype(np.float32)) for s in shapes]
    graph, inputs, _ = traced(lambda *xs: (lambda r: list(r) if isinstance(r, tuple) else [r])(fn(*xs)), tensors)
    return graph, [t._a.copy() for t in inputs]


def names(graph):
    return [n.op.name for n in graph.nodes if n.op is not None]


def check(step, graph, values):
    made = step(graph)
    made.check()
    for a, b in zip(interpret(made, values), interpret(graph, values), strict=True):
        close(np.asarray(a), np.asarray(b))
    return made


ALGEBRA = {
    "times one": (lambda x: x * 1, ["mul"]),
    "over one": (lambda x: x / 1.0, ["div"]),
    "first power": (lambda x: x**1, ["pow"]),
    "twice negated": (lambda x: x.neg().neg(), ["neg"]),
    "view of a view": (lambda x: x.reshape(12).reshape(2, 6), []),
    "turned back": (lambda x: x.T.T.transpose(0, 1).transpose(0, 1), ["transpose"]),
    "expanded again": (lambda x: x[:, :1].expand(3, 4).expand(2, 3, 4), []),
    "mean": (lambda x: x.mean(1), ["mean"]),
    "axis of one": (lambda x: x[:1].sum(0), ["sum"]),
    "same branches": (lambda x: torch.where(x > 1, x, x), ["where"]),
}


@pytest.mark.parametrize("name", ALGEBRA)
def test_algebra(name):
    fn, gone = ALGEBRA[name]
    graph, values = graph_of(fn, (3, 4))
    made = check(simplify, remove_copies(graph), values)
    assert not set(gone) & set(names(made))
    assert sum(n == "view" for n in names(made)) <= 1
    assert sum(n == "expand" for n in names(made)) <= 1


def test_division_by_a_power_of_two_is_a_product_and_by_three_is_not():
    graph, values = graph_of(lambda x: (x / 4, x / 3), (3,))
    assert sorted(names(check(simplify, graph, values))) == ["div", "mul"]


def test_reductions_lose_keepdims():
    graph, values = graph_of(lambda x: x.sum(1, keepdim=True) + x.amax((0, 1), keepdim=True), (3, 4))
    made = check(simplify, graph, values)
    assert not any(n.attrs.get("keepdims") for n in made.nodes if n.op is not None)


def test_equal_nodes_are_one():
    graph, values = graph_of(lambda x: (x.sin() + 1) * (x.sin() + 1), (3,))
    assert names(check(fold, graph, values)).count("sin") == 1


def test_equal_draws_are_two():
    graph, _ = graph_of(lambda x: (torch.rand(3) - torch.rand(3)) * x, (3,))
    for step in passes.PIPELINE:
        graph = step(graph)
    assert sum(n.op is not None and n.op.impure for n in graph.nodes) == 2


def test_zero_and_minus_zero_are_told_apart():
    graph, values = graph_of(lambda x: (x * 0.0, x * -0.0), (3,))
    for step in passes.PIPELINE:
        graph = step(graph)
    a, b = interpret(graph, values)
    assert not np.signbit(a).any()
    assert np.signbit(b).all()


def test_constants_are_folded():
    graph, values = graph_of(lambda x: x + (torch.ones(3) * 2).exp(), (3,))
    assert names(check(fold, graph, values)) == ["add"]


def test_products():
    graph, values = graph_of(lambda x, w, b: F.linear(x, w, b), (2, 5, 4), (3, 4), (3,))
    assert "linear" in names(graph)
    made = check(to_products, graph, values)
    assert "linear" not in names(made)
    assert "matmul" in names(made)


def test_parts_are_assembled():
    def fn(x):
        return torch.cat([x, x * 2], 1), torch.stack([x, x]), F.pad(x, (1, 2))

    graph, values = graph_of(fn, (3, 4))
    assert set(names(check(assemble_parts, graph, values))) == {"assemble", "mul"}


def test_sums_of_parts_are_one_assembly():
    graph, values = graph_of(gradient_parts, (6, 4))
    made = check(assemble_parts, remove_copies(graph), values)
    assert names(made).count("assemble") == 1
    assert "embed" not in names(made)


def gradient_parts(x):
    x.requires_grad_()
    a, b = x[:2], x[2:]
    return torch.autograd.grad((a.sin().sum() + b.cos().sum()), x)[0]


def test_overlapping_parts_are_added():
    def fn(x):
        x.requires_grad_()
        return torch.autograd.grad((x[:4].sin().sum() + x[2:].cos().sum()), x)[0]

    graph, values = graph_of(fn, (6, 4))
    made = check(assemble_parts, remove_copies(graph), values)
    assert names(made).count("assemble") == 2


def test_one_place_in_each_row_is_a_comparison():
    index = torch.tensor([[1], [0], [3]])
    graph, values = graph_of(lambda x: x.gather(1, index), (3, 4))
    assert "gather" not in names(check(select_by_comparison, graph, values))
    several = torch.tensor([[1, 2], [0, 0], [3, 3]])
    graph, values = graph_of(lambda x: x.gather(1, several), (3, 4))
    assert "gather" in names(check(select_by_comparison, graph, values))


def test_copies_and_whole_writes_go():
    def fn(x):
        y = x.clone()
        y.copy_(x * 2)
        return y.detach().contiguous() + 1

    graph, values = graph_of(fn, (3, 4))
    assert set(names(check(remove_copies, graph, values))) == {"mul", "add"}


def recurrence(x, w):
    h = x
    for _ in range(4):
        h = torch.tanh(h @ w)
    return torch.autograd.grad(h.sum(), w.requires_grad_())[0] if w.requires_grad else recurrence(x, w.requires_grad_())


def chain(h, w, count):
    """A recurrence's products, each of which waits for the one before."""
    for _ in range(count):
        h = torch.tanh(h @ w.T)
    return h


PURPOSE = {  # of each pass: a program, its inputs' shapes, and an operation that is there (or how many) without that pass alone
    "remove_copies": (lambda x: x.clone() + 1, [(3, 4)], lambda n: "clone" not in n),
    "stable_forms": (lambda x: 1 / (1 + torch.exp(-x)), [(3, 4)], lambda n: "div" not in n),
    "fold": (lambda x: x + torch.full((3,), 2.0).exp(), [(2, 3)], lambda n: "exp" not in n),
    "to_products": (F.linear, [(2, 4), (3, 4)], lambda n: "linear" not in n),
    "simplify": (lambda x: x.mean(0), [(3, 4)], lambda n: "mean" not in n),
    "join_terms": (recurrence, [(3, 3), (3, 3)], lambda n: n.count("matmul") <= 8),
    "join_products": (
        lambda x, w: torch.stack([(row * k).exp() @ w for k, row in enumerate(x, 1)]),
        [(4, 2, 3), (3, 8)],
        lambda n: n.count("matmul") == 1,
    ),
    "turn_once": (lambda h, w: chain(h, w, 4), [(2, 8), (8, 8)], lambda n: "clone" in n),
    "read_apart": (
        lambda x: (x * 3).exp() + (x * 3).sin() + x.cos(),
        [(3, 4)],
        lambda n: n.count("mul") == 2,
    ),
    "assemble_parts": (lambda x: torch.cat([x, x + 1]), [(3, 4)], lambda n: "cat" not in n),
    "to_windows": (lambda x: F.max_pool2d(x, 2), [(1, 1, 4, 4)], lambda n: "max_pool" not in n),
    "to_places": (lambda x: x.argmax(1), [(3, 4)], lambda n: "argmax" not in n),
    "select_by_comparison": (
        lambda x: x.gather(1, torch.tensor([[1], [0], [3]])),
        [(3, 4)],
        lambda n: "gather" not in n,
    ),
}


def test_long_sums_are_products_of_pieces(monkeypatch):
    """Of at most so many rows each: what is put together for one piece is let go before the next."""
    graph, values = graph_of(recurrence, (3, 3), (3, 3))
    whole = names(check(join_terms, to_products(graph), values))
    monkeypatch.setattr(sums, "MOST_ROWS", 6)
    pieces = names(check(join_terms, to_products(graph), values))
    assert pieces.count("matmul") == whole.count("matmul") + 1
    nodes = graph.nodes[:5]
    assert [len(some) for some in sums.spans(nodes[::-1], lambda n: 2)] == [3, 2]
    assert [n for some in sums.spans(nodes[::-1], lambda n: 7) for n in some] == sorted(nodes, key=lambda n: n.seq)


def test_scaled_values_are_computed_by_their_readers():
    """Where the value is there for others too, and each reader goes over its elements anyway."""

    def fn(x, w):
        h = torch.exp(x)
        centred = h - h.mean(-1, keepdim=True)
        normal = centred * torch.rsqrt((centred * centred).mean(-1, keepdim=True))
        half = h * 0.5
        return torch.sin(half) + torch.cos(half), torch.sin(normal) + torch.cos(normal), half @ w, (x + 1) * (x + 1)

    graph, values = graph_of(fn, (8, 16), (16, 3))
    before, made = names(graph), check(read_apart, graph, values)
    after = names(made)
    assert {n: after.count(n) - before.count(n) for n in set(after)} == {
        **dict.fromkeys(set(before), 0),
        "mul": 2 + 1,  # of half, that the product reads is its own; of normal, both
        "add": 0,  # nobody else reads x
    }
    assert sum(n.op is not None and n.op.name == "sub" for n in made.nodes) == 1  # what normal is computed from stays


def test_each_pass_has_a_purpose_of_its_own():
    assert {step.__name__ for step in passes.PIPELINE} == set(PURPOSE)


@pytest.mark.parametrize("name", PURPOSE)
def test_without_a_pass(name, monkeypatch):
    fn, shapes, reached = PURPOSE[name]
    graph, _ = graph_of(fn, *shapes)
    assert reached(names(passes.optimise(graph)))
    rest = tuple([step for step in passes.PIPELINE if step.__name__ != name])
    monkeypatch.setattr(passes, "PIPELINE", rest)
    assert not reached(names(passes.optimise(graph)))


@pytest.mark.parametrize("seed", range(40))
def test_every_pass_keeps_values_of_random_programs(seed):
    maker, arrays = drawn(seed, "float64")
    make = gradient_of(maker, len(arrays)) if seed % 2 else forward_of(maker, seed, len(arrays))
    graph, inputs, _ = traced(make, [wrap(a.copy()) for a in arrays])
    values = [t._a.copy() for t in inputs]
    with np.errstate(all="ignore"):
        for step in passes.PIPELINE:
            graph = check(step, graph, values)
