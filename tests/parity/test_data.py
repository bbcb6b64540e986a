"""Orders, seeds, batches and errors of the data room, compared with PyTorch's."""

import collections
import random

import numpy as np
import pytest

import retrograd
from retrograd.utils import data as our_data

torch = pytest.importorskip("torch")
from torch.utils import data as torch_data  # noqa: E402

LIBRARIES = ((retrograd, our_data), (torch, torch_data))
WORKERS = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


def show(found):
    """Turn tensors of either library into lists, with their dtypes."""
    if isinstance(found, (retrograd.Tensor, torch.Tensor)):
        return str(found.dtype), found.tolist()
    if isinstance(found, dict):
        return type(found).__name__, {key: show(value) for key, value in found.items()}
    if isinstance(found, (list, tuple, collections.deque)):
        return type(found).__name__, [show(item) for item in found]
    return found


def both(function, seed=0):
    """Run a function with either library; it is given the library and its torch.utils.data."""
    results = []
    for library, data in LIBRARIES:
        library.manual_seed(seed)
        try:
            result = show(function(library, data))
        except Exception as error:
            result = type(error)
        results.append((result, library.rand(3).tolist()))  # what follows has to be equal too
    return results


SAMPLERS = {
    "random": lambda t, d: [list(d.RandomSampler(range(50))) for _ in range(2)],
    "random, large": lambda t, d: list(d.RandomSampler(range(3000))),
    "random, more samples": lambda t, d: list(d.RandomSampler(range(10), num_samples=33)),
    "random, fewer samples": lambda t, d: list(d.RandomSampler(range(10), num_samples=3)),
    "random, replacement": lambda t, d: list(d.RandomSampler(range(10), replacement=True, num_samples=70)),
    "random, replacement, 64": lambda t, d: list(d.RandomSampler(range(10), replacement=True, num_samples=64)),
    "subset": lambda t, d: list(d.SubsetRandomSampler([5, 7, 9, 11])),
    "weighted": lambda t, d: list(d.WeightedRandomSampler([0.1, 0.9, 0.4, 0.7, 3.0, 0.6], 20)),
    "weighted, once": lambda t, d: list(d.WeightedRandomSampler([0.9, 0.4, 0.05, 0.2, 0.3, 0.1], 5, False)),
    "batches": lambda t, d: list(d.BatchSampler(d.RandomSampler(range(10)), 3, True)),
    "split": lambda t, d: [list(p.indices) for p in d.random_split(range(30), [0.3, 0.3, 0.4])],
    "split by lengths": lambda t, d: [list(p.indices) for p in d.random_split(range(10), [3, 7])],
    "split, own": lambda t, d: [list(p.indices) for p in d.random_split([0] * 9, [3, 6], t.Generator().manual_seed(4))],
}  # fmt: skip


@pytest.mark.parametrize("own", [False, True], ids=["default", "own generator"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers(name, own):
    ours, theirs = both(SAMPLERS[name], seed=7 + own)
    assert ours == theirs


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("total", [1, 2, 7, 10])
def test_distributed_samplers(total, shuffle, drop_last):
    def shares(library, data):
        samplers = [data.distributed.DistributedSampler(range(total), 3, r, shuffle, 5, drop_last) for r in range(3)]
        for sampler in samplers:
            sampler.set_epoch(2)
        return [list(sampler) for sampler in samplers], [len(sampler) for sampler in samplers]

    ours, theirs = both(shares)
    assert ours == theirs


LOADERS = [
    {},
    {"batch_size": 4},
    {"batch_size": 4, "drop_last": True},
    {"batch_size": 4, "shuffle": True},
    {"batch_size": 4, "shuffle": True, "drop_last": True},
    {"batch_size": 23, "shuffle": True},
    {"batch_size": None},
    {"batch_size": None, "shuffle": True},
    {"sampler": [3, 1, -1], "batch_size": 2},
    {"batch_sampler": [[3, 1], [0]]},
]


@WORKERS
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("generator", [False, True], ids=["default", "own generator"])
@pytest.mark.parametrize("options", LOADERS, ids=str)
def test_loaders(options, generator, workers):
    rows = np.random.default_rng(0).normal(size=(23, 3)).astype("f4")

    def epochs(library, data):
        own = library.Generator().manual_seed(3) if generator else None
        part = data.random_split(data.TensorDataset(library.from_numpy(rows), library.arange(23)), [0.8, 0.2])[0]
        loader = data.DataLoader(part, generator=own, num_workers=workers, **options)
        found = [list(loader) for _ in range(3)]
        return found, own.get_state().tolist() if own else None, len(loader)

    ours, theirs = both(epochs)
    assert ours == theirs


class Draws:
    """Samples that are draws of every kind, in the worker they are asked for."""

    def __init__(self, library, data):
        self.library, self.data = library, data

    def __len__(self):
        return 6

    def __getitem__(self, index):
        info = self.data.get_worker_info()
        drawn = self.library.rand(2).tolist()
        return index, info.id, info.num_workers, info.seed, random.random(), np.random.rand(), drawn  # noqa: NPY002


@WORKERS
@pytest.mark.parametrize("persistent", [False, True])
def test_worker_seeds(persistent):
    def draws(library, data):
        options = {"num_workers": 2, "collate_fn": list, "persistent_workers": persistent}
        loader = data.DataLoader(Draws(library, data), 2, **options)
        return [list(loader) for _ in range(2)]

    ours, theirs = both(draws)
    assert ours == theirs


@WORKERS
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("n", [0, 1, 6, 8])
def test_streams(n, drop_last):
    def epochs(library, data):
        class Stream(data.IterableDataset):
            def __iter__(self):
                info = data.get_worker_info()
                return iter(range(n)) if info is None else iter(range(info.id, n, info.num_workers))

        batched = {"batch_size": 2, "drop_last": drop_last}
        return [list(data.DataLoader(Stream(), num_workers=w, **batched)) for w in (0, 1, 2)]

    ours, theirs = both(epochs)
    assert ours == theirs


Point = collections.namedtuple("Point", ["x", "y"])
SAMPLES = {
    "ints": [1, 2],
    "large ints": [2**40, 1],
    "bools": [True, False],
    "floats": [1.0, 2.5],
    "mixed": [1, 2.5],
    "texts": ["a", "b"],
    "bytes": [b"a", b"b"],
    "float32": [np.float32(1), np.float32(2)],
    "float64": [np.float64(1), np.float64(2)],
    "int8": [np.int8(1), np.int8(2)],
    "numpy bools": [np.bool_(True), np.bool_(False)],
    "arrays": [np.arange(3), np.arange(3)],
    "float16 arrays": [np.ones(2, "f2")] * 2,
    "0-d arrays": [np.array(1.0), np.array(2.0)],
    "text arrays": [np.array(["a"])],
    "object arrays": [np.array([None])],
    "tuples": [(1, "a"), (2, "b")],
    "lists": [[1, [2.0]], [3, [4.0]]],
    "dicts": [{"a": 1, "b": (1,)}, {"a": 2, "b": (2,)}],
    "missing keys": [{"a": 1}, {"b": 1}],
    "points": [Point(1, 2), Point(3, 4)],
    "ranges": [range(2), range(2)],
    "uneven": [[1], [1, 2]],
    "none": [None, None],
    "objects": [object()],
    "complex": [1j],
    "empty": [],
    "ordered": [collections.OrderedDict(a=1)],
    "deque": [collections.deque([1, 2])],
}


@pytest.mark.parametrize("name", SAMPLES)
def test_collate(name):
    ours, theirs = both(lambda library, data: data.default_collate(SAMPLES[name]))
    assert ours == theirs


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "objects"])
def test_convert(name):
    def convert(library, data):
        found = data.default_convert(SAMPLES[name])
        return str(found) if "arrays" in name and not isinstance(found[0], library.Tensor) else found

    ours, theirs = both(convert)
    assert ours == theirs


