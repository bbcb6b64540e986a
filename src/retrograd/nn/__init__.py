"""torch.nn: modules, layers, losses, their functions, and how weights start."""

from __future__ import annotations

from typing import Any

from . import common_types, functional, init, modules, parameter, utils
from .modules import *  # noqa: F403 - the list of names is modules.__all__
from .modules import __all__ as _layers
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter
from .utils.factories import factory_kwargs

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "common_types",
    "factory_kwargs",
    "functional",
    "init",
    "modules",
    "parameter",
    "utils",
    *_layers,
]

_LATER = ("attention", "grad", "parallel")  # modules that are imported when they are first asked for


def __getattr__(name: str) -> Any:
    if name in _LATER:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    from ..utils._names import missing

    raise missing(__name__, name, globals())
