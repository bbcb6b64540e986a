"""torch.distributed.tensor._utils: the part of a tensor that lies in this process; in a world of one it is the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def compute_local_shape_and_global_offset(
    global_shape: Sequence[int], mesh: Any, placements: Sequence[Any]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Give the shape of this process's part, and where it begins in the whole."""
    return tuple(global_shape), (0,) * len(global_shape)


__all__ = ["compute_local_shape_and_global_offset"]
