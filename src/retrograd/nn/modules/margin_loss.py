"""Losses with a margin, of vectors, ranks, labels and triplets, as layers."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .distance import PairwiseDistance
from .loss_base import _Loss, _WeightedLoss


class SoftMarginLoss(_Loss):
    """Logistic loss of signs: log(1 + exp(-y x)), y in {-1, 1}.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.SoftMarginLoss()(torch.zeros(2), torch.ones(2))
    tensor(0.6931)
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Compare."""
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class HingeEmbeddingLoss(_Loss):
    """Loss of distances: x where y = 1, max(0, margin - x) where y = -1.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.HingeEmbeddingLoss()(torch.tensor([0.25]), torch.tensor([-1.0]))
    tensor(0.7500)
    """

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Any, target: Any) -> Any:
        """Compare."""
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """Draw alike vectors together, push others apart: 1 - cos where y = 1, max(0, cos - margin) where y = -1.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.CosineEmbeddingLoss()(torch.ones(2), -torch.ones(2), torch.tensor(1.0))
    tensor(2.)
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        """Compare."""
        return F.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """Rank the first above the second where y = 1: max(0, -y (x1 - x2) + margin).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.MarginRankingLoss()(torch.zeros(1), torch.ones(1), torch.ones(1))
    tensor(1.)
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        """Compare."""
        return F.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """Hinge loss of classes: sum_{c != y} max(0, margin - x_y + x_c)^p / C.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.MultiMarginLoss()(torch.tensor([[1.0, 1.0]]), torch.tensor([0]))
    tensor(0.5000)
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError("only p == 1 and p == 2 supported")
        if weight is not None and weight.dim() != 1:
            raise ValueError(f"weight must be 1-dimensional, got {weight.dim()} dimensions")
        self.p, self.margin = p, margin

    def forward(self, input: Any, target: Any) -> Any:
        """Compare."""
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """Hinge loss of sets of classes, which a row of the target lists up to the first -1.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.MultiLabelMarginLoss()(torch.tensor([1.0, 1.0]), torch.tensor([0, -1]))
    tensor(0.5000)
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Compare."""
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Mean over labels of their logistic losses.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.MultiLabelSoftMarginLoss()(torch.zeros(1, 2), torch.ones(1, 2))
    tensor(0.6931)
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Compare."""
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """Keep the anchor nearer to the positive than to the negative: max(0, d(a, p) - d(a, n) + margin).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.TripletMarginLoss()(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2)).item()
    1.0
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginLoss: expected margin to be greater than 0, got {margin} instead")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        """Compare."""
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, reduction=self.reduction
        )


class TripletMarginWithDistanceLoss(_Loss):
    """Triplet loss with a distance of one's own.

    Examples
    --------
    >>> import retrograd as torch
    >>> zero = torch.zeros(1, 2)
    >>> torch.nn.TripletMarginWithDistanceLoss()(zero, zero, zero).item()
    1.0
    """

    def __init__(
        self, *, distance_function: Any = None, margin: float = 1.0, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(None, None, reduction)
        if margin <= 0:
            wanted = "TripletMarginWithDistanceLoss: expected margin to be greater than 0"
            raise ValueError(f"{wanted}, got {margin} instead")
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin, self.swap = margin, swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        """Compare."""
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
