"""Batches of a TensorDataset in one gather for each tensor, instead of one lookup for each sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import is_grad_enabled
from ..random import randperm
from ..tensor import Parameter, Tensor
from . import collate
from .dataset import Dataset, Subset, TensorDataset
from .distributed import DistributedSampler
from .sampler import BatchSampler, RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler


def gather_plan(dataset: Any, collate_fn: Any) -> Gathering | None:
    """Give a function from a batch of indices to its collated samples, or None where samples must be looked up.

    It stands for ``default_collate([dataset[i] for i in indices])`` where ``dataset`` is a TensorDataset or subsets of
    one, none of them with methods of its own. Indices are a slice, an integer array, or a list; for a list of anything
    but integers it falls back to looking up.
    """
    stacks = collate.default_collate_fn_map.get(Tensor) is collate.collate_tensor_fn
    if collate_fn is not collate.default_collate or not stacks:
        return None
    positions: Any = None  # where the outer dataset's samples lie in the inner one
    inner = dataset
    while _is_plain(inner, Subset):
        own = _integers(inner.indices)
        if own is None:
            return None
        positions = own if positions is None else own[positions]
        inner = inner.dataset
    if not _is_plain(inner, TensorDataset) or not all(type(t) in (Tensor, Parameter) for t in inner.tensors):
        return None
    return Gathering(dataset, inner.tensors, positions)


class Gathering:
    """The samples of a TensorDataset, or of subsets of one, a batch at a time.

    Parameters
    ----------
    dataset : Dataset
        As it was given; it is asked where the indices are not integers.
    tensors : tuple of Tensor
        Of the TensorDataset.
    positions : ndarray or None
        Where the samples lie in the tensors; None where an index says so itself.
    """

    def __init__(self, dataset: Any, tensors: tuple[Any, ...], positions: np.ndarray[Any, Any] | None) -> None:
        self.dataset, self.tensors, self.positions = dataset, tensors, positions

    def __call__(self, index: Any) -> Any:
        """Give the collated samples of a batch of indices."""
        if type(index) is list:
            found = _integers(index)
            if found is None or not len(found):
                return collate.default_collate([self.dataset[i] for i in index])
            index = found
        if self.positions is not None:
            index = self.positions[index]
        return [take(tensor, index) for tensor in self.tensors]

    def rows(self, index: np.ndarray[Any, Any] | slice) -> np.ndarray[Any, Any] | slice | None:
        """Give the tensors' rows that these indices stand for; None where one does not exist or counts from the end."""
        count = len(self.tensors[0]._a)
        if isinstance(index, slice):
            return index if self.positions is None else self._within(self.positions[index], count)
        if self.positions is None:
            return self._within(index, count)
        return None if self._within(index, len(self.positions)) is None else self._within(self.positions[index], count)

    @staticmethod
    def _within(rows: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any] | None:
        return rows if not rows.size or (rows.min() >= 0 and rows.max() < count) else None


def take(tensor: Any, index: Any) -> Any:
    """Gather rows of a tensor: those of a slice or an array of integers."""
    if tensor.requires_grad and is_grad_enabled():
        return tensor[index if isinstance(index, slice) else Tensor._wrap(index)].contiguous()
    array = tensor._a
    if type(index) is slice:
        return Tensor._wrap(array[index].copy())
    if array.flags.carray:
        return Tensor._wrap(array.take(index, 0))
    return Tensor._wrap(np.array(array[index], order="C"))  # take would first copy the whole array


def _is_plain(dataset: Any, cls: type[Dataset[Any]]) -> bool:
    """Tell whether a dataset is of this class, with the class's own ways of finding samples."""
    kind = type(dataset)
    lookups = "__getitem__", "__getitems__", "__len__"
    return isinstance(dataset, cls) and all(getattr(kind, name, None) is getattr(cls, name, None) for name in lookups)


