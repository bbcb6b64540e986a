"""Datasets, how they are combined, and how samples become batches."""

import collections
import itertools
import warnings

import numpy as np
import pytest

import retrograd as torch
from retrograd.utils import data
from retrograd.utils.data import default_collate, default_convert


class Squares(data.Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if not -self.n <= index < self.n:
            raise IndexError(index)
        return index**2


class Stream(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.n


def test_abstract_classes():
    with pytest.raises(NotImplementedError):
        data.Dataset()[0]
    with pytest.raises(TypeError):
        len(data.Dataset())
    with pytest.raises(NotImplementedError):
        iter(data.Sampler())
    assert data.Dataset[int] is not None


def test_tensor_dataset():
    x, y = torch.arange(6).reshape(3, 2), torch.arange(3)
    dataset = data.TensorDataset(x, y)
    assert len(dataset) == 3
    assert dataset[1][0].tolist() == [2, 3] and dataset[-1][1].item() == 2
    assert [t.tolist() for t in dataset[[0, 2]]] == [[[0, 1], [4, 5]], [0, 2]]
    with pytest.raises(AssertionError, match="Size mismatch"):
        data.TensorDataset(x, torch.arange(4))
    with pytest.raises(IndexError):
        dataset[3]


def test_concatenation():
    both = Squares(3) + Squares(2)
    assert [both[i] for i in range(5)] == [0, 1, 4, 0, 1]
    assert both[-1] == 1 and both[-5] == 0 and both.cumulative_sizes == [3, 5]
    for bad in ([], [Stream(2)]):
        with pytest.raises(AssertionError):
            data.ConcatDataset(bad)
    with pytest.raises(ValueError):
        both[-6]
    with pytest.raises(IndexError):
        both[5]


def test_chains():
    chain = Stream(2) + Stream(3)
    assert list(chain) == [0, 1, 0, 1, 2] and len(chain) == 5
    for use in (list, len):
        with pytest.raises(AssertionError):
            use(data.ChainDataset([Squares(2)]))


def test_stacks():
    stack = data.StackDataset(Squares(3), Squares(3))
    assert stack[2] == (4, 4) and stack.__getitems__([0, 2]) == [(0, 0), (4, 4)]
    stack = data.StackDataset(a=Squares(3), b=data.Subset(Squares(9), [3, 4, 5]))
    assert stack[1] == {"a": 1, "b": 16} and len(stack) == 3
    assert stack.__getitems__([0, 1]) == [{"a": 0, "b": 9}, {"a": 1, "b": 16}]
    for args, kwargs in (((), {}), ((Squares(1),), {"a": Squares(1)}), ((Squares(1), Squares(2)), {})):
        with pytest.raises(ValueError):
            data.StackDataset(*args, **kwargs)

    class Liar(Squares):
        def __getitems__(self, indices):
            return [0]

    with pytest.raises(ValueError, match="Expected 2, got 1"):
        data.StackDataset(Liar(3)).__getitems__([0, 1])


def test_subsets():
    subset = data.Subset(Squares(10), [1, 3, 5])
    assert [subset[0], subset[-1]] == [1, 25] and subset.__getitems__([0, 2]) == [1, 25]
    assert data.Subset(subset, [2])[0] == 25
    x = data.Subset(data.TensorDataset(torch.arange(10)), [1, 3, 5])
    assert x[[0, 2]][0].tolist() == [1, 5]

    class Half(data.Subset):
        def __getitem__(self, index):
            return super().__getitem__(index) / 2

    with pytest.raises(NotImplementedError, match="__getitems__"):
        Half(Squares(2), [0])


def test_random_split():
    parts = data.random_split(range(10), [7, 3], torch.Generator().manual_seed(0))
    assert sorted(parts[0].indices + parts[1].indices) == list(range(10))
    assert [len(part) for part in data.random_split(range(10), [0.5, 0.3, 0.2])] == [5, 3, 2]
    assert [len(part) for part in data.random_split(range(11), [1 / 3, 1 / 3, 1 / 3])] == [4, 4, 3]
    with pytest.raises(ValueError, match="Sum of input lengths"):
        data.random_split(range(10), [7, 4])
    with pytest.raises(ValueError, match="Fraction at index 0"):
        data.random_split(range(10), [-0.5, 1.5])
    with pytest.warns(UserWarning, match="index 1 is 0"):
        data.random_split(range(2), [0.9, 0.1])


Point = collections.namedtuple("Point", ["x", "y"])


class Bag(dict):
    """A dictionary with more than its entries."""


COLLATED = [
    ([1, 2], "tensor([1, 2])"),
    ([True, False], "tensor([ True, False])"),
    ([1.0, 2.0], "tensor([1., 2.], dtype=torch.float64)"),
    (["a", "b"], "['a', 'b']"),
    ([b"a", b"b"], "[b'a', b'b']"),
    ([np.float32(1), np.float32(2)], "tensor([1., 2.])"),
    ([np.int16(1), np.int16(2)], "tensor([1, 2], dtype=torch.int16)"),
    ([np.array([1, 2]), np.array([3, 4])], "tensor([[1, 2], [3, 4]])"),
    ([(1, "a"), (2, "b")], "[tensor([1, 2]), ('a', 'b')]"),
    ([[1, 2.0], [3, 4.0]], "[tensor([1, 3]), tensor([2., 4.], dtype=torch.float64)]"),
    ([{"a": 1}, {"a": 2, "b": 3}], "{'a': tensor([1, 2])}"),
    ([Point(1, (2,)), Point(3, (4,))], "Point(x=tensor([1, 3]), y=[tensor([2, 4])])"),
    ([range(2), range(2)], "[tensor([0, 0]), tensor([1, 1])]"),
]


@pytest.mark.parametrize(("batch", "expected"), COLLATED, ids=[e for _, e in COLLATED])
def test_collate(batch, expected):
    assert repr(default_collate(batch)).replace(",\n        ", ", ") == expected


def test_collate_tensors():
    x, y = torch.arange(3), torch.arange(3, 6)
    assert default_collate([x, y]).tolist() == [[0, 1, 2], [3, 4, 5]]
    bag = Bag(a=1)
    bag.note = "kept"
    found = default_collate([bag, bag])
    assert type(found) is Bag and found.note == "kept" and found["a"].tolist() == [1, 1]
    z = torch.ones(2, requires_grad=True)
    default_collate([z, z]).sum().backward()
    assert z.grad.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("batch", "error"),
    [
        ([None], TypeError),
        ([object()], TypeError),
        ([np.array(["a"])], TypeError),
        ([[1], [1, 2]], RuntimeError),
        ([torch.ones(1), torch.ones(2)], RuntimeError),
        ([{"a": 1}, {"b": 1}], KeyError),
        ([], IndexError),
    ],
)
def test_collate_errors(batch, error):
    with pytest.raises(error):
        default_collate(batch)


def test_collate_can_be_extended():
    collate = data._utils.collate
    table = {complex: lambda batch, collate_fn_map: sum(batch), **collate.default_collate_fn_map}
    assert collate.collate([(1j, 1), (2j, 2)], collate_fn_map=table)[0] == 3j
    with pytest.raises(TypeError):
        collate.collate([1j])


def test_convert():
    sample = {"a": np.arange(2), "b": [np.float32(1), "x", 3], "c": Point(np.zeros(1), 2), "d": (1, 2), "e": None}
    found = default_convert(sample)
    assert found["a"].tolist() == [0, 1] and found["b"][0].dtype == torch.float32 and found["b"][1:] == ["x", 3]
    assert isinstance(found["c"], Point) and found["c"].x.tolist() == [0]
    assert found["d"] == [1, 2] and found["e"] is None
    strings = np.array(["a"])
    assert default_convert(strings) is strings
    x = torch.ones(1)
    assert default_convert(x) is x


def test_samplers():
    assert list(data.SequentialSampler(range(3))) == [0, 1, 2]
    sampler = data.RandomSampler(range(5), num_samples=12)
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == 12 and sorted(drawn[:5]) == sorted(drawn[5:10]) == list(range(5))
    assert set(data.RandomSampler(range(3), replacement=True, num_samples=100)) == {0, 1, 2}
    assert sorted(data.SubsetRandomSampler([3, 1, 2])) == [1, 2, 3]
    assert set(data.WeightedRandomSampler([0, 1, 1, 0], 50)) == {1, 2}
    assert sorted(data.WeightedRandomSampler([1.0, 1, 1], 3, replacement=False)) == [0, 1, 2]
    batches = data.BatchSampler(data.SequentialSampler(range(5)), 2, True)
    assert list(batches) == [[0, 1], [2, 3]] and len(batches) == 2
    assert len(data.BatchSampler(range(5), 2, False)) == 3
    torch.manual_seed(0)
    first = list(data.RandomSampler(range(10)))
    torch.manual_seed(0)
    assert list(data.RandomSampler(range(10))) == first


SAMPLER_ERRORS = [
    (lambda: data.RandomSampler([]), ValueError),
    (lambda: data.RandomSampler([1], replacement=1), TypeError),
    (lambda: data.RandomSampler([1], num_samples=0), ValueError),
    (lambda: data.RandomSampler([1], num_samples=2.0), ValueError),
    (lambda: data.WeightedRandomSampler([1.0], 0), ValueError),
    (lambda: data.WeightedRandomSampler([1.0], True), ValueError),
    (lambda: data.WeightedRandomSampler([1.0], 1, replacement=1), ValueError),
    (lambda: data.WeightedRandomSampler([[1.0]], 1), ValueError),
    (lambda: data.BatchSampler(range(3), 0, False), ValueError),
    (lambda: data.BatchSampler(range(3), True, False), ValueError),
    (lambda: data.BatchSampler(range(3), 2.0, False), ValueError),
    (lambda: data.BatchSampler(range(3), 2, 1), ValueError),
    (lambda: data.DistributedSampler(range(3), 2, 2), ValueError),
    (lambda: data.DistributedSampler(range(3), 2, -1), ValueError),
    (lambda: data.DistributedSampler(range(3)), ValueError),
]


@pytest.mark.parametrize("row", range(len(SAMPLER_ERRORS)))
def test_sampler_errors(row):
    make, error = SAMPLER_ERRORS[row]
    with pytest.raises(error):
        make()


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("total", [0, 1, 2, 7, 9, 10])
def test_distributed_shares(total, shuffle, drop_last):
    shares = [data.DistributedSampler(range(total), 3, rank, shuffle, drop_last=drop_last) for rank in range(3)]
    for share in shares:
        share.set_epoch(2)
    drawn = [list(share) for share in shares]
    assert len({len(share) for share in drawn}) == 1 and len(drawn[0]) == len(shares[0])
    union = {index for share in drawn for index in share}
    assert len(union) == (total - total % 3 if drop_last else total)


def test_the_faces_hold_the_same_classes():
    from retrograd.utils.data import dataloader, dataset, distributed, sampler

    assert dataset.Dataset is data.Dataset and sampler.Sampler is data.Sampler
    assert dataloader.DataLoader is data.DataLoader and distributed.DistributedSampler is data.DistributedSampler
    assert dataloader.default_collate is data._utils.collate.default_collate is default_collate
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.get_worker_info() is None


def test_an_iterator_reads_what_torch_s_reads_of_a_loader():
    """fastai gives it an object that is no DataLoader."""
    from retrograd.utils.data.dataloader import _DatasetKind, _SingleProcessDataLoaderIter

    class Loader:
        dataset, num_workers, timeout, pin_memory, generator = range(3), 0, 0, False, None
        _dataset_kind, _auto_collation, drop_last, _index_sampler = (
            _DatasetKind.Iterable,
            False,
            False,
            itertools.count(),
        )
        _IterableDataset_len_called = None

        @staticmethod
        def collate_fn(x):
            return x * 2

    assert list(_SingleProcessDataLoaderIter(Loader())) == [0, 2, 4]
