"""The DataLoader in one process: batches, orders, options and errors."""

import sys
import weakref

import numpy as np
import pytest

import retrograd as torch
from retrograd.data import gather
from retrograd.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
    default_collate,
    random_split,
)


class Count(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return index


class Stream(IterableDataset):
    def __init__(self, n, said=None):
        self.n = n
        self.said = n if said is None else said

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.said


def lists(loader):
    return [batch.tolist() if isinstance(batch, torch.Tensor) else batch for batch in loader]


def joined(batches):
    return [item for batch in batches for item in batch]


def test_batches():
    assert lists(DataLoader(Count(5), 2)) == [[0, 1], [2, 3], [4]]
    assert lists(DataLoader(Count(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert lists(DataLoader(Count(3))) == [[0], [1], [2]]
    assert lists(DataLoader(Count(3), None)) == [0, 1, 2]
    assert lists(DataLoader(Count(5), sampler=[4, 2, 0], batch_size=2)) == [[4, 2], [0]]
    assert lists(DataLoader(Count(5), batch_sampler=[[0, 4], [1]])) == [[0, 4], [1]]
    assert lists(DataLoader(Count(4), 2, collate_fn=sum)) == [1, 5]
    assert lists(DataLoader([10, 20, 30], 2)) == [[10, 20], [30]]
    assert lists(DataLoader({"a": 1, "b": 2}, sampler=["b", "a"], batch_size=None)) == [2, 1]


def test_lengths():
    for n, size, drop, expected in ((5, 2, False, 3), (5, 2, True, 2), (4, 2, False, 2), (0, 2, False, 0)):
        assert len(DataLoader(Count(n), size, drop_last=drop)) == expected
        assert len(DataLoader(Stream(n), size, drop_last=drop)) == expected
    assert len(DataLoader(Count(5), None)) == len(DataLoader(Stream(5), None)) == 5
    with pytest.raises(TypeError):
        len(DataLoader(IterableDataset()))


def test_streams():
    assert lists(DataLoader(Stream(5), 2)) == [[0, 1], [2, 3], [4]]
    assert lists(DataLoader(Stream(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert lists(DataLoader(Stream(3), None)) == [0, 1, 2]
    assert lists(DataLoader(Stream(0), 2)) == []
    loader = DataLoader(Stream(5, said=2), 1)
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="reported to be 2"):
        list(loader)


def test_shuffling_is_a_permutation_and_new_each_time():
    torch.manual_seed(0)
    loader = DataLoader(Count(50), 8, shuffle=True)
    first, second = joined(lists(loader)), joined(lists(loader))
    assert sorted(first) == sorted(second) == list(range(50)) and first != second
    torch.manual_seed(0)
    assert joined(lists(loader)) == first


def test_iterators_are_independent():
    loader = DataLoader(Count(3), 1)
    assert [(a.item(), b.item()) for a in loader for b in loader] == [(i, j) for i in range(3) for j in range(3)]
    iterator = iter(loader)
    assert iter(iterator) is iterator and next(iterator).item() == 0 and len(iterator) == 3
    assert len(list(iterator)) == 2
    with pytest.raises(StopIteration):
        next(iterator)


OPTION_ERRORS = [
    ({"num_workers": -1}, ValueError),
    ({"timeout": -1}, ValueError),
    ({"prefetch_factor": 2}, ValueError),
    ({"num_workers": 1, "prefetch_factor": -1}, ValueError),
    ({"persistent_workers": True}, ValueError),
    ({"sampler": [1], "shuffle": True}, ValueError),
    ({"batch_sampler": [[1]], "batch_size": 2}, ValueError),
    ({"batch_sampler": [[1]], "shuffle": True}, ValueError),
    ({"batch_sampler": [[1]], "sampler": [1]}, ValueError),
    ({"batch_sampler": [[1]], "drop_last": True}, ValueError),
    ({"batch_size": None, "drop_last": True}, ValueError),
    ({"batch_size": 0}, ValueError),
    ({"batch_size": 2.5}, ValueError),
    ({"drop_last": 1}, ValueError),
    ({"multiprocessing_context": "fork"}, ValueError),
    ({"multiprocessing_context": "thread", "num_workers": 1}, ValueError),
    ({"multiprocessing_context": 3, "num_workers": 1}, TypeError),
]


@pytest.mark.parametrize(("options", "error"), OPTION_ERRORS, ids=[str(o) for o, _ in OPTION_ERRORS])
def test_options_that_contradict(options, error):
    with pytest.raises(error):
        DataLoader(Count(4), **options)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}])
def test_options_that_streams_do_not_have(options):
    with pytest.raises(ValueError, match="IterableDataset"):
        DataLoader(Stream(3), **options)


def test_attributes_are_fixed():
    loader = DataLoader(Count(4), 2)
    for name in ("batch_size", "sampler", "batch_sampler", "dataset", "drop_last", "persistent_workers"):
        with pytest.raises(ValueError, match=name):
            setattr(loader, name, None)
    loader.collate_fn = sum
    assert list(loader) == [1, 5]


def test_pinning_warns():
    with pytest.warns(UserWarning, match="pin_memory"):
        list(DataLoader(Count(2), pin_memory=True))


# -- gathers -----------------------------------------------------------------------------------------------------------
class Doubled(TensorDataset):
    def __getitem__(self, index):
        return tuple(t * 2 for t in super().__getitem__(index))


def tensors(n=11):
    x = torch.arange(n * 6).reshape(n, 2, 3).to(torch.float32)
    return [x, torch.arange(n), x.to(torch.bfloat16), (x > 5), x.transpose(0, 2).contiguous().transpose(0, 2)]


DATASETS = {
    "plain": lambda: TensorDataset(*tensors()),
    "subset": lambda: Subset(TensorDataset(*tensors()), [3, -1, 0, 7, 7]),
    "subset of a subset": lambda: Subset(Subset(TensorDataset(*tensors()), [9, 8, 7, 6, 5]), [4, 0, -2]),
    "split": lambda: random_split(TensorDataset(*tensors()), [6, 5], torch.Generator().manual_seed(0))[1],
    "array of indices": lambda: Subset(TensorDataset(*tensors()), np.array([5, 2, 8])),
    "tensor of indices": lambda: Subset(TensorDataset(*tensors()), torch.tensor([5, 2, 8])),
    "own lookup": lambda: Doubled(*tensors()),
    "subset of own lookup": lambda: Subset(Doubled(*tensors()), [1, 2, 3]),
    "two": lambda: ConcatDataset([TensorDataset(*tensors()), TensorDataset(*tensors())]),
}


@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"sampler": [2, 0, 1, -1]}, {"drop_last": True}], ids=str)
@pytest.mark.parametrize("name", DATASETS)
def test_gathered_batches_equal_collated_ones(name, options):
    dataset = DATASETS[name]()
    torch.manual_seed(1)
    found = list(DataLoader(dataset, 2, **options))
    torch.manual_seed(1)
    expected = list(DataLoader(dataset, 2, **options, collate_fn=lambda batch: default_collate(batch)))
    assert len(found) == len(expected)
    for batch, other in zip(found, expected, strict=True):
        assert type(batch) is type(other) is list
        for a, b in zip(batch, other, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape and a.tolist() == b.tolist()
            assert a.is_contiguous() and not a.requires_grad


def test_a_batch_is_a_gather():
    dataset = TensorDataset(*tensors())
    assert gather.gather_plan(dataset, default_collate) is not None
    assert gather.gather_plan(random_split(dataset, [6, 5])[0], default_collate) is not None
    assert gather.gather_plan(dataset, list) is None
    assert gather.gather_plan(Doubled(*tensors()), default_collate) is None
    before, seen = sys.getprofile(), []
    sys.setprofile(lambda frame, event, arg: seen.append(frame.f_code.co_name) if event == "call" else None)
    try:
        for _ in DataLoader(dataset, 11):
            pass
    finally:
        sys.setprofile(before)
    assert "stack" not in seen and seen.count("take") == 5


def test_batches_do_not_share_memory_with_the_data():
    x = torch.zeros(4, 2)
    for (batch,) in DataLoader(TensorDataset(x), 2):
        batch += 1
    assert x.tolist() == [[0, 0]] * 4
    loader = DataLoader(TensorDataset(x), 4)
    x += 3
    assert next(iter(loader))[0].tolist() == [[3, 3]] * 4


def test_gradients_flow_through_batches():
    x = torch.arange(6.0).reshape(3, 2).requires_grad_()
    for shuffle in (False, True):
        x.grad = None
        for (batch,) in DataLoader(TensorDataset(x), 2, shuffle=shuffle):
            (batch * batch).sum().backward()
        assert x.grad.tolist() == (2 * x).tolist()
    with torch.no_grad():
        assert not next(iter(DataLoader(TensorDataset(x), 2)))[0].requires_grad


def test_indices_out_of_range():
    for indices in ([[0, 5]], [[-4]]):
        with pytest.raises(IndexError):
            list(DataLoader(TensorDataset(torch.zeros(3, 2)), batch_sampler=indices))


def test_an_own_collate_function_for_tensors_is_used():
    from retrograd.utils.data._utils.collate import default_collate_fn_map

    kept = default_collate_fn_map[torch.Tensor]
    default_collate_fn_map[torch.Tensor] = lambda batch, collate_fn_map: len(batch)
    try:
        assert list(DataLoader(TensorDataset(torch.zeros(3, 2)), 2)) == [[2], [1]]
    finally:
        default_collate_fn_map[torch.Tensor] = kept


@pytest.mark.parametrize("own", [False, True], ids=["drawn seed", "own generator"])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("total", [4, 5])
def test_gathering_draws_what_the_samplers_draw(total, drop_last, own):
    def states(dataset):
        torch.manual_seed(3)
        generator = torch.Generator().manual_seed(4) if own else None
        loader = DataLoader(dataset, 2, shuffle=True, drop_last=drop_last, generator=generator)
        found = []
        for _ in range(2):
            for batch in loader:
                found.append((batch[0].tolist(), (generator or torch.default_generator).get_state().tolist()))
        return found

    plain = TensorDataset(torch.arange(total))
    assert states(plain) == states(ConcatDataset([plain]))


def test_iterators_are_freed_at_once():
    loader = DataLoader(TensorDataset(torch.zeros(10, 2)), 2)
    iterator = iter(loader)
    next(iterator)
    ref = weakref.ref(iterator)
    del iterator
    assert ref() is None


def test_batch_samplers_of_ones_own():
    class Twice(BatchSampler):
        def __iter__(self):
            for batch in super().__iter__():
                yield batch
                yield batch

    dataset = TensorDataset(torch.arange(3))
    sampler = Twice(SequentialSampler(dataset), 2, False)
    assert [b[0].tolist() for b in DataLoader(dataset, batch_sampler=sampler)] == [[0, 1], [0, 1], [2], [2]]
    sampler = RandomSampler(dataset, num_samples=7)
    assert sorted(i for b in DataLoader(dataset, 3, sampler=sampler) for i in b[0].tolist())[:2] == [0, 0]
