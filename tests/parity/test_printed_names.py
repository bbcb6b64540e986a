"""The names that ``grad_fn`` prints, of functions that are compositions here and one operation in torch."""

from __future__ import annotations

from typing import Any

import pytest

import retrograd

torch = pytest.importorskip("torch")


def _written(x: Any, key: Any, y: Any) -> Any:
    x[key] = y
    return x


CASES: dict[str, Any] = {
    "norm": lambda t, x, y: x.norm(),
    "norm 1": lambda t, x, y: x.norm(1),
    "norm 3 of rows": lambda t, x, y: x.norm(3, 1),
    "linalg.norm": lambda t, x, y: t.linalg.norm(x),
    "linalg.vector_norm": lambda t, x, y: t.linalg.vector_norm(x, dim=1),
    "std": lambda t, x, y: x.std(),
    "std of rows": lambda t, x, y: x.std(1),
    "var": lambda t, x, y: x.var(),
    "prod": lambda t, x, y: x.prod(),
    "prod of rows": lambda t, x, y: x.prod(1),
    "max": lambda t, x, y: x.max(),
    "min": lambda t, x, y: x.min(),
    "squeeze": lambda t, x, y: x[None].squeeze(),
    "squeeze of one": lambda t, x, y: x[None].squeeze(0),
    "unsqueeze": lambda t, x, y: x.unsqueeze(0),
    "log1p": lambda t, x, y: x.log1p(),
    "clamp": lambda t, x, y: x.clamp(0),
    "clamp both": lambda t, x, y: x.clamp(0, 1),
    "trace": lambda t, x, y: x.trace(),
    "diag": lambda t, x, y: x.diag(),
    "roll": lambda t, x, y: x.roll(1),
    "repeat": lambda t, x, y: x.repeat(2, 1),
    "mv": lambda t, x, y: t.mv(x, y[0]),
    "dot": lambda t, x, y: t.dot(x[0], y[0]),
    "bmm": lambda t, x, y: t.bmm(x[None], y[None]),
    "addmm": lambda t, x, y: t.addmm(x[0], x, y),
    "cdist": lambda t, x, y: t.cdist(x, y),
    "dist": lambda t, x, y: t.dist(x, y),
    "masked_fill": lambda t, x, y: x.masked_fill(x > 1, 0.0),
    "addcmul": lambda t, x, y: t.addcmul(x, x, y, value=0.5),
    "addcdiv": lambda t, x, y: t.addcdiv(x, x, y),
    "lerp": lambda t, x, y: t.lerp(x, y, 0.3),
    "lerp by a tensor": lambda t, x, y: t.lerp(x, y, x),
    "1 - x": lambda t, x, y: 1 - x,
    "rsub": lambda t, x, y: t.rsub(x, y),
    "index": lambda t, x, y: x[[0, 1]],
    "index of two": lambda t, x, y: x[[0, 1], t.tensor([1, 2])],
    "index put of two": lambda t, x, y: t.index_put(x, (t.tensor([0]), t.tensor([1])), t.tensor(2.0)),
    "whole slice": lambda t, x, y: x[:],
    "whole slices": lambda t, x, y: x[:, :],
    "slice of a column": lambda t, x, y: x[:, 0],
    "copy_": lambda t, x, y: (x * 2).copy_(y),
    "fill_": lambda t, x, y: (x * 2).fill_(2.0),
    "zero_": lambda t, x, y: (x * 2).zero_(),
    "uniform_": lambda t, x, y: (x * 2).uniform_(),
    "write to all": lambda t, x, y: _written(x * 2, slice(None), y),
    "write to all rows and columns": lambda t, x, y: _written(x * 2, (slice(None), slice(None)), y),
    "write to a part": lambda t, x, y: _written(x * 2, slice(1), y[:1]),
    "sum of rows": lambda t, x, y: x.sum(0),
    "sum of a vector by its dimension": lambda t, x, y: x[0].sum(-1),
    "sum of a matrix by its dimensions": lambda t, x, y: x.sum((0, 1)),
    "mean": lambda t, x, y: x.mean(),
    "mean of rows": lambda t, x, y: x.mean(0, keepdim=True),
    "mean of a vector by its dimension": lambda t, x, y: x[0].mean(0),
    "logsumexp": lambda t, x, y: x.logsumexp(1),
    "x ** 3": lambda t, x, y: x**3,
    "x ** y": lambda t, x, y: x**y,
    "2 ** x": lambda t, x, y: 2**x,
    "pow of a number": lambda t, x, y: t.pow(2, x),
    "2 / x": lambda t, x, y: 2 / x,
    "clamp_min": lambda t, x, y: x.clamp_min(0.5),
    "clamp_max": lambda t, x, y: x.clamp_max(0.5),
    "clamp by a tensor": lambda t, x, y: x.clamp(min=y),
    "T": lambda t, x, y: x.T,
    "sign": lambda t, x, y: x.sign(),
    "median": lambda t, x, y: x.median(),
    "masked_select": lambda t, x, y: x.masked_select(x > 0.5),
    "index_add": lambda t, x, y: x.index_add(0, t.tensor([0]), y[:1]),
    "scatter of a number": lambda t, x, y: x.scatter(0, t.tensor([[0]]), 2.0),
    "scatter": lambda t, x, y: x.scatter(0, t.tensor([[0]]), y[:1, :1]),
    "nan_to_num": lambda t, x, y: x.nan_to_num(),
    "matrix by vector": lambda t, x, y: x @ y[0],
    "vector by matrix": lambda t, x, y: x[0] @ y,
    "batch by matrix": lambda t, x, y: x[None] @ y,
    "batch by vector": lambda t, x, y: x[None] @ y[0],
    "linear": lambda t, x, y: t.nn.functional.linear(x, y, x[0]),
    "linear without bias": lambda t, x, y: t.nn.functional.linear(x, y),
    "linear of a batch": lambda t, x, y: t.nn.functional.linear(x[None], y, x[0]),
    "linear of a batch without bias": lambda t, x, y: t.nn.functional.linear(x[None], y),
    "cross_entropy of probabilities": lambda t, x, y: t.nn.functional.cross_entropy(x, y.detach().softmax(1)),
    "threshold": lambda t, x, y: t.nn.functional.threshold(x, 0.5, 0.0),
    "logsigmoid": lambda t, x, y: t.nn.functional.logsigmoid(x),
    "celu": lambda t, x, y: t.nn.functional.celu(x),
    "multi_margin_loss": lambda t, x, y: t.nn.functional.multi_margin_loss(x, t.tensor([0, 1, 2])),
    "pixel_shuffle": lambda t, x, y: t.nn.functional.pixel_shuffle(x[:, :, None, None].reshape(9, 1, 1)[:4], 2),
    "adaptive_max_pool2d": lambda t, x, y: t.nn.functional.adaptive_max_pool2d(x[None], 1),
    "embedding": lambda t, x, y: t.nn.functional.embedding(t.tensor([0, 1]), x),
    "pad": lambda t, x, y: t.nn.functional.pad(x, (1, 1)),
    "glu": lambda t, x, y: t.nn.functional.glu(x.repeat(1, 2)),
    "prelu": lambda t, x, y: t.nn.functional.prelu(x, y[0, :1]),
    "nearest": lambda t, x, y: t.nn.functional.interpolate(x[None, None], scale_factor=2),
    "bilinear": lambda t, x, y: t.nn.functional.interpolate(x[None, None], scale_factor=2, mode="bilinear"),
    "bicubic": lambda t, x, y: t.nn.functional.interpolate(
        x[None, None], scale_factor=2, mode="bicubic", antialias=True
    ),
}


