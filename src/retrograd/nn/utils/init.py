"""Modules made without drawing their weights."""

from __future__ import annotations

import inspect
from typing import Any

from ...random import default_generator
from ..modules.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Make a module whose parameters and buffers have arbitrary values, and draw no random numbers for it.

    Parameters
    ----------
    module_cls : type
        A Module class whose constructor takes ``device``.
    *args
        What the constructor takes.
    **kwargs
        What the constructor takes; ``device`` is where the module is made.

    Raises
    ------
    RuntimeError
        For a class that is no Module, or takes no ``device``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.utils.skip_init(torch.nn.Linear, 5, 1)
    Linear(in_features=5, out_features=1, bias=True)
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    # What the constructor draws is as arbitrary as what is in fresh memory, as long as no later draw depends on it.
    state = default_generator.get_state()
    try:
        return module_cls(*args, **{"device": "cpu"} | kwargs)
    finally:
        default_generator.set_state(state)
