"""What loss layers share: their reduction, and the weights that some hold as a buffer."""

from __future__ import annotations

from typing import Any

from ..functional._common import reduction_of
from .module import Module


class _Loss(Module):
    """The reduction of a loss: "mean", "sum" or "none"."""

    reduction: str

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction_of(reduction, size_average, reduce)


class _WeightedLoss(_Loss):
    """A loss with a weight for each class or element, held as a buffer."""

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
