"""Indexing against real torch: generated expressions read, written and differentiated, and tables of the functions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import retrograd

torch = pytest.importorskip("torch")


class Index:
    """A tensor inside an index, made anew in each library."""

    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array)

    def of(self, t: Any) -> Any:
        """Give the tensor of one library."""
        return t.tensor(self.array)

    def __repr__(self) -> str:
        return f"Index({self.array.tolist()}, {self.array.dtype})"


def built(index: Any, t: Any) -> Any:
    """Put one library's tensors into an index."""
    if isinstance(index, tuple):
        return tuple(built(i, t) for i in index)
    return index.of(t) if isinstance(index, Index) else index


@st.composite
def index_arrays(draw: Any, n: int) -> Any:
    """Give an index tensor for a dimension of length n; sometimes out of range."""
    shape = draw(st.sampled_from([(), (1,), (2,), (3,), (2, 1), (2, 3), (0,)]))
    low, high = (-n, n - 1) if n else (0, 0)
    if draw(st.integers(0, 19)) == 0:
        high += 1
    values = draw(st.lists(st.integers(low, high), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    return Index(np.array(values, np.int64).reshape(shape))


@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> Any:
    """Give an index of a tensor of this shape; sometimes a wrong one."""
    items: list[Any] = []
    d = 0
    while d < len(shape):
        kind = draw(
            st.sampled_from(
                ["int", "slice", "slice", "array", "list", "mask", "mask2", "none", "ellipsis", "bool", "end"]
            )
        )
        n = shape[d]
        if kind == "int":
            items.append(draw(st.integers(-n, max(n - 1, 0))))
            d += 1
        elif kind == "slice":
            bound = st.none() | st.integers(-n - 1, n + 1)
            items.append(slice(draw(bound), draw(bound), draw(st.none() | st.integers(1, 3))))
            d += 1
        elif kind == "array":
            items.append(draw(index_arrays(n)))
            d += 1
        elif kind == "list":
            items.append(draw(st.lists(st.integers(-n, n - 1) if n else st.just(0), max_size=3)))
            d += 1
        elif kind == "mask":
            items.append(Index(np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), np.bool_)))
            d += 1
        elif kind == "mask2" and d + 1 < len(shape):
            count = shape[d] * shape[d + 1]
            flags = draw(st.lists(st.booleans(), min_size=count, max_size=count))
            items.append(Index(np.array(flags, np.bool_).reshape(shape[d : d + 2])))
            d += 2
        elif kind == "none":
            items.append(None)
        elif kind == "bool" and not any(isinstance(i, bool) for i in items):
            items.append(draw(st.booleans()))
        elif kind == "ellipsis" and not any(i is ... for i in items):
            items.append(...)
            d += draw(st.integers(0, len(shape) - d))
        elif kind == "end":
            break
    return tuple(items) if len(items) != 1 or draw(st.booleans()) else items[0]


SHAPES = st.sampled_from([(3,), (2, 3), (3, 2, 4), (2, 3, 2, 2), (1, 3), (0, 2), ()])
CASES = SHAPES.flatmap(lambda shape: st.tuples(st.just(shape), indices(shape)))
MANY = settings(max_examples=400, deadline=None, derandomize=True)


