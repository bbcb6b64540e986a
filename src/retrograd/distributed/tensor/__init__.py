"""torch.distributed.tensor: tensors that are spread over processes; in a world of one no tensor is."""

from __future__ import annotations

from typing import Any, NoReturn

from ...tensor import Tensor
from ..device_mesh import DeviceMesh, init_device_mesh
from .placement_types import Partial, Placement, Replicate, Shard


class DTensor(Tensor):
    """A tensor that is spread over processes: a class without instances."""

    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError("DTensor: there is one process, so no tensor is spread over several; use the tensor itself")

    @staticmethod
    def from_local(*args: Any, **kwargs: Any) -> NoReturn:
        """Raise RuntimeError: see the class."""
        DTensor()


def distribute_tensor(tensor: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raise RuntimeError: there is one process."""
    DTensor()


def distribute_module(module: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raise RuntimeError: there is one process."""
    DTensor()


__all__ = [
    "DTensor",
    "DeviceMesh",
    "Partial",
    "Placement",
    "Replicate",
    "Shard",
    "distribute_module",
    "distribute_tensor",
    "init_device_mesh",
]
