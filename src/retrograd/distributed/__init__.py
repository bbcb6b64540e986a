"""torch.distributed in a world of one process: collectives give what one process alone would get.

Programs that ask ``is_initialized()`` first run unchanged, and so do those that start a group of one.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable
from typing import Any

from ..core import no_grad
from ..data.distributed import world


class ReduceOp(enum.Enum):
    """How a collective joins the processes' values."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8


ReduceOp.RedOpType = ReduceOp  # type: ignore[attr-defined]  # PyTorch's members are of an inner class
reduce_op = ReduceOp


class Backend(str):
    """The name of a way in which processes talk."""

    GLOO, NCCL, MPI, UCC, UNDEFINED = "gloo", "nccl", "mpi", "ucc", "undefined"

    def __new__(cls, name: str) -> Backend:
        return str.__new__(cls, name.lower())


class ProcessGroup:
    """A group of processes, which holds this one."""

    def rank(self) -> int:
        """Give this process's number in the group: 0."""
        return 0

    def size(self) -> int:
        """Give how many processes there are: 1."""
        return 1


class Work:
    """What an asynchronous collective gives: it is already done."""

    def wait(self, timeout: Any = None) -> bool:
        """Wait for it."""
        return True

    def is_completed(self) -> bool:
        """Tell whether it is done."""
        return True


_world: list[tuple[ProcessGroup, str]] = []


class group:
    """The default group, under the name that programs use."""

    WORLD: Any = None


class GroupMember:
    """What `new_group` gives a process outside of the group: none is."""

    WORLD: Any = None
    NON_GROUP_MEMBER: Any = -100


def _rank_not_in_group(group: Any) -> bool:
    return group is GroupMember.NON_GROUP_MEMBER


def is_available() -> bool:
    """Tell whether this module works: for groups of one process it does."""
    return True


def is_initialized() -> bool:
    """Tell whether the group was made."""
    return bool(_world)


def is_gloo_available() -> bool:
    """Tell whether the backend gloo is here; one process needs none."""
    return True


def is_nccl_available() -> bool:
    """Tell whether the backend NCCL is here: no."""
    return False


is_mpi_available = is_ucc_available = is_xccl_available = is_torchelastic_launched = is_nccl_available


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    **options: Any,
) -> None:
    """Make the default group, of this process alone.

    The size and rank are those given, or those of the environment (WORLD_SIZE, RANK), or 1 and 0. RuntimeError for more
    than one process; ValueError when the group is there already.

    Examples
    --------
    >>> from retrograd import distributed
    >>> distributed.init_process_group("gloo", rank=0, world_size=1)
    >>> distributed.get_world_size()
    1
    >>> distributed.destroy_process_group()
    """
    if _world:
        raise ValueError("trying to initialize the default process group twice!")
    size = world_size if world_size >= 0 else int(os.environ.get("WORLD_SIZE", "1"))
    if size != 1:
        raise RuntimeError(
            f"torch.distributed has one process here, but world_size is {size}: run the program as one process, "
            "with WORLD_SIZE=1"
        )
    _world.append((ProcessGroup(), backend or "gloo"))
    group.WORLD = GroupMember.WORLD = _world[0][0]


def destroy_process_group(group: Any = None) -> None:
    """End the group."""
    _group()
    _world.clear()


def _group() -> ProcessGroup:
    if not _world:
        raise ValueError("Default process group has not been initialized, please make sure to call init_process_group.")
    return _world[0][0]


def get_rank(group: Any = None) -> int:
    """Give this process's number."""
    return _group().rank()


def get_world_size(group: Any = None) -> int:
    """Give how many processes there are."""
    return _group().size()


# a sampler that is told neither asks for both
world.ask = lambda: (get_world_size(), get_rank())  # type: ignore[method-assign]


def get_backend(group: Any = None) -> str:
    """Give the name that the group was made with."""
    _group()
    return _world[0][1]


def new_group(ranks: Any = None, *args: Any, **options: Any) -> ProcessGroup:
    """Make another group of this process."""
    return _group()


