"""Attention whose scores a function of one's own may change or hide."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import _functions as T
from .block_mask import BLOCK, BlockMask, and_masks, create_block_mask, create_mask, noop_mask, or_masks, places, sliced

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]

_DEFAULT_SPARSE_BLOCK_SIZE = BLOCK  # the name that other libraries import


class AuxRequest(NamedTuple):
    """What `flex_attention` is asked for beside its result."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What `flex_attention` gives beside its result, each (B, H, L): log sum exp, and the maximum, of the scores."""

    lse: Any = None
    max_scores: Any = None


def _check(query: Any, key: Any, value: Any, mask: Any, grouped: bool) -> None:
    """Raise torch's error for sizes that do not go together."""
    if min(query.dim(), key.dim(), value.dim()) < 2:
        raise ValueError("Expected query, key, and value to all be at least 2 dimensional")
    if query.size(-1) != key.size(-1):
        raise ValueError(
            "Expect query and key/value to have the same embedding dimension but got "
            f"E={query.size(-1)} and E={key.size(-1)}."
        )
    if query.dim() != 4 or key.dim() != 4 or value.dim() != 4:
        raise NotImplementedError("flex_attention: query, key, and value must be 4D tensors: (B, H, length, features)")
    heads, kept = query.size(1), key.size(1)
    if heads != kept and not grouped:
        raise ValueError(
            f"Expect query and key/value to have the same number of heads but got Hq={heads} and Hkv={kept}. "
            "Try setting enable_gqa=True for GQA."
        )
    if grouped and heads % kept:
        raise ValueError(
            f"Expect number of query heads to be a multiple of kv heads for GQA but got {heads} and {kept}."
        )
    if query.size(0) != key.size(0) and (mask is None or mask.kv_num_blocks.size(0) != query.size(0)):
        raise ValueError(
            "Expect query and key/value to have the same batch size, or a block_mask of the query's, but got "
            f"Bq={query.size(0)} and Bkv={key.size(0)}."
        )
    if mask is not None and mask.mask_mod is sliced:
        raise RuntimeError("Cannot use mask_mod from a sliced BlockMask")
    if mask is not None and tuple(mask.shape[-2:]) != (query.size(-2), key.size(-2)):
        raise ValueError(
            f"block_mask was created for block_mask.shape={mask.shape} but got q_len={query.size(-2)} and "
            f"kv_len={key.size(-2)}: create one for these lengths, or crop it by block_mask._adjust(q_len, kv_len)"
        )


def flex_attention(
    query: Any,
    key: Any,
    value: Any,
    score_mod: Callable[..., Any] | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: Any = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """Attend with scores that a function changes: softmax(f(Q K^T / sqrt(d))) V.

    Shapes: query (B, Hq, L, d), key (B, Hkv, S, d), value (B, Hkv, S, v); the result (B, Hq, L, v). A query that sees
    no key gives zeros. Gradients flow on the CPU, too, where torch has none.

    Parameters
    ----------
    query, key, value : Tensor
        Of one dtype, or key and value of others, which become the query's.
    score_mod : callable, optional
        A function of (score, batch, head, query, key), called once with all scores (B, Hq, L, S) and integer tensors
        that broadcast with them: write it in torch's functions, without ``if``.
    block_mask : BlockMask, optional
        What is hidden; see `create_block_mask`.
    scale : float, optional
        Stands for 1 / sqrt(d).
    enable_gqa : bool
        Let a head of key and value serve several heads of the query.
    return_lse : bool
        Give (result, log sum exp of the scores); ``return_aux`` is the newer form.
    kernel_options : dict, optional
        Changes nothing.
    return_aux : AuxRequest, optional
        Give (result, AuxOutput).

    Raises
    ------
    ValueError
        For sizes that do not go together.
    NotImplementedError
        For tensors of other than four dimensions.

    References
    ----------
    Dong et al., "Flex attention: a programming model for generating optimized attention kernels", 2024.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.attention.flex_attention import flex_attention
    >>> q = torch.zeros(1, 1, 2, 4)
    >>> v = torch.tensor([[1.0], [3.0]]).view(1, 1, 2, 1)
    >>> causal = lambda score, b, h, q, k: torch.where(q >= k, score, -torch.inf)
    >>> flex_attention(q, q, v, causal).flatten()
    tensor([1., 2.])
    """
    _check(query, key, value, block_mask, enable_gqa)
    if return_lse and return_aux is not None:
        raise ValueError(
            "Cannot specify both return_lse and return_aux. return_lse is deprecated, please use "
            "return_aux=AuxRequest(lse=True) instead."
        )
    if return_lse:
        warnings.warn(
            "return_lse is deprecated and will be removed in v2.10. Please use return_aux=AuxRequest(lse=True) instead.",
            FutureWarning,
            stacklevel=2,
        )
    key, value = key.to(query.dtype), value.to(query.dtype)
    factor = 1.0 / math.sqrt(query.size(-1)) if scale is None else scale
    if enable_gqa:
        groups = query.size(1) // key.size(1)
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = (query @ key.transpose(-2, -1)) * factor
    where = places(*scores.shape)
    if score_mod is not None:
        scores = score_mod(scores, *where).to(query.dtype).expand(scores.shape)
    if block_mask is not None:
        scores = T.where(block_mask.mask_mod(*where), scores, -math.inf)
    hidden = T.isneginf(scores.detach())
    dead = hidden.all(-1, keepdim=True)
    lively = scores.masked_fill(dead, 0.0)
    output = T.softmax(lively, -1).masked_fill(dead, 0.0) @ value
    if return_lse:
        return output, T.logsumexp(lively, -1).masked_fill(dead.squeeze(-1), -math.inf)
    if return_aux is None:
        return output
    lse = T.logsumexp(lively, -1).masked_fill(dead.squeeze(-1), -math.inf) if return_aux.lse else None
    return output, AuxOutput(lse, scores.amax(-1) if return_aux.max_scores else None)
