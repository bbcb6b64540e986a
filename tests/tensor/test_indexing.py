"""Indexing: views and copies, writes with history, second derivatives, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as torch


def matrix(**more: Any) -> Any:
    """Give the numbers 0 to 5 in two rows."""
    return torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], **more)


def longs(*values: Any) -> Any:
    """Give an integer tensor."""
    return torch.tensor(values, dtype=torch.int64)


TWICE: dict[str, Any] = {
    "int": lambda x: x[1] ** 3,
    "slice": lambda x: x[:, 1:] ** 3,
    "array": lambda x: x[longs(0, 1, 1)] ** 3,
    "arrays": lambda x: x[longs(0, 1, 1), longs(2, 0, 0)] ** 3,
    "column": lambda x: x[:, longs(2, 2)] ** 3,
    "mask": lambda x: x[x > 0] ** 3,
    "mixed": lambda x: x[None, longs(1), 1:] ** 3,
    "gather": lambda x: x.gather(1, longs([0, 0], [2, 1])) ** 3,
    "scatter": lambda x: x.scatter(1, longs([0], [2]), x[:, 1:2] ** 2) ** 2,
    "scatter_add": lambda x: x.scatter_add(1, longs([0, 0], [2, 2]), x[:, :2] ** 2) ** 2,
    "scatter prod": lambda x: x.scatter_reduce(1, longs([0, 0], [2, 2]), x[:, :2] ** 2, "prod"),
    "scatter mean": lambda x: x.scatter_reduce(1, longs([0, 0], [2, 2]), x[:, :2] ** 2, "mean") ** 2,
    "scatter amax": lambda x: x.scatter_reduce(1, longs([0, 0], [2, 2]), x[:, :2] ** 2, "amax") ** 2,
    "index_select": lambda x: x.index_select(1, longs(0, 0)) ** 3,
    "index_add": lambda x: x.index_add(0, longs(1, 1), x**2) ** 2,
    "index_copy": lambda x: x.index_copy(0, longs(1, 0), x**2) ** 2,
    "index_fill": lambda x: x.index_fill(0, longs(1), 2.0) ** 3,
    "index_put": lambda x: x.index_put((longs(0, 1), longs(1, 1)), x[0, :2] ** 2) ** 2,
    "index_put adding": lambda x: x.index_put((longs(0, 0), longs(1, 1)), x[0, :2] ** 2, True) ** 2,
    "masked_fill": lambda x: x.masked_fill(x > 0, 2.0) ** 3,
    "masked_select": lambda x: x.masked_select(x > 0) ** 3,
    "masked_scatter": lambda x: x.masked_scatter(x > 0, x**2) ** 2,
    "take": lambda x: x.take(longs(0, 0, -1)) ** 3,
    "put": lambda x: x.put(longs(0, -1), x[0, :2] ** 2, True) ** 2,
    "written": lambda x: written(x),
}


def written(x: Any) -> Any:
    """Write to parts of a tensor by both kinds of index."""
    y = x * 2
    y[0, 1:] = x[1, 1:] ** 2
    y[longs(1, 0), longs(0, 0)] = x[0, :2] ** 2
    y[:, 2][y[:, 2] > 0] *= 3
    return y**2


@pytest.mark.parametrize("name", TWICE)
def test_second_derivatives(name: str) -> None:
    fn = TWICE[name]
    a = np.random.default_rng(0).normal(size=(2, 3))
    v = np.random.default_rng(2).normal(size=a.shape)

    def gradient(b: Any) -> Any:
        x = torch.tensor(b, requires_grad=True)
        y = fn(x)
        w = torch.tensor(np.random.default_rng(1).normal(size=tuple(y.shape)))
        return torch.autograd.grad((y * w).sum(), x, create_graph=True)[0], x

    g, x = gradient(a)
    (found,) = torch.autograd.grad((g * torch.tensor(v)).sum(), x)
    step = 1e-6
    difference = (gradient(a + step * v)[0] - gradient(a - step * v)[0]).detach().numpy() / (2 * step)
    np.testing.assert_allclose(found.numpy(), difference, rtol=1e-5, atol=1e-6)


def test_basic_indices_give_views_and_arrays_copies() -> None:
    x = matrix()
    for index in (0, slice(1, None), (slice(None), 1), ..., None, torch.tensor(1), (1, torch.tensor(2))):
        assert x[index]._s is x._s
    for index in (longs(0), [0], x > 1, True, np.array([1])):
        assert x[index]._s is not x._s


def test_saved_values_are_those_needed() -> None:
    x = matrix(requires_grad=True)
    y = x * 1
    picked = y[longs(0, 1), longs(1, 1)]
    y += 1  # reading saved only the index
    picked.sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]


def test_repeated_indices_add_up() -> None:
    x = matrix(requires_grad=True)
    x[longs(0, 0, 1)].sum().backward()
    assert x.grad.tolist() == [[2.0, 2.0, 2.0], [1.0, 1.0, 1.0]]


def test_writes_reach_every_view() -> None:
    x = matrix(requires_grad=True)
    y = x * 1
    row, column = y[0], y[:, 1]
    y[0, 1] = 7.0
    assert (row[1].item(), column[0].item()) == (7.0, 7.0)
    (row.sum() + column.sum()).backward()
    assert x.grad.tolist() == [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]


def test_writing_changes_the_version() -> None:
    x = matrix(requires_grad=True)
    y = x * 1
    z = y * y
    y[0] = 0.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_leaves_are_not_written_with_history() -> None:
    x = matrix(requires_grad=True)
    for index in (0, longs(0), x.detach() > 1):
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            x[index] = 1.0
    with torch.no_grad():
        x[0] = 1.0
        x[longs(1)] = 2.0
    assert x.tolist() == [[1.0] * 3, [2.0] * 3]


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda x: x[2], IndexError, "index 2 is out of bounds for dimension 0 with size 2"),
    (lambda x: x[0, 5], IndexError, "index 5 is out of bounds for dimension 1 with size 3"),
    (lambda x: x[longs(7)], IndexError, "index 7 is out of bounds for dimension 0 with size 2"),
    (lambda x: x[0, 0, 0], IndexError, "too many indices for tensor of dimension 2"),
    (lambda x: x[0, 0][0], IndexError, "invalid index of a 0-dim tensor"),
    (lambda x: x[1.0], IndexError, "only integers"),
    (lambda x: x[torch.tensor([1.0])], IndexError, "must be long, int, byte or bool"),
    (lambda x: x[longs(0, 1), longs(0, 1, 2)], IndexError, "could not be broadcast together"),
    (lambda x: x[torch.tensor([True, False, True])], IndexError, "The shape of the mask"),
    (lambda x: x[::-1], ValueError, "step must be greater than zero"),
    (lambda x: x.__setitem__(0, [1.0]), TypeError, "can't assign a list to a torch.FloatTensor"),
    (lambda x: x.__setitem__(0, torch.ones(2)), RuntimeError, "cannot be broadcast"),
    (lambda x: x.__setitem__(longs(0), torch.ones(3).double()), RuntimeError, "source and destination dtypes match"),
    (lambda x: x.__setitem__(0, 1j), RuntimeError, "without overflow"),
    (lambda x: x.gather(1, longs([3])), RuntimeError, "out of bounds"),
    (lambda x: x.scatter(1, longs([0]), torch.ones(1, 1).double()), RuntimeError, "self.dtype to be equal"),
    (lambda x: x.index_add(0, longs(5), torch.ones(1, 3)), RuntimeError, "out of bounds"),
    (lambda x: x.masked_fill(x, 0.0), RuntimeError, "boolean masks"),
]


@pytest.mark.parametrize("case", ERRORS, ids=lambda c: c[2])
def test_errors(case: Any) -> None:
    call, kind, text = case
    with pytest.raises(kind) as raised:
        call(matrix())
    assert text in str(raised.value)


def test_in_place_forms() -> None:
    x = matrix()
    assert x.masked_fill_(x > 3, 0.0) is x
    assert x.index_fill_(0, longs(0), 9.0) is x
    assert x.scatter_(1, longs([0], [1]), 7.0) is x
    assert x.index_add_(0, longs(1), torch.ones(1, 3)) is x
    assert x.tolist() == [[7.0, 9.0, 9.0], [4.0, 8.0, 1.0]]