def get_process_group_ranks(group: Any = None) -> list[int]:
    """Give the processes' numbers."""
    _group()
    return [0]


def barrier(*args: Any, **options: Any) -> None:
    """Wait for all processes."""
    _group()


def _alone(*args: Any, async_op: bool = False, **options: Any) -> Any:
    _group()
    return Work() if async_op else None


def all_reduce(tensor: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Any:
    """Join the processes' tensors in each of them: one process keeps its own."""
    return _alone(async_op=async_op)


def reduce(tensor: Any, dst: Any = None, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Any:
    """Join the processes' tensors in one of them."""
    return _alone(async_op=async_op)


def broadcast(tensor: Any, src: Any = None, group: Any = None, async_op: bool = False) -> Any:
    """Copy one process's tensor to the others."""
    return _alone(async_op=async_op)


def _filled(targets: Any, sources: Any, async_op: bool) -> Any:
    _group()
    with no_grad():
        for target, source in zip(targets, sources, strict=True):
            target.copy_(source)
    return Work() if async_op else None


def all_gather(tensor_list: Any, tensor: Any, group: Any = None, async_op: bool = False) -> Any:
    """Write every process's tensor into the list's tensors."""
    return _filled(tensor_list, [tensor], async_op)


def all_gather_into_tensor(output_tensor: Any, input_tensor: Any, group: Any = None, async_op: bool = False) -> Any:
    """Write every process's tensor into one."""
    return _filled([output_tensor], [input_tensor.reshape(output_tensor.shape)], async_op)


def reduce_scatter_tensor(
    output: Any, input: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Any:
    """Join the processes' tensors, and give each a part of them."""
    return _filled([output], [input.reshape(output.shape)], async_op)


def reduce_scatter(
    output: Any, input_list: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Any:
    """Join the processes' lists, and give each one entry."""
    return _filled([output], input_list, async_op)


def gather(tensor: Any, gather_list: Any = None, dst: Any = None, group: Any = None, async_op: bool = False) -> Any:
    """Write every process's tensor into one process's list."""
    return _filled(gather_list or [tensor], [tensor], async_op)


def scatter(tensor: Any, scatter_list: Any = None, src: Any = None, group: Any = None, async_op: bool = False) -> Any:
    """Give each process one tensor of a list."""
    return _filled([tensor], scatter_list or [tensor], async_op)


def all_to_all_single(output: Any, input: Any, *splits: Any, group: Any = None, async_op: bool = False) -> Any:
    """Give each process a part of each process's tensor."""
    return _filled([output], [input], async_op)


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Put every process's object into a list."""
    _group()
    object_list[:] = [obj]


def broadcast_object_list(object_list: list[Any], *args: Any, **options: Any) -> None:
    """Copy one process's list of objects to the others."""
    _group()


def gather_object(obj: Any, object_gather_list: list[Any] | None = None, *args: Any, **options: Any) -> None:
    """Put every process's object into one process's list."""
    _group()
    if object_gather_list is not None:
        object_gather_list[:] = [obj]


def _needs_more(name: str) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        _group()
        raise ValueError(f"torch.distributed.{name} needs another process, and there is one only")

    call.__doc__ = "Raise ValueError: there is no other process."
    call.__name__ = name
    return call


send, recv, isend, irecv = (_needs_more(name) for name in ("send", "recv", "isend", "irecv"))


def get_global_rank(group: Any, group_rank: int) -> int:
    """Give the number in the world of a process of a group."""
    _group()
    return group_rank


def get_group_rank(group: Any, global_rank: int) -> int:
    """Give the number in a group of a process of the world."""
    _group()
    return global_rank


def __getattr__(name: str) -> Any:
    if name in ("DeviceMesh", "init_device_mesh"):
        from . import device_mesh

        return getattr(device_mesh, name)
    if name in ("checkpoint", "device_mesh", "fsdp", "nn", "optim", "rpc", "tensor"):
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    from ..utils._names import missing

    raise missing(__name__, name, [one for one in globals() if not one.startswith("_")])
