"""Tensors in memory that processes share, and a world of one process."""

import multiprocessing
import pickle

import pytest

import retrograd as torch
from retrograd import distributed


def _train(model, table):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    table[1] = 5.0


@pytest.mark.parametrize("method", ["spawn"])
def test_what_another_process_writes_is_seen_here(method):
    model, table = torch.nn.Linear(3, 1), torch.zeros(2).share_memory_()
    model.share_memory()
    before = model.weight.clone()
    assert model.weight.is_shared() and not before.is_shared()
    process = multiprocessing.get_context(method).Process(target=_train, args=(model, table))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert torch.allclose(model.weight, before - 0.2) and table.tolist() == [0.0, 5.0]


def test_a_shared_tensor_is_pickled_and_copied_as_any_other():
    table = torch.arange(3.0).share_memory_()
    assert table.share_memory_() is table
    other = pickle.loads(pickle.dumps(table))
    other[0] = 7.0
    assert table.tolist() == [0.0, 1.0, 2.0] and not table.clone().is_shared()


def test_a_world_of_one(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert distributed.is_available() and not distributed.is_initialized()
    distributed.init_process_group("gloo")
    try:
        x = torch.ones(2)
        distributed.all_reduce(x)
        parts = [torch.zeros(2)]
        distributed.all_gather(parts, x)
        assert parts[0].tolist() == [1.0, 1.0] and distributed.get_world_size() == 1
        with pytest.raises(ValueError, match="twice"):
            distributed.init_process_group("gloo")
        with pytest.raises(ValueError, match="another process"):
            distributed.send(x, 1)
    finally:
        distributed.destroy_process_group()
    with pytest.raises(RuntimeError, match="one process"):
        distributed.init_process_group("gloo", world_size=2)
