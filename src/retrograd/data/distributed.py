"""The sampler for several processes that each train on their own part of a dataset."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from ..random import Generator, randperm
from .sampler import Sampler


class _World:
    """How many processes there are, and which this is: the room of process groups says how it is found."""

    @staticmethod
    def ask() -> tuple[int, int]:
        """Give both; ValueError where no group was made."""
        raise ValueError(
            "Default process group has not been initialized, please make sure to call init_process_group, "
            "or pass num_replicas and rank"
        )


world = _World()


class DistributedSampler(Sampler[int]):
    """One process's share of the indices: every ``num_replicas``-th, from ``rank`` on, of an order common to all.

    The order is shuffled with ``seed + epoch``; call ``set_epoch`` before each epoch. So that all shares are equally
    long, indices are repeated from the start, or with ``drop_last`` the tail is left out.

    Parameters
    ----------
    dataset : Sized
        What is indexed.
    num_replicas, rank : int
        How many processes there are, and which this is; left out, the process group's. ValueError where there is no
        group, and for a rank outside [0, num_replicas).
    shuffle : bool
        Whether the order is random.
    seed : int
        The same number in all processes.
    drop_last : bool
        Whether the tail is left out rather than the start repeated.

    Examples
    --------
    >>> from retrograd.utils.data.distributed import DistributedSampler
    >>> list(DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False))
    [1, 3, 0]
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            count, own = world.ask()
            num_replicas = count if num_replicas is None else num_replicas
            rank = own if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        total = len(dataset)
        self.num_samples = total // num_replicas if drop_last else math.ceil(total / num_replicas)
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        total = len(self.dataset)
        order: Any = range(total)
        if self.shuffle:
            order = randperm(total, generator=Generator().manual_seed(self.seed + self.epoch)).tolist()
        shared = itertools.cycle(order) if total else iter(())
        return itertools.islice(shared, self.rank, self.total_size, self.num_replicas)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the coming iteration, the same number in all processes."""
        self.epoch = epoch
