"""Losses that are more than a comparison: of labellings of sequences, and of a linear layer's scores."""

from __future__ import annotations

import math
from typing import Any

from .. import functional as F
from ..functional.joined import LinearCrossEntropyOptions
from .linear import Linear
from .loss_base import _Loss, _WeightedLoss

__all__ = ["CTCLoss", "LinearCrossEntropyLoss", "LinearCrossEntropyOptions"]


class CTCLoss(_Loss):
    """Connectionist temporal classification: the negative log probability of a labelling, however it is stretched.

    Shapes: log_probs (T, N, C), targets (N, S) or one after the other, lengths (N); see `torch.nn.functional.ctc_loss`.

    Source: Graves et al. 2006, https://www.cs.toronto.edu/~graves/icml_2006.pdf.

    Examples
    --------
    >>> import retrograd as torch
    >>> log_probs = torch.full((2, 1, 2), 0.5).log()
    >>> torch.nn.CTCLoss()(log_probs, torch.tensor([[1]]), (2,), (1,))
    tensor(0.2877)
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        """Compare."""
        return F.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )


class LinearCrossEntropyLoss(_WeightedLoss):
    """Linear layer and the cross entropy of its scores, as one layer: cross_entropy(x W^T + b, target).

    ``out_features`` are further dimensions of the scores, (N, num_classes, *out_features). RuntimeError for a ``weight``
    that has not one number for each class, or a ``label_smoothing`` outside of [0, 1].

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LinearCrossEntropyLoss(3, 4)(torch.zeros(2, 3), torch.tensor([1, 3]))
    tensor(1.3863, grad_fn=<NllLossBackward0>)
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Any = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise RuntimeError(f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}")
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(f"expected label_smoothing to be in range [0, 1], got {label_smoothing}")
        super().__init__(weight=weight, reduction=reduction)
        self.num_classes, self.out_features = num_classes, out_features
        self.ignore_index, self.label_smoothing, self.options = ignore_index, label_smoothing, options
        self.linear = Linear(in_features, num_classes * math.prod(out_features), bias=bias, device=device, dtype=dtype)

    def forward(self, input: Any, target: Any) -> Any:
        """Compare."""
        shape = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input,
            self.linear.weight.reshape(*shape, self.linear.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        """Give the sizes and the settings."""
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
            f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )
