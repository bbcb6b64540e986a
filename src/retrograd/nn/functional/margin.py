"""Margin losses of classes and labels."""

from __future__ import annotations

from typing import Any

from ...core.mode import mode
from ...tensor.dispatch import shown_as
from .. import _functions as T
from ._common import reduced, reduction_of
from .activation import logsigmoid, softplus


def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Logistic loss of signs: log(1 + exp(-y x)), y in {-1, 1}.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.soft_margin_loss(torch.zeros(2), torch.ones(2))
    tensor(0.6931)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    return reduced(softplus(-target * input), reduction)


@shown_as("MultiMarginLossBackward0")
def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Hinge loss of classes: sum_{c != y} max(0, w_y (margin - x_y + x_c))^p / C.

    Shapes: input (N, C) or (C), target (N) or (). Raises ValueError for p other than 1 and 2.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.multi_margin_loss(torch.tensor([[1.0, 1.0]]), torch.tensor([0]))
    tensor(0.5000)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    classes = input.shape[-1] if input.dim() else 1
    rows = input.reshape(-1, classes)
    numbers = target.reshape(-1, 1)
    if rows.shape[0] != numbers.shape[0]:
        raise RuntimeError(f"inconsistent target size, expected {[rows.shape[0]]} but got {list(target.shape)}")
    if mode().trace is None and bool(((numbers < 0) | (numbers >= classes)).any()):
        raise RuntimeError(f"multi_margin_loss: target out of range: class numbers are from 0 to {classes - 1}")
    over = T.clamp(rows - T.gather(rows, 1, numbers) + margin, min=0)
    if p == 2:
        over = T.square(over)
    if weight is not None:
        over = over * weight[numbers]
    others = T.arange(classes) != numbers
    losses = (over * others.to(input.dtype)).sum(1) / classes
    return reduced(losses.reshape(target.shape) if reduction == "none" else losses, reduction)


def multilabel_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Hinge loss of sets of classes: sum over labels y and others c of max(0, 1 - (x_y - x_c)) / C.

    Shapes: input and target (N, C) or (C); a row of the target lists class numbers up to the first -1.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.multilabel_margin_loss(torch.tensor([1.0, 1.0]), torch.tensor([0, -1]))
    tensor(0.5000)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if input.shape != target.shape:
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}")
    classes = input.shape[-1] if input.dim() else 1
    rows, labels = input.reshape(-1, classes), target.reshape(-1, classes)
    listed = T.cumprod((labels >= 0).long(), 1).bool()
    numbers = labels.masked_fill(~listed, 0)
    is_label = T.zeros(rows.shape, dtype=input.dtype).scatter_add_(1, numbers, listed.to(input.dtype)) > 0
    gaps = T.clamp(1 - T.gather(rows, 1, numbers).unsqueeze(2) + rows.unsqueeze(1), min=0)
    counted = listed.unsqueeze(2) & ~is_label.unsqueeze(1)
    losses = (gaps * counted.to(input.dtype)).sum((1, 2)) / classes
    return reduced(losses.reshape(input.shape[:-1]) if reduction == "none" else losses, reduction)


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Mean over labels of their logistic losses: -(y log s(x) + (1 - y) log s(-x)), s the sigmoid.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.multilabel_soft_margin_loss(torch.zeros(1, 2), torch.ones(1, 2))
    tensor(0.6931)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    losses = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        losses = losses * weight
    return reduced(losses.sum(-1) / input.shape[-1], reduction)
