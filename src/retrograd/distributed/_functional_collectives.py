"""torch.distributed._functional_collectives: collectives that give new tensors; one process gets its own, copied."""

from __future__ import annotations

from typing import Any


def wait_tensor(tensor: Any) -> Any:
    """Wait until a collective's result is there, and give it: it is."""
    return tensor


def all_reduce(self: Any, reduceOp: str, group: Any = None, tag: str = "") -> Any:
    """Join the processes' tensors."""
    return self.clone()


def broadcast(self: Any, src: int, group: Any = None, tag: str = "") -> Any:
    """Give one process's tensor."""
    return self.clone()


def all_gather_tensor(self: Any, gather_dim: int, group: Any = None, tag: str = "") -> Any:
    """Join the processes' tensors along a dimension."""
    return self.clone()


def reduce_scatter_tensor(self: Any, reduceOp: str, scatter_dim: int, group: Any = None, tag: str = "") -> Any:
    """Join the processes' tensors, and give this process's part."""
    return self.clone()


def all_to_all_single(
    self: Any, output_split_sizes: Any = None, input_split_sizes: Any = None, group: Any = None, tag: str = ""
) -> Any:
    """Give each process a part of each process's tensor."""
    return self.clone()


# `clone` has a derivative, so these are what PyTorch has apart.
all_gather_tensor_autograd = all_gather_tensor
reduce_scatter_tensor_autograd = reduce_scatter_tensor
all_to_all_single_autograd = all_to_all_single


__all__ = [
    "all_gather_tensor",
    "all_gather_tensor_autograd",
    "all_reduce",
    "all_to_all_single",
    "all_to_all_single_autograd",
    "broadcast",
    "reduce_scatter_tensor",
    "reduce_scatter_tensor_autograd",
    "wait_tensor",
]
