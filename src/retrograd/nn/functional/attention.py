"""Attention: softmax(Q K^T / sqrt(d) + M) V, alone and with the projections of several heads around it."""

from __future__ import annotations

import math
from typing import Any

from ...core import dtypes
from ...core.warned import warn
from ...tensor.composed import composed
from .. import _functions as T
from .dropout import dropout
from .linear import linear
from .padding import pad

# the ways of computing attention that `nn.attention.sdpa_kernel` permits; on the CPU torch has "flash" and "math"
PERMITTED = dict.fromkeys(("cudnn", "flash", "mem_efficient", "math", "overrideable"), True)


def _weights(query: Any, key: Any, mask: Any, dead: Any, factor: float, causal: bool) -> Any:
    """Give softmax(Q K^T factor + M), zero in the rows that are ``dead``: those that may look nowhere."""
    scores = (query * factor) @ key.transpose(-2, -1)
    if causal:
        later = T.ones(query.shape[-2], key.shape[-2], dtype=dtypes.bool_).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    if mask is not None:
        hides = mask.dtype is dtypes.bool_
        scores = scores.masked_fill(mask.logical_not(), -math.inf) if hides else scores + mask
    if dead is None:
        return T.softmax(scores, -1)
    return T.softmax(scores.masked_fill(dead, 0.0), -1).masked_fill(dead, 0.0)


_attention_weights = composed("SoftmaxBackward0", keeps=False)(_weights)


@composed("ScaledDotProductFlashAttentionForCpuBackward0")
def _attention(query: Any, key: Any, value: Any, mask: Any, dead: Any, factor: float, causal: bool) -> Any:
    return _weights(query, key, mask, dead, factor, causal) @ value


def _check_attention(query: Any, key: Any, value: Any, mask: Any, dropout_p: float, is_causal: bool) -> None:
    if is_causal and mask is not None:
        raise RuntimeError("scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if not 0 <= dropout_p <= 1:
        raise RuntimeError(
            f"scaled_dot_product_attention: dropout probability has to be between 0 and 1, but got {dropout_p}"
        )
    if not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(
            "scaled_dot_product_attention: Expected query, key, and value to have the same dtype, but got "
            f"{query.dtype}, {key.dtype} and {value.dtype}; convert them with .to(dtype)"
        )
    if min(query.dim(), key.dim(), value.dim()) < 2:
        raise RuntimeError(
            "scaled_dot_product_attention: Expected query, key, and value to be at least 2 dimensional, but got "
            f"{query.dim()}, {key.dim()} and {value.dim()} dimensions"
        )
    if mask is not None and mask.dtype not in (dtypes.bool_, dtypes.float32, query.dtype):
        raise RuntimeError(
            "scaled_dot_product_attention: Expected attn_mask dtype to be bool or float or to match query dtype, but "
            f"got {mask.dtype} and query {query.dtype}"
        )


def _rows_without_keys(mask: Any) -> Any:
    """Give the rows that a mask hides completely, as (..., L, 1), or None if there is none."""
    if mask is None:
        return None
    mask = mask.detach()
    hidden = mask.logical_not() if mask.dtype is dtypes.bool_ else mask == -math.inf
    dead = hidden.all(-1, keepdim=True)
    return dead if dead._a.any() else None


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
    takes part) or is added; ``is_causal`` lets a query see only keys up to its own place; a query that sees none gives
    zeros. ``scale`` stands for 1 / sqrt(d). With ``enable_gqa`` a key and value head serves several query heads.
    Dropout of the weights, if ``dropout_p`` is not zero, happens always. RuntimeError for shapes or dtypes that do not
    fit, or for both masks.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    Examples
    --------
    >>> import retrograd as torch
    >>> q = torch.zeros(1, 2, 4)
    >>> torch.nn.functional.scaled_dot_product_attention(q, q, torch.ones(1, 2, 3)).shape
    torch.Size([1, 2, 3])
    """
    _check_attention(query, key, value, attn_mask, dropout_p, is_causal)
    if not (PERMITTED["math"] or PERMITTED["flash"]):
        raise RuntimeError(
            "No viable backend for scaled_dot_product_attention was found: sdpa_kernel permits neither MATH nor "
            "FLASH_ATTENTION, and there is no other on the CPU"
        )
    if enable_gqa:
        heads = query.shape[-3]
        if heads % key.shape[-3] or heads % value.shape[-3]:
            raise RuntimeError(
                "scaled_dot_product_attention: with enable_gqa the number of heads of the query has to be divisible by "
                f"those of key and value, but they are {heads}, {key.shape[-3]} and {value.shape[-3]}"
            )
        key = key.repeat_interleave(heads // key.shape[-3], -3)
        value = value.repeat_interleave(heads // value.shape[-3], -3)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    dead = _rows_without_keys(attn_mask)
    if attn_mask is not None and attn_mask.dtype is not dtypes.bool_:
        attn_mask = attn_mask.to(query.dtype)
    if not dropout_p:
        return _attention(query, key, value, attn_mask, dead, factor, is_causal)
    return dropout(_attention_weights(query, key, attn_mask, dead, factor, is_causal), dropout_p) @ value


def canonical_mask(mask: Any, name: str, target: Any, other: Any = None, other_name: str = "") -> Any:
    """Give a mask that is added: 0 where a bool mask is False and -inf where it is True, and None for None.

    AssertionError for a mask that is neither bool nor floating-point; a warning where the other mask's dtype differs.
    """
    if mask is None:
        return None
    floats = mask.is_floating_point()
    if mask.dtype is not dtypes.bool_ and not floats:
        raise AssertionError(f"only bool and floating types of {name} are supported, but got {mask.dtype}")
    if other is not None and mask.dtype != other:
        warn(f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both instead.")
    return mask if floats else T.zeros(mask.shape, dtype=target).masked_fill(mask, -math.inf)


def _ask(holds: bool, message: str) -> None:
    """Raise AssertionError, torch's choice in this function, unless the condition holds."""
    if not holds:
        raise AssertionError(f"multi_head_attention_forward: {message}")


