"""Boxes: their areas, overlaps and formats, and the choice among those that overlap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import retrograd as torch


def _wide(x: Any) -> Any:
    """Give a type in which products do not overflow."""
    if x.is_floating_point():
        return x if x.dtype in (torch.float32, torch.float64) else x.float()
    return x if x.dtype in (torch.int32, torch.int64) else x.int()


def box_convert(boxes: Any, in_fmt: str, out_fmt: str) -> Any:
    """Write boxes in another format.

    Parameters
    ----------
    boxes : Tensor
        (..., 4).
    in_fmt : str
        "xyxy" (two corners), "xywh" (a corner, width and height) or "cxcywh" (the middle, width and height).
    out_fmt : str
        The same; ValueError for others.

    Returns
    -------
    Tensor
        (..., 4).

    Examples
    --------
    >>> import retrograd as torch
    >>> box_convert(torch.tensor([[1.0, 2.0, 4.0, 6.0]]), "xyxy", "cxcywh")
    tensor([[2.5000, 4.0000, 3.0000, 4.0000]])
    """
    allowed = ("xyxy", "xywh", "cxcywh")
    if in_fmt not in allowed or out_fmt not in allowed:
        raise ValueError(f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}")
    if in_fmt == out_fmt:
        return boxes.clone()
    a, b, c, d = boxes.unbind(-1)
    if in_fmt == "xywh":
        a, b, c, d = a, b, a + c, b + d
    elif in_fmt == "cxcywh":
        a, b, c, d = a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d
    if out_fmt == "xywh":
        a, b, c, d = a, b, c - a, d - b
    elif out_fmt == "cxcywh":
        a, b, c, d = (a + c) / 2, (b + d) / 2, c - a, d - b
    return torch.stack((a, b, c, d), dim=-1)


def box_area(boxes: Any, fmt: str = "xyxy") -> Any:
    """Give the areas of boxes.

    Parameters
    ----------
    boxes : Tensor
        (N, 4).
    fmt : str
        The format, as in `box_convert`.

    Returns
    -------
    Tensor
        (N,).
    """
    boxes = _wide(boxes)
    if fmt == "xyxy":
        return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    if fmt not in ("xywh", "cxcywh"):
        raise ValueError(f"Unsupported Bounding Box area for given format {fmt}")
    return boxes[..., 2] * boxes[..., 3]


def _overlap(boxes1: Any, boxes2: Any) -> tuple[Any, Any]:
    """Give the areas that each pair has in common and covers together."""
    low = torch.max(boxes1[:, None, :2], boxes2[None, :, :2])
    high = torch.min(boxes1[:, None, 2:], boxes2[None, :, 2:])
    sides = _wide(high - low).clamp(min=0)
    common = sides[..., 0] * sides[..., 1]
    return common, box_area(boxes1)[:, None] + box_area(boxes2) - common


def box_iou(boxes1: Any, boxes2: Any, fmt: str = "xyxy") -> Any:
    """Give what each pair of boxes has in common, as a part of what it covers together.

    Parameters
    ----------
    boxes1 : Tensor
        (N, 4).
    boxes2 : Tensor
        (M, 4).
    fmt : str
        Their format, as in `box_convert`.

    Returns
    -------
    Tensor
        (N, M), in [0, 1].

    Examples
    --------
    >>> import retrograd as torch
    >>> box_iou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 0, 3, 2], [5, 5, 6, 6]]))
    tensor([[0.3333, 0.0000]])
    """
    if fmt not in ("xyxy", "xywh", "cxcywh"):
        raise ValueError(f"Unsupported Box IoU Calculation for given format {fmt}.")
    if fmt != "xyxy":
        boxes1, boxes2 = box_convert(boxes1, fmt, "xyxy"), box_convert(boxes2, fmt, "xyxy")
    common, together = _overlap(boxes1, boxes2)
    return common / together


def _hull(boxes1: Any, boxes2: Any) -> Any:
    """Give the sides of the smallest box around each pair."""
    low = torch.min(boxes1[:, None, :2], boxes2[None, :, :2])
    high = torch.max(boxes1[:, None, 2:], boxes2[None, :, 2:])
    return _wide(high - low).clamp(min=0)


def generalized_box_iou(boxes1: Any, boxes2: Any) -> Any:
    """IoU less the part of the box around both that neither covers: (N, 4), (M, 4) -> (N, M).

    Source: Rezatofighi et al. 2019, https://arxiv.org/abs/1902.09630.
    """
    common, together = _overlap(boxes1, boxes2)
    sides = _hull(boxes1, boxes2)
    area = sides[..., 0] * sides[..., 1]
    return common / together - (area - together) / area


def distance_box_iou(boxes1: Any, boxes2: Any, eps: float = 1e-7) -> Any:
    """IoU less the squared distance of the middles over the squared diagonal: (N, 4), (M, 4) -> (N, M).

    Source: Zheng et al. 2020, https://arxiv.org/abs/1911.08287.
    """
    iou = box_iou(boxes1, boxes2)
    diagonal = (_hull(boxes1, boxes2) ** 2).sum(-1) + eps
    middle1, middle2 = ((b[:, :2] + b[:, 2:]) / 2 for b in (boxes1, boxes2))
    distance = (_wide(middle1[:, None] - middle2[None]) ** 2).sum(-1)
    return iou - distance / diagonal


def complete_box_iou(boxes1: Any, boxes2: Any, eps: float = 1e-7) -> Any:
    """`distance_box_iou` less a term for unequal shapes: (N, 4), (M, 4) -> (N, M).

    Source: Zheng et al. 2020, https://arxiv.org/abs/1911.08287.
    """
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    iou = box_iou(boxes1, boxes2)
    angles = [torch.atan((b[:, 2] - b[:, 0]) / (b[:, 3] - b[:, 1])) for b in (boxes1, boxes2)]
    unlike = (4 / math.pi**2) * (angles[0][:, None] - angles[1][None]) ** 2
    with torch.no_grad():
        share = unlike / (1 - iou + unlike + eps)
    return distance_box_iou(boxes1, boxes2, eps) - share * unlike


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Keep the best of boxes that overlap: each in the order of scores, unless a better one that is kept overlaps it.

    Parameters
    ----------
    boxes : Tensor
        (N, 4), two corners.
    scores : Tensor
        (N,).
    iou_threshold : float
        Boxes overlap where their IoU is above it.

    Returns
    -------
    Tensor
        int64, the places of the boxes that are kept, best first.

    Examples
    --------
    >>> import retrograd as torch
    >>> boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 1.9], [5, 5, 6, 6]])
    >>> nms(boxes, torch.tensor([0.5, 0.9, 0.7]), 0.5)
    tensor([1, 2])
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise RuntimeError(f"nms: boxes should be a 2d tensor of size (N, 4), got {tuple(boxes.shape)}")
    if scores.ndim != 1 or scores.shape[0] != boxes.shape[0]:
        raise RuntimeError(
            f"nms: boxes and scores should have the same number of elements, got {boxes.shape[0]} and "
            f"{tuple(scores.shape)}"
        )
    order = torch.sort(scores.detach(), dim=0, descending=True, stable=True)[1]
    better, worse = _overlapping_pairs(boxes.detach()[order].numpy(), float(iou_threshold))
    n = boxes.shape[0]
    kept, open_ = np.zeros(n, bool), np.ones(n, bool)
    while open_.any():
        # What no open box above it overlaps is kept; what a kept one overlaps is dropped. Every round decides the best.
        blocked = np.zeros(n, bool)
        blocked[worse[open_[better] & open_[worse]]] = True
        new = open_ & ~blocked
        kept |= new
        open_ &= blocked
        open_[worse[new[better]]] = False
    return order[torch.from_numpy(np.flatnonzero(kept))]


def _overlapping_pairs(boxes: np.ndarray[Any, Any], threshold: float) -> tuple[Any, Any]:
    """Give the pairs, the earlier box first, whose IoU is above the threshold; some thousand rows at a time."""
    x1, y1, x2, y2 = boxes.T
    areas = (x2 - x1) * (y2 - y1)
    step = max(1, (1 << 22) // max(len(boxes), 1))
    earlier, later = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, len(boxes), step):
        rows, columns = slice(start, start + step), slice(start, None)
        width = np.minimum(x2[rows, None], x2[columns]) - np.maximum(x1[rows, None], x1[columns])
        height = np.minimum(y2[rows, None], y2[columns]) - np.maximum(y1[rows, None], y1[columns])
        common = np.maximum(width, 0) * np.maximum(height, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second = np.nonzero(common / (areas[rows, None] + areas[columns] - common) > threshold)
        above = second > first
        earlier.append(first[above] + start)
        later.append(second[above] + start)
    return np.concatenate(earlier), np.concatenate(later)


def batched_nms(boxes: Any, scores: Any, idxs: Any, iou_threshold: float) -> Any:
    """`nms` for each class by itself.

    Parameters
    ----------
    boxes : Tensor
        (N, 4), two corners.
    scores : Tensor
        (N,).
    idxs : Tensor
        (N,), the classes.
    iou_threshold : float
        What `nms` takes.

    Returns
    -------
    Tensor
        int64, the places of the boxes that are kept, best first.
    """
    if boxes.numel() == 0:
        return torch.empty((0,), dtype=torch.int64)
    # Each class is moved to a place of its own, where no other class's boxes reach.
    offsets = idxs.to(boxes) * (boxes.max() + torch.tensor(1).to(boxes))
    return nms(boxes + offsets[:, None], scores, iou_threshold)


def remove_small_boxes(boxes: Any, min_size: float) -> Any:
    """Give the places of the boxes whose sides both are at least ``min_size``."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return torch.where((sides >= min_size).all(dim=1))[0]


def clip_boxes_to_image(boxes: Any, size: Any) -> Any:
    """Move the corners of boxes into a picture of (height, width)."""
    height, width = size
    x, y = boxes[..., 0::2].clamp(min=0, max=width), boxes[..., 1::2].clamp(min=0, max=height)
    return torch.stack((x, y), dim=boxes.dim()).reshape(boxes.shape)


def masks_to_boxes(masks: Any) -> Any:
    """Give the boxes around masks.

    Parameters
    ----------
    masks : Tensor
        (N, H, W); a mask is where it is not zero.

    Returns
    -------
    Tensor
        float32, (N, 4), two corners.
    """
    if masks.numel() == 0:
        return torch.zeros((0, 4))
    ends = []
    for axis in (1, 2):  # columns have any row set, rows any column
        line = masks.ne(0).any(dim=axis).int()
        first = line.argmax(dim=1)
        ends.append((first, line.shape[1] - 1 - line.flip(1).argmax(dim=1)))
    (x1, x2), (y1, y2) = ends
    return torch.stack([x1, y1, x2, y2], dim=1).float()


__all__ = [
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "complete_box_iou",
    "distance_box_iou",
    "generalized_box_iou",
    "masks_to_boxes",
    "nms",
    "remove_small_boxes",
]
