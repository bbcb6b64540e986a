"""Samplers: the order in which a DataLoader asks a dataset for its samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from ..core.dtypes import float64
from ..random import Generator, randint, random_, randperm
from ..tensor import as_tensor

T_co = TypeVar("T_co", covariant=True)


def draw_seed(generator: Generator | None = None) -> int:
    """Draw the seed of a new stream, as ``torch.empty((), dtype=torch.int64).random_()`` does."""
    return int(random_((), np.int64, generator))


class Sampler(Generic[T_co]):
    """Indices, or lists of them, to be asked of a dataset.

    A subclass defines ``__iter__``, and ``__len__`` if the number is known.

    Examples
    --------
    >>> from retrograd.utils.data import Sampler
    >>> class Backwards(Sampler):
    ...     def __iter__(self):
    ...         return iter([2, 1, 0])
    >>> list(Backwards())
    [2, 1, 0]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"Subclasses of Sampler should implement __iter__; {type(self).__name__} does not.")


class SequentialSampler(Sampler[int]):
    """All indices in their order.

    Examples
    --------
    >>> from retrograd.utils.data import SequentialSampler
    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """All indices in a random order, or indices drawn with replacement.

    Parameters
    ----------
    data_source : Sized
        What is indexed.
    replacement : bool
        Whether an index may come again before all have come. Anything but a bool raises TypeError.
    num_samples : int, optional
        How many indices come, by default as many as there are. Anything but a positive int raises ValueError.
    generator : Generator, optional
        The stream of random numbers; without one, each iteration starts a stream from a drawn seed.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.utils.data import RandomSampler
    >>> list(RandomSampler(range(5), generator=torch.Generator().manual_seed(0)))
    [4, 0, 1, 3, 2]
    """

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Any = None
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={self.num_samples}")

    @property
    def num_samples(self) -> int:
        """How many indices an iteration gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def stream(self) -> Generator:
        """Give the stream of random numbers for one iteration."""
        if self.generator is not None:
            generator: Generator = self.generator
            return generator
        return Generator().manual_seed(draw_seed())

    def __iter__(self) -> Iterator[int]:
        n, generator = len(self.data_source), self.stream()
        if self.replacement:
            for start in range(0, self.num_samples + 1, 32):
                count = min(32, self.num_samples - start)
                yield from randint(0, n, (count,), generator=generator).tolist()
        else:
            for _ in range(self.num_samples // n):
                yield from randperm(n, generator=generator).tolist()
            yield from randperm(n, generator=generator).tolist()[: self.num_samples % n]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in a random order.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.utils.data import SubsetRandomSampler
    >>> list(SubsetRandomSampler([10, 20, 30, 40, 50], torch.Generator().manual_seed(0)))
    [50, 10, 20, 40, 30]
    """

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices drawn with probabilities proportional to weights.

    Parameters
    ----------
    weights : sequence of float
        One weight for each index; they need not sum to one. More than one dimension raises ValueError.
    num_samples : int
        How many indices are drawn. Anything but a positive int raises ValueError.
    replacement : bool
        Whether an index may be drawn twice. Anything but a bool raises ValueError.
    generator : Generator, optional
        The stream of random numbers.

    Examples
    --------
    >>> from retrograd.utils.data import WeightedRandomSampler
    >>> list(WeightedRandomSampler([0.0, 1.0, 0.0], 3))
    [1, 1, 1]
    """

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Any = None
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        self.weights: Any = as_tensor(weights, dtype=float64)
        if self.weights.ndim != 1:
            raise ValueError(
                f"weights should be a 1d sequence but given weights have shape {tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = self.weights.multinomial(self.num_samples, self.replacement, generator=self.generator)
        yield from drawn.tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of ``batch_size`` indices each, from another sampler.

    Parameters
    ----------
    sampler : iterable of int
        Where the indices come from.
    batch_size : int
        How many make a batch. Anything but a positive int raises ValueError.
    drop_last : bool
        Whether a last batch that is not full is left out. Anything but a bool raises ValueError.

    Examples
    --------
    >>> from retrograd.utils.data import BatchSampler
    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return full + bool(rest and not self.drop_last)