def _check_dimensions(query: Any, key: Any, value: Any, padding: Any, mask: Any, heads: int) -> bool:
    """Tell whether the input is batched; AssertionError where the numbers of dimensions do not go together."""
    n = query.dim()
    _ask(n in (2, 3), f"query should be unbatched 2D or batched 3D tensor but received {n}-D query tensor")
    _ask(
        key.dim() == value.dim() == n,
        f"for a {n}-D query, expected key and value to be {n}-D but found {key.dim()}-D and {value.dim()}-D",
    )
    if padding is not None:
        _ask(
            padding.dim() == n - 1,
            f"for a {n}-D query, expected key_padding_mask to be {n - 1}-D but found {padding.dim()}-D",
        )
    if mask is not None:
        _ask(mask.dim() in (2, 3), f"expected attn_mask to be None, 2-D or 3-D but found {mask.dim()}-D")
        if n == 2 and mask.dim() == 3:
            wanted = (heads, query.shape[0], key.shape[0])
            _ask(tuple(mask.shape) == wanted, f"expected attn_mask to be {wanted} but got {tuple(mask.shape)}")
    return bool(n == 3)


def _project(query: Any, key: Any, value: Any, weight: Any, bias: Any) -> Any:
    """Project by one weight (3 E, E): in one product for self-attention, in two where key and value are one."""
    if key is value and query is key:
        return linear(query, weight, bias).chunk(3, -1)
    width = query.shape[-1]
    if key is value:
        mine, theirs = weight.split([width, 2 * width])
        b, c = (None, None) if bias is None else bias.split([width, 2 * width])
        return linear(query, mine, b), *linear(key, theirs, c).chunk(2, -1)
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return [linear(*three) for three in zip((query, key, value), weight.chunk(3), biases, strict=True)]


def _project_apart(xs: tuple[Any, ...], weights: tuple[Any, ...], bias: Any) -> Any:
    """Project query, key and value by a weight each."""
    width = xs[0].shape[-1]
    for name, x, weight in zip(("q", "k", "v"), xs, weights, strict=True):
        _ask(weight is not None, f"use_separate_proj_weight is True but {name}_proj_weight is None")
        wanted = (width, x.shape[-1])
        _ask(tuple(weight.shape) == wanted, f"expecting {name}_proj_weight of {wanted}, but got {tuple(weight.shape)}")
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return [linear(*three) for three in zip(xs, weights, biases, strict=True)]


