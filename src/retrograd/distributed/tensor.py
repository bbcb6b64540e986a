"""torch.distributed.tensor: tensors that are spread over processes; in a world of one no tensor is."""

from __future__ import annotations

from typing import Any, NoReturn

from ..tensor import Tensor


class DTensor(Tensor):
    """A tensor that is spread over processes: a class without instances."""

    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError("DTensor: there is one process, so no tensor is spread over several; use the tensor itself")


__all__ = ["DTensor"]
