"""What iterating over a DataLoader gives: the iterator that fetches in this process, and what both kinds share."""

from __future__ import annotations

import warnings
from typing import Any, NoReturn

from .fetch import DatasetKind, make_fetch
from .gather import index_batches
from .sampler import draw_seed


class LoaderIterator:
    """One iteration over a DataLoader."""

    _alive = True  # False when its workers are gone

    def __init__(self, loader: Any) -> None:
        self._dataset = loader.dataset
        self._is_stream = loader._dataset_kind == DatasetKind.Iterable
        self._expected = loader._IterableDataset_len_called
        self._index_sampler = loader._index_sampler
        self._timeout = loader.timeout
        self._num_workers = loader.num_workers
        self._num_yielded = 0
        if loader.pin_memory:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be "
                "used.",
                stacklevel=4,
            )
        self._indices: Any = iter(self._index_sampler)
        self._base_seed = draw_seed(loader.generator)

    def __iter__(self) -> LoaderIterator:
        return self

    def __next__(self) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self) -> NoReturn:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")

    def _reset(self, loader: Any) -> None:
        self._indices = iter(self._index_sampler)
        self._num_yielded = 0
        self._expected = loader._IterableDataset_len_called

    def _count(self) -> None:
        """Count a batch, and warn of a stream that is longer than it said."""
        self._num_yielded += 1
        if self._expected is not None and self._is_stream and self._num_yielded > self._expected:
            message = (
                f"Length of IterableDataset {self._dataset} was reported to be {self._expected} (when accessing "
                f"len(dataloader)), but {self._num_yielded} samples have been fetched."
            )
            if self._num_workers:
                message += (
                    " Each worker has a copy of the dataset: let it give only its own part, by get_worker_info()."
                )
            warnings.warn(message, stacklevel=3)


class SingleProcessIterator(LoaderIterator):
    """Fetches each batch when it is asked for."""

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        batched = loader._auto_collation
        self._fetch, gathers = make_fetch(loader.dataset, self._is_stream, batched, loader.collate_fn, loader.drop_last)
        if gathers:
            self._indices = index_batches(self._index_sampler)

    def __next__(self) -> Any:
        data = self._fetch(next(self._indices))
        if self._is_stream:
            self._count()
        else:
            self._num_yielded += 1
        return data
