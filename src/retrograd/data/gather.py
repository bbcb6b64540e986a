"""Batches of a TensorDataset in one gather for each tensor, instead of one lookup for each sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..core import is_grad_enabled
from ..random import randperm
from ..tensor import Parameter, Tensor
from . import collate
from .dataset import Dataset, Subset, TensorDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler

Fetch = Callable[[Any], Any]


def gather_plan(dataset: Any, collate_fn: Any) -> Fetch | None:
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
    tensors = inner.tensors

    def fetch(index: Any) -> Any:
        if type(index) is list:
            found = _integers(index)
            if found is None or not len(found):
                return collate.default_collate([dataset[i] for i in index])
            index = found
        if positions is not None:
            index = positions[index]
        return [take(tensor, index) for tensor in tensors]

    return fetch


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
            return _slices(len(inner), sampler.batch_size, sampler.drop_last)
        if type(inner) is RandomSampler and not inner.replacement and inner.num_samples == len(inner.data_source):
            return _permuted(inner, sampler.batch_size, sampler.drop_last)
    return iter(sampler)


def _slices(total: int, size: int, drop_last: bool) -> Iterator[slice]:
    stop = total - total % size if drop_last else total
    return (slice(start, min(start + size, total)) for start in range(0, stop, size))


def _permuted(sampler: RandomSampler, size: int, drop_last: bool) -> Iterator[Any]:
    total, generator = len(sampler.data_source), sampler.stream()
    order = randperm(total, generator=generator)
    full = total - total % size
    for start in range(0, full, size):
        yield order[start : start + size]
    if sampler.generator is not None:
        randperm(total, generator=generator)  # RandomSampler draws once more when it is asked beyond its last index
    if full < total and not drop_last:
        yield order[full:]
