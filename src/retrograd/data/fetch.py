"""From indices to data: the four ways in which a DataLoader asks its dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .gather import gather_plan

Fetch = Callable[[Any], Any]


class DatasetKind:
    """What a loader reads: samples by index, or a stream."""

    Map, Iterable = 0, 1


def make_fetch(dataset: Any, stream: bool, batched: bool, collate_fn: Any, drop_last: bool) -> tuple[Fetch, bool]:
    """Give the function from what the sampler gives to what the loader gives, and whether it gathers.

    ``stream`` says that the dataset is iterated over, ``batched`` that the sampler gives lists of indices. The
    function raises StopIteration at the end of a stream.
    """
    if stream:
        samples = iter(dataset)
        if batched:
            return stream_batches(samples, collate_fn, drop_last), False
        return lambda index: collate_fn(next(samples)), False
    if not batched:
        return lambda index: collate_fn(dataset[index]), False
    plan = gather_plan(dataset, collate_fn)
    if plan is not None:
        return plan, True
    several = getattr(dataset, "__getitems__", None)
    if several:
        return lambda indices: collate_fn(several(indices)), False
    return lambda indices: collate_fn([dataset[index] for index in indices]), False


def stream_batches(samples: Iterator[Any], collate_fn: Any, drop_last: bool) -> Fetch:
    """Give a function that collates the next samples of a stream, as many as it is given indices."""
    ended = False

    def fetch(indices: Any) -> Any:
        nonlocal ended
        if ended:
            raise StopIteration
        batch = []
        for _ in indices:
            try:
                batch.append(next(samples))
            except StopIteration:
                ended = True
                break
        if not batch or (drop_last and len(batch) < len(indices)):
            raise StopIteration
        return collate_fn(batch)

    return fetch
