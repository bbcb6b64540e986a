"""A progress bar around a loader, when asked for: tqdm's or rich's."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

T = TypeVar("T")
KINDS = ("tqdm", "rich")


def progress(batches: Iterable[T], description: str = "", kind: str | None = None, **options: Any) -> Iterator[T]:
    """Iterate over batches and show how far it is.

    Parameters
    ----------
    batches : iterable
        Usually a DataLoader. Without a length the bar only counts.
    description : str
        What stands before the bar.
    kind : str, optional
        ``"tqdm"`` or ``"rich"``; by default the one that is installed, tqdm first. Others raise ValueError, one that
        is not installed ImportError.
    **options
        Passed to ``tqdm.auto.tqdm`` or ``rich.progress.track``.

    Examples
    --------
    >>> import io
    >>> from retrograd.data.progress import progress
    >>> sum(progress([1, 2, 3], "adding", "tqdm", file=io.StringIO()))
    6
    """
    if kind is None:
        kind = next((name for name in KINDS if importlib.util.find_spec(name) is not None), "tqdm")
    if kind not in KINDS:
        raise ValueError(f"kind of progress bar must be one of {KINDS}, not {kind!r}")
    total = len(batches) if isinstance(batches, Sized) else None
    try:
        if kind == "tqdm":
            from tqdm.auto import tqdm

            return iter(tqdm(batches, desc=description or None, total=total, **options))
        from rich.progress import track

        return iter(track(batches, description=description, total=total, **options))
    except ImportError:
        raise ImportError(f"a progress bar needs {kind}, which is not installed: pip install {kind}") from None
