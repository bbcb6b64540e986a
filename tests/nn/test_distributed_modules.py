"""Modules in a group of one process: DistributedDataParallel calls its module, SyncBatchNorm asks for a GPU."""

import pytest

import retrograd as torch
from retrograd import nn

distributed = pytest.importorskip("retrograd.distributed")


@pytest.fixture
def world():
    distributed.init_process_group("gloo", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("world")
def test_a_wrapped_module_is_called_and_trained_as_it_is():
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    net = nn.parallel.DistributedDataParallel(module)
    with net.no_sync():
        net(torch.ones(4, 2)).sum().backward()
        assert not net.require_backward_grad_sync
    with net.join():
        net(torch.ones(4, 2))
    assert all(p.grad is not None for p in net.parameters())
    assert next(iter(net.state_dict())) == "module.0.weight"
    assert (net.module is module, net.device_ids, net.dim, net.will_sync_module_buffers()) == (True, None, 0, True)
    assert net.eval().module.training is False


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: nn.parallel.DistributedDataParallel(nn.ReLU()), RuntimeError),
        (lambda: nn.parallel.DistributedDataParallel(nn.Linear(1, 1), device_ids=[0]), ValueError),
        (lambda: nn.parallel.DistributedDataParallel(nn.LazyLinear(1)), RuntimeError),
        (lambda: nn.parallel.DistributedDataParallel(nn.Linear(1, 1)).register_comm_hook(None, 3), TypeError),
        (lambda: nn.SyncBatchNorm(3)(torch.ones(2, 3)), ValueError),
    ],
)
def test_what_it_refuses(make, error):
    with pytest.raises(error):
        make()


def test_without_a_group():
    with pytest.raises(ValueError, match="init_process_group"):
        nn.parallel.DistributedDataParallel(nn.Linear(1, 1))
    assert nn.SyncBatchNorm(3)(torch.ones(2, 3)).shape == (2, 3)
    with pytest.raises(ValueError, match="init_process_group"):
        torch.utils.data.DistributedSampler(range(3))


@pytest.mark.usefixtures("world")
def test_a_sampler_asks_the_group():
    sampler = torch.utils.data.DistributedSampler(range(3), shuffle=False)
    assert (sampler.num_replicas, sampler.rank, list(sampler)) == (1, 0, [0, 1, 2])


def test_what_needs_several_processes_can_be_asked_about():
    from retrograd.distributed.algorithms.join import Join, Joinable
    from retrograd.distributed.fsdp import FullyShardedDataParallel
    from retrograd.distributed.tensor import DTensor

    assert not isinstance(torch.ones(2), DTensor) and not isinstance(nn.Linear(1, 1), FullyShardedDataParallel)
    with pytest.raises(RuntimeError, match="one process"):
        DTensor(torch.ones(2))
    with pytest.raises(RuntimeError, match="one process"):
        FullyShardedDataParallel(nn.Linear(1, 1))
    with Join([Joinable()]) as join:
        join.notify_join_context(None)