class Bad:
    """A sample that raises."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 1:
            raise self.error
        return index


STRANGE = UnicodeDecodeError("u8", b"", 0, 1, "")  # cannot be made of a message alone
ERRORS = {
    "negative workers": lambda t, d: d.DataLoader([1], num_workers=-1),
    "negative timeout": lambda t, d: d.DataLoader([1], timeout=-1),
    "prefetching without workers": lambda t, d: d.DataLoader([1], prefetch_factor=2),
    "persistent without workers": lambda t, d: d.DataLoader([1], persistent_workers=True),
    "two orders": lambda t, d: d.DataLoader([1], sampler=[0], shuffle=True),
    "two batchings": lambda t, d: d.DataLoader([1], batch_sampler=[[0]], batch_size=2),
    "drop_last without batches": lambda t, d: d.DataLoader([1], batch_size=None, drop_last=True),
    "batch_size 0": lambda t, d: d.DataLoader([1], batch_size=0),
    "shuffled emptiness": lambda t, d: d.DataLoader([], shuffle=True),
    "unknown context": lambda t, d: d.DataLoader([1], num_workers=1, multiprocessing_context="x"),
    "context of a kind": lambda t, d: d.DataLoader([1], num_workers=1, multiprocessing_context=3),
    "context without workers": lambda t, d: d.DataLoader([1], multiprocessing_context="fork"),
    "shuffled stream": lambda t, d: d.DataLoader(d.IterableDataset(), shuffle=True),
    "length of a stream": lambda t, d: len(d.DataLoader(d.IterableDataset())),
    "fixed attribute": lambda t, d: setattr(d.DataLoader([1]), "batch_size", 2),
    "index error": lambda t, d: list(d.DataLoader([1], sampler=[3])),
    "index error in tensors": lambda t, d: list(d.DataLoader(d.TensorDataset(t.zeros(2)), sampler=[3], batch_size=2)),
    "value error": lambda t, d: list(d.DataLoader(Bad(ValueError("x")))),
    "value error in a worker": lambda t, d: list(d.DataLoader(Bad(ValueError("x")), num_workers=1)),
    "key error in a worker": lambda t, d: list(d.DataLoader(Bad(KeyError("x")), num_workers=1)),
    "strange error in a worker": lambda t, d: list(d.DataLoader(Bad(STRANGE), num_workers=1)),
    "sizes that differ": lambda t, d: d.TensorDataset(t.zeros(2), t.zeros(3)),
    "no datasets": lambda t, d: d.ConcatDataset([]),
    "no stack": lambda t, d: d.StackDataset(),
    "split sum": lambda t, d: d.random_split([1, 2], [1, 2]),
    "split fraction": lambda t, d: d.random_split([1, 2], [-0.5, 1.5]),
    "chain of lists": lambda t, d: list(d.ChainDataset([[1]])),
    "abstract": lambda t, d: d.Dataset()[0],
}  # fmt: skip


@WORKERS
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    ours, theirs = both(ERRORS[name])
    assert isinstance(theirs[0], type)
    assert ours == theirs


def test_names():
    ours = set(our_data.__all__)
    pipes = {
        name for name in torch_data.__all__ if "Pipe" in name or "pipe" in name or name in dir(torch_data.datapipes)
    }
    decorators = {name for name in torch_data.__all__ if "determinis" in name or "validation" in name}
    rest = set(torch_data.__all__) - ours - pipes - decorators
    assert rest <= {"DataChunk", "_DatasetKind"}