def _integers(indices: Any) -> np.ndarray[Any, Any] | None:
    """Give a list of integers as an array; None for any other list."""
    if isinstance(indices, (list, tuple, range, np.ndarray)):
        array = np.asarray(indices)
        if array.ndim == 1 and (array.dtype.kind in "iu" or not array.size):
            return array.astype(np.intp, copy=False)
    return None


def index_batches(sampler: Any) -> Iterator[Any]:
    """Iterate over a batch sampler's batches of indices, as slices and arrays where it is one of the library's own.

    The draws of random numbers, and the moments at which they are made, are those of iterating over the sampler.
    """
    if type(sampler) is BatchSampler and isinstance(sampler.batch_size, int):
        inner = sampler.sampler
        if type(inner) is SequentialSampler:
            return InTurn(len(inner), sampler.batch_size, sampler.drop_last)
        if type(inner) is RandomSampler and not inner.replacement and inner.num_samples == len(inner.data_source):
            return Permuted(inner, sampler.batch_size, sampler.drop_last)
        if type(inner) in (RandomSampler, SubsetRandomSampler, WeightedRandomSampler, DistributedSampler):
            return Listed(iter(sampler))
    return iter(sampler)


class Batches:
    """Batches of indices, of which several may be taken at once.

    Attributes
    ----------
    draws : bool
        Whether a batch may draw random numbers when it is its turn, so that batches taken ahead would draw too early.
    """

    draws = False

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Any:
        raise NotImplementedError

    def several(self, most: int, size: int) -> tuple[Any, int]:
        """Take at most that many of the next batches, all of that size: their indices one after another, and how many.

        None are taken where the next one is smaller, or there is none: ``next`` says which.
        """
        raise NotImplementedError


class InTurn(Batches):
    """All indices in their order, as slices."""

    def __init__(self, total: int, size: int, drop_last: bool) -> None:
        self.size, self.at = size, 0
        self.full = total - total % size
        self.stop = self.full if drop_last else total

    def __next__(self) -> slice:
        if self.at >= self.stop:
            raise StopIteration
        start, self.at = self.at, min(self.at + self.size, self.stop)
        return slice(start, self.at)

    def several(self, most: int, size: int) -> tuple[slice, int]:
        """Take whole batches at once."""
        count = min(most, max(0, self.full - self.at) // self.size) if size == self.size else 0
        start, self.at = self.at, self.at + count * self.size
        return slice(start, self.at), count


class Permuted(InTurn):
    """All indices in a random order, as arrays."""

    def __init__(self, sampler: RandomSampler, size: int, drop_last: bool) -> None:
        super().__init__(len(sampler.data_source), size, drop_last)
        self.sampler, self.total = sampler, len(sampler.data_source)
        self.order: Any = None
        self.generator: Any = None
        self.ended = False

    def _begin(self) -> None:
        if self.order is None:
            self.generator = self.sampler.stream()
            self.order = randperm(self.total, generator=self.generator)

    def __next__(self) -> Any:
        self._begin()
        if self.at >= self.full and not self.ended:
            self.ended = True
            if self.sampler.generator is not None:
                randperm(self.total, generator=self.generator)  # RandomSampler draws once more beyond its last index
        return self.order[super().__next__()]

    def several(self, most: int, size: int) -> tuple[Any, int]:
        """Take whole batches at once."""
        self._begin()
        taken, count = super().several(most, size)
        return self.order[taken], count


class Listed(Batches):
    """The lists of a sampler that may draw while it goes on."""

    draws = True

    def __init__(self, batches: Iterator[list[int]]) -> None:
        self.batches = batches
        self.waiting: list[list[int]] = []

    def __next__(self) -> list[int]:
        return self.waiting.pop() if self.waiting else next(self.batches)

    def several(self, most: int, size: int) -> tuple[Any, int]:
        """Take batches as long as they have that size."""
        taken: list[list[int]] = []
        while len(taken) < most and (batch := next(self, None)) is not None:
            if len(batch) != size:
                self.waiting.append(batch)
                break
            taken.append(batch)
        return np.array(taken, np.intp).reshape(-1), len(taken)
