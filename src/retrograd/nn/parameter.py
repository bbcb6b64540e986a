"""Parameter, and Buffer: a tensor that a module keeps as state without training it."""

from __future__ import annotations

from typing import Any

from ..tensor import Parameter, Tensor
from . import _functions as T

__all__ = ["Buffer", "Parameter"]


class _BufferMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(metaclass=_BufferMeta):
    """A tensor that becomes a buffer of the module it is assigned to.

    ``persistent`` says whether it is part of ``state_dict()``.

    Examples
    --------
    >>> import retrograd as torch
    >>> module = torch.nn.Module()
    >>> module.mean = torch.nn.Buffer(torch.zeros(2))
    >>> list(module.state_dict())
    ['mean']
    """

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        """Give a tensor that shares ``data``'s memory and is marked as a buffer."""
        data = T.empty(0) if data is None else data
        marked = data.detach().requires_grad_(data.requires_grad)
        marked.persistent = persistent
        marked._is_buffer = True
        return marked