def attempt(fn: Any) -> Any:
    """Give a result or the exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return fn()
        except Exception as error:
            return error


def same(ours: Any, theirs: Any) -> None:
    """Assert that both gave equal tensors, or raised the same type of error."""
    if isinstance(theirs, Exception):
        assert type(ours) is type(theirs), f"torch: {theirs!r}; here: {ours!r}"
        return
    assert not isinstance(ours, Exception), repr(ours)
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-12)


@MANY
@given(CASES)
def test_reading(case: Any) -> None:
    shape, index = case
    a = np.arange(float(np.prod(shape, dtype=int))).reshape(shape)
    ours, theirs = (attempt(lambda t=t: t.tensor(a)[built(index, t)]) for t in (retrograd, torch))
    same(ours, theirs)


@MANY
@given(CASES)
def test_views_share_memory(case: Any) -> None:
    shape, index = case
    a = np.arange(float(np.prod(shape, dtype=int))).reshape(shape)
    shared = []
    for t in (retrograd, torch):
        x = t.tensor(a)
        y = attempt(lambda x=x, t=t: x[built(index, t)])
        if not isinstance(y, Exception) and y.numel():
            with torch.no_grad():
                y += 1.0
        shared.append(x)
    same(*shared)


@MANY
@given(CASES)
def test_gradient_of_reading(case: Any) -> None:
    shape, index = case
    found = []
    for t in (retrograd, torch):
        x = t.tensor(np.random.default_rng(0).normal(size=shape), requires_grad=True)
        y = attempt(lambda x=x, t=t: x[built(index, t)])
        if isinstance(y, Exception):
            return
        weights = t.tensor(np.random.default_rng(1).normal(size=tuple(y.shape)))
        (weights * y * y).sum().backward()
        found.append(x.grad)
    same(*found)


@MANY
@given(CASES, st.sampled_from(["number", "scalar", "same", "row", "column", "ones", "wrong"]))
def test_writing(case: Any, kind: str) -> None:
    shape, index = case
    rng = np.random.default_rng(0)
    read = attempt(lambda: torch.zeros(shape)[built(index, torch)])
    part = () if isinstance(read, Exception) else tuple(read.shape)
    value: Any = {
        "number": 2.5,
        "scalar": rng.normal(size=()),
        "same": rng.normal(size=part),
        "row": rng.normal(size=part[-1:]),
        "column": rng.normal(size=(*part[:-1], 1) if part else (1,)),
        "ones": rng.normal(size=(1, 1, *part)),
        "wrong": rng.normal(size=(*part, 7)),
    }[kind]
    if kind in ("same", "ones") and has_repeats(shape, index):
        return  # which of several values stays is not said
    results = []
    for t in (retrograd, torch):
        x = t.tensor(rng_array(shape))
        error = attempt(lambda x=x, t=t: x.__setitem__(built(index, t), value if kind == "number" else t.tensor(value)))
        results.append(error if isinstance(error, Exception) else x)
    same(*results)


@MANY
@given(CASES, st.booleans(), st.booleans(), st.booleans())
def test_gradient_of_writing(case: Any, through_view: bool, x_wants: bool, number: bool) -> None:
    shape, index = case
    if has_repeats(shape, index):
        return
    grads = []
    for t in (retrograd, torch):
        x = t.tensor(rng_array(shape), requires_grad=x_wants)
        read = attempt(lambda x=x, t=t: x[built(index, t)])
        if isinstance(read, Exception):
            return
        v = t.tensor(np.random.default_rng(4).normal(size=tuple(read.shape)[-1:]), requires_grad=True)
        y = x * 2 if x_wants else x.clone()
        view = y[...] if through_view else y
        view[built(index, t)] = 3.0 if number else v * v
        if not y.requires_grad:
            assert number or not read.numel() or not x_wants
            grads.append(None)
            continue
        (y * y * t.tensor(np.random.default_rng(1).normal(size=shape))).sum().backward()
        grads.append([x.grad, v.grad])
    ours, theirs = grads
    if theirs is None or ours is None:  # nothing was written, and only one of them says so
        assert not any(g.numpy().any() for g in ours or theirs or [] if g is not None)
        return
    for mine, other in zip(ours, theirs):
        if other is None or mine is None:
            assert mine is other or not np.any((mine if other is None else other).numpy())
        else:
            same(mine, other)


def rng_array(shape: tuple[int, ...]) -> Any:
    """Give the same numbers each time."""
    return np.random.default_rng(5).normal(size=shape)


def has_repeats(shape: tuple[int, ...], index: Any) -> bool:
    """Tell whether an index names a place twice."""
    places = attempt(lambda: torch.arange(int(np.prod(shape))).reshape(shape)[built(index, torch)])
    return not isinstance(places, Exception) and places.unique().numel() < places.numel()


# -- the functions ------------------------------------------------------------------------------
def longs(t: Any, *values: Any) -> Any:
    """Give an integer tensor."""
    return t.tensor(np.array(values, np.int64))


MASK = np.array([[True, False, True, False], [False, False, True, True], [True, True, False, False]])
PLACES = np.array([[0, 2, 1, 0], [2, 2, 0, 1]])
TABLE: dict[str, Any] = {
    "gather": lambda t, x, y: t.gather(x, 0, t.tensor(PLACES)),
    "gather(1)": lambda t, x, y: x.gather(-1, t.tensor(PLACES[:, :3])),
    "gather of fewer": lambda t, x, y: x.gather(1, longs(t, [3])),
    "gather int32": lambda t, x, y: x.gather(1, longs(t, [3]).int()),
    "gather out of range": lambda t, x, y: x.gather(1, longs(t, [4])),
    "gather negative": lambda t, x, y: x.gather(1, longs(t, [-1])),
    "gather too wide": lambda t, x, y: x.gather(1, longs(t, [0], [0], [0], [0])),
    "gather other rank": lambda t, x, y: x.gather(1, longs(t, 0)),
    "gather by floats": lambda t, x, y: x.gather(1, t.tensor([[0.0]])),
    "gather nothing": lambda t, x, y: x.gather(1, longs(t).reshape(0)),
    "scatter": lambda t, x, y: x.scatter(0, t.tensor(PLACES[:1]), y[:1]),
    "scatter one each": lambda t, x, y: t.scatter(x, 1, longs(t, [1], [0], [3]), y[:, :1]),
    "scatter number": lambda t, x, y: x.scatter(1, longs(t, [1], [0]), 5.0),
    "scatter value=": lambda t, x, y: x.scatter(1, longs(t, [1, 1], [0, 2]), value=2),
    "scatter add": lambda t, x, y: x.detach().scatter(1, longs(t, [1, 1], [0, 2]), y.detach(), reduce="add"),
    "scatter multiply": lambda t, x, y: x.detach().scatter(1, longs(t, [1, 1]), y.detach(), reduce="multiply"),
    "scatter other dtype": lambda t, x, y: x.scatter(1, longs(t, [1]), y.long()),
    "scatter too far": lambda t, x, y: x.scatter(1, longs(t, [9]), y),
    "scatter too much": lambda t, x, y: x.scatter(1, longs(t, [0, 1]), y[:, :1]),
    "scatter bad reduce": lambda t, x, y: x.scatter(1, longs(t, [1]), 5.0, reduce="mean"),
    "scatter_": lambda t, x, y: (x * 1).scatter_(1, longs(t, [1], [0]), 5.0),
    "scatter_add": lambda t, x, y: x.scatter_add(0, t.tensor(PLACES), y[:2]),
    "scatter_add_": lambda t, x, y: (x * 2).scatter_add_(1, t.tensor(PLACES), y[:2]),
    **{
        f"scatter_reduce {how} {own}": lambda t, x, y, how=how, own=own: x.scatter_reduce(
            0, t.tensor(PLACES), y[:2], how, include_self=own
        )
        for how in ("sum", "prod", "mean", "amax", "amin")
        for own in (True, False)
    },
    "scatter_reduce ties": lambda t, x, y: (x * 0).scatter_reduce(1, longs(t, [0, 0, 1]), y[:1, :3] * 0, "amax"),
    "scatter_reduce zeros": lambda t, x, y: x.scatter_reduce(
        1, longs(t, [0, 0, 1]), y[:1, :3] * t.tensor([0.0, 0, 1]).double(), "prod"
    ),
    "scatter_reduce bad": lambda t, x, y: x.detach().scatter_reduce(1, longs(t, [0]), y.detach(), "foo"),
    "index_select": lambda t, x, y: x.index_select(1, longs(t, 3, 0, 0)),
    "index_select 0-d": lambda t, x, y: t.index_select(x, 0, t.tensor(1)),
    "index_select far (1)": lambda t, x, y: x.index_select(1, longs(t, 4)),
    "index_select matrix": lambda t, x, y: x.index_select(1, longs(t, [0])),
    "index_select far": lambda t, x, y: x.index_select(0, longs(t, 4)),
    "index_add": lambda t, x, y: x.index_add(0, longs(t, 2, 2, 0), y, alpha=3),
    "index_add(1)": lambda t, x, y: t.index_add(x, 1, longs(t, 3, 3), y[:, :2]),
    "index_add_": lambda t, x, y: (x * 2).index_add_(0, longs(t, 1), y[:1]),
    "index_add lengths": lambda t, x, y: x.index_add(0, longs(t, 1), y),
    "index_add shapes": lambda t, x, y: x.index_add(0, longs(t, 1), y[:1, :2]),
    "index_add far": lambda t, x, y: x.index_add(0, longs(t, 7), y[:1]),
    "index_copy": lambda t, x, y: x.index_copy(1, longs(t, 3, 0), y[:, :2]),
    "index_copy_": lambda t, x, y: (x * 2).index_copy_(0, longs(t, 2, 0), y[:2]),
    "index_fill": lambda t, x, y: x.index_fill(1, longs(t, 3, -4), 2.5),
    "index_fill tensor": lambda t, x, y: x.index_fill(0, longs(t, 1), y[0, 0]),
    "index_fill_": lambda t, x, y: (x * 2).index_fill_(0, longs(t, 2, 0), -1),
    "index_fill far": lambda t, x, y: x.index_fill(0, longs(t, 5), -1),
    "index_put": lambda t, x, y: x.index_put((longs(t, 2, 0), longs(t, 1, 3)), y[0, :2]),
    "index_put mask": lambda t, x, y: x.index_put((t.tensor(MASK),), y[0, 0]),
    "index_put add": lambda t, x, y: x.index_put((longs(t, 2, 2), longs(t, 1, 1)), y[0, :2], accumulate=True),
    "index_put add rows": lambda t, x, y: x.index_put([longs(t, 2, 2)], y[0], True),
    "index_put_": lambda t, x, y: (x * 2).index_put_((longs(t, 2, 0),), y[:2]),
    "index_put dtype": lambda t, x, y: x.index_put((longs(t, 2, 0),), y[:2].long()),
    "masked_fill": lambda t, x, y: x.masked_fill(t.tensor(MASK), -9.0),
    "masked_fill row": lambda t, x, y: t.masked_fill(x, t.tensor(MASK[0]), 2),
    "masked_fill tensor": lambda t, x, y: x.masked_fill(t.tensor(MASK), y[1, 1]),
    "masked_fill wider": lambda t, x, y: x[0].masked_fill(t.tensor(MASK), 1.0),
    "masked_fill_": lambda t, x, y: (x * 2).masked_fill_(t.tensor(MASK), float("-inf")),
    "masked_fill by floats": lambda t, x, y: x.masked_fill(x, 1.0),
    "masked_select": lambda t, x, y: x.masked_select(t.tensor(MASK)),
    "masked_select row": lambda t, x, y: t.masked_select(x, t.tensor(MASK[1])),
    "masked_scatter": lambda t, x, y: x.masked_scatter(t.tensor(MASK), y),
    "masked_scatter_": lambda t, x, y: (x * 2).masked_scatter_(t.tensor(MASK), y.flatten()),
    "masked_scatter short": lambda t, x, y: x.masked_scatter(t.tensor(MASK), y[0, :2]),
    "take": lambda t, x, y: x.take(longs(t, [0, -1], [5, 5])),
    "take far": lambda t, x, y: x.take(longs(t, 12)),
    "put": lambda t, x, y: x.put(longs(t, 0, -1), y[0, :2]),
    "put add": lambda t, x, y: x.put(longs(t, 3, 3), y[0, :2], accumulate=True),
    "put_": lambda t, x, y: (x * 2).put_(longs(t, 0, -1), y[0, :2]),
    "put lengths": lambda t, x, y: x.put(longs(t, 0), y[0, :2]),
    "take_along_dim": lambda t, x, y: x.take_along_dim(longs(t, [0, 1]), 1),
    "take_along_dim all": lambda t, x, y: t.take_along_dim(x, longs(t, 7, 0)),
    "take_along_dim sorted": lambda t, x, y: x.take_along_dim(x.argsort(1), dim=1),
    "index_reduce": lambda t, x, y: x.index_reduce(0, longs(t, 0, 0, 2), y, "mean"),
    "index_reduce amax": lambda t, x, y: x.index_reduce(0, longs(t, 0, 0, 2), y, "amax", include_self=False),
    "select_scatter": lambda t, x, y: x.select_scatter(y[0], 0, -1),
    "select_scatter far": lambda t, x, y: x.select_scatter(y[0], 0, 3),
    "select_scatter shape": lambda t, x, y: x.select_scatter(y, 0, 1),
    "slice_scatter": lambda t, x, y: t.slice_scatter(x, y[:, :2], 1, 0, 4, 2),
    "diagonal_scatter": lambda t, x, y: x.diagonal_scatter(y[0, :3], 1),
    "nonzero": lambda t, x, y: (x > 0).nonzero(),
    "nonzero tuple": lambda t, x, y: t.nonzero(x > 0, as_tuple=True)[1],
    "nonzero 0-d": lambda t, x, y: t.tensor(1.0).nonzero(),
    "argwhere": lambda t, x, y: t.argwhere(x > 0),
    "where": lambda t, x, y: t.where(x > 0)[0],
    "uint8 mask": lambda t, x, y: x.detach()[t.tensor(MASK).to(t.uint8)],
    "list of floats": lambda t, x, y: x[t.tensor([0.0])],
    "backwards": lambda t, x, y: x[::-1],
    "too many": lambda t, x, y: x[0, 0, 0],
    "by text": lambda t, x, y: x["a"],
    "by float": lambda t, x, y: x[1.0],
    "numpy int": lambda t, x, y: x[np.int64(1)],
    "numpy array": lambda t, x, y: x[:, np.array([1, 2])],
    "of 0-d": lambda t, x, y: x[0, 0][0],
    "tensor bounds": lambda t, x, y: x[t.tensor(1) :, : t.tensor(2)],
    "tensor ints": lambda t, x, y: x[t.tensor(1), t.tensor(2)],
}


def outcome(t: Any, fn: Any) -> Any:
    """Give [result, gradients] in one library, or its exception."""
    rng = np.random.default_rng(11)
    x = t.tensor(rng.normal(size=(3, 4)), requires_grad=True)
    y = t.tensor(rng.normal(size=(3, 4)), requires_grad=True)
    out = attempt(lambda: fn(t, x, y))
    if isinstance(out, Exception):
        return out
    if out.requires_grad:
        weights = t.tensor(rng.normal(size=tuple(out.shape)))
        (out * out * weights).masked_fill(out.isinf(), 0.0).sum().backward()
    return [out, x.grad, y.grad]


@pytest.mark.parametrize("name", TABLE)
def test_functions(name: str) -> None:
    ours, theirs = outcome(retrograd, TABLE[name]), outcome(torch, TABLE[name])
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        same(ours, theirs)
        return
    for mine, other in zip(ours, theirs):
        if mine is None or other is None:
            assert mine is other
        else:
            same(mine, other)
