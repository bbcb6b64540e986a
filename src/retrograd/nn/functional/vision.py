"""Images: pixel shuffles, resizing, and attention over sequences of patches or words."""

from __future__ import annotations

import math
from typing import Any

from ...core import dtypes
from .. import _functions as T
from .dropout import dropout


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Turn channels into space: (..., C r^2, H, W) -> (..., C, H r, W r).

    Source: Shi et al. 2016, https://arxiv.org/abs/1609.05158.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.pixel_shuffle(torch.arange(4.0).reshape(4, 1, 1), 2)
    tensor([[[0., 1.],
             [2., 3.]]])
    """
    r = upscale_factor
    if input.dim() < 3:
        raise RuntimeError(
            f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {input.dim()} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, channels, height, width = input.shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            f"but input.size(-3)={channels} is not divisible by {r * r}"
        )
    n = len(lead)
    split = input.reshape(*lead, channels // (r * r), r, r, height, width)
    moved = split.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return moved.reshape(*lead, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Turn space into channels: (..., C, H r, W r) -> (..., C r^2, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.pixel_unshuffle(torch.arange(4.0).reshape(1, 2, 2), 2).flatten()
    tensor([0., 1., 2., 3.])
    """
    r = downscale_factor
    if input.dim() < 3:
        raise RuntimeError(
            f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with "
            f"{input.dim()} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, channels, height, width = input.shape
    for name, size, place in (("height", height, -2), ("width", width, -1)):
        if size % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, "
                f"but input.size({place})={size} is not divisible by {r}"
            )
    n = len(lead)
    split = input.reshape(*lead, channels, height // r, r, width // r, r)
    moved = split.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return moved.reshape(*lead, channels * r * r, height // r, width // r)


def channel_shuffle(input: Any, groups: int) -> Any:
    """Deal the channels of (N, C, ...) out anew: the i-th of each group becomes group i.

    Source: Zhang et al. 2017, https://arxiv.org/abs/1707.01083.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.channel_shuffle(torch.arange(4.0).reshape(1, 4, 1), 2).flatten()
    tensor([0., 2., 1., 3.])
    """
    if input.dim() < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    batch, channels, *space = input.shape
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and {groups} groups."
        )
    split = input.reshape(batch, groups, channels // groups, *space)
    return split.transpose(1, 2).reshape(batch, channels, *space)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Attention: softmax(Q K^T / sqrt(d) + M) V.

    Shapes: query (..., L, d), key (..., S, d), value (..., S, v); the result (..., L, v). ``attn_mask`` is bool (True
    takes part) or is added; ``is_causal`` lets a query see only keys up to its own place. With ``enable_gqa`` a key and
    value head serves several query heads.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    Examples
    --------
    >>> import retrograd as torch
    >>> q = torch.zeros(1, 2, 4)
    >>> torch.nn.functional.scaled_dot_product_attention(q, q, torch.ones(1, 2, 3)).shape
    torch.Size([1, 2, 3])
    """
    if is_causal and attn_mask is not None:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(times, -3), value.repeat_interleave(times, -3)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query * factor) @ key.transpose(-2, -1)
    if is_causal:
        attn_mask = T.ones(query.shape[-2], key.shape[-2], dtype=dtypes.bool_).tril()
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask._a.dtype.kind == "b" else scores + attn_mask
    weights = T.softmax(scores, -1)
    return (dropout(weights, dropout_p) if dropout_p else weights) @ value
