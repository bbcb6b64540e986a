"""torch.distributed.device_mesh: processes laid out in a grid; with one process every side has length 1."""

from __future__ import annotations

import math
from typing import Any

from . import ProcessGroup, _group, init_process_group, is_initialized


class DeviceMesh:
    """A grid of processes, which holds this one.

    Examples
    --------
    >>> from retrograd import distributed
    >>> distributed.init_process_group("gloo", rank=0, world_size=1)
    >>> mesh = DeviceMesh("cpu", [[0]], mesh_dim_names=("data", "model"))
    >>> mesh.shape, mesh["model"].size(), mesh.get_coordinate()
    ((1, 1), 1, [0, 0])
    >>> distributed.destroy_process_group()
    """

    def __init__(
        self, device_type: str, mesh: Any, *, mesh_dim_names: tuple[str, ...] | None = None, **options: Any
    ) -> None:
        from ..tensor import tensor

        self.device_type = device_type
        self.mesh = tensor(mesh) if isinstance(mesh, (int, list, tuple)) else mesh.detach().clone()
        if self.mesh.numel() != 1 or int(self.mesh) != 0:
            raise RuntimeError(
                f"DeviceMesh: there is one process here, of number 0, but the mesh has {self.mesh.tolist()}"
            )
        if mesh_dim_names is not None and len(mesh_dim_names) != self.mesh.ndim:
            raise RuntimeError(f"DeviceMesh: {len(mesh_dim_names)} names for a mesh of {self.mesh.ndim} dimensions")
        self.mesh_dim_names = None if mesh_dim_names is None else tuple(mesh_dim_names)
        if not is_initialized():
            init_process_group()

    @property
    def ndim(self) -> int:
        """How many dimensions the grid has."""
        return int(self.mesh.ndim)

    @property
    def shape(self) -> tuple[int, ...]:
        """The grid's sides: ones."""
        return tuple(self.mesh.shape)

    def size(self, mesh_dim: int | None = None) -> int:
        """Give how many processes there are, in all or along one side: 1."""
        return 1

    def get_group(self, mesh_dim: int | str | None = None) -> ProcessGroup:
        """Give the group of processes along one side."""
        return _group()

    def get_all_groups(self) -> list[ProcessGroup]:
        """Give the groups along every side."""
        return [_group()] * self.ndim

    def get_rank(self) -> int:
        """Give this process's number: 0."""
        return 0

    def get_local_rank(self, mesh_dim: int | str | None = None) -> int:
        """Give this process's number along one side: 0."""
        return 0

    def get_coordinate(self) -> list[int]:
        """Give this process's place in the grid: zeros."""
        return [0] * self.ndim

    def _flatten(self, mesh_dim_name: str | None = None, *args: Any) -> DeviceMesh:
        name = mesh_dim_name or "_".join(self.mesh_dim_names or ("flat",))
        return DeviceMesh(self.device_type, [0], mesh_dim_names=(name,))

    def __getitem__(self, mesh_dim_names: str | tuple[str, ...]) -> DeviceMesh:
        names = (mesh_dim_names,) if isinstance(mesh_dim_names, str) else tuple(mesh_dim_names)
        missing = [name for name in names if name not in (self.mesh_dim_names or ())]
        if missing:
            raise KeyError(f"Invalid mesh_dim_name {missing[0]!r}; this mesh has {self.mesh_dim_names}")
        return DeviceMesh(self.device_type, self.mesh.reshape((1,) * len(names)), mesh_dim_names=names)

    def __enter__(self) -> DeviceMesh:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeviceMesh) and (self.device_type, self.shape, self.mesh_dim_names) == (
            other.device_type,
            other.shape,
            other.mesh_dim_names,
        )

    def __hash__(self) -> int:
        return hash((self.device_type, self.shape, self.mesh_dim_names))

    def __repr__(self) -> str:
        sides = self.shape if self.mesh_dim_names is None else dict(zip(self.mesh_dim_names, self.shape, strict=True))
        return f"DeviceMesh({sides}, {self.device_type!r})"


def init_device_mesh(
    device_type: str, mesh_shape: tuple[int, ...], *, mesh_dim_names: tuple[str, ...] | None = None, **options: Any
) -> DeviceMesh:
    """Make a grid of these sides, and the default group if there is none; RuntimeError where a side is longer than 1."""
    from ..tensor.creation import zeros

    if math.prod(mesh_shape) != 1:
        raise RuntimeError(f"init_device_mesh: there is one process here, but the mesh would have {tuple(mesh_shape)}")
    mesh = zeros(tuple(mesh_shape), dtype=_whole())
    return DeviceMesh(device_type, mesh, mesh_dim_names=mesh_dim_names)


def _whole() -> Any:
    from ..core.dtypes import int64

    return int64


__all__ = ["DeviceMesh", "init_device_mesh"]
