"""torchvision.utils: many pictures in one, pictures into files, boxes and masks drawn on them."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

import retrograd as torch

from ._pillow import pillow


def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: Any = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Any:
    """Put a batch of pictures into one, in rows.

    Parameters
    ----------
    tensor : Tensor or list of Tensor
        (B, C, H, W), or B pictures of one shape; one channel becomes three.
    nrow : int
        How many pictures stand in a row.
    padding : int
        How many pixels are between them.
    normalize : bool
        Whether values are moved to [0, 1].
    value_range : tuple of float, optional
        What becomes 0 and 1; the least and the greatest value by default.
    scale_each : bool
        Whether that is done for each picture by itself.
    pad_value : float
        The colour between them.

    Returns
    -------
    Tensor
        (3, H', W').

    Examples
    --------
    >>> import retrograd as torch
    >>> make_grid(torch.zeros(5, 1, 4, 4), nrow=3).shape
    torch.Size([3, 14, 20])
    """
    if not isinstance(tensor, torch.Tensor):
        if not isinstance(tensor, list):
            raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
        for one in tensor:
            if not isinstance(one, torch.Tensor):
                raise TypeError(f"tensor or list of tensors expected, got a list containing {type(one)}")
        tensor = torch.stack(tensor, dim=0)
    with torch.no_grad():
        x = tensor.unsqueeze(0) if tensor.dim() == 2 else tensor
        x = x.unsqueeze(0) if x.dim() == 3 else x
        x = torch.cat((x, x, x), 1) if x.shape[1] == 1 else x
        if normalize:
            x = _to_unit(x.clone(), value_range, scale_each)
        if x.shape[0] == 1:
            return x[0]
        return _in_rows(x, nrow, padding, pad_value)


def _to_unit(x: Any, value_range: Any, each: bool) -> Any:
    if value_range is not None:
        if not isinstance(value_range, tuple):
            raise TypeError("value_range has to be a tuple (min, max) if specified. min and max are numbers")
        low, high = value_range
        return (x.clamp(min=low, max=high) - low) / max(high - low, 1e-5)
    low, high = (f(dim=(1, 2, 3), keepdim=True) if each else f() for f in (x.amin, x.amax))
    return (x - low) / (high - low).clamp(min=1e-5)


def _in_rows(x: Any, nrow: int, padding: int, pad_value: float) -> Any:
    count, channels, height, width = x.shape
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    cells = x.new_full((rows * columns, channels, height + padding, width + padding), pad_value)
    cells[:count, :, padding:, padding:] = x
    cells = cells.reshape(rows, columns, channels, height + padding, width + padding)
    body = cells.permute(2, 0, 3, 1, 4).reshape(channels, rows * (height + padding), columns * (width + padding))
    grid = x.new_full((channels, body.shape[1] + padding, body.shape[2] + padding), pad_value)
    grid[:, : body.shape[1], : body.shape[2]] = body
    return grid


def save_image(tensor: Any, fp: Any, format: str | None = None, **kwargs: Any) -> None:
    """Write a picture, or a grid of pictures, to a file with Pillow.

    Parameters
    ----------
    tensor : Tensor or list of Tensor
        What `make_grid` takes, in [0, 1].
    fp : str, path or file
        Where it goes.
    format : str, optional
        Pillow's name of the format; by the file's ending by default.
    **kwargs
        What `make_grid` takes.
    """
    grid = make_grid(tensor, **kwargs)
    array = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to(torch.uint8).numpy()
    pillow().fromarray(np.ascontiguousarray(array)).save(fp, format=format)


def _palette(count: int) -> list[tuple[int, ...]]:
    """Give so many colours, far from each other."""
    prime = np.array([2**25 - 1, 2**15 - 1, 2**21 - 1])
    return [tuple(int(one) for one in (i * prime) % 255) for i in range(count)]


def _colours(colors: Any, count: int) -> list[Any]:
    if colors is None:
        return list(_palette(count))
    if isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(
                f"Number of colors must be equal or larger than the number of objects, but got {len(colors)} < {count}."
            )
        found = colors
    else:
        found = [colors] * count
    rgb = pillow("ImageColor").getrgb
    return [rgb(one) if isinstance(one, str) else one for one in found]


def _check_image(image: Any) -> None:
    if not isinstance(image, torch.Tensor):
        raise TypeError(f"The image must be a tensor, got {type(image)}")
    if not (image.dtype == torch.uint8 or image.is_floating_point()):
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.dim() != 3:
        raise ValueError("Pass individual images, not batches")
    if image.shape[0] not in (1, 3):
        raise ValueError("Only grayscale and RGB images are supported")


def draw_bounding_boxes(
    image: Any,
    boxes: Any,
    labels: Any = None,
    colors: Any = None,
    fill: bool | None = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
    label_colors: Any = None,
    label_background_colors: Any = None,
    fill_labels: bool = False,
) -> Any:
    """Draw boxes, and labels beside them, on a copy of a picture.

    Parameters
    ----------
    image : Tensor
        (1 or 3, H, W), uint8 or floats in [0, 1].
    boxes : Tensor
        (N, 4): two corners; ValueError where the second is not right of and below the first.
    labels : list of str, optional
        One for each box.
    colors : colour or list of colours, optional
        Of all boxes or of each.
    fill : bool, optional
        Whether boxes are filled, half transparently.
    width : int
        The lines' width.
    font : str, optional
        A TrueType font's file.
    font_size : int, optional
        Its size.
    label_colors : colour or list of colours, optional
        Of the labels; the boxes' by default.
    label_background_colors : colour or list of colours, optional
        Behind the labels.
    fill_labels : bool
        Whether there is a background behind the labels.

    Returns
    -------
    Tensor
        (3, H, W), in the image's type.
    """
    _check_image(image)
    count = boxes.shape[0]
    if ((boxes[:, 0] > boxes[:, 2]) | (boxes[:, 1] > boxes[:, 3])).any():
        raise ValueError(
            "Boxes need to be in (xmin, ymin, xmax, ymax) format. Use torchvision.ops.box_convert to convert them"
        )
    if count == 0:
        warnings.warn("boxes doesn't contain any box. No box was drawn")
        return image
    if labels is not None and len(labels) != count:
        raise ValueError(
            f"Number of boxes ({count}) and labels ({len(labels)}) mismatch. Please specify labels for each box."
        )
    from .transforms.functional import convert_image_dtype, pil_to_tensor, to_pil_image

    as_bytes = convert_image_dtype(image, torch.uint8)
    picture = to_pil_image(as_bytes.expand(3, *image.shape[1:]) if image.shape[0] == 1 else as_bytes)
    draw = pillow("ImageDraw").Draw(picture, "RGBA" if fill else None)
    fonts = pillow("ImageFont")
    face = fonts.truetype(font=font, size=font_size or 10) if font else fonts.load_default()
    chosen = _colours(colors, count)
    of_labels = _colours(label_colors, count) if label_colors is not None else chosen
    behind = _colours(label_background_colors, count) if label_background_colors is not None else chosen
    for i, box in enumerate(boxes.to(torch.int64).tolist()):
        draw.rectangle(box, width=width, outline=chosen[i], fill=chosen[i] + (100,) if fill else None)
        if labels is not None and labels[i] is not None:
            place = (box[0] + width + 1, box[1] + width + 1)
            if fill_labels:
                draw.rectangle(draw.textbbox(place, labels[i], font=face), fill=behind[i])
            draw.text(place, labels[i], fill=of_labels[i], font=face)
    drawn = pil_to_tensor(picture)
    return convert_image_dtype(drawn, image.dtype) if image.is_floating_point() else drawn


def draw_segmentation_masks(image: Any, masks: Any, alpha: float = 0.8, colors: Any = None) -> Any:
    """Colour masks on a copy of a picture.

    Parameters
    ----------
    image : Tensor
        (3, H, W), uint8 or floats in [0, 1].
    masks : Tensor
        (N, H, W) or (H, W), bool; ValueError for other types and shapes.
    alpha : float
        How opaque.
    colors : colour or list of colours, optional
        Of all masks or of each.

    Returns
    -------
    Tensor
        (3, H, W), in the image's type.
    """
    _check_image(image)
    masks = masks[None] if masks.ndim == 2 else masks
    if masks.ndim != 3:
        raise ValueError("masks must be of shape (H, W) or (batch_size, H, W)")
    if masks.dtype != torch.bool:
        raise ValueError(f"The masks must be of dtype bool. Got {masks.dtype}")
    if masks.shape[-2:] != image.shape[-2:]:
        raise ValueError("The image and the masks must have the same height and width")
    if masks.shape[0] == 0:
        warnings.warn("masks doesn't contain any mask. No mask was drawn")
        return image
    table = torch.tensor([list(one) for one in _colours(colors, masks.shape[0])], dtype=torch.float32)
    table = table / 255 if image.is_floating_point() else table
    weights = masks.float()
    count = weights.sum(0)
    mixed = torch.einsum("nc,nhw->chw", table, weights) / count.clamp(min=1)
    drawn = torch.where(count > 0, mixed, image.float())
    return (image * (1 - alpha) + drawn * alpha).to(image.dtype)


def __getattr__(name: str) -> Any:
    from retrograd.utils._names import missing

    raise missing(__name__, name, __all__)


__all__ = ["draw_bounding_boxes", "draw_segmentation_masks", "make_grid", "save_image"]
