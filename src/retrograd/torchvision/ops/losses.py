"""Losses of detection: the focal loss, and those of overlaps."""

from __future__ import annotations

import math
from typing import Any

import retrograd as torch

from .boxes import _wide

F = torch.nn.functional


def _reduce(loss: Any, reduction: str, empty_mean: bool = False) -> Any:
    if reduction == "mean":
        return 0.0 * loss.sum() if empty_mean and loss.numel() == 0 else loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(
        f"Invalid Value for arg 'reduction': '{reduction} \n Supported reduction modes: 'none', 'mean', 'sum'"
    )


def sigmoid_focal_loss(
    inputs: Any, targets: Any, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Any:
    """Cross entropy that counts easy samples less: alpha_t (1 - p_t)^gamma (-log p_t).

    Source: Lin et al. 2017, https://arxiv.org/abs/1708.02002.

    Parameters
    ----------
    inputs : Tensor
        Logits.
    targets : Tensor
        0 or 1, in the inputs' shape and type.
    alpha : float
        The weight of the ones, in [0, 1]; -1 for no weights; ValueError otherwise.
    gamma : float
        How much less easy ones count.
    reduction : str
        "none", "mean" or "sum".

    Returns
    -------
    Tensor
        The loss.

    Examples
    --------
    >>> import retrograd as torch
    >>> sigmoid_focal_loss(torch.tensor([0.0]), torch.tensor([1.0]))
    tensor([0.0433])
    """
    if not (0 <= alpha <= 1) and alpha != -1:
        raise ValueError(f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore.")
    p = torch.sigmoid(inputs)
    entropy = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    loss = entropy * ((1 - p_t) ** gamma)
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return _reduce(loss, reduction)


def _overlap(boxes1: Any, boxes2: Any) -> tuple[Any, Any, Any]:
    """Give what boxes of the same place have in common and cover together, and the sides of the box around both."""
    low, high = torch.max(boxes1[..., :2], boxes2[..., :2]), torch.min(boxes1[..., 2:], boxes2[..., 2:])
    sides = (high - low).clamp(min=0)
    common = sides[..., 0] * sides[..., 1]
    areas = [(b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1]) for b in (boxes1, boxes2)]
    hull = torch.max(boxes1[..., 2:], boxes2[..., 2:]) - torch.min(boxes1[..., :2], boxes2[..., :2])
    return common, areas[0] + areas[1] - common, hull


def generalized_box_iou_loss(boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7) -> Any:
    """1 - generalised IoU of boxes of the same place, (N, 4) each, by their corners.

    Source: Rezatofighi et al. 2019, https://arxiv.org/abs/1902.09630.
    """
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    common, together, hull = _overlap(boxes1, boxes2)
    area = hull[..., 0] * hull[..., 1]
    return _reduce(1 - (common / (together + eps) - (area - together) / (area + eps)), reduction, True)


def _distance_loss(boxes1: Any, boxes2: Any, eps: float) -> tuple[Any, Any]:
    common, together, hull = _overlap(boxes1, boxes2)
    iou = common / (together + eps)
    middles = (boxes1[..., :2] + boxes1[..., 2:]) / 2 - (boxes2[..., :2] + boxes2[..., 2:]) / 2
    return 1 - iou + (middles**2).sum(-1) / ((hull**2).sum(-1) + eps), iou


def distance_box_iou_loss(boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7) -> Any:
    """1 - IoU + the squared distance of the middles over the squared diagonal, of boxes of the same place.

    Source: Zheng et al. 2020, https://arxiv.org/abs/1911.08287.
    """
    return _reduce(_distance_loss(_wide(boxes1), _wide(boxes2), eps)[0], reduction, True)


def complete_box_iou_loss(boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7) -> Any:
    """`distance_box_iou_loss` and a term for unequal shapes.

    Source: Zheng et al. 2020, https://arxiv.org/abs/1911.08287.
    """
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    loss, iou = _distance_loss(boxes1, boxes2, eps)
    angles = [torch.atan((b[..., 2] - b[..., 0]) / (b[..., 3] - b[..., 1])) for b in (boxes2, boxes1)]
    unlike = (4 / math.pi**2) * (angles[0] - angles[1]) ** 2
    with torch.no_grad():
        share = unlike / (1 - iou + unlike + eps)
    return _reduce(loss + share * unlike, reduction, True)


__all__ = ["complete_box_iou_loss", "distance_box_iou_loss", "generalized_box_iou_loss", "sigmoid_focal_loss"]
