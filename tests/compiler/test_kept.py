"""Optimised graphs on disk: found again by what decides them, the same as they were, and never trusted to be there."""

from __future__ import annotations

import functools
import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd as torch
import retrograd.compiler.compiled as compiled
import retrograd.compiler.passes as passes
import retrograd.compiler.passes.kept as kept
import retrograd.nn.functional as F
from retrograd.autodiff.trace import Trace
from retrograd.compiler.program import Program
from retrograd.compiler.runtime import cache
from retrograd.core import REGISTRY, Graph, Node
from retrograd.tensor import Tensor


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of its own, in which graphs of any size are kept."""
    monkeypatch.setenv("RETROGRAD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("RETROGRAD_CACHE", raising=False)
    monkeypatch.setattr(cache, "_stores", {})
    monkeypatch.setattr(kept, "LEAST", 1)
    monkeypatch.setattr(compiled, "STRICT", True)
    return tmp_path / "cache"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first pass, each time that it runs."""
    seen: list[str] = []
    first, *rest = passes.PIPELINE

    @functools.wraps(first)
    def counted(graph: Graph) -> Graph:
        seen.append(first.__name__)
        return first(graph)

    monkeypatch.setattr(passes, "PIPELINE", (counted, *rest))
    return seen


def traced(function: Any, *shapes: tuple[int, ...]) -> Graph:
    """The graph of a function of tensors."""
    torch.manual_seed(0)
    given = [torch.randn(*shape) for shape in shapes]
    with Trace(given) as trace:
        out = function(*given)
        graph, inputs, _ = trace.finish(list(out) if isinstance(out, tuple) else [out])
    arrays = {n: t._a for n, t in zip(graph.inputs, inputs, strict=True) if not any(t is g for g in given)}
    graph.constants.update(arrays)
    return Graph(tuple([n for n in graph.inputs if n not in arrays]), graph.outputs, graph.constants)


def entries(home: Path) -> list[Path]:
    """The files in the directory."""
    return sorted(home.iterdir()) if home.is_dir() else []


