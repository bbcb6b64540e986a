"""torch.nn: modules, layers, losses, their functions, and how weights start."""

from __future__ import annotations

from typing import Any

from . import functional, init, modules, parameter, utils
from .modules import *  # noqa: F403 - the list of names is modules.__all__
from .modules import __all__ as _layers
from .parameter import Buffer, Parameter

__all__ = ["Buffer", "Parameter", "functional", "init", "modules", "parameter", "utils", *_layers]


def __getattr__(name: str) -> Any:
    from ..utils._names import missing

    raise missing(__name__, name, globals())
