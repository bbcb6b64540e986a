"""torch._subclasses.fake_tensor: PyTorch's tensors without values under a device's name; the meta device has them here."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor


class FakeTensor(Tensor):
    """A class without instances, for programs that ask whether a tensor is one."""

    def __new__(cls, *args: Any, **options: Any) -> Any:
        """Raise NotImplementedError."""
        raise NotImplementedError("FakeTensor: make a tensor without values by device='meta'")


class FakeTensorMode:
    """Not to be entered: ``with torch.device("meta")`` makes tensors without values."""

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def __enter__(self) -> Any:
        raise NotImplementedError('FakeTensorMode: tensors without values are made by `with torch.device("meta"):`')

    def __exit__(self, *error: Any) -> None:
        return None


def is_fake(x: Any) -> bool:
    """Tell whether a tensor is a fake one: none is."""
    return False


__all__ = ["FakeTensor", "FakeTensorMode", "is_fake"]
