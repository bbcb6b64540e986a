"""Padding: a constant, or the input's own values reflected, repeated or taken round in a circle."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import wrap
from ...ops.index import take_axis
from ...ops.shape import pad as _pad
from ...tensor.dispatch import labelled


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Add elements around the last dimensions: ``pad`` is (before, after) for the last, then the one before, and so on.

    ``mode``: "constant" (filled with ``value``; a negative pad takes away), "reflect" (without the edge), "replicate"
    (the edge) or "circular". RuntimeError for more pads than dimensions, or more elements than there are to take from.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.pad(torch.tensor([1.0, 2.0, 3.0]), (1, 2))
    tensor([0., 1., 2., 3., 0., 0.])
    >>> torch.nn.functional.pad(torch.tensor([[1.0, 2.0, 3.0]]), (2, 0), mode="reflect")
    tensor([[3., 2., 1., 2., 3.]])
    """
    pads = tuple(int(p) for p in pad)
    if len(pads) % 2:
        raise RuntimeError(f"Padding length must be divisible by 2, but got {len(pads)} numbers")
    if len(pads) // 2 > input.dim():
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(pads)} and input of dimension {input.dim()}"
        )
    if mode == "constant":
        return _constant(input, pads, 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    spatial = len(pads) // 2
    if spatial > 3 or input.dim() not in (spatial + 1, spatial + 2):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now: "
            f"pad wants {2 * max(input.dim() - 2, 1)} numbers for an input of {input.dim()} dimensions, not {len(pads)}"
        )
    return _from_itself(input, pads, mode)


def _constant(input: Any, pads: tuple[int, ...], value: Any) -> Any:
    lead = input.dim() - len(pads) // 2
    sides = [(0, 0)] * lead + list(zip(pads[::2], pads[1::2], strict=True))[::-1]
    for dim, ((before, after), size) in enumerate(zip(sides, tuple(input.shape), strict=True)):
        kept = size + min(before, 0) + min(after, 0)
        if kept + max(before, 0) + max(after, 0) < 0 or kept < 0:
            raise RuntimeError(
                f"narrow(): the input size {size}, plus negative padding {before} and {after}, "
                f"resulted in a negative output size, which is invalid. Check dimension {dim} of your input."
            )
        if before < 0 or after < 0:
            input = input.narrow(dim, max(-before, 0), kept)
    widths = tuple((max(before, 0), max(after, 0)) for before, after in sides)
    if not any(map(any, widths)):
        return input.clone()
    return labelled(_pad(input, widths=widths, value=value), "ConstantPadNdBackward0")


def _from_itself(input: Any, pads: tuple[int, ...], mode: str) -> Any:
    """Take each padded dimension's elements by number."""
    for place, (before, after) in enumerate(zip(pads[::2], pads[1::2], strict=True)):
        axis = input.dim() - 1 - place
        size = input.shape[axis]
        most = {"reflect": size - 1, "circular": size}.get(mode)
        if most is not None and max(before, after) > most:
            relation = "less than" if mode == "reflect" else "at most"
            raise RuntimeError(
                f"Padding size should be {relation} the corresponding input dimension, but got: "
                f"padding ({before}, {after}) at dimension {axis} of input {list(input.shape)}"
            )
        if size + before + after < 1:
            raise RuntimeError(
                f"pad: dimension {axis} of input {list(input.shape)} has nothing left after ({before}, {after})"
            )
        numbers = np.arange(-before, size + after)
        if mode == "replicate":
            numbers = np.clip(numbers, 0, size - 1)
        elif mode == "circular":
            first = max(-before, 0)  # what a negative pad takes away does not come round
            numbers = first + (numbers - first) % (size - first - max(-after, 0))
        else:
            numbers = np.abs(numbers)
            numbers = (size - 1) - np.abs((size - 1) - numbers)
        if before or after:
            input = take_axis(input, wrap(numbers), axis=axis)
    return input if any(pads) else input.clone()
