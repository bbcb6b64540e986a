"""How boxes move with their picture."""

from __future__ import annotations

import inspect
from typing import Any

import retrograd as torch

from ...ops.boxes import box_convert
from .. import functional as F
from ..functional.shape import _sides, _target_size


def moved(boxes: Any, name: str, args: Any, kwargs: Any) -> Any:
    """Give the boxes where the change called ``name`` takes them."""
    if name not in _MOVES:
        raise NotImplementedError(f"{name} does not move BoundingBoxes; what does is {', '.join(_MOVES)}")
    function = getattr(F, name)
    names = list(inspect.signature(function).parameters)[1:]
    given = dict(zip(names, args)) | kwargs
    corners = box_convert(boxes.as_subclass(torch.Tensor), boxes.format.value.lower(), "xyxy")
    corners, size = _MOVES[name](corners, *boxes.canvas_size, given)
    if name in ("crop", "pad"):  # the others leave no box outside that was inside
        x, y = corners[..., 0::2].clamp(0, size[1]), corners[..., 1::2].clamp(0, size[0])
        corners = torch.stack((x, y), dim=-1).reshape(corners.shape)
    back = box_convert(corners, "xyxy", boxes.format.value.lower()).to(boxes.dtype)
    return boxes._like(back, tuple(size))


def _flip(axis: int) -> Any:
    def flip(b: Any, height: int, width: int, given: Any) -> Any:
        x1, y1, x2, y2 = b.unbind(-1)
        parts = (width - x2, y1, width - x1, y2) if axis else (x1, height - y2, x2, height - y1)
        return torch.stack(parts, dim=-1), (height, width)

    return flip


def _shift(b: Any, right: float, down: float) -> Any:
    return b + torch.tensor([right, down, right, down]).to(b.dtype)


def _crop(b: Any, height: int, width: int, given: Any) -> Any:
    return _shift(b, -given["left"], -given["top"]), (given["height"], given["width"])


def _pad(b: Any, height: int, width: int, given: Any) -> Any:
    left, top, right, bottom = _sides(given["padding"])
    return _shift(b, left, top), (height + top + bottom, width + left + right)


def _resize(b: Any, height: int, width: int, given: Any) -> Any:
    new = _target_size(height, width, given["size"], given.get("max_size"))
    ratio = torch.tensor([new[1] / width, new[0] / height] * 2)
    return (b.float() * ratio if not b.is_floating_point() else b * ratio.to(b.dtype)), new


_MOVES: dict[str, Any] = {"hflip": _flip(1), "vflip": _flip(0), "crop": _crop, "pad": _pad, "resize": _resize}
