"""torch.distributed.tensor.placement_types: how a tensor lies along one dimension of a mesh of processes."""

from __future__ import annotations

from dataclasses import dataclass


class Placement:
    """How a tensor lies along one dimension of a mesh."""

    def is_shard(self, dim: int | None = None) -> bool:
        """Tell whether each process has a part (along that dimension, if one is named)."""
        return isinstance(self, Shard) and (dim is None or self.dim == dim)

    def is_replicate(self) -> bool:
        """Tell whether each process has the whole."""
        return isinstance(self, Replicate)

    def is_partial(self, reduce_op: str | None = None) -> bool:
        """Tell whether each process has a summand."""
        return isinstance(self, Partial) and (reduce_op is None or self.reduce_op == reduce_op)


@dataclass(frozen=True)
class Shard(Placement):
    """Each process has a part along one dimension.

    Examples
    --------
    >>> Shard.local_shard_size_and_offset(10, 4, 3)
    (1, 9)
    """

    dim: int

    @staticmethod
    def local_shard_size_and_offset(curr_local_size: int, num_chunks: int, rank: int) -> tuple[int, int]:
        """Give the length of a process's part and where it begins: parts are even, and the last ones may be short."""
        full = -(-curr_local_size // num_chunks)
        begin = min(full * rank, curr_local_size)
        return min(begin + full, curr_local_size) - begin, begin

    _local_shard_size_and_offset = local_shard_size_and_offset


@dataclass(frozen=True)
class _StridedShard(Shard):
    split_factor: int = 1


@dataclass(frozen=True)
class Replicate(Placement):
    """Each process has the whole."""


@dataclass(frozen=True)
class Partial(Placement):
    """Each process has a part of a sum (or of another reduction)."""

    reduce_op: str = "sum"


__all__ = ["Partial", "Placement", "Replicate", "Shard"]
