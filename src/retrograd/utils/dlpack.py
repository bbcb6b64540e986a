"""torch.utils.dlpack: arrays exchanged with other libraries without copying."""

from __future__ import annotations

from typing import Any

from ..tensor import from_dlpack


def to_dlpack(tensor: Any) -> Any:
    """Give a capsule that another library's ``from_dlpack`` takes over, once.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.utils.dlpack import to_dlpack
    >>> type(to_dlpack(torch.ones(2))).__name__
    'PyCapsule'
    """
    return tensor.__dlpack__()


__all__ = ["from_dlpack", "to_dlpack"]