def _four_dimensional(mask: Any, batch: int, heads: int, length: int, keys: int) -> Any:
    """Give a mask (L, S) or (N heads, L, S) as (1, 1, L, S) or (N, heads, L, S)."""
    if mask is None:
        return None
    wanted = (length, keys) if mask.dim() == 2 else (batch * heads, length, keys)
    if tuple(mask.shape) != wanted:
        raise RuntimeError(f"The shape of the {mask.dim()}D attn_mask is {tuple(mask.shape)}, but should be {wanted}.")
    return mask.reshape(1, 1, length, keys) if mask.dim() == 2 else mask.reshape(batch, heads, length, keys)


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """Project, attend with several heads, put them side by side and project again; see `nn.MultiheadAttention`.

    Shapes: query (L, N, E), key (S, N, kdim), value (S, N, vdim), or without N; ``attn_mask`` (L, S) or
    (N heads, L, S), ``key_padding_mask`` (N, S), where True hides. Gives the output (L, N, E) and, with
    ``need_weights``, the weights (N, L, S), or (N, heads, L, S) without ``average_attn_weights``; otherwise None.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    Examples
    --------
    >>> import retrograd as torch
    >>> x, w = torch.zeros(5, 2, 4), torch.eye(4)
    >>> output, weights = torch.nn.functional.multi_head_attention_forward(
    ...     x, x, x, 4, 2, torch.cat([w, w, w]), None, None, None, False, 0.0, w, None
    ... )
    >>> output.shape, weights.shape
    (torch.Size([5, 2, 4]), torch.Size([2, 5, 5]))
    """
    batched = _check_dimensions(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        same, pair = query is key, key is value
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        value = key if pair else value
        query = key if same else query
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, width = query.shape
    keys = key.shape[0]
    other = None if attn_mask is None else attn_mask.dtype
    padding = canonical_mask(key_padding_mask, "key_padding_mask", query.dtype, other, "attn_mask")
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "multi_head_attention_forward: is_causal is a hint about attn_mask, which is None; make one with "
            "nn.Transformer.generate_square_subsequent_mask"
        )
    causal = is_causal and padding is None and not need_weights
    mask = None if causal else canonical_mask(attn_mask, "attn_mask", query.dtype)
    _ask(width == embed_dim_to_check, f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}")
    size = width // num_heads
    _ask(size * num_heads == width, f"embed_dim {width} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        _ask(key.shape[:2] == value.shape[:2], f"key {list(key.shape)} and value {list(value.shape)} do not match")
        q, k, v = _project_apart((query, key, value), (q_proj_weight, k_proj_weight, v_proj_weight), in_proj_bias)
    else:
        _ask(key.shape == value.shape, f"key shape {key.shape} does not match value shape {value.shape}")
        _ask(in_proj_weight is not None, "use_separate_proj_weight is False but in_proj_weight is None")
        q, k, v = _project(query, key, value, in_proj_weight, in_proj_bias)
    mask = _four_dimensional(mask, batch, num_heads, length, keys)
    _ask((bias_k is None) == (bias_v is None), "bias_k and bias_v have to be given together")
    more = []
    if bias_k is not None:
        _ask(static_k is None and static_v is None, "bias cannot be added to static key or value")
        more.append((bias_k.repeat(1, batch, 1), bias_v.repeat(1, batch, 1)))
    if add_zero_attn:
        more.append((T.zeros(1, batch, width, dtype=k.dtype), T.zeros(1, batch, width, dtype=v.dtype)))
    if more:
        k, v = T.cat([k, *[a for a, _ in more]]), T.cat([v, *[b for _, b in more]])
        mask = None if mask is None else pad(mask, (0, len(more)))
        padding = None if padding is None else pad(padding, (0, len(more)))
    q = q.reshape(length, batch, num_heads, size).permute(1, 2, 0, 3)
    k = _heads(k, static_k, batch, num_heads, size, "static_k")
    v = _heads(v, static_v, batch, num_heads, size, "static_v")
    keys = k.shape[2]
    if padding is not None:
        _ask(tuple(padding.shape) == (batch, keys), f"expected key_padding_mask {(batch, keys)}, got {padding.shape}")
        padding = padding.reshape(batch, 1, 1, keys)
        mask = padding if mask is None else mask + padding
    dropped = dropout_p if training else 0.0
    weights = None
    if need_weights:
        weights = _attention_weights(q, k, mask, None, 1 / math.sqrt(size), False)
        weights = dropout(weights, dropped) if dropped else weights
        heads = weights @ v
        weights = weights.mean(1) if average_attn_weights else weights
        weights = weights if batched else weights.squeeze(0)
    else:
        heads = scaled_dot_product_attention(q, k, v, mask, dropped, causal)
    joined = heads.permute(2, 0, 1, 3).reshape(length, batch, width)
    output = linear(joined, out_proj_weight, out_proj_bias)
    return output if batched else output.squeeze(1), weights


def _heads(x: Any, given: Any, batch: int, heads: int, size: int, name: str) -> Any:
    """Give keys or values (S, N, E), or those that stand for them (N heads, S, d), as (N, heads, S, d)."""
    if given is None:
        return x.reshape(x.shape[0], batch, heads, size).permute(1, 2, 0, 3)
    _ask(given.shape[0] == batch * heads, f"expecting {name}.size(0) of {batch * heads}, but got {given.shape[0]}")
    _ask(given.shape[2] == size, f"expecting {name}.size(2) of {size}, but got {given.shape[2]}")
    return given.reshape(batch, heads, -1, size)
