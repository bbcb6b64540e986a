"""The DataLoader's worker processes: order, seeds, errors, deaths, and a clean end."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import retrograd as torch
from retrograd.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

pytestmark = [
    pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    # a test's own fork, of a process in which NumPy may have threads
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def loader(dataset, *args, workers=2, context="fork", **options):
    return DataLoader(dataset, *args, num_workers=workers, multiprocessing_context=context, **options)


def joined(batches):
    return [item for batch in batches for item in batch]


def plain(batch):
    return batch


@pytest.fixture(autouse=True)
def no_orphans():
    yield
    assert multiprocessing.active_children() == []


class Doing(Dataset):
    """A dataset whose samples are what a function gives."""

    def __init__(self, n, function):
        self.n = n
        self.function = function

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return self.function(index)


class Stream(IterableDataset):
    def __init__(self, n, split=True):
        self.n = n
        self.split = split

    def __iter__(self):
        info = get_worker_info()
        if info is None or not self.split:
            return iter(range(self.n))
        return iter(range(info.id, self.n, info.num_workers))

    def __len__(self):
        return self.n


def test_order_is_kept():
    def slow_at_first(index):
        time.sleep(0.05 if index < 3 else 0)
        return index

    found = [batch.tolist() for batch in loader(Doing(9, slow_at_first), 2)]
    assert found == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]


def test_any_order_on_demand():
    def slow_at_first(index):
        time.sleep(0.3 if index < 2 else 0)
        return index

    found = [batch.tolist() for batch in loader(Doing(12, slow_at_first), 2, in_order=False)]
    assert sorted(joined(found)) == list(range(12)) and found[0] != [0, 1]


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_tensors_travel(context):
    x = torch.arange(20.0).reshape(10, 2)
    dataset = TensorDataset(x, x.to(torch.bfloat16), x[:, 0] > 3, torch.arange(10))
    here = [[t.tolist() for t in batch] for batch in DataLoader(dataset, 3)]
    for persistent in (False, True):
        there = loader(dataset, 3, context=context, persistent_workers=persistent)
        batches = list(there)
        assert [[t.tolist() for t in batch] for batch in batches] == here
        assert batches[0][1].dtype == torch.bfloat16
        batches[0][0] += 1
        del there


def test_any_sample_travels():
    def sample(index):
        big = np.arange(100_000.0)
        return {"i": index, "t": torch.ones(3)[1:], "a": big[::2], "e": torch.zeros(0), "s": "x", "n": None}

    found = list(loader(Doing(3, sample), 2, collate_fn=plain))
    assert [len(batch) for batch in found] == [2, 1]
    for i, one in enumerate(joined(found)):
        assert one["i"] == i and one["t"].tolist() == [1, 1] and one["a"][-1] == 99998 and one["e"].shape == (0,)
    p = torch.nn.Parameter(torch.ones(2))
    (found,) = list(loader(Doing(1, lambda i: p), None))
    assert isinstance(found, torch.nn.Parameter) and found.requires_grad


def test_a_row_travels_without_its_table():
    table = torch.zeros(1000, 1000)
    (found,) = list(loader(Doing(1, lambda i: table[i]), None, workers=1))
    assert found.shape == (1000,) and found._s.root.nbytes == 4000


def test_large_batches_and_large_lists_of_indices_do_not_jam():
    n = 300_000
    dataset = TensorDataset(torch.arange(n), torch.zeros(n, 4))
    found = [batch[0] for batch in loader(dataset, n // 6, shuffle=True, prefetch_factor=4)]
    assert len(found) == 6 and sorted(joined(f.tolist() for f in found)) == list(range(n))


def test_seeds():
    def draws(index):
        info = get_worker_info()
        return info.id, info.seed, random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002

    def run(**options):
        torch.manual_seed(5)
        return joined(loader(Doing(4, draws), 1, collate_fn=plain, **options))

    first = run()
    assert run() == first and len({row[1:] for row in first}) == 4
    assert {row[0] for row in first} == {0, 1} and first[1][1] == first[0][1] + 1
    assert run(generator=torch.Generator().manual_seed(1)) != first


def test_worker_information():
    def look(index):
        info = get_worker_info()
        return info.id, info.num_workers, len(info.dataset), info.dataset.mark

    def mark(worker):
        get_worker_info().dataset.mark = 10 + worker

    dataset = Doing(4, look)
    found = joined(loader(dataset, 1, collate_fn=plain, worker_init_fn=mark))
    assert found == [(0, 2, 4, 10), (1, 2, 4, 11), (0, 2, 4, 10), (1, 2, 4, 11)]
    assert not hasattr(dataset, "mark") and get_worker_info() is None


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 5, 10])
def test_streams(n, drop_last):
    expected = [[list(range(w, n, 2))[k : k + 2] for k in range(0, len(range(w, n, 2)), 2)] for w in range(2)]
    expected = [[b for b in batches if len(b) == 2 or not drop_last] for batches in expected]
    for persistent in (False, True):
        batches = loader(Stream(n), 2, drop_last=drop_last, persistent_workers=persistent)
        for _ in range(2):
            found = [batch.tolist() for batch in batches]
            assert sorted(found) == sorted(joined(expected))
        del batches
    singles = list(loader(Stream(n), None))
    assert sorted(singles) == list(range(n))


def test_streams_that_are_not_split_warn():
    batches = loader(Stream(3, split=False), 1)
    assert len(batches) == 3
    with pytest.warns(UserWarning, match="get_worker_info"):
        assert len(list(batches)) == 6


def test_persistent_workers_are_kept():
    batches = loader(Doing(4, lambda i: os.getpid()), 1, persistent_workers=True)
    first = {batch.item() for batch in batches}
    assert {batch.item() for batch in batches} == first and len(first) == 2
    iterator = iter(batches)
    next(iterator)  # broken off: the answers under way belong to no epoch
    assert len(list(batches)) == 4
    assert {batch.item() for batch in batches} == first
    del iterator, batches


class Strange(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


def failing(error):
    def sample(index):
        if index == 2:
            raise error
        return index

    return sample


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("bad"), ValueError),
        (KeyError("bad"), KeyError),
        (StopIteration("bad"), StopIteration),
        (Strange("bad", 1), RuntimeError),
        (type("Local", (Exception,), {})("bad"), RuntimeError),
    ],
    ids=lambda e: getattr(e, "__name__", type(e).__name__),
)
def test_errors_come_with_the_workers_traceback(error, expected):
    iterator = iter(loader(Doing(6, failing(error)), 1))
    found, errors = [], []
    for _ in range(6):
        try:
            found.append(next(iterator).item())
        except expected as caught:
            errors.append(str(caught))
    assert found == [0, 1, 3, 4, 5]
    assert len(errors) == 1 and "in DataLoader worker process 0" in errors[0]
    assert "Traceback (most recent call last)" in errors[0] and "in sample" in errors[0] and "\n" in errors[0]


def test_errors_at_the_start():
    def fail(worker):
        raise ValueError("not today")

    with pytest.raises(ValueError, match="not today"):
        list(loader(Doing(4, int), 1, worker_init_fn=fail))

    class Broken(IterableDataset):
        def __iter__(self):
            raise ValueError("no stream")

    with pytest.raises(ValueError, match="no stream"):
        list(loader(Broken(), 1))


def test_samples_that_cannot_travel():
    with pytest.raises(Exception, match="pickle"):
        list(loader(Doing(2, lambda i: lambda: i), 1, collate_fn=plain))
    w = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        list(loader(Doing(2, lambda i: w * i), 1))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, "exit"])
def test_a_worker_that_dies(how):
    def die(index):
        if index == 3:
            if how == "exit":
                os._exit(7)
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            os.kill(os.getpid(), how)
        return index

    iterator = iter(loader(Doing(8, die), 1))
    assert [next(iterator).item() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="exited unexpectedly") as caught:
        next(iterator)
    assert ("exit code 7" if how == "exit" else how.name) in str(caught.value)
    assert multiprocessing.active_children() == []
    with pytest.raises(StopIteration):
        next(iterator)


def test_a_persistent_crew_is_replaced_after_a_death(tmp_path):
    def die_once(index):
        if index == 1 and not (tmp_path / "dead").exists():
            (tmp_path / "dead").touch()
            os._exit(1)
        return index

    batches = loader(Doing(4, die_once), 1, persistent_workers=True)
    with pytest.raises(RuntimeError):
        list(batches)
    assert [batch.item() for batch in batches] == [0, 1, 2, 3]
    del batches


def test_a_worker_that_takes_too_long():
    batches = loader(Doing(4, lambda i: time.sleep(60 if i == 1 else 0)), 1, collate_fn=plain, timeout=0.3)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"timed out after 0.3 seconds"):
        list(batches)
    assert time.monotonic() - began < 20


def test_breaking_off():
    began = time.monotonic()
    for _ in range(3):
        for batch in loader(TensorDataset(torch.zeros(1000, 1000)), 10):
            assert batch[0].shape == (10, 1000)
            break
        assert multiprocessing.active_children() == []
    assert time.monotonic() - began < 20


def test_iterators_side_by_side():
    batches = loader(TensorDataset(torch.arange(4)), 2, workers=1)
    pairs = [(a[0][0].item(), b[0][0].item()) for a in batches for b in batches]
    assert pairs == [(0, 0), (0, 2), (2, 0), (2, 2)]


def test_a_loader_inside_a_worker():
    inner = DataLoader(TensorDataset(torch.arange(4)), 2)
    found = list(loader(Doing(2, lambda i: [b[0].tolist() for b in inner]), None))
    assert found == [[[0, 1], [2, 3]]] * 2


def test_too_many_workers_warn():
    with pytest.warns(UserWarning, match="worker processes in total"):
        DataLoader(range(3), num_workers=10_000)


def run_script(body, **options):
    script = textwrap.dedent(body)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, **options)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at processes in /proc")
@pytest.mark.parametrize("wait", [0, 60], ids=["waiting", "busy"])
def test_workers_end_when_their_parent_is_killed(wait):
    parent = run_script(
        f"""
        import os, time
        import numpy
        from retrograd.utils.data import DataLoader

        class Slow:
            def __len__(self):
                return 100
            def __getitem__(self, index):
                if index > 5:
                    time.sleep({wait} and 4)
                return numpy.zeros(10**6), os.getpid()

        loader = DataLoader(Slow(), 1, num_workers=2, multiprocessing_context="fork", prefetch_factor=20)
        iterator = iter(loader)
        print(*(next(iterator)[1].item() for _ in range(2)), flush=True)
        time.sleep(60)
        """
    )
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2 and all(alive(pid) for pid in pids)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)


def test_a_program_with_persistent_workers_ends():
    program = run_script(
        """
        import retrograd as torch
        from retrograd.utils.data import DataLoader, TensorDataset

        loader = DataLoader(TensorDataset(torch.arange(6)), 2, num_workers=2, persistent_workers=True)
        for batch in loader:
            print(batch[0].tolist())
        iterator = iter(loader)
        """,
        stderr=subprocess.PIPE,
    )
    out, error = program.communicate(timeout=60)
    assert out.split("\n")[:3] == ["[0, 1]", "[2, 3]", "[4, 5]"] and error == "" and program.returncode == 0