LEADING: dict[str, Any] = {
    **{
        name: CASES[name]
        for name in ("norm", "std", "var of rows", "1 - x", "addmm", "lerp by a tensor")
        if name in CASES
    },
    "2 * x": lambda t, x, y: 2 * x.sin(),
    "2 + x": lambda t, x, y: 2 + x.sin(),
    "x * 2": lambda t, x, y: x.sin() * 2,
    "x + y": lambda t, x, y: x.sin() + y.cos(),
    "mse_loss": lambda t, x, y: t.nn.functional.mse_loss(x.sin(), y.detach()),
    "softmax": lambda t, x, y: x.sin().softmax(0),
    "conv2d": lambda t, x, y: t.nn.functional.conv2d(x.exp()[None, None], y[None, None], x[0, :1]),
    "conv2d of data": lambda t, x, y: t.nn.functional.conv2d(x.detach()[None, None], y.exp()[None, None], x[0, :1]),
    "conv_transpose1d": lambda t, x, y: t.nn.functional.conv_transpose1d(x[None], y[:, None], x[0, :1]),
}


@pytest.mark.parametrize("calls", [1, 4])
@pytest.mark.parametrize("case", LEADING)
def test_where_edges_lead(case: str, calls: int) -> None:
    """Also of the calls that are one operation from the third on."""
    found = []
    for library in (torch, retrograd):
        x = (library.arange(1.0, 10.0).reshape(3, 3) / 7).requires_grad_()
        y = (library.arange(1.0, 10.0).reshape(3, 3).flip(0) / 5).requires_grad_()
        for _ in range(calls):
            result = LEADING[case](library, x, y)
        edges = result.grad_fn.next_functions
        found.append([result.grad_fn.name(), *((None if node is None else node.name(), i) for node, i in edges)])
    assert found[1] == found[0]


def test_a_linear_layer_leads_to_its_bias_first() -> None:
    names = []
    for library in (torch, retrograd):
        node = library.nn.Linear(2, 2)(library.ones(1, 2)).grad_fn
        names.append([None if n is None else n.name() for n, _ in node.next_functions[:2]])
    assert names[1] == names[0]


def test_the_node_of_a_leaf_prints_without_its_namespace() -> None:
    x = retrograd.ones(2, requires_grad=True)
    assert repr(x.exp().grad_fn.next_functions[0][0]).startswith("<AccumulateGrad object at 0x")


@pytest.mark.parametrize("case", CASES)
def test_names(case: str) -> None:
    found = []
    for library in (torch, retrograd):
        x = (library.arange(1.0, 10.0).reshape(3, 3) / 7).requires_grad_()
        y = (library.arange(1.0, 10.0).reshape(3, 3).flip(0) / 5).requires_grad_()
        result = CASES[case](library, x, y)
        result.sum().backward()
        found.append((result.grad_fn.name(), x.grad.numpy().round(3).tolist()))
    assert found[1] == found[0]


def test_methods_are_the_module_s_own() -> None:
    """Generators, and errors of wrong calls, name Module, though its methods are written in several classes."""
    found = []
    for library in (torch, retrograd):
        m = library.nn.Linear(2, 2)
        parts = [m.named_children(), m.parameters(), m.modules(), m.buffers()]
        with pytest.raises(TypeError) as caught:
            m.add_module()
        found.append(([p.__qualname__ for p in parts], str(caught.value)))
    assert found[1] == found[0]


def test_a_library_of_operators_that_is_not_there() -> None:
    for library in (torch, retrograd):
        with pytest.raises(OSError, match="Could not load this library"):
            library.ops.load_library("//nowhere:ops")
        assert library.ops.loaded_libraries == set()
