"""torch.utils.data.dataloader: the loader, and what it is made of under torch's names."""

from __future__ import annotations

from typing import Any

from ...data.collate import default_collate, default_convert
from ...data.fetch import DatasetKind as _DatasetKind
from ...data.iterators import LoaderIterator as _BaseDataLoaderIter
from ...data.iterators import SingleProcessIterator as _SingleProcessDataLoaderIter
from ...data.loader import DataLoader
from ...data.workers import get_worker_info

__all__ = [
    "DataLoader",
    "_BaseDataLoaderIter",
    "_DatasetKind",
    "_SingleProcessDataLoaderIter",
    "default_collate",
    "default_convert",
    "get_worker_info",
]


def __getattr__(name: str) -> Any:
    if name == "_MultiProcessingDataLoaderIter":  # brings multiprocessing with it
        from ...data.multiprocess import MultiProcessIterator

        return MultiProcessIterator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