TABLE = torch.arange(12.0).reshape(3, 4)
FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "softmax": (lambda x: F.softmax(x, -1) @ x.T, (3, 4)),
    "layer norm": (lambda x: F.layer_norm(x, (4,)), (3, 4)),
    "slices": (lambda x: torch.cat([x[:, 1:], x[..., None].squeeze(-1)[:, ::2]], 1), (3, 4)),
    "convolution": (lambda x, w: F.max_pool2d(F.conv2d(x, w, padding=1), 2), (2, 1, 6, 6), (2, 1, 3, 3)),
    "an array": (lambda x: x * TABLE + torch.tensor([1.0, -0.0, 2.0, float("inf")]), (3, 4)),
    "several results": (lambda x: (x.exp(), x.sum(), x), (3, 4)),
    "looking up": (lambda x: x[torch.tensor([2, 0])] + F.embedding(torch.tensor([1, 1]), x), (3, 4)),
    "stable forms": (lambda x: torch.log(torch.exp(x) / torch.exp(x).sum()), (5,)),
    "casts": (lambda x: x.double().to(torch.bfloat16).float(), (3, 4)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_found_is_what_was_made(name: str, home: Path, runs: list[str]) -> None:
    function, *shapes = FUNCTIONS[name]
    one, two = traced(function, *shapes), traced(function, *shapes)
    made, found = passes.optimise(one), passes.optimise(two)
    assert len(runs) == 1 and len(entries(home)) == 1
    assert str(found) == str(made) and found.inputs == two.inputs
    assert [n.op for n in found.nodes] == [n.op for n in made.nodes]
    places = [[n.place and n.place[0].co_name for n in g.nodes] for g in (made, found)]
    assert places[0] == places[1]
    found.checked.clear()
    found.check()
    values = [np.ones(n.shape, n.dtype) for n in one.inputs]
    results = [Program(g, optimised=True)([v.copy() for v in values]) for g in (made, found)]
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def scaled(number: Any, shape: tuple[int, ...] = (3, 4), axis: int = 0, extra: Any = None) -> Graph:
    return traced(lambda x: (x * number).sum(axis) if extra is None else (x * number).sum(axis) + extra, shape)


OTHERS: dict[str, Any] = {
    "a number": lambda: scaled(3.0),
    "the sign of zero": lambda: scaled(-0.0),
    "a whole number": lambda: scaled(2),
    "a shape": lambda: scaled(2.0, (3, 5)),
    "an attribute": lambda: scaled(2.0, axis=1),
    "another node": lambda: scaled(2.0, extra=1.0),
    "an array's contents": lambda: scaled(torch.tensor([1.0, 2.0, 3.0, 4.5])),
}


def named(graph: Graph, names: Any = ("one", "two")) -> str:
    return kept.digest(graph, graph.nodes, list(names))


@pytest.mark.parametrize("name", OTHERS)
def test_another_graph_has_another_name(name: str) -> None:
    assert named(scaled(2.0)) == named(scaled(2.0))
    assert named(OTHERS[name]()) != named(scaled(2.0))
    assert named(scaled(0.0)) != named(scaled(-0.0))
    array = scaled(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert named(OTHERS["an array's contents"]()) != named(array)


def test_other_passes_and_another_library_have_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = scaled(2.0)
    before = named(graph)
    assert named(graph, ["two", "one"]) != before
    monkeypatch.setattr(kept, "library", lambda: "another")
    assert named(graph) != before


def test_the_library_is_told_by_its_files() -> None:
    """A file that was edited makes another library: names, sizes and times of all of them count."""
    root = Path(kept.__file__).parents[2]
    count = sum(name.endswith(".py") for _, _, names in os.walk(root) for name in names)
    assert count > 100 and len(kept.library()) == 64


class Strange:
    """What no other process knows."""


def test_what_has_no_meaning_elsewhere_is_not_kept(home: Path, runs: list[str]) -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g * 2

    graph = scaled(2.0)
    node = graph.outputs[0]
    odd = Node(
        node.op, node.inputs, {**node.attrs, "strange": Strange()}, node.shape, node.dtype, False, None, (), None, None
    )
    graph.outputs = (odd,)
    with pytest.raises(kept.Unkeepable):
        named(graph)
    net = torch.compile(lambda x: Twice.apply(x).exp().sum())
    x = torch.ones(3, requires_grad=True)
    for _ in range(3):
        assert net(x).item() == pytest.approx(3 * np.exp(2.0))


class Opened:
    """Runs something where it is read without care."""

    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["RETROGRAD_CACHE_DIR"] + "/opened",)


def image(content: Any) -> bytes:
    file = io.BytesIO()
    pickle.Pickler(file, 4).dump(content)
    return file.getvalue()


BAD = {
    "cut short": lambda whole: whole[: len(whole) // 2],
    "nothing of it": lambda whole: b"x",
    "a call": lambda whole: image(Opened()),
    "another kind": lambda whole: image(([], [], [], [[], []], None)),
    "an op that is no more": lambda whole: whole.replace(b"exp", b"exq"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_entry_is_made_again(kind: str, home: Path, runs: list[str]) -> None:
    """Also one whose digest is right: written by another state of the library, say."""
    make = lambda: traced(lambda x: (x.exp() * 2).sum(0), (3, 4))
    whole = passes.optimise(make())
    (entry,) = entries(home)
    found = cache.store()
    assert found is not None
    old = found.get(entry.name)
    assert old is not None
    found.put(entry.name, BAD[kind](old))
    again = passes.optimise(make())
    assert str(again) == str(whole) and len(runs) == 2
    assert not (home / "opened").exists()
    assert found.get(entry.name) is not None and str(passes.optimise(make())) == str(whole) and len(runs) == 2


def test_a_whole_step(home: Path, runs: list[str]) -> None:
    """Draws, writes, gradients and the optimizer's numbers; two functions of one text."""

    def trained() -> Any:
        torch.manual_seed(1)
        net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.GELU(), torch.nn.Linear(8, 1))
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
        x, y = torch.randn(6, 4), torch.randn(6, 1)

        def step(x: Tensor, y: Tensor) -> Tensor:
            optimizer.zero_grad()
            loss = F.mse_loss(net(x), y)
            loss.backward()
            optimizer.step()
            return loss

        run = torch.compile(step, fullgraph=True)
        return [run(x, y).item() for _ in range(8)], run

    first, _ = trained()
    count = len(runs)
    second, run = trained()
    assert first == second and len(runs) == count
    page = str(run.explain())
    assert "program 1" in page and "test_kept.py" in page  # lines of the user's code, for what was found too


def test_a_module_and_its_backward(home: Path, runs: list[str]) -> None:
    def gradients() -> Any:
        torch.manual_seed(2)
        net = torch.compile(torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)))
        x = torch.randn(6, 4)
        for _ in range(3):
            net.zero_grad()
            net(x).square().sum().backward()
        assert all(p.grad.numpy().dtype is p.detach().numpy().dtype for p in net.parameters())
        return [p.grad.numpy().copy() for p in net.parameters()]

    first, count = gradients(), len(runs)
    for a, b in zip(first, gradients(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(runs) == count


def test_generators_are_those_of_the_graph(home: Path, runs: list[str]) -> None:
    """Which draws share one is part of the name."""

    def drawn(one: int, two: int) -> Any:
        generators = [torch.Generator().manual_seed(k) for k in range(2)]
        run = torch.compile(
            lambda x: x + torch.rand(3, generator=generators[one]) - torch.rand(3, generator=generators[two])
        )
        return [run(torch.zeros(3)).tolist() for _ in range(5)]

    first = drawn(0, 1)
    assert drawn(0, 1) == first and len(runs) == 1
    assert drawn(0, 0) != first and len(runs) == 2
    assert [[-x for x in row] for row in drawn(1, 0)] == first and len(runs) == 2


def test_ops_stand_for_themselves() -> None:
    """An op is written by its name, also where it is an attribute; one that only has the name of a row is not."""
    attrs = {"part": REGISTRY["slice"], "index": (slice(None, None, None), Ellipsis, 1j)}
    file = io.BytesIO()
    kept._Pickler(file).dump(attrs)
    again = kept._Unpickler(io.BytesIO(file.getvalue())).load()
    assert again == attrs and again["part"] is REGISTRY["slice"]
    assert kept._plain(attrs) == kept._plain(again)
