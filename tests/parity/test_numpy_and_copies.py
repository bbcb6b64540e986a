"""NumPy, DLPack, copy and pickle: what crosses the border and what is shared, as under PyTorch."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest

from parity.behaviours import Table, compare

torch = pytest.importorskip("torch")

borders = Table()


def leaf(T, *values):
    return T.tensor(values or [1.0, 2.0, 3.0], dtype=T.float64, requires_grad=True)


@borders
def numpy_shares(T):
    x = T.zeros(3)
    a = x.numpy()
    a[0] = 5
    x[1] = 7
    return x, a


@borders
def numpy_of_a_view_shares(T):
    x = T.zeros(2, 3)
    a = x.t()[1:].numpy()
    a[0, 0] = 5
    return x, a.shape, a.strides


@borders
def from_numpy_shares(T):
    a = np.zeros((2, 3))
    x = T.from_numpy(a)
    x[0] = 1
    a[1] = 2
    return x, a


@borders
def from_numpy_of_a_slice_shares(T):
    a = np.arange(12.0).reshape(3, 4)
    x = T.from_numpy(a[:, 1:3])
    x.mul_(2)
    return x, a, x.stride(), x.is_contiguous()


borders.add(
    from_numpy_keeps_dtypes=lambda T: [
        str(T.from_numpy(np.zeros(1, d)).dtype)
        for d in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?", "c8", "c16")
    ],
    from_numpy_0d=lambda T: T.from_numpy(np.array(3.0)),
    from_numpy_of_a_scalar=lambda T: T.from_numpy(np.float64(3.0)),
    from_numpy_of_text=lambda T: T.from_numpy(np.array(["a"])),
    from_numpy_of_objects=lambda T: T.from_numpy(np.array([None])),
    from_numpy_negative_strides=lambda T: T.from_numpy(np.arange(3.0)[::-1]),
    tensor_copies=lambda T: (lambda a: (T.tensor(a), a.__setitem__(0, 9)))(np.zeros(2)),
    as_tensor_shares=lambda T: (lambda a: (T.as_tensor(a), a.__setitem__(0, 9)))(np.zeros(2)),
    tensor_of_numpy_scalar=lambda T: T.tensor(np.float32(2.5)),
    tensor_of_list_of_arrays=lambda T: T.tensor(np.stack([np.ones(2), np.zeros(2)])),
    asarray=lambda T: np.asarray(T.ones(2, dtype=T.float64)),
    asarray_other_dtype=lambda T: np.asarray(T.ones(2), dtype="f8"),
    array_is_a_copy=lambda T: (lambda x: (np.array(x), x.zero_()))(T.ones(2)),
    asarray_of_leaf=lambda T: np.asarray(leaf(T)),
    asarray_of_bool=lambda T: np.asarray(T.tensor([True, False])),
    asarray_of_list_of_tensors=lambda T: np.asarray([T.tensor(1.0), T.tensor(2.0)]),
    float_of_0d=lambda T: (float(T.tensor(2.5)), int(T.tensor(2.5)), bool(T.tensor(0.0)), complex(T.tensor(2.0))),
    index_of_list=lambda T: [10, 20, 30][T.tensor(1)],
    index_of_list_by_float=lambda T: [10, 20, 30][T.tensor(1.0)],
    range_of_tensor=lambda T: list(range(T.tensor(3))),
    numpy_index_by_tensor=lambda T: np.arange(5)[T.tensor([0, 2])],
    tensor_index_by_array=lambda T: T.arange(5)[np.array([0, 2])],
    tensor_index_by_mask_array=lambda T: T.arange(3)[np.array([True, False, True])],
    tensor_times_numpy_scalar=lambda T: T.ones(2) * np.float64(2.0),
    tensor_times_numpy_int=lambda T: T.ones(2) * np.int64(2),
    tensor_plus_array=lambda T: T.ones(2, dtype=T.float64) + np.ones(2),
    numpy_sum_of_tensor=lambda T: float(np.sum(T.ones(3).numpy())),
    sin_of_tensor=lambda T: np.sin(T.zeros(2, dtype=T.float64)),
    sin_of_leaf=lambda T: np.sin(leaf(T)),
    sqrt_of_0d=lambda T: float(np.sqrt(T.tensor(4.0))),
    maximum_of_both=lambda T: np.asarray(np.maximum(T.ones(2, dtype=T.float64), np.array([0.0, 3.0]))),
    numpy_allclose=lambda T: bool(np.allclose(T.ones(2), np.ones(2))),
    numpy_testing=lambda T: np.testing.assert_array_equal(T.ones(2), np.ones(2)),
    numpy_stack=lambda T: np.stack([T.ones(2), T.zeros(2)]),
    numpy_of_bfloat16=lambda T: T.ones(2, dtype=T.bfloat16).numpy(),
    numpy_of_conj=lambda T: T.tensor([1 + 2j]).conj().resolve_conj().numpy(),
    tolist=lambda T: (T.tensor([[1, 2], [3, 4]]).tolist(), T.tensor(2.5).tolist(), T.ones(0).tolist()),
    tolist_of_bfloat16=lambda T: T.ones(2, dtype=T.bfloat16).tolist(),
    dlpack_from_numpy=lambda T: T.from_dlpack(np.arange(4.0)),
    dlpack_to_numpy=lambda T: np.from_dlpack(T.arange(4, dtype=T.float64)),
    dlpack_of_leaf=lambda T: np.from_dlpack(leaf(T)),
    dlpack_of_itself=lambda T: T.from_dlpack(T.arange(4)),
    dlpack_of_bool=lambda T: T.from_dlpack(T.tensor([True, False])),
)


@borders
def dlpack_shares(T):
    a = np.zeros(3)
    x = T.from_dlpack(a)
    x[0] = 4
    return a, x


@borders
def numpy_scalar_times_tensor(T):
    out = np.float64(2.0) * T.ones(2, dtype=T.float64)
    return type(out).__name__, np.asarray(out)


@borders
def written_array_is_noticed_only_through_tensors(T):
    x = leaf(T)
    y = (x * x).sum()
    x.detach().numpy()[0] = 100
    y.backward()
    return x.grad


@pytest.mark.parametrize("behaviour", borders)
def test_borders(behaviour):
    compare(torch, behaviour)


copies = Table()


def pickled(v):
    return pickle.loads(pickle.dumps(v))


@copies
def deepcopy_of_a_leaf(T):
    x = leaf(T)
    x.grad = T.ones(3, dtype=T.float64)
    y = copy.deepcopy(x)
    y.grad.mul_(2)
    with T.no_grad():
        y.zero_()
    return x, y, x.grad, y.grad, y.is_leaf


@copies
def deepcopy_of_0d(T):
    x = T.tensor(2.0, requires_grad=True)
    y = copy.deepcopy(x)
    with T.no_grad():
        y.add_(1)
    return x, y


@copies
def deepcopy_of_a_parameter(T):
    p = T.nn.Parameter(T.ones(2))
    p.note = [1, 2]
    (p * 3).sum().backward()
    q = copy.deepcopy(p)
    return q, q.grad, isinstance(q, T.nn.Parameter), type(q).__name__, q.grad is p.grad, q.data_ptr() == p.data_ptr()


@copies
def deepcopy_of_a_0d_parameter(T):
    q = copy.deepcopy(T.nn.Parameter(T.tensor(2.0)))
    return q, isinstance(q, T.nn.Parameter), q.shape == ()


@copies
def deepcopy_of_views_keeps_sharing(T):
    x = T.zeros(2, 3)
    pair = copy.deepcopy({"whole": x, "row": x[0], "t": x.t()})
    pair["row"].fill_(5)
    pair["t"][2, 1] = 7
    return x, pair["whole"], pair["row"], pair["t"], pair["t"].stride()


@copies
def deepcopy_of_a_view_first(T):
    x = T.zeros(2, 3)
    row, whole = copy.deepcopy([x[1], x])
    row.fill_(5)
    return whole, row


@copies
def deepcopy_of_one_view(T):
    x = T.arange(6.0).reshape(2, 3)
    y = copy.deepcopy(x[:, 1])
    return y, y.stride(), y.storage_offset()


@copies
def deepcopy_of_the_same_twice(T):
    x = T.ones(2)
    a, b = copy.deepcopy([x, x])
    return a is b


@copies
def deepcopy_of_a_detached_pair(T):
    x = leaf(T)
    a, b = copy.deepcopy([x, x.detach()])
    b[0] = 9
    return a, b


@copies
def deepcopy_of_a_result(T):
    copy.deepcopy(leaf(T) * 2)


@copies
def deepcopy_of_ties(T):
    layer = T.nn.Linear(2, 2)
    other = T.nn.Linear(2, 2)
    other.weight = layer.weight
    a, b = copy.deepcopy(T.nn.ModuleList([layer, other]))
    return a.weight is b.weight


@copies
def copy_of_a_leaf(T):
    x = leaf(T)
    y = copy.copy(x)
    y.detach()[0] = 9
    return x, y, y is x


@copies
def copy_of_a_parameter(T):
    p = copy.copy(T.nn.Parameter(T.ones(2)))
    return p, isinstance(p, T.nn.Parameter)


copies.add(
    pickle_plain=lambda T: pickled(T.arange(6.0).reshape(2, 3)),
    pickle_0d=lambda T: pickled(T.tensor(2.5)),
    pickle_empty=lambda T: pickled(T.ones(0, 3)),
    pickle_leaf=lambda T: pickled(leaf(T)),
    pickle_bfloat16=lambda T: pickled(T.ones(2, dtype=T.bfloat16)),
    pickle_bool=lambda T: pickled(T.tensor([True, False])),
    pickle_parameter=lambda T: (lambda p: (p, isinstance(p, T.nn.Parameter)))(pickled(T.nn.Parameter(T.ones(2)))),
    pickle_0d_parameter=lambda T: pickled(T.nn.Parameter(T.tensor(1.0))),
    pickle_frozen_parameter=lambda T: pickled(T.nn.Parameter(T.ones(2), requires_grad=False)),
    pickle_result=lambda T: pickled(leaf(T) * 2),
    pickle_view=lambda T: pickled(T.arange(6.0).reshape(2, 3).t()).stride(),
    pickle_size=lambda T: str(pickled(T.ones(2, 3).shape)),
    pickle_dtype=lambda T: pickled(T.float32) is T.float32,
    pickle_device=lambda T: str(pickled(T.device("cpu"))),
    pickle_module=lambda T: (T.manual_seed(0), pickled(T.nn.Linear(2, 2)).weight)[1],
    pickle_loses_grad=lambda T: (lambda x: (x.sum().backward(), pickled(x).grad)[1])(leaf(T)),
)


@copies
def pickle_keeps_sharing(T):
    x = T.zeros(2, 3)
    whole, row = pickled([x, x[0]])
    row.fill_(5)
    return whole, row


@copies
def save_and_load_keep_sharing(T):
    x = T.zeros(2, 3)
    file = io.BytesIO()
    T.save([x, x[0]], file)
    file.seek(0)
    whole, row = T.load(file)
    row.fill_(5)
    return whole, row


@pytest.mark.parametrize("behaviour", copies)
def test_copies(behaviour):
    compare(torch, behaviour)
