"""NumPy and DLPack, both ways: memory is shared, ufuncs take tensors, and history is never lost in silence."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import retrograd as torch


def test_numpy_and_from_numpy_share_memory():
    a = np.zeros((2, 3), np.float32)
    x = torch.from_numpy(a)
    x[0] = 1
    a[1, 1] = 5
    assert x[1, 1].item() == 5 and a[0, 0] == 1
    assert np.shares_memory(x.t()[1:].numpy(), a)
    assert (x.numpy() is not None and x.detach().numpy().base is None) or np.shares_memory(x.numpy(), a)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "power", "maximum", "less", "arctan2"])
def test_binary_ufuncs_on_either_side(name):
    ufunc = getattr(np, name)
    a, b = np.array([1.0, 2.0]), np.array([3.0, 0.5])
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    want = ufunc(a, b)
    for found in (ufunc(x, y), ufunc(a, y), ufunc(x, b)):
        np.testing.assert_array_equal(np.asarray(found), want)


def test_an_array_times_a_tensor_is_a_tensor_with_history():
    w = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = np.array([3.0, 4.0]) * w
    assert isinstance(y, torch.Tensor) and y.requires_grad
    (np.array([3.0, 4.0]) * w + np.float64(2.0) * w).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [5, 6])


def test_other_ufuncs_refuse_a_tensor_with_history():
    w = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        np.sin(w)
    with pytest.raises(RuntimeError, match="detach"):
        np.asarray(w)
    np.testing.assert_allclose(np.sin(w.detach()).numpy(), np.sin([1.0, 1.0]), rtol=1e-6)


def test_ufuncs_write_into_tensors():
    x = torch.ones(3)
    np.add(x, x, out=x)
    assert x.tolist() == [2, 2, 2]
    a = np.zeros(3, np.float32)
    np.multiply(x, 2, out=a)
    assert a.tolist() == [4, 4, 4]


def test_array_protocol_copies_only_when_it_must():
    x = torch.ones(2)
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert not np.shares_memory(np.array(x), x.numpy())
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="copy"):
        x.__array__(np.float64, copy=False)
    assert np.add.reduce(x.numpy()) == 2


def test_dlpack_shares_memory_both_ways():
    a = np.arange(4.0)
    x = torch.from_dlpack(a)
    x[0] = 9
    assert a[0] == 9
    b = np.from_dlpack(torch.arange(3))
    assert b.tolist() == [0, 1, 2]
    with pytest.raises(BufferError, match="detach"):
        np.from_dlpack(torch.ones(2, requires_grad=True))


def test_lists_indices_and_numbers_of_python():
    assert [10, 20, 30][torch.tensor(1)] == 20
    assert np.arange(5)[torch.tensor([0, 2])].tolist() == [0, 2]
    assert list(range(torch.tensor(3))) == [0, 1, 2]
    with pytest.raises(TypeError, match="integer"):
        [1][torch.tensor(0.0)]


def test_deepcopy_keeps_what_is_shared():
    x = torch.zeros(2, 3)
    held = copy.deepcopy({"t": x.t(), "whole": x, "row": x[1, 1:]})
    held["row"].fill_(5)
    assert held["whole"].tolist() == [[0, 0, 0], [0, 5, 5]]
    assert held["t"].stride() == (1, 3) and held["t"][2, 1].item() == 5
    assert x.sum().item() == 0
    assert held["row"]._s is held["whole"]._s


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.tensor(2.5),
        lambda: torch.ones(0, 3),
        lambda: torch.arange(6.0).reshape(2, 3)[:, 1],
        lambda: torch.arange(6.0).reshape(2, 3).t(),
        lambda: torch.ones(1).expand(3),
        lambda: torch.from_numpy(np.arange(12.0).reshape(3, 4)[:, 1:3]),
        lambda: torch.ones(2, dtype=torch.bfloat16),
        lambda: torch.tensor([1 + 2j]),
        lambda: torch.tensor([True, False]),
        lambda: torch.ones(2, requires_grad=True),
        lambda: torch.nn.Parameter(torch.tensor(1.5)),
    ],
)
@pytest.mark.parametrize("way", [copy.deepcopy, copy.copy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_are_equal(make, way):
    x = make()
    y = way(x)
    assert type(y) is type(x)
    assert (y.dtype, y.shape, y.requires_grad, y.is_leaf) == (x.dtype, x.shape, x.requires_grad, x.is_leaf)
    assert y.tolist() == x.tolist()
    if y.requires_grad:
        (y * 2).sum().backward()
        assert y.grad is not None and x.grad is None
